"""Centre loss."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.testing import assert_close

from models.reid.losses.center import CenterLoss, restore_gradients, shrink_gradient
from tests.models.reid.losses import formulas
from tests.models.reid.losses.formulas import CENTERS, Array, X, Y, batches, slope, tensor


def center_loss(centers: Array, reduction: str = "masked") -> CenterLoss:
    loss = CenterLoss(*centers.shape, reduction)  # type: ignore[arg-type]
    loss.centers = torch.nn.Parameter(tensor(centers))
    return loss


def test_the_golden_number_of_the_centre_loss() -> None:
    assert center_loss(CENTERS)(tensor(X), tensor(Y)).item() == pytest.approx(7.44273265, abs=5e-9)
    assert formulas.center(X, Y, CENTERS) == pytest.approx(7.44273265, abs=5e-9)


def test_the_gradients_are_the_formulas() -> None:
    x, loss = tensor(X, grad=True), center_loss(CENTERS)
    assert torch.autograd.gradcheck(lambda values: loss(values, tensor(Y)), x)
    to_x, to_centers = torch.autograd.grad(loss(x, tensor(Y)), [x, loss.centers])
    assert_close(
        to_x,
        tensor(slope(lambda values: formulas.center(values, Y, CENTERS), X)),
        atol=1e-8,
        rtol=1e-6,
    )
    expected = slope(lambda values: formulas.center(X, Y, values), CENTERS)
    assert_close(to_centers, tensor(expected), atol=1e-8, rtol=1e-6)
    assert not to_centers[4].any()


@given(batches())
@settings(max_examples=50)
def test_any_batch_gives_what_the_formula_gives(batch: tuple[Array, Array]) -> None:
    x, y = batch
    centers = np.random.default_rng(len(x)).normal(size=(4, x.shape[1]))
    masked = center_loss(centers)(tensor(x), tensor(y)).item()
    assert masked == pytest.approx(formulas.center(x, y, centers), rel=1e-12)
    assert center_loss(centers, "own")(tensor(x), tensor(y)).item() == pytest.approx(
        masked - 3e-12, rel=1e-14
    )


def test_the_two_reductions_differ_by_what_the_clamp_leaves_of_other_centres() -> None:
    x, y = tensor(CENTERS[:1]), torch.tensor([0])
    assert center_loss(CENTERS, "own")(x, y).item() == pytest.approx(1e-12, rel=1e-6)
    assert center_loss(CENTERS)(x, y).item() == pytest.approx(5e-12, rel=1e-6)


def test_a_sample_on_its_centre_or_beyond_the_limit_passes_no_gradient() -> None:
    loss = CenterLoss(2, 3)
    x = torch.stack([loss.centers.detach()[0], torch.full((3,), 1e7)]).requires_grad_()
    value = loss(x, torch.tensor([0, 1]))
    value.backward()
    assert value.item() == pytest.approx(5e11)
    assert x.grad is not None and not x.grad.any()


def test_centres_start_normally_distributed_and_follow_the_generator() -> None:
    first, again, other = (
        CenterLoss(100, 50, generator=torch.Generator().manual_seed(seed)).centers
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (100, 50) and first.mean().abs() < 0.05 and (first.std() - 1).abs() < 0.05


def test_restored_gradients_are_those_of_the_loss_without_its_weight() -> None:
    loss, plain = center_loss(CENTERS), center_loss(CENTERS)
    (0.0005 * loss(tensor(X), tensor(Y))).backward()
    plain(tensor(X), tensor(Y)).backward()
    unused = CenterLoss(2, 3)
    restore_gradients([loss.centers, unused.centers], 0.0005)
    assert_close(loss.centers.grad, plain.centers.grad)
    assert unused.centers.grad is None


def test_what_else_uses_the_centres_is_not_magnified() -> None:
    loss = center_loss(CENTERS)
    shrunk = shrink_gradient(loss.centers, 0.0005)
    assert torch.equal(shrunk, loss.centers)
    shrunk.sin().sum().backward()
    restore_gradients([loss.centers], 0.0005)
    assert_close(loss.centers.grad, tensor(CENTERS).cos())
