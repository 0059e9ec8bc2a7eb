"""The command line: read the arguments, run, and say where the results are.

Where the first word is the name of another command (`COMMANDS`), that one takes the rest.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from models import command
from models.settings import RenamedSetting
from pipeline import config as configuration
from pipeline.api import follow_live, track_people
from pipeline.config import Config
from pipeline.errors import ConfigError, PipelineError
from pipeline.version import VERSION, git_hash


class Command(NamedTuple):
    """A command that works on results: the module whose `main` takes its arguments, and what it
    does, for the help.
    """

    module: str
    does: str


COMMANDS = {
    "apply": Command("pipeline.apply", "link again with corrections, without reading video"),
    "report": Command("pipeline.report.__main__", "make report.html again"),
    "explain": Command("pipeline.explain", "say why tracklets were linked to one person"),
    "evaluate": Command("pipeline.evaluate.__main__", "compare results with ground truth"),
    "export": Command("pipeline.exports.__main__", "write results for CVAT, COCO, Parquet, ..."),
    "import": Command("pipeline.exports.read_back", "make results of corrected CVAT or MOT files"),
}
"""Modules are imported when they are needed."""

_COMMANDS = "\n".join(f"  %(prog)s {name:<10}{each.does}" for name, each in COMMANDS.items())
EPILOG = f"""examples:
  %(prog)s --videos cam1.mp4 cam2.mp4
  %(prog)s --config site.yaml --output outputs/monday
  %(prog)s --videos a.mp4 b.mp4 --set detector.weights=yolo11n.pt
  %(prog)s --videos 'rtsp://${{USER}}:${{PASS}}@10.0.0.7/main' rtsp://10.0.0.8/main --serve 8080
commands for results, each with its own --help:
{_COMMANDS}
All settings with their meaning: {configuration.EXAMPLE.replace("%", "%%")}"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 when it cannot be read.

    Args:
        arguments: The words after the command; None for those of this process.
    """
    parser = command.Parser(
        description="Track people in several cameras and give each person one identity.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--videos",
        nargs="+",
        metavar="PATH",
        help="video files, folders of images, or live cameras (rtsp://, http://, /dev/video0, 0,"
        " file.mp4?live), one per camera",
    )
    add("--config", default="", metavar="FILE", help="YAML with cameras and settings")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; can be repeated",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the results (default outputs/<date and time>)",
    )
    add(
        "--overwrite", action="store_true", help="replace the results of an earlier run in --output"
    )
    add(
        "--resume",
        action="store_true",
        help="live cameras: go on with the people of an earlier run in --output, if there is one;"
        " with engine=ray: go on with a run that was killed",
    )
    add("--serve", type=int, metavar="PORT", help="live cameras: serve a page on this port")
    add("--device", help="auto, cpu, cuda, cuda:1, mps (default auto)")
    add("--stride", type=int, metavar="N", help="process every N-th frame")
    add(
        "--max-seconds",
        type=float,
        metavar="S",
        help="process only the first S seconds of each source",
    )
    add(
        "--corrections",
        metavar="FILE",
        help="YAML file of tracks that are known to be one person, different people or no person",
    )
    add(
        "--priors",
        metavar="FILE",
        help="what an earlier run learned about this site: its priors.json",
    )
    add("--no-video", action="store_true", help="write no annotated videos")
    add("--mosaic", action="store_true", help="also write mosaic.mp4 with all cameras side by side")
    add("--no-report", action="store_true", help="write no report.html and keep no crops")
    add("--quiet", action="store_true", help="no progress bar and no summary")
    add("--version", action="store_true", help="print the version and exit")
    return parser.parse_args(arguments)


def settings(arguments: argparse.Namespace) -> Config:
    """Build the settings from the defaults, --config, --set and the flags, in this order.

    Raises:
        ConfigError: A setting is unknown or not valid.
    """
    config = configuration.load(arguments.config, arguments.set)
    config = configuration.with_videos(config, arguments.videos or [])
    flags = {
        "device": arguments.device,
        "sources.stride": arguments.stride,
        "sources.max_seconds": arguments.max_seconds,
        "linking.corrections": arguments.corrections,
        "linking.priors": arguments.priors,
        "output.video": False if arguments.no_video else None,
        "output.mosaic": True if arguments.mosaic else None,
        "output.report": False if arguments.no_report else None,
        "serve.port": arguments.serve,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    return configuration.change(config, given)


def _settings_with_notes(arguments: argparse.Namespace) -> Config:
    """As `settings`; prints one line for each setting that is given under an old name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RenamedSetting)
        config = settings(arguments)
    for warning in caught:
        print(f"note: {warning.message}", file=sys.stderr)
    return config


def main(arguments: list[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: The words after the command; None for those of this process.

    Returns:
        The exit code: 0 done, 2 an error in the input, 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in COMMANDS:
        return _main_of(COMMANDS[words[0]])(words[1:])
    parsed = parse(arguments)
    if parsed.version:
        return command.run(_print_version, parsed)
    interrupted = "interrupted; the output folder holds what was complete by then"
    return command.run(_run, parsed, PipelineError, interrupted, results_are_files=True)


def _main_of(chosen: Command) -> Callable[[list[str]], int]:
    """The `main` of a command."""
    main_: Callable[[list[str]], int] = importlib.import_module(chosen.module).main
    return main_


def _print_version(parsed: argparse.Namespace) -> None:
    print(f"multi-camera people tracker {VERSION} {git_hash()[:12]}".rstrip())


def _run(parsed: argparse.Namespace) -> int:
    output = parsed.output or Path("outputs") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    config = _settings_with_notes(parsed)
    if configuration.is_live(config):
        return _follow(parsed, config, output)
    is_resumable = config.engine == "ray"
    if (parsed.resume and not is_resumable) or config.serve.port:
        raise ConfigError(
            "--resume and --serve are for live cameras; leave them out, or play files as if live:"
            " cam1.mp4?live (--resume is for engine=ray, too)"
        )
    result = track_people(
        config=config,
        output=output,
        overwrite=parsed.overwrite,
        quiet=parsed.quiet,
        resume=parsed.resume,
    )
    from pipeline import summary  # here, because it loads torch

    summary.tell(result, parsed.quiet)
    return 130 if result.interrupted else 0


def _follow(parsed: argparse.Namespace, config: Config, output: Path) -> int:
    """Follow live cameras until the run is stopped."""
    if parsed.overwrite:
        raise ConfigError(
            "--overwrite would lose what live cameras showed; choose another --output, or add"
            " --resume to go on with the people of the run in it"
        )
    result = follow_live(
        config=config,
        output=output,
        resume=parsed.resume,
        reload=(lambda: settings(parsed)) if parsed.config else None,
        quiet=parsed.quiet,
    )
    from pipeline import summary  # here, because it loads torch

    summary.tell(result, parsed.quiet)
    return 0
