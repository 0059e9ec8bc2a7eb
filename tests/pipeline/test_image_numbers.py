"""Numbers in the names of images are frame numbers, or something else, which is told."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig, SourcesConfig
from pipeline.fill import fill
from pipeline.records import Person, Tracklet
from pipeline.sources import open_source


def read(folder: Path, *names: str, **settings: float) -> tuple[list[int], list[float], list[str]]:
    """Frames and times of a folder of images with these names, and the warnings."""
    for name in names:
        assert cv2.imwrite(str(folder / name), np.zeros((16, 16, 3), np.uint8))
    camera = CameraConfig(source=str(folder), name="cam", start_s=1)
    source = open_source(camera, SourcesConfig.model_validate({"image_fps": 10, **settings}))
    frames = list(source)
    indices = [frame.index for frame in frames]
    return indices, [frame.time_s for frame in frames], source.warnings


def test_a_folder_that_starts_at_21_has_frame_21_first(tmp_path: Path) -> None:
    indices, times_s, warnings = read(tmp_path, *(f"{i:06}.jpg" for i in range(21, 25)))
    assert indices == [20, 21, 22, 23]
    assert times_s == pytest.approx([1, 1.1, 1.2, 1.3])
    assert warnings == []


def test_missing_images_leave_a_gap_in_time_and_are_told(tmp_path: Path) -> None:
    indices, times_s, warnings = read(
        tmp_path, *(f"img_{i}.jpg" for i in [*range(1, 4), *range(9, 11)])
    )
    assert indices == [0, 1, 2, 8, 9]
    assert times_s == pytest.approx([1, 1.1, 1.2, 1.8, 1.9])
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "cam: 5 of 10 images are missing (the first gap is between img_3.jpg and img_9.jpg)"
    )


def test_a_stride_counts_frames_that_are_missing(tmp_path: Path) -> None:
    indices, _, _ = read(tmp_path, *(f"{i}.jpg" for i in [1, 2, 3, 4, 6, 7, 8, 9]), stride=4)
    assert indices == [0, 8]


def test_a_folder_that_counts_from_0_keeps_its_first_image_and_says_so(tmp_path: Path) -> None:
    indices, _, warnings = read(tmp_path, "000000.jpg", "000001.jpg")
    assert indices == [0, 1]
    assert "its images count from 0 (000000.jpg)" in warnings[0]


def test_numbers_in_steps_are_that_far_apart_and_it_is_told(tmp_path: Path) -> None:
    indices, times_s, warnings = read(tmp_path, "10.jpg", "20.jpg", "30.jpg", "40.jpg", stride=2)
    assert indices == [9, 29]
    assert times_s == pytest.approx([1, 3])
    assert "rise in steps of 10; at 10 frames/s they are taken 1 s apart" in warnings[0]
    assert "if they are 0.1 s apart, add --set sources.numbers_in_names=false" in warnings[0]


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["2024-05-01_12-00-59.jpg", "2024-05-01_12-01-00.jpg"], "have no frame number"),
        (["1718000000123.jpg", "1718000000223.jpg"], "go from 1718000000123 to 1718000000223"),
        (["1.jpg", "700.jpg", "7001.jpg"], "go from 1 to 7001 for 3 images"),
        (["door.jpg", "lobby.jpg"], "have no frame number"),
        (["1.jpg", "1.png"], "have no frame number"),
    ],
    ids=["date and time", "clock in ms", "far apart", "words", "one number twice"],
)
def test_names_without_frame_numbers_are_counted_and_told(
    tmp_path: Path, names: list[str], word: str
) -> None:
    indices, times_s, warnings = read(tmp_path, *names)
    assert indices == list(range(len(names)))
    assert times_s == pytest.approx([1 + i / 10 for i in indices])
    assert len(warnings) == 1
    assert word in warnings[0]
    assert "--set sources.numbers_in_names=false" in warnings[0]


def test_numbers_in_names_can_be_left_unread(tmp_path: Path) -> None:
    indices, _, warnings = read(tmp_path, "5.jpg", "9.jpg", numbers_in_names=False)
    assert (indices, warnings) == ([0, 1], [])


def test_a_missing_image_gets_no_interpolated_row() -> None:
    frames = np.array([0, 1, 5])
    boxes = np.tile(np.array([0, 0, 20, 50], np.float32), (3, 1))
    scores = np.ones(3, np.float32)
    crops = np.zeros((0, 256, 128, 3), np.uint8)
    quality = np.zeros(0, np.float32)
    tracklet = Tracklet("cam", 1, frames, frames / 10, boxes, scores, crops, quality, np.zeros(0))
    (person,) = fill([Person(1, (tracklet,), ())], 1.5, 1, {"cam": [(0, 2), (5, 5)]})
    assert person.tracklets[0].frames.tolist() == [0, 1, 2, 5]
