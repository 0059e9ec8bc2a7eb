"""Triplet losses: a person's samples shall be nearer to each other than to anybody else's, by a
margin.

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
    """Mean over anchors of max(0, farthest positive - nearest negative + margin) (Hermans et al.,
    arXiv 1703.07737).

    `features` (N, D), `targets` (N,). "euclidean" measures the features as they are; "cosine" takes
    similarities, so that the term is nearest negative's - farthest positive's + margin. An anchor
    is its own positive where it has no other, as published. `soft` replaces the hinge by log(1 +
    exp(farthest positive - nearest negative)).
    """
    apart = distances.euclidean(features) if metric == "euclidean" else -distances.cosine(features)
    same = distances.same_person(targets)
    positive = apart.masked_fill(~same, -torch.inf).amax(1)
    negative = apart.masked_fill(same, torch.inf).amin(1)
    violation = positive - negative
    return (functional.softplus(violation) if soft else torch.relu(violation + margin)).mean()


def semi_hard(features: Tensor, targets: Tensor, margin: float = 0.3) -> Tensor:
    """Mean over all pairs (anchor, positive) of max(0, d_ap - d_an + margin), d Euclidean between
    unit-length rows.

    The negative is the nearest of those farther from the anchor than the positive, or, where none
    is, the farthest of all (Schroff et al., arXiv 1503.03832, as TensorFlow Addons defines it).
    `features` (N, D) of any length, `targets` (N,).
    """
    apart = distances.euclidean(distances.unit(features))
    same = distances.same_person(targets)
    others = apart.masked_fill(same, torch.inf).sort(1).values
    farther = torch.searchsorted(others.detach(), apart.detach(), right=True)
    last = (~same).sum(1, keepdim=True) - 1
    negative = others.gather(1, farther.minimum(last).clamp(min=0))
    pairs = same.clone().fill_diagonal_(False)
    return torch.relu((apart - negative)[pairs] + margin).sum() / pairs.sum().clamp(min=1)


def drawn(features: Tensor, targets: Tensor, margin: float = 0.5) -> Tensor:
    """Mean over anchors of max(0, |a - p|^2 - |a - n|^2 + margin), rows of unit length, with no
    mining at all.

    p is the anchor's next sample in the batch and n the next of another person, in the order of the
    batch, which is random. `features` (N, D), `targets` (N,); anchors without either are left out.
    The explicit triplets of the Keras seed.
    """
    rows = distances.unit(features)
    same = distances.same_person(targets)
    n = len(targets)
    ahead = (
        torch.arange(n, device=targets.device) - torch.arange(n, device=targets.device)[:, None] - 1
    ) % n
    positive = ahead.masked_fill(~same, n).fill_diagonal_(n).min(1)
    negative = ahead.masked_fill(same, n).min(1)
    whole = (positive.values < n) & (negative.values < n)
    to_positive = (rows - rows[positive.indices]).square().sum(1)
    to_negative = (rows - rows[negative.indices]).square().sum(1)
    return torch.relu(to_positive - to_negative + margin)[whole].sum() / whole.sum().clamp(min=1)


def triplet_loss(features: Tensor, targets: Tensor, settings: TripletSettings) -> Tensor:
    """The form that the settings ask for."""
    if settings.mining == "semi_hard":
        return semi_hard(features, targets, settings.margin)
    if settings.mining == "drawn":
        return drawn(features, targets, settings.margin)
    return batch_hard(features, targets, settings.metric, settings.margin, settings.soft)
