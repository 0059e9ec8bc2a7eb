import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.linking import cluster

NOTHING = np.full((4, 4), np.nan)


def solve(appearance: np.ndarray, forbidden: np.ndarray | None = None, threshold: float = 0.0) -> list[list[int]]:
    none = np.zeros(appearance.shape, bool)
    groups, _ = cluster.solve(
        appearance, np.full(appearance.shape, np.nan), none if forbidden is None else forbidden, threshold, lambda _: True
    )
    return groups


def test_pairs_without_evidence_are_never_joined_even_below_the_threshold() -> None:
    assert solve(NOTHING, threshold=-100) == [[0], [1], [2], [3]]


def test_groups_are_judged_by_their_mean_evidence() -> None:
    odds = np.array([[9, 5, 1, -9], [5, 9, -3, -9], [1, -3, 9, -9], [-9, -9, -9, 9.0]])
    assert solve(odds) == [[0, 1], [2], [3]]
    assert solve(odds, threshold=-1.5) == [[0, 1, 2], [3]]


def test_a_refused_group_is_asked_about_again_when_it_has_grown() -> None:
    odds = np.array([[9, 3, 2, -9], [3, 9, 1, -9], [2, 1, 9, -9], [-9, -9, -9, 9.0]])
    asked: list[list[int]] = []

    def may_join(members: list[int]) -> bool:
        asked.append(members)
        return members != [0, 1]

    groups, _ = cluster.solve(odds, NOTHING, np.zeros((4, 4), bool), 0.0, may_join)
    assert groups == [[0, 1, 2], [3]]
    assert asked[0] == [0, 1]


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_no_group_holds_a_forbidden_pair_and_all_items_are_in_one_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    odds = rng.normal(1, 2, (n, n))
    forbidden = rng.random((n, n)) < 0.3
    odds, forbidden = odds + odds.T, forbidden | forbidden.T
    groups, merges = cluster.solve(odds, np.full((n, n), np.nan), forbidden, 0.0, lambda _: True)
    assert sorted(i for group in groups for i in group) == list(range(n))
    assert len(merges) == n - len(groups)
    assert all(not forbidden[i, j] for group in groups for i in group for j in group if i != j)
