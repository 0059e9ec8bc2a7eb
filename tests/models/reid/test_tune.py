"""The search for hyper-parameters: what it tries, keeps, gives up and repeats."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from models import progress
from models import settings as sections
from models.reid import settings as training_settings
from models.reid import tune
from models.reid.networks import file
from models.reid.settings import Settings
from models.reid.training import hyperparameters
from models.reid.training.run import Outcome, Place, Watch
from tests.models.reid.searches import Pretended, Report, chosen, pretend, table
from tests.models.reid.training.runs import arguments, quick, rows
from tests.programs import running

OSM = {"losses__osm__weight": 0.5}


def test_the_space_is_the_published_one_but_for_weight_decay_on_a_logarithmic_scale() -> None:
    assert hyperparameters.SPACE == {
        "losses.osm.sigma": (0.1, 1, False),
        "losses.osm.alpha": (0.5, 3, False),
        "losses.osm.l": (0.1, 1, False),
        "losses.triplet.margin": (1e-6, 1, True),
        "losses.osm.weight": (1e-6, 1, False),
        "schedule.gamma": (1e-6, 1, False),
        "optimizer.weight_decay": (1e-6, 1, True),
    }


def test_trainings_are_searched_through_and_a_search_goes_on(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "search"
    settings = quick(people, **OSM, train__epochs=2, train__evaluate_every=1)
    words = ["--output", str(output), *arguments(settings)]
    assert tune.main([*words, "--trials", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.count("epoch 1: map ") == 2
    first = table(output)
    assert tune.main([*words, "--trials", "3", "--quiet"]) == 0
    best, *_, last = capsys.readouterr().out.splitlines()
    assert last == f"{output}/trials.csv; each trial's settings are in its folder {output}/trials"
    found = table(output)
    assert [row for row in found if row["trial"] != "2"] == first and {
        row["trial"] for row in found
    } == {"0", "1", "2"}
    assert [float(row["score"]) for row in found] == sorted(
        (float(row["score"]) for row in found), reverse=True
    )
    assert best.startswith(
        f"trial {found[0]['trial']:>3}  map {float(found[0]['score']):.4f}  sigma "
    )
    for row in found:
        place = output / "trials" / f"{int(row['trial']):04d}"
        assert {path.name for path in place.iterdir()} == {
            "config.yaml",
            "log.jsonl",
            "model.safetensors",
            "curves.png",
            "tensorboard",
        }
        tried = training_settings.load(str(place / "config.yaml"))
        assert chosen(tried) == {key: float(row[key]) for key in hyperparameters.SPACE}
        assert sections.change(tried, chosen(settings), "") == settings  # nothing else varies
        assert (
            float(row["score"])
            == max(r["map"] for r in rows(place))
            == file.load(place / "model.safetensors").about["map"]
        )
        assert row["state"] == "complete"
    losses = {rows(output / "trials" / f"{i:04d}")[0]["loss"] for i in range(3)}
    assert len(losses) == 3  # the parameters matter


@pytest.mark.parametrize("select", ["rank1", "reranked_map"])
def test_the_score_is_the_one_that_selects_models(
    select: str, people: Path, tmp_path: Path
) -> None:
    hyperparameters.search(
        quick(people, **OSM, data__validation=0.6, train__epochs=1, train__select=select),
        tmp_path / "s",
        1,
    )
    (row,) = table(tmp_path / "s")
    (epoch,) = rows(tmp_path / "s" / "trials" / "0000")
    assert float(row["score"]) == epoch[select] != epoch["map"]


def test_a_loss_that_becomes_infinite_scores_0_and_the_search_goes_on(
    people: Path, tmp_path: Path
) -> None:
    study = hyperparameters.search(
        quick(people, **OSM, train__epochs=1, optimizer__lr=1e30), tmp_path / "s", 2
    )
    assert [(t.state, t.value) for t in hyperparameters.finished(study)] == [
        (TrialState.COMPLETE, 0.0)
    ] * 2
    assert [row["score"] for row in table(tmp_path / "s")] == ["0.0", "0.0"]
    assert not list((tmp_path / "s" / "trials").rglob("checkpoint.safetensors"))


def test_what_is_tried_lies_in_its_ranges_and_depends_on_the_seed(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit = pretend(monkeypatch)
        hyperparameters.search(
            quick(people, train__epochs=1, train__seed=seed), tmp_path / name, 13
        )
        tried.append(fit.tried)
    assert tried[0] == tried[1] != tried[2]
    for key, (least, most, _) in hyperparameters.SPACE.items():
        values = [values[key] for values in tried[0]]
        assert all(least <= value <= most for value in values) and len(set(values)) == 13
    decays = sorted(values["optimizer.weight_decay"] for values in tried[0])
    assert decays[3] < 0.05  # on a linear scale, hardly ever


def test_a_long_search_says_every_minute_how_far_it_is(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    settings = quick(people, train__epochs=2)
    pretended = Pretended()

    def fit(settings: Settings, output: Path, watch: Watch, **more: Any) -> Outcome:
        for epoch in range(2):
            watch(Place(epoch, n_epochs=2, batch=5, n_batches=5))
        return pretended(settings, output, **more)

    pretend(monkeypatch, fit)
    words = ["--output", str(tmp_path / "s"), "--trials", "2", *arguments(settings)]
    assert tune.main(words) == 0
    out, err = capsys.readouterr()
    assert out.count("trial ") == 4 + 2
    assert [line.partition(" batches,")[0] for line in err.splitlines()] == [
        "search: 0 of 2 done, epoch 0, 5/20",
        "search: 0 of 2 done, epoch 1, 10/20",
        "search: 1 of 2 done, epoch 0, 15/20",
        "search: 1 of 2 done, epoch 1, 20/20",
    ]


class Broken:
    """Ends the way a process does that is killed, or interrupted, while it trains for the nth
    time.
    """

    def __init__(self, fit: Pretended, nth: int, how: type[BaseException]) -> None:
        self.tried, self._fit, self._left, self._how = fit.tried, fit, nth, how

    def __call__(self, settings: Settings, output: Path, report: Report, **more: Any) -> Outcome:
        self._left -= 1
        if not self._left:
            self.tried.append(chosen(settings))
            raise self._how
        return self._fit(settings, output, report, **more)


@pytest.mark.parametrize(
    "how", [SystemExit, KeyboardInterrupt]
)  # Optuna leaves a trial running, or marks it as failed
def test_what_is_cut_off_is_tried_again_and_the_search_ends_as_if_never_interrupted(
    how: type[BaseException], people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(people, train__epochs=1)
    whole = pretend(monkeypatch)
    expected = hyperparameters.search(settings, tmp_path / "whole", 14)
    for nth in (1, 4, 6):  # the first trial, among the random ones, and where earlier scores decide
        broken = pretend(monkeypatch, Broken(Pretended(), nth, how))
        with pytest.raises(how):
            hyperparameters.search(settings, tmp_path / "parts", 14)
        before = broken.tried[-1]
        again = pretend(monkeypatch)
        hyperparameters.search(
            settings, tmp_path / "parts", len(table_or_none(tmp_path / "parts")) + 1
        )
        assert again.tried == [before]
    rest = pretend(monkeypatch)
    study = hyperparameters.search(settings, tmp_path / "parts", 14)
    assert len(rest.tried) == 14 - (0 + 1 + 3 + 1 + 5 + 1)
    found, wanted = hyperparameters.finished(study), hyperparameters.finished(expected)
    assert [(t.params, t.value) for t in found] == [(t.params, t.value) for t in wanted] and len(
        whole.tried
    ) == 14
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    assert [row["score"] for row in table(tmp_path / "parts")] == [
        row["score"] for row in table(tmp_path / "whole")
    ]


def table_or_none(output: Path) -> list[dict[str, str]]:
    return table(output) if (output / "trials.csv").is_file() else []


def test_nothing_is_trained_again_when_all_is_done(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(people, train__epochs=1)
    pretend(monkeypatch)
    hyperparameters.search(settings, tmp_path / "s", 3)
    text = (tmp_path / "s" / "trials.csv").read_bytes()
    (tmp_path / "s" / "trials.csv").unlink()  # killed before it was written
    again = pretend(monkeypatch)
    hyperparameters.search(settings, tmp_path / "s", 3)
    hyperparameters.search(settings, tmp_path / "s", 2)
    assert again.tried == [] and (tmp_path / "s" / "trials.csv").read_bytes() == text


def test_a_trial_that_falls_behind_is_given_up_but_never_in_its_last_epoch(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(people, train__epochs=4, train__evaluate_every=2, train__select="rank1")
    epochs: list[int] = []
    scores = [(0.5, 0.9)] * 6 + [
        (0.3, 0.9),
        (0.6, 0.7),
        (0.6, 0.95),
    ]  # in the middle and in the end

    def fit(settings: Settings, output: Path, report: Report, **more: Any) -> Outcome:
        now = scores[len(epochs)]
        epochs.append(0)
        for epoch in range(4):
            epochs[-1] += 1
            report(
                {"epoch": epoch, "loss": 1.0}
                | ({"rank1": now[epoch // 2], "map": 0.5} if epoch % 2 else {})
            )
        return Outcome(4, now[1], 3, False)

    pretend(monkeypatch, fit)
    study = hyperparameters.search(settings, tmp_path / "s", 9)
    assert epochs == [4, 4, 4, 4, 4, 4, 2, 4, 4]
    found = [(row["trial"], row["state"], row["score"]) for row in table(tmp_path / "s")]
    assert found[0] == ("8", "complete", "0.95") and found[-2:] == [
        ("7", "complete", "0.7"),
        ("6", "pruned", "0.3"),
    ]
    assert len(hyperparameters.finished(study)) == 9
    rest = pretend(monkeypatch)
    hyperparameters.search(settings, tmp_path / "s", 10)
    assert len(rest.tried) == 1


@pytest.mark.slow
def test_ctrl_c_ends_it_in_one_line_and_the_same_command_goes_on(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # more epochs than the pipe holds lines: the training cannot end before the signal comes
    settings = quick(people, **OSM, train__epochs=10_000, train__evaluate_every=1)
    words = ["--output", str(tmp_path / "s"), "--trials", "1"]
    with running(
        [sys.executable, "-W", "error", "-m", "models.reid.tune", *words, *arguments(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("trial 0, epoch 0: map ")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    progress_left_out = [line for line in said.splitlines() if not line.startswith("search: ")]
    assert process.returncode == 130
    assert progress_left_out == ["interrupted; the same command goes on"]
    tried = training_settings.load(str(tmp_path / "s" / "trials" / "0000" / "config.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        again: list[dict[str, float]] = []

        def fit(settings: Settings, output: Path, **more: Any) -> Outcome:
            again.append(chosen(settings))
            return Outcome(settings.train.epochs, 0.5, 0, False)

        pretend(patch, fit)
        assert tune.main([*words, *arguments(settings), "--quiet"]) == 0
    assert again == [chosen(tried)]
    assert capsys.readouterr().out.startswith("trial   1  map ")


def test_other_settings_are_searched_where_they_are_given(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates: list[float] = []
    pretend(monkeypatch, Pretended(lambda s: rates.append(s.optimizer.lr) or s.optimizer.lr))
    words = ["--output", str(tmp_path / "s"), *arguments(quick(people, train__epochs=1))]
    words += ["--search", "optimizer.lr=1e-5,1e-2,log", "--search", "train.ema_decay=0,0.9"]
    assert tune.main([*words, "--trials", "5", "--quiet"]) == 0
    assert all(1e-5 <= rate <= 1e-2 for rate in rates) and min(rates) < 1e-3 < max(rates) * 10
    assert list(table(tmp_path / "s")[0])[3:] == ["optimizer.lr", "train.ema_decay"]
    assert float(table(tmp_path / "s")[0]["optimizer.lr"]) == max(rates)
    capsys.readouterr()
    assert tune.main([*words[:-2], "--trials", "6", "--quiet"]) == 2
    assert "holds a search with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.lr", "--search optimizer.lr: write it as KEY=LEAST,MOST"),
        ("optimizer.lr=1,2,lin", "--search optimizer.lr=1,2,lin: write it as KEY=LEAST,MOST"),
        ("optimizer.lr=2,1", "optimizer.lr: 2 to 1 is no range"),
        ("optimizer.lr=0,1,log", "optimizer.lr: 0 to 1 is no range; give the smaller first, above"),
        ("optimizer.rate=1,2", "unknown key optimizer.rate"),
        ("augment.flip=0.5,1.5", "augment.flip: "),
    ],
)
def test_a_range_that_is_none_is_one_line_and_nothing_is_written(
    text: str, expected: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--output", str(tmp_path / "s"), *arguments(quick(people))]
    assert tune.main([*words, "--search", text]) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1
    assert not (tmp_path / "s").exists()
