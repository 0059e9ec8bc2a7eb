"""The command `search`: who is found, in which order, what is drawn, and its mistakes of one
line.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models import weights
from models.errors import InputError
from models.reid import search
from models.reid.evaluation.pictures import GREEN, GREY, RED
from tests.conftest import ROOT
from tests.models.reid import miniatures
from tests.models.reid.evaluation import expected

Array = np.ndarray[Any, Any]


class Finder:
    """Runs the command on a gallery of five people in folders of their own, and on pictures of
    person 3.
    """

    def __init__(
        self, gallery: Path, network: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.gallery, self.network, self.output, self._capsys = (
            gallery,
            network,
            folder / "out",
            capsys,
        )
        rng = np.random.default_rng(9)
        self.queries = [folder / f"somebody {i}.png" for i in range(3)]
        for camera, path in enumerate(self.queries):
            miniatures.write(path, 3, camera, rng)

    def __call__(
        self, *arguments: object, query: object = "", gallery: object = ""
    ) -> tuple[int, list[str], list[str]]:
        """Exit code, lines printed and lines of errors."""
        asked = query if isinstance(query, list) else [query or self.queries[0]]
        words = [
            "--query",
            *asked,
            "--gallery",
            gallery or self.gallery,
            "--weights",
            self.network,
            "--output",
            self.output,
        ]
        code = search.main([*map(str, words), "--quiet", *map(str, arguments)])
        printed = self._capsys.readouterr()
        return code, printed.out.splitlines(), printed.err.splitlines()

    def likeness(self, queries: list[Path]) -> dict[Path, float]:
        """Cosine of every image of the gallery, by plain loops."""
        asked = expected.unit(
            np.mean([expected.image_feature(cv2.imread(str(path))) for path in queries], axis=0)
        )
        paths = [self.gallery / "top.png", *self.gallery.glob("person */door */[0-9]*.jpg")]
        return {
            path: float(asked @ expected.image_feature(cv2.imread(str(path)))) for path in paths
        }


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = miniatures.folder(tmp_path_factory.mktemp("gallery"), n_people=5, n_frames=3)
    miniatures.write(root / "top.png", 3, 1, np.random.default_rng(4))  # beside the folders
    (root / "notes.txt").write_text("no image", encoding="utf-8")
    (root / "._3.jpg").write_bytes(b"left by macOS")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "4.jpg").write_bytes(b"hidden")
    (root / "a folder.jpg").mkdir()
    return root


@pytest.fixture
def finder(
    gallery: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Finder:
    return Finder(gallery, colours, tmp_path, capsys)


def listed(lines: list[str]) -> list[tuple[int, float, Path]]:
    """Rank, likeness and path of the printed lines but for the last, which names the picture."""
    parts = [line.split(None, 2) for line in lines[:-1]]
    return [(int(rank), float(value), Path(path)) for rank, value, path in parts]


@pytest.mark.parametrize("n_queries", [1, 3])
def test_the_gallery_is_listed_by_the_likeness_that_plain_loops_find(
    n_queries: int, finder: Finder
) -> None:
    queries = finder.queries[:n_queries]
    code, lines, errors = finder("--top", "100", query=queries)
    assert (code, errors) == (0, [])
    results, wanted = listed(lines), finder.likeness(queries)
    assert [rank for rank, _, _ in results] == list(range(1, 32)) and {
        path for _, _, path in results
    } == set(wanted)
    assert all(value == pytest.approx(wanted[path], abs=6e-4) for _, value, path in results)
    values = [wanted[path] for _, _, path in results]
    assert values == pytest.approx(sorted(values, reverse=True), abs=1e-5)
    assert {path.relative_to(finder.gallery).parts[0] for _, _, path in results[:7]} == {
        "person 4",
        "top.png",
    }


def test_no_more_is_listed_than_asked_for(finder: Finder) -> None:
    whole = listed(finder("--top", "100")[1])
    assert listed(finder("--top", "2")[1]) == whole[:2]
    assert listed(finder()[1]) == whole[:10]


def near(image: Array, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=2) < 25).sum())


def test_results_are_drawn_and_nobody_is_judged(finder: Finder) -> None:
    _, lines, _ = finder("--top", "4")
    picture = finder.output / "00000_somebody 0.jpg"  # no person and no camera is known
    assert lines[-1] == str(picture) and list(finder.output.iterdir()) == [picture]
    image = cv2.imread(str(picture))
    assert near(image, GREY) > 4000 and near(image, GREEN) == near(image, RED) == 0
    assert 700 < image.shape[1] < 850  # the query and four


def test_images_come_in_natural_order_from_all_visible_folders(
    tmp_path: Path, gallery: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("10.png", "9.png", "b/1.JPG", "a/b/c.bmp", ".hidden/1.png", "b/._1.png"):
        miniatures.write(tmp_path / name, 1, 0, rng)
    (tmp_path / "b" / "list.csv").write_text("", encoding="utf-8")
    found = [path.relative_to(tmp_path).as_posix() for path in search.images(tmp_path)]
    assert found == ["9.png", "10.png", "a/b/c.bmp", "b/1.JPG"]
    hidden = tmp_path / ".hidden"  # asked for by name
    assert search.images(hidden) == [hidden / "1.png"]


def test_equal_likeness_keeps_the_order_of_the_gallery() -> None:
    gallery = np.array([[0, 1], [1, 0], [0, 2], [1, 0], [1, 1]] * 20, float)
    order, alike = search.nearest(np.array([0.0, 3.0]), gallery, 61)
    assert order.tolist() == [i for i in range(100) if i % 5 in (0, 2)] + list(range(4, 100, 5)) + [
        1
    ]
    assert alike == pytest.approx([1] * 40 + [0.5**0.5] * 20 + [0])


def test_features_of_the_gallery_are_kept(finder: Finder, average: Path, tmp_path: Path) -> None:
    first = finder("--cache", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert listed(first[1])[0][1] > 0.9
    np.save(kept, np.load(kept)[::-1])  # the same file is read again: other people are found
    assert finder("--cache", tmp_path / "kept")[1] != first[1]
    kept.write_bytes(kept.read_bytes()[:-1])
    assert finder("--cache", tmp_path / "kept") == first
    assert list((tmp_path / "kept").iterdir()) == [kept]
    assert finder("--cache", tmp_path / "kept", "--weights", average)[1] != first[1]
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_mistake_is_one_line_that_says_what_to_do(
    finder: Finder, tmp_path: Path, gallery: Path
) -> None:
    bad = tmp_path / "one" / "bad.jpg"
    bad.parent.mkdir()
    bad.write_bytes(b"no image")
    (tmp_path / "file").touch()
    cases: list[tuple[list[object], dict[str, object], str]] = [
        (
            [],
            {"gallery": tmp_path / "nowhere"},
            f"{tmp_path}/nowhere: no such folder; --gallery is a folder of images",
        ),
        (
            [],
            {"gallery": gallery / "a folder.jpg"},
            f"{gallery}/a folder.jpg: holds no images (.jpg, .jpeg, .png, .bmp)",
        ),
        ([], {"gallery": bad}, f"{bad}: no such folder"),
        ([], {"gallery": bad.parent}, f"{bad}: is damaged or not an image"),
        ([], {"query": bad}, f"{bad}: is damaged or not an image"),
        (
            [],
            {"query": tmp_path / "gone.jpg"},
            f"{tmp_path}/gone.jpg: cannot be read (No such file or directory)",
        ),
        (["--weights", tmp_path / "none.onnx"], {}, f"{tmp_path}/none.onnx: no such ReID weights"),
        (["--weights", bad], {}, f"{bad}: ReID weights are"),
        (["--top", "0"], {}, "--top 0: give 1 or more"),
        (["--top", "-1"], {}, "--top -1: give 1 or more"),
        (
            ["--output", tmp_path / "file"],
            {},
            f"{tmp_path}/file/00000_somebody 0.jpg: cannot be written",
        ),
        (["--cache", tmp_path / "file"], {}, f"{tmp_path}/file: cannot be written"),
        (["--device", "tpu"], {}, "device tpu: expected auto, cpu"),
    ]
    for arguments, changed, reason in cases:
        code, lines, errors = finder(*arguments, **changed)
        assert (code, lines, len(errors)) == (2, [], 1), reason
        assert errors[0].startswith(f"error: {reason}")


def test_without_a_bundled_network_one_is_asked_for(
    finder: Finder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--query",
        str(finder.queries[0]),
        "--gallery",
        str(finder.gallery),
        "--output",
        str(finder.output),
        "--quiet",
    ]
    monkeypatch.setattr(weights, "bundled", lambda role, device: None)
    assert search.main(words) == 2
    assert (
        capsys.readouterr().err
        == "error: no ReID network is bundled; give one: --weights FILE.safetensors or FILE.onnx\n"
    )
    monkeypatch.setattr(
        weights, "bundled", lambda role, *device: finder.network if role == "reid" else None
    )
    assert search.main(words) == 0


def test_an_interrupt_is_one_line(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "images", interrupted)
    assert finder() == (130, [], ["interrupted"])


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        search.images(tmp_path)


def test_the_command_runs_as_a_program(finder: Finder, tmp_path: Path) -> None:
    shutil.copytree(finder.gallery / "person 1", tmp_path / "people" / "one")
    words = ["--query", finder.queries[0], "--gallery", "people", "--weights", finder.network]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models.reid.search", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *results, picture = done.stdout.splitlines()
    assert len(results) == 6 and all("people/one/door " in line for line in results)
    assert picture == "outputs/search/00000_somebody 0.jpg" and (tmp_path / picture).is_file()
