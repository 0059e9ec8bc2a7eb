"""What a human says is so on the next run."""

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import cli, fill
from pipeline.config import LinkingConfig, TravelConfig
from pipeline.errors import ConfigError
from pipeline.linking import linker
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.linking.reasons import CORRECTED
from pipeline.outputs import links
from pipeline.records import Embedded, Tracklet
from tests.conftest import ROOT
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, RED, seen


def people(embedded: list[Embedded], **said: object) -> list[set[str]]:
    """Who is who, as `camera/track@frame` per person, when a human says so."""
    found = linker.link(embedded, CAMERAS, LinkingConfig(), Corrections.model_validate(said))
    return [{t.name for t in person.tracklets} for person in found.people]


def write(folder: Path, text: str) -> str:
    path = folder / "corrections.yaml"
    path.write_text(text)
    return str(path)


ALIKE = [seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, RED)]
UNLIKE = [seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, BLUE)]
CUT = [
    seen("a", 1, 0, 5, RED),
    seen("a", 1, 5.1, 9, BLUE, ambiguous=True),
    seen("b", 7, 20, 25, BLUE),
]
LONG = [seen("a", 1, 0, 5, RED), seen("a", 1, 5.1, 9, RED), seen("a", 1, 9.1, 12, RED)]


def test_people_who_are_the_same_are_one_however_unlike_they_look() -> None:
    assert people(UNLIKE) == [{"a/1@0"}, {"b/1@80"}]
    assert people(UNLIKE, same=[["a/1", "b/1"]]) == [{"a/1@0", "b/1@80"}]


def test_people_who_are_different_are_two_however_alike_they_look() -> None:
    assert people(ALIKE) == [{"a/1@0", "b/1@80"}]
    assert people(ALIKE, different=[["b/1", "a/1"]]) == [{"a/1@0"}, {"b/1@80"}]


def test_a_track_stands_for_all_its_tracklets_and_a_frame_for_the_one_that_begins_there() -> None:
    assert people(CUT) == [{"a/1@0"}, {"a/1@51", "b/7@200"}]
    assert people(CUT, same=[["a/1", "b/7"]]) == [{"a/1@0", "a/1@51", "b/7@200"}]
    assert people(CUT, same=[["a/1"]]) == [{"a/1@0", "a/1@51"}, {"b/7@200"}]
    assert people(CUT, same=[["a/1@0", "b/7"]], different=[["a/1@51", "a/1@0"]]) == [
        {"a/1@0", "b/7@200"},
        {"a/1@51"},
    ]
    assert people(CUT, different=[["a/1", "b/7"]]) == [{"a/1@0"}, {"a/1@51"}, {"b/7@200"}]


def test_a_human_knows_better_than_that_a_track_goes_on() -> None:
    assert people(LONG) == [{"a/1@0", "a/1@51", "a/1@91"}]
    assert people(LONG, different=[["a/1@0", "a/1@91"]]) == [{"a/1@0", "a/1@51"}, {"a/1@91"}]


def test_a_human_knows_better_than_the_rules() -> None:
    twice = [seen("a", 1, 0, 5, RED), seen("a", 2, 4, 9, BLUE)]
    assert people(twice, same=[["a/1", "a/2"]]) == [{"a/1@0", "a/2@40"}]


def test_different_holds_for_all_who_are_one_with_the_two() -> None:
    embedded = [seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, BLUE), seen("c", 1, 20, 25, RED)]
    assert people(embedded) == [{"a/1@0", "c/1@200"}, {"b/1@80"}]
    said = {"same": [["a/1", "b/1"]], "different": [["b/1", "c/1"]]}
    assert people(embedded, **said) == [{"a/1@0", "b/1@80"}, {"c/1@200"}]


def test_links_and_near_misses_say_that_a_human_said_so() -> None:
    corrected = Corrections(same=[["a/1", "b/1"]])
    (one,) = linker.link(UNLIKE, CAMERAS, LinkingConfig(), corrected).people
    assert [(tie.first.name, tie.second.name, tie.rule, tie.probability) for tie in one.links] == [
        ("a/1@0", "b/1@80", CORRECTED, 1.0)
    ]
    (missed,) = linker.link(
        ALIKE, CAMERAS, LinkingConfig(), Corrections(different=[["a/1", "b/1"]])
    ).near_misses
    assert missed.rule == CORRECTED


def test_a_person_has_one_link_fewer_than_tracklets_whatever_made_them_one() -> None:
    corrected = Corrections(same=[["a/1", "b/7"], ["b/7", "a/1@51"]])
    for embedded in (CUT, LONG, ALIKE):
        for person in linker.link(embedded, CAMERAS, LinkingConfig(), corrected).people:
            assert len(person.links) == len(person.tracklets) - 1


@st.composite
def sites(draw: st.DrawFn) -> tuple[list[Embedded], list[list[str]], list[list[str]]]:
    """Tracklets of a few looks, tracks in pieces among them, and what a human who knows the truth
    could say of any of them.
    """
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    embedded, starts = [], dict.fromkeys(itertools.product("abc", range(1, 4)), 0.0)
    for i in range(draw(st.integers(2, 14))):
        camera, track = list(starts)[rng.integers(len(starts))]
        start_s = starts[camera, track] + float(rng.integers(1, 40)) / 10
        end_s = start_s + float(rng.integers(1, 60)) / 10
        starts[camera, track] = end_s
        embedded.append(
            seen(camera, track, start_s, end_s, np.eye(4)[rng.integers(4)], ambiguous=bool(i % 2))
        )
    owner = {e.tracklet.name: int(rng.integers(4)) for e in embedded}
    pairs = [
        sorted(rng.choice(list(owner), 2, replace=False)) for _ in range(draw(st.integers(1, 6)))
    ]
    same = [pair for pair in pairs if owner[pair[0]] == owner[pair[1]]]
    return embedded, same, [pair for pair in pairs if pair not in same]


@given(sites())
@settings(max_examples=60)
def test_the_same_always_share_a_person_and_the_different_never_do(
    site: tuple[list[Embedded], list[list[str]], list[list[str]]],
) -> None:
    embedded, same, different = site
    found = people(embedded, same=same, different=different)
    owner = {name: k for k, names in enumerate(found) for name in names}
    assert all(owner[a] == owner[b] for a, b in same)
    assert all(owner[a] != owner[b] for a, b in different)


def linked(embedded: list[Embedded], **said: object) -> Linked:
    return linker.link(embedded, CAMERAS, LinkingConfig(), Corrections.model_validate(said))


def test_what_is_no_person_is_in_no_results_be_it_a_tracklet_or_a_track() -> None:
    assert people(CUT, not_a_person=["a/1@0"]) == [{"a/1@51", "b/7@200"}]
    assert people(CUT, not_a_person=["a/1"]) == [{"b/7@200"}]
    assert people(CUT, not_a_person=["a/1", "b/7"]) == []


def test_what_is_left_of_a_site_is_told_in_full_without_a_camera_that_shows_no_people() -> None:
    embedded = [*ALIKE, seen("c", 3, 20, 25, RED)]
    found = linked(embedded, not_a_person=["b/1"])
    assert [[t.name for t in person.tracklets] for person in found.people] == [["a/1@0", "c/3@200"]]
    assert set(links.document(found, LinkingConfig())["calibration"]["even"]) == {"a", "c"}
    assert [t.name for t in found.not_shown[0].tracklets] == ["b/1@80"]


def test_a_track_does_not_go_on_through_what_is_no_person() -> None:
    tracks = [seen("a", 1, 0, 5, RED), seen("a", 1, 5.1, 9, RED), seen("a", 1, 9.1, 12, BLUE)]
    assert people(tracks) == [{"a/1@0", "a/1@51", "a/1@91"}]
    assert people(tracks, not_a_person=["a/1@51"]) == [{"a/1@0"}, {"a/1@91"}]


def test_nothing_is_filled_in_from_where_no_person_is() -> None:
    tracks = [seen("a", 1, 0, 5, RED), seen("a", 1, 5.5, 7, RED), seen("a", 1, 7.3, 12, RED)]
    found = linked(tracks, not_a_person=["a/1@55"])
    (person,) = fill.fill(found.people, 10, 1, left_out=found.not_shown)
    assert person.tracklets[0].frames.tolist() == list(range(55))


def test_a_split_parts_a_track_where_the_later_person_begins() -> None:
    walk = [seen("a", 1, 0, 5, RED), seen("b", 2, 8, 12, RED)]
    assert people(walk) == [{"a/1@0", "b/2@80"}]
    assert people(walk, split=["a/1@20"], same=[["a/1@20", "b/2"]]) == [
        {"a/1@0"},
        {"a/1@20", "b/2@80"},
    ]
    assert people(LONG, split=["a/1@30"]) == [{"a/1@0"}, {"a/1@30", "a/1@51", "a/1@91"}]
    assert people(LONG, split=["a/1@51"]) == [{"a/1@0"}, {"a/1@51", "a/1@91"}]


def test_what_begins_at_a_split_goes_by_its_name_also_where_nobody_was_seen_in_that_frame() -> None:
    said = {"split": ["a/1@47"], "same": [["a/1@47", "b/1"]]}
    gap = [seen("a", 1, 0, 4.5, RED), seen("a", 1, 5.1, 9, RED), seen("b", 1, 20, 25, BLUE)]
    assert people(gap, **said) == [{"a/1@0"}, {"a/1@51", "b/1@200"}]
    assert people(gap, split=["a/1@47"], not_a_person=["a/1@47"]) == [{"a/1@0"}, {"b/1@200"}]


def test_a_track_may_be_cut_several_times() -> None:
    one = [seen("a", 1, 0, 9, RED)]
    assert people(one, split=["a/1@60", "a/1@30"]) == [{"a/1@0", "a/1@60"}, {"a/1@30"}]
    assert people(one, split=["a/1@60", "a/1@30"], different=[["a/1@0", "a/1@60"]]) == [
        {"a/1@0"},
        {"a/1@30"},
        {"a/1@60"},
    ]


@pytest.mark.parametrize("frame", range(1, 42))
def test_a_split_at_any_frame_keeps_all_rows_and_makes_two_people(frame: int) -> None:
    embedded = [
        seen("a", 1, 0, 2, RED),
        seen("a", 1, 2.3, 4.1, RED),
        seen("b", 1, 8, 12, RED),
    ]
    found = linked(embedded, split=[f"a/1@{frame}"])
    owner = owners(found)
    assert len(owner) == sum(len(each.tracklet.frames) for each in embedded)
    before = max(row for row in owner if row[0] == "a" and row[2] < frame)
    after = min(row for row in owner if row[0] == "a" and row[2] >= frame)
    assert owner[before] != owner[after]


def owners(found: Linked) -> dict[tuple[str, int, int], int]:
    """Person of each row, by camera, track and frame."""
    owner: dict[tuple[str, int, int], int] = {}
    for person in found.people:
        for tracklet in person.tracklets:
            for row in rows_of(tracklet):
                assert row not in owner
                owner[row] = person.person_id
    return owner


def rows_of(tracklet: Tracklet) -> list[tuple[str, int, int]]:
    return [(tracklet.camera, tracklet.track_id, frame) for frame in tracklet.frames.tolist()]


@given(sites(), st.data())
@settings(max_examples=60)
def test_whatever_a_human_says_of_a_site_is_obeyed_to_the_row(
    site: tuple[list[Embedded], list[list[str]], list[list[str]]], data: st.DataObject
) -> None:
    embedded, same, different = site
    by_name = {each.tracklet.name: each.tracklet for each in embedded}
    cut = data.draw(st.lists(st.sampled_from(sorted(by_name)), max_size=2, unique=True))
    split = []
    for name in cut:
        tracklet = by_name[name]
        frame = data.draw(st.integers(tracklet.frames[0] + 1, max(tracklet.frames) + 1))
        split.append(f"{tracklet.camera}/{tracklet.track_id}@{frame}")
    none = data.draw(st.lists(st.sampled_from(sorted(by_name)), max_size=2, unique=True))
    none = [name for name in none if name not in cut]
    try:
        said = Corrections(same=same, different=different, not_a_person=none, split=split)
    except ValidationError:
        assume(False)
    found = linker.link(embedded, CAMERAS, LinkingConfig(min_person_s=0), said)
    owner = owners(found)
    all_rows = {row for tracklet in by_name.values() for row in rows_of(tracklet)}
    gone = {row for name in none for row in rows_of(by_name[name])}
    assert owner.keys() == all_rows - gone

    def person_at(name: str) -> int:
        return owner[rows_of(by_name[name])[0]]

    kept = [pair for pair in same if not set(pair) & set(none)]
    told = corrections.passed_over(said, found.tracklets)
    are_parted = [line for line in told if "are the same is passed over" in line]
    assert split or not are_parted
    assert are_parted or all(person_at(a) == person_at(b) for a, b in kept)
    kept = [pair for pair in different if not set(pair) & set(none)]
    assert all(person_at(a) != person_at(b) for a, b in kept)
    for name in split:
        track, _, frame = name.partition("@")
        camera, _, track_id = track.partition("/")
        of_track = sorted(row for row in all_rows if row[:2] == (camera, int(track_id)))
        before = [row for row in of_track if row[2] < int(frame)][-1:]
        after = [row for row in of_track if row[2] >= int(frame)][:1]
        if before and after and not gone & {*before, *after}:
            assert owner[before[0]] != owner[after[0]]


def test_a_cut_in_a_gap_that_parts_who_is_said_to_be_the_same_is_told() -> None:
    embedded = [seen("a", 1, 0, 2, RED), seen("a", 1, 4, 6, RED), seen("b", 1, 8, 12, RED)]
    corrected = Corrections(same=[["a/1@0", "b/1"], ["b/1", "a/1@40"]], split=["a/1@30"])
    found = linker.link(embedded, CAMERAS, LinkingConfig(), corrected)
    told = [{tracklet.name for tracklet in person.tracklets} for person in found.people]
    assert told == [{"a/1@0", "b/1@80"}, {"a/1@40"}]
    assert corrections.passed_over(corrected, found.tracklets) == [
        "corrections: that a/1@40 and b/1@80 are the same is passed over: a cut, or what else is"
        " said, makes them different"
    ]


def test_names_that_do_not_exist_are_passed_over_with_a_line_each() -> None:
    corrected = Corrections(same=[["a/1@0", "b/9", "b/7"]], different=[["a/1@50", "b/7"]])
    found = linker.link(CUT, CAMERAS, LinkingConfig(), corrected)
    assert [len(person.tracklets) for person in found.people] == [3]
    assert corrections.passed_over(corrected, [e.tracklet for e in CUT]) == [
        "corrections: b/9 is passed over: this run has no such track",
        "corrections: a/1@50 is passed over: that track's tracklets begin at frame 0, 51",
    ]


def test_cuts_outside_of_a_track_are_passed_over_with_its_frames() -> None:
    corrected = Corrections(split=["a/1@0", "a/1@91", "a/3@5", "a/1@51"], not_a_person=["b/7@9"])
    found = linker.link(CUT, CAMERAS, LinkingConfig(), corrected)
    assert [len(person.tracklets) for person in found.people] == [1, 2]
    assert corrections.passed_over(corrected, found.tracklets) == [
        "corrections: b/7@9 is passed over: that track's tracklets begin at frame 200",
        "corrections: a/1@0 is passed over: that track has frames 0 to 90",
        "corrections: a/1@91 is passed over: that track has frames 0 to 90",
        "corrections: a/3@5 is passed over: this run has no such track",
    ]


def test_what_a_correction_takes_out_is_known_all_the_same() -> None:
    corrected = Corrections(split=["a/1@20"], not_a_person=["a/1@20", "b/7"])
    found = linker.link(CUT, CAMERAS, LinkingConfig(), corrected)
    assert corrections.passed_over(corrected, found.tracklets) == []


NAMES = st.builds("{}/{}".format, st.sampled_from("abc"), st.integers(1, 9))


@given(st.lists(st.lists(NAMES, min_size=2, max_size=3), max_size=3), st.lists(NAMES, max_size=40))
def test_corrections_are_read_as_they_were_written(same: list[list[str]], none: list[str]) -> None:
    told = {name for group in same for name in group}
    said = Corrections(same=same, not_a_person=[name for name in none if name not in told])
    said = said.plus(Corrections(split=["cam-1.a/3@145"], different=[["x/1@0", "x/2"]]))
    with tempfile.TemporaryDirectory() as folder:
        assert corrections.load(write(Path(folder), corrections.to_yaml(said))) == said


def test_corrections_add_up_and_the_same_ones_do_not() -> None:
    first = Corrections(same=[["a/1", "b/1"]], not_a_person=["c/1"])
    second = Corrections(same=[["a/2", "b/2"], ["a/1", "b/1"]], split=["a/5@9"])
    both = first.plus(second)
    assert both.same == [["a/1", "b/1"], ["a/2", "b/2"]]
    assert (both.not_a_person, both.split) == (["c/1"], ["a/5@9"])
    assert both.plus(first).plus(second) == both
    with pytest.raises(ValidationError, match="said to be different, and yet"):
        first.plus(Corrections(different=[["a/1", "b/1"]]))


def test_a_folder_without_corrections_has_none(tmp_path: Path) -> None:
    assert corrections.of_folder(tmp_path) == Corrections()
    write(tmp_path, "not_a_person: [a/1]")
    assert corrections.of_folder(tmp_path) == Corrections(not_a_person=["a/1"])


@pytest.mark.parametrize("text", ["not_a_person: [a/1]", "split: [a/1@5]"])
def test_linking_during_the_run_refuses_what_it_cannot_do(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="are for runs over files that link at their end"):
        corrections.load(write(tmp_path, text), online=True)
    assert corrections.load(write(tmp_path, "same: [a/1, b/1]"), online=True).same


@pytest.mark.parametrize(
    "text",
    ["same: [a/1, b/2]", "same: [[a/1, b/2]]\ndifferent:\n", "{same: [[a/1, b/2]], different: []}"],
)
def test_one_group_may_be_written_without_a_second_pair_of_brackets(
    tmp_path: Path, text: str
) -> None:
    assert corrections.load(write(tmp_path, text)) == Corrections(same=[["a/1", "b/2"]])


def test_no_file_and_an_empty_file_say_nothing(tmp_path: Path) -> None:
    assert corrections.load("") == corrections.load(write(tmp_path, "")) == Corrections()


CONTRADICTIONS = {
    "{same: [a/1, b/1], different: [b/1, a/1]}": "a/1, b/1",
    "{same: [[a/1, b/1], [b/1, c/1]], different: [a/1, c/1]}": "a/1, b/1, c/1",
    "{same: [a/1, b/1], different: [a/1@5, a/1@9]}": "a/1, b/1, a/1@5, a/1@9",
    "{same: [a/1@5, b/1], different: [a/1, b/1]}": "a/1@5, b/1",
    "{different: [a/1, a/1@5]}": "a/1@5",
    "{different: [a/1, a/1]}": "a/1",
    "{same: [a/1, b/1], split: [a/1@5]}": "a/1, b/1, a/1@5",
    "{same: [a/1@3, a/1@5], split: [a/1@5]}": "a/1@3, a/1@5",
}


@pytest.mark.parametrize(("text", "whole"), CONTRADICTIONS.items())
def test_a_contradiction_is_an_error_that_names_who_would_be_one_person(
    tmp_path: Path, text: str, whole: str
) -> None:
    with pytest.raises(ConfigError, match="said to be different, and yet") as error:
        corrections.load(write(tmp_path, text))
    assert f"one person ({whole})" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "{same: [a/1@5, b/1], different: [a/1@9, b/1]}",
        "{same: [[a/1, b/1], [c/1, c/2]], different: [a/1, c/2]}",
        "{different: [[a/1, b/1], [b/1, a/1]]}",
        "{different: [a/1, b/1], not_a_person: [b/1]}",
        "{different: [a/1, b/1], split: [a/1@5]}",
        "{different: [a/2, b/1], same: [a/1@3, a/1@9], split: [a/1@5]}",
        "{different: [a/2, b/1], same: [a/1@3, a/1@9], not_a_person: [a/1]}",
    ],
)
def test_what_is_no_contradiction_is_taken(tmp_path: Path, text: str) -> None:
    assert corrections.load(write(tmp_path, text)).different


@pytest.mark.parametrize(
    "text",
    [
        "{same: [a/1, b/1], not_a_person: [b/1]}",
        "{same: [a/1, b/1@5], not_a_person: [b/1]}",
        "{same: [[a/2, b/2], [a/1, b/1@5]], not_a_person: [b/1@5]}",
    ],
)
def test_what_is_no_person_cannot_be_the_same_as_somebody(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"b/1(@5)? is said to be no person, and yet to be one"):
        corrections.load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("split: [a/1]", "split: a/1 needs the frame of the cut, as in a/1@145"),
        ("split: a/1@5", "split: Input should be a valid list"),
        ("not_a_person: [[a/1]]", "not_a_person.0"),
        ("not_a_person: [a]", "'a' is not a name such as cam1/3 or cam1/3@120"),
        ("sane: [a/1, b/1]", "unknown key sane; did you mean same?"),
        ("same: [a-1, b/1]", "'a-1' is not a name such as cam1/3 or cam1/3@120"),
        ("same: [a/1@first, b/1]", "'a/1@first' is not a name"),
        ("same: [[a/1, 3]]", "same.0.1"),
        ("same: a/1", "same: "),
        ("different: [a/1]", "a group needs two names or more"),
        ("[a/1]", "expected `key: value` pairs"),
        ("same: [a/1", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_the_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as error:
        corrections.load(write(tmp_path, text))
    assert expected in str(error.value)
    assert "corrections.yaml: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_line_before_anything_is_read(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = ["--videos", str(sample / "cam1.mp4"), "--output", str(tmp_path / "out")]
    assert cli.main([*videos, "--corrections", str(tmp_path / "no.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no.yaml: no such file; check linking.corrections or --corrections" in line
    assert not (tmp_path / "out").exists()


def names(folder: Path) -> list[list[str]]:
    """Names of the tracklets of every person of a run."""
    found = json.loads((folder / "trajectories.json").read_text())["people"]
    return [
        [f"{t['camera']}/{t['track_id']}@{t['tracklet']}" for t in person["tracklets"]]
        for person in found
    ]


def test_the_next_run_obeys(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = [
        "--config",
        str(ROOT / "configs" / "plaza.yaml"),
        "--set",
        f"detector.detections={sample / 'truth'}",
    ]
    shared += ["--set", "reid.weights=none", "--max-seconds", "3", "--no-video", "--quiet"]
    assert cli.main([*shared, "--output", str(tmp_path / "before")]) == 0
    linked, *others = sorted(names(tmp_path / "before"), key=len, reverse=True)
    one, other = (
        next(each[0] for each in others if each[0].startswith(camera))
        for camera in ("cam1", "cam2")
    )
    path = write(
        tmp_path, f"same: [{one}, {other}]\ndifferent: [{linked[0]}, {linked[-1]}, cam9/1]\n"
    )
    assert cli.main([*shared, "--output", str(tmp_path / "after"), "--corrections", path]) == 0
    after = names(tmp_path / "after")
    assert any({one, other} <= set(each) for each in after)
    assert not any({linked[0], linked[-1]} <= set(each) for each in after)
    assert "warning: corrections: cam9/1 is passed over" in capsys.readouterr().err
    saved = str(tmp_path / "after" / "config.yaml")
    assert (
        cli.main(["--config", saved, "--output", str(tmp_path / "again"), "--no-video", "--quiet"])
        == 0
    )
    assert names(tmp_path / "again") == after


def test_a_correction_across_a_long_gap_breaks_no_other_link() -> None:
    travel = [TravelConfig(cameras=("a", "b"), max_s=30), TravelConfig(cameras=("b", "c"))]
    embedded = [
        seen("a", 1, 0, 5, RED),
        seen("b", 1, 100, 105, RED),
        seen("b", 2, 110, 115, RED),
    ]
    corrected = Corrections(same=[["a/1", "b/1"]])
    linked = linker.link(embedded, CAMERAS, LinkingConfig(travel=travel), corrected)
    assert [[t.name for t in person.tracklets] for person in linked.people] == [
        ["a/1@0", "b/1@1000", "b/2@1100"]
    ]
    assert linked.near_misses == []
