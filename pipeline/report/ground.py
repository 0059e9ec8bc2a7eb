"""The floor of one camera in metres, approximately, from the heights of people's boxes.

A camera without roll stands `height_m` above a flat floor and looks down by `tilt`. With pixels
(u, v) counted from the middle of the picture, v downwards, and focal length f, the ray of a pixel
goes down by d = v cos(tilt) + f sin(tilt) while it goes forward by e = f cos(tilt) - v sin(tilt)
and sideways by u. It meets the floor at

    x = height_m u / d        y = height_m e / d        with d > 0, below the horizon.

Somebody upright has the feet and the head at the same y. With t = d / e, the slope of a ray,

    1 - t(head) / t(feet) = person's height / height_m.

So the tilt is the one at which this ratio is the same wherever people stand, and the ratio gives
the height of the camera, with `PERSON_M` for a person. The focal length is assumed: heights say
next to nothing about it. Where it is wrong by a share, depths are wrong by about the same share
against widths.

At eight rendered cameras whose geometry is known, with boxes of the detector, distances came out
between 0.88 and 1.15 of the true ones (percentiles 10 and 90), the median of each camera between
0.9 and 1.07. With a focal length of 0.65 or 1 times the width of the picture they stay within a
fifth (simulated).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.linking.index import PERSON_M
from pipeline.records import Array

FOCAL_SHARE = 0.8
"""Focal length as a share of the longer side of the picture: 64 degrees of view. Most cameras that
watch rooms and streets have 0.6 to 1.
"""
TILTS = np.radians(np.arange(-15.0, 70.0, 0.25))
HEIGHTS_M = (0.8, 40.0)
"""Heights of cameras that are believed."""
N_BANDS = 12
MIN_IN_BAND = 5
MIN_BANDS = 4
"""Bands of the picture in which people stood; in fewer all stood equally far away."""
N_BLOCKS = 20
MAX_DOUBT = 0.4
"""Largest difference of depths between both halves of the people."""
MAX_SPREAD = 0.2
"""Median difference of people's heights, as a share: more, and boxes are not of people who stand.
Measured at real and rendered sites: 0.03 to 0.08.
"""

Fitted = tuple[float, float]
"""Tilt, radians, and height, metres, of a camera."""


@dataclass(frozen=True, slots=True)
class Ground:
    """How a camera sees the floor.

    Attributes:
        matrix: homography (3, 3) from pixels to metres: x to the right of the camera, y ahead of
            it.
        tilt: radians by which the camera looks down.
        doubt: by which share the depths differ when either half of the people is measured.
    """

    matrix: Array
    tilt: float
    doubt: float


def estimate(standing: Array, size: tuple[int, int]) -> Ground | None:
    """Estimate how a camera sees the floor.

    Args:
        standing: (n, 2) px, feet and head (y) of people who are seen in full, anybody several
            times; neighbours are of one person.
        size: width and height of the picture, px.

    Returns:
        The floor; None where heights do not tell it.
    """
    if min(size) <= 0:
        return None
    focal_px = FOCAL_SHARE * max(size)
    from_middle = standing - size[1] / 2
    fitted = _fit(from_middle, focal_px)
    if fitted is None or not _spread(from_middle, fitted, focal_px) <= MAX_SPREAD:
        return None
    doubt = _doubt(from_middle, focal_px)
    if not doubt <= MAX_DOUBT:
        return None
    tilt, height_m = fitted
    return Ground(matrix_of(tilt, height_m, focal_px, size), tilt, doubt)


def matrix_of(tilt: float, height_m: float, focal_px: float, size: tuple[int, int]) -> Array:
    """Return the homography (3, 3) from pixels to metres of the floor.

    Args:
        tilt: radians by which the camera looks down.
        height_m: its height.
        focal_px: its focal length.
        size: width and height of the picture, px.
    """
    sine = np.sin(tilt)
    cosine = np.cos(tilt)
    from_middle = np.array([[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, 1]])
    to_floor = np.array(
        [
            [height_m, 0, 0],
            [0, -height_m * sine, height_m * focal_px * cosine],
            [0, cosine, focal_px * sine],
        ]
    )
    return np.asarray(to_floor @ from_middle)


def _fit(standing: Array, focal_px: float) -> Fitted | None:
    """Measure the camera by feet and heads (n, 2), counted from the middle of the picture.

    Returns:
        Tilt and height; None where people were in too few bands of the picture.
    """
    bands = _bands(standing)
    if len(bands) < MIN_BANDS:
        return None
    feet = _slopes(bands[:, 0], TILTS[:, None], focal_px)
    heads = _slopes(bands[:, 1], TILTS[:, None], focal_px)
    weights = np.sqrt(bands[:, 2])
    with np.errstate(divide="ignore", invalid="ignore"):  # at tilts that are left out
        ratios = 1 - heads / feet
        typical = np.average(ratios, axis=1, weights=weights)
        spread = np.average(np.abs(ratios / typical[:, None] - 1), axis=1, weights=weights)
    spread[(feet <= 0).any(axis=1) | (typical <= 0)] = np.inf
    best = int(spread.argmin())
    height_m = PERSON_M / float(typical[best])
    is_inside = 0 < best < len(TILTS) - 1 and HEIGHTS_M[0] < height_m < HEIGHTS_M[1]
    if not np.isfinite(spread[best]) or not is_inside:
        return None
    return float(TILTS[best]), height_m


def _slopes(v: Array, tilt: Array | float, focal_px: float) -> Array:
    """How steeply the rays of pixels go down."""
    return np.asarray(np.tan(tilt + np.arctan(v / focal_px)))


def _bands(standing: Array) -> Array:
    """Medians of feet and heads of the people in each band of the picture, and how many: (k, 3).

    What is hidden of some of them, and how tall they are, then matters little.
    """
    if not len(standing):
        return np.zeros((0, 3))
    top, bottom = np.percentile(standing[:, 0], (1, 99))
    edges = np.linspace(top, bottom, N_BANDS + 1)[1:-1]
    band = np.searchsorted(edges, standing[:, 0])
    found = []
    for number in range(N_BANDS):
        here = standing[band == number]
        if len(here) >= MIN_IN_BAND:
            feet = np.median(here[:, 0])
            height = np.median(here[:, 0] - here[:, 1])
            found.append((feet, feet - height, len(here)))
    return np.array(found).reshape(-1, 3)


def _spread(standing: Array, fitted: Fitted, focal_px: float) -> float:
    """Median difference of people's heights from `PERSON_M`, as a share."""
    tilt, height_m = fitted
    slopes = _slopes(standing, tilt, focal_px)
    heights_m = height_m * (1 - slopes[:, 1] / slopes[:, 0])
    return float(np.median(np.abs(heights_m / PERSON_M - 1)))


def _doubt(standing: Array, focal_px: float) -> float:
    """By which share depths differ when either half of the people is measured.

    Halves are made of blocks of neighbours, so that hardly anybody is in both.
    """
    near_far = np.percentile(standing[:, 0], (90, 10))
    block = np.arange(len(standing)) * N_BLOCKS // len(standing)
    depths_m = []
    for half in (0, 1):
        fitted = _fit(standing[block % 2 == half], focal_px)
        if fitted is None:
            return np.inf
        tilt, height_m = fitted
        near, far = _slopes(near_far, tilt, focal_px)
        if not 0 < far < near:
            return np.inf
        depths_m.append(height_m / far - height_m / near)
    return float(abs(np.log(depths_m[0] / depths_m[1])))
