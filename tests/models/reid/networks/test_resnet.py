"""torchreid's ResNets."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks import backbones, resnet
from models.reid.networks.frames import FrameWise
from tests.models.reid.networks.framewise import (
    check_the_feature,
    check_training,
    clips,
    distance,
    seen,
)

C = 5
WIDTHS = {"resnet50": 2048, "resnet101": 2048, "resnet50_fc512": 512, "resnet50mid": 3072}


@cache
def network(name: str) -> FrameWise:
    torch.manual_seed(0)
    return seen(resnet.build(name, C), clips())


def outputs_of(layer: nn.Module, run: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives while `run` sees the images, and what `run` gives."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, given, out: seen.append(out.clone()))
    out = run(images)
    hook.remove()
    return seen[0], out


def body_parameters(n_blocks: tuple[int, ...]) -> int:
    """Weights of a bottleneck ResNet without its classifier: convolutions without bias, two numbers
    a normalised channel.
    """
    total, channels = 3 * 64 * 49 + 2 * 64, 64
    for n, planes in zip(n_blocks, (64, 128, 256, 512), strict=True):
        out = 4 * planes
        for i in range(n):
            given = out if i else channels
            total += (
                given * planes + 9 * planes * planes + planes * out + 2 * (planes + planes + out)
            )
        total += channels * out + 2 * out
        channels = out
    return total


def fully_connected(a: int, b: int) -> int:
    return a * b + b + 2 * b


@pytest.mark.parametrize("name", WIDTHS)
@torch.no_grad()
def test_the_feature_has_the_width_of_the_network_and_a_missing_frame_changes_nothing(
    name: str,
) -> None:
    made = network(name).eval()
    check_the_feature(made, clips(), WIDTHS[name])
    assert distance(made.image(clips()[0][0]).mean(0), made(*clips())[0]) < 0.01


@pytest.mark.parametrize("name", WIDTHS)
def test_training_scores_every_real_frame_and_reaches_every_parameter(name: str) -> None:
    check_training(network(name).train(), clips(), C, WIDTHS[name])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", body_parameters((3, 4, 6, 3)) + 2048 * C + C),
        ("resnet101", body_parameters((3, 4, 23, 3)) + 2048 * C + C),
        (
            "resnet50_fc512",
            body_parameters((3, 4, 6, 3)) + fully_connected(2048, 512) + 512 * C + C,
        ),
        ("resnet50mid", body_parameters((3, 4, 6, 3)) + fully_connected(4096, 1024) + 3072 * C + C),
    ],
)
def test_the_number_of_parameters_is_that_of_the_layers(name: str, expected: int) -> None:
    assert sum(p.numel() for p in network(name).parameters()) == expected


@pytest.mark.parametrize(
    ("name", "stride"),
    [("resnet50", 32), ("resnet101", 32), ("resnet50_fc512", 16), ("resnet50mid", 32)],
)
@torch.no_grad()
def test_the_last_stride_is_torchreids(name: str, stride: int) -> None:
    image: Any = network(name).eval().image
    maps, _ = outputs_of(image.backbone.layer4, image.backbone, clips()[0][0])
    assert maps.shape == (2, 2048, 64 // stride, 32 // stride)


@pytest.mark.parametrize("name", ["resnet50", "resnet50_fc512"])
@torch.no_grad()
def test_the_feature_is_the_mean_of_the_map_behind_its_layer(name: str) -> None:
    image: Any = network(name).eval().image
    maps, feature = outputs_of(image.backbone, image, clips()[0][0])
    assert_close(feature, image.fc(maps.mean((2, 3))))
    assert [type(layer) for layer in image.fc.children()] == (
        [nn.Linear, nn.BatchNorm1d, nn.ReLU] if image.width == 512 else []
    )


@torch.no_grad()
def test_the_middle_blocks_are_fused_and_the_last_stands_beside_them() -> None:
    image: Any = network("resnet50mid").eval().image
    pooled = [outputs_of(block, image, clips()[0][0]) for block in image.backbone.layer4]
    means = [maps.mean((2, 3)) for maps, _ in pooled]
    feature = pooled[0][1]
    assert_close(feature[:, 1024:], means[2])
    assert_close(feature[:, :1024], image.fusion(torch.cat(means[:2], 1)))
    assert feature[:, :1024].min() >= 0 and feature[:, :1024].max() > 0


@pytest.mark.parametrize("name", WIDTHS)
def test_the_backbone_has_torchvisions_names_and_shapes(name: str) -> None:
    from torchvision.models import resnet50, resnet101

    with torch.device("meta"):
        theirs = (resnet101 if name == "resnet101" else resnet50)(weights=None).state_dict()
    ours = network(name).image.state_dict()
    expected = {
        f"backbone.{key}": tensor.shape
        for key, tensor in theirs.items()
        if not key.startswith("fc.")
    }
    assert {
        key: tensor.shape for key, tensor in ours.items() if key.startswith("backbone.")
    } == expected


@torch.no_grad()
def test_linear_layers_start_near_zero() -> None:
    image: Any = network("resnet50mid").image
    for layer in (image.classifier, image.fusion[0]):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03) and not layer.bias.any()


@pytest.mark.parametrize("name", ["resnet50", "resnet50mid"])
@torch.no_grad()
def test_features_are_float32_under_autocast(name: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert network(name).eval().image(clips()[0][0]).dtype == torch.float32


@pytest.mark.parametrize("name", ["resnet50", "resnet50mid"])
def test_training_without_classes_is_an_error(name: str) -> None:
    with torch.device("meta"):
        made = resnet.build(name).train()
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        made.image(torch.zeros(2, 3, 64, 32, device="meta"))


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="network vgg: expected one of resnet18, resnet34"):
        resnet.build("vgg")


@pytest.mark.parametrize("options", [{"last_stride": 1}, {"instance_norm": True}])
def test_resnet50mid_refuses_options_that_it_does_not_have(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="resnet50mid takes neither last_stride nor"):
        resnet.build("resnet50mid", **options)


@pytest.mark.parametrize(
    "options", [{"ibn_b": True}, {"non_local": (256, 512)}, {"squeeze": "senet"}]
)
def test_what_needs_bottlenecks_is_refused_where_there_are_none(options: dict[str, Any]) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="resnet34: ibn_b, non_local and"):
        backbones.resnet("resnet34", 2, **options)


def test_a_densenet_names_the_options_that_it_refuses_in_their_order() -> None:
    options = {"last_stride": 1, "fc_width": 512, "instance_norm": True, "ibn_b": True}
    told = "^densenet121 takes no last_stride, instance_norm, ibn_b$"
    with pytest.raises(ValueError, match=told):
        resnet.build("densenet121", **options)
