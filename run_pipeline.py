#!/usr/bin/env python3
"""Videos in, people out: parse the command line, run, and say where the results are."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from pipeline import config as configuration
from pipeline.config import Config
from pipeline.errors import ConfigError, PipelineError

EPILOG = """examples:
  run_pipeline.py --videos cam1.mp4 cam2.mp4
  run_pipeline.py --config configs/plaza.yaml --output outputs/plaza
  run_pipeline.py --videos a.mp4 b.mp4 --set detector.weights=yolo11n.pt
All settings with their meaning: configs/default.yaml"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Track people in several cameras and give each one identity.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--videos",
        nargs="+",
        metavar="PATH",
        help="video files or folders of images, one per camera",
    )
    add("--config", default="", metavar="FILE", help="YAML with cameras and settings")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; may be repeated",
    )
    add("--output", type=Path, metavar="DIR", help="where results go (default outputs/<time>)")
    add(
        "--overwrite", action="store_true", help="replace the results of an earlier run in --output"
    )
    add("--device", help="auto, cpu, cuda, cuda:1, mps (default auto)")
    add("--stride", type=int, metavar="N", help="process every N-th frame")
    add("--max-seconds", type=float, metavar="S", help="process the first S seconds of each source")
    add(
        "--corrections",
        metavar="FILE",
        help="what a human knows: tracks that are the same person, and different people",
    )
    add(
        "--priors", metavar="FILE", help="what an earlier run of this site learned: its priors.json"
    )
    add("--no-video", action="store_true", help="write no annotated videos")
    add("--mosaic", action="store_true", help="also write mosaic.mp4 with all cameras side by side")
    add("--quiet", action="store_true", help="no progress bar and no summary")
    add("--version", action="store_true", help="print version and exit")
    return parser.parse_args(arguments)


def settings(arguments: argparse.Namespace) -> Config:
    """Defaults, then --config, then --set, then the flags; raises ConfigError."""
    config = configuration.load(arguments.config, arguments.set)
    if arguments.videos:
        if config.cameras:
            raise ConfigError(
                "--videos and the config's cameras exclude each other; give one of them"
            )
        config = configuration.change(
            config, {"cameras": [{"source": video} for video in arguments.videos]}
        )
    flags = {
        "device": arguments.device,
        "sources.stride": arguments.stride,
        "sources.max_seconds": arguments.max_seconds,
        "linking.corrections": arguments.corrections,
        "linking.priors": arguments.priors,
        "output.video": False if arguments.no_video else None,
        "output.mosaic": True if arguments.mosaic else None,
    }
    return configuration.change(
        config, {key: value for key, value in flags.items() if value is not None}
    )


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error that the user can mend, 130 interrupted."""
    parsed = parse(arguments)
    if parsed.version:
        from pipeline.outputs.manifest import VERSION, git_hash

        print(f"multi-camera people tracker {VERSION} {git_hash()[:12]}".rstrip())
        return 0
    try:
        config = settings(parsed)
        output = parsed.output or Path("outputs") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        from pipeline import (
            run,
            summary,
        )  # late: torch takes seconds, and a wrong key should not wait for it

        result = run.run(config, output, parsed.overwrite, parsed.quiet)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was complete by then is in the output folder", file=sys.stderr)
        return 130
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not parsed.quiet:
        print(summary.table(result))
    return 130 if result.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
