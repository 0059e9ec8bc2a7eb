"""A live camera: a thread that connects, reads, and keeps the newest picture.

A camera waits for nobody and nobody waits for it. Its thread decodes whatever comes and puts the
newest picture into a slot, where it replaces the one before; who takes it from there converts it. A
lost connection is made again, for ever. Nothing stands in for pictures that did not come: a gap in
time is all that is seen of an outage.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import av

from pipeline.config import CameraConfig, LiveConfig
from pipeline.records import Camera, Frame
from pipeline.sources.live.backoff import Backoff
from pipeline.sources.live.frozen import FrozenPictures
from pipeline.sources.live.health import CameraEvent, Health
from pipeline.sources.live.states import States
from pipeline.sources.live.stream import Stream, StreamEnd, StreamError
from pipeline.sources.live.wall_clock import Stamps, WallClock
from pipeline.sources.looks import ROUNDING_S
from pipeline.sources.picture import (
    Orientation,
    Orientations,
    shown,
    shown_in_yuv,
    shown_size,
)
from pipeline.sources.source import camera_of
from pipeline.yuv import Colours, colours_of

FALLBACK_FPS = 25.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The newest picture of a camera, which nobody has looked at yet.

    index: its number since the start of the run.
    time_s: when it was made, seconds since 1970.
    arrival_s: when it came.
    orientation: how it is turned.
    """

    index: int
    time_s: float
    arrival_s: float
    picture: av.VideoFrame
    orientation: Orientation


@dataclass(frozen=True, slots=True)
class _View:
    """What all pictures of a camera are made like: its first one.

    size: width and height as it is shown.
    """

    size: tuple[int, int]
    colours: Colours


class LiveCamera:
    """One live camera; its thread runs from the construction to `close`.

    config: the camera.
    """

    def __init__(
        self,
        config: CameraConfig,
        live: LiveConfig,
        now: Callable[[], float],
        changed: threading.Condition,
        starts_s: float,
        first_index: int = 0,
        last_s: float = -math.inf,
    ) -> None:
        """Start the thread.

        Args:
            config: the camera, with its name.
            live: timeouts.
            now: this machine's clock, seconds since 1970.
            changed: guards all that threads share, and is notified of new pictures and states.
            starts_s: when a file that is played as if live starts.
            first_index: number of the first picture.
            last_s: all times are later than this.
        """
        self.config = config
        self._live = live
        self._now = now
        self._changed = changed
        self._starts_s = starts_s
        self._stop = threading.Event()
        self._backoff = Backoff(live.max_attempts_per_hour)
        self._clock = WallClock(live.clock == "auto", last_s)
        self._frozen = FrozenPictures(live.frozen_after_s)
        self._orientations = Orientations()
        self._view: _View | None = None
        self._last_size = (0, 0)
        self._camera: Camera | None = None
        self._slot: _Waiting | None = None
        self._slot_due_s = 0.0
        self._looks_per_s = 0.0
        self._due_s = -math.inf
        self._first_index = first_index
        self._n_connections = 0
        self._delay_s = 0.0
        self._states = States(config.name, live, max(now(), starts_s))
        self._thread = threading.Thread(target=self._run, name=f"camera {config.name}", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether a file is over and its last picture was taken."""
        return self._states.state == "ended" and self._slot is None

    @property
    def next_index(self) -> int:
        """Number of the next picture."""
        return self._first_index + self._states.n_pictures

    @property
    def last_s(self) -> float:
        """Time of the last picture."""
        return self._clock.last_s

    @property
    def record(self) -> Camera | None:
        """What is known of the camera; None before its first picture."""
        return self._camera

    @property
    def has_picture(self) -> bool:
        """Whether a picture waits that is due."""
        return self._slot is not None

    def tell(self, per_s: float) -> None:
        """Set how many looks a second are wanted, 0 all."""
        with self._changed:
            if not per_s:
                self._due_s = -math.inf
            elif self._looks_per_s:
                self._due_s += 1 / per_s - 1 / self._looks_per_s
            self._looks_per_s = per_s

    def newest(self) -> Frame | None:
        """Take the newest picture, as a frame; None where there is none that is due."""
        with self._changed:
            taken = self._slot
            self._slot = None
            if taken is None:
                return None
            self._delay_s = max(self._now() - taken.arrival_s, 0.0)
            if self._looks_per_s:
                self._due_s = self._slot_due_s + 1 / self._looks_per_s
        try:
            return self._frame(taken)
        except Exception:  # noqa: BLE001 - an odd picture must not stop the other cameras
            with self._changed:
                self._states.n_dropped["damaged"] += 1
            return None

    def _frame(self, taken: _Waiting) -> Frame:
        assert self._view is not None
        size = self._view.size
        image = shown(taken.picture, size, taken.orientation)
        in_yuv = shown_in_yuv(taken.picture, size, taken.orientation, self._view.colours)
        return Frame(self.config.name, taken.index, taken.time_s, image, in_yuv)

    def health(self) -> Health:
        """Return how the camera is doing now."""
        with self._changed:
            states = self._states
            states.update(self._now())
            return Health(
                self.config.name,
                states.state,
                states.since_s,
                states.fps,
                states.n_pictures,
                dict(states.n_dropped),
                max(self._n_connections - 1, 0),
                self._delay_s,
                self._clock.kind,
                self._clock.offset_s,
                states.reason,
            )

    def take_events(self) -> list[CameraEvent]:
        """Return what has happened since the last call."""
        with self._changed:
            self._states.update(self._now())
            return self._states.take_events()

    def stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._stop.set()
        with self._changed:
            self._slot = None
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end after `stop`; returns whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # on the camera's thread

    def _run(self) -> None:
        while not self._stop.is_set():
            began_s = time.monotonic()
            self._backoff.attempt(began_s)
            held_s = 0.0
            try:
                held_s = self._read()
            except StreamEnd as end:
                self._end(str(end))
                return
            except Exception as error:  # noqa: BLE001 - a camera comes back whatever happens
                self._fail(type(error).__name__)  # its text might have credentials
            self._stop.wait(self._backoff.wait_s(time.monotonic(), held_s))
            self._starts_s = max(self._starts_s, self._now())  # of a file that could not be opened

    def _read(self) -> float:
        """Read a connection to its end; returns how long it gave pictures.

        Raises:
            StreamEnd: a file is over.
        """
        first_s = 0.0
        try:
            stream = Stream(self.config, self._live, self._now, self._stop, self._starts_s)
        except StreamError as error:
            self._fail(str(error))
            return 0.0
        with stream:
            try:
                for picture in stream.pictures():
                    if not first_s:
                        first_s = time.monotonic()
                        self._connect()
                    self._offer(picture.picture, picture.stamps, stream)
            except StreamError as error:
                self._fail(str(error))
            finally:
                self._count_dropped(stream)
        return time.monotonic() - first_s if first_s else 0.0

    def _connect(self) -> None:
        """Note that another connection has given its first picture."""
        with self._changed:
            self._n_connections += 1
            self._states.connect()
            self._clock.restart()
            self._frozen.restart()

    def _offer(self, picture: av.VideoFrame, stamps: Stamps, stream: Stream) -> None:
        """Put a picture into the slot, if it is due and the camera is not frozen."""
        orientation = self._orientations.of(picture)
        size = shown_size(picture, stream.aspect, orientation)
        time_s = self._clock.time_s(stamps)
        now_s = self._now()
        self._frozen.note(picture, now_s)
        with self._changed:
            self._look_at_size(picture, size, stream.fps, now_s)
            self._count_dropped(stream)
            for change in self._clock.take_changes():
                self._states.say(now_s, "clock", change)
            waiting = _Waiting(self.next_index, time_s, stamps.arrival_s, picture, orientation)
            self._states.picture(now_s, self._frozen.is_frozen)
            if not self._frozen.is_frozen:
                self._place(waiting)
                return
            self._states.n_dropped["frozen"] += 1 if self._slot is None else 2
            self._slot = None

    def _place(self, waiting: _Waiting) -> None:
        """Put a picture into the slot, in place of an older one, or if it is due."""
        interval_s = 1 / self._looks_per_s if self._looks_per_s else 0.0
        if self._slot is not None:
            is_missed = waiting.time_s >= self._slot_due_s + interval_s
            self._states.n_dropped["busy" if is_missed else "rate"] += 1
            if is_missed:
                self._slot_due_s = max(self._slot_due_s, waiting.time_s - interval_s) + interval_s
            self._slot = waiting
        elif waiting.time_s >= self._due_s - ROUNDING_S:
            is_in_step = waiting.time_s - self._due_s < interval_s
            self._slot_due_s = self._due_s if is_in_step else waiting.time_s
            self._slot = waiting
            self._changed.notify_all()
        else:
            self._states.n_dropped["rate"] += 1

    def _look_at_size(
        self, picture: av.VideoFrame, size: tuple[int, int], announced_fps: float, now_s: float
    ) -> None:
        """Take the size of the first picture, and tell of later ones that differ."""
        width, height = size
        if self._view is None:
            self._view = _View(size, colours_of(picture))
            self._camera = camera_of(self.config, width, height, announced_fps or FALLBACK_FPS, -1)
        elif size != self._last_size:
            first_width, first_height = self._view.size
            self._states.say(
                now_s,
                "resized",
                f"pictures are {width}x{height} now; they are scaled to the first size,"
                f" {first_width}x{first_height}",
            )
        self._last_size = size

    def _count_dropped(self, stream: Stream) -> None:
        with self._changed:
            self._states.n_dropped += stream.dropped
            stream.dropped.clear()

    def _fail(self, why: str) -> None:
        """Note why there is no connection."""
        with self._changed:
            self._states.fail(self._now(), why)

    def _end(self, why: str) -> None:
        with self._changed:
            self._states.end(self._now(), why)
            self._changed.notify_all()
