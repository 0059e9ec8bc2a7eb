"""Rolling annotated video of a live camera: segments/<camera>/<UTC time>.mp4.

A segment can be played while it is written, up to some seconds ago, and what a kill leaves of it
can be played too. It lasts `live.segment_s` at most. It also ends where pictures stop for `GAP_S`,
change their size, or go back in time, so that each is one stretch of video without holes.

Video is what a run can do without on a full disk or a slow machine; rows and events are not. So
pictures are encoded on a thread of their own, at most `MAX_WAITING` wait for it, and what does not
fit is dropped and counted. When a segment cannot be written, video stops, which is said; it is
tried again every `RETRY_S`.
"""

import os
import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av
from av.error import FFmpegError

from models.errors import one_line
from pipeline import yuv
from pipeline.config import LiveConfig, OutputConfig
from pipeline.outputs.video import Encoder
from pipeline.sources.live.health import CameraEvent, CameraEventKind

SEGMENTS = "segments"
SUFFIX = ".mp4"
CLOCK = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z", re.ASCII)
MAX_WAITING = 8
GAP_S = 5.0
RETRY_S = 10.0
POLL_S = 0.2
CLOSE_S = 10.0
"""Longest wait for the last segment when the run ends."""
NOMINAL_FPS = 10.0
"""Only for display: each picture has its own time."""
WRITTEN_BYTES = 4096
"""A file of this size has pictures on disk, and not only a header."""


def name_of(start_s: float, suffix: str = SUFFIX) -> str:
    """Return the name of a file that begins at a time, seconds since 1970; that of a segment."""
    seconds, milliseconds = divmod(int(start_s * 1000), 1000)
    clock = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H-%M-%S")
    return f"{clock}.{milliseconds:03d}Z{suffix}"


def start_of(name: str, suffix: str = SUFFIX) -> float | None:
    """Return when a file begins, seconds since 1970, by its name; None for other files."""
    clock = name.removesuffix(suffix)
    if clock == name or not CLOCK.fullmatch(clock):
        return None
    try:
        return datetime.strptime(clock, "%Y-%m-%dT%H-%M-%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


@dataclass(slots=True)
class _Segment:
    """The segment that is written now."""

    path: Path
    encoder: Encoder
    start_s: float
    last_s: float
    size: tuple[int, int]


class Segments:
    """Writes the segments of one camera.

    Args:
        folder: output folder of the run.
        camera: the camera's name.
        live: length of segments.
        output: quality, and the encoder.
        blocked: why no video may be written now, in words; "" where it may; see
            `Retention.blocked`.
    """

    def __init__(
        self,
        folder: Path,
        camera: str,
        live: LiveConfig,
        output: OutputConfig,
        blocked: Callable[[], str] = str,
    ) -> None:
        self._folder = folder / SEGMENTS / camera
        self._camera = camera
        self._segment_s = live.segment_s
        self._output = output
        self._blocked = blocked
        self._waiting: queue.Queue[tuple[av.VideoFrame, float]] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._events: list[CameraEvent] = []
        self._n_dropped = {"busy": 0, "stopped": 0}
        self._segment: _Segment | None = None
        self._problem = ""
        self._retry_at_s = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"segments {camera}", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str:
        """Why no video is written, in words; "" where it is."""
        return self._problem

    @property
    def current(self) -> Path | None:
        """The segment that is being written."""
        segment = self._segment
        return None if segment is None else segment.path

    @property
    def n_dropped(self) -> dict[str, int]:
        """Pictures that are in no segment, by reason: `busy` (encoding is too slow), `stopped`."""
        return dict(self._n_dropped)

    def write(self, picture: av.VideoFrame, time_s: float) -> None:
        """Add a picture; never waits.

        Args:
            picture: in YUV 4:2:0, drawn and blurred as it is to be kept. It belongs to this object
                from now on, which changes its timestamp.
            time_s: its time, seconds since 1970.
        """
        try:
            self._waiting.put_nowait((picture, time_s))
        except queue.Full:
            self._n_dropped["busy"] += 1

    def take_events(self) -> list[CameraEvent]:
        """Return that video stopped or resumed, since the last call."""
        with self._lock:
            taken = self._events
            self._events = []
        return taken

    def close(self) -> None:
        """Finish the last segment; waits for a disk that hangs for at most `CLOSE_S`."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._problem = f"the disk did not answer for {CLOSE_S:g} s"

    def _run(self) -> None:
        idle_s = 0.0
        while True:
            try:
                picture, time_s = self._waiting.get(timeout=POLL_S)
            except queue.Empty:
                if self._closing.is_set():
                    break
                idle_s += POLL_S
                if idle_s >= GAP_S:
                    self._guarded(self._finish, time.time())
                continue
            idle_s = 0.0
            self._take(picture, time_s)
        self._guarded(self._finish, time.time())

    def _take(self, picture: av.VideoFrame, time_s: float) -> None:
        if reason := self._blocked():
            self._guarded(self._finish, time_s)
            self._stop(time_s, reason)
        if reason or time.monotonic() < self._retry_at_s:
            self._n_dropped["stopped"] += 1
            return
        self._guarded(lambda: self._encode(picture, time_s), time_s)

    def _guarded(self, work: Callable[[], None], time_s: float) -> None:
        """Do what may fail; then video stops until it is tried again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: whatever fails, the run goes on
            self._give_up()
            self._retry_at_s = time.monotonic() + RETRY_S
            reason = error.strerror if isinstance(error, OSError) else one_line(error)
            self._stop(time_s, f"video cannot be written ({reason or one_line(error)})")

    def _encode(self, picture: av.VideoFrame, time_s: float) -> None:
        if picture.width % 2 or picture.height % 2:
            picture = yuv.copy(picture)
        size = (picture.width, picture.height)
        segment = self._segment
        if segment is not None and not self._goes_on(segment, size, time_s):
            self._finish()
        if self._segment is None:
            self._segment = self._begun(size, time_s)
        segment = self._segment
        segment.encoder.write(picture, time_s - segment.start_s)
        segment.last_s = time_s
        if self._problem and segment.path.stat().st_size >= WRITTEN_BYTES:
            self._problem = ""
            self._say(time_s, "video_resumed", "video is written again")

    def _goes_on(self, segment: _Segment, size: tuple[int, int], time_s: float) -> bool:
        """Whether a picture belongs into a segment."""
        is_next = 0 < time_s - segment.last_s < GAP_S
        return is_next and size == segment.size and time_s - segment.start_s < self._segment_s

    def _begun(self, size: tuple[int, int], time_s: float) -> _Segment:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name_of(time_s)
        n_later = 0
        while path.exists():
            n_later += 1
            path = self._folder / name_of(time_s + n_later / 1000)
        path.touch()  # so that a folder that takes no files is an error with its reason
        crf = self._output.crf
        encoder = Encoder(path, *size, NOMINAL_FPS, crf, self._output.encoder, is_live=True)
        return _Segment(path, encoder, time_s, time_s, size)

    def _finish(self) -> None:
        segment = self._segment
        if segment is not None:
            segment.encoder.finish()
            self._segment = None

    def _give_up(self) -> None:
        """Leave what is whole of the segment; one without a picture is deleted."""
        segment = self._segment
        self._segment = None
        if segment is None:
            return
        with suppress(FFmpegError, OSError, ValueError):
            segment.encoder.release()
        with suppress(OSError):
            n_bytes = _whole_bytes(segment.path)
            if n_bytes:
                os.truncate(segment.path, n_bytes)
            else:
                segment.path.unlink()

    def _stop(self, time_s: float, reason: str) -> None:
        if not self._problem:
            self._say(time_s, "video_stopped", reason)
        self._problem = reason

    def _say(self, time_s: float, kind: CameraEventKind, reason: str) -> None:
        with self._lock:
            self._events.append(CameraEvent(time_s, kind, self._camera, reason))


def _whole_bytes(path: Path) -> int:
    """Return how much of a file is whole: up to its last whole box of pictures; 0 without one.

    An MP4 is a sequence of boxes. Each begins with its length and its kind, 4 bytes each, and the
    length is in the next 8 bytes where it is given as 1.
    """
    n_bytes = path.stat().st_size
    end = 0
    whole = 0
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            length = int.from_bytes(header[:4])
            if length == 1:
                length = int.from_bytes(header[8:])
            end += length
            if length < 8 or end > n_bytes:
                break
            if header[4:8] == b"mdat":
                whole = end
            file.seek(end)
    return whole
