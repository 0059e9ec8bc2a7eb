"""Learn how long people take from camera to camera, from pairs that are certain.

From people whom appearance alone makes certain, a run learns for every two cameras how long they
were out of sight, and how often both cameras saw them at once. So whether views overlap need not be
configured.

Pieces of a track that are certainly one person are one *visit*, and gaps lie between visits. Two
visits with a certain third one between them are no transition, and time is no evidence for them:
without this, people who walk about all day were torn apart (20 points of F1 in a simulated office).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.linking.evidence.gaps import HORIZON_S
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

MIN_TRANSITIONS = 3
"""Fewer transitions than this are no evidence."""
MAX_TRANSITIONS = 500
"""Observations kept of a pair of cameras, the newest."""
N_NEXT = 32
"""Members of a group that are paired with each, those that follow it."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """What was seen of people who were in one camera and then in another.

    gaps_s: seconds above 0 from leaving the first to appearing in the second, newest last.
    n_overlaps: times the first camera still saw the person when the second began to.
    """

    gaps_s: tuple[float, ...] = ()
    n_overlaps: int = 0

    @property
    def n(self) -> int:
        """All observations."""
        return len(self.gaps_s) + self.n_overlaps

    def newest(self, n: int) -> "Transitions":
        """At most `n` observations: the newest gaps, and overlaps in proportion."""
        if self.n <= n:
            return self
        kept = len(self.gaps_s) * n // self.n
        return Transitions(self.gaps_s[len(self.gaps_s) - kept :], n - kept)


@dataclass(frozen=True, slots=True)
class TravelTimes:
    """Transitions by (earlier camera, later camera); those that are not there were never seen."""

    transitions: Mapping[tuple[str, str], Transitions] = field(default_factory=dict)

    def of(self, earlier: str, later: str) -> Transitions:
        """Transitions from one camera to another."""
        return self.transitions.get((earlier, later), Transitions())


class CameraVisits:
    """Of n tracklets the visit that each is part of: its first tracklet (n,), and start_s, end_s
    (n,) of the visit.

    certain (m, 2): pairs of one person; they tell what else lies between two visits.
    """

    def __init__(self, index: TrackletIndex, certain: Array) -> None:
        n = len(index)
        self.camera, self.first = index.camera, np.arange(n)
        for i, j in index.pieces:
            if (i, j) not in index.continued:
                self.first[j] = self.first[i]
        latest_s = index.end_s.copy()
        np.maximum.at(latest_s, self.first, index.end_s)
        self.start_s, self.end_s = index.start_s[self.first], latest_s[self.first]
        pairs = np.sort(self.first[np.asarray(certain, np.int64).reshape(-1, 2)], axis=1)
        self.certain = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
        i, j = self.certain.T
        goes_on = self.end_s[j] > self.end_s[i]
        self._next_s, self._last_s = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(self._next_s, i[goes_on], self.start_s[j[goes_on]])
        np.maximum.at(self._last_s, j, self.end_s[i])

    def of(self, camera: int) -> Array:
        """Visits of one camera, by their first tracklets, in order."""
        return np.flatnonzero((self.camera == camera) & (self.first == np.arange(len(self.first))))

    def in_order(self, i: Array, j: Array) -> tuple[Array, Array]:
        """Visits of pairs of tracklets, the earlier first."""
        return np.minimum(self.first[i], self.first[j]), np.maximum(self.first[i], self.first[j])

    def gap_ms(self, i: Array, j: Array) -> Array:
        """Whole milliseconds from the end of visits i to the start of later visits j, 0 or less
        where they overlap.
        """
        return np.rint((self.start_s[j] - self.end_s[i]) * 1000).astype(np.int64)

    def apart(self, i: Array, j: Array) -> Array:
        """True where visits i and later visits j are no step: too long after, or with a certain
        visit between them.
        """
        gap_s = self.start_s[j] - self.end_s[i]
        between = (self._next_s[i] < self.start_s[j]) | (self._last_s[j] > self.end_s[i])
        return np.asarray((gap_s > HORIZON_S) | ((gap_s > 0) & between))


def followed(index: TrackletIndex, groups: Iterable[Sequence[int]]) -> Array:
    """Pairs (m, 2) of one group, the second among the `N_NEXT` after the first: those that may be
    certain.
    """
    members = [np.sort(np.asarray(group, np.int64)) for group in groups if len(group) > 1]
    order = np.concatenate([np.zeros(0, np.int64), *members])
    owner = np.repeat(np.arange(len(members)), [len(group) for group in members])
    found = [np.zeros((0, 2), np.int64)]
    for apart in range(1, min(N_NEXT + 1, len(order))):
        one = owner[:-apart] == owner[apart:]
        found.append(np.stack([order[:-apart][one], order[apart:][one]], axis=1))
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Observed:
    """Steps that were seen: earlier and later camera by index into `names`, milliseconds between.

    gap_ms (k,) is 0 or less where views overlapped; visit (k,): the tracklet that begins the later
    visit.
    """

    names: Sequence[str]
    earlier: Array
    later: Array
    gap_ms: Array
    visit: Array

    def some(self, chosen: Array) -> "Observed":
        """Return those where `chosen` (k,) is true."""
        return Observed(
            self.names,
            self.earlier[chosen],
            self.later[chosen],
            self.gap_ms[chosen],
            self.visit[chosen],
        )

    def times(self) -> TravelTimes:
        """Return travel times, the newest `MAX_TRANSITIONS` of each way."""
        way = self.earlier * len(self.names) + self.later
        found: dict[tuple[str, str], Transitions] = {}
        for each in np.unique(way).tolist():
            gap_ms = self.gap_ms[way == each]
            positive = gap_ms[gap_ms > 0]
            steps = Transitions(tuple((positive / 1000).tolist()), len(gap_ms) - len(positive))
            earlier, later = divmod(each, len(self.names))
            found[self.names[earlier], self.names[later]] = steps.newest(MAX_TRANSITIONS)
        return TravelTimes(found)


def observe(index: TrackletIndex, groups: Iterable[Sequence[int]], certain: Array) -> Observed:
    """Return the steps between cameras of people whom linking found, in order of time.

    Args:
        index: All tracklets.
        groups: People, as indices of tracklets.
        certain: Pairs (m, 2) of their tracklets that are one person whatever time says.
    """
    owner = np.full(len(index), -1)
    for number, group in enumerate(groups):
        owner[list(group)] = number
    pairs = np.asarray(certain, np.int64).reshape(-1, 2)
    is_one = (owner[pairs[:, 0]] == owner[pairs[:, 1]]) & (owner[pairs[:, 0]] >= 0)
    visits = CameraVisits(index, pairs[is_one])
    i, j = visits.certain.T
    is_step = (index.camera[i] != index.camera[j]) & ~visits.apart(i, j)
    i, j = i[is_step], j[is_step]
    gap_ms = visits.gap_ms(i, j)
    order = np.lexsort((gap_ms, visits.start_s[j]))
    i, j = i[order], j[order]
    return Observed(index.names, index.camera[i], index.camera[j], gap_ms[order], j)


def learn(index: TrackletIndex, groups: Iterable[Sequence[int]], certain: Array) -> TravelTimes:
    """Return travel times of people whom linking found; arguments as in `observe`."""
    return observe(index, groups, certain).times()


def add(earlier: TravelTimes, new: TravelTimes) -> TravelTimes:
    """What earlier runs learned and what is new; where it becomes too much, the oldest is left
    out.
    """
    total = {}
    for cameras in sorted({*earlier.transitions, *new.transitions}):
        fresh = new.of(*cameras)
        old = earlier.of(*cameras).newest(max(MAX_TRANSITIONS - fresh.n, 0))
        total[cameras] = Transitions(old.gaps_s + fresh.gaps_s, old.n_overlaps + fresh.n_overlaps)
    return TravelTimes(total)


def in_words(times: TravelTimes) -> list[str]:
    """One line for every way from camera to camera, for a person who reads run.json."""
    return [
        _in_words(*cameras, steps)
        for cameras, steps in sorted(times.transitions.items())
        if steps.n >= MIN_TRANSITIONS
    ]


def _in_words(earlier: str, later: str, steps: Transitions) -> str:
    said = []
    if steps.gaps_s:
        low, middle, high = np.percentile(steps.gaps_s, (10, 50, 90))
        said.append(
            f"about {middle:.1f} s ({len(steps.gaps_s)} steps, most within {low:.1f} to"
            f" {high:.1f} s)"
        )
    if steps.n_overlaps:
        said.append(f"{steps.n_overlaps} times seen by both at once")
    return f"{earlier} to {later}: {', '.join(said)}"
