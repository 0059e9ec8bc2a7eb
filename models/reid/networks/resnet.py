"""ResNets and DenseNets for images as torchreid builds them (deep-person-reid): global average
pooling, softmax and triplet on one feature.

    resnet18 to resnet152, resnext..., se_...   last stride 2, the pooled map is the feature
    densenet...      the same, after a ReLU
    resnet50_fc512   last stride 1, then Linear, BatchNorm1d, ReLU: 512
    resnet50mid      the three blocks of layer4 pooled; the first two fused to 1024, the third
                     beside them: 3072 (Yu et al. 2017, arXiv 1711.08106)

The feature is the same in training and in evaluation, before the classifier and not normalised.
`resnet50mid` reads middle layers of one image; nothing in it is temporal.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from models.reid.networks import backbones
from models.reid.networks.frames import FrameWise

_SENET = {"squeeze": "senet", "stem_pool": "ceil"}
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "resnet34": {},
    "resnet50": {},
    "resnet101": {},
    "resnet152": {},
    "resnext50_32x4d": {},
    "resnext101_32x8d": {},
    "resnet50_fc512": {"backbone": "resnet50", "last_stride": 1, "fc_width": 512},
    "se_resnet50": {"backbone": "resnet50", **_SENET},
    "se_resnet101": {"backbone": "resnet101", **_SENET},
    "se_resnext50_32x4d": {"backbone": "resnext50_32x4d", **_SENET},
    "se_resnext101_32x4d": {"backbone": "resnext101_32x4d", **_SENET},
    "densenet121": {},
    "densenet169": {},
    "densenet201": {},
    "densenet161": {},
}
"""Options of `ResNet` by network; the backbone is that of the same name unless it is there."""
WIDTH = 2048


class ResNet(nn.Module):
    """Backbone, mean over the map, with `fc_width` a fully connected layer. See `frames.FrameWise`
    for what it returns, and `backbones.resnet` for the options of a ResNet.
    """

    def __init__(
        self,
        n_classes: int = 0,
        backbone: str = "resnet50",
        last_stride: int = 2,
        fc_width: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        if backbone in backbones.DENSENETS:
            self.backbone: nn.Module = backbones.densenet(backbone).append(nn.ReLU())
        else:
            self.backbone = backbones.resnet(backbone, last_stride, **options)
        pooled = backbones.width(backbone)
        self.fc: nn.Module = fully_connected(pooled, fc_width) if fc_width else nn.Identity()
        self.width = fc_width or pooled
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
        self.backbone = backbones.resnet("resnet50", last_stride=2)
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
    fc_width: int | None = None,
    instance_norm: bool = False,
    ibn_b: bool = False,
) -> FrameWise:
    """Build a network by its torchreid name, for clips.

    Args:
        name: A key of `NETWORKS`, or resnet50mid, which takes no option but n_classes.
        n_classes: Training people; 0 builds no classifier.
        last_stride: Stride of layer4; None is that of the name. DenseNets have none.
        fc_width: Width of a fully connected layer behind the pooling, 0 none; None is that of the
            name.
        instance_norm: IBN-Net-a, as torchreid's resnet50_ibn_a. Not for DenseNets.
        ibn_b: IBN-Net-b, as torchreid's resnet50_ibn_b. Not for DenseNets.

    Returns:
        The network.

    Raises:
        ValueError: The name is another one, or does not take the options.
    """
    if name not in NETWORKS and name != "resnet50mid":
        raise ValueError(f"network {name}: expected one of {', '.join(NETWORKS)}, resnet50mid")
    asked = {"last_stride": last_stride, "fc_width": fc_width}
    given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    norms = {"instance_norm": instance_norm, "ibn_b": ibn_b}
    given |= {key: True for key, is_asked in norms.items() if is_asked}
    image: ResNet | MidLevelResNet
    if name == "resnet50mid":
        if given:
            raise ValueError("resnet50mid takes neither last_stride nor other options of ResNets")
        image = MidLevelResNet(n_classes)
        return FrameWise(image, image.width)
    refused = [key for key in given if key != "fc_width"]
    if name in backbones.DENSENETS and refused:
        raise ValueError(f"{name} takes no {', '.join(refused)}")
    image = ResNet(n_classes, **{"backbone": name, **NETWORKS[name], **given})
    return FrameWise(image, image.width)
