"""Train the person detector: `python -m models.detector.train --config configs/detector/person.yaml
--output DIR`.
"""

import argparse
import sys
from pathlib import Path

from models import command
from models.detector import settings


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.detector.train", description="Train the person detector."
    )
    add = parser.add_argument
    add(
        "--config",
        default="",
        metavar="FILE",
        help="YAML with settings; configs/detector/person.yaml shows all",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; may be repeated",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="new folder for the weights")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    chosen = settings.load(parsed.config, tuple(parsed.set))
    # late: torch takes seconds, and a wrong key should not wait for it
    from models.detector import training

    print(training.fit(chosen, parsed.output))


if __name__ == "__main__":
    sys.exit(main())
