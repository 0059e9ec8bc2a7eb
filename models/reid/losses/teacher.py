"""Distillation: a network learns to see as its teacher does, from the teacher's features of the
same pictures.

The embedding loss asks for the same direction, the relation loss for the same similarities within
the batch (Park et al., arXiv 1904.05068, with cosines for their distances). Labels are not needed
for either; what they add is another loss.
"""

import torch.nn.functional as F
from torch import Tensor


def embedding_loss(features: Tensor, taught: Tensor) -> Tensor:
    """Mean over the batch of 1 - cosine of features and targets, both (B, D): 0 when all directions
    agree, 2 at most.
    """
    return 1 - F.cosine_similarity(features, taught).mean()


def relation_loss(features: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference of the two (B, B) matrices of cosine similarities, of features and of
    targets, both (B, D).
    """
    own, theirs = F.normalize(features), F.normalize(taught)
    return (own @ own.T - theirs @ theirs.T).square().mean()
