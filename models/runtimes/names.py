"""Names of runtimes and precisions as the settings have them; importing this loads no runtime."""

import argparse
from typing import Literal, get_args

RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime"]
PrecisionName = Literal["auto", "float32", "bfloat16", "int8"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--runtime` and `--precision` to a command."""
    parser.add_argument(
        "--runtime",
        choices=get_args(RuntimeName),
        default="auto",
        help="what computes the network on a CPU (default: as in a run, auto)",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(PrecisionName),
        default="auto",
        help="in which precision (default: as in a run, auto)",
    )
