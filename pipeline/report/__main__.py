"""Make the report of a run again, from its output folder.

    python -m pipeline.report outputs/monday

It writes `report.html` into the folder. Videos beside it are played by the report.
"""

import argparse
import sys
from pathlib import Path

from models import command
from models.errors import InputError
from pipeline.errors import PipelineError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="python -m pipeline.report", description="Make the report of a finished run again."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a run")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), (PipelineError, InputError))


def _run(parsed: argparse.Namespace) -> None:
    from pipeline.report import write  # here, because it loads torch

    print(write.of_folder(parsed.folder))


if __name__ == "__main__":
    sys.exit(main())
