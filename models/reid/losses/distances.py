"""Distances between all samples of a batch, written so that neither they nor their gradients can
become infinite.
"""

import torch
from torch import Tensor

TINY = 1e-12


def euclidean(features: Tensor) -> Tensor:
    """Euclidean distances (N, N) of features (N, D): the square root of squares of 1e-12 or more,
    as published.

    The mean is taken off first: distances stay the same, and less is lost where features of ReLU
    networks, all far from the origin, are subtracted. A sample's distance to itself is 1e-6 exactly
    and passes no gradient.
    """
    centred = features - features.mean(0)
    lengths = centred.square().sum(1)
    squares = lengths[:, None] + lengths[None] - 2 * centred @ centred.T
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    return squares.masked_fill(itself, 0).clamp(min=TINY).sqrt()


def unit(vectors: Tensor) -> Tensor:
    """Rows (N, D) at length 1. A row of zeros stays one and passes no gradient, where division by
    1e-12 would pass 1e12.
    """
    lengths = vectors.norm(dim=1, keepdim=True)
    return torch.where(lengths > TINY, vectors / lengths.clamp(min=TINY), 0.0)


def cosine(features: Tensor) -> Tensor:
    """Cosine similarities (N, N) of features (N, D), -1..1."""
    normal = unit(features)
    return normal @ normal.T


def same_person(targets: Tensor) -> Tensor:
    """Whether two samples show one person: (N,) class numbers -> (N, N) bool, True on the
    diagonal.
    """
    return targets[:, None] == targets[None]
