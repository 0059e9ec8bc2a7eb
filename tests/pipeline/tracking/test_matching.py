"""Two solvers of one assignment problem, and IoU."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.records import Array
from pipeline.tracking.matching import ASSIGNMENTS, Assignment, assign_lap, assign_scipy, iou

costs_of_any_shape = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7), elements=st.floats(0, 1))
limits = st.floats(0.01, 1)


def saved(costs: Array, max_cost: float, matches: tuple[Array, Array]) -> float:
    return float((costs[matches] - max_cost).sum())


@settings(deadline=None, max_examples=200)
@given(costs_of_any_shape, limits)
def test_lap_and_scipy_reach_the_same_total(costs: Array, max_cost: float) -> None:
    by_lap, by_scipy = assign_lap(costs, max_cost), assign_scipy(costs, max_cost)
    assert saved(costs, max_cost, by_lap) == pytest.approx(saved(costs, max_cost, by_scipy), abs=1e-9)


@pytest.mark.parametrize("assign", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
class TestEachAssignment:
    @settings(deadline=None, max_examples=60)
    @given(costs=arrays(np.float64, (3, 3), elements=st.floats(0, 1)), max_cost=limits)
    def test_no_way_of_matching_is_cheaper(self, assign: Assignment, costs: Array, max_cost: float) -> None:
        best = min(np.minimum(costs[range(3), order] - max_cost, 0).sum() for order in permutations(range(3)))
        assert saved(costs, max_cost, assign(costs, max_cost)) == pytest.approx(best, abs=1e-9)

    @settings(deadline=None)
    @given(costs=costs_of_any_shape, max_cost=limits)
    def test_every_row_and_column_is_used_once_and_never_above_the_limit(
        self, assign: Assignment, costs: Array, max_cost: float
    ) -> None:
        rows, columns = assign(costs, max_cost)
        assert rows.dtype == columns.dtype == np.int64
        assert (np.diff(rows) > 0).all() and len(set(columns.tolist())) == len(columns)
        assert (costs[rows, columns] < max_cost).all()

    def test_a_pair_that_saves_nothing_is_not_matched(self, assign: Assignment) -> None:
        rows, columns = assign(np.array([[0.5, 0.25], [0.5, 0.5]]), 0.5)
        assert (rows.tolist(), columns.tolist()) == ([0], [1])

    @pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
    def test_nothing_to_match_is_no_match(self, assign: Assignment, shape: tuple[int, int]) -> None:
        assert [len(a) for a in assign(np.zeros(shape, np.float32), 0.5)] == [0, 0]


corners = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(0, 30)] * 2).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
some_boxes = st.lists(corners, max_size=5).map(lambda rows: np.array(rows, np.float32).reshape(-1, 4))


@settings(deadline=None)
@given(some_boxes, some_boxes)
def test_iou_counts_the_pixels_that_two_boxes_share(a: Array, b: Array) -> None:
    def painted(box: Array) -> Array:
        image = np.zeros((80, 80), bool)
        x1, y1, x2, y2 = box.astype(int)
        image[y1:y2, x1:x2] = True
        return image

    found = iou(a, b)
    assert found.shape == (len(a), len(b)) and found.dtype == np.float32
    for i, p in enumerate(map(painted, a)):
        for j, q in enumerate(map(painted, b)):
            assert found[i, j] == pytest.approx((p & q).sum() / max((p | q).sum(), 1), abs=1e-6)
