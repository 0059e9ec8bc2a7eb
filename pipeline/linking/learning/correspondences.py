"""Pairs of tracklets of two cameras that are probably one person seen at about the same time.

Clock offsets and homographies are measured from them.
"""

import numpy as np

from pipeline.linking.clustering import candidates
from pipeline.linking.evidence.appearance import Appearance, bilinear_partner
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

LIKELY = 0.0
"""Log odds of appearance from which a pair counts. What follows is robust, and where a network
knows a site badly few are certain; of the longest pairs, which are taken, 19 in 20 are right on two
rendered worlds.
"""
NEAR_S = 5.0
"""Largest offset that is looked for; pairs may seem as far apart in time as that."""
MAX_PAIRS, MIN_SHARE = 50, 0.05
"""Pairs that two cameras are measured by, and the least as a share of the tracklets of the camera
that has fewer.
"""
MIN_PAIRS = 4
"""Fewer pairs of two cameras say nothing."""


def likely_pairs(index: TrackletIndex, appearance: Appearance) -> Array:
    """Pairs (m, 2), first < second, of tracklets of two cameras that are one person by appearance,
    `NEAR_S` apart at most.

    Of those whom a camera shows together, at most the most alike is the person.
    """
    s, odds = index, dict[tuple[int, int], float]()
    for rows, columns in candidates.blocks(s, NEAR_S):
        alike = appearance.rows[rows[:, 0]] @ bilinear_partner(
            appearance.rows[columns[0]]
        ).T.astype(np.float32)
        good = (alike >= LIKELY) & (columns > rows) & (s.camera[rows] != s.camera[columns])
        good &= s.start_s[columns] - s.end_s[rows] < NEAR_S
        good &= (appearance.weight[rows] > 0) & (appearance.weight[columns] > 0)
        i, j = np.nonzero(good)
        found = zip(rows[i, 0].tolist(), columns[0, j].tolist(), alike[i, j].tolist(), strict=True)
        odds.update({(first, second): value for first, second, value in found})
    choices: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for (first, second), value in odds.items():
        choices.setdefault((first, int(s.camera[second])), []).append((second, value))
        choices.setdefault((second, int(s.camera[first])), []).append((first, value))

    def best(i: int, j: int, value: float) -> bool:
        rivals = (k for k, other in choices[i, int(s.camera[j])] if other > value)
        return not any(s.start_s[k] <= s.end_s[j] and s.start_s[j] <= s.end_s[k] for k in rivals)

    pairs = [(i, j) for (i, j), value in odds.items() if best(i, j, value) and best(j, i, value)]
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def by_cameras(index: TrackletIndex, pairs: Array) -> dict[tuple[int, int], Array]:
    """Pairs (k, 2) for every two cameras that may overlap, the earlier camera first; the
    `MAX_PAIRS` longest in common view.

    In a long run chance gives any two cameras some pairs; cameras that overlap share many of their
    people.
    """
    s = index
    cameras = s.camera[pairs]
    pairs = np.where(cameras[:, :1] > cameras[:, 1:], pairs[:, ::-1], pairs)
    together = s.end_s[pairs].min(axis=1) - s.start_s[pairs].max(axis=1)
    pairs = pairs[np.lexsort((pairs.max(axis=1), pairs.min(axis=1), -together))]
    pairs = pairs[np.argsort(s.camera[pairs] @ [len(s.names), 1], kind="stable")]
    n_seen = np.bincount(s.camera, minlength=len(s.names))
    keys, first, counts = np.unique(s.camera[pairs], axis=0, return_index=True, return_counts=True)
    several = counts >= np.maximum(MIN_PAIRS, MIN_SHARE * n_seen[keys].min(axis=1))
    return {
        (a, b): pairs[start : start + min(count, MAX_PAIRS)]
        for (a, b), start, count in zip(
            keys[several].tolist(), first[several], counts[several], strict=True
        )
    }
