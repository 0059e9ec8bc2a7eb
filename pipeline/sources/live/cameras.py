"""All live cameras of a run, as rounds of their newest pictures.

A round has whatever is there: at most one picture of each camera, and none of a camera that has
nothing new. Nobody waits for a picture of every camera: cameras pause around each keyframe, so that
the slowest would set the pace of all. `pipeline.worker.rounds` would not do: it keeps in step with
the clocks of recordings, which wait when nobody reads them.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence

from pipeline.config import CameraConfig, LiveConfig
from pipeline.records import Camera, Frame
from pipeline.sources.live.camera import LiveCamera
from pipeline.sources.live.health import CameraEvent, Health
from pipeline.sources.live.stream import is_endless
from pipeline.sources.live.wall_clock import SteadyClock

TICK_S = 0.25
"""A round without pictures comes after so long, so that the clock of the run goes on."""
CLOSE_S = 2.0
"""How long closing waits for the threads in all. A thread that hangs in a read ends at the latest
`live.open_timeout_s` later, or with the process.
"""


class LiveCameras:
    """Live cameras, each on a thread of its own.

    All methods may be called from any thread.
    """

    def __init__(
        self,
        configs: Sequence[CameraConfig],
        live: LiveConfig,
        now: Callable[[], float] | None = None,
        next_indices: Mapping[str, int] | None = None,
    ) -> None:
        """Start to connect; cameras that cannot be opened are tried again.

        Args:
            configs: the cameras, with unique names.
            live: timeouts.
            now: this machine's clock, seconds since 1970; a `SteadyClock` where it is None.
            next_indices: by camera, the number of its first picture, where a run is resumed.
        """
        self._live = live
        self._now = now or SteadyClock()
        self._changed = threading.Condition()
        self._events: list[CameraEvent] = []
        self._leaving: list[LiveCamera] = []
        self._past = {name: (index, float("-inf")) for name, index in (next_indices or {}).items()}
        """Of cameras that are not read: number of the next picture, and last time."""
        self._records: dict[str, Camera] = {}
        self._cameras: dict[str, LiveCamera] = {}
        files = [config for config in configs if not is_endless(config)]
        first_s = min((config.start_s for config in files), default=0.0)
        starts_s = self._now()
        for config in configs:
            after_s = 0.0 if is_endless(config) else config.start_s - first_s
            self._cameras[config.name] = self._start(config, starts_s + after_s)

    @property
    def cameras(self) -> dict[str, Camera]:
        """Cameras that have been connected, by name, also those that were removed since.

        Those that have never been connected are missing: they have no size yet.
        """
        with self._changed:
            for name, camera in self._cameras.items():
                if camera.record is not None:
                    self._records[name] = camera.record
            return dict(self._records)

    @property
    def next_indices(self) -> dict[str, int]:
        """Number of the next picture of each camera, of those that are gone too."""
        with self._changed:
            past = {name: index for name, (index, _) in self._past.items()}
            return past | {name: camera.next_index for name, camera in self._cameras.items()}

    def rounds(self, stop: threading.Event) -> Generator[list[Frame], None, None]:
        """Yield rounds until `stop` is set, or all cameras are files that have ended.

        Args:
            stop: ends the rounds when set, at most `TICK_S` later.

        Yields:
            At most one frame of each camera, in the order of names: the newest of each camera that
            is due for a look and has a new one. An empty list at least every `TICK_S`.
        """
        while not stop.is_set():
            with self._changed:
                self._changed.wait_for(self._has_news, TICK_S)
                is_over = self._is_over()
                cameras = [self._cameras[name] for name in sorted(self._cameras)]
            if is_over:
                return
            frames = [camera.newest() for camera in cameras]
            yield [frame for frame in frames if frame is not None]

    def tell(self, camera: str, per_s: float) -> None:
        """Set how many looks a second a camera gets, 0 all; due by the times of its pictures."""
        with self._changed:
            if camera in self._cameras:
                self._cameras[camera].tell(per_s)

    def health(self) -> list[Health]:
        """Return how all cameras are doing, in the order of names."""
        with self._changed:
            return [self._cameras[name].health() for name in sorted(self._cameras)]

    def take_events(self) -> list[CameraEvent]:
        """Return what has happened since the last call, in time order."""
        with self._changed:
            events = self._events
            self._events = []
            for camera in self._cameras.values():
                events += camera.take_events()
        return sorted(events, key=lambda event: event.time_s)

    def reload(self, configs: Sequence[CameraConfig]) -> None:
        """Add, remove and change cameras; those whose settings are the same go on undisturbed.

        Args:
            configs: all cameras from now on, with unique names.
        """
        wanted = {config.name: config for config in configs}
        with self._changed:
            for name, camera in list(self._cameras.items()):
                if wanted.get(name) != camera.config:
                    self._remove(name)
            for name, config in wanted.items():
                if name not in self._cameras:
                    self._cameras[name] = self._start(config, self._now())
            self._changed.notify_all()

    def close(self) -> None:
        """Stop all cameras, and wait at most `CLOSE_S` for their threads."""
        with self._changed:
            for name in list(self._cameras):
                self._remove(name)
            leaving = list(self._leaving)
        deadline_s = time.monotonic() + CLOSE_S
        for camera in leaving:
            camera.join(max(deadline_s - time.monotonic(), 0.0))

    def _start(self, config: CameraConfig, starts_s: float) -> LiveCamera:
        first_index, last_s = self._past.pop(config.name, (0, float("-inf")))
        return LiveCamera(
            config, self._live, self._now, self._changed, starts_s, first_index, last_s
        )

    def _remove(self, name: str) -> None:
        camera = self._cameras.pop(name)
        camera.stop()
        if camera.record is not None:
            self._records[name] = camera.record
        self._past[name] = (camera.next_index, camera.last_s)
        self._events += camera.take_events()
        self._leaving = [other for other in self._leaving if not other.join(0)]
        self._leaving.append(camera)

    def _has_news(self) -> bool:
        return self._is_over() or any(camera.has_picture for camera in self._cameras.values())

    def _is_over(self) -> bool:
        cameras = self._cameras.values()
        return bool(cameras) and all(camera.has_ended for camera in cameras)
