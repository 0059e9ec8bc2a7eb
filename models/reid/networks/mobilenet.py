"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) for images: in torchreid's layout, and as
Keras builds it.

    mobilenetv2_x1_0, mobilenetv2_x1_4   torchreid: mean pooling, 1280 and 1792
    mobilenetv2_keras                    alpha 0.5, max pooling, 1280, for crops of 128x64

torchreid's first block keeps the 1x1 expansion, with ratio 1, that torchvision and Keras leave out,
and it cuts widths to integers where they round to multiples of 8. Here that expansion is part of
the stem, so every other layer has torchvision's name, and torchvision's ImageNet weights fit x1_0
but for this layer.

Keras' form is torchvision's with two changes that its weights would notice: epsilon 0.001 in
normalisation, and strided convolutions padded at the bottom and right only, on maps of even size.
Its slow running statistics (0.001 of each batch) are left out: they suit a network that comes with
ImageNet's, and after a short training from scratch they would still be those of its first steps.
"""

from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import normalize, pad

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.reid.networks.frames import FrameWise
from models.reid.networks.resnet import linear

NAMES = ("mobilenetv2_x1_0", "mobilenetv2_x1_4", "mobilenetv2_keras")
LOSS_FEATURES = ("raw", "unit")
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion ratio, channels, blocks, stride of the first (Sandler et al. 2018, table 2)."""


class MobileNetV2(nn.Module):
    """See the module, and `frames.FrameWise` for what it returns. No dropout before the classifier.

    loss_feature: "raw" is the test feature; "unit" is the same divided by its L2 norm, for the
    Keras seed's semi-hard triplets. The classifier sees the raw one either way.
    """

    def __init__(
        self, n_classes: int = 0, name: str = "mobilenetv2_x1_0", loss_feature: str = "raw"
    ) -> None:
        super().__init__()
        if name not in NAMES:
            raise ValueError(f"network {name}: expected one of {', '.join(NAMES)}")
        if loss_feature not in LOSS_FEATURES:
            raise ValueError(
                f"loss feature {loss_feature}: expected one of {', '.join(LOSS_FEATURES)}"
            )
        self.width = 1792 if name == "mobilenetv2_x1_4" else 1280
        self.max_pooling, self.loss_feature = name == "mobilenetv2_keras", loss_feature
        self.backbone = nn.Sequential()
        self.backbone.add_module(
            "features", _keras() if self.max_pooling else _torchreid(self.width / 1280)
        )
        self.classifier = linear(self.width, n_classes) if n_classes else None

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Images (N, 3, H, W) -> the feature (N, width), and in training mode its logits."""
        maps = self.backbone(images)
        feature: Tensor = maps.amax((2, 3)) if self.max_pooling else maps.mean((2, 3))
        if not self.training:
            return feature.float()
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        compared = normalize(feature.float(), dim=1) if self.loss_feature == "unit" else feature
        return (self.classifier(feature),), (compared,)


class SamePadded(nn.Conv2d):
    """3x3 convolution of stride 2, padded as TensorFlow's "same": one row and column less at the
    top and left of even maps.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, ceil(H / 2), ceil(W / 2))."""
        height, width = input.shape[2:]
        return super().forward(pad(input, (width % 2, 1, height % 2, 1)))


def _torchreid(multiplier: float) -> nn.Sequential:
    """Features in torchvision's numbering: 0 stem and expansion, 1..17 blocks, 18 the last
    convolution.
    """
    from torchvision.models.mobilenetv2 import InvertedResidual
    from torchvision.ops.misc import Conv2dNormActivation

    layer = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)
    channels = int(32 * multiplier)
    features = nn.Sequential(layer(3, channels, stride=2))
    cast(nn.Sequential, features[0]).add_module(
        "expansion", layer(channels, channels, kernel_size=1)
    )
    for ratio, width, n_blocks, stride in STAGES:
        for i in range(n_blocks):
            features.append(
                InvertedResidual(channels, int(width * multiplier), 1 if i else stride, ratio)
            )
            channels = int(width * multiplier)
    features.append(layer(channels, int(1280 * multiplier), kernel_size=1))
    for module in features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return features


def _keras() -> nn.Sequential:
    """Features of MobileNetV2 with alpha 0.5; convolutions start as torchvision's, kaiming over
    fan-out.
    """
    from torchvision.models import MobileNetV2 as Torchvision
    from torchvision.ops.misc import Conv2dNormActivation

    features = cast(
        nn.Sequential,
        Torchvision(1, width_mult=0.5, norm_layer=partial(nn.BatchNorm2d, eps=1e-3)).features,
    )
    for module in list(features.modules()):
        if isinstance(module, Conv2dNormActivation) and module[0].stride == (2, 2):
            module[0] = _same_padded(module[0])
    return features


def _same_padded(layer: nn.Conv2d) -> SamePadded:
    padded = SamePadded(
        layer.in_channels, layer.out_channels, 3, stride=2, groups=layer.groups, bias=False
    )
    padded.weight = layer.weight
    return padded


def build(
    name: str = "mobilenetv2_x1_0", n_classes: int = 0, loss_feature: str = "raw"
) -> FrameWise:
    """Network by name, for clips. Raises ValueError for an unknown name or loss feature."""
    image = MobileNetV2(n_classes, name, loss_feature)
    return FrameWise(image, image.width)
