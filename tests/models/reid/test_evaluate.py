"""The command: every data set in its official layout, every way to score, what it prints, writes and refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from models.reid import evaluate
from models.reid.data import catalogue
from models.reid.evaluation.pictures import GREEN, RED
from models.reid.networks import file, table
from models.reid.networks.file import Recipe
from tests.conftest import ROOT
from tests.models.reid import miniatures
from tests.models.reid.evaluation import expected

RANKS = ("rank1", "rank5", "rank10", "rank20")
HEADER = ["mAP", "rank-1", "rank-5", "rank-10", "rank-20", "queries", "seconds", "peak", "MiB"]


@dataclass(frozen=True)
class Ran:
    """What a run of the command gave."""

    code: int
    out: list[str]
    error: list[str]
    document: dict[str, Any]

    @property
    def splits(self) -> list[dict[str, Any]]:
        return self.document["splits"]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.splits[0]["rows"]}


class Command:
    """`evaluate` on the miniatures, in this process."""

    def __init__(self, root: Path, weights: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.weights, self.output, self._capsys = root, weights, output, capsys

    def __call__(self, data: str, *arguments: object, weights: object = "", root: object = "", json_file: str = "s.json") -> Ran:
        path = self.output / json_file
        fixed = ["--weights", weights or self.weights, "--data", data, "--root", root or self.root, "--json", path]
        partial = ["--set", "any_counts=true"] if data in miniatures.BUILDERS else []
        code = evaluate.main([*map(str, fixed), *partial, "--quiet", *map(str, arguments)])
        printed = self._capsys.readouterr()
        document = json.loads(path.read_text()) if code == 0 else {}
        return Ran(code, printed.out.splitlines(), printed.err.splitlines(), document)


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All miniatures under one root."""
    root = tmp_path_factory.mktemp("sets")
    for build in miniatures.BUILDERS.values():
        build(root)
    miniatures.folder(root / "people")
    return root


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return expected.write_colours(tmp_path_factory.mktemp("colours") / "colours.onnx")


@pytest.fixture
def command(data_sets: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(data_sets, colours, tmp_path / "out", capsys)


def wanted(data_sets: Path, name: str, ap: str = "precision", over: str = "valid", metric: str = "cosine", **how: Any) -> Any:
    """Scores by plain loops."""
    options = how.pop("options", {})
    data = catalogue.load(name, data_sets, {"any_counts": True, **options})
    apart = expected.distances(data.query, data.gallery, metric, **how)
    return expected.scores(apart, data.query, data.gallery, ap, over)


def found(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("map", *RANKS, "valid_queries")}


def printed_row(line: str) -> tuple[str, list[float], str]:
    """Name, the five percentages and valid/all queries of a line of the table."""
    name, rest = line[:18].strip(), line[18:].split()
    return name, [float(part) for part in rest[:5]], rest[5]


CASES = {
    "market1501": ("market1501", [], "market1501 any_counts=True: 4 query people, 12 query images, 5 gallery people, 26 gallery images, 3 junk images", "12/12"),
    "market multi": ("market1501", ["query=multi"], "market1501 any_counts=True query=multi: 4 query people, 12 query images", "12/12"),
    "market distractors": ("market1501", ["distractors=true"], "28 gallery images", "12/12"),
    "dukemtmc": ("dukemtmc", [], "dukemtmc any_counts=True: 4 query people, 12 query images, 5 gallery people, 25 gallery images", "12/12"),
    "msmt17": ("msmt17", [], "msmt17 any_counts=True: 3 query people, 6 query images, 3 gallery people, 12 gallery images", "6/6"),
    "cuhk03 labeled": ("cuhk03", [], "cuhk03 new labeled any_counts=True: 2 query people, 4 query images", "4/4"),
    "cuhk03 detected": ("cuhk03", ["labels=detected"], "cuhk03 new detected", "4/4"),
    "cuhk03 classic": ("cuhk03", ["protocol=classic", "split=1"], "cuhk03 classic labeled split 1", "8/8"),
    "mars": ("mars", [], "mars any_counts=True: 4 query people, 8 query tracklets, 5 gallery people, 15 gallery tracklets, 1 junk tracklets", "8/8"),
    "mars without query": ("mars", ["gallery=without_query"], "gallery=without_query: 4 query people, 8 query tracklets, 4 gallery people, 7 gallery tracklets", "6/8"),
    "ilids_vid": ("ilids_vid", ["split=2"], "ilids_vid split 2 any_counts=True split=2: 4 query people, 4 query tracklets", "4/4"),
    "prid2011": ("prid2011", [], "prid2011 split 0 any_counts=True: 4 query people, 4 query tracklets", "4/4"),
    "dukemtmc_video": ("dukemtmc_video", [], "dukemtmc_video any_counts=True: 4 query people, 4 query tracklets, 5 gallery people, 10 gallery tracklets", "4/4"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_whole_protocol_runs_on_every_data_set_in_its_official_layout(case: str, command: Command) -> None:
    name, options, heading, queries = CASES[case]
    ran = command(name, "--rerank", *[part for option in options for part in ("--set", option)])
    assert (ran.code, ran.error) == (0, [])
    title, header, *table_rows, features = ran.out
    assert heading in title and header.split() == HEADER and re.fullmatch(r"features: \d+\.\d s", features)
    assert [printed_row(line)[0] for line in table_rows] == ["plain", "re-ranked"] == list(ran.rows)
    for line, row in zip(table_rows, ran.rows.values(), strict=True):
        _, percentages, valid = printed_row(line)
        assert percentages == [round(100 * row[key], 1) for key in ("map", *RANKS)] and valid == queries
        assert row["rank1"] >= 0.9 and row["map"] >= 0.9 and row["valid_queries"] == int(queries.split("/")[0])
    assert ran.document["schema"] == "reid-scores/1" and ran.document["data"] == name
    (split,) = ran.splits
    assert split["notes"] == [] and split["protocol"]["single_shot"] == (case == "cuhk03 classic")
    data = catalogue.load(name, command.root, split["options"])
    assert split["counts"]["query people"] == len({s.person_id for s in data.query})


@pytest.mark.parametrize("names", ["folders", "market", "pair"])
def test_a_users_own_people_are_evaluated(names: str, command: Command, tmp_path: Path) -> None:
    root = tmp_path / "own"
    if names == "folders":
        miniatures.folder(root)
    elif names == "pair":
        miniatures.pair_folder(root)
    else:
        rng = np.random.default_rng(0)
        for person, camera, frame in np.ndindex(4, 2, 2):
            miniatures.write(root / f"{person + 1:04d}_c{camera + 1}_f{frame:07d}.png", person, camera, rng)
    ran = command("folder", "--set", f"names={names}", "--set", "use=test", root=root)
    assert (ran.code, ran.error) == (0, []) and ran.out[0].startswith("own names=")
    assert ran.rows["plain"]["rank1"] >= 0.9
    if names == "folders":
        tracklets = command("folder", "--set", "kind=tracklets", "--set", "use=test", root=root)
        assert "6 query tracklets" in tracklets.out[0] and tracklets.rows["plain"]["map"] >= 0.9


@pytest.mark.parametrize("ap", ["precision", "triangle"])
@pytest.mark.parametrize("over", ["valid", "all"])
@pytest.mark.parametrize(
    ("name", "options"), [("dukemtmc", {}), ("market1501", {"query": "multi"}), ("mars", {"gallery": "without_query"})]
)
def test_the_scores_are_those_of_plain_loops(
    name: str, options: dict[str, str], ap: str, over: str, command: Command, data_sets: Path
) -> None:
    chosen = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    ran = command(name, "--ap", ap, "--over", over, *chosen)
    assert found(ran.rows["plain"]) == pytest.approx(wanted(data_sets, name, ap, over, options=options))
    assert (ran.splits[0]["protocol"]["ap"], ran.splits[0]["protocol"]["over"]) == (ap, over)


HOW: dict[str, tuple[list[str], dict[str, Any]]] = {
    "euclidean": (["--metric", "euclidean"], {"metric": "euclidean"}),
    "squared": (["--metric", "squared_euclidean"], {"metric": "squared_euclidean"}),
    "flip": (["--flip"], {"flip": True}),
    "dense": (["--clip-rule", "dense", "--clip-length", "4"], {}),
    "short clips": (["--clip-length", "3"], {}),
    "first frame": (["--clip-rule", "begin_interval", "--clip-length", "1"], {"frames": slice(0, 1)}),
    "evenly": (["--clip-rule", "evenly", "--clip-length", "2"], {"frames": slice(0, 4, 2)}),
    "dense interval": (["--clip-rule", "dense_interval", "--clip-length", "2", "--batch", "3"], {}),
}


@pytest.mark.parametrize("how", HOW)
def test_each_way_to_read_and_compare_gives_what_plain_loops_give(how: str, command: Command, data_sets: Path) -> None:
    arguments, meaning = HOW[how]
    ran = command("mars", "--cache", command.output / "cache", *arguments)
    assert found(ran.rows["plain"]) == pytest.approx(wanted(data_sets, "mars", **meaning))
    (kept,) = (command.output / "cache").glob("*.npy")
    if not meaning.get("metric"):  # the scores of these people hardly depend on how they are read: look at the features
        data = catalogue.load("mars", data_sets, {"any_counts": True})
        samples = list(dict.fromkeys([*data.query, *data.gallery]))
        assert np.load(kept) == pytest.approx(np.array([expected.feature(s, **meaning) for s in samples]), abs=1e-5)


def test_a_single_gallery_shot_is_drawn_for_the_classic_protocol_of_cuhk03(command: Command, data_sets: Path) -> None:
    options = {"protocol": "classic"}
    ran = command("cuhk03", "--set", "protocol=classic", "--metric", "euclidean")
    whole = wanted(data_sets, "cuhk03", metric="euclidean", options=options)
    row = found(ran.rows["plain"])
    assert row["map"] == pytest.approx(whole["map"]) and row["rank5"] == 1.0  # of two people
    assert command("cuhk03", "--set", "protocol=classic", "--metric", "euclidean").rows["plain"]["rank1"] == row["rank1"]


@pytest.mark.parametrize(("name", "n_splits"), [("ilids_vid", 10), ("prid2011", 10), ("cuhk03", 20)])
def test_all_splits_give_mean_and_deviation(name: str, n_splits: int, command: Command) -> None:
    options = ["--set", "protocol=classic"] if name == "cuhk03" else []
    ran = command(name, "--all-splits", "--rerank", "--metric", "euclidean", *options)
    assert (ran.code, ran.error) == (0, [])
    assert [split["options"]["split"] for split in ran.splits] == list(range(n_splits))
    assert sum(f"split {i} " in line for i, line in enumerate(line for line in ran.out if "split=" in line)) == n_splits
    *_, blank, title, plain, reranked = ran.out
    assert (blank, title) == ("", f"over {n_splits} splits, mean +- deviation")
    for line, place in ((plain, 0), (reranked, 1)):
        parts = []
        for key in ("map", *RANKS):
            values = [100 * split["rows"][place][key] for split in ran.splits]
            mean = sum(values) / n_splits
            deviation = (sum((v - mean) ** 2 for v in values) / (n_splits - 1)) ** 0.5
            parts.append(f"{key} {mean:.1f} +- {deviation:.1f}")
        assert line.split(None, 1)[1] == "  ".join(parts)
    tests = {frozenset(s.person_id for s in catalogue.load(name, command.root, split["options"]).query) for split in ran.splits}
    assert len(tests) > 1


def test_all_splits_of_a_data_set_that_has_one_are_one_table(command: Command) -> None:
    ran = command("market1501", "--all-splits")
    assert ran.code == 0 and len(ran.splits) == 1 and len(ran.out) == 4


def test_each_split_can_have_a_network_of_its_own(command: Command, tmp_path: Path) -> None:
    for i in range(9):
        shutil.copy(command.weights, tmp_path / f"{i}.onnx")
    ran = command("prid2011", "--all-splits", weights=tmp_path / "{split}.onnx")
    assert (ran.code, ran.error) == (2, [f"error: {tmp_path}/9.onnx: no such ReID weights"])
    assert sum("features:" in line for line in ran.out) == 9
    one = command("prid2011", "--set", "split=4", weights=tmp_path / "{split}.onnx")
    assert one.code == 0 and one.document["weights"].endswith("{split}.onnx")


@pytest.mark.parametrize("name", ["market1501", "dukemtmc", "dukemtmc_video"])
def test_times_between_cameras_are_scored_and_drawn(name: str, command: Command, tmp_path: Path) -> None:
    pictures = tmp_path / "seen"
    ran = command(name, "--spatial-temporal", "--rerank", "--pictures", pictures, "--n-pictures", "3")
    assert (ran.code, ran.error) == (0, [])
    assert list(ran.rows) == ["plain", "re-ranked", "spatial-temporal", "both"]
    assert all(row["rank1"] > 0.7 for row in ran.rows.values())
    plot = cv2.imread(str(pictures / "transitions.png")).astype(int)
    assert (plot[:, :, 0] - plot[:, :, 2] > 40).sum() > 100  # there is a curve
    assert ran.out[-1] == f"{pictures}: 3 queries drawn, by the both ranking"


def test_a_plot_of_times_needs_times(command: Command) -> None:
    ran = command("mars", "--spatial-temporal", "--pictures", command.output / "seen")
    assert ran.code == 2 and len(ran.error) == 1
    assert ran.error[0].endswith("mars lacks frame numbers or training people; leave out --spatial-temporal")


def test_features_are_kept_and_used_again(command: Command, data_sets: Path, tmp_path: Path) -> None:
    root, weights = tmp_path / "copy", tmp_path / "w.onnx"
    shutil.copytree(data_sets / "DukeMTMC-reID", root)
    shutil.copy(command.weights, weights)
    cache = tmp_path / "kept"

    def run() -> tuple[bool, Any]:
        ran = command("dukemtmc", "--cache", cache, root=root, weights=weights)
        return ran.out[-1] == "features: from the cache", found(ran.rows["plain"])

    (fresh, scores), (kept, again) = run(), run()
    assert (fresh, kept) == (False, True) and scores == again == pytest.approx(wanted(data_sets, "dukemtmc"))
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


def test_weights_in_a_file_beside_the_network_count_for_the_cache(command: Command, tmp_path: Path) -> None:
    def write(colour: int) -> bytes:
        """A network that sees one colour: the weights are in colour.data, and the .onnx stays the same."""
        weight = np.zeros((expected.WIDTH, 3 * miniatures.HEIGHT_PX * miniatures.WIDTH_PX), np.float32)
        weight[np.arange(expected.WIDTH), np.arange(expected.WIDTH) * 64 + colour * 2048] = 1
        nodes = [onnx.helper.make_node("Flatten", ["crops"], ["flat"]), onnx.helper.make_node("Gemm", ["flat", "w"], ["features"], transB=1)]
        model = onnx.load(str(expected.write_graph(path, nodes, ["batch", 3, miniatures.HEIGHT_PX, miniatures.WIDTH_PX], w=weight)))
        (tmp_path / "colour.data").unlink(missing_ok=True)
        onnx.save(model, str(path), save_as_external_data=True, location="colour.data", size_threshold=0)
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


def test_as_many_queries_are_drawn_as_asked_for_spread_over_all(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    ran = command("market1501", "--pictures", folder, "--n-pictures", "4", "--top", "3")
    assert ran.out[-1] == f"{folder}: 4 queries drawn, by the plain ranking"
    assert [path.name[:5] for path in sorted(folder.iterdir())] == ["00000", "00004", "00007", "00011"]
    sheets = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    assert all(250 < sheet.shape[0] < 400 and 550 < sheet.shape[1] < 750 for sheet in sheets)  # the query and three
    assert all(near(sheet, GREEN) > 2000 for sheet in sheets)
    few = command("market1501", "--pictures", tmp_path / "all", "--n-pictures", "99", "--top", "99")
    assert few.code == 0 and len(list((tmp_path / "all").iterdir())) == 12
    assert any(near(cv2.imread(str(path)), RED) > 2000 for path in (tmp_path / "all").iterdir())  # and junk is left out


def test_pictures_of_tracklets_have_names_of_their_own_in_every_split(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    ran = command("prid2011", "--all-splits", "--pictures", folder)
    assert ran.code == 0
    drawn = sorted(folder.rglob("*.jpg"))  # every first frame of PRID is called 0001.png
    assert {path.parent.name for path in drawn} == {f"split_{i}" for i in range(10)} and len(drawn) == 10 * 4
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

    def write(name: str, **data: Any) -> Path:
        path = folder / f"{name}.safetensors"
        about = {"settings": {"data": data}} if data else {}
        file.save(network, Recipe("osnet_x0_25", options, miniatures.HEIGHT_PX, miniatures.WIDTH_PX), path, about)
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
    name: str, trained_on: dict[str, Any], options: list[str], said: str, command: Command, trained: Any
) -> None:
    path = trained(name, name=name, root="elsewhere", **trained_on)
    ran = command(name, *[part for option in options for part in ("--set", option)], weights=path)
    note = f"note: {path} was trained with {said}: people tested here may be among its training people"
    assert ran.code == 0 and ran.splits[0]["notes"] == ran.out[1:2] == [note] if said else ran.splits[0]["notes"] == []


def test_a_network_of_another_data_set_or_without_a_past_is_not_noted(command: Command, trained: Any) -> None:
    for path in (trained("mars", name="mars", options={"split": 9}), trained("unknown")):
        assert command("prid2011", weights=path).splits[0]["notes"] == []


def test_a_network_that_was_trained_on_the_very_folder_is_noted(command: Command, trained: Any, tmp_path: Path) -> None:
    root = miniatures.folder(tmp_path / "people", n_people=3)
    path = trained("own", name="folder", root=str(tmp_path / "nowhere" / ".." / "people"))
    ran = command("folder", "--set", "use=test", weights=path, root=root)
    assert ran.splits[0]["notes"] == [f"note: {path} was trained on people of {root}: people tested here are among its training people"]
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
    "no data": (["--root", "nowhere"], "nowhere: is not a folder; set data.root"),
    "other data": (["--root", "tests"], "tests: no such data set here"),
    "unknown data set": (["--data", "market"], "data.name market: no such data set; did you mean market1501?"),
    "incomplete": (["--set", "any_counts=false"], "is not the complete data set"),
    "bad --set": (["--set", "split"], "--set split: write it as key=value, for example --set split=3"),
    "unknown option": (["--set", "shots=1"], "data.options: dukemtmc has no option shots"),
    "wrong option": (["--set", "any_counts=maybe"], "data.options of dukemtmc: any_counts"),
    "wrong split": (["--data", "prid2011", "--set", "split=10"], "split: Input should be less than 10"),
    "device": (["--device", "cuda:99"], "device cuda:99"),
    "nothing to rank": (["--data", "folder", "--root", "PEOPLE"], "has no query and gallery as it was read"),
    "no clip": (["--clip-length", "0"], "--clip-length 0: give 1 or more"),
    "no picture": (["--n-pictures", "-1"], "--n-pictures -1: give 1 or more"),
    "no result": (["--top", "-3"], "--top -3: give 1 or more"),
    "no batch": (["--batch", "0"], "--batch 0: give 1 or more"),
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
    fixed = ["--weights", str(command.weights), "--data", "dukemtmc", "--root", str(command.root), *options]
    code = evaluate.main([*fixed, *(named.get(argument, argument) for argument in arguments)])  # with the progress bar
    printed = command._capsys.readouterr()
    assert (code, printed.out) == (2, "") and printed.err.count("\n") == 1
    assert printed.err.startswith("error: ") and reason in printed.err


def test_an_image_that_cannot_be_read_is_named(command: Command, tmp_path: Path) -> None:
    root = damaged(command.root, tmp_path)
    ran = command("dukemtmc", root=root)
    (bad,) = [path for path in (root / "query").iterdir() if path.stat().st_size == 8]
    assert (ran.code, ran.error) == (2, [f"error: {bad}: is damaged or not an image; unpack the data set again"])
    bad.unlink()
    bad.symlink_to(tmp_path / "gone.jpg")
    for cache in ([], ["--cache", tmp_path / "kept"]):
        ran = command("dukemtmc", *cache, root=root)
        assert (ran.code, len(ran.error)) == (2, 1) and f"{bad}: cannot be read (No such file" in ran.error[0]
    assert not (tmp_path / "kept").exists()


def test_what_is_written_lands_in_new_folders_and_replaces_the_old(command: Command, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "scores.json"
    for metric in ("euclidean", "cosine"):
        assert command("msmt17", "--metric", metric, "--json", target).code == 2 or target.is_file()
        assert json.loads(target.read_text())["splits"][0]["protocol"]["metric"] == metric
    assert [path.name for path in target.parent.iterdir()] == ["scores.json"]


def test_an_interrupt_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "one_split", interrupted)
    ran = command("msmt17")
    assert (ran.code, ran.error) == (130, ["interrupted"])


def test_the_command_runs_as_a_program(command: Command, tmp_path: Path) -> None:
    words = ["--weights", command.weights, "--data", "msmt17", "--root", command.root, "--set", "any_counts=true"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models.reid.evaluate", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")  # no bar where nobody sees it
    assert done.stdout.splitlines()[2].startswith("plain                100.0")


def test_a_public_network_finds_real_people(command: Command, shared_data: Path, tmp_path: Path) -> None:
    """The first 20 people of Market-1501's test set; all of it gives mAP 76.6 and rank-1 92.7."""
    source = shared_data / "reid" / "Market-1501-v15.09.15"
    for role in ("query", "bounding_box_test", "bounding_box_train"):
        images = sorted(path for path in (source / role).iterdir() if re.match(r"0{0,3}[1-9]", path.name))
        people = sorted({path.name[:4] for path in images})[:20]
        (tmp_path / "m" / role).mkdir(parents=True)
        for path in images[:10] if role == "bounding_box_train" else [path for path in images if path.name[:4] in people]:
            (tmp_path / "m" / role / path.name).symlink_to(path)
    weights = shared_data / "baselines" / "person-reidentification-retail-0287.onnx"
    ran = command("market1501", "--rerank", weights=weights, root=tmp_path / "m")
    assert ran.error == [] and "20 query people" in ran.out[0]
    assert ran.rows["plain"]["rank1"] > 0.9 and 0.7 < ran.rows["plain"]["map"] < ran.rows["re-ranked"]["map"]
