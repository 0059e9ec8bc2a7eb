"""3D-ResNet-50 (Hara et al. 2018, arXiv 1711.09577), the 3-D network that Gao & Nevatia (arXiv
1805.02104) compare with.

Convolutions run over time as well, so padding is not a matter of the last mean: it would leak into
its neighbours. Real frames are moved to the front in their order and everything behind them is zero
before each layer that looks over time. Zero is what those layers pad with themselves, hence a clip
gives the same feature alone and padded, at any length from one frame on. Only training's batch
statistics still count the padding.

Parameters are named as in torchvision's ResNet and Hara's files: Kinetics weights load by name, 2-D
weights after `inflate`.
"""

import torch
from torch import Tensor, nn

from models.reid.networks.frames import Outputs

WIDTHS, DEPTHS, STRIDES = (64, 128, 256, 512), (3, 4, 6, 3), (1, 2, 2, 2)


class ResNet3d(nn.Module):
    """Clips as `frames` says -> (B, 2048): the mean over the last map, 1/32 of the input's size and
    1/16 of its length.
    """

    width = 4 * WIDTHS[-1]

    def __init__(self, n_classes: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(n_in, width, depth, stride)
            for n_in, width, depth, stride in zip(
                (64, 256, 512, 1024), WIDTHS, DEPTHS, STRIDES, strict=True
            )
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.classifier = nn.Linear(self.width, n_classes) if n_classes else None

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | Outputs:
        """See `frames`. Train and test feature are the same."""
        maps, real = _real_first(clips, mask)
        maps = torch.relu(self.bn1(self.conv1(maps)))
        maps, real = (
            self.maxpool(maps.masked_fill(~real, 0)),
            real[:, :, ::2],
        )  # after a ReLU zero loses every maximum
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                maps, real = block(maps, real)
        feature: Tensor = (maps.mean((3, 4), keepdim=True) * real).sum((2, 3, 4)) / real.sum(
            (2, 3, 4)
        )
        if not self.training:
            return feature.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        owners = torch.arange(len(mask), device=mask.device)
        return Outputs(
            (self.classifier(feature),), (feature,), owners, clips.new_zeros(len(mask), 0)
        )


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3, 1x1x1 and a residual sum; strides, over time too, in the middle. Convolved
    shortcuts (type B).
    """

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(n_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(4 * width)
        self.stride = stride
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or n_in != 4 * width:
            shortcut = nn.Conv3d(n_in, 4 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(4 * width))

    def forward(self, maps: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, t, h, w) and which of their frames are real (B, 1, t, 1, 1) -> both, after
        the stride.
        """
        inner = torch.relu(self.bn1(self.conv1(maps))).masked_fill(~real, 0)
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(self.bn3(self.conv3(inner)) + self.downsample(maps)), real[
            :, :, :: self.stride
        ]


def inflate(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """2-D ResNet-50 weights (torchvision's names) -> a start for the 3-D network; the classifier is
    left out.

    Kernels become as long as they are high, with the 2-D kernel in the middle and zero before and
    after: a clip of one frame gives what the 2-D network gives. Spreading the kernel over time
    (I3D, arXiv 1705.07750) would not: most of the taps of a clip of four frames fall on padding.
    """
    inflated = {}
    for name, weight in weights.items():
        if "fc." in name or "classifier." in name:
            continue
        inflated[name] = weight
        if weight.ndim == 4:
            long = weight.new_zeros(*weight.shape[:2], weight.shape[2], *weight.shape[2:])
            long[:, :, weight.shape[2] // 2] = weight
            inflated[name] = long
    return inflated


def _layer(n_in: int, width: int, depth: int, stride: int) -> nn.Sequential:
    first = Bottleneck(n_in, width, stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1) for _ in range(depth - 1)))


def _real_first(clips: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (B, 3, T, H, W) with their real frames in front and zeros behind, and which are real
    (B, 1, T, 1, 1).
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    order = torch.where(mask, places, places + mask.shape[1]).argsort(1)
    real = (places < mask.sum(1, keepdim=True))[:, None, :, None, None]
    ordered = clips.gather(1, order[:, :, None, None, None].expand_as(clips)).transpose(1, 2)
    return ordered.masked_fill(~real, 0), real
