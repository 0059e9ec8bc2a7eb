"""Files are whole or as they were before."""

import errno
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_a_block_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="stop"), files.staged(path) as temporary:
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"half")
        raise ValueError("stop")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_through_links_that_others_planted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("model.bin", ".model.partial.bin"):
        (tmp_path / name).symlink_to(victim)
    files.write(tmp_path / "model.bin", b"new")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "model.bin").read_bytes() == b"new"
    assert not (tmp_path / "model.bin").is_symlink()


def test_two_writers_of_one_file_do_not_share_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    with files.staged(path) as first, files.staged(path) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "socket", "folder"])
def test_what_is_no_regular_file_is_not_read_and_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # addresses of sockets are short
    path = tmp_path / "settings.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    else:
        path.mkdir()
    with pytest.raises(OSError, match=r"Not a regular file|No such device|Is a directory"):
        files.read_text(path)


def test_a_text_that_is_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("12345")
    assert files.read_text(path, max_bytes=5) == "12345"
    with pytest.raises(OSError, match="Larger than 0 MB"):
        files.read_text(path, max_bytes=4)


def test_reading_a_small_file_takes_little_memory_however_large_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text("12345")
    tracemalloc.start()
    assert files.read_text(path) == "12345"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_numbers_in_names_are_ordered_by_value() -> None:
    assert sorted(
        ["f10.jpg", "f9.jpg", "f09.jpg", "a1b2", "a1b10", "10", "9"], key=files.natural
    ) == [
        "9",
        "10",
        "a1b2",
        "a1b10",
        "f09.jpg",
        "f9.jpg",
        "f10.jpg",
    ]


@settings(max_examples=50)
@given(names=st.lists(st.text("a1029_.", max_size=8), unique=True))
def test_the_order_of_names_does_not_depend_on_how_they_came(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=files.natural) == sorted(backwards, key=files.natural)
