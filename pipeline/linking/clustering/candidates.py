"""Gating: select the pairs of tracklets to compare, by position and time or by appearance.

The number of all pairs grows with the square of the length of the recording. Tracklets are sorted
by start time, so those within reach of one follow it in one block. Of these, every tracklet keeps
the `N_ALIKE` most similar ones before and after itself.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, bilinear_partner
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

BLOCK = 256
WIDE_BLOCK = 1024
N_ALIKE = 16
SAMPLED = 4
NEAR_M = 8.0
"""Floor paths further apart than this are not compared."""


def spatial_candidates(index: TrackletIndex, constraints: Constraints) -> Array:
    """Select pairs whose positions can be compared.

    Args:
        index: all tracklets.
        constraints: travel times between cameras.

    Returns:
        Pairs (m, 2) of indices, first < second, less than `position.MAX_GAP_S` apart in time.
    """
    found = [np.zeros((0, 2), np.int64)]
    for rows, columns in blocks(index, position.MAX_GAP_S):
        gap_s = index.start_s[columns] - index.end_s[rows]
        row_camera = index.camera[rows]
        column_camera = index.camera[columns]
        apart_m = position.apart_m(index.reach[rows], index.reach[columns])
        is_near = apart_m < NEAR_M  # nan is not

        # Without a floor, only simultaneous positions can be compared.
        overlaps = index.overlap[row_camera, column_camera]
        have_floor = index.has_floor[row_camera] & index.has_floor[column_camera]
        is_near |= overlaps & ~have_floor & (gap_s <= 0)

        is_near &= gap_s >= constraints.least_s[row_camera, column_camera]
        is_candidate = np.where(row_camera == column_camera, gap_s > 0, is_near)
        is_candidate &= gap_s < position.MAX_GAP_S
        is_candidate &= columns > rows
        row, column = np.nonzero(is_candidate)
        pairs = np.stack([rows[row, 0], columns[0, column]], axis=1)
        found.append(pairs)
    return np.concatenate(found)


def appearance_candidates(
    index: TrackletIndex, appearance: Appearance, constraints: Constraints, min_odds: float
) -> Array:
    """Select the `N_ALIKE` most similar tracklets before and after each one.

    Args:
        index: all tracklets, n.
        appearance: their appearance, n rows.
        constraints: travel times between cameras.
        min_odds: log odds of appearance that a pair needs.

    Returns:
        Pairs (m, 2) of indices, first < second.
    """
    partners = bilinear_partner(appearance.rows).astype(np.float32)
    is_unseen = appearance.weight <= 0
    within_s = float(constraints.most_s.max(initial=0))
    after = _Best(len(index))
    before = _Best(len(index))
    for rows, columns in blocks(index, within_s, WIDE_BLOCK):
        row = rows[:, 0]
        column = columns[0]
        column_partners = partners[column[0] : column[-1] + 1]
        odds = appearance.rows[row] @ column_partners.T
        odds[is_unseen[row]] = -np.inf
        odds[:, is_unseen[column]] = -np.inf
        _rule_out_by_time(odds, rows, columns, index, constraints)

        row_limit = np.maximum(_about_nth_best(odds), min_odds)
        i, j = np.nonzero(odds >= row_limit[:, None])
        after.offer(row[i], column[j], odds[i, j])

        worst = before.worst(column)
        is_new = np.isneginf(worst)
        worst[is_new] = _about_nth_best(odds[:, is_new].T)
        column_limit = np.maximum(worst, min_odds)
        i, j = np.nonzero(odds >= column_limit)
        before.offer(column[j], row[i], odds[i, j])
    return unique(np.concatenate([after.pairs(), before.pairs()]))


def unique(pairs: Array) -> Array:
    """Sort pairs and drop duplicates.

    Args:
        pairs: indices, (m, 2), 0 or more.

    Returns:
        Distinct pairs, (k, 2).
    """
    n = int(pairs.max(initial=0)) + 1
    number = np.sort(pairs[:, 0] * n + pairs[:, 1])  # many times faster than np.unique
    is_new = np.diff(number, prepend=-1) > 0
    first, second = np.divmod(number[is_new], n)
    return np.stack([first, second], axis=1)


def _rule_out_by_time(
    odds: Array, rows: Array, columns: Array, index: TrackletIndex, constraints: Constraints
) -> None:
    """Set to -inf the odds of pairs that time rules out: `Constraints` decides, this saves work.

    Columns are sorted by start time, so only the first can be too early and only the last too late.
    """
    own = odds[:, : len(rows)]
    own[columns[:, : len(rows)] <= rows] = -np.inf

    start_s = index.start_s[columns]
    end_s = index.end_s[rows]
    most_s = constraints.most_s.max()
    n_soon = int(np.searchsorted(start_s[0], end_s.min() + most_s))
    late_odds = odds[:, n_soon:]
    late_gap_s = start_s[:, n_soon:] - end_s
    late_odds[late_gap_s > most_s] = -np.inf

    least_s = max(constraints.least_s.max(), 0.0)
    n_early = int(np.searchsorted(start_s[0], end_s.max() + least_s, side="right"))
    early_odds = odds[:, :n_early]
    early_gap_s = start_s[:, :n_early] - end_s
    row_camera = index.camera[rows]
    column_camera = index.camera[columns[:, :n_early]]
    is_too_soon = early_gap_s < constraints.least_s[row_camera, column_camera]
    is_at_once = (row_camera == column_camera) & (early_gap_s <= 0)
    early_odds[is_too_soon | is_at_once] = -np.inf


def _about_nth_best(odds: Array) -> Array:
    """Return a lower bound of the `N_ALIKE`-th largest value of each row, from a sample.

    It is not much below that value, and -inf where a row has fewer values.
    """
    sample = odds
    if odds.shape[1] >= SAMPLED * N_ALIKE:
        sample = odds[:, ::SAMPLED]
    if sample.shape[1] < N_ALIKE:
        return np.full(len(odds), -np.inf, odds.dtype)
    return np.partition(sample, -N_ALIKE, axis=1)[:, -N_ALIKE]


def blocks(
    index: TrackletIndex, within_s: float, size: int = BLOCK
) -> Iterator[tuple[Array, Array]]:
    """Cut all pairs that are close in time into blocks.

    Args:
        index: all tracklets, sorted by start time.
        within_s: longest gap in seconds.
        size: most rows of a block.

    Yields:
        Rows (r, 1), and columns (1, c), consecutive from the first row on, up to the last tracklet
        that starts at most `within_s` after one of the rows ends.
    """
    last = np.searchsorted(index.start_s, index.end_s + within_s, side="right")
    for low in range(0, len(index), size):
        high = min(low + size, len(index))
        rows = np.arange(low, high)
        columns = np.arange(low, int(last[low:high].max()))
        yield rows[:, None], columns[None, :]


class _Best:
    """The `N_ALIKE` best partners of each tracklet, from offers that come in blocks."""

    def __init__(self, n: int) -> None:
        self._odds = np.full((n, N_ALIKE), -np.inf, np.float32)
        self._partners = np.full((n, N_ALIKE), -1, np.int64)

    def offer(self, tracklets: Array, partners: Array, odds: Array) -> None:
        """Offer partners to tracklets; of equally good ones the earlier is kept.

        Args:
            tracklets: indices, (k,).
            partners: indices, (k,).
            odds: log odds, (k,).
        """
        if not len(tracklets):
            return
        is_touched = np.zeros(len(self._partners), np.bool_)
        is_touched[tracklets] = True
        touched = np.flatnonzero(is_touched)
        kept_tracklets = np.repeat(touched, N_ALIKE)
        kept_partners = self._partners[touched].ravel()
        kept_odds = self._odds[touched].ravel()
        tracklets = np.concatenate([kept_tracklets, tracklets])
        partners = np.concatenate([kept_partners, partners])
        odds = np.concatenate([kept_odds, odds])

        order = np.lexsort((partners, -odds, tracklets))
        tracklets = tracklets[order]
        first = np.searchsorted(tracklets, touched)
        n_each = np.diff(np.append(first, len(tracklets)))
        rank = np.arange(len(tracklets)) - np.repeat(first, n_each)
        is_best = rank < N_ALIKE
        row = tracklets[is_best]
        column = rank[is_best]
        best = order[is_best]
        self._odds[row, column] = odds[best]
        self._partners[row, column] = partners[best]

    def worst(self, tracklets: Array) -> Array:
        """Return the log odds that an offer must reach to be kept.

        Args:
            tracklets: indices, (k,).

        Returns:
            Log odds, (k,); -inf while there is room.
        """
        return np.asarray(self._odds[tracklets, -1])

    def pairs(self) -> Array:
        """Return all pairs that are kept, (m, 2), the smaller index first."""
        tracklets, columns = np.nonzero(self._partners >= 0)
        partners = self._partners[tracklets, columns]
        smaller = np.minimum(tracklets, partners)
        larger = np.maximum(tracklets, partners)
        return np.stack([smaller, larger], axis=1)
