"""From boxes to places: foot points, and the floor in metres where a camera has a homography."""

import numpy as np

from pipeline.records import Array, Camera

FOOT_STD = 0.03
"""Standard deviation of a box's bottom edge, as a fraction of its height (measured against truth on
rendered scenes).
"""
CUT_SHARE = 0.06
"""A box that ends at most this share of its height above the lower edge of the picture is cut by
it: two standard deviations of its bottom edge. At two real sites, the feet of one person in two
views were 0.3 to 1.5 m apart (medians) where it is less, and 0.1 m where it is more.
"""
MIN_UPRIGHT = 1.6
"""Height over width of a box that shows somebody to the feet; less of a person was seen when the
box is broader.
"""


SINGULAR = 1e-12
MAX_FACTOR = 1e12
"""A homography may be multiplied by any number; its largest one is at most this, and at least its
inverse, so that products stay finite.
"""


def is_homography(matrix: Array) -> bool:
    """Whether a matrix (3, 3) can be inverted, in whatever units it is given."""
    largest = float(np.abs(matrix).max())
    if not 1 / MAX_FACTOR <= largest <= MAX_FACTOR:  # false for nan as well
        return False
    rows = np.abs(matrix).max(axis=1, keepdims=True)
    if not rows.all():
        return False
    level = matrix / rows
    columns = np.abs(level).max(axis=0, keepdims=True)
    return bool(columns.all() and abs(np.linalg.det(level / columns)) > SINGULAR)


def foot_points(boxes: Array) -> Array:
    """Middle of the bottom edge, (n, 2) float64 px."""
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1).astype(np.float64)


def are_feet_shown(boxes: Array, camera: Camera) -> Array:
    """Say which boxes end at the feet, not at the lower edge of the picture.

    Args:
        boxes: (n, 4) px.
        camera: where they were seen.

    Returns:
        (n,) bool.
    """
    height_px = boxes[:, 3] - boxes[:, 1]
    return np.asarray(boxes[:, 3] + CUT_SHARE * height_px < camera.height)


def are_standing(boxes: Array, camera: Camera) -> Array:
    """Say which boxes show somebody upright to the feet.

    Args:
        boxes: (n, 4) px.
        camera: where they were seen.

    Returns:
        (n,) bool.
    """
    is_upright = boxes[:, 3] - boxes[:, 1] >= MIN_UPRIGHT * (boxes[:, 2] - boxes[:, 0])
    return np.asarray(is_upright & are_feet_shown(boxes, camera))


def project(points: Array, matrix: Array) -> Array:
    """Map points (n, d) by a projective matrix (3, d + 1), such as a homography: (n, 2)."""
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    depth = np.where(
        mapped[:, 2:] == 0, 1e-12, mapped[:, 2:]
    )  # on the horizon: very far, but finite
    return np.asarray(mapped[:, :2] / depth)


def positions(boxes: Array, camera: Camera) -> tuple[Array, Array]:
    """Floor positions (n, 2) m of boxes, and how far off each may be (n,) m; nan where the feet
    were not seen.
    """
    feet = foot_points(boxes)
    higher = feet - [0, 1] * np.maximum(FOOT_STD * (boxes[:, 3:] - boxes[:, 1:2]), 1)
    place = project(feet, camera.homography)
    error = np.linalg.norm(project(higher, camera.homography) - place, axis=1)
    place[~are_standing(boxes, camera)] = np.nan
    return place, error
