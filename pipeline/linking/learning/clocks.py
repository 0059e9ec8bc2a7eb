"""Measure the clock offsets between cameras, from people whom two cameras see on a common floor.

Two recordings that were not started together show one walk at two times. A person seen by both
cameras, recognised by appearance, follows one floor path. The offset at which the two paths
coincide is the difference of the clocks. Somebody who stands says nothing, so time is weighted by
walking speed. An offset matters: with clocks off by 3 s, simultaneous floor positions are metres
apart, which forbids correct links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.index import Path, TrackletIndex
from pipeline.linking.learning import correspondences
from pipeline.records import Array, Embedded

COARSE_S, FINE_S = 0.25, 0.05
SAMPLE_S = 0.25
STANDING_M_S, FAST_M_S = 0.4, 2.0
"""Slower than this is standing with a box that trembles; faster counts no more."""
FAR_M = 2.0
"""Paths further apart are as bad as any, so that wrong pairs cannot draw the offset to themselves.
"""
MIN_WALKED_M = 10.0
"""Fewer metres walked in common view (above STANDING_M_S) say nothing."""
MAX_AFTER_M = 1.0
DISTINCT, ELSEWHERE_S = 0.75, 1.0
"""The best offset must be this much better than all that are at least so far from it."""
BETTER = 0.9
"""An offset must be this much better than none to be one."""
MIN_OFFSET_S = 0.2
"""Offsets below this are no disagreement: they are about what a foot point of a walking person is
off.
"""
MAX_RESIDUAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Offset:
    """What the clock of the second camera shows more than that of the first, seconds.

    before_m, after_m: median distance of the floor paths of `n_pairs` pairs of tracklets on the
    clocks as they are (nan: they were never in common view), and with the offset taken away.
    """

    cameras: tuple[str, str]
    offset_s: float
    before_m: float
    after_m: float
    n_pairs: int

    def in_words(self) -> str:
        """For a person who reads run.json."""
        first, second = self.cameras
        if abs(self.offset_s) < MIN_OFFSET_S:
            return (
                f"the clocks of {first} and {second} agree (floor paths within {self.after_m:.1f}"
                f" m; {self.n_pairs} pairs)"
            )
        side = "ahead of" if self.offset_s > 0 else "behind"
        before = f", {self.before_m:.1f} m before" if self.before_m == self.before_m else ""
        how = (
            f"floor paths agree within {self.after_m:.1f} m after{before}; {self.n_pairs} pairs of"
            " tracklets"
        )
        return f"{second} is {abs(self.offset_s):.1f} s {side} {first} ({how})"


@dataclass(frozen=True, slots=True)
class Clocks:
    """offsets_s: what each camera's clock shows more than that of the first camera (by name) that
    it could be compared with, directly or through others; cameras that could not be compared are
    absent. pairs: what was measured.
    """

    offsets_s: Mapping[str, float]
    pairs: tuple[Offset, ...]

    @property
    def disagree(self) -> bool:
        """Whether any clock is off."""
        return any(abs(offset) >= MIN_OFFSET_S for offset in self.offsets_s.values())

    def in_words(self) -> list[str]:
        """One line for every two cameras that were compared."""
        return [pair.in_words() for pair in self.pairs]

    def slack_s(self, names: Sequence[str]) -> Array:
        """How far the clocks of every two cameras disagree (C, C), seconds; 0 where nothing is
        known.
        """
        known = np.array([self.offsets_s.get(name, np.nan) for name in names])
        apart = np.nan_to_num(np.abs(known[:, None] - known[None, :]))
        return np.asarray(np.where(self._compared(names) & (apart >= MIN_OFFSET_S), apart, 0.0))

    def _compared(self, names: Sequence[str]) -> Array:
        group = _components(self.pairs)
        root = np.array([group.get(name, name) for name in names])
        return np.asarray(root[:, None] == root[None, :])


def measure(index: TrackletIndex, pairs: Array, known: Sequence[Offset] = ()) -> list[Offset]:
    """Measure the clocks of cameras on a common floor; what is not clear is left out.

    Args:
        index: All tracklets.
        pairs: Pairs (m, 2) of `likely_pairs`.
        known: What was found with the homographies of other cameras.

    Returns:
        The known offsets and the measured ones.
    """
    measured = list(known)
    for (a, b), mine in correspondences.by_cameras(index, pairs).items():
        paths = [(index.floor(i), index.floor(j)) for i, j in mine.tolist()]
        long = [p for p in paths if all(len(path.times_s) > 1 for path in p)]
        found = _measure((index.names[a], index.names[b]), long)
        measured += [found] if found else []
    return measured


def agree(offsets: Sequence[Offset]) -> Clocks:
    """Return the offset of every clock; measurements that contradict the others are left out."""
    measured = list(offsets)
    solved = _solve(measured)
    while measured:
        worst = max(measured, key=lambda m: _residual_s(m, solved))
        if _residual_s(worst, solved) <= MAX_RESIDUAL_S:
            break
        measured.remove(worst)
        solved = _solve(measured)
    return Clocks(solved, tuple(measured))


def estimate(index: TrackletIndex, pairs: Array, known: Sequence[Offset] = ()) -> Clocks:
    """Measure the clocks, and return the offset of each; arguments as in `measure`."""
    return agree(measure(index, pairs, known))


def shift(embedded: Sequence[Embedded], offsets_s: Mapping[str, float]) -> list[Embedded]:
    """Return the tracklets with the offsets of their cameras taken away from all their times."""
    shifted = []
    for e in embedded:
        offset_s = offsets_s.get(e.tracklet.camera, 0.0)
        shifted.append(e.shifted(-offset_s) if offset_s else e)
    return shifted


def _measure(cameras: tuple[str, str], paths: list[tuple[Path, Path]]) -> Offset | None:
    """Find the offset of two cameras' paths of the same people, if there is a clear one."""
    walks = [_Walk(a, b, 1) for a, b in paths] + [_Walk(b, a, -1) for a, b in paths]
    if sum(float(walk.walked_m.sum()) for walk in walks) < 2 * MIN_WALKED_M:
        return None
    coarse = np.arange(
        -correspondences.NEAR_S - ELSEWHERE_S,
        correspondences.NEAR_S + ELSEWHERE_S + COARSE_S / 2,
        COARSE_S,
    )
    costs = _compare(walks, coarse).cost
    if np.isnan(costs).all():
        return None
    fine = coarse[np.nanargmin(costs)] + np.arange(-COARSE_S, COARSE_S + FINE_S / 2, FINE_S)
    apart, as_it_is = _compare(walks, fine), _compare(walks, np.zeros(1))
    k = int(np.nanargmin(apart.cost))
    if (
        not _distinct(coarse, costs, fine[k], apart.cost[k])
        or apart.n_pairs[k] < correspondences.MIN_PAIRS
        or apart.median_m[k] > MAX_AFTER_M
    ):
        return None
    before_m = float(as_it_is.median_m[0])
    if apart.cost[k] > BETTER * as_it_is.cost[0]:
        return Offset(cameras, 0.0, before_m, before_m, int(as_it_is.n_pairs[0]))
    return Offset(
        cameras, round(float(fine[k]), 2), before_m, float(apart.median_m[k]), int(apart.n_pairs[k])
    )


def _distinct(offsets_s: Array, costs: Array, best_s: float, cost: float) -> bool:
    """Whether an offset is better than all others, and is a valley: people were in common view a
    little to either side, too.

    Where views only touch, the offset with the least common view is always best, whatever the
    clocks show.
    """
    later, earlier = (
        costs[offsets_s >= best_s + ELSEWHERE_S],
        costs[offsets_s <= best_s - ELSEWHERE_S],
    )
    valley = (
        len(later) > 0 and len(earlier) > 0 and bool(np.isfinite([later[0], earlier[-1]]).all())
    )
    return valley and cost <= DISTINCT * float(np.nanmin(np.concatenate([earlier, later])))


class _Walk:
    """One of two paths, sampled evenly while somebody walks, and the other: where is the other,
    when the clocks are off?
    """

    def __init__(self, path: Path, other: Path, sign: int) -> None:
        times_s = np.arange(path.times_s[0], path.times_s[-1], SAMPLE_S)
        before, after = (
            np.clip(times_s + side, path.times_s[0], path.times_s[-1]) for side in (-0.5, 0.5)
        )
        speed = np.linalg.norm(path.at(after) - path.at(before), axis=1) / np.maximum(
            after - before, SAMPLE_S
        )
        walks = speed > STANDING_M_S
        self._times_s, self._places = times_s[walks], path.at(times_s[walks])
        self.walked_m = np.minimum(speed[walks] - STANDING_M_S, FAST_M_S - STANDING_M_S) * SAMPLE_S
        self._other, self._sign = other, sign

    def apart(self, offsets_s: Array) -> tuple[Array, Array]:
        """Distances (K, n) at each offset, and how much each counts (K, n): metres walked, 0 where
        only one is seen.
        """
        then = self._times_s[None, :] + self._sign * offsets_s[:, None]
        both = (then >= self._other.times_s[0]) & (then <= self._other.times_s[-1])
        there = self._other.at(then.ravel()).reshape(*then.shape, 2)
        return np.linalg.norm(self._places - there, axis=2), np.where(both, self.walked_m, 0.0)


@dataclass(frozen=True, slots=True)
class _Apart:
    """How far paths are apart at K offsets: mean of at most FAR_M (nan: too few people walked in
    common view), median, and the pairs that say it.
    """

    cost: Array
    median_m: Array
    n_pairs: Array


def _compare(walks: list[_Walk], offsets_s: Array) -> _Apart:
    each = [walk.apart(offsets_s) for walk in walks]
    distance, weight = (np.concatenate(part, axis=1) for part in zip(*each, strict=True))
    walked = weight.sum(axis=1)
    enough = walked >= 2 * MIN_WALKED_M  # everybody counts from both sides
    cost = (np.minimum(distance, FAR_M) * weight).sum(axis=1) / np.where(enough, walked, np.nan)
    order = np.argsort(distance, axis=1, kind="stable")
    upto = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    middle = (upto < upto[:, -1:] / 2).sum(axis=1).clip(max=max(distance.shape[1] - 1, 0))
    median = np.take_along_axis(
        np.take_along_axis(distance, order, axis=1), middle[:, None], axis=1
    )[:, 0]
    seen = np.array([w.any(axis=1) for _, w in each])
    n_pairs = (seen[: len(walks) // 2] | seen[len(walks) // 2 :]).sum(axis=0)
    return _Apart(cost, np.where(enough, median, np.nan), n_pairs)


def _solve(measured: Sequence[Offset]) -> dict[str, float]:
    """Offset of every camera that fits all measurements best, each by its pairs and how well they
    agree; 0 for the first.
    """
    names = sorted({name for m in measured for name in m.cameras})
    index = {name: i for i, name in enumerate(names)}
    equations, wanted = np.zeros((len(measured), len(names))), np.zeros(len(measured))
    for row, m in enumerate(measured):
        weight = np.sqrt(m.n_pairs) / max(m.after_m, 0.1)
        equations[row, [index[name] for name in m.cameras]] = -weight, weight
        wanted[row] = weight * m.offset_s
    solved = np.linalg.lstsq(equations, wanted, rcond=None)[0] if measured else np.zeros(0)
    root = _components(measured)
    return {
        name: round(float(solved[index[name]] - solved[index[root[name]]]), 2) + 0.0
        for name in names
    }


def _components(measured: Sequence[Offset]) -> dict[str, str]:
    """The first camera by name that each camera is tied to."""
    groups = UnionFind[str]()
    for m in measured:
        first, second = sorted(groups.find(name) for name in m.cameras)
        groups.join(first, second)
    return {name: groups.find(name) for m in measured for name in m.cameras}


def _residual_s(measured: Offset, offsets: Mapping[str, float]) -> float:
    first, second = measured.cameras
    return abs(offsets[second] - offsets[first] - measured.offset_s)
