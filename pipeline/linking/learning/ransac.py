"""A homography between the feet in two pictures that explains as many people as possible.

Most pairs of places are of two different people, so a fit to all points, or to points drawn one by
one, seldom finds the right homography. Two things help. A hypothesis is drawn from two pairs of
tracklets, two places of each: if both are of one person, all four places are right. And each
sighting counts once: a homography that maps everybody to one place explains one person only.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.linking.learning.feet import Feet
from pipeline.records import Array

FITS_M = 0.3
"""Places this close to where they should be agree with a homography."""
N_TRIES = 500
N_SAMPLED = 300
"""Places by which hypotheses are compared first."""
N_REFINED = 5
"""Hypotheses that are refined, those that explain most."""
MAX_STEPS = 5
MIN_POINTS = 8
MIN_DETERMINANT = 1e-4
"""Smallest of four points, and of a hypothesis, in metres. The sign is that of a floor which both
cameras see from above.
"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A homography, or none.

    Attributes:
        matrix: pixels of the first picture to pixels of the second, (3, 3); (0, 0) for none.
        n_explained: how many sightings, each counted once, of either picture agree with it.
    """

    matrix: Array
    n_explained: int


NONE = Fitted(np.zeros((0, 0)), 0)


def search(feet: Feet) -> Fitted:
    """Find the homography that explains most sightings.

    Args:
        feet: places of tracklets that are seen at once, of one person or not.

    Returns:
        The best one; `NONE` from too few places.
    """
    if len(feet) < MIN_POINTS:
        return NONE
    rng = np.random.default_rng(0)
    scaled, here_to_metres, there_to_metres = _in_metres(feet)
    matrices = _hypotheses(scaled, rng)
    sample = scaled
    if len(scaled) > N_SAMPLED:
        sample = scaled.of(np.sort(rng.choice(len(scaled), N_SAMPLED, replace=False)))
    explained = _explained(matrices, sample)
    best = NONE
    for hypothesis in np.argsort(-explained, kind="stable")[:N_REFINED].tolist():
        fitted = _refined(matrices[hypothesis], scaled)
        if fitted.n_explained > best.n_explained:
            best = fitted
    if best is NONE:
        return NONE
    matrix = np.linalg.inv(there_to_metres) @ best.matrix @ here_to_metres
    return Fitted(matrix, best.n_explained)


def refine(matrix: Array, feet: Feet) -> Fitted:
    """Fit a homography again to the places that agree with it.

    Args:
        matrix: pixels of the first picture to pixels of the second, (3, 3).
        feet: places.

    Returns:
        The one that explains most.
    """
    if len(feet) < MIN_POINTS:
        return NONE
    scaled, here_to_metres, there_to_metres = _in_metres(feet)
    start = there_to_metres @ matrix @ np.linalg.inv(here_to_metres)
    fitted = _refined(start, scaled)
    matrix = np.linalg.inv(there_to_metres) @ fitted.matrix @ here_to_metres
    return Fitted(matrix, fitted.n_explained)


def one_to_one(feet: Feet, off_m: Array) -> Array:
    """Return the places that agree, of each sighting the best.

    Args:
        feet: n places.
        off_m: how far they are off, (n,).

    Returns:
        Indices, (k,).
    """
    kept = np.flatnonzero(off_m <= FITS_M)
    kept = kept[np.argsort(off_m[kept], kind="stable")]
    for side in (0, 1):
        _, first = np.unique(feet.sighting(side)[kept], return_index=True)
        kept = kept[np.sort(first)]
    return kept


def _in_metres(feet: Feet) -> tuple[Feet, Array, Array]:
    """Places in metres around the middle, and the matrices (3, 3) that lead there."""
    here_to_metres = _to_metres(feet.here, feet.metre_here_px)
    there_to_metres = _to_metres(feet.there, feet.metre_there_px)
    scaled = Feet(
        feet.here * here_to_metres[0, 0] + here_to_metres[:2, 2],
        feet.there * there_to_metres[0, 0] + there_to_metres[:2, 2],
        feet.metre_here_px * here_to_metres[0, 0],
        feet.metre_there_px * there_to_metres[0, 0],
        feet.tracklets,
        feet.moments,
    )
    return scaled, here_to_metres, there_to_metres


def _to_metres(places: Array, metre_px: Array) -> Array:
    scale = 1 / float(np.median(metre_px))
    x, y = -scale * places.mean(axis=0)
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def _hypotheses(feet: Feet, rng: np.random.Generator) -> Array:
    """Homographies (t, 3, 3) through two places each of two pairs of tracklets."""
    pair = feet.pair()
    order = np.argsort(pair, kind="stable")
    low = np.searchsorted(pair[order], pair, side="left")
    high = np.searchsorted(pair[order], pair, side="right")
    one = rng.integers(len(feet), size=(N_TRIES, 2))
    drawn = low[one] + rng.random((N_TRIES, 2)) * (high[one] - low[one])
    other = order[drawn.astype(np.int64)]
    four = np.concatenate([one, other], axis=1)
    here = feet.here[four]
    there = feet.there[four]

    # With the middle of the picture at depth 1, four points are eight linear equations.
    ones = np.ones((*four.shape, 1))
    zeros = np.zeros((*four.shape, 3))
    point = np.concatenate([here, ones], axis=2)
    to_x = np.concatenate([point, zeros, -there[..., :1] * here], axis=2)
    to_y = np.concatenate([zeros, point, -there[..., 1:] * here], axis=2)
    equations = np.concatenate([to_x, to_y], axis=1)
    wanted = np.concatenate([there[..., 0], there[..., 1]], axis=1)
    is_solvable = np.abs(np.linalg.det(equations)) > MIN_DETERMINANT
    solved = np.linalg.solve(equations[is_solvable], wanted[is_solvable][..., None])[..., 0]
    depth = np.ones((len(solved), 1))
    matrices = np.concatenate([solved, depth], axis=1).reshape(-1, 3, 3)
    return np.asarray(matrices[np.linalg.det(matrices) > MIN_DETERMINANT])


def _explained(matrices: Array, feet: Feet) -> Array:
    """How many sightings agree with each of some homographies (t, 3, 3), (t,)."""
    if not len(matrices):
        return np.zeros(0, np.int64)
    off_there_m = _off_m(matrices, feet.here, feet.there, feet.metre_there_px)
    backward = np.linalg.inv(matrices)
    off_here_m = _off_m(backward, feet.there, feet.here, feet.metre_here_px)
    agrees = off_there_m + off_here_m <= 2 * FITS_M
    return np.minimum(_seen(agrees, feet.sighting(0)), _seen(agrees, feet.sighting(1)))


def _off_m(matrices: Array, points: Array, wanted: Array, metre: Array) -> Array:
    """How far points (n, 2) are from where homographies (t, 3, 3) should map them, (t, n) m."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    mapped = matrices @ homogeneous.T
    depth = mapped[:, 2]
    is_ahead = depth > 0
    divisor = np.where(is_ahead, depth, 1)
    off_x = mapped[:, 0] / divisor - wanted[:, 0]
    off_y = mapped[:, 1] / divisor - wanted[:, 1]
    return np.asarray(np.where(is_ahead, np.hypot(off_x, off_y) / metre, np.inf))


def _seen(agrees: Array, sighting: Array) -> Array:
    """How many different sightings (n,) agree, for each row of agrees (t, n), (t,)."""
    order = np.argsort(sighting, kind="stable")
    starts = np.flatnonzero(np.diff(sighting[order], prepend=-1))
    any_agrees = np.logical_or.reduceat(agrees[:, order], starts, axis=1)
    return np.asarray(any_agrees.sum(axis=1))


def _refined(matrix: Array, feet: Feet) -> Fitted:
    """Fit a homography again to what agrees with it, until it explains no more."""
    best = Fitted(matrix, int(_explained(matrix[None], feet)[0]))
    for _ in range(MAX_STEPS):
        agreeing = one_to_one(feet, feet.off_m(best.matrix))
        again = fit(feet.of(agreeing))
        if not again.size or np.linalg.det(again) < MIN_DETERMINANT:
            break
        n_explained = int(_explained(again[None], feet)[0])
        if n_explained < best.n_explained:
            break
        is_final = n_explained == best.n_explained
        best = Fitted(again, n_explained)
        if is_final:
            break
    return best


def fit(feet: Feet) -> Array:
    """Fit a homography by least squares.

    Args:
        feet: places of one person each.

    Returns:
        The matrix (3, 3); (0, 0) for too few places.
    """
    if len(feet) < MIN_POINTS:
        return np.zeros((0, 0))
    scaled, here_to_metres, there_to_metres = _in_metres(feet)
    matrix, _ = cv2.findHomography(scaled.here, scaled.there, 0)
    if matrix is None or np.linalg.det(matrix) < 1e-12:
        return np.zeros((0, 0))
    return np.asarray(np.linalg.inv(there_to_metres) @ matrix @ here_to_metres)
