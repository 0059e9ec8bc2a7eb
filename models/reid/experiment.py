"""Repeat a published experiment: `python -m models.reid.experiment --config
configs/reid/published/strong_baseline_market1501.yaml --root FOLDER`; `--list` lists them all.

Trains with the file's settings, evaluates with the flags that the file gives for the system's own
protocol, and writes a table of published and own scores over all experiments of a folder. It runs
the commands `train` and `evaluate`, prints them, and goes on where it was interrupted.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from models import command, files
from models import settings as sections
from models.errors import InputError
from models.reid import evaluate, train
from models.reid import settings as training_settings
from models.reid.data import catalogue
from models.reid.settings import EXAMPLE, WHERE_IT_RUNS, Settings
from models.reid.training import folder
from models.settings import Section

PUBLISHED = Path(sections.config_file("reid/published/strong_baseline_market1501.yaml")).parent
COMMAND = "python -m models.reid.experiment --config configs/reid/published/{} --root FOLDER"
LIST_HEAD = """\
# Published experiments

One command trains, evaluates with the system's own protocol and writes a row of published and own
scores into `outputs/reid/published/table.md`. An interrupted one goes on with the same command.
FOLDER is that of the data set, or the one that holds it; `python -m models.reid.data.catalogue`
tells where to get each. The head of each file says where the scores are from and what differs here.
`python -m models.reid.experiment --list` prints this page. Scores are in percent: mAP, rank-1.
"""
LIST_COLUMNS = ("experiment", "data set", "network", "start", "epochs", "published", "command")
EXAMPLES = f"""\
examples:
  the strong baseline on Market-1501; then ST-ReID for a look, in two epochs without a GPU:
    {COMMAND.format("strong_baseline_market1501.yaml")}
    {COMMAND.format("st_reid_pcb_market1501.yaml")}
      --set train.epochs=2 --set data.height_px=128 --set data.width_px=64

--list prints all experiments with their commands. {EXAMPLE} explains every setting,
the head of each file what is published and what differs here; python -m models.reid.data.catalogue
tells where to get the data sets.
"""
SCORES = "scores.json"
RESULT = "result.json"
TABLE = "table.md"
COLUMNS = (
    "experiment",
    "ranking",
    "published mAP",
    "our mAP",
    "published rank-1",
    "our rank-1",
    "queries",
    "epochs",
    "changed settings",
)


class Published(Section):
    """Scores that were published, in percent, by the name of evaluation's row: plain, re-ranked,
    spatial-temporal, both.
    """

    source: str
    scores: dict[str, dict[str, float]] = Field(default_factory=dict)


class Experiment(Section):
    """What the file of an experiment says beside the settings of its training."""

    evaluation: str = ""
    """Flags of `models.reid.evaluate`: the protocol of the published score."""
    published: Published


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.experiment",
        description="Repeat a published experiment and compare its scores.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action=_List, nargs=0, help="print all experiments with their commands and exit")
    add(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="one of configs/reid/published/, or a file of the same kind",
    )
    add("--root", metavar="DIR", help="the data set's folder, or the one that holds it")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting of the training; the table names it",
    )
    add(
        "--all-splits",
        action="store_true",
        help="train and evaluate on every split of the data set; compare the mean",
    )
    add(
        "--output",
        type=Path,
        default=Path("outputs/reid/published"),
        metavar="DIR",
        help=f"folder of all experiments and of {TABLE} (default outputs/reid/published)",
    )
    add("--quiet", action="store_true", help="print scores and tables only")
    return parser.parse_args(arguments)


class _List(argparse.Action):
    """Prints the experiments and ends the command, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            print(listing(), end="")
        except InputError as error:
            parser.error(str(error))
        parser.exit()


def listing(folder: Path = PUBLISHED) -> str:
    """Return the Markdown page of all experiments, with the command of each.

    Args:
        folder: Has their files.

    Raises:
        InputError: There are none, or a file cannot be read or is no experiment.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise InputError(f"{folder}: has no experiments; run the command in the program's folder")
    lines = [LIST_HEAD, f"| {' | '.join(LIST_COLUMNS)} |", f"|{' --- |' * len(LIST_COLUMNS)}"]
    for path in paths:
        lines.append(f"| {' | '.join(_listed(path))} |")
    return "\n".join(lines) + "\n"


def _listed(path: Path) -> list[str]:
    """Cells of `LIST_COLUMNS`."""
    settings = training_settings.load(str(path))
    scores = []
    for ranking, values in load(path).published.scores.items():
        numbers = ", ".join(
            f"{values[key]:g}" if key in values else "-" for key in ("map", "rank1")
        )
        scores.append(numbers if ranking == "plain" else f"{ranking} {numbers}")
    return [
        f"[{path.stem}]({path.name})",
        catalogue.CATALOGUE[settings.data.name].title,
        f"`{settings.network.architecture}`",
        _start(settings.network.init),
        f"{settings.train.epochs}",
        "; ".join(scores) or "none",
        f"`{COMMAND.format(path.name)}`",
    ]


def _start(init: str) -> str:
    """What a training starts from, in words."""
    if init == "imagenet":
        return "ImageNet"
    return f"network of {Path(init).parent.name}" if init else "random; see the file"


def load(path: Path) -> Experiment:
    """Read the part of an experiment's file that is not for the training.

    Args:
        path: The file.

    Returns:
        Protocol and published scores.

    Raises:
        InputError: The file cannot be read or has no such part.
    """
    values = sections.read(str(path), EXAMPLE)
    beside = {key: values[key] for key in Experiment.model_fields if key in values}
    if "published" not in beside:
        raise InputError(
            f"{path}: is no published experiment (it has no `published`); train it with python -m"
            f" models.reid.train --config {path}"
        )
    return sections.build(Experiment, beside, str(path), EXAMPLE)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted; the same command goes
    on.
    """
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> int:
    experiment = load(parsed.config)
    overrides = list(parsed.set)
    if parsed.root:
        overrides.append(f"data.root={json.dumps(parsed.root)}")
    settings = training_settings.load(str(parsed.config), tuple(overrides))
    _check_root(settings)
    output = parsed.output / parsed.config.stem
    flags = _evaluation(experiment, settings, output, parsed.all_splits, parsed.quiet)
    evaluate.parse(flags)  # a wrong flag should not wait for the training
    for place, more in _trainings(settings, output, parsed.all_splits):
        arguments = ["--config", str(parsed.config), "--output", str(place)]
        for override in [*overrides, *more]:
            arguments += ["--set", override]
        if (place / folder.CHECKPOINT).is_file():
            arguments.append("--resume")
        if parsed.quiet:
            arguments.append("--quiet")
        code = _command("train", train.main, arguments, parsed.quiet)
        if code:
            return code
    if not train.is_first():
        return 0
    code = _command("evaluate", evaluate.main, flags, parsed.quiet)
    if code:
        return code
    original = training_settings.load(str(parsed.config))
    changed = [key for key in sections.differing(original, settings) if key not in WHERE_IT_RUNS]
    scores = json.loads((output / SCORES).read_text(encoding="utf-8"))
    result = rows(parsed.config.stem, experiment.published, scores, settings.train.epochs, changed)
    files.write(output / RESULT, json.dumps(result, indent=1).encode())
    print(write_table(parsed.output), end="")
    print(f"{parsed.output / TABLE}; published: {experiment.published.source}")
    return 0


def _check_root(settings: Settings) -> None:
    """Raise InputError when there is no such folder; a training would speak of its own settings."""
    root = settings.data.root
    if not Path(root).expanduser().is_dir():
        title = catalogue.CATALOGUE[settings.data.name].title
        raise InputError(
            f"{root}: is not a folder; give --root, the folder of {title} or the one that holds it"
            " (python -m models.reid.data.catalogue tells where to get it)"
        )


def _trainings(
    settings: Settings, output: Path, all_splits: bool
) -> list[tuple[Path, Sequence[str]]]:
    """Folder and further overrides of every training."""
    if not all_splits:
        return [(output, ())]
    n_splits = catalogue.n_splits(settings.data.name, settings.data.options)
    if n_splits < 2:
        raise InputError(f"--all-splits: {settings.data.name} has one split only; leave it out")
    return [(output / f"split_{i}", (f"data.options.split={i}",)) for i in range(n_splits)]


def _evaluation(
    experiment: Experiment, settings: Settings, output: Path, all_splits: bool, quiet: bool
) -> list[str]:
    """Arguments of `evaluate`."""
    place = output / "split_{split}" if all_splits else output
    flags = ["--weights", str(place / folder.MODEL), "--data", settings.data.name]
    flags += ["--root", settings.data.root, *shlex.split(experiment.evaluation)]
    for key, value in settings.data.options.items():
        flags += ["--set", f"{key}={json.dumps(value)}"]
    flags += ["--cache", str(output / "features"), "--json", str(output / SCORES)]
    if all_splits:
        flags.append("--all-splits")
    if quiet:
        flags.append("--quiet")
    return flags


def _command(name: str, run: Callable[[list[str]], int], arguments: list[str], quiet: bool) -> int:
    """Run one of the commands and return its exit code."""
    if not quiet and train.is_first():
        print(f"$ python -m models.reid.{name} {shlex.join(arguments)}", flush=True)
    return run(arguments)


def rows(
    name: str,
    published: Published,
    scores: Mapping[str, Any],
    n_epochs: int,
    changed: Sequence[str],
) -> list[list[str]]:
    """Make the rows of the table of one experiment.

    Args:
        name: Of the experiment.
        published: Its published scores.
        scores: What `evaluate --json` wrote; over several splits the means count.
        n_epochs: Epochs trained.
        changed: Keys of settings that differ from the file's.

    Returns:
        Cells of `COLUMNS`: a row for every ranking that was published, or one of the plain ranking.
    """
    found = []
    by_split = [{row["name"]: row for row in split["rows"]} for split in scores["splits"]]
    for ranking in published.scores or ("plain",):
        theirs = published.scores.get(ranking, {})
        if ranking not in by_split[0]:
            raise InputError(
                f"published.scores.{ranking}: the evaluation has no such ranking; it has"
                f" {', '.join(by_split[0])}"
            )
        ours = [split[ranking] for split in by_split]
        cells = [name, ranking]
        for key in ("map", "rank1"):
            cells.append(f"{theirs[key]:.1f}" if key in theirs else "")
            cells.append(f"{100 * np.mean([row[key] for row in ours]):.1f}")
        n_queries = sum(row["valid_queries"] for row in ours)
        cells += [f"{n_queries}", f"{n_epochs}", ", ".join(changed) or "none"]
        found.append(cells)
    return found


def write_table(output: Path) -> str:
    """Write the Markdown table of all experiments that are done.

    Args:
        output: Folder of all experiments.

    Returns:
        The table.

    Raises:
        InputError: It cannot be written.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for path in sorted(output.glob(f"*/{RESULT}")):
        for cells in json.loads(path.read_text(encoding="utf-8")):
            lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines) + "\n"
    files.write(output / TABLE, table.encode())
    return table


if __name__ == "__main__":
    sys.exit(main())
