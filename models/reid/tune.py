"""Search for hyper-parameters: `python -m models.reid.tune --config configs/reid/bag_of_tricks.yaml
--output DIR`; see `models.reid.training.hyperparameters`.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from models import command, extras, files
from models.errors import InputError
from models.interrupts import Interrupts
from models.reid import settings as training_settings


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.tune", description="Search for hyper-parameters."
    )
    add = parser.add_argument
    add("--config", default="", metavar="FILE", help="YAML of the training")
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
        help="search this setting between these values, in place of the seven published ones;"
        " may be repeated, such as --search optimizer.lr=1e-5,1e-2,log",
    )
    add("--trials", type=int, default=60, metavar="N", help="trainings in all (default 60)")
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
        is_log = parts[2:] == ["log"]
        numbers = parts[:2] if is_log else parts
        try:
            least, most = (float(number) for number in numbers)
        except ValueError:
            raise InputError(
                f"--search {text}: write it as KEY=LEAST,MOST or KEY=LEAST,MOST,log, for example"
                " --search optimizer.lr=1e-5,1e-2,log"
            ) from None
        found[key.strip()] = (least, most, is_log)
    return found


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
        with Interrupts(search="") as interrupts:
            stop = interrupts["search"].is_set
            settings = training_settings.load(parsed.config, tuple(parsed.set))
            study = hyperparameters.search(
                settings,
                parsed.output,
                parsed.trials,
                parsed.quiet,
                stop,
                ranges(parsed.search) or hyperparameters.SPACE,
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
