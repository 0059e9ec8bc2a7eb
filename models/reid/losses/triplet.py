"""Triplet losses: a person's samples are to be nearer to each other than to others', by a margin.
Any number of samples a person may be in a batch: mining works on masks, not on blocks of equal
size. In a batch of one person negatives are infinitely far, and the loss is 0.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from models.reid.losses import distances
from models.reid.settings import TripletSettings

Metric = Literal["euclidean", "cosine"]


def batch_hard(
    features: Tensor,
    targets: Tensor,
    metric: Metric = "euclidean",
    margin: float = 0.3,
    soft: bool = False,
) -> Tensor:
    """Batch-hard triplet loss (Hermans et al., arXiv 1703.07737).

    The mean over anchors of max(0, farthest positive - nearest negative + margin). An anchor is its
    own positive where it has no other, as published.

    Args:
        features: (N, D).
        targets: (N,) the person of each.
        metric: "euclidean" measures the features as they are; "cosine" takes similarities, so that
            the term is nearest negative's - farthest positive's + margin.
        margin: Of the hinge, in units of the metric.
        soft: Whether to replace the hinge by log(1 + exp(farthest positive - nearest negative)).

    Returns:
        The loss, a scalar.
    """
    apart = distances.euclidean(features) if metric == "euclidean" else -distances.cosine(features)
    same = distances.same_person(targets)
    positive = apart.masked_fill(~same, -torch.inf).amax(1)
    negative = apart.masked_fill(same, torch.inf).amin(1)
    violation = positive - negative
    if soft:
        return functional.softplus(violation).mean()
    return torch.relu(violation + margin).mean()


def semi_hard(features: Tensor, targets: Tensor, margin: float = 0.3) -> Tensor:
    """Semi-hard triplet loss (Schroff et al., arXiv 1503.03832, as TensorFlow Addons defines it).

    The mean over all pairs (anchor, positive) of max(0, d_ap - d_an + margin), d Euclidean between
    unit-length rows. The negative is the nearest of those farther from the anchor than the
    positive, or, where none is, the farthest of all.

    Args:
        features: (N, D) of any length.
        targets: (N,) the person of each.
        margin: Of the hinge; distances are in 0..2.

    Returns:
        The loss, a scalar.
    """
    apart = distances.euclidean(distances.unit(features))
    same = distances.same_person(targets)
    others = apart.masked_fill(same, torch.inf).sort(1).values
    farther = torch.searchsorted(others.detach(), apart.detach(), right=True)
    last = (~same).sum(1, keepdim=True) - 1
    place = farther.minimum(last).clamp(min=0)
    negative = others.gather(1, place)
    pairs = same.clone().fill_diagonal_(False)
    violation = (apart - negative)[pairs]
    n_pairs = pairs.sum().clamp(min=1)
    return torch.relu(violation + margin).sum() / n_pairs


def drawn(features: Tensor, targets: Tensor, margin: float = 0.5) -> Tensor:
    """Triplet loss without mining: the explicit triplets of the Keras seed.

    The mean over anchors of max(0, |a - p|^2 - |a - n|^2 + margin), rows of unit length. p is the
    anchor's next sample in the batch and n the next of another person, in the order of the batch,
    which is random. Anchors without either are left out.

    Args:
        features: (N, D) of any length.
        targets: (N,) the person of each.
        margin: Of the hinge; squared distances are in 0..4.

    Returns:
        The loss, a scalar.
    """
    rows = distances.unit(features)
    same = distances.same_person(targets)
    n = len(targets)
    places = torch.arange(n, device=targets.device)
    ahead = (places - places[:, None] - 1) % n
    positive = ahead.masked_fill(~same, n).fill_diagonal_(n).min(1)
    negative = ahead.masked_fill(same, n).min(1)
    whole = (positive.values < n) & (negative.values < n)
    to_positive = (rows - rows[positive.indices]).square().sum(1)
    to_negative = (rows - rows[negative.indices]).square().sum(1)
    losses = torch.relu(to_positive - to_negative + margin)
    n_anchors = whole.sum().clamp(min=1)
    return losses[whole].sum() / n_anchors


def triplet_loss(features: Tensor, targets: Tensor, settings: TripletSettings) -> Tensor:
    """The form that the settings ask for."""
    if settings.mining == "semi_hard":
        return semi_hard(features, targets, settings.margin)
    if settings.mining == "drawn":
        return drawn(features, targets, settings.margin)
    return batch_hard(features, targets, settings.metric, settings.margin, settings.soft)
