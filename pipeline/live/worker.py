"""Detect and track in live cameras: a `Worker` that never waits for a particular camera.

`pipeline.worker.Worker` reads files in step with their clocks and loses nothing, so one camera that
stalls would stop all; its frames and their order are known beforehand. Here each round has the
newest picture of every camera that has one, cameras come and go, and a camera that falls silent has
its tracks ended, so that nobody is open for ever.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing

from pipeline.ahead import JOIN_S, ahead
from pipeline.config import CameraConfig, Config
from pipeline.detect import detector as detectors
from pipeline.detect.detector import Detector
from pipeline.detect.finder import Finder
from pipeline.following import Followed, Following
from pipeline.records import Frame, Tracklet
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.looks import ROUNDS_AHEAD
from pipeline.timings import Timings
from pipeline.worker import Round

SILENCE_S = 1.0
"""A camera is silent when no frame has come for so long after all its tracks would be lost."""

OnFrame = Callable[[Frame, Followed], object]
"""Takes each frame that was looked at, and what it brought."""


class LiveWorker:
    """Follows people in live cameras until it is stopped, or all have ended.

    Attributes:
        n_frames: frames processed so far, by camera.
    """

    def __init__(
        self,
        cameras: LiveCameras,
        detector: Detector,
        config: Config,
        timings: Timings,
        on_frame: OnFrame,
        first_track_ids: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin; nothing is read yet.

        Args:
            cameras: where frames come from.
            detector: finds people.
            config: all settings.
            timings: where stages are counted.
            on_frame: is called for each frame after it was tracked.
            first_track_ids: by camera, where ids go on after an earlier run; 1 elsewhere.
            clock: seconds since 1970.
        """
        self._cameras = cameras
        self._config = config
        self._timings = timings
        self._on_frame = on_frame
        self._clock = clock
        self._silence_s = config.tracker.max_lost_s + SILENCE_S
        self._finder = Finder(detector, config.detector, timings)
        self._following: dict[str, Following] = {}
        self._rois = _rois(config.cameras)
        self._first_track_ids = dict(first_track_ids or {})
        self._latest_s = 0.0
        self._arrived_s: dict[str, float] = {}
        """When each camera's last frame came, on this machine's clock."""
        self._warnings: list[str] = []
        self.n_frames: dict[str, int] = {}

    @property
    def now_s(self) -> float:
        """Time of the latest frame, or of this machine when all cameras have been silent."""
        silent_s = self._clock() - self._config.tracker.max_lost_s
        return max(self._latest_s, silent_s)

    @property
    def next_track_ids(self) -> dict[str, int]:
        """By camera the id that the next track gets, from which a later run goes on."""
        known = {name: following.next_track_id for name, following in self._following.items()}
        return self._first_track_ids | known

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what was processed; complete when the run has ended."""
        warnings = list(self._warnings)
        for name in sorted(self._following):
            warnings += self._following[name].warnings
        return warnings

    def reload(self, cameras: Sequence[CameraConfig]) -> None:
        """Take the regions of interest of all cameras from now on."""
        self._rois = _rois(cameras)
        for name, following in self._following.items():
            following.set_roi(self._rois.get(name, []))

    def provisional(self) -> list[Tracklet]:
        """Return the open tracklets as if they closed now."""
        tracklets: list[Tracklet] = []
        for name in sorted(self._following):
            tracklets += self._following[name].provisional()
        return tracklets

    def run(self, stop: threading.Event) -> Generator[list[Tracklet], None, None]:
        """Process what the cameras show.

        Args:
            stop: ends it when set.

        Yields:
            The tracklets that close, round by round; often none, so that the time goes on.
        """
        detected = ahead(
            self._detect(stop), ROUNDS_AHEAD, "detect", self._timings, self._warn_of_hang
        )
        with closing(detected):
            for round_ in detected:
                yield self._track(round_)
        last: list[Tracklet] = []
        for name in sorted(self._following):
            last += self._following[name].flush()
        yield last

    def _detect(self, stop: threading.Event) -> Generator[Round, None, None]:
        for frames in self._cameras.rounds(stop):
            yield Round(frames, self._finder.find(frames))

    def _track(self, round_: Round) -> list[Tracklet]:
        closed: list[Tracklet] = []
        for frame in round_.frames:
            following = self._following_of(frame.camera)
            if frame.time_s - following.last_s > self._silence_s:
                closed += following.rest()
            followed = following.follow(frame, round_.found[frame.camera])
            closed += followed.closed
            self._cameras.tell(frame.camera, following.looks_per_s)
            self._latest_s = max(self._latest_s, frame.time_s)
            self.n_frames[frame.camera] = self.n_frames.get(frame.camera, 0) + 1
            self._arrived_s[frame.camera] = self._clock()
            self._on_frame(frame, followed)
        return closed + self._end_silent()

    def _end_silent(self) -> list[Tracklet]:
        """Close the tracklets of cameras that have been silent for long."""
        closed: list[Tracklet] = []
        now_s = self._clock()
        for name in sorted(self._arrived_s):
            if now_s - self._arrived_s[name] > self._silence_s:
                closed += self._following[name].rest()
                del self._arrived_s[name]
        return closed

    def _following_of(self, camera: str) -> Following:
        if camera not in self._following:
            self._following[camera] = Following(
                camera,
                self._rois.get(camera, []),
                self._config,
                self._timings,
                detectors.is_adaptive(self._config.detector),
                self._first_track_ids.get(camera, 1),
            )
        return self._following[camera]

    def _warn_of_hang(self) -> None:
        self._warnings.append(f"detection did not stop within {JOIN_S:g} s")


def _rois(cameras: Sequence[CameraConfig]) -> dict[str, list[tuple[float, float]]]:
    return {camera.name: camera.roi for camera in cameras}
