"""The constrained solver: which tracklets are one person.

Agglomerative clustering with average linkage: the two groups with the best mean evidence are merged while that evidence stays
above the threshold and no rule between their members forbids it. Appearance and place are averaged separately, each over the
pairs that have it, and added. Input order is the only tie-breaker, so callers sort. Dense matrices: O(n^2) memory.
"""

from collections.abc import Callable

import numpy as np

from pipeline.records import Array

Merge = tuple[list[int], list[int], float]
"""Members of the one group, of the other, and the log odds at which they were joined."""


def solve(
    appearance: Array, place: Array, forbidden: Array, threshold: float, may_join: Callable[[list[int]], bool]
) -> tuple[list[list[int]], list[Merge]]:
    """Partition 0..n-1; returns groups by first member, and the merges in the order they were made.

    `appearance` and `place` (n, n) are log odds with nan for "no evidence"; `forbidden` (n, n) bool; `may_join` is asked about
    the members of a merged group, sorted, before each merge. A pair without any evidence is never merged.
    """
    sums = [_Mean(appearance), _Mean(place)]
    blocked = forbidden.copy()
    np.fill_diagonal(blocked, True)
    scores = _scores(sums, blocked, slice(None))
    groups: dict[int, list[int]] = {i: [i] for i in range(len(appearance))}
    merges: list[Merge] = []
    while len(groups) > 1:
        i, j = sorted(divmod(int(np.argmax(scores)), len(scores)))
        best = float(scores[i, j])
        if best < threshold or not np.isfinite(best):
            break
        joined = sorted(groups[i] + groups[j])
        if not may_join(joined):
            scores[i, j] = scores[j, i] = -np.inf  # asked again when either group has grown
            continue
        merges.append((groups[i], groups.pop(j), best))
        groups[i] = joined
        for mean in sums:
            mean.join(i, j)
        blocked[i] |= blocked[j]
        blocked[:, i] = blocked[i]
        blocked[j] = blocked[:, j] = True
        scores[j] = scores[:, j] = -np.inf
        scores[i] = scores[:, i] = _scores(sums, blocked, i)
    return [groups[i] for i in sorted(groups)], merges


class _Mean:
    """Mean evidence between groups, nan entries left out: sums and counts that add up when groups join."""

    def __init__(self, values: Array) -> None:
        self.total, self.count = np.nan_to_num(values), np.isfinite(values).astype(np.float64)

    def join(self, i: int, j: int) -> None:
        for matrix in (self.total, self.count):
            matrix[i] += matrix[j]
            matrix[:, i] = matrix[i]


def _scores(means: list[_Mean], blocked: Array, rows: slice | int) -> Array:
    evidence = sum(m.total[rows] / np.maximum(m.count[rows], 1) for m in means)
    some = sum(m.count[rows] for m in means)
    return np.where(blocked[rows] | (some == 0), -np.inf, evidence)
