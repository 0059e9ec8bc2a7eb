"""How other people's detectors are read."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks import detectors
from models.boxes import iou
from models.detector import data


def test_a_cell_of_fastest_det_becomes_a_box_of_the_image() -> None:
    answer = np.zeros((85, 22, 22), np.float32)
    answer[:, 11, 5] = 0.0
    answer[[0, 5], 11, 5] = 0.5, 0.8  # centre at the cell's corner, half the image wide and high
    answer[[0, 6], 3, 3] = 0.9  # no person
    boxes, scores = detectors.decode_fastest_det(answer, 220, 440)
    assert_allclose(boxes, [[5 * 10 - 55, 11 * 20 - 110, 5 * 10 + 55, 11 * 20 + 110]])
    assert_allclose(scores, [0.5**0.6 * 0.8**0.4], rtol=1e-6)


def test_an_unknown_detector_or_set_is_an_error_of_one_line(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--data", str(shared_data), "--baselines", str(shared_data / "baselines")]
    assert detectors.main([*folders, "--sets", "paris"]) == 2
    assert capsys.readouterr().err.startswith("error: --sets paris: no such set; there are PETS")
    assert detectors.main([*folders, "--only", "nothing"]) == 2
    assert capsys.readouterr().err == "error: --only nothing: no such detector\n"


def test_the_public_detectors_find_people_in_the_street(shared_data: Path) -> None:
    picture = next(iter(data.labelled(shared_data / "detection" / "pennfudan")))
    for name, find in detectors.detectors([], 320, shared_data / "baselines"):
        boxes, scores = find(picture.image)
        overlap = iou(boxes[scores > 0.3], picture.truth)
        assert (overlap.max(axis=0) > 0.5).any(), name
