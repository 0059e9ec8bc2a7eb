"""From distances to scores, in the form asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data.samples import Sample
from models.reid.evaluation import ranking
from models.reid.evaluation.protocol import Protocol, labels, score
from tests.models.reid.evaluation import expected

CMC = ("rank1", "rank5", "rank10", "rank20")


def sample(person: int, camera: int) -> Sample:
    return Sample((Path("x.jpg"),), person, camera)


def drawn(seed: int, n_people: int = 3) -> tuple[list[Sample], list[Sample], np.ndarray]:
    """Samples of a few people in two cameras; the first query has an answer. Distances have
    ties.
    """
    rng = np.random.default_rng(seed)
    query, gallery = (
        [sample(int(rng.integers(n_people)), int(rng.integers(2))) for _ in range(n)]
        for n in (6, 30)
    )
    query[0], gallery[0] = sample(1, 0), sample(1, 1)
    return query, gallery, rng.integers(0, 12, (len(query), len(gallery))) / 16


def test_labels_are_ids_and_cameras_of_both_sides() -> None:
    found = labels([sample(3, 1), sample(0, 0)], [sample(7, 2)])
    assert [part.tolist() for part in found] == [[3, 0], [7], [1, 0], [2]]


@given(
    st.integers(0, 10**6),
    st.sampled_from(["precision", "triangle"]),
    st.sampled_from(["valid", "all"]),
)
def test_scores_are_those_of_plain_loops_in_every_form(seed: int, ap: str, over: str) -> None:
    query, gallery, apart = drawn(seed)
    scores, found = score(apart, query, gallery, Protocol(ap=ap, over=over))
    wanted = expected.scores(apart, query, gallery, ap, over)
    assert scores.mean_ap == pytest.approx(wanted["map"])
    assert [scores.at(k) for k in ranking.RANKS] == pytest.approx([wanted[name] for name in CMC])
    assert (scores.n_valid, scores.n_queries) == (
        wanted["valid_queries"],
        len(query),
    ) and found.n_valid == scores.n_valid


@pytest.mark.parametrize("single_shot", [False, True])
def test_blocks_of_distances_give_what_the_whole_gives(single_shot: bool) -> None:
    query, gallery, apart = drawn(1)
    protocol = Protocol(single_shot=single_shot)
    whole, ranked = score(apart, query, gallery, protocol, top=4)
    blocks, ranked_blocks = score(
        (apart[i : i + 4] for i in (0, 4)), query, gallery, protocol, top=4
    )
    assert whole.cmc.tolist() == blocks.cmc.tolist() and whole.mean_ap == blocks.mean_ap
    assert ranked.top.tolist() == ranked_blocks.top.tolist() and ranked.top.shape == (6, 4)


def test_a_single_gallery_shot_is_easier_than_the_whole_gallery_and_repeats() -> None:
    query, gallery, apart = drawn(2, n_people=6)
    whole, one, again, other = (
        score(apart, query, gallery, protocol)[0]
        for protocol in (
            Protocol(),
            Protocol(single_shot=True),
            Protocol(single_shot=True),
            Protocol(single_shot=True, seed=1),
        )
    )
    assert one.mean_ap == whole.mean_ap  # of the whole gallery in either
    assert one.cmc.tolist() == again.cmc.tolist() != other.cmc.tolist()
    assert one.at(6) == 1.0 > whole.at(6)  # there are no more than six people to choose from


@pytest.mark.parametrize("single_shot", [False, True])
@pytest.mark.parametrize(
    ("protocol", "reason"),
    [(Protocol(ap="best"), "average precision best"), (Protocol(over="none"), "scores over none")],
)
def test_an_unknown_form_is_an_error(protocol: Protocol, reason: str, single_shot: bool) -> None:
    query, gallery, apart = drawn(3)
    with pytest.raises(InputError, match=reason):
        score(apart, query, gallery, replace(protocol, single_shot=single_shot))


def test_queries_without_any_answer_are_an_error() -> None:
    with pytest.raises(InputError, match="none of 1 queries has an answer"):
        score(np.zeros((1, 2)), [sample(1, 0)], [sample(1, 0), sample(2, 1)], Protocol())
