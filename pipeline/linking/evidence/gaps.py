"""Log odds of a gap between two cameras: gaps of one person against those of any two people.

The density of gaps is that of ST-ReID (`models.reid.evaluation.spatial_temporal`): a histogram
under a Gaussian window, whose width follows Silverman's rule. Both densities have the same window,
so smoothing itself is no evidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.reid.evaluation import spatial_temporal
from models.reid.evaluation.spatial_temporal import TransitionModel
from pipeline.config import MAX_TYPICAL_S
from pipeline.records import Array

HORIZON_S = MAX_TYPICAL_S
"""Longer gaps are another visit to the site: they are neither learned from nor judged."""
BIN_MS = 250
N_BINS = round(1000 * HORIZON_S / BIN_MS) + 1
MIN_WIDTH_S = 0.5
N_NEUTRAL = 2.0
"""Pseudo-observations that are no evidence either way: they limit the effect of outliers and of few
observations.
"""
UNIFORM = 0.05
"""Share of a uniform density in that of any two people."""
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps on the way from one camera to another.

    Attributes:
        gaps_s: gaps of people who went that way, (k,) seconds.
        anybody: `histogram` of the gaps between any two tracklets, (bins,).
    """

    gaps_s: Array
    anybody: Array


def bins(gap_ms: Array) -> Array:
    """Return the bins of gaps.

    Args:
        gap_ms: whole milliseconds, 0 or more, (n,).

    Returns:
        Bins, (n,) int64; the last for all gaps beyond the horizon.
    """
    return np.asarray(np.minimum(gap_ms // BIN_MS, N_BINS - 1), np.int64)


def histogram(gap_ms: Array, weight: Array) -> Array:
    """Count gaps by bin.

    Args:
        gap_ms: whole milliseconds, 0 or more, (n,).
        weight: weight of each gap, (n,).

    Returns:
        Summed weights, (bins,).
    """
    return np.bincount(bins(gap_ms), weight, minlength=N_BINS)


def log_odds(ways: Sequence[Gaps]) -> Array:
    """Return the log odds of gaps, for several ways.

    Args:
        ways: the gaps on each way.

    Returns:
        Log odds by bin, (ways, bins) float32; 0 where nothing is known.
    """
    table = np.zeros((len(ways), N_BINS), np.float32)
    width_s = np.array([_width_s(way.gaps_s) for way in ways])
    for rows in _equal(width_s):
        some = [ways[row] for row in rows.tolist()]
        table[rows] = _log_odds(some, float(width_s[rows[0]]))
    return table


def _log_odds(ways: Sequence[Gaps], width_s: float) -> Array:
    """Log odds by bin (ways, bins) under a window of one width."""
    n = np.array([[len(way.gaps_s)] for way in ways])
    own = _smooth(np.array([_own(way.gaps_s) for way in ways]), width_s)
    anybody = _smooth(np.array([way.anybody for way in ways]), width_s)
    usual = (1 - UNIFORM) * anybody + UNIFORM / N_BINS
    return np.asarray(np.log((n * own / usual + N_NEUTRAL) / (n + N_NEUTRAL)))


def _own(gaps_s: Array) -> Array:
    gap_ms = np.rint(gaps_s * 1000)
    return histogram(gap_ms, np.ones(len(gaps_s)))


def _smooth(histograms: Array, width_s: float) -> Array:
    """Densities (rows, bins) that sum to 1, or 0 where nothing was seen."""
    model = TransitionModel(histograms[None], BIN_MS)
    return np.asarray(spatial_temporal.smooth(model, 1000 * width_s / BIN_MS).table[0])


def _width_s(gaps_s: Array) -> float:
    """Silverman's width of the window, at least `MIN_WIDTH_S`, rounded to quarter octaves."""
    if not len(gaps_s):
        return MIN_WIDTH_S
    lower, upper = np.percentile(gaps_s, (25, 75))
    spread_s = min(float(np.std(gaps_s)), float(upper - lower) / 1.34)
    width_s = 0.9 * spread_s * len(gaps_s) ** -0.2
    octaves = np.log2(max(width_s / MIN_WIDTH_S, 1))
    rounded = np.rint(4 * octaves) / 4
    return float(MIN_WIDTH_S * 2**rounded)


def _equal(values: Array) -> Iterator[Array]:
    """Indices of equal values, at most `BLOCK` at a time."""
    for value in np.unique(values):
        rows = np.flatnonzero(values == value)
        for low in range(0, len(rows), BLOCK):
            yield rows[low : low + BLOCK]
