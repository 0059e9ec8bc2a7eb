"""Files are whole or as they were before."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import files
from models.errors import InputError
from models.reid.evaluation.pictures import plot_curves
from models.reid.evaluation.spatial_temporal import TransitionModel
from models.reid.networks import file
from models.reid.networks.file import Recipe
from models.reid.training import checkpoint
from models.reid.training.checkpoint import Progress


def save_network(path: Path) -> None:
    file.save(nn.Linear(2, 2), Recipe("linear", {}, 2, 2), path)


def save_checkpoint(path: Path) -> None:
    checkpoint.write(path, {"a": {"x": torch.zeros(4)}}, Progress(), "")


def save_bytes(path: Path) -> None:
    files.write(path, b"new" * 100)


def save_sheet(path: Path) -> None:
    plot_curves([{"epoch": 0, "loss": 1.0}], path)


def save_transitions(path: Path) -> None:
    TransitionModel(np.ones((2, 2, 3)), 100).save(path)


@pytest.fixture(params=[save_bytes, save_network, save_checkpoint, save_sheet, save_transitions])
def write(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    given: Callable[[Path], None] = request.param
    return given


def test_a_file_has_the_usual_permissions_and_its_folder_is_made(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "usual").touch()
    write(tmp_path / "new" / "file.bin")
    assert (tmp_path / "new" / "file.bin").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "No space left on device); free some space"),
        (errno.EROFS, "Read-only file system); give another place"),
    ],
)
def test_a_failure_is_one_line_and_the_earlier_file_is_still_there(
    write: Callable[[Path], None],
    number: int,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fill(partial: Path, data: bytes) -> int:
        with partial.open("wb") as opened:
            opened.write(data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(InputError) as caught:
        write(path)
    assert str(caught.value) == f"{path}: cannot be written ({expected}"
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_folder_that_is_a_file_is_one_line(write: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(
        InputError, match=r"^.*file\.bin: cannot be written \(.*\); give another place$"
    ):
        write(tmp_path / "file" / "file.bin")
    assert (tmp_path / "file").read_bytes() == b"mine"
