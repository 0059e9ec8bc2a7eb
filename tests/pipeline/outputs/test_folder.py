import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import yuv
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
    folder.publish(manifest_of(folder))
    folder.close()
    assert (tmp_path / "a/b/mot/ü.txt").read_text(encoding="utf-8") == "ü"
    assert folder.written == ["mot/ü.txt", "run.json"]


def manifest_of(folder: OutputFolder) -> str:
    listed = [name for name in folder.written if name != "run.json"]
    return json.dumps({"schema": "run/1", "files": [*listed, "run.json"]})


def test_overwriting_deletes_what_the_old_run_listed_and_nothing_else(tmp_path: Path) -> None:
    folder = OutputFolder(old_run(tmp_path / "out"), overwrite=True)
    folder.create()
    folder.write_text("cam2.mp4", "new")
    folder.publish(manifest_of(folder))
    folder.close()
    assert files(folder.path) == {"mine.txt", "cam2.mp4", "run.json"}
    assert json.loads((folder.path / "run.json").read_text())["files"] == ["cam2.mp4", "run.json"]


def test_a_run_that_dies_leaves_the_old_results_as_they_were(tmp_path: Path) -> None:
    folder = OutputFolder(old_run(tmp_path / "out"), overwrite=True)
    before = files(folder.path)
    folder.create()
    folder.write_text("mot/cam1.txt", "new")
    folder.close()
    assert files(folder.path) == before
    assert (folder.path / "mot" / "cam1.txt").read_text() == "old"


@pytest.mark.parametrize("dies", ["while reading", "after publishing", "while drawing"])
def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path: Path, dies: str) -> None:
    killed = OutputFolder(tmp_path / "out", overwrite=False)
    killed.create()
    killed.write_text("mot/cam2.txt", "killed")
    if dies != "while reading":
        killed.publish(manifest_of(killed))
    if dies == "while drawing":
        (killed.path / next(killed.path.glob(".people*")) / "cam2.mp4").write_text("half a video")
    os.close(killed._lock)  # as the kernel does
    assert ("mot/cam2.txt" in files(killed.path)) == (dies != "while reading")
    folder = OutputFolder(tmp_path / "out", overwrite=True)
    folder.create()
    folder.write_text("mot/cam1.txt", "new")
    folder.publish(manifest_of(folder))
    folder.close()
    assert files(folder.path) == {"mot/cam1.txt", "run.json"}


def test_results_are_published_again_when_there_are_more(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", overwrite=False)
    folder.create()
    folder.write_text("tracks.csv", "rows")
    folder.publish(manifest_of(folder))
    assert folder.find("tracks.csv") == folder.path / "tracks.csv"
    folder.write_text("cam1.mp4", "video")
    assert folder.find("cam1.mp4").read_text() == "video"
    folder.publish(manifest_of(folder))
    folder.close()
    assert files(folder.path) == {"tracks.csv", "cam1.mp4", "run.json"}
    assert folder.written == ["tracks.csv", "cam1.mp4", "run.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_runs_cannot_write_into_one_folder(tmp_path: Path, overwrite: bool) -> None:
    first = OutputFolder(tmp_path / "out", overwrite)
    second = OutputFolder(tmp_path / "out", overwrite)
    first.create()
    with pytest.raises(OutputError, match=r"out: another run is writing into it; choose another"):
        second.create()
    first.write_text("a.txt", "first")
    first.publish(manifest_of(first))
    first.close()
    if overwrite:
        second.create()
    else:
        with pytest.raises(OutputError, match="out: is not empty"):
            second.create()
    second.close()
    assert files(first.path) == {"a.txt", "run.json"}


@pytest.mark.parametrize("dangling", [False, True])
def test_links_in_the_folder_are_not_written_through(tmp_path: Path, dangling: bool) -> None:
    victim = tmp_path / "victim.txt"
    if not dangling:
        victim.write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    planted = ("tracks.csv", ".tracks.partial.csv", "run.json", ".run.partial.json", "cam1.mp4")
    for name in planted:
        (out / name).symlink_to(victim)
    folder = OutputFolder(out, overwrite=True)
    folder.create()
    for name in ("tracks.csv", "cam1.mp4"):
        folder.write_text(name, "results")
    folder.publish(manifest_of(folder))
    folder.close()
    assert victim.exists() != dangling
    assert dangling or victim.read_text() == "precious"
    assert (out / "tracks.csv").read_text() == "results"
    assert not (out / "run.json").is_symlink()


@pytest.mark.parametrize("kind", ["link to a folder", "dangling link", "file"])
def test_the_folder_of_mot_files_must_be_one(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        (out / "mot").touch()
    else:
        (out / "mot").symlink_to(tmp_path / ("elsewhere" if "to a" in kind else "nothing"))
    with pytest.raises(OutputError, match=r"mot: is not a folder of results .*; remove it"):
        OutputFolder(out, overwrite=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_results_that_cannot_be_put_in_place_are_kept_and_the_error_says_where(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    (out / "tracks.csv").mkdir(parents=True)
    folder = OutputFolder(out, overwrite=True)
    folder.create()
    folder.write_text("tracks.csv", "results")
    with pytest.raises(OutputError, match=r"tracks\.csv: cannot be written \(Is a dir") as failure:
        folder.publish(manifest_of(folder))
    folder.close()
    kept = next(out.glob(".people-tracker-*"))
    assert str(kept) in str(failure.value)
    assert (kept / "tracks.csv").read_text() == "results"


def test_a_hidden_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "precious.txt"
    precious.parent.mkdir()
    precious.touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".people-tracker-x").symlink_to(precious.parent)
    folder = OutputFolder(tmp_path / "out", overwrite=True)
    folder.create()
    folder.close()
    assert precious.exists()


def test_names_that_were_temporary_once_do_not_meet(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", overwrite=False)
    folder.create()
    with folder.file("a.mp4") as first, folder.file(".a.partial.mp4") as second:
        first.write_text("a")
        second.write_text("the other")
    folder.publish(manifest_of(folder))
    folder.close()
    assert (folder.path / "a.mp4").read_text() == "a"
    assert (folder.path / ".a.partial.mp4").read_text() == "the other"


def test_overwriting_deletes_nothing_outside_the_folder_whatever_the_list_says(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside.txt"
    outside.touch()
    folder = old_run(tmp_path / "out", "../outside.txt", str(outside), "link.txt", "..", "mot")
    (folder / "link.txt").symlink_to(outside)
    new = OutputFolder(folder, overwrite=True)
    new.create()
    new.publish(manifest_of(new))
    new.close()
    assert outside.is_file()
    assert files(folder) == {"mine.txt", "link.txt", "run.json"}


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
        b"[" * 100_000,
    ],
)
def test_overwriting_deletes_nothing_when_run_json_is_not_a_runs(
    tmp_path: Path, manifest: bytes
) -> None:
    folder = old_run(tmp_path / "out")
    (folder / "run.json").write_bytes(manifest)
    before = files(folder)
    new = OutputFolder(folder, overwrite=True)
    new.create()
    new.publish(manifest_of(new))
    new.close()
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


def test_what_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", overwrite=True)
    folder.create()
    shutil.rmtree(folder.path)
    folder.path.touch()
    with pytest.raises(
        OutputError, match=r"^[^\n]*a\.txt: cannot be written \([\w ]+\); choose another --output$"
    ):
        folder.write_text("a.txt", "text")
    folder.close()


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
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # another program may look


def write_noise(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), np.uint8)
    with Encoder(path, 320, 240, 10, crf=5) as encoder:
        for i, image in enumerate(noise):
            encoder.write(yuv.from_bgr(image), i / 10)


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
