"""What the server of a live run answers: the page, pictures, JSON, events and metrics.

Browsers open six connections to a server at most, so the page takes the pictures of all cameras on
one, `/api/pictures`: each is a length of 4 bytes (big-endian), as much JSON (`camera`, `time_s`,
`n_bytes`), and `n_bytes` of JPEG. A viewer that reads slowly gets fewer pictures, the newest ones.
"""

import asyncio
import json
import socket
import struct
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from models.errors import one_line
from pipeline.errors import PipelineError
from pipeline.live import access, metrics
from pipeline.live.access import Access
from pipeline.live.hub import Hub, PersonNow, Picture, Said, Subscription
from pipeline.outputs.video import colour
from pipeline.sources.live.health import ClockKind, Health, State
from pipeline.version import VERSION

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLL_S = 0.04
MAX_PICTURES_PER_S = 12.5
HEARTBEAT_S = 10.0
"""Longest silence of the stream of events, so that viewers notice a dead connection."""
MAX_STREAMS = 32
RETRY_MS = 2000
BOUNDARY = "picture"
SECURITY_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
PUBLIC = ("/", "/healthz", "/login")
"""Paths, beside those of the files of the page, that answer without a token what is no secret."""

PicturesPerS = Annotated[float, Query(gt=0.1, le=MAX_PICTURES_PER_S)]
Reload = Callable[[], str]
Report = Callable[[str], object]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class CameraState(BaseModel):
    """How a camera is doing."""

    name: str
    state: State
    since_s: float
    reason: str
    fps: float
    n_frames: int
    n_dropped: dict[str, int]
    n_reconnects: int
    delay_s: float
    clock: ClockKind
    clock_offset_s: float
    picture_s: float
    """Time of the newest picture, seconds since 1970; 0 for none."""


class Cameras(BaseModel):
    """All cameras, at a time."""

    now_s: float
    cameras: list[CameraState]


class Stay(BaseModel):
    """One stretch of time in one camera."""

    camera: str
    first_s: float
    last_s: float


class PersonState(BaseModel):
    """A person who is in view, or was lately."""

    person_id: int
    colour: str
    """The colour of the boxes, #rrggbb."""
    cameras: list[str]
    """Where the person is in view now."""
    first_s: float
    last_s: float
    route: list[Stay]
    crop: str
    """Path of the best crop, which changes with it; "" for none."""
    probability: float
    """Of the weakest link between the tracklets of the person."""


class People(BaseModel):
    """All people who are in view or were lately, at a time."""

    now_s: float
    people: list[PersonState]


class Healthy(BaseModel):
    """Whether at least one camera is live; names and states only for those with the token."""

    ok: bool
    n_cameras: int
    n_live: int
    states: dict[str, State]


class Reloaded(BaseModel):
    """What became of the cameras, in words."""

    detail: str


class Uvicorn(uvicorn.Server):
    """Closes connections whose other end does not read; uvicorn would leave them open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


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


class Guard:
    """Lets requests through that `Access` allows, and adds the headers that keep browsers strict.

    Args:
        app: what answers.
        rules: who may do what.
        report: gets one line for each error of the app, which is a fault of the program.
    """

    def __init__(self, app: App, rules: Access, report: Report) -> None:
        self._app = app
        self._rules = rules
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return

        async def send_strictly(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS.items()]
            await send(message)

        answer = self._refusal(scope) or self._app
        try:
            await answer(scope, receive, send_strictly)
        except Exception as error:  # noqa: BLE001 - the edge of the server: it is reported
            self._report(f"serve: {scope['path']}: {type(error).__name__}: {one_line(error)}")

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that may not be served; None for others."""
        headers = headers_of(scope)
        path = scope["path"]
        if not self._rules.knows_host(headers):
            return _error(421, "the page is served as localhost and 127.0.0.1 only")
        if access.is_foreign(headers):
            return _error(403, "other web pages may not load anything from here")
        is_public = path in PUBLIC or path.startswith("/page/")
        if not is_public and not self._rules.may_see(headers):
            refusal = _error(401, "a token is needed: Authorization: Bearer TOKEN, or log in at /")
            refusal.headers["www-authenticate"] = "Bearer"
            return refusal
        if scope["method"] not in ("GET", "HEAD") and not self._rules.may_change(headers):
            return _error(403, "this needs the token, or a request from the page itself")
        return None


async def _answer_to_fault(request: Request, error: Exception) -> Response:
    """The answer; the error itself goes on to the `Guard`, which reports it."""
    return _error(500, "a fault of the program")


def _error(code: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, code)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request; of one that is repeated, none."""
    headers: dict[str, str] = {}
    repeated = set()
    for name_bytes, value in scope["headers"]:
        name = name_bytes.decode("latin-1").lower()
        if name in headers:
            repeated.add(name)
        headers[name] = value.decode("latin-1")
    return {name: value for name, value in headers.items() if name not in repeated}


def app_of(hub: Hub, rules: Access, streams: Streams, reload: Reload, report: Report) -> App:
    """Return what answers the requests of a live run.

    Args:
        hub: its state.
        rules: who may do what.
        streams: is told when to end.
        reload: reads the config again, and says what became of the cameras; it is called on a
            thread of its own, and raises `PipelineError` where the config cannot be used.
        report: gets one line for each fault of the program.
    """
    app = FastAPI(
        title="People tracker",
        version=VERSION,
        summary="Cameras, people and events of a live run. Times are seconds since 1970.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(Exception, _answer_to_fault)
    _add_page(app, rules)
    _add_cameras(app, hub, streams)
    _add_people(app, hub)
    _add_run(app, hub, rules, streams, reload)
    return Guard(app, rules, report)


def _add_page(app: FastAPI, rules: Access) -> None:
    """The page itself, the page of the API, and logging in."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.is_file()}

    def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        media_type = MEDIA_TYPES[Path(name).suffix]
        return Response(files[name], media_type=media_type, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        is_known = rules.may_see(headers_of(request.scope))
        return file("index.html" if is_known else "login.html")

    @app.get("/api", include_in_schema=False)
    async def api() -> Response:
        return file("api.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return file(name)

    @app.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        if not rules.has_token(headers_of(request.scope)):
            raise HTTPException(401, "this is not the token")
        answer = Response(status_code=204)
        answer.set_cookie(
            access.COOKIE,
            rules.cookie,
            max_age=access.COOKIE_DAYS * 86400,
            httponly=True,
            samesite="strict",
        )
        return answer


def _add_cameras(app: FastAPI, hub: Hub, streams: Streams) -> None:
    @app.get("/api/cameras", tags=["cameras"])
    async def cameras() -> Cameras:
        """Return how each camera is doing."""
        listed = [_camera_state(hub, health) for health in hub.health()]
        return Cameras(now_s=time.time(), cameras=listed)

    @app.get("/api/cameras/{name}", tags=["cameras"])
    async def camera(name: str) -> CameraState:
        """Return how one camera is doing."""
        return _camera_state(hub, _health(hub, name))

    @app.get("/api/cameras/{name}/snapshot.jpg", tags=["cameras"], **_answers("image/jpeg"))
    async def snapshot(name: str) -> Response:
        """Return the newest picture of a camera, with boxes and numbers; 404 before the first."""
        _health(hub, name)
        hub.viewed(name)
        picture = hub.picture(name)
        if picture is None:
            raise HTTPException(404, "no picture yet")
        return _jpeg(picture.jpeg)

    motion = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

    @app.get("/api/cameras/{name}/live.mjpg", tags=["cameras"], **_answers(motion))
    async def live(name: str) -> Response:
        """Return the pictures of a camera as Motion JPEG, without an end."""
        _health(hub, name)
        return streams.response(_motion(hub, name, streams), motion)

    @app.get("/api/pictures", tags=["cameras"], **_answers("application/octet-stream"))
    async def pictures(camera: str = "", per_s: PicturesPerS = MAX_PICTURES_PER_S) -> Response:
        """Return the pictures of all cameras, or of one, without an end.

        Each is a length (4 bytes, big-endian), JSON of that length with camera, time_s and n_bytes,
        and n_bytes of JPEG.
        """
        if camera:
            _health(hub, camera)
        parts = _many_pictures(hub, camera, per_s, streams)
        return streams.response(parts, "application/octet-stream")


def _add_people(app: FastAPI, hub: Hub) -> None:
    @app.get("/api/people", tags=["people"])
    async def people() -> People:
        """Return the people who are in view, or were lately."""
        listed = [_person_state(person) for person in hub.people()]
        return People(now_s=time.time(), people=listed)

    @app.get("/api/people/{person_id}", tags=["people"])
    async def person(person_id: int) -> PersonState:
        """Return one person who is in view, or was lately."""
        return _person_state(_person(hub, person_id))

    @app.get("/api/people/{person_id}/crop.jpg", tags=["people"], **_answers("image/jpeg"))
    async def crop(person_id: int) -> Response:
        """Return the best crop of a person; 404 where there is none, or privacy.blur hides it."""
        shown = _person(hub, person_id).crop_jpeg
        if not shown:
            raise HTTPException(404, "no crop")
        return _jpeg(shown)


def _add_run(app: FastAPI, hub: Hub, rules: Access, streams: Streams, reload: Reload) -> None:
    @app.get("/healthz", tags=["run"], responses={503: {"model": Healthy}})
    async def healthz(request: Request, response: Response) -> Healthy:
        """Return 200 when at least one camera is live, else 503."""
        cameras = hub.health()
        n_live = sum(each.state == "live" for each in cameras)
        states = {each.camera: each.state for each in cameras}
        response.status_code = 200 if n_live else 503
        response.headers["cache-control"] = "no-store"
        may_see = rules.may_see(headers_of(request.scope))
        return Healthy(
            ok=n_live > 0,
            n_cameras=len(cameras),
            n_live=n_live,
            states=states if may_see else {},
        )

    @app.get("/metrics", tags=["run"], **_answers("text/plain"))
    async def metrics_text() -> Response:
        """Return counters and states in the text format of Prometheus."""
        return PlainTextResponse(metrics.text(hub), media_type=metrics.MEDIA_TYPE)

    @app.get("/events", tags=["run"], **_answers("text/event-stream"))
    async def events(request: Request, after: int | None = None) -> Response:
        """Return events as they happen: server-sent events, each with a line of events.jsonl.

        Events since the one of the header `Last-Event-ID`, or else since number `after`, come
        first, as far as they are held; -1 is all of them.
        """
        last_id = request.headers.get("last-event-id", "")
        if last_id:
            after = _number_of(last_id, hub)
        subscription = hub.subscribe("page", after)
        return streams.response(_event_stream(hub, subscription, streams), "text/event-stream")

    @app.post("/reload", tags=["run"], responses={400: {"model": Reloaded}})
    def reload_cameras() -> Reloaded:
        """Read the config again, and add, remove and change cameras; the others go on."""
        try:
            return Reloaded(detail=reload())
        except PipelineError as error:
            raise HTTPException(400, one_line(error)) from None


def _answers(media_type: str) -> dict[str, Any]:
    """What the API's description says of an answer that is not JSON."""
    content: dict[str, Any] = {media_type.partition(";")[0]: {}}
    return {"response_class": Response, "responses": {200: {"content": content}}}


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": "no-store"})


def _health(hub: Hub, name: str) -> Health:
    for health in hub.health():
        if health.camera == name:
            return health
    raise HTTPException(404, "no such camera")


def _person(hub: Hub, person_id: int) -> PersonNow:
    for person in hub.people():
        if person.person_id == person_id:
            return person
    raise HTTPException(404, "nobody with this number is in view, or was lately")


def _camera_state(hub: Hub, health: Health) -> CameraState:
    picture = hub.picture(health.camera)
    fields = asdict(health)
    name = fields.pop("camera")
    return CameraState(name=name, picture_s=picture.time_s if picture else 0.0, **fields)


def _person_state(person: PersonNow) -> PersonState:
    blue, green, red = colour(person.person_id)
    stays = []
    for camera, first_s, last_s in person.route:
        stays.append(Stay(camera=camera, first_s=first_s, last_s=last_s))
    crop = ""
    if person.crop_jpeg:
        version = zlib.crc32(person.crop_jpeg)
        crop = f"/api/people/{person.person_id}/crop.jpg?v={version:08x}"
    return PersonState(
        person_id=person.person_id,
        colour=f"#{red:02x}{green:02x}{blue:02x}",
        cameras=list(person.cameras),
        first_s=person.first_s,
        last_s=person.last_s,
        route=stays,
        crop=crop,
        probability=person.probability,
    )


async def _motion(hub: Hub, name: str, streams: Streams) -> AsyncGenerator[bytes, None]:
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


async def _many_pictures(
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


async def _event_stream(
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


def _number_of(last_id: str, hub: Hub) -> int:
    """Number of the last event that a viewer has; -1 where it is of an earlier run."""
    run_id, _, number = last_id.partition("-")
    return int(number) if run_id == hub.run_id and number.isdecimal() else -1
