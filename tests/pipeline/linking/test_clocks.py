from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import LinkingConfig
from pipeline.linking import linker
from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.evidence import position
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import clocks, correspondences
from pipeline.linking.learning.clocks import Clocks, Offset
from pipeline.linking.reasons import FLOOR, SPEED
from pipeline.records import Embedded
from tests.pipeline.linking.walkers import (
    BARE,
    ON_FLOOR,
    crowd,
    judge,
    look,
    mistaken,
    wander,
    watch,
)


def found(seen: Sequence[Embedded], known: Sequence[Offset] = ()) -> Clocks:
    index = TrackletIndex(seen, ON_FLOOR)
    pairs = correspondences.likely_pairs(index, judge(index))
    return clocks.agree(clocks.measure(index, pairs, known))


@pytest.mark.parametrize("ahead_s", [-4.5, -3, -1, 0.6, 1.8, 3])
def test_the_offset_of_two_clocks_is_found_from_people_who_walk(ahead_s: float) -> None:
    offsets = found(crowd(8, a=0, b=ahead_s))
    assert offsets.offsets_s["a"] == 0
    assert offsets.offsets_s["b"] == pytest.approx(ahead_s, abs=0.1)
    assert offsets.disagree
    (pair,) = offsets.pairs
    assert pair.after_m < 0.2 < pair.before_m or np.isnan(pair.before_m)


def test_it_says_so_in_words() -> None:
    (words,) = found(crowd(8, a=0, b=-1.8)).in_words()
    assert words.startswith("b is 1.8 s behind a (floor paths agree within 0.")
    assert words.endswith("m before; 8 pairs of tracklets)")
    assert found(crowd(8, a=0, b=2)).in_words()[0].startswith("b is 2.0 s ahead of a")


def test_clocks_that_agree_are_said_to_agree() -> None:
    offsets = found(crowd(8, a=0, b=0))
    assert not offsets.disagree
    assert offsets.in_words()[0].startswith("the clocks of a and b agree (floor paths within 0.")
    assert not offsets.slack_s(["a", "b"]).any()


def test_clocks_are_compared_through_a_third_camera() -> None:
    offsets = found(crowd(8, seed=1, a=0, b=1.5) + crowd(8, seed=2, b=1.5, c=-2))
    assert {p.cameras for p in offsets.pairs} == {("a", "b"), ("b", "c")}
    assert offsets.offsets_s == pytest.approx({"a": 0, "b": 1.5, "c": -2}, abs=0.1)
    assert offsets.slack_s(["a", "c"])[0, 1] == pytest.approx(2, abs=0.1)


def test_people_who_stand_say_nothing_about_clocks() -> None:
    seen = []
    for person in range(8):
        spot = np.array([person - 4.0, 1.0])
        seen += [
            watch(c, person, lambda t, at=spot: np.tile(at, (len(t), 1)), 0, 20, look(person))
            for c in "ab"
        ]  # type: ignore[misc]
    assert found(seen) == Clocks({}, ())


def test_views_that_only_touch_say_nothing_about_clocks() -> None:
    seen = []
    for person in range(60):
        row, start_s = person / 10 - 3, 3.0 * person
        walk = lambda t, y=row, s=start_s: np.stack([1.2 * (t - s) - 4, np.full(len(t), y)], axis=1)  # noqa: E731
        seen += [watch("a", person, walk, start_s, start_s + 3, look(person))]
        seen += [watch("b", person, walk, start_s + 3.1, start_s + 6, look(person), clock_s=1.0)]
    assert found(seen).pairs == ()


def test_people_who_are_in_two_places_say_nothing_about_clocks() -> None:
    seen = [
        replace(e, embedding=look(e.tracklet.track_id // 10).astype(np.float32))
        for e in crowd(40, a=0, b=0)
    ]
    strangers = [e for e in seen if (e.tracklet.track_id % 2 == 0) == (e.tracklet.camera == "a")]
    assert found(strangers).pairs == ()


def test_some_who_are_mistaken_for_others_do_no_harm() -> None:
    offsets = found(crowd(8, a=0, b=2) + mistaken(3, a=0, b=2))
    assert offsets.pairs[0].n_pairs == 11
    assert offsets.offsets_s["b"] == pytest.approx(2, abs=0.1)


def test_few_people_are_not_enough() -> None:
    assert found(crowd(3, a=0, b=2)).pairs == ()
    assert found([]) == Clocks({}, ())


def test_of_those_whom_a_camera_sees_together_only_the_most_alike_is_a_pair() -> None:
    walk = wander(np.random.default_rng(0))
    almost = 0.9 * look(0) + np.sqrt(1 - 0.9**2) * look(1)
    seen = [
        watch("a", 0, walk, 0, 9, look(0)),
        watch("b", 1, walk, 0.1, 9, look(0)),
        watch("b", 2, walk, 0.2, 9, almost),
    ]
    later = watch("b", 3, walk, 11, 15, almost)
    much_later = watch("b", 4, walk, 15, 18, look(0))
    index = TrackletIndex([*seen, later, much_later], ON_FLOOR)
    assert correspondences.likely_pairs(index, judge(index)).tolist() == [[0, 1], [0, 3]]


def test_the_measurement_that_contradicts_the_others_is_left_out() -> None:
    good = [Offset((a, b), 1.0, 1.5, 0.2, 20) for a, b in ("ab", "bc", "cd")]
    wrong = Offset(("a", "d"), -4.0, 1.5, 0.8, 4)
    assert found([], [*good, wrong]) == Clocks(
        {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}, tuple(good)
    )


def test_measurements_that_nearly_agree_are_averaged_by_how_good_they_are() -> None:
    offsets = found(
        [], [Offset(("a", "b"), 1.0, 1, 0.1, 20), Offset(("a", "b"), 1.3, 1, 0.3, 20)]
    ).offsets_s
    assert 1.0 < offsets["b"] < 1.1


def test_each_group_of_cameras_has_a_first_camera_of_its_own() -> None:
    apart = found([], [Offset(("b", "a"), 1.0, 1, 0.1, 9), Offset(("c", "d"), 2.0, 2, 0.1, 9)])
    assert apart.offsets_s == {"a": 0.0, "b": -1.0, "c": 0.0, "d": 2.0}
    assert apart.slack_s("abcdx").tolist() == [
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 2, 0],
        [0, 0, 2, 0, 0],
        [0, 0, 0, 0, 0],
    ]


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-1e5, 1e5))
@settings(max_examples=10)
def test_neither_order_nor_the_time_of_day_changes_an_offset(
    seed: int, ahead_s: float, day_s: float
) -> None:
    seen = crowd(6, seed=seed, a=0, b=ahead_s)
    later = clocks.shift(seen, {"a": -day_s, "b": -day_s})
    order = np.random.default_rng(seed).permutation(len(seen))
    assert found([later[i] for i in order]).offsets_s == pytest.approx(
        found(seen).offsets_s, abs=0.051
    )


@given(st.integers(0, 10_000), st.floats(-3, 3))
@settings(max_examples=10)
def test_the_names_of_cameras_do_not_change_an_offset(seed: int, ahead_s: float) -> None:
    seen = crowd(6, seed=seed, a=0, b=ahead_s)
    other = {"a": "b", "b": "a"}
    renamed = [
        replace(e, tracklet=replace(e.tracklet, camera=other[e.tracklet.camera])) for e in seen
    ]
    cameras = {"a": ON_FLOOR["b"], "b": ON_FLOOR["a"]}
    index = TrackletIndex(renamed, cameras)
    pairs = correspondences.likely_pairs(index, judge(index))
    turned = clocks.agree(clocks.measure(index, pairs)).offsets_s
    assert turned.get("b", 0.0) == pytest.approx(-found(seen).offsets_s.get("b", 0.0), abs=0.051)


def test_shifting_by_the_offsets_puts_all_on_one_clock() -> None:
    right, wrong = crowd(3, a=0, b=0), crowd(3, a=0, b=2.5)
    for e, true in zip(clocks.shift(wrong, {"a": 0.0, "b": 2.5}), right, strict=True):
        assert np.allclose(e.tracklet.times_s, true.tracklet.times_s)
        assert np.array_equal(e.tracklet.frames, true.tracklet.frames)


def test_shifting_moves_the_times_of_crops_and_looks_too() -> None:
    (e,) = crowd(1, a=0)
    start, one = e.tracklet.times_s[:1], np.ones(1, np.float32)
    crops = np.zeros((1, 256, 128, 3), np.uint8)
    tracklet = replace(e.tracklet, crops=crops, crop_quality=one, crop_times_s=start)
    e = replace(
        e,
        tracklet=tracklet,
        crop_embeddings=np.zeros((1, 64), np.float16),
        crop_quality=one,
        crop_times_s=start,
    )
    (moved,) = clocks.shift([e], {"a": 1.0})
    assert (
        moved.tracklet.crop_times_s == moved.crop_times_s == moved.tracklet.times_s[0] == start - 1
    )


def test_known_slack_makes_the_floor_tolerant() -> None:
    walk = lambda t: np.stack([1.5 * t - 4, np.zeros(len(t))], axis=1)  # noqa: E731
    seen = [watch("a", 0, walk, 0, 5, look(0)), watch("b", 1, walk, 0, 5, look(0), clock_s=2.9)]
    index = TrackletIndex(seen, ON_FLOOR)
    assert position.compare(index, 0, 1, LinkingConfig(max_floor_m=1)).rule == FLOOR
    index = index.with_slack(np.array([[0, 2.9], [2.9, 0]]))
    assert position.compare(index, 0, 1, LinkingConfig(max_floor_m=1)).rule == ""
    assert Constraints(index, LinkingConfig(max_floor_m=1)).violated_by([0], [1])[0] == ""


def test_known_slack_gives_people_longer_to_walk() -> None:
    walk = lambda t: np.stack([1.2 * t - 4, np.zeros(len(t))], axis=1)  # noqa: E731
    seen = [watch("a", 0, walk, 0, 2, look(0)), watch("b", 1, walk, 5, 7, look(0), clock_s=-2.9)]
    index = TrackletIndex(seen, ON_FLOOR)
    assert Constraints(index, LinkingConfig()).violated_by([0], [1])[0] == SPEED
    index = index.with_slack(np.array([[0, 2.9], [2.9, 0]]))
    assert Constraints(index, LinkingConfig()).violated_by([0], [1])[0] == ""


def test_the_appearance_of_a_tracklet_stays_its_own_when_clocks_are_applied() -> None:
    config = LinkingConfig(apply_clocks=True)
    linked = linker.link(crowd(12, a=0.0, b=3.0), BARE, config)
    assert linked.applied_s["b"] == pytest.approx(3.0, abs=0.2)
    links = [link for person in linked.people for link in person.links]
    assert len(links) == 12
    assert all(link.appearance > 5 for link in links)
    assert all(link.first.track_id == link.second.track_id for link in links)
