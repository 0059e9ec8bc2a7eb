"""Evidence of travel time: log odds of the time between two tracklets of two cameras.

The gaps of one person are compared with those of *anybody*: how arbitrary tracklets of the two
cameras follow each other in this very run. So a short recording or a busy camera proves nothing.
Which of the two cameras comes first is evidence, too.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from pipeline.config import LinkingConfig, TravelConfig
from pipeline.linking.evidence.gaps import HORIZON_S, N_NEUTRAL, Gaps, bins, histogram, log_odds
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning.travel_times import (
    MIN_TRANSITIONS,
    CameraVisits,
    Transitions,
    TravelTimes,
)
from pipeline.records import Array

LEAST, MOST = -2.5, 3.0
"""Log odds at most, either way: appearance can overrule them."""
N_SAMPLED = 128
"""CameraVisits of each camera that stand for anybody's, and of the visits after each of them."""
N_TYPICAL, TYPICAL_SPREAD = 10, 0.25
"""What a typical time in the config is worth: so many gaps, spread around it by this share of it.
"""


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
            if sum(s.n for s in steps) < MIN_TRANSITIONS and not told:
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
