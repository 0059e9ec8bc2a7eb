"""3D-ResNet-50: its sizes, padding that leaks nowhere, the start from 2-D weights."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.reid.networks.frames import Outputs
from models.reid.networks.resnet3d import ResNet3d, inflate


@pytest.fixture(scope="module")
def network() -> ResNet3d:
    """Random weights and normalisations that are not the initial ones: zeros do not stay zeros."""
    torch.manual_seed(0)
    made = ResNet3d(n_classes=5)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.bias.uniform_(0, 0.2)
    return made.eval()


def clips(b: int = 2, t: int = 4, size: tuple[int, int] = (32, 16)) -> Tensor:
    return torch.randn(b, t, 3, *size, generator=torch.Generator().manual_seed(1))


def features(network: ResNet3d, images: Tensor, mask: Tensor | None = None) -> Tensor:
    mask = torch.ones(images.shape[:2], dtype=torch.bool) if mask is None else mask
    out = network(images, mask, mask.float())
    assert isinstance(out, Tensor)
    return out


@torch.inference_mode()
def test_maps_shrink_32_times_in_the_image_and_16_times_over_time(network: ResNet3d) -> None:
    seen: list[tuple[int, ...]] = []
    layers = (
        network.bn1,
        *(layer[-1] for layer in (network.layer1, network.layer2, network.layer3, network.layer4)),
    )
    hooks = [
        layer.register_forward_hook(
            lambda _, given, out: seen.append(
                tuple((out if isinstance(out, Tensor) else out[0]).shape)
            )
        )
        for layer in layers
    ]
    assert features(network, clips(1, 16, (64, 48))).shape == (1, 2048) and network.width == 2048
    for hook in hooks:
        hook.remove()
    assert seen == [
        (1, 64, 16, 32, 24),
        (1, 256, 8, 16, 12),
        (1, 512, 4, 8, 6),
        (1, 1024, 2, 4, 3),
        (1, 2048, 1, 2, 2),
    ]


def test_it_has_as_many_parameters_as_the_layers_of_the_paper() -> None:
    total = 3 * 343 * 64 + 2 * 64
    for n_in, width, depth in ((64, 64, 3), (256, 128, 4), (512, 256, 6), (1024, 512, 3)):
        total += n_in * 4 * width + 8 * width  # the shortcut
        total += (n_in + (depth - 1) * 4 * width) * width + depth * (
            27 * width * width + 4 * width * width + 12 * width
        )
    assert sum(p.numel() for p in ResNet3d().parameters()) == total == 46_198_976


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@torch.inference_mode()
def test_a_clip_gives_the_same_alone_and_padded(network: ResNet3d, n: int) -> None:
    images = clips(2, 9)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, n:] = False
    images[~mask] = torch.nan
    assert_close(
        features(network, images, mask)[1:], features(network, images[1:, :n]), atol=1e-4, rtol=1e-4
    )


@torch.inference_mode()
def test_padding_between_frames_is_closed_up(network: ResNet3d) -> None:
    images, mask = clips(1, 6), torch.tensor([[False, True, True, False, False, True]])
    assert_close(
        features(network, images, mask), features(network, images[:, mask[0]]), atol=1e-4, rtol=1e-4
    )


@torch.inference_mode()
def test_the_order_of_frames_matters(network: ResNet3d) -> None:
    change = features(network, clips().flip(1)) - features(network, clips())
    assert change.norm() > 1e-2 * features(network, clips()).norm()


@torch.inference_mode()
def test_a_clip_gives_the_same_in_any_batch(network: ResNet3d) -> None:
    assert_close(
        features(network, clips()[:1]), features(network, clips())[:1], atol=1e-4, rtol=1e-4
    )


def test_training_gives_logits_and_the_feature_and_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    mask = torch.ones(2, 4, dtype=torch.bool)
    network = ResNet3d(n_classes=5).train()
    out = network(clips(), mask, mask.float())
    assert isinstance(out, Outputs)
    assert [o.shape for o in (*out.logits, *out.features, out.attention)] == [
        (2, 5),
        (2, 2048),
        (2, 0),
    ]
    assert out.owners.tolist() == [0, 1]
    out.logits[0].square().sum().backward()
    assert [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    ] == []


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        ResNet3d().train()(clips(), torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 4))


@torch.inference_mode()
def test_inflated_weights_give_an_image_what_the_2d_network_gives() -> None:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    flat = resnet50(weights=None).eval()
    network = ResNet3d().eval()
    network.load_state_dict(inflate(flat.state_dict()))
    flat.fc = torch.nn.Identity()
    assert_close(features(network, clips(2, 1)), flat(clips(2, 1)[:, 0]), atol=1e-4, rtol=1e-4)
