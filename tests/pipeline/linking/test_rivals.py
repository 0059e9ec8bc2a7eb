"""Who else somebody could be says how certain a link is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import LinkingConfig
from pipeline.linking import linker
from pipeline.linking.clustering import solver
from pipeline.linking.clustering.rivals import Rivals, most_certain
from pipeline.linking.evidence.appearance import Appearance, Curve
from pipeline.linking.index import TrackletIndex
from pipeline.linking.linker import Linked
from pipeline.records import Array, Embedded
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, RED, seen

CONFIG = LinkingConfig()
CURVE = Curve(np.full(2, 0.5), 0.05)


def linked(*embedded: Embedded) -> Linked:
    return linker.link(list(embedded), CAMERAS, CONFIG)


def probabilities(found: Linked) -> list[float]:
    return [link.probability for person in found.people for link in person.links]


def almost(look: Array, other: Array, share: float = 0.99) -> Array:
    return share * look + np.sqrt(1 - share**2) * other


def test_people_dressed_alike_who_are_seen_together_are_linked_with_doubt() -> None:
    found = linked(
        seen("a", 1, 0, 5, RED),
        seen("a", 2, 0, 5, almost(RED, BLUE)),
        seen("b", 1, 20, 25, RED),
        seen("b", 2, 20, 25, almost(RED, BLUE)),
    )
    assert max(probabilities(found)) < 0.65
    assert all(person.is_doubtful for person in found.people)
    assert {link.lookalike for person in found.people for link in person.links} <= {
        "a/1@0",
        "a/2@0",
        "b/1@200",
        "b/2@200",
    }


def test_people_dressed_differently_are_linked_without_doubt() -> None:
    found = linked(
        seen("a", 1, 0, 5, RED),
        seen("a", 2, 0, 5, BLUE),
        seen("b", 1, 20, 25, RED),
        seen("b", 2, 20, 25, BLUE),
    )
    assert [len(person.tracklets) for person in found.people] == [2, 2]
    assert min(probabilities(found)) > 0.95
    assert not any(person.is_doubtful for person in found.people)


def meetings(n: int, red: Array, blue: Array) -> list[Embedded]:
    """Two people whom camera a shows together n times, with a minute between."""
    tracklets = []
    for k in range(n):
        tracklets.append(seen("a", 2 * k + 1, 60 * k, 60 * k + 5, red))
        tracklets.append(seen("a", 2 * k + 2, 60 * k, 60 * k + 5, blue))
    return tracklets


def test_a_link_is_certain_only_where_many_pairs_of_people_were_seen_to_look_different() -> None:
    few = linked(*meetings(3, RED, BLUE))
    many = linked(*meetings(30, RED, BLUE))
    assert 0.95 < max(probabilities(few)) < 0.99 < min(probabilities(many))


def test_no_link_is_certain_where_people_look_alike_although_nobody_is_a_rival_of_it() -> None:
    green = np.eye(4)[2]
    alone = [seen("b", 1, 4000, 4005, green), seen("c", 1, 4020, 4025, green)]
    apart = linked(*meetings(30, RED, BLUE), *alone)
    alike = linked(*meetings(30, RED, almost(RED, BLUE)), *alone)

    def of_alone(found: Linked) -> float:
        (probability,) = [
            link.probability
            for person in found.people
            for link in person.links
            if {link.first.camera, link.second.camera} == {"b", "c"}
        ]
        return probability

    assert of_alone(apart) > 0.99
    assert of_alone(alike) == pytest.approx(most_certain(31 / 32))


@pytest.mark.parametrize(("start_s", "is_doubtful"), [(6, False), (16, True)])
def test_a_link_that_place_supports_is_not_doubtful_though_somebody_looks_alike(
    start_s: float, is_doubtful: bool
) -> None:
    found = linked(
        seen("a", 1, 0, 5, RED, foot=np.array([100, 500])),
        seen("a", 2, start_s, start_s + 5, RED, foot=np.array([110, 500])),
        seen("a", 3, start_s + 2, start_s + 7, almost(RED, BLUE), foot=np.array([900, 500])),
    )
    (person,) = [person for person in found.people if len(person.tracklets) == 2]
    assert [t.track_id for t in person.tracklets] == [1, 2]
    assert person.is_doubtful == is_doubtful


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_more_people_look_alike_the_less_certain_a_link_can_be(
    share: float, other_share: float
) -> None:
    fewer, more = sorted((share, other_share))
    assert 0.8 < most_certain(more) <= most_certain(fewer) <= 1


@pytest.mark.parametrize(("together_s", "is_doubted"), [(5.0, True), (0.3, False)])
def test_a_rival_is_who_is_in_view_together_for_some_time(
    together_s: float, is_doubted: bool
) -> None:
    index = TrackletIndex(
        [
            seen("a", 1, 0, 5, RED),
            seen("b", 1, 20, 25, RED),
            seen("b", 2, 25 - together_s, 35, RED),
        ],
        CAMERAS,
    )
    appearance = Appearance.of(index.embedded, index.camera, CURVE)
    rivals = Rivals(index, appearance, -1.0)
    names = [tracklet.name for tracklet in index.tracklets]
    first = names.index("a/1@0")
    second = names.index("b/1@200")
    assert (rivals.discount(7.0, [first], [second]) < 1.0) == is_doubted


@given(st.floats(-8, 8))
def test_without_rivals_nothing_changes(odds: float) -> None:
    index = TrackletIndex([seen("a", 1, 0, 5, RED), seen("b", 1, 20, 25, RED)], CAMERAS)
    appearance = Appearance.of(index.embedded, index.camera, CURVE)
    rivals = Rivals(index, appearance, -1.0)
    assert rivals.discount(odds, [0], [1]) == odds


def test_whoever_is_far_more_likely_somebody_else_stays_apart() -> None:
    pairs = np.array([[0, 1]])
    looks = Appearance(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    edges = solver.Edges(pairs, np.array([3.0]))
    for log_odds, groups in ((-2.0, [[0], [1]]), (0.0, [[0, 1]])):
        found = solver.solve(
            looks,
            edges,
            np.ones(2, bool),
            0.0,
            lambda first, second: ("", -1, -1),
            discount=lambda odds, first, second, left=log_odds: left,  # type: ignore[misc]
        )
        assert found.groups == groups


def test_more_people_make_lookalikes_more_likely() -> None:
    odds = [solver.no_position_odds(n) for n in (0, 1, 2, 5, 20, 1000)]
    assert odds == sorted(odds, reverse=True)
    assert (odds[1], odds[-1]) == (0.0, -solver.NO_POSITION_PENALTY)
