"""Read, detect and track some cameras: everything that needs their pixels.

A worker reads all its cameras in step with their clocks, detects in one batch, and tracks and
collects tracklets camera by camera. Cameras are taken in the order of their names, so that the
order on the command line changes nothing. Each camera is read on a thread of its own, and people
are found on another one, while those of earlier rounds are tracked and embedded.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline import floor
from pipeline.ahead import JOIN_S, ahead
from pipeline.config import Config
from pipeline.detect import detector as detectors
from pipeline.detect.detector import Detector
from pipeline.detect.unchanged import LastLook
from pipeline.records import Array, Detections, Frame, Tracklet, Tracks
from pipeline.sources import Source, read_ahead
from pipeline.sources.looks import ROUNDS_AHEAD, LookRate
from pipeline.timings import Timings
from pipeline.tracking.tracker import Tracker
from pipeline.tracklets import Gatherer


@dataclass(frozen=True, slots=True)
class _Round:
    """Frames of one round, and by camera what was found in those that have their image."""

    frames: list[Frame]
    found: dict[str, Detections]


class Worker:
    """Runs its cameras to their end.

    n_frames, last_s: how far each camera came: frames processed, and time of the last one.
    n_boxes: boxes that were detected inside the region, with a score that can start a track.
    n_unchanged: pictures that no network saw, because they show what the last one did.
    frame_ranges: first and last number of frames processed without a break, by camera. Frames of a
        range are `sources.stride` apart; a frame that a source cannot read ends a range.
    """

    def __init__(
        self, sources: list[Source], detector: Detector, config: Config, timings: Timings
    ) -> None:
        self._sources = sorted(sources, key=lambda source: source.camera.name)
        self._detector = detector
        self._config = config
        self._timings = timings
        names = [source.camera.name for source in self._sources]
        self._looks = {source.camera.name: source.looks for source in self._sources}
        self._look_rates: dict[str, LookRate] = {}
        if detectors.is_adaptive(config.detector):
            some = [name for name in names if not self._looks[name].has_all]
            self._look_rates = {name: LookRate() for name in some}
        self._last_looks: dict[str, LastLook] = {}
        if detectors.skips_unchanged(config.detector):
            self._last_looks = {name: LastLook() for name in names}
        self._trackers = {name: Tracker(config.tracker) for name in names}
        self._gatherers = {name: Gatherer(name, config.tracklets) for name in names}
        self._rois = {camera.name: np.array(camera.roi, np.float32) for camera in config.cameras}
        self._n_boxes = dict.fromkeys(names, 0)
        self._n_in_roi = dict.fromkeys(names, 0)
        self._warnings: list[str] = []
        self.n_frames = dict.fromkeys(names, 0)
        self.n_boxes = dict.fromkeys(names, 0)
        self.n_unchanged = dict.fromkeys(names, 0)
        self.last_s = dict.fromkeys(names, -np.inf)
        self.frame_ranges: dict[str, list[tuple[int, int]]] = {name: [] for name in names}

    @property
    def now_s(self) -> float:
        """Time of the latest frame."""
        return max(self.last_s.values())

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what was processed; complete when the run has ended."""
        return self._warnings + [
            f"{name}: its roi has the feet of none of the {n_boxes} people boxes that were found;"
            " draw it on a picture of this camera, in pixels"
            for name, n_boxes in self._n_boxes.items()
            if n_boxes and not self._n_in_roi[name]
        ]

    def provisional(self) -> list[Tracklet]:
        """Return the open tracklets as if they closed now, for online linking."""
        tracklets: list[Tracklet] = []
        for gatherer in self._gatherers.values():
            tracklets += gatherer.provisional()
        return tracklets

    def run(
        self, stop: threading.Event, progress: Callable[[int], object]
    ) -> Generator[list[Tracklet], None, None]:
        """Process the cameras to their end.

        Args:
            stop: ends it early when set.
            progress: is called with the number of frames of each round.

        Yields:
            The tracklets that close, round by round.
        """
        detected = ahead(self._detect(), ROUNDS_AHEAD, "detect", self._timings, self._warn_of_hang)
        with closing(detected):
            for round_ in detected:
                yield self._track(round_)
                progress(len(round_.frames))
                if stop.is_set():
                    break
        last: list[Tracklet] = []
        for gatherer in self._gatherers.values():
            last += gatherer.flush()
        yield last

    def _detect(self) -> Generator[_Round, None, None]:
        """Read all cameras, and find people in the frames of each round."""
        stride = self._config.sources.stride
        n_ahead = self._config.sources.read_ahead_frames
        readers: dict[str, Generator[Frame, None, None]] = {}
        intervals_s: dict[str, float] = {}
        for source in self._sources:
            camera = source.camera
            readers[camera.name] = read_ahead(source, n_ahead, self._timings)
            intervals_s[camera.name] = stride / camera.fps
        try:
            for frames in rounds(readers, intervals_s):
                looked_at = [frame for frame in frames if frame.has_image]
                yield _Round(frames, self._find(looked_at))
        finally:
            for reader in readers.values():
                reader.close()

    def _find(self, frames: list[Frame]) -> dict[str, Detections]:
        """People by camera, in at most one picture of each; no network sees those that are the
        same.
        """
        found: dict[str, Detections] = {}
        for frame in frames:
            if frame.camera in self._last_looks:
                again = self._last_looks[frame.camera].again(frame)
                if again is not None:
                    found[frame.camera] = again
                    self.n_unchanged[frame.camera] += 1
        changed = [frame for frame in frames if frame.camera not in found]
        if changed:
            with self._timings.stage("detect", len(changed)):
                detections = self._detector.detect(changed)
            for frame, in_frame in zip(changed, detections, strict=True):
                found[frame.camera] = in_frame
                if frame.camera in self._last_looks:
                    self._last_looks[frame.camera].take(in_frame)
        return found

    def _track(self, round_: _Round) -> list[Tracklet]:
        closed: list[Tracklet] = []
        for frame in round_.frames:
            if not frame.has_image:
                continue
            in_frame = round_.found[frame.camera]
            tracker = self._trackers[frame.camera]
            with self._timings.stage("track"):
                in_roi = _with_feet_inside(in_frame, self._rois[frame.camera])
                self._n_boxes[frame.camera] += len(in_frame)
                self._n_in_roi[frame.camera] += len(in_roi)
                tracks = tracker.update(in_roi, frame.time_s, frame.index)
            is_counted = in_roi.scores >= self._config.tracker.new_track_confidence
            self.n_boxes[frame.camera] += int(np.count_nonzero(is_counted))
            self._learn_rate(frame, tracks)
            with self._timings.stage("gather"):
                closed += self._gatherers[frame.camera].add(frame, tracks, tracker.live_ids)
        for frame in round_.frames:
            self._count(frame)
            if frame.camera in self._look_rates:
                self._looks[frame.camera].tell(self._look_rates[frame.camera].per_s)
        return closed

    def _warn_of_hang(self) -> None:
        self._warnings.append(
            f"reading or detection did not stop within {JOIN_S:g} s; check the disk or the network"
            " that the cameras are read from"
        )

    def _learn_rate(self, frame: Frame, tracks: Tracks) -> None:
        if frame.camera not in self._look_rates:
            return
        in_frame = tracks.frames == frame.index
        n_ambiguous = int(np.count_nonzero(tracks.ambiguous[in_frame]))
        n_matches = int(np.count_nonzero(in_frame))
        self._look_rates[frame.camera].learn(frame.time_s, n_matches, n_ambiguous)

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
    """Group frames into batches with at most one frame per camera, in step with the clocks.

    A round takes the earliest frame and every other one that is less than the shortest frame
    interval later. Cameras
    that start later, end earlier or run at another rate are absent from some rounds.

    Args:
        readers: frames of each camera.
        intervals_s: time between two frames of each camera.

    Yields:
        The frames of a round, in the order of `readers`.
    """
    heads: dict[str, Frame] = {}
    for name, reader in readers.items():
        first = next(reader, None)
        if first is not None:
            heads[name] = first
    while heads:
        earliest_s = min(frame.time_s for frame in heads.values())
        limit_s = earliest_s + min(intervals_s[name] for name in heads)
        taken = [
            frame
            for frame in heads.values()
            if frame.time_s == earliest_s or frame.time_s < limit_s
        ]
        yield taken
        for frame in taken:
            following = next(readers[frame.camera], None)
            if following is None:
                del heads[frame.camera]
            else:
                heads[frame.camera] = following


def _with_feet_inside(detections: Detections, roi: Array) -> Detections:
    """Detections whose feet are inside the polygon; all of them when there is none."""
    if not len(roi) or not len(detections):
        return detections
    feet = floor.foot_points(detections.boxes).tolist()
    inside = [cv2.pointPolygonTest(roi, (x, y), False) >= 0 for x, y in feet]
    return Detections(detections.boxes[inside], detections.scores[inside])
