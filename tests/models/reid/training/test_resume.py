"""A run that was interrupted goes on as if nothing had been."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import InputError
from models.reid import settings as training_settings
from models.reid.data import loader
from models.reid.networks import file
from models.reid.training import checkpoint, loop, run
from models.reid.training.loop import NonFiniteLossError
from tests.models.reid.training.runs import FILES, STEPS, StopAfter, rows, same_weights, small

pytestmark = pytest.mark.usefixtures("small_network")


VARIANTS: dict[str, dict[str, Any]] = {
    "osnet ema": {
        "network__architecture": "osnet_x0_25",
        "train__evaluate_every": 3,
        "train__ema_decay": 0.5,
    },
    "plain": {},
    "dropout and centres": {"losses__center__weight": 0.01, "augment__erase": 0.5},
    "sgd": {
        "optimizer__name": "sgd",
        "optimizer__lr": 0.05,
        "schedule__name": "cosine",
        "schedule__warmup_epochs": 1,
    },
    "bfloat16, short gradients": {
        "train__precision": "bf16",
        "optimizer__max_norm": 1.0,
        "train__select": "reranked_map",
    },
    "a rate for every batch": {
        "schedule__name": "cosine",
        "schedule__every": "batch",
        "schedule__warmup_epochs": 0.7,
    },
    "a checkpoint after every batch": {"train__checkpoint_minutes": 1e-9},
    "everybody trains": {"data__validation": 0.0, "batches__n_people": 3},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_interrupted_run_goes_on_to_the_same_weights(
    variant: str, people: Path, tmp_path: Path
) -> None:
    settings = small(people, **VARIANTS[variant])
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = run.fit(settings, whole)
    assert not expected.interrupted and expected.n_epochs == 3
    first = run.fit(settings, parts, stop=StopAfter(STEPS + 1))  # in the middle of the second epoch
    assert first.interrupted and first.n_epochs == 1 and len(rows(parts)) == 1
    second = run.fit(
        settings, parts, resume=True, stop=StopAfter(STEPS - 1)
    )  # at its end, before it is written down
    assert second.interrupted and second.n_epochs == 1 and len(rows(parts)) == 1
    assert run.fit(settings, parts, resume=True) == expected
    assert same_weights(whole, parts) and same_weights(whole, parts, "checkpoint.safetensors")
    assert rows(whole) == rows(parts)
    assert {path.name for path in parts.iterdir()} == FILES


def test_the_network_above_has_dropout_and_a_checkpoint_every_part(
    people: Path, tmp_path: Path
) -> None:
    run.fit(
        small(people, **VARIANTS["dropout and centres"], train__ema_decay=0.9), tmp_path / "run"
    )
    network = file.load(tmp_path / "run" / "model.safetensors").network
    assert any(
        isinstance(layer, torch.nn.Dropout) and layer.p == 0.5 for layer in network.modules()
    )
    states, progress, _ = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert set(states) == {
        "network",
        "criterion",
        "optimizer",
        "center_optimizer",
        "average",
        "precision",
    }
    assert progress.step == 3 * STEPS


@pytest.mark.parametrize(("minutes", "n_done"), [(1e-9, 3), (15.0, 2)])
def test_a_run_that_dies_in_an_epoch_loses_no_more_than_the_minutes_between_checkpoints(
    people: Path, tmp_path: Path, minutes: float, n_done: int
) -> None:
    def die() -> bool:
        if (dying := next(batches)) == 3:
            raise MemoryError
        return dying < 0

    batches = iter(range(100))
    settings = small(people, train__checkpoint_minutes=minutes)
    with pytest.raises(MemoryError):
        run.fit(settings, tmp_path / "run", stop=die)
    _, progress, _ = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert progress.step == n_done
    run.fit(settings, tmp_path / "run", resume=True)
    run.fit(settings, tmp_path / "whole")
    assert same_weights(tmp_path / "whole", tmp_path / "run") and rows(tmp_path / "whole") == rows(
        tmp_path / "run"
    )


def test_a_rate_for_every_batch_falls_within_the_epoch(people: Path, tmp_path: Path) -> None:
    rates = []
    for every in ("epoch", "batch"):
        run.fit(
            small(people, schedule__name="cosine", schedule__every=every, train__epochs=1),
            tmp_path / every,
        )
        states, _, _ = checkpoint.read(tmp_path / every / "checkpoint.safetensors")
        rates.append(states["optimizer"]["param_groups"][0]["lr"])
        assert rows(tmp_path / every)[0]["lr"] == 0.002  # that of the first batch
    assert rates == pytest.approx(
        [0.002, 0.001]
    )  # the second of two batches is at the middle of the cosine


def test_resuming_a_finished_run_changes_nothing(people: Path, tmp_path: Path) -> None:
    settings = small(people)
    expected = run.fit(settings, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert run.fit(settings, tmp_path / "run", resume=True) == expected
    assert {
        path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    } == before


def test_a_run_killed_between_log_and_checkpoint_has_no_row_twice(
    people: Path, tmp_path: Path
) -> None:
    settings, output = small(people), tmp_path / "run"
    run.fit(settings, output, stop=StopAfter(STEPS + 1))
    with (output / "log.jsonl").open("a") as log:
        log.write('{"epoch": 1, "loss": 7.0}\n{"epoch": 2, "lo')
    run.fit(settings, output, resume=True)
    run.fit(settings, tmp_path / "whole")
    assert rows(output) == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    "change", [{"optimizer__lr": 0.01}, {"losses__triplet__margin": 0.1}, {"train__seed": 5}]
)
def test_a_checkpoint_of_other_settings_is_refused(
    people: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    run.fit(small(people), tmp_path / "run", stop=StopAfter(1))
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    (key,) = change
    dotted = key.replace("__", r"\.")
    expected = rf"^.*checkpoint\.safetensors: was made with other settings; .*{dotted}\)$"
    with pytest.raises(InputError, match=expected):
        run.fit(small(people, **change), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_a_run_goes_on_for_more_epochs_as_if_it_had_been_asked_for_them_at_first(
    people: Path, tmp_path: Path
) -> None:
    run.fit(small(people, train__epochs=2), tmp_path / "run")
    run.fit(small(people, train__epochs=4), tmp_path / "run", resume=True)
    run.fit(small(people, train__epochs=4), tmp_path / "whole")
    assert same_weights(tmp_path / "whole", tmp_path / "run")
    assert rows(tmp_path / "whole") == rows(tmp_path / "run")
    kept = training_settings.load(str(tmp_path / "run" / "config.yaml"))
    assert kept == small(people, train__epochs=4)


def test_a_run_goes_on_with_its_data_elsewhere_and_other_workers(
    people: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(people, moved)
    run.fit(small(people), tmp_path / "run", stop=StopAfter(2 * STEPS + 1))
    elsewhere = small(moved, train__workers=1)
    assert not run.fit(elsewhere, tmp_path / "run", resume=True).interrupted
    run.fit(small(people), tmp_path / "whole")
    assert same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_run_does_not_go_on_with_other_people_or_to_fewer_epochs_than_it_has_done(
    people: Path, tmp_path: Path
) -> None:
    run.fit(small(people), tmp_path / "run")
    fewer = tmp_path / "fewer"
    shutil.copytree(people, fewer)
    shutil.rmtree(fewer / "person 1")
    with pytest.raises(InputError, match=r"does not fit .*; is the data set the same\?$"):
        run.fit(small(fewer, train__epochs=4), tmp_path / "run", resume=True)
    with pytest.raises(InputError, match=r"^train\.epochs 2: .* has done 3; give as many or more$"):
        run.fit(small(people, train__epochs=2), tmp_path / "run", resume=True)


def test_the_seconds_of_a_row_are_those_of_its_epoch(people: Path, tmp_path: Path) -> None:
    run.fit(small(people), tmp_path / "run", stop=StopAfter(STEPS + 1))
    run.fit(small(people), tmp_path / "run", resume=True)
    lines = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    _, progress, _ = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert sum(seconds) == pytest.approx(progress.seconds, abs=0.01)


def test_a_loss_that_is_not_finite_names_epoch_batch_and_samples_and_leaves_the_last_checkpoint(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, output = small(people, augment__erase=0.5), tmp_path / "run"
    run.fit(settings, output, stop=StopAfter(STEPS + 1))
    before = (output / "checkpoint.safetensors").read_bytes()
    bad = next(
        iter(
            loader.training_batches(run.load_data(settings).train, settings, epoch=1, first_batch=1)
        )
    )
    normalise = loop.preprocess.normalise
    with monkeypatch.context() as patched, pytest.raises(NonFiniteLossError) as caught:
        patched.setattr(loop.preprocess, "normalise", lambda crops: normalise(crops) * torch.nan)
        run.fit(settings, output, resume=True)
    people_of_it = sorted(set(bad.targets.tolist()))
    assert (
        str(caught.value)
        == "epoch 1, batch 1: classification nan, triplet nan, loss nan; training samples"
        f" {bad.indices.tolist()}, people {people_of_it}; lower optimizer.lr or set"
        " optimizer.max_norm, and start anew"
    )
    assert (output / "checkpoint.safetensors").read_bytes() == before
    run.fit(settings, output, resume=True)
    run.fit(settings, tmp_path / "whole")
    assert same_weights(output, tmp_path / "whole")
