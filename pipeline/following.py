"""Follow the people of one camera: its tracker, its gatherer, and what they have seen so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline import floor
from pipeline.config import Config
from pipeline.detect import detector as detectors
from pipeline.records import Array, Detections, Frame, Tracklet, Tracks
from pipeline.sources.looks import LookRate
from pipeline.timings import Timings
from pipeline.tracking.tracker import Tracker
from pipeline.tracklets import Gatherer


@dataclass(frozen=True, slots=True)
class Followed:
    """What a frame brought.

    Attributes:
        tracks: rows of this frame, and of earlier ones of tracks that were confirmed now.
        closed: tracklets that ended.
        possible_boxes: (n, 4) px, all places where somebody may be, for hiding people: what was
            detected, however weak or outside the region, and where tracks are expected.
    """

    tracks: Tracks
    closed: list[Tracklet]
    possible_boxes: Array


class Following:
    """Follows the people of one camera, frame by frame.

    Attributes:
        n_boxes: boxes that were detected inside the region, with a score that can start a track.
        last_s: time of the last frame that was looked at, seconds; -inf before the first.
    """

    def __init__(
        self,
        camera: str,
        roi: Sequence[tuple[float, float]],
        config: Config,
        timings: Timings,
        is_adaptive: bool,
        first_track_id: int = 1,
    ) -> None:
        """Begin.

        Args:
            camera: its name.
            roi: polygon in pixels in which feet must be; empty for everywhere.
            config: settings of tracking and tracklets.
            timings: where the stages "track" and "gather" are counted.
            is_adaptive: whether the rate of detection follows what the camera shows.
            first_track_id: id of the first track.
        """
        self.camera = camera
        self.set_roi(roi)
        self._timings = timings
        self._min_score = config.tracker.new_track_confidence
        self._tracker = Tracker(config.tracker, first_track_id)
        self._gatherer = Gatherer(camera, config.tracklets)
        self._look_rate = LookRate() if is_adaptive else None
        self._looks_per_s = detectors.rate(config.detector)
        self._n_found = 0
        self._n_in_roi = 0
        self.n_boxes = 0
        self.last_s = -math.inf

    def set_roi(self, roi: Sequence[tuple[float, float]]) -> None:
        """Take another region of interest from the next frame on."""
        self._roi = np.array(roi, np.float32)

    @property
    def looks_per_s(self) -> float:
        """How many frames of a second should be looked at; 0 for all."""
        return self._look_rate.per_s if self._look_rate is not None else self._looks_per_s

    @property
    def next_track_id(self) -> int:
        """Id that the next track gets."""
        return self._tracker.next_id

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what was seen so far."""
        if not self._n_found or self._n_in_roi:
            return []
        return [
            f"{self.camera}: its roi has the feet of none of the {self._n_found} people boxes that"
            " were found; draw it on a picture of this camera, in pixels"
        ]

    def follow(self, frame: Frame, found: Detections) -> Followed:
        """Take what was found in the next frame.

        Args:
            frame: a frame with its image, later than the one before.
            found: people in it.
        """
        with self._timings.stage("track"):
            in_roi = _with_feet_inside(found, self._roi)
            tracks = self._tracker.update(in_roi, frame.time_s, frame.index)
        self._n_found += len(found)
        self._n_in_roi += len(in_roi)
        self.n_boxes += int(np.count_nonzero(in_roi.scores >= self._min_score))
        self.last_s = frame.time_s
        self._learn_rate(frame, tracks)
        with self._timings.stage("gather"):
            closed = self._gatherer.add(frame, tracks, self._tracker.live_ids)
        possible_boxes = np.concatenate([found.boxes, self._tracker.expected_boxes])
        return Followed(tracks, closed, possible_boxes)

    def provisional(self) -> list[Tracklet]:
        """Return the open tracklets as if they closed now."""
        return self._gatherer.provisional()

    def flush(self) -> list[Tracklet]:
        """Close the open tracklets, at the end."""
        return self._gatherer.flush()

    def rest(self) -> list[Tracklet]:
        """Close the open tracklets and end all tracks, because the camera has been silent.

        Whoever is seen afterwards gets a new track: who that is, linking decides.
        """
        self._tracker.end_all()
        return self._gatherer.flush()

    def _learn_rate(self, frame: Frame, tracks: Tracks) -> None:
        if self._look_rate is None:
            return
        in_frame = tracks.frames == frame.index
        n_ambiguous = int(np.count_nonzero(tracks.ambiguous[in_frame]))
        n_matches = int(np.count_nonzero(in_frame))
        self._look_rate.learn(frame.time_s, n_matches, n_ambiguous)


def _with_feet_inside(detections: Detections, roi: Array) -> Detections:
    """Detections whose feet are inside the polygon; all of them when there is none."""
    if not len(roi) or not len(detections):
        return detections
    feet = floor.foot_points(detections.boxes).tolist()
    inside = [cv2.pointPolygonTest(roi, (x, y), False) >= 0 for x, y in feet]
    return Detections(detections.boxes[inside], detections.scores[inside])
