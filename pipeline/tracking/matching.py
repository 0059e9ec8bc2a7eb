"""How alike tracks and detections are, and which goes with which."""

from collections.abc import Callable

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.records import Array

Assignment = Callable[[Array, float], tuple[Array, Array]]
"""(costs (n, m), max_cost) -> matched rows (k,) and columns (k,), int64, by row."""


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m) float32 in 0..1."""
    corner = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    overlap = np.prod(np.maximum(corner, 0), axis=2)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.asarray(overlap / np.maximum(union, 1e-9), dtype=np.float32)


def assign_lap(costs: Array, max_cost: float) -> tuple[Array, Array]:
    """Minimise the summed cost of the matches, an unmatched pair costing `max_cost`, by lap's Jonker-Volgenant."""
    if costs.size == 0:
        return _none()
    costs = costs.astype(np.float64)
    _, columns, _ = lap.lapjv(costs, extend_cost=True, cost_limit=max_cost)
    rows = np.flatnonzero(columns >= 0)
    rows = rows[costs[rows, columns[rows]] < max_cost]  # lap also matches what only breaks even
    return rows, columns[rows].astype(np.int64)


def assign_scipy(costs: Array, max_cost: float) -> tuple[Array, Array]:
    """Solve the same problem by scipy: what a match saves over `max_cost` is maximised, and no saving is no match."""
    if costs.size == 0:
        return _none()
    saving = np.minimum(costs.astype(np.float64) - max_cost, 0)
    rows, columns = linear_sum_assignment(saving)
    useful = saving[rows, columns] < 0
    return rows[useful].astype(np.int64), columns[useful].astype(np.int64)


def _none() -> tuple[Array, Array]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


ASSIGNMENTS: dict[str, Assignment] = {"lap": assign_lap, "scipy": assign_scipy}
