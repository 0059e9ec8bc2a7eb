"""Distances within a batch."""

import numpy as np
import torch
from hypothesis import given, settings
from torch.testing import assert_close

from models.reid.losses import distances
from tests.models.reid.losses import formulas
from tests.models.reid.losses.formulas import Array, X, batches, tensor


@given(batches())
@settings(max_examples=50)
def test_distances_and_similarities_are_those_of_the_formulas(batch: tuple[Array, Array]) -> None:
    x, _ = batch
    apart = np.array([[formulas.distance(a, b) for b in x] for a in x])
    alike = np.array([[formulas.similarity(a, b) for b in x] for a in x])
    assert_close(distances.euclidean(tensor(x)), tensor(apart))
    assert_close(distances.cosine(tensor(x)), tensor(alike))


def test_distances_in_float32_keep_their_digits_far_from_the_origin() -> None:
    assert_close(
        distances.euclidean(tensor(X + 1000).float()),
        distances.euclidean(tensor(X)).float(),
        atol=1e-3,
        rtol=0,
    )


def test_equal_samples_are_a_millionth_apart_and_pass_no_gradient() -> None:
    x = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    apart = distances.euclidean(x)
    apart.sum().backward()
    assert_close(apart, torch.full((3, 3), 1e-6, dtype=torch.float64))
    assert x.grad is not None and not x.grad.any()


def test_a_sample_is_a_millionth_from_itself_however_large_its_values() -> None:
    x = (1000 * tensor(X).float()).requires_grad_()
    itself = distances.euclidean(x).diagonal()
    itself.sum().backward()
    assert_close(itself, torch.full((8,), 1e-6), atol=0, rtol=1e-6)
    assert x.grad is not None and not x.grad.any()


def test_rows_of_zeros_stay_zero_and_pass_no_gradient() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    normal = distances.unit(x)
    normal.sum().backward()
    assert_close(normal.detach(), torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
    assert x.grad is not None
    assert_close(x.grad, torch.tensor([[0.0, 0.0], [0.032, -0.024]]))
