"""Degraded crops: what is drawn is what is done, whatever the crop's size."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reid.data import degradation
from models.reid.data.augmentation import augment
from models.reid.data.degradation import Degradation
from models.reid.settings import AugmentSettings, DegradationSettings

NOTHING = Degradation(
    box=(0.0, 0.0, 1.0, 1.0),
    hidden=None,
    hidden_from=(0.0, 0.0),
    gains=(1.0, 1.0, 1.0),
    gamma=1.0,
    blur_share=0.0,
    height_px=0,
    noise=0.0,
    noise_seed=0,
    jpeg_quality=0,
)


def picture(height: int = 128, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def degraded(crop: np.ndarray, **changed: Any) -> np.ndarray:
    return degradation.apply(crop, replace(NOTHING, **changed))


def test_a_degradation_that_does_nothing_returns_the_same_pixels() -> None:
    assert (degraded(picture()) == picture()).all()


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 150), st.integers(0, 10_000))
def test_a_crop_of_any_size_stays_a_picture_and_is_not_written_to(
    height: int, width: int, seed: int
) -> None:
    crop = picture(height, width)
    before = crop.copy()
    change = degradation.draw(DegradationSettings(probability=1), np.random.default_rng(seed))
    out = degradation.apply(crop, change)
    assert out.dtype == np.uint8 and out.ndim == 3 and out.shape[2] == 3 and out.size
    assert (crop == before).all()
    assert (degradation.apply(crop, change) == out).all()


def test_a_camera_of_low_resolution_leaves_so_many_pixels() -> None:
    assert degraded(picture(200, 100), height_px=40).shape == (40, 20, 3)


def test_few_pixels_are_not_made_more() -> None:
    assert degraded(picture(30, 15), height_px=40).shape == (30, 15, 3)


def test_a_box_that_ends_at_the_hips_shows_the_upper_half() -> None:
    out = degraded(picture(), box=(0.0, 0.0, 1.0, 0.5))
    assert (out == picture()[:64]).all()


def test_a_box_that_is_too_large_repeats_the_border() -> None:
    out = degraded(picture(100, 50), box=(-0.1, 0.0, 1.0, 1.1))
    assert out.shape == (110, 55, 3)
    assert (out[:100, 5:] == picture(100, 50)).all()
    assert (out[100:, 5:] == picture(100, 50)[-1]).all()


def test_what_hides_a_part_comes_from_elsewhere_in_the_picture() -> None:
    out = degraded(picture(100, 50), hidden=(0.0, 0.5, 1.0, 1.0), hidden_from=(0.0, 0.0))
    assert (out[:50] == picture(100, 50)[:50]).all()
    assert (out[50:] == picture(100, 50)[:50][::-1, ::-1]).all()


def test_gains_change_one_colour_and_gamma_the_middle_of_the_scale() -> None:
    grey = np.full((20, 10, 3), 100, np.uint8)
    assert degraded(grey, gains=(1.2, 1.0, 0.8))[0, 0].tolist() == [120, 100, 80]
    darker = degraded(np.array([[[0, 128, 255]]], np.uint8).repeat(20, 0), gamma=2.0)
    assert darker[0, 0].tolist() == [0, 64, 255]


@pytest.mark.parametrize(
    "change", [{"blur_share": 0.02}, {"noise": 8.0}, {"jpeg_quality": 30}], ids=str
)
def test_optics_sensor_and_compression_change_pixels_but_not_their_mean(
    change: dict[str, Any],
) -> None:
    out = degraded(picture(), **change)
    assert out.shape == picture().shape and (out != picture()).any()
    assert out.mean() == pytest.approx(picture().mean(), abs=3)


def test_so_many_crops_are_degraded_as_the_settings_say() -> None:
    chosen = DegradationSettings(probability=0.3)
    rng = np.random.default_rng(0)
    drawn = [degradation.draw(chosen, rng) is not None for _ in range(1000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.05)


def test_training_views_are_degraded_before_they_are_resized() -> None:
    plain = AugmentSettings(flip=0, crop="none", erase=0)
    worse = AugmentSettings(flip=0, crop="none", erase=0, degrade={"probability": 1.0})
    frames = [picture(100, 50)]
    clean, _ = augment(frames, plain, 64, 32, np.random.default_rng(3))
    spoilt, _ = augment(frames, worse, 64, 32, np.random.default_rng(3))
    assert clean.shape == spoilt.shape == (1, 64, 32, 3)
    assert (clean != spoilt).any()
