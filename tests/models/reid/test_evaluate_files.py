"""The command `evaluate`: what it keeps, draws and writes, what it notes about a network, and its
mistakes of one line.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from models.reid import encoder, evaluate
from models.reid.data import catalogue
from models.reid.evaluation import features, pictures, reranking
from models.reid.evaluation.pictures import GREEN, RED, Ranked
from models.reid.networks import file, table
from models.reid.networks.file import Recipe
from tests.conftest import ROOT
from tests.graphs import write_graph
from tests.models.reid import miniatures
from tests.models.reid.commands import Command
from tests.models.reid.evaluation import expected
from tests.models.reid.test_evaluate import found, wanted


def test_features_are_kept_and_used_again(
    command: Command, data_sets: Path, tmp_path: Path
) -> None:
    root, weights = tmp_path / "copy", tmp_path / "w.onnx"
    shutil.copytree(data_sets / "DukeMTMC-reID", root)
    shutil.copy(command.weights, weights)
    cache = tmp_path / "kept"

    def run() -> tuple[bool, Any]:
        ran = command("dukemtmc", "--cache", cache, root=root, weights=weights)
        return ran.out[-1] == "features: from the cache", found(ran.rows["plain"])

    (fresh, scores), (kept, again) = run(), run()
    assert (fresh, kept) == (False, True) and scores == again == pytest.approx(
        wanted(data_sets, "dukemtmc")
    )
    touched = next((root / "query").iterdir())
    os.utime(touched, (1, 1))
    assert [run()[0], run()[0]] == [False, True]
    model = onnx.load(str(weights))
    model.doc_string = "trained on"
    onnx.save(model, str(weights))
    assert [run()[0], run()[0]] == [False, True]
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    assert [run(), run()] == [(False, scores), (True, scores)]
    for path in cache.iterdir():
        path.write_bytes(b"")
    assert [run()[0], run()[0]] == [False, True]


def test_weights_in_a_file_beside_the_network_count_for_the_cache(
    command: Command, tmp_path: Path
) -> None:
    def write(colour: int) -> bytes:
        """A network that sees one colour: the weights are in colour.data, and the .onnx stays the
        same.
        """
        weight = np.zeros(
            (expected.WIDTH, 3 * miniatures.HEIGHT_PX * miniatures.WIDTH_PX), np.float32
        )
        weight[np.arange(expected.WIDTH), np.arange(expected.WIDTH) * 64 + colour * 2048] = 1
        nodes = [
            onnx.helper.make_node("Flatten", ["crops"], ["flat"]),
            onnx.helper.make_node("Gemm", ["flat", "w"], ["features"], transB=1),
        ]
        shape = ["batch", 3, miniatures.HEIGHT_PX, miniatures.WIDTH_PX]
        model = onnx.load(str(write_graph(path, nodes, shape, w=weight)))
        (tmp_path / "colour.data").unlink(missing_ok=True)
        onnx.save(
            model, str(path), save_as_external_data=True, location="colour.data", size_threshold=0
        )
        return path.read_bytes()

    path, cache = tmp_path / "colour.onnx", tmp_path / "kept"
    one = write(0)
    first = command("dukemtmc", "--cache", cache, weights=path)
    assert write(2) == one
    second = command("dukemtmc", "--cache", cache, weights=path)
    assert first.code == second.code == 0 and len(list(cache.iterdir())) == 2
    assert found(first.rows["plain"]) != found(second.rows["plain"])


def near(image: Any, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=2) < 25).sum())


def test_as_many_queries_are_drawn_as_asked_for_spread_over_all(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "seen"
    ran = command("market1501", "--pictures", folder, "--n-pictures", "4", "--top", "3")
    assert ran.out[-1] == f"{folder}: 4 queries drawn, by the plain ranking"
    assert [path.name[:5] for path in sorted(folder.iterdir())] == [
        "00000",
        "00004",
        "00007",
        "00011",
    ]
    sheets = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    assert all(
        250 < sheet.shape[0] < 400 and 550 < sheet.shape[1] < 750 for sheet in sheets
    )  # the query and three
    assert all(near(sheet, GREEN) > 2000 for sheet in sheets)
    few = command("market1501", "--pictures", tmp_path / "all", "--n-pictures", "99", "--top", "99")
    assert few.code == 0 and len(list((tmp_path / "all").iterdir())) == 12
    assert any(
        near(cv2.imread(str(path)), RED) > 2000 for path in (tmp_path / "all").iterdir()
    )  # and junk is left out


def test_what_is_drawn_is_the_last_ranking_without_junk_with_the_distances_that_order_it(
    command: Command, average: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Ranked] = []
    n_other = 0
    write = pictures.write_ranked

    def keep(ranked: list[Ranked], folder: Path) -> list[Path]:
        drawn.extend(ranked)
        return write(ranked, folder)

    monkeypatch.setattr(pictures, "write_ranked", keep)
    command(
        "market1501",
        "--rerank",
        "--pictures",
        tmp_path,
        "--n-pictures",
        "99",
        "--top",
        "99",
        weights=average,
    )
    data = catalogue.load("market1501", command.root, {"any_counts": True})
    query, gallery = (
        features.extract(encoder.load(average), part) for part in (data.query, data.gallery)
    )
    assert [(each.position, each.query) for each in drawn] == list(enumerate(data.query))
    for each, apart, alike in zip(
        drawn, reranking.rerank(query, gallery), query @ gallery.T, strict=True
    ):
        order = [data.gallery.index(sample) for sample, _ in each.results]
        counts = [
            s
            for s in data.gallery
            if (s.person_id, s.camera) != (each.query.person_id, each.query.camera)
        ]
        assert {data.gallery[i] for i in order} == set(counts) and len(order) == len(counts)
        assert np.diff(apart[order]).min() >= 0
        n_other += bool(np.diff(alike[order]).max() > 0)
        assert each.measure == "re-ranked distance"
        assert [value for _, value in each.results] == pytest.approx(apart[order], abs=1e-5)
    assert n_other  # the plain ranking is another one


def test_pictures_of_tracklets_have_names_of_their_own_in_every_split(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "seen"
    ran = command("prid2011", "--all-splits", "--pictures", folder)
    assert ran.code == 0
    drawn = sorted(folder.rglob("*.jpg"))  # every first frame of PRID is called 0001.png
    assert {path.parent.name for path in drawn} == {f"split_{i}" for i in range(10)} and len(
        drawn
    ) == 10 * 4
    assert all(cv2.imread(str(path)) is not None for path in drawn)
    one = command("prid2011", "--set", "split=3", "--pictures", tmp_path / "one")
    assert one.code == 0 and len(list((tmp_path / "one").glob("*.jpg"))) == 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes a network that says what it was trained on."""
    torch.manual_seed(0)
    options = {**table.architecture("osnet_x0_25").options, "n_classes": 2}
    network = table.build("osnet_x0_25", options).eval()
    folder = tmp_path_factory.mktemp("trained")

    def write(**data: Any) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}.safetensors"
        about = {"settings": {"data": data}} if data else {}
        file.save(
            network,
            Recipe("osnet_x0_25", options, miniatures.HEIGHT_PX, miniatures.WIDTH_PX),
            path,
            about,
        )
        return path

    return write


LEAKS = [
    ("prid2011", {"options": {"split": 3}}, ["split=4"], "split 3"),
    ("prid2011", {"options": {"split": 3}}, [], "split 3"),
    ("prid2011", {"options": {"split": 3, "any_counts": True}}, ["split=3"], ""),
    ("prid2011", {}, ["split=1"], "split 0"),
    ("prid2011", {}, [], ""),
    ("cuhk03", {"options": {"protocol": "classic", "split": 2}}, [], "protocol classic, split 2"),
    ("cuhk03", {"options": {"labels": "detected"}}, [], ""),
    ("market1501", {"options": {"any_counts": True}}, [], ""),
]


@pytest.mark.parametrize(("name", "trained_on", "options", "said"), LEAKS)
def test_a_network_that_may_know_the_people_is_noted(
    name: str,
    trained_on: dict[str, Any],
    options: list[str],
    said: str,
    command: Command,
    trained: Any,
) -> None:
    path = trained(name=name, root="elsewhere", **trained_on)
    ran = command(name, *[part for option in options for part in ("--set", option)], weights=path)
    note = (
        f"note: {path} was trained with {said}: people tested here may be among its training people"
    )
    assert ran.code == 0 and ran.splits[0]["notes"] == ([note] if said else [])
    assert (note in ran.out) == bool(said)


def test_a_network_of_another_data_set_or_without_a_past_is_not_noted(
    command: Command, trained: Any
) -> None:
    for path in (trained(name="mars", options={"split": 9}), trained()):
        assert command("prid2011", weights=path).splits[0]["notes"] == []


def test_a_network_that_was_trained_on_the_very_folder_is_noted(
    command: Command, trained: Any, tmp_path: Path
) -> None:
    root = miniatures.folder(tmp_path / "people", n_people=3)
    path = trained(name="folder", root=str(tmp_path / "nowhere" / ".." / "people"))
    ran = command("folder", "--set", "use=test", weights=path, root=root)
    assert ran.splits[0]["notes"] == [
        f"note: {path} was trained on people of {root}: people tested here are among its training"
        " people"
    ]
    miniatures.folder(root / "train", n_people=2)
    miniatures.folder(root / "val", n_people=2, first_person=2)
    for person in range(3):
        shutil.rmtree(root / f"person {person + 1}")
    assert command("folder", weights=path, root=root).splits[0]["notes"] == []


def damaged(root: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(root / "DukeMTMC-reID", copy)
    next((copy / "query").iterdir()).write_bytes(b"no image")
    return copy


ERRORS: dict[str, tuple[list[str], str]] = {
    "no weights": (["--weights", "nowhere.onnx"], "nowhere.onnx: no such ReID weights"),
    "other weights": (["--weights", "README.md"], "README.md: ReID weights are .safetensors"),
    "no data": (["--root", "nowhere"], "nowhere: is not a folder; set --root"),
    "other data": (["--root", "tests"], "tests: no such data set here"),
    "unknown data set": (
        ["--data", "market"],
        "--data market: no such data set; did you mean market1501?",
    ),
    "incomplete": (["--set", "any_counts=false"], "is not the complete data set"),
    "bad --set": (
        ["--set", "split"],
        "--set split: write it as key=value, for example --set split=3",
    ),
    "unknown option": (["--set", "shots=1"], "--set: dukemtmc has no option shots"),
    "wrong option": (["--set", "any_counts=maybe"], "--set of dukemtmc: any_counts"),
    "wrong split": (
        ["--data", "prid2011", "--set", "split=10"],
        "split: Input should be less than 10",
    ),
    "device": (["--device", "cuda:99"], "device cuda:99"),
    "nothing to rank": (
        ["--data", "folder", "--root", "PEOPLE"],
        "tested with --set use=test",
    ),
    "several folders": (
        ["--root", "a", "b"],
        "--root: 2 folders for 1 data sets; give one for all, or one each",
    ),
    "unknown further data set": (
        ["--data", "dukemtmc", "mras"],
        "--data mras: no such data set; did you mean mars?",
    ),
    "wrong option of a further data set": (
        ["--data", "dukemtmc", "mars", "--set", "mars.gallery=all"],
        "--set of mars: gallery",
    ),
    "twice": (["--data", "mars", "mars"], "--data: mars is given twice"),
    "option of another": (
        ["--set", "mars.gallery=without_query"],
        "--set mars.gallery: mars is not among the data sets of --data",
    ),
    "times of nothing": (["--times", "t.npz"], "--times and --save-times need --spatial-temporal"),
    "no slope": (["--alpha", "0"], "--smooth takes 0 or more, --alpha more than 0"),
    "no clip": (["--clip-length", "0"], "--clip-length 0: give 1 or more"),
    "no picture": (["--n-pictures", "-1"], "--n-pictures -1: give 1 or more"),
    "no result": (["--top", "-3"], "--top -3: give 1 or more"),
    "no batch": (["--batch", "0"], "--batch 0: give 1 or more"),
    "everybody leaves": (["--open-set", "1"], "--open-set takes the share of the people"),
    "no share": (["--open-set", "nan"], "--open-set takes the share of the people"),
    "no seed": (["--seed", "-1"], "--seed -1: give 0 or more"),
    "large scale": (["--scales", "1", "9"], "--scales takes numbers from 0.25 to 4"),
    "no scale": (["--scales", "nan"], "--scales takes numbers from 0.25 to 4"),
    "scales of one size": (
        ["--scales", "1", "1.1"],
        "takes crops of 64x32 px only; leave out --scales",
    ),
    "json is a folder": (["--json", "FOLDER"], "is a folder; --json takes the name of a file"),
    "json in a file": (["--json", "README.md/s.json"], "README.md: cannot be written"),
    "pictures in a file": (["--pictures", "README.md/seen"], "README.md/seen: cannot be written"),
    "cache in a file": (["--cache", "README.md/kept"], "README.md/kept: cannot be written"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_one_line_that_says_what_to_do(
    case: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arguments, reason = ERRORS[case]
    named = {"PEOPLE": str(command.root / "people"), "FOLDER": str(tmp_path)}
    options = ["--set", "any_counts=true"] if "PEOPLE" not in arguments else []
    fixed = [
        "--weights",
        str(command.weights),
        "--data",
        "dukemtmc",
        "--root",
        str(command.root),
        *options,
    ]
    code = evaluate.main(
        [*fixed, *(named.get(argument, argument) for argument in arguments)]
    )  # with the progress bar
    printed = command.capsys.readouterr()
    assert (code, printed.out) == (2, "") and printed.err.count("\n") == 1
    assert printed.err.startswith("error: ") and reason in printed.err


def test_an_image_that_cannot_be_read_is_named(command: Command, tmp_path: Path) -> None:
    root = damaged(command.root, tmp_path)
    ran = command("dukemtmc", root=root)
    (bad,) = [path for path in (root / "query").iterdir() if path.stat().st_size == 8]
    assert (ran.code, ran.error) == (
        2,
        [f"error: {bad}: is damaged or not an image; unpack the data set again"],
    )
    bad.unlink()
    bad.symlink_to(tmp_path / "gone.jpg")
    for cache in ([], ["--cache", tmp_path / "kept"]):
        ran = command("dukemtmc", *cache, root=root)
        assert (ran.code, len(ran.error)) == (
            2,
            1,
        ) and f"{bad}: cannot be read (No such file" in ran.error[0]
    assert not (tmp_path / "kept").exists()


def test_what_is_written_lands_in_new_folders_and_replaces_the_old(command: Command) -> None:
    target = command.output / "a" / "b" / "scores.json"
    for metric in ("euclidean", "cosine"):
        assert command("msmt17", "--metric", metric, json_file="a/b/scores.json").code == 0
        assert json.loads(target.read_text())["splits"][0]["protocol"]["metric"] == metric
    assert [path.name for path in target.parent.iterdir()] == ["scores.json"]


def test_an_interrupt_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "one_split", interrupted)
    ran = command("msmt17")
    assert (ran.code, ran.error) == (130, ["interrupted"])


def test_the_command_runs_as_a_program(command: Command, tmp_path: Path) -> None:
    words = [
        "--weights",
        command.weights,
        "--data",
        "msmt17",
        "--root",
        command.root,
        "--set",
        "any_counts=true",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models.reid.evaluate", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")  # no bar where nobody sees it
    assert done.stdout.splitlines()[2].startswith("plain                100.0")
