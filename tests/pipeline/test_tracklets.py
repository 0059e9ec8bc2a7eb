"""Rows become tracklets: when they close, what they keep."""

import cv2
import numpy as np
import pytest

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.config import TrackletsConfig
from pipeline.records import Array, Frame, Tracklet, Tracks, join
from pipeline.tracklets import Gatherer, cut

FPS = 10
BOX = (100, 40, 150, 168)
IN_FRONT, BEHIND = (110, 60, 160, 190), (90, 20, 140, 150)
FLAT = np.full((240, 320, 3), 90, np.uint8)
SHARP = np.random.default_rng(0).integers(0, 255, FLAT.shape, np.uint8)


def numbered(i: int) -> Array:
    """An image whose colour tells its number."""
    return np.full((64, 64, 3), (i % 256, i // 256, 7), np.uint8)


def number(crop: Array) -> int:
    return int(crop[0, 0, 0]) + 256 * int(crop[0, 0, 1])


def tracks(
    frame: Frame, *boxes: tuple[float, ...], score: float = 0.9, ambiguous: bool = False
) -> Tracks:
    """Tracks of a frame with ids 1, 2, ..."""
    n = len(boxes)
    rows = np.array(boxes, np.float32).reshape(n, 4)
    at, when = np.full(n, frame.index), np.full(n, frame.time_s)
    return Tracks(
        at, when, np.arange(1, n + 1), rows, np.full(n, score, np.float32), np.full(n, ambiguous)
    )


def gather(n_frames: int, fps: float = FPS, seed: int = -1, **config: float) -> list[Tracklet]:
    """One person in `n_frames` numbered images, with random scores when there is a seed."""
    gatherer = Gatherer("cam", TrackletsConfig.model_validate(config))
    scores = (
        np.full(n_frames, 0.9)
        if seed < 0
        else np.random.default_rng(seed).uniform(0.1, 1, n_frames)
    )
    closed = []
    for i, score in enumerate(scores):
        frame = Frame("cam", i, 5 + i / fps, numbered(i))
        closed += gatherer.add(
            frame, tracks(frame, (10, 8 + i % 7, 30, 48 + i % 7), score=score), np.array([1])
        )
    return closed + gatherer.flush()


@pytest.mark.parametrize("seed", [-1, 0, 1])
@pytest.mark.parametrize("max_crops", [1, 2, 7, 8])
@pytest.mark.parametrize("n_frames", [40, 77, 400])
def test_crops_are_few_and_in_time_order_and_spread_over_the_whole_time(
    n_frames: int, max_crops: int, seed: int
) -> None:
    (tracklet,) = gather(n_frames, seed=seed, max_crops=max_crops)
    kept = np.array([number(crop) for crop in tracklet.crops])
    assert max_crops / 2 <= len(kept) <= max_crops
    assert (np.diff(kept) > 0).all()
    assert tracklet.scores.argmax() in kept
    assert max_crops < 7 or np.diff([0, *kept, n_frames]).max() <= n_frames * 0.55


@pytest.mark.parametrize(("n_frames", "every"), [(16, 4), (17, 4), (32, 4), (100, 16), (1000, 128)])
def test_of_crops_that_are_equally_good_evenly_spaced_ones_stay(n_frames: int, every: int) -> None:
    (tracklet,) = gather(n_frames, fps=8, max_crops=8, max_tracklet_s=1000)
    assert [number(crop) for crop in tracklet.crops] == list(range(0, n_frames, every))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(
            (SHARP, [BOX], 0.9), (cv2.GaussianBlur(SHARP, (0, 0), 5), [BOX], 0.9), id="sharper"
        ),
        pytest.param((FLAT, [BOX], 0.9), (FLAT + 9, [(100, 40, 120, 90)], 0.9), id="larger"),
        pytest.param((FLAT, [BOX], 0.9), (FLAT + 9, [BOX, IN_FRONT], 0.9), id="unoccluded"),
        pytest.param(
            (FLAT, [BOX], 0.9), (FLAT + 9, [(0, 40, 50, 168)], 0.9), id="not cut by the border"
        ),
        pytest.param((FLAT, [BOX], 0.9), (FLAT + 9, [BOX], 0.6), id="surer"),
    ],
)
@pytest.mark.parametrize("better_first", [True, False])
def test_the_better_crop_of_a_stretch_wins(
    better: tuple[Array, list[tuple[int, ...]], float],
    worse: tuple[Array, list[tuple[int, ...]], float],
    better_first: bool,
) -> None:
    gatherer = Gatherer("cam", TrackletsConfig(min_tracklet_s=0))
    for i, (image, boxes, score) in enumerate([better, worse] if better_first else [worse, better]):
        frame = Frame("cam", i, i / FPS, image.copy())
        gatherer.add(frame, tracks(frame, *boxes, score=score), np.array([1, 2]))
    assert (gatherer.flush()[0].crops == cut(better[0], np.array(BOX))[None]).all()


def test_a_person_in_front_covers_and_a_person_behind_does_not() -> None:
    def quality(*boxes: tuple[float, ...]) -> float:
        gatherer = Gatherer("cam", TrackletsConfig(min_tracklet_s=0))
        frame = Frame("cam", 0, 0.0, FLAT.copy())
        gatherer.add(frame, tracks(frame, *boxes), np.array([1, 2]))
        return float(gatherer.flush()[0].crop_quality[0])

    assert quality(BOX, IN_FRONT) < quality(BOX) == quality(BOX, BEHIND)


@pytest.mark.parametrize(("n_frames", "n_tracklets"), [(1, 0), (3, 0), (4, 1), (40, 1)])
def test_tracks_shorter_than_min_tracklet_s_are_dropped(n_frames: int, n_tracklets: int) -> None:
    assert len(gather(n_frames, fps=8, min_tracklet_s=0.3)) == n_tracklets


@pytest.mark.parametrize("n_frames", [100, 101, 150, 303])
def test_a_long_track_is_cut_into_pieces_whose_rows_join_without_loss(n_frames: int) -> None:
    whole, pieces = (
        gather(n_frames, seed=3)[0],
        gather(n_frames, seed=3, max_tracklet_s=5, min_tracklet_s=0.5),
    )
    assert [len(p.frames) for p in pieces] == [50] * (n_frames // 50) + [n_frames % 50] * (
        n_frames % 50 > 0
    )
    assert {p.track_id for p in pieces} == {1} and all(len(p.crops) for p in pieces)
    assert not any(p.ambiguous for p in pieces)
    for name in ("frames", "times_s", "boxes", "scores"):
        assert (np.concatenate([getattr(p, name) for p in pieces]) == getattr(whole, name)).all()
    assert whole.frames.tolist() == list(range(n_frames))


@pytest.mark.parametrize(
    ("ambiguous_at", "pieces"),
    [
        ([], [20]),
        ([0], [20]),
        ([8], [8, 12]),
        ([8, 15], [8, 7, 5]),
        ([3], [6, 14]),
        ([3, 6], [6, 14]),
        ([8, 9, 10, 15], [8, 6, 6]),
        ([8, 19], [8, 11, 1]),
    ],
)
def test_a_track_is_cut_where_it_is_ambiguous_or_as_soon_as_the_piece_is_long_enough(
    ambiguous_at: list[int], pieces: list[int]
) -> None:
    gatherer = Gatherer("cam", TrackletsConfig(min_piece_s=0.55))
    closed = []
    for i in range(20):
        frame = Frame("cam", i, i / FPS, FLAT)
        row = tracks(frame, BOX, ambiguous=i in ambiguous_at)
        closed += gatherer.add(frame, row, row.track_ids)
    closed += gatherer.flush()
    assert [len(t.frames) for t in closed] == pieces
    assert [t.ambiguous for t in closed] == [False] + [True] * (len(pieces) - 1)
    assert np.concatenate([t.frames for t in closed]).tolist() == list(range(20))


@pytest.mark.parametrize(("missing", "cut_there"), [(3, False), (5, True)])
def test_a_track_is_cut_where_it_was_not_seen_for_longer_than_max_gap(
    missing: int, cut_there: bool
) -> None:
    gatherer = Gatherer("cam", TrackletsConfig(max_gap_in_tracklet_s=0.45))
    closed = []
    for i in [*range(10), *range(9 + missing, 30)]:
        frame = Frame("cam", i, i / FPS, FLAT)
        closed += gatherer.add(frame, tracks(frame, BOX), np.array([1]))
    assert [t.ambiguous for t in closed + gatherer.flush()] == (
        [False, True] if cut_there else [False]
    )


@pytest.mark.parametrize("step_s", [0.5, 1.0, 10.0])
def test_a_track_that_is_in_every_frame_is_not_cut_however_far_frames_are_apart(
    step_s: float,
) -> None:
    (tracklet,) = gather(5, fps=1 / step_s, max_tracklet_s=1000)
    assert len(tracklet.frames) == 5


def test_a_track_that_missed_a_frame_is_cut_where_frames_are_far_apart() -> None:
    gatherer = Gatherer("cam", TrackletsConfig())
    closed = []
    for i in range(8):
        frame = Frame("cam", i, float(i), FLAT)
        rows = tracks(frame, BOX) if i != 4 else tracks(frame)
        closed += gatherer.add(frame, rows, np.array([1]))
    assert [t.frames.tolist() for t in closed + gatherer.flush()] == [[0, 1, 2, 3], [5, 6, 7]]


def test_rows_of_frames_before_are_taken_and_cropped_from_no_picture() -> None:
    gatherer = Gatherer("cam", TrackletsConfig(min_tracklet_s=0))
    before = [
        tracks(Frame("cam", i, i / FPS, numbered(i)), (10, 8, 30, 48), (20, 8, 40, 48))
        for i in range(2)
    ]
    frame = Frame("cam", 2, 2 / FPS, numbered(2))
    gatherer.add(frame, join([*before, tracks(frame, (10, 8, 30, 48))]), np.array([1, 2]))
    whole, hidden = gatherer.flush()
    assert (whole.frames.tolist(), hidden.frames.tolist()) == ([0, 1, 2], [0, 1])
    assert whole.times_s.tolist() == [0, 0.1, 0.2]
    assert [number(crop) for crop in whole.crops] == [2] and len(hidden.crops) == 0
    gatherer.add(frame, tracks(frame, (10, 8, 30, 48)), np.array([1]))
    assert whole.crop_quality == gatherer.flush()[0].crop_quality, "a person does not cover herself"


def test_crops_know_their_times() -> None:
    (tracklet,) = gather(77, max_crops=7)
    assert tracklet.crop_times_s.tolist() == [5 + number(crop) / FPS for crop in tracklet.crops]


def test_a_tracklet_closes_when_its_track_has_ended_and_not_while_it_is_lost() -> None:
    gatherer = Gatherer("cam", TrackletsConfig(min_tracklet_s=0))

    def add(i: int, *live: int) -> list[tuple[int, list[int]]]:
        frame = Frame("cam", i, i / FPS, FLAT.copy())
        boxes = tracks(frame, BOX, IN_FRONT) if i < 2 else tracks(frame, BOX)
        closed = gatherer.add(frame, boxes, np.array(live))
        return [(t.track_id, t.frames.tolist()) for t in closed]

    assert [add(0, 1, 2), add(1, 1, 2), add(2, 1, 2), add(3, 1), add(4, 1)] == [
        [],
        [],
        [],
        [(2, [0, 1])],
        [],
    ]
    assert [t.track_id for t in gatherer.flush()] == [1]
    assert gatherer.flush() == []


def test_what_is_open_can_be_seen_before_it_closes_and_keeps_its_key() -> None:
    gatherer, peeking = (
        Gatherer("cam", TrackletsConfig(max_crops=4)),
        Gatherer("cam", TrackletsConfig(max_crops=4)),
    )
    peeks = []
    for i in range(40):
        frame = Frame("cam", i, i / FPS, numbered(i))
        row = tracks(frame, (10, 8, 30, 48), ambiguous=i == 25)
        assert len(gatherer.add(frame, row, row.track_ids)) == len(
            peeking.add(frame, row, row.track_ids)
        )
        peeks.append(peeking.provisional())
    assert [len(t.frames) for peek in peeks for t in peek] == [*range(4, 26), *range(1, 16)], (
        "none before min_tracklet_s"
    )
    assert {t.key for peek in peeks for t in peek} == {(0.0, "cam", 1), (2.5, "cam", 1)}
    (last,), (closed,), (whole,) = peeks[-1], peeking.flush(), gatherer.flush()
    assert (last.crops == closed.crops).all() and (closed.crops == whole.crops).all()
    assert peeking.provisional() == []


def test_an_open_tracklet_never_holds_more_than_max_crops() -> None:
    gatherer = Gatherer("cam", TrackletsConfig(max_crops=8, max_tracklet_s=1e9))
    image, rng = numbered(0), np.random.default_rng(0)
    held = []
    for i in range(4000):
        frame = Frame("cam", i, i / FPS, image)
        row = tracks(frame, (10, 10, 30, 50), (30, 10, 50, 50), score=rng.uniform(0.1, 1))
        gatherer.add(frame, row, row.track_ids)
        held.append([len(tracklet.crops) for tracklet in gatherer._open.values()])
    assert (np.max(held), np.min(held[100:])) == (8, 5)


def test_a_crop_has_the_pixels_of_its_box() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[20:60, 30:70], image[60:100, 30:70] = (250, 10, 20), (10, 20, 250)
    crop = cut(image, np.array([30, 20, 70, 100], np.float32))
    assert crop.shape == (HEIGHT_PX, WIDTH_PX, 3) and crop.dtype == np.uint8
    assert (crop[:124] == (250, 10, 20)).all() and (crop[-124:] == (10, 20, 250)).all()


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((-30, -20, 50, 90), (0, 0, 50, 90)),
        ((10.8, 10.2, 20.5, 30.1), (10, 10, 21, 31)),
        ((290.5, 150.2, 340, 260), (290, 150, 320, 240)),
        ((-10, -10, 400, 300), (0, 0, 320, 240)),
        ((330, 250, 380, 350), (319, 239, 320, 240)),
        ((-50, -90, -10, -10), (0, 0, 1, 1)),
        ((20, 30, 20, 30), (20, 30, 21, 31)),
    ],
)
def test_a_box_beyond_the_image_is_cut_to_what_is_in_it(
    box: tuple[float, ...], inside: tuple[int, ...]
) -> None:
    x1, y1, x2, y2 = inside
    part = cv2.resize(SHARP[y1:y2, x1:x2], (WIDTH_PX, HEIGHT_PX))
    assert (cut(SHARP, np.array(box, np.float32)) == part).all()
