"""ResNets for images as torchreid builds them (deep-person-reid): global average pooling, softmax
and triplet on one feature.

    resnet50, resnet101   last stride 2, the pooled map (2048) is the feature
    resnet50_fc512        last stride 1, then Linear, BatchNorm1d, ReLU: 512
    resnet50mid           the three blocks of layer4 pooled; the first two fused to 1024, the third
    beside them: 3072
                          (Yu et al. 2017, arXiv 1711.08106)

The feature is the same in training and in evaluation, before the classifier and not normalised.
`resnet50mid` reads middle layers of one image; nothing in it is temporal.
"""

from typing import cast

import torch
from torch import Tensor, nn

from models.reid.networks.frames import FrameWise
from models.reid.networks.temporal import resnet

NAMES = ("resnet50", "resnet101", "resnet50_fc512", "resnet50mid")
WIDTH = 2048


class ResNet(nn.Module):
    """Backbone, mean over the map, with `fc_width` a fully connected layer. See `frames.FrameWise`
    for what it returns, and `temporal.resnet` for `instance_norm`.
    """

    def __init__(
        self,
        n_classes: int = 0,
        backbone: str = "resnet50",
        last_stride: int = 2,
        fc_width: int = 0,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = resnet(backbone, last_stride, instance_norm=instance_norm)
        self.fc: nn.Module = fully_connected(WIDTH, fc_width) if fc_width else nn.Identity()
        self.width = fc_width or WIDTH
        self.classifier = linear(self.width, n_classes) if n_classes else None

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Images (N, 3, H, W) -> the feature (N, width), and in training mode its logits."""
        feature = self.fc(self.backbone(images).mean((2, 3)))
        if not self.training:
            return cast(Tensor, feature.float())
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        return (self.classifier(feature),), (feature,)


class MidLevelResNet(nn.Module):
    """ResNet50 that keeps what layer4 knows on its way: [fc([4a; 4b]); 4c]. See `frames.FrameWise`
    for what it returns.
    """

    def __init__(self, n_classes: int = 0, fused_width: int = 1024) -> None:
        super().__init__()
        self.backbone = resnet("resnet50", last_stride=2)
        self.fusion = fully_connected(2 * WIDTH, fused_width)
        self.width = fused_width + WIDTH
        self.classifier = linear(self.width, n_classes) if n_classes else None

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Images (N, 3, H, W) -> the feature (N, 3072), and in training mode its logits."""
        layers = dict(self.backbone.named_children())
        blocks = cast(nn.Sequential, layers.pop("layer4"))
        maps = images
        for layer in layers.values():
            maps = layer(maps)
        pooled = []
        for block in blocks:
            maps = block(maps)
            pooled.append(maps.mean((2, 3)))
        feature = torch.cat([self.fusion(torch.cat(pooled[:2], 1)), pooled[2]], 1)
        if not self.training:
            return feature.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        return (self.classifier(feature),), (feature,)


def linear(in_width: int, out_width: int) -> nn.Linear:
    """Linear layer with torchreid's start: N(0, 0.01), bias zero."""
    layer = nn.Linear(in_width, out_width)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def fully_connected(in_width: int, out_width: int) -> nn.Sequential:
    """Linear, BatchNorm1d, ReLU."""
    return nn.Sequential(linear(in_width, out_width), nn.BatchNorm1d(out_width), nn.ReLU())


def build(
    name: str = "resnet50",
    n_classes: int = 0,
    last_stride: int | None = None,
    instance_norm: bool = False,
) -> FrameWise:
    """Build a network by its torchreid name, for clips.

    Args:
        name: One of `NAMES`.
        n_classes: Training people; 0 builds no classifier.
        last_stride: Stride of layer4; None is that of the name. resnet50mid takes None only.
        instance_norm: IBN-Net-a, as torchreid's resnet50_ibn_a. Not for resnet50mid.

    Returns:
        The network.

    Raises:
        ValueError: The name is another one, or does not take the options.
    """
    if name not in NAMES:
        raise ValueError(f"network {name}: expected one of {', '.join(NAMES)}")
    image: ResNet | MidLevelResNet
    if name == "resnet50mid":
        if last_stride is not None or instance_norm:
            raise ValueError("resnet50mid takes neither last_stride nor instance_norm")
        image = MidLevelResNet(n_classes)
        return FrameWise(image, image.width)
    has_fc = name == "resnet50_fc512"
    if last_stride is None:
        last_stride = 1 if has_fc else 2
    backbone = "resnet101" if name == "resnet101" else "resnet50"
    image = ResNet(n_classes, backbone, last_stride, 512 if has_fc else 0, instance_norm)
    return FrameWise(image, image.width)
