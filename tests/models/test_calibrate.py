"""The command that measures activation ranges."""

import itertools
import shutil
from pathlib import Path

import cv2
import pytest

from models import calibrate, weights
from models.detector import data
from models.runtimes import quantize
from models.weights import checksums


@pytest.fixture
def pictures(sample: Path, tmp_path: Path) -> Path:
    """A folder with two frames of the sample."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    video, truth = sample / "cam1.mp4", sample / "truth" / "cam1.txt"
    for picture in itertools.islice(data.clip(video, truth, every=40), 2):
        cv2.imwrite(str(folder / f"{len(list(folder.iterdir()))}.png"), picture.image)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("role", ["detector", "reid"])
def test_the_command_measures_the_network_that_ships_from_other_pictures(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str
) -> None:
    ours = weights.bundled(role)
    assert ours is not None
    copied = tmp_path / ours.name
    shutil.copyfile(ours, copied)
    assert calibrate.main([f"--{role}", str(copied), "--pictures", str(pictures)]) == 0
    assert "over 2 pictures" in capsys.readouterr().out
    checksum = checksums.of_file(ours, "sha256")
    measured = quantize.read(copied, checksum)
    shipped = quantize.read(ours, checksum)
    assert measured.keys() == shipped.keys()
    assert len(shipped) > 50
    assert not any(name.endswith(("cv2.0.2", "cv3.0.2")) for name in shipped)  # give the answer


def test_a_folder_without_pictures_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = str(weights.bundled("reid"))
    assert calibrate.main(["--reid", ours, "--pictures", str(tmp_path)]) == 2
    assert f"{tmp_path}: has no pictures" in capsys.readouterr().err
