"""How alike tracks and detections are, and which goes with which.

Nearly all pairs of boxes do not touch, so pairs are lists of indices (i, j) with a value each, in
order of i, then j. An assignment has the largest sum of values; most of it is plain (see `assign`),
and only what is left is solved as a matrix.
"""

from collections.abc import Callable

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.records import Array

Solver = Callable[[Array], tuple[Array, Array]]
"""Values (n, m), 0 or more -> rows and columns (k,) of an assignment with the largest sum."""


def touching(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """Of boxes (n, 4) and (m, 4) all pairs that share pixels: i, j (k,), their IoU (k,), and that
    of their heights alone (k,).

    The latter tells people at different distances apart, whose boxes begin and end at different
    rows (Yang et al. 2024).
    """
    ax1, ay1, ax2, ay2 = np.ascontiguousarray(a.T)
    bx1, by1, bx2, by2 = np.ascontiguousarray(b.T)
    touch = ax1[:, None] < bx2
    touch &= ax2[:, None] > bx1
    touch &= ay1[:, None] < by2
    touch &= ay2[:, None] > by1
    i, j = np.divmod(np.flatnonzero(touch), max(len(b), 1))
    top, bottom, other_top, other_bottom = ay1[i], ay2[i], by1[j], by2[j]
    tall, other_tall = bottom - top, other_bottom - other_top
    common = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    left, right, other_left, other_right = ax1[i], ax2[i], bx1[j], bx2[j]
    shared = common * (np.minimum(right, other_right) - np.maximum(left, other_left))
    union = tall * (right - left) + other_tall * (other_right - other_left) - shared
    return i, j, shared / union, common / (tall + other_tall - common)


def best_other(values: Array, group: Array) -> Array:
    """For each value (k,), 0..1, the largest of the others in its group (k,); 0 where it is
    alone.
    """
    order = np.lexsort((values, group))
    groups, values = group[order], values[order]
    last = np.ones(len(values), bool)  # of its group, so the largest
    np.not_equal(groups[1:], groups[:-1], out=last[:-1])
    found: Array = values[last][np.cumsum(last) - last]
    second = np.zeros_like(values)
    np.multiply(values[:-1], ~last[:-1], out=second[1:])
    found[last] = second[last]
    result = np.empty_like(found)
    result[order] = found
    return result


def lead(i: Array, j: Array, values: Array, chosen: Array) -> Array:
    """How far chosen pairs (n,) are ahead of the best other pair of their i and of their j, in
    values (k,) of 0 or more.
    """
    rest = values.copy()
    rest[chosen] = 0
    of_row, of_column = np.zeros(1 + int(i.max(initial=0))), np.zeros(1 + int(j.max(initial=0)))
    np.maximum.at(of_row, i, rest)
    np.maximum.at(of_column, j, rest)
    return np.asarray(values[chosen] - np.maximum(of_row[i[chosen]], of_column[j[chosen]]))


def assign(i: Array, j: Array, values: Array, least: float, solver: Solver) -> Array:
    """Choose pairs whose values (k,), 0..1, sum up to most beyond `least` each, no index twice;
    returns where they stand.

    A pair worth more than the best other pair of its i and of its j together is in every best
    assignment: it could replace both. Taking those leaves fewer rivals, and so on; what is left in
    the end is small, and goes to the solver.
    """
    left = np.flatnonzero(values > least)
    chosen = [left[:0]]
    while len(left):
        rows, columns, worth = i[left], j[left], values[left] - least
        sure = worth > best_other(worth, rows) + best_other(worth, columns)
        if not sure.any():
            chosen.append(left[_solve(rows, columns, worth, solver)])
            break
        chosen.append(left[sure])
        taken = np.zeros(1 + max(int(rows.max()), int(columns.max())), np.int8)
        taken[rows[sure]] = 1
        taken[columns[sure]] |= 2
        left = left[(taken[rows] & 1 == 0) & (taken[columns] & 2 == 0)]
    return np.concatenate(chosen)


def _solve(i: Array, j: Array, values: Array, solver: Solver) -> Array:
    row, column = _numbered(i), _numbered(j)
    where = np.full((int(row.max()) + 1, int(column.max()) + 1), -1)
    where[row, column] = np.arange(len(values))
    dense = np.zeros(where.shape)
    dense[row, column] = values
    found = where[solver(dense)]
    return found[found >= 0]


def _numbered(indices: Array) -> Array:
    """Number the values of indices (k,) 0, 1, 2..."""
    seen = np.zeros(int(indices.max()) + 1, np.int64)
    seen[indices] = 1
    return np.asarray((np.cumsum(seen) - 1)[indices])


def solve_lap(values: Array) -> tuple[Array, Array]:
    """By lap's Jonker-Volgenant."""
    _, columns, _ = lap.lapjv(-values, extend_cost=True)
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows]


def solve_scipy(values: Array) -> tuple[Array, Array]:
    """By scipy's modified Jonker-Volgenant."""
    rows, columns = linear_sum_assignment(values, maximize=True)
    return rows, columns


SOLVERS: dict[str, Solver] = {"lap": solve_lap, "scipy": solve_scipy}
