"""One camera's tracker, on drawn walks."""

from collections.abc import Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import TrackerConfig
from pipeline.records import NO_DETECTIONS, Array, Detections, Tracks
from pipeline.tracking.tracker import Tracker

FPS = 25
Row = tuple[float, float, float]
"""Centre x, feet y, score of a person 40 x 100 px."""


def seen(*rows: Row) -> Detections:
    return Detections(
        np.array([(x - 20, y - 100, x + 20, y) for x, y, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for *_, score in rows], np.float32),
    )


def track(frames: Iterable[Detections], fps: float = FPS, start_s: float = 0, **config: object) -> list[Tracks]:
    tracker = Tracker(TrackerConfig.model_validate(config))
    return [tracker.update(detections, start_s + i / fps) for i, detections in enumerate(frames)]


def ids(tracks: list[Tracks]) -> set[int]:
    return {i for t in tracks for i in t.track_ids.tolist()}


def walk(n: int, speed_px: float = 3, y: float = 200, score: float = 0.9) -> list[Detections]:
    return [seen((100 + speed_px * i, y, score)) for i in range(n)]


def crossing(n: int = 80) -> list[Detections]:
    """Two people walk towards and past each other, one 30 px nearer to the camera."""
    return [seen((100 + 5 * i, 200, 0.9), (500 - 5 * i, 230, 0.85)) for i in range(n)]


def crowd(n: int, seed: int = 0) -> list[Detections]:
    """Twelve people on random walks, seen with noise, one time in ten not at all and one in five badly."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform((0, 100), (900, 500), (12, 2)), rng.normal(0, 2, (12, 2))
    frames = []
    for i in range(n):
        places = start + speed * i + rng.normal(0, 1.5, (12, 2))
        scores = np.where(rng.random(12) < 0.2, 0.3, 0.9)
        frames.append(seen(*[(x, y, s) for (x, y), s, hit in zip(places, scores, rng.random(12) < 0.9, strict=True) if hit]))
    return frames


def test_two_trackers_side_by_side_both_count_from_one_and_do_not_disturb_each_other() -> None:
    alone = track(crossing())
    one, other = Tracker(TrackerConfig()), Tracker(TrackerConfig())
    for i, (expected, detections) in enumerate(zip(alone, crossing(), strict=True)):
        found = one.update(detections, i / FPS), other.update(detections, i / FPS)
        assert [t.track_ids.tolist() for t in found] == [expected.track_ids.tolist()] * 2
    assert ids(alone) == {1, 2}


def test_ids_have_no_holes_although_false_alarms_come_and_go() -> None:
    found = ids(track(crowd(200)))
    assert found == set(range(1, len(found) + 1)) and len(found) >= 12


@pytest.mark.parametrize(("missing_s", "expected"), [(0.4, {1}), (1.4, {1}), (1.7, {1, 2})])
def test_a_track_survives_a_miss_only_while_it_is_shorter_than_max_lost_s(missing_s: float, expected: set[int]) -> None:
    n_missing = round(missing_s * FPS)
    frames = walk(100)
    frames[20 : 19 + n_missing] = [NO_DETECTIONS] * (n_missing - 1)
    assert ids(track(frames, max_lost_s=1.5)) == expected


def test_frames_that_never_arrive_do_not_end_a_track() -> None:
    tracker, frames = Tracker(TrackerConfig()), walk(60)
    assert {i for n in [*range(20), *range(50, 60)] for i in ids([tracker.update(frames[n], n / FPS)])} == {1}


def test_a_lost_track_ends_for_whoever_asks_which_are_live() -> None:
    tracker = Tracker(TrackerConfig(max_lost_s=0.5))
    for i, detections in enumerate(walk(10)):
        tracker.update(detections, i / FPS)
    tracker.update(NO_DETECTIONS, 0.8)
    assert tracker.live_ids.tolist() == [1]
    tracker.update(NO_DETECTIONS, 0.9)
    assert tracker.live_ids.tolist() == [] and len(tracker) == 0


def test_a_weak_box_continues_a_track() -> None:
    found = track(walk(10) + [seen((100 + 3 * i, 200, 0.2)) for i in range(10, 60)])
    assert all(t.track_ids.tolist() == [1] for t in found[10:])
    assert (found[-1].scores == np.float32(0.2)).all()


@pytest.mark.parametrize(("score", "expected"), [(0.2, []), (0.55, [1])])
def test_a_weak_box_does_not_continue_a_track_that_was_lost(score: float, expected: list[int]) -> None:
    frames = [seen((100, 200, 0.9))] * 10 + [NO_DETECTIONS] * 5 + [seen((100, 200, score))]
    assert track(frames)[-1].track_ids.tolist() == expected


@pytest.mark.parametrize("surer", [-8, 8])
def test_of_two_boxes_that_fit_alike_the_surer_one_continues_the_track(surer: int) -> None:
    last = seen((100 + surer, 200, 0.9), (100 - surer, 200, 0.6))
    assert track([seen((100, 200, 0.9))] * 10 + [last])[-1].boxes[:, 0].tolist() == [80 + surer]


@pytest.mark.parametrize("score", [0.2, 0.55])
def test_a_weak_box_never_starts_a_track(score: float) -> None:
    assert ids(track(walk(50, score=score), high_score=0.5, new_score=0.6)) == set()


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_false_alarm_of_one_frame_never_gets_an_id(fps: float) -> None:
    alarms = [seen((100, 200, 0.9), *[(400 + 90 * (i % 4), 400, 0.95)] * (i % 7 == 5)) for i in range(60)]
    assert ids(track(alarms, fps)) == {1}


@pytest.mark.parametrize(("fps", "start_s"), [(fps, s) for fps in (10, 20, 30) for s in (0, 0.2, 12.3, 1.7e9)])
def test_when_a_track_is_confirmed_does_not_depend_on_rounding(fps: float, start_s: float) -> None:
    found = track(walk(10), fps, start_s, confirm_s=0.1)
    assert [len(t) for t in found] == [0] * (fps // 10) + [1] * (10 - fps // 10)


def test_two_people_who_cross_keep_their_ids() -> None:
    for i, tracks in enumerate(track(crossing())):
        by_id = dict(zip(tracks.track_ids.tolist(), tracks.boxes[:, 0].tolist(), strict=True))
        assert i < 3 or by_id == {1: 80 + 5 * i, 2: 480 - 5 * i}


def test_a_person_alone_is_never_doubtful() -> None:
    assert not any(t.doubtful.any() for t in track(walk(80, 4)))


def test_people_who_cross_are_doubtful_then_and_only_then() -> None:
    frames = [seen((100 + 5 * i, 200, 0.9), (500 - 5 * i, 205, 0.9)) for i in range(80)]
    doubtful = [i for i, t in enumerate(track(frames)) if t.doubtful.any()]
    assert doubtful and set(doubtful) <= set(range(36, 45))  # they meet in frame 40


def test_a_box_far_from_where_its_track_should_be_is_doubtful() -> None:
    frames = [*walk(20, 0), seen((122, 200, 0.9)), *[seen((122, 200, 0.9))] * 5]
    assert next(i for i, t in enumerate(track(frames)) if t.doubtful.any()) == 20


@pytest.mark.parametrize("frames", [crossing(), walk(80, 4)], ids=["crossing", "walk"])
def test_dropping_every_second_frame_gives_the_same_ids(frames: list[Detections]) -> None:
    every, second = track(frames), track(frames[::2], FPS / 2)
    for a, b in zip(every[6::2], second[3:], strict=True):
        assert (a.track_ids == b.track_ids).all() and (a.boxes == b.boxes).all()


@pytest.mark.parametrize("min_iou", [0.0, 0.2])
def test_lap_and_scipy_give_identical_tracks(min_iou: float) -> None:
    by_lap, by_scipy = (track(crowd(150), assignment=name, min_iou=min_iou, min_iou_new=min_iou) for name in ("lap", "scipy"))
    for a, b in zip(by_lap, by_scipy, strict=True):
        assert (a.track_ids == b.track_ids).all() and (a.boxes == b.boxes).all()


def test_time_and_memory_depend_on_the_people_in_view_and_not_on_history() -> None:
    tracker, largest, newest = Tracker(TrackerConfig(max_lost_s=1)), 0, 0
    for i in range(3000):  # someone new every 5 frames, at one of 8 places
        tracks = tracker.update(seen((100 + 120 * (i // 5 % 8), 200, 0.9)), i / FPS)
        largest, newest = max(largest, len(tracker)), max([newest, *tracks.track_ids.tolist()])
    assert largest <= 7 and newest == 600


def rows(boxes: Array, scores: Array) -> set[tuple[float, ...]]:
    return {(*map(float, box), float(score)) for box, score in zip(boxes, scores, strict=True)}


def test_what_comes_out_are_exactly_boxes_and_scores_that_went_in() -> None:
    frames = crowd(60)
    found = track(frames)
    assert sum(map(len, found)) > 400
    for tracks, detections in zip(found, frames, strict=True):
        assert len(set(tracks.track_ids.tolist())) == len(tracks)
        assert rows(tracks.boxes, tracks.scores) <= rows(detections.boxes, detections.scores)


def test_of_twins_the_weaker_is_not_looked_at() -> None:
    frames = [seen((100 + 3 * i, 200, 0.7), (102 + 3 * i, 201, 0.9)) for i in range(20)]
    found = track(frames)
    assert ids(found) == {1}
    assert all(t.scores.tolist() == [np.float32(0.9)] for t in found[5:])
    assert ids(track(frames, max_iou=1.0)) == {1, 2}


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_people_who_cross_keep_their_ids_at_low_frame_rates_and_irregular_times(fps: float) -> None:
    rng = np.random.default_rng(0)
    times_s = np.cumsum(rng.uniform(0.5, 1.5, round(6 * fps)) / fps)
    tracker = Tracker(TrackerConfig())
    last = {}
    for s in times_s.tolist():
        tracks = tracker.update(seen((100 + 60 * s, 200, 0.9), (500 - 60 * s, 260, 0.85)), s)
        last.update(zip(tracks.track_ids.tolist(), tracks.boxes[:, 0].tolist(), strict=True))
    assert set(last) == {1, 2}
    assert last[1] > last[2]


some_frames = st.lists(
    st.lists(st.tuples(st.integers(0, 300), st.integers(100, 400), st.floats(0.05, 1)), max_size=6, unique_by=lambda p: p[2]),
    max_size=25,
)


@given(some_frames, st.lists(st.floats(0.01, 2), min_size=25, max_size=25))
@settings(deadline=None)
def test_no_id_is_ever_used_twice_and_each_box_continues_one_track(frames: list[list[Row]], steps_s: list[float]) -> None:
    tracker, ended, largest, alive = Tracker(TrackerConfig()), set[int](), 0, set[int]()
    time_s = 0.0
    for people, step_s in zip(frames, steps_s, strict=False):
        time_s += step_s
        tracks = tracker.update(seen(*people), time_s)
        now = tracks.track_ids.tolist()
        assert len(set(now)) == len(now) <= len(people)
        assert (np.diff(tracks.boxes.reshape(-1, 2, 2), axis=1) > 0).all()
        live = set(tracker.live_ids.tolist())
        ended |= alive - live
        assert not ended & live and set(now) <= live
        assert all(i > largest for i in live - alive)
        largest, alive = max([largest, *live]), live


@given(some_frames, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_ids_do_not_depend_on_the_order_of_the_boxes(frames: list[list[Row]], random: Random) -> None:
    shuffled = [random.sample(people, len(people)) for people in frames]
    for a, b in zip(*(track([seen(*people) for people in some]) for some in (frames, shuffled)), strict=True):
        by_score = [dict(zip(t.scores.tolist(), t.boxes.tolist(), strict=True)) for t in (a, b)]
        assert by_score[0] == by_score[1]
        assert len(a) == len(b)


def test_frames_without_people_are_fine_before_between_and_after() -> None:
    frames = [NO_DETECTIONS] * 3 + walk(10) + [NO_DETECTIONS] * 3
    assert [len(t) for t in track(frames)] == [0] * 6 + [1] * 7 + [0] * 3
