"""OSNet: small multi-scale networks (Zhou et al., arXiv 1905.00953 and 1910.06827).
A block has four streams that see 3, 5, 7 and 9 pixels and one gate, shared by the streams, that
weighs their channels. Three variants: "plain"; "ibn", whose first convolution and first two blocks
(after the residual sum) normalise each image by itself; "ain", where a search has placed these
normalisations: the first convolution and, inside the residual, four of the six blocks.

Parameters are named as in torchreid's files, so public OSNet weights load by name. That is why the
streams, and the place of the layers between stages, are named in two ways.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.reid.networks.frames import FrameWise

CHANNELS = (64, 256, 384, 512)
FEATURE = 512
NO = "no"
AFTER = "after the sum"
INSIDE = "inside the residual"
VARIANTS: dict[str, tuple[tuple[str, str], ...]] = {
    "plain": ((NO, NO), (NO, NO), (NO, NO)),
    "ibn": ((AFTER, AFTER), (NO, NO), (NO, NO)),
    "ain": ((INSIDE, INSIDE), (NO, INSIDE), (INSIDE, NO)),
}
"""Where the two blocks of each of the three stages have their instance normalisation."""


def osnet(n_classes: int = 0, scale: float = 1.0, variant: str = "plain") -> FrameWise:
    """Build OSNet for clips, frame by frame.

    Args:
        n_classes: Training people; 0 builds no classifier.
        scale: Factor of all channel counts: 1, 0.75, 0.5 or 0.25.
        variant: One of `VARIANTS`.

    Returns:
        The network.

    Raises:
        ValueError: Scale or variant is another one.
    """
    return FrameWise(OSNet(n_classes, scale, variant), FEATURE)


class OSNet(nn.Module):
    """Images (N, 3, H, W) -> features (N, 512); in training ((logits,), (features,))."""

    width = FEATURE

    def __init__(self, n_classes: int = 0, scale: float = 1.0, variant: str = "plain") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"OSNet variant {variant}: expected one of {', '.join(VARIANTS)}")
        stem, first, second, third = (round(n * scale) for n in CHANNELS)
        # a gate squeezes a quarter of the channels by 16
        if first < 64 or first % 4 or second % 4 or third % 4:
            raise ValueError(f"OSNet scale {scale}: expected 1, 0.75, 0.5 or 0.25")
        places = VARIANTS[variant]
        numbered = variant == "ain"
        self.conv1 = ConvNorm(3, stem, 7, 2, norm="batch" if variant == "plain" else "instance")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(stem, first, places[0], numbered)
        self.conv3 = _stage(first, second, places[1], numbered)
        self.conv4 = _stage(second, third, places[2], numbered)
        self.pool2 = transition(first) if numbered else nn.Identity()
        self.pool3 = transition(second) if numbered else nn.Identity()
        if not numbered:
            self.conv2.append(transition(first))
            self.conv3.append(transition(second))
        self.conv5 = ConvNorm(third, third)
        self.fc = nn.Sequential(nn.Linear(third, FEATURE), nn.BatchNorm1d(FEATURE), nn.ReLU())
        self.classifier = nn.Linear(FEATURE, n_classes) if n_classes else None
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """See the class."""
        features: Tensor = self.fc(self.maps(images).mean((2, 3)))
        if not self.training:
            return features.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        return (self.classifier(features),), (features,)

    def maps(self, images: Tensor) -> Tensor:
        """Maps (N, C, H / 16, W / 16) before pooling."""
        maps = self.pool2(self.conv2(self.maxpool(self.conv1(images))))
        last: Tensor = self.conv5(self.conv4(self.pool3(self.conv3(maps))))
        return last


class OSBlock(nn.Module):
    """Omni-scale residual block: 1x1, four gated streams summed, 1x1, residual sum, ReLU.

    It keeps the map's size. `place` is where instance normalisation sits. `numbered` names the
    streams conv2.0 .. conv2.3 instead of conv2a .. conv2d. `make_gate` builds the gate from its
    number of channels; `Gate` when left out.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        place: str = NO,
        numbered: bool = False,
        make_gate: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        middle = n_out // 4
        self.conv1 = ConvNorm(n_in, middle)
        streams = [_stream(middle, depth) for depth in (1, 2, 3, 4)]
        self.numbered = numbered
        if numbered:
            layers = [nn.Sequential(OrderedDict(layers=stream)) for stream in streams]
            self.conv2 = nn.ModuleList(layers)
        else:
            self.conv2a = streams[0][0]
            self.conv2b = streams[1]
            self.conv2c = streams[2]
            self.conv2d = streams[3]
        self.gate = (make_gate or Gate)(middle)
        residual_norm = "none" if place == INSIDE else "batch"
        self.conv3 = ConvNorm(middle, n_out, norm=residual_norm, relu=False)
        self.downsample = ConvNorm(n_in, n_out, relu=False) if n_in != n_out else nn.Identity()
        self.IN = nn.InstanceNorm2d(n_out, affine=True) if place != NO else nn.Identity()
        self.inside = place == INSIDE

    def forward(self, maps: Tensor) -> Tensor:
        """(N, n_in, h, w) -> (N, n_out, h, w)."""
        squeezed = self.conv1(maps)
        if self.numbered:
            streams = tuple(self.conv2)
        else:
            streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        gated = sum(self.gate(stream(squeezed)) for stream in streams)
        residual = self.conv3(gated)
        shortcut = self.downsample(maps)
        if self.inside:
            return torch.relu(self.IN(residual) + shortcut)
        return torch.relu(self.IN(residual + shortcut))


def _stream(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(LightConv(channels) for _ in range(depth)))


class LightConv(nn.Module):
    """3x3 convolution in two steps: across channels, then depthwise; normalised, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        return torch.relu(self.bn(self.conv2(self.conv1(maps))))


class Gate(nn.Module):
    """Weights 0..1 of the channels, from their means over the map, through a 16th of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same, weighed."""
        means = maps.mean((2, 3), keepdim=True)
        inner = torch.relu(self.fc1(means))
        return maps * torch.sigmoid(self.fc2(inner))


class ConvNorm(nn.Module):
    """Convolution that keeps the size but for the stride, normalisation, ReLU.

    norm: "batch", "instance" or "none".
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int = 1,
        stride: int = 1,
        norm: str = "batch",
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
        self.bn: nn.Module = nn.Identity()
        if norm == "instance":
            self.bn = nn.InstanceNorm2d(n_out, affine=True)
        elif norm == "batch":
            self.bn = nn.BatchNorm2d(n_out)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """(N, n_in, h, w) -> (N, n_out, h / stride, w / stride)."""
        maps = self.bn(self.conv(maps))
        return functional.relu(maps) if self.relu else maps


def _stage(n_in: int, n_out: int, places: tuple[str, str], numbered: bool) -> nn.Sequential:
    first = OSBlock(n_in, n_out, places[0], numbered)
    second = OSBlock(n_out, n_out, places[1], numbered)
    return nn.Sequential(first, second)


def transition(channels: int) -> nn.Sequential:
    """Layer between two stages: a 1x1 convolution, and half the height and width."""
    return nn.Sequential(ConvNorm(channels, channels), nn.AvgPool2d(2, stride=2))


def _start(layer: nn.Module) -> None:
    """Kaiming (fan out) for convolutions and N(0, 0.01) for linear layers, biases 0.

    Normalisations start as torch has them.
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
