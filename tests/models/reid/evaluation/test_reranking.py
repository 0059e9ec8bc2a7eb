"""k-reciprocal re-ranking."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from models.errors import InputError
from models.reid.evaluation import distances, ranking, reranking
from models.reid.evaluation.reranking import FeatureDistances, MatrixDistances
from tests.models.reid.golden import F


def dense(original: np.ndarray, n_queries: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """The paper's algorithm with sets and full matrices, in double precision; `original` is [from,
    to].
    """
    n = len(original)
    apart = original.T.astype(np.float64)
    order = np.argsort(apart, axis=1, kind="stable")
    peaks = apart.max(1, keepdims=True)
    apart = apart / np.where(peaks > 0, peaks, 1)

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i, : k + 1].tolist() if i in order[j, : k + 1]}

    vectors = np.zeros((n, n))
    for i in range(n):
        core = reciprocal(i, k1)
        members = set(core)
        for j in core:
            candidates = reciprocal(j, round(k1 / 2))
            if len(candidates & core) > 2 / 3 * len(candidates):
                members |= candidates
        chosen = sorted(members)
        weights = np.exp(-apart[i, chosen])
        vectors[i, chosen] = weights / weights.sum() if chosen else 0
    if k2 > 1:
        vectors = np.stack([vectors[order[i, :k2]].mean(0) for i in range(n)])
    common = np.minimum(vectors[:n_queries, None], vectors[None, n_queries:]).sum(2)
    return (1 - weight) * (1 - common / (2 - common)) + weight * apart[:n_queries, n_queries:]


def original(features: np.ndarray, form: str) -> np.ndarray:
    """The matrix that each program feeds to re-ranking."""
    features = features.astype(np.float64)
    if form == "st-reid":
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        return np.asarray(2 - 2 * features @ features.T)
    squared = ((features[:, None] - features) ** 2).sum(2)
    return squared if form == "paper" else squared**2


GOLDEN = {
    "torchreid": (0.684322, 0.660899, 0.875373, 0.926420, 0.630368, 0.726081, 131.253710),
    "paper": (0.755276, 0.734410, 0.905988, 0.945337, 0.705295, 0.805580, 142.444570),
    "st-reid": (0.755276, 0.734410, 0.905987, 0.945337, 0.705295, 0.805580, 142.444570),
}
HALF_PRECISION = (0.756, 0.734, 0.9062, 0.9453, 0.7056, 0.8057, 142.4828)
"""What one seed gets, which computes the paper's form in 16 bits."""


def unit(n: int, *generators: float) -> np.ndarray:
    return distances.normalise(F(n, 8, *generators))


@pytest.mark.parametrize("form", reranking.FORMS)
def test_golden_numbers_of_the_published_functions(form: str) -> None:
    found = reranking.rerank(unit(6), unit(30, 3.77, 5.1), k1=6, k2=3, lambda_=0.3, form=form)
    assert found.dtype == np.float32
    assert_allclose(found[0, :6], GOLDEN[form][:6], rtol=0, atol=1e-6)
    assert found.sum(dtype=np.float64) == pytest.approx(GOLDEN[form][6], abs=3e-6)


def test_the_form_in_half_precision_is_the_papers_to_three_digits() -> None:
    found = reranking.rerank(unit(6), unit(30, 3.77, 5.1), k1=6, k2=3, lambda_=0.3)
    assert_allclose(found[0, :6], HALF_PRECISION[:6], rtol=0, atol=1e-3)
    assert found.sum(dtype=np.float64) == pytest.approx(HALF_PRECISION[6], abs=0.05)


@pytest.mark.parametrize("form", reranking.FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_features_of_people_rerank_as_the_dense_algorithm_does(form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = (np.eye(7, 16)[rng.integers(0, 7, 70)] + 0.3 * rng.standard_normal((70, 16))).astype(
        np.float32
    )
    found = reranking.rerank(features[:20], features[20:], form=form)
    assert_allclose(found, dense(original(features, form), 20, 20, 6, 0.3), atol=2e-5)
    assert_array_equal(
        found, reranking.rerank(*torch.from_numpy(features).split([20, 50]), form=form)
    )


@st.composite
def tied(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int]:
    """Whole-numbered features, exact in float32, with many equal distances and copies; queries, k1,
    k2.
    """
    n = draw(st.integers(2, 14))
    features = draw(hnp.arrays(np.float32, (n, 2), elements=st.integers(-2, 2).map(float)))
    return features, draw(st.integers(1, n - 1)), draw(st.integers(1, 16)), draw(st.integers(1, 4))


@given(tied(), st.sampled_from(["paper", "torchreid"]))
@settings(max_examples=150)
def test_ties_fall_in_the_order_of_the_samples(
    case: tuple[np.ndarray, int, int, int], form: str
) -> None:
    features, n_queries, k1, k2 = case
    found = reranking.rerank(features[:n_queries], features[n_queries:], k1, k2, 0.3, form)
    assert_allclose(found, dense(original(features, form), n_queries, k1, k2, 0.3), atol=1e-5)


@given(tied(), st.integers(1, 40))
@settings(max_examples=60)
def test_the_size_of_blocks_changes_nothing(
    case: tuple[np.ndarray, int, int, int], size: int
) -> None:
    features, n_queries, k1, k2 = case
    arguments: tuple[Any, ...] = features[:n_queries], features[n_queries:], k1, k2
    whole = reranking.rerank(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((reranking, "BLOCK"), (reranking, "TERMS"), (distances, "PAIRS")):
            patch.setattr(module, name, size)
        assert_array_equal(reranking.rerank(*arguments), whole)


@pytest.mark.parametrize("seed", range(4))
def test_a_matrix_that_is_not_symmetric_is_read_by_columns_as_published(seed: int) -> None:
    matrix = (
        np.random.default_rng(seed).random((40, 40)).astype(np.float32)
    )  # nobody is nearest to themselves
    found = reranking.rerank_distances(MatrixDistances(matrix), 15, 8, 3, 0.3)
    assert_allclose(found, dense(matrix, 15, 8, 3, 0.3), atol=1e-5)


@pytest.mark.parametrize("form", reranking.FORMS)
def test_pairs_and_rows_of_features_are_the_same_distances(form: str) -> None:
    features = torch.from_numpy(F(30, 8).astype(np.float32))
    apart = FeatureDistances(features, form)
    assert len(apart) == 30
    to, source = np.divmod(np.arange(900), 30)
    rows = apart.rows(0, 30)[0].numpy()
    assert_allclose(apart.pairs(to, source).reshape(30, 30), rows, atol=2e-4)
    assert_allclose(rows, original(features.numpy(), form), rtol=1e-4, atol=2e-4)
    some, rest = apart.rows(5, 9)
    assert_allclose(some, rows[5:9, 5:], atol=1e-5)
    assert_allclose(rest, rows[9:, 5:9], atol=1e-5)


def test_with_lambda_one_it_is_the_original_distance_of_which_the_largest_is_one() -> None:
    features = F(12, 4).astype(np.float32)
    apart = original(features, "paper")
    found = reranking.rerank(features[:5], features[5:], lambda_=1)
    assert_allclose(found, apart[:5, 5:] / apart[:5].max(1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("form", reranking.FORMS)
def test_reranking_helps_where_people_form_groups(form: str) -> None:
    rng = np.random.default_rng(0)
    people = rng.integers(0, 12, 150)
    features = rng.standard_normal((12, 6))[people] + 0.7 * rng.standard_normal((150, 6))
    query, gallery = features[:30], features[30:]
    labels = people[:30], people[30:], np.zeros(30), np.ones(120)
    before = ranking.rank(distances.blocks(query, gallery), *labels).scores().mean_ap
    after = (
        ranking.rank(reranking.rerank(query, gallery, 10, 3, form=form), *labels).scores().mean_ap
    )
    assert after > before + 0.02


def test_copies_of_one_item_are_all_alike() -> None:
    assert_allclose(
        reranking.rerank(np.ones((2, 4)), np.ones((3, 4)), k1=2, k2=1, lambda_=1), np.zeros((2, 3))
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"form": "squared"},
            "form of re-ranking squared: expected one of paper, torchreid, st-reid",
        ),
        ({"k1": 0}, "k1 0, k2 6, lambda 0.3"),
        ({"k2": 0}, "expected k1 and k2 of 1 or more"),
        ({"lambda_": 1.5}, r"lambda in 0\.\.1"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        reranking.rerank(F(3, 4), F(5, 4), **options)


def test_input_that_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(InputError, match="not a number"):
        reranking.rerank(np.full((2, 4), np.inf), F(5, 4))
    with pytest.raises(InputError, match="queries have 4 features and the gallery 3"):
        reranking.rerank(F(2, 4), F(5, 3))
    with pytest.raises(InputError, match="all samples by all samples"):
        MatrixDistances(np.zeros((3, 4)))
