"""3D-ResNet-50 (Hara et al. 2018, arXiv 1711.09577).

Gao & Nevatia (arXiv 1805.02104) compare their networks with it.
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

WIDTH = 2048
"""Length of the feature."""


class ResNet3d(nn.Module):
    """Clips as `frames` says -> (B, 2048), the mean over the last map.

    The map has 1/32 of the input's size and 1/16 of its length.
    """

    width = WIDTH

    def __init__(self, n_classes: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1 = _layer(64, width=64, depth=3, stride=1)
        self.layer2 = _layer(256, width=128, depth=4, stride=2)
        self.layer3 = _layer(512, width=256, depth=6, stride=2)
        self.layer4 = _layer(1024, width=512, depth=3, stride=2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.classifier = nn.Linear(self.width, n_classes) if n_classes else None

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | Outputs:
        """See `frames`. Train and test feature are the same."""
        maps, real = self._maps(*_real_first(clips, mask))
        frame_vectors = maps.mean((3, 4), keepdim=True)
        total = (frame_vectors * real).sum((2, 3, 4))
        feature: Tensor = total / real.sum((2, 3, 4))
        if not self.training:
            return feature.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        logits = self.classifier(feature)
        owners = torch.arange(len(mask), device=mask.device)
        no_attention = clips.new_zeros(len(mask), 0)
        return Outputs((logits,), (feature,), owners, no_attention)

    def maps(self, images: Tensor) -> Tensor:
        """Maps (N, 2048, h, w) of images, each a clip of one frame, before pooling."""
        real = torch.ones(len(images), 1, 1, 1, 1, dtype=torch.bool, device=images.device)
        return self._maps(images.unsqueeze(2), real)[0].squeeze(2)

    def _maps(self, clips: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, 2048, t, h, w) of clips (B, 3, T, H, W), and which of their frames are real."""
        maps = torch.relu(self.bn1(self.conv1(clips)))
        # after a ReLU zero loses every maximum
        maps = self.maxpool(maps.masked_fill(~real, 0))
        real = real[:, :, ::2]
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                maps, real = block(maps, real)
        return maps, real


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3, 1x1x1 and a residual sum, with convolved shortcuts (type B).

    The middle convolution has the stride, over time too.
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
        """Apply the block.

        Args:
            maps: (B, C, t, h, w).
            real: (B, 1, t, 1, 1) bool, which of their frames are real.

        Returns:
            Both, after the stride.
        """
        inner = torch.relu(self.bn1(self.conv1(maps)))
        inner = inner.masked_fill(~real, 0)
        inner = torch.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        out = torch.relu(inner + self.downsample(maps))
        return out, real[:, :, :: self.stride]


def inflate(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make 3-D weights from those of a 2-D ResNet-50.

    Kernels become as long as they are high, with the 2-D kernel in the middle and zero before and
    after: a clip of one frame gives what the 2-D network gives. Spreading the kernel over time
    (I3D, arXiv 1705.07750) would not: most of the taps of a clip of four frames fall on padding.

    Args:
        weights: By torchvision's names.

    Returns:
        A start for the 3-D network, without the classifier.
    """
    inflated = {}
    for name, weight in weights.items():
        if "fc." in name or "classifier." in name:
            continue
        inflated[name] = _inflated_kernel(weight) if weight.ndim == 4 else weight
    return inflated


def _inflated_kernel(kernel: Tensor) -> Tensor:
    """2-D kernel (O, I, k, w) -> 3-D kernel (O, I, k, k, w), zero but for the middle."""
    n_out, n_in, height, width = kernel.shape
    inflated = kernel.new_zeros(n_out, n_in, height, height, width)
    inflated[:, :, height // 2] = kernel
    return inflated


def _layer(n_in: int, width: int, depth: int, stride: int) -> nn.Sequential:
    blocks = [Bottleneck(n_in, width, stride)]
    for _ in range(depth - 1):
        blocks.append(Bottleneck(4 * width, width, 1))
    return nn.Sequential(*blocks)


def _real_first(clips: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the real frames to the front and zero what is behind them.

    Returns:
        Clips (B, 3, T, H, W), and which frames are real (B, 1, T, 1, 1).
    """
    n_frames = mask.shape[1]
    places = torch.arange(n_frames, device=mask.device)
    order = torch.where(mask, places, places + n_frames).argsort(1)
    n_real = mask.sum(1, keepdim=True)
    real = (places < n_real)[:, None, :, None, None]
    frame_index = order[:, :, None, None, None].expand_as(clips)
    ordered = clips.gather(1, frame_index).transpose(1, 2)
    return ordered.masked_fill(~real, 0), real
