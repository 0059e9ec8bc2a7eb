"""The command `evaluate`: every data set in its official layout, and every way to score."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.reid import encoder, evaluate
from models.reid.data import catalogue
from models.reid.evaluation import features, reranking, spatial_temporal
from tests.models.reid import miniatures
from tests.models.reid.commands import Command
from tests.models.reid.evaluation import expected

RANKS = ("rank1", "rank5", "rank10", "rank20")
HEADER = ["mAP", "rank-1", "rank-5", "rank-10", "rank-20", "queries", "seconds", "peak", "MiB"]


def wanted(
    data_sets: Path,
    name: str,
    ap: str = "precision",
    over: str = "valid",
    metric: str = "cosine",
    **how: Any,
) -> Any:
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
    "market1501": (
        "market1501",
        [],
        "12 query images, 5 gallery people, 26 gallery images, 3 junk images",
        "12/12",
    ),
    "market multi": (
        "market1501",
        ["query=multi"],
        "query=multi: 4 query people, 12 query images",
        "12/12",
    ),
    "market distractors": ("market1501", ["distractors=true"], "28 gallery images", "12/12"),
    "dukemtmc": (
        "dukemtmc",
        [],
        "4 query people, 12 query images, 5 gallery people, 25 gallery images",
        "12/12",
    ),
    "msmt17": (
        "msmt17",
        [],
        "3 query people, 6 query images, 3 gallery people, 12 gallery images",
        "6/6",
    ),
    "cuhk03 labeled": (
        "cuhk03",
        [],
        "cuhk03 new labeled any_counts=True: 2 query people, 4 query images",
        "4/4",
    ),
    "cuhk03 detected": ("cuhk03", ["labels=detected"], "cuhk03 new detected", "4/4"),
    "cuhk03 classic": (
        "cuhk03",
        ["protocol=classic", "split=1"],
        "cuhk03 classic labeled split 1",
        "8/8",
    ),
    "mars": (
        "mars",
        [],
        "8 query tracklets, 5 gallery people, 15 gallery tracklets, 1 junk tracklets",
        "8/8",
    ),
    "mars without query": (
        "mars",
        ["gallery=without_query"],
        "4 gallery people, 7 gallery tracklets",
        "6/8",
    ),
    "ilids_vid": (
        "ilids_vid",
        ["split=2"],
        "ilids_vid split 2 any_counts=True split=2: 4 query people",
        "4/4",
    ),
    "prid2011": (
        "prid2011",
        [],
        "prid2011 split 0 any_counts=True: 4 query people, 4 query tracklets",
        "4/4",
    ),
    "dukemtmc_video": (
        "dukemtmc_video",
        [],
        "4 query tracklets, 5 gallery people, 10 gallery tracklets",
        "4/4",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_whole_protocol_runs_on_every_data_set_in_its_official_layout(
    case: str, command: Command
) -> None:
    name, options, heading, queries = CASES[case]
    ran = command(name, "--rerank", *[part for option in options for part in ("--set", option)])
    assert (ran.code, ran.error) == (0, [])
    title, header, *table_rows, features = ran.out
    assert title.startswith(name) and heading in title
    assert header.split() == HEADER and re.fullmatch(r"features: \d+\.\d s", features)
    assert [printed_row(line)[0] for line in table_rows] == ["plain", "re-ranked"] == list(ran.rows)
    for line, row in zip(table_rows, ran.rows.values(), strict=True):
        _, percentages, valid = printed_row(line)
        assert (
            percentages == [round(100 * row[key], 1) for key in ("map", *RANKS)]
            and valid == queries
        )
        assert (
            row["rank1"] > 0.8
            and row["map"] > 0.8
            and row["valid_queries"] == int(queries.split("/")[0])
        )
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
            miniatures.write(
                root / f"{person + 1:04d}_c{camera + 1}_f{frame:07d}.png", person, camera, rng
            )
    ran = command("folder", "--set", f"names={names}", "--set", "use=test", root=root)
    assert (ran.code, ran.error) == (0, []) and ran.out[0].startswith("own names=")
    assert ran.rows["plain"]["rank1"] >= 0.9
    if names == "folders":
        tracklets = command("folder", "--set", "kind=tracklets", "--set", "use=test", root=root)
        assert "6 query tracklets" in tracklets.out[0] and tracklets.rows["plain"]["map"] >= 0.9


@pytest.mark.parametrize("ap", ["precision", "triangle"])
@pytest.mark.parametrize("over", ["valid", "all"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("dukemtmc", {}), ("market1501", {"query": "multi"}), ("mars", {"gallery": "without_query"})],
)
def test_the_scores_are_those_of_plain_loops(
    name: str, options: dict[str, str], ap: str, over: str, command: Command, data_sets: Path
) -> None:
    chosen = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    ran = command(name, "--ap", ap, "--over", over, *chosen)
    assert found(ran.rows["plain"]) == pytest.approx(
        wanted(data_sets, name, ap, over, options=options)
    )
    assert (ran.splits[0]["protocol"]["ap"], ran.splits[0]["protocol"]["over"]) == (ap, over)


HOW: dict[str, tuple[list[str], dict[str, Any]]] = {
    "euclidean": (["--metric", "euclidean"], {"metric": "euclidean"}),
    "squared": (["--metric", "squared_euclidean"], {"metric": "squared_euclidean"}),
    "flip": (["--flip"], {"flip": True}),
    "dense": (["--clip-rule", "dense", "--clip-length", "4"], {}),
    "short clips": (["--clip-length", "3"], {}),
    "first frame": (
        ["--clip-rule", "begin_interval", "--clip-length", "1"],
        {"frames": slice(0, 1)},
    ),
    "evenly": (["--clip-rule", "evenly", "--clip-length", "2"], {"frames": slice(0, 4, 2)}),
    "dense interval": (["--clip-rule", "dense_interval", "--clip-length", "2", "--batch", "3"], {}),
}


@pytest.mark.parametrize("how", HOW)
def test_each_way_to_read_and_compare_gives_what_plain_loops_give(
    how: str, command: Command, data_sets: Path
) -> None:
    arguments, meaning = HOW[how]
    ran = command("mars", "--cache", command.output / "cache", *arguments)
    assert found(ran.rows["plain"]) == pytest.approx(wanted(data_sets, "mars", **meaning))
    (kept,) = (command.output / "cache").glob("*.npy")
    if not meaning.get(
        "metric"
    ):  # the scores of these people hardly depend on how they are read: look at the features
        data = catalogue.load("mars", data_sets, {"any_counts": True})
        samples = list(dict.fromkeys([*data.query, *data.gallery]))
        assert np.load(kept) == pytest.approx(
            np.array([expected.feature(s, **meaning) for s in samples]), abs=1e-5
        )


@pytest.mark.parametrize("form", reranking.FORMS)
def test_the_form_of_re_ranking_is_the_one_asked_for(
    form: str, command: Command, average: Path
) -> None:
    ran = command("market1501", "--rerank", "--rerank-form", form, weights=average)
    data = catalogue.load("market1501", command.root, {"any_counts": True})
    query, gallery = (
        features.extract(encoder.load(average), part) for part in (data.query, data.gallery)
    )
    assert found(ran.rows["plain"])["map"] < 0.8
    apart = {other: reranking.rerank(query, gallery, form=other) for other in reranking.FORMS}
    scores = {
        other: expected.scores(apart[other], data.query, data.gallery) for other in reranking.FORMS
    }
    assert found(ran.rows["re-ranked"]) == pytest.approx(scores[form])
    assert scores["paper"] != scores["torchreid"]


def test_a_single_gallery_shot_is_drawn_for_the_classic_protocol_of_cuhk03(
    command: Command, data_sets: Path
) -> None:
    options = {"protocol": "classic"}
    ran = command("cuhk03", "--set", "protocol=classic", "--metric", "euclidean")
    whole = wanted(data_sets, "cuhk03", metric="euclidean", options=options)
    row = found(ran.rows["plain"])
    assert row["map"] == pytest.approx(whole["map"]) and row["rank5"] == 1.0  # of two people
    assert (
        command("cuhk03", "--set", "protocol=classic", "--metric", "euclidean").rows["plain"][
            "rank1"
        ]
        == row["rank1"]
    )


@pytest.mark.parametrize(
    ("name", "n_splits"), [("ilids_vid", 10), ("prid2011", 10), ("cuhk03", 20)]
)
def test_all_splits_give_mean_and_deviation(
    name: str, n_splits: int, command: Command, average: Path
) -> None:
    options = ["--set", "protocol=classic"] if name == "cuhk03" else []
    ran = command(name, "--all-splits", "--rerank", *options, weights=average)
    assert (ran.code, ran.error) == (0, [])
    assert [split["options"]["split"] for split in ran.splits] == list(range(n_splits))
    assert (
        sum(
            f"split {i} " in line
            for i, line in enumerate(line for line in ran.out if "split=" in line)
        )
        == n_splits
    )
    *_, blank, title, plain, reranked = ran.out
    assert (blank, title) == ("", f"over {n_splits} splits, mean +- deviation")
    for line, place in ((plain, 0), (reranked, 1)):
        parts = []
        for key in ("map", *RANKS):
            values = [100 * split["rows"][place][key] for split in ran.splits]
            assert name == "cuhk03" or key not in ("map", "rank1") or len(set(values)) > 1
            mean = sum(values) / n_splits
            deviation = (sum((v - mean) ** 2 for v in values) / (n_splits - 1)) ** 0.5
            parts.append(f"{key} {mean:.1f} +- {deviation:.1f}")
        assert line.split(None, 1)[1] == "  ".join(parts)
    tests = {
        frozenset(s.person_id for s in catalogue.load(name, command.root, split["options"]).query)
        for split in ran.splits
    }
    assert len(tests) > 1


def test_all_splits_of_a_data_set_that_has_one_are_one_table(command: Command) -> None:
    ran = command("market1501", "--all-splits")
    assert ran.code == 0 and len(ran.splits) == 1 and len(ran.out) == 4


def test_each_split_can_have_a_network_of_its_own(command: Command, tmp_path: Path) -> None:
    for i in range(9):
        shutil.copy(command.weights, tmp_path / f"{i}.onnx")
    ran = command("prid2011", "--all-splits", weights=tmp_path / "{split}.onnx")
    assert (ran.code, len(ran.error)) == (2, 1) and ran.error[0].startswith(
        f"error: {tmp_path}/9.onnx: no such ReID weights"
    )
    assert sum("features:" in line for line in ran.out) == 9
    one = command("prid2011", "--set", "split=4", weights=tmp_path / "{split}.onnx")
    assert one.code == 0 and one.document["weights"].endswith("{split}.onnx")


@pytest.mark.parametrize("name", ["market1501", "dukemtmc", "dukemtmc_video"])
def test_times_between_cameras_are_scored(name: str, command: Command) -> None:
    ran = command(name, "--spatial-temporal", "--rerank")
    assert (ran.code, ran.error) == (0, [])
    assert list(ran.rows) == ["plain", "re-ranked", "spatial-temporal", "both"]
    assert all(row["rank1"] > 0.7 for row in ran.rows.values())


def test_times_between_cameras_are_drawn(command: Command, tmp_path: Path) -> None:
    pictures = tmp_path / "seen"
    ran = command(
        "market1501", "--spatial-temporal", "--rerank", "--pictures", pictures, "--n-pictures", "3"
    )
    plot = cv2.imread(str(pictures / "transitions.png")).astype(int)
    assert (plot[:, :, 0] - plot[:, :, 2] > 40).sum() > 100  # there is a curve
    assert ran.out[-1] == f"{pictures}: 3 queries drawn, by the both ranking"


def test_a_plot_of_times_needs_times(command: Command) -> None:
    ran = command("mars", "--spatial-temporal", "--pictures", command.output / "seen")
    assert ran.code == 2 and len(ran.error) == 1
    assert ran.error[0].endswith(
        "mars lacks frame numbers or training people; leave out --spatial-temporal"
    )


@pytest.mark.slow
def test_a_public_network_finds_real_people(
    command: Command, shared_data: Path, tmp_path: Path
) -> None:
    """The first 12 people of Market-1501's test set; all of it gives mAP 76.6 and rank-1 92.7."""
    source = shared_data / "reid" / "Market-1501-v15.09.15"
    for role in ("query", "bounding_box_test", "bounding_box_train"):
        images = sorted(
            path for path in (source / role).iterdir() if re.match(r"0{0,3}[1-9]", path.name)
        )
        people = sorted({path.name[:4] for path in images})[:12]
        (tmp_path / "m" / role).mkdir(parents=True)
        for path in (
            images[:10]
            if role == "bounding_box_train"
            else [path for path in images if path.name[:4] in people]
        ):
            (tmp_path / "m" / role / path.name).symlink_to(path)
    weights = shared_data / "baselines" / "person-reidentification-retail-0287.onnx"
    ran = command("market1501", "--rerank", weights=weights, root=tmp_path / "m")
    assert ran.error == [] and "12 query people" in ran.out[0]
    assert ran.rows["plain"]["map"] == pytest.approx(0.906, abs=0.01)
    assert ran.rows["re-ranked"]["map"] == pytest.approx(0.948, abs=0.01)
    assert ran.rows["plain"]["rank1"] == pytest.approx(46 / 52, abs=0.02)


def test_several_data_sets_make_a_table_across_them(command: Command, data_sets: Path) -> None:
    alone = [command("market1501"), command("mars", "--set", "gallery=without_query")]
    arguments = ["--weights", str(command.weights), "--data", "market1501", "mars"]
    arguments += ["--root", str(data_sets), "--set", "any_counts=true", "--quiet"]
    arguments += [
        "--set",
        "mars.gallery=without_query",
        "--json",
        str(command.output / "both.json"),
    ]
    assert evaluate.main(arguments) == 0
    out = command.capsys.readouterr().out.splitlines()
    (start,) = [i for i, line in enumerate(out) if line == "across data sets"]
    for line, ran, name in zip(out[start + 2 :], alone, ("market1501", "mars"), strict=True):
        assert line[:16].strip() == name and line[16:34].strip() == "plain"
        wanted = [round(100 * ran.rows["plain"][key], 1) for key in ("map", *RANKS)]
        assert [float(part) for part in line[34:].split()] == wanted
    document = json.loads((command.output / "both.json").read_text())
    assert [target["data"] for target in document["targets"]] == ["market1501", "mars"]
    assert found(document["targets"][1]["splits"][0]["rows"][0]) == found(alone[1].rows["plain"])


def test_times_between_cameras_are_kept_and_taken_again(command: Command) -> None:
    kept = command.output / "new" / "times.npz"
    first = command("market1501", "--spatial-temporal", "--save-times", kept)
    again = command("market1501", "--spatial-temporal", "--times", kept)
    assert found(again.rows["spatial-temporal"]) == found(first.rows["spatial-temporal"])
    raw = spatial_temporal.load(kept)
    counts = np.unique(raw.table[raw.table > 0])
    assert len(counts) < 20  # a histogram, which --smooth is still to smooth
    far = command("dukemtmc", "--spatial-temporal", "--times", kept)
    assert far.code == 2 and f"{kept}: knows the times between 3 cameras" in far.error[0]


def test_slope_and_smoothing_of_the_joint_score_are_as_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []
    smooth, joint = spatial_temporal.smooth, spatial_temporal.joint_distances

    def smoothed(model: Any, bins: float) -> Any:
        used.append(bins)
        return smooth(model, bins)

    def compared(*given: Any) -> Any:
        used.append(given[3])
        return joint(*given)

    monkeypatch.setattr(spatial_temporal, "smooth", smoothed)
    monkeypatch.setattr(spatial_temporal, "joint_distances", compared)
    assert command("market1501", "--spatial-temporal").code == 0
    assert command("market1501", "--spatial-temporal", "--alpha", "3", "--smooth", "9").code == 0
    assert used == [50.0, 5.0, 9.0, 3.0]


def test_open_set_scores_are_printed_with_their_thresholds(command: Command) -> None:
    ran = command("market1501", "--rerank", "--open-set", "--seed", "1")
    assert (ran.code, ran.error) == (0, [])
    start = next(i for i, line in enumerate(ran.out) if line.startswith("open set:"))
    title, header, *lines, few, pairs = ran.out[start:]
    assert few == "6 queries without a mate are too few to measure rates below 17 %"
    assert title.startswith("open set: 2 of 4 people left out of the gallery (seed 1)")
    assert header.split() == ["rate", "false", "alarms", "DIR", "TTR", "threshold"]
    document = ran.splits[0]["open_set"]
    points = document["points"]
    assert document["queries_with_mate"] == document["queries_without_mate"] == 6
    assert [point["false_alarm_rate"] for point in points] == [0.001, 0.01, 0.1] * 2
    assert pairs.startswith("pairs: even odds of one person at cosine 0.")
    for line, point in zip(lines, points, strict=True):
        kind = "cosine above" if point["name"] == "plain" else "re-ranked distance below"
        rate = f"{100 * point['false_alarm_rate']:g} %"
        assert line.split(None, 1)[0] == point["name"]
        assert f" {rate} " in line
        assert f"{point['false_alarms']}/6" in line
        assert line.endswith(f"{kind} {point['threshold']:.4f}")
        assert 0 < point["dir"] <= point["ttr"] <= 1
    again = command("market1501", "--rerank", "--open-set", "0.5", "--seed", "1")
    assert again.splits[0]["open_set"] == document
    assert command("market1501").splits[0].keys() == ran.splits[0].keys() - {"open_set"}
