"""Find people in the frames of a round, and do not look again at pictures that have not changed."""

from pipeline.config import DetectorConfig
from pipeline.detect import detector as detectors
from pipeline.detect.detector import Detector
from pipeline.detect.unchanged import LastLook
from pipeline.records import Detections, Frame
from pipeline.timings import Timings


class Finder:
    """Finds people in at most one picture of each camera at a time.

    Attributes:
        n_unchanged: pictures that no network saw, because they show what the last one did, by
            camera.
    """

    def __init__(self, detector: Detector, config: DetectorConfig, timings: Timings) -> None:
        self._detector = detector
        self._timings = timings
        self._skips_unchanged = detectors.skips_unchanged(config)
        self._last_looks: dict[str, LastLook] = {}
        self.n_unchanged: dict[str, int] = {}

    def find(self, frames: list[Frame]) -> dict[str, Detections]:
        """Return the people in frames with images, by camera."""
        if not self._skips_unchanged:
            return self._detect(frames)
        found: dict[str, Detections] = {}
        for frame in frames:
            last_look = self._last_looks.setdefault(frame.camera, LastLook())
            again = last_look.again(frame)
            if again is not None:
                found[frame.camera] = again
                self.n_unchanged[frame.camera] = self.n_unchanged.get(frame.camera, 0) + 1
        changed = [frame for frame in frames if frame.camera not in found]
        new = self._detect(changed)
        for camera, in_frame in new.items():
            self._last_looks[camera].take(in_frame)
        return found | new

    def _detect(self, frames: list[Frame]) -> dict[str, Detections]:
        if not frames:
            return {}
        with self._timings.stage("detect", len(frames)):
            found = self._detector.detect(frames)
        cameras = [frame.camera for frame in frames]
        return dict(zip(cameras, found, strict=True))
