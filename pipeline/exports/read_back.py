"""Results of what a human corrected in CVAT, or in MOTChallenge files: `people-tracker import`.

    people-tracker import outputs/monday monday_cvat/*.xml --output outputs/monday_by_hand

The new folder has exactly the boxes and people of the files, in the form of a run's results, so
that `report`, `pipeline.evaluate` (as results and as truth) and `pipeline.crops` take it. Cameras
without a file are left out. Cameras and the times of frames come from the run. So do ids of tracks
where a file has none: a box that lies where the run had one is of its track, and has its crop.
"""

import argparse
import sys
from pathlib import Path

from models import command
from models.errors import InputError
from pipeline.errors import PipelineError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 when it cannot be read."""
    parser = command.Parser(
        prog="people-tracker import",
        description="Make results of what was corrected in CVAT or in MOT files.",
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="output folder of the run that was corrected")
    add(
        "files",
        type=Path,
        nargs="+",
        metavar="FILES",
        help="one file a camera, or folders of them: CVAT for video 1.1 (<camera>.xml, or the .zip"
        " of a task that is named like a camera), MOT (<camera>.txt or <camera>/gt/gt.txt)",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--overwrite", action="store_true", help="replace the results in --output")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after the command; None for those of this process.

    Returns:
        The exit code: 0 done, 2 an error in the input, 130 interrupted.
    """
    parsed = parse(arguments)
    return command.run(_run, parsed, (PipelineError, InputError), results_are_files=True)


def _run(parsed: argparse.Namespace) -> None:
    from pipeline.exports import corrected  # here, because it loads torch

    imported = corrected.write(parsed.folder, parsed.files, parsed.output, parsed.overwrite)
    for warning in imported.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if imported.left_out:
        print(
            f"note: no file was given for {', '.join(imported.left_out)}; left out",
            file=sys.stderr,
        )
    n_tracklets = sum(len(person.tracklets) for person in imported.people)
    where = parsed.output / "trajectories.json"
    print(f"{len(imported.people)} people in {n_tracklets} tracklets: {where}")


if __name__ == "__main__":
    sys.exit(main())
