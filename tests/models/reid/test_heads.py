"""Temporal pooling."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid import heads

B, T, D = 3, 6, 16
LENGTHS = (6, 2, 1)


@pytest.fixture
def clips() -> tuple[Tensor, Tensor, Tensor]:
    """Features, mask and quality of tracklets of different length."""
    torch.manual_seed(0)
    mask = torch.arange(T)[None] < torch.tensor(LENGTHS)[:, None]
    return torch.randn(B, T, D), mask, torch.rand(B, T)


def trained(name: str) -> nn.Module:
    """A head that has left its start."""
    head = heads.build(name, D)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    return head


@pytest.mark.parametrize("name", heads.HEADS)
def test_padding_never_changes_the_result(name: str, clips: tuple[Tensor, Tensor, Tensor]) -> None:
    features, mask, quality = clips
    head = trained(name)
    noise = torch.where(mask[..., None], features, 1e3), mask, torch.where(mask, quality, 1.0)
    assert_close(head(*noise), head(features, mask, quality))
    for i, n in enumerate(LENGTHS):
        alone = head(features[i : i + 1, :n], mask[i : i + 1, :n], quality[i : i + 1, :n])
        assert_close(head(features, mask, quality)[i : i + 1], alone)


@pytest.mark.parametrize("name", heads.HEADS)
def test_the_weights_sum_to_one(name: str, clips: tuple[Tensor, Tensor, Tensor]) -> None:
    """Adding a constant to every feature after the weights are chosen adds it to the result."""
    features, mask, quality = clips
    head = trained(name)
    if isinstance(head, heads.AttentionPooling):
        head.reduce.weight.data[:, -1] = 0  # the weights do not see the last feature
    features[..., -1] = 3
    assert_close(head(features, mask, quality)[:, -1], torch.full((B,), 3.0))


def test_the_mean_is_that_of_the_real_frames(clips: tuple[Tensor, Tensor, Tensor]) -> None:
    expected = torch.stack([clips[0][i, :n].mean(0) for i, n in enumerate(LENGTHS)])
    assert_close(heads.build("mean", D)(*clips), expected)


def test_quality_weights_the_frames_and_quality_zero_is_the_mean(clips: tuple[Tensor, Tensor, Tensor]) -> None:
    features, mask, quality = clips
    head = heads.build("quality", D)
    weights = [quality[i, :n, None] for i, n in enumerate(LENGTHS)]
    expected = [(w * features[i, : len(w)]).sum(0) / w.sum() for i, w in enumerate(weights)]
    assert_close(head(*clips), torch.stack(expected))
    assert_close(head(features, mask, quality * 0), heads.build("mean", D)(*clips))


def test_attention_starts_as_the_mean_and_leaves_it(clips: tuple[Tensor, Tensor, Tensor]) -> None:
    mean = heads.build("mean", D)(*clips)
    assert_close(heads.build("attention", D)(*clips), mean)
    moved = (trained("attention")(*clips) - mean).norm(dim=1)
    assert moved[0] > 0.1 and moved[1] > 1e-3 and moved[2] < 1e-5  # the last tracklet has one frame


def test_attention_can_learn_from_its_start(clips: tuple[Tensor, Tensor, Tensor]) -> None:
    head = heads.build("attention", D)
    head(*clips).pow(2).sum().backward()
    assert isinstance(head, heads.AttentionPooling) and head.score.weight.grad is not None
    assert head.score.weight.grad.abs().sum() > 0


def test_an_unknown_head_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match="temporal head max: expected one of mean, attention, quality"):
        heads.build("max", D)
