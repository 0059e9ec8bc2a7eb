import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import LinkingConfig, TravelConfig
from pipeline.embed import bare
from pipeline.linking import linker
from pipeline.linking.clustering.constraints import UNSEEN_S, Constraints
from pipeline.linking.index import TrackletIndex
from pipeline.linking.reasons import SPEED
from pipeline.records import Array, Camera, Embedded, Person, Tracklet

NO_FLOOR = np.zeros((0, 0))
FLOOR_1_CM_PER_PX = np.diag([0.01, 0.01, 1.0])
CAMERAS = {name: Camera(name, f"{name}.mp4", 1000, 1000, 10, 0, -1, NO_FLOOR) for name in "abc"}
ON_FLOOR = {
    name: Camera(name, f"{name}.mp4", 1000, 1000, 10, 0, -1, FLOOR_1_CM_PER_PX) for name in "abc"
}
RED, BLUE = np.eye(4)[0], np.eye(4)[1]


def seen(
    camera: str,
    track: int,
    start_s: float,
    end_s: float,
    look: Array | None = None,
    foot: Array | None = None,
    ambiguous: bool = False,
) -> Embedded:
    """A person standing at `foot` px from start to end, ten times a second, looking like `look`."""
    n = round((end_s - start_s) * 10) + 1
    x, y = (100 * track, 500) if foot is None else foot
    tracklet = Tracklet(
        camera,
        track,
        np.round(np.linspace(start_s, end_s, n) * 10).astype(np.int64),
        np.linspace(start_s, end_s, n),
        np.tile(np.array([x - 20, y - 100, x + 20, y], np.float32), (n, 1)),
        np.ones(n, np.float32),
        np.zeros((0, 256, 128, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
        ambiguous,
    )
    return bare(tracklet, np.zeros(0, np.float32) if look is None else look.astype(np.float32))


def people(
    *embedded: Embedded, cameras: dict[str, Camera] = CAMERAS, **settings: object
) -> list[list[str]]:
    """Who is who, as `camera/track` per person."""
    found = linker.link(list(embedded), cameras, LinkingConfig.model_validate(settings)).people
    assert [p.person_id for p in found] == list(range(1, len(found) + 1))
    return names(found)


def names(found: list[Person]) -> list[list[str]]:
    return [[f"{t.camera}/{t.track_id}" for t in person.tracklets] for person in found]


def test_people_who_look_alike_in_two_cameras_are_one_person() -> None:
    assert people(seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, RED), seen("b", 2, 9, 13, BLUE)) == [
        ["a/1", "b/1"],
        ["b/2"],
    ]


def test_nobody_is_in_one_camera_twice_at_the_same_time_however_alike() -> None:
    assert people(seen("a", 1, 0, 5, RED), seen("a", 2, 4, 9, RED)) == [["a/1"], ["a/2"]]


def test_the_rule_holds_through_a_third_tracklet() -> None:
    almost = 0.95 * RED + np.sqrt(1 - 0.95**2) * BLUE
    found = people(seen("a", 1, 0, 5, RED), seen("a", 2, 4, 9, almost), seen("b", 1, 10, 12, RED))
    assert found == [["a/1", "b/1"], ["a/2"]]


def test_fragments_of_a_track_in_one_camera_are_joined_by_appearance() -> None:
    assert people(seen("a", 1, 0, 5, RED), seen("a", 2, 7, 9, RED)) == [["a/1", "a/2"]]


@pytest.mark.parametrize(
    ("gap_s", "linked"), [(2, False), (5, True), (20, True), (39, True), (41, False)]
)
def test_travel_between_two_cameras_takes_from_min_s_to_max_s_and_a_while_unseen(
    gap_s: float, linked: bool
) -> None:
    travel = [TravelConfig(cameras=("b", "a"), min_s=4, max_s=30)]
    found = people(seen("a", 1, 0, 5, RED), seen("b", 1, 5 + gap_s, 40 + gap_s, RED), travel=travel)
    assert (len(found) == 1) == linked


@pytest.mark.parametrize(("min_s", "linked"), [(0, True), (1, False)])
def test_a_travel_time_above_zero_says_that_views_do_not_overlap(
    min_s: float, linked: bool
) -> None:
    travel = [TravelConfig(cameras=("a", "b"), min_s=min_s, max_s=30)]
    assert (
        len(people(seen("a", 1, 0, 5, RED), seen("b", 1, 2, 9, RED), travel=travel)) == 1
    ) == linked


def test_a_person_seen_on_the_way_may_take_longer_than_max_s_in_all() -> None:
    travel = [TravelConfig(cameras=("a", "b"), max_s=10 - UNSEEN_S / 2)]
    there_and_back = [seen("a", 1, 0, 5, RED), seen("b", 1, 10, 15, RED), seen("b", 2, 30, 35, RED)]
    assert people(*there_and_back, travel=travel) == [["a/1", "b/1", "b/2"]]
    assert people(there_and_back[0], there_and_back[2], travel=travel) == [["a/1"], ["b/2"]]


def test_people_at_the_same_time_on_other_sides_of_the_floor_are_different_however_alike() -> None:
    near, far = (
        seen("b", 1, 0, 5, RED, foot=np.array([110, 500])),
        seen("b", 1, 0, 5, RED, foot=np.array([900, 500])),
    )
    assert people(seen("a", 1, 0, 5, RED), near, cameras=ON_FLOOR) == [["a/1", "b/1"]]
    assert people(seen("a", 1, 0, 5, RED), far, cameras=ON_FLOOR) == [["a/1"], ["b/1"]]


@pytest.mark.parametrize(
    ("start_s", "foot_x", "rule"),
    [(5.5, 900, SPEED), (5.5, 200, ""), (9, 900, ""), (9, 9900, SPEED), (60, 9900, "")],
)
def test_nobody_crosses_the_floor_faster_than_max_speed(
    start_s: float, foot_x: int, rule: str
) -> None:
    late = seen("b", 1, start_s, start_s + 4, RED, foot=np.array([foot_x, 500]))
    index = TrackletIndex([late, seen("a", 1, 0, 5, RED)], ON_FLOOR)
    assert Constraints(index, LinkingConfig()).violated_by([0], [1])[0] == rule


def test_without_embeddings_overlapping_cameras_on_one_floor_are_linked_by_place() -> None:
    views = [
        seen("a", 1, 0, 5, foot=np.array([200, 500])),
        seen("a", 2, 0, 5, foot=np.array([500, 500])),
    ]
    views += [
        seen("b", 7, 0, 5, foot=np.array([510, 505])),
        seen("b", 8, 0, 5, foot=np.array([195, 495])),
    ]
    assert people(*views, cameras=ON_FLOOR) == [["a/1", "b/8"], ["a/2", "b/7"]]


def test_without_embeddings_and_floor_cameras_stay_apart_and_close_fragments_are_joined() -> None:
    here = np.array([200, 500])
    views = [
        seen("a", 1, 0, 5, foot=here),
        seen("a", 2, 5.5, 9, foot=here),
        seen("b", 1, 5.5, 9, foot=here),
    ]
    assert people(*views) == [["a/1", "a/2"], ["b/1"]]


def test_pieces_of_a_long_track_are_one_person_whatever_they_look_like() -> None:
    assert people(seen("a", 1, 0, 5, RED), seen("a", 1, 5.1, 9, BLUE)) == [["a/1", "a/1"]]


def test_a_tracklet_without_appearance_is_alike_to_nobody() -> None:
    assert people(
        seen("a", 1, 0, 5, np.zeros(4)), seen("b", 1, 9, 12, np.zeros(4)), seen("b", 2, 20, 22, RED)
    ) == [
        ["a/1"],
        ["b/1"],
        ["b/2"],
    ]


def test_people_are_numbered_by_first_appearance() -> None:
    assert people(seen("b", 5, 3, 4, RED), seen("a", 9, 1, 2, BLUE)) == [["a/9"], ["b/5"]]


def test_no_tracklets_give_no_people() -> None:
    assert people() == []
    linked = linker.link([], CAMERAS, LinkingConfig())
    empty = linker.nobody(LinkingConfig())
    assert linked.calibration.in_words() == empty.calibration.in_words()
    assert linked.calibration.same == empty.calibration.same
    assert (linked.people, linked.travel, linked.clocks) == ([], empty.travel, empty.clocks)


def test_a_link_says_why() -> None:
    one, *_ = linker.link(
        [seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, RED)], CAMERAS, LinkingConfig()
    ).people
    (link,) = one.links
    assert (link.first.camera, link.second.camera, link.rule) == ("a", "b", "")
    assert link.similarity == pytest.approx(1)
    assert link.appearance > 5
    assert link.gap_s == pytest.approx(3)
    assert link.probability > 0.9
    assert np.isnan([link.floor_m, link.place]).all()


def test_a_doubtful_piece_of_a_track_goes_to_whom_it_looks_like() -> None:
    here = np.array([200, 500])
    track = [seen("a", 1, 0, 5, RED, here), seen("a", 1, 5.1, 9, BLUE, here, ambiguous=True)]
    other = [seen("a", 2, 0, 5, BLUE, here), seen("a", 2, 5.1, 9, RED, here, ambiguous=True)]
    assert people(*track, *other) == [["a/1", "a/2"], ["a/2", "a/1"]]


def test_a_doubtful_piece_of_a_track_goes_on_when_nothing_speaks_against_it() -> None:
    here = np.array([200, 500])
    assert people(
        seen("a", 1, 0, 5, foot=here), seen("a", 1, 5.1, 9, foot=here, ambiguous=True)
    ) == [["a/1", "a/1"]]


def test_two_tracks_that_meet_keep_their_people_when_nothing_but_their_places_is_known() -> None:
    first = [
        seen("a", 1, 0, 5, foot=np.array([200, 500])),
        seen("a", 1, 5.5, 9, foot=np.array([240, 500]), ambiguous=True),
    ]
    second = [
        seen("a", 2, 0, 5, foot=np.array([235, 500])),
        seen("a", 2, 5.5, 9, foot=np.array([195, 500]), ambiguous=True),
    ]
    assert people(*first, *second) == [["a/1", "a/1"], ["a/2", "a/2"]]


def test_what_is_forbidden_and_looks_alike_is_a_near_miss_with_its_rule() -> None:
    linked = linker.link(
        [seen("a", 1, 0, 5, RED), seen("a", 2, 4, 9, RED), seen("b", 1, 10, 12, BLUE)],
        CAMERAS,
        LinkingConfig(),
    )
    assert linked.near_misses == []  # one camera at one time is no candidate at all
    far = seen("b", 1, 0, 5, RED, foot=np.array([900, 500]))
    (miss,) = linker.link([seen("a", 1, 0, 5, RED), far], ON_FLOOR, LinkingConfig()).near_misses
    assert (miss.rule, miss.appearance > 5, miss.place, round(miss.floor_m)) == (
        "floor distance",
        True,
        -8,
        8,
    )


def a_site(seed: int, n: int = 12) -> list[Embedded]:
    """Four people, seen now and then by three cameras."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(4, 8))
    embedded = []
    for i in range(n):
        look = looks[i % 4] + 0.4 * rng.normal(size=8)
        start = round(float(rng.uniform(0, 30)), 3)
        embedded.append(seen("abc"[i % 3], i, start, start + 3, look / np.linalg.norm(look)))
    return embedded


@given(st.permutations(range(12)), st.integers(0, 5))
@settings(max_examples=40)
def test_people_do_not_depend_on_the_order_of_the_tracklets(order: list[int], seed: int) -> None:
    embedded = a_site(seed)
    before = linker.link(embedded, CAMERAS, LinkingConfig()).people
    after = linker.link([embedded[i] for i in order], CAMERAS, LinkingConfig()).people
    assert names(after) == names(before)
    for person in before:
        for camera in "abc":
            spans = [(t.first_s, t.last_s) for t in person.tracklets if t.camera == camera]
            assert all(a[1] < b[0] for a, b in itertools.pairwise(spans)), "in two places at once"


@given(st.permutations("abc"), st.integers(0, 5))
@settings(max_examples=20)
def test_people_do_not_depend_on_what_cameras_are_called(order: list[str], seed: int) -> None:
    renamed = dict(zip("abc", order, strict=True))
    embedded = a_site(seed)
    other = [
        replace(e, tracklet=replace(e.tracklet, camera=renamed[e.tracklet.camera]))
        for e in embedded
    ]
    before, after = (
        linker.link(some, CAMERAS, LinkingConfig()).people for some in (embedded, other)
    )
    assert [[name[1:] for name in person] for person in names(after)] == [
        [name[1:] for name in person] for person in names(before)
    ]


@pytest.mark.parametrize("later_s", [7.0, 1e6, 1.7e9])
def test_people_do_not_depend_on_when_it_all_happened(later_s: float) -> None:
    embedded = a_site(3)
    later = [
        replace(e, tracklet=replace(e.tracklet, times_s=e.tracklet.times_s + later_s))
        for e in embedded
    ]
    before, after = (
        linker.link(some, ON_FLOOR, LinkingConfig()).people for some in (embedded, later)
    )
    assert names(after) == names(before)


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_no_constraint_is_ever_broken(seed: int) -> None:
    config = LinkingConfig(
        travel=[TravelConfig(cameras=("a", "b"), min_s=2, max_s=5)], max_gap_s=20
    )
    found = linker.link(a_site(seed, 24), ON_FLOOR, config)
    assert sorted(name for person in names(found.people) for name in person) == sorted(
        f"{'abc'[i % 3]}/{i}" for i in range(24)
    )
    for person in found.people:
        latest = person.tracklets[0]
        for one, other in itertools.combinations(person.tracklets, 2):
            gap_s = other.first_s - one.last_s
            assert one.camera != other.camera or gap_s > 0
            assert {one.camera, other.camera} != {"a", "b"} or gap_s >= 2
        for following in person.tracklets[1:]:
            limit_s = 15 if {latest.camera, following.camera} == {"a", "b"} else 20
            assert following.first_s - latest.last_s <= limit_s
            latest = max(latest, following, key=lambda t: t.last_s)
