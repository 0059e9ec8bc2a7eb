"""HA-CNN: its sizes stage by stage, its attention, its windows."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks import hacnn
from models.reid.networks.hacnn import HACNN


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 160, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network() -> HACNN:
    torch.manual_seed(0)
    return HACNN(n_classes=5).eval()


def shapes(network: nn.Module, *names: str) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of what the named layers take, a call each."""
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in names}
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda _, given, name=name: seen[name].append(tuple(given[0].shape))
        )
        for name in names
    ]
    network(images(1))
    for hook in hooks:
        hook.remove()
    return seen


@torch.inference_mode()
def test_maps_have_the_published_sizes_and_windows_share_the_local_layers(network: HACNN) -> None:
    assert shapes(
        network,
        "inception1",
        "ha1",
        "ha2",
        "ha3",
        "local_conv1",
        "local_conv2",
        "local_conv3",
        "fc_global",
        "fc_local",
    ) == {
        "inception1": [(1, 32, 80, 32)],
        "ha1": [(1, 128, 40, 16)],
        "ha2": [(1, 256, 20, 8)],
        "ha3": [(1, 384, 10, 4)],
        "local_conv1": 4 * [(1, 32, 24, 28)],
        "local_conv2": 4 * [(1, 128, 12, 14)],
        "local_conv3": 4 * [(1, 256, 6, 7)],
        "fc_global": [(1, 384)],
        "fc_local": [(1, 4 * 384)],
    }


def conv(n_in: int, n_out: int, size: int) -> int:
    return n_in * n_out * size * size + n_out + 2 * n_out


def inception_a(i: int, o: int) -> int:
    return 4 * conv(i, o // 4, 1) + 3 * conv(o // 4, o // 4, 3)


def inception_b(i: int, o: int) -> int:
    return 2 * conv(i, o // 4, 1) + 3 * conv(o // 4, o // 4, 3) + conv(i, o // 2, 1)


def attention(c: int) -> int:
    return (
        conv(1, 1, 3)
        + conv(1, 1, 1)
        + conv(c, c // 16, 1)
        + conv(c // 16, c, 1)
        + conv(c, c, 1)
        + 8 * c
        + 8
    )


def test_it_has_as_many_parameters_as_the_layers_of_the_paper() -> None:
    total = conv(3, 32, 3) + sum(512 * n + 512 + 1024 for n in (384, 4 * 384))
    for i, o in ((32, 128), (128, 256), (256, 384)):
        total += inception_a(i, o) + inception_b(o, o) + attention(o) + inception_b(i, o)
    assert sum(p.numel() for p in HACNN().parameters()) == total == 2_929_112


@torch.inference_mode()
def test_the_feature_is_two_halves_of_unit_length_whatever_else_is_in_the_batch(
    network: HACNN,
) -> None:
    features = network(images())
    assert features.shape == (2, 1024) and network.width == hacnn.hacnn().width == 1024
    assert_close(features.view(2, 2, 512).norm(dim=2), torch.ones(2, 2))
    assert_close(network(images()[:1]), features[:1], atol=1e-5, rtol=1e-4)


def test_training_gives_both_branches_and_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = hacnn.hacnn(n_classes=5).train()
    mask = torch.tensor([[True, True], [True, False]])
    out = network(images(4).view(2, 2, 3, 160, 64), mask, mask.float())
    assert [o.shape for o in (*out.logits, *out.features)] == [(3, 5), (3, 5), (3, 512), (3, 512)]
    assert out.owners.tolist() == [0, 0, 1]
    sum(o.square().sum() for o in out.logits).backward()
    assert [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    ] == []
    windows = [
        p.grad.abs().sum()
        for name, p in network.named_parameters()
        if "hard_attn" in name and p.grad is not None
    ]
    assert len(windows) == 6 and min(windows) > 0


def test_padded_frames_change_nothing(network: HACNN) -> None:
    clips, mask = images(4).view(2, 2, 3, 160, 64), torch.tensor([[True, True], [True, False]])
    wrapped = hacnn.hacnn().eval()
    features = wrapped(clips, mask, mask.float())
    clips[1, 1] = torch.nan
    assert_close(wrapped(clips, mask, mask.float()), features)


@pytest.mark.parametrize(("open_gate", "low", "below_half"), [(False, 0.5, 0.0), (True, 0.0, 0.5)])
@torch.inference_mode()
def test_the_published_gate_cannot_close_and_the_open_one_can(
    open_gate: bool, low: float, below_half: float
) -> None:
    torch.manual_seed(0)
    gate = hacnn.SoftAttention(128, open_gate).train()
    weights = gate(torch.randn(4, 128, 8, 4))
    assert weights.shape == (4, 128, 8, 4) and weights.min() >= low and weights.max() < 1
    assert (weights < 0.5).float().mean() == pytest.approx(below_half, abs=0.15)


@torch.inference_mode()
def test_windows_start_as_four_stripes_whatever_the_image() -> None:
    places = hacnn.HardAttention(128)(torch.randn(3, 128, 8, 4))
    expected = torch.tensor([(0.0, y) for y in hacnn.REGION_CENTRES]).tanh()
    assert_close(places, expected.expand(3, 4, 2))


@torch.inference_mode()
def test_a_window_is_as_wide_as_the_map_and_a_quarter_as_high_with_corners_aligned() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 80), torch.linspace(-1, 1, 32), indexing="ij")
    cut = hacnn._window(torch.stack([x, y])[None], torch.tensor([[0.0, -0.75]]), (24, 28))[0]
    assert_close(cut[0, 0], torch.linspace(-1, 1, 28), atol=1e-5, rtol=0)
    assert_close(cut[1, :, 0], torch.linspace(-1, -0.5, 24), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(256, 128), (64, 160), (128, 128)])
def test_other_sizes_are_an_error_that_names_the_right_one(
    network: HACNN, size: tuple[int, int]
) -> None:
    with pytest.raises(
        ValueError, match=rf"160 x 64 px \(height x width\) only, got {size[0]} x {size[1]}"
    ):
        network(torch.zeros(1, 3, *size))


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        HACNN().train()(images())


def test_everything_follows_the_device_of_the_images() -> None:
    assert HACNN().eval().to("meta")(images().to("meta")).device.type == "meta"


@torch.inference_mode()
def test_half_precision_gives_nearly_the_same_feature(network: HACNN) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = network(images())
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half, network(images())).min() > 0.99
