"""Gating: which pairs of tracklets are compared, by position and time or by appearance.

Comparing all pairs would grow with the square of the recording. Tracklets are sorted by start, so
those within reach of one follow it in one block. Of these, every tracklet keeps the `N_ALIKE` most
similar, both before and after itself.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, bilinear_partner
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

BLOCK, WIDE_BLOCK = 256, 1024
N_ALIKE = 16
SAMPLED = 4
NEAR_M = 8.0
"""Paths on the floor that keep further apart are no evidence for anything."""


def spatial_candidates(index: TrackletIndex, constraints: Constraints) -> Array:
    """Pairs (m, 2), first < second, of tracklets at most `position.MAX_GAP_S` apart whose places
    can be compared.
    """
    s = index
    found = [np.zeros((0, 2), np.int64)]
    for rows, columns in blocks(s, position.MAX_GAP_S):
        gap = s.start_s[columns] - s.end_s[rows]
        one_camera = s.camera[rows] == s.camera[columns]
        close = position.apart_m(s.reach[rows], s.reach[columns]) < NEAR_M  # nan is not
        cameras = s.camera[rows], s.camera[columns]
        close |= (
            s.overlap[cameras] & ~(s.has_floor[cameras[0]] & s.has_floor[cameras[1]]) & (gap <= 0)
        )
        close &= gap >= constraints.least_s[cameras]
        close = np.where(one_camera, gap > 0, close)
        found.append(_pairs(rows, columns, close & (gap < position.MAX_GAP_S)))
    return np.concatenate(found)


def appearance_candidates(
    index: TrackletIndex, appearance: Appearance, constraints: Constraints, min_odds: float
) -> Array:
    """Pairs (m, 2), first < second, of the `N_ALIKE` most alike before and after each, with log
    odds of `min_odds` or more.
    """
    s = index
    others = bilinear_partner(appearance.rows).astype(np.float32)
    unseen = appearance.weight <= 0
    after, before = _Best(len(s)), _Best(len(s))
    for rows, columns in blocks(s, float(constraints.most_s.max(initial=0)), WIDE_BLOCK):
        r, c = rows[:, 0], columns[0]
        odds = appearance.rows[r] @ others[c[0] : c[-1] + 1].T
        odds[unseen[r]] = odds[:, unseen[c]] = -np.inf
        _forbid(odds, rows, columns, s, constraints)
        i, j = np.nonzero(odds >= np.maximum(_about_nth_best(odds), min_odds)[:, None])
        after.offer(r[i], c[j], odds[i, j])
        worst = before.worst(c)
        new = np.isneginf(worst)
        worst[new] = _about_nth_best(odds[:, new].T)
        i, j = np.nonzero(odds >= np.maximum(worst, min_odds))
        before.offer(c[j], r[i], odds[i, j])
    return unique(np.concatenate([after.pairs(), before.pairs()]))


def unique(pairs: Array) -> Array:
    """Sort pairs (m, 2) of indices and leave each once."""
    n = int(pairs.max(initial=0)) + 1
    number = np.sort(pairs[:, 0] * n + pairs[:, 1])  # many times faster than np.unique
    first, second = np.divmod(number[np.diff(number, prepend=-1) > 0], n)
    return np.stack([first, second], axis=1)


def _forbid(
    odds: Array, rows: Array, columns: Array, s: TrackletIndex, constraints: Constraints
) -> None:
    """Set to -inf what time rules out; only the first columns can be too early, and only the last
    too late.
    """
    odds[:, : len(rows)][columns[:, : len(rows)] <= rows] = -np.inf
    start_s, end_s = s.start_s[columns], s.end_s[rows]
    least_s, most_s = max(constraints.least_s.max(), 0.0), constraints.most_s.max()
    n_soon = int(np.searchsorted(start_s[0], end_s.min() + most_s))
    odds[:, n_soon:][start_s[:, n_soon:] - end_s > most_s] = -np.inf
    n_early = int(np.searchsorted(start_s[0], end_s.max() + least_s, side="right"))
    gap, cameras = start_s[:, :n_early] - end_s, (s.camera[rows], s.camera[columns[:, :n_early]])
    early = (gap < constraints.least_s[cameras]) | ((gap <= 0) & (cameras[0] == cameras[1]))
    odds[:, :n_early][early] = -np.inf


def _about_nth_best(odds: Array) -> Array:
    """At most the `N_ALIKE`-th largest of each row, and not much less; -inf where there are fewer.
    A sample is enough.
    """
    some = odds[:, ::SAMPLED] if odds.shape[1] >= SAMPLED * N_ALIKE else odds
    if some.shape[1] < N_ALIKE:
        return np.full(len(odds), -np.inf, odds.dtype)
    return np.partition(some, -N_ALIKE, axis=1)[:, -N_ALIKE]


def blocks(s: TrackletIndex, within_s: float, size: int = BLOCK) -> Iterator[tuple[Array, Array]]:
    """Indices of rows (r, 1), and of the columns (1, c) from there on that start at most `within_s`
    after one of them ends.
    """
    last = np.searchsorted(s.start_s, s.end_s + within_s, side="right")
    for low in range(0, len(s), size):
        high = min(low + size, len(s))
        yield np.arange(low, high)[:, None], np.arange(low, int(last[low:high].max()))[None, :]


def _pairs(rows: Array, columns: Array, chosen: Array) -> Array:
    i, j = np.nonzero(chosen & (columns > rows))
    return np.stack([rows[i, 0], columns[0, j]], axis=1)


class _Best:
    """The best few of each tracklet, from offers that come in blocks."""

    def __init__(self, n: int) -> None:
        self._odds = np.full((n, N_ALIKE), -np.inf, np.float32)
        self._who = np.full((n, N_ALIKE), -1, np.int64)

    def offer(self, tracklets: Array, others: Array, odds: Array) -> None:
        """Keep the best of what is kept and what is new; of equals the earlier."""
        if not len(tracklets):
            return
        seen = np.zeros(len(self._who), np.bool_)
        seen[tracklets] = True
        touched = np.flatnonzero(seen)
        whose = np.concatenate([np.repeat(touched, N_ALIKE), tracklets])
        others = np.concatenate([self._who[touched].ravel(), others])
        odds = np.concatenate([self._odds[touched].ravel(), odds])
        order = np.lexsort((others, -odds, whose))
        whose, others, odds = whose[order], others[order], odds[order]
        first = np.searchsorted(whose, touched)
        rank = np.arange(len(whose)) - np.repeat(first, np.diff(np.append(first, len(whose))))
        kept = rank < N_ALIKE
        row = np.searchsorted(touched, whose[kept])
        self._odds[touched[row], rank[kept]] = odds[kept]
        self._who[touched[row], rank[kept]] = others[kept]

    def worst(self, tracklets: Array) -> Array:
        """Odds that an offer must reach to be kept, -inf while there is room."""
        return np.asarray(self._odds[tracklets, -1])

    def pairs(self) -> Array:
        """All that is kept, (m, 2), the smaller index first."""
        whose, which = np.nonzero(self._who >= 0)
        return np.sort(np.stack([whose, self._who[whose, which]], axis=1), axis=1)
