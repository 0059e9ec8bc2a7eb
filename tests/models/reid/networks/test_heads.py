"""Temporal pooling."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks import heads

B, T, D = 3, 6, 16
LENGTHS = (6, 2, 1)
MAP = (3, 2)
MEANS = [name for name in heads.HEADS if name != "rnn"]

Clips = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def clips() -> Clips:
    """Features, maps of the real frames, mask and quality of tracklets of different length."""
    torch.manual_seed(0)
    mask = torch.arange(T)[None] < torch.tensor(LENGTHS)[:, None]
    return torch.randn(B, T, D), torch.randn(int(mask.sum()), D, *MAP), mask, torch.rand(B, T)


def build(name: str) -> nn.Module:
    return heads.build(name, D, MAP)


def trained(name: str) -> nn.Module:
    """A head that has left its start."""
    head = build(name)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    return head


@pytest.mark.parametrize("name", heads.HEADS)
def test_padding_never_changes_the_result(name: str, clips: Clips) -> None:
    features, maps, mask, quality = clips
    head = trained(name)
    noise = torch.where(mask[..., None], features, 1e3), maps, mask, torch.where(mask, quality, 1.0)
    whole = head(features, maps, mask, quality)[0]
    assert whole.shape == (B, head.width)
    assert_close(head(*noise)[0], whole)
    starts = [sum(LENGTHS[:i]) for i in range(B)]
    for i, n in enumerate(LENGTHS):
        own = slice(i, i + 1)
        alone = head(
            features[own, :n], maps[starts[i] : starts[i] + n], mask[own, :n], quality[own, :n]
        )[0]
        assert_close(whole[own], alone)


@pytest.mark.parametrize("name", MEANS)
def test_the_weights_sum_to_one(name: str, clips: Clips) -> None:
    """A feature that is the same in every frame stays what it is, whatever the weights are."""
    features, maps, mask, quality = clips
    features[..., -1] = 3
    assert_close(trained(name)(features, maps, mask, quality)[0][:, -1], torch.full((B,), 3.0))


def test_the_mean_is_that_of_the_real_frames(clips: Clips) -> None:
    expected = torch.stack([clips[0][i, :n].mean(0) for i, n in enumerate(LENGTHS)])
    assert_close(build("mean")(*clips)[0], expected)


def test_quality_weights_the_frames_and_quality_zero_is_the_mean(clips: Clips) -> None:
    features, maps, mask, quality = clips
    weights = [quality[i, :n, None] for i, n in enumerate(LENGTHS)]
    expected = [(w * features[i, : len(w)]).sum(0) / w.sum() for i, w in enumerate(weights)]
    assert_close(build("quality")(*clips)[0], torch.stack(expected))
    assert_close(build("quality")(features, maps, mask, quality * 0)[0], build("mean")(*clips)[0])


@pytest.mark.parametrize("name", ["attention", "attention_sigmoid"])
def test_lean_attention_starts_as_the_mean_and_leaves_it(name: str, clips: Clips) -> None:
    mean = build("mean")(*clips)[0]
    assert_close(build(name)(*clips)[0], mean)
    moved = (trained(name)(*clips)[0] - mean).norm(dim=1)
    assert (
        moved[0] > 0.05 and moved[1] > 1e-3 and moved[2] < 1e-5
    )  # the last tracklet has one frame


@pytest.mark.parametrize("name", ["attention", "attention_sigmoid"])
def test_lean_attention_can_learn_from_its_start(name: str, clips: Clips) -> None:
    head = build(name)
    head(*clips)[0].pow(2).sum().backward()
    assert isinstance(head, heads.AttentionPooling) and head.score.weight.grad is not None
    assert head.score.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_map_attention_is_the_published_formula(form: str, clips: Clips) -> None:
    features, maps, mask, _ = clips
    head = trained("map_attention" + ("_sigmoid" if form == "sigmoid" else ""))
    assert isinstance(head, heads.MapAttentionPooling)
    rows = (
        maps[:6].flatten(1) @ head.reduce.weight.flatten(1).T + head.reduce.bias
    )  # the first tracklet
    hidden = nn.functional.pad(rows.relu().T, (1, 1))
    scores = [
        (hidden[:, t : t + 3] * head.score.weight[0]).sum() + head.score.bias[0] for t in range(6)
    ]  # type: ignore[index]
    raw = torch.stack(scores).relu()
    expected = raw.softmax(0) if form == "softmax" else raw.sigmoid() / raw.sigmoid().sum()
    feature, attention = head(*clips)
    assert_close(feature[0], (expected[:, None] * features[0]).sum(0), rtol=1e-4, atol=1e-5)
    assert_close(attention[0], raw, rtol=1e-4, atol=1e-5)
    assert (attention[~mask] == 0).all()


def test_map_attention_refuses_maps_of_another_size(clips: Clips) -> None:
    features, maps, mask, quality = clips
    with pytest.raises(ValueError, match=r"built for maps of \(3, 2\), got \(3, 1\)"):
        build("map_attention")(features, maps[..., :1], mask, quality)


def test_the_recurrent_head_sees_the_order_of_the_frames(clips: Clips) -> None:
    features, maps, mask, quality = clips
    head = build("rnn")
    assert head.width == 512
    assert not torch.allclose(
        head(features, maps, mask, quality)[0][0], head(features.flip(1), maps, mask, quality)[0][0]
    )


def test_an_unknown_head_is_an_error_that_names_the_known() -> None:
    with pytest.raises(
        ValueError, match="temporal head max: expected one of mean, quality, attention"
    ):
        heads.build("max", D, MAP)
