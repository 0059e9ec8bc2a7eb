"""Pictures for the page are JPEG of a size that pages show."""

import cv2
import numpy as np
import pytest

from pipeline import yuv
from pipeline.live import jpeg


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def halves(width: int, height: int) -> np.ndarray:
    """Blue on the left, yellow on the right."""
    image = np.full((height, width, 3), (200, 60, 20), np.uint8)
    image[:, width // 2 :] = (30, 210, 220)
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 360), (640, 360)), ((1920, 1080), (960, 540)), ((1080, 1920), (540, 960))],
)
def test_large_pictures_become_smaller_and_keep_shape_and_colours(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = decoded(jpeg.of_picture(yuv.from_bgr(halves(*size))))
    assert (image.shape[1], image.shape[0]) == expected
    assert np.abs(image[10, 10].astype(int) - (200, 60, 20)).max() < 8
    assert np.abs(image[10, -10].astype(int) - (30, 210, 220)).max() < 8


def test_an_image_keeps_its_size_and_no_image_is_no_jpeg() -> None:
    assert decoded(jpeg.of_image(halves(96, 192))).shape == (192, 96, 3)
    assert jpeg.of_image(np.zeros((0, 0, 3), np.uint8)) == b""
