"""Where people stand in a picture, and for how long."""

import numpy as np
import pytest

from pipeline.records import Array, Camera
from pipeline.report import heat
from pipeline.report.heat import Heat


def camera(width: int = 640, height: int = 360) -> Camera:
    return Camera("a", "", width, height, 10.0, 0.0, -1, np.zeros((0, 0)))


def boxes_at(feet: list[tuple[float, float]]) -> Array:
    return np.array([[x - 10, y - 50, x + 10, y] for x, y in feet], np.float64)


def test_seconds_are_counted_where_the_feet_are() -> None:
    counted = Heat([camera()])
    counted.add(0, 0.5 * np.arange(21), boxes_at([(322, 181)] * 21))
    (drawn,) = counted.document()
    assert (drawn["columns"], drawn["rows"]) == (64, 36)
    seconds = dict(zip(drawn["cells"][::2], drawn["cells"][1::2], strict=True))
    assert max(seconds, key=lambda cell: seconds[cell]) == 18 * 64 + 32
    assert sum(seconds.values()) == pytest.approx(10.5, abs=0.3)
    assert drawn["seconds"] == 10.5
    assert drawn["cut"] == 0


def test_time_with_the_feet_below_the_picture_is_told_apart() -> None:
    counted = Heat([camera()])
    counted.add(0, np.arange(4.0), boxes_at([(100, 200), (100, 200), (100, 359), (100, 400)]))
    (drawn,) = counted.document()
    assert (drawn["seconds"], drawn["cut"]) == (2.0, 2.0)


def test_a_gap_is_not_time_spent_at_its_beginning() -> None:
    counted = Heat([camera()])
    counted.add(0, np.array([0.0, 1.0, 2.0, 600.0, 601.0]), boxes_at([(100, 200)] * 5))
    assert counted.document()[0]["seconds"] == 5.0


def test_feet_beside_the_picture_count_at_its_edge() -> None:
    counted = Heat([camera()])
    counted.add(0, np.arange(2.0), boxes_at([(-30, 100), (700, 100)]))
    (drawn,) = counted.document()
    assert drawn["seconds"] == 2.0
    assert {cell % 64 for cell in drawn["cells"][::2]} & {0, 63} == {0, 63}


@pytest.mark.parametrize(
    ("size", "grid"), [((640, 480), (64, 48)), ((480, 640), (48, 64)), ((4000, 10), (64, 1))]
)
def test_squares_are_square_whatever_the_picture(
    size: tuple[int, int], grid: tuple[int, int]
) -> None:
    (drawn,) = Heat([camera(*size)]).document()
    assert (drawn["columns"], drawn["rows"]) == grid
    assert drawn["cells"] == []


def test_a_camera_of_unknown_size_has_no_map() -> None:
    counted = Heat([camera(0, 0)])
    counted.add(0, np.arange(2.0), boxes_at([(100, 200)] * 2))
    assert counted.document()[0]["cells"] == []


def test_little_time_is_left_out_and_nobody_is_lost_from_the_sum() -> None:
    rng = np.random.default_rng(1)
    counted = Heat([camera()])
    for _ in range(50):
        feet = rng.uniform((0, 60), (640, 330), (200, 2))
        counted.add(0, 0.1 * np.arange(200), boxes_at([(x, y) for x, y in feet.tolist()]))
    (drawn,) = counted.document()
    assert drawn["seconds"] == pytest.approx(1000, rel=0.001)
    assert sum(drawn["cells"][1::2]) == pytest.approx(1000, rel=0.02)
    assert min(drawn["cells"][1::2]) >= round(heat.MIN_S, 1)
