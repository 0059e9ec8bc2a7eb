"""Part-based networks."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.reid.networks import parts
from models.reid.networks.frames import FrameWise
from models.reid.networks.parts import IndependentHeads, SharedHead
from tests.models.reid.networks import framewise
from tests.models.reid.networks.framewise import Clips, check_the_feature, seen

C = 5
N_PARTS = {"pcb_p4": 4, "pcb_p6": 6, "ft_pcb": 6}
RESNET50 = 23_508_032  # torchvision's 25 557 032 less its classifier


@cache
def network(name: str) -> FrameWise:
    torch.manual_seed(0)
    return seen(parts.build(name, C), clips())


def clips(height_px: int = 96) -> Clips:
    return framewise.clips(height_px)


def stripes(image: Any, images: Tensor, n_parts: int) -> Tensor:
    """Means of equal stripes of the map: (N, 2048, P)."""
    maps = image.backbone(images)
    return torch.stack([stripe.mean((2, 3)) for stripe in maps.chunk(n_parts, 2)], 2)


@pytest.mark.parametrize("name", N_PARTS)
@torch.no_grad()
def test_the_feature_has_the_width_of_the_network_and_a_missing_frame_changes_nothing(
    name: str,
) -> None:
    check_the_feature(network(name).eval(), clips(), 2048 * N_PARTS[name])


@pytest.mark.parametrize("name", N_PARTS)
@torch.no_grad()
def test_every_part_of_an_image_has_unit_length(name: str) -> None:
    feature = network(name).eval().image(clips(128)[0][0])
    lengths = feature.unflatten(1, (2048, N_PARTS[name])).norm(dim=1)
    assert_close(lengths, torch.ones(2, N_PARTS[name]))


@pytest.mark.parametrize(("name", "height_px"), [("pcb_p4", 64), ("pcb_p6", 96), ("ft_pcb", 192)])
@torch.no_grad()
def test_the_feature_is_the_stripes_of_a_map_of_stride_16(name: str, height_px: int) -> None:
    image: Any = network(name).eval().image
    images = clips(height_px)[0][0]
    assert image.backbone(images).shape == (2, 2048, height_px // 16, 2)
    assert_close(image(images), normalize(stripes(image, images, N_PARTS[name]), dim=1).flatten(1))


@torch.no_grad()
def test_stripes_of_a_map_that_does_not_divide_overlap_by_a_row() -> None:
    image: Any = network("pcb_p6").eval().image
    images = clips(128)[0][0]
    maps = image.backbone(images)
    rows = [(0, 2), (1, 3), (2, 4), (4, 6), (5, 7), (6, 8)]
    expected = torch.stack([maps[:, :, a:b].mean((2, 3)) for a, b in rows], 2)
    assert_close(image(images), normalize(expected, dim=1).flatten(1))


@pytest.mark.parametrize("name", N_PARTS)
def test_training_scores_every_part_of_every_real_frame_and_reaches_every_parameter(
    name: str,
) -> None:
    made = network(name).train()
    out = made(*clips())
    assert [tuple(x.shape) for x in out.logits] == [(3, C)] * N_PARTS[name]
    assert [tuple(x.shape) for x in out.features] == [(3, 2048 * N_PARTS[name])]
    assert out.owners.tolist() == [0, 0, 1] and out.attention.shape == (2, 0)
    torch.stack(out.logits).square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []
    made.zero_grad()
    made(*clips()).features[0].pow(3).sum().backward()
    grad: Any = made.image.backbone.conv1.weight.grad  # type: ignore[union-attr]
    assert grad.any()
    made.zero_grad()


@pytest.mark.parametrize("name", ["pcb_p4", "ft_pcb"])
@torch.no_grad()
def test_the_loss_feature_is_taken_before_dropout(name: str) -> None:
    image: Any = network(name).train().image
    images = clips()[0][0]
    if name == "pcb_p4":
        images = images[..., :64, :]
    (*_,), (feature,) = image(images)
    assert_close(feature, normalize(stripes(image, images, N_PARTS[name]), dim=1).flatten(1))


@pytest.mark.parametrize("name", ["pcb_p4", "ft_pcb"])
@torch.no_grad()
def test_the_head_sees_the_parts_after_dropout(name: str) -> None:
    image: Any = network(name).train().image
    seen: list[Tensor] = []
    hook = image.head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    (*_,), (feature,) = image(clips()[0][0])
    hook.remove()
    dropped = ((seen[0] == 0) & (feature.view_as(seen[0]) > 0)).float().mean().item()
    assert dropped == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("head", [SharedHead(C, 4), IndependentHeads(C, 4, False, 0.5)])
@torch.no_grad()
def test_a_part_is_scored_by_its_own_classifier_and_by_nothing_else(head: nn.Module) -> None:
    head.eval()
    generator = torch.Generator().manual_seed(2)
    given = torch.randn(2, 2048, 4, generator=generator)
    before = head(given)
    given[:, :, 1] = torch.randn(2, 2048, generator=generator)
    assert [torch.equal(a, b) for a, b in zip(before, head(given), strict=True)] == [
        True,
        False,
        True,
        True,
    ]
    given[:] = given[:, :, :1]
    first, *others = head(given)
    assert all(
        not torch.equal(first, other) for other in others
    )  # equal parts, different classifiers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pcb_p4", 2048 * 256 + 2 * 256 + 4 * (256 * C + C)),
        ("pcb_p6", 2048 * 256 + 2 * 256 + 6 * (256 * C + C)),
        ("ft_pcb", 6 * (2048 * 256 + 256 + 2 * 256 + 256 * C + C)),
    ],
)
def test_the_number_of_parameters_is_that_of_the_layers(name: str, expected: int) -> None:
    assert sum(p.numel() for p in network(name).parameters()) == RESNET50 + expected
    with torch.device("meta"):
        assert sum(p.numel() for p in parts.build(name).parameters()) == RESNET50


@pytest.mark.parametrize("leaky_relu", [False, True])
def test_surajdonthis_form_has_a_leaky_relu_in_every_block(leaky_relu: bool) -> None:
    with torch.device("meta"):
        made = parts.build("ft_pcb", C, leaky_relu=leaky_relu)
    slopes = [layer.negative_slope for layer in made.modules() if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.1] * 6 * leaky_relu


@torch.no_grad()
def test_heads_start_as_published() -> None:
    torch.manual_seed(0)
    shared: Any = SharedHead(200, 4)
    assert shared.reduce[0].weight.std().item() == pytest.approx(
        (2 / 256) ** 0.5, rel=0.01
    )  # kaiming over fan-out
    assert shared.reduce[0].bias is None
    assert all(
        c.weight.std().item() == pytest.approx(0.01, rel=0.03) and not c.bias.any()
        for c in shared.classifiers
    )


def test_the_backbone_has_torchvisions_names_and_shapes() -> None:
    from torchvision.models import resnet50

    with torch.device("meta"):
        theirs = resnet50(weights=None).state_dict()
    expected = {
        f"backbone.{key}": tensor.shape
        for key, tensor in theirs.items()
        if not key.startswith("fc.")
    }
    ours = network("ft_pcb").image.state_dict()
    assert {
        key: tensor.shape for key, tensor in ours.items() if key.startswith("backbone.")
    } == expected


def test_training_without_classes_is_an_error() -> None:
    with torch.device("meta"):
        made = parts.build("pcb_p4").train()
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        made.image(torch.zeros(2, 3, 64, 32, device="meta"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "pcb_p5"}, "network pcb_p5: expected one of pcb_p4, pcb_p6, ft_pcb"),
        ({"name": "pcb_p4", "leaky_relu": True}, "leaky_relu is an option of ft_pcb only"),
    ],
)
def test_a_wrong_option_is_an_error_of_one_line(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parts.build(**options)
