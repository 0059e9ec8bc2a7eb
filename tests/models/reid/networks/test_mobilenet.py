"""MobileNetV2 in its two layouts."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from models.reid.networks import mobilenet
from models.reid.networks.frames import FrameWise
from tests.models.reid.networks import framewise
from tests.models.reid.networks.framewise import Clips, check_the_feature, check_training, seen

C = 5
WIDTHS = {"mobilenetv2_x1_0": 1280, "mobilenetv2_x1_4": 1792, "mobilenetv2_keras": 1280}
# stem and stages; 32, 16, 24 ... times the multiplier, cut to integers (torchreid) or to multiples
# of 8 (Keras)
CHANNELS = {
    "mobilenetv2_x1_0": (32, 16, 24, 32, 64, 96, 160, 320),
    "mobilenetv2_x1_4": (44, 22, 33, 44, 89, 134, 224, 448),
    "mobilenetv2_keras": (16, 8, 16, 16, 32, 48, 80, 160),
}


@cache
def network(name: str, loss_feature: str = "raw") -> FrameWise:
    torch.manual_seed(0)
    return seen(mobilenet.build(name, C, loss_feature), clips())


def clips() -> Clips:
    return framewise.clips(128, 64)


def parameters(channels: tuple[int, ...], width: int, first_expands: bool) -> int:
    """Weights of the layers (Sandler et al. 2018, table 2): convolutions without bias, two numbers
    a normalised channel.
    """
    stem, *stages = channels
    total, given = 27 * stem + 2 * stem, stem
    for out, n, ratio in zip(stages, (1, 2, 3, 4, 3, 3, 1), (1, 6, 6, 6, 6, 6, 6), strict=True):
        for _ in range(n):
            hidden = given * ratio
            expands = ratio > 1 or first_expands
            total += (
                (given * hidden + 2 * hidden) * expands
                + 9 * hidden
                + 2 * hidden
                + hidden * out
                + 2 * out
            )
            given = out
    return total + given * width + 2 * width + width * C + C


@pytest.mark.parametrize("name", mobilenet.NAMES)
@torch.no_grad()
def test_the_feature_has_the_width_of_the_network_and_a_missing_frame_changes_nothing(
    name: str,
) -> None:
    check_the_feature(network(name).eval(), clips(), WIDTHS[name])


@pytest.mark.parametrize("name", mobilenet.NAMES)
def test_training_scores_every_real_frame_and_reaches_every_parameter(name: str) -> None:
    check_training(network(name).train(), clips(), C, WIDTHS[name])


def test_a_unit_loss_feature_leaves_the_classifier_the_raw_one() -> None:
    images, mask, _ = clips()
    (raw_logits,), (raw,) = network("mobilenetv2_keras").train().image(images[mask])
    unit = network("mobilenetv2_keras", "unit").train()
    (logits,), (feature,) = unit.image(images[mask])
    assert_close(feature, raw / raw.norm(dim=1, keepdim=True))
    assert_close(logits, raw_logits)
    assert unit.eval()(*clips()).norm(dim=1).min() > 2


@pytest.mark.parametrize("name", mobilenet.NAMES)
def test_the_number_of_parameters_is_that_of_the_layers(name: str) -> None:
    expected = parameters(CHANNELS[name], WIDTHS[name], first_expands=name != "mobilenetv2_keras")
    assert sum(p.numel() for p in network(name).parameters()) == expected


@pytest.mark.parametrize("name", mobilenet.NAMES)
@torch.no_grad()
def test_blocks_have_the_channels_and_strides_of_their_layout(name: str) -> None:
    image: Any = network(name).eval().image
    maps, shapes = clips()[0][0], []
    for layer in image.backbone.features:
        maps = layer(maps)
        shapes.append((maps.shape[1], 128 // maps.shape[2], 64 // maps.shape[3]))
    stem, *stages = CHANNELS[name]
    expected = [(stem, 2, 2)]
    for out, n, stride in zip(
        stages, (1, 2, 3, 4, 3, 3, 1), (2, 4, 8, 16, 16, 32, 32), strict=True
    ):
        expected += [(out, stride, stride)] * n
    assert shapes == [*expected, (WIDTHS[name], 32, 32)]


@pytest.mark.parametrize("name", mobilenet.NAMES)
@torch.no_grad()
def test_torchreid_pools_the_mean_and_keras_the_maximum(name: str) -> None:
    image: Any = network(name).eval().image
    images = clips()[0][0]
    maps = image.backbone(images).flatten(2)
    assert maps.min() >= 0 and maps.max() <= 6
    assert_close(image(images), maps.max(2).values if name == "mobilenetv2_keras" else maps.mean(2))


def test_torchreids_first_block_keeps_its_expansion_and_all_else_has_torchvisions_names() -> None:
    from torchvision.models import mobilenet_v2

    with torch.device("meta"):
        theirs = {k: v.shape for k, v in mobilenet_v2(weights=None).features.state_dict().items()}
    image: Any = network("mobilenetv2_x1_0").image
    ours = {
        k.removeprefix("backbone.features."): v.shape
        for k, v in image.state_dict().items()
        if k.startswith("backbone.")
    }
    assert {k: v for k, v in ours.items() if k in theirs} == theirs
    assert {k.rsplit(".", 1)[0] for k in ours.keys() - theirs.keys()} == {
        "0.expansion.0",
        "0.expansion.1",
    }


@torch.no_grad()
def test_without_its_expansion_torchreids_network_is_torchvisions() -> None:
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    theirs = mobilenet_v2(weights=None).features.eval()
    image: Any = mobilenet.build("mobilenetv2_x1_0").eval().image
    image.backbone.features.load_state_dict(theirs.state_dict(), strict=False)
    image.backbone.features[0].expansion = nn.Identity()
    images = clips()[0][0]
    assert_close(image(images), theirs(images).mean((2, 3)), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (8, 5)])
def test_strided_convolutions_are_padded_as_tensorflows_same(size: tuple[int, int]) -> None:
    """With a kernel that copies its middle, the result says where the windows lie: around 1, 3, 5
    or around 0, 2, 4.
    """
    layer = mobilenet.SamePadded(1, 1, 3, stride=2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 1, 1] = 1
    x = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    expected = x[:, :, 1 - size[0] % 2 :: 2, 1 - size[1] % 2 :: 2]
    assert_close(layer(x), expected)


def test_keras_form_differs_from_torchvisions_in_padding_and_epsilon_only() -> None:
    modules = list(mobilenet.build("mobilenetv2_keras").modules())
    norms = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    strided = [m for m in modules if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert (
        {m.eps for m in norms} == {1e-3}
        and {m.momentum for m in norms} == {0.1}
        and len(norms) == 1 + 2 + 16 * 3 + 1
    )
    assert len(strided) == 5 and all(
        isinstance(m, mobilenet.SamePadded) and m.padding == (0, 0) for m in strided
    )


@torch.no_grad()
def test_layers_start_as_published() -> None:
    image: Any = network("mobilenetv2_x1_4").image
    for layer in (image.backbone.features[18][0], image.backbone.features[17].conv[0][0]):
        assert layer.weight.std().item() == pytest.approx(
            (2 / layer.out_channels) ** 0.5, rel=0.01
        )  # kaiming over fan-out
    assert (
        image.classifier.weight.std().item() == pytest.approx(0.01, rel=0.03)
        and not image.classifier.bias.any()
    )


@pytest.mark.parametrize("name", ["mobilenetv2_x1_0", "mobilenetv2_keras"])
def test_features_are_float32_under_autocast(name: str) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert network(name).eval().image(clips()[0][0]).dtype == torch.float32


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        mobilenet.build().train()(*clips())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"name": "mobilenetv2"},
            "network mobilenetv2: expected one of mobilenetv2_x1_0, mobilenetv2_x1_4",
        ),
        ({"loss_feature": "cosine"}, "loss feature cosine: expected one of raw, unit"),
    ],
)
def test_an_unknown_option_is_an_error_that_lists_the_known(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        mobilenet.build(**options)
