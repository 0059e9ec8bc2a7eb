"""Points, areas and lines."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.zones import geometry

LIKE_AN_L = np.array([[0, 0], [100, 0], [100, 40], [40, 40], [40, 100], [0, 100]], np.float64)
POINTS = st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=1, max_size=20)


@given(points=POINTS)
def test_depth_is_the_distance_to_the_border_with_the_sign_of_opencv(
    points: list[tuple[float, float]],
) -> None:
    border = LIKE_AN_L.astype(np.float32)
    expected = [cv2.pointPolygonTest(border, point, True) for point in points]
    assert geometry.depth(np.array(points), LIKE_AN_L) == pytest.approx(expected, abs=1e-3)


def test_the_border_is_inside() -> None:
    on_it = np.array([[0, 0], [100, 20], [70, 40], [40, 70], [20, 0]], np.float64)
    assert geometry.depth(on_it, LIKE_AN_L).tolist() == [0] * 5


def test_points_to_the_right_of_a_line_in_a_picture_are_beside_it_by_more_than_nothing() -> None:
    to_the_right = np.array([[10.0, 20.0], [40.0, 20.0]])
    below_and_above = np.array([[20.0, 25.0], [90.0, 17.0]])
    assert geometry.beside(below_and_above, to_the_right).tolist() == [5, -3]
    assert geometry.along(below_and_above, to_the_right).tolist() == [10, 80]


def test_area_and_crossing_sides() -> None:
    assert geometry.area(LIKE_AN_L) == 6400
    assert geometry.area(LIKE_AN_L[::-1]) == 6400
    assert not geometry.crosses_itself(LIKE_AN_L)
    assert geometry.crosses_itself(np.array([[0, 0], [1, 1], [1, 0], [0, 1]], np.float64))
