"""Boxes of people, small enough for a page: a few rows of each tracklet, interpolated between.

A row is kept where linear interpolation between the rows kept around it would be off by more than
`TOLERANCE` of the height of the box (Douglas-Peucker, on all sides of the box at once). Where that
is too much for a page, the rows that matter least are left out. A kept row takes 12 bytes: the time
in hundredths of a second, and the sides of the box in shares of the picture.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.records import Array

TOLERANCE = 0.02
"""Largest error of a side of a box, in heights of the box, where there is room."""
ROW_BYTES = 12
MAX_BYTES = 3_000_000
"""Largest size of all boxes in the page, which has 4 characters for 3 bytes."""
MAX_ROWS = MAX_BYTES * 3 // 4 // ROW_BYTES
BATCH_ROWS = 50_000
"""So many rows are chosen from at a time."""
SCALE = 1 << 14
"""Of a side that is a share of the picture: shares from -2 to 2 fit into 16 bits."""


class Span(NamedTuple):
    """Which of the kept rows are those of a tracklet: the first one, and how many."""

    first: int
    n: int


@dataclass(frozen=True, slots=True)
class Packed:
    """All kept rows as text, and the rows of each tracklet in the order in which they came."""

    text: str
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of tracklets, one tracklet after the other.

    Attributes:
        tracklets: (n,) int32, the number of the tracklet of each row.
        times_s: (n,) float64.
        sides: (n, 4) int16, in shares of the picture times `SCALE`.
        costs: (n,) float32, see `costs_of`.
    """

    tracklets: Array
    times_s: Array
    sides: Array
    costs: Array

    def take(self, which: Array) -> "_Rows":
        """Rows `which` (n,) bool."""
        return _Rows(
            self.tracklets[which], self.times_s[which], self.sides[which], self.costs[which]
        )

    @classmethod
    def joined(cls, parts: Sequence["_Rows"]) -> "_Rows":
        """Rows of all parts, which may be none."""
        none = cls(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4), np.int16), np.zeros(0))
        return cls(
            np.concatenate([part.tracklets for part in (none, *parts)]),
            np.concatenate([part.times_s for part in (none, *parts)]),
            np.concatenate([part.sides for part in (none, *parts)]),
            np.concatenate([part.costs for part in (none, *parts)]),
        )


class Boxes:
    """Takes the boxes of one tracklet after the other, and chooses rows of many at once."""

    def __init__(self) -> None:
        self._n_tracklets = 0
        self._waiting: list[tuple[Array, Array, tuple[int, int]]] = []
        self._n_waiting = 0
        self._kept: list[_Rows] = []

    def add(self, times_s: Array, boxes: Array, size: tuple[int, int]) -> None:
        """Add a tracklet.

        Args:
            times_s: (n,), increasing; there is at least one row.
            boxes: (n, 4), px.
            size: width and height of the picture, px.
        """
        self._waiting.append((times_s, boxes, size))
        self._n_waiting += len(times_s)
        if self._n_waiting >= BATCH_ROWS:
            self._choose()

    def pack(self, origin_s: float) -> Packed:
        """Return what the page gets.

        Args:
            origin_s: time from which those of the page count; no row is earlier.
        """
        self._choose()
        rows = _thinned(_Rows.joined(self._kept), self._n_tracklets)
        times = np.rint((rows.times_s - origin_s) * 100).astype("<u4")
        data = times.tobytes() + rows.sides.astype("<i2").tobytes()
        text = base64.b64encode(data).decode("ascii")
        counts = np.bincount(rows.tracklets, minlength=self._n_tracklets)
        firsts = np.cumsum(counts) - counts
        return Packed(text, list(map(Span, firsts.tolist(), counts.tolist())))

    def _choose(self) -> None:
        """Choose rows of the tracklets that wait."""
        if not self._waiting:
            return
        times_s = np.concatenate([times_s for times_s, _, _ in self._waiting])
        boxes = np.concatenate([boxes for _, boxes, _ in self._waiting])
        shares = np.concatenate([boxes / (*size, *size) for _, boxes, size in self._waiting])
        counts = np.array([len(times_s) for times_s, _, _ in self._waiting])
        numbers = self._n_tracklets + np.arange(len(counts))
        costs = costs_of(times_s, boxes, counts)
        sides = np.clip(np.rint(shares * SCALE), -2 * SCALE, 2 * SCALE - 1).astype(np.int16)
        tracklets = np.repeat(numbers, counts).astype(np.int32)
        rows = _Rows(tracklets, times_s, sides, costs.astype(np.float32))
        self._kept.append(rows.take(costs > 0))
        self._n_tracklets += len(counts)
        self._waiting = []
        self._n_waiting = 0


def costs_of(times_s: Array, boxes: Array, counts: Array) -> Array:
    """Return what it costs to leave out each row.

    Args:
        times_s: (n,), increasing within each tracklet.
        boxes: (n, 4), px.
        counts: (k,) rows of each tracklet, one after the other.

    Returns:
        The error of interpolating without the row, in heights of its box, (n,): inf for both ends
        of a tracklet, and 0 for rows that cost less than `TOLERANCE` once all others are kept. Rows
        that cost more than a limit are enough for an error of at most that limit.
    """
    heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    lasts = np.cumsum(counts) - 1
    kept = np.unique([lasts - counts + 1, lasts])
    costs = np.zeros(len(times_s))
    costs[kept] = np.inf
    stretches = np.stack([kept[:-1], kept[1:]], axis=1)
    while len(stretches := stretches[np.diff(stretches)[:, 0] > 1]):
        rows, worst = _worst(times_s, boxes, heights, stretches)
        is_split = worst > TOLERANCE
        stretches = stretches[is_split]
        rows = rows[is_split]
        around = costs[stretches].min(axis=1)
        costs[rows] = np.minimum(worst[is_split], around)
        earlier = np.stack([stretches[:, 0], rows], axis=1)
        later = np.stack([rows, stretches[:, 1]], axis=1)
        stretches = np.concatenate([earlier, later])
    return costs


def _worst(times_s: Array, boxes: Array, heights: Array, stretches: Array) -> tuple[Array, Array]:
    """Find where interpolation is worst.

    Args:
        times_s: (n,).
        boxes: (n, 4), px.
        heights: (n,) of the boxes, px.
        stretches: (m, 2) first and last row of each, with others between.

    Returns:
        The row of each stretch that is worst, (m,), and its error in heights of the box, (m,).
    """
    lengths = stretches[:, 1] - stretches[:, 0] - 1
    begins = np.cumsum(lengths) - lengths
    number = np.repeat(np.arange(len(stretches)), lengths)
    rows = np.arange(len(number)) - begins[number] + stretches[number, 0] + 1
    first = stretches[number, 0]
    last = stretches[number, 1]
    share = (times_s[rows] - times_s[first]) / (times_s[last] - times_s[first])
    interpolated = boxes[first] + share[:, None] * (boxes[last] - boxes[first])
    errors = np.abs(boxes[rows] - interpolated).max(axis=1) / heights[rows]
    worst = np.maximum.reduceat(errors, begins)
    (is_worst,) = (errors == worst[number]).nonzero()
    _, first_worst = np.unique(number[is_worst], return_index=True)
    return rows[is_worst[first_worst]], worst


def _thinned(rows: _Rows, n_tracklets: int) -> _Rows:
    """As many rows as there is room for, those that cost most; of too many tracklets, the longest
    ones.
    """
    n_whole = MAX_ROWS // 2
    if n_tracklets > n_whole:
        first_s = np.full(n_tracklets, np.inf)
        last_s = np.full(n_tracklets, -np.inf)
        np.minimum.at(first_s, rows.tracklets, rows.times_s)
        np.maximum.at(last_s, rows.tracklets, rows.times_s)
        longest = np.argsort(first_s - last_s, kind="stable")[:n_whole]
        rows = rows.take(np.isin(rows.tracklets, longest))
    if len(rows.costs) <= MAX_ROWS:
        return rows
    dearest = np.sort(rows.costs)[::-1]
    return rows.take(rows.costs > dearest[MAX_ROWS])
