"""Measure the activation ranges that a network needs to be computed in 8 bits.

    python -m models.calibrate --detector FILE --pictures DIR [DIR ...]
    python -m models.calibrate --reid FILE --pictures DIR [DIR ...]

The ranges lie beside the weights (`models.runtimes.quantize`), and `precision=int8` uses them. The
detector takes whole pictures, the ReID network takes crops of people; both as at a user's site, and
none that the network is judged by. About a hundred are enough.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from models import command
from models.detector import graph as detector_graphs
from models.detector import inference
from models.detector import network as detector_networks
from models.errors import InputError
from models.reid import graph as reid_graphs
from models.reid import preprocess
from models.reid.encoder import frame_wise
from models.reid.networks import file as reid_file
from models.runtimes import quantize
from models.runtimes.graph import Array, Graph
from models.weights import checksums

SUFFIXES = (".jpg", ".jpeg", ".png")


def pictures(folders: Sequence[Path], n_each: int) -> list[Path]:
    """Return pictures of each folder and those below it, evenly spread over their names.

    Args:
        folders: Folders of pictures.
        n_each: Most pictures of a folder.

    Raises:
        InputError: A folder has none.
    """
    chosen: list[Path] = []
    for folder in folders:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f"{folder}: has no pictures ({', '.join(SUFFIXES)})")
        places = np.linspace(0, len(found) - 1, min(n_each, len(found))).astype(int)
        chosen += [found[place] for place in places]
    return chosen


def detector_graph(weights: Path, architecture: str) -> Graph:
    """The graph of a detector; raises InputError."""
    network = detector_networks.load(weights, architecture)
    if not detector_graphs.has_graph(network):
        raise InputError(f"{weights}: has a head that only torch runs, so it has no 8 bits")
    return detector_graphs.build(network, weights, architecture)


def without_outputs(graph: Graph, ranges: quantize.Ranges) -> quantize.Ranges:
    """Ranges of a detector without the last convolutions of its head, which give boxes and scores.

    Their inputs reach 70, of which 8 bits keep steps of 0.3. In floating point they cost no time
    that can be measured, and mean AP50 is 0.1 points higher.
    """
    head = graph.module.get_submodule("network.model")[-1]  # type: ignore[index]
    outputs = {tower[-1] for towers in (head.cv2, head.cv3) for tower in towers}
    layers = dict(graph.module.named_modules())
    return {name: ends for name, ends in ranges.items() if layers[name] not in outputs}


def letterboxed(paths: Sequence[Path], size_px: int) -> Iterator[Array]:
    """Pictures as the detector sees them, (1, height, width, 3) uint8 BGR; raises InputError."""
    for path in paths:
        image = _read(path)
        canvas = inference.canvas_size(image.shape, size_px, None)
        batch = np.full((1, *canvas, 3), inference.PADDING, np.uint8)
        inference.letterbox(image, batch[0])
        yield batch


def reid_graph(weights: Path) -> Graph:
    """The graph of a ReID network; raises InputError."""
    loaded = reid_file.load(weights)
    if not frame_wise(loaded.network):
        raise InputError(f"{weights}: takes clips, which only torch runs, so it has no 8 bits")
    loaded.network.eval()
    return reid_graphs.build(loaded, weights)


def resized(paths: Sequence[Path], sample: Array) -> Iterator[Array]:
    """Crops as the ReID network sees them, in batches of its own size; raises InputError."""
    n, height, width, _ = sample.shape
    for start in range(0, len(paths), n):
        part = paths[start : start + n]
        crops = [preprocess.resize(_read(path), height, width) for path in part]
        yield np.stack(crops)


def _read(path: Path) -> Array:
    image = cv2.imread(str(path))
    if image is None:
        raise InputError(f"{path}: cannot be read as a picture")
    return image


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="python -m models.calibrate",
        description="Measure the activation ranges that a network needs to run in 8 bits.",
    )
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--detector", type=Path, metavar="FILE", help=".safetensors of a detector")
    network.add_argument("--reid", type=Path, metavar="FILE", help=".safetensors of a ReID network")
    add = parser.add_argument
    add("--pictures", type=Path, nargs="+", required=True, metavar="DIR", help="folders of them")
    add("--n-each", type=int, default=20, metavar="N", help="pictures of a folder (default 20)")
    add("--architecture", default="", metavar="YAML", help="of a detector that does not name it")
    add("--size-px", type=int, default=640, metavar="N", help="long side of the detector's input")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    paths = pictures(parsed.pictures, parsed.n_each)
    if parsed.detector:
        weights = parsed.detector
        graph = detector_graph(weights, parsed.architecture)
        batches = letterboxed(paths, parsed.size_px)
    else:
        weights = parsed.reid
        graph = reid_graph(weights)
        batches = resized(paths, graph.sample)
    ranges: quantize.Ranges = quantize.measure(graph.module, batches)
    if parsed.detector:
        ranges = without_outputs(graph, ranges)
    checksum = checksums.of_file(weights, "sha256")
    path = quantize.write(weights, checksum, ranges, len(paths))
    print(f"{path}: ranges of {len(ranges)} convolutions over {len(paths)} pictures")


if __name__ == "__main__":
    sys.exit(main())
