"""OSNet with Linear Context Transform gates and a learned global pooling, as Intel's
person-reidentification networks have it.

What differs from `osnet`: the image is instance-normalised before the first convolution, so that a
camera's brightness and colour cast cancel; the second block of each stage weighs its channels by a
Linear Context Transform (Ruan et al., arXiv 1909.03834) instead of a small bottleneck; pooling is a
depthwise convolution over the whole map (Wu et al., MobileFaceNets), so that the head knows top
from bottom; a linear layer with normalisation and PReLU makes the embedding. The input size is
fixed by the pooling; `resized_pooling` carries weights over to another size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.reid.networks.frames import FrameWise
from models.reid.networks.osnet import CHANNELS, ConvNorm, OSBlock, transition

STRIDE = 16
"""Pixels of the input for one cell of the last map."""
GROUPS = 16
"""Groups of neighbouring channels in which Linear Context Transform normalises."""
POOLING = "pool.weight"
"""Key of the pooling's weights inside `OSNetLct`, the only tensor whose shape depends on the input
size.
"""


class OSNetLct(nn.Module):
    """Images (N, 3, H, W) -> embeddings (N, width); in training ((logits,), (embeddings,)). See the
    module.

    Args:
        n_classes: training people; 0 builds no classifier.
        height_px: height of the input, a multiple of 16.
        width_px: width of the input, a multiple of 16.
        embed_width: length of the embedding.

    Raises:
        ValueError: the input size is not a multiple of 16.
    """

    def __init__(
        self, n_classes: int = 0, height_px: int = 256, width_px: int = 128, embed_width: int = 256
    ) -> None:
        super().__init__()
        if height_px % STRIDE or width_px % STRIDE:
            raise ValueError(f"input {height_px}x{width_px}: expected multiples of {STRIDE}")
        stem, *channels = CHANNELS
        self.width = embed_width
        self.input_norm = nn.InstanceNorm2d(3, affine=True)
        self.conv1 = ConvNorm(3, stem, 7, 2, norm="instance")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(stem, channels[0])
        self.pool2 = transition(channels[0])
        self.conv3 = _stage(channels[0], channels[1])
        self.pool3 = transition(channels[1])
        self.conv4 = _stage(channels[1], channels[2])
        self.conv5 = ConvNorm(channels[2], channels[2])
        map_size = (height_px // STRIDE, width_px // STRIDE)
        self.pool = nn.Conv2d(channels[2], channels[2], map_size, groups=channels[2])
        self.fc = nn.Linear(channels[2], embed_width)
        self.fc_norm = nn.BatchNorm1d(embed_width)
        self.fc_activation = nn.PReLU()
        self.classifier = nn.Linear(embed_width, n_classes) if n_classes else None

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """See the class."""
        pooled = self.pool(self._maps(images)).flatten(1)
        embedding: Tensor = self.fc_activation(self.fc_norm(self.fc(pooled)))
        if not self.training:
            return embedding.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        return (self.classifier(embedding),), (embedding,)

    def maps(self, images: Tensor) -> Tensor:
        """Maps (N, C, H / 16, W / 16), weighted as the pooling does, which sums them: without
        these weights, places that it leaves out look the strongest.
        """
        return self._maps(images) * self.pool.weight.squeeze(1)

    def _maps(self, images: Tensor) -> Tensor:
        """Maps (N, C, H / 16, W / 16) before pooling."""
        maps = self.maxpool(self.conv1(self.input_norm(images)))
        maps = self.pool2(self.conv2(maps))
        maps = self.pool3(self.conv3(maps))
        last: Tensor = self.conv5(self.conv4(maps))
        return last


class LinearContextTransform(nn.Module):
    """Weights 0..1 of the channels: their means over the map, normalised within groups, scaled,
    shifted, through a sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same, weighed."""
        context = maps.mean((2, 3))
        in_groups = context.reshape(len(context), GROUPS, -1)
        normal = functional.layer_norm(in_groups, in_groups.shape[2:]).flatten(1)
        weights = torch.sigmoid(normal[..., None, None] * self.scale + self.shift)
        return maps * weights


def build(
    n_classes: int = 0, height_px: int = 256, width_px: int = 128, embed_width: int = 256
) -> FrameWise:
    """Network for clips, frame by frame; see `OSNetLct` for the arguments. Raises ValueError."""
    image = OSNetLct(n_classes, height_px, width_px, embed_width)
    return FrameWise(image, image.width)


def resized_pooling(pooling: Tensor, map_size: tuple[int, int]) -> Tensor:
    """Weights of the global pooling for another map size.

    Args:
        pooling: (C, 1, h, w) weights of a network for one input size.
        map_size: (height, width) of the other map, in cells.

    Returns:
        (C, 1, *map_size) weights, interpolated, whose sum over the map is kept for every channel.
    """
    height, width = map_size
    resized = functional.interpolate(pooling, map_size, mode="bilinear", align_corners=False)
    area_ratio = pooling.shape[2] * pooling.shape[3] / (height * width)
    return resized * area_ratio


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    first = OSBlock(n_in, n_out)
    second = OSBlock(n_out, n_out, make_gate=LinearContextTransform)
    return nn.Sequential(first, second)
