"""What the time between leaving one camera and appearing in another says of two tracklets, learned from those that are certain.

For people whom appearance alone makes certain, a run keeps per pair of cameras how long they were out of sight, how often the two
cameras saw them at once (so whether views overlap need not be told), and how often somebody else saw them in between. The
evidence of a pair is its log odds for one person against anybody: *anybody* is what the gaps between arbitrary tracklets of the
two cameras are in this very run, so that a short recording or a busy camera proves nothing. The density of gaps is that of
`models.reid.evaluation.spatial_temporal` (ST-ReID): a histogram under a Gaussian window, here with Silverman's width.

Pieces of a track that are one person for sure count as one *visit*: its start and end are what gaps are measured from. People
who were seen elsewhere in between have gaps like anybody's, so they pull the evidence towards none, and so does `N_NEUTRAL`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from models.reid.evaluation import spatial_temporal
from models.reid.evaluation.spatial_temporal import TransitionModel
from pipeline.config import LinkingConfig, TravelConfig
from pipeline.linking.sightings import Sightings
from pipeline.records import Array

HORIZON_S = 600.0
"""Longer gaps are another visit to the site: nothing is learned from them, and nothing said of them."""
BIN_MS = 250
MIN_WIDTH_S = 0.5
MIN_STEPS = 3
"""What fewer people did is not yet a habit."""
N_NEUTRAL = 2.0
"""Observations that speak neither for nor against: the outlier floor, and what keeps a handful of steps modest."""
LEAST, MOST = -2.5, 3.0
"""Log odds at most, either way: appearance can overrule them."""
MAX_STEPS = 500
"""Observations kept of a pair of cameras, the newest."""
N_NEXT = 32
FILTER = True
N_SAMPLED = 128
"""Of each camera, visits whose gaps stand for anybody's, and followers looked at of each of these."""
UNIFORM = 0.05
N_TYPICAL, TYPICAL_SPREAD = 10, 0.25
"""What a typical time in the config is worth: so many observations, spread around it by this fraction."""
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """What one ordered pair of cameras saw of people who were in both, the earlier first.

    gaps_s: seconds above 0 out of sight, of those whom no other camera saw meanwhile, newest last. n_overlaps: times the earlier
    camera still saw the person when the later began to. n_detours: times another sighting lay in between.
    """

    gaps_s: tuple[float, ...] = ()
    n_overlaps: int = 0
    n_detours: int = 0

    @property
    def n(self) -> int:
        """All observations."""
        return len(self.gaps_s) + self.n_overlaps + self.n_detours

    def newest(self, n: int) -> "Steps":
        """About as many observations as `n`, the newest gaps, with the counts in proportion."""
        if self.n <= n:
            return self
        share = n / self.n
        kept = round(len(self.gaps_s) * share)
        return Steps(self.gaps_s[len(self.gaps_s) - kept :], round(self.n_overlaps * share), round(self.n_detours * share))


@dataclass(frozen=True, slots=True)
class TravelTimes:
    """Steps by (earlier camera, later camera); a pair that is not there was never seen."""

    steps: Mapping[tuple[str, str], Steps] = field(default_factory=dict)

    def of(self, earlier: str, later: str) -> Steps:
        """Steps of one pair of cameras."""
        return self.steps.get((earlier, later), Steps())


@dataclass(frozen=True, slots=True)
class Visits:
    """Of n tracklets the visit that each is part of: its first tracklet (n,), and its start_s, end_s (n,)."""

    first: Array
    start_s: Array
    end_s: Array


def visits(sightings: Sightings) -> Visits:
    """Put pieces of a track together where nobody doubts that it is one person."""
    first = np.arange(len(sightings))
    for i, j in sightings.pieces:
        if (i, j) not in sightings.continued:
            first[j] = first[i]
    end_s = sightings.end_s.copy()
    np.maximum.at(end_s, first, sightings.end_s)
    return Visits(first, sightings.start_s[first], end_s[first])


def followed(sightings: Sightings, groups: Iterable[Sequence[int]]) -> Array:
    """Pairs (m, 2) of one group and two cameras, the second among the `N_NEXT` after the first: what `learn` may look at."""
    members = [np.sort(np.asarray(group, np.int64)) for group in groups]
    order = np.concatenate([np.zeros(0, np.int64), *members])
    owner = np.repeat(np.arange(len(members)), [len(group) for group in members])
    found = [np.zeros((0, 2), np.int64)]
    for apart in range(1, min(N_NEXT + 1, len(order))):
        one = owner[:-apart] == owner[apart:]
        found.append(np.stack([order[:-apart][one], order[apart:][one]], axis=1))
    return np.concatenate(found)


def learn(sightings: Sightings, groups: Iterable[Sequence[int]], certain: Iterable[tuple[int, int]]) -> TravelTimes:
    """Travel times of people whom linking found, from those pairs (i, j) of a group that are certain whatever time says."""
    seen = visits(sightings)
    owner, latest_s = _journeys(seen, groups)
    pairs = np.array([*certain], np.int64).reshape(-1, 2)
    pairs = pairs[(owner[pairs[:, 0]] == owner[pairs[:, 1]]) & (owner[pairs[:, 0]] >= 0)]
    i, j = np.unique(np.sort(seen.first[pairs], axis=1), axis=0).T
    i, j, gap_ms = _in_order(seen, i, j)
    counted = (gap_ms <= HORIZON_S * 1000) & (sightings.camera[i] != sightings.camera[j]) & ~Between(seen, pairs).known(i, j)
    detour = (gap_ms > 0) & (seen.end_s[i] < latest_s[j])
    found: dict[tuple[str, str], Steps] = {}
    ends = sightings.camera[i] * len(sightings.names) + sightings.camera[j]
    for pair in np.unique(ends[counted]).tolist():
        mine = np.flatnonzero(counted & (ends == pair))
        mine = mine[np.lexsort((gap_ms[mine], seen.start_s[j[mine]]))]
        gaps_s = gap_ms[mine[(gap_ms[mine] > 0) & ~detour[mine]]] / 1000
        earlier, later = divmod(pair, len(sightings.names))
        steps = Steps(tuple(gaps_s.tolist()), int((gap_ms[mine] <= 0).sum()), int(detour[mine].sum()))
        found[sightings.names[earlier], sightings.names[later]] = steps.newest(MAX_STEPS)
    return TravelTimes(found)


def add(earlier: TravelTimes, new: TravelTimes) -> TravelTimes:
    """What earlier runs learned and what is new; where it becomes too much, the oldest is left out."""
    total = {}
    for pair in sorted({*earlier.steps, *new.steps}):
        fresh = new.of(*pair)
        old = earlier.of(*pair).newest(max(MAX_STEPS - fresh.n, 0))
        steps = Steps(old.gaps_s + fresh.gaps_s, old.n_overlaps + fresh.n_overlaps, old.n_detours + fresh.n_detours)
        total[pair] = steps.newest(MAX_STEPS)
    return TravelTimes(total)


class Between:
    """When certain pairs say that a person was next, and last, seen by somebody else."""

    def __init__(self, seen: Visits, pairs: Array) -> None:
        i, j, _ = _in_order(seen, pairs[:, 0], pairs[:, 1])
        i, j = seen.first[i], seen.first[j]
        on = seen.end_s[j] > seen.end_s[i]
        self._seen = seen
        self._next_s, self._last_s = np.full(len(seen.first), np.inf), np.full(len(seen.first), -np.inf)
        np.minimum.at(self._next_s, i[on], seen.start_s[j[on]])
        np.maximum.at(self._last_s, j, seen.end_s[i])

    def known(self, i: Array, j: Array) -> Array:
        """True (m,) where the person was seen elsewhere between the visits of i and j, the earlier first."""
        i, j = self._seen.first[i], self._seen.first[j]
        start, end = self._seen.start_s[j], self._seen.end_s[i]
        return (start > end) & ((self._next_s[i] < start) | (self._last_s[j] > end))


class Travel:
    """Travel times held against this run, to be asked about pairs of its tracklets."""

    def __init__(self, sightings: Sightings, times: TravelTimes, config: LinkingConfig, certain: Iterable[tuple[int, int]] = ()) -> None:
        self._camera, self._visits = sightings.camera, visits(sightings)
        self._between = Between(self._visits, np.array([*certain], np.int64).reshape(-1, 2))
        n = len(sightings.names)
        self._at_once, self._after = np.full((n, n), np.nan), np.full((n, n), np.nan)
        self._row = np.zeros((n, n), np.int64)
        typical = {camera: _around(travel) for travel in config.travel for camera in (travel.cameras, travel.cameras[::-1])}
        whole = self._visits.first == np.arange(len(sightings))
        owned = [np.flatnonzero(whole & (self._camera == camera)) for camera in range(n)]
        known: list[tuple[Array, int, Array]] = []
        for a, b in ((a, b) for b in range(n) for a in range(b)):
            ways = [(a, b), (b, a)]
            steps = [times.of(sightings.names[x], sightings.names[y]) for x, y in ways]
            told = typical.get((sightings.names[a], sightings.names[b]), [])
            if sum(s.n for s in steps) < MIN_STEPS and not told:
                continue
            anybody = [_anybody(self._visits, owned[x], owned[y], self._between) for x, y in ways]
            self._at_once[a, b], *after = _kinds(steps, anybody)
            self._at_once[b, a] = self._at_once[a, b]
            for way, s, after_way, (gap_ms, weight) in zip(ways, steps, after, anybody, strict=True):
                self._after[way], self._row[way] = after_way, len(known)
                known.append((np.array([*told, *s.gaps_s]), s.n_detours, _histogram(gap_ms[gap_ms > 0], weight[gap_ms > 0])))
        self._table = _log_odds(known)

    def odds(self, i: Array, j: Array) -> Array:
        """Log odds (m,) of pairs of tracklets; nan within a camera, where too little is known, and beyond `HORIZON_S`."""
        i, j, gap_ms = _in_order(self._visits, i, j)
        way = self._camera[i], self._camera[j]
        if not len(self._table):
            return np.full(len(i), np.nan)
        after = self._after[way] + self._table[self._row[way], _bin(np.maximum(gap_ms, 0))]
        odds = np.clip(np.where(gap_ms > 0, after, self._at_once[way]), LEAST, MOST)
        return np.asarray(np.where((gap_ms > HORIZON_S * 1000) | (way[0] == way[1]) | self._between.known(i, j), np.nan, odds))


def in_words(times: TravelTimes) -> list[str]:
    """What is known of each pair of cameras, for a person who reads run.json."""
    lines = []
    for (earlier, later), steps in sorted(times.steps.items()):
        if steps.n >= MIN_STEPS:
            low, middle, high = np.percentile(steps.gaps_s, (10, 50, 90)) if steps.gaps_s else (0, 0, 0)
            gaps = f"{len(steps.gaps_s)} directly, in about {middle:.1f} s (most {low:.1f} to {high:.1f} s)" if high else "none directly"
            lines.append(f"{earlier} to {later}: {gaps}, {steps.n_overlaps} seen by both at once, {steps.n_detours} elsewhere meanwhile")
    return lines


def _journeys(seen: Visits, groups: Iterable[Sequence[int]]) -> tuple[Array, Array]:
    """Group of each tracklet (n,), -1 none, and of each visit when the latest that began before it in its group ends (n,)."""
    owner, latest_s = np.full(len(seen.first), -1), np.full(len(seen.first), -np.inf)
    for number, group in enumerate(groups):
        owner[list(group)] = number
        members = np.unique(seen.first[list(group)])
        latest_s[members[1:]] = np.maximum.accumulate(seen.end_s[members])[:-1]
    return owner, latest_s


def _in_order(seen: Visits, i: Array, j: Array) -> tuple[Array, Array, Array]:
    """Pairs of tracklets with the earlier visit first, and whole milliseconds from its end to the start of the later."""
    swapped = seen.first[i] > seen.first[j]
    i, j = np.where(swapped, j, i), np.where(swapped, i, j)
    return i, j, np.rint((seen.start_s[j] - seen.end_s[i]) * 1000).astype(np.int64)


def _anybody(seen: Visits, earlier: Array, later: Array, between: Between) -> tuple[Array, Array]:
    """Milliseconds between visits of two cameras, whoever they are, up to the horizon, and the weight of each.

    Evenly spaced samples of both keep the work bounded; a pair that begins at once counts half, since it counts both ways.
    """
    earlier = earlier[_spread(len(earlier))]
    start_s = seen.start_s[later]
    low = np.searchsorted(start_s, seen.start_s[earlier], side="left")
    n = np.searchsorted(start_s, seen.end_s[earlier] + HORIZON_S, side="right") - low
    kept = np.minimum(n, N_SAMPLED)
    which = ((np.arange(N_SAMPLED) + 0.5) * n[:, None] / np.maximum(kept, 1)[:, None]).astype(np.int64)
    i, k = np.nonzero(np.arange(N_SAMPLED) < kept[:, None])
    follower = low[i] + which[i, k]
    if FILTER:
        ok = ~between.known(earlier[i], later[follower]); i, k, follower = i[ok], k[ok], follower[ok]
    at_once = start_s[follower] == seen.start_s[earlier][i]
    weight = (n / np.maximum(kept, 1))[i] * np.where(at_once, 0.5, 1.0)
    return np.rint((start_s[follower] - seen.end_s[earlier][i]) * 1000).astype(np.int64), weight


def _spread(n: int) -> Array:
    """Indices of at most `N_SAMPLED` of n, evenly spaced."""
    kept = min(n, N_SAMPLED)
    return ((np.arange(kept) + 0.5) * n / max(kept, 1)).astype(np.int64)


def _kinds(steps: Sequence[Steps], anybody: Sequence[tuple[Array, Array]]) -> list[float]:
    """Log odds that the views of a person overlap, come one way, or the other: the direction is evidence, too."""
    known = np.array([sum(s.n_overlaps for s in steps), *(len(s.gaps_s) + s.n_detours for s in steps)])
    at_once = sum(weight[gap_ms <= 0].sum() for gap_ms, weight in anybody)
    usual = np.array([at_once, *(weight[gap_ms > 0].sum() for gap_ms, weight in anybody)]) + 1
    odds = (known * usual.sum() / usual + N_NEUTRAL) / (known.sum() + N_NEUTRAL)
    return [float(o) for o in np.log(odds)]


def _log_odds(known: list[tuple[Array, int, Array]]) -> Array:
    """Log odds by bin (ways, bins) float32 of gaps (k,) s, a number of detours, and the histogram (bins,) of anybody."""
    table = np.zeros((len(known), _bin(np.array(HORIZON_S * 1000)) + 1), np.float32)
    width = np.array([_width_s(gaps_s) for gaps_s, _, _ in known])
    for rows in _alike(width):
        histograms = [_histogram(np.rint(known[r][0] * 1000), np.ones(len(known[r][0]))) for r in rows.tolist()]
        own, usual = (_smoothed(np.array(h), float(width[rows[0]])) for h in (histograms, [known[r][2] for r in rows.tolist()]))
        n = np.array([[len(known[r][0])] for r in rows.tolist()])
        neutral = np.array([[known[r][1] + N_NEUTRAL] for r in rows.tolist()])
        usual = (1 - UNIFORM) * usual + UNIFORM / table.shape[1]
        table[rows] = np.log((n * own / usual + neutral) / (n + neutral))
    return table


def _alike(width_s: Array) -> Iterator[Array]:
    """Indices of equal widths, some at a time."""
    for width in np.unique(width_s):
        rows = np.flatnonzero(width_s == width)
        yield from (rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK))


def _width_s(gaps_s: Array) -> float:
    """Silverman's width of a kernel, at least `MIN_WIDTH_S`; one of a row that grows by quarters of an octave."""
    if not len(gaps_s):
        return MIN_WIDTH_S
    low, high = np.percentile(gaps_s, (25, 75))
    width = 0.9 * min(float(np.std(gaps_s)), float(high - low) / 1.34) * len(gaps_s) ** -0.2
    return float(MIN_WIDTH_S * 2 ** (np.rint(4 * np.log2(max(width / MIN_WIDTH_S, 1))) / 4))


def _histogram(gap_ms: Array, weight: Array) -> Array:
    """Weighted count by bin up to the horizon."""
    n_bins = int(_bin(np.array(HORIZON_S * 1000))) + 1
    return np.bincount(_bin(gap_ms), weight, minlength=n_bins)[:n_bins]


def _smoothed(histograms: Array, width_s: float) -> Array:
    """Densities (rows, bins), each summing to 1, or 0 where nothing was seen."""
    return spatial_temporal.smooth(TransitionModel(histograms[None], BIN_MS), width_s * 1000 / BIN_MS).table[0]


def _bin(gap_ms: Array) -> Array:
    return np.asarray(np.minimum(gap_ms, HORIZON_S * 1000) // BIN_MS, np.int64)


def _around(travel: TravelConfig) -> list[float]:
    """Gaps that stand for the typical time of a pair of cameras, none when it is not known."""
    if not travel.typical_s:
        return []
    normal = NormalDist()
    spread = [travel.typical_s * np.exp(TYPICAL_SPREAD * normal.inv_cdf((k + 0.5) / N_TYPICAL)) for k in range(N_TYPICAL)]
    return [float(np.clip(gap_s, travel.min_s, travel.max_s)) for gap_s in spread]
