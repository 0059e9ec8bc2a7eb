"""Cross entropy with smoothed labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from models.reid.losses.classification import cross_entropy
from tests.models.reid.golden import F
from tests.models.reid.losses import formulas
from tests.models.reid.losses.formulas import slope, tensor

TARGETS = np.array([0, 2, 4, 2])


def test_the_golden_number_of_label_smoothing() -> None:
    assert cross_entropy([tensor(F(4, 5))], tensor(TARGETS), 0.1).item() == pytest.approx(
        1.44563708, abs=5e-9
    )
    assert formulas.smoothed_cross_entropy(F(4, 5), TARGETS, 0.1) == pytest.approx(
        1.44563708, abs=5e-9
    )


def test_the_gradient_is_the_formulas() -> None:
    logits = tensor(F(4, 5), grad=True)
    assert torch.autograd.gradcheck(lambda x: cross_entropy([x], tensor(TARGETS)), logits)
    (gradient,) = torch.autograd.grad(cross_entropy([logits], tensor(TARGETS)), logits)
    assert_close(
        gradient, tensor(slope(lambda x: formulas.smoothed_cross_entropy(x, TARGETS, 0.1), F(4, 5)))
    )


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 0.9), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_any_batch_gives_what_the_formula_gives(
    n: int, n_classes: int, smoothing: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(size=(n, n_classes), scale=5), rng.integers(n_classes, size=n)
    expected = formulas.smoothed_cross_entropy(logits, targets, smoothing)
    assert cross_entropy([tensor(logits)], tensor(targets), smoothing).item() == pytest.approx(
        expected
    )


def test_without_smoothing_it_is_plain_cross_entropy() -> None:
    logits = tensor(F(4, 5))
    assert_close(
        cross_entropy([logits], tensor(TARGETS), 0),
        functional.nll_loss(logits.log_softmax(1), tensor(TARGETS)),
    )


def test_branches_count_as_their_mean_or_their_sum() -> None:
    branches = [tensor(F(4, 5)), tensor(F(4, 5, 1.0, 2.0)), tensor(F(4, 5, 3.0, 4.0))]
    alone = [cross_entropy([logits], tensor(TARGETS)) for logits in branches]
    assert alone[0] != alone[1]
    assert_close(cross_entropy(branches, tensor(TARGETS)), sum(alone) / 3)
    assert_close(cross_entropy(branches, tensor(TARGETS), reduction="sum"), sum(alone))


def test_logits_of_any_size_give_a_finite_loss() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = cross_entropy([logits], torch.tensor([1, 1]))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and logits.grad.isfinite().all()


def test_rows_without_a_label_do_not_count() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, -2, 2, -2])
    labelled = cross_entropy([logits[[0, 2]]], targets[[0, 2]])
    assert_close(cross_entropy([logits], targets), labelled)
    nothing = cross_entropy([logits.requires_grad_()], torch.full((4,), -2))
    assert nothing.item() == 0 and nothing.requires_grad
