"""Apply corrections to a finished run, without reading its videos.

    people-tracker apply outputs/monday corrections.yaml
    people-tracker apply outputs/monday                     # with its corrections.yaml as it is
    people-tracker apply outputs/monday --zones site.yaml   # count at other zones

The corrections of the file are added to those of the folder's `corrections.yaml`, which then holds
both. To take one back, edit that file and leave out the other. See `pipeline.relink`.
"""

import argparse
import sys
from pathlib import Path

from models import command
from pipeline import api
from pipeline.errors import PipelineError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="people-tracker apply",
        description="Link a finished run again with corrections, without reading its videos.",
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="output folder of a run over files")
    add(
        "corrections",
        nargs="?",
        default="",
        metavar="FILE",
        help="corrections to add to those in DIR/corrections.yaml (default: those alone)",
    )
    add(
        "--zones",
        default="",
        metavar="FILE",
        help="settings whose zones are counted, such as those that the report's view Draw makes"
        " (default: DIR/config.yaml)",
    )
    add("--output", default="", metavar="DIR2", help="folder for the results (default DIR)")
    add(
        "--overwrite", action="store_true", help="replace the results of an earlier run in --output"
    )
    add("--video", action="store_true", help="draw the annotated videos again, from the sources")
    add("--quiet", action="store_true", help="no progress bar and no summary")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    interrupted = "interrupted; the results are as they were"
    return command.run(_run, parse(arguments), PipelineError, interrupted, results_are_files=True)


def _run(parsed: argparse.Namespace) -> None:
    result = api.apply_corrections(
        parsed.folder,
        parsed.corrections,
        output=parsed.output,
        overwrite=parsed.overwrite,
        video=parsed.video,
        quiet=parsed.quiet,
        zones=parsed.zones,
    )
    from pipeline import summary  # here, because it loads torch

    summary.tell(result, parsed.quiet)


if __name__ == "__main__":
    sys.exit(main())
