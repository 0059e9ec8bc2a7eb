"""People cut out of labelled pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.reid.data import catalogue, cut
from models.reid.data.samples import UNLABELLED


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """One picture of 200x400 with a standing, a small, a wide and a border-crossing person."""
    folder = tmp_path / "street"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (400, 200, 3), np.uint8)
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    lines = [
        "0 0.25 0.5 0.2 0.5",  # 40 x 200
        "0 0.5 0.5 0.1 0.05",  # 20 x 20: too low
        "0 0.5 0.5 0.9 0.4",  # 180 x 160: wider than a standing person
        "0 0.95 0.5 0.3 0.5",  # 60 x 200, of which 40 lie in the picture
    ]
    (folder / "labels" / "a.txt").write_text("\n".join(lines))
    return folder


def test_standing_people_are_cut_out_and_the_rest_is_left(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    assert cut.main(["--pictures", str(labelled), "--output", str(out)]) == 0
    sizes = {path.name: cv2.imread(str(path)).shape[:2] for path in out.iterdir()}
    assert sizes == {"street_a_0.jpg": (200, 40), "street_a_3.jpg": (200, 40)}


def test_what_was_cut_is_an_unlabelled_data_set(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops" / "deep"
    cut.main(["--pictures", str(labelled), "--output", str(out)])
    data = catalogue.load("folder", tmp_path / "crops", {"names": "unlabelled"})
    assert [sample.person_id for sample in data.train] == [UNLABELLED, UNLABELLED]
    assert data.n_train_people == 0


def test_a_folder_without_pictures_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--pictures", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    assert cut.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'none'}: no images/*.jpg there")
    assert error.count("\n") == 1


def test_an_output_that_is_a_file_is_an_error_of_one_line(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert cut.main(["--pictures", str(labelled), "--output", str(file)]) == 2
    assert capsys.readouterr().err == f"error: {file}: cannot be written (File exists)\n"


def test_a_crop_that_cannot_be_written_is_an_error_of_one_line(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "crops" / "street_a_3.jpg"
    blocked.mkdir(parents=True)
    assert cut.main(["--pictures", str(labelled), "--output", str(tmp_path / "crops")]) == 2
    error = capsys.readouterr().err
    assert error == f"error: {blocked}: cannot be written (Is a directory); give another place\n"
