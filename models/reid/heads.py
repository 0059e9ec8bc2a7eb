"""Temporal pooling: features of a tracklet's frames -> one feature.

Every head takes features (B, T, D), `mask` (B, T) bool that is True for real frames (tracklets differ in length; at least
one True a row) and `quality` (B, T) in 0..1, and returns (B, D): a weighted mean whose weights sum to 1 over the real frames.
"""

import torch
from torch import Tensor, nn


def _weighted(features: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("btd,bt->bd", features, weights / weights.sum(1, keepdim=True))


class MeanPooling(nn.Module):
    """Every frame counts the same (Gao & Nevatia 2018, "temporal pooling")."""

    def forward(self, features: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        """Mean over the real frames."""
        return _weighted(features, mask.to(features.dtype))


class QualityPooling(nn.Module):
    """Frames count by their crop quality, which is measured on the image and not learned."""

    def forward(self, features: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        """Mean weighted by quality; frames of quality 0 still count a little."""
        return _weighted(features, mask * quality.clamp(min=1e-3).to(features.dtype))


class AttentionPooling(nn.Module):
    """Frames count by a learned score of the frame and its neighbours, softmax over the real frames.

    A lean form of Gao & Nevatia's temporal attention: Linear(D, hidden), ReLU, Conv1d(hidden, 1, 3). Their second ReLU is left
    out, since it lets all scores become 0 and the attention uniform. The last layer starts at zero, so that training starts
    from the mean.
    """

    def __init__(self, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, hidden)
        self.score = nn.Conv1d(hidden, 1, kernel_size=3, padding=1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        """Attention-weighted mean."""
        hidden = torch.relu(self.reduce(features)) * mask.unsqueeze(2)
        scores = self.score(hidden.transpose(1, 2)).squeeze(1).float()
        weights = scores.masked_fill(~mask, -torch.inf).softmax(1)
        return torch.einsum("btd,bt->bd", features, weights.to(features.dtype))


HEADS = ("mean", "attention", "quality")


def build(name: str, width: int) -> nn.Module:
    """Head by name; raises ValueError."""
    if name not in HEADS:
        raise ValueError(f"temporal head {name}: expected one of {', '.join(HEADS)}")
    return AttentionPooling(width) if name == "attention" else MeanPooling() if name == "mean" else QualityPooling()
