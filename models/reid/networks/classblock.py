"""Identity-classification networks of layumi and Wanggcong: a body, its pooled maps, and a
`ClassBlock` on top.

    ft_resnet50          mean of layer4                                    2048
    ft_densenet121       mean of the features, without a final ReLU        1024
    ft_resnet50_middle   means of layer3 and layer4 side by side           3072

Two forms of the same idea are in use, and the options say which:

    layumi      linear_width 512 or 0 (no linear layer), leaky_relu False, test_feature
    "bottleneck": what the classifier sees Wanggcong   linear_width 512, leaky_relu True,
    test_feature "backbone": the block is thrown away after training

Both originals train with cross-entropy on the identities. Metric losses, where one is added,
compare the test feature, and that before dropout: a distance between two vectors with different
halves missing says little about the people.
"""

import torch
from torch import Tensor, nn

from models.reid.networks.backbones import densenet, resnet
from models.reid.networks.frames import FrameWise
from models.reid.networks.temporal import classifier

WIDTHS = {"ft_resnet50": 2048, "ft_densenet121": 1024, "ft_resnet50_middle": 3072}
POOLED = {
    "ft_resnet50": ("layer4",),
    "ft_densenet121": ("features",),
    "ft_resnet50_middle": ("layer3", "layer4"),
}
"""Which layers of the body are pooled; `WIDTHS` is how much that is."""
TEST_FEATURES = ("backbone", "bottleneck")


class ClassBlock(nn.Module):
    """Linear (width 0: none), BatchNorm1d, optionally LeakyReLU(0.1); then dropout and the
    classifier.

    Start: Linear kaiming over fan-out with zero bias, BatchNorm N(1, 0.02), classifier N(0, 0.001).
    `width` is the length of what the classifier sees.
    """

    def __init__(
        self,
        in_width: int,
        n_classes: int = 0,
        width: int = 512,
        leaky_relu: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.width = width or in_width
        self.bottleneck = nn.Sequential()
        if width:
            self.bottleneck.add_module("linear", _kaiming_linear(in_width, width))
        norm = nn.BatchNorm1d(self.width)
        nn.init.normal_(norm.weight, mean=1, std=0.02)
        self.bottleneck.add_module("norm", norm)
        if leaky_relu:
            self.bottleneck.add_module("relu", nn.LeakyReLU(0.1))
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier(self.width, n_classes, bias=True) if n_classes else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, in_width) -> logits (N, n_classes) and, before dropout, the bottleneck's
        output (N, width).
        """
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        hidden = self.bottleneck(features)
        return self.classifier(self.dropout(hidden)), hidden


class ClassBlockNetwork(nn.Module):
    """See the module, and `frames.FrameWise` for what it returns. `last_stride` and `instance_norm`
    (see `backbones.resnet`) matter to the ResNets only.
    """

    def __init__(
        self,
        n_classes: int = 0,
        name: str = "ft_resnet50",
        linear_width: int = 512,
        leaky_relu: bool = False,
        dropout: float = 0.5,
        test_feature: str = "bottleneck",
        last_stride: int = 2,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        if name not in WIDTHS:
            raise ValueError(f"network {name}: expected one of {', '.join(WIDTHS)}")
        if test_feature not in TEST_FEATURES:
            raise ValueError(
                f"test feature {test_feature}: expected one of {', '.join(TEST_FEATURES)}"
            )
        self.backbone = (
            densenet("densenet121")
            if name == "ft_densenet121"
            else resnet("resnet50", last_stride, instance_norm=instance_norm)
        )
        self._pooled_layers = POOLED[name]
        self.block = ClassBlock(WIDTHS[name], n_classes, linear_width, leaky_relu, dropout)
        self.test_feature = test_feature
        self.width = self.block.width if test_feature == "bottleneck" else WIDTHS[name]

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Images (N, 3, H, W) -> the test feature (N, width), and in training mode the logits."""
        pooled = self._pooled(images)
        if not self.training:
            feature: Tensor = (
                self.block.bottleneck(pooled) if self.test_feature == "bottleneck" else pooled
            )
            return feature.float()
        logits, hidden = self.block(pooled)
        return (logits,), (hidden if self.test_feature == "bottleneck" else pooled,)

    def _pooled(self, images: Tensor) -> Tensor:
        maps, pooled = images, []
        for name, layer in self.backbone.named_children():
            maps = layer(maps)
            if name in self._pooled_layers:
                pooled.append(maps.mean((2, 3)))
        return torch.cat(pooled, 1)


def _kaiming_linear(in_width: int, out_width: int) -> nn.Linear:
    layer = nn.Linear(in_width, out_width)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    nn.init.zeros_(layer.bias)
    return layer


def build(
    name: str = "ft_resnet50",
    n_classes: int = 0,
    linear_width: int = 512,
    leaky_relu: bool = False,
    dropout: float = 0.5,
    test_feature: str = "bottleneck",
    last_stride: int = 2,
    instance_norm: bool = False,
) -> FrameWise:
    """Network for clips; see the module for the options. Raises ValueError for an unknown name or
    test feature.
    """
    image = ClassBlockNetwork(
        n_classes,
        name,
        linear_width,
        leaky_relu,
        dropout,
        test_feature,
        last_stride,
        instance_norm,
    )
    return FrameWise(image, image.width)
