"""Write the results of a run in the formats of other tools: `people-tracker export`."""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from models import command
from models.errors import InputError
from pipeline.errors import ConfigError, OutputError, PipelineError
from pipeline.outputs.folder import MOT, listed

PACKAGES = {"parquet": ("pyarrow", "pyarrow"), "rerun": ("rerun", "rerun-sdk")}
"""Module and package that a format needs."""
EPILOG = """examples:
  %(prog)s outputs/monday --coco monday.json --parquet monday.parquet
  %(prog)s outputs/monday --cvat monday_cvat     # correct it in CVAT, then: people-tracker import
From Python, pipeline.exports.to_supervision gives supervision.Detections."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 when it cannot be read."""
    parser = command.Parser(
        prog="people-tracker export",
        description="Write the results of a run in the formats of other tools.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="output folder of a run")
    add(
        "--mot",
        type=Path,
        metavar="DIR",
        help="MOTChallenge sequences, <camera>/gt/gt.txt and seqinfo.ini (mot/ of a run has results"
        " in MOTChallenge's form already)",
    )
    add("--coco", type=Path, metavar="FILE", help="COCO-style JSON of all cameras")
    add(
        "--cvat",
        type=Path,
        metavar="DIR",
        help="CVAT for video 1.1, <camera>.xml, and the label of a task, labels.json",
    )
    add("--parquet", type=Path, metavar="FILE", help="Parquet (needs pyarrow)")
    add(
        "--rerun",
        type=Path,
        metavar="FILE",
        help="recording for the rerun viewer, *.rrd (needs rerun-sdk)",
    )
    add("--overwrite", action="store_true", help="replace files that exist")
    parsed = parser.parse_args(arguments)
    if not _targets(parsed):
        parser.error("name a format: --mot, --coco, --cvat, --parquet or --rerun")
    return parsed


def _targets(parsed: argparse.Namespace) -> dict[str, Path]:
    """Where each format goes that was asked for."""
    formats = ("mot", "coco", "cvat", "parquet", "rerun")
    return {name: getattr(parsed, name) for name in formats if getattr(parsed, name)}


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
    from pipeline.exports import coco, cvat, mot, parquet, rerun
    from pipeline.exports.table import Table

    writers: dict[str, Callable[[Table, Path], None]] = {
        "mot": mot.write,
        "coco": coco.write,
        "cvat": cvat.write,
        "parquet": parquet.write,
        "rerun": rerun.write,
    }
    targets = _targets(parsed)
    _check(targets, parsed.overwrite)
    table = Table(parsed.folder)
    _spare_run(targets, parsed.folder)
    for name, path in targets.items():
        writers[name](table, path)
        print(path)


def _check(targets: dict[str, Path], overwrite: bool) -> None:
    """Raise PipelineError where a package is missing, or something would be lost."""
    for name, (module, package) in PACKAGES.items():
        if name in targets and importlib.util.find_spec(module) is None:
            raise ConfigError(f"--{name} needs the package {package} (pip install {package})")
    resolved = [path.resolve() for path in targets.values()]
    if len(set(resolved)) < len(resolved):
        raise ConfigError("two formats go to the same place; give each its own")
    for name, path in targets.items():
        needs_folder = name in ("mot", "cvat")
        if path.exists() and path.is_dir() != needs_folder:
            found = "a file" if needs_folder else "a folder"
            raise OutputError(f"{path}: is {found}; give --{name} another place")
        is_taken = any(path.iterdir()) if path.is_dir() else path.exists()
        if is_taken and not overwrite:
            raise OutputError(f"{path}: exists; choose another place or add --overwrite")


def _spare_run(targets: dict[str, Path], folder: Path) -> None:
    """Raise OutputError where an export would replace a file of the run itself."""
    of_run = {(folder / name).resolve() for name in listed(folder)}
    of_run |= {folder.resolve(), (folder / MOT).resolve()}
    for name, path in targets.items():
        if path.resolve() in of_run:
            raise OutputError(f"{path}: belongs to the run; give --{name} another place")


if __name__ == "__main__":
    sys.exit(main())
