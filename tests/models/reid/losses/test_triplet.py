"""Triplet losses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.reid.losses import distances
from models.reid.losses.triplet import batch_hard, drawn, semi_hard, triplet_loss
from models.reid.settings import TripletSettings
from tests.models.reid.losses import formulas
from tests.models.reid.losses.formulas import Array, X, Y, batches, slope, tensor

FORMS: list[dict[str, Any]] = [
    {"metric": metric, "soft": soft, "margin": margin}
    for metric in ("cosine", "euclidean")
    for soft, margin in ((False, 0.3), (False, 0.0), (True, 0.3))
]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"metric": "cosine", "margin": 0.3, "soft": False}, 1.12869231),
        ({"metric": "euclidean", "margin": 0.3, "soft": False}, 1.47688443),
        ({"metric": "euclidean", "margin": 0.3, "soft": True}, 1.45767167),
    ],
)
def test_the_golden_numbers_of_batch_hard(form: dict[str, Any], expected: float) -> None:
    assert batch_hard(tensor(X), tensor(Y), **form).item() == pytest.approx(expected, abs=5e-9)
    assert formulas.hard_triplet(X, Y, **form) == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("y", [Y, np.array([0, 0, 0, 1, 1, 2, 3, 3])])
def test_the_gradient_of_batch_hard_is_the_formulas(form: dict[str, Any], y: Array) -> None:
    x = tensor(X, grad=True)
    assert torch.autograd.gradcheck(lambda values: batch_hard(values, tensor(y), **form), x)
    (gradient,) = torch.autograd.grad(batch_hard(x, tensor(y), **form), x)
    assert_close(
        gradient,
        tensor(slope(lambda values: formulas.hard_triplet(values, y, **form), X)),
        atol=1e-8,
        rtol=1e-6,
    )


@given(batches(), st.sampled_from(FORMS))
@settings(max_examples=100)
def test_batch_hard_of_any_batch_is_what_the_formula_gives(
    batch: tuple[Array, Array], form: dict[str, Any]
) -> None:
    x, y = batch
    assert batch_hard(tensor(x), tensor(y), **form).item() == pytest.approx(
        formulas.hard_triplet(x, y, **form), abs=1e-6
    )


@given(batches(), st.sampled_from(FORMS), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_no_choice_of_triplets_is_harder_than_batch_hard(
    batch: tuple[Array, Array], form: dict[str, Any], seed: int
) -> None:
    x, y = batch
    rng = np.random.default_rng(seed)
    apart = (
        formulas.distance
        if form["metric"] == "euclidean"
        else lambda a, b: -formulas.similarity(a, b)
    )
    terms = []
    for i in np.flatnonzero([np.any(y != person) for person in y]):
        positive, negative = (
            rng.choice(np.flatnonzero(y == y[i])),
            rng.choice(np.flatnonzero(y != y[i])),
        )
        violation = apart(x[i], x[positive]) - apart(x[i], x[negative])
        terms.append(
            np.log1p(np.exp(violation)) if form["soft"] else max(0.0, violation + form["margin"])
        )
    assert batch_hard(tensor(x), tensor(y), **form).item() >= formulas.mean(terms) - 1e-6


@given(batches(), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_the_order_of_the_batch_and_the_numbers_of_the_people_do_not_matter(
    batch: tuple[Array, Array], seed: int
) -> None:
    x, y = batch
    rng = np.random.default_rng(seed)
    order, renamed = rng.permutation(len(x)), rng.permutation(4)
    for loss in (batch_hard, semi_hard):
        assert_close(
            loss(tensor(x[order]), tensor(renamed[y[order]])),
            loss(tensor(x), tensor(y)),
            atol=1e-6,
            rtol=0,
        )


@given(batches(), st.floats(0.1, 10))
@settings(max_examples=50)
def test_only_the_euclidean_metric_sees_the_length_of_features(
    batch: tuple[Array, Array], factor: float
) -> None:
    x, y = batch
    assert_close(
        batch_hard(tensor(factor * x), tensor(y), "cosine"),
        batch_hard(tensor(x), tensor(y), "cosine"),
    )
    scaled = batch_hard(tensor(factor * x), tensor(y), margin=0.0)
    assert_close(
        scaled, factor * batch_hard(tensor(x), tensor(y), margin=0.0), atol=2e-5, rtol=1e-6
    )


@given(batches(min_width=2), st.floats(0, 1))
@settings(max_examples=100)
def test_semi_hard_of_any_batch_is_what_the_formula_gives(
    batch: tuple[Array, Array], margin: float
) -> None:
    x, y = batch
    assert semi_hard(tensor(x), tensor(y), margin).item() == pytest.approx(
        formulas.semi_hard_triplet(x, y, margin), abs=1e-6
    )


def test_semi_hard_takes_the_nearest_farther_negative_and_else_the_farthest() -> None:
    angles = torch.tensor([0.0, 0.3, 0.2, 0.6, 0.9], dtype=torch.float64)
    x, y = torch.stack([angles.cos(), angles.sin()], 1), torch.tensor([0, 0, 1, 2, 3])
    apart = distances.euclidean(x)
    # from 0, the positive is at 0.3: 0.2 is too near, 0.6 is next; from 0.3 the positive is at 0.3
    # as well, 0.9 is next
    expected = (apart[0, 1] - apart[0, 3] + 1) + (apart[1, 0] - apart[1, 4] + 1)
    assert_close(semi_hard(x, y, 1.0), expected / 2, atol=1e-6, rtol=0)
    # the two people at 0.2 and 0.25 are both nearer than the positive: the farther of them is taken
    angles = torch.tensor([0.0, 0.5, 0.2, 0.25], dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], 1)
    apart = distances.euclidean(x)
    expected = (apart[0, 1] - apart[0, 3] + 1) + (apart[1, 0] - apart[1, 2] + 1)
    assert_close(semi_hard(x, torch.tensor([0, 0, 1, 2]), 1.0), expected / 2)


def test_a_negative_as_far_as_the_positive_is_not_farther() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    # from the first, the opposite is next after the positive and its double; from the second,
    # nothing is farther
    expected = (2**0.5 - 2 + 1 + 1) / 2
    assert semi_hard(x, torch.tensor([0, 0, 1, 2]), 1.0).item() == pytest.approx(expected)


def test_the_gradient_of_semi_hard_is_the_formulas() -> None:
    x = tensor(X, grad=True)
    assert torch.autograd.gradcheck(lambda values: semi_hard(values, tensor(Y)), x)
    (gradient,) = torch.autograd.grad(semi_hard(x, tensor(Y)), x)
    expected = slope(lambda values: formulas.semi_hard_triplet(values, Y, 0.3), X)
    assert np.abs(expected).max() > 0.01
    assert_close(gradient, tensor(expected), atol=1e-8, rtol=1e-6)


def test_drawn_triplets_are_the_next_ones_in_the_batch() -> None:
    people = [0, 1, 0, 2, 1]  # the person alone in the batch has no positive and is left out
    anchors, positives, negatives = [0, 1, 2, 4], [2, 4, 0, 1], [1, 2, 3, 0]
    expected = formulas.explicit_triplet(X[anchors], X[positives], X[negatives], 0.5)
    assert expected > 0.1
    found = drawn(tensor(X[:5]), torch.tensor(people))
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda rows: drawn(rows, torch.tensor(people)), (tensor(X[:5], grad=True),)
    )


@pytest.mark.parametrize("people", [[0], [0, 0, 0], [0, 1, 2]])
def test_drawn_triplets_cost_nothing_where_there_are_none(people: list[int]) -> None:
    assert drawn(tensor(X[: len(people)]), torch.tensor(people)) == 0


@pytest.mark.parametrize(
    ("mining", "form"), [("hard", batch_hard), ("semi_hard", semi_hard), ("drawn", drawn)]
)
def test_the_settings_choose_the_mining(mining: str, form: Callable[..., torch.Tensor]) -> None:
    settings = TripletSettings.model_validate({"mining": mining, "margin": 0.7})
    assert triplet_loss(tensor(X), tensor(Y), settings) == form(tensor(X), tensor(Y), margin=0.7)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0], 0),
        ([0, 0, 0, 0], 0),
        ([0, 0, 1, 1], "margin"),
        ([0, 1, 2, 3], "margin"),
        ([0, 0, 0, 1], "margin"),
    ],
    ids=["one sample", "one person", "two people", "one sample each", "unequal"],
)
def test_equal_features_cost_the_margin_and_pass_a_finite_gradient(
    form: dict[str, Any], y: list[int], expected: object
) -> None:
    x = torch.ones(len(y), 3, requires_grad=True)
    loss = batch_hard(x, torch.tensor(y), **form)
    loss.backward()
    cost = 0.0 if expected == 0 else np.log(2) if form["soft"] else form["margin"]
    assert loss.item() == pytest.approx(cost, abs=1e-6)
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().max() < 1e-3


@pytest.mark.parametrize("y", [[0], [0, 0, 0], [0, 1, 2], [0, 0, 1]])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_semi_hard_of_equal_features_passes_a_finite_gradient(y: list[int], value: float) -> None:
    x = torch.full((len(y), 3), value, requires_grad=True)
    loss = semi_hard(x, torch.tensor(y))
    loss.backward()
    assert loss.item() == pytest.approx(0.3 if y == [0, 0, 1] else 0, abs=1e-6)
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().max() < 1e-3


def test_an_anchor_is_its_own_positive_where_it_has_no_other() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    assert_close(
        batch_hard(x, torch.tensor([0, 1, 2]), margin=1.5).item(),
        (0.5 + 0.5 + 0.0) / 3,
        atol=1e-5,
        rtol=0,
    )


def test_features_that_are_not_numbers_are_not_hidden() -> None:
    x = torch.ones(4, 2)
    x[1, 0] = torch.nan
    assert batch_hard(x, torch.tensor([0, 0, 1, 1])).isnan()
