"""Whole trainings: what they leave, that they repeat, and what they refuse."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from models.errors import InputError
from models.reid import settings as training_settings
from models.reid.data import catalogue
from models.reid.data.loader import read_image
from models.reid.evaluation import spatial_temporal
from models.reid.evaluation.report import times_between
from models.reid.networks import file
from models.reid.settings import Settings
from models.reid.training import run
from models.reid.training.loop import NonFiniteLossError
from tests.models.reid import miniatures
from tests.models.reid.training.runs import FILES, quick, rows, same_weights, small

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def finished(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of osnet_x0_25; tests only look at it."""
    output = tmp_path_factory.mktemp("finished") / "run"
    settings = quick(people, train__epochs=8, train__evaluate_every=4, optimizer__lr=0.003)
    outcome = run.fit(settings, output)
    assert (outcome.n_epochs, outcome.interrupted) == (8, False)
    return output


def test_a_run_leaves_exactly_its_files_and_the_usual_permissions(
    finished: Path, tmp_path: Path
) -> None:
    assert {path.name for path in finished.iterdir()} == FILES
    (events,) = (finished / "tensorboard").iterdir()
    assert events.name.startswith("events.out.tfevents.") and events.stat().st_size > 500
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    assert all(path.stat().st_mode == usual for path in finished.iterdir() if path.is_file())


def test_times_between_cameras_are_kept_and_shown_in_tensorboard(tmp_path: Path) -> None:
    root = miniatures.market(tmp_path)
    data = {"data__name": "market1501", "data__options": {"any_counts": True}}
    output = tmp_path / "run"
    run.fit(small(root, **data, data__validation=0.0, train__epochs=1), output)
    assert {path.name for path in output.iterdir()} == FILES | {"times.npz", "transitions.png"}
    train = catalogue.load("market1501", root, {"any_counts": True})
    kept = spatial_temporal.load(output / "times.npz")
    expected = times_between(replace(train, query=(), gallery=()))
    np.testing.assert_array_equal(kept.table, expected.table)
    assert kept.table.any()
    board = EventAccumulator(str(output / "tensorboard"))
    board.Reload()
    assert board.Tags()["images"] == ["transitions"]
    (shown,) = board.Images("transitions")
    drawn = read_image(output / "transitions.png")
    png = np.frombuffer(shown.encoded_image_string, np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_COLOR), drawn)


def test_the_log_has_one_object_an_epoch_and_the_loss_falls(finished: Path) -> None:
    log = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == list(range(8))
    terms = {"classification", "triplet", "loss", "accuracy"}
    scored = {"epoch", "lr", *terms, "map", "rank1", "seconds"}
    assert [set(row) for row in log] == [
        scored if i % 4 == 3 else scored - {"map", "rank1"} for i in range(8)
    ]
    losses = [row["loss"] for row in log]
    assert np.mean(losses[-2:]) < 0.7 * np.mean(losses[:2])
    assert all(row["loss"] == pytest.approx(row["classification"] + row["triplet"]) for row in log)
    assert all(row["seconds"] > 0 for row in log)
    accuracies = [row["accuracy"] for row in log]
    assert min(accuracies) >= 0 and max(accuracies) <= 1 and accuracies[-1] > accuracies[0]


def test_tensorboard_shows_what_the_log_says(finished: Path) -> None:
    board = EventAccumulator(str(finished / "tensorboard"))
    board.Reload()
    shown = {
        name: {event.step: event.value for event in board.Scalars(name)}
        for name in board.Tags()["scalars"]
    }
    for row in rows(finished):
        epoch = row.pop("epoch")
        assert {
            name: values[epoch]
            for name, values in shown.items()
            if epoch in values and name != "seconds"
        } == pytest.approx(row)


def test_tensorboard_has_the_settings_of_the_run_in_its_table(finished: Path) -> None:
    board = EventAccumulator(str(finished / "tensorboard"))
    board.Reload()
    content = board.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    shown = HParamsPluginData.FromString(content).session_start_info.hparams
    assert shown["optimizer.lr"].number_value == pytest.approx(0.003)
    assert shown["network.architecture"].string_value == "osnet_x0_25"


def test_the_model_says_how_it_was_made(finished: Path, people: Path) -> None:
    loaded = file.load(finished / "model.safetensors")
    assert loaded.recipe == file.Recipe("osnet_x0_25", {"scale": 0.25, "n_classes": 4}, 64, 32)
    best = max((row for row in rows(finished) if "map" in row), key=lambda row: row["map"])
    expected = {
        "train_people": 4,
        "held_out_people": 2,
        "train_samples": 24,
        "epoch": best["epoch"],
        "map": best["map"],
    }
    assert {key: loaded.about[key] for key in expected} == expected
    assert Settings.model_validate(loaded.about["settings"]).data.root == str(people)


def test_the_saved_settings_load_equal_and_repeat_the_run_to_the_bit(
    people: Path, tmp_path: Path
) -> None:
    settings = small(people)
    first, second = tmp_path / "first", tmp_path / "second"
    run.fit(settings, first)
    loaded = training_settings.load(str(first / "config.yaml"))
    assert loaded == settings
    run.fit(loaded, second)
    assert same_weights(first, second) and rows(first) == rows(second)
    run.fit(small(people, train__seed=2), tmp_path / "other")
    assert not same_weights(first, tmp_path / "other")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # a machine with one core
def test_worker_processes_change_nothing(people: Path, tmp_path: Path) -> None:
    run.fit(small(people, train__epochs=1), tmp_path / "alone")
    settings = small(people, train__epochs=1, train__workers=2)
    run.fit(settings, tmp_path / "two")
    assert rows(tmp_path / "alone") == rows(tmp_path / "two")
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "two"))
    assert all(torch.equal(value, b[key]) for key, value in a.items())


def test_a_folder_with_a_run_is_refused_unless_told_what_to_do_with_it(
    people: Path, tmp_path: Path
) -> None:
    settings, output = small(people, train__epochs=1), tmp_path / "run"
    with pytest.raises(InputError, match=r"there is no checkpoint\.safetensors"):
        run.fit(settings, output, resume=True)
    assert not output.exists()
    run.fit(settings, output)
    with pytest.raises(InputError, match="holds a run; give --resume"):
        run.fit(settings, output)
    (output / "mine.txt").write_text("keep")
    (output / "tensorboard" / "mine.txt").write_text("keep")
    run.fit(small(people, train__epochs=2), output, overwrite=True)
    assert len(rows(output)) == 2
    assert (
        (output / "mine.txt").read_text()
        == (output / "tensorboard" / "mine.txt").read_text()
        == "keep"
    )
    assert len(list((output / "tensorboard").glob("events*"))) == 1


def test_others_folders_and_files_are_refused(people: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for output in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match=r"is not empty and not a training run|is a file"):
            run.fit(small(people), output, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "root": ({"data__root": "/nowhere"}, "^/nowhere: is not a folder"),
    "data": ({"data__name": "markt1501"}, "did you mean market1501"),
    "network": ({"network__architecture": "resnet49"}, "^architecture resnet49: expected one of"),
    "size": (
        {"network__architecture": "hacnn"},
        "hacnn takes 160 x 64 pixels: set data.height_px 160",
    ),
    "option": (
        {"network__architecture": "osnet_x0_25", "network__options": {"depth": 3}},
        "^network.options: .*depth",
    ),
    "value": (
        {"network__architecture": "ft_resnet50", "network__options": {"test_feature": "x"}},
        "^network.options: .*x",
    ),
    "init": ({"network__init": "/nowhere.pth"}, r"^/nowhere.pth: no such file \(network.init\)"),
    "device": ({"train__device": "cuda:7"}, "^device cuda:7: "),
    "word": ({"train__device": "gpu"}, "^device gpu: "),
    "half": ({"train__precision": "16"}, "^train.precision 16 needs a GPU"),
    "too small": (
        {"network__architecture": "osnet_ain_x1_0", "data__width_px": 16, "data__height_px": 16},
        "cannot take 16 x 16",
    ),
    "devices": ({"train__n_devices": 3}, "^an epoch has 2 batches for 3 devices: "),
    "people": ({"batches__n_people": 9}, "set batches.n_people to 4 or less"),
    "held out": ({"data__validation": 0.99}, "cannot be held out"),
    "loss": (
        {"losses__attention": 1.0, "augment__whole_clip": False},
        "^losses.attention needs a network with",
    ),
    "classifier": ({"losses__osm__weight": 1.0}, "^losses.osm.vectors: classifier needs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_trained_is_one_line_and_leaves_the_run_before_alone(
    case: str, people: Path, tmp_path: Path
) -> None:
    changed, expected = WRONG[case]
    settings = small(people, **changed)
    output = tmp_path / "run"
    output.mkdir()
    before = {name: f"old {name}" for name in FILES - {"tensorboard"}}
    for name, text in before.items():
        (output / name).write_text(text)
    with pytest.raises(InputError, match=expected) as caught:
        run.fit(settings, output, overwrite=True)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_text() for path in output.iterdir()} == before


def test_a_last_step_to_infinity_is_not_kept_as_a_model(people: Path, tmp_path: Path) -> None:
    sgd = {"optimizer__name": "sgd", "optimizer__lr": 1e30, "optimizer__weight_decay": 1e10}
    settings = small(people, batches__n_people=4, train__epochs=1, **sgd)
    with pytest.raises(
        NonFiniteLossError,
        match=r"^epoch 0, after its last batch: weights are not finite; lower optimizer.lr",
    ):
        run.fit(settings, tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_fewer_people_are_the_first_ones(people: Path) -> None:
    data = run.load_data(small(people, data__max_people=3, data__validation=0.0))
    assert data.n_train_people == 3 and {
        path.parent.parent.name for s in data.train for path in s.paths
    } == {
        "person 1",
        "person 2",
        "person 3",
    }


def test_tracklets_are_trained_and_scored(people: Path, tmp_path: Path) -> None:
    changed = {
        "data__options": {"kind": "tracklets"},
        "clips__length": 2,
        "network__architecture": "osnet_x0_25",
    }
    run.fit(small(people, train__epochs=1, **changed), tmp_path / "run")
    assert 0 <= rows(tmp_path / "run")[0]["map"] <= 1


def test_training_starts_from_given_weights_and_says_so(
    people: Path, finished: Path, tmp_path: Path
) -> None:
    changed = {
        "network__architecture": "osnet_x0_25",
        "network__init": str(finished / "model.safetensors"),
    }
    run.fit(small(people, optimizer__lr=1e-12, train__epochs=1, **changed), tmp_path / "run")
    given, kept = (
        load_file(folder / "model.safetensors") for folder in (finished, tmp_path / "run")
    )
    name = next(key for key in given if key.endswith("conv1.conv.weight"))
    assert torch.allclose(given[name], kept[name], atol=1e-9)
    about = file.load(tmp_path / "run" / "model.safetensors").about
    assert about["started_from"].startswith(str(finished / "model.safetensors"))


def test_a_part_of_the_weights_will_do_where_the_settings_say_so(
    people: Path, finished: Path, tmp_path: Path
) -> None:
    state = load_file(finished / "model.safetensors")
    torch.save({key: t for key, t in state.items() if "conv5" not in key}, tmp_path / "part.pth")
    changed = {
        "network__architecture": "osnet_x0_25",
        "network__init": str(tmp_path / "part.pth"),
        "train__epochs": 1,
    }
    with pytest.raises(InputError, match=r"body random \(network\.init\): image\.conv5"):
        run.fit(small(people, **changed), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run.fit(small(people, network__partial=True, **changed), tmp_path / "run")
    about = file.load(tmp_path / "run" / "model.safetensors").about
    assert "start anew: image.conv5" in about["started_from"]


def test_a_full_disk_is_one_line_and_leaves_the_run_as_it_was(people: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        settings = small(people, train__epochs=1)
        with pytest.raises(
            InputError,
            match=r"^.*: cannot be written \(No space left on device\); free some space$",
        ):
            run.fit(quick(people, train__epochs=1), disk / "run")
        assert not list(disk.rglob("*.partial*")) and not list(disk.rglob("model*"))
        assert training_settings.load(str(disk / "run" / "config.yaml")) != settings
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # in use or not
