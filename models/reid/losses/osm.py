"""Online soft mining with class-aware attention (Wang et al., arXiv 1811.01459).

All pairs of a batch count, softly: positive pairs the more the nearer they are, negative pairs the
more the farther inside `alpha`, and both the less the less their samples look like their own class,
which guards against wrong labels. Gradients flow through these weights too, as in the
implementation behind the published numbers (arXiv 1912.05295).

Weights are normalised in logarithms. The formula is the same, but a small sigma, whose exp(-d^2 /
sigma^2) is 0 in float32 for every pair, still gives the loss that the formula defines in place of 0
/ 0.
"""

import torch
from torch import Tensor

from models.reid.losses import distances


def osm(
    features: Tensor,
    targets: Tensor,
    class_vectors: Tensor,
    alpha: float = 1.2,
    l: float = 0.5,  # noqa: E741
    sigma: float = 0.8,
) -> Tensor:
    """Loss of features (N, D) of the people `targets` (N,); `class_vectors` (C, D) are the
    classifier's rows or the centres.

    (1 - l) L_P + l L_N, where L_P is half the weighted mean of d^2 over pairs of one person, L_N
    that of max(0, alpha - d)^2 over pairs of two people, and d the Euclidean distance of
    unit-length features. Weights: exp(-d^2 / sigma^2) for positive and max(alpha - d, 1e-12) for
    negative pairs, times the smaller of the two samples' probabilities of their own class: the
    softmax over the cosines to all class vectors. Kinds of pairs that the batch does not have give
    0.
    """
    normal = distances.unit(features)
    apart = distances.euclidean(normal)
    same = distances.same_person(targets)
    pairs = same.clone().fill_diagonal_(False)
    class_cosines = normal @ distances.unit(class_vectors).T
    log_probabilities = class_cosines.log_softmax(1)
    log_own = log_probabilities.gather(1, targets[:, None]).squeeze(1)
    log_attention = torch.minimum(log_own[:, None], log_own[None])
    inside = alpha - apart
    log_positive = log_attention - apart.square() / sigma**2
    log_negative = log_attention + inside.clamp(min=distances.TINY).log()
    positive = _weighted_mean(apart.square(), log_positive, pairs)
    negative = _weighted_mean(torch.relu(inside).square(), log_negative, ~same)
    return ((1 - l) * positive + l * negative) / 2


def _weighted_mean(values: Tensor, log_weights: Tensor, pairs: Tensor) -> Tensor:
    weights = log_weights[pairs].softmax(0)
    return (weights * values[pairs]).sum()
