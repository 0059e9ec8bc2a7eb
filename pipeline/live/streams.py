"""Answers of the server of a live run that do not end: pictures and events.

A viewer that reads slowly gets fewer pictures, the newest ones. One that does not read stops its
own stream only: the server holds no more of it than what is being sent.
"""

import asyncio
import json
import struct
import time
from collections.abc import AsyncGenerator

from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from pipeline.live.hub import Hub, Picture, Said, Subscription

POLL_S = 0.04
MAX_PICTURES_PER_S = 12.5
HEARTBEAT_S = 10.0
"""Longest silence of the stream of events, so that viewers notice a dead connection."""
MAX_STREAMS = 32
RETRY_MS = 2000
BOUNDARY = "picture"


class Streams:
    """Responses that do not end: how many there are, and that they are to end."""

    def __init__(self) -> None:
        self.is_closing = False
        self._n_open = 0

    def response(self, parts: AsyncGenerator[bytes, None], media_type: str) -> StreamingResponse:
        """Return a response that sends parts. Raises HTTPException where there are too many."""
        if self._n_open >= MAX_STREAMS:
            raise HTTPException(503, f"{MAX_STREAMS} streams are open, which is the limit")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._counted(parts), media_type=media_type, headers=headers)

    async def _counted(self, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self._n_open += 1
        try:
            async for part in parts:
                yield part
        finally:
            self._n_open -= 1


async def motion(hub: Hub, name: str, streams: Streams) -> AsyncGenerator[bytes, None]:
    """Parts of Motion JPEG, each the newest picture; ends with the camera."""
    last_number = 0
    while not streams.is_closing and any(each.camera == name for each in hub.health()):
        hub.viewed(name)
        picture = hub.picture(name)
        if picture is not None and picture.number != last_number:
            last_number = picture.number
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
            length = f"Content-Length: {len(picture.jpeg)}\r\n\r\n"
            yield (head + length).encode() + picture.jpeg + b"\r\n"
            await asyncio.sleep(1 / MAX_PICTURES_PER_S)
        else:
            await asyncio.sleep(POLL_S)


async def many_pictures(
    hub: Hub, camera: str, per_s: float, streams: Streams
) -> AsyncGenerator[bytes, None]:
    """The new pictures of a camera, or of all with "", in rounds."""
    last_numbers: dict[str, int] = {}
    while not streams.is_closing:
        for health in hub.health():
            name = health.camera
            if camera not in ("", name):
                continue
            hub.viewed(name)
            picture = hub.picture(name)
            if picture is not None and picture.number != last_numbers.get(name):
                last_numbers[name] = picture.number
                yield _framed(name, picture)
        await asyncio.sleep(1 / per_s)


def _framed(camera: str, picture: Picture) -> bytes:
    about = {"camera": camera, "time_s": picture.time_s, "n_bytes": len(picture.jpeg)}
    head = json.dumps(about).encode()
    return struct.pack(">I", len(head)) + head + picture.jpeg


async def event_stream(
    hub: Hub, subscription: Subscription, streams: Streams
) -> AsyncGenerator[bytes, None]:
    """Server-sent events; a comment where there is nothing to say."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    quiet_until_s = time.monotonic() + HEARTBEAT_S
    while not streams.is_closing:
        said = subscription.take()
        if said:
            yield "".join(_event_text(hub, each) for each in said).encode()
            subscription.confirm(len(said))
        elif time.monotonic() > quiet_until_s:
            yield b": still here\n\n"
        else:
            await asyncio.sleep(POLL_S)
            continue
        quiet_until_s = time.monotonic() + HEARTBEAT_S


def _event_text(hub: Hub, said: Said) -> str:
    return f"id: {hub.run_id}-{said.number}\ndata: {json.dumps(said.event)}\n\n"
