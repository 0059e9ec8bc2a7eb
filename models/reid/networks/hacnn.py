"""HA-CNN: soft and hard attention (Li et al. 2018, arXiv 1802.08122), as torchreid builds it.
Three stages. Each weighs its maps pixel by pixel and channel by channel (soft attention) and places
four windows, a quarter of the height each, on its input (hard attention); a local branch follows
the windows. For crops of 160 x 64 only: the windows' maps are resized to sizes that fit nothing
else.

Two things that the published code leaves to chance are fixed here. `align_corners` is True wherever
maps are resampled, as the published weights were trained: torch changed the default of
`affine_grid` and `grid_sample` to False after them. And the soft attention ends in a sigmoid after
a ReLU, so it cannot suppress anything below one half; `open_gate` leaves that ReLU out.

Parameters are named as in torchreid's files.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.reid.networks.frames import FrameWise

HEIGHT_PX = 160
WIDTH_PX = 64
STEM = 32
CHANNELS = (128, 256, 384)
FEATURE = 512
LOCAL_SIZES = ((24, 28), (12, 14), (6, 7))
"""Height and width of the windows' maps as they enter the local branch, by stage."""
N_REGIONS = 4
REGION_CENTRES = (-0.75, -0.25, 0.25, 0.75)
"""Where the windows start: heights, -1 is the top and 1 the bottom of the map."""


def hacnn(n_classes: int = 0, open_gate: bool = False) -> FrameWise:
    """Build HA-CNN for clips of 160 x 64 px, frame by frame. `open_gate`: see the module."""
    return FrameWise(HACNN(n_classes, open_gate), 2 * FEATURE)


class HACNN(nn.Module):
    """Images (N, 3, 160, 64) -> features (N, 1024): the global and the local half, each of unit
    length.

    In training: (logits of both halves, the two features (N, 512) before scaling). Other sizes are
    a ValueError.
    """

    width = 2 * FEATURE

    def __init__(self, n_classes: int = 0, open_gate: bool = False) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.conv = ConvBlock(3, STEM, 3, 2)
        self.inception1 = nn.Sequential(InceptionA(STEM, first), InceptionB(first, first))
        self.inception2 = nn.Sequential(InceptionA(first, second), InceptionB(second, second))
        self.inception3 = nn.Sequential(InceptionA(second, third), InceptionB(third, third))
        self.ha1 = HarmoniousAttention(first, open_gate)
        self.ha2 = HarmoniousAttention(second, open_gate)
        self.ha3 = HarmoniousAttention(third, open_gate)
        self.local_conv1 = InceptionB(STEM, first)
        self.local_conv2 = InceptionB(first, second)
        self.local_conv3 = InceptionB(second, third)
        self.fc_global = _fully_connected(third)
        self.fc_local = _fully_connected(N_REGIONS * third)
        self.classifier_global = nn.Linear(FEATURE, n_classes) if n_classes else None
        self.classifier_local = nn.Linear(FEATURE, n_classes) if n_classes else None

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """See the class."""
        height, width = images.shape[2:]
        if (height, width) != (HEIGHT_PX, WIDTH_PX):
            raise ValueError(
                f"HA-CNN takes crops of {HEIGHT_PX} x {WIDTH_PX} px (height x width) only, got"
                f" {height} x {width}"
            )
        whole, parts = self._maps(images)
        part_vectors = [part.mean((2, 3)) for part in parts]
        global_feature = self.fc_global(whole.mean((2, 3)))
        local_feature = self.fc_local(torch.cat(part_vectors, 1))
        if not self.training:
            global_unit = functional.normalize(global_feature.float(), dim=1)
            local_unit = functional.normalize(local_feature.float(), dim=1)
            return torch.cat([global_unit, local_unit], 1)
        if self.classifier_global is None or self.classifier_local is None:
            raise ValueError("training needs n_classes > 0")
        global_logits = self.classifier_global(global_feature)
        local_logits = self.classifier_local(local_feature)
        return (global_logits, local_logits), (global_feature, local_feature)

    def maps(self, images: Tensor) -> Tensor:
        """Maps (N, 384, 10, 4) of the global branch, weighted by attention, before pooling."""
        return self._maps(images)[0]

    def _maps(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Maps (N, 384, 10, 4) of the image and (N, 384, 3, 4) of each window."""
        stages = (
            (self.inception1, self.ha1, self.local_conv1),
            (self.inception2, self.ha2, self.local_conv2),
            (self.inception3, self.ha3, self.local_conv3),
        )
        whole = self.conv(images)
        parts = [whole.new_zeros(1)] * N_REGIONS  # the first stage has nothing to add
        for (inception, attention, local), size in zip(stages, LOCAL_SIZES, strict=True):
            maps = inception(whole)
            soft, places = attention(maps)
            windows = [_window(whole, places[:, region], size) for region in range(N_REGIONS)]
            # one window after the other: in training the local layers normalise each region by
            # itself, as published
            parts = [local(window + part) for window, part in zip(windows, parts, strict=True)]
            whole = maps * soft
        return whole, parts


class HarmoniousAttention(nn.Module):
    """Soft and hard attention on the same maps.

    Gives weights (N, C, h, w), in 0.5..1 or with `open_gate` in 0..1, and places of the windows (N,
    4, 2), x and y in -1..1.
    """

    def __init__(self, channels: int, open_gate: bool) -> None:
        super().__init__()
        self.soft_attn = SoftAttention(channels, open_gate)
        self.hard_attn = HardAttention(channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        return self.soft_attn(maps), self.hard_attn(maps)


class SoftAttention(nn.Module):
    """Sigmoid of a 1x1 convolution over spatial times channel attention."""

    def __init__(self, channels: int, open_gate: bool) -> None:
        super().__init__()
        self.spatial_attn = SpatialAttention()
        self.channel_attn = ChannelAttention(channels)
        self.conv = ConvBlock(channels, channels, 1, relu=not open_gate)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> weights of the same shape."""
        attention = self.spatial_attn(maps) * self.channel_attn(maps)
        return torch.sigmoid(self.conv(attention))


class SpatialAttention(nn.Module):
    """Where to look: mean over channels, 3x3 at half the size, back to the full size, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(1, 1, 3, 2)
        self.conv2 = ConvBlock(1, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 1, h, w); h and w even."""
        half = self.conv1(maps.mean(1, keepdim=True))
        full = functional.interpolate(half, scale_factor=2, mode="bilinear", align_corners=True)
        weights: Tensor = self.conv2(full)
        return weights


class ChannelAttention(nn.Module):
    """Which channels to trust: means over the map through a 16th of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels // 16, 1)
        self.conv2 = ConvBlock(channels // 16, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 1, 1)."""
        means = maps.mean((2, 3), keepdim=True)
        weights: Tensor = self.conv2(self.conv1(means))
        return weights


class HardAttention(nn.Module):
    """Places of the four windows; starts as four stripes whatever the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, N_REGIONS * 2)
        nn.init.zeros_(self.fc.weight)
        centres = torch.tensor([(0, y) for y in REGION_CENTRES])
        with torch.no_grad():
            self.fc.bias.copy_(centres.flatten())

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 4, 2): centres (x, y) in -1..1."""
        centres = torch.tanh(self.fc(maps.mean((2, 3))))
        return centres.view(-1, N_REGIONS, 2)


class InceptionA(nn.Module):
    """Four streams of a quarter of the channels each, at the map's size."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        quarter = n_out // 4
        self.stream1 = _reduce_then_convolve(n_in, quarter)
        self.stream2 = _reduce_then_convolve(n_in, quarter)
        self.stream3 = _reduce_then_convolve(n_in, quarter)
        self.stream4 = nn.Sequential(nn.AvgPool2d(3, 1, 1), ConvBlock(n_in, quarter, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, n_in, h, w) -> (N, n_out, h, w)."""
        streams = (self.stream1, self.stream2, self.stream3, self.stream4)
        return torch.cat([stream(maps) for stream in streams], 1)


class InceptionB(nn.Module):
    """Three streams of a quarter, a quarter and half of the channels, at half the map's size."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        quarter = n_out // 4
        self.stream1 = _reduce_then_convolve(n_in, quarter, stride=2)
        self.stream2 = nn.Sequential(
            ConvBlock(n_in, quarter, 1),
            ConvBlock(quarter, quarter, 3),
            ConvBlock(quarter, quarter, 3, 2),
        )
        self.stream3 = nn.Sequential(nn.MaxPool2d(3, 2, 1), ConvBlock(n_in, 2 * quarter, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, n_in, h, w) -> (N, n_out, h / 2, w / 2)."""
        streams = (self.stream1, self.stream2, self.stream3)
        return torch.cat([stream(maps) for stream in streams], 1)


class ConvBlock(nn.Module):
    """Convolution with bias that keeps the size (but for the stride), batch normalisation, ReLU."""

    def __init__(
        self, n_in: int, n_out: int, size: int, stride: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride, size // 2)
        self.bn = nn.BatchNorm2d(n_out)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """(N, n_in, h, w) -> (N, n_out, h / stride, w / stride)."""
        maps = self.bn(self.conv(maps))
        return functional.relu(maps) if self.relu else maps


def _reduce_then_convolve(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(ConvBlock(n_in, n_out, 1), ConvBlock(n_out, n_out, 3, stride))


def _fully_connected(n_in: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, FEATURE), nn.BatchNorm1d(FEATURE), nn.ReLU())


def _window(maps: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a window of full width and a quarter of the height out of maps.

    In float32: half precision is too coarse for places on a map.

    Args:
        maps: (N, C, h, w).
        places: Centres (N, 2).
        size: Height and width of the result.

    Returns:
        (N, C, *size).
    """
    diagonal = places.new_tensor([1.0, 0.25])
    scale = torch.diag(diagonal).float().expand(len(places), 2, 2)
    shift = places.float().unsqueeze(2)
    theta = torch.cat([scale, shift], 2)
    grid = functional.affine_grid(theta, list(maps.shape), align_corners=True)
    cut = functional.grid_sample(maps.float(), grid, align_corners=True)
    resized = functional.interpolate(cut, size, mode="bilinear", align_corners=True)
    return resized.to(maps.dtype)
