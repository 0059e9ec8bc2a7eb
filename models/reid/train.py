"""Train a ReID network: `python -m models.reid.train --config configs/reid/video.yaml --output
outputs/reid/video`.
"""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import extras, streams
from models import settings as sections
from models.errors import InputError
from models.interrupts import Interrupts
from models.progress import Progress
from models.reid import settings as training_settings
from models.reid.training import folder

if TYPE_CHECKING:
    from models.reid.training.run import Place

EXAMPLES = f"""\
examples:
  train on your own people, 10 % of them held out to select the model:
    python -m models.reid.train --config configs/reid/osnet.yaml --output outputs/reid/mine
      --set data.name=folder --set data.root=FOLDER
  go on after an interruption; or train longer, or with the data elsewhere:
    python -m models.reid.train --resume --output outputs/reid/mine
    python -m models.reid.train --resume --output outputs/reid/mine --set train.epochs=120

{training_settings.EXAMPLE} explains every setting; --list-settings prints their names and
defaults. python -m models.reid.data.catalogue lists the data sets, models/reid/NETWORKS.md the
networks; python -m models.reid.experiment repeats published experiments (configs/reid/published/).
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.train",
        description="Train a ReID network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--config",
        default="",
        metavar="FILE",
        help="YAML with settings; configs/reid/ has one for every use",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; may be repeated",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the run")
    add(
        "--list-settings",
        action=_ListSettings,
        nargs=0,
        help="print every setting with its default and exit",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --output, exactly where it stopped; --set may change"
        " train.epochs, train.workers, train.device and data.root",
    )
    add("--overwrite", action="store_true", help="replace the run in --output")
    add("--quiet", action="store_true", help="print nothing but errors")
    return parser.parse_args(arguments)


class _ListSettings(argparse.Action):
    """Prints the settings and ends the command, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(sections.dump(training_settings.Settings()), end="")
        parser.exit()


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error that the user can mend, 130 interrupted and ready to
    resume.

    Of several processes the first speaks and has the code; the others return 0, as Fabric kills a
    run that has another one.
    """
    parsed = parse(arguments)
    try:
        with streams.steady(), Interrupts(training="") as interrupts:
            return _train(parsed, interrupts["training"].is_set)
    except InputError as error:
        return _end(2, f"error: {error}")
    except KeyboardInterrupt:
        there = (parsed.output / folder.CHECKPOINT).is_file()
        return _end(
            130,
            "interrupted; --resume goes on from the last whole epoch" if there else "interrupted",
        )


def is_first() -> bool:
    """Whether this is the process that speaks: a training on several devices runs its command in
    each of several processes.
    """
    # not imported yet: there is one process
    processes = sys.modules.get("models.reid.training.processes")
    return processes is None or bool(processes.is_first())


def in_a_line(row: dict[str, Any]) -> str:
    """Return one epoch as one line."""
    numbers = (f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
    return f"epoch {row['epoch']:3d}  " + "  ".join(numbers)


def _train(parsed: argparse.Namespace, stop: Callable[[], bool]) -> int:
    settings = _settings(parsed)
    extras.need_train("training", "lightning_fabric", "tensorboard")
    # late: torch takes seconds, and a wrong key should not wait for it
    from models.reid.training import run

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    with Shown("training", parsed.quiet) as shown:
        outcome = run.fit(
            settings,
            parsed.output,
            parsed.resume,
            parsed.overwrite,
            report=shown.epoch,
            stop=stop,
            watch=shown.batch,
            begin=shown.line,
        )
    if outcome.interrupted:
        return _end(
            130,
            f"interrupted in epoch {outcome.n_epochs}; go on with --resume --output"
            f" {parsed.output}",
        )
    held = f"held-out {settings.train.select} {outcome.best:.3f} (epoch {outcome.best_epoch})"
    return _end(
        0,
        f"{parsed.output / folder.MODEL}: {held if outcome.best >= 0 else 'the last epoch'}",
        parsed.quiet,
    )


class Shown:
    """What is seen of a training, or of several, while they run: lines, and how far they are.

    Args:
        name: What runs, such as "training".
        quiet: Whether to show nothing.
        n_trainings: How many run one after another.
    """

    def __init__(self, name: str, quiet: bool, n_trainings: int = 1) -> None:
        self._name = name
        self._quiet = quiet
        self._n_trainings = n_trainings
        self._progress: Progress | None = None

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.close()

    def epoch(self, row: dict[str, Any]) -> None:
        """Print one epoch."""
        self.line(in_a_line(row))

    def line(self, text: str) -> None:
        """Print a line, above the bar."""
        if self._quiet:
            return
        if self._progress is None:
            print(text, flush=True)
        else:
            self._progress.write(text)

    def batch(self, place: "Place", n_before: int = 0) -> None:
        """Say how far all is; the batches of later epochs are taken to be as many.

        Args:
            place: In the current training.
            n_before: Trainings that are done.
        """
        n_epochs = n_before * place.n_epochs + place.epoch
        done = n_epochs * place.n_batches + place.batch
        total = self._n_trainings * place.n_epochs * place.n_batches
        note = f"epoch {place.epoch}"
        if self._n_trainings > 1:
            note = f"{n_before} of {self._n_trainings} done, {note}"
        if self._progress is None:
            self._progress = Progress(self._name, "batches", total, done - 1, self._quiet)
        self._progress.at(done, note, total)


def _end(code: int, text: str, quiet: bool = False) -> int:
    """Say how it ended, in the first process only."""
    if not is_first():
        return 0
    if not quiet:
        print(text, file=sys.stderr if code else sys.stdout)
    return code


def _settings(parsed: argparse.Namespace) -> training_settings.Settings:
    """Settings of a new run, or those of the run to resume."""
    config = parsed.config
    if parsed.resume and not config:
        folder.check(parsed.output, resume=True, overwrite=False)
        config = str(parsed.output / folder.CONFIG)
    return training_settings.load(config, tuple(parsed.set))


if __name__ == "__main__":
    sys.exit(main())
