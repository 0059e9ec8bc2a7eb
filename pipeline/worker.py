"""A worker owns some cameras and everything that needs their pixels; what leaves it is tracklets.

It reads all its cameras in step with their clocks, detects in one batch, and tracks and gathers
camera by camera. Cameras are taken in the order of their names, so that the order on the command
line changes nothing.
"""

import threading
from collections.abc import Callable, Generator, Iterator

import cv2
import numpy as np

from pipeline import floor
from pipeline.config import Config
from pipeline.detect.detector import Detector
from pipeline.records import Array, Detections, Frame, Tracklet
from pipeline.sources import Source, read_ahead
from pipeline.timings import Timings
from pipeline.tracking.tracker import Tracker
from pipeline.tracklets import Gatherer


class Worker:
    """Runs its cameras to their end.

    n_frames, last_s: how far each camera came: frames processed, and time of the last one.
    frame_ranges: first and last number of frames processed without a break, by camera. Frames of a
        range are `sources.stride` apart; a frame that a source cannot read ends a range.
    """

    def __init__(
        self, sources: list[Source], detector: Detector, config: Config, timings: Timings
    ) -> None:
        self._sources = sorted(sources, key=lambda s: s.camera.name)
        self._detector, self._config, self._timings = detector, config, timings
        names = [source.camera.name for source in self._sources]
        self._trackers = {name: Tracker(config.tracker) for name in names}
        self._gatherers = {name: Gatherer(name, config.tracklets) for name in names}
        self._rois = {c.name: np.array(c.roi, np.float32) for c in config.cameras}
        self.n_frames = dict.fromkeys(names, 0)
        self.last_s = dict.fromkeys(names, -np.inf)
        self.frame_ranges: dict[str, list[tuple[int, int]]] = {name: [] for name in names}

    @property
    def now_s(self) -> float:
        """Time of the latest frame."""
        return max(self.last_s.values())

    def provisional(self) -> list[Tracklet]:
        """What is still open, as if it closed now: for those who cannot wait."""
        return [
            tracklet for gatherer in self._gatherers.values() for tracklet in gatherer.provisional()
        ]

    def run(
        self, stop: threading.Event, progress: Callable[[int], object]
    ) -> Generator[list[Tracklet], None, None]:
        """Yield the tracklets that close, round by round, until every source has ended or `stop` is
        set.
        """
        n_ahead = self._config.sources.read_ahead_frames
        readers = {s.camera.name: read_ahead(s, n_ahead, self._timings) for s in self._sources}
        try:
            stride = self._config.sources.stride
            intervals_s = {s.camera.name: stride / s.camera.fps for s in self._sources}
            for frames in rounds(readers, intervals_s):
                yield self._round(frames)
                progress(len(frames))
                if stop.is_set():
                    break
        finally:
            for reader in readers.values():
                reader.close()
        yield [tracklet for name in self._gatherers for tracklet in self._gatherers[name].flush()]

    def _round(self, frames: list[Frame]) -> list[Tracklet]:
        with self._timings.stage("detect", len(frames)):
            found = self._detector.detect(frames)
        closed: list[Tracklet] = []
        for frame, detections in zip(frames, found, strict=True):
            tracker = self._trackers[frame.camera]
            with self._timings.stage("track"):
                tracks = tracker.update(
                    _inside(detections, self._rois[frame.camera]), frame.time_s, frame.index
                )
            with self._timings.stage("gather"):
                closed += self._gatherers[frame.camera].add(frame, tracks, tracker.live_ids)
            self._count(frame)
        return closed

    def _count(self, frame: Frame) -> None:
        self.n_frames[frame.camera] += 1
        self.last_s[frame.camera] = frame.time_s
        ranges = self.frame_ranges[frame.camera]
        first = frame.index
        if ranges and frame.index == ranges[-1][1] + self._config.sources.stride:
            first, _ = ranges.pop()
        ranges.append((first, frame.index))


def rounds(
    readers: dict[str, Generator[Frame, None, None]], intervals_s: dict[str, float]
) -> Iterator[list[Frame]]:
    """Group frames into batches with at most one frame a camera, in step with the clocks.

    A round takes every frame less than the shortest frame interval after the earliest one; cameras
    that start later, end earlier or run at another rate are absent from some rounds.
    """
    heads = {name: frame for name, reader in readers.items() if (frame := next(reader, None))}
    while heads:
        limit_s = min(f.time_s for f in heads.values()) + min(intervals_s[name] for name in heads)
        taken = [frame for frame in heads.values() if frame.time_s < limit_s]
        yield taken
        for frame in taken:
            following = next(readers[frame.camera], None)
            if following is None:
                del heads[frame.camera]
            else:
                heads[frame.camera] = following


def _inside(detections: Detections, roi: Array) -> Detections:
    """Detections whose feet are inside the polygon; all of them when there is none."""
    if not len(roi) or not len(detections):
        return detections
    feet = floor.foot_points(detections.boxes).tolist()
    inside = [cv2.pointPolygonTest(roi, (x, y), False) >= 0 for x, y in feet]
    return Detections(detections.boxes[inside], detections.scores[inside])
