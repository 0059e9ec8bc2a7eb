"""What an evaluation has to give, worked out by plain loops that share nothing with the program;
and a network of colours.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from onnx import helper

from models.reid.data.samples import Sample
from models.reid.preprocess import MEAN, STD
from tests.graphs import write_graph
from tests.models.reid.miniatures import HEIGHT_PX, WIDTH_PX

Array = np.ndarray[Any, Any]
CELL_PX = 16
WIDTH = 3 * (HEIGHT_PX // CELL_PX) * (WIDTH_PX // CELL_PX)
"""Length of a feature of `write_colours`."""


def write_colours(path: Path, cell_px: tuple[int, int] = (CELL_PX, CELL_PX)) -> Path:
    """An .onnx that gives the mean colours of a grid of cells: it knows the people of the
    miniatures by their clothes.
    """
    cells = helper.make_node(
        "AveragePool", ["crops"], ["cells"], kernel_shape=cell_px, strides=cell_px
    )
    flat = helper.make_node("Flatten", ["cells"], ["features"])
    return write_graph(path, [cells, flat], ["batch", 3, HEIGHT_PX, WIDTH_PX])


def image_feature(image: Array) -> Array:
    """What that network gives for an image (h, w, 3) BGR of its size, at unit length."""
    colours = (image[:, :, ::-1] / 255 - np.array(MEAN)) / np.array(STD)
    cells = [
        colours[y : y + CELL_PX, x : x + CELL_PX, c].mean()
        for c in range(3)
        for y in range(0, HEIGHT_PX, CELL_PX)
        for x in range(0, WIDTH_PX, CELL_PX)
    ]
    return unit(np.array(cells))


def feature(sample: Sample, flip: bool = False, frames: slice = slice(None)) -> Array:
    """Mean over the frames; of at most one clip where mirror images are added."""
    images = [cv2.imread(str(path)) for path in list(sample.paths)[frames]]
    found = np.mean([image_feature(image) for image in images], axis=0)
    if flip:
        found = unit(found) + unit(
            np.mean([image_feature(image[:, ::-1]) for image in images], axis=0)
        )
    return found


def unit(vector: Array) -> Array:
    return vector / np.sqrt((vector * vector).sum())


def distances(
    query: Sequence[Sample], gallery: Sequence[Sample], metric: str = "cosine", **how: Any
) -> Array:
    """Distances (Q, G)."""
    a, b = ([feature(sample, **how) for sample in side] for side in (query, gallery))
    if metric == "cosine":
        return np.array([[1 - unit(x) @ unit(y) for y in b] for x in a])
    squared = np.array([[((x - y) ** 2).sum() for y in b] for x in a])
    return squared if metric == "squared_euclidean" else np.sqrt(squared)


def scores(
    apart: Array,
    query: Sequence[Sample],
    gallery: Sequence[Sample],
    ap: str = "precision",
    over: str = "valid",
) -> dict[str, float]:
    """Scores as the JSON of the command names them."""
    aps, firsts = [], []
    for asked, row in zip(query, apart, strict=True):
        ranked = [gallery[i] for i in np.argsort(row, kind="stable")]
        ranked = [
            s for s in ranked if not (s.person_id == asked.person_id and s.camera == asked.camera)
        ]
        hits = [rank for rank, s in enumerate(ranked) if s.person_id == asked.person_id]
        if not hits:
            continue
        firsts.append(hits[0])
        precision = [(i + 1) / (rank + 1) for i, rank in enumerate(hits)]
        before = [i / rank if rank else 1.0 for i, rank in enumerate(hits)]
        terms = (
            precision
            if ap == "precision"
            else [(p + q) / 2 for p, q in zip(precision, before, strict=True)]
        )
        aps.append(sum(terms) / len(hits))
    n = len(firsts) if over == "valid" else len(query)
    ranks = {f"rank{k}": sum(first < k for first in firsts) / n for k in (1, 5, 10, 20)}
    return {"map": sum(aps) / n, **ranks, "valid_queries": len(firsts)}
