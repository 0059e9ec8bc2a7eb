"""The search for hyper-parameters, with Optuna. Unless others are given, its seven parameters and
ranges are those of "Fantastic techniques" (arXiv 1912.05295), which searched with Ax.

Every trial is a training of its own, scored on the same held-out training people. What was wrong in
the published search is not repeated: trials have no classes without people, the held-out people are
scored without random draws, and weight decay is searched on a logarithmic scale, since a linear one
chose values that stop all learning.

What a trial tries depends on the seed and on the trials that ended before, on nothing else. So
ctrl-C or a crash loses the running trial only: the same command repeats it, with the same values,
and goes on. One process at a time works in a folder.
"""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from models import files
from models import settings as sections
from models.errors import InputError, one_line
from models.reid import settings as training_settings
from models.reid.settings import Settings
from models.reid.training import folder, run
from models.reid.training.loop import NonFiniteLossError
from models.reid.training.run import Place

Space: TypeAlias = dict[str, tuple[float, float, bool]]
"""Setting: least, most, whether on a logarithmic scale."""
SPACE: Space = {
    "losses.osm.sigma": (0.1, 1.0, False),
    "losses.osm.alpha": (0.5, 3.0, False),
    "losses.osm.l": (0.1, 1.0, False),
    "losses.triplet.margin": (1e-6, 1.0, True),
    "losses.osm.weight": (1e-6, 1.0, False),
    "schedule.gamma": (1e-6, 1.0, False),
    "optimizer.weight_decay": (1e-6, 1.0, True),
}
"""The published ones; losses.osm.weight is the paper's beta."""
STUDY = "study.log"
REPORT = "trials.csv"
RANGES = "space.json"
TRIALS = "trials"


def search(
    settings: Settings,
    output: Path,
    n_trials: int,
    say: Callable[[str], None] = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
    space: Space = SPACE,
    watch: Callable[[Place, int], None] = lambda place, n_before: None,
) -> optuna.Study:
    """Do what is left of the trials of a search.

    Args:
        settings: Of every training, but for what is searched.
        output: Folder of the search; one that is there goes on.
        n_trials: Trainings in all.
        say: Gets a line for every score.
        stop: Asked after every batch and trial; raises KeyboardInterrupt.
        space: What is searched.
        watch: Told after every batch, with the number of trials that are done.

    Returns:
        The study.

    Raises:
        InputError: Settings, data or the folder cannot be used, or a range is not one of a setting.
    """
    if not (settings.data.validation or settings.data.held_out):
        raise InputError("a search needs held-out people: set data.validation above 0")
    if settings.train.n_devices > 1 or settings.train.n_nodes > 1:
        raise InputError(
            "a search trains on one device: set train.n_devices and train.n_nodes to 1"
        )
    if n_trials < 1:
        raise InputError(f"--trials {n_trials}: give 1 or more")
    _check_ranges(settings, space)
    run.load_data(settings)  # a wrong data.root in the folder would keep the right one out of it
    _keep_settings(settings, output, space)
    study = _open(output / STUDY)
    while (n_done := len(finished(study))) < n_trials:
        (seed,) = np.random.SeedSequence([settings.train.seed, n_done]).generate_state(1)
        study.sampler = optuna.samplers.TPESampler(seed=int(seed))
        train = partial(
            _train,
            settings=settings,
            output=output,
            say=say,
            stop=stop,
            space=space,
            watch=watch,
            n_before=n_done,
        )
        study.optimize(train, n_trials=1, catch=())
        report(study, output, space)
        if stop():
            raise KeyboardInterrupt
    report(study, output, space)
    return study


def _check_ranges(settings: Settings, space: Space) -> None:
    """Raise InputError for what is no range, or none of a setting."""
    for name, (least, most, log) in space.items():
        if not least < most or (log and least <= 0):
            positive = ", above 0 on a logarithmic scale" if log else ""
            raise InputError(
                f"{name}: {least:g} to {most:g} is no range; give the smaller first{positive}"
            )
    lower = {name: least for name, (least, _, _) in space.items()}
    upper = {name: most for name, (_, most, _) in space.items()}
    for ends in (lower, upper):
        sections.change(settings, ends, training_settings.EXAMPLE)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended, best first; what was pruned or became infinite comes last."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sorted(
        done, key=lambda t: (t.state == TrialState.COMPLETE, t.value or 0.0), reverse=True
    )


def report(study: optuna.Study, output: Path, space: Space = SPACE) -> None:
    """Write all trials to trials.csv, best first; raises InputError."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["trial", "state", "score", *space])
    for trial in finished(study):
        score = trial.value if trial.value is not None else ""
        table.writerow(
            [trial.number, trial.state.name.lower(), score, *(trial.params[name] for name in space)]
        )
    files.write(output / REPORT, text.getvalue().encode())


def _train(
    trial: optuna.Trial,
    settings: Settings,
    output: Path,
    say: Callable[[str], None],
    stop: Callable[[], bool],
    space: Space,
    watch: Callable[[Place, int], None],
    n_before: int,
) -> float:
    """Score of one training, before which `n_before` ended; 0 where the loss became infinite.
    Raises TrialPruned for one that falls behind.
    """
    values = {name: _suggest(trial, settings, name, space) for name in space}
    chosen = sections.change(settings, values, training_settings.EXAMPLE)

    def look(row: dict[str, Any]) -> None:
        select = settings.train.select
        if select not in row:
            return
        epoch = row["epoch"]
        trial.report(row[select], epoch)
        say(f"trial {trial.number}, epoch {epoch}: {select} {row[select]:.4f}")
        if epoch + 1 < settings.train.epochs and trial.should_prune():
            raise optuna.TrialPruned

    place = output / TRIALS / f"{trial.number:04d}"
    try:
        outcome = run.fit(
            chosen,
            place,
            overwrite=True,
            report=look,
            stop=stop,
            watch=lambda place: watch(place, n_before),
        )
    except NonFiniteLossError:
        return 0.0
    finally:
        # three times the model, and nobody resumes a trial
        (place / folder.CHECKPOINT).unlink(missing_ok=True)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.best


def _suggest(trial: optuna.Trial, settings: Settings, name: str, space: Space) -> float:
    """Value of one setting to try: a whole number where the setting is one."""
    least, most, log = space[name]
    value: Any = settings
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else getattr(value, key)
    if isinstance(value, int):
        return trial.suggest_int(name, int(least), int(most), log=log)
    return trial.suggest_float(name, least, most, log=log)


def _keep_settings(settings: Settings, output: Path, space: Space) -> None:
    """Write settings and ranges of a new search; raises InputError when the folder holds another
    one or something else.

    A search in which no trial has ended yet, perhaps since its settings were wrong, can take other
    settings.
    """
    kept = output / folder.CONFIG
    if (output / REPORT).is_file() and kept.is_file():
        if training_settings.load(str(kept)) != settings or _kept_space(output) != space:
            raise InputError(f"{output}: holds a search with other settings; give another --output")
        return
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give another --output")
    ours = {folder.CONFIG, STUDY, RANGES, TRIALS}
    if output.is_dir() and {path.name for path in output.iterdir()} - ours:
        raise InputError(f"{output}: is not empty and not a search; give another --output")
    files.write(kept, sections.dump(settings).encode())
    files.write(output / RANGES, json.dumps(space, indent=1).encode())


def _kept_space(output: Path) -> Space:
    """Ranges of a search that is there; raises InputError when they cannot be read."""
    path = output / RANGES
    if not path.is_file():  # of a version that searched the published ones only
        return SPACE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: (least, most, log) for name, (least, most, log) in kept.items()}
    except (ValueError, AttributeError, TypeError, OSError) as error:
        raise InputError(
            f"{path}: is damaged ({one_line(error)}); remove its folder to start anew"
        ) from None


def _open(log: Path) -> optuna.Study:
    """The study that was kept in a log, or a new one; raises InputError for another file."""
    # of a process that was killed: the next would wait for it
    log.with_name(f"{log.name}.lock").unlink(missing_ok=True)
    written = log.read_bytes() if log.is_file() else b""
    if written and not written.endswith(b"\n"):  # a full disk cut the last line short
        files.write(log, written[: written.rfind(b"\n") + 1])
    try:
        storage = JournalStorage(JournalFileBackend(str(log), JournalFileOpenLock(str(log))))
        study = optuna.create_study(
            study_name="reid",
            storage=storage,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        # of a process that was killed
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{log}: is damaged ({one_line(error)}); remove its folder to start anew"
        ) from None
    return study
