"""PSTA: a pyramid that merges the frames of a clip in pairs, with attention (Wang et al. 2021).
ResNet-50 per frame, 1024 channels, then levels: each merges neighbouring frames, 8 -> 4 -> 2 -> 1,
in a `PairMerge`. Attention looks at relations: what a pixel has in common with all pixels of its
own frame, and of its partner's. Each level gives a feature, the mean of all vectors so far, with a
neck and a classifier of its own; the last one is the test feature.

The relations are channels of a convolution, one per pixel of the map, so a network is built for one
input size. A pyramid also needs one clip length: tracklets of other lengths, in training and in
evaluation, are resampled to it, evenly and always in the same way, repeating frames when there are
few; the backbone sees every chosen frame once.

What our description of the network leaves open is settled here: in temporal attention both frames
of a pair go through the same layers (own frame first, partner second), so the order of a pair
changes nothing; its map of relations and its map of both embeddings meet in the last 1x1
convolution; channel weights have a ReLU in between. Weights trained elsewhere need not fit.
"""

import math

import torch
from torch import Tensor, nn

from models.reid.networks.backbones import resnet
from models.reid.networks.frames import Outputs, pack
from models.reid.networks.temporal import bnneck, classifier

CHANNELS = 1024
EMBEDDING = 128
STRIDE = 16


class PSTA(nn.Module):
    """Clips as `frames` says -> (B, 1024): the last level's feature after its neck.

    In training one feature and one row of logits for each level, features after the necks.
    clip_length: a power of two.
    """

    width = CHANNELS

    def __init__(
        self, n_classes: int = 0, clip_length: int = 8, height_px: int = 256, width_px: int = 128
    ) -> None:
        super().__init__()
        if clip_length < 2 or clip_length & (clip_length - 1):
            raise ValueError(f"PSTA clip_length {clip_length}: expected a power of two, from 2 on")
        self.clip_length = clip_length
        self.size = (height_px, width_px)
        n_levels = clip_length.bit_length() - 1
        n_heads = n_levels if n_classes else 0
        map_height = math.ceil(height_px / STRIDE)
        map_width = math.ceil(width_px / STRIDE)
        n_pixels = map_height * map_width
        self.backbone = resnet("resnet50", last_stride=1)
        self.reduce = _conv(2048, CHANNELS)
        self.levels = nn.ModuleList(PairMerge(n_pixels) for _ in range(n_levels))
        self.necks = nn.ModuleList(bnneck(CHANNELS) for _ in range(n_levels))
        self.classifiers = nn.ModuleList(
            classifier(CHANNELS, n_classes, bias=False) for _ in range(n_heads)
        )

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | Outputs:
        """See `frames`."""
        size = tuple(clips.shape[3:])
        if size != self.size:
            raise ValueError(f"this PSTA was built for crops of {self.size} px, got {size}")
        maps = self._frames(clips, mask)
        vectors: list[Tensor] = []
        features: list[Tensor] = []
        for merge in self.levels:
            maps = merge(maps)
            vectors.append(maps.mean((3, 4)))
            features.append(torch.cat(vectors, 1).mean(1))
        if not self.training:
            last: Tensor = self.necks[-1](features[-1])
            return last.float()
        if not self.classifiers:
            raise ValueError("training needs n_classes > 0")
        normal = []
        for neck, feature in zip(self.necks, features, strict=True):
            normal.append(neck(feature))
        logits = []
        for classify, feature in zip(self.classifiers, normal, strict=True):
            logits.append(classify(feature))
        owners = torch.arange(len(mask), device=mask.device)
        no_attention = clips.new_zeros(len(mask), 0)
        return Outputs(tuple(logits), tuple(normal), owners, no_attention)

    def _frames(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Maps (B, clip_length, 1024, h, w) of the chosen frames."""
        chosen = resampled(mask, self.clip_length)
        seen = torch.zeros_like(mask).scatter(1, chosen, True)
        if torch.compiler.is_exporting():
            seen = torch.ones_like(mask)  # as `pack` then does
        packed_rows = seen.flatten().cumsum(0) - 1
        rows = packed_rows.view_as(mask).gather(1, chosen)
        images = pack(clips, seen)
        return self.maps(images)[rows]

    def maps(self, images: Tensor) -> Tensor:
        """Maps (N, 1024, h, w) of single frames, before they are merged."""
        maps: Tensor = self.reduce(self.backbone(images))
        return maps


def resampled(mask: Tensor, length: int) -> Tensor:
    """Choose the frames that stand for clips, evenly and in order.

    Args:
        mask: (B, T) bool, true for real frames.
        length: How many frames to choose for each clip.

    Returns:
        Frame numbers (B, length) int64, of real frames.
    """
    n_frames = mask.shape[1]
    places = torch.arange(n_frames, device=mask.device)
    real_first = torch.where(mask, places, places + n_frames).argsort(1)
    middles = 2 * torch.arange(length, device=mask.device) + 1
    n_real = mask.sum(1, keepdim=True)
    ranks = middles * n_real // (2 * length)
    return real_first.gather(1, ranks)


class PairMerge(nn.Module):
    """Spatial-temporal aggregation (STAM) of neighbours.

    Maps (B, T, 1024, h, w) -> (B, T / 2, 1024, h, w).
    """

    def __init__(self, n_pixels: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(_conv(CHANNELS, 256), _conv(256, EMBEDDING))
        self.spatial = SpatialAttention(n_pixels)
        self.temporal = TemporalAttention(n_pixels)
        self.refine = nn.Sequential(_conv(CHANNELS, 256), _conv(256, 256, 3), _conv(256, CHANNELS))

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        first = maps[:, ::2].flatten(0, 1)
        second = maps[:, 1::2].flatten(0, 1)
        frames = torch.cat([first, second])
        embedded = self.embed(frames)
        temporal = _sum_of_halves(self.temporal(frames, embedded) * frames)
        spatial = _sum_of_halves(self.spatial(frames, embedded) * frames)
        merged = temporal.square() + spatial
        refined: Tensor = self.refine(merged)
        return refined.view(len(maps), -1, *maps.shape[2:])


class SpatialAttention(nn.Module):
    """Spatial reference attention (SRA): weights from relations within the frame."""

    def __init__(self, n_pixels: int) -> None:
        super().__init__()
        self.asks = _conv(CHANNELS, EMBEDDING)
        self.answers = _conv(CHANNELS, EMBEDDING)
        self.joint = _conv(2 * n_pixels, EMBEDDING)
        self.pixels = nn.Sequential(
            _conv(2 * EMBEDDING, EMBEDDING), _conv(EMBEDDING, 1, act=nn.Sigmoid)
        )
        self.channels = nn.Sequential(
            nn.Linear(CHANNELS, EMBEDDING), nn.ReLU(), nn.Linear(EMBEDDING, CHANNELS), nn.Sigmoid()
        )

    def forward(self, frames: Tensor, embedded: Tensor) -> Tensor:
        """Weights of the pixels and channels of frames.

        Args:
            frames: (N, 1024, h, w).
            embedded: (N, 128, h, w).

        Returns:
            (N, 1024, h, w) in 0..1.
        """
        asks = self.asks(frames)
        answers = self.answers(frames)
        related = self.joint(_relations(asks, answers, partner=False))
        pixels: Tensor = self.pixels(torch.cat([related, embedded], 1))
        vectors = frames.mean((2, 3))
        channels: Tensor = self.channels(vectors)
        return pixels * channels[:, :, None, None]


class TemporalAttention(nn.Module):
    """Temporal reference attention (TRA): weights from relations with the partner frame.

    Both frames' embeddings take part.
    """

    def __init__(self, n_pixels: int) -> None:
        super().__init__()
        self.asks = _conv(CHANNELS, EMBEDDING)
        self.answers = _conv(CHANNELS, EMBEDDING)
        self.joint = _conv(2 * n_pixels, EMBEDDING)
        self.both = _conv(2 * EMBEDDING, EMBEDDING)
        self.pixels = _conv(2 * EMBEDDING, 1, act=nn.Sigmoid)
        self.project = nn.Sequential(nn.Linear(CHANNELS, EMBEDDING), nn.ReLU())
        self.channels = nn.Sequential(nn.Linear(2 * EMBEDDING, CHANNELS), nn.Sigmoid())

    def forward(self, frames: Tensor, embedded: Tensor) -> Tensor:
        """Weights of the pixels and channels of frames.

        Args:
            frames: All first frames and then all second ones (2P, 1024, h, w).
            embedded: (2P, 128, h, w).

        Returns:
            (2P, 1024, h, w) in 0..1.
        """
        asks = self.asks(frames)
        answers = self.answers(frames)
        related = self.joint(_relations(asks, answers, partner=True))
        context = self.both(torch.cat([embedded, _partners(embedded)], 1))
        pixels: Tensor = self.pixels(torch.cat([related, context], 1))
        vectors = self.project(frames.mean((2, 3)))
        channels: Tensor = self.channels(torch.cat([vectors, _partners(vectors)], 1))
        return pixels * channels[:, :, None, None]


def _relations(asks: Tensor, answers: Tensor, partner: bool) -> Tensor:
    """Products of each pixel with all pixels of the other frame, both ways round.

    Maps (N, C, h, w) -> (N, 2 h w, h, w). The other frame is the frame itself, or its partner.
    """
    ask = asks.flatten(2)
    answer = answers.flatten(2)
    other_ask = _partners(ask) if partner else ask
    other_answer = _partners(answer) if partner else answer
    there = other_answer.transpose(1, 2) @ ask
    back = other_ask.transpose(1, 2) @ answer
    return torch.cat([there, back], 1).view(len(asks), -1, *asks.shape[2:])


def _partners(rows: Tensor) -> Tensor:
    """Rows of first frames and then of second ones, exchanged."""
    halves = rows.chunk(2)
    return torch.cat(halves[::-1])


def _sum_of_halves(weighed: Tensor) -> Tensor:
    """Weighed frames (2P, C, h, w) -> sums of the pairs (P, C, h, w), ReLU."""
    first, second = weighed.chunk(2)
    return torch.relu(first + second)


def _conv(n_in: int, n_out: int, size: int = 1, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Convolution without bias that keeps the size, batch normalisation, activation."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, padding=size // 2, bias=False), nn.BatchNorm2d(n_out), act()
    )
