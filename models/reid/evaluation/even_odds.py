"""What a cosine similarity means on a data set: from similarity to the odds of being one person.

Ranking scores say nothing of it: a network may rank well everywhere, and 0.5 may still mean "the
same person" on one site and "anybody" on the next. Whoever links people needs the even point, the
similarity at which the same and another person are equally likely when both are equally frequent,
and it should stay where it is from site to site.
"""

from dataclasses import dataclass

import numpy as np

from models.reid.data.samples import Dataset
from models.reid.evaluation.distances import Array, normalise
from models.reid.evaluation.protocol import labels

N_BINS = 2000
MAX_STEPS = 100


@dataclass(frozen=True)
class Curve:
    """Log odds of one person are (similarity - even) / scale.

    Attributes:
        even: the cosine at which same and different are equally likely.
        scale: by how much the cosine must rise for the odds to grow by the factor e.
        error: share of pairs on the wrong side of `even`, mean over both kinds, in 0..1.
    """

    even: float
    scale: float
    error: float


def fit(query: Array, gallery: Array, data: Dataset) -> Curve:
    """Fit the curve to all pairs of a query and a gallery item from different cameras.

    Args:
        query: (Q, D) features of the queries.
        gallery: (G, D) features of the gallery.
        data: says whom they show and which camera saw them.

    Returns:
        The logistic curve of greatest likelihood, pairs of one person weighing as much in all as
        pairs of two people.

    Raises:
        ValueError: there is no pair of one of the two kinds.
    """
    same, different = _histograms(query, gallery, data)
    if not same.sum() or not different.sum():
        raise ValueError(f"{data.name}: no pair of one person, or none of two people, to compare")
    centres = (np.arange(N_BINS) + 0.5) / N_BINS * 2 - 1
    weight_same = same / same.sum()
    weight_different = different / different.sum()
    slope, offset = _logistic(centres, weight_same, weight_different)
    even = -offset / slope
    missed = weight_same[centres < even].sum()
    mistaken = weight_different[centres >= even].sum()
    return Curve(float(even), float(1 / slope), float((missed + mistaken) / 2))


def _histograms(query: Array, gallery: Array, data: Dataset) -> tuple[Array, Array]:
    """Counts (N_BINS,) of the cosines of one person and of two people, from -1 to 1."""
    query_people, gallery_people, query_cameras, gallery_cameras = labels(data.query, data.gallery)
    unit_gallery = normalise(gallery)
    same_counts = np.zeros(N_BINS)
    different_counts = np.zeros(N_BINS)
    for feature, person, camera in zip(normalise(query), query_people, query_cameras, strict=True):
        similarities = unit_gallery @ feature
        bins = np.clip(((similarities + 1) / 2 * N_BINS).astype(int), 0, N_BINS - 1)
        elsewhere = gallery_cameras != camera
        is_same = gallery_people == person
        same_counts += np.bincount(bins[elsewhere & is_same], minlength=N_BINS)
        different_counts += np.bincount(bins[elsewhere & ~is_same], minlength=N_BINS)
    return same_counts, different_counts


def _logistic(values: Array, same: Array, different: Array) -> tuple[float, float]:
    """Slope and offset of the log odds by Newton's method; `same` and `different` weigh values."""
    design = np.stack([values, np.ones_like(values)], axis=1)
    total = same + different
    parameters = np.array([10.0, -5.0])
    for _ in range(MAX_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ parameters, -50, 50)))
        gradient = design.T @ (same - total * probability)
        curvature = (design * (total * probability * (1 - probability))[:, None]).T @ design
        # a little is added, so that pairs that can be told apart without error give a finite slope
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient - 1e-6 * parameters)
        length = float(np.abs(step).max())
        parameters = parameters + step * min(1.0, 10 / length)
        if length < 1e-6:
            break
    return float(parameters[0]), float(parameters[1])
