"""How large a network is and how much it computes: `python -m models.reid.complexity osnet_x1_0`.

Multiplications with an addition each (MACs) are counted, of convolutions and matrix products, as
papers on ReID do under the name of FLOPs; a MAC is two floating point operations.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models import command
from models.reid.networks import file, table


@dataclass(frozen=True)
class Complexity:
    """n_parameters: of the network without its classifiers. n_macs: of one crop."""

    n_parameters: int
    n_macs: int
    height_px: int
    width_px: int

    def __str__(self) -> str:
        return (
            f"{self.n_parameters / 1e6:.2f} M parameters, {self.n_macs / 1e9:.2f} GMACs"
            f" ({2 * self.n_macs / 1e9:.2f} GFLOPs) a crop of {self.height_px}x{self.width_px}"
        )


def measure(network: nn.Module, height_px: int, width_px: int) -> Complexity:
    """Count parameters and operations of a network.

    Args:
        network: As `networks.table` builds it; it is not changed.
        height_px: Height of a crop.
        width_px: Width of a crop.

    Returns:
        The counts, of a clip of one frame.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    mask = torch.ones(1, 1, dtype=torch.bool, device=device)
    crop = torch.zeros(1, 1, 3, height_px, width_px, device=device)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(crop, mask, mask.float())
    network.train(was_training)
    n_parameters = sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if "classifier" not in name
    )
    return Complexity(n_parameters, counter.get_total_flops() // 2, height_px, width_px)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.complexity",
        description="Print parameters and operations of ReID networks.",
    )
    parser.add_argument(
        "networks",
        nargs="*",
        metavar="NAME",
        help="networks of models/reid/NETWORKS.md or .safetensors files (default: all networks)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    for name in parsed.networks or table.TABLE:
        if name.endswith(".safetensors"):
            loaded = file.load(Path(name))
            network = loaded.network
            size = (loaded.recipe.height_px, loaded.recipe.width_px)
        else:
            row = table.architecture(name)
            size = (row.height_px, row.width_px)
            sized = {"height_px": size[0], "width_px": size[1]} if row.sized else {}
            network = table.build(name, sized)
        print(f"{name:26}{measure(network, *size)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
