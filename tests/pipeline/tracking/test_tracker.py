"""One camera's tracker, on drawn walks."""

from collections.abc import Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import TrackerConfig
from pipeline.records import NO_DETECTIONS, Array, Detections, Tracks, join
from pipeline.tracking.tracker import Tracker

FPS = 25
Row = tuple[float, float, float]
"""Centre x, feet y, score of a person 40 x 100 px."""


def seen(*rows: Row) -> Detections:
    return Detections(
        np.array([(x - 20, y - 100, x + 20, y) for x, y, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for *_, score in rows], np.float32),
    )


def track(
    frames: Iterable[Detections], fps: float = FPS, start_s: float = 0, **config: object
) -> list[Tracks]:
    tracker = Tracker(TrackerConfig.model_validate(config))
    return [tracker.update(detections, start_s + i / fps, i) for i, detections in enumerate(frames)]


def ids(tracks: list[Tracks]) -> set[int]:
    return {i for t in tracks for i in t.track_ids.tolist()}


def walk(n: int, speed_px: float = 3, y: float = 200, score: float = 0.9) -> list[Detections]:
    return [seen((100 + speed_px * i, y, score)) for i in range(n)]


def crossing(n: int = 80) -> list[Detections]:
    """Two people walk towards and past each other, one 30 px nearer to the camera."""
    return [seen((100 + 5 * i, 200, 0.9), (500 - 5 * i, 230, 0.85)) for i in range(n)]


def crowd(n: int, seed: int = 0) -> list[Detections]:
    """Twelve people on random walks, seen with noise, one time in ten not at all and one in five
    badly.
    """
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform((0, 100), (900, 500), (12, 2)), rng.normal(0, 2, (12, 2))
    frames = []
    for i in range(n):
        places = start + speed * i + rng.normal(0, 1.5, (12, 2))
        scores = np.where(rng.random(12) < 0.2, 0.3, 0.9)
        frames.append(
            seen(
                *[
                    (x, y, s)
                    for (x, y), s, hit in zip(places, scores, rng.random(12) < 0.9, strict=True)
                    if hit
                ]
            )
        )
    return frames


def test_two_trackers_side_by_side_both_count_from_one_and_do_not_disturb_each_other() -> None:
    alone = track(crossing())
    one, other = Tracker(TrackerConfig()), Tracker(TrackerConfig())
    for i, (expected, detections) in enumerate(zip(alone, crossing(), strict=True)):
        found = one.update(detections, i / FPS, i), other.update(detections, i / FPS, i)
        assert [t.track_ids.tolist() for t in found] == [expected.track_ids.tolist()] * 2
    assert ids(alone) == {1, 2}


def test_ids_have_no_holes_although_false_alarms_come_and_go() -> None:
    found = ids(track(crowd(200)))
    assert found == set(range(1, len(found) + 1)) and len(found) >= 12


@pytest.mark.parametrize(("missing_s", "expected"), [(0.4, {1}), (1.4, {1}), (1.7, {1, 2})])
def test_a_track_survives_a_miss_only_while_it_is_shorter_than_max_lost_s(
    missing_s: float, expected: set[int]
) -> None:
    n_missing = round(missing_s * FPS)
    frames = walk(100)
    frames[20 : 19 + n_missing] = [NO_DETECTIONS] * (n_missing - 1)
    assert ids(track(frames, max_lost_s=1.5)) == expected


def test_frames_that_never_arrive_do_not_end_a_track() -> None:
    tracker, frames = Tracker(TrackerConfig()), walk(60)
    assert {
        i
        for n in [*range(20), *range(50, 60)]
        for i in ids([tracker.update(frames[n], n / FPS, n)])
    } == {1}


def test_a_lost_track_ends_for_whoever_asks_which_are_live() -> None:
    tracker = Tracker(TrackerConfig(max_lost_s=0.5))
    for i, detections in enumerate(walk(10)):
        tracker.update(detections, i / FPS, i)
    tracker.update(NO_DETECTIONS, 0.8, 20)
    assert tracker.live_ids.tolist() == [1]
    tracker.update(NO_DETECTIONS, 0.9, 21)
    assert tracker.live_ids.tolist() == [] and len(tracker) == 0


def test_a_weak_box_continues_a_track() -> None:
    found = track(walk(10) + [seen((100 + 3 * i, 200, 0.2)) for i in range(10, 60)])
    assert all(t.track_ids.tolist() == [1] for t in found[10:])
    assert (found[-1].scores == np.float32(0.2)).all()


@pytest.mark.parametrize(("score", "expected"), [(0.1, []), (0.9, [1])])
def test_the_less_sure_a_box_is_the_better_it_must_fit(score: float, expected: list[int]) -> None:
    frames = [seen((100, 200, 0.9))] * 10 + [NO_DETECTIONS] * 5 + [seen((110, 200, score))]
    assert track(frames, min_match=0.3)[-1].track_ids.tolist() == expected


@pytest.mark.parametrize("surer", [-8, 8])
def test_of_two_boxes_that_fit_alike_the_surer_one_continues_the_track(surer: int) -> None:
    last = seen((100 + surer, 200, 0.9), (100 - surer, 200, 0.6))
    assert track([seen((100, 200, 0.9))] * 10 + [last], smoothing=0)[-1].boxes[:, 0].tolist() == [
        80 + surer
    ]


@pytest.mark.parametrize("score", [0.2, 0.55])
def test_a_weak_box_never_starts_a_track(score: float) -> None:
    assert ids(track(walk(50, score=score), new_track_confidence=0.6)) == set()


@pytest.mark.parametrize("part", [(100, 200, 0.6), (100, 160, 0.6)], ids=["larger", "smaller"])
def test_a_box_around_or_inside_a_surer_one_starts_no_track(part: Row) -> None:
    def frame(with_person: bool) -> Detections:
        x, y, score = part
        half, tall = (25, 130) if y == 200 else (15, 60)
        boxes = [(x - half, y - tall, x + half, y)] + [(80, 100, 120, 200)] * with_person
        return Detections(
            np.array(boxes, np.float32), np.array([score, 0.9][: len(boxes)], np.float32)
        )

    assert ids(track([frame(True)] * 30)) == {1}
    assert ids(track([frame(False)] * 30)) == {1}, "alone it does"
    assert ids(track([frame(True)] * 30 + [frame(False)] * 10)) == {1}, "it continues what is there"


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_false_alarm_of_one_frame_never_gets_an_id(fps: float) -> None:
    alarms = [
        seen((100, 200, 0.9), *[(400 + 90 * (i % 4), 400, 0.95)] * (i % 7 == 5)) for i in range(60)
    ]
    assert ids(track(alarms, fps)) == {1}


@pytest.mark.parametrize(
    ("fps", "start_s"), [(fps, s) for fps in (10, 20, 30) for s in (0, 0.2, 12.3, 1.7e9)]
)
def test_when_a_track_is_confirmed_does_not_depend_on_rounding(fps: float, start_s: float) -> None:
    found, n_before = track(walk(10), fps, start_s, confirm_s=0.1), fps // 10
    assert [len(t) for t in found] == [0] * n_before + [n_before + 1] + [1] * (9 - n_before)


def test_a_track_that_is_confirmed_hands_over_its_rows_of_before() -> None:
    frames = [NO_DETECTIONS] * 7 + walk(20)
    found = track(frames, fps=20, start_s=3, confirm_s=0.1, smoothing=0)
    assert [t.frames.tolist() for t in found[7:12]] == [[], [], [7, 8, 9], [10], [11]]
    first = found[9]
    assert first.times_s.tolist() == pytest.approx([3.35, 3.4, 3.45])
    assert first.track_ids.tolist() == [1, 1, 1] and first.boxes[:, 0].tolist() == [80, 83, 86]


def test_rows_that_are_handed_over_are_of_their_own_track_and_come_in_time_order() -> None:
    found = [t for t in track(crowd(120)) if len(t)]
    seen_in: dict[int, list[int]] = {}
    for tracks in found:
        assert (np.diff(tracks.frames) >= 0).all()
        for number, frame in zip(tracks.track_ids.tolist(), tracks.frames.tolist(), strict=True):
            seen_in.setdefault(number, []).append(frame)
    assert len(seen_in) >= 12 and all((np.diff(frames) > 0).all() for frames in seen_in.values())
    assert sum(len(set(t.frames.tolist())) > 1 for t in found) >= 2


def test_two_people_who_cross_keep_their_ids() -> None:
    for i, tracks in enumerate(track(crossing(), smoothing=0)):
        now = tracks.frames == i
        by_id = dict(
            zip(tracks.track_ids[now].tolist(), tracks.boxes[now, 0].tolist(), strict=True)
        )
        assert i < 3 or by_id == {1: 80 + 5 * i, 2: 480 - 5 * i}


def test_a_person_alone_is_never_doubtful() -> None:
    assert not any(t.ambiguous.any() for t in track(walk(80, 4)))


def test_people_who_cross_are_doubtful_then_and_only_then() -> None:
    frames = [seen((100 + 5 * i, 200, 0.9), (500 - 5 * i, 205, 0.9)) for i in range(80)]
    ambiguous = [i for i, t in enumerate(track(frames)) if t.ambiguous.any()]
    assert ambiguous and set(ambiguous) <= set(range(36, 45))  # they meet in frame 40


def test_a_box_far_from_where_its_track_should_be_is_doubtful() -> None:
    frames = [*walk(20, 0), seen((122, 200, 0.9)), *[seen((122, 200, 0.9))] * 5]
    assert next(i for i, t in enumerate(track(frames)) if t.ambiguous.any()) == 20


@pytest.mark.parametrize("frames", [crossing(), walk(80, 4)], ids=["crossing", "walk"])
def test_dropping_every_second_frame_gives_the_same_ids(frames: list[Detections]) -> None:
    every, second = track(frames, smoothing=0), track(frames[::2], FPS / 2, smoothing=0)
    for a, b in zip(every[6::2], second[3:], strict=True):
        assert (a.track_ids == b.track_ids).all() and (a.boxes == b.boxes).all()


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_lap_and_scipy_give_identical_tracks(least: float) -> None:
    by_lap, by_scipy = (
        track(crowd(150), assignment=name, min_match=least, min_match_tentative=least)
        for name in ("lap", "scipy")
    )
    for a, b in zip(by_lap, by_scipy, strict=True):
        assert (a.track_ids == b.track_ids).all() and (a.boxes == b.boxes).all()


def test_time_and_memory_depend_on_the_people_in_view_and_not_on_history() -> None:
    tracker, largest, newest = Tracker(TrackerConfig(max_lost_s=1)), 0, 0
    for i in range(3000):  # someone new every 5 frames, at one of 8 places
        tracks = tracker.update(seen((100 + 120 * (i // 5 % 8), 200, 0.9)), i / FPS, i)
        largest, newest = max(largest, len(tracker)), max([newest, *tracks.track_ids.tolist()])
    assert largest <= 7 and newest == 600


def rows(boxes: Array, scores: Array) -> set[tuple[float, ...]]:
    return {(*map(float, box), float(score)) for box, score in zip(boxes, scores, strict=True)}


def test_without_smoothing_what_comes_out_are_exactly_boxes_and_scores_that_went_in() -> None:
    frames = crowd(60)
    found = join(track(frames, smoothing=0))
    assert len(found) > 400
    for i, detections in enumerate(frames):
        here = found.take(found.frames == i, found.track_ids[found.frames == i])
        assert len(set(here.track_ids.tolist())) == len(here)
        assert rows(here.boxes, here.scores) <= rows(detections.boxes, detections.scores)


def test_smoothing_brings_boxes_nearer_to_where_people_are() -> None:
    rng = np.random.default_rng(0)
    jitter = [
        (100 + 3 * i + float(rng.normal(0, 3)), 200 + float(rng.normal(0, 3)), 0.9)
        for i in range(200)
    ]

    def error(smoothing: float) -> float:
        found = join(track([seen(row) for row in jitter], smoothing=smoothing))
        return float(np.abs(found.boxes[:, 0] - (80 + 3 * found.frames)).mean())

    assert error(0.4) < 0.8 * error(0)


@pytest.mark.parametrize(("duplicate_iou", "n_tracks"), [(0.75, 1), (1.0, 2)])
def test_of_duplicates_the_weaker_is_suppressed(duplicate_iou: float, n_tracks: int) -> None:
    comes = [300 - 4 * i for i in range(50)]
    frames = [seen((300, 200, 0.9))] * 10 + [seen((x, 200, 0.8), (x + 2, 201, 0.9)) for x in comes]
    assert len(ids(track(frames, duplicate_iou=duplicate_iou))) == n_tracks


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_people_who_cross_keep_their_ids_at_low_frame_rates_and_irregular_times(fps: float) -> None:
    rng = np.random.default_rng(0)
    times_s = np.cumsum(rng.uniform(0.5, 1.5, round(6 * fps)) / fps)
    tracker = Tracker(TrackerConfig())
    last = {}
    for i, s in enumerate(times_s.tolist()):
        tracks = tracker.update(seen((100 + 60 * s, 200, 0.9), (500 - 60 * s, 260, 0.85)), s, i)
        last.update(zip(tracks.track_ids.tolist(), tracks.boxes[:, 0].tolist(), strict=True))
    assert set(last) == {1, 2}
    assert last[1] > last[2]


some_frames = st.lists(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(100, 400), st.floats(0.05, 1)),
        max_size=6,
        unique_by=lambda p: p[2],
    ),
    max_size=25,
)


@given(some_frames, st.lists(st.floats(0.01, 2), min_size=25, max_size=25))
def test_no_id_is_ever_used_twice_and_each_box_continues_one_track(
    frames: list[list[Row]], steps_s: list[float]
) -> None:
    tracker, ended, largest, alive = Tracker(TrackerConfig()), set[int](), 0, set[int]()
    time_s = 0.0
    for frame, (people, step_s) in enumerate(zip(frames, steps_s, strict=False)):
        time_s += step_s
        tracks = tracker.update(seen(*people), time_s, frame)
        now = tracks.track_ids[tracks.frames == frame].tolist()
        assert len(set(now)) == len(now) <= len(people)
        assert len(set(zip(tracks.track_ids.tolist(), tracks.frames.tolist(), strict=True))) == len(
            tracks
        )
        assert (np.diff(tracks.boxes.reshape(-1, 2, 2), axis=1) > 0).all()
        live = set(tracker.live_ids.tolist())
        ended |= alive - live
        assert not ended & live and set(now) <= live
        assert all(i > largest for i in live - alive)
        largest, alive = max([largest, *live]), live


@given(some_frames, st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_the_boxes(
    frames: list[list[Row]], random: Random
) -> None:
    shuffled = [random.sample(people, len(people)) for people in frames]
    for a, b in zip(
        *(track([seen(*people) for people in some]) for some in (frames, shuffled)), strict=True
    ):
        by_score = [
            {
                (f, s): box
                for f, s, box in zip(
                    t.frames.tolist(), t.scores.tolist(), t.boxes.tolist(), strict=True
                )
            }
            for t in (a, b)
        ]
        assert by_score[0] == by_score[1]
        assert len(a) == len(b)


def test_frames_without_people_are_fine_before_between_and_after() -> None:
    frames = [NO_DETECTIONS] * 3 + walk(10) + [NO_DETECTIONS] * 3
    assert [len(t) for t in track(frames)] == [0] * 6 + [4] + [1] * 6 + [0] * 3


@pytest.mark.parametrize("fps", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("heights_s", [0.4, 0.8, 1.2])
def test_a_walk_is_one_track_at_few_frames_a_second_though_its_boxes_do_not_overlap(
    fps: float, heights_s: float
) -> None:
    found = join(track(walk(12, speed_px=100 * heights_s / fps), fps=fps))
    assert found.track_ids.tolist() == [1] * 12


def test_people_who_walk_past_each_other_at_two_frames_a_second_keep_their_tracks() -> None:
    frames = [seen((100 + 40 * i, 200, 0.9), (900 - 40 * i, 330, 0.9)) for i in range(21)]
    found = join(track(frames, fps=2))
    assert len(found) == 42
    is_first = found.boxes[:, 3] < 265
    assert len(set(found.track_ids[is_first].tolist())) == 1
    assert len(set(found.track_ids[~is_first].tolist())) == 1


def test_a_box_of_another_size_does_not_continue_a_track_where_frames_are_far_apart() -> None:
    grown = Detections(np.array([[60, -100, 180, 200]], np.float32), np.array([0.9], np.float32))
    found = track([*walk(4, speed_px=20), grown, grown], fps=1)
    assert ids(found[:4]) == {1} and ids(found[4:]) == {2}


def test_at_full_rate_a_box_that_does_not_overlap_the_prediction_continues_no_track() -> None:
    jump = [seen((400, 200, 0.9))] * 5
    assert ids(track([*walk(10), *jump])) == {1, 2}


def test_after_all_tracks_have_ended_nobody_is_matched_and_ids_go_on() -> None:
    tracker = Tracker(TrackerConfig())
    box = np.array([[100, 100, 150, 250]], np.float32)
    seen = Detections(box, np.ones(1, np.float32))
    for frame in range(5):
        before = tracker.update(seen, frame / 10, frame)
    tracker.end_all()
    assert len(tracker) == 0 and not len(tracker.live_ids)
    for frame in range(5, 10):
        after = tracker.update(seen, frame / 10, frame)
    assert before.track_ids.tolist() == [1] and after.track_ids.tolist() == [2]
    assert tracker.next_id == 3
