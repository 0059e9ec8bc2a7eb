"""Centre loss: every person has a centre in feature space, and samples are drawn to it (Wen et al.,
ECCV 2016).

The centres have an optimiser of their own and should learn at its rate, not at the loss's small
weight (0.0005): before that optimiser's step their gradients are divided by the weight
(`restore_gradients`). Whatever else uses the centres must not be magnified 2000 times with it, as
happens in the published combination with OSM: it takes them through `shrink_gradient`.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

Reduction = Literal["masked", "own"]
LEAST = 1e-12
MOST = 1e12


class CenterLoss(nn.Module):
    """Squared distance to the own centre, averaged over the batch. `centers` (C, D) start at N(0,
    1).

    "masked" is the strong baseline's sum over all (sample, centre) pairs, others masked to 0 before
    the clamp, divided by the batch; "own" is open-reid's mean of the own distances. They differ by
    a constant only: (C - 1) * 1e-12.
    """

    def __init__(
        self,
        n_classes: int,
        width: int,
        reduction: Reduction = "masked",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(n_classes, width, generator=generator))
        self.constant = LEAST * (n_classes - 1) if reduction == "masked" else 0.0

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Loss of features (N, D) of the people `targets` (N,); squared distances count between
        1e-12 and 1e12.
        """
        squares = (features - self.centers[targets]).square().sum(1)
        return squares.clamp(LEAST, MOST).mean() + self.constant


def restore_gradients(centers: Iterable[nn.Parameter], weight: float) -> None:
    """Divide the centres' gradients by the centre loss's `weight`, in place: after backward, before
    their optimiser's step.
    """
    for parameter in centers:
        if parameter.grad is not None:
            parameter.grad /= weight


def shrink_gradient(centers: Tensor, weight: float) -> Tensor:
    """Give the same centres, whose gradient from here counts `weight` times: `restore_gradients`
    then makes it whole again.
    """
    return centers.detach() + weight * (centers - centers.detach())
