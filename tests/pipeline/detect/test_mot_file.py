"""Detections from a file."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.detect.mot_file import MotFileDetector
from pipeline.errors import SourceError
from pipeline.records import Camera, Detections, Frame

ROWS = (
    "2,-1,10,20,30,40,0.9\n1,-1,0,0,5,5,0.3\n2,-1,50,60,10,20,0.05\n"
    "2,-1,7,8,9,10,0.5\n9,-1,1,1,0,5,0.9\n"
)


def write(folder: Path, **texts: str) -> Path:
    for camera, text in texts.items():
        (folder / f"{camera}.txt").write_text(text, encoding="utf-8")
    return folder


def camera_of(
    name: str, first_index: int = 0, last_index: int = -1, size: tuple[int, int] = (200, 100)
) -> Camera:
    no_floor = np.zeros((0, 0))
    return Camera(name, "", *size, 25.0, 0.0, -1, no_floor, 0, first_index, last_index)


def detect(
    path: Path, *indices: int, camera: str = "cam", min_score: float = 0.0
) -> list[Detections]:
    frames = [Frame(camera, index, index / 25, np.zeros((4, 4, 3), np.uint8)) for index in indices]
    return MotFileDetector(path, [camera_of(camera)], min_score).detect(frames)


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
        ("1,-1,0,0,5,5,1.004", 1),
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
    found = MotFileDetector(tmp_path, [camera_of("a"), camera_of("b")], 0.0).detect(frames)
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
        MotFileDetector(tmp_path / path, [camera_of(name) for name in cameras], 0.0)


WALK = [(frame, 10 + 2 * frame, 20, 20, 50) for frame in range(1, 41)]
"""Frame, x, y, width, height of somebody who walks through a picture of 200 x 100 px."""


def table(rows: list[tuple[float, ...]], tail: str = "0.9") -> str:
    return "".join(f"{row[0]},-1,{','.join(map(str, row[1:5]))},{tail}\n" for row in rows)


def opened(tmp_path: Path, text: str, **options: int | tuple[int, ...]) -> MotFileDetector:
    path = write(tmp_path, cam=text) / "cam.txt"
    return MotFileDetector(path, [camera_of("cam", 0, 39)], 0.0, **options)  # type: ignore[arg-type]


def first_box(detector: MotFileDetector, index: int = 0) -> Detections:
    return detector.detect([Frame("cam", index, 0.0, np.zeros((4, 4, 3), np.uint8))])[0]


def test_boxes_that_fit_the_picture_need_no_warning(tmp_path: Path) -> None:
    detector = opened(tmp_path, table(WALK))
    assert len(first_box(detector)) == 1
    assert detector.warnings == []


def test_a_file_that_counts_from_0_is_taken_so_and_it_is_told(tmp_path: Path) -> None:
    detector = opened(tmp_path, table([(f - 1, *box) for f, *box in WALK]))
    assert first_box(detector).boxes.tolist() == [[12, 20, 32, 70]]
    assert "a frame 0 was found" in detector.warnings[0]
    given = opened(tmp_path, table([(f - 1, *box) for f, *box in WALK]), first_frame=0)
    assert first_box(given).boxes.tolist() == [[12, 20, 32, 70]]
    assert given.warnings == []


def test_files_of_one_folder_count_from_the_same_number(tmp_path: Path) -> None:
    write(tmp_path, a="0,-1,0,0,5,5,0.9\n", b="3,-1,0,0,7,7,0.9\n")
    detector = MotFileDetector(tmp_path, [camera_of("a"), camera_of("b")], 0.0)
    frame = Frame("b", 3, 0.0, np.zeros((4, 4, 3), np.uint8))
    assert len(detector.detect([frame])[0]) == 1


def test_a_file_of_a_clip_can_begin_with_any_frame(tmp_path: Path) -> None:
    text = table([(f + 5000, *box) for f, *box in WALK])
    with pytest.raises(
        SourceError,
        match=r"frames 5001 to 5040, but cam has frames 1 to 40; .*detector\.first_frame=5001$",
    ):
        opened(tmp_path, text)
    detector = opened(tmp_path, text, first_frame=5001)
    assert first_box(detector).boxes.tolist() == [[12, 20, 32, 70]]


def test_boxes_of_images_have_the_numbers_in_their_names(tmp_path: Path) -> None:
    path = write(tmp_path, cam="21,-1,0,0,5,5,0.9\n") / "cam.txt"
    detector = MotFileDetector(path, [camera_of("cam", 20, 39)], 0.0)
    assert len(first_box(detector, 20)) == 1
    write(tmp_path, cam="1,-1,0,0,5,5,0.9\n")
    with pytest.raises(SourceError, match=r"frames 1 to 1, but cam has frames 21 to 40"):
        MotFileDetector(path, [camera_of("cam", 20, 39)], 0.0)
    counted = MotFileDetector(path, [camera_of("cam", 20, 39)], 0.0, first_frame=1)
    assert len(first_box(counted, 20)) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            table([(f, x / 200, y / 100, w / 200, h / 100) for f, x, y, w, h in WALK]),
            r"all boxes lie within 0\.\.0\.5, .* multiply by its width 200 and height 100",
        ),
        (
            table([(f, x + 70, y, x + 70 + w, y + h) for f, x, y, w, h in WALK]),
            "as corners x1, y1, x2, y2 they all fit",
        ),
        (
            table([(f, 3 * x, 3 * y, 3 * w, 3 * h) for f, x, y, w, h in WALK]),
            r"mostly outside the picture of 200 x 100 px; they reach x 330, y 210",
        ),
        (table([(f / 25, *box) for f, *box in WALK]), r"must be whole, 0\.04 was found"),
        (table([(f - 9, *box) for f, *box in WALK]), r"frame -8 was found"),
        (table(WALK, "812"), r"from 812 to 812, which are neither probabilities nor percentages"),
        (table(WALK, "1,2,1"), r"0 of 40 rows count: .* 2 \(person on vehicle .*classes=\[2\]"),
    ],
    ids=["fractions", "corners", "large", "seconds", "negative", "scores", "class"],
)
def test_a_file_that_cannot_be_meant_so_is_an_error_with_the_figure(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(SourceError, match=f"^[^\n]*cam\\.txt[^\n]*{reason}[^\n]*$"):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            table([(f, x / 2, y / 2, w / 2, h / 2) for f, x, y, w, h in WALK]),
            "all 40 boxes lie in the upper left quarter",
        ),
        (
            table([(f, x, y, x + w, y + h) for f, x, y, w, h in WALK]),
            "as if they were corners x1, y1, x2, y2",
        ),
        (
            table([(f, x + 80 + w / 2, y + 25 + h / 2, w, h) for f, x, y, w, h in WALK]),
            "none would if columns 3 and 4 were the centres",
        ),
        (
            table([(f, x, 20, h, w) for f, x, y, w, h in WALK]),
            "the boxes are 2.5 times as wide as tall (median)",
        ),
        (table([*WALK, *((f + 40, *box) for f, *box in WALK)]), "40 of 80 boxes are of frames"),
        (table([*WALK, (1, 9, 9, 0, 5)]), "1 of 41 boxes have no area"),
        (table(WALK[:20]) + table(WALK[20:], "-1"), "20 of 40 boxes have score -1"),
        (table(WALK[:20], "35") + table(WALK[20:], "97"), "are read as percentages"),
        (table(WALK[:20], "1.7") + table(WALK[20:], "-0.5"), "20 of 40 are negative"),
        (table(WALK, "1,1,1") + table(WALK, "1,3,1"), r"40 of 80 boxes are of class 3 (column 8)"),
        (
            table([(f, 250 * (f % 5 == 0) + x, y, w, h) for f, x, y, w, h in WALK]),
            "were they made at another resolution?",
        ),
    ],
    ids=[
        "small",
        "corners",
        "centres",
        "lying",
        "beyond",
        "no area",
        "some scores",
        "percent",
        "margins",
        "cars",
        "outside",
    ],
)
def test_a_file_that_is_hardly_meant_so_is_a_warning(tmp_path: Path, text: str, word: str) -> None:
    detector = opened(tmp_path, text)
    first_box(detector)
    assert len(detector.warnings) == 1
    assert word in detector.warnings[0]


def test_boxes_with_negative_scores_are_not_certain(tmp_path: Path) -> None:
    false = [(frame, 150, 20, 20, 50) for frame in range(1, 41)]
    found = first_box(opened(tmp_path, table(WALK, "0.5") + table(false, "-0.6")))
    assert found.scores.tolist() == pytest.approx([0.88, 0.083], abs=0.01)


def test_boxes_without_a_score_beside_others_are_not_certain(tmp_path: Path) -> None:
    found = first_box(opened(tmp_path, table(WALK[:1]) + table([(1, 150, 20, 20, 50)], "-1")))
    assert found.scores.tolist() == pytest.approx([0.9, 0])


def test_another_class_can_be_named_as_people(tmp_path: Path) -> None:
    text = table(WALK, "1,2,1") + table(WALK, "1,3,1")
    assert len(first_box(opened(tmp_path, text, classes=(2, 3)))) == 2
    assert len(first_box(opened(tmp_path, table(WALK, "1,0,1") + table(WALK, "1,2,1")))) == 1


def test_files_of_which_no_box_is_used_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, cam="7,-1,0,0,5,5,0.9\n") / "cam.txt"
    detector = MotFileDetector(path, [camera_of("cam")], 0.0)
    assert len(first_box(detector)) == 0
    assert "none of its 1 boxes is of a frame that was processed" in detector.warnings[0]
