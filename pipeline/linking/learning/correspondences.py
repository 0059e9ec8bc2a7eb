"""Pairs of tracklets of two cameras that are probably one person seen at about the same time.

Clock offsets are measured from them on a common floor. Elsewhere they tell which cameras share
people, so that a homography with a clock offset is worth a search.
"""

import numpy as np

from pipeline.linking.clustering import candidates
from pipeline.linking.evidence.appearance import Appearance, bilinear_partner
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

LIKELY = 0.0
"""Log odds of appearance from which a pair counts. The estimates are robust, and where a network
suits a site badly few pairs are certain. Only the longest pairs are used; 19 in 20 of these are
right on two rendered worlds.
"""
NEAR_S = 5.0
"""Largest clock offset that is searched, so also the largest gap of a pair."""
MAX_PAIRS = 50
"""Pairs of two cameras that are used."""
MIN_SHARE = 0.05
"""Pairs needed, as a share of the tracklets of the camera that has fewer."""
MIN_PAIRS = 4
"""Pairs of two cameras that are needed at least."""


def likely_pairs(index: TrackletIndex, appearance: Appearance) -> Array:
    """Select pairs of tracklets of two cameras that are one person by appearance.

    Of several tracklets that a camera sees at once, at most the most similar one is kept.

    Args:
        index: all tracklets.
        appearance: their appearance.

    Returns:
        Pairs (m, 2) of indices, first < second, less than `NEAR_S` apart in time.
    """
    odds = _similar_pairs(index, appearance)
    choices: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for (first, second), value in odds.items():
        in_second = (first, int(index.camera[second]))
        in_first = (second, int(index.camera[first]))
        choices.setdefault(in_second, []).append((second, value))
        choices.setdefault(in_first, []).append((first, value))

    def is_best(tracklet: int, other: int, value: float) -> bool:
        """Whether no tracklet that is seen together with `other` is more similar."""
        for rival, rival_value in choices[tracklet, int(index.camera[other])]:
            begins_before = index.start_s[rival] <= index.end_s[other]
            ends_after = index.start_s[other] <= index.end_s[rival]
            if rival_value > value and begins_before and ends_after:
                return False
        return True

    pairs = []
    for (first, second), value in odds.items():
        if is_best(first, second, value) and is_best(second, first, value):
            pairs.append((first, second))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _similar_pairs(index: TrackletIndex, appearance: Appearance) -> dict[tuple[int, int], float]:
    """Log odds of all pairs, first < second, of two cameras that are similar and close in time."""
    odds: dict[tuple[int, int], float] = {}
    is_seen = appearance.weight > 0
    for rows, columns in candidates.blocks(index, NEAR_S):
        partners = bilinear_partner(appearance.rows[columns[0]])
        similarity = appearance.rows[rows[:, 0]] @ partners.T.astype(np.float32)
        gap_s = index.start_s[columns] - index.end_s[rows]
        is_pair = (similarity >= LIKELY) & (columns > rows)
        is_pair &= index.camera[rows] != index.camera[columns]
        is_pair &= gap_s < NEAR_S
        is_pair &= is_seen[rows] & is_seen[columns]
        i, j = np.nonzero(is_pair)
        first = rows[i, 0].tolist()
        second = columns[0, j].tolist()
        pairs = zip(first, second, strict=True)
        odds.update(zip(pairs, similarity[i, j].tolist(), strict=True))
    return odds


def by_cameras(index: TrackletIndex, pairs: Array) -> dict[tuple[int, int], Array]:
    """Group pairs by their cameras, for cameras that may overlap.

    In a long run any two cameras have some pairs by chance; cameras that overlap share many of
    their people.

    Args:
        index: all tracklets.
        pairs: indices of `likely_pairs`, (m, 2).

    Returns:
        For two cameras, by index, the smaller first: pairs (k, 2) of indices in the order of the
        cameras, the `MAX_PAIRS` that are in common view for longest.
    """
    cameras = index.camera[pairs]
    is_reversed = cameras[:, :1] > cameras[:, 1:]
    pairs = np.where(is_reversed, pairs[:, ::-1], pairs)
    first_end_s = index.end_s[pairs].min(axis=1)
    last_start_s = index.start_s[pairs].max(axis=1)
    common_s = first_end_s - last_start_s
    by_common_view = np.lexsort((pairs.max(axis=1), pairs.min(axis=1), -common_s))
    pairs = pairs[by_common_view]
    camera_number = index.camera[pairs] @ [len(index.names), 1]
    pairs = pairs[np.argsort(camera_number, kind="stable")]

    cameras = index.camera[pairs]
    keys, starts, counts = np.unique(cameras, axis=0, return_index=True, return_counts=True)
    n_tracklets = np.bincount(index.camera, minlength=len(index.names))
    n_needed = np.maximum(MIN_PAIRS, MIN_SHARE * n_tracklets[keys].min(axis=1))
    found = {}
    for group in np.flatnonzero(counts >= n_needed).tolist():
        first, second = keys[group].tolist()
        start = starts[group]
        end = start + min(counts[group], MAX_PAIRS)
        found[first, second] = pairs[start:end]
    return found
