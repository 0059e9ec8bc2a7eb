"""What is said while people are in view: why, never twice, and in the end the same as offline."""

import gc
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import LinkingConfig, TravelConfig
from pipeline.linking import linker, split
from pipeline.linking.clustering import corrections
from pipeline.linking.evidence.appearance import Curve
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import lessons, travel_times
from pipeline.linking.learning.lessons import Lessons
from pipeline.linking.linker import Linked
from pipeline.online import events, history, identities
from pipeline.online import linker as online
from pipeline.online.events import Event, Reason, Reasons
from pipeline.online.identities import Known, Spans
from pipeline.online.linker import Engine, Names, OnlineLinker, engine_of
from pipeline.records import Array, Camera, Embedded, Link, Person, Tracklet
from pipeline.vectors import pool, unit
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, ON_FLOOR, RED, names, seen


def link(
    embedded: Sequence[Embedded],
    sure: Sequence[Names] = (),
    apart: Sequence[Names] = (),
    settled: Lessons = lessons.NOTHING,
    cameras: dict[str, Camera] = CAMERAS,
) -> Linked:
    told = {"same": list(sure), "different": list(apart)}
    corrected = corrections.NONE.model_copy(update=told)
    everybody = LinkingConfig(min_person_s=0)
    return linker.link(embedded, cameras, everybody, corrected, settled=settled)


def until(embedded: Embedded, now_s: float) -> Embedded:
    """What there is of a tracklet now."""
    t, n = embedded.tracklet, int((embedded.tracklet.times_s <= now_s).sum())
    k = int((embedded.crop_times_s <= now_s).sum())
    rows = replace(
        t, frames=t.frames[:n], times_s=t.times_s[:n], boxes=t.boxes[:n], scores=t.scores[:n]
    )
    return Embedded(
        rows,
        embedded.embedding,
        embedded.crop_embeddings[:k],
        embedded.crop_quality[:k],
        embedded.crop_times_s[:k],
    )


def watch(
    embedded: Sequence[Embedded],
    engine: Engine = link,
    forget_after_s: float = 600,
    order: Callable[[list[Embedded]], Iterable[Embedded]] = list,
    glimpse: Callable[[Embedded], Embedded] = lambda e: e,
) -> tuple[OnlineLinker, list[Event]]:
    """Step every two seconds; tracklets close 1.5 s after their last row, `glimpse` is what is seen
    of open ones.
    """
    linking, said = OnlineLinker(engine, forget_after_s), list[Event]()
    waiting = sorted(embedded, key=lambda e: e.tracklet.first_s)
    now_s = waiting[0].tracklet.first_s
    while waiting:
        now_s += 2
        for e in order([e for e in waiting if e.tracklet.first_s <= now_s]):
            closed = e.tracklet.last_s + 1.5 <= now_s
            linking.add(e if closed else glimpse(until(e, now_s)), provisional=not closed)
        said += linking.step(now_s)
        waiting = [e for e in waiting if e.tracklet.last_s + 1.5 > now_s]
    return linking, said


def crowd(seed: int, n_tracklets: int = 10, within_s: float = 20) -> list[Embedded]:
    """Four people who look somewhat alike, in three cameras."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(4, 8)) + 0.5
    found = []
    for track in range(n_tracklets):
        start_s = round(float(rng.uniform(0, within_s)), 1)
        look = unit(looks[track % 4] + 0.5 * rng.normal(size=8))
        found.append(
            seen("abc"[track % 3], track + 1, start_s, start_s + float(rng.integers(1, 8)), look)
        )
    return found


def poorly(embedded: Embedded) -> Embedded:
    """Somebody in view, whose look changes with every row: decisions have to be corrected later."""
    rng = np.random.default_rng([embedded.tracklet.track_id, len(embedded.tracklet.frames)])
    return replace(
        embedded,
        embedding=unit(embedded.embedding + 0.4 * rng.normal(size=embedded.embedding.shape)),
    )


def replay(said: Sequence[Event]) -> dict[str, int]:
    """Whose every tracklet is, as somebody knows who heard all events; what each says of before is
    so.
    """
    owner: dict[str, int] = {}
    for event in said:
        if event.tracklet:
            assert owner.get(event.tracklet, event.before) == event.before
        owner = events.replay([event], owner)
    return owner


def owners(linked: Linked) -> dict[str, int]:
    return {t.name: person.person_id for person in linked.people for t in person.tracklets}


def kinds(said: Sequence[Event]) -> list[tuple[str, int, int, str]]:
    return [(e.kind, e.person_id, e.before, e.tracklet) for e in said]


def test_who_is_seen_again_keeps_the_id_and_it_is_said_why() -> None:
    linking, said = watch(
        [seen("a", 1, 0, 5, RED), seen("b", 7, 8, 12, RED), seen("b", 8, 9, 13, BLUE)]
    )
    assert kinds(said) == [
        ("appeared", 1, -1, "a/1@0"),
        ("seen", 1, -1, "b/7@80"),
        ("appeared", 2, -1, "b/8@90"),
    ]
    assert re.fullmatch(
        r"is a/1@0: probability [01]\.\d\d, log odds of appearance \+8\.0.*", said[1].reason
    )
    assert [event.probability for event in said if event.kind == "appeared"] == [-1, -1]
    assert f"probability {said[1].probability:.2f}," in said[1].reason
    assert names(linking.linked().people) == [["a/1", "b/7"], ["b/8"]]


def test_what_turns_out_to_be_one_person_is_merged_into_the_older_id() -> None:
    linking = OnlineLinker(link, 600)
    linking.add(seen("a", 1, 0, 5, RED), provisional=False)
    linking.add(seen("b", 1, 6, 7, BLUE), provisional=True)
    assert kinds(linking.step(7)) == [("appeared", 1, -1, "a/1@0"), ("appeared", 2, -1, "b/1@60")]
    linking.add(seen("b", 1, 6, 30, RED), provisional=False)
    (merged,) = linking.step(30)
    assert kinds([merged]) == [("merged", 1, 2, "")]
    assert merged.reason.startswith("b/1@60 is a/1@0: probability ")
    assert merged.probability > 0.5


def test_what_turns_out_to_be_somebody_else_is_split_off() -> None:
    linking = OnlineLinker(link, 600)
    linking.add(seen("a", 1, 0, 5, RED), provisional=False)
    linking.add(seen("b", 1, 6, 7, RED), provisional=True)
    linking.step(7)
    linking.add(seen("b", 1, 6, 9, BLUE), provisional=True)
    (away,) = linking.step(9)
    assert kinds([away]) == [("split", 2, 1, "b/1@60")]
    assert away.reason == "no longer like person 1"
    linking.add(seen("b", 1, 6, 12, RED), provisional=False)
    assert kinds(linking.step(12)) == [("merged", 1, 2, "")]


def test_who_is_somebody_new_though_alike_is_told_with_the_rule() -> None:
    linking = OnlineLinker(partial(link, cameras=ON_FLOOR), 600)
    for each in (seen("a", 1, 0, 5, RED), seen("b", 1, 1, 5, RED, foot=np.array([900, 500]))):
        linking.add(each, provisional=False)
    said = linking.step(6)
    assert kinds(said) == [("appeared", 1, -1, "a/1@0"), ("appeared", 2, -1, "b/1@10")]
    assert said[1].reason.startswith("is not a/1@0: floor distance; probability ")


@pytest.mark.parametrize(("gap_s", "n_people"), [(15, 1), (25, 2)])
def test_who_comes_back_after_forget_after_s_is_a_new_person(gap_s: float, n_people: int) -> None:
    back = seen("a", 2, 5 + gap_s, 10 + gap_s, RED)
    linking, said = watch(
        [seen("a", 1, 0, 5, RED), seen("b", 9, 0, 60, BLUE), back], forget_after_s=20
    )
    red = [person for person in linking.linked().people if person.tracklets[0].track_id != 9]
    assert len(red) == n_people
    gone = [(e.person_id, e.reason) for e in said if e.kind == "forgotten"]
    assert ((1, "last seen at 5.0 s") in gone) == (n_people == 2)


def test_an_open_tracklet_is_remembered_however_long_it_is_not_seen() -> None:
    linking = OnlineLinker(link, 1)
    linking.add(seen("a", 1, 0, 5, RED), provisional=True)
    assert [len(linking.step(now_s)) for now_s in (5, 50)] == [1, 0]
    linking.add(seen("a", 1, 0, 60, RED), provisional=False)
    assert [kinds(linking.step(now_s)) for now_s in (60, 62)] == [[], [("forgotten", 1, -1, "")]]


@given(st.integers(0, 10_000))
@settings(max_examples=6)
def test_while_nothing_has_settled_the_last_word_is_that_of_offline_linking(seed: int) -> None:
    embedded = crowd(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "SETTLED_S", 600.0)
        linking, _ = watch(embedded, glimpse=poorly)
    assert {frozenset(p) for p in names(linking.linked().people)} == {
        frozenset(p) for p in names(link(embedded).people)
    }


def cutting(
    embedded: Sequence[Embedded],
    sure: Sequence[Names],
    apart: Sequence[Names],
    settled: Lessons,
) -> Linked:
    """Links after cutting what falls apart."""
    index = TrackletIndex(embedded, CAMERAS)
    return link(split.split(index, Curve(np.full(len(index.names), 0.45), 0.06)), sure, apart)


def test_a_piece_that_is_no_longer_cut_off_is_said_to_be_a_part_of_the_track_again() -> None:
    linking = OnlineLinker(cutting, 600)
    whole = seen("a", 1, 0, 8)
    other = with_crops(seen("b", 1, 20, 28), np.stack([BLUE] * 4), 0.5)
    linking.add(with_crops(whole, np.stack([RED, RED, BLUE, BLUE]), 0.5), provisional=True)
    linking.add(other, provisional=False)
    said = linking.step(28)
    assert kinds(said) == [
        ("appeared", 1, -1, "a/1@0"),
        ("appeared", 2, -1, "a/1@11"),
        ("seen", 2, -1, "b/1@200"),
    ]
    linking.add(with_crops(whole, np.stack([RED] * 4), 0.5), provisional=True)
    (rejoined,) = linking.step(29)
    assert kinds([rejoined]) == [("rejoined", 1, 2, "a/1@11")]
    assert rejoined.reason == "its track is no longer cut here"
    assert replay([*said, rejoined]) == owners(linking.linked()) == {"a/1@0": 1, "b/1@200": 2}


def with_looks(embedded: Embedded) -> Embedded:
    """A look for every half second, and somebody else's in the second half of every third
    tracklet.
    """
    times_s = embedded.tracklet.times_s[::5]
    looks = np.tile(embedded.embedding, (len(times_s), 1))
    if embedded.tracklet.track_id % 3 == 0:
        looks[len(looks) // 2 :] = np.roll(looks[len(looks) // 2 :], 3, axis=1)
    quality = np.full(len(looks), 0.5, np.float32)
    return Embedded(
        embedded.tracklet, unit(looks.mean(axis=0)), looks.astype(np.float16), quality, times_s
    )


@pytest.mark.parametrize("cuts", [False, True])
@given(
    seed=st.integers(0, 10_000),
    forget_after_s=st.sampled_from([3.0, 10.0, 600.0]),
    kept=st.sampled_from([1, 2, 8]),
)
@settings(max_examples=6)
def test_ids_are_never_used_again_rules_are_never_broken_and_the_events_tell_all(
    seed: int, forget_after_s: float, kept: int, cuts: bool
) -> None:
    embedded = crowd(seed, 14, 30)
    if cuts:
        embedded = [with_looks(e) for e in embedded]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "N_KEPT", kept)
        patch.setattr(online, "N_NEWEST", kept // 2)
        linking, said = watch(embedded, cutting if cuts else link, forget_after_s, glimpse=poorly)
    linked = linking.linked()
    assert replay(said) == owners(linked)
    used: set[int] = set()
    gone: set[int] = set()
    for event in said:
        gone |= (
            {event.before}
            if event.kind == "merged"
            else {event.person_id}
            if event.kind == "forgotten"
            else set()
        )
        assert event.kind == "forgotten" or event.person_id not in gone
        assert event.kind != "appeared" or event.person_id not in used
        assert event.reason
        used.add(event.person_id)
    rows = [
        (t.camera, t.track_id, frame)
        for p in linked.people
        for t in p.tracklets
        for frame in t.frames.tolist()
    ]
    assert sorted(rows) == sorted(
        (e.tracklet.camera, e.tracklet.track_id, f) for e in embedded for f in e.tracklet.frames
    )
    for person in linked.people:
        ends = {end for link in person.links for end in (link.first.key, link.second.key)}
        assert ends <= {t.key for t in person.tracklets}
        assert len(person.links) < len(person.tracklets)
        for camera in "abc":
            spans = [(t.first_s, t.last_s) for t in person.tracklets if t.camera == camera]
            assert all(a[1] < b[0] for a, b in itertools.pairwise(spans)), "in two places at once"


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=6)
def test_the_same_input_gives_the_same_events_in_whatever_order_it_comes_between_two_steps(
    seed: int, random: object
) -> None:
    def shuffled(embedded: list[Embedded]) -> list[Embedded]:
        random.shuffle(embedded)  # type: ignore[attr-defined]
        return embedded

    (_, said), (_, again) = (
        watch(crowd(seed), order=order, glimpse=poorly) for order in (list, shuffled)
    )
    assert again == said


def test_what_the_engine_sees_does_not_grow_with_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of strangers, one every half minute, and somebody who is in view all the time."""
    monkeypatch.setattr(online, "N_KEPT", 4)
    monkeypatch.setattr(online, "N_NEWEST", 2)
    sizes = []

    def engine(
        embedded: Sequence[Embedded],
        sure: Sequence[Names],
        apart: Sequence[Names],
        settled: Lessons,
    ) -> Linked:
        sizes.append(len(embedded))
        return link(embedded, sure, apart, settled)

    rng = np.random.default_rng(0)
    linking = OnlineLinker(engine, 100)
    said: list[Event] = []
    guard = unit(rng.normal(size=64))
    for i in range(120):
        start_s = 30.0 * i
        linking.add(seen("a", 1, start_s, start_s + 29.9, guard), provisional=False)
        linking.add(
            seen("b", i + 1, start_s, start_s + 5, unit(rng.normal(size=64))), provisional=False
        )
        said += linking.step(start_s + 30)
    assert max(sizes[20:]) == min(sizes[20:]) < 12
    people = linking.linked().people
    assert [len(p.tracklets) for p in people if p.tracklets[0].camera == "a"] == [120]
    assert len(people) == 121
    assert sum(e.kind == "forgotten" for e in said) > 110


def test_calibration_covers_every_camera_that_was_ever_seen() -> None:
    linking, _ = watch(
        [seen("c", 1, 0, 5, RED), seen("a", 1, 50, 55, RED), seen("b", 1, 51, 58, BLUE)],
        forget_after_s=10,
    )
    assert len(linking.linked().calibration.curve.even) == 3


@pytest.mark.parametrize("is_alike", [True, False])
def test_a_person_who_is_doubtful_stays_so_after_their_tracklets_have_settled(
    is_alike: bool,
) -> None:
    other_look = 0.99 * RED + np.sqrt(1 - 0.99**2) * BLUE if is_alike else BLUE
    crossing = [
        seen("a", 1, 0, 5, RED),
        seen("a", 2, 0, 5, other_look),
        seen("b", 1, 20, 25, RED),
        seen("b", 2, 20, 25, other_look),
    ]
    passes_later = seen("c", 3, 30, 30 + 2 * online.SETTLED_S, np.eye(4)[2])
    linking, said = watch([*crossing, passes_later])
    *two, _ = linking.linked().people
    assert [len(person.tracklets) for person in two] == [2, 2]
    assert [person.is_doubtful for person in two] == [is_alike, is_alike]
    reasons = " ".join(event.reason for event in said if event.tracklet.startswith("b/"))
    told = [float(number) for number in re.findall(r"probability ([\d.]+\d)", reasons)]
    assert len(told) >= 2
    assert max(told) < 0.99
    assert (min(told) > 0.9) != is_alike


def test_nobody_at_all_is_nothing_to_say() -> None:
    linking = OnlineLinker(link, 600)
    assert linking.step(0) == []
    assert linking.linked().people == []


def test_events_are_one_json_object_a_line() -> None:
    lines = events.to_json_lines(
        [
            Event(1 / 3, "appeared", 1, -1, "a/1@0", "new"),
            Event(math.pi, "forgotten", 1, -1, "", "old"),
        ]
    )
    first, second = (json.loads(line) for line in lines.splitlines())
    assert first == {
        "time_s": 0.3333,
        "kind": "appeared",
        "person_id": 1,
        "before": -1,
        "tracklet": "a/1@0",
        "reason": "new",
        "probability": -1,
    }
    assert second["time_s"] == 3.1416


def test_a_merge_of_tracklets_that_were_cut_otherwise_before_is_told_as_such() -> None:
    linked = link([seen("a", 1, 0, 5, RED), seen("b", 1, 6, 7, RED)], [])
    why = Reasons(linked, {}).merged(3, linked.people[0])
    assert why == Reason("its tracklets were cut otherwise", -1)


def with_crops(embedded: Embedded, crops: Array, quality: float) -> Embedded:
    """The same tracklet with a crop (k, D) in each of its first seconds."""
    weights = np.full(len(crops), quality, np.float32)
    times_s = embedded.tracklet.first_s + np.arange(float(len(crops)))
    whole = pool(crops, weights)
    return Embedded(embedded.tracklet, whole, crops.astype(np.float16), weights, times_s)


def in_view_all_day(n: int, quality: Callable[[int], float]) -> list[Embedded]:
    """One person, seen for half of every minute, by two cameras in turn."""
    rng = np.random.default_rng(1)
    self_ = rng.normal(size=64)
    found = []
    for i in range(n):
        crops = unit(self_ + 0.5 * rng.normal(size=(4, 64)))
        tracklet = seen("ab"[i % 2], i, 60.0 * i, 60.0 * i + 30)
        found.append(with_crops(tracklet, crops, quality(i)))
    return found


def passers_by(n: int) -> list[Embedded]:
    """People who walk from a to b, one every two minutes, each beside somebody who stays in a."""
    rng = np.random.default_rng(2)
    found = []
    for i in range(n):
        start_s = 120.0 * i
        walker, other = rng.normal(size=(2, 64))
        steps = (
            ("a", 2 * i, start_s, walker),
            ("a", 2 * i + 1, start_s + 5, other),
            ("b", i, start_s + 30 + i % 3, walker),
        )
        for camera, track, at_s, self_ in steps:
            crops = unit(self_ + 0.3 * rng.normal(size=(6, 64)))
            found.append(with_crops(seen(camera, track, at_s, at_s + 20), crops, 0.8))
    return found


def later(embedded: Embedded, by_s: float) -> Embedded:
    """The same tracklet, some seconds later."""
    tracklet = replace(embedded.tracklet, times_s=embedded.tracklet.times_s + by_s)
    return replace(embedded, tracklet=tracklet, crop_times_s=embedded.crop_times_s + by_s)


def follow(
    embedded: Sequence[Embedded], config: LinkingConfig, every: int = 1
) -> tuple[Linked, list[Event]]:
    """Link tracklets when they close, in a step for `every` so many."""
    linking = OnlineLinker(engine_of(CAMERAS, config), config.forget_after_s)
    said: list[Event] = []
    for low in range(0, len(embedded), every):
        new = embedded[low : low + every]
        for e in new:
            linking.add(e, provisional=False)
        said += linking.step(new[-1].tracklet.last_s + 1)
    return linking.linked(), said


@pytest.mark.parametrize("seed", [0, 1])
def test_somebody_in_view_all_day_keeps_one_id(seed: int) -> None:
    rng = np.random.default_rng(seed)
    linked, said = follow(
        in_view_all_day(13 * 60, lambda i: float(rng.uniform(0.1, 0.9))), LinkingConfig(), every=8
    )
    assert [event.kind for event in said].count("forgotten") == 0
    assert [len(person.tracklets) for person in linked.people] == [13 * 60]


def test_who_is_in_view_for_hours_stays_so_when_somebody_alike_was_there_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody alike passed, and the tracklets of that time have left the window."""
    monkeypatch.setattr(online, "N_KEPT", 2)
    monkeypatch.setattr(online, "N_NEWEST", 1)
    rng = np.random.default_rng(5)
    look = unit(rng.normal(size=64))

    def alike(noise: float) -> np.ndarray:
        return np.asarray(unit(look + noise * rng.normal(size=64)))

    linking = OnlineLinker(engine_of(CAMERAS, LinkingConfig()), 600)
    said: list[Event] = []
    for minute in range(12):
        start_s = 60.0 * minute
        crops = np.stack([alike(0.02)] * 4)
        sits = with_crops(seen("a", 1, start_s, start_s + 59.8, alike(0.02)), crops, 0.9)
        linking.add(sits, provisional=False)
        said += linking.step(start_s + 60)
    passes = seen("a", 2, 200.0, 203.0, alike(0.02))
    linking.add(passes, provisional=False)
    said += linking.step(12 * 60.0 + 1)
    people = linking.linked().people
    assert [event.kind for event in said].count("forgotten") == 0
    assert [len(person.tracklets) for person in people] == [12, 1]
    assert people[0].person_id == 1


def test_who_is_followed_by_short_steps_keeps_one_id_when_the_clearest_crops_are_old() -> None:
    travel = [TravelConfig(cameras=("a", "b"), max_s=30)]
    embedded = in_view_all_day(60, lambda i: 0.9 if i < 32 else 0.3)
    linked, _ = follow(embedded, LinkingConfig(travel=travel))
    assert [len(person.tracklets) for person in linked.people] == [60]


def test_who_became_unclear_is_remembered_from_the_last_time_they_were_seen() -> None:
    linking = OnlineLinker(engine_of(CAMERAS, LinkingConfig()), 600)
    *embedded, back = in_view_all_day(61, lambda i: 0.9 - 0.01 * i)
    for low in range(0, 60, 5):
        for e in embedded[low : low + 5]:
            linking.add(e, provisional=False)
        linking.step(60.0 * (low + 5))
    linking.step(60.0 * 61)
    linking.add(later(back, 400), provisional=False)
    said = [event.kind for event in linking.step(60.0 * 60 + 431)]
    assert said == ["seen"]
    assert [len(person.tracklets) for person in linking.linked().people] == [61]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=12), st.integers(0, 45))
def test_spans_overlap_when_any_stretch_that_was_added_does(
    stretches: list[tuple[int, int]], start_s: int
) -> None:
    spans = Spans()
    for first_s, length_s in stretches:
        spans.add(first_s, first_s + length_s)
    for end_s in (start_s, start_s + 3):
        expected = any(a <= end_s and start_s <= a + n for a, n in stretches)
        assert spans.overlaps(start_s, end_s) == expected
    assert spans.last_s == max((a + n for a, n in stretches), default=-math.inf)
    ends = [end for span in spans for end in span]
    assert ends == sorted(ends)


def test_the_memory_of_when_somebody_was_seen_is_bounded_and_knows_since_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identities, "MAX_SPANS", 3)
    spans = Spans()
    for i in range(10):
        spans.add(10 * i, 10 * i + 1)
    assert list(spans) == [(0, 71), (80, 81), (90, 91)]


def test_a_live_day_teaches_as_much_of_the_site_as_a_recorded_one() -> None:
    embedded = passers_by(30)
    config = LinkingConfig(forget_after_s=150)
    linked, _ = follow(embedded, config)
    offline = linker.link(embedded, CAMERAS, config)
    assert offline.site.travel.of("a", "b").n == 30
    assert linked.site.travel == offline.site.travel
    assert linked.calibration.n_same == offline.calibration.n_same == 90
    assert linked.calibration.n_different == offline.calibration.n_different == 30
    assert linked.calibration.same == pytest.approx(offline.calibration.same, abs=1e-6)


def test_what_a_live_run_remembers_of_its_site_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "MAX_SAMPLES", 20)
    monkeypatch.setattr(travel_times, "MAX_TRANSITIONS", 10)
    linked, _ = follow(passers_by(30), LinkingConfig(forget_after_s=150))
    kept = linked.taught.before
    assert len(kept.samples.halves) == len(kept.samples.strangers) == 20
    assert kept.travel.of("a", "b").n == 10


def n_in_memory(*kinds: type) -> int:
    """How many objects of some kinds there are."""
    gc.collect()
    return sum(type(each) in kinds for each in gc.get_objects())


def a_week(n_tracklets: int) -> Iterator[Embedded]:
    """Strangers who pass two at a time, in view for some seconds of every minute."""
    rng = np.random.default_rng(3)
    for i in range(n_tracklets):
        start_s = 60.0 * (i // 2)
        crops = unit(rng.normal(size=64) + 0.3 * rng.normal(size=(4, 64)))
        yield with_crops(seen("ab"[i // 2 % 2], i, start_s, start_s + 5), crops, 0.8)


def memory_of_a_week(n_tracklets: int, keep_history: bool) -> tuple[OnlineLinker, list[int]]:
    """Objects that are held after a quarter of so many tracklets, and after all of them."""
    config = LinkingConfig(forget_after_s=300)
    linking = OnlineLinker(engine_of(CAMERAS, config), config.forget_after_s, keep_history)
    sizes = []
    before = n_in_memory(Tracklet, Link, Person, Known)
    for number, embedded in enumerate(a_week(n_tracklets), start=1):
        linking.add(embedded, provisional=False)
        if number % 2 == 0:
            linking.step(embedded.tracklet.last_s + 1)
        if number in (n_tracklets // 4, n_tracklets):
            sizes.append(n_in_memory(Tracklet, Link, Person, Known) - before)
    return linking, sizes


@pytest.mark.slow
def test_without_history_a_run_of_weeks_holds_no_more_than_one_of_hours() -> None:
    linking, (early, late) = memory_of_a_week(2000, keep_history=False)
    assert 0 < late <= 1.2 * early
    present = linking.linked()
    assert 0 < len(present.people) < 20
    cameras = {t.camera for person in present.people for t in person.tracklets}
    assert len(present.calibration.curve.even) == len(cameras)


def test_the_history_of_a_recording_has_everybody_and_grows() -> None:
    linking, (early, late) = memory_of_a_week(200, keep_history=True)
    assert late > early + 140
    assert sum(len(person.tracklets) for person in linking.linked().people) == 200


def test_near_misses_of_people_who_are_gone_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_NEAR_MISSES", 5)
    here, there = np.array([200, 500]), np.array([900, 500])
    config = LinkingConfig(forget_after_s=30)
    linking = OnlineLinker(engine_of(ON_FLOOR, config), config.forget_after_s)
    looks = np.eye(40)
    for i in range(20):
        start_s = 100.0 * i
        linking.add(seen("a", i, start_s, start_s + 5, looks[i], here), provisional=False)
        linking.add(seen("b", i, start_s, start_s + 5, looks[i], there), provisional=False)
        linking.step(start_s + 6)
        linking.step(start_s + 40)
    missed = linking.linked().near_misses
    assert [m.first.track_id for m in missed] == [15, 16, 17, 18, 19]
