"""Geometry of boxes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models import boxes

BOXES = np.array([[0, 0, 10, 20], [5, 0, 15, 20]])
OTHERS = np.array([[0, 0, 10, 20], [10, 0, 20, 20], [0, 10, 10, 30]])


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_overlaps_are_those_of_every_pair(kind: type) -> None:
    first, second = BOXES.astype(kind), OTHERS.astype(kind)
    assert boxes.areas(first).tolist() == [200, 200]
    assert boxes.intersections(first, second).tolist() == [[200, 0, 100], [100, 100, 50]]
    expected = [[1, 0, 1 / 3], [1 / 3, 1 / 3, 50 / 350]]
    assert_allclose(boxes.iou(first, second), expected, rtol=1e-6)


def test_floats_keep_their_precision() -> None:
    assert boxes.iou(BOXES.astype(np.float32), OTHERS.astype(np.float32)).dtype == np.float32
    assert boxes.iou(BOXES.astype(np.float64), OTHERS.astype(np.float64)).dtype == np.float64


def test_boxes_without_area_overlap_nothing() -> None:
    assert boxes.iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]
    assert boxes.iou(np.zeros((0, 4)), OTHERS).shape == (0, 3)
