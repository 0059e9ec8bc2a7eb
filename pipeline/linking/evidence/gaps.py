"""Log odds of a gap between two cameras: one person's gaps against anybody's.

The density of gaps is that of ST-ReID (`models.reid.evaluation.spatial_temporal`): a histogram
under a Gaussian window, whose width follows Silverman's rule. Both densities are smoothed alike, so
coarseness is no evidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.reid.evaluation import spatial_temporal
from models.reid.evaluation.spatial_temporal import TransitionModel
from pipeline.config import MAX_TYPICAL_S
from pipeline.records import Array

HORIZON_S = MAX_TYPICAL_S
"""Longer gaps are another visit to the site: nothing is learned from them, and nothing said of
them.
"""
BIN_MS = 250
N_BINS = round(1000 * HORIZON_S / BIN_MS) + 1
MIN_WIDTH_S = 0.5
N_NEUTRAL = 2.0
"""Observations that speak neither for nor against: the outlier floor, and what keeps a handful of
steps modest.
"""
UNIFORM = 0.05
"""Share of anybody's gaps that may be anything."""
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Gaps:
    """Of one way from camera to camera: gaps_s (k,) of people who went it, and `histogram` of
    anybody's (bins,).
    """

    gaps_s: Array
    anybody: Array


def bins(gap_ms: Array) -> Array:
    """Bin of gaps in whole milliseconds, 0 or more; what lies beyond the horizon is in the last."""
    return np.asarray(np.minimum(gap_ms // BIN_MS, N_BINS - 1), np.int64)


def histogram(gap_ms: Array, weight: Array) -> Array:
    """Weighted count of gaps (n,) by bin (bins,)."""
    return np.bincount(bins(gap_ms), weight, minlength=N_BINS)


def log_odds(ways: Sequence[Gaps]) -> Array:
    """Log odds by bin (ways, bins) float32; 0 where nothing speaks for or against."""
    table = np.zeros((len(ways), N_BINS), np.float32)
    width_s = np.array([_width_s(way.gaps_s) for way in ways])
    for rows in _equal(width_s):
        some = [ways[row] for row in rows.tolist()]
        n = np.array([[len(way.gaps_s)] for way in some])
        own = np.array(
            [histogram(np.rint(way.gaps_s * 1000), np.ones(len(way.gaps_s))) for way in some]
        )
        own, usual = (
            _smooth(part, float(width_s[rows[0]]))
            for part in (own, np.array([way.anybody for way in some]))
        )
        table[rows] = np.log(
            (n * own / ((1 - UNIFORM) * usual + UNIFORM / N_BINS) + N_NEUTRAL) / (n + N_NEUTRAL)
        )
    return table


def _smooth(histograms: Array, width_s: float) -> Array:
    """Densities (rows, bins) that sum to 1, or 0 where nothing was seen."""
    model = TransitionModel(histograms[None], BIN_MS)
    return np.asarray(spatial_temporal.smooth(model, 1000 * width_s / BIN_MS).table[0])


def _width_s(gaps_s: Array) -> float:
    """Silverman's width of the window, at least `MIN_WIDTH_S`, in steps of a quarter of an
    octave.
    """
    if not len(gaps_s):
        return MIN_WIDTH_S
    low, high = np.percentile(gaps_s, (25, 75))
    width = 0.9 * min(float(np.std(gaps_s)), float(high - low) / 1.34) * len(gaps_s) ** -0.2
    return float(MIN_WIDTH_S * 2 ** (np.rint(4 * np.log2(max(width / MIN_WIDTH_S, 1))) / 4))


def _equal(values: Array) -> Iterator[Array]:
    """Indices of equal values, `BLOCK` at a time."""
    for value in np.unique(values):
        rows = np.flatnonzero(values == value)
        yield from (rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK))
