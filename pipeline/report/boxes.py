"""Boxes of people, small enough for a page: a few rows of each tracklet, interpolated between.

A row is kept where linear interpolation between the rows kept around it would be off by more than
`TOLERANCE` of the height of the box (Douglas-Peucker, on all sides of the box at once). Where that
is too much for a page, the rows that matter least are left out. A kept row takes 12 bytes: the time
in hundredths of a second, and the sides of the box in shares of the picture.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.records import Array

TOLERANCE = 0.02
"""Largest error of a side of a box, in heights of the box, where there is room."""
ROW_BYTES = 12
MAX_BYTES = 3_000_000
"""Largest size of all boxes in the page, which has 4 characters for 3 bytes."""
MAX_ROWS = MAX_BYTES * 3 // 4 // ROW_BYTES
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
class _Kept:
    """Rows of one tracklet that may be kept: times_s (n,), sides (n, 4) int16, and what it would
    cost to leave each out, in heights of the box, (n,).
    """

    times_s: Array
    sides: Array
    costs: Array

    def dearer(self, than: float) -> "_Kept":
        """The rows that cost more."""
        is_kept = self.costs > than
        return _Kept(self.times_s[is_kept], self.sides[is_kept], self.costs[is_kept])


@dataclass(slots=True)
class Boxes:
    """Takes the boxes of one tracklet after the other."""

    _all: list[_Kept] = field(default_factory=list)

    def add(self, times_s: Array, boxes: Array, size: tuple[int, int]) -> None:
        """Add a tracklet.

        Args:
            times_s: (n,), increasing.
            boxes: (n, 4), px.
            size: width and height of the picture, px.
        """
        costs = costs_of(times_s, boxes)
        (kept,) = (costs > 0).nonzero()
        shares = boxes[kept] / (*size, *size)
        sides = np.clip(np.rint(shares * SCALE), -2 * SCALE, 2 * SCALE - 1).astype(np.int16)
        self._all.append(_Kept(times_s[kept], sides, costs[kept]))

    def pack(self, origin_s: float) -> Packed:
        """Return what the page gets.

        Args:
            origin_s: time from which those of the page count; no row is earlier.
        """
        all_kept = _thinned(self._all)
        hundredths = [np.rint((kept.times_s - origin_s) * 100) for kept in all_kept]
        times = np.concatenate([np.zeros(0), *hundredths]).astype("<u4")
        sides = np.concatenate([np.zeros((0, 4)), *(kept.sides for kept in all_kept)])
        data = times.tobytes() + sides.astype("<i2").tobytes()
        counts = [len(kept.costs) for kept in all_kept]
        firsts = (np.cumsum([0, *counts])[:-1]).tolist()
        spans = [Span(first, n) for first, n in zip(firsts, counts, strict=True)]
        return Packed(base64.b64encode(data).decode("ascii"), spans)


def costs_of(times_s: Array, boxes: Array) -> Array:
    """Return what it costs to leave out each row.

    Args:
        times_s: (n,), increasing.
        boxes: (n, 4), px.

    Returns:
        The error of interpolating without the row, in heights of its box, (n,): inf for both ends,
        and 0 for rows that cost less than `TOLERANCE` once all others are kept. Rows that cost more
        than a limit are enough for an error of at most that limit.
    """
    heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    costs = np.zeros(len(times_s))
    costs[[0, -1]] = np.inf
    kept = np.unique([0, len(times_s) - 1])
    while len(kept) > 1:
        errors = _errors(times_s, boxes, kept) / heights
        stretch = np.repeat(np.arange(len(kept) - 1), np.diff(kept))
        worst = np.maximum.reduceat(errors[:-1], kept[:-1])
        (rows,) = ((errors[:-1] > TOLERANCE) & (errors[:-1] == worst[stretch])).nonzero()
        stretches, first = np.unique(stretch[rows], return_index=True)
        added = rows[first]
        if not len(added):
            break
        around = np.minimum(costs[kept[:-1]], costs[kept[1:]])
        costs[added] = np.minimum(worst, around)[stretches]
        kept = np.sort(np.concatenate([kept, added]))
    return costs


def _errors(times_s: Array, boxes: Array, kept: Array) -> Array:
    """Largest error of any side where only some rows are kept, px, (n,)."""
    errors = np.zeros(len(times_s))
    for side in boxes.T:
        interpolated = np.interp(times_s, times_s[kept], side[kept])
        errors = np.maximum(errors, np.abs(side - interpolated))
    return errors


def _thinned(all_kept: Sequence[_Kept]) -> Sequence[_Kept]:
    """As many rows as there is room for, those that cost most; of too many tracklets, the longest
    ones.
    """
    if sum(len(kept.costs) for kept in all_kept) <= MAX_ROWS:
        return all_kept
    if 2 * len(all_kept) > MAX_ROWS:
        lengths_s = np.array([kept.times_s[-1] - kept.times_s[0] for kept in all_kept])
        longest = set(np.argsort(-lengths_s, kind="stable")[: MAX_ROWS // 2].tolist())
        all_kept = [
            kept if number in longest else kept.dearer(np.inf)
            for number, kept in enumerate(all_kept)
        ]
    costs = np.sort(np.concatenate([kept.costs for kept in all_kept]))[::-1]
    if len(costs) <= MAX_ROWS:
        return all_kept
    return [kept.dearer(float(costs[MAX_ROWS])) for kept in all_kept]
