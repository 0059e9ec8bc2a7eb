"""Every rule keeps to the tracklet, and no frame is out of its reach."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data import clips

frames, lengths, seeds = st.integers(1, 200), st.integers(1, 20), st.integers(0, 9)
training_rules = pytest.mark.parametrize("rule", get_args(clips.TrainingRule))
rules_for_tests = pytest.mark.parametrize("rule", get_args(clips.TestRule))


def draws(n: int, length: int, rule: clips.TrainingRule, times: int = 200) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([clips.training_clip(n, length, rule, rng) for _ in range(times)])


@training_rules
@given(n=frames, length=lengths, seed=seeds)
def test_a_training_clip_is_full_and_of_the_tracklet_in_time_order(
    rule: clips.TrainingRule, n: int, length: int, seed: int
) -> None:
    clip = clips.training_clip(n, length, rule, np.random.default_rng(seed))
    assert clip.shape == (length,) and clip.dtype == np.int64
    assert clip.min() >= 0 and clip.max() < n
    if n >= length or rule != "consecutive":
        assert (np.diff(clip) >= 0).all()
    assert (clip == clips.training_clip(n, length, rule, np.random.default_rng(seed))).all()


@training_rules
@given(length=lengths, more=st.integers(0, 100), seed=seeds)
def test_a_long_enough_tracklet_gives_no_frame_twice(
    rule: clips.TrainingRule, length: int, more: int, seed: int
) -> None:
    clip = clips.training_clip(length + more, length, rule, np.random.default_rng(seed))
    assert len(set(clip.tolist())) == length


@pytest.mark.parametrize("rule", ["random", "consecutive", "restricted", "interval"])
@pytest.mark.parametrize(("n", "length"), [(6, 4), (9, 3), (35, 4), (5, 1)])
def test_every_frame_can_be_drawn_the_first_and_the_last_too(
    rule: clips.TrainingRule, n: int, length: int
) -> None:
    assert set(draws(n, length, rule, 400).flatten().tolist()) == set(range(n))


def test_consecutive_draws_every_window() -> None:
    found = draws(6, 4, "consecutive")
    assert {tuple(clip.tolist()) for clip in found} == {(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)}


def test_consecutive_starts_a_short_tracklet_again() -> None:
    assert (draws(3, 7, "consecutive", 5) == [0, 1, 2, 0, 1, 2, 0]).all()


@pytest.mark.parametrize(
    ("n", "length", "clip"),
    [
        (100, 15, list(range(0, 85, 6))),
        (23, 8, [0, 2, 4, 6, 8, 10, 12, 14]),
        (7, 15, [0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, 1, [0]),
    ],
)
def test_evenly_gives_the_frames_of_torchreid_in_training_and_test(
    n: int, length: int, clip: list[int]
) -> None:
    assert (draws(n, length, "evenly", 3) == clip).all()
    (found,) = clips.covering_clips(n, length, "evenly")
    assert found.tolist() == clip


def test_restricted_takes_one_frame_of_every_part_and_the_rest_belongs_to_the_last() -> None:
    found = draws(11, 3, "restricted", 300)
    assert [set(column.tolist()) for column in found.T] == [{0, 1, 2}, {3, 4, 5}, {6, 7, 8, 9, 10}]


def test_restricted_repeats_the_last_frame_of_a_short_tracklet() -> None:
    assert (draws(3, 5, "restricted", 5) == [0, 1, 2, 2, 2]).all()


@pytest.mark.parametrize(
    ("n", "stride"), [(100, 8), (32, 8), (31, 4), (16, 4), (15, 2), (8, 2), (7, 1), (4, 1)]
)
def test_interval_takes_one_frame_of_every_cell_of_the_widest_window_that_fits(
    n: int, stride: int
) -> None:
    cells = np.arange(4) * stride
    found = draws(n, 4, "interval")
    earliest, latest = (found - cells - stride + 1).max(1), (found - cells).min(1)
    assert (earliest <= latest).all()
    assert stride == 1 or (np.ptp(found - cells, axis=1) == stride - 1).any()


@rules_for_tests
@given(n=frames, length=lengths)
def test_test_clips_are_full_and_of_the_tracklet(rule: clips.TestRule, n: int, length: int) -> None:
    found = clips.covering_clips(n, length, rule)
    assert found
    for clip in found:
        assert clip.shape == ((n,) if rule == "all" else (length,)) and clip.dtype == np.int64
        assert clip.min() >= 0 and clip.max() < n


@given(n=frames, length=lengths)
def test_all_takes_all_frames_once(n: int, length: int) -> None:
    assert [clip.tolist() for clip in clips.covering_clips(n, length, "all")] == [list(range(n))]


@given(n=st.integers(1, 1000), length=lengths)
def test_dense_covers_every_frame_once_and_then_fills_the_last_clip_from_its_own(
    n: int, length: int
) -> None:
    found = clips.covering_clips(n, length, "dense")
    assert len(found) == -(-n // length)
    assert np.concatenate(found)[:n].tolist() == list(range(n))
    n_own = n - length * (len(found) - 1)
    assert (found[-1] == np.resize(found[-1][:n_own], length)).all()


@pytest.mark.parametrize(
    ("n", "length", "stride"),
    [
        (60, 8, 8),
        (57, 8, 8),
        (56, 8, 4),
        (29, 8, 4),
        (28, 8, 2),
        (14, 8, 1),
        (8, 8, 1),
        (31, 16, 2),
        (30, 16, 1),
        (4, 3, 1),
    ],
)
def test_begin_interval_takes_the_widest_stride_that_fits(n: int, length: int, stride: int) -> None:
    expected = list(range(0, stride * length, stride))
    assert [clip.tolist() for clip in clips.covering_clips(n, length, "begin_interval")] == [
        expected
    ]


def test_begin_interval_starts_a_short_tracklet_again() -> None:
    assert [clip.tolist() for clip in clips.covering_clips(3, 8, "begin_interval")] == [
        [0, 1, 2, 0, 1, 2, 0, 1]
    ]


@given(n=frames, length=lengths)
def test_dense_interval_uses_every_frame_once_but_what_the_division_leaves(
    n: int, length: int
) -> None:
    found = clips.covering_clips(n, length, "dense_interval")
    used = sorted(np.concatenate(found).tolist())
    assert used == (
        list(range(n - n % length)) if n >= length else sorted(i % n for i in range(length))
    )
    assert all(len(set(np.diff(clip).tolist())) <= 1 for clip in found) or n < length


def test_dense_interval_spreads_its_clips() -> None:
    assert [clip.tolist() for clip in clips.covering_clips(10, 4, "dense_interval")] == [
        [0, 2, 4, 6],
        [1, 3, 5, 7],
    ]


@training_rules
def test_a_tracklet_without_frames_cannot_be_trained_on(rule: clips.TrainingRule) -> None:
    with pytest.raises(InputError, match="no frames"):
        clips.training_clip(0, 4, rule, np.random.default_rng(0))


@rules_for_tests
def test_a_tracklet_without_frames_cannot_be_tested(rule: clips.TestRule) -> None:
    with pytest.raises(InputError, match="no frames"):
        clips.covering_clips(0, 4, rule)
