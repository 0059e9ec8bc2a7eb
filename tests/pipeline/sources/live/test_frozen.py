"""Pictures that are equal for too long."""

import av
import numpy as np
import pytest

from pipeline.sources.live.frozen import FrozenPictures

FPS = 25
SIZE = (64, 96)


def noisy(seed: int, area: slice = slice(None)) -> av.VideoFrame:
    """An empty place, with the noise of a sensor in some rows."""
    image = np.full((*SIZE, 3), 90, np.uint8)
    noise = np.random.default_rng(seed).integers(0, 3, (*SIZE, 3), dtype=np.uint8)
    image[area] += noise[area]
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")


def frozen_at_s(shown: list[int], after_s: float = 8.0) -> list[float]:
    """When a camera that shows these pictures, by number, is frozen."""
    pictures = {number: noisy(number) for number in set(shown)}
    frozen = FrozenPictures(after_s)
    at_s = []
    for i, number in enumerate(shown):
        frozen.note(pictures[number], 1e9 + i / FPS)
        if frozen.is_frozen:
            at_s.append(i / FPS)
    return at_s


def test_one_picture_again_and_again_is_frozen_within_ten_seconds() -> None:
    at_s = frozen_at_s([*range(50), *[50] * 300])
    assert 2 + 8 <= at_s[0] <= 2 + 10
    assert len(at_s) > 50


def test_a_few_pictures_in_turn_are_those_of_a_frozen_camera_that_encodes_them_anew() -> None:
    assert 8 <= frozen_at_s([0, 1, 2, *[3] * 22] * 12)[0] <= 10


def test_a_camera_is_back_with_the_first_picture_that_differs() -> None:
    shown = [*[0] * 250, 1, *[0] * 10]
    at_s = frozen_at_s(shown)
    assert at_s[-1] == 249 / FPS


def test_an_empty_place_is_not_frozen_while_keyframes_bring_new_noise() -> None:
    assert frozen_at_s([i // 50 for i in range(1000)]) == []


def test_a_clip_that_loops_is_not_frozen() -> None:
    assert frozen_at_s([*range(30)] * 30) == []


def test_with_zero_no_camera_is_ever_frozen() -> None:
    assert frozen_at_s([0] * 1000, after_s=0.0) == []


@pytest.mark.parametrize("pixels", ["yuv420p", "nv12", "bgr24", "gray", "yuyv422", "yuv420p10le"])
def test_all_formats_of_pictures_are_compared(pixels: str) -> None:
    frozen = FrozenPictures(1.0)
    seen = []
    for i in range(30):
        frozen.note(noisy(min(i, 15)).reformat(format=pixels), i / 5)
        seen.append(frozen.is_frozen)
    assert seen.index(True) == 15 + 5


def test_a_change_of_a_few_rows_is_seen() -> None:
    frozen = FrozenPictures(1.0)
    for i in range(100):
        frozen.note(noisy(i, slice(20, 28)), i / FPS)
        assert not frozen.is_frozen
