"""Attention loss: what was erased from a frame should not be looked at (arXiv 1912.05295)."""

from torch import Tensor


def attention(scores: Tensor, erased: Tensor) -> Tensor:
    """Mean over the batch of the sum of attention scores (B, T) over erased frames, `erased` (B, T)
    bool or 0..1.
    """
    return (scores * erased.to(scores.dtype)).sum(1).mean()
