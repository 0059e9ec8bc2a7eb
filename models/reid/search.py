"""Find a person in a folder of images: `python -m models.reid.search --query person.jpg --gallery
FOLDER --weights FILE`.

Prints the images that look most alike, best first, and draws them. A similarity is the cosine of
two features; which value means "the same person" depends on the network, so look at the picture.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models import command, files
from models import device as devices
from models import weights as bundle
from models.errors import InputError
from models.reid import encoder
from models.reid.data.layout import SUFFIXES
from models.reid.data.samples import JUNK, Sample
from models.reid.evaluation import distances, features, pictures
from models.reid.evaluation.distances import Array
from models.reid.evaluation.pictures import Ranked


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.search", description="Find a person in a folder of images."
    )
    add = parser.add_argument
    add(
        "--query",
        required=True,
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="one or more crops of the same person",
    )
    add(
        "--gallery",
        required=True,
        type=Path,
        metavar="DIR",
        help="crops of people, in any folders below it",
    )
    add("--weights", metavar="FILE", help="file or name of a network (default: the bundled one)")
    add("--top", type=int, default=10, metavar="K", help="how many to show (default 10)")
    add(
        "--output",
        type=Path,
        default=Path("outputs/search"),
        metavar="DIR",
        help="where the picture goes",
    )
    add("--cache", type=Path, metavar="DIR", help="keep features here and use them again")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(arguments)


def nearest(query: Array, gallery: Array, top: int) -> tuple[Array, Array]:
    """Rows of the gallery (G, D) most alike to a query (D,): indices (k,) and cosines (k,), best
    first, k = min(top, G).
    """
    alike = 1 - distances.pairwise(query[None], gallery)[0]
    order = np.argsort(-alike, kind="stable")[:top]
    return order, alike[order]


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    if parsed.top < 1:
        raise InputError(f"--top {parsed.top}: give 1 or more")
    on = devices.resolve(parsed.device).type
    weights = bundle.find(parsed.weights) if parsed.weights else bundle.bundled("reid", on)
    if weights is None:
        raise InputError(
            "no ReID network is bundled; give one: --weights FILE.safetensors or FILE.onnx"
        )
    query = _unlabelled(parsed.query)
    gallery = [_unlabelled([path]) for path in images(parsed.gallery)]
    network = encoder.load(weights, parsed.device)
    if network.note:
        print(f"note: {weights}: {network.note}", file=sys.stderr)
    query_features = features.extract(network, [query])[0]
    gallery_features, _ = features.cached(
        parsed.cache,
        {"weights": features.weights_digest(weights)},
        gallery,
        lambda parts: features.extract(network, gallery, progress=not parsed.quiet, parts=parts),
    )
    order, similarities = nearest(query_features, gallery_features, parsed.top)
    results = [(gallery[i], float(value)) for i, value in zip(order, similarities, strict=True)]
    (picture,) = pictures.write_ranked([Ranked(0, query, results)], parsed.output)
    for rank, (sample, value) in enumerate(results, start=1):
        print(f"{rank:3d}  {value:.3f}  {sample.paths[0]}")
    print(picture)


def images(folder: Path) -> list[Path]:
    """Find all image files below a folder.

    Args:
        folder: Hidden files and folders in it are left out.

    Returns:
        The files, in natural order.

    Raises:
        InputError: There is no such folder, or it holds no images.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --gallery is a folder of images")
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if not is_hidden and path.suffix.lower() in SUFFIXES and path.is_file():
            found.append(path)
    if not found:
        raise InputError(f"{folder}: holds no images ({', '.join(SUFFIXES)})")
    return sorted(found, key=lambda path: files.natural(path.as_posix()))


def _unlabelled(paths: Sequence[Path]) -> Sample:
    return Sample(tuple(paths), JUNK, -1)


if __name__ == "__main__":
    sys.exit(main())
