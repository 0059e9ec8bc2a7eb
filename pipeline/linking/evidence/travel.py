"""Evidence of travel time: log odds of the time between two tracklets of two cameras.

The gaps of one person are compared with those of *anybody*: the gaps between arbitrary tracklets of
the two cameras in the same run. So neither a short recording nor a busy camera is evidence. Which
of the two cameras comes first is evidence, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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

LEAST = -2.5
"""Log odds at least, so that appearance can overrule them."""
MOST = 3.0
"""Log odds at most."""
N_SAMPLED = 128
"""Visits of each camera that are sampled for the gaps of anybody, and visits after each of them."""
N_TYPICAL = 10
"""Gaps that a typical time in the config is worth."""
TYPICAL_SPREAD = 0.25
"""Standard deviation of these gaps, as a share of the typical time."""


class Travel:
    """Evidence of travel times, for pairs of tracklets of a run.

    Args:
        index: all tracklets of the run.
        times: travel times of the site.
        config: holds typical times that the user knows.
        certain: pairs (m, 2) of tracklets that are certainly one person.
    """

    def __init__(
        self, index: TrackletIndex, times: TravelTimes, config: LinkingConfig, certain: Array
    ) -> None:
        self._visits = CameraVisits(index, certain)
        n = len(index.names)
        self._at_once = np.full((n, n), np.nan)
        self._after = np.full((n, n), np.nan)
        self._row = np.zeros((n, n), np.int64)
        typical = {frozenset(travel.cameras): typical_gaps(travel) for travel in config.travel}
        visits_of = [self._visits.of(camera) for camera in range(n)]
        gaps: list[Gaps] = []
        for first, second in zip(*np.triu_indices(n, 1), strict=True):
            name = index.names[first]
            other_name = index.names[second]
            there = times.of(name, other_name)
            back = times.of(other_name, name)
            told = typical.get(frozenset((name, other_name)), [])
            if there.n + back.n < MIN_TRANSITIONS and not told:
                continue
            anybody_there = _anybody(self._visits, visits_of[first], visits_of[second])
            anybody_back = _anybody(self._visits, visits_of[second], visits_of[first])
            kinds = _kinds([there, back], [anybody_there, anybody_back])
            self._at_once[first, second] = kinds[0]
            self._at_once[second, first] = kinds[0]
            self._after[first, second] = kinds[1]
            self._after[second, first] = kinds[2]
            self._row[first, second] = len(gaps)
            gaps.append(anybody_there.gaps(told, there))
            self._row[second, first] = len(gaps)
            gaps.append(anybody_back.gaps(told, back))
        self._table = log_odds(gaps)

    def odds(self, first: Array, second: Array) -> Array:
        """Return the log odds of pairs.

        Args:
            first: indices of tracklets, (m,).
            second: indices of others, (m,).

        Returns:
            Log odds, (m,), `LEAST` to `MOST`; nan within a camera, where too little is known, and
            where there is no step from the one to the other.
        """
        if not len(self._table):
            return np.full(len(first), np.nan)
        earlier, later = self._visits.in_order(first, second)
        gap_ms = self._visits.gap_ms(earlier, later)
        way = self._visits.camera[earlier], self._visits.camera[later]
        gap_bins = bins(np.maximum(gap_ms, 0))
        of_gap = self._table[self._row[way], gap_bins]
        after = self._after[way] + of_gap
        odds = np.where(gap_ms > 0, after, self._at_once[way])
        limited = np.clip(odds, LEAST, MOST)
        is_no_step = self._visits.apart(earlier, later)
        return np.asarray(np.where(is_no_step, np.nan, limited))


def typical_gaps(travel: TravelConfig) -> list[float]:
    """Return gaps that stand for the typical time between two cameras.

    Args:
        travel: travel times of two cameras.

    Returns:
        `N_TYPICAL` gaps in seconds, within the limits; none without a typical time.
    """
    if not travel.typical_s:
        return []
    spread = NormalDist(1, TYPICAL_SPREAD)
    gaps_s = []
    for k in range(N_TYPICAL):
        factor = spread.inv_cdf((k + 0.5) / N_TYPICAL)
        gap_s = max(travel.typical_s * factor, travel.min_s)
        gaps_s.append(min(gap_s, travel.max_s, HORIZON_S))
    return gaps_s


@dataclass(frozen=True, slots=True)
class _Anybody:
    """Gaps between arbitrary visits of two cameras that may be steps: gap_ms (m,), weight (m,)."""

    gap_ms: Array
    weight: Array

    @property
    def at_once(self) -> float:
        """Summed weight of visits that overlap."""
        return float(self.weight[self.gap_ms <= 0].sum())

    @property
    def after(self) -> float:
        """Summed weight of visits that follow each other."""
        return float(self.weight[self.gap_ms > 0].sum())

    def gaps(self, told: Sequence[float], seen: Transitions) -> Gaps:
        """Return these gaps with those of one person, from the config and from the site."""
        is_after = self.gap_ms > 0
        usual = histogram(self.gap_ms[is_after], self.weight[is_after])
        return Gaps(np.array([*told, *seen.gaps_s]), usual)


def _anybody(visits: CameraVisits, earlier: Array, later: Array) -> _Anybody:
    """Sample the gaps between visits of two cameras.

    Evenly spaced samples keep the work bounded. Two visits that begin at once have half the weight,
    since they count in both directions.
    """
    (sampled,) = _spread(np.array([len(earlier)]))
    earlier = earlier[sampled]
    later_start_s = visits.start_s[later]
    until_s = visits.end_s[earlier] + HORIZON_S
    low = np.searchsorted(later_start_s, visits.start_s[earlier], side="left")
    high = np.searchsorted(later_start_s, until_s, side="right")
    n_following = high - low
    n_sampled = np.minimum(n_following, N_SAMPLED)
    following = _spread(n_following)
    row, column = np.nonzero(np.arange(following.shape[1]) < n_sampled[:, None])
    first = earlier[row]
    second = later[low[row] + following[row, column]]

    represented = n_following / np.maximum(n_sampled, 1)
    begin_at_once = visits.start_s[first] == visits.start_s[second]
    weight = represented[row] * np.where(begin_at_once, 0.5, 1.0)
    is_step = ~visits.apart(first, second)
    gap_ms = visits.gap_ms(first, second)
    return _Anybody(gap_ms[is_step], weight[is_step])


def _spread(n: Array) -> Array:
    """Up to `N_SAMPLED` evenly spaced indices below each of n (k,), (k, samples)."""
    n_sampled = np.minimum(n, N_SAMPLED)
    spacing = n / np.maximum(n_sampled, 1)
    number = np.arange(n_sampled.max(initial=0)) + 0.5
    return (number * spacing[:, None]).astype(np.int64)


def _kinds(steps: Sequence[Transitions], anybody: Sequence[_Anybody]) -> list[float]:
    """Log odds that a person is seen by both cameras at once, or goes the one way, or the other."""
    n_overlaps = sum(step.n_overlaps for step in steps)
    n_after = [len(step.gaps_s) for step in steps]
    known = np.array([n_overlaps, *n_after])
    at_once = sum(gaps.at_once for gaps in anybody)
    after = [gaps.after for gaps in anybody]
    usual = np.array([at_once, *after]) + 1
    odds = (known * usual.sum() / usual + N_NEUTRAL) / (known.sum() + N_NEUTRAL)
    return [float(each) for each in np.log(odds)]
