"""One camera's tracker: boxes in, the same boxes with track ids out (ByteTrack's two stages, Zhang et al. 2022, in seconds).

A track is *tentative* until it has been matched for `confirm_s`, *confirmed* while it is matched, *lost* while it is not,
and *removed* after `max_lost_s`. All live tracks are rows of parallel arrays; removed ones are dropped, so time and memory
depend on the people in view and not on history. Ids count from 1 in the instance, without holes: a track gets its id when
it is confirmed.
"""

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.records import Array, Detections, Tracks
from pipeline.tracking.kalman import KalmanFilter, measure, to_boxes
from pipeline.tracking.matching import ASSIGNMENTS, iou

TENTATIVE = 0
"""Track id of a track that is not confirmed yet."""
ROUNDING_S = 1e-3
"""Durations are compared with this tolerance: timestamps are rounded, in some containers to a millisecond."""


class Tracker:
    """Tracks the people of one camera; call `update` once a frame, in time order."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._filter = KalmanFilter(config.position_std, config.acceleration_std)
        self._assign = ASSIGNMENTS[config.assignment]
        self._next_id = 1
        self._time_s = 0.0
        self._mean, self._covariance = np.zeros((0, 4, 2)), np.zeros((0, 4, 3))
        self._ids = np.zeros(0, np.int64)
        self._born_s, self._seen_s = np.zeros(0), np.zeros(0)

    def __len__(self) -> int:
        """Count the live tracks: tentative, confirmed and lost."""
        return len(self._ids)

    @property
    def live_ids(self) -> Array:
        """Ids of the tracks that can still be matched, (n,) int64; a track whose id is not here has ended."""
        return np.asarray(self._ids[self._ids != TENTATIVE])

    def update(self, detections: Detections, time_s: float) -> Tracks:
        """Return the confirmed tracks matched in this frame, with the boxes and scores of their detections."""
        self._predict(time_s)
        boxes, scores = detections.boxes, detections.scores
        values = measure(boxes)
        matched = np.full(len(self), -1)
        doubtful = np.zeros(len(boxes), bool)
        high = np.flatnonzero(scores >= self._config.high_score)
        low = np.flatnonzero(scores < self._config.high_score)
        predicted = to_boxes(self._mean[:, :, 0])
        confirmed = np.flatnonzero(self._ids != TENTATIVE)
        tentative = np.flatnonzero(self._ids == TENTATIVE)

        high = self._match(matched, doubtful, confirmed, high, predicted, boxes, scores, self._config.min_iou)
        in_view = confirmed[(matched[confirmed] < 0) & (self._seen_s[confirmed] >= self._before_s)]
        certain = np.ones_like(scores)
        self._match(matched, doubtful, in_view, low, predicted, boxes, certain, self._config.min_iou_low)
        high = self._match(matched, doubtful, tentative, high, predicted, boxes, scores, self._config.min_iou_new)

        self._absorb(matched, values)
        tracks = self._emit(matched, doubtful, boxes, scores)
        self._forget()
        self._start(values[high[scores[high] >= self._config.new_score]])
        return tracks

    def _predict(self, time_s: float) -> None:
        if len(self):
            self._mean, self._covariance = self._filter.predict(self._mean, self._covariance, max(time_s - self._time_s, 1e-3))
        self._before_s, self._time_s = self._time_s, time_s

    def _match(
        self,
        matched: Array,
        doubtful: Array,
        tracks: Array,
        detections: Array,
        predicted: Array,
        boxes: Array,
        scores: Array,
        min_iou: float,
    ) -> Array:
        """Match some tracks with some detections, note it in `matched` and `doubtful`, and return the detections left over."""
        overlap = iou(predicted[tracks], boxes[detections])
        alike = overlap * scores[detections]
        rows, columns = self._assign(1 - alike, 1 - min_iou)
        matched[tracks[rows]] = detections[columns]
        unsure = overlap[rows, columns] < self._config.sure_iou
        doubtful[detections[columns]] = unsure | (_lead(alike, rows, columns) < self._config.sure_margin)
        return np.delete(detections, columns)

    def _absorb(self, matched: Array, values: Array) -> None:
        hit = np.flatnonzero(matched >= 0)
        if len(hit):
            self._mean[hit], self._covariance[hit] = self._filter.update(
                self._mean[hit], self._covariance[hit], values[matched[hit]]
            )
            self._seen_s[hit] = self._time_s
        age_s = self._time_s - self._born_s[hit] + ROUNDING_S
        ripe = hit[(self._ids[hit] == TENTATIVE) & (age_s >= self._config.confirm_s)]
        self._ids[ripe] = np.arange(self._next_id, self._next_id + len(ripe))
        self._next_id += len(ripe)

    def _emit(self, matched: Array, doubtful: Array, boxes: Array, scores: Array) -> Tracks:
        shown = np.flatnonzero((matched >= 0) & (self._ids != TENTATIVE))
        found = matched[shown]
        return Tracks(self._ids[shown].copy(), boxes[found], scores[found], doubtful[found])

    def _forget(self) -> None:
        """Drop tracks unseen for too long: confirmed ones after `max_lost_s`, tentative ones after `confirm_s`."""
        missing_s = self._time_s - self._seen_s
        limit_s = np.where(self._ids == TENTATIVE, self._config.confirm_s, self._config.max_lost_s)
        keep = missing_s <= limit_s + ROUNDING_S
        if not keep.all():
            self._mean, self._covariance, self._ids = self._mean[keep], self._covariance[keep], self._ids[keep]
            self._born_s, self._seen_s = self._born_s[keep], self._seen_s[keep]

    def _start(self, values: Array) -> None:
        if not len(values):
            return
        mean, covariance = self._filter.start(values)
        now = np.full(len(values), self._time_s)
        self._mean = np.concatenate([self._mean, mean])
        self._covariance = np.concatenate([self._covariance, covariance])
        self._ids = np.concatenate([self._ids, np.full(len(values), TENTATIVE)])
        self._born_s, self._seen_s = np.concatenate([self._born_s, now]), np.concatenate([self._seen_s, now])


def _lead(alike: Array, rows: Array, columns: Array) -> Array:
    """How far each match is ahead of the best other box for its track, and of the best other track for its box, (k,)."""
    chosen = alike[rows, columns]
    rest = alike.copy()
    rest[rows, columns] = 0
    if not len(rows):
        return chosen
    return np.asarray(chosen - np.maximum(rest[rows].max(axis=1), rest[:, columns].max(axis=0)))
