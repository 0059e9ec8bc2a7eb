"""Similarity of tracks and detections, and their assignment.

Nearly all pairs of boxes do not overlap, so pairs are kept as two arrays of indices (rows, columns)
with a value each, sorted by row and then by column. An assignment has the largest sum of values.
Most pairs are decided without a solver (see `assign`); only the rest is solved as a matrix.
"""

from collections.abc import Callable

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.records import Array

Solver = Callable[[Array], tuple[Array, Array]]
"""Values (n, m), 0 or more -> rows and columns (k,) of an assignment with the largest sum."""


def touching(
    boxes: Array, others: Array, margins: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """Find all pairs of boxes that share pixels once both are enlarged by a margin.

    The enlarged boxes of a pair overlap less, the farther they are apart; so their IoU compares
    pairs that do not share pixels themselves (Yang et al. 2023 enlarge by a share of the box).

    Args:
        boxes: x1 y1 x2 y2, (n, 4) px.
        others: (m, 4) px.
        margins: by how much each of `boxes`, and the other box with it, is enlarged on every side,
            (n,) px; none by default.

    Returns:
        Rows (k,) into `boxes` and columns (k,) into `others`; the IoU of each pair (k,), 0..1; and
        the IoU of their heights alone (k,), 0..1. The latter distinguishes people at different
        distances, whose boxes begin and end at different image rows (Yang et al. 2024).
    """
    if margins is None or not margins.any():
        rows, columns = _touching_pairs(boxes, others)
        iou, height_iou = _overlaps(boxes[rows], others[columns])
        return rows, columns, iou, height_iou
    outwards = np.array([-1, -1, 1, 1], np.float32)
    both_margins = (2 * margins[:, None] * outwards).astype(boxes.dtype)
    rows, columns = _touching_pairs(boxes + both_margins, others)
    margin = (margins[rows, None] * outwards).astype(boxes.dtype)
    iou, height_iou = _overlaps(boxes[rows] + margin, others[columns] + margin)
    return rows, columns, iou, height_iou


def _touching_pairs(boxes: Array, others: Array) -> tuple[Array, Array]:
    """Rows (k,) and columns (k,) of the pairs of boxes (n, 4) and (m, 4) that share pixels."""
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    other_left, other_top, other_right, other_bottom = np.ascontiguousarray(others.T)
    overlaps = left[:, None] < other_right
    overlaps &= right[:, None] > other_left
    overlaps &= top[:, None] < other_bottom
    overlaps &= bottom[:, None] > other_top
    rows, columns = np.divmod(np.flatnonzero(overlaps), max(len(others), 1))
    return rows, columns


def _overlaps(boxes: Array, others: Array) -> tuple[Array, Array]:
    """IoU (k,) of pairs of boxes (k, 4) that share pixels, and that of their heights alone (k,)."""
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    other_left, other_top, other_right, other_bottom = np.ascontiguousarray(others.T)
    common_height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    common_width = np.minimum(right, other_right) - np.maximum(left, other_left)
    height = bottom - top
    other_height = other_bottom - other_top
    area = height * (right - left)
    other_area = other_height * (other_right - other_left)
    intersection = common_height * common_width
    union = area + other_area - intersection
    height_union = height + other_height - common_height
    return intersection / union, common_height / height_union


def best_other(values: Array, groups: Array) -> Array:
    """Return for each value the largest of the other values in its group.

    Args:
        values: (k,), 0..1.
        groups: number of each value's group, (k,) int.

    Returns:
        Largest other values, (k,); 0 where a value is alone in its group.
    """
    order = np.lexsort((values, groups))
    groups = groups[order]
    values = values[order]
    is_last = np.ones(len(values), bool)  # of its group, so the largest
    np.not_equal(groups[1:], groups[:-1], out=is_last[:-1])
    largest = values[is_last]
    group_number = np.cumsum(is_last) - is_last
    found: Array = largest[group_number]
    before = np.zeros_like(values)
    np.multiply(values[:-1], ~is_last[:-1], out=before[1:])
    found[is_last] = before[is_last]
    result = np.empty_like(found)
    result[order] = found
    return result


def lead(rows: Array, columns: Array, values: Array, chosen: Array) -> Array:
    """Return by how much chosen pairs are better than the best other pair of their row and column.

    Args:
        rows: rows of all pairs, (k,) int.
        columns: their columns, (k,) int.
        values: their values, (k,), 0 or more.
        chosen: indices of the chosen pairs, (n,).

    Returns:
        Margins, (n,).
    """
    rest = values.copy()
    rest[chosen] = 0
    best_of_row = np.zeros(1 + int(rows.max(initial=0)))
    best_of_column = np.zeros(1 + int(columns.max(initial=0)))
    np.maximum.at(best_of_row, rows, rest)
    np.maximum.at(best_of_column, columns, rest)
    row_rival = best_of_row[rows[chosen]]
    column_rival = best_of_column[columns[chosen]]
    rival = np.maximum(row_rival, column_rival)
    return np.asarray(values[chosen] - rival)


def assign(rows: Array, columns: Array, values: Array, min_value: float, solver: Solver) -> Array:
    """Assign rows to columns so that the sum of values above `min_value` is largest.

    A pair worth more than the best other pair of its row and that of its column together is in
    every best assignment, since it could replace both. Such pairs are taken first, which leaves
    fewer rivals; the few pairs that remain go to the solver.

    Args:
        rows: rows of the pairs, (k,) int.
        columns: their columns, (k,) int.
        values: their values, (k,), 0..1.
        min_value: pairs of this value or less are never assigned, 0..1.
        solver: solves the rest.

    Returns:
        Indices of the assigned pairs, (n,); no row and no column appears twice.
    """
    left = np.flatnonzero(values > min_value)
    chosen = [left[:0]]
    while len(left):
        left_rows = rows[left]
        left_columns = columns[left]
        worth = values[left] - min_value
        row_rival = best_other(worth, left_rows)
        column_rival = best_other(worth, left_columns)
        is_sure = worth > row_rival + column_rival
        if not is_sure.any():
            solved = _solve(left_rows, left_columns, worth, solver)
            chosen.append(left[solved])
            break
        chosen.append(left[is_sure])
        row_is_free = _is_free(left_rows, is_sure)
        column_is_free = _is_free(left_columns, is_sure)
        left = left[row_is_free & column_is_free]
    return np.concatenate(chosen)


def _is_free(indices: Array, chosen: Array) -> Array:
    """Whether each index (k,) appears in none of the chosen pairs (k,) bool."""
    is_free = np.ones(1 + int(indices.max()), np.bool_)
    is_free[indices[chosen]] = False
    return np.asarray(is_free[indices])


def _solve(rows: Array, columns: Array, values: Array, solver: Solver) -> Array:
    row = _numbered(rows)
    column = _numbered(columns)
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    pair_at = np.full(shape, -1)
    pair_at[row, column] = np.arange(len(values))
    dense = np.zeros(shape)
    dense[row, column] = values
    found = pair_at[solver(dense)]
    return found[found >= 0]


def _numbered(indices: Array) -> Array:
    """Number the distinct values of indices (k,) 0, 1, 2..."""
    is_used = np.zeros(int(indices.max()) + 1, np.int64)
    is_used[indices] = 1
    number = np.cumsum(is_used) - 1
    return np.asarray(number[indices])


def solve_lap(values: Array) -> tuple[Array, Array]:
    """Solve an assignment with lap's Jonker-Volgenant algorithm.

    Args:
        values: (n, m), 0 or more.

    Returns:
        Rows and columns of the assigned pairs, (k,) each.
    """
    _, columns, _ = lap.lapjv(-values, extend_cost=True)
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows]


def solve_scipy(values: Array) -> tuple[Array, Array]:
    """Solve an assignment with scipy's modified Jonker-Volgenant algorithm.

    Args:
        values: (n, m), 0 or more.

    Returns:
        Rows and columns of the assigned pairs, (k,) each.
    """
    rows, columns = linear_sum_assignment(values, maximize=True)
    return rows, columns


SOLVERS: dict[str, Solver] = {"lap": solve_lap, "scipy": solve_scipy}
