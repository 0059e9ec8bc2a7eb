"""What the time between leaving one camera and appearing in another says, learned from pairs that
are certain.

From people whom appearance alone makes certain, a run learns for every two cameras how long they
were out of sight, and how often both saw them at once, so that whether views overlap need not be
told. The evidence of a pair is its log odds for one person against anybody: *anybody* is how
arbitrary tracklets of the two cameras follow each other in this very run, so that a short recording
or a busy camera proves nothing. Which of the two cameras comes first is evidence, too.

Pieces of a track that are one person for sure are one *visit*, and gaps lie between visits. Two
visits with a certain third one between them are no step, and time says nothing of them: else people
who walk about all day would be torn apart (20 points of F1 in a simulated office).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from pipeline.config import LinkingConfig, TravelConfig
from pipeline.linking.evidence.gaps import HORIZON_S, N_NEUTRAL, Gaps, bins, histogram, log_odds
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

MIN_STEPS = 3
"""What fewer people did is not yet a habit."""
LEAST, MOST = -2.5, 3.0
"""Log odds at most, either way: appearance can overrule them."""
MAX_STEPS = 500
"""Observations kept of a pair of cameras, the newest."""
N_NEXT = 32
"""Members of a group that are looked at after each."""
N_SAMPLED = 128
"""CameraVisits of each camera that stand for anybody's, and of the visits after each of them."""
N_TYPICAL, TYPICAL_SPREAD = 10, 0.25
"""What a typical time in the config is worth: so many gaps, spread around it by this share of it.
"""


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

    steps: Mapping[tuple[str, str], Transitions] = field(default_factory=dict)

    def of(self, earlier: str, later: str) -> Transitions:
        """Transitions from one camera to another."""
        return self.steps.get((earlier, later), Transitions())


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
        """CameraVisits of one camera, by their first tracklets, in order."""
        return np.flatnonzero((self.camera == camera) & (self.first == np.arange(len(self.first))))

    def in_order(self, i: Array, j: Array) -> tuple[Array, Array]:
        """CameraVisits of pairs of tracklets, the earlier first."""
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


def learn(index: TrackletIndex, groups: Iterable[Sequence[int]], certain: Array) -> TravelTimes:
    """Travel times of people whom linking found, from pairs (m, 2) of their tracklets that are
    certain whatever time says.
    """
    owner = np.full(len(index), -1)
    for number, group in enumerate(groups):
        owner[list(group)] = number
    pairs = np.asarray(certain, np.int64).reshape(-1, 2)
    visits = CameraVisits(
        index, pairs[(owner[pairs[:, 0]] == owner[pairs[:, 1]]) & (owner[pairs[:, 0]] >= 0)]
    )
    i, j = visits.certain.T
    step = (index.camera[i] != index.camera[j]) & ~visits.apart(i, j)
    i, j = i[step], j[step]
    gap_ms = visits.gap_ms(i, j)
    way = index.camera[i] * len(index.names) + index.camera[j]
    found: dict[tuple[str, str], Transitions] = {}
    for each in np.unique(way).tolist():
        mine = np.flatnonzero(way == each)
        mine = mine[np.lexsort((gap_ms[mine], visits.start_s[j[mine]]))]
        positive = gap_ms[mine][gap_ms[mine] > 0]
        steps = Transitions(tuple((positive / 1000).tolist()), len(mine) - len(positive))
        earlier, later = divmod(each, len(index.names))
        found[index.names[earlier], index.names[later]] = steps.newest(MAX_STEPS)
    return TravelTimes(found)


def add(earlier: TravelTimes, new: TravelTimes) -> TravelTimes:
    """What earlier runs learned and what is new; where it becomes too much, the oldest is left
    out.
    """
    total = {}
    for cameras in sorted({*earlier.steps, *new.steps}):
        fresh = new.of(*cameras)
        old = earlier.of(*cameras).newest(max(MAX_STEPS - fresh.n, 0))
        total[cameras] = Transitions(old.gaps_s + fresh.gaps_s, old.n_overlaps + fresh.n_overlaps)
    return TravelTimes(total)


class Travel:
    """Travel times held against a run, to be asked about pairs of its tracklets; `certain` as in
    `learn`.
    """

    def __init__(
        self, index: TrackletIndex, times: TravelTimes, config: LinkingConfig, certain: Array
    ) -> None:
        self._visits = CameraVisits(index, certain)
        n = len(index.names)
        self._at_once, self._after = np.full((n, n), np.nan), np.full((n, n), np.nan)
        self._row = np.zeros((n, n), np.int64)
        typical = {frozenset(travel.cameras): typical_gaps(travel) for travel in config.travel}
        visits_of = [self._visits.of(camera) for camera in range(n)]
        rows: list[Gaps] = []
        for a, b in zip(*np.triu_indices(n, 1), strict=True):
            ways = (a, b), (b, a)
            steps = [times.of(index.names[one], index.names[other]) for one, other in ways]
            told = typical.get(frozenset((index.names[a], index.names[b])), [])
            if sum(s.n for s in steps) < MIN_STEPS and not told:
                continue
            anybody = [
                _anybody(self._visits, visits_of[one], visits_of[other]) for one, other in ways
            ]
            self._at_once[a, b], self._after[a, b], self._after[b, a] = _kinds(steps, anybody)
            self._at_once[b, a] = self._at_once[a, b]
            for way, seen, (gap_ms, weight) in zip(ways, steps, anybody, strict=True):
                self._row[way] = len(rows)
                positive = gap_ms > 0
                usual = histogram(gap_ms[positive], weight[positive])
                rows.append(Gaps(np.array([*told, *seen.gaps_s]), usual))
        self._table = log_odds(rows)

    def odds(self, i: Array, j: Array) -> Array:
        """Log odds (m,) of pairs of tracklets; nan within a camera, where too little is known, and
        where there is no step.
        """
        if not len(self._table):
            return np.full(len(i), np.nan)
        i, j = self._visits.in_order(i, j)
        gap_ms = self._visits.gap_ms(i, j)
        way = self._visits.camera[i], self._visits.camera[j]
        after = self._after[way] + self._table[self._row[way], bins(np.maximum(gap_ms, 0))]
        odds = np.clip(np.where(gap_ms > 0, after, self._at_once[way]), LEAST, MOST)
        return np.asarray(np.where(self._visits.apart(i, j), np.nan, odds))


def in_words(times: TravelTimes) -> list[str]:
    """One line for every way from camera to camera, for a person who reads run.json."""
    return [
        _in_words(*cameras, steps)
        for cameras, steps in sorted(times.steps.items())
        if steps.n >= MIN_STEPS
    ]


def typical_gaps(travel: TravelConfig) -> list[float]:
    """Gaps (seconds) that stand for the typical time between two cameras; none when it is not
    known.
    """
    if not travel.typical_s:
        return []
    spread = [
        NormalDist(1, TYPICAL_SPREAD).inv_cdf((k + 0.5) / N_TYPICAL) for k in range(N_TYPICAL)
    ]
    return [
        min(max(travel.typical_s * factor, travel.min_s), travel.max_s, HORIZON_S)
        for factor in spread
    ]


def _anybody(visits: CameraVisits, earlier: Array, later: Array) -> tuple[Array, Array]:
    """Milliseconds between visits of two cameras that may be steps, whoever they are, and the
    weight of each, (m,) both.

    Evenly spaced samples keep the work bounded; two that begin at once count half, since they count
    both ways.
    """
    earlier = earlier[_spread(np.array([len(earlier)]))[0]]
    low = np.searchsorted(visits.start_s[later], visits.start_s[earlier], side="left")
    n = (
        np.searchsorted(visits.start_s[later], visits.end_s[earlier] + HORIZON_S, side="right")
        - low
    )
    which = _spread(n)
    n_looked_at = np.minimum(n, N_SAMPLED)
    at, k = np.nonzero(np.arange(which.shape[1]) < n_looked_at[:, None])
    i, j = earlier[at], later[low[at] + which[at, k]]
    weight = (n / np.maximum(n_looked_at, 1))[at] * np.where(
        visits.start_s[i] == visits.start_s[j], 0.5, 1.0
    )
    steps = ~visits.apart(i, j)
    return visits.gap_ms(i, j)[steps], weight[steps]


def _spread(n: Array) -> Array:
    """Up to `N_SAMPLED` evenly spaced indices of each of n (k,), (k, samples)."""
    kept = np.minimum(n, N_SAMPLED)
    return ((np.arange(kept.max(initial=0)) + 0.5) * (n / np.maximum(kept, 1))[:, None]).astype(
        np.int64
    )


def _kinds(steps: Sequence[Transitions], anybody: Sequence[tuple[Array, Array]]) -> list[float]:
    """Log odds that a person is seen by both cameras at once, or goes the one way, or the other."""
    known = np.array([sum(s.n_overlaps for s in steps), *(len(s.gaps_s) for s in steps)])
    at_once = sum(weight[gap_ms <= 0].sum() for gap_ms, weight in anybody)
    usual = np.array([at_once, *(weight[gap_ms > 0].sum() for gap_ms, weight in anybody)]) + 1
    odds = (known * usual.sum() / usual + N_NEUTRAL) / (known.sum() + N_NEUTRAL)
    return [float(each) for each in np.log(odds)]


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
