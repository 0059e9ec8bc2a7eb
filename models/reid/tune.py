"""Search for hyper-parameters: `python -m models.reid.tune --config configs/reid/search.yaml
--output DIR`; see `models.reid.training.hyperparameters`.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from models import command, extras, files
from models import settings as sections
from models.errors import InputError
from models.interrupts import Interrupts
from models.reid import settings as training_settings
from models.reid.settings import Count
from models.reid.train import Shown
from models.settings import Section

EXAMPLE = sections.config_file("reid/search.yaml")
EXAMPLES = f"""\
examples:
  the published search, on MARS:
    python -m models.reid.tune --config {EXAMPLE} --set data.root=FOLDER
      --output outputs/reid/search
  learning rate and people a batch, on your own people:
    python -m models.reid.tune --config configs/reid/osnet.yaml --output outputs/reid/search
      --set data.name=folder --set data.root=FOLDER --trials 20
      --search optimizer.lr=1e-5,1e-2,log --search batches.n_people=4,32

{EXAMPLE} shows the section `search` of a YAML, which says the same as --search and --trials;
{training_settings.EXAMPLE} explains every setting of the trainings.
"""


class Search(Section):
    """The section `search` of a YAML: what is searched, beside the settings of the trainings."""

    trials: Count = 60
    space: dict[str, list[float | str]] = Field(default_factory=dict)
    """Least and most by setting, and the word log for a logarithmic scale; {} takes the seven
    published ones.
    """


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.tune",
        description="Search for hyper-parameters: train again and again, scored on held-out"
        " training people.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--config",
        default="",
        metavar="FILE",
        help="YAML of the training, perhaps with a section `search`",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; may be repeated",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the search; one that is there goes on",
    )
    add(
        "--search",
        action="append",
        default=[],
        metavar="KEY=LEAST,MOST[,log]",
        help="search this setting between these values, in place of those of the YAML or else the"
        " seven published ones; may be repeated, such as --search optimizer.lr=1e-5,1e-2,log",
    )
    add("--trials", type=int, metavar="N", help="trainings in all (default 60)")
    add("--quiet", action="store_true", help="print the report only")
    return parser.parse_args(arguments)


def ranges(texts: Sequence[str]) -> dict[str, tuple[float, float, bool]]:
    """Read what to search.

    Args:
        texts: Each KEY=LEAST,MOST or KEY=LEAST,MOST,log.

    Returns:
        Least, most and whether on a logarithmic scale, by setting.

    Raises:
        InputError: One is not written so.
    """
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        parts = [part.strip() for part in value.split(",")]
        try:
            found[key.strip()] = _range(parts)
        except ValueError:
            raise InputError(
                f"--search {text}: write it as KEY=LEAST,MOST or KEY=LEAST,MOST,log, for example"
                " --search optimizer.lr=1e-5,1e-2,log"
            ) from None
    return found


def load(path: str) -> Search:
    """Read the section `search` of a file.

    Args:
        path: The YAML; "" none.

    Raises:
        InputError: The file cannot be read, or its section is not valid.
    """
    values = sections.read(path, EXAMPLE).get("search", {}) if path else {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: search: expected `key: value` pairs, as in {EXAMPLE}")
    return sections.build(Search, values, f"{path}: search", EXAMPLE)


def space_of(search: Search, path: str) -> dict[str, tuple[float, float, bool]]:
    """Return the ranges of a section `search`, as `ranges` does.

    Args:
        search: The section.
        path: Its file, for messages.

    Raises:
        InputError: A range is not one.
    """
    found = {}
    for key, parts in search.space.items():
        try:
            found[key] = _range(parts)
        except ValueError:
            raise InputError(
                f"{path}: search.space.{key}: write it as [LEAST, MOST] or [LEAST, MOST, log]"
            ) from None
    return found


def _range(parts: Sequence[Any]) -> tuple[float, float, bool]:
    """Least, most and whether on a logarithmic scale; raises ValueError."""
    is_log = parts[2:] == ["log"]
    least, most = (float(number) for number in (parts[:2] if is_log else parts))
    return least, most, is_log


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    parsed = parse(arguments)
    return command.run(_run, parsed, interrupted="interrupted; the same command goes on")


def _run(parsed: argparse.Namespace) -> None:
    extras.need_train("a search", "lightning_fabric", "tensorboard", "optuna")
    import optuna  # late: it may be missing, and --help should not wait for torch

    from models.reid.training import hyperparameters

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    study_log = parsed.output / hyperparameters.STUDY
    try:
        settings = training_settings.load(parsed.config, tuple(parsed.set))
        search = load(parsed.config)
        space = ranges(parsed.search) or space_of(search, parsed.config)
        n_trials = search.trials if parsed.trials is None else parsed.trials
        shown = Shown("search", parsed.quiet, n_trials)
        with Interrupts(search="") as interrupts, shown:
            study = hyperparameters.search(
                settings,
                parsed.output,
                n_trials,
                shown.line,
                interrupts["search"].is_set,
                space or hyperparameters.SPACE,
                shown.batch,
            )
    except OSError as error:  # of Optuna, which writes the log of the search
        raise InputError(f"{study_log}: {files.failure(error)}") from None
    for trial in hyperparameters.finished(study)[:5]:
        values = "  ".join(
            f"{name.rpartition('.')[2]} {value:.4g}" for name, value in trial.params.items()
        )
        print(f"trial {trial.number:3d}  {settings.train.select} {trial.value or 0:.4f}  {values}")
    print(
        f"{parsed.output / hyperparameters.REPORT}; each trial's settings are in its folder"
        f" {parsed.output / hyperparameters.TRIALS}"
    )


if __name__ == "__main__":
    sys.exit(main())
