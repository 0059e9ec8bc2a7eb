"""What a human is told about a person."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import explain
from pipeline.config import LinkingConfig
from pipeline.linking.reasons import CORRECTED, FLOOR, ONE_TRACK, SAME_TIME, SPEED, TRAVEL
from pipeline.outputs import links, trajectories
from pipeline.records import Link, Person, Tracklet
from tests.pipeline.outputs.people import camera, link, linked, person, tracklet

BOX = [[10, 5, 20, 40]]


def seen(name: str, track_id: int, first_s: float, last_s: float) -> Tracklet:
    return tracklet(name, track_id, [first_s, last_s], BOX)


GATE, LOBBY, YARD = seen("gate", 3, 0, 4), seen("lobby", 1, 2, 9), seen("yard", 2, 12, 20)
OTHER, THIRD = seen("gate", 4, 1, 5), seen("yard", 3, 13, 19)
AT_ONCE = replace(link(GATE, LOBBY, 0.96, rival=OTHER.name), gap_s=-2.0, floor_m=0.4, place=2.5)
ONE = person(1, GATE, LOBBY, YARD, links=[AT_ONCE, link(LOBBY, YARD, 0.64)])
TWO, THREE = person(2, OTHER), person(3, THIRD)


def write(
    folder: Path, people: list[Person] | None = None, near_misses: list[Link] | None = None
) -> Path:
    """The two files of a run that are read."""
    people = [ONE, TWO, THREE] if people is None else people
    cameras = [camera(name) for name in ("gate", "lobby", "yard")]
    (folder / "trajectories.json").write_text(
        "".join(trajectories.json_parts(people, cameras, 0.9))
    )
    (folder / "links.json").write_text(
        links.to_json(linked(people, near_misses or []), LinkingConfig())
    )
    return folder


def told(folder: Path, who: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed, as one line."""
    assert explain.main([str(folder), who]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_a_link_that_a_lookalike_puts_in_doubt_says_who_that_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubted = replace(ONE, links=(AT_ONCE, link(LOBBY, YARD, 0.64, lookalike=THIRD.name)))
    said = told(write(tmp_path, [doubted, TWO, THREE]), "1", capsys)
    assert said.count("yard/3@130, who is somebody else, looks like that too") == 1


def test_links_of_earlier_versions_without_lookalikes_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    file = tmp_path / "links.json"
    written = json.loads(file.read_text())
    for entry in written["links"]:
        del entry["lookalike"]
    file.write_text(json.dumps(written))
    assert told(tmp_path, "1", capsys).startswith("Person 1: 3 tracklets")


def test_a_person_is_told_by_time_with_what_ties_the_tracklets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(write(tmp_path), "1", capsys)
    assert said.startswith("Person 1: 3 tracklets in gate, lobby, yard, 0.0 to 20.0 s")
    assert "Weakest link: 64%, probable, lobby/1@20 and yard/2@120" in said
    places = [said.index(f"s {name}") for name in ("gate/3@0", "lobby/1@20", "yard/2@120")]
    assert places == sorted(places)
    assert (
        "same person as gate/3@0: 96%, confirmed: appearance similarity 0.80 (strong evidence"
        " for), seen together for 2.0 s and 0.4 m apart (moderate evidence for)" in said
    )
    assert "second choice: person 2, 25% (gate/4@10)" in said
    assert (
        "same person as lobby/1@20: 64%, probable: appearance similarity 0.80 (strong evidence for)"
        in said
    )
    assert "At this site appearance tells people apart well" in said


@pytest.mark.parametrize(
    ("travel", "says"),
    [(2.5, "travel time: moderate evidence for"), (-1.0, "travel time: weak evidence against")],
)
def test_the_time_between_cameras_is_named_where_nothing_is_known_of_the_place(
    travel: float, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [person(1, GATE, LOBBY, links=[replace(link(GATE, LOBBY, 0.9), travel=travel)])]
    assert says in told(write(tmp_path, people), "1", capsys)


@pytest.mark.parametrize(
    ("gap_s", "says"),
    [
        (1.5, "1.5 s later"),
        (-0.7, "seen together for 0.7 s"),
        (-0.01, "seen together for a moment"),
        (0.0, "seen together for a moment"),
    ],
)
def test_the_time_between_two_tracklets_is_in_words(
    gap_s: float, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [person(1, GATE, LOBBY, links=[replace(link(GATE, LOBBY, 0.9), gap_s=gap_s)])]
    assert f"(strong evidence for), {says}" in told(write(tmp_path, people), "1", capsys)


def test_a_tracklet_that_only_a_later_one_ties_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = replace(ONE, links=(link(GATE, YARD, 0.9), link(LOBBY, YARD, 0.9)))
    said = told(write(tmp_path, [late, TWO]), "1", capsys)
    assert "lobby/1@20 linked through a later tracklet, see below" in said


@pytest.mark.parametrize(
    ("rule", "words"), [(ONE_TRACK, "the same track continues"), (CORRECTED, "set by a correction")]
)
def test_what_was_not_asked_of_the_evidence_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, words: str
) -> None:
    given = person(1, GATE, LOBBY, links=[link(GATE, LOBBY, 1.0, rule=rule)])
    said = told(write(tmp_path, [given]), "1", capsys)
    assert f"same person as gate/3@0: {words}" in said
    assert "Weakest" not in said


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (SAME_TIME, "gate shows gate/3@0 and gate/4@10 at the same time"),
        (TRAVEL, "does not match the travel time between their cameras"),
        (SPEED, "nobody walks fast enough to be both gate/3@0 and gate/4@10"),
        (FLOOR, "are too far apart on the floor"),
        (CORRECTED, "a correction says that gate/3@0 and gate/4@10 are different people"),
        ("a rule of next year", "a rule of next year, gate/3@0 and gate/4@10"),
        ("", "below the required 50%; the strongest evidence is between gate/3@0 and gate/4@10"),
    ],
)
def test_who_came_near_is_told_with_what_kept_them_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, words: str
) -> None:
    folder = write(tmp_path, near_misses=[link(GATE, OTHER, 0.41, rule=rule)])
    said = told(folder, "1", capsys)
    assert "person 2, 41%: " in said and words in said
    assert "person 1, 41%: " in told(folder, "2", capsys)
    assert "No other person was close to being linked." in told(folder, "3", capsys)


def test_of_many_near_misses_the_most_probable_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [seen("yard", k, 12, 14) for k in range(10, 30)]
    near = [link(YARD, other, 0.05 + 0.01 * k) for k, other in enumerate(others)]
    people = [ONE, *(person(2 + k, other) for k, other in enumerate(others))]
    said = told(write(tmp_path, people, near), "1", capsys)
    assert "person 21, 24%" in said and "person 2, 5%" not in said
    assert "and 12 more in links.json" in said


def test_a_name_finds_the_people_of_a_tracklet_or_of_all_pieces_of_a_track(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = seen("gate", 3, 30, 31)
    folder = write(tmp_path, [ONE, TWO, person(3, late)])
    assert [p["person_id"] for p in explain.explain(folder, "gate/3@0")["people"]] == [1]
    assert [p["person_id"] for p in explain.explain(folder, "gate/3@300")["people"]] == [3]
    assert [p["person_id"] for p in explain.explain(folder, "gate/3")["people"]] == [1, 3]
    assert "Person 1:" in told(folder, "gate/3", capsys)


def test_what_was_filled_in_after_a_tracklet_is_not_told_as_seen(tmp_path: Path) -> None:
    scores = GATE.scores.copy()
    scores[-1] = 0
    (found,) = explain.explain(write(tmp_path, [person(1, replace(GATE, scores=scores))]), "1")[
        "people"
    ]
    assert found["tracklets"][0]["last_s"] == 0


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, near_misses=[link(GATE, OTHER, 0.41, rule=SAME_TIME)])
    assert explain.main([str(folder), "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == explain.explain(folder, "1")
    (one,) = printed["people"]
    assert [t["name"] for t in one["tracklets"]] == ["gate/3@0", "lobby/1@20", "yard/2@120"]
    assert [tie["rival_person"] for tie in one["links"]] == [2, 0]
    assert len(one["near_misses"]) == 1


@pytest.mark.parametrize(
    ("who", "hint"),
    [
        ("9", "there is no person 9; there are people 1 to 3"),
        ("gate/3@7", "there is no gate/3@7; its track has gate/3@0"),
        ("gate/77", "there is no gate/77; tracks.csv lists all tracks"),
        ("him", "him: give the number of a person, a track such as cam1/3"),
    ],
)
def test_whoever_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], who: str, hint: str
) -> None:
    assert explain.main([str(write(tmp_path)), who]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and hint in line


@pytest.mark.parametrize("broken", ["missing", "text", "other"])
def test_a_folder_without_results_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    if broken != "missing":
        (write(tmp_path) / "links.json").write_text("no json" if broken == "text" else "[]")
    assert explain.main([str(tmp_path), "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "give the output folder of a run" in line
