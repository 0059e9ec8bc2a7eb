"""The one shape of every ReID network: clips in, embeddings out; and image networks in that shape.

forward(clips (B, T, 3, H, W) normalised, mask (B, T) bool, quality (B, T) in 0..1). `mask` is True
for real frames: tracklets differ in length, every row has at least one. `quality` is the crops'
quality, measured on the image; networks may ignore it. An image is a clip of one frame.

    evaluation mode  ->  (B, width) float: the test feature, raw; who compares features
                         normalises them
    training mode    ->  `Outputs`

`network.width` is the length of the test feature. Its method `maps`, or else its `backbone`, gives
the last feature map of images before pooling, for drawings. Nothing else is asked of a network.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from models.errors import InputError


class Outputs(NamedTuple):
    """What a network gives for training. Networks with several branches give several logits and
    features.

    logits: each (R, n_classes). features: each (R, D), what the metric losses compare. owners: (R,)
    int64, the row of the batch to which a row belongs: 0..B-1 for networks that pool over time,
    repeated for those that score every frame. attention: (B, T) scores of the frames, (B, 0) where
    the network has none.
    """

    logits: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    owners: Tensor
    attention: Tensor


def _is_exporting() -> bool:
    """Whether either exporter of torch reads the network; all frames are real then."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def last_maps(network: nn.Module, images: Tensor) -> Tensor:
    """Compute the last feature maps of a network, before it pools over places.

    Args:
        network: A network as this module describes, in evaluation mode.
        images: (N, 3, H, W) normalised, each of them a clip of one frame.

    Returns:
        (N, C, h, w) float.

    Raises:
        InputError: The network has no such maps.
    """
    of_frames = network.image if isinstance(network, FrameWise) else network
    maps = getattr(of_frames, "maps", None) or getattr(of_frames, "backbone", None)
    if maps is None:
        raise InputError(f"{type(of_frames).__name__} has no feature map")
    return cast(Tensor, maps(images))


def pack(clips: Tensor, mask: Tensor) -> Tensor:
    """Real frames of the clips as one batch of images (R, 3, H, W), channels last."""
    frames = clips.flatten(0, 1) if _is_exporting() else clips[mask]
    return frames.contiguous(memory_format=torch.channels_last)


def unpack(rows: Tensor, mask: Tensor) -> Tensor:
    """Rows (R, D) of the real frames back at their places: (B, T, D), zero elsewhere."""
    if _is_exporting():
        return rows.reshape(*mask.shape, rows.shape[1])
    spread = rows.new_zeros(*mask.shape, rows.shape[1])
    spread[mask] = rows
    return spread


def mean_over_time(features: Tensor, mask: Tensor) -> Tensor:
    """Mean of features (B, T, D) over the real frames: (B, D)."""
    return weighted_over_time(features, mask.to(features.dtype))


def weighted_over_time(features: Tensor, weights: Tensor) -> Tensor:
    """Mean of features (B, T, D) with weights (B, T), which are 0 for frames that are not real: (B,
    D).

    A sum of products and not an einsum, which autocast would compute in half precision.
    """
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    return (features * weights.unsqueeze(2).to(features.dtype)).sum(1)


class FrameWise(nn.Module):
    """An image network applied to each frame, as torchreid treats video: losses per frame, test
    features averaged.

    `image` maps (N, 3, H, W) to (N, width) in evaluation mode, and to (tuple of logits, tuple of
    features) in training mode.
    """

    def __init__(self, image: nn.Module, width: int) -> None:
        super().__init__()
        self.image = cast(nn.Module, image.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self.width = width

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | Outputs:
        """See the module."""
        out = self.image(pack(clips, mask))
        if not self.training:
            return mean_over_time(unpack(out, mask), mask)
        logits, features = out
        owners = torch.arange(len(mask), device=mask.device).unsqueeze(1).expand_as(mask)[mask]
        return Outputs(logits, features, owners, clips.new_zeros(len(mask), 0))
