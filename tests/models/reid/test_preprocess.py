"""Crops enter a network in one way."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from models.reid import preprocess


@pytest.mark.parametrize("shape", [(256, 128, 3), (50, 20, 3), (600, 400, 3), (1, 1, 3)])
def test_every_crop_gets_the_size_of_the_network(shape: tuple[int, ...]) -> None:
    crop = np.full(shape, (1, 2, 3), np.uint8)
    assert (preprocess.resize(crop) == np.full((256, 128, 3), (1, 2, 3))).all()


def test_a_crop_of_the_right_size_is_not_touched() -> None:
    crop = np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8)
    assert preprocess.resize(crop, 64, 32) is crop


def test_pixels_become_rgb_of_imagenet_mean_and_deviation() -> None:
    crops = torch.randint(0, 256, (2, 8, 4, 3), dtype=torch.uint8)
    before = crops.clone()
    out = preprocess.normalise(crops)
    assert out.shape == (2, 3, 8, 4) and out.dtype == torch.float32
    blue, green, red = crops.float().unbind(-1)
    for channel, value, mean, std in zip(
        range(3), (red, green, blue), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True
    ):
        assert_close(out[:, channel], (value / 255 - mean) / std)
    assert (crops == before).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "imagenet",
            [(3 / 255 - 0.485) / 0.229, (2 / 255 - 0.456) / 0.224, (1 / 255 - 0.406) / 0.225],
        ),
        ("rgb_0_1", [3 / 255, 2 / 255, 1 / 255]),
        ("rgb_0_255", [3, 2, 1]),
        ("bgr_0_255", [1, 2, 3]),
    ],
)
def test_every_convention_is_what_its_name_says(name: str, expected: list[float]) -> None:
    crops = torch.tensor([1, 2, 3], dtype=torch.uint8).expand(1, 4, 2, 3)
    out = preprocess.normalise(crops, preprocess.CONVENTIONS[name])
    assert_close(
        out, torch.tensor(expected, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 4, 2)
    )


@pytest.mark.parametrize("name", list(preprocess.CONVENTIONS))
def test_no_convention_changes_the_crops(name: str) -> None:
    crops = torch.full((1, 4, 2, 3), 7, dtype=torch.uint8)
    preprocess.normalise(crops, preprocess.CONVENTIONS[name])
    assert (crops == 7).all()
