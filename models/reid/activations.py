"""Where a ReID network looks: `python -m models.reid.activations WEIGHTS PICTURES... --output DIR`.

The activation of a place is the sum of the squares of all channels of the last feature map there
(Zagoruyko and Komodakis, arXiv 1612.03928), scaled to unit length over the picture, as torchreid
draws it. Each picture gets a JPG: the crop as the network sees it, the activation from dark to
bright, and both over each other. Colours are relative to the smallest and largest activation of
the picture: they do not compare pictures.

Some networks keep constants in their map: places that are bright in every picture, in the bundled
network two corners, which outshine the rest. `--difference` takes the squares of the difference
from the map of an empty picture (of ImageNet's mean colour), which leaves what the picture adds.

Every network of NETWORKS.md has a map. Of `hacnn` it is that of the global branch, of networks that
pool over time that of a single frame. Exported networks (.onnx, .xml) show none.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models import command
from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.data.loader import read_image, write_image
from models.reid.encoder import Array, NetworkEncoder
from models.reid.networks.frames import last_maps

SPACE_PX = 10
OPACITY = 0.6
"""Of the activation over the crop."""
BATCH = 32
CONSTANT = 0.9
"""Cosine of two activations above which they are taken for the same."""


def activations(network: NetworkEncoder, crops: Array, difference: bool = False) -> Array:
    """Compute the activations of crops.

    Args:
        network: A network of ours, or a checkpoint.
        crops: (n, H, W, 3) uint8 BGR, of the network's size.
        difference: Whether to take the difference from the map of an empty picture.

    Returns:
        (n, h, w) float32, 0 or more, of unit length over each picture (0 where a map is 0).

    Raises:
        InputError: The network has no map.
    """
    images = preprocess.normalise(torch.from_numpy(crops).to(_device(network)))
    with torch.inference_mode():
        maps = last_maps(network.network, images)
        if difference:
            maps = maps - _empty_maps(network)
    return np.asarray(strength(maps).cpu())


def is_constant(network: NetworkEncoder, found: Array) -> bool:
    """Whether activations are those of an empty picture, so that they show nothing.

    Args:
        network: The network.
        found: Its activations (n, h, w) of some pictures.

    Returns:
        Whether the mean cosine with the activation of an empty picture is above `CONSTANT`.
    """
    with torch.inference_mode():
        of_empty = np.asarray(strength(_empty_maps(network)).cpu())
    return float((found * of_empty).sum(axis=(1, 2)).mean()) > CONSTANT


def _empty_maps(network: NetworkEncoder) -> Tensor:
    """The last map (1, C, h, w) of an empty picture, whose normalised pixels are all 0."""
    empty = torch.zeros(1, 3, *network.size, device=_device(network))
    return last_maps(network.network, empty)


def _device(network: NetworkEncoder) -> torch.device:
    return next(network.network.parameters()).device


def strength(maps: Tensor) -> Tensor:
    """Sums of squares over the channels of maps, each picture scaled to unit length.

    Args:
        maps: (n, C, h, w).

    Returns:
        (n, h, w) float32.
    """
    energy = maps.float().square().sum(1)
    return functional.normalize(energy.flatten(1), dim=1).view_as(energy)


def sheet(crop: Array, activation: Array) -> Array:
    """Draw crop, activation and both over each other, side by side.

    Args:
        crop: (H, W, 3) uint8 BGR.
        activation: (h, w), resized to the crop.

    Returns:
        (H, 3 W + 2 spaces, 3) uint8 BGR.
    """
    height_px, width_px = crop.shape[:2]
    resized = cv2.resize(activation, (width_px, height_px))
    low = resized.min()
    span = max(float(resized.max() - low), 1e-12)
    levels = (255 * (resized - low) / span).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    both = cv2.addWeighted(crop, 1 - OPACITY, colours, OPACITY, 0)
    space = np.full((height_px, SPACE_PX, 3), 255, np.uint8)
    return np.hstack([crop, space, colours, space, both])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.activations",
        description="Draw where a ReID network looks in pictures of people.",
    )
    add = parser.add_argument
    add(
        "weights",
        metavar="WEIGHTS",
        help="a .safetensors of ours or a checkpoint of another program (models/reid/NETWORKS.md)",
    )
    add("pictures", nargs="+", type=Path, metavar="PICTURE", help="crops of people")
    add(
        "--output",
        type=Path,
        default=Path("outputs/activations"),
        metavar="DIR",
        help="where the pictures go (default outputs/activations)",
    )
    add(
        "--difference",
        action="store_true",
        help="draw the difference from an empty picture; for networks with places that are bright"
        " in every picture, like the bundled one",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    network = encoder.load(parsed.weights, parsed.device)
    if not isinstance(network, NetworkEncoder):
        raise InputError(
            f"{parsed.weights}: an exported network does not show its feature maps; give the"
            " .safetensors or checkpoint that it was exported from"
        )
    if network.note:
        print(f"note: {parsed.weights}: {network.note}", file=sys.stderr)
    for start in range(0, len(parsed.pictures), BATCH):
        paths = parsed.pictures[start : start + BATCH]
        crops = np.stack([preprocess.resize(read_image(path), *network.size) for path in paths])
        found = activations(network, crops, parsed.difference)
        if start == 0 and not parsed.difference and is_constant(network, found):
            print(
                "note: an empty picture gives nearly the same activations; --difference draws what"
                " these pictures add to it",
                file=sys.stderr,
            )
        drawn = zip(paths, crops, found, strict=True)
        for number, (path, crop, activation) in enumerate(drawn, start):
            write_image(parsed.output / f"{number:05d}_{path.stem}.jpg", sheet(crop, activation))
    print(f"{parsed.output}: {len(parsed.pictures)} pictures")


if __name__ == "__main__":
    sys.exit(main())
