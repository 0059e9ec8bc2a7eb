"""Distillation: a network learns from its teacher's features of the same pictures.
The embedding loss asks for the same direction, the relation loss for the same similarities within
the batch (Park et al., arXiv 1904.05068, with cosines for their distances). Labels are not needed
for either; what they add is another loss.
"""

import torch.nn.functional as F
from torch import Tensor


def embedding_loss(features: Tensor, taught: Tensor) -> Tensor:
    """Mean over the batch of 1 - cosine of features and targets.

    Args:
        features: (B, D).
        taught: (B, D).

    Returns:
        The loss, a scalar in 0..2; 0 when all directions agree.
    """
    return 1 - F.cosine_similarity(features, taught).mean()


def relation_loss(features: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference of the cosine similarities within the batch.

    Args:
        features: (B, D).
        taught: (B, D).

    Returns:
        The loss, a scalar.
    """
    own = F.normalize(features)
    theirs = F.normalize(taught)
    difference = own @ own.T - theirs @ theirs.T
    return difference.square().mean()
