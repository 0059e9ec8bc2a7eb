"""What the tests of image networks share: two clips, a network that has seen them, and what every
one of them must do.
"""

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks.frames import FrameWise

Clips = tuple[Tensor, Tensor, Tensor]


def clips(height_px: int = 64, width_px: int = 32) -> Clips:
    """Two clips of two frames, the last of which is missing."""
    images = torch.randn(2, 2, 3, height_px, width_px, generator=torch.Generator().manual_seed(1))
    return images, torch.tensor([[True, True], [True, False]]), torch.ones(2, 2)


def seen(made: FrameWise, given: Clips) -> FrameWise:
    """A network with the batch statistics of the clips: with its first ones, features are too large
    or too small to tell.
    """
    for layer in made.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain average
    with torch.no_grad():
        made.train()(*given)
    return made


def distance(a: Tensor, b: Tensor) -> float:
    """Relative L2 distance: deep random networks make a thousandth of what rounding differs between
    batch sizes.
    """
    return ((a - b).norm() / b.norm()).item()


def check_the_feature(made: FrameWise, given: Clips, width: int) -> None:
    """It has the width of the network, is finite, tells clips apart, and a missing frame changes
    nothing.
    """
    images, mask, quality = given
    features = made(images, mask, quality)
    assert features.shape == (2, width) and made.width == width
    assert features.dtype == torch.float32 and features.isfinite().all()
    alone = made(images[1:, :1], mask[1:, :1], quality[1:, :1])
    assert distance(alone, features[1:]) < 0.01 and distance(features[:1], features[1:]) > 0.1
    images[~mask] = torch.nan
    assert_close(made(images, mask, quality), features)


def check_training(made: FrameWise, given: Clips, n_classes: int, width: int) -> None:
    """Every real frame has scores, which are those of the classifier, and every parameter learns.

    The network has one classifier.
    """
    out = made(*given)
    assert [tuple(x.shape) for x in out.logits] == [(3, n_classes)]
    assert [tuple(x.shape) for x in out.features] == [(3, width)]
    assert out.owners.tolist() == [0, 0, 1] and out.attention.shape == (2, 0)
    assert isinstance(made.image.classifier, nn.Linear)
    assert_close(out.logits[0], made.image.classifier(out.features[0]))
    (out.logits[0].square().sum() + out.features[0].square().sum()).backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []
    made.zero_grad()
