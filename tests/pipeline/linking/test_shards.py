"""Shards of time, joined again."""

import itertools
import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import LinkingConfig
from pipeline.linking import linker, shards
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.linking.reasons import CORRECTED
from pipeline.linking.shards import Shard, ShardLinked
from pipeline.outputs import links
from pipeline.records import Embedded
from tests.pipeline.linking.test_corrections import owners, rows_of, sites
from tests.pipeline.linking.test_linker import (
    BLUE,
    CAMERAS,
    ON_FLOOR,
    RED,
    a_site,
    names,
    seen,
)
from tests.pipeline.linking.walkers import crowd

Link = Callable[[Shard], ShardLinked]
LENGTHS_S = st.sampled_from([2.0, 5.0, 11.0, 16.0, 1000.0])
WINDOWS_S = st.sampled_from([0.0, 1.0, 4.0, 10.0])


def link(
    embedded: list[Embedded],
    shard_s: float,
    handover_s: float = 4.0,
    said: Corrections = corrections.NONE,
    **config: object,
) -> Linked:
    """Who is who when linked in shards, without the check that a shard is longer than a window."""
    plain = LinkingConfig.model_validate({"min_person_s": 0, **config})
    sharded = plain.model_copy(update={"shard_s": shard_s, "handover_s": handover_s})
    return shards.link(embedded, CAMERAS, sharded, said)


def text(linked: Linked) -> str:
    return links.to_json(linked, LinkingConfig())


def of_person(linked: Linked) -> list[list[str]]:
    assert [person.person_id for person in linked.people] == list(range(1, len(linked.people) + 1))
    for person in linked.people:
        assert len(person.links) == len(person.tracklets) - 1
    return names(linked.people)


WALK = [
    seen("a", 1, 0, 8, RED),
    seen("a", 2, 0, 8, BLUE),
    seen("b", 3, 7, 14, RED),
    seen("a", 4, 9, 13, BLUE),
    seen("b", 5, 15, 22, RED),
    seen("a", 6, 16, 20, BLUE),
]
"""Two people whom two cameras see all the time."""


@pytest.mark.parametrize("shard_s", [5, 6, 7.5, 10, 12])
def test_who_is_in_view_across_a_boundary_keeps_one_number(shard_s: float) -> None:
    assert of_person(link(WALK, shard_s)) == [["a/1", "b/3", "b/5"], ["a/2", "a/4", "a/6"]]


def test_who_comes_back_after_the_window_has_a_new_number() -> None:
    gone = [seen("a", 1, 0, 4, RED), seen("b", 1, 14, 18, RED)]
    assert of_person(link(gone, 0)) == [["a/1", "b/1"]]
    assert of_person(link(gone, 10, 4)) == [["a/1"], ["b/1"]]
    assert of_person(link(gone, 10, 13)) == [["a/1", "b/1"]]


@pytest.mark.parametrize("handover_s", [0.0, 4.0, 10.0])
@pytest.mark.parametrize("clocks_s", [{"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 3.0}])
def test_one_shard_that_covers_everything_is_the_whole_run(
    handover_s: float, clocks_s: dict[str, float]
) -> None:
    embedded = crowd(8, **clocks_s)
    config = LinkingConfig(apply_clocks=True)
    told = Corrections(same=[["a/1", "b/2"]], different=[["a/3", "b/3"]], not_a_person=["a/4"])
    whole = linker.link(embedded, ON_FLOOR, config, told)
    sharded = config.model_copy(update={"shard_s": 1e4, "handover_s": handover_s})
    found = shards.link(embedded, ON_FLOOR, sharded, told)
    assert text(found) == text(whole)
    assert found.site.travel == whole.site.travel
    assert found.clocks == whole.clocks
    assert found.applied_s == whole.applied_s
    assert names(list(found.left_out)) == names(list(whole.left_out))
    assert names(list(found.no_people)) == names(list(whole.no_people)) == [["a/4"]]


@given(st.integers(0, 10_000), LENGTHS_S, WINDOWS_S)
@settings(max_examples=12)
def test_each_row_is_in_one_person_whatever_the_length_of_shards_and_no_constraint_is_broken(
    seed: int, shard_s: float, handover_s: float
) -> None:
    embedded = a_site(seed, 24)
    found = link(embedded, shard_s, handover_s)
    of_person(found)
    rows = sorted(row for tracklet in found.tracklets for row in rows_of(tracklet))
    assert rows == sorted(row for each in embedded for row in rows_of(each.tracklet))
    for person in found.people:
        for one, other in itertools.combinations(person.tracklets, 2):
            assert one.camera != other.camera or other.first_s > one.last_s


@given(st.integers(0, 100), LENGTHS_S, st.randoms(use_true_random=False))
@settings(max_examples=8)
def test_the_order_in_which_shards_finish_changes_nothing(
    seed: int, shard_s: float, random: object
) -> None:
    embedded = a_site(seed, 24)

    def elsewhere(run: Link, all_shards: Iterable[Shard]) -> list[ShardLinked]:
        """Like processes on other machines that finish at any time."""
        sent = [pickle.dumps(shard) for shard in all_shards]
        done = [pickle.dumps(run(pickle.loads(each))) for each in sent]
        random.shuffle(done)  # type: ignore[attr-defined]
        return [pickle.loads(each) for each in done]

    config = LinkingConfig(min_person_s=0).model_copy(
        update={"shard_s": shard_s, "handover_s": 4.0}
    )
    here = shards.link(embedded, CAMERAS, config)
    there = shards.link(embedded, CAMERAS, config, map_shards=elsewhere)
    assert text(there) == text(here)
    assert there.site.travel == here.site.travel


@given(sites(), st.data(), LENGTHS_S, WINDOWS_S)
@settings(max_examples=30)
def test_whatever_a_human_says_is_obeyed_across_shards(
    site: tuple[list[Embedded], list[list[str]], list[list[str]]],
    data: st.DataObject,
    shard_s: float,
    handover_s: float,
) -> None:
    embedded, same, different = site
    by_name = {each.tracklet.name: each.tracklet for each in embedded}
    none = data.draw(st.lists(st.sampled_from(sorted(by_name)), max_size=2, unique=True))
    try:
        said = Corrections(same=same, different=different, not_a_person=none)
    except ValidationError:
        assume(False)
    found = link(embedded, shard_s, handover_s, said)
    of_person(found)
    owner = owners(found)
    gone = {row for name in none for row in rows_of(by_name[name])}
    everything = {row for tracklet in by_name.values() for row in rows_of(tracklet)}
    assert owner.keys() == everything - gone

    def person_at(name: str) -> int:
        return owner[rows_of(by_name[name])[0]]

    for one, other in same:
        assert {one, other} & set(none) or person_at(one) == person_at(other)
    for one, other in different:
        assert {one, other} & set(none) or person_at(one) != person_at(other)


def test_the_same_and_the_different_hold_between_shards_far_apart() -> None:
    far = [
        seen("a", 1, 0, 4, RED),
        seen("b", 1, 2, 6, RED),
        seen("a", 2, 30, 34, BLUE),
        seen("b", 2, 32, 36, BLUE),
    ]
    assert of_person(link(far, 10)) == [["a/1", "b/1"], ["a/2", "b/2"]]
    united = link(far, 10, said=Corrections(same=[["a/1", "a/2"]]))
    assert of_person(united) == [["a/1", "b/1", "a/2", "b/2"]]
    (told,) = [each for each in united.people[0].links if each.rule == CORRECTED]
    assert (told.first.name, told.second.name) == ("a/1@0", "a/2@300")
    both = Corrections(same=[["a/1", "a/2"]], different=[["b/1", "b/2"]])
    assert of_person(link(far, 10, said=both)) == [["a/1", "b/1", "a/2"], ["b/2"]]


def test_two_of_a_shard_are_one_person_through_a_third_in_another() -> None:
    three = [seen("a", 1, 0, 4, RED), seen("b", 2, 30, 34, BLUE), seen("c", 3, 33, 36, RED)]
    said = Corrections(same=[["a/1", "b/2"], ["c/3", "a/1"]])
    assert of_person(link(three, 10, said=said)) == [["a/1", "b/2", "c/3"]]
    said = Corrections(same=[["a/1", "b/2"]], different=[["a/1", "c/3"]])
    alike = [three[0], three[2], replace(three[1], embedding=three[2].embedding)]
    assert of_person(link(alike, 10, said=said)) == [["a/1", "b/2"], ["c/3"]]


def test_a_track_that_is_split_at_a_boundary_is_two_people() -> None:
    whole = [seen("a", 1, 0, 20, RED)]
    found = link(whole, 10, said=Corrections(split=["a/1@100"]))
    assert of_person(found) == [["a/1"], ["a/1"]]
    assert [t.name for person in found.people for t in person.tracklets] == ["a/1@0", "a/1@100"]


def test_pieces_of_a_track_are_one_person_even_without_a_window() -> None:
    pieces = [seen("a", 1, 0, 4.9, RED), seen("a", 1, 5.1, 9, BLUE), seen("a", 1, 9.2, 14, RED)]
    assert of_person(link(pieces, 5, 0.0)) == [["a/1", "a/1", "a/1"]]


def test_who_is_seen_briefly_in_each_of_two_shards_is_judged_by_both() -> None:
    brief = [
        seen("a", 1, 9.2, 9.8, RED),
        seen("b", 1, 10.2, 10.8, RED),
        seen("c", 9, 0, 0.5, BLUE),
        seen("c", 8, 20, 30, BLUE),
    ]
    found = link(brief, 10, min_person_s=1.0)
    assert of_person(found) == [["a/1", "b/1"], ["c/8"]]
    assert names(list(found.left_out)) == [["c/9"]]


def test_near_misses_are_told_once_and_only_of_two_people() -> None:
    almost = np.array([0.5, 0, np.sqrt(1 - 0.5**2), 0])
    pair = [seen("a", 1, 7, 9.5, RED), seen("b", 1, 9.8, 11, almost)]
    around = [seen("c", 1, 0, 1, BLUE), seen("c", 2, 11, 13, BLUE)]
    found = link([*pair, *around], 10, 6.0)
    reported = [(missed.first.name, missed.second.name) for missed in found.near_misses]
    assert reported.count(("a/1@70", "b/1@98")) == 1
    owner = {t.name: p.person_id for p in found.people for t in p.tracklets}
    assert all(owner[first] != owner[second] for first, second in reported)


def test_travel_times_of_all_shards_are_learned_once() -> None:
    looks = np.eye(64)
    walks = []
    for person in range(24):
        start_s = 10.0 * person
        walks.append(seen("a", 100 + person, start_s, start_s + 4, looks[person]))
        walks.append(seen("b", 200 + person, start_s + 7, start_s + 11, looks[person]))
    whole = link(walks, 0)
    found = link(walks, 40, 12)
    assert names(found.people) == names(whole.people)
    assert found.travel.of("a", "b").n == whole.travel.of("a", "b").n == 24


def test_a_shard_takes_only_the_cameras_that_it_needs() -> None:
    kept: list[Shard] = []

    def keep(run: Link, all_shards: Iterable[Shard]) -> list[ShardLinked]:
        kept.extend(all_shards)
        return [run(shard) for shard in kept]

    embedded = [seen("a", 1, 0, 4, RED), seen("b", 1, 30, 34, BLUE)]
    config = LinkingConfig(shard_s=10, handover_s=4)
    shards.link(embedded, CAMERAS, config, map_shards=keep)
    assert [sorted(shard.cameras) for shard in kept] == [["a"], ["b"]]
    assert [shard.number for shard in kept] == [0, 3]


@pytest.mark.parametrize("found", [0, 2])
def test_a_shard_that_is_lost_or_linked_twice_is_no_result(found: int) -> None:
    def wrong(run: Link, all_shards: Iterable[Shard]) -> list[ShardLinked]:
        first, *others = map(run, all_shards)
        return [first] * found + others

    config = LinkingConfig(shard_s=10, handover_s=4)
    with pytest.raises(ValueError, match="each shard must be linked once"):
        shards.link(WALK, CAMERAS, config, map_shards=wrong)


def test_nobody_is_no_shard() -> None:
    assert shards.link([], CAMERAS, LinkingConfig(shard_s=10, handover_s=4)).people == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"shard_s": 10, "handover_s": 20}, "shard_s"),
        ({"shard_s": 600, "online": True}, "online"),
    ],
)
def test_shards_that_cannot_be_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LinkingConfig.model_validate(values)
