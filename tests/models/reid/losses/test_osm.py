"""Online soft mining with class-aware attention."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.reid.losses.osm import osm
from tests.models.reid.losses import formulas
from tests.models.reid.losses.formulas import CLASS_VECTORS, Array, X, Y, batches, slope, tensor

DEFAULTS = {"alpha": 1.2, "l": 0.5, "sigma": 0.8}
CONFIG_59 = {"alpha": 2.8436551583293728, "l": 0.5873389293193368, "sigma": 0.9047814732165316}


def ours(x: Array, y: Array, vectors: Array, **options: Any) -> float:
    return osm(tensor(x), tensor(y), tensor(vectors), **options).item()


@pytest.mark.parametrize(
    ("options", "expected", "positive", "negative"),
    [
        (DEFAULTS, 0.60155240, 1.14549941, 0.05760539),
        (CONFIG_59, 1.16042594, 1.15482330, 1.16436232),
    ],
    ids=["defaults", "config 59"],
)
def test_the_golden_numbers(
    options: dict[str, float], expected: float, positive: float, negative: float
) -> None:
    for loss in (ours, formulas.osm):
        assert loss(X, Y, CLASS_VECTORS, **options) == pytest.approx(expected, abs=5e-9)
        assert loss(X, Y, CLASS_VECTORS, **{**options, "l": 0.0}) == pytest.approx(
            positive, abs=5e-9
        )
        assert loss(X, Y, CLASS_VECTORS, **{**options, "l": 1.0}) == pytest.approx(
            negative, abs=5e-9
        )


def test_the_defaults_are_the_published() -> None:
    assert ours(X, Y, CLASS_VECTORS) == ours(X, Y, CLASS_VECTORS, **DEFAULTS)


@pytest.mark.parametrize("options", [DEFAULTS, CONFIG_59], ids=["defaults", "config 59"])
def test_gradients_flow_through_the_weights_to_features_and_class_vectors(
    options: dict[str, float],
) -> None:
    x, vectors = tensor(X, grad=True), tensor(CLASS_VECTORS, grad=True)
    assert torch.autograd.gradcheck(lambda a, b: osm(a, tensor(Y), b, **options), (x, vectors))
    to_x, to_vectors = torch.autograd.grad(osm(x, tensor(Y), vectors, **options), [x, vectors])
    expected_x = slope(lambda values: formulas.osm(values, Y, CLASS_VECTORS, **options), X)
    expected_vectors = slope(lambda values: formulas.osm(X, Y, values, **options), CLASS_VECTORS)
    assert np.abs(expected_x).max() > 0.01 and np.abs(expected_vectors).max() > 1e-4
    assert_close(to_x, tensor(expected_x), atol=1e-8, rtol=1e-6)
    assert_close(to_vectors, tensor(expected_vectors), atol=1e-8, rtol=1e-6)


@given(batches(), st.floats(0.1, 3), st.floats(0, 1), st.floats(0.3, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_any_batch_gives_what_the_formula_gives(
    batch: tuple[Array, Array],
    alpha: float,
    l: float,  # noqa: E741
    sigma: float,
    seed: int,
) -> None:
    x, y = batch
    vectors = np.random.default_rng(seed).normal(size=(4, x.shape[1]))
    assert ours(x, y, vectors, alpha=alpha, l=l, sigma=sigma) == pytest.approx(
        formulas.osm(x, y, vectors, alpha, l, sigma), rel=1e-6, abs=1e-9
    )


@given(batches(), st.integers(0, 2**32 - 1), st.floats(0.1, 10))
@settings(max_examples=50)
def test_neither_order_nor_names_nor_lengths_matter(
    batch: tuple[Array, Array], seed: int, factor: float
) -> None:
    x, y = batch
    rng = np.random.default_rng(seed)
    vectors, order, renamed = (
        rng.normal(size=(4, x.shape[1])),
        rng.permutation(len(x)),
        rng.permutation(4),
    )
    other = ours(factor * x[order], renamed[y[order]], factor * vectors[np.argsort(renamed)])
    assert other == pytest.approx(ours(x, y, vectors), abs=1e-6)


@pytest.mark.parametrize(
    "y",
    [[0], [0, 0, 0], [0, 1, 2], [0, 0, 1]],
    ids=["one sample", "one person", "one each", "both"],
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_features_pass_a_finite_gradient(y: list[int], value: float) -> None:
    x, vectors = (
        torch.full((len(y), 3), value, requires_grad=True),
        torch.eye(3, requires_grad=True),
    )
    loss = osm(x, torch.tensor(y), vectors)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * 1.2**2 / 2 if len(set(y)) > 1 else 0, abs=1e-5)
    for gradient in (x.grad, vectors.grad):
        assert gradient is not None and gradient.isfinite().all() and gradient.abs().max() < 2


def test_negatives_farther_than_alpha_cost_nothing() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = osm(x, torch.tensor([0, 1]), torch.eye(2))
    loss.backward()
    assert loss == 0 and x.grad is not None and not x.grad.any()


def test_a_small_sigma_does_not_divide_zero_by_zero() -> None:
    """The optimiser of the published settings tries sigma 0.1, where exp(-d^2 / sigma^2) of far
    pairs is 0 in float32.
    """
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8]], requires_grad=True)
    loss = osm(x, torch.tensor([0, 0, 0]), torch.eye(2), l=0, sigma=0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0.4, abs=1e-5)  # the nearest pair alone: d^2 = 0.8
    assert x.grad is not None and x.grad.isfinite().all()


def test_samples_that_look_like_another_class_count_less() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    y = torch.tensor([0, 0, 1])
    right, wrong = torch.eye(2), torch.eye(2).flip(0)
    pull = [
        osm(torch.cat([x, x.flip(1)[:1]]), torch.cat([y, y[:1]]), vectors, l=0).item()
        for vectors in (right, wrong)
    ]
    assert pull[0] < pull[1]
