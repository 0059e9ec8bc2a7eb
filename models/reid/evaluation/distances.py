"""Distances between features of queries and of a gallery, in blocks of rows, so that memory does
not grow with both.

Three metrics are in use and give different numbers on the same features: squared Euclid on raw
features (what torchreid and jiyanggao call euclidean), plain Euclid, and cosine. The first two rank
alike; re-ranking tells them apart. Features may be numpy arrays or tensors; the products run on the
device where the features are, and the results are numpy arrays.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.errors import InputError

Array = NDArray[Any]
Features = Array | Tensor
F = TypeVar("F", Array, Tensor)

METRICS = ("squared_euclidean", "euclidean", "cosine")
BLOCK = 1 << 22
"""Distances in a block: 16 MiB of float32."""
PAIRS = 1 << 10
"""Pairs whose features are compared at once: what a cache holds."""


def tensor(features: Features) -> Tensor:
    """Features (n, D) as a float32 tensor on the device where they are; raises InputError for
    another shape.
    """
    found = (
        features
        if isinstance(features, Tensor)
        else torch.from_numpy(np.ascontiguousarray(features))
    )
    if found.ndim != 2:
        raise InputError(
            f"features have shape {tuple(found.shape)}: expected (n, D), one row an item"
        )
    return found.detach().float()


def normalise(features: F) -> F:
    """Rows (n, D) brought to unit length, float32, as the type that came in; rows of zeros stay."""
    unit = functional.normalize(tensor(features), dim=1)
    return unit if isinstance(features, Tensor) else unit.numpy()


def tensors(query: Features, gallery: Features) -> tuple[Tensor, Tensor]:
    """Both as `tensor` gives them, on the device of the queries; raises InputError where they do
    not fit together.
    """
    a, b = tensor(query), tensor(gallery)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"queries have {a.shape[1]} features and the gallery {b.shape[1]}: they come from"
            " different networks"
        )
    return a, b.to(a.device)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Products (n,) of the rows of (n, D) and (n, D)."""
    return torch.einsum("nd,nd->n", a, b)


def paired(features: Tensor, one: Array, other: Array) -> Iterator[tuple[Tensor, Tensor]]:
    """Copies of the rows `one` (m,) and `other` (m,) of features (n, D), a cache full at a time."""
    for start in range(0, max(1, len(one)), PAIRS):
        a, b = (
            torch.from_numpy(which[start : start + PAIRS]).to(features.device)
            for which in (one, other)
        )
        yield features.index_select(0, a), features.index_select(0, b)


def squared_euclidean(a: Tensor, b: Tensor, a_lengths: Tensor, b_lengths: Tensor) -> Tensor:
    """Squared Euclid (n, m) of (n, D) and (m, D), given their squared lengths; rounding below 0 is
    cut off.
    """
    return (a_lengths[:, None] + b_lengths).addmm_(a, b.T, alpha=-2).clamp_(min=0)


def pairwise(query: Features, gallery: Features, metric: str = "cosine") -> Array:
    """Distances (Q, G) float32, all at once; small is alike. See `blocks`."""
    return np.concatenate(list(blocks(query, gallery, metric)))


def blocks(
    query: Features, gallery: Features, metric: str = "cosine", n_rows: int = 0
) -> Iterator[Array]:
    """Distances of (Q, D) to (G, D) in blocks of rows, each (n, G) float32, in the order of the
    queries.

    metric: "squared_euclidean" and "euclidean" of the features as they are, or "cosine": 1 - cos,
    in 0..2. `n_rows` rows make a block; 0 takes as many as `BLOCK` holds. Raises InputError for an
    unknown metric or features that do not fit together.
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric}: expected one of {', '.join(METRICS)}")
    a, b = tensors(query, gallery)
    if metric == "cosine":
        a, b = normalise(a), normalise(b)
    return _blocks(a, b, metric, n_rows or max(1, BLOCK // max(1, len(b))))


def _blocks(a: Tensor, b: Tensor, metric: str, n_rows: int) -> Iterator[Array]:
    lengths = dot(b, b)
    for start in range(0, max(1, len(a)), n_rows):
        rows = a[start : start + n_rows]
        if metric == "cosine":
            found = (rows @ b.T).neg_().add_(1)
        else:
            found = squared_euclidean(rows, b, dot(rows, rows), lengths)
            found = found.sqrt_() if metric == "euclidean" else found
        yield found.cpu().numpy()
