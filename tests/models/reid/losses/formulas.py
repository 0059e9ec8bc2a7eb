"""The losses once more, written down from their formulas with plain loops over float64, and what
the tests feed them with.
"""

import math
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.models.reid.golden import F

Array = NDArray[np.float64]

X = F(8, 6)
Y = np.array([0, 0, 1, 1, 2, 2, 3, 3])
CLASS_VECTORS = F(6, 4, 2.1, 7.7).T
CENTERS = F(5, 6, 0.9, 3.3)


@st.composite
def batches(draw: st.DrawFn, min_width: int = 1) -> tuple[Array, NDArray[np.int64]]:
    """Features and classes 0..3 of any batch of one to eight samples: lone samples and lone people
    included.
    """
    targets = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(size=(len(targets), draw(st.integers(min_width, 5)))), targets


def tensor(values: NDArray[np.float64] | NDArray[np.int64], grad: bool = False) -> Tensor:
    """Return a copy as a tensor of the same type."""
    return torch.tensor(values, requires_grad=grad)


def slope(function: Callable[[Array], float], at: Array, step: float = 1e-6) -> Array:
    """Gradient of a scalar function by central differences."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[place] += step
        below[place] -= step
        gradient[place] = (function(above) - function(below)) / (2 * step)
    return gradient


def smoothed_cross_entropy(logits: Array, targets: NDArray[np.int64], smoothing: float) -> float:
    n, n_classes = logits.shape
    total = 0.0
    for i in range(n):
        normaliser = sum(math.exp(logits[i, c]) for c in range(n_classes))
        for c in range(n_classes):
            wanted = (1 - smoothing) * (c == targets[i]) + smoothing / n_classes
            total -= wanted * math.log(math.exp(logits[i, c]) / normaliser)
    return total / n


def distance(x: Array, y: Array) -> float:
    return math.sqrt(max(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)), 1e-12))


def unit(rows: Array) -> Array:
    return np.array([row / math.sqrt(sum(value**2 for value in row)) for row in rows])


def similarity(x: Array, y: Array) -> float:
    return sum(a * b for a, b in zip(unit(x[None])[0], unit(y[None])[0], strict=True))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def hard_triplet(x: Array, y: NDArray[np.int64], metric: str, margin: float, soft: bool) -> float:
    terms = []
    for i in range(len(x)):
        positives = [j for j in range(len(x)) if y[j] == y[i]]
        negatives = [j for j in range(len(x)) if y[j] != y[i]]
        if not negatives:
            continue
        if metric == "euclidean":
            violation = max(distance(x[i], x[j]) for j in positives) - min(
                distance(x[i], x[j]) for j in negatives
            )
        else:
            violation = max(similarity(x[i], x[j]) for j in negatives) - min(
                similarity(x[i], x[j]) for j in positives
            )
        terms.append(math.log(1 + math.exp(violation)) if soft else max(0.0, violation + margin))
    return mean(terms)


def semi_hard_triplet(x: Array, y: NDArray[np.int64], margin: float) -> float:
    x, terms = unit(x), []
    for i in range(len(x)):
        negatives = [distance(x[i], x[j]) for j in range(len(x)) if y[j] != y[i]]
        if not negatives:
            continue
        for j in range(len(x)):
            if j != i and y[j] == y[i]:
                positive = distance(x[i], x[j])
                farther = [negative for negative in negatives if negative > positive]
                terms.append(
                    max(0.0, positive - (min(farther) if farther else max(negatives)) + margin)
                )
    return mean(terms)


def explicit_triplet(anchors: Array, positives: Array, negatives: Array, margin: float) -> float:
    terms = []
    for a, p, n in zip(unit(anchors), unit(positives), unit(negatives), strict=True):
        terms.append(max(0.0, sum((a - p) ** 2) - sum((a - n) ** 2) + margin))
    return mean(terms)


def center(x: Array, y: NDArray[np.int64], centers: Array) -> float:
    total = 0.0
    for i in range(len(x)):
        for c in range(len(centers)):
            square = (
                sum((x[i, k] - centers[c, k]) ** 2 for k in range(x.shape[1])) if y[i] == c else 0.0
            )
            total += min(max(square, 1e-12), 1e12)
    return total / len(x)


def osm_parts(
    x: Array, y: NDArray[np.int64], vectors: Array, alpha: float, sigma: float
) -> tuple[float, float]:
    x, vectors, n = unit(x), unit(vectors), len(x)
    own = []
    for i in range(n):
        scores = [math.exp(sum(x[i] * vector)) for vector in vectors]
        own.append(scores[y[i]] / sum(scores))
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            d, same = distance(x[i], x[j]), bool(y[i] == y[j])
            weight = min(own[i], own[j]) * (
                math.exp(-(d**2) / sigma**2) if same else max(alpha - d, 1e-12)
            )
            sums[same][0] += weight * (d**2 if same else max(alpha - d, 0.0) ** 2)
            sums[same][1] += weight
    positive, negative = (
        part / weight / 2 if weight else 0.0 for part, weight in (sums[True], sums[False])
    )
    return positive, negative


def osm(
    x: Array,
    y: NDArray[np.int64],
    vectors: Array,
    alpha: float,
    l: float,  # noqa: E741
    sigma: float,
) -> float:
    positive, negative = osm_parts(x, y, vectors, alpha, sigma)
    return (1 - l) * positive + l * negative
