"""Reading a source on a thread of its own, while its frames are processed."""

import queue
import threading
from collections.abc import Generator

from pipeline.records import Frame
from pipeline.sources.source import Source
from pipeline.timings import Timings

POLL_S = 0.1
JOIN_S = 5.0
"""How long closing a reader waits for its thread, which may hang in a read from a dead disk."""


def read_ahead(source: Source, n_frames: int, timings: Timings) -> Generator[Frame, None, None]:
    """Read `source` on a thread of its own.

    Closing the generator stops the thread. When the thread does not end within `JOIN_S`, a warning
    is added to the source, and the thread dies with the process.

    Args:
        source: what to read.
        n_frames: how many frames may wait for the consumer.
        timings: the thread's work counts as "decode", the consumer's idling as "wait for decode".

    Yields:
        The frames of the source, in its order.

    Raises:
        BaseException: what the source raised, after the frames before it.
    """
    frames: queue.SimpleQueue[Frame | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(
        n_frames
    )  # taken before decoding: a full queue would let the thread hold one more
    stop = threading.Event()

    def read() -> None:
        try:
            reading = iter(source)
            while not stop.is_set():
                if not room.acquire(timeout=POLL_S):
                    continue
                with timings.stage("decode"):
                    frame = next(reading, None)
                frames.put(frame)
                if frame is None:
                    return
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: it travels to the consumer
            frames.put(error)

    thread = threading.Thread(target=read, name=f"read {source.camera.name}", daemon=True)
    thread.start()
    try:
        while True:
            try:
                with timings.stage("wait for decode", 0):
                    item = frames.get(timeout=POLL_S)
            except queue.Empty:
                continue  # the thread ends with None or an exception, always
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item
    finally:
        stop.set()
        thread.join(JOIN_S)
        if thread.is_alive():
            source.warnings.append(
                f"{source.camera.name}: reading did not stop within {JOIN_S:g} s; check the disk or"
                " the network that it is read from"
            )
