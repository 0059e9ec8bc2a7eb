"""Train a ReID network: `python -m models.reid.train --config configs/reid/video.yaml --output
outputs/reid/video`.
"""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import streams
from models.errors import InputError
from models.interrupts import Interrupts
from models.reid import settings as training_settings
from models.reid.training import folder


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.train", description="Train a ReID network."
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
        "--resume",
        action="store_true",
        help="go on with the run in --output, exactly where it stopped",
    )
    add("--overwrite", action="store_true", help="replace the run in --output")
    add("--quiet", action="store_true", help="print nothing but errors")
    return parser.parse_args(arguments)


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


def show(row: dict[str, Any]) -> None:
    """Print one epoch as one line."""
    numbers = (f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
    print(f"epoch {row['epoch']:3d}  " + "  ".join(numbers), flush=True)


def _train(parsed: argparse.Namespace, stop: Callable[[], bool]) -> int:
    settings = _settings(parsed)
    from models.reid.training import (
        run,
    )  # late: torch takes seconds, and a wrong key should not wait for it

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    report = (lambda row: None) if parsed.quiet else show
    outcome = run.fit(settings, parsed.output, parsed.resume, parsed.overwrite, report, stop)
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


def _end(code: int, text: str, quiet: bool = False) -> int:
    """Say how it ended, in the first process only."""
    processes = sys.modules.get(
        "models.reid.training.processes"
    )  # not imported yet: there is one process
    if processes is not None and not processes.is_first():
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
