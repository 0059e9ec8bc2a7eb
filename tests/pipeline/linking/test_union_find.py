from hypothesis import given
from hypothesis import strategies as st

from pipeline.linking.clustering.union_find import UnionFind

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


@given(PAIRS)
def test_groups_are_those_that_a_search_along_the_pairs_finds(pairs: list[tuple[int, int]]) -> None:
    groups = UnionFind[int]()
    expected = {i: {i} for i in range(10)}
    for first, second in pairs:
        assert groups.join(first, second) == (second not in expected[first])
        union = expected[first] | expected[second]
        expected.update(dict.fromkeys(union, union))
    for i in range(10):
        assert {j for j in range(10) if groups.find(j) == groups.find(i)} == expected[i]


def test_the_first_of_a_pair_represents_both() -> None:
    groups = UnionFind[str]()
    groups.join("b", "a")
    groups.join("c", "a")
    assert [groups.find(name) for name in "abcd"] == ["c", "c", "c", "d"]
