"""Networks that pool over time: a backbone per frame, a temporal head, a neck and a classifier.

One class covers the strong baseline for images (Luo et al. 2019; a clip of one frame), the four
temporal models of Gao & Nevatia 2018, the bag-of-tricks attention model (arXiv 1912.05295) and our
own tracklet network; `table.py` says which settings are which. The neck is "bnneck" (BatchNorm1d
with a frozen zero bias, Linear without bias) or "none" (Linear with bias).
"""

from typing import cast

import torch
from torch import Tensor, nn

from models.reid.networks import backbones, heads
from models.reid.networks.body_parts import GeneralizedMean, Mean
from models.reid.networks.frames import Outputs, pack, unpack

POOLINGS = ("mean", "gem")


class TemporalNetwork(nn.Module):
    """See the module. `loss_feature` and `test_feature` say whether features are taken "before" or
    "after" the neck.

    `embed_width` puts a linear layer of that width between pooling and neck, 0 none. `pooling` over
    a frame's map is the "mean" or "gem", `GeneralizedMean`. `from_zero` to `squeeze`: see
    `backbones.resnet`.
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
        squeeze: str = "",
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling {pooling}: expected one of {', '.join(POOLINGS)}")
        light = backbone == "mobilenet_v2"
        self.backbone = (
            backbones.mobilenet(last_stride)
            if light
            else backbones.resnet(
                backbone,
                last_stride,
                stem_relu=stem_relu,
                from_zero=from_zero,
                depths=depths,
                instance_norm=instance_norm,
                stem_pool=stem_pool,
                non_local=non_local,
                squeeze=squeeze,
            )
        )
        self.pool: nn.Module = GeneralizedMean() if pooling == "gem" else Mean()
        self.head = heads.build(head, backbones.width(backbone), (map_size[0], map_size[1]))
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
