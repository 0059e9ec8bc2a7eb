"""The assignment is the best there is, whoever solves what is left of it; and which boxes touch."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.boxes import iou
from pipeline.records import Array
from pipeline.tracking.matching import SOLVERS, Solver, assign, best_other, lead, touching

values_of_any_shape = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
    elements=st.floats(0, 1),
)
thresholds = st.floats(0, 0.9)


def assigned(values: Array, least: float, solver: Solver) -> tuple[Array, Array]:
    """Rows and columns of the assignment of a matrix."""
    i, j = (index.ravel() for index in np.indices(values.shape))
    chosen = assign(i, j, values.ravel(), least, solver)
    return i[chosen], j[chosen]


@settings(max_examples=200)
@given(values_of_any_shape, thresholds)
def test_lap_and_scipy_reach_the_same_total(values: Array, least: float) -> None:
    by_lap, by_scipy = (assigned(values, least, SOLVERS[name]) for name in ("lap", "scipy"))
    assert (values[by_lap] - least).sum() == pytest.approx(
        (values[by_scipy] - least).sum(), abs=1e-9
    )


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
class TestEachSolver:
    @settings(max_examples=100)
    @given(values=arrays(np.float64, (4, 4), elements=st.floats(0, 1)), least=thresholds)
    def test_no_way_of_matching_is_better(
        self, solver: Solver, values: Array, least: float
    ) -> None:
        best = max(
            np.maximum(values[range(4), order] - least, 0).sum() for order in permutations(range(4))
        )
        rows, columns = assigned(values, least, solver)
        assert (values[rows, columns] - least).sum() == pytest.approx(best, abs=1e-9)

    @given(values=values_of_any_shape, least=thresholds)
    def test_every_row_and_column_is_used_once_and_never_below_the_least(
        self, solver: Solver, values: Array, least: float
    ) -> None:
        rows, columns = assigned(values, least, solver)
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        assert (values[rows, columns] > least).all()

    @pytest.mark.parametrize("least", [0.0, 0.3])
    def test_many_rivals_are_solved_as_one_at_a_time_would_be(
        self, solver: Solver, least: float
    ) -> None:
        values = np.random.default_rng(0).random((40, 30)) ** 3
        rows, columns = assigned(values, least, solver)
        dense = np.maximum(values - least, 0)
        assert dense[rows, columns].sum() == pytest.approx(dense[solver(dense)].sum())


def test_the_lead_of_a_pair_is_over_the_best_other_of_both() -> None:
    i, j, values = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 2]), np.array([0.8, 0.3, 0.7, 0.5])
    assert lead(i, j, values, np.array([0, 3])).tolist() == [pytest.approx(0.1), 0.5]
    assert lead(i, j, values, np.array([1, 2])).tolist() == [
        pytest.approx(-0.5),
        pytest.approx(-0.1),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 64).map(lambda k: k / 64)), max_size=12)
)
def test_the_best_other_is_the_largest_of_the_rest_of_the_group(
    pairs: list[tuple[int, float]],
) -> None:
    group, values = (
        np.array([g for g, _ in pairs], np.int64),
        np.array([v for _, v in pairs], np.float64),
    )
    expected = [
        max([v for k, (g, v) in enumerate(pairs) if g == pairs[n][0] and k != n], default=0)
        for n in range(len(pairs))
    ]
    assert best_other(values, group).tolist() == expected


corners = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(0, 30)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
some_boxes = st.lists(corners, max_size=5).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 4)
)


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


@given(some_boxes.map(lambda boxes: boxes + np.array([0, 0, 1, 1], np.float32)), some_boxes)
def test_boxes_that_touch_are_those_with_an_iou(a: Array, b: Array) -> None:
    b = b[(b[:, 2:] > b[:, :2]).all(axis=1)]
    i, j, overlap, upright = touching(a, b)
    dense = iou(a, b)
    strips = np.array([0, 0, 1, 0], np.float32)  # the same rows, all in one column
    heights = iou(a * [0, 1, 0, 1] + strips, b * [0, 1, 0, 1] + strips)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [
        tuple(pair) for pair in np.argwhere(dense > 0).tolist()
    ]
    assert overlap == pytest.approx(dense[i, j], abs=1e-6)
    assert upright == pytest.approx(heights[i, j], abs=1e-6)


@given(
    some_boxes.map(lambda boxes: boxes + np.array([0, 0, 1, 1], np.float32)),
    some_boxes,
    st.integers(1, 8),
)
def test_a_margin_enlarges_both_boxes_of_a_pair(a: Array, b: Array, margin: int) -> None:
    b = b[(b[:, 2:] > b[:, :2]).all(axis=1)]
    enlarged = np.array([-margin, -margin, margin, margin], np.float32)
    expected = touching(a + enlarged, b + enlarged)
    found = touching(a, b, np.full(len(a), margin, np.float64))
    for name, value in zip(("rows", "columns", "iou", "height iou"), expected, strict=True):
        index = ("rows", "columns", "iou", "height iou").index(name)
        assert found[index] == pytest.approx(value, abs=1e-6), name
