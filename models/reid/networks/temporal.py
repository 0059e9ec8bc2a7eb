"""Networks that pool over time: a backbone per frame, a temporal head, a neck and a classifier.

One class covers the strong baseline for images (Luo et al. 2019; a clip of one frame), the four
temporal models of Gao & Nevatia 2018, the bag-of-tricks attention model (arXiv 1912.05295) and our
own tracklet network; `table.py` says which settings are which. The neck is "bnneck" (BatchNorm1d
with a frozen zero bias, Linear without bias) or "none" (Linear with bias).
"""

from typing import cast

import torch
from torch import Tensor, nn

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.reid.networks import heads
from models.reid.networks.body_parts import (
    GeneralizedMean,
    Mean,
    add_non_local,
    normalise_instances,
)
from models.reid.networks.frames import Outputs, pack, unpack

BACKBONES = ("resnet50", "resnet101", "mobilenet_v2")
POOLINGS = ("mean", "gem")
STEM_POOLS = ("padded", "ceil")


class TemporalNetwork(nn.Module):
    """See the module. `loss_feature` and `test_feature` say whether features are taken "before" or
    "after" the neck.

    `embed_width` puts a linear layer of that width between pooling and neck, 0 none. `pooling` over
    a frame's map is the "mean" or "gem", `GeneralizedMean`. `from_zero` to `non_local`: see
    `resnet`.
    """

    def __init__(
        self,
        n_classes: int = 0,
        backbone: str = "resnet50",
        last_stride: int = 1,
        stem_relu: bool = True,
        head: str = "mean",
        neck: str = "bnneck",
        loss_feature: str = "before",
        test_feature: str = "after",
        map_size: tuple[int, int] = (16, 8),
        embed_width: int = 0,
        from_zero: bool = False,
        depths: tuple[int, ...] = (),
        instance_norm: bool = False,
        stem_pool: str = "padded",
        non_local: tuple[int, ...] = (),
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling {pooling}: expected one of {', '.join(POOLINGS)}")
        light = backbone == "mobilenet_v2"
        self.backbone = (
            mobilenet(last_stride)
            if light
            else resnet(
                backbone,
                last_stride,
                stem_relu=stem_relu,
                from_zero=from_zero,
                depths=depths,
                instance_norm=instance_norm,
                stem_pool=stem_pool,
                non_local=non_local,
            )
        )
        self.pool: nn.Module = GeneralizedMean() if pooling == "gem" else Mean()
        self.head = heads.build(head, 1280 if light else 2048, (map_size[0], map_size[1]))
        pooled = cast(int, self.head.width)
        self.width = embed_width or pooled
        self.embed: nn.Module = (
            nn.Linear(pooled, embed_width, bias=False) if embed_width else nn.Identity()
        )
        self.loss_feature, self.test_feature = loss_feature, test_feature
        self.neck: nn.Module = bnneck(self.width) if neck == "bnneck" else nn.Identity()
        self.classifier = (
            classifier(self.width, n_classes, bias=neck != "bnneck") if n_classes else None
        )

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | Outputs:
        """See `frames`."""
        maps = self.backbone(pack(clips, mask))
        pooled, attention = self.head(unpack(self.pool(maps), mask), maps, mask, quality)
        feature = self.embed(pooled)
        normal = self.neck(feature)
        if not self.training:
            return cast(Tensor, normal if self.test_feature == "after" else feature).float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        owners = torch.arange(len(mask), device=mask.device)
        loss_feature = normal if self.loss_feature == "after" else feature
        return Outputs((self.classifier(normal),), (loss_feature,), owners, attention)


def bnneck(width: int) -> nn.BatchNorm1d:
    """BatchNorm1d whose bias stays zero (Luo et al. 2019)."""
    neck = nn.BatchNorm1d(width)
    neck.bias.requires_grad_(False)
    return neck


def classifier(width: int, n_classes: int, bias: bool) -> nn.Linear:
    """Linear layer that starts near zero: N(0, 0.001)."""
    layer = nn.Linear(width, n_classes, bias=bias)
    nn.init.normal_(layer.weight, std=0.001)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def resnet(
    name: str,
    last_stride: int,
    stem_relu: bool = True,
    from_zero: bool = False,
    depths: tuple[int, ...] = (),
    instance_norm: bool = False,
    stem_pool: str = "padded",
    non_local: tuple[int, ...] = (),
) -> nn.Module:
    """Return torchvision's ResNet without pooling and classifier: (N, 3, H, W) -> (N, 2048, H/s,
    W/s), s = 16 * last_stride.

    `stem_relu=False` drops the ReLU between the stem's normalisation and its pooling, as the strong
    baseline's published weights were trained. `from_zero` starts every residual branch at zero
    (Goyal et al., arXiv 1706.02677): blocks without a projection are then the identity at first, so
    a network of fewer blocks goes on as a deeper one. `depths` keeps so many blocks of each of the
    four layers, () all of them.

    `instance_norm` makes it IBN-Net-a, see `body_parts.HalfInstanceNorm`. `stem_pool` "ceil" is
    the maximum over windows that hang over the lower right edge of the map, as fast-reid pools; the
    map's size is the same. `non_local` puts a `body_parts.NonLocal` of these inner widths behind
    each of the last blocks of layer2 and layer3, as fast-reid's WITH_NL does; () none. Raises
    ValueError.
    """
    from torchvision.models import resnet50, resnet101

    if name not in ("resnet50", "resnet101"):
        raise ValueError(f"backbone {name}: expected one of {', '.join(BACKBONES)}")
    network = (resnet50 if name == "resnet50" else resnet101)(
        weights=None, zero_init_residual=from_zero
    )
    if stem_pool not in STEM_POOLS:
        raise ValueError(f"stem pool {stem_pool}: expected one of {', '.join(STEM_POOLS)}")
    if depths:
        _shorten(network, depths)
    if instance_norm:
        normalise_instances(network)
    if stem_pool == "ceil":
        network.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    if non_local:
        add_non_local(network, non_local)
    block = network.layer4[0]
    block.conv2.stride = block.downsample[0].stride = (last_stride, last_stride)
    layers = [
        (key, layer) for key, layer in network.named_children() if key not in ("avgpool", "fc")
    ]
    backbone = nn.Sequential()
    for key, layer in layers:
        backbone.add_module(key, nn.Identity() if key == "relu" and not stem_relu else layer)
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def mobilenet(last_stride: int) -> nn.Module:
    """Return torchvision's MobileNetV2 without pooling and classifier: (N, 3, H, W) -> (N, 1280,
    H/s, W/s), s as above.
    """
    from torchvision.models import mobilenet_v2

    features = mobilenet_v2(weights=None).features
    features[14].conv[1][0].stride = (last_stride, last_stride)
    return features.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]


def _shorten(network: nn.Module, depths: tuple[int, ...]) -> None:
    """Drop the last blocks of layer1 to layer4 beyond `depths`."""
    layers = [network.get_submodule(f"layer{i}") for i in range(1, 5)]
    if len(depths) != 4 or not all(
        1 <= n <= len(cast(nn.Sequential, layer)) for n, layer in zip(depths, layers, strict=False)
    ):
        most = tuple(len(cast(nn.Sequential, layer)) for layer in layers)
        raise ValueError(f"depths {tuple(depths)}: expected 4 numbers of blocks, from 1 to {most}")
    for i, n in enumerate(depths, 1):
        setattr(network, f"layer{i}", nn.Sequential(*list(cast(nn.Sequential, layers[i - 1]))[:n]))
