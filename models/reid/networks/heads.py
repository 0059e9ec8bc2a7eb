"""Temporal heads: what the frames of a tracklet say together.

Every head takes features (B, T, D) of the frames, their maps (R, D, h, w) before spatial pooling in
the order of the real frames, `mask` (B, T) bool and `quality` (B, T) in 0..1, and returns (feature
(B, head.width), attention (B, T), or (B, 0) where there is none). All but the recurrent one are
weighted means whose weights sum to 1 over the real frames.
"""

import torch
from torch import Tensor, nn

from models.reid.networks.frames import mean_over_time, unpack, weighted_over_time


class MeanPooling(nn.Module):
    """Every frame counts the same (Gao & Nevatia 2018, "temporal pooling")."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(
        self, features: Tensor, maps: Tensor, mask: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean over the real frames."""
        return mean_over_time(features, mask), features.new_zeros(features.shape[0], 0)


class QualityPooling(nn.Module):
    """Frames count by their crop quality, which is measured on the image and not learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(
        self, features: Tensor, maps: Tensor, mask: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean weighted by quality; frames of quality 0 still count a little."""
        weights = mask * quality.clamp(min=1e-3).to(features.dtype)
        return weighted_over_time(features, weights), features.new_zeros(features.shape[0], 0)


class AttentionPooling(nn.Module):
    """Frames count by a learned score of the frame and its neighbours: the lean form, for any input
    size.

    Linear(D, hidden), ReLU, Conv1d(hidden, 1, 3), then softmax, or sigmoid scaled to sum 1. Gao &
    Nevatia's second ReLU is left out: it lets all scores become 0 and the attention uniform, as
    their users report. The last layer starts at zero, so that training starts from the mean. 0.5 M
    parameters at D = 2048, where the exact form has 14.7 to 51.4 M. `attention` is the weights.
    """

    def __init__(self, width: int, form: str = "softmax", hidden: int = 256) -> None:
        super().__init__()
        self.width, self.form = width, form
        self.reduce = nn.Linear(width, hidden)
        self.score = nn.Conv1d(hidden, 1, kernel_size=3, padding=1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Tensor, maps: Tensor, mask: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attention-weighted mean, and the weights."""
        hidden = torch.relu(self.reduce(features)) * mask.unsqueeze(2)
        weights = _weights(self.score(hidden.transpose(1, 2)).squeeze(1), mask, self.form)
        return weighted_over_time(features, weights), weights


class MapAttentionPooling(nn.Module):
    """Temporal attention exactly as published: a convolution over the whole map, so for one input
    size only.

    Conv2d(D, 256, map size), ReLU, Conv1d(256, 1, 3), ReLU; softmax, or sigmoid scaled to sum 1.
    Kaiming start as in the bag-of-tricks model. `attention` is the raw score after the ReLU: what
    its attention loss punishes on erased frames.
    """

    def __init__(self, width: int, map_size: tuple[int, int], form: str = "softmax") -> None:
        super().__init__()
        self.width, self.form, self.map_size = width, form, map_size
        self.reduce = nn.Conv2d(width, 256, map_size)
        self.score = nn.Conv1d(256, 1, kernel_size=3, padding=1)
        for layer in (self.reduce, self.score):
            nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_in")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Tensor, maps: Tensor, mask: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attention-weighted mean, and the raw scores."""
        if tuple(maps.shape[2:]) != self.map_size:
            raise ValueError(
                f"map attention was built for maps of {self.map_size}, got {tuple(maps.shape[2:])}"
            )
        hidden = unpack(torch.relu(self.reduce(maps)).flatten(1), mask)
        scores = torch.relu(self.score(hidden.transpose(1, 2)).squeeze(1)) * mask
        return weighted_over_time(features, _weights(scores, mask, self.form)), scores


class Recurrent(nn.Module):
    """LSTM over the frames, mean of its outputs (Gao & Nevatia 2018, "RNN"): D -> 512."""

    def __init__(self, width: int, hidden: int = 512) -> None:
        super().__init__()
        self.width = hidden
        self.lstm = nn.LSTM(width, hidden, batch_first=True)

    def forward(
        self, features: Tensor, maps: Tensor, mask: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean of the outputs at the real frames; frames after the last real one change nothing
        before them.
        """
        return mean_over_time(self.lstm(features)[0], mask), features.new_zeros(
            features.shape[0], 0
        )


HEADS = (
    "mean",
    "quality",
    "attention",
    "attention_sigmoid",
    "map_attention",
    "map_attention_sigmoid",
    "rnn",
)


def build(name: str, width: int, map_size: tuple[int, int]) -> nn.Module:
    """Head by name for frame features of `width`; `map_size` (h, w) matters to map attention only.
    Raises ValueError.
    """
    if name not in HEADS:
        raise ValueError(f"temporal head {name}: expected one of {', '.join(HEADS)}")
    form = "sigmoid" if name.endswith("sigmoid") else "softmax"
    if name.startswith("map_attention"):
        return MapAttentionPooling(width, map_size, form)
    if name.startswith("attention"):
        return AttentionPooling(width, form)
    return {"mean": MeanPooling, "quality": QualityPooling, "rnn": Recurrent}[name](width)


def _weights(scores: Tensor, mask: Tensor, form: str) -> Tensor:
    """Scores (B, T) -> weights that sum to 1 over the real frames."""
    if form == "softmax":
        return scores.float().masked_fill(~mask, -torch.inf).softmax(1)
    weights = torch.sigmoid(scores.float()) * mask
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
