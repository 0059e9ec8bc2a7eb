"""One camera's tracker: detections in, the same boxes with track ids out. Durations are seconds.

Weak and strong boxes compete for the tracks in one assignment, weighted by the confidence that they
are people, which the tracker learns (see `confidence`). That does what ByteTrack's two stages do
(Zhang et al. 2022), without a threshold between them. A detector also boxes parts of people, and
two people as one, again and again; such contained boxes continue tracks but start none.

A track is *tentative* until it has been matched for `confirm_s`, *confirmed* while it is matched,
*lost* while it is not, and *removed* after `max_lost_s`. All live tracks are rows of parallel
arrays; removed ones are dropped, so time and memory depend on the people in view and not on
history. Ids count from 1 in the instance, without holes: a track gets its id when it is confirmed,
and then emits the rows that it had before.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.records import Array, Detections, Tracks, join
from pipeline.tracking.confidence import Confidence
from pipeline.tracking.kalman import KalmanFilter, measure, to_boxes
from pipeline.tracking.matching import SOLVERS, assign, lead, touching

TENTATIVE = 0
"""Track id of a track that is not confirmed yet."""
SCORE_WEIGHT = 0.75
"""How much of a match's value depends on the confidence of the box."""
EXPECTED_IOU = 0.5
"""A box counts as expected when it overlaps the prediction of a confirmed track by this."""
ROUNDING_S = 1e-3
"""Durations are compared with this tolerance: timestamps are rounded, in some containers to a
millisecond.
"""
MARGIN_STDS = 3.5
"""Both boxes of a pair are enlarged by this many standard deviations of the predicted position."""
MAX_SPEED = 0.4
"""Of this standard deviation no more counts, in box heights per second of the time step ..."""
FREE_STD = 0.035
"""... and no margin is needed up to this one, in box heights. So there is none at 12.5 frames a
second and more, where the boxes of a person overlap from frame to frame."""
SIZE_POWER = 1.5
"""With a margin, similarity is multiplied by this power of the ratio of the heights."""


@dataclass(frozen=True, slots=True)
class _Matches:
    """Matched pairs (k,): rows of tracks, rows of boxes, their IoU, and whether it is ambiguous."""

    tracks: Array
    boxes: Array
    iou: Array
    ambiguous: Array


class Tracker:
    """Tracks the people of one camera; call `update` once a frame, in time order.

    Args:
        config: settings.
        next_id: id of the first track; a run that is resumed goes on after those that it had.
    """

    def __init__(self, config: TrackerConfig, next_id: int = 1) -> None:
        self._config = config
        self._filter = KalmanFilter(
            config.position_std,
            config.acceleration_std,
            config.size_noise_ratio,
            config.size_acceleration_ratio,
        )
        self._confidence = Confidence()
        self._solver = SOLVERS[config.assignment]
        self.next_id = next_id
        self._n_started = 0
        self._time_s = 0.0
        self._step_s = 0.0
        """Seconds between this frame and the one before."""
        self._mean = np.zeros((0, 8))
        self._covariance = np.zeros((0, 2, 3))
        self._ids = np.zeros(0, np.int64)
        self._serials = np.zeros(0, np.int64)
        self._started_s = np.zeros(0)
        self._seen_s = np.zeros(0)
        self._tentative_rows: list[Tracks] = []
        """Rows of tentative tracks, with their serial numbers in place of ids."""

    def __len__(self) -> int:
        """Count the live tracks: tentative, confirmed and lost."""
        return len(self._ids)

    @property
    def live_ids(self) -> Array:
        """Ids (n,) int64 of the confirmed tracks that can still be matched; others have ended."""
        return np.asarray(self._ids[self._ids != TENTATIVE])

    @property
    def expected_boxes(self) -> Array:
        """Where all tracks are now, seen or not: boxes (n, 4) float32."""
        return to_boxes(self._mean).astype(np.float32)

    def update(self, detections: Detections, time_s: float, frame: int) -> Tracks:
        """Take the detections of the next frame.

        Args:
            detections: boxes and scores of the frame.
            time_s: time of the frame, later than the one before.
            frame: number of the frame, which its rows carry.

        Returns:
            The rows of confirmed tracks in this frame, after the earlier rows of tracks that are
            confirmed now. A box is the detected one, moved by `smoothing` towards the estimate of
            the filter.
        """
        self._predict(time_s)
        boxes, scores, contained = _suppress(
            detections.boxes,
            detections.scores,
            self._config.duplicate_iou,
            self._config.part_share,
        )
        measured = measure(boxes)
        confidence = self._confidence.of(scores) if self._config.calibrate_scores else scores
        matches = self._match(boxes, confidence)
        self._learn_scores(scores, contained, matches)
        newly_confirmed = self._correct(matches.tracks, measured[matches.boxes])

        ids = self._ids[matches.tracks]
        serials = self._serials[matches.tracks]
        smoothed = self._smoothed(boxes, matches)
        rows = _rows(frame, time_s, ids, smoothed, scores[matches.boxes], matches.ambiguous)
        (confirmed,) = (ids != TENTATIVE).nonzero()
        confirmed = confirmed[np.argsort(matches.tracks[confirmed])]
        confirmed_rows = rows.take(confirmed, ids[confirmed])
        emitted = join([*self._earlier_rows(newly_confirmed), confirmed_rows])
        self._remove_lost()

        starts = (confidence >= self._config.new_track_confidence) & ~contained
        starts[matches.boxes] = False
        started = self._start(measured[starts])
        (tentative,) = (ids == TENTATIVE).nonzero()
        if len(tentative):
            self._tentative_rows.append(rows.take(tentative, serials[tentative]))
        if len(started):
            unambiguous = np.zeros(len(started), bool)
            first_rows = _rows(frame, time_s, started, boxes[starts], scores[starts], unambiguous)
            self._tentative_rows.append(first_rows)
        self._drop_old_tentative_rows()
        return emitted

    def end_all(self) -> None:
        """End all tracks, as after a long silence; ids are not used again."""
        self._keep(np.zeros(len(self), np.bool_))
        self._tentative_rows = []

    def _predict(self, time_s: float) -> None:
        if len(self):
            self._step_s = max(round(time_s - self._time_s, 6), ROUNDING_S)
            self._mean, self._covariance = self._filter.predict(
                self._mean, self._covariance, self._step_s
            )
        self._time_s = time_s

    def _smoothed(self, boxes: Array, matches: _Matches) -> Array:
        """Return the matched boxes (k, 4), moved by `smoothing` towards the estimates."""
        matched = boxes[matches.boxes]
        estimated = to_boxes(self._mean[matches.tracks])
        correction = estimated - matched
        return np.asarray(matched + np.float32(self._config.smoothing) * correction)

    def _match(self, boxes: Array, confidence: Array) -> _Matches:
        """Assign boxes to tracks; confirmed tracks choose first.

        A match is ambiguous when the box is far from the prediction, or when another pair of its
        track or of its box is nearly as good.
        """
        tracks, candidates, overlap, similarity = self._similarity(boxes)
        weight = 1 - SCORE_WEIGHT + SCORE_WEIGHT * confidence
        value = similarity * weight[candidates]
        rival_value = similarity * confidence[candidates]
        is_confirmed = self._ids[tracks] != TENTATIVE
        is_free = np.ones(len(boxes), bool)
        matched = [np.zeros(0, np.int64)]
        ambiguous = [np.zeros(0, bool)]
        confirmed_first = (is_confirmed, self._config.min_match)
        tentative_then = (~is_confirmed, self._config.min_match_tentative)
        for may_choose, min_value in (confirmed_first, tentative_then):
            (pairs,) = (may_choose & is_free[candidates]).nonzero()
            if not len(pairs):
                continue
            rows = tracks[pairs]
            columns = candidates[pairs]
            chosen = assign(rows, columns, value[pairs], min_value, self._solver)
            chosen_pairs = pairs[chosen]
            margin = lead(rows, columns, rival_value[pairs], chosen)
            is_far = overlap[chosen_pairs] < self._config.ambiguous_below_iou
            has_rival = margin < self._config.ambiguity_margin
            ambiguous.append(is_far | has_rival)
            matched.append(chosen_pairs)
            is_free[columns[chosen]] = False
        all_matched = np.concatenate(matched)
        return _Matches(
            tracks[all_matched],
            candidates[all_matched],
            overlap[all_matched],
            np.concatenate(ambiguous),
        )

    def _similarity(self, boxes: Array) -> tuple[Array, Array, Array, Array]:
        """Compare the predicted boxes of all tracks with the boxes (n, 4) of this frame.

        Returns:
            Of pairs that are near each other tracks (k,), boxes (k,), overlap (k,) 0..1 and
            similarity (k,) 0..1.
        """
        predicted = to_boxes(self._mean)
        margins = self._margins()
        tracks, candidates, overlap, height_overlap = touching(predicted, boxes, margins)
        similarity = overlap * height_overlap if self._config.compare_heights else overlap
        if margins.any():
            height = (predicted[:, 3] - predicted[:, 1])[tracks]
            other_height = (boxes[:, 3] - boxes[:, 1])[candidates]
            ratio = np.minimum(height, other_height) / np.maximum(height, other_height)
            has_margin = margins[tracks] > 0
            similarity = similarity * np.where(has_margin, ratio**SIZE_POWER, 1)
        return tracks, candidates, overlap, similarity

    def _margins(self) -> Array:
        """How far a person may be from the prediction only because frames are far apart, (n,) px.

        A track that has been lost for some frames gets no larger one: its boxes would often be
        those of others.
        """
        height = self._mean[:, 3]
        std = np.sqrt(self._covariance[:, 0, 0])
        std_of_step = np.minimum(std, MAX_SPEED * self._step_s * height)
        return np.asarray(MARGIN_STDS * np.maximum(std_of_step - FREE_STD * height, 0))

    def _learn_scores(self, scores: Array, contained: Array, matches: _Matches) -> None:
        """Calibrate the scores by the boxes that confirmed tracks expected.

        Contained boxes stay in view as people do, and count as unexpected.
        """
        is_confirmed = self._ids[matches.tracks] != TENTATIVE
        overlaps = matches.iou >= EXPECTED_IOU
        expected = np.zeros(len(scores), bool)
        expected[matches.boxes] = is_confirmed & overlaps
        self._confidence.learn(scores, expected & ~contained)

    def _correct(self, matched: Array, measured: Array) -> Array:
        """Update the tracks `matched` (k,) by their measurements; returns those confirmed now."""
        if not len(matched):
            return matched
        mean = self._mean[matched]
        covariance = self._covariance[matched]
        mean, covariance = self._filter.update(mean, covariance, measured)
        self._mean[matched] = mean
        self._covariance[matched] = covariance
        self._seen_s[matched] = self._time_s

        age_s = self._time_s - self._started_s[matched] + ROUNDING_S
        is_tentative = self._ids[matched] == TENTATIVE
        is_due = is_tentative & (age_s >= self._config.confirm_s)
        newly_confirmed = np.sort(matched[is_due])
        next_id = self.next_id + len(newly_confirmed)
        self._ids[newly_confirmed] = np.arange(self.next_id, next_id)
        self.next_id = next_id
        return np.asarray(newly_confirmed)

    def _earlier_rows(self, newly_confirmed: Array) -> list[Tracks]:
        """Rows that tracks (k,) had while they were tentative, frame by frame."""
        if not len(newly_confirmed):
            return []
        serials = self._serials[newly_confirmed]
        ids = self._ids[newly_confirmed]
        earlier = []
        for rows in self._tentative_rows:
            track, row = (serials[:, None] == rows.track_ids).nonzero()
            earlier.append(rows.take(row, ids[track]))
        return earlier

    def _drop_old_tentative_rows(self) -> None:
        """Drop rows from before the oldest tentative track started."""
        if not self._tentative_rows:
            return
        is_tentative = self._ids == TENTATIVE
        oldest_s = self._started_s[is_tentative].min(initial=np.inf)
        self._tentative_rows = [
            rows for rows in self._tentative_rows if rows.times_s[0] >= oldest_s
        ]

    def _remove_lost(self) -> None:
        """Remove confirmed tracks unseen for `max_lost_s`, and tentative ones for `confirm_s`."""
        unseen_s = self._time_s - self._seen_s
        limit_s = np.where(self._ids == TENTATIVE, self._config.confirm_s, self._config.max_lost_s)
        keep = unseen_s <= limit_s + ROUNDING_S
        if not keep.all():
            self._keep(keep)

    def _keep(self, keep: Array) -> None:
        """Keep some of the tracks, (n,) bool."""
        self._mean = self._mean[keep]
        self._covariance = self._covariance[keep]
        self._ids = self._ids[keep]
        self._serials = self._serials[keep]
        self._started_s = self._started_s[keep]
        self._seen_s = self._seen_s[keep]

    def _start(self, measured: Array) -> Array:
        """Start tentative tracks at measurements (n, 4); returns their serial numbers, (n,)."""
        n_new = len(measured)
        mean, covariance = self._filter.start(measured)
        ids = np.full(n_new, TENTATIVE)
        now_s = np.full(n_new, self._time_s)
        n_started = self._n_started + n_new
        serials = np.arange(self._n_started, n_started)
        self._n_started = n_started
        self._mean = np.concatenate([self._mean, mean])
        self._covariance = np.concatenate([self._covariance, covariance])
        self._ids = np.concatenate([self._ids, ids])
        self._serials = np.concatenate([self._serials, serials])
        self._started_s = np.concatenate([self._started_s, now_s])
        self._seen_s = np.concatenate([self._seen_s, now_s])
        return serials


def _rows(
    frame: int, time_s: float, ids: Array, boxes: Array, scores: Array, ambiguous: Array
) -> Tracks:
    """Rows of one frame."""
    frames = np.full(len(ids), frame)
    times_s = np.full(len(ids), time_s)
    return Tracks(frames, times_s, ids, boxes, scores, ambiguous)


def _suppress(
    boxes: Array, scores: Array, duplicate_iou: float, part_share: float
) -> tuple[Array, Array, Array]:
    """Suppress duplicates, and find contained boxes.

    Args:
        boxes: (n, 4).
        scores: (n,).
        duplicate_iou: of two boxes that overlap more than this, the weaker is a duplicate; of equal
            ones the later.
        part_share: a box is contained when it shares more than this of the smaller area with a
            stronger box. It holds a part of a person, or a person and what stands near.

    Returns:
        Boxes (k, 4) and scores (k,) without duplicates, and which of them are contained, (k,) bool.
    """
    first, second, overlap, _ = touching(boxes, boxes)
    (pairs,) = (first < second).nonzero()
    if not len(pairs):
        return boxes, scores, np.zeros(len(boxes), bool)
    first = first[pairs]
    second = second[pairs]
    overlap = overlap[pairs]
    kept = _without_duplicates(first, second, overlap > duplicate_iou, scores)
    size = boxes[:, 2:] - boxes[:, :2]
    area = np.prod(size, axis=1)
    first_area = area[first]
    second_area = area[second]
    shared_area = overlap / (1 + overlap) * (first_area + second_area)
    smaller_area = np.minimum(first_area, second_area)
    contains = shared_area > part_share * smaller_area
    contained = np.zeros(len(boxes), bool)
    for weaker, stronger in ((first, second), (second, first)):
        is_weaker = scores[weaker] < scores[stronger]
        is_contained = contains & is_weaker & kept[stronger]
        contained[weaker[is_contained]] = True
    return boxes[kept], scores[kept], contained[kept]


def _without_duplicates(first: Array, second: Array, is_duplicate: Array, scores: Array) -> Array:
    """Which boxes (n,) bool are kept.

    Of pairs (k,) of duplicates the weaker box is dropped, unless the stronger was dropped before.
    """
    (pairs,) = is_duplicate.nonzero()
    if not len(pairs):
        return np.ones(len(scores), bool)
    by_score = np.argsort(-scores, kind="stable")
    rank = np.empty(len(scores), np.int64)
    rank[by_score] = np.arange(len(scores))
    first_rank = rank[first[pairs]]
    second_rank = rank[second[pairs]]
    stronger_rank = np.minimum(first_rank, second_rank)
    weaker_rank = np.maximum(first_rank, second_rank)
    dropped: set[int] = set()
    for pair in np.lexsort((weaker_rank, stronger_rank)).tolist():
        if int(stronger_rank[pair]) not in dropped:
            dropped.add(int(weaker_rank[pair]))
    return ~np.isin(rank, list(dropped))
