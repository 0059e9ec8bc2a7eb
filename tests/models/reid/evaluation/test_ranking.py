"""CMC and average precision."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from models.errors import InputError
from models.reid.evaluation import distances, ranking
from models.reid.evaluation.ranking import Ranking
from tests.models.reid.golden import F

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Distances (Q, G), ids of queries and gallery, cameras of queries and gallery."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few different distances, so many ties; few people, so some queries without an answer;
    junk.
    """
    n_queries, n_gallery = draw(st.integers(1, 6)), draw(st.integers(0, 12))

    def integers(n: int, low: int, high: int) -> Any:
        return draw(hnp.arrays(np.int64, n, elements=st.integers(low, high)))

    apart = draw(
        hnp.arrays(
            np.float32,
            (n_queries, n_gallery),
            elements=st.sampled_from([-1.5, -0.0, 0.0, 0.25, 1.0, 3e9]),
        )
    )
    people = integers(n_queries, -1, 4), integers(n_gallery, -1, 4)
    return apart, *people, integers(n_queries, 0, 2), integers(n_gallery, 0, 2)


def one_by_one(case: Case) -> list[tuple[list[int], list[bool]]]:
    """For each query the gallery without junk, nearest first, and whether each item is right: by
    the rules as they are told.
    """
    apart, query_ids, gallery_ids, query_cameras, gallery_cameras = case
    found = []
    for q, row in enumerate(apart):
        order = [
            g
            for g in sorted(range(len(row)), key=lambda g: (row[g], g))
            if gallery_ids[g] != -1
            and not (gallery_ids[g] == query_ids[q] and gallery_cameras[g] == query_cameras[q])
        ]
        found.append((order, [bool(gallery_ids[g] == query_ids[q]) for g in order]))
    return found


def precision_ap(right: list[bool]) -> float:
    """Mean of the precision at every right answer."""
    at = [i for i, is_right in enumerate(right) if is_right]
    return sum((n + 1) / (i + 1) for n, i in enumerate(at)) / len(at) if at else 0.0


def triangle_ap(right: list[bool]) -> float:
    """Area under the precision-recall curve by trapezoids, which starts at precision 1."""
    at = [i for i, is_right in enumerate(right) if is_right]
    old = [n / i if i else 1.0 for n, i in enumerate(at)]
    return (
        sum((o + (n + 1) / (i + 1)) / 2 for n, (i, o) in enumerate(zip(at, old, strict=True)))
        / len(at)
        if at
        else 0.0
    )


@given(cases())
@settings(max_examples=150)
def test_the_ranking_is_that_of_the_rules_applied_one_by_one(case: Case) -> None:
    found, expected = ranking.rank(*case, top=4), one_by_one(case)
    for q, (order, right) in enumerate(expected):
        assert found.first[q] == (right.index(True) if any(right) else -1)
        assert found.n_answers[q] == sum(right)
        assert found.precision_ap[q] == pytest.approx(precision_ap(right))
        assert found.triangle_ap[q] == pytest.approx(triangle_ap(right))
        assert found.top[q].tolist() == (order + 4 * [-1])[:4]
        assert found.top_correct[q].tolist() == (right + 4 * [False])[:4]


@given(cases(), st.sampled_from(["precision", "triangle"]), st.sampled_from(["valid", "all"]))
@settings(max_examples=100)
def test_scores_are_means_over_valid_or_all_queries(case: Case, ap: str, over: str) -> None:
    rights = [right for _, right in one_by_one(case)]
    valid = [right for right in rights if any(right)]
    found = ranking.rank(*case)
    if not valid:
        with pytest.raises(InputError, match=f"none of {len(rights)} queries has an answer"):
            found.scores(ap, over)
        return
    scores = found.scores(ap, over, max_rank=5)
    n = len(valid) if over == "valid" else len(rights)
    assert (scores.n_valid, scores.n_queries) == (len(valid), len(rights))
    assert_allclose(scores.cmc, [sum(any(right[:k]) for right in valid) / n for k in range(1, 6)])
    form = precision_ap if ap == "precision" else triangle_ap
    assert scores.mean_ap == pytest.approx(sum(map(form, valid)) / n)


@given(cases(), st.integers(1, 4), st.integers(1, 40))
@settings(max_examples=50)
def test_the_size_of_blocks_changes_nothing(case: Case, n_rows: int, block: int) -> None:
    whole = ranking.rank(*case, top=3)
    parts = (case[0][i : i + n_rows] for i in range(0, len(case[0]), n_rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "BLOCK", block)
        split = ranking.rank(parts, *case[1:], top=3)
    for name in Ranking.__dataclass_fields__:
        assert_array_equal(getattr(split, name), getattr(whole, name))


@given(hnp.arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False)))
def test_sort_keys_have_the_order_of_the_distances_and_give_them_back(values: np.ndarray) -> None:
    keys = ranking.sort_keys(values)
    assert_array_equal(keys[:, None] < keys, values[:, None] < values)
    assert_array_equal(ranking.key_distances(keys), values)


def golden() -> Case:
    """Squared distances of unit rows, 6 queries, 30 gallery items."""
    query, gallery = distances.normalise(F(6, 8)), distances.normalise(F(30, 8, 3.77, 5.1))
    k = np.arange(30)
    apart = distances.pairwise(query, gallery, "squared_euclidean")
    return apart, np.arange(6), k % 7, np.zeros(6, np.int64), k // 7 % 3


def test_golden_numbers_of_the_published_functions() -> None:
    found = ranking.rank(*golden())
    assert_allclose(found.scores().cmc[:5], [1 / 6] + [1 / 3] * 4)
    assert found.scores().mean_ap == pytest.approx(0.22570913, abs=5e-9)
    assert found.scores("triangle").mean_ap == pytest.approx(0.17891968, abs=5e-9)
    assert found.scores().at(1) == pytest.approx(0.166667, abs=5e-7)


def test_all_queries_are_valid_when_they_stay_in_the_gallery_as_in_official_mars() -> None:
    """Of 1980 queries in MARS, 140 have an answer among the queries only: without those in the
    gallery they fall out.
    """
    query_ids, query_cameras = np.array([1, 1, 2, 3, 3]), np.array([0, 1, 0, 2, 4])
    rest_ids, rest_cameras = np.array([2, 0, 2]), np.array([3, 0, 0])
    features = F(8, 4)
    without = ranking.rank(
        distances.pairwise(features[:5], features[5:]),
        query_ids,
        rest_ids,
        query_cameras,
        rest_cameras,
    )
    whole = ranking.rank(
        distances.pairwise(features[:5], features),
        query_ids,
        np.concatenate([query_ids, rest_ids]),
        query_cameras,
        np.concatenate([query_cameras, rest_cameras]),
        top=1,
    )
    assert without.n_valid == 1
    assert whole.n_valid == 5
    assert not (whole.top[:, 0] == np.arange(5)).any()  # nobody finds themselves


def test_distractors_count_against_and_junk_does_not() -> None:
    apart = np.array([[0.1, 0.2, 0.3, 0.4]])
    cameras = np.array([0]), np.array([1, 1, 0, 1])
    ids = np.array([5]), np.array([-1, 0, 5, 5])
    assert ranking.rank(apart, *ids, *cameras).first.tolist() == [1]


def alone(generator_seed: int, case: Case, **options: Any) -> ranking.Scores:
    return ranking.single_shot_scores(*case, np.random.default_rng(generator_seed), **options)


def test_a_single_gallery_shot_of_single_items_is_the_plain_cmc() -> None:
    rng = np.random.default_rng(3)
    case = rng.random((8, 10)), np.arange(8), np.arange(10), np.zeros(8, int), np.ones(10, int)
    assert_allclose(alone(0, case).cmc, ranking.rank(*case).scores().cmc)


def test_a_single_gallery_shot_depends_on_the_seed_alone() -> None:
    case = golden()
    assert_array_equal(alone(1, case).cmc, alone(1, case).cmc)
    assert (alone(1, case).cmc != alone(2, case).cmc).any()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "BLOCK", 40)
        assert_array_equal(alone(1, case).cmc, alone(1, golden()).cmc)


def test_a_single_gallery_shot_draws_each_item_of_a_person_equally_often_and_never_junk() -> None:
    apart = np.array([[0.0, 0.1, 0.2, 0.3, 0.05]])
    ids = np.array([1]), np.array([1, 2, 1, 2, -1])
    case = apart, *ids, np.array([0]), np.array([0, 1, 1, 1, 1])
    found = alone(
        0, case, n_draws=4000
    )  # the answer at 0.2 wins where person 2's item at 0.3 is drawn
    assert found.at(1) == pytest.approx(0.5, abs=0.03)
    assert found.at(2) == 1
    assert found.mean_ap == pytest.approx(0.5)


def test_a_single_gallery_shot_counts_queries_without_an_answer_only_over_all() -> None:
    case = (
        np.array([[0.1, 0.2], [0.1, 0.2]]),
        np.array([1, 9]),
        np.array([1, 2]),
        np.zeros(2, int),
        np.ones(2, int),
    )
    assert alone(0, case).at(1) == 1
    assert alone(0, case, over="all").at(1) == 0.5


@pytest.mark.parametrize(
    ("distances_", "says"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\): expected rows of a matrix \(2, 3\)"),
        (np.zeros((3, 3)), r"from query 0 on have shape \(3, 3\)"),
        (np.zeros((1, 3)), "for 1 of 2 queries"),
        (np.full((2, 3), np.nan), "not a number"),
    ],
)
def test_distances_that_do_not_fit_are_refused(distances_: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        ranking.rank(distances_, np.arange(2), np.arange(3), np.zeros(2), np.zeros(3))


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="gallery: ids"):
        ranking.rank(np.zeros((2, 3)), np.arange(2), np.arange(3), np.zeros(2), np.zeros(4))
    with pytest.raises(InputError, match="no queries"):
        ranking.rank(np.zeros((0, 3)), np.arange(0), np.arange(3), np.zeros(0), np.zeros(3))
    found = ranking.rank(*golden())
    with pytest.raises(InputError, match="precision or triangle"):
        found.scores(ap="area")
    with pytest.raises(InputError, match="valid or all"):
        found.scores(over="some")
