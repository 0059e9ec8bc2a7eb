"""Who enters, leaves and crosses is counted once, whatever cameras and boxes do."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import Array
from pipeline.zones.sightings import BRIDGE_S
from tests.pipeline.zones import walks
from tests.pipeline.zones.walks import INSIDE, OUTSIDE, area, count, kinds, line, seen, stand, walk

MARGIN_PX = 3 * 0.03 * walks.HEIGHT_PX
BEYOND = (540.0, 300.0)
JITTER = st.lists(st.floats(-0.49, 0.49), min_size=20, max_size=60)


def test_somebody_who_walks_through_enters_and_leaves_once() -> None:
    entry, left = count([[seen(walk(OUTSIDE, BEYOND))]], [area()])
    assert (entry.kind, entry.person_id, entry.camera, entry.occupancy) == ("entry", 1, "gate", 1)
    assert entry.time_s == pytest.approx(1.0)
    assert (left.kind, left.occupancy) == ("exit", 0)
    assert left.time_s == pytest.approx(3.0, abs=0.11)
    assert left.dwell_s == pytest.approx(left.time_s - entry.time_s)


def test_somebody_who_passes_beside_an_area_does_not_enter() -> None:
    assert count([[seen(walk((100, 195), (540, 195)))]], [area()]) == []


def test_somebody_who_appears_inside_enters_there_and_has_left_when_last_seen() -> None:
    events = count([[seen(stand(INSIDE, 3), 10)]], [area()])
    assert [(each.kind, round(each.time_s, 2)) for each in events] == [
        ("entry", 10.0),
        ("exit", 12.9),
    ]


def test_who_is_inside_when_the_run_ends_has_not_left() -> None:
    tracklet = seen(stand(INSIDE, 3))
    assert kinds(count([[tracklet]], [area()], end_s=2.9)) == ["entry"]
    assert kinds(count([[tracklet]], [area()], end_s=2.9 + BRIDGE_S)) == ["entry"]
    assert kinds(count([[tracklet]], [area()], end_s=3.1 + BRIDGE_S)) == ["entry", "exit"]


def test_who_was_seen_outside_before_the_run_ended_has_left() -> None:
    feet = np.concatenate([stand(INSIDE, 2), stand(OUTSIDE, 1)])
    assert kinds(count([[seen(feet)]], [area()], end_s=3.0)) == ["entry", "exit"]


def test_a_stay_or_an_absence_of_a_moment_does_not_count() -> None:
    moment = np.concatenate([stand(OUTSIDE, 2), stand(INSIDE, 0.4), stand(OUTSIDE, 2)])
    assert count([[seen(moment)]], [area()]) == []
    absence = np.concatenate([stand(INSIDE, 2), stand(OUTSIDE, 0.4), stand(INSIDE, 2)])
    assert kinds(count([[seen(absence)]], [area()])) == ["entry", "exit"]


@pytest.mark.parametrize(
    ("gap_s", "expected"),
    [(BRIDGE_S - 0.5, ["entry", "exit"]), (BRIDGE_S + 0.5, ["entry", "exit"] * 2)],
)
def test_who_is_not_seen_for_a_short_time_stays_inside(gap_s: float, expected: list[str]) -> None:
    before = seen(stand(INSIDE, 2))
    after = seen(stand(INSIDE, 2), 1.9 + gap_s, track_id=2)
    assert kinds(count([[before, after]], [area()])) == expected


def test_occupancy_counts_all_who_are_inside() -> None:
    first = seen(stand(INSIDE, 6))
    second = seen(stand(INSIDE, 2), 2)
    events = count([[first], [second]], [area()])
    assert [(each.person_id, each.occupancy) for each in events] == [(1, 1), (2, 2), (2, 1), (1, 0)]


def test_a_line_tells_who_crosses_it_in_which_direction() -> None:
    there_and_back = walk(OUTSIDE, BEYOND, OUTSIDE)
    events = count([[seen(there_and_back)]], [line()])
    assert kinds(events) == ["out", "in"]
    assert [each.time_s for each in events] == pytest.approx([2.2, 6.6])
    assert {(each.occupancy, each.dwell_s) for each in events} == {(0, 0.0)}


def test_who_goes_around_the_end_of_a_line_does_not_cross_it() -> None:
    around = walk(OUTSIDE, (100.0, 60.0), (540.0, 60.0), BEYOND)
    assert count([[seen(around)]], [line()]) == []
    assert kinds(count([[seen(np.concatenate([around, walk(BEYOND, OUTSIDE)]))]], [line()])) == [
        "in"
    ]


def test_who_comes_to_a_line_and_turns_around_does_not_cross_it() -> None:
    assert count([[seen(walk(OUTSIDE, (325, 300), OUTSIDE))]], [line()]) == []


def test_a_box_that_jumps_over_a_line_and_back_does_not_count() -> None:
    feet = np.concatenate([stand(OUTSIDE, 2), stand(BEYOND, 0.3), stand(OUTSIDE, 2)])
    assert count([[seen(feet)]], [line()]) == []


def test_a_line_is_crossed_also_while_somebody_is_not_seen() -> None:
    before = seen(stand(OUTSIDE, 2))
    after = seen(stand(BEYOND, 2), 5, track_id=2)
    assert kinds(count([[before, after]], [line()])) == ["out"]
    much_later = seen(stand(BEYOND, 2), 60, track_id=2)
    assert count([[before, much_later]], [line()]) == []


def test_feet_beyond_the_edge_of_the_picture_are_at_its_edge() -> None:
    lower = [(0.0, 240.0), (640.0, 240.0), (640.0, 480.0), (0.0, 480.0)]
    feet = stand((300.0, 520.0), 2)
    assert kinds(count([[seen(feet)]], [area(polygon=lower)])) == ["entry", "exit"]


def test_an_area_on_the_floor_is_seen_by_all_cameras_that_know_the_floor() -> None:
    metres = np.diag([0.01, 0.01, 1.0])
    shifted = np.array([[0.01, 0, -1.0], [0, 0.01, 0], [0, 0, 1]])
    cameras = [walks.camera("gate", metres), walks.camera("hall", shifted), walks.camera("yard")]
    zone = area("", polygon=[(2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0)])
    first = seen(walk(OUTSIDE, INSIDE))
    second = seen(walk((400.0, 300.0), (600.0, 300.0)), 2.0, "hall", 2)
    elsewhere = seen(stand(INSIDE, 3), 0, "yard", 3)
    events = count([[first, second], [elsewhere]], [zone], cameras)
    assert [(each.kind, each.camera) for each in events] == [("entry", "gate"), ("exit", "hall")]
    assert events[0].time_s == pytest.approx(1.0)
    assert events[1].dwell_s == pytest.approx(2.1, abs=0.25)


def test_two_shapes_of_one_name_in_two_cameras_are_one_zone() -> None:
    in_gate = seen(walk(OUTSIDE, INSIDE))
    in_hall = seen(walk(INSIDE, BEYOND), 2.5, "hall", 2)
    events = count([[in_gate, in_hall]], [area("gate"), area("hall")])
    assert [(each.kind, each.camera) for each in events] == [("entry", "gate"), ("exit", "hall")]


def test_zones_of_different_names_count_apart() -> None:
    zones = [area(name="shop"), area(name="all"), line()]
    events = count([[seen(walk(OUTSIDE, BEYOND))]], zones)
    assert Counter((each.zone, each.kind) for each in events) == {
        ("shop", "entry"): 1,
        ("shop", "exit"): 1,
        ("all", "entry"): 1,
        ("all", "exit"): 1,
        ("door", "crossing"): 1,
    }


@settings(max_examples=60)
@given(jitter=JITTER, border=st.floats(-0.5, 0.5))
def test_jitter_below_the_margin_adds_no_event(jitter: list[float], border: float) -> None:
    noise = np.array(jitter)[:, None] * [MARGIN_PX, 0]
    at_border = np.array([200.0 + border * MARGIN_PX, 300.0]) + noise
    way = np.concatenate([walk(OUTSIDE, (190.0, 300.0)), at_border, walk((210.0, 300.0), BEYOND)])
    assert kinds(count([[seen(way)]], [area()])) == ["entry", "exit"]
    at_line = np.array([320.0 + border * MARGIN_PX, 300.0]) + noise
    over = np.concatenate([walk(OUTSIDE, (310.0, 300.0)), at_line, walk((330.0, 300.0), BEYOND)])
    assert kinds(count([[seen(over)]], [line()])) == ["out"]


POINT = st.tuples(st.floats(0, 640), st.floats(0, 480))
WAYS = st.lists(st.lists(POINT, min_size=2, max_size=6), min_size=1, max_size=5)


@settings(max_examples=60)
@given(ways=WAYS, end_s=st.floats(0, 60))
def test_entries_minus_exits_are_how_many_are_inside(
    ways: list[list[tuple[float, float]]], end_s: float
) -> None:
    persons = [[seen(walk(*way), number)] for number, way in enumerate(ways)]
    last_s = max(person[0].last_s for person in persons)
    events = count(persons, [area()], end_s=max(end_s, last_s))
    inside = 0
    here: set[int] = set()
    for event in events:
        inside += 1 if event.kind == "entry" else -1
        assert event.occupancy == inside
        assert (event.person_id in here) == (event.kind == "exit")
        here ^= {event.person_id}
    assert inside == len(here) >= 0
    assert [event.time_s for event in events] == sorted(event.time_s for event in events)


def noisy(feet: Array, seed: int) -> Array:
    return feet + np.random.default_rng(seed).normal(0, 2.0, feet.shape)


@settings(max_examples=60)
@given(
    turns=st.lists(st.sampled_from([OUTSIDE, INSIDE, BEYOND]), min_size=2, max_size=6),
    seed=st.integers(0, 1000),
    late_s=st.floats(-0.3, 0.3),
)
def test_a_walk_counts_the_same_seen_by_one_camera_or_by_two(
    turns: list[tuple[float, float]], seed: int, late_s: float
) -> None:
    feet = np.concatenate([stand(turns[0], 1), walk(*turns, step_px=20), stand(turns[-1], 1)])
    gate = seen(noisy(feet, seed), 1.0)
    hall = seen(noisy(feet, seed + 1), 1.0 + late_s, "hall", 2)
    zones = [area("gate"), area("hall"), line("gate"), line("hall")]
    by_one = count([[gate]], zones)
    by_two = count([[gate, hall]], zones)
    for zone in ("shop", "door"):
        alone = [event for event in by_one if event.zone == zone]
        together = [event for event in by_two if event.zone == zone]
        assert kinds(together) == kinds(alone)
        later_s = [b.time_s - a.time_s for a, b in zip(alone, together, strict=True)]
        assert np.abs([0.0, *later_s]).max() < 1.0
