"""The folder of a search for hyper-parameters: what may be in it, what is mended, and mistakes of
one line.
"""

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from optuna.storages.journal import _file

from models import settings as sections
from models.errors import InputError
from models.reid import settings as training_settings
from models.reid import tune
from models.reid.data.samples import Dataset, Sample, hold_out
from models.reid.settings import Settings
from models.reid.training import hyperparameters
from tests.conftest import ROOT
from tests.models.reid.searches import pretend, table
from tests.models.reid.training.runs import arguments, quick


@pytest.mark.parametrize(
    ("changed", "n_trials", "reason"),
    [
        (
            {"data__validation": 0.0},
            1,
            "a search needs held-out people: set data.validation above 0",
        ),
        ({"train__n_devices": 2}, 1, "a search trains on one device"),
        ({"train__n_nodes": 2}, 1, "a search trains on one device"),
        ({"data__root": "nowhere"}, 1, "nowhere: is not a folder"),
        ({}, 0, "--trials 0: give 1 or more"),
    ],
)
def test_settings_that_cannot_be_searched_leave_no_folder(
    changed: dict[str, Any], n_trials: int, reason: str, people: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"^{reason}"):
        hyperparameters.search(quick(people, **changed), tmp_path / "s", n_trials)
    assert not (tmp_path / "s").exists()


def test_a_folder_with_another_search_or_something_else_is_refused(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    output, settings = tmp_path / "s", quick(people, train__epochs=1)
    hyperparameters.search(settings, output, 1)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with pytest.raises(
        InputError, match="holds a search with other settings; give another --output"
    ):
        hyperparameters.search(quick(people, train__epochs=2), output, 2)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="mine: is not empty and not a search"):
        hyperparameters.search(settings, tmp_path / "mine", 1)
    with pytest.raises(InputError, match=r"notes\.txt: is a file"):
        hyperparameters.search(settings, tmp_path / "mine" / "notes.txt", 1)


def test_settings_that_no_trial_could_be_trained_with_can_be_corrected(
    people: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="osnet_x0_26"):
        hyperparameters.search(
            quick(people, network__architecture="osnet_x0_26"), tmp_path / "s", 1
        )
    study = hyperparameters.search(
        quick(people, losses__osm__weight=0.5, train__epochs=1), tmp_path / "s", 1
    )
    assert len(hyperparameters.finished(study)) == 1
    assert (
        training_settings.load(str(tmp_path / "s" / "config.yaml")).network.architecture
        == "osnet_x0_25"
    )


def test_a_log_that_a_full_disk_cut_short_loses_its_last_line_alone(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, log = quick(people, train__epochs=1), tmp_path / "s" / "study.log"
    pretend(monkeypatch)
    hyperparameters.search(settings, tmp_path / "s", 2)
    first = table(tmp_path / "s")
    with log.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"a')
    hyperparameters.search(settings, tmp_path / "s", 3)
    assert [row for row in table(tmp_path / "s") if row["trial"] != "2"] == first
    log.write_text("no log\n{}\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"study\.log: is damaged \(.*\); remove its folder to start anew$"
    ):
        hyperparameters.search(settings, tmp_path / "s", 3)


def test_nobody_waits_for_the_lock_of_a_killed_process(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    monkeypatch.chdir(tmp_path)
    hyperparameters.search(quick(people, train__epochs=1), Path("s"), 1)
    Path("s/study.log.lock").touch()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("it waits"))
    monkeypatch.setattr(_file, "time", clock)  # Optuna takes a lock for dead after 30 s of sleep
    hyperparameters.search(quick(people, train__epochs=1), Path("s"), 2)
    assert not list(Path("s").glob("*.lock"))


def test_an_unknown_setting_is_one_line(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["--output", str(tmp_path / "s"), "--set", "losses.osm.beta=1"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("error: ")
    assert (
        tune.main(["--output", str(tmp_path / "s"), *arguments(quick(people)), "--trials", "-1"])
        == 2
    )
    assert capsys.readouterr().err == "error: --trials -1: give 1 or more\n"


def test_a_disk_that_refuses_the_log_is_one_line(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend(monkeypatch)
    (tmp_path / "s" / "study.log").mkdir(parents=True)
    before = signal.getsignal(signal.SIGINT)
    assert (
        tune.main(["--output", str(tmp_path / "s"), *arguments(quick(people)), "--trials", "1"])
        == 2
    )
    said = capsys.readouterr().err
    assert (
        said == f"error: {tmp_path}/s/study.log: cannot be written (Is a directory); give another"
        " place\n"
    )
    assert signal.getsignal(signal.SIGINT) == before


def write_search(path: Path, settings: Settings, search: dict[str, Any]) -> str:
    section = yaml.safe_dump({"search": search}, sort_keys=False)
    path.write_text(sections.dump(settings) + section, encoding="utf-8")
    return str(path)


def test_a_yaml_says_what_is_searched_and_how_often(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    ranges = {"optimizer.lr": [1e-5, 1e-2, "log"], "batches.n_people": [2, 9]}
    search = {"trials": 5, "space": ranges}
    config = write_search(tmp_path / "s.yaml", quick(people, train__epochs=1), search)
    assert tune.main(["--config", config, "--output", str(tmp_path / "s"), "--quiet"]) == 0
    tried = table(tmp_path / "s")
    assert list(tried[0]) == ["trial", "state", "score", "optimizer.lr", "batches.n_people"]
    assert len(tried) == 5
    assert all(1e-5 <= float(row["optimizer.lr"]) <= 1e-2 for row in tried)
    assert all(row["batches.n_people"] in "23456789" for row in tried)
    other = ["--search", "optimizer.max_norm=1,5", "--trials", "1", "--quiet"]
    assert tune.main(["--config", config, "--output", str(tmp_path / "o"), *other]) == 0
    (row,) = table(tmp_path / "o")
    assert 1 <= float(row["optimizer.max_norm"]) <= 5 and "optimizer.lr" not in row


def test_options_of_a_network_are_searched_too(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    ranges = {"network.options.width": (8, 64, False), "network.options.dropout": (0, 0.5, False)}
    settings = quick(people, train__epochs=1, network__options={"width": 16})
    study = hyperparameters.search(settings, tmp_path / "s", 3, space=ranges)
    for trial in study.trials:
        assert isinstance(trial.params["network.options.width"], int)
        assert 0 < trial.params["network.options.dropout"] < 0.5


def test_the_help_has_examples_that_the_command_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tune.main(["--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out.partition("examples:")[2].replace("\n      ", " ")
    commands = [line.split()[3:] for line in words.splitlines() if " -m models.reid.tune " in line]
    assert len(commands) == 2
    for command in commands:
        parsed = tune.parse(command)
        training_settings.load(str(ROOT / parsed.config), tuple(parsed.set))
        assert tune.ranges(parsed.search) or tune.load(str(ROOT / parsed.config)).space


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ({"trials": 0}, "search: trials: Input should be greater than or equal to 1"),
        ({"spaces": {}}, "search: unknown key spaces; did you mean space?"),
        ([], "search: expected `key: value` pairs"),
        ({"space": {"optimizer.lr": [1e-5]}}, r"search.space.optimizer.lr: write it as [LEAST, M"),
        ({"space": {"optimizer.lrr": [1, 2]}}, "unknown key optimizer.lrr; did you mean"),
        ({"space": {"batches.n_people": [2.5, 4]}}, "batches.n_people: Input should be a valid i"),
    ],
)
def test_a_search_that_a_yaml_does_not_say_rightly_is_one_line(
    search: Any, reason: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_search(tmp_path / "s.yaml", quick(people), search)
    assert tune.main(["--config", config, "--output", str(tmp_path / "s")]) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_the_file_of_the_published_search_says_the_published_space_and_people() -> None:
    path = str(ROOT / tune.EXAMPLE)
    search = tune.load(path)
    assert search.trials == 60
    assert tune.space_of(search, path) == hyperparameters.SPACE
    data = training_settings.load(path).data
    always = set(data.held_out)
    pool = set(data.held_out_pool)
    assert (len(always), len(pool), len(always & pool)) == (32, 134, 0)
    samples = [Sample((), person, camera) for person in range(625) for camera in (0, 1)]
    mars = Dataset("mars", Path(), tuple(samples), (), (), video=True)
    held = hold_out(mars, data.validation, 1, data.held_out, data.held_out_pool)
    people = {sample.person_id for sample in held.query}
    assert len(people) == 62 and always < people < always | pool
