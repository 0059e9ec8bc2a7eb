"""Geometry of boxes: x1 y1 x2 y2 in pixels, (n, 4), of any numeric type."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def areas(boxes: Array) -> Array:
    """Return the area of each box, (n,) px."""
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))


def intersections(boxes: Array, others: Array) -> Array:
    """Return the area that boxes (n, 4) share with others (m, 4): (n, m) px."""
    first = np.maximum(boxes[:, None, :2], others[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(last - first, 0), axis=2))


def iou(boxes: Array, others: Array) -> Array:
    """Return the intersection over union of boxes (n, 4) and others (m, 4): (n, m) in 0..1, 0 for
    boxes without area.
    """
    both = intersections(boxes, others)
    union = areas(boxes)[:, None] + areas(others)[None, :] - both
    infinite = np.array(np.inf, union.dtype if union.dtype.kind == "f" else np.float64)
    return np.asarray(both / np.where(union > 0, union, infinite))
