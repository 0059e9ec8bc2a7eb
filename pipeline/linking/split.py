"""Cut a tracklet in two where its crops change from one person to another.

The tracker cuts most tracks where an id switch is likely (`pipeline.tracklets`). The other switches
show only in the crops: those before a moment are of one person, those after it of another. The odds
are weighted by the quality of the crops, so poor crops prove nothing. The cut is made at the row
with the lowest score between the two crops. Splitting does not decide whose the pieces are: the
later piece is marked ambiguous, and linking decides. On three rendered worlds it finds one such
tracklet each, of about two hundred.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.linking.evidence.appearance import Curve, clarity_of
from pipeline.records import Embedded

MIN_ODDS = 1.0
"""Log odds for two people that a cut needs."""
MIN_CROPS = 2
"""On either side of a cut."""


def split(embedded: Sequence[Embedded], names: Sequence[str], curve: Curve) -> list[Embedded]:
    """Cut what falls apart; the rest is returned as it is. names: the cameras of the curve."""
    index = {name: i for i, name in enumerate(names)}
    found: list[Embedded] = []
    waiting = list(reversed(embedded))
    while waiting:
        e = waiting.pop()
        k = _where(e, float(curve.even[index[e.tracklet.camera]]), curve.scale)
        if k:
            waiting += reversed(_cut(e, k))  # either may hold a third person
        else:
            found.append(e)
    return found


def _where(e: Embedded, even: float, scale: float) -> int:
    """How many crop embeddings come before the cut; 0 for none."""
    if len(e.crop_embeddings) < 2 * MIN_CROPS:
        return 0
    quality = np.maximum(e.crop_quality.astype(np.float64), 1e-3)
    sums = np.cumsum(e.crop_embeddings * quality[:, None], axis=0)
    before = sums[MIN_CROPS - 1 : -MIN_CROPS]
    after = sums[-1] - before
    cosines = np.einsum("kd,kd->k", before, after) / (
        np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    )
    seen = np.cumsum(quality)
    clear = clarity_of(seen[MIN_CROPS - 1 : -MIN_CROPS]) * clarity_of(
        seen[-1] - seen[MIN_CROPS - 1 : -MIN_CROPS]
    )
    odds = clear * (cosines - even * clear) / scale
    k = int(np.argmin(odds))
    return k + MIN_CROPS if odds[k] < -MIN_ODDS else 0


def _cut(e: Embedded, k: int) -> tuple[Embedded, Embedded]:
    """Cut before crop k: at the row with the lowest score between it and the crop before."""
    t = e.tracklet
    is_between = (t.times_s > e.crop_times_s[k - 1]) & (t.times_s <= e.crop_times_s[k])
    between = np.flatnonzero(is_between)
    row = int(between[np.argmin(t.scores[between])])
    later = e.rows(slice(row, None))
    return e.rows(slice(0, row)), replace(later, tracklet=replace(later.tracklet, ambiguous=True))
