"""Networks that pool over time."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks.body_parts import GeneralizedMean, NonLocal
from models.reid.networks.frames import Outputs
from models.reid.networks.temporal import TemporalNetwork


@pytest.fixture(scope="module")
def network() -> TemporalNetwork:
    """Random weights, and batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    made = TemporalNetwork(head="attention", n_classes=5)
    nn.init.normal_(made.neck.running_mean, std=0.1)  # type: ignore[arg-type]
    return made.eval()


def clips(b: int = 2, t: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    mask = torch.ones(b, t, dtype=torch.bool)
    mask[-1, 1:] = False
    return torch.randn(b, t, 3, 64, 32), mask, torch.rand(b, t)


@torch.inference_mode()
def test_features_do_not_depend_on_padding(network: TemporalNetwork) -> None:
    images, mask, quality = clips()
    features = network(images, mask, quality)
    assert features.shape == (2, network.width) and network.width == 2048
    assert_close(
        network(images[1:, :1], mask[1:, :1], quality[1:, :1]), features[1:], atol=1e-5, rtol=1e-4
    )
    images[~mask] = torch.nan
    assert_close(network(images, mask, quality), features)


@pytest.mark.parametrize(
    ("neck", "loss_feature"), [("bnneck", "before"), ("bnneck", "after"), ("none", "before")]
)
def test_training_gives_logits_and_the_feature_that_the_losses_want(
    neck: str, loss_feature: str
) -> None:
    torch.manual_seed(0)
    network = TemporalNetwork(n_classes=5, neck=neck, loss_feature=loss_feature).train()
    outputs = network(*clips(3))
    assert isinstance(outputs, Outputs) and network.classifier is not None
    (logits,), (feature,) = outputs.logits, outputs.features
    assert logits.shape == (3, 5) and feature.shape == (3, 2048)
    assert outputs.owners.tolist() == [0, 1, 2] and outputs.attention.shape == (3, 0)
    normal = feature if loss_feature == "after" or neck == "none" else network.neck(feature)
    assert_close(logits, network.classifier(normal))
    assert (network.classifier.bias is None) == (neck == "bnneck")
    (logits.square().sum() + feature.sum()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == (["neck.bias"] if neck == "bnneck" else [])


@torch.inference_mode()
def test_the_test_feature_is_taken_before_or_after_the_neck(network: TemporalNetwork) -> None:
    after = network(*clips())
    network.test_feature = "before"
    before = network(*clips())
    network.test_feature = "after"
    assert_close(network.neck(before), after)


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_classes"):
        TemporalNetwork().train()(*clips())


@pytest.mark.parametrize(("last_stride", "shape"), [(1, (1, 2048, 16, 8)), (2, (1, 2048, 8, 4))])
@torch.inference_mode()
def test_the_last_stride_sets_the_size_of_the_maps(
    last_stride: int, shape: tuple[int, ...]
) -> None:
    assert (
        TemporalNetwork(last_stride=last_stride).backbone(torch.zeros(1, 3, 256, 128)).shape
        == shape
    )


@torch.inference_mode()
def test_the_stem_has_its_relu_unless_old_weights_ask_for_none() -> None:
    seen: list[Tensor] = []
    for stem_relu in (True, False):
        network = TemporalNetwork(stem_relu=stem_relu).eval()
        network.backbone.maxpool.register_forward_pre_hook(
            lambda module, given: seen.append(given[0])
        )  # type: ignore[operator, union-attr]
        network(*clips())
    assert seen[0].min() == 0 and seen[1].min() < 0


@pytest.mark.parametrize(
    ("options", "n_parameters"),
    [
        (
            {"last_stride": 2, "neck": "none", "n_classes": 625},
            24_788_657,
        ),  # the seed's 24.78866 M at 625 classes
        (
            {"head": "map_attention", "map_size": (14, 7)},
            23_508_032 + 2048 * 256 * 98 + 256 + 256 * 3 + 1 + 2 * 2048,
        ),
        ({"backbone": "resnet101"}, 42_500_160 + 2 * 2048),
    ],
)
def test_networks_have_the_published_number_of_parameters(
    options: dict[str, object], n_parameters: int
) -> None:
    network = TemporalNetwork(**options)  # type: ignore[arg-type]
    assert sum(p.numel() for p in network.parameters()) == n_parameters


def test_an_unknown_backbone_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"vgg: expected one of resnet18, .*mobilenet_v2"):
        TemporalNetwork(backbone="vgg")


@torch.inference_mode()
def test_a_short_network_goes_on_as_a_deep_one_that_gives_the_same_features() -> None:
    torch.manual_seed(0)
    short = TemporalNetwork(embed_width=16, from_zero=True, depths=(1, 2, 1, 1)).eval()
    deep = TemporalNetwork(embed_width=16, from_zero=True).eval()
    assert sum(p.numel() for p in short.parameters()) < 0.7 * sum(
        p.numel() for p in deep.parameters()
    )
    missing, unexpected = deep.load_state_dict(short.state_dict(), strict=False)
    assert missing and not unexpected
    assert_close(deep(*clips()), short(*clips()))
    assert short.width == 16 and short(*clips()).shape == (2, 16)


@pytest.mark.parametrize("depths", [(1, 1, 1), (0, 1, 1, 1), (3, 4, 7, 3)])
def test_depths_that_the_network_does_not_have_are_an_error(depths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected 4 numbers of blocks, from 1 to \(3, 4, 6, 3\)"):
        TemporalNetwork(depths=depths)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pooling": "max"}, "pooling max: expected one of mean, gem"),
        ({"stem_pool": "floor"}, "stem pool floor: expected one of padded, ceil"),
        ({"non_local": (256,)}, "non_local: expected two widths"),
        ({"non_local": (8, 8), "depths": (1, 1, 1, 1)}, "and all blocks of ResNet-50 or 101"),
    ],
)
def test_parts_of_a_body_that_do_not_exist_are_an_error(
    options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        TemporalNetwork(**options)  # type: ignore[arg-type]


@torch.inference_mode()
def test_a_non_local_block_starts_as_the_identity() -> None:
    maps = torch.randn(2, 16, 4, 3)
    assert torch.equal(NonLocal(16, 8).eval()(maps), maps)


@torch.inference_mode()
def test_the_generalised_mean_lies_between_mean_and_maximum() -> None:
    maps = torch.rand(2, 16, 4, 3) + 0.1
    mean = maps.mean((2, 3))
    assert_close(GeneralizedMean(1.0)(maps), mean)
    pooled = GeneralizedMean(3.0)(maps)
    assert bool((pooled > mean).all()) and bool((pooled < maps.amax((2, 3))).all())


@pytest.mark.parametrize(("last_stride", "shape"), [(1, (1, 1280, 8, 4)), (2, (1, 1280, 4, 2))])
@torch.inference_mode()
def test_mobilenet_is_a_backbone_with_torchvisions_names(
    last_stride: int, shape: tuple[int, ...]
) -> None:
    from torchvision.models import mobilenet_v2

    network = TemporalNetwork(backbone="mobilenet_v2", last_stride=last_stride)
    assert network.backbone(torch.zeros(1, 3, 128, 64)).shape == shape
    assert list(network.backbone.state_dict()) == list(
        mobilenet_v2(weights=None).features.state_dict()
    )
    assert network.width == 1280 and network.neck.num_features == 1280
