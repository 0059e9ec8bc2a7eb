"""One camera's tracker: boxes in, the same people's boxes with track ids out; every duration in
seconds.

Weak boxes and strong ones compete for the tracks in one assignment, weighed by how sure it is that
they are people, which the tracker learns (`confidence`): that does what ByteTrack's two stages do
(Zhang et al. 2022), without a threshold between them. A detector also boxes parts of people, and
two people as one, again and again; such boxes continue tracks but start none.

A track is *tentative* until it has been matched for `confirm_s`, *confirmed* while it is matched,
*lost* while it is not, and *removed* after `max_lost_s`. All live tracks are rows of parallel
arrays; removed ones are dropped, so time and memory depend on the people in view and not on
history. Ids count from 1 in the instance, without holes: a track gets its id when it is confirmed,
and hands over the rows that it had before.
"""

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.records import Array, Detections, Tracks, join
from pipeline.tracking.confidence import Confidence
from pipeline.tracking.kalman import KalmanFilter, measure, to_boxes
from pipeline.tracking.matching import SOLVERS, assign, lead, touching

TENTATIVE = 0
"""Track id of a track that is not confirmed yet."""
SCORE_WEIGHT = 0.75
"""How much of a match's worth depends on how sure the box is."""
EXPECTED_IOU = 0.5
"""A box overlaps the place that a confirmed track predicts by this when it was expected there."""
ROUNDING_S = 1e-3
"""Durations are compared with this tolerance: timestamps are rounded, in some containers to a
millisecond.
"""


class Tracker:
    """Tracks the people of one camera; call `update` once a frame, in time order."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._filter = KalmanFilter(
            config.position_std,
            config.acceleration_std,
            config.size_noise_ratio,
            config.size_acceleration_ratio,
        )
        self._confidence = Confidence()
        self._solver = SOLVERS[config.assignment]
        self._next_id = 1
        self._n_born = 0
        self._time_s = 0.0
        self._mean, self._covariance = np.zeros((0, 8)), np.zeros((0, 2, 3))
        self._ids, self._births = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._born_s, self._seen_s = np.zeros(0), np.zeros(0)
        self._waiting: list[Tracks] = []
        """Rows of tentative tracks, with the numbers of their births for ids."""

    def __len__(self) -> int:
        """Count the live tracks: tentative, confirmed and lost."""
        return len(self._ids)

    @property
    def live_ids(self) -> Array:
        """Ids of the tracks that can still be matched, (n,) int64; a track whose id is not here has
        ended.
        """
        return np.asarray(self._ids[self._ids != TENTATIVE])

    def update(self, detections: Detections, time_s: float, frame: int) -> Tracks:
        """Return the rows of confirmed tracks in this frame, and those of frames before of tracks
        that were confirmed now.

        A box is the detected one, moved towards where the filter has the person by `smoothing`.
        frame: its number, which its rows carry.
        """
        self._predict(time_s)
        boxes, scores, parts = _sift(
            detections.boxes,
            detections.scores,
            self._config.duplicate_iou,
            self._config.part_share,
        )
        measured = measure(boxes)
        sure = self._confidence.of(scores) if self._config.calibrate_scores else scores
        tracks, found, overlap, ambiguous = self._match(boxes, sure)
        self._learn(scores, parts, tracks, found, overlap)
        ripe = self._absorb(tracks, measured[found])
        smooth = boxes[found] + np.float32(self._config.smoothing) * (
            to_boxes(self._mean[tracks]) - boxes[found]
        )
        ids, births = self._ids[tracks], self._births[tracks]
        (shown,) = (ids != TENTATIVE).nonzero()
        shown = shown[np.argsort(tracks[shown])]
        rows = _rows(
            frame, time_s, ids[shown], smooth[shown], scores[found[shown]], ambiguous[shown]
        )
        emitted = join([*self._handed_over(ripe), rows])
        self._forget()
        new = (sure >= self._config.new_track_confidence) & ~parts
        new[found] = False
        born = self._start(measured[new])
        (wait,) = (ids == TENTATIVE).nonzero()
        if len(wait):
            self._waiting.append(
                _rows(
                    frame, time_s, births[wait], smooth[wait], scores[found[wait]], ambiguous[wait]
                )
            )
        if len(born):
            self._waiting.append(
                _rows(frame, time_s, born, boxes[new], scores[new], np.zeros(len(born), bool))
            )
        self._stop_waiting()
        return emitted

    def _predict(self, time_s: float) -> None:
        if len(self):
            dt_s = max(round(time_s - self._time_s, 6), ROUNDING_S)
            self._mean, self._covariance = self._filter.predict(self._mean, self._covariance, dt_s)
        self._time_s = time_s

    def _match(self, boxes: Array, sure: Array) -> tuple[Array, Array, Array, Array]:
        """Return matched tracks, their detections, IoU, and what is ambiguous, (k,) each; confirmed
        tracks choose first.
        """
        i, j, overlap, upright = touching(to_boxes(self._mean), boxes)
        alike = overlap * upright if self._config.compare_heights else overlap
        fit = alike * (1 - SCORE_WEIGHT + SCORE_WEIGHT * sure)[j]
        rival = alike * sure[j]
        confirmed = self._ids[i] != TENTATIVE
        free_boxes = np.ones(len(boxes), bool)
        found, doubts = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
        for may, least in (
            (confirmed, self._config.min_match),
            (~confirmed, self._config.min_match_tentative),
        ):
            (pairs,) = (may & free_boxes[j]).nonzero()
            if not len(pairs):
                continue
            rows, columns = i[pairs], j[pairs]
            chosen = assign(rows, columns, fit[pairs], least, self._solver)
            unsure = overlap[pairs[chosen]] < self._config.ambiguous_below_iou
            doubts.append(
                unsure | (lead(rows, columns, rival[pairs], chosen) < self._config.ambiguity_margin)
            )
            free_boxes[columns[chosen]] = False
            found.append(pairs[chosen])
        which = np.concatenate(found)
        return i[which], j[which], overlap[which], np.concatenate(doubts)

    def _learn(
        self, scores: Array, parts: Array, tracks: Array, found: Array, overlap: Array
    ) -> None:
        """Let boxes that confirmed tracks expected say what scores mean; parts stay as people do,
        and count as unexpected.
        """
        expected = np.zeros(len(scores), bool)
        expected[found] = (self._ids[tracks] != TENTATIVE) & (overlap >= EXPECTED_IOU)
        self._confidence.learn(scores, expected & ~parts)

    def _absorb(self, hit: Array, measured: Array) -> Array:
        """Take what was seen of tracks `hit` (k,); returns those that it confirms."""
        if not len(hit):
            return hit
        self._mean[hit], self._covariance[hit] = self._filter.update(
            self._mean[hit], self._covariance[hit], measured
        )
        self._seen_s[hit] = self._time_s
        age_s = self._time_s - self._born_s[hit] + ROUNDING_S
        ripe = np.sort(hit[(self._ids[hit] == TENTATIVE) & (age_s >= self._config.confirm_s)])
        self._ids[ripe] = np.arange(self._next_id, self._next_id + len(ripe))
        self._next_id += len(ripe)
        return np.asarray(ripe)

    def _handed_over(self, ripe: Array) -> list[Tracks]:
        """Rows that tracks `ripe` (k,) had before they were confirmed, frame by frame."""
        if not len(ripe):
            return []
        found = []
        for rows in self._waiting:
            at, which = (self._births[ripe][:, None] == rows.track_ids).nonzero()
            found.append(rows.take(which, self._ids[ripe[at]]))
        return found

    def _stop_waiting(self) -> None:
        """Drop rows from before the oldest tentative track."""
        if self._waiting:
            oldest_s = self._born_s[self._ids == TENTATIVE].min(initial=np.inf)
            self._waiting = [rows for rows in self._waiting if rows.times_s[0] >= oldest_s]

    def _forget(self) -> None:
        """Drop tracks unseen for too long: confirmed ones after `max_lost_s`, tentative ones after
        `confirm_s`.
        """
        missing_s = self._time_s - self._seen_s
        limit_s = np.where(self._ids == TENTATIVE, self._config.confirm_s, self._config.max_lost_s)
        keep = missing_s <= limit_s + ROUNDING_S
        if not keep.all():
            self._mean, self._covariance, self._ids = (
                self._mean[keep],
                self._covariance[keep],
                self._ids[keep],
            )
            self._births, self._born_s, self._seen_s = (
                self._births[keep],
                self._born_s[keep],
                self._seen_s[keep],
            )

    def _start(self, measured: Array) -> Array:
        """Start tentative tracks; returns the numbers of their births, (n,)."""
        mean, covariance = self._filter.start(measured)
        now = np.full(len(measured), self._time_s)
        born = np.arange(self._n_born, self._n_born + len(measured))
        self._n_born += len(measured)
        self._mean = np.concatenate([self._mean, mean])
        self._covariance = np.concatenate([self._covariance, covariance])
        self._ids = np.concatenate([self._ids, np.full(len(measured), TENTATIVE)])
        self._births = np.concatenate([self._births, born])
        self._born_s, self._seen_s = (
            np.concatenate([self._born_s, now]),
            np.concatenate([self._seen_s, now]),
        )
        return born


def _rows(
    frame: int, time_s: float, numbers: Array, boxes: Array, scores: Array, ambiguous: Array
) -> Tracks:
    n = len(numbers)
    return Tracks(np.full(n, frame), np.full(n, time_s), numbers, boxes, scores, ambiguous)


def _sift(
    boxes: Array, scores: Array, max_iou: float, part_share: float
) -> tuple[Array, Array, Array]:
    """Return boxes and scores without twins, and which of them (n,) are parts.

    Of two boxes that overlap more than `max_iou` the weaker is a twin (of equals the later), as
    detectors have it. A part shares most of the smaller area with a surer box: it holds part of a
    person, or a person and what stands near.
    """
    i, j, overlap, _ = touching(boxes, boxes)
    (pairs,) = (i < j).nonzero()
    if not len(pairs):
        return boxes, scores, np.zeros(len(boxes), bool)
    i, j, overlap = i[pairs], j[pairs], overlap[pairs]
    kept = _without_twins(i, j, overlap > max_iou, scores)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    shared = overlap / (1 + overlap) * (area[i] + area[j])
    most = shared > part_share * np.minimum(area[i], area[j])
    parts = np.zeros(len(boxes), bool)
    for weak, sure in ((i, j), (j, i)):
        parts[weak[most & (scores[weak] < scores[sure]) & kept[sure]]] = True
    return boxes[kept], scores[kept], parts[kept]


def _without_twins(i: Array, j: Array, twins: Array, scores: Array) -> Array:
    """Which boxes (n,) stay: of pairs i, j (k,) that are `twins` (k,) bool the weaker goes, unless
    the stronger went.
    """
    (pairs,) = twins.nonzero()
    if not len(pairs):
        return np.ones(len(scores), bool)
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    ranks = sorted(
        (min(a, b), max(a, b))
        for a, b in zip(rank[i[pairs]].tolist(), rank[j[pairs]].tolist(), strict=True)
    )
    gone: set[int] = set()
    for stronger, weaker in ranks:
        if stronger not in gone:
            gone.add(weaker)
    return ~np.isin(rank, list(gone))
