"""Images on the network's canvas, and boxes back in the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from models.detector.inference import PADDING, Array, canvas_size, in_image, letterbox


@pytest.mark.parametrize(
    ("shape", "size_px", "fixed", "canvas"),
    [
        ((1080, 1920), 640, None, (384, 640)),
        ((1920, 1080), 640, None, (640, 384)),
        ((480, 640), 640, None, (480, 640)),
        ((100, 100), 100, None, (128, 128)),
        ((2, 1000), 640, None, (32, 640)),
        ((1080, 1920), 640, (320, 544), (320, 544)),
    ],
)
def test_the_canvas_is_the_long_side_and_multiples_of_the_stride(
    shape: tuple[int, int], size_px: int, fixed: tuple[int, int] | None, canvas: tuple[int, int]
) -> None:
    assert canvas_size((*shape, 3), size_px, fixed) == canvas


@pytest.mark.parametrize(
    ("shape", "canvas", "scale"),
    [
        ((96, 192), (64, 96), 0.5),
        ((48, 96), (96, 192), 2),
        ((64, 64), (64, 64), 1),
        ((96, 192), (96, 96), 0.5),
        ((96, 192), (48, 192), 0.5),
        ((240, 240), (64, 80), 64 / 240),
    ],
)
def test_a_box_seen_on_the_canvas_comes_back_where_it_was(
    shape: tuple[int, int], canvas: tuple[int, int], scale: float
) -> None:
    box = [15, 15, 45, 30] if scale < 0.5 else [10, 12, 40, 44]
    image, out = np.zeros((*shape, 3), np.uint8), np.full((*canvas, 3), PADDING, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    assert letterbox(image, out) == pytest.approx(scale)
    y, x = np.nonzero(out[..., 0] > 127)
    on_canvas = torch.tensor([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=torch.float32)
    boxes, scores = in_image(on_canvas, torch.tensor([0.5]), scale, image.shape)
    assert_allclose(boxes, [box], atol=1e-4)
    assert scores.tolist() == [0.5]


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 100, 320]))
def test_every_picture_fits_its_canvas_and_fills_one_side_of_it(
    height: int, width: int, size_px: int
) -> None:
    canvas = canvas_size((height, width, 3), size_px, None)
    out = np.full((*canvas, 3), PADDING, np.uint8)
    scale = letterbox(np.full((height, width, 3), 255, np.uint8), out)
    filled: Array = (out == 255).all(axis=2)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    assert filled[:h, :w].all() and filled.sum() == h * w
    assert (h == canvas[0] or w == canvas[1]) and (out[~filled] == PADDING).all()


@pytest.mark.parametrize(("canvas", "smoother"), [((64, 64), 3), ((128, 128), 1.5)])
def test_shrinking_averages_pixels_instead_of_picking_some(
    canvas: tuple[int, int], smoother: float
) -> None:
    noise, out = (
        np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8),
        np.zeros((*canvas, 3), np.uint8),
    )
    letterbox(noise, out)
    assert out.std() < noise.std() / smoother and out.mean() == pytest.approx(noise.mean(), abs=1)


def test_boxes_beyond_the_image_are_clipped_and_those_without_area_left_out() -> None:
    boxes = torch.tensor(
        [[-10.0, -10, 50, 70], [40, 40, 40.5, 60], [90, 10, 130, 20], [60, 20, 200, 300]]
    )
    inside, scores = in_image(boxes, torch.tensor([0.9, 0.8, 0.7, 0.6]), 0.5, (100, 160, 3))
    assert inside.tolist() == [[0, 0, 100, 100], [120, 40, 160, 100]]
    assert_allclose(scores, [0.9, 0.6])
