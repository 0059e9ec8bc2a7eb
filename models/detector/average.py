"""Weights between a start and its fine-tune: `python -m models.detector.average --start S --tuned T
--alpha 0.5 --output FILE`.

A fine-tune of few pictures gains where it was tuned and loses elsewhere; on the straight line
between both networks there is often a point that keeps nearly all of both (Wortsman et al., arXiv
2109.01903). Measure the whole line: alpha 0 is the start, 1 the fine-tune, and several alphas write
a file each.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from models import command
from models.detector import network as networks
from models.errors import InputError


def average(start: Any, tuned: Any, alpha: float) -> Any:
    """Average two networks.

    Args:
        start: A network.
        tuned: One of the same shape; it is changed.
        alpha: Share of `tuned`, 0..1.

    Returns:
        `tuned` with weights and statistics (1 - alpha) start + alpha tuned; whole numbers
        (counters) stay those of `tuned`.

    Raises:
        InputError: The networks have different layers.
    """
    before = start.state_dict()
    after = tuned.state_dict()
    shapes = {name: value.shape for name, value in after.items()}
    if {name: value.shape for name, value in before.items()} != shapes:
        raise InputError(
            "the start and the fine-tune have different layers; average networks of one"
            " architecture"
        )
    mixed = {
        name: torch.lerp(before[name], value, alpha) if value.is_floating_point() else value
        for name, value in after.items()
    }
    tuned.load_state_dict(mixed)
    return tuned


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.detector.average", description="Mix a start and its fine-tune."
    )
    add = parser.add_argument
    add(
        "--start",
        type=Path,
        required=True,
        metavar="FILE",
        help=".safetensors the fine-tune started from",
    )
    add(
        "--tuned",
        type=Path,
        required=True,
        metavar="FILE",
        help=".safetensors of models.detector.train",
    )
    add("--architecture", default="yolo11n.yaml", metavar="YAML", help="of both")
    add(
        "--alpha",
        type=float,
        nargs="+",
        default=[0.5],
        metavar="A",
        help="share of the fine-tune, 0 to 1",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="with several alphas, FILE-0.25.safetensors and so on",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    for path in write(parsed.start, parsed.tuned, parsed.architecture, parsed.alpha, parsed.output):
        print(path)


def write(
    start: Path, tuned: Path, architecture: str, alphas: list[float], output: Path
) -> list[Path]:
    """Write one file per alpha and return them; raises InputError."""
    written = []
    for alpha in alphas:
        if not 0 <= alpha <= 1:
            raise InputError(f"--alpha {alpha}: expected 0 (the start) to 1 (the fine-tune)")
        first, second = (
            networks.person_only(networks.load(path, architecture)) for path in (start, tuned)
        )
        path = output if len(alphas) == 1 else output.with_stem(f"{output.stem}-{alpha:g}")
        about = {"start": start.name, "alpha": f"{alpha:g}"}
        networks.save(path, average(first, second, alpha), architecture, about)
        written.append(path)
    return written


if __name__ == "__main__":
    sys.exit(main())
