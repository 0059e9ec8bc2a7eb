"""Floor plans, beside cameras whose geometry is known."""

from typing import Any

import numpy as np
import pytest

from pipeline.linking.index import through
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.records import Array, Camera
from pipeline.report import ground, plan
from pipeline.report.plan import Plans
from tests.pipeline.report.cameras import Seen, ratios, walks

Json = dict[str, Any]

AREA = (-4.0, 4.0, 4.0, 18.0)
WEST = Seen((0.0, 0.0, 4.0), np.pi / 2, np.radians(16))
EAST = Seen((9.0, 14.0, 3.2), np.radians(200), np.radians(13), focal_share=0.9)


def standing_of(walked: list[tuple[Array, Array, Array]]) -> Array:
    return np.concatenate([boxes[::8][:, [3, 1]] for _, boxes, _ in walked])


def named(seen: Seen, name: str, **other: Any) -> Camera:
    fields = {"name": name, "width": seen.size[0], "height": seen.size[1], **other}
    return Camera(
        source="",
        fps=10.0,
        start_s=0.0,
        n_frames=-1,
        homography=np.zeros((0, 0)),
        **fields,
    )


def gathered(seen: list[Seen], n_people: int, is_given: bool = False) -> tuple[Plans, list[Any]]:
    """Plans of cameras "a", "b"..., and what they saw."""
    walked = walks(seen, n_people, AREA)
    cameras = [named(each, "abc"[number]) for number, each in enumerate(seen)]
    plans = Plans(cameras, n_people * len(seen))
    for number, of_camera in enumerate(walked):
        for person, (times_s, boxes, floor_m) in enumerate(of_camera):
            known = floor_m if is_given else np.zeros((0, 2))
            plans.add(person + 1, number, times_s, boxes, known)
    return plans, walked


def points_of(drawn: Json) -> tuple[Array, Array, Array]:
    """People, times and places (n, 2) of all points of a plan."""
    people = []
    rows = []
    for path in drawn["paths"]:
        of_path = np.array(path[2:]).reshape(-1, 3)
        people += [path[0]] * len(of_path)
        rows.append(of_path)
    joined = np.concatenate(rows)
    return np.array(people), joined[:, 0], joined[:, 1:]


def truth_of(walked: list[Any], people: Array, times_s: Array) -> Array:
    """Where people truly were at times, (n, 2) m."""
    longest: dict[int, tuple[Array, Array]] = {}
    for of_camera in walked:
        for person, (seen_s, _, floor_m) in enumerate(of_camera):
            before = longest.get(person + 1)
            if before is None or len(seen_s) > len(before[0]):
                longest[person + 1] = (seen_s, floor_m)
    places = np.zeros((len(people), 2))
    for row, (person, time_s) in enumerate(zip(people.tolist(), times_s.tolist(), strict=True)):
        seen_s, floor_m = longest[person]
        step_m = (floor_m[1] - floor_m[0]) / (seen_s[1] - seen_s[0])
        places[row] = floor_m[0] + (time_s - seen_s[0]) * step_m
    return places


def overlap(first: Seen, second: Seen) -> Homography:
    """What linking would learn of two cameras, "a" and "b", without an error."""
    matrix = np.linalg.inv(second.to_floor()) @ first.to_floor()
    offset = Offset(("a", "b"), 0.0, 0.0, 0.0, 30)
    return Homography(("a", "b"), matrix, 0.1, 400, 30, 0.95, offset)


@pytest.mark.parametrize("tilt", [4.0, 16.0, 35.0])
@pytest.mark.parametrize("height_m", [2.6, 4.0, 9.0])
def test_the_geometry_of_a_pixel_is_that_of_a_camera(tilt: float, height_m: float) -> None:
    seen = Seen((0.0, 0.0, height_m), np.pi / 2, np.radians(tilt))
    places = np.random.default_rng(1).uniform((-3, 6), (3, 25), (50, 2))
    pixels = seen.pixels(np.column_stack([places, np.zeros(50)]))
    matrix = ground.matrix_of(seen.tilt, height_m, 0.8 * 1280, seen.size)
    mapped, is_ahead = through(pixels, matrix)
    assert is_ahead.all()
    np.testing.assert_allclose(mapped, places, atol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("tilt", "height_m"), [(8.0, 3.0), (16.0, 4.0), (24.0, 6.0)])
def test_distances_are_right_to_a_tenth_by_the_heights_of_people(
    tilt: float, height_m: float, seed: int
) -> None:
    seen = Seen((0.0, 0.0, height_m), np.pi / 2, np.radians(tilt))
    (walked,) = walks([seen], 60, AREA, seed)
    measured = ground.estimate(standing_of(walked), seen.size)
    assert measured is not None
    assert abs(np.degrees(measured.tilt) - tilt) < 2.5
    feet = np.concatenate([boxes[:, [0, 3]] + boxes[:, [2, 3]] for _, boxes, _ in walked]) / 2
    places, is_ahead = through(feet, measured.matrix)
    assert is_ahead.all()
    low, middle, high = ratios(places, np.concatenate([floor_m for _, _, floor_m in walked]))
    assert abs(middle - 1) < 0.1
    assert low > 0.85
    assert high < 1.15


@pytest.mark.parametrize("focal_share", [0.65, 1.0])
def test_a_focal_length_that_is_not_the_assumed_one_costs_a_fifth_at_most(
    focal_share: float,
) -> None:
    seen = Seen((0.0, 0.0, 4.0), np.pi / 2, np.radians(16), focal_share)
    (walked,) = walks([seen], 60, AREA)
    measured = ground.estimate(standing_of(walked), seen.size)
    assert measured is not None
    feet = np.concatenate([boxes[:, [0, 3]] + boxes[:, [2, 3]] for _, boxes, _ in walked]) / 2
    places, _ = through(feet, measured.matrix)
    low, _, high = ratios(places, np.concatenate([floor_m for _, _, floor_m in walked]))
    assert low > 0.78
    assert high < 1.22


def test_people_who_all_stand_equally_far_away_say_nothing_of_the_floor() -> None:
    (walked,) = walks([WEST], 60, (-4.0, 9.0, 4.0, 9.1))
    assert ground.estimate(standing_of(walked), WEST.size) is None


def test_a_few_people_say_nothing_of_the_floor() -> None:
    (walked,) = walks([WEST], 1, AREA)
    assert ground.estimate(standing_of(walked), WEST.size) is None
    assert ground.estimate(np.zeros((0, 2)), WEST.size) is None


def test_boxes_of_any_heights_say_nothing_of_the_floor() -> None:
    rng = np.random.default_rng(5)
    feet = rng.uniform(200, 700, 400)
    heads = feet - rng.uniform(20, 190, 400)
    assert ground.estimate(np.column_stack([feet, heads]), WEST.size) is None


def test_a_camera_alone_has_an_approximate_plan() -> None:
    plans, walked = gathered([WEST], 60)
    (drawn,) = plans.documents([], 0.0)
    assert drawn["reference"] == 0
    people, times_s, places = points_of(drawn)
    low, middle, high = ratios(places, truth_of(walked, people, times_s))
    assert 0.85 < low < middle < high < 1.15
    ((camera, x, y),) = drawn["views"]
    assert camera == 0
    assert y < np.percentile(places[:, 1], 20)  # where the view begins
    assert drawn["bounds"][0] < x < drawn["bounds"][2]


def test_cameras_that_overlap_share_a_plan_in_metres() -> None:
    plans, walked = gathered([WEST, EAST], 80)
    (drawn,) = plans.documents([overlap(WEST, EAST)], 0.0)
    assert {path[1] for path in drawn["paths"]} == {0, 1}
    people, times_s, places = points_of(drawn)
    low, middle, high = ratios(places, truth_of(walked, people, times_s))
    assert low > 0.8
    assert abs(middle - 1) < 0.15
    assert high < 1.25


def test_cameras_that_do_not_overlap_have_a_plan_each() -> None:
    plans, _ = gathered([WEST, EAST], 80)
    drawn = plans.documents([], 0.0)
    assert [each["reference"] for each in drawn] == [0, 1]
    assert [[view[0] for view in each["views"]] for each in drawn] == [[0], [1]]


def test_given_homographies_give_the_coordinates_of_the_site() -> None:
    plans, walked = gathered([WEST, EAST], 30, is_given=True)
    (drawn,) = plans.documents([overlap(WEST, EAST)], 0.0)
    assert drawn["reference"] == -1
    people, times_s, places = points_of(drawn)
    np.testing.assert_allclose(places, truth_of(walked, people, times_s), atol=0.02)


def test_a_camera_that_overlaps_one_with_a_homography_is_on_the_plan_of_the_site() -> None:
    walked = walks([WEST, EAST], 80, AREA)
    plans = Plans([named(WEST, "a"), named(EAST, "b")], 160)
    for number, of_camera in enumerate(walked):
        for person, (times_s, boxes, floor_m) in enumerate(of_camera):
            known = np.zeros((0, 2)) if number else floor_m
            plans.add(person + 1, number, times_s, boxes, known)
    (drawn,) = plans.documents([overlap(WEST, EAST)], 0.0)
    assert drawn["reference"] == -1
    joined = {**drawn, "paths": [path for path in drawn["paths"] if path[1] == 1]}
    people, times_s, places = points_of(joined)
    off_m = np.linalg.norm(places - truth_of(walked, people, times_s), axis=1)
    assert np.median(off_m) < 0.3
    apart = plans.documents([], 0.0)
    assert [each["reference"] for each in apart] == [-1, 1]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_site_whose_y_grows_downwards_is_drawn_as_seen_from_above(is_mirrored: bool) -> None:
    (walked,) = walks([WEST], 30, AREA)
    plans = Plans([named(WEST, "a")], 30)
    sign = np.array([1, -1]) if is_mirrored else np.array([1, 1])
    for person, (times_s, boxes, floor_m) in enumerate(walked):
        plans.add(person, 0, times_s, boxes, floor_m * sign)
    (drawn,) = plans.documents([], 0.0)
    assert drawn["mirrored"] == is_mirrored


def test_feet_below_the_picture_are_on_no_plan() -> None:
    camera = named(WEST, "a")
    plans = Plans([camera], 1)
    boxes = np.array([[100.0, 300.0, 200.0, 600.0], [100.0, 400.0, 200.0, 719.0]])
    plans.add(1, 0, np.array([0.0, 5.0]), boxes, np.array([[1.0, 2.0], [9.0, 9.0]]))
    (drawn,) = plans.documents([], 0.0)
    assert drawn["paths"] == [[1, 0, 0.0, 1.0, 2.0]]
    plans.add(2, 0, np.array([6.0]), boxes[1:], np.array([[9.0, 9.0]]))
    assert len(plans.documents([], 0.0)[0]["paths"]) == 1


def test_points_are_fewer_the_more_tracklets_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_POINTS", 100)
    times_s = 0.1 * np.arange(1000)
    boxes = np.tile([100.0, 300.0, 200.0, 600.0], (1000, 1))
    floor_m = np.column_stack([times_s, times_s])
    for n_tracklets, n_points in ((1, 60), (10, 10), (1000, 2)):
        plans = Plans([named(WEST, "a")], n_tracklets)
        plans.add(1, 0, times_s, boxes, floor_m)
        (drawn,) = plans.documents([], 0.0)
        assert len(drawn["paths"][0]) == 2 + 3 * n_points


def test_nobody_has_no_plan() -> None:
    plans = Plans([named(WEST, "a")], 0)
    assert plans.documents([], 0.0) == []
