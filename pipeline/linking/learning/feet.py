"""Where people stand in the pictures of two cameras at the same moments, whoever they are.

Every tracklet of one camera is paired with every tracklet of the other that is seen at the same
time; looks play no part. Most pairs are of two people. `ransac` finds those that are of one.
"""

from dataclasses import dataclass

import numpy as np

from pipeline import floor
from pipeline.linking.index import PERSON_M, TrackletIndex, through
from pipeline.records import Array

SAMPLE_S = 0.5
MIN_STEP_M = 0.3
"""Somebody who has not moved this far gives no new point."""
MIN_COMMON_S = 1.0
MAX_PAIRS = 100
"""Pairs of tracklets of two cameras that are searched, those in common view for longest."""
MAX_POINTS = 1000
"""More are thinned out evenly in time."""


@dataclass(frozen=True, slots=True)
class Feet:
    """Where two tracklets stood at the same moment, n times.

    Attributes:
        here: places in the first picture, (n, 2) px.
        there: places in the second, (n, 2) px.
        metre_here_px: pixels of a metre in the first, (n,).
        metre_there_px: pixels of a metre in the second, (n,).
        tracklets: the two tracklets, (n, 2) indices.
        moments: times by the clocks of the two cameras, (n, 2), in units of `SAMPLE_S`.
    """

    here: Array
    there: Array
    metre_here_px: Array
    metre_there_px: Array
    tracklets: Array
    moments: Array

    def __len__(self) -> int:
        return len(self.here)

    def of(self, chosen: Array) -> "Feet":
        """Return some of the places.

        Args:
            chosen: indices, or a mask (n,) bool.

        Returns:
            Those places.
        """
        return Feet(
            self.here[chosen],
            self.there[chosen],
            self.metre_here_px[chosen],
            self.metre_there_px[chosen],
            self.tracklets[chosen],
            self.moments[chosen],
        )

    def pair(self) -> Array:
        """Return a number for the pair of tracklets of each place, (n,)."""
        return _key(self.tracklets[:, 0], self.tracklets[:, 1])

    def sighting(self, side: int) -> Array:
        """Return a number for what one camera saw: a tracklet at a moment.

        Args:
            side: 0 for the first camera, 1 for the second.

        Returns:
            Numbers, (n,); places that share one exclude each other.
        """
        return _key(self.tracklets[:, side], self.moments[:, side])

    def off_m(self, matrix: Array) -> Array:
        """Return how far places are from where a homography maps them.

        Args:
            matrix: pixels of the first picture to pixels of the second, (3, 3).

        Returns:
            Mean distance in the two pictures, (n,) metres by the height of boxes; inf beyond a
            horizon.
        """
        there, is_ahead = through(self.here, matrix)
        here, is_ahead_back = through(self.there, np.linalg.inv(matrix))
        off_there_m = np.linalg.norm(there - self.there, axis=1) / self.metre_there_px
        off_here_m = np.linalg.norm(here - self.here, axis=1) / self.metre_here_px
        mean_m = (off_there_m + off_here_m) / 2
        return np.asarray(np.where(is_ahead & is_ahead_back, mean_m, np.inf))


NO_FEET = Feet(
    np.zeros((0, 2)),
    np.zeros((0, 2)),
    np.zeros(0),
    np.zeros(0),
    np.zeros((0, 2), np.int64),
    np.zeros((0, 2), np.int64),
)


class Sightings:
    """The places of two cameras' tracklets, at any clock offset.

    Args:
        index: all tracklets.
        first: index of a camera.
        second: index of the other.
    """

    def __init__(self, index: TrackletIndex, first: int, second: int) -> None:
        self._index = index
        self._first = np.flatnonzero(index.camera == first)
        self._second = np.flatnonzero(index.camera == second)
        self._walks: dict[tuple[int, float], _Walk] = {}

    def span_s(self) -> float:
        """Seconds from the first tracklet of either camera to the end of the last."""
        both = np.concatenate([self._first, self._second])
        return float(self._index.end_s[both].max() - self._index.start_s[both].min())

    def at_once(self, offset_s: float, most: int = MAX_PAIRS) -> Array:
        """Return the pairs of tracklets that are seen at once.

        Args:
            offset_s: seconds by which the clock of the second camera is ahead.
            most: how many are returned at most.

        Returns:
            Pairs, (k, 2) indices, those that are in common view for longest.
        """
        index = self._index
        start_s = index.start_s[self._first]
        end_s = index.end_s[self._first]
        other_start_s = index.start_s[self._second] - offset_s
        other_end_s = index.end_s[self._second] - offset_s
        begun_by, begin = _starting_within(start_s, end_s, other_start_s, "left")
        other_begun_by, other_begin = _starting_within(other_start_s, other_end_s, start_s, "right")
        rows = np.concatenate([begun_by, other_begin])
        columns = np.concatenate([begin, other_begun_by])
        first_end_s = np.minimum(end_s[rows], other_end_s[columns])
        last_start_s = np.maximum(start_s[rows], other_start_s[columns])
        common_s = first_end_s - last_start_s
        order = np.lexsort((columns, rows, -common_s))[:most]
        order = order[common_s[order] >= MIN_COMMON_S]
        return np.stack([self._first[rows[order]], self._second[columns[order]]], axis=1)

    def feet(self, pairs: Array, offset_s: float) -> Feet:
        """Return where two tracklets stood while the first walked, both with their feet shown.

        Args:
            pairs: pairs of tracklets, (k, 2) indices.
            offset_s: seconds by which the clock of the second camera is ahead.

        Returns:
            Places, pair by pair, in order of time.
        """
        ahead = int(np.floor(offset_s / SAMPLE_S))
        phase_s = round(offset_s - ahead * SAMPLE_S, 6)
        found = [NO_FEET]
        for first, second in pairs.tolist():
            walk = self._walk(first, 0.0)
            other = self._walk(second, phase_s)
            moments, rows, other_rows = np.intersect1d(
                walk.moments, other.moments - ahead, assume_unique=True, return_indices=True
            )
            if not len(moments):
                continue
            places = Feet(
                walk.places[rows],
                other.places[other_rows],
                walk.metre_px[rows],
                other.metre_px[other_rows],
                np.broadcast_to([first, second], (len(moments), 2)),
                moments[:, None] + [0, ahead],
            )
            found.append(places)
        feet = join(found)
        every = -(-len(feet) // MAX_POINTS) or 1
        return feet.of(feet.moments[:, 0] % every == 0)

    def _walk(self, number: int, phase_s: float) -> "_Walk":
        """Where a tracklet walked, with its feet in the picture, `phase_s` after each moment.

        Those of the first camera are `MIN_STEP_M` or more apart.
        """
        key = (number, phase_s)
        if key not in self._walks:
            start_s = self._index.start_s[number] - phase_s
            end_s = self._index.end_s[number] - phase_s
            first = np.ceil(start_s / SAMPLE_S)
            last = np.floor(end_s / SAMPLE_S)
            moments = np.arange(first, last + 1).astype(np.int64)
            boxes = _boxes(self._index, number, moments * SAMPLE_S + phase_s)
            is_shown = np.isfinite(boxes).all(axis=1)
            boxes = boxes[is_shown]
            walk = _Walk(moments[is_shown], floor.foot_points(boxes), _metre_px(boxes))
            if self._index.camera[number] == self._index.camera[self._first[0]]:
                walk = walk.of(_moved(walk))
            self._walks[key] = walk
        return self._walks[key]


@dataclass(frozen=True, slots=True)
class _Walk:
    """Moments (n,), places (n, 2) px and pixels of a metre (n,) of a tracklet."""

    moments: Array
    places: Array
    metre_px: Array

    def of(self, chosen: Array) -> "_Walk":
        return _Walk(self.moments[chosen], self.places[chosen], self.metre_px[chosen])


def join(parts: list[Feet]) -> Feet:
    """Put places one below the other.

    Args:
        parts: one or more.
    """
    return Feet(
        np.concatenate([part.here for part in parts]),
        np.concatenate([part.there for part in parts]),
        np.concatenate([part.metre_here_px for part in parts]),
        np.concatenate([part.metre_there_px for part in parts]),
        np.concatenate([part.tracklets for part in parts]),
        np.concatenate([part.moments for part in parts]),
    )


def _starting_within(
    start_s: Array, end_s: Array, other_start_s: Array, side: str
) -> tuple[Array, Array]:
    """Of sorted tracklets, the pairs (k,), (k,) in which the other starts during the first.

    side: "left" when those that start together count, else "right".
    """
    low = np.searchsorted(other_start_s, start_s, side=side)  # type: ignore[call-overload]
    high = np.searchsorted(other_start_s, end_s, side="right")
    counts = np.maximum(high - low, 0)
    rows = np.repeat(np.arange(len(start_s)), counts)
    before = np.cumsum(counts) - counts
    rank = np.arange(counts.sum()) - before[rows]
    return rows, low[rows] + rank


def _metre_px(boxes: Array) -> Array:
    height_px = np.maximum(boxes[:, 3] - boxes[:, 1], 1)
    return np.asarray(height_px / PERSON_M)


def _boxes(index: TrackletIndex, number: int, times_s: Array) -> Array:
    """Boxes (n, 4) of a tracklet at these times; nan while the feet are out of the picture."""
    tracklet = index.tracklets[number]
    sides = [np.interp(times_s, tracklet.times_s, side) for side in tracklet.boxes.T]
    boxes = np.stack(sides, axis=1)
    camera = index.cameras[index.camera[number]]
    boxes[~floor.are_feet_shown(boxes, camera)] = np.nan
    return np.asarray(boxes)


def _moved(walk: _Walk) -> Array:
    """Indices of places that are `MIN_STEP_M` or more from the last that was kept."""
    step_px = MIN_STEP_M * walk.metre_px
    kept: list[int] = []
    for k, place in enumerate(walk.places):
        if kept and np.linalg.norm(place - walk.places[kept[-1]]) < step_px[k]:
            continue
        kept.append(k)
    return np.array(kept, np.int64)


def _key(first: Array, second: Array) -> Array:
    """A number for each pair of two values, (n,)."""
    if not len(first):
        return np.zeros(0, np.int64)
    lowest = second.min()
    n_values = second.max() - lowest + 1
    return np.asarray(first * n_values + second - lowest)
