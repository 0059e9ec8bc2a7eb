"""Measure the clock offsets between cameras, from people whom two cameras see on a common floor.

Two recordings that were not started together show one walk at two times. A person seen by both
cameras, recognised by appearance, follows one floor path. The offset at which the two paths
coincide is the difference of the clocks. People who stand give no information, so time is weighted
by walking speed. Offsets matter: with clocks off by 3 s, simultaneous floor positions are metres
apart, which forbids correct links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.index import Path, TrackletIndex
from pipeline.linking.learning import correspondences
from pipeline.records import Array, Embedded

COARSE_S = 0.25
FINE_S = 0.05
SAMPLE_S = 0.25
STANDING_M_S = 0.4
"""Slower movement is noise of the box of a person who stands."""
FAST_M_S = 2.0
"""Faster movement gets no more weight."""
FAR_M = 2.0
"""Largest distance of two paths that counts, so that wrong pairs cannot attract the offset."""
MIN_WALKED_M = 10.0
"""Metres that must be walked in common view, faster than STANDING_M_S."""
MAX_AFTER_M = 1.0
DISTINCT = 0.75
"""The cost of the best offset is at most this share of that of offsets `ELSEWHERE_S` away."""
ELSEWHERE_S = 1.0
BETTER = 0.9
"""The cost with the offset is at most this share of that without."""
MIN_OFFSET_S = 0.2
"""Smaller offsets are no disagreement: they are about the error of the feet of a walking person."""
MAX_RESIDUAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Offset:
    """The offset between the clocks of two cameras.

    Attributes:
        cameras: their names.
        offset_s: seconds by which the clock of the second is ahead of that of the first.
        before_m: median distance of floor paths without correction; nan without common view.
        after_m: median distance of floor paths after correction by the offset.
        n_pairs: number of pairs of tracklets that were compared.
    """

    cameras: tuple[str, str]
    offset_s: float
    before_m: float
    after_m: float
    n_pairs: int

    def in_words(self) -> str:
        """Return a line for readers of run.json."""
        first, second = self.cameras
        if abs(self.offset_s) < MIN_OFFSET_S:
            return (
                f"the clocks of {first} and {second} agree (floor paths within {self.after_m:.1f}"
                f" m; {self.n_pairs} pairs)"
            )
        side = "ahead of" if self.offset_s > 0 else "behind"
        before = "" if np.isnan(self.before_m) else f", {self.before_m:.1f} m before"
        how = (
            f"floor paths agree within {self.after_m:.1f} m after{before}; {self.n_pairs} pairs of"
            " tracklets"
        )
        return f"{second} is {abs(self.offset_s):.1f} s {side} {first} ({how})"


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of all cameras.

    Attributes:
        offsets_s: seconds by which each camera's clock is ahead of that of the first camera, by
            name, that it could be compared with, directly or through others. Cameras that could
            not be compared are missing.
        pairs: the measured offsets.
    """

    offsets_s: Mapping[str, float]
    pairs: tuple[Offset, ...]

    @property
    def disagree(self) -> bool:
        """Whether any clock is off."""
        return any(abs(offset_s) >= MIN_OFFSET_S for offset_s in self.offsets_s.values())

    def in_words(self) -> list[str]:
        """Return one line for every two cameras that were compared."""
        return [pair.in_words() for pair in self.pairs]

    def slack_s(self, names: Sequence[str]) -> Array:
        """Return how far the clocks of every two cameras disagree.

        Args:
            names: cameras, C of them.

        Returns:
            Seconds, (C, C), 0 where nothing is known.
        """
        offset_s = np.array([self.offsets_s.get(name, np.nan) for name in names])
        difference_s = np.abs(offset_s[:, None] - offset_s[None, :])
        apart_s = np.nan_to_num(difference_s)
        disagree = self._compared(names) & (apart_s >= MIN_OFFSET_S)
        return np.asarray(np.where(disagree, apart_s, 0.0))

    def _compared(self, names: Sequence[str]) -> Array:
        """Which cameras were compared, directly or through others, (C, C) bool."""
        group = _components(self.pairs)
        root = np.array([group.get(name, name) for name in names])
        return np.asarray(root[:, None] == root[None, :])


NONE = Clocks({}, ())
"""Of cameras that were not compared."""


def measure(index: TrackletIndex, pairs: Array, known: Sequence[Offset] = ()) -> list[Offset]:
    """Measure the clocks of cameras on a common floor; unclear results are left out.

    Args:
        index: all tracklets.
        pairs: pairs (m, 2) of `likely_pairs`.
        known: offsets that were found with the homographies of other cameras.

    Returns:
        The known offsets and the measured ones.
    """
    measured = list(known)
    for (first, second), own_pairs in correspondences.by_cameras(index, pairs).items():
        walks = []
        for i, j in own_pairs.tolist():
            path = index.floor(i)
            other = index.floor(j)
            if min(len(path.times_s), len(other.times_s)) > 1:
                walks.append((path, other))
        found = _measure((index.names[first], index.names[second]), walks)
        if found is not None:
            measured.append(found)
    return measured


def agree(offsets: Sequence[Offset]) -> Clocks:
    """Solve for the offset of every clock.

    Args:
        offsets: measured offsets between two cameras.

    Returns:
        The clocks; measurements that contradict the others are left out.
    """
    measured = list(offsets)
    solved = _solve(measured)
    while measured:
        worst = max(measured, key=lambda offset: _residual_s(offset, solved))
        if _residual_s(worst, solved) <= MAX_RESIDUAL_S:
            break
        measured.remove(worst)
        solved = _solve(measured)
    return Clocks(solved, tuple(measured))


def shift(embedded: Sequence[Embedded], offsets_s: Mapping[str, float]) -> list[Embedded]:
    """Correct the times of tracklets by the offsets of their cameras.

    Args:
        embedded: tracklets.
        offsets_s: seconds by which clocks are ahead, by camera.

    Returns:
        Tracklets in the same order, with the offsets subtracted from all their times.
    """
    shifted = []
    for tracklet in embedded:
        offset_s = offsets_s.get(tracklet.tracklet.camera, 0.0)
        shifted.append(tracklet.shifted(-offset_s) if offset_s else tracklet)
    return shifted


def _measure(cameras: tuple[str, str], paths: list[tuple[Path, Path]]) -> Offset | None:
    """Find the offset of two cameras' paths of the same people, if there is a clear one."""
    there = [_Walk(path, other, 1) for path, other in paths]
    back = [_Walk(other, path, -1) for path, other in paths]
    walks = there + back
    walked_m = sum(float(walk.walked_m.sum()) for walk in walks)
    if walked_m < 2 * MIN_WALKED_M:
        return None

    reach_s = correspondences.NEAR_S + ELSEWHERE_S
    coarse_s = np.arange(-reach_s, reach_s + COARSE_S / 2, COARSE_S)
    coarse_cost = _compare(walks, coarse_s).cost
    if np.isnan(coarse_cost).all():
        return None
    around_s = coarse_s[np.nanargmin(coarse_cost)]
    fine_s = around_s + np.arange(-COARSE_S, COARSE_S + FINE_S / 2, FINE_S)
    fine = _compare(walks, fine_s)
    best = int(np.nanargmin(fine.cost))

    is_distinct = _distinct(coarse_s, coarse_cost, fine_s[best], fine.cost[best])
    has_pairs = fine.n_pairs[best] >= correspondences.MIN_PAIRS
    if not is_distinct or not has_pairs or fine.median_m[best] > MAX_AFTER_M:
        return None
    uncorrected = _compare(walks, np.zeros(1))
    before_m = float(uncorrected.median_m[0])
    if fine.cost[best] > BETTER * uncorrected.cost[0]:
        return Offset(cameras, 0.0, before_m, before_m, int(uncorrected.n_pairs[0]))
    offset_s = round(float(fine_s[best]), 2)
    after_m = float(fine.median_m[best])
    return Offset(cameras, offset_s, before_m, after_m, int(fine.n_pairs[best]))


def _distinct(offsets_s: Array, costs: Array, best_s: float, cost: float) -> bool:
    """Whether an offset is clearly better than others, with people in common view on either side.

    Where views only touch, the offset with the least common view is always best, whatever the
    clocks show.
    """
    later = costs[offsets_s >= best_s + ELSEWHERE_S]
    earlier = costs[offsets_s <= best_s - ELSEWHERE_S]
    if not len(later) or not len(earlier):
        return False
    if not np.isfinite([later[0], earlier[-1]]).all():
        return False
    elsewhere = np.concatenate([earlier, later])
    return cost <= DISTINCT * float(np.nanmin(elsewhere))


class _Walk:
    """A path, sampled evenly while the person walks, and the path of the other camera.

    sign: 1 when the other camera is the second, whose clock has the offset, else -1.
    """

    def __init__(self, path: Path, other: Path, sign: int) -> None:
        start_s = path.times_s[0]
        end_s = path.times_s[-1]
        times_s = np.arange(start_s, end_s, SAMPLE_S)
        before_s = np.clip(times_s - 0.5, start_s, end_s)
        after_s = np.clip(times_s + 0.5, start_s, end_s)
        step_m = np.linalg.norm(path.at(after_s) - path.at(before_s), axis=1)
        speed = step_m / np.maximum(after_s - before_s, SAMPLE_S)
        is_walking = speed > STANDING_M_S
        self._times_s = times_s[is_walking]
        self._places = path.at(self._times_s)
        counted = np.minimum(speed[is_walking] - STANDING_M_S, FAST_M_S - STANDING_M_S)
        self.walked_m = counted * SAMPLE_S
        self._other = other
        self._sign = sign

    def apart(self, offsets_s: Array) -> tuple[Array, Array]:
        """Compare the two paths at several offsets.

        Args:
            offsets_s: (K,) seconds.

        Returns:
            Distances (K, n) in metres, and the weight of each (K, n): metres walked, 0 where the
            other camera does not see the person.
        """
        shown_s = self._times_s[None, :] + self._sign * offsets_s[:, None]
        is_after_start = shown_s >= self._other.times_s[0]
        is_before_end = shown_s <= self._other.times_s[-1]
        other_places = self._other.at(shown_s.ravel()).reshape(*shown_s.shape, 2)
        distance = np.linalg.norm(self._places - other_places, axis=2)
        weight = np.where(is_after_start & is_before_end, self.walked_m, 0.0)
        return distance, weight


@dataclass(frozen=True, slots=True)
class _Apart:
    """How far paths are apart at K offsets.

    Attributes:
        cost: mean distance, each counted as at most FAR_M, (K,); nan where too few people walked.
        median_m: median distance, (K,); nan likewise.
        n_pairs: number of pairs in common view, (K,).
    """

    cost: Array
    median_m: Array
    n_pairs: Array


def _compare(walks: list[_Walk], offsets_s: Array) -> _Apart:
    distances = []
    weights = []
    for walk in walks:
        walk_distance, walk_weight = walk.apart(offsets_s)
        distances.append(walk_distance)
        weights.append(walk_weight)
    distance = np.concatenate(distances, axis=1)
    weight = np.concatenate(weights, axis=1)
    walked_m = weight.sum(axis=1)
    is_enough = walked_m >= 2 * MIN_WALKED_M  # each pair counts from both sides

    weighted = np.minimum(distance, FAR_M) * weight
    cost = weighted.sum(axis=1) / np.where(is_enough, walked_m, np.nan)
    median_m = np.where(is_enough, _weighted_median(distance, weight), np.nan)

    is_seen = np.array([walk_weight.any(axis=1) for walk_weight in weights])
    n_pairs = len(walks) // 2
    is_pair_seen = is_seen[:n_pairs] | is_seen[n_pairs:]
    return _Apart(cost, median_m, is_pair_seen.sum(axis=0))


def _weighted_median(values: Array, weight: Array) -> Array:
    """Weighted median of each row of values (K, n), (K,)."""
    order = np.argsort(values, axis=1, kind="stable")
    sorted_values = np.take_along_axis(values, order, axis=1)
    sorted_weight = np.take_along_axis(weight, order, axis=1)
    summed = np.cumsum(sorted_weight, axis=1)
    is_below = summed < summed[:, -1:] / 2
    last = max(values.shape[1] - 1, 0)
    middle = is_below.sum(axis=1).clip(max=last)
    return np.take_along_axis(sorted_values, middle[:, None], axis=1)[:, 0]


def _solve(measured: Sequence[Offset]) -> dict[str, float]:
    """Offset of every camera by least squares, 0 for the first.

    The weight of a measurement depends on its number of pairs and on how well they agree.
    """
    names = sorted(set(chain.from_iterable(offset.cameras for offset in measured)))
    index = {name: i for i, name in enumerate(names)}
    equations = np.zeros((len(measured), len(names)))
    wanted = np.zeros(len(measured))
    for row, offset in enumerate(measured):
        first, second = offset.cameras
        weight = np.sqrt(offset.n_pairs) / max(offset.after_m, 0.1)
        equations[row, index[first]] = -weight
        equations[row, index[second]] = weight
        wanted[row] = weight * offset.offset_s
    solved: Array = np.zeros(0)
    if measured:
        solved, *_ = np.linalg.lstsq(equations, wanted, rcond=None)
    offsets_s = {}
    for name, root in _components(measured).items():
        offset_s = solved[index[name]] - solved[index[root]]
        offsets_s[name] = round(float(offset_s), 2) + 0.0  # never -0.0
    return dict(sorted(offsets_s.items()))


def _components(measured: Sequence[Offset]) -> dict[str, str]:
    """The first camera by name that each camera was compared with, directly or through others."""
    groups = UnionFind[str]()
    for offset in measured:
        first, second = sorted(groups.find(name) for name in offset.cameras)
        groups.join(first, second)
    names = chain.from_iterable(offset.cameras for offset in measured)
    return {name: groups.find(name) for name in names}


def _residual_s(measured: Offset, offsets: Mapping[str, float]) -> float:
    first, second = measured.cameras
    return abs(offsets[second] - offsets[first] - measured.offset_s)
