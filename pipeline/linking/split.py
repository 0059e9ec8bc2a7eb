"""Cut a tracklet in two at an id switch that shows in its crops.

Most tracks are cut where an id switch is likely before this (`pipeline.tracklets`). The other
switches show only in the crops: those before a moment are of one person, those after it of another.
The odds are weighted by the quality of the crops, so poor crops are no evidence. Between the two
crops, which may be many seconds apart, the cut is made where the box jumps most: at eight switches
in real sequences that is 0.15 s from the switch on average, the row with the lowest score 0.6 s.
Splitting does not decide who the pieces are: the later piece is marked ambiguous, and linking
decides. On three rendered worlds it finds one such tracklet each, of about two hundred.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.linking.evidence.appearance import Curve, clarity_of
from pipeline.records import Array, Embedded, Tracklet

MIN_ODDS = 1.0
"""Log odds for two people that a cut needs."""
MIN_CROPS = 2
"""On either side of a cut."""


def split(embedded: Sequence[Embedded], names: Sequence[str], curve: Curve) -> list[Embedded]:
    """Cut tracklets that hold more than one person.

    Args:
        embedded: tracklets.
        names: cameras of the curve, in order.
        curve: log odds of a cosine.

    Returns:
        All tracklets in order, each whole or in its pieces.
    """
    camera = {name: number for number, name in enumerate(names)}
    found: list[Embedded] = []
    waiting = list(reversed(embedded))
    while waiting:
        tracklet = waiting.pop()
        even = float(curve.even[camera[tracklet.tracklet.camera]])
        n_before = _where(tracklet, even, curve.scale)
        if n_before:
            pieces = _cut(tracklet, n_before)
            waiting += reversed(pieces)  # either may hold a third person
        else:
            found.append(tracklet)
    return found


def _where(embedded: Embedded, even: float, scale: float) -> int:
    """How many crop embeddings come before the cut; 0 for none."""
    if len(embedded.crop_embeddings) < 2 * MIN_CROPS:
        return 0
    quality = np.maximum(embedded.crop_quality.astype(np.float64), 1e-3)
    sums = np.cumsum(embedded.crop_embeddings * quality[:, None], axis=0)
    before = sums[MIN_CROPS - 1 : -MIN_CROPS]
    after = sums[-1] - before
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = np.einsum("kd,kd->k", before, after) / norms

    summed_quality = np.cumsum(quality)
    quality_before = summed_quality[MIN_CROPS - 1 : -MIN_CROPS]
    quality_after = summed_quality[-1] - quality_before
    clear = clarity_of(quality_before) * clarity_of(quality_after)
    odds = clear * (cosines - even * clear) / scale
    lowest = int(np.argmin(odds))
    is_switch = odds[lowest] < -MIN_ODDS
    return lowest + MIN_CROPS if is_switch else 0


def _cut(embedded: Embedded, crop: int) -> tuple[Embedded, Embedded]:
    """Cut before a crop: where the box jumps most between it and the crop before."""
    tracklet = embedded.tracklet
    is_after = tracklet.times_s > embedded.crop_times_s[crop - 1]
    is_before = tracklet.times_s <= embedded.crop_times_s[crop]
    between = np.flatnonzero(is_after & is_before)
    largest = np.argmax(_jumps(tracklet)[between])
    row = int(between[largest])
    earlier = embedded.rows(slice(0, row))
    later = embedded.rows(slice(row, None))
    ambiguous = replace(later.tracklet, ambiguous=True)
    return earlier, replace(later, tracklet=ambiguous)


def _jumps(tracklet: Tracklet) -> Array:
    """How far the step to each box is from the steps before and after it, (n,) px; the first is 0.

    Steps are compared at the same duration, so a jump can hide in a gap no better than elsewhere.
    """
    steps = np.diff(tracklet.boxes.astype(np.float64), axis=0)
    duration_s = np.diff(tracklet.times_s)[:, None]
    speed = np.pad(steps / duration_s, ((1, 1), (0, 0)), mode="edge")
    from_before = np.abs(steps - speed[:-2] * duration_s)
    from_after = np.abs(steps - speed[2:] * duration_s)
    jumps = (from_before + from_after).sum(axis=1)
    return np.concatenate([[0.0], jumps])
