import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.outputs.folder import OutputFolder
from pipeline.outputs.video import Encoder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def old_run(folder: Path, *listed: str) -> Path:
    """A folder with the files of an earlier run and one that the user put there."""
    for name in ("cam1.mp4", "mot/cam1.txt", "mine.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    manifest = {
        "schema": "run/1",
        "files": ["cam1.mp4", "mot/cam1.txt", "gone.csv", "run.json", *listed],
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def test_a_folder_that_is_not_empty_is_refused_without_overwrite(tmp_path: Path) -> None:
    folder = old_run(tmp_path / "out")
    before = files(folder)
    with pytest.raises(
        OutputError, match=r"^[^\n]*out: is not empty; choose another --output or add --overwrite$"
    ):
        OutputFolder(folder, overwrite=False)
    assert files(folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_place_of_the_folder_or_above_it_is_an_error(
    tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out: is a file; choose another --output"):
        OutputFolder(tmp_path / "out", overwrite)
    with pytest.raises(OutputError, match="cannot be written"):
        OutputFolder(tmp_path / "out" / "inner", overwrite).create()


def test_a_new_folder_is_made_with_its_parents_but_not_before_it_is_asked_for(
    tmp_path: Path,
) -> None:
    folder = OutputFolder(tmp_path / "a" / "b", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    folder.create()
    folder.write_text("mot/ü.txt", "ü")
    assert (tmp_path / "a/b/mot/ü.txt").read_text(encoding="utf-8") == "ü"
    assert folder.written == ["mot/ü.txt"]


def test_overwriting_deletes_what_the_old_run_listed_and_nothing_else(tmp_path: Path) -> None:
    folder = OutputFolder(old_run(tmp_path / "out"), overwrite=True)
    assert len(files(folder.path)) == 4
    folder.create()
    assert files(folder.path) == {"mine.txt"}


def test_overwriting_deletes_nothing_outside_the_folder_whatever_the_list_says(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside.txt"
    outside.touch()
    folder = old_run(tmp_path / "out", "../outside.txt", str(outside), "link.txt", "..", "mot")
    (folder / "link.txt").symlink_to(outside)
    OutputFolder(folder, overwrite=True).create()
    assert outside.is_file()
    assert files(folder) == {"mine.txt", "link.txt"}


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"schema": "run/1"}',
        b'{"schema": "run/1", "files": null}',
        b'{"schema": 1, "files": ["mine.txt"]}',
        b'{"schema": "of another program", "files": ["mine.txt"]}',
        b'{"files": ["mine.txt"]}',
    ],
)
def test_overwriting_deletes_nothing_when_run_json_is_not_a_runs(
    tmp_path: Path, manifest: bytes
) -> None:
    folder = old_run(tmp_path / "out")
    (folder / "run.json").write_bytes(manifest)
    before = files(folder)
    OutputFolder(folder, overwrite=True).create()
    assert files(folder) == before


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_while_writing_leaves_neither_the_file_nor_a_temporary_one(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    folder = OutputFolder(tmp_path, overwrite=False)
    with pytest.raises(failure), folder.file("a.mp4") as path:
        path.write_text("half")
        assert (path.parent, path.suffix) == (tmp_path, ".mp4")
        raise failure
    assert list(tmp_path.iterdir()) == []
    assert folder.written == []


def test_a_file_appears_only_when_it_is_complete_and_until_then_the_old_one_stays(
    tmp_path: Path,
) -> None:
    folder = OutputFolder(tmp_path, overwrite=True)
    folder.write_text("a.txt", "old")
    with folder.file("a.txt") as path:
        path.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert files(tmp_path) == {"a.txt"}


def test_what_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(
        OutputError,
        match=r"^[^\n]*a\.txt: cannot be written \(Is a directory\); choose another --output$",
    ):
        OutputFolder(tmp_path, overwrite=True).write_text("a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("needs root and mount")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"mount: {made.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def write_noise(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), np.uint8)
    with Encoder(path, 320, 240, 10, crf=5) as encoder:
        for i, image in enumerate(noise):
            encoder.write(image, i / 10)


@pytest.mark.parametrize(
    ("name", "write"),
    [("people.json", lambda path: path.write_text("x" * 400_000)), ("cam1.mp4", write_noise)],
)
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing_half_written(
    small_disk: Path, name: str, write: Callable[[Path], object]
) -> None:
    folder = OutputFolder(small_disk, overwrite=False)
    with (
        pytest.raises(OutputError, match=r"No space left on device\); free some space"),
        folder.file(name) as path,
    ):
        write(path)
    assert files(small_disk) == set()
    folder.write_text("small.txt", "fits")
    assert folder.written == ["small.txt"]
