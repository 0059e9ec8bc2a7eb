"""A checkpoint of another ReID program as a network of this one: `python -m models.reid.convert
FILE --output MODEL.safetensors`.

Commands that take ReID weights read such checkpoints themselves. Converting them is for what their
keys do not tell, such as another input size (`--set height_px=384`), and for files that are to be
passed on. models/reid/NETWORKS.md lists the programs.
"""

import argparse
import sys
from pathlib import Path

from models import command
from models import settings as sections
from models.errors import InputError
from models.reid.networks import file


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.convert",
        description="Convert a checkpoint of another ReID program.",
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="a .pth, .pth.tar, .pt, .bin, .safetensors or .h5 file")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .safetensors to write",
    )
    add(
        "--architecture",
        default="",
        metavar="NAME",
        help="a network of models/reid/NETWORKS.md in the place of the one that the keys tell",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="height_px, width_px or an option of the network, such as last_stride=1",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    output: Path = parsed.output
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: --output takes the name of a .safetensors file")
    changes = sections.overrides(parsed.set, "last_stride=1")
    loaded = file.load(parsed.checkpoint, parsed.architecture, changes)
    if not loaded.note:
        raise InputError(f"{parsed.checkpoint}: is a network of this program already")
    file.save(loaded.network, loaded.recipe, output, loaded.about)
    print(f"{parsed.checkpoint}: {loaded.note}")
    n_tensors = len(loaded.network.state_dict())
    print(f"{output}: {n_tensors} tensors, RGB normalised by ImageNet's mean and deviation")


if __name__ == "__main__":
    sys.exit(main())
