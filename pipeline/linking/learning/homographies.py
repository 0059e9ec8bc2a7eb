"""Estimate homographies between overlapping cameras without calibration, from people's feet.

The floor in two pictures is related by a homography. Somebody seen by both cameras at once stands
on one point of it, so the bottoms of the two boxes are a pair of points. Who is whom is not asked:
where people look alike, pairs by appearance are mostly wrong, and where looks are distinct they are
not needed. The homography that explains most sightings one to one is searched (`ransac`).

What keeps wrong ones out is *chance*: the same search with the clock of one camera shifted so far
that nobody can be matched right. Free as a homography is, it explains a few walks of strangers, and
most of the time of people who stand or sit. One is only used when it explains many more sightings
at the true time than the best at `N_SHIFTS` wrong ones. On real and rendered cameras that overlap
the ratio is 1.6 or more; on others with enough sightings, real and simulated, it is at most 1.4.
Cross-validation alone does not do: people who stay where they are agree again with any homography
that they agreed with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.linking.index import TrackletIndex, View
from pipeline.linking.learning import correspondences, ransac
from pipeline.linking.learning import feet as places
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.feet import SAMPLE_S, Feet, Sightings
from pipeline.linking.learning.ransac import FITS_M, Fitted
from pipeline.records import Array

MIN_EXPLAINED = 20
"""Sightings that are explained at least: fewer are explained by chance, however few people."""
FEW_CAMERAS = 8
"""Of so many, any two may overlap, whatever people look like. Time grows with the square of it."""
N_SHIFTS = 6
MIN_SHIFT_S = 2 * correspondences.NEAR_S
"""Smallest shift of a clock that is wrong for certain."""
MIN_SHIFTS = 3
BEYOND_CHANCE = 1.5
"""Sightings that are explained, as a multiple of the most that are by chance."""
SURE = 2.0
"""The same, where the best of many clock offsets was chosen."""
BETTER = 1.1
"""Sightings that are explained with a clock offset, as a multiple of those without."""
MIN_SPAN_M = 0.15
"""Least standard deviation of the points in any direction: points on a line fit many homographies.
"""
MAX_PAIRS = 500
"""Pairs of tracklets among which those that agree are looked for, for the last fit."""
MAX_ERROR_M = 0.6
FOLDS = 4
FOLD_S = 5.0
FINE_S = 0.1
SURE_AGREE = 0.8
"""When this share of the feet agrees, no finer clock offset is searched."""


@dataclass(frozen=True, slots=True)
class Homography:
    """Maps the floor in the picture of one camera to that in the picture of another.

    Attributes:
        cameras: names of the two.
        matrix: pixels of the first to pixels of the second, (3, 3).
        error_m: median error for people left out of the fit, in metres by the height of boxes.
        n_points: places to which it was fitted.
        n_pairs: pairs of tracklets that they are from.
        agree: share of the places within `FITS_M`, 0..1.
        offset: clock offset, found with it.
    """

    cameras: tuple[str, str]
    matrix: Array
    error_m: float
    n_points: int
    n_pairs: int
    agree: float
    offset: Offset

    def in_words(self) -> str:
        """Return a line for readers of run.json."""
        first, second = self.cameras
        of = f"{self.n_points} places of {self.n_pairs} pairs of tracklets, {self.agree:.0%} agree"
        return f"{first} and {second} overlap: floor matched to {self.error_m:.1f} m ({of})"


def estimate(
    index: TrackletIndex, pairs: Array, known: Sequence[Homography] = ()
) -> list[Homography]:
    """Estimate the homographies between cameras without a common floor.

    Args:
        index: all tracklets.
        pairs: pairs (m, 2) of `correspondences.likely_pairs`. Where cameras share people by
            appearance, a clock offset is searched; of many cameras only those are tried.
        known: those found earlier in this run; where they still hold they are fitted again, which
            takes a third of the time of a search.

    Returns:
        Homographies; unreliable ones are left out.
    """
    share_people = correspondences.by_cameras(index, pairs)
    before = {frozenset(homography.cameras): homography for homography in known}
    found = []
    for cameras in combinations(range(len(index.names)), 2):
        if index.has_floor[list(cameras)].all():
            continue
        if len(index.names) > FEW_CAMERAS and cameras not in share_people:
            continue
        # The camera of the earliest tracklet is first, so that camera names change nothing.
        first, second = sorted(cameras, key=lambda camera: int(np.argmax(index.camera == camera)))
        sightings = Sightings(index, first, second)
        names = (index.names[first], index.names[second])
        matched = None
        if frozenset(names) in before:
            matched = _fitted_again(names, sightings, before[frozenset(names)])
        if matched is None:
            matched = _matched(sightings, cameras in share_people)
        if matched is not None:
            homography = _described(names, sightings, matched)
            if homography is not None:
                found.append(homography)
    return found


def views(names: Sequence[str], found: Sequence[Homography]) -> dict[tuple[int, int], View]:
    """Return homographies in both directions.

    Args:
        names: cameras in order.
        found: homographies; those of other cameras are ignored.

    Returns:
        Views by (from, to), indices of cameras.
    """
    index = {name: i for i, name in enumerate(names)}
    there = {}
    back = {}
    for homography in found:
        first, second = homography.cameras
        if first not in index or second not in index:
            continue
        inverse = np.linalg.inv(homography.matrix)
        n_agree = homography.agree * homography.n_points
        agree = (n_agree + 1) / (homography.n_points + 2)
        there[index[first], index[second]] = View(homography.matrix, homography.error_m, agree)
        back[index[second], index[first]] = View(inverse, homography.error_m, agree)
    return there | back


@dataclass(frozen=True, slots=True)
class _Matched:
    """A homography that was fitted at a clock offset."""

    offset_s: float
    fitted: Fitted

    @property
    def n_explained(self) -> int:
        return self.fitted.n_explained


def _matched(sightings: Sightings, may_be_off: bool) -> _Matched | None:
    """Search the homography of two cameras; None when it explains no more than chance.

    may_be_off: whether clock offsets are searched.
    """
    here = _search(sightings, 0.0)
    is_here = _is_beyond_chance(sightings, here, BEYOND_CHANCE)
    if not may_be_off or (is_here and _agrees(sightings, here)):
        return here if is_here else None
    offsets_s = np.arange(-correspondences.NEAR_S, correspondences.NEAR_S + SAMPLE_S, SAMPLE_S)
    elsewhere = here
    for offset_s in offsets_s.tolist():
        matched = _search(sightings, offset_s)
        if matched.n_explained > elsewhere.n_explained:
            elsewhere = matched
    is_better = elsewhere.n_explained >= BETTER * here.n_explained
    if is_better and _is_beyond_chance(sightings, elsewhere, SURE):
        return elsewhere
    return here if is_here else None


def _fitted_again(
    names: tuple[str, str], sightings: Sightings, known: Homography
) -> _Matched | None:
    """Fit a homography of these cameras again; None when it no longer explains enough."""
    is_same_way = known.cameras == names
    matrix = known.matrix if is_same_way else np.linalg.inv(known.matrix)
    offset_s = _sign(names) * known.offset.offset_s
    feet = sightings.feet(sightings.at_once(offset_s, MAX_PAIRS), offset_s)
    matched = _Matched(offset_s, ransac.refine(matrix, feet))
    if matched.n_explained < MIN_EXPLAINED or not _agrees(sightings, matched):
        return None
    return matched


def _sign(names: tuple[str, str]) -> int:
    """Sign of a clock offset that is stored for the cameras in the order of their names."""
    return 1 if names[0] < names[1] else -1


def _share(feet: Feet, matrix: Array) -> float:
    """Share of places that agree with a homography."""
    return float((feet.off_m(matrix) <= FITS_M).mean()) if len(feet) else 0.0


def _agrees(sightings: Sightings, matched: _Matched) -> bool:
    """Whether nearly all feet of the pairs of which most agree do."""
    _, feet = _chosen(sightings, matched)
    return _share(feet, matched.fitted.matrix) >= SURE_AGREE


def _search(sightings: Sightings, offset_s: float) -> _Matched:
    feet = sightings.feet(sightings.at_once(offset_s), offset_s)
    n_sightings = min(len(np.unique(feet.sighting(side))) for side in (0, 1))
    if n_sightings < MIN_EXPLAINED:
        return _Matched(offset_s, ransac.NONE)
    return _Matched(offset_s, ransac.search(feet))


def _is_beyond_chance(sightings: Sightings, matched: _Matched, times: float) -> bool:
    """Whether a homography explains so many times the sightings that any does at wrong times.

    Times are shifted in a circle, so that as many people are seen at once as in truth. Recordings
    that are too short for that say nothing.
    """
    if matched.n_explained < MIN_EXPLAINED:
        return False
    span_s = sightings.span_s()
    shifts_s = np.arange(1, N_SHIFTS + 1) * span_s / (N_SHIFTS + 1)
    is_far = (shifts_s >= MIN_SHIFT_S) & (span_s - shifts_s >= MIN_SHIFT_S)
    for shift_s in shifts_s[is_far].tolist():
        parts = []
        for shifted_s in (shift_s, shift_s - span_s):
            offset_s = SAMPLE_S * round(shifted_s / SAMPLE_S)
            parts.append(sightings.feet(sightings.at_once(offset_s), offset_s))
        by_chance = ransac.search(places.join(parts))
        if matched.n_explained < times * by_chance.n_explained:
            return False
    return int(is_far.sum()) >= MIN_SHIFTS


def _described(
    names: tuple[str, str], sightings: Sightings, matched: _Matched
) -> Homography | None:
    """Return the homography with its error, or None if that is too large."""
    pairs, feet = _chosen(sightings, matched)
    if _share(feet, matched.fitted.matrix) < SURE_AGREE:
        matched = _finer(sightings, pairs, matched)
        _, feet = _chosen(sightings, matched)
    matched = _Matched(matched.offset_s, ransac.refine(matched.fitted.matrix, feet))
    matrix = matched.fitted.matrix
    if not matrix.size:
        return None
    pairs, feet = _chosen(sightings, matched)
    off_m = feet.off_m(matrix)
    agreeing = ransac.one_to_one(feet, off_m)
    if not len(agreeing) or _span_m(feet.of(agreeing)) < MIN_SPAN_M:
        return None
    error_m = _error_m(feet, agreeing)
    if error_m > MAX_ERROR_M:
        return None
    before = sightings.feet(pairs, 0.0)
    before_m = float(np.median(before.off_m(matrix))) if len(before) else np.nan
    offset_s = _sign(names) * round(matched.offset_s, 2)
    offset = Offset((min(names), max(names)), offset_s, before_m, error_m, len(pairs))
    agree = _share(feet, matrix)
    return Homography(names, matrix, error_m, len(feet), len(pairs), agree, offset)


def _finer(sightings: Sightings, pairs: Array, matched: _Matched) -> _Matched:
    """Improve the clock offset with the pairs of tracklets that agree."""
    best = matched
    for step_s in np.arange(-SAMPLE_S, SAMPLE_S, FINE_S)[1:].tolist():
        offset_s = matched.offset_s + step_s
        feet = sightings.feet(pairs, offset_s)
        fitted = ransac.refine(matched.fitted.matrix, feet)
        if fitted.n_explained > best.n_explained:
            best = _Matched(offset_s, fitted)
    is_better = best.n_explained >= BETTER * matched.n_explained
    return best if is_better else matched


def _chosen(sightings: Sightings, matched: _Matched) -> tuple[Array, Feet]:
    """Return the pairs of tracklets (k, 2) of which most places agree, and all their places."""
    feet = sightings.feet(sightings.at_once(matched.offset_s, MAX_PAIRS), matched.offset_s)
    agrees = np.zeros(len(feet), np.bool_)
    agrees[ransac.one_to_one(feet, feet.off_m(matched.fitted.matrix))] = True
    _, pair = np.unique(feet.pair(), return_inverse=True)
    n_agree = np.bincount(pair, agrees)
    is_chosen = 2 * n_agree >= np.bincount(pair)
    chosen = feet.of(is_chosen[pair])
    return np.unique(chosen.tracklets, axis=0), chosen


def _error_m(feet: Feet, agreeing: Array) -> float:
    """Cross-validate: median error at times that were left out of a fit to the others."""
    fold = feet.moments[:, 0] // round(FOLD_S / SAMPLE_S) % FOLDS
    off_m = [np.zeros(0)]
    for left_out in range(FOLDS):
        is_out = fold == left_out
        matrix = ransac.fit(feet.of(agreeing[fold[agreeing] != left_out]))
        if matrix.size and is_out.any():
            off_m.append(feet.of(is_out).off_m(matrix))
    all_off_m = np.concatenate(off_m)
    return float(np.median(all_off_m)) if len(all_off_m) else np.inf


def _span_m(feet: Feet) -> float:
    """Smallest standard deviation of the places in any direction, in either picture."""
    span_here_m = _picture_span_m(feet.here, feet.metre_here_px)
    span_there_m = _picture_span_m(feet.there, feet.metre_there_px)
    return min(span_here_m, span_there_m)


def _picture_span_m(places: Array, metre_px: Array) -> float:
    centred = places - places.mean(axis=0)
    spreads_px = np.linalg.svd(centred / np.sqrt(len(places)), compute_uv=False)
    return float(spreads_px[-1]) / float(np.median(metre_px))
