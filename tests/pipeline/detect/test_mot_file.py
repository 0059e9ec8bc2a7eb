"""Detections from a file."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.detect.mot_file import MotFileDetector
from pipeline.errors import SourceError
from pipeline.records import Detections, Frame

ROWS = (
    "2,-1,10,20,30,40,0.9\n1,-1,0,0,5,5,0.3\n2,-1,50,60,10,20,0.05\n"
    "2,-1,7,8,9,10,0.5\n9,-1,1,1,0,5,0.9\n"
)


def write(folder: Path, **texts: str) -> Path:
    for camera, text in texts.items():
        (folder / f"{camera}.txt").write_text(text, encoding="utf-8")
    return folder


def detect(
    path: Path, *indices: int, camera: str = "cam", min_score: float = 0.0
) -> list[Detections]:
    frames = [Frame(camera, index, index / 25, np.zeros((4, 4, 3), np.uint8)) for index in indices]
    return MotFileDetector(path, [camera], min_score).detect(frames)


def test_frames_count_from_one_in_the_file_and_from_zero_here(tmp_path: Path) -> None:
    write(tmp_path, cam=ROWS)
    second, first, third = detect(tmp_path, 1, 0, 2)
    assert first.boxes.tolist() == [[0, 0, 5, 5]]
    assert second.boxes.tolist() == [[10, 20, 40, 60], [50, 60, 60, 80], [7, 8, 16, 18]]
    assert second.scores.tolist() == np.array([0.9, 0.05, 0.5], np.float32).tolist()
    assert len(third) == 0


@pytest.mark.parametrize(
    ("min_score", "n_boxes"),
    [(0.0, [1, 3]), (0.1, [1, 2]), (0.3, [1, 2]), (0.5, [0, 2]), (0.95, [0, 0])],
)
def test_boxes_below_min_score_are_left_out(
    tmp_path: Path, min_score: float, n_boxes: list[int]
) -> None:
    write(tmp_path, cam=ROWS)
    assert [len(d) for d in detect(tmp_path, 0, 1, min_score=min_score)] == n_boxes


def test_boxes_without_area_are_left_out(tmp_path: Path) -> None:
    assert [len(d) for d in detect(write(tmp_path, cam=ROWS), 8)] == [0]


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ("1,-1,0,0,5,5,-1,-1,-1,-1", 1),
        ("1,-1,0,0,5,5", 1),
        ("1,3,0,0,5,5,1,1,0.4", 1),
        ("1,-1,0,0,5,5,1.7", 1),
        ("1 1 0 0 5 5 0", 0),
    ],
)
def test_a_score_that_is_none_counts_as_certain(tmp_path: Path, row: str, score: float) -> None:
    assert detect(write(tmp_path, cam=row), 0)[0].scores.tolist() == [score]


@pytest.mark.parametrize("text", ["", "\n\n", "1,-1,0,0,5,5,0.01\n"])
def test_a_file_may_have_no_boxes(tmp_path: Path, text: str) -> None:
    assert [len(d) for d in detect(write(tmp_path, cam=text), 0, 1, min_score=0.5)] == [0, 0]


def test_every_camera_has_its_own_file_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, a="1,-1,0,0,5,5,0.9\n", b="1,-1,0,0,7,7,0.9\n")
    frames = [Frame(camera, 0, 0.0, np.zeros((4, 4, 3), np.uint8)) for camera in "ba"]
    found = MotFileDetector(tmp_path, ["a", "b"], 0.0).detect(frames)
    assert [d.boxes[0, 2] for d in found] == [7, 5]


def test_one_file_serves_one_camera_of_any_name(tmp_path: Path) -> None:
    assert len(detect(write(tmp_path, det=ROWS) / "det.txt", 1, camera="lobby")[0]) == 3


@pytest.mark.parametrize(
    ("path", "cameras", "reason"),
    [
        ("missing", ["cam"], "missing: no such detections file or folder"),
        (
            "",
            ["cam", "lobby"],
            "lobby.txt: no such detections file; the camera's name must be the file's",
        ),
        ("cam.txt", ["cam", "lobby"], "cam.txt: one file serves one camera"),
        ("", ["bad"], "bad.txt, line 2: "),
    ],
)
def test_a_file_that_cannot_serve_is_an_error_of_one_line(
    tmp_path: Path, path: str, cameras: list[str], reason: str
) -> None:
    write(tmp_path, cam=ROWS, bad="1,-1,0,0,5,5,0.9\n1,-1,0,0,five,5,0.9\n")
    with pytest.raises(SourceError, match=f"^.*{reason}.*$"):
        MotFileDetector(tmp_path / path, cameras, 0.0)
