"""layumi's and Wanggcong's classification networks."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks import classblock
from models.reid.networks.classblock import ClassBlock
from models.reid.networks.frames import FrameWise
from tests.models.reid.networks.framewise import check_the_feature, clips, seen

C = 5
NAMES = tuple(classblock.WIDTHS)
RESNET50, DENSENET121 = (
    23_508_032,
    6_953_856,
)  # torchvision's 25 557 032 and 7 978 856 less their classifiers


@cache
def network(name: str) -> FrameWise:
    torch.manual_seed(0)
    return seen(classblock.build(name, C), clips())


@cache
def on_paper(name: str, n_classes: int = C, **options: Any) -> FrameWise:
    """Shapes without numbers."""
    with torch.device("meta"):
        return classblock.build(name, n_classes, **options)


def pooled(image: Any, images: Tensor, *layers: str) -> Tensor:
    """Means of the maps of some layers of the backbone."""
    seen: list[Tensor] = []
    hooks = [
        getattr(image.backbone, layer).register_forward_hook(
            lambda module, given, out: seen.append(out.mean((2, 3)))
        )
        for layer in layers
    ]
    image.backbone(images)
    for hook in hooks:
        hook.remove()
    return torch.cat(seen, 1)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_feature_has_the_width_of_the_network_and_a_missing_frame_changes_nothing(
    name: str,
) -> None:
    check_the_feature(network(name).eval(), clips(), 512)


@pytest.mark.parametrize("name", NAMES)
def test_training_scores_every_real_frame_and_reaches_every_parameter(name: str) -> None:
    made = network(name).train()
    out = made(*clips())
    assert [tuple(x.shape) for x in out.logits] == [(3, C)]
    assert [tuple(x.shape) for x in out.features] == [(3, 512)]
    assert out.owners.tolist() == [0, 0, 1] and out.attention.shape == (2, 0)
    assert made.image.block.classifier is not None
    (out.logits[0].square().sum() + out.features[0].pow(3).sum()).backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []
    made.zero_grad()


@pytest.mark.parametrize(
    ("name", "width"),
    [("ft_resnet50", 2048), ("ft_densenet121", 1024), ("ft_resnet50_middle", 3072)],
)
def test_the_width_is_that_of_the_place_where_the_test_feature_is_taken(
    name: str, width: int
) -> None:
    assert on_paper(name).width == 512
    assert on_paper(name, test_feature="backbone").width == width
    assert on_paper(name, linear_width=0).width == width
    assert on_paper(name, linear_width=0, test_feature="backbone").width == width
    assert on_paper(name, linear_width=256).width == 256


@pytest.mark.parametrize("linear_width", [512, 0])
@pytest.mark.parametrize(
    ("name", "body", "width"),
    [
        ("ft_resnet50", RESNET50, 2048),
        ("ft_densenet121", DENSENET121, 1024),
        ("ft_resnet50_middle", RESNET50, 3072),
    ],
)
def test_the_number_of_parameters_is_that_of_the_layers(
    name: str, body: int, width: int, linear_width: int
) -> None:
    seen = linear_width or width
    linear = width * linear_width + linear_width
    made = on_paper(name, linear_width=linear_width)
    assert sum(p.numel() for p in made.parameters()) == body + linear + 2 * seen + seen * C + C
    without = on_paper(name, 0, linear_width=linear_width)
    assert sum(p.numel() for p in without.parameters()) == body + linear + 2 * seen


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("ft_resnet50", ["layer4"]),
        ("ft_densenet121", ["features"]),
        ("ft_resnet50_middle", ["layer3", "layer4"]),
    ],
)
@torch.no_grad()
def test_the_block_sees_the_means_of_its_layers(name: str, layers: list[str]) -> None:
    image: Any = network(name).eval().image
    images = clips()[0][0]
    expected = pooled(image, images, *layers)
    assert_close(image(images), image.block.bottleneck(expected))
    image.test_feature = "backbone"
    assert_close(image(images), expected)
    image.test_feature = "bottleneck"


@torch.no_grad()
def test_a_backbone_feature_is_what_metric_losses_compare_too() -> None:
    made = classblock.build("ft_resnet50", C, leaky_relu=True, test_feature="backbone").train()
    images, mask, quality = clips()
    out = made(images, mask, quality)
    assert made.width == 2048 and [tuple(x.shape) for x in out.features] == [(3, 2048)]
    assert_close(out.features[0], pooled(made.image, images[mask], "layer4"))


@torch.no_grad()
def test_densenet_features_have_no_final_relu() -> None:
    assert network("ft_densenet121").eval().image.backbone(clips()[0][0]).min() < 0  # type: ignore[operator]


@pytest.mark.parametrize(("last_stride", "height"), [(2, 2), (1, 4)])
def test_the_last_stride_is_an_option(last_stride: int, height: int) -> None:
    image: Any = on_paper("ft_resnet50", last_stride=last_stride).image
    assert image.backbone(clips()[0][0].to("meta")).shape == (2, 2048, height, height // 2)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, [nn.Linear, nn.BatchNorm1d]),
        ({"leaky_relu": True}, [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU]),
        ({"width": 0}, [nn.BatchNorm1d]),
        ({"width": 0, "leaky_relu": True}, [nn.BatchNorm1d, nn.LeakyReLU]),
    ],
)
def test_the_options_choose_the_layers_of_the_block(
    options: dict[str, Any], kinds: list[type]
) -> None:
    block = ClassBlock(8, C, **options)
    assert [type(layer) for layer in block.bottleneck] == kinds
    assert block.width == (8 if options.get("width") == 0 else 512)
    assert all(
        layer.negative_slope == 0.1 for layer in block.bottleneck if isinstance(layer, nn.LeakyReLU)
    )


@torch.no_grad()
def test_features_are_taken_before_dropout() -> None:
    block = ClassBlock(8, C, 16, dropout=1.0)
    logits, hidden = block(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)))
    assert not logits.any() and hidden.all()  # nothing is left, and the classifier's bias is zero
    logits, _ = block.eval()(torch.ones(6, 8))
    assert logits.all()


@torch.no_grad()
def test_the_block_starts_as_published() -> None:
    torch.manual_seed(0)
    block: Any = ClassBlock(2048, 50)
    linear, norm = block.bottleneck
    assert linear.weight.std().item() == pytest.approx(
        (2 / 512) ** 0.5, rel=0.01
    )  # kaiming over fan-out
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.005)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.15)
    assert block.classifier.weight.std().item() == pytest.approx(0.001, rel=0.03)
    assert not linear.bias.any() and not norm.bias.any() and not block.classifier.bias.any()


@pytest.mark.parametrize("name", NAMES)
def test_the_backbone_has_torchvisions_names_and_shapes(name: str) -> None:
    from torchvision.models import densenet121, resnet50

    with torch.device("meta"):
        theirs = (densenet121 if name == "ft_densenet121" else resnet50)(weights=None).state_dict()
    expected = {
        f"backbone.{k}": v.shape
        for k, v in theirs.items()
        if not k.startswith(("fc.", "classifier."))
    }
    ours = on_paper(name).image.state_dict()
    assert {
        key: tensor.shape for key, tensor in ours.items() if key.startswith("backbone.")
    } == expected


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        on_paper("ft_resnet50", 0).train()(
            *(t.to("meta") if t.is_floating_point() else t for t in clips())
        )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "ft_vgg"}, "network ft_vgg: expected one of ft_resnet50, ft_densenet121"),
        ({"test_feature": "neck"}, "test feature neck: expected one of backbone, bottleneck"),
    ],
)
def test_an_unknown_option_is_an_error_that_lists_the_known(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        classblock.build(**options)
