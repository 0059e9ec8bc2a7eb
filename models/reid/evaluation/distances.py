"""Distances between features of queries and of a gallery, in blocks of rows to bound the memory.
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
    """Convert features to a float32 tensor.

    Args:
        features: (n, D).

    Returns:
        (n, D) float32, detached, on the device of the features.

    Raises:
        InputError: The shape is another one.
    """
    if isinstance(features, Tensor):
        found = features
    else:
        found = torch.from_numpy(np.ascontiguousarray(features))
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
    """Convert features of both sides to float32 tensors on the device of the queries.

    Args:
        query: (Q, D).
        gallery: (G, D).

    Returns:
        Tensors (Q, D) and (G, D).

    Raises:
        InputError: The two differ in width.
    """
    query_features = tensor(query)
    gallery_features = tensor(gallery)
    query_width = query_features.shape[1]
    gallery_width = gallery_features.shape[1]
    if query_width != gallery_width:
        raise InputError(
            f"queries have {query_width} features and the gallery {gallery_width}: they come from"
            " different networks"
        )
    return query_features, gallery_features.to(query_features.device)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Products (n,) of the rows of (n, D) and (n, D)."""
    return torch.einsum("nd,nd->n", a, b)


def paired(features: Tensor, one: Array, other: Array) -> Iterator[tuple[Tensor, Tensor]]:
    """Copy pairs of rows, as many at a time as a cache holds.

    Args:
        features: (n, D).
        one: Indices (m,) of the first row of each pair.
        other: Indices (m,) of the second row.

    Yields:
        Two tensors (p, D), with p up to `PAIRS`.
    """
    for start in range(0, max(1, len(one)), PAIRS):
        pairs = slice(start, start + PAIRS)
        first = torch.from_numpy(one[pairs]).to(features.device)
        second = torch.from_numpy(other[pairs]).to(features.device)
        yield features.index_select(0, first), features.index_select(0, second)


def squared_euclidean(a: Tensor, b: Tensor, a_lengths: Tensor, b_lengths: Tensor) -> Tensor:
    """Squared Euclidean distances, |a|^2 + |b|^2 - 2 a.b.

    Args:
        a: (n, D).
        b: (m, D).
        a_lengths: (n,) squared lengths of `a`.
        b_lengths: (m,) squared lengths of `b`.

    Returns:
        (n, m), with rounding errors below 0 clamped to 0.
    """
    lengths = a_lengths[:, None] + b_lengths
    return lengths.addmm_(a, b.T, alpha=-2).clamp_(min=0)


def pairwise(query: Features, gallery: Features, metric: str = "cosine") -> Array:
    """Distances (Q, G) float32, all at once; small is alike. See `blocks`."""
    return np.concatenate(list(blocks(query, gallery, metric)))


def blocks(
    query: Features, gallery: Features, metric: str = "cosine", n_rows: int = 0
) -> Iterator[Array]:
    """Distances in blocks of rows.

    Args:
        query: (Q, D).
        gallery: (G, D).
        metric: "squared_euclidean" or "euclidean" of the features as they are, or "cosine":
            1 - cos, in 0..2.
        n_rows: Rows in a block; 0 takes as many as `BLOCK` holds.

    Returns:
        Blocks (n, G) float32 in the order of the queries; small is similar.

    Raises:
        InputError: The metric is unknown, or the features do not fit together.
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric}: expected one of {', '.join(METRICS)}")
    query_features, gallery_features = tensors(query, gallery)
    if metric == "cosine":
        query_features = normalise(query_features)
        gallery_features = normalise(gallery_features)
    n_rows = n_rows or max(1, BLOCK // max(1, len(gallery_features)))
    return _blocks(query_features, gallery_features, metric, n_rows)


def _blocks(query: Tensor, gallery: Tensor, metric: str, n_rows: int) -> Iterator[Array]:
    gallery_lengths = dot(gallery, gallery)
    for start in range(0, max(1, len(query)), n_rows):
        rows = query[start : start + n_rows]
        if metric == "cosine":
            found = (rows @ gallery.T).neg_().add_(1)
        else:
            found = squared_euclidean(rows, gallery, dot(rows, rows), gallery_lengths)
            if metric == "euclidean":
                found.sqrt_()
        yield found.cpu().numpy()
