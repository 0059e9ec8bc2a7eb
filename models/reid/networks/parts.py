"""Part-based convolutional baseline (PCB, Sun et al. 2018, arXiv 1711.09349): horizontal stripes, a
classifier for each.

ResNet50 with last stride 1, mean over each of P stripes of the map, dropout, a reduction to 256 and
P classifiers. Published in two forms, which differ in the reduction:

    pcb_p4, pcb_p6   torchreid: one 1x1 convolution without bias, BatchNorm2d and ReLU that all
    parts share ft_pcb           layumi, Wanggcong: 6 independent `ClassBlock`s of 256;
    SurajDonthi's has a LeakyReLU in them

The test feature is the stripes' means (2048 each), every part of unit length, flattened channel by
channel: 2048 * P. Metric losses compare the same, taken before dropout. torchreid takes it after,
so that its triplet loss measures distances between vectors that lack different halves of their
channels.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import normalize

from models.reid.networks.backbones import resnet
from models.reid.networks.classblock import ClassBlock
from models.reid.networks.frames import FrameWise
from models.reid.networks.resnet import WIDTH, linear

N_PARTS = {"pcb_p4": 4, "pcb_p6": 6, "ft_pcb": 6}
REDUCED_WIDTH = 256


class SharedHead(nn.Module):
    """One reduction for all parts, a linear classifier for each."""

    def __init__(self, n_classes: int, n_parts: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(WIDTH, REDUCED_WIDTH, 1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.reduce = nn.Sequential(convolution, nn.BatchNorm2d(REDUCED_WIDTH), nn.ReLU())
        self.classifiers = nn.ModuleList(linear(REDUCED_WIDTH, n_classes) for _ in range(n_parts))

    def forward(self, parts: Tensor) -> tuple[Tensor, ...]:
        """Parts (N, 2048, P) -> P times logits (N, n_classes)."""
        reduced = self.reduce(parts.unsqueeze(3)).squeeze(3)
        return tuple(classifier(reduced[:, :, i]) for i, classifier in enumerate(self.classifiers))


class IndependentHeads(nn.Module):
    """A `ClassBlock` of its own for each part."""

    def __init__(self, n_classes: int, n_parts: int, leaky_relu: bool, dropout: float) -> None:
        super().__init__()
        blocks = (
            ClassBlock(WIDTH, n_classes, REDUCED_WIDTH, leaky_relu, dropout) for _ in range(n_parts)
        )
        self.blocks = nn.ModuleList(blocks)

    def forward(self, parts: Tensor) -> tuple[Tensor, ...]:
        """Parts (N, 2048, P) -> P times logits (N, n_classes)."""
        return tuple(block(parts[:, :, i])[0] for i, block in enumerate(self.blocks))


class PartNetwork(nn.Module):
    """See the module, and `frames.FrameWise` for what it returns. The head serves training only:
    n_classes 0 leaves it out.

    Any input height works. Stripes are equal where the map's height (H / 16) is a multiple of P, as
    at 384; otherwise neighbours overlap by a row.
    """

    def __init__(
        self,
        n_classes: int = 0,
        name: str = "pcb_p4",
        leaky_relu: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if name not in N_PARTS:
            raise ValueError(f"network {name}: expected one of {', '.join(N_PARTS)}")
        if leaky_relu and name != "ft_pcb":
            raise ValueError(f"network {name}: leaky_relu is an option of ft_pcb only")
        n_parts = N_PARTS[name]
        self.width = WIDTH * n_parts
        self.backbone = resnet("resnet50", last_stride=1)
        self.pool = nn.AdaptiveAvgPool2d((n_parts, 1))
        self.dropout = nn.Dropout(dropout)
        self.head: nn.Module | None = None
        if n_classes:
            own = name == "ft_pcb"
            self.head = (
                IndependentHeads(n_classes, n_parts, leaky_relu, dropout)
                if own
                else SharedHead(n_classes, n_parts)
            )

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Images (N, 3, H, W) -> the feature (N, 2048 * P), and in training mode P logits."""
        parts = self.pool(self.backbone(images)).squeeze(3)
        feature = normalize(parts.float(), dim=1).flatten(1)
        if not self.training:
            return feature
        if self.head is None:
            raise ValueError("training needs n_classes > 0")
        return cast(tuple[Tensor, ...], self.head(self.dropout(parts))), (feature,)


def build(
    name: str = "pcb_p4", n_classes: int = 0, leaky_relu: bool = False, dropout: float = 0.5
) -> FrameWise:
    """Network by name, for clips. `leaky_relu` is ft_pcb's option. Raises ValueError that lists the
    names.
    """
    image = PartNetwork(n_classes, name, leaky_relu, dropout)
    return FrameWise(image, image.width)
