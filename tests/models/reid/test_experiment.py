"""Published experiments: their files, and a miniature run of each."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from models.errors import InputError
from models.reid import evaluate, experiment
from models.reid import settings as training_settings
from models.reid.data.catalogue import CATALOGUE
from models.reid.networks import table
from models.reid.settings import Settings
from tests.conftest import ROOT

FOLDER = ROOT / "configs" / "reid" / "published"
FILES = sorted(FOLDER.glob("*.yaml"))
QUICK = {"ilids_vid_osnet_triplet"}
"""Run in every suite; the others are slow."""
WHOLE = {"fantastic_mars_attention", "strong_baseline_market1501"}
"""Of the experiments with one network, which is slow to train, the one that has all its blocks and
its attention over whole maps. The others have one block in each stage and the small attention.
"""
SHORTENED = {"resnet50ta_bt", "resnet50_bnneck"}
"""Networks of several experiments with many blocks."""


def heading(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))


def test_every_published_system_has_its_files() -> None:
    names = {path.stem.split("_")[0] for path in FILES}
    assert names == {
        "fantastic", "gao", "ilids", "mobilenetv2", "resnet50", "st", "strong"
    }  # fmt: skip
    assert len(FILES) == 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_of_an_experiment_says_what_it_repeats_and_how(path: Path) -> None:
    settings = training_settings.load(str(path))
    assert settings.data.name in CATALOGUE and settings.data.validation == 0
    row = table.architecture(settings.network.architecture)
    if row.fixed_size:
        assert (settings.data.height_px, settings.data.width_px) == (row.height_px, row.width_px)
    if settings.network.init == "imagenet":
        assert row.imagenet
    if not settings.network.init:
        first = heading(path).splitlines()[0]
        assert "From random weights" in first and "as published" in first
        assert "--set network.init=FILE" in first
    said = heading(path)
    assert "Source: " in said or "No number" in said
    assert "Differs " in said
    command = f"models.reid.experiment --config configs/reid/published/{path.name} --root FOLDER"
    assert command in said


def test_the_page_of_the_experiments_lists_all_with_their_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        experiment.main(["--list"])
    assert ended.value.code == 0
    page = capsys.readouterr().out
    assert page == (FOLDER / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| [")]
    assert [line.partition("]")[0] for line in lines] == [f"| [{path.stem}" for path in FILES]
    for line, path in zip(lines, FILES, strict=True):
        command = line.split("`")[-2]
        assert command.split()[:3] == ["python", "-m", "models.reid.experiment"]
        parsed = experiment.parse(command.split()[3:])
        assert ROOT / parsed.config == path and parsed.root == "FOLDER"


def test_a_folder_without_experiments_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}: has no experiments; run the command in"):
        experiment.listing(tmp_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_published_scores_stand_in_the_head_and_the_flags_are_those_of_evaluate(
    path: Path,
) -> None:
    found = experiment.load(path)
    for scores in found.published.scores.values():
        assert set(scores) <= {"map", "rank1", "rank5", "rank10", "rank20"}
    main = list(found.published.scores.values())[-1:]
    for scores in main:
        for key in ("map", "rank1"):
            numbers = {f"{scores[key]:g}", f"{scores[key]:.1f}"} if key in scores else {""}
            assert any(number in heading(path) for number in numbers)
    fixed = ["--weights", "w", "--data", "d", "--root", "r"]
    parsed = evaluate.parse([*fixed, *found.evaluation.split()])
    assert parsed.spatial_temporal == path.stem.startswith("st_reid")


def test_a_training_takes_the_file_of_an_experiment_too() -> None:
    settings = training_settings.load(str(FOLDER / "strong_baseline_market1501.yaml"))
    assert settings.losses.center.weight == 0.0005
    assert settings.schedule.stepped == "before"


def test_a_missing_folder_is_told_in_the_flags_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(FOLDER / "strong_baseline_market1501.yaml")
    output = ["--output", str(tmp_path / "out")]
    assert experiment.main(["--config", config, "--root", str(tmp_path / "no"), *output]) == 2
    printed = capsys.readouterr()
    told = f"error: {tmp_path / 'no'}: is not a folder; give --root, the folder of Market-1501 or "
    assert printed.out == "" and printed.err.startswith(told)
    assert not (tmp_path / "out").exists()


def miniature(settings: Settings, root: Path, name: str) -> list[str]:
    """Overrides that make a training one of a few steps on a miniature."""
    changed: dict[str, Any] = {
        "data.options.any_counts": True,
        "clips.length": 2,
        "batches.n_people": 2 if settings.batches.n_each > 1 else 4,
        "batches.n_each": min(settings.batches.n_each, 2),
        "network.init": "",
        "train.epochs": 1,
        "train.device": "cpu",
        "train.precision": 32,
        "train.workers": 0,
    }
    if settings.network.architecture in SHORTENED and name not in WHOLE:
        changed["network.options.depths"] = [1, 1, 1, 1]
        if settings.network.architecture == "resnet50ta_bt":
            changed["network.options.head"] = "attention"
    if not table.architecture(settings.network.architecture).fixed_size:
        changed |= {"data.height_px": 64, "data.width_px": 32}
    overrides = []
    for key, value in changed.items():
        overrides += ["--set", f"{key}={json.dumps(value)}"]
    return ["--root", str(root), *overrides]


def arguments(path: Path, data_sets: Path, output: Path) -> list[str]:
    settings = training_settings.load(str(path))
    return [
        "--config",
        str(path),
        "--output",
        str(output),
        *miniature(settings, data_sets, path.stem),
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in FILES
    ],
)
def test_an_experiment_trains_evaluates_and_gets_its_row_of_the_table(
    path: Path, data_sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = experiment.load(path).published.scores
    assert experiment.main(arguments(path, data_sets, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "$ python -m models.reid.train --config " in out
    assert "$ python -m models.reid.evaluate --weights " in out
    progress = ("training: ", "features: ")  # on a busy machine a minute passes
    assert [line for line in err.splitlines() if not line.startswith(progress)] == []
    written = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in written]
    assert cells[0] == list(experiment.COLUMNS)
    assert [row[1] for row in cells[2:]] == (list(published) or ["plain"])
    scores = json.loads((tmp_path / path.stem / "scores.json").read_text())["splits"][0]["rows"]
    by_name = {row["name"]: row for row in scores}
    for row in cells[2:]:
        assert row[0] == path.stem
        theirs = published.get(row[1], {})
        assert row[2] == (f"{theirs['map']:.1f}" if "map" in theirs else "")
        assert row[3] == f"{100 * by_name[row[1]]['map']:.1f}"
        assert "train.epochs" in row[8] and "data.root" not in row[8]
    shutil.rmtree(tmp_path / path.stem)  # up to a gigabyte each
