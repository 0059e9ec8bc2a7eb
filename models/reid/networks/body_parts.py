"""What published ReID networks add to torchvision's ResNet: the normalisations of IBN-a and IBN-b,
squeeze and excitation, non-local blocks, and generalised mean pooling.
"""

from typing import cast

import torch
from torch import Tensor, nn

SMALLEST = 1e-6
"""Values of a map below this count as this in the generalised mean, which takes powers."""
N_NON_LOCAL = {6: (2, 3), 23: (2, 9)}
"""How many non-local blocks layer2 and layer3 get, by the number of blocks of layer3."""


class HalfInstanceNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the others
    (IBN-a, Pan et al. 2018, arXiv 1807.09441). Parameters are named as in IBN-Net's files.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.n_by_instance = channels // 2
        self.IN = nn.InstanceNorm2d(self.n_by_instance, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.n_by_instance)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        by_instance = self.IN(maps[:, : self.n_by_instance])
        by_batch = self.BN(maps[:, self.n_by_instance :])
        return torch.cat([by_instance, by_batch], 1)


class InstanceNormBlock(nn.Module):
    """A bottleneck whose output is normalised by instance before its last ReLU (IBN-b, the same
    paper). Parameters are named as in torchreid's files.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.IN = nn.InstanceNorm2d(cast(nn.Conv2d, block.conv3).out_channels, affine=True)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape; for a block without a projection."""
        layers = dict(self.named_children())
        relu = layers["relu"]
        inner = relu(layers["bn1"](layers["conv1"](maps)))
        inner = relu(layers["bn2"](layers["conv2"](inner)))
        branch = layers["bn3"](layers["conv3"](inner))
        return cast(Tensor, relu(self.IN(branch + maps)))


class SqueezedNorm(nn.BatchNorm2d):
    """Batch normalisation, after which each channel is scaled by what the means of all channels say
    (Hu et al. 2018, arXiv 1709.01507).
    """

    def __init__(self, channels: int, has_bias: bool, reduction: int = 16) -> None:
        super().__init__(channels)
        inner = channels // reduction
        self.fc1 = nn.Linear(channels, inner, bias=has_bias)
        self.fc2 = nn.Linear(inner, channels, bias=has_bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        normal = super().forward(maps)
        scales = self.fc2(self.fc1(normal.mean((2, 3))).relu()).sigmoid()
        return cast(Tensor, normal * scales[:, :, None, None])


class NonLocal(nn.Module):
    """Adds to each pixel a sum over all pixels, weighted by similarity (Wang et al. 2018,
    arXiv 1711.07971, with dot products divided by the number of pixels). It starts as the identity.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, width, 1)
        self.theta = nn.Conv2d(channels, width, 1)
        self.phi = nn.Conv2d(channels, width, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(width, channels, 1), norm)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        queries = self.theta(maps).flatten(2).transpose(1, 2)
        keys = self.phi(maps).flatten(2)
        values = self.g(maps).flatten(2).transpose(1, 2)
        similarity = queries @ keys / keys.shape[2]
        sums = (similarity @ values).transpose(1, 2).unflatten(2, maps.shape[2:])
        return cast(Tensor, maps + self.W(sums))


class Mean(nn.Module):
    """Mean over the map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C)."""
        return maps.mean((2, 3))


class GeneralizedMean(nn.Module):
    """Mean of powers of the map, and the root of it: between mean (p = 1) and maximum, p is learned
    (Radenovic et al. 2018, arXiv 1711.02512).
    """

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C)."""
        powers = maps.float().clamp(min=SMALLEST).pow(self.p)
        return powers.mean((2, 3)).pow(1 / self.p).to(maps.dtype)


def normalise_instances(network: nn.Module) -> None:
    """Put `HalfInstanceNorm` after the first convolution of the blocks of layer1 to layer3."""
    for name in ("layer1", "layer2", "layer3"):
        for block in cast(nn.Sequential, network.get_submodule(name)):
            block.bn1 = HalfInstanceNorm(cast(nn.Conv2d, block.conv1).out_channels)


def squeeze_and_excite(network: nn.Module, has_bias: bool) -> None:
    """Make the last normalisation of each block of a ResNet a `SqueezedNorm`."""
    for name in ("layer1", "layer2", "layer3", "layer4"):
        for block in cast(nn.Sequential, network.get_submodule(name)):
            last = "bn3" if hasattr(block, "bn3") else "bn2"
            norm = cast(nn.BatchNorm2d, block.get_submodule(last))
            squeezed = SqueezedNorm(norm.num_features, has_bias)
            squeezed.weight = norm.weight
            setattr(block, last, squeezed)


def add_non_local(network: nn.Module, widths: tuple[int, ...]) -> None:
    """Put non-local blocks, named nl0, nl1, ..., behind the last blocks of layer2 and layer3.

    Args:
        network: ResNet-50 or 101.
        widths: Inner widths of the blocks of layer2 and of layer3.

    Raises:
        ValueError: The network has another number of blocks, or there are not two widths.
    """
    depth = len(cast(nn.Sequential, network.get_submodule("layer3")))
    if depth not in N_NON_LOCAL or len(widths) != 2:
        raise ValueError("non_local: expected two widths, and all blocks of ResNet-50 or 101")
    layers = zip(("layer2", "layer3"), N_NON_LOCAL[depth], widths, strict=True)
    for name, n_added, width in layers:
        blocks = list(cast(nn.Sequential, network.get_submodule(name)))
        first = len(blocks) - n_added
        layer = nn.Sequential()
        for i, block in enumerate(blocks):
            layer.add_module(str(i), block)
            if i >= first:
                channels = cast(nn.Conv2d, block.conv3).out_channels
                layer.add_module(f"nl{i - first}", NonLocal(channels, width))
        setattr(network, name, layer)
