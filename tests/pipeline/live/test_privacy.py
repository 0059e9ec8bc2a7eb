"""People cannot be recognised in what is blurred, and nothing else changes."""

import av
import cv2
import numpy as np
import pytest

from pipeline import yuv
from pipeline.live.privacy import MAX_CELLS, blurred, blurred_crop

WIDTH = 320
HEIGHT = 240
BOX = np.array([[100.0, 40.0, 180.0, 220.0]])
"""80 px wide, so that a face in it is about 27 px wide."""
FACE = (slice(48, 80), slice(126, 153))
"""Rows and columns of the face in `BOX`."""


def picture_of(image: np.ndarray) -> av.VideoFrame:
    return yuv.from_bgr(image.astype(np.uint8))


def grey_with(face: np.ndarray) -> av.VideoFrame:
    """A grey picture with a face (32, 27, 3) where it is in `BOX`."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[FACE] = face
    return picture_of(image)


def samples_of(picture: av.VideoFrame) -> list[np.ndarray]:
    return [plane.astype(int) for plane in yuv.planes(picture)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def stripes(shift: int) -> np.ndarray:
    """Black and white stripes of 3 px with red and blue ones between; all shifts have one mean."""
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8)
    columns = (np.arange(27) // 3 + shift) % 4
    return np.broadcast_to(colours[columns], (32, 27, 3))


@pytest.mark.parametrize("kind", ["faces", "bodies"])
def test_faces_with_the_same_mean_colours_cannot_be_told_apart(kind: str) -> None:
    first = grey_with(stripes(0))
    second = grey_with(stripes(2))
    before = [
        np.abs(a - b).max() for a, b in zip(samples_of(first), samples_of(second), strict=True)
    ]
    hidden_first = samples_of(blurred(first, BOX, kind))  # type: ignore[arg-type]
    hidden_second = samples_of(blurred(second, BOX, kind))  # type: ignore[arg-type]
    after = [np.abs(a - b).max() for a, b in zip(hidden_first, hidden_second, strict=True)]
    assert min(before) > 100
    assert max(after) <= 16


def test_of_a_face_no_more_numbers_are_left_than_cells_that_it_touches() -> None:
    results = []
    for seed in range(60):
        hidden = samples_of(blurred(grey_with(noise(32, 27, seed)), BOX, "faces"))
        results.append(hidden[0][FACE].ravel())
    spread = np.array(results) - np.mean(results, axis=0)
    strengths = np.linalg.svd(spread, compute_uv=False) / np.sqrt(len(results))
    n_numbers = int((strengths > 1.0 * np.sqrt(spread.shape[1]) / 2).sum())
    assert n_numbers <= 9  # 27 x 32 px touch 3 x 3 cells of 20 px
    assert spread.shape[1] == 864


def test_at_most_four_cells_lie_across_a_region() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[:, 100:180:4] = 255
    image[:, 140:] = 0
    row = samples_of(blurred(picture_of(image), BOX, "bodies"))[0][120, 100:180]
    cells = row.reshape(MAX_CELLS, -1).mean(axis=1)
    redrawn = cv2.resize(cells[None], (80, 1), interpolation=cv2.INTER_LINEAR)[0]
    assert np.abs(row - redrawn).max() < 25


@pytest.mark.parametrize("kind", ["faces", "bodies"])
def test_nothing_outside_the_boxes_changes(kind: str) -> None:
    original = picture_of(noise(HEIGHT, WIDTH))
    boxes = np.array([[100.0, 40.0, 180.0, 220.0], [-30.0, 200.0, 21.0, 300.0]])
    hidden = blurred(original, boxes, kind)  # type: ignore[arg-type]
    for before, after, step in zip(
        samples_of(original), samples_of(hidden), (1, 2, 2), strict=True
    ):
        is_outside = np.ones(before.shape, bool)
        for x1, y1, x2, y2 in boxes.astype(int):
            rows = slice(max(0, y1 // 2 * 2) // step, -(-y2 // step))
            columns = slice(max(0, x1 // 2 * 2) // step, -(-(x2 + x2 % 2) // step))
            is_outside[rows, columns] = False
        assert (before[is_outside] == after[is_outside]).all()
        assert (before[~is_outside] != after[~is_outside]).mean() > 0.2


def test_the_lower_part_of_a_box_stays_where_faces_are_hidden() -> None:
    original = picture_of(noise(HEIGHT, WIDTH))
    hidden = samples_of(blurred(original, BOX, "faces"))
    for before, after, step in zip(samples_of(original), hidden, (1, 2, 2), strict=True):
        assert (before[120 // step :] == after[120 // step :]).all()


def test_the_whole_of_a_wide_box_is_a_face() -> None:
    original = picture_of(noise(HEIGHT, WIDTH))
    head_and_shoulders = np.array([[100.0, 160.0, 220.0, 240.0]])
    before = samples_of(original)[0]
    after = samples_of(blurred(original, head_and_shoulders, "faces"))[0]
    assert (before[232:240, 100:220] != after[232:240, 100:220]).mean() > 0.9


@pytest.mark.parametrize("size", [(321, 241), (320, 240), (7, 5)])
def test_boxes_may_reach_beyond_the_border_or_lie_beyond_it(size: tuple[int, int]) -> None:
    width, height = size
    original = picture_of(noise(height, width))
    boxes = np.array(
        [
            [-50.0, -50.0, 1000.0, 1000.0],
            [-90.0, -90.0, -10.0, -10.0],
            [2000.0, 10.0, 2100.0, 90.0],
            [3.0, 3.0, 3.0, 3.0],
        ]
    )
    hidden = blurred(original, boxes, "bodies")
    assert (hidden.width, hidden.height) == size
    assert np.std(samples_of(hidden)[0]) < np.std(samples_of(original)[0]) / 2


def test_the_picture_that_is_given_is_not_changed() -> None:
    original = picture_of(noise(HEIGHT, WIDTH))
    before = samples_of(original)
    blurred(original, BOX, "bodies")
    for plane, kept in zip(samples_of(original), before, strict=True):
        assert (plane == kept).all()


def test_colours_and_time_of_the_picture_stay() -> None:
    original = grey_with(stripes(0))
    original.pts = 1234
    hidden = blurred(original, BOX, "faces")
    assert hidden.pts == 1234
    assert yuv.colours_of(hidden) == yuv.colours_of(original)


def test_switched_off_or_without_people_the_picture_is_the_same() -> None:
    original = grey_with(stripes(0))
    assert blurred(original, BOX, "off") is original
    assert blurred(original, np.zeros((0, 4)), "bodies") is original


def test_a_crop_loses_its_face_and_keeps_its_clothes() -> None:
    crop = noise(256, 128)
    shown = blurred_crop(crop, "faces")
    assert (shown[112:] == crop[112:]).all()
    assert np.abs(np.diff(shown[:96].astype(int), axis=1)).max() < 30
    assert blurred_crop(crop, "off") is crop


def test_there_is_no_crop_where_bodies_are_hidden() -> None:
    assert blurred_crop(noise(256, 128), "bodies").size == 0
