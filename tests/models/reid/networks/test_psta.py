"""PSTA: the pyramid, its attention by the formula, tracklets of any length."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from models.reid.networks import psta
from models.reid.networks.frames import Outputs
from models.reid.networks.psta import PSTA, PairMerge, resampled

SIZE = (32, 16)


@pytest.fixture(scope="module")
def network() -> PSTA:
    torch.manual_seed(0)
    made = PSTA(height_px=SIZE[0], width_px=SIZE[1]).train()
    with torch.no_grad():
        for neck in made.necks:
            neck.running_mean.normal_()  # type: ignore[operator, union-attr]
    return made.eval()


def clips(b: int = 2, t: int = 8) -> Tensor:
    return torch.randn(b, t, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def features(network: PSTA, images: Tensor, mask: Tensor | None = None) -> Tensor:
    mask = torch.ones(images.shape[:2], dtype=torch.bool) if mask is None else mask
    out = network(images, mask, mask.float())
    assert isinstance(out, Tensor)
    return out


@torch.inference_mode()
def test_three_levels_merge_8_frames_and_the_last_neck_gives_the_mean_of_all_vectors(
    network: PSTA,
) -> None:
    maps: list[Tensor] = []
    hooks = [
        level.register_forward_hook(lambda _, given, out: maps.append(out))
        for level in network.levels
    ]
    given = features(network, clips())
    for hook in hooks:
        hook.remove()
    assert given.shape == (2, 1024) and network.width == 1024
    assert [tuple(m.shape) for m in maps] == [
        (2, 4, 1024, 2, 1),
        (2, 2, 1024, 2, 1),
        (2, 1, 1024, 2, 1),
    ]
    expected = network.necks[2](torch.cat([m.mean((3, 4)) for m in maps], 1).mean(1))
    assert_close(given, expected)


def test_training_gives_three_features_after_their_necks_and_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = PSTA(n_classes=5, height_px=SIZE[0], width_px=SIZE[1]).train()
    mask = torch.ones(2, 8, dtype=torch.bool)
    out = network(clips(), mask, mask.float())
    assert isinstance(out, Outputs)
    assert [o.shape for o in (*out.logits, *out.features)] == 3 * [(2, 5)] + 3 * [(2, 1024)]
    assert out.owners.tolist() == [0, 1] and out.attention.shape == (2, 0)
    for logits, feature, classify in zip(
        out.logits, out.features, network.classifiers, strict=True
    ):
        assert_close(logits, classify(feature))
        assert_close(
            feature.mean(0), torch.zeros(1024), atol=1e-4, rtol=0
        )  # normalised over the batch, frozen zero bias
    sum(logits.square().sum() for logits in out.logits).backward()
    without = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    ]
    assert without == [f"necks.{i}.bias" for i in range(3)]


@pytest.mark.parametrize(
    ("n_frames", "expected"),
    [
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (1, 8 * [0]),
        (4, [0, 0, 1, 1, 2, 2, 3, 3]),
        (16, [1, 3, 5, 7, 9, 11, 13, 15]),
        (12, [0, 2, 3, 5, 6, 8, 9, 11]),
    ],
)
def test_frames_are_chosen_evenly(n_frames: int, expected: list[int]) -> None:
    assert resampled(torch.ones(1, n_frames, dtype=torch.bool), 8).tolist() == [expected]


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.sampled_from([2, 4, 8]))
def test_only_real_frames_are_chosen_in_order_and_as_equally_as_can_be(
    mask: list[bool], length: int
) -> None:
    chosen = resampled(torch.tensor([mask]), length)[0].tolist()
    real = [i for i, is_real in enumerate(mask) if is_real]
    counts = [chosen.count(i) for i in real]
    assert sum(counts) == length and chosen == sorted(chosen)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("n", [1, 3, 8, 11])
@torch.inference_mode()
def test_a_tracklet_of_any_length_gives_the_same_alone_and_padded(network: PSTA, n: int) -> None:
    images = clips(2, 12)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, n:] = False
    images[~mask] = torch.nan
    padded = features(network, images, mask)
    assert_close(padded[1:], features(network, images[1:, :n]), atol=1e-4, rtol=1e-4)
    chosen = images[1:, resampled(mask[1:], 8)[0]]
    assert_close(padded[1:], features(network, chosen), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_backbone_sees_every_chosen_frame_once(network: PSTA) -> None:
    seen: list[int] = []
    hook = network.backbone.register_forward_hook(lambda _, given, out: seen.append(len(given[0])))
    mask = torch.zeros(2, 20, dtype=torch.bool)
    mask[0, :3] = mask[1] = True
    features(network, clips(2, 20), mask)
    hook.remove()
    assert seen == [3 + 8]


@torch.inference_mode()
def test_relations_are_products_with_every_pixel_of_the_other_frame_both_ways_round() -> None:
    torch.manual_seed(0)
    ask, answer = torch.randn(2, 4, 5, 3, 2).unbind()  # two pairs: frames 0 and 2, 1 and 3
    for partner, other in ((False, [0, 1, 2, 3]), (True, [2, 3, 0, 1])):
        related = psta._relations(ask, answer, partner)
        assert related.shape == (4, 2 * 6, 3, 2)
        for frame, y, x in ((0, 2, 1), (3, 0, 1)):
            their_answers, their_asks = (
                answer[other[frame]].flatten(1),
                ask[other[frame]].flatten(1),
            )
            assert_close(related[frame, :6, y, x], ask[frame, :, y, x] @ their_answers)
            assert_close(related[frame, 6:, y, x], answer[frame, :, y, x] @ their_asks)


@torch.inference_mode()
def test_a_pair_is_the_squared_temporal_sum_and_the_spatial_sum_in_any_order() -> None:
    torch.manual_seed(0)
    merge = PairMerge(n_pixels=6).eval()
    maps = torch.randn(1, 4, 1024, 3, 2)
    frames = maps[0, [0, 2, 1, 3]]  # first frames, then their partners
    embedded = merge.embed(frames)
    by_time, by_space = (w(frames, embedded) * frames for w in (merge.temporal, merge.spatial))
    assert merge.temporal(frames, embedded).min() > 0 and merge.temporal(frames, embedded).max() < 1
    expected = merge.refine(
        (by_time[:2] + by_time[2:]).relu() ** 2 + (by_space[:2] + by_space[2:]).relu()
    )
    assert_close(merge(maps)[0], expected)
    assert_close(merge(maps[:, [1, 0, 3, 2]]), merge(maps), atol=1e-5, rtol=1e-4)
    assert (merge(maps[:, [0, 2, 1, 3]]) - merge(maps)).norm() > 1e-3 * merge(maps).norm()


@pytest.mark.parametrize(
    ("attention", "layers", "looks"),
    [("temporal", "joint both channels", True), ("spatial", "joint pixels channels", False)],
)
@torch.inference_mode()
def test_only_temporal_attention_looks_at_the_partner_and_does_so_thrice(
    attention: str, layers: str, looks: bool
) -> None:
    torch.manual_seed(0)
    weigh = PairMerge(n_pixels=6).eval().get_submodule(attention)
    seen: list[Tensor] = []
    for layer in layers.split():
        weigh.get_submodule(layer).register_forward_pre_hook(
            lambda _, given: seen.append(given[0][0])
        )  # of the first frame
    frame, *partners = torch.randn(3, 1, 1024, 3, 2)
    for partner in partners:
        frames = torch.cat([frame, partner])
        weigh(frames, frames[:, :128])
    assert [
        not torch.allclose(a, b, atol=1e-5) for a, b in zip(seen[:3], seen[3:], strict=True)
    ] == 3 * [looks]


@pytest.mark.parametrize("length", [0, 1, 6])
def test_a_clip_length_that_is_no_power_of_two_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match=f"clip_length {length}: expected a power of two"):
        PSTA(clip_length=length)


def test_another_size_is_an_error_that_names_the_right_one(network: PSTA) -> None:
    with pytest.raises(ValueError, match=r"built for crops of \(32, 16\) px, got \(64, 32\)"):
        features(network, torch.zeros(1, 8, 3, 64, 32))


def test_training_without_classes_is_an_error() -> None:
    network = PSTA(clip_length=2, height_px=SIZE[0], width_px=SIZE[1]).train()
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        network(clips(2, 2), torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2))


def test_the_default_is_256_by_128_with_maps_of_16_by_8() -> None:
    with torch.device("meta"):
        network = PSTA()
    joint = network.get_parameter("levels.0.temporal.joint.0.weight")
    assert (
        network.size == (256, 128)
        and len(network.levels) == 3
        and joint.shape == (128, 2 * 16 * 8, 1, 1)
    )
