"""The bodies of ReID networks: torchvision's networks up to their last map, with the changes that
published ReID programs make to them.
"""

from typing import Any, cast

import torch
from torch import nn

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.reid.networks.body_parts import (
    InstanceNormBlock,
    add_non_local,
    normalise_instances,
    squeeze_and_excite,
)

RESNETS: dict[str, tuple[str, dict[str, int]]] = {
    "resnet18": ("resnet18", {}),
    "resnet34": ("resnet34", {}),
    "resnet50": ("resnet50", {}),
    "resnet101": ("resnet101", {}),
    "resnet152": ("resnet152", {}),
    "resnext50_32x4d": ("resnet50", {"groups": 32, "width_per_group": 4}),
    "resnext101_32x4d": ("resnet101", {"groups": 32, "width_per_group": 4}),
    "resnext101_32x8d": ("resnet101", {"groups": 32, "width_per_group": 8}),
}
"""torchvision's builder of each ResNet, and its options."""
DENSENETS = {"densenet121": 1024, "densenet169": 1664, "densenet201": 1920, "densenet161": 2208}
"""Channels of the last map of each DenseNet."""
WITHOUT_BOTTLENECKS = ("resnet18", "resnet34")
STEM_POOLS = ("padded", "ceil")
SQUEEZES = ("", "senet", "fast-reid")


def width(name: str) -> int:
    """Return the channels of the last map of a body: mobilenet_v2, or a key of `RESNETS` or
    `DENSENETS`.
    """
    widths = {"mobilenet_v2": 1280, "resnet18": 512, "resnet34": 512, **DENSENETS}
    return widths.get(name, 2048)


def resnet(
    name: str,
    last_stride: int,
    stem_relu: bool = True,
    from_zero: bool = False,
    depths: tuple[int, ...] = (),
    instance_norm: bool = False,
    stem_pool: str = "padded",
    non_local: tuple[int, ...] = (),
    squeeze: str = "",
    ibn_b: bool = False,
) -> nn.Module:
    """Build a ResNet without pooling and classifier: (N, 3, H, W) -> (N, `width(name)`, H/s, W/s),
    s = 16 * last_stride.

    Args:
        name: A key of `RESNETS`.
        last_stride: Stride of layer4, 1 or 2.
        stem_relu: False drops the ReLU between the stem's normalisation and its pooling, as the
            strong baseline's published weights were trained.
        from_zero: Start every residual branch at zero (Goyal et al., arXiv 1706.02677): blocks
            without a projection are then the identity at first, so a network of fewer blocks goes
            on as a deeper one.
        depths: Keep so many blocks of each of the four layers; () all of them.
        instance_norm: Make it IBN-Net-a, see `body_parts.HalfInstanceNorm`.
        stem_pool: "ceil" is the maximum over windows that hang over the lower right edge of the
            map, as fast-reid pools; the map's size is the same.
        non_local: Put a `body_parts.NonLocal` of these inner widths behind each of the last blocks
            of layer2 and layer3, as fast-reid's WITH_NL does; () none.
        squeeze: Squeeze and excitation after each block: "senet", whose blocks without groups
            also take their stride in the first convolution, or "fast-reid"; "" none.
        ibn_b: Make it IBN-Net-b, see `body_parts.InstanceNormBlock`.

    Returns:
        The body.

    Raises:
        ValueError: A value is not one of these, or needs blocks with bottlenecks where the network
            has none.
    """
    import torchvision

    if name not in RESNETS:
        known = ", ".join([*RESNETS, "mobilenet_v2"])
        raise ValueError(f"backbone {name}: expected one of {known}")
    if stem_pool not in STEM_POOLS:
        raise ValueError(f"stem pool {stem_pool}: expected one of {', '.join(STEM_POOLS)}")
    if squeeze not in SQUEEZES:
        raise ValueError(f"squeeze {squeeze}: expected one of {', '.join(SQUEEZES[1:])}")
    if name in WITHOUT_BOTTLENECKS and (ibn_b or non_local or squeeze == "senet"):
        raise ValueError(
            f"backbone {name}: ibn_b, non_local and squeeze senet need blocks with bottlenecks, as"
            " resnet50 has"
        )
    builder, options = RESNETS[name]
    make = getattr(torchvision.models, builder)
    network = make(weights=None, zero_init_residual=from_zero, **options)
    if depths:
        _shorten(network, depths)
    if instance_norm:
        normalise_instances(network)
    if ibn_b:
        _normalise_blocks(network)
    if stem_pool == "ceil":
        network.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    if squeeze:
        squeeze_and_excite(network, has_bias=squeeze == "senet")
    _set_last_stride(network, last_stride)
    if squeeze == "senet" and not options:
        _stride_first(network)
    if non_local:
        add_non_local(network, non_local)
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


def densenet(name: str) -> nn.Sequential:
    """Return torchvision's DenseNet up to its last normalisation, a key of `DENSENETS`:
    (N, 3, H, W) -> (N, `width(name)`, H/32, W/32).
    """
    import torchvision

    body = nn.Sequential()
    body.add_module("features", getattr(torchvision.models, name)(weights=None).features)
    return body


def _set_last_stride(network: nn.Module, stride: int) -> None:
    """Set the stride of layer4, which is in the 3x3 convolution of its first block."""
    block: Any = cast(nn.Sequential, network.layer4)[0]
    is_bottleneck = hasattr(block, "conv3")
    strided = block.conv2 if is_bottleneck else block.conv1
    strided.stride = block.downsample[0].stride = (stride, stride)


def _stride_first(network: nn.Module) -> None:
    """Move the stride of each bottleneck from its second convolution to its first."""
    for name in ("layer2", "layer3", "layer4"):
        block: Any = cast(nn.Sequential, network.get_submodule(name))[0]
        block.conv1.stride = block.conv2.stride
        block.conv2.stride = (1, 1)


def _normalise_blocks(network: nn.Module) -> None:
    """Make a ResNet with bottlenecks IBN-Net-b."""
    network.bn1 = nn.InstanceNorm2d(cast(nn.Conv2d, network.conv1).out_channels, affine=True)
    for name in ("layer1", "layer2"):
        layer = cast(nn.Sequential, network.get_submodule(name))
        layer[-1] = InstanceNormBlock(layer[-1])


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
