"""Attention loss."""

import torch
from torch.testing import assert_close

from models.reid.losses.attention import attention

SCORES = torch.tensor([[0.5, 1.0, 2.0], [3.0, 0.25, 4.0]], dtype=torch.float64, requires_grad=True)
ERASED = torch.tensor([[True, False, True], [False, True, False]])


def test_the_scores_of_erased_frames_are_added_and_averaged_over_the_batch() -> None:
    assert attention(SCORES, ERASED).item() == (0.5 + 2.0 + 0.25) / 2
    assert_close(attention(SCORES, ERASED.float()), attention(SCORES, ERASED))


def test_the_gradient_reaches_erased_frames_only() -> None:
    assert torch.autograd.gradcheck(lambda scores: attention(scores, ERASED), SCORES)
    (gradient,) = torch.autograd.grad(attention(SCORES, ERASED), SCORES)
    assert_close(gradient, ERASED.double() / 2)


def test_clips_without_erased_frames_cost_nothing() -> None:
    assert attention(SCORES, torch.zeros_like(ERASED)) == 0
