from dataclasses import replace

import numpy as np
import pytest

from pipeline.linking import split
from pipeline.linking.evidence.appearance import Curve
from pipeline.linking.index import TrackletIndex
from pipeline.records import Camera, Embedded, Tracklet
from pipeline.vectors import pool

CURVE = Curve(np.array([0.45]), 0.06)
PEOPLE = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
CAMERA = Camera("cam", "cam.mp4", 1000, 1000, 10, 0, -1, np.zeros((0, 0)))
WEAK = 34
JUMP = 37


def tracklet_of(*who: int, noise: float = 0.3, quality: float = 0.5) -> Embedded:
    """A tracklet with a look a second, of these people one after the other. It walks to the right,
    jumps a little to the left at row `JUMP`, and has the lowest score in row `WEAK`.
    """
    rng = np.random.default_rng(len(who))
    looks = PEOPLE[list(who)] + noise / 8 * rng.normal(size=(len(who), 64))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    n = 10 * len(who)
    scores = np.full(n, 0.9, np.float32)
    scores[WEAK : WEAK + 1] = 0.2
    boxes = np.tile(np.array([0, 0, 40, 100], np.float32), (n, 1))
    boxes[:, [0, 2]] += 10 * np.arange(n, dtype=np.float32)[:, None]
    boxes[JUMP:, [0, 2]] -= 14
    no_crops = np.zeros((0, 256, 128, 3), np.uint8)
    tracklet = Tracklet(
        "cam",
        7,
        np.arange(n),
        np.arange(n) / 10,
        boxes,
        scores,
        no_crops,
        np.zeros(0, np.float32),
        np.zeros(0),
    )
    weights = np.full(len(who), quality, np.float32)
    times = np.arange(len(who)) + 0.5
    return Embedded(tracklet, pool(looks, weights), looks.astype(np.float16), weights, times)


def beside(embedded: Embedded) -> Embedded:
    """The same tracklet of another track of the camera."""
    return replace(embedded, tracklet=replace(embedded.tracklet, track_id=8))


def cut(*embedded: Embedded) -> list[Embedded]:
    return split.split(TrackletIndex(embedded, {"cam": CAMERA}), CURVE)


@pytest.mark.parametrize("n_looks", [1, 3, 4, 8])
def test_a_tracklet_of_one_person_stays_whole(n_looks: int) -> None:
    whole = tracklet_of(*[3] * n_looks)
    (found,) = cut(whole)
    assert found is whole


def test_a_tracklet_without_looks_stays_whole() -> None:
    whole = tracklet_of(1, 2)
    bare = Embedded(
        whole.tracklet,
        whole.embedding,
        whole.crop_embeddings[:0],
        whole.crop_quality[:0],
        whole.crop_times_s[:0],
    )
    (found,) = cut(bare)
    assert found is bare


def test_a_tracklet_that_goes_over_to_somebody_else_is_cut_where_it_jumps() -> None:
    first, second = cut(tracklet_of(1, 1, 1, 1, 2, 2, 2, 2))
    assert (first.tracklet.frames[-1], second.tracklet.frames[0]) == (JUMP - 1, JUMP)
    assert (first.tracklet.ambiguous, second.tracklet.ambiguous) == (False, True)
    assert first.embedding @ PEOPLE[1] > 0.9 and second.embedding @ PEOPLE[2] > 0.9
    assert len(first.crop_embeddings) == len(second.crop_embeddings) == 4
    assert np.concatenate([first.tracklet.boxes, second.tracklet.boxes]).shape == (80, 4)


def test_a_gap_in_a_steady_walk_is_no_jump() -> None:
    whole = tracklet_of(1, 1, 1, 1, 2, 2, 2, 2)
    is_seen = ~np.isin(np.arange(80), range(39, 42))
    _, second = cut(whole.rows(is_seen))
    assert second.tracklet.frames[0] == JUMP


def test_three_people_in_one_tracklet_become_three() -> None:
    assert [e.crop_times_s.tolist() for e in cut(tracklet_of(1, 1, 1, 2, 2, 2, 5, 5, 5))] == [
        [0.5, 1.5, 2.5],
        [3.5, 4.5, 5.5],
        [6.5, 7.5, 8.5],
    ]


@pytest.mark.parametrize(
    "who", [(1, 1, 1, 1, 1, 1, 1, 2), (1, 1, 1, 2, 1, 1, 1, 1), (2, 1, 1, 1, 1, 1)]
)
def test_a_single_odd_look_is_a_bad_crop_and_no_other_person(who: tuple[int, ...]) -> None:
    assert len(cut(tracklet_of(*who))) == 1


def test_a_single_look_is_enough_where_two_tracks_exchange_people() -> None:
    first = tracklet_of(1, 1, 1, 1, 2)
    second = beside(tracklet_of(2, 2, 2, 2, 1))
    found = cut(first, second)
    assert [(e.tracklet.track_id, e.tracklet.frames[0]) for e in found] == [
        (7, 0),
        (7, JUMP),
        (8, 0),
        (8, JUMP),
    ]


@pytest.mark.parametrize("other", [(2, 2, 2, 2, 2), (3, 3, 3, 3, 4)])
def test_a_single_look_of_somebody_beside_is_no_exchange(other: tuple[int, ...]) -> None:
    first = tracklet_of(1, 1, 1, 1, 2)
    found = cut(first, beside(tracklet_of(*other)))
    assert len(found) == 2


def test_poor_crops_prove_nothing() -> None:
    assert len(cut(tracklet_of(1, 1, 1, 1, 2, 2, 2, 2, quality=0.02))) == 1
