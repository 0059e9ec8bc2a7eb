"""Cross entropy over the training people, with smoothed labels (Szegedy et al., arXiv
1512.00567).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(
    branches: Sequence[Tensor],
    targets: Tensor,
    smoothing: float = 0.1,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Cross entropy of one or more branches' logits (N, C), each averaged over the batch.

    `targets` (N,) int64 are in 0..C-1, or negative for rows without a label, which do not count.
    The wanted probabilities are 1 - smoothing + smoothing / C for the person and smoothing / C for
    the others. `reduction` says how the branches of part networks count: their mean (torchreid), or
    their sum (PCB as Sun et al. train it).
    """
    labelled = targets >= 0
    if not labelled.any():
        return torch.stack([logits.sum() for logits in branches]).sum() * 0.0
    if not labelled.all():
        branches = [logits[labelled] for logits in branches]
        targets = targets[labelled]
    losses = torch.stack(
        [
            functional.cross_entropy(logits, targets, label_smoothing=smoothing)
            for logits in branches
        ]
    )
    return losses.mean() if reduction == "mean" else losses.sum()
