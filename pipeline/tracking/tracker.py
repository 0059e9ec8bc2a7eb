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
from pipeline.tracking.matching import SOLVERS, assign, lead, touching

TENTATIVE = 0
"""Track id of a track that is not confirmed yet."""
ROUNDING_S = 1e-3
"""Durations are compared with this tolerance: timestamps are rounded, in some containers to a millisecond."""


class Tracker:
    """Tracks the people of one camera; call `update` once a frame, in time order."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._filter = KalmanFilter(config.position_std, config.acceleration_std)
        self._solver = SOLVERS[config.assignment]
        self._next_id = 1
        self._time_s = 0.0
        self._mean, self._covariance = np.zeros((0, 8)), np.zeros((0, 3))
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
        boxes, scores = _without_twins(detections.boxes, detections.scores, self._config.max_iou)
        measured = measure(boxes)
        tracks, found, doubtful = self._match(boxes, scores)
        self._absorb(tracks, measured[found])
        shown = np.flatnonzero(self._ids[tracks] != TENTATIVE)
        shown = shown[np.argsort(tracks[shown])]
        tracks, seen = tracks[shown], found[shown]
        emitted = Tracks(self._ids[tracks], boxes[seen], scores[seen], doubtful[shown])
        self._forget()
        new = scores >= self._config.new_score
        new[found] = False
        self._start(measured[new])
        return emitted

    def _predict(self, time_s: float) -> None:
        if len(self):
            dt_s = max(round(time_s - self._time_s, 6), ROUNDING_S)
            self._mean, self._covariance = self._filter.predict(self._mean, self._covariance, dt_s)
        self._before_s, self._time_s = self._time_s, time_s

    def _match(self, boxes: Array, scores: Array) -> tuple[Array, Array, Array]:
        """Return matched tracks, their detections, and whether that is doubtful, (k,) each; confirmed tracks choose first."""
        i, j, overlap = touching(to_boxes(self._mean), boxes)
        alike = overlap * scores[j]
        strong, confirmed = scores[j] >= self._config.high_score, self._ids[i] != TENTATIVE
        in_view = confirmed & (self._seen_s[i] >= self._before_s)
        rounds = (
            (strong & confirmed, alike, self._config.min_iou),
            (~strong & in_view, overlap, self._config.min_iou_low),
            (strong & ~confirmed, alike, self._config.min_iou_new),
        )
        free_tracks, free_boxes = np.ones(len(self), bool), np.ones(len(boxes), bool)
        found: list[Array] = []
        doubts: list[Array] = []
        for may, values, least in rounds:
            (pairs,) = (may & free_tracks[i] & free_boxes[j]).nonzero()
            rows, columns, worth = i[pairs], j[pairs], values[pairs]
            chosen = assign(rows, columns, worth, least, self._solver)
            unsure = overlap[pairs[chosen]] < self._config.sure_iou
            doubts.append(unsure | (lead(rows, columns, worth, chosen) < self._config.sure_margin))
            free_tracks[rows[chosen]] = free_boxes[columns[chosen]] = False
            found.append(pairs[chosen])
        which = np.concatenate(found)
        return i[which], j[which], np.concatenate(doubts)

    def _absorb(self, hit: Array, measured: Array) -> None:
        """Take what was seen of tracks `hit` (k,)."""
        if not len(hit):
            return
        self._mean[hit], self._covariance[hit] = self._filter.update(self._mean[hit], self._covariance[hit], measured)
        self._seen_s[hit] = self._time_s
        age_s = self._time_s - self._born_s[hit] + ROUNDING_S
        ripe = np.sort(hit[(self._ids[hit] == TENTATIVE) & (age_s >= self._config.confirm_s)])
        self._ids[ripe] = np.arange(self._next_id, self._next_id + len(ripe))
        self._next_id += len(ripe)

    def _forget(self) -> None:
        """Drop tracks unseen for too long: confirmed ones after `max_lost_s`, tentative ones after `confirm_s`."""
        missing_s = self._time_s - self._seen_s
        limit_s = np.where(self._ids == TENTATIVE, self._config.confirm_s, self._config.max_lost_s)
        keep = missing_s <= limit_s + ROUNDING_S
        if not keep.all():
            self._mean, self._covariance, self._ids = self._mean[keep], self._covariance[keep], self._ids[keep]
            self._born_s, self._seen_s = self._born_s[keep], self._seen_s[keep]

    def _start(self, measured: Array) -> None:
        if not len(measured):
            return
        mean, covariance = self._filter.start(measured)
        now = np.full(len(measured), self._time_s)
        self._mean = np.concatenate([self._mean, mean])
        self._covariance = np.concatenate([self._covariance, covariance])
        self._ids = np.concatenate([self._ids, np.full(len(measured), TENTATIVE)])
        self._born_s, self._seen_s = np.concatenate([self._born_s, now]), np.concatenate([self._seen_s, now])


def _without_twins(boxes: Array, scores: Array, max_iou: float) -> tuple[Array, Array]:
    """Of two boxes that overlap more than `max_iou` the weaker is left out (of equals the later), as detectors do."""
    i, j, overlap = touching(boxes, boxes)
    (twins,) = ((overlap > max_iou) & (i < j)).nonzero()
    if not len(twins):
        return boxes, scores
    rank = np.empty(len(boxes), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(boxes))
    pairs = sorted((min(a, b), max(a, b)) for a, b in zip(rank[i[twins]].tolist(), rank[j[twins]].tolist(), strict=True))
    gone: set[int] = set()
    for stronger, weaker in pairs:
        if stronger not in gone:
            gone.add(weaker)
    keep = ~np.isin(rank, list(gone))
    return boxes[keep], scores[keep]
