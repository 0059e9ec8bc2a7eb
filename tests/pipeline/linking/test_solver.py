import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.linking.clustering import solver
from pipeline.linking.clustering.solver import Edges, Solution
from pipeline.linking.evidence.appearance import MAX_LOG_ODDS, Appearance, bilinear_partner
from pipeline.records import Array

NO_LOOKS = Appearance(np.zeros((4, 2), np.float32), np.zeros(4, np.float32))


def edges(odds: Array) -> Edges:
    """All pairs that have odds, nan elsewhere, as evidence of place."""
    pairs = np.stack(np.triu_indices(len(odds), 1), axis=1)
    values = odds[pairs[:, 0], pairs[:, 1]]
    return Edges(pairs[np.isfinite(values)], values[np.isfinite(values)])


def solve(
    odds: Array, threshold: float = 0.0, is_reliable: Array | None = None, **options: object
) -> Solution:
    """People by evidence of place alone, nothing forbidden."""
    n = len(odds)
    looks = Appearance(np.zeros((n, 2), np.float32), np.zeros(n, np.float32))
    options.setdefault("forbids", lambda first, second: ("", -1, -1))
    return solver.solve(
        looks,
        edges(odds),
        np.ones(n, bool) if is_reliable is None else is_reliable,
        threshold,
        **options,
    )  # type: ignore[arg-type]


def test_pairs_without_evidence_are_never_joined_even_below_the_threshold() -> None:
    assert solve(np.full((4, 4), np.nan), threshold=-100).groups == [[0], [1], [2], [3]]


def test_groups_are_judged_by_their_mean_evidence() -> None:
    odds = np.array([[9, 5, 1, -9], [5, 9, -3, -9], [1, -3, 9, -9], [-9, -9, -9, 9.0]])
    assert solve(odds).groups == [[0, 1], [2], [3]]
    assert solve(odds, threshold=-1.5).groups == [[0, 1, 2], [3]]


def test_a_refused_group_is_asked_about_again_when_it_has_grown() -> None:
    odds = np.array([[9, 3, 2, -9], [3, 9, 1, -9], [2, 1, 9, -9], [-9, -9, -9, 9.0]])
    found = solve(
        odds, forbids=lambda a, b: ("no", 0, 1) if sorted([*a, *b]) == [0, 1] else ("", -1, -1)
    )
    assert found.groups == [[0, 1, 2], [3]]


def test_solid_ones_are_joined_before_a_fragment_with_better_evidence_can_keep_them_apart() -> None:
    odds = np.array([[9, 3, 8], [3, 9, -1], [8, -1, 9.0]])

    def forbids(first: list[int], second: list[int]) -> tuple[str, int, int]:
        return ("no", 1, 2) if {1, 2} <= {*first, *second} else ("", -1, -1)

    assert solve(odds, forbids=forbids).groups == [[0, 2], [1]]
    assert solve(odds, forbids=forbids, is_reliable=np.array([True, True, False])).groups == [
        [0, 1],
        [2],
    ]


def test_what_belongs_together_from_the_start_is_joined_whatever_speaks_against_it() -> None:
    odds = np.full((5, 5), -8.0)
    found = solve(odds, must_link=[(0, 3), (3, 4)], forbids=lambda a, b: ("never", 0, 1))
    assert found.groups == [[0, 3, 4], [1], [2]]


def test_what_was_nearly_joined_is_told_with_the_rule_that_forbade_it() -> None:
    odds = np.array([[9, 3, -1, -9], [3, 9, -9, -9], [-1, -9, 9, -9], [-9, -9, -9, 9.0]])
    found = solve(
        odds, near_miss=-2, forbids=lambda a, b: ("speed", 0, 1) if 1 in {*a, *b} else ("", -1, -1)
    )
    assert found.groups == [[0], [1], [2], [3]]
    assert [(d.first, d.second, d.odds, d.constraint) for d in found.missed] == [
        ([0], [1], 3, "speed"),
        ([0], [2], -1, ""),
    ]


def test_a_merge_names_the_second_best_choice() -> None:
    odds = np.array([[9, 3, 2], [3, 9, -5], [2, -5, 9.0]])
    (first, *_) = solve(odds).joined
    assert (first.first, first.second, first.odds, first.rival, first.rival_odds) == (
        [0],
        [1],
        3,
        [2],
        -5,
    )


def dense(
    looks: Array, place: Array, forbidden: Array, weight: Array, threshold: float
) -> list[list[int]]:
    """The same clustering as one would write it first: every mean over all pairs of two groups, at
    every step.
    """
    groups = [[i] for i in range(len(looks))]

    def odds(a: list[int], b: list[int]) -> float:
        w = np.outer(weight[a], weight[b])
        mean = np.clip((w * looks[np.ix_(a, b)]).sum() / w.sum(), -MAX_LOG_ODDS, MAX_LOG_ODDS)
        places = place[np.ix_(a, b)]
        known = places[np.isfinite(places)]
        return float(mean + (known.mean() if len(known) else -solver.NO_POSITION_PENALTY))

    while True:
        found = [
            (odds(a, b), -i, -j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups)
            if i < j and not forbidden[np.ix_(a, b)].any()
        ]
        best = max(found, default=(-np.inf, 0, 0))
        if best[0] < threshold:
            return sorted(sorted(g) for g in groups)
        groups[-best[1]] += groups.pop(-best[2])


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_the_sparse_solver_finds_what_averages_over_all_pairs_find(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    people = rng.normal(size=(3, 6))
    vectors = people[rng.integers(0, 3, n)] + 0.7 * rng.normal(size=(n, 6))
    rows = np.concatenate([vectors, rng.uniform(0, 2, (n, 2))], axis=1).astype(np.float32)
    weight = rng.uniform(0.2, 1, n).astype(np.float32)
    looks = rows.astype(float) @ bilinear_partner(rows).T
    place = np.where(rng.random((n, n)) < 0.3, rng.normal(0, 3, (n, n)), np.nan)
    place = np.triu(place, 1) + np.triu(place, 1).T
    forbidden = np.triu(rng.random((n, n)) < 0.15, 1)
    forbidden |= forbidden.T

    def forbids(first: list[int], second: list[int]) -> tuple[str, int, int]:
        broken = np.argwhere(forbidden[np.ix_(first, second)])
        return ("no", first[broken[0][0]], second[broken[0][1]]) if len(broken) else ("", -1, -1)

    pairs = np.stack(np.triu_indices(n, 1), axis=1)
    tied = Edges(pairs, place[pairs[:, 0], pairs[:, 1]])
    found = solver.solve(Appearance(rows, weight), tied, np.ones(n, bool), 0.0, forbids)  # type: ignore[arg-type]
    assert found.groups == dense(looks, place, forbidden, weight, 0.0)
    assert sorted(i for group in found.groups for i in group) == list(range(n))
    assert len(found.joined) == n - len(found.groups)


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_somebody_alone_are_no_problem(n: int) -> None:
    assert solve(np.zeros((n, n))).groups == [[i] for i in range(n)]
