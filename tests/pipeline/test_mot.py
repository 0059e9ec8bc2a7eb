from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import mot
from pipeline.errors import SourceError


def write(folder: Path, text: str) -> Path:
    path = folder / "boxes.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "1,7,10,20,30,40,0.9\n\n2,7,11,21,30,40,0.8\n",
        "1 7 10 20 30 40 0.9\n2 7 11 21 30 40 0.8",
        "1, 7, 10, 20, 30, 40, 0.9\r\n2, 7, 11, 21, 30, 40, 0.8\r\n",
        "1;7;10;20;30;40;0,9\n2;7;11;21;30;40;0,8\n",
        "frame,id,x,y,w,h,score\n1,7,10,20,30,40,0.9\n2,7,11,21,30,40,0.8\n",
    ],
)
def test_commas_spaces_blank_lines_and_either_line_end_are_read_alike(
    tmp_path: Path, text: str
) -> None:
    rows = mot.read(write(tmp_path, text))
    assert rows.tolist() == [[1, 7, 10, 20, 30, 40, 0.9], [2, 7, 11, 21, 30, 40, 0.8]]
    assert mot.boxes(rows).tolist() == [[10, 20, 40, 60], [11, 21, 41, 61]]
    assert mot.boxes(rows).dtype == np.float32


def test_a_file_without_rows_has_no_boxes(tmp_path: Path) -> None:
    assert mot.boxes(mot.read(write(tmp_path, "\n"))).shape == (0, 4)


@pytest.mark.parametrize(
    "line",
    [
        "frame,id,x,y,w,h",
        "1,2,3,4,5",
        "1,2,3,4,5,6",
        "1,2,3,4,5,6,nan",
        "1,2,3,4,5,inf,1",
        "1,2,3,,5,6,7,x",
    ],
)
def test_a_bad_line_is_an_error_that_names_it(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, f"1,1,0,0,9,9,1\n\n{line}\n")
    with pytest.raises(SourceError, match=r"^[^\n]*boxes\.txt, line 3: expected [^\n]*$"):
        mot.read(path)


def test_a_bad_line_is_told_with_what_stands_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 2: expected numbers .*, found 'five'"):
        mot.read(write(tmp_path, "1,1,0,0,9,9,1\n1,1,0,0,five,9,1\n"))
    with pytest.raises(SourceError, match=r"line 2: expected .*, found 6 after lines of 7"):
        mot.read(write(tmp_path, "1,1,0,0,9,9,1\n1,1,0,0,9,9\n"))


def test_a_file_that_is_missing_or_binary_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\x00")
    for name in ("missing.txt", "binary.txt", ""):
        with pytest.raises(SourceError, match="cannot be read as a MOT file"):
            mot.read(tmp_path / name)


@settings(max_examples=100)
@given(
    st.integers(0, 10**6),
    st.integers(1, 10**4),
    st.tuples(*[st.floats(-500, 4000, width=32)] * 2, *[st.floats(0, 2000, width=32)] * 2),
    st.floats(0, 1),
)
def test_a_written_row_reads_back_with_frames_from_1_and_boxes_within_rounding(
    tmp_path_factory: pytest.TempPathFactory,
    frame: int,
    track: int,
    xywh: tuple[float, ...],
    score: float,
) -> None:
    x, y, width, height = xywh
    box = np.array([x, y, x + width, y + height], np.float32)
    rows = mot.read(write(tmp_path_factory.getbasetemp(), mot.line(frame, track, box, score)))
    assert rows[0, [0, 1, 7, 8, 9]].tolist() == [frame + 1, track, -1, -1, -1]
    assert mot.boxes(rows)[0] == pytest.approx(box, abs=0.011)
    assert rows[0, 6] == pytest.approx(score, abs=1e-4)
