"""OpenCV's people detector, tuned."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linear_sum_assignment

from models.boxes import iou
from pipeline import mot
from pipeline.config import DetectorConfig
from pipeline.detect.hog import PAD_PX, STEP_PX, HogDetector
from pipeline.records import Array, Detections, Frame


def frame(path: Path, index: int) -> Frame:
    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_FRAMES, index)
    return Frame(path.stem, index, 0.0, video.read()[1])


def truth(path: Path, index: int) -> tuple[Array, Array]:
    """Everybody's boxes, and who should be found: upright, large enough and not hidden."""
    rows = mot.read(path)
    rows = rows[rows[:, 0] == index + 1]
    return mot.boxes(rows), (rows[:, 8] > 0.7) & (rows[:, 5] >= 60)


@pytest.mark.parametrize("size", [(160, 200), (128, 131), (64, 97)])
def test_the_margins_are_those_of_opencv(sample: Path, size: tuple[int, int]) -> None:
    level = cv2.resize(frame(sample / "cam1.mp4", 0).image[150:390, 380:560], size)
    margins = HogDetector(DetectorConfig())._margins(level)
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    places, expected = hog.detect(level, -1e3, (STEP_PX, STEP_PX), (PAD_PX, PAD_PX))
    x, y = ((np.array(places) + PAD_PX) // STEP_PX).T
    assert len(places) == margins.size
    assert_allclose(margins[y, x], np.ravel(expected), atol=1e-4)


@pytest.fixture(scope="module")
def found(sample: Path) -> list[tuple[Frame, Detections]]:
    frames = [
        frame(sample / f"{camera}.mp4", index)
        for camera, index in (("cam1", 450), ("cam2", 600), ("cam4", 300))
    ]
    return list(zip(frames, HogDetector(DetectorConfig(min_score=0.1)).detect(frames), strict=True))


def test_most_people_in_the_sample_are_found_and_most_found_are_people(
    sample: Path, found: list[tuple[Frame, Detections]]
) -> None:
    n_wanted = n_hit = n_sure = n_right = 0
    for image, detections in found:
        everybody, wanted = truth(sample / "truth" / f"{image.camera}.txt", image.index)
        sure = detections.boxes[detections.scores >= 0.5]
        overlap = iou(everybody, sure)
        i, j = linear_sum_assignment(overlap, maximize=True)
        people = i[overlap[i, j] > 0.5]
        n_wanted, n_hit = n_wanted + wanted.sum(), n_hit + wanted[people].sum()
        n_sure, n_right = n_sure + len(sure), n_right + len(people)
    assert n_wanted >= 15
    assert n_hit / n_wanted >= 0.6
    assert n_right / n_sure >= 0.7


def test_no_thread_lives_on_after_detecting(sample: Path) -> None:
    HogDetector(DetectorConfig()).detect([frame(sample / "cam1.mp4", 0)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hog")]


def test_scores_are_at_least_min_score_and_boxes_are_inside(
    found: list[tuple[Frame, Detections]],
) -> None:
    for image, detections in found:
        height, width = image.image.shape[:2]
        assert detections.scores.min() >= 0.0999 and detections.scores.max() <= 1
        assert (detections.boxes >= 0).all() and (
            detections.boxes <= [width, height, width, height]
        ).all()
        assert (detections.boxes[:, 2:] > detections.boxes[:, :2]).all()


def test_a_higher_min_score_gives_the_surer_part_of_the_same_people(
    found: list[tuple[Frame, Detections]],
) -> None:
    image, detections = found[0]
    (sure,) = HogDetector(DetectorConfig(min_score=0.6)).detect([image])
    assert 0 < len(sure) < len(detections)
    assert_allclose(sure.scores, detections.scores[detections.scores >= 0.6])


def test_frames_get_the_same_people_alone_and_in_a_batch_every_time(
    found: list[tuple[Frame, Detections]],
) -> None:
    detector = HogDetector(DetectorConfig(min_score=0.1))
    for image, before in found[:2]:
        (again,) = detector.detect([image])
        assert (again.boxes == before.boxes).all() and (again.scores == before.scores).all()


@pytest.mark.parametrize("shape", [(540, 960), (40, 40), (1, 1), (2, 900), (700, 3)])
def test_an_empty_picture_of_any_size_has_nobody_in_it(shape: tuple[int, int]) -> None:
    detections = HogDetector(DetectorConfig(min_score=0)).detect(
        [Frame("cam", 0, 0.0, np.full((*shape, 3), 127, np.uint8))]
    )
    assert [len(d) for d in detections] == [0]


def test_boxes_of_people_cut_by_the_border_end_there(found: list[tuple[Frame, Detections]]) -> None:
    image, detections = found[0]
    x1, y1, x2, y2 = detections.boxes[0].astype(int)
    part = image.image[y1 - 40 : y2 + 20, (3 * x1 + x2) // 4 : x2 + 80].copy()
    (cut,) = HogDetector(DetectorConfig(min_score=0)).detect([Frame("cam", 0, 0.0, part)])
    assert (
        cut.boxes.min() == 0
        and (cut.boxes[:, 2:].max(axis=0) <= [part.shape[1], part.shape[0]]).all()
    )
