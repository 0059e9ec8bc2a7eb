"""The command, as people call it."""

import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import progress
from models.reid import train
from models.reid.training import loop
from tests.conftest import ROOT
from tests.models.reid.training.runs import FILES, STEPS, arguments, quick, rows, same_weights
from tests.programs import running
from tests.waiting import wait_until

TRAINABLE = [
    "--set",
    "data.name=folder",
    "--set",
    "data.root=PEOPLE",
    "--set",
    "batches.n_people=2",
]
COMMAND = [sys.executable, "-m", "models.reid.train"]
WAIT_S = 300.0
"""Longest wait for a process that takes seconds on an idle machine."""
ENDLESS = 10_000
"""Epochs of a training that does not end before it is interrupted."""


def settings(people: Path, **changed: object) -> list[str]:
    return arguments(quick(people, **changed))


def train_alone(*given: str | Path) -> None:
    """Train in a process of its own, quietly."""
    words = [*COMMAND, "--quiet", *map(str, given)]
    subprocess.run(words, cwd=ROOT, check=True, timeout=WAIT_S)


def settings_of_interrupted(people: Path, whole_group: bool, n_epochs: int) -> list[str]:
    """Settings of a training that is scored after its last epoch only."""
    epochs = {"train__epochs": n_epochs, "train__evaluate_every": ENDLESS}
    return settings(people, **epochs, train__workers=2 if whole_group else 0)


@pytest.fixture(scope="module", params=[False, True])
def whole_group(request: pytest.FixtureRequest) -> bool:
    """Whether a signal goes to all processes of the command, those that load pictures too."""
    return bool(request.param)


@pytest.fixture(scope="module")
def uninterrupted(
    people: Path, whole_group: bool, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Path]:
    """The run of so many epochs that others are compared with."""

    @functools.cache
    def trained(n_epochs: int) -> Path:
        output = tmp_path_factory.mktemp("uninterrupted") / "run"
        train_alone("--output", output, *settings_of_interrupted(people, whole_group, n_epochs))
        return output

    return trained


@pytest.mark.slow
@pytest.mark.timeout(4 * WAIT_S)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_command_well_and_resume_finishes_it(
    people: Path,
    uninterrupted: Callable[[int], Path],
    tmp_path: Path,
    number: int,
    whole_group: bool,
) -> None:
    given = settings_of_interrupted(people, whole_group, ENDLESS)
    output = tmp_path / "run"
    words = [*COMMAND, "--output", output, *given]
    with running(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until((output / "checkpoint.safetensors").is_file, WAIT_S)
        if whole_group:  # as a closed terminal, a service manager and a batch system do
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        printed, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    n_epochs = len(rows(output))
    progress_left_out = [line for line in said.splitlines() if not line.startswith("training: ")]
    assert progress_left_out == [
        f"interrupted in epoch {n_epochs}; go on with --resume --output {output}"
    ]
    assert n_epochs >= 1 and printed.count("\n") == 1 + n_epochs
    n_more = max(12, n_epochs + 1)  # on a busy machine the signal may come late
    train_alone("--output", output, "--resume", "--set", f"train.epochs={n_more}")
    expected = uninterrupted(n_more)
    assert same_weights(output, expected) and rows(output) == rows(expected)


@pytest.mark.slow
def test_two_processes_train_one_network(people: Path, tmp_path: Path) -> None:
    """The first and only step of an epoch has the mean loss of the two batches that one process
    takes in turn.
    """
    sgd = {
        "optimizer__name": "sgd",
        "optimizer__lr": 0.01,
        "augment__flip": 0.0,
        "augment__crop": "none",
    }
    command = [
        *COMMAND,
        "--output",
        str(tmp_path / "two"),
        *settings(people, train__n_devices=2, train__epochs=8, **sgd),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    progress_left_out = [
        line for line in done.stderr.splitlines() if not line.startswith("training: ")
    ]
    assert (done.returncode, progress_left_out) == (0, [])
    _, *epochs, last = done.stdout.splitlines()
    assert [line[:9] for line in epochs] == [f"epoch   {i}" for i in range(8)]
    assert last.startswith(f"{tmp_path / 'two' / 'model.safetensors'}: held-out map ")
    assert {path.name for path in (tmp_path / "two").iterdir()} == FILES
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1
    log = rows(tmp_path / "two")
    assert sum(row["loss"] for row in log[-3:]) < 0.8 * sum(row["loss"] for row in log[:3])
    still = settings(people, **{**sgd, "optimizer__lr": 1e-12, "train__epochs": 1})
    assert train.main(["--output", str(tmp_path / "one"), "--quiet", *still]) == 0
    (row,) = rows(tmp_path / "one")
    assert STEPS == 2
    for name in ("classification", "triplet", "loss"):
        assert log[0][name] == pytest.approx(row[name], rel=1e-4)


def test_quiet_prints_nothing_and_otherwise_an_epoch_is_a_line(
    people: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = settings(people, train__epochs=1, train__precision="bf16")
    with caplog.at_level(logging.INFO):
        assert train.main(["--output", str(tmp_path / "a"), *given, "--quiet"]) == 0
        assert tuple(capfd.readouterr()) == ("", "")
        assert train.main(["--output", str(tmp_path / "a"), *given, "--overwrite"]) == 0
    out, err = capfd.readouterr()
    (row,) = rows(tmp_path / "a")
    begin, epoch, last = out.splitlines()
    assert begin.startswith("osnet_x0_25: 0.20 M parameters, ")
    assert begin.endswith("; 4 people (24 images), 2 held out; started from random weights")
    assert epoch.startswith(
        f"epoch   0  lr 0.002  classification {row['classification']:.4g}  triplet"
        f" {row['triplet']:.4g}"
    )
    assert (
        last == f"{tmp_path / 'a' / 'model.safetensors'}: held-out map {row['map']:.3f} (epoch 0)"
    )
    assert err == "" and not [
        record for record in caplog.records if record.name.startswith("lightning")
    ]


def test_without_held_out_people_the_last_epoch_is_the_model(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        train.main(
            [
                "--output",
                str(tmp_path / "a"),
                *settings(people, train__epochs=1, data__validation=0.0),
            ]
        )
        == 0
    )
    assert capsys.readouterr().out.splitlines()[2].endswith("model.safetensors: the last epoch")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ["--set", "train.epoch=1"],
            "error: the command line: unknown key train.epoch; did you mean train.epochs?",
        ),
        (
            ["--set", "optimizer.lr"],
            "error: --set optimizer.lr: write it as key=value, for example --set optimizer.lr=1e-4",
        ),
        (
            ["--config", "nowhere.yaml"],
            "error: nowhere.yaml: cannot be read (No such file or directory)",
        ),
        (["--set", "data.root=nowhere"], "error: nowhere: "),
        (
            ["--set", "train.device=gpu", *TRAINABLE],
            "error: device gpu: expected auto, cpu, cuda, cuda:N or mps",
        ),
        (
            ["--resume"],
            "error: OUTPUT: there is no checkpoint.safetensors with its config.yaml to resume from",
        ),
    ],
)
def test_a_mistake_is_one_line_exit_code_2_and_nothing_written(
    given: list[str],
    expected: str,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "run"
    assert (
        train.main(
            ["--output", str(output), *(word.replace("PEOPLE", str(people)) for word in given)]
        )
        == 2
    )
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(expected.replace("OUTPUT", str(output)))
    assert not output.exists()


def test_a_loss_that_is_not_finite_is_one_line_that_names_the_batch(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    given = settings(people, optimizer__lr=1e30, train__evaluate_every=1)
    assert train.main(["--output", str(output), *given]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("osnet_x0_25: ") and out.count("\n") == err.count("\n") == 1
    assert (
        err.startswith("error: epoch 0, batch 1: ")
        and "; training samples [" in err
        and "people [" in err
    )
    assert not (output / "checkpoint.safetensors").exists()


def test_a_second_interrupt_does_not_wait(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one asks for an end after the batch; the batch here never ends."""
    before = signal.getsignal(signal.SIGINT)

    def endless(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)

    monkeypatch.setattr(loop, "_step", endless)
    assert train.main(["--output", str(tmp_path / "run"), *settings(people)]) == 130
    assert signal.getsignal(signal.SIGINT) == before


def test_resume_takes_the_settings_of_the_run_and_refuses_others(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert train.main(["--output", str(output), *settings(people, train__epochs=1)]) == 0
    before = load_file(output / "model.safetensors")
    assert train.main(["--output", str(output), "--resume", "--set", "train.seed=2"]) == 2
    assert "was made with other settings; resume with its config.yaml" in capsys.readouterr().err
    assert train.main(["--output", str(output), "--resume"]) == 0
    assert all(
        torch.equal(value, before[key])
        for key, value in load_file(output / "model.safetensors").items()
    )


def test_help_shows_examples_and_every_setting_can_be_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for word, expected in (("--help", "--resume --output"), ("--list-settings", "  epochs: 120\n")):
        with pytest.raises(SystemExit) as ended:
            train.main([word])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_long_training_says_every_minute_how_far_it_is(
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    given = settings(people, train__epochs=2, train__evaluate_every=2)
    assert train.main(["--output", str(tmp_path / "run"), *given]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 4
    lines = err.splitlines()
    assert [line.partition(" so far")[0][:-6] for line in lines] == [
        f"training: epoch {i // STEPS}, {i + 1}/{2 * STEPS} batches," for i in range(2 * STEPS)
    ]
