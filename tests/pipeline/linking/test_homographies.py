import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline import floor
from pipeline.config import LinkingConfig
from pipeline.linking import linker
from pipeline.linking.evidence import position
from pipeline.linking.index import PERSON_M, TrackletIndex, through
from pipeline.linking.learning import clocks, correspondences, homographies
from pipeline.linking.learning.feet import Sightings
from pipeline.linking.learning.homographies import Homography
from pipeline.records import Array, Camera, Embedded
from tests.pipeline.linking.walkers import (
    BARE,
    HEIGHT,
    ON_FLOOR,
    VIEWS,
    Walk,
    crowd,
    judge,
    look,
    mistaken,
    wander,
    watch,
)

GRID_M = np.stack(np.meshgrid(np.linspace(-3, 3, 7), np.linspace(-3, 3, 7)), axis=-1).reshape(-1, 2)


def found(seen: Sequence[Embedded], cameras: dict[str, Camera] = BARE) -> list[Homography]:
    index = TrackletIndex(seen, cameras)
    return homographies.estimate(index, correspondences.likely_pairs(index, judge(index)))


def off_m(h: Homography) -> Array:
    """How far off the floor a homography is where people walk, in metres."""
    first, second = h.cameras
    there, _ = through(floor.project(GRID_M, VIEWS[first]), h.matrix)
    return np.linalg.norm(floor.project(there, np.linalg.inv(VIEWS[second])) - GRID_M, axis=1)


def test_how_two_pictures_overlap_is_found_from_the_feet_of_people() -> None:
    (h,) = found(crowd(12, a=0, b=0))
    assert off_m(h).max() < 0.2
    assert h.error_m < 0.1
    assert h.agree > 0.95
    assert h.n_pairs == 12
    assert h.offset.offset_s == 0


def test_it_says_how_good_it_is_in_words() -> None:
    words = found(crowd(12, a=0, b=0))[0].in_words()
    assert "overlap: floor matched to 0.0 m (" in words
    assert "places of 12 pairs of tracklets, 100% agree)" in words


@pytest.mark.parametrize("ahead_s", [-4.5, -1, 0.7, 3])
def test_it_is_found_though_clocks_disagree_and_tells_by_how_much(ahead_s: float) -> None:
    seen = crowd(12, a=0, b=ahead_s)
    (h,) = found(seen)
    assert off_m(h).max() < 0.2
    assert h.offset.cameras == ("a", "b")
    assert h.offset.offset_s == pytest.approx(ahead_s, abs=0.1)
    assert h.offset.before_m > h.offset.after_m or np.isnan(h.offset.before_m)
    told = clocks.agree(
        clocks.measure(TrackletIndex(seen, BARE), np.zeros((0, 2), np.int64), [h.offset])
    )
    assert told.offsets_s["b"] == pytest.approx(ahead_s, abs=0.1)


def test_some_who_are_mistaken_for_others_do_no_harm() -> None:
    (h,) = found(crowd(12, a=0, b=0) + mistaken(4, a=0, b=0))
    assert h.n_pairs == 12
    assert h.agree > 0.9
    assert off_m(h).max() < 0.2


def test_feet_that_are_out_of_the_picture_are_left_out() -> None:
    seen = crowd(12, a=0, b=0)
    cut = []
    for e in seen:
        boxes = e.tracklet.boxes.copy()
        boxes[::3, 3] = HEIGHT - 5
        cut.append(replace(e, tracklet=replace(e.tracklet, boxes=boxes)))
    sightings = Sightings(TrackletIndex(cut, BARE), 0, 1)
    feet = sightings.feet(sightings.at_once(0.0), 0.0)
    assert len(feet) > 0
    heights_px = PERSON_M * np.concatenate([feet.metre_here_px, feet.metre_there_px])
    bottoms = np.concatenate([feet.here, feet.there])[:, 1]
    assert (bottoms < HEIGHT - floor.CUT_SHARE * heights_px + 1e-6).all()


def test_somebody_whom_the_edge_cuts_is_compared_only_where_the_feet_are_shown() -> None:
    seen = crowd(12, a=0, b=0)
    index = TrackletIndex(seen, BARE)
    views = homographies.views(index.names, found(seen))
    first, second = correspondences.likely_pairs(index, judge(index))[0].tolist()
    cut = index.tracklets[second].boxes.copy()
    cut[::3, 3] = HEIGHT - 5
    with_cut = [
        replace(e, tracklet=replace(e.tracklet, boxes=cut)) if number == second else e
        for number, e in enumerate(index.embedded)
    ]
    _, whole_path = index.with_homographies(views).common(first, second)
    _, cut_path = TrackletIndex(with_cut, BARE).with_homographies(views).common(first, second)
    is_cut = np.arange(len(cut)) % 3 == 0
    assert cut_path.times_s.tolist() == whole_path.times_s[~is_cut].tolist()


def test_somebody_who_stands_is_one_place() -> None:
    seen = [watch(c, 0, lambda t: np.zeros((len(t), 2)), 0, 30, look(0)) for c in "ab"]
    sightings = Sightings(TrackletIndex(seen, BARE), 0, 1)
    assert sightings.at_once(0.0).tolist() == [[0, 1]]
    assert len(sightings.feet(np.array([[0, 1]]), 0.0)) == 1


def test_people_on_one_line_do_not_tell_how_pictures_overlap() -> None:
    seen = []
    for person in range(12):
        walk = lambda t, at=person / 4: np.stack([1.2 * (t - at) - 4, np.ones(len(t))], axis=1)  # noqa: E731
        seen += [watch(c, person, walk, person / 4, person / 4 + 6, look(person)) for c in "ab"]
    assert found(seen) == []


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_people_who_pass_do_not_tell_how_pictures_overlap(n: int) -> None:
    assert found(crowd(n, a=0, b=0)) == []


def test_cameras_that_see_different_people_do_not_overlap() -> None:
    there = [replace(e, embedding=np.roll(e.embedding, -20)) for e in crowd(20, seed=5, b=0)]
    strangers = [replace(e, embedding=look(e.tracklet.track_id).astype(np.float32)) for e in there]
    assert found(crowd(20, seed=6, a=0) + strangers) == []


def dressed_alike(seen: Sequence[Embedded]) -> list[Embedded]:
    """Everybody looks like one person."""
    return [replace(e, embedding=look(0).astype(np.float32)) for e in seen]


def linger(rng: np.random.Generator) -> Walk:
    """Step about one's place within a metre or so, as at a desk or a stall."""
    steps = rng.uniform(-4, 4, 2) + rng.normal(0, 0.5, (200, 2))
    far = np.cumsum([0.0, *np.linalg.norm(np.diff(steps, axis=0), axis=1)])
    speed = rng.uniform(0.1, 0.4)
    return lambda t: np.stack([np.interp(speed * t, far, steps[:, k]) for k in (0, 1)], axis=1)


def strangers(walker: Callable[[np.random.Generator], Walk], n: int, seed: int) -> list[Embedded]:
    """N people in each of two cameras that see different floors, for a minute, all alike."""
    rng = np.random.default_rng(seed)
    return [
        watch(camera, track + 100 * (camera == "b"), walker(rng), 0, 60, look(0))
        for camera in "ab"
        for track in range(n)
    ]


@pytest.mark.parametrize("ahead_s", [0, 2])
def test_it_is_found_though_all_people_look_alike(ahead_s: float) -> None:
    (h,) = found(dressed_alike(crowd(12, a=0, b=ahead_s)))
    assert off_m(h).max() < 0.2
    assert h.n_pairs == 12
    assert h.agree > 0.95
    assert h.offset.offset_s == pytest.approx(ahead_s, abs=0.1)


def test_it_is_found_though_nobody_looks_like_themselves_in_the_other_camera() -> None:
    seen = crowd(12, a=0, b=0)
    turned = [
        replace(e, embedding=look(e.tracklet.track_id + 30).astype(np.float32))
        if e.tracklet.camera == "b"
        else e
        for e in seen
    ]
    (h,) = found(turned)
    assert off_m(h).max() < 0.2


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_people_tell_how_pictures_overlap_when_they_walk_about_for_long(n: int) -> None:
    rng = np.random.default_rng(n)
    seen = []
    for person in range(n):
        walk = wander(rng)
        seen += [watch(c, person, walk, 0, 60, look(0)) for c in "ab"]
    (h,) = found(seen)
    assert h.n_pairs == n
    assert off_m(h).max() < 0.4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("walker", [wander, linger])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_strangers_who_look_alike_do_not_make_cameras_overlap(
    walker: Callable[[np.random.Generator], Walk], n: int, seed: int
) -> None:
    assert found(strangers(walker, n, seed)) == []


@pytest.mark.parametrize("seed", range(4))
def test_crowds_of_strangers_who_look_alike_do_not_make_cameras_overlap(seed: int) -> None:
    here = crowd(20, seed=2 * seed, a=0)
    there = crowd(20, seed=2 * seed + 1, b=0)
    assert found(dressed_alike(here + there)) == []


def test_of_many_cameras_only_those_that_share_people_by_appearance_are_tried() -> None:
    overlapping = crowd(12, a=0, b=0)
    more = {f"empty{k}": replace(BARE["c"], name=f"empty{k}") for k in range(8)}
    passers = [
        replace(e, tracklet=replace(e.tracklet, camera=name))
        for e, name in zip(crowd(len(more), seed=9, c=0), more, strict=True)
    ]
    passers = [replace(e, embedding=look(50).astype(np.float32)) for e in passers]
    (h,) = found(overlapping + passers, BARE | more)
    assert h.cameras in {("a", "b"), ("b", "a")}
    unlike = [
        replace(e, embedding=look(51).astype(np.float32)) if e.tracklet.camera == "b" else e
        for e in overlapping
    ]
    assert found(unlike + passers, BARE | more) == []
    assert len(found(unlike, BARE | more)) == 1


@pytest.mark.parametrize("ahead_s", [0, 2])
def test_one_that_is_known_is_fitted_again_as_well_as_it_is_found(ahead_s: float) -> None:
    earlier = found(crowd(12, a=0, b=ahead_s))
    index = TrackletIndex(crowd(12, seed=1, a=0, b=ahead_s), BARE)
    pairs = correspondences.likely_pairs(index, judge(index))
    (h,) = homographies.estimate(index, pairs, earlier)
    assert off_m(h).max() < 0.2
    assert h.n_pairs == 12
    assert h.offset.offset_s == pytest.approx(ahead_s, abs=0.1)


def test_a_wrong_one_that_is_known_is_found_anew() -> None:
    (right,) = found(crowd(12, a=0, b=0))
    wrong = replace(right, matrix=right.matrix @ np.diag([1.0, 1.5, 1.0]))
    index = TrackletIndex(crowd(12, seed=1, a=0, b=0), BARE)
    (h,) = homographies.estimate(index, np.zeros((0, 2), np.int64), [wrong])
    assert off_m(h).max() < 0.2


def test_cameras_on_a_common_floor_are_left_alone() -> None:
    assert found(crowd(12, a=0, b=0), ON_FLOOR) == []
    assert len(found(crowd(12, a=0, b=0), ON_FLOOR | {"b": BARE["b"]})) == 1


def test_views_lead_there_and_back() -> None:
    (h,) = found(crowd(12, a=0, b=0))
    views = homographies.views(["a", "b"], [h])
    assert set(views) == {(0, 1), (1, 0)}
    points = floor.project(GRID_M, VIEWS["a"])
    there, ahead = through(points, views[0, 1].matrix)
    back, also_ahead = through(there, views[1, 0].matrix)
    assert ahead.all() and also_ahead.all()
    assert np.allclose(back, points, atol=1e-6)


def test_what_is_beyond_the_horizon_is_nowhere() -> None:
    horizon_at_100_px = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0.01, -1.0]])
    points, ahead = through(np.array([[5.0, 200.0], [5.0, 100.0], [5.0, 50.0]]), horizon_at_100_px)
    assert ahead.tolist() == [True, False, False]
    assert points[0].tolist() == [5.0, 200.0]


def test_places_of_one_person_agree_through_a_view_and_those_of_two_do_not() -> None:
    seen = crowd(12, a=0, b=0)
    walks = [
        lambda t: np.stack([t / 2 - 3, t / 3 - 3], axis=1),
        lambda t: np.stack([3 - t / 5, 3 - t / 5], axis=1),
    ]
    here_and_there = (("a", 50, walks[0]), ("b", 51, walks[0]), ("b", 52, walks[1]))
    seen += [
        watch(camera, track, walk, 0, 5, np.zeros(64)) for camera, track, walk in here_and_there
    ]
    index = TrackletIndex(seen, BARE)
    a, same, other = (
        i for track in (50, 51, 52) for i, t in enumerate(index.tracklets) if t.track_id == track
    )
    assert np.isnan(position.compare(index, min(a, same), max(a, same), LinkingConfig()).odds)
    index = index.with_homographies(homographies.views(index.names, found(seen)))
    alike = position.compare(index, min(a, same), max(a, same), LinkingConfig())
    apart = position.compare(index, min(a, other), max(a, other), LinkingConfig())
    assert alike.odds > 3
    assert alike.metres < 0.3
    assert apart.odds < -3
    assert apart.metres > 2 * PERSON_M
    assert (alike.rule, apart.rule) == ("", "")


@pytest.mark.parametrize("n_mistaken", [4, 8])
def test_places_far_apart_say_the_less_the_fewer_feet_agree(n_mistaken: int) -> None:
    seen = crowd(12, a=0, b=0) + mistaken(n_mistaken, a=0, b=0)
    index = TrackletIndex(seen, BARE)
    (h,) = homographies.estimate(index, correspondences.likely_pairs(index, judge(index)))
    views = homographies.views(index.names, [h])
    index = index.with_homographies(views)
    places = [position.compare(index, i, j, LinkingConfig()) for i, j in pairs_at_once(index)]
    odds = np.array([compared.odds for compared in places])
    metres = np.array([compared.metres for compared in places])
    far = odds[metres > 5]
    assert len(far) > 10
    agree = views[0, 1].agree
    assert far == pytest.approx(np.log(1 - agree), abs=0.05)
    assert {compared.rule for compared in places} == {""}


def pairs_at_once(index: TrackletIndex) -> list[tuple[int, int]]:
    """Pairs of tracklets that two cameras see at the same time."""
    return [
        (i, j)
        for i, j in itertools.combinations(range(len(index)), 2)
        if index.camera[i] != index.camera[j] and index.start_s[j] < index.end_s[i] - 1
    ]


def test_people_whose_looks_were_not_seen_are_linked_by_place_in_uncalibrated_cameras() -> None:
    rng = np.random.default_rng(3)
    seen = crowd(12, a=0, b=0)
    for track, start_s in ((50, 5), (60, 12), (70, 20)):
        walk = wander(rng)
        seen += [
            watch(c, track + k, walk, start_s, start_s + 8, np.zeros(64))
            for k, c in enumerate("ab")
        ]
    people = linker.link(seen, BARE, LinkingConfig()).people
    together = [[t.track_id for t in p.tracklets] for p in people]
    assert all([track, track + 1] in [sorted(t) for t in together] for track in (50, 60, 70))


def test_the_names_of_cameras_change_nothing() -> None:
    seen = crowd(12, a=0, b=1)
    other = {"a": "b", "b": "a"}
    renamed = [
        replace(e, tracklet=replace(e.tracklet, camera=other[e.tracklet.camera])) for e in seen
    ]
    (h,), (turned,) = found(seen), found(renamed)
    assert turned.cameras == tuple(other[c] for c in h.cameras)
    assert np.allclose(turned.matrix, h.matrix)
    assert turned.offset.offset_s == -h.offset.offset_s
