from pathlib import Path

import numpy as np
import pytest

from pipeline import config, floor, mot
from pipeline.records import Array, Camera
from tests.conftest import ROOT

SCALED = np.diag([0.01, 0.02, 1.0])
"""A camera that looks straight down: 1 px is 1 cm across and 2 cm down."""
PERSPECTIVE = np.array([[1.0, 0, 0], [0, 1, 0], [0, -0.01, 1]])
"""Its horizon is row 100."""


def camera(homography: Array, height: int = 480) -> Camera:
    return Camera("cam", "cam.mp4", 640, height, 25.0, 0.0, -1, homography)


def boxes(*rows: list[float]) -> Array:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_feet_are_in_the_middle_of_the_bottom_edge() -> None:
    assert floor.foot_points(boxes([10, 20, 30, 80])).tolist() == [[20, 80]]
    assert floor.foot_points(boxes()).shape == (0, 2)


def test_points_go_through_the_homography_and_its_inverse_brings_them_back() -> None:
    points = np.array([[0.0, 0.0], [300.0, 60.0]])
    assert floor.project(points, SCALED).tolist() == [[0, 0], [3, 1.2]]
    there = floor.project(points, PERSPECTIVE)
    assert there[1] == pytest.approx([750, 150])
    assert floor.project(there, np.linalg.inv(PERSPECTIVE)) == pytest.approx(points)


@pytest.mark.parametrize(("height", "seen"), [(100, True), (65, True), (60, False)])
def test_a_box_too_broad_for_somebody_who_stands_does_not_show_the_feet(
    height: float, seen: bool
) -> None:
    place, _ = floor.positions(boxes([10, 20, 50, 20 + height]), camera(SCALED))
    assert np.isfinite(place).all() == seen


def test_a_point_on_the_horizon_is_far_away_but_finite() -> None:
    place = floor.project(np.array([[50.0, 100.0]]), PERSPECTIVE)
    assert np.isfinite(place).all()
    assert np.abs(place).min() > 1e9


def test_the_error_of_a_position_grows_with_the_box_and_is_at_least_one_pixel() -> None:
    place, error = floor.positions(boxes([0, 100, 100, 300], [0, 284, 10, 300]), camera(SCALED))
    assert place == pytest.approx(np.array([[0.5, 6], [0.05, 6]]))
    assert error == pytest.approx([floor.FOOT_STD * 200 * 0.02, 1 * 0.02])


def test_the_error_is_larger_where_the_picture_shows_more_floor_in_a_pixel() -> None:
    _, error = floor.positions(boxes([0, 10, 20, 50], [0, 50, 20, 90]), camera(PERSPECTIVE))
    assert error[1] > 10 * error[0]


def test_feet_that_may_be_below_the_picture_have_no_position() -> None:
    place, error = floor.positions(
        boxes([0, 376, 9, 473], [0, 376, 9, 476], [0, 376, 9, 500]), camera(SCALED)
    )
    assert np.isnan(place).all(axis=1).tolist() == [False, True, True]
    assert np.isfinite(error).all()


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_whether_feet_are_shown_does_not_depend_on_the_size_of_the_picture(scale: int) -> None:
    whole = [[0, 40, 30, 90], [0, 60, 30, 96]]
    cut = [[0, 47, 30, 97], [0, 47, 30, 98.5], [0, 1, 30, 96]]
    seen = boxes(*whole, *cut)
    are_shown = floor.are_feet_shown(scale * seen, camera(SCALED, height=100 * scale))
    assert are_shown.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("name", ["cam1", "cam2", "cam3", "cam4"])
def test_positions_in_the_sample_are_as_exact_as_they_say(sample: Path, name: str) -> None:
    cameras = {
        c.name: c for c in config.load(str(ROOT / "configs" / "plaza_4_cameras.yaml")).cameras
    }
    rows = mot.read(sample / "truth" / f"{name}.txt")
    seen = rows[rows[:, 8] > 0.9]
    place, error = floor.positions(
        mot.boxes(seen), camera(np.array(cameras[name].homography), height=540)
    )
    ground = np.loadtxt(sample / "truth" / "ground.csv", delimiter=",", skiprows=1)
    truth = {(round(t * 12.5) + 1, person): (x, y) for t, person, x, y in ground}
    off = np.linalg.norm(place - [truth[frame, person] for frame, person in seen[:, :2]], axis=1)
    inside = np.isfinite(off)
    assert np.median(off[inside]) < 0.25
    assert np.mean(off[inside] < 2 * error[inside]) > 0.9
