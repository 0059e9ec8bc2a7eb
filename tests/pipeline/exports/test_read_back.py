"""What a human corrected comes back as results, exactly, and what was not touched stays."""

import csv
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline import crops, explain
from pipeline.evaluate.__main__ import evaluate
from pipeline.exports import __main__ as export
from pipeline.exports import read_back
from pipeline.fill import fill
from pipeline.records import Camera, Person, Tracklet
from tests.conftest import ROOT
from tests.pipeline.exports import results
from tests.pipeline.outputs.people import camera, person, tracklet
from tests.videos import write_video

SCHEMA = json.loads((ROOT / "pipeline" / "outputs" / "trajectories-1.schema.json").read_text())
FPS = 100

EARLY = tracklet("gate", 3, [0.0, 0.1, 0.4, 0.5], [[10, 5, 20, 40]])
LATER = tracklet("lobby", 1, [0.5, 0.6], [[1, 2, 3.25, 24.5]])
AGAIN = tracklet("gate", 3, [1.2, 1.3], [[30, 5, 40.5, 44]])
OTHER = tracklet("gate", 4, [0.1, 0.2, 0.3], [[-3, 0, 9, 48]])
(FILLED,) = fill([person(7, EARLY)], max_gap_s=1.5, stride=1)
PEOPLE = [person(1, OTHER), person(7, *FILLED.tracklets, LATER, AGAIN)]
CAMERAS = [camera("lobby"), camera("gate"), camera("empty")]

Table = list[dict[str, str]]
Edit = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return results.write(tmp_path / "run", PEOPLE, CAMERAS)


def run(*arguments: str | Path) -> int:
    return read_back.main([str(each) for each in arguments])


def exported(folder: Path, kind: str) -> Path:
    """Where the results lie in a format; those of MOT's results are in the folder already."""
    if kind == "results":
        return folder / "mot"
    out = folder.parent / kind
    assert export.main([str(folder), f"--{kind}", str(out)]) == 0
    return out


def imported(folder: Path, *files: Path) -> Path:
    out = folder.parent / "imported"
    assert run(folder, *files, "--output", out) == 0
    return out


def rows_of(folder: Path, without: Sequence[str] = ()) -> Table:
    with (folder / "tracks.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    return [{name: row[name] for name in row if name not in without} for row in table]


def edited(path: Path, edit: Edit) -> Path:
    before = path.read_text()
    after = edit(before)
    assert after != before
    path.write_text(after)
    return path


def of_person(table: Table, person_id: int, camera_name: str = "gate") -> list[int]:
    """Frames in which a person is seen."""
    return [
        int(row["frame"])
        for row in table
        if row["person_id"] == str(person_id) and row["camera"] == camera_name
    ]


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *files: Path) -> str:
    """The one line that says why."""
    out = folder.parent / "refused"
    capsys.readouterr()
    assert run(folder, *files, "--output", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not out.exists()
    return line


boxes_px = st.tuples(
    st.floats(-9, 1700), st.floats(-9, 900), st.floats(20, 200), st.floats(60, 200)
)


@st.composite
def whole_runs(draw: st.DrawFn) -> tuple[list[Person], list[Camera], int]:
    """People of two cameras, tracks with pieces of several people, gaps and filled rows."""
    stride = draw(st.sampled_from([1, 3]))
    people: dict[int, list[Tracklet]] = {}
    for name in ("gate", "lobby"):
        taken: set[tuple[int, int]] = set()
        for track_id in range(1, 1 + draw(st.integers(0, 3))):
            n_frames = draw(st.integers(1, 8))
            gaps = draw(st.lists(st.integers(1, 4), min_size=n_frames, max_size=n_frames))
            frames = np.cumsum(gaps) * stride
            cut = draw(st.integers(0, n_frames))
            for part in (slice(0, cut), slice(cut, n_frames)):
                person_id = draw(st.integers(1, 5))
                own = [each for each in frames[part] if (person_id, each) not in taken]
                taken.update((person_id, each) for each in own)
                if own:
                    piece = draw(pieces(name, track_id, np.array(own)))
                    people.setdefault(person_id, []).append(piece)
    everybody = [
        person(person_id, *sorted(own, key=lambda each: each.key))
        for person_id, own in sorted(people.items())
    ]
    cameras = [
        replace(camera(name, fps=FPS, size=(1920, 1080)), n_frames=40) for name in ("gate", "lobby")
    ]
    return everybody, cameras, stride


@st.composite
def pieces(draw: st.DrawFn, name: str, track_id: int, frames: np.ndarray) -> Tracklet:
    n_rows = len(frames)
    boxes = draw(st.lists(boxes_px, min_size=n_rows, max_size=n_rows))
    is_filled = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    scores = draw(st.lists(st.floats(0.001, 1), min_size=n_rows, max_size=n_rows))
    unseen = draw(st.booleans())
    corners = np.array(boxes, np.float64)
    corners[:, 2:] += corners[:, :2]
    return Tracklet.bare(
        name,
        track_id,
        frames.astype(np.int64),
        frames / FPS,
        corners.astype(np.float32),
        np.where(np.array(is_filled) & unseen, 0, scores).astype(np.float32),
        np.array(is_filled),
    )


@settings(max_examples=30)
@given(whole_runs())
def test_what_cvat_was_given_and_nobody_changed_comes_back_without_loss(
    tmp_path_factory: pytest.TempPathFactory, scene: tuple[list[Person], list[Camera], int]
) -> None:
    people, cameras, stride = scene
    folder = results.write(tmp_path_factory.mktemp("cvat") / "run", people, cameras, stride)
    back = imported(folder, exported(folder, "cvat"))
    assert (back / "tracks.csv").read_text() == (folder / "tracks.csv").read_text()
    ours = json.loads((back / "trajectories.json").read_text())
    theirs = json.loads((folder / "trajectories.json").read_text())
    jsonschema.validate(ours, SCHEMA)
    assert ours["cameras"] == theirs["cameras"]
    assert [each["tracklets"] for each in ours["people"]] == [
        [{**tracklet, "link_probability": 1.0} for tracklet in each["tracklets"]]
        for each in theirs["people"]
    ]


@settings(max_examples=30)
@given(whole_runs())
def test_mot_files_that_nobody_changed_come_back_with_all_that_they_hold(
    tmp_path_factory: pytest.TempPathFactory, scene: tuple[list[Person], list[Camera], int]
) -> None:
    people, cameras, stride = scene
    folder = results.write(tmp_path_factory.mktemp("mot") / "run", people, cameras, stride)
    back = imported(folder, exported(folder, "mot"))
    held = ("camera", "frame", "time_s", "person_id", "x1", "y1", "x2", "y2")
    lost = set(rows_of(folder)[0] if people else ()) - set(held)

    def in_order(of: Path) -> list[tuple[str, ...]]:
        return sorted(tuple(row.values()) for row in rows_of(of, without=tuple(lost)))

    assert in_order(back) == in_order(folder)


@pytest.mark.parametrize("kind", ["mot", "results"])
def test_boxes_of_mot_files_that_lie_where_they_were_are_of_the_same_tracks(
    folder: Path, kind: str
) -> None:
    back = imported(folder, exported(folder, kind))
    lost = ("score", "filled") if kind == "mot" else ()
    assert rows_of(back, without=lost) == rows_of(folder, without=lost)


def test_results_that_were_imported_say_so_and_are_explained_and_reported(folder: Path) -> None:
    back = imported(folder, exported(folder, "cvat"))
    names = {path.name for path in back.iterdir()}
    assert names == {
        "trajectories.json",
        "links.json",
        "tracks.csv",
        "run.json",
        "mot",
        "report.html",
    }
    manifest = json.loads((back / "run.json").read_text())
    assert manifest["schema"] == "run/1"
    assert manifest["people"] == 2
    assert manifest["notes"] == [
        "people and boxes were labelled by hand, in empty.xml, gate.xml, lobby.xml"
    ]
    assert set(manifest["files"]) == {
        "trajectories.json", "links.json", "tracks.csv", "run.json", "report.html",
        "mot/lobby.txt", "mot/gate.txt", "mot/empty.txt",
    }  # fmt: skip
    assert "labelled by hand" in (back / "report.html").read_text()
    assert manifest["labelled_in"] == ["empty.xml", "gate.xml", "lobby.xml"]
    assert manifest["last_person_id"] == 7
    sizes = {each["camera"]: (each["width"], each["height"]) for each in manifest["cameras"]}
    assert sizes == {each.name: (each.width, each.height) for each in CAMERAS}
    (known,) = explain.explain(back, "7")["people"]
    assert [explain.reason(link) for link in known["links"]] == ["set by a correction"] * 2


def test_the_settings_of_the_run_hold_and_its_zones_are_counted_again(tmp_path: Path) -> None:
    stays = tracklet("gate", 1, [i / 10 for i in range(60)], [[10, 5, 20, 40]])
    long = replace(camera("gate"), n_frames=60)
    folder = results.write(tmp_path / "run", [person(1, stays)], [long])
    settings_of_run = """
cameras: [{source: gate.mp4, name: gate, homography: [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 1]]}]
zones: [{name: door, camera: gate, polygon: [[0, 20], [40, 20], [40, 48], [0, 48]]}]
"""
    (folder / "config.yaml").write_text(settings_of_run)
    back = imported(folder, exported(folder, "cvat"))
    assert (back / "config.yaml").read_text() == settings_of_run
    (back / "config.yaml").write_text("edited")
    assert (folder / "config.yaml").read_text() == settings_of_run
    (only,) = json.loads((back / "trajectories.json").read_text())["people"]
    assert only["tracklets"][0]["floor_m"][0] == [1.5, 4.0]
    with (back / "zones.csv").open(newline="") as file:
        events = list(csv.DictReader(file))
    assert {(event["zone"], event["person_id"]) for event in events} == {("door", "1")}
    manifest = json.loads((back / "run.json").read_text())
    assert "zones.csv" in manifest["files"]
    (totals,) = manifest["zones"]
    assert (totals["zone"], totals["entries"], totals["inside"]) == ("door", 1, 1)


def test_who_is_inside_when_the_run_ends_has_not_left_whatever_the_frame_rate_is(
    tmp_path: Path,
) -> None:
    n_frames = 120
    at_twice_the_rate = Tracklet.bare(
        "gate",
        1,
        np.arange(n_frames),
        np.arange(n_frames) / 20,
        np.tile(np.array([[10, 5, 20, 40]], np.float32), (n_frames, 1)),
        np.ones(n_frames, np.float32),
    )
    gate = replace(camera("gate"), n_frames=n_frames)
    folder = results.write(tmp_path / "run", [person(1, at_twice_the_rate)], [gate])
    (folder / "config.yaml").write_text("""
cameras: [{source: gate.mp4, name: gate}]
zones: [{name: door, camera: gate, polygon: [[0, 20], [40, 20], [40, 48], [0, 48]]}]
""")
    back = imported(folder, exported(folder, "cvat"))
    (totals,) = json.loads((back / "run.json").read_text())["zones"]
    assert (totals["entries"], totals["exits"], totals["inside"]) == (1, 0, 1)


def test_the_report_of_labels_advises_nothing_that_only_a_run_can_do(folder: Path) -> None:
    page = (imported(folder, exported(folder, "cvat")) / "report.html").read_text()
    assert "--no-video" not in page
    assert "Longer videos" not in page
    assert "show people as they were before they were labelled by hand" in page


def test_imported_results_are_truth_in_which_every_box_counts(folder: Path) -> None:
    back = imported(folder, exported(folder, "cvat"))
    report, _ = evaluate(folder, back)
    assert report.cameras["gate"]["IDF1"] == pytest.approx(1)
    n_rows = sum(len((back / "mot" / f"{c.name}.txt").read_text().splitlines()) for c in CAMERAS)
    assert n_rows == len(rows_of(folder))


def test_imported_results_are_boxes_to_crop_people_from(tmp_path: Path) -> None:
    video = write_video(tmp_path / "gate.mp4", 20)
    folder = results.write(tmp_path / "run", PEOPLE, [CAMERAS[1], CAMERAS[0]])
    back = imported(folder, exported(folder, "cvat"))
    arguments = ["--videos", video, "--boxes", back, "--output", tmp_path / "crops"]
    arguments += ["--min-height", 1, "--every-s", 0.1]
    assert crops.main([str(each) for each in arguments]) == 0
    assert (tmp_path / "crops" / "0007" / "gate" / "000001.jpg").is_file()


def test_a_track_that_was_given_to_somebody_else_is_theirs(folder: Path) -> None:
    out = exported(folder, "cvat")
    other = '<attribute name="person_id">1</attribute>'
    edited(out / "gate.xml", lambda text: text.replace(other, other.replace("1", "30")))
    back = imported(folder, out)
    table = rows_of(back)
    assert of_person(table, 30) == [1, 2, 3]
    assert of_person(table, 1) == []
    assert {row["track_id"] for row in table if row["person_id"] == "30"} == {"4"}


def test_boxes_that_were_moved_added_and_deleted_in_cvat_are_so_in_the_results(
    folder: Path,
) -> None:
    out = exported(folder, "cvat")
    drawn = """<track id="9" label="person" source="manual">
    <box frame="8" outside="0" keyframe="1" xtl="1" ytl="2" xbr="11.5" ybr="30">
      <attribute name="person_id">50</attribute></box>
    <box frame="10" outside="0" keyframe="1" xtl="3" ytl="2" xbr="13.5" ybr="34">
      <attribute name="person_id">50</attribute></box>
    <box frame="11" outside="1" keyframe="1" xtl="3" ytl="2" xbr="13.5" ybr="34">
      <attribute name="person_id">50</attribute></box>
    </track></annotations>"""

    def edit(text: str) -> str:
        text = text.replace(
            'frame="4" outside="0" occluded="0" keyframe="1" xtl="10.00"',
            'frame="4" outside="0" occluded="0" keyframe="1" xtl="12.00"',
        )
        text = re.sub(r'  <track id="0".*?</track>\n', "", text, flags=re.DOTALL)
        return text.replace("</annotations>", drawn)

    edited(out / "gate.xml", edit)
    table = rows_of(imported(folder, out))
    moved = {row["frame"]: row["x1"] for row in table if row["camera"] == "gate"}
    assert (moved["4"], moved["5"]) == ("12.00", "10.00")
    assert of_person(table, 1) == []
    added = [row for row in table if row["person_id"] == "50"]
    assert [(row["frame"], row["x1"], row["y2"], row["filled"]) for row in added] == [
        ("8", "1.00", "30.00", "0"),
        ("9", "2.00", "32.00", "1"),
        ("10", "3.00", "34.00", "0"),
    ]
    assert [row["time_s"] for row in added] == ["0.8000", "0.9000", "1.0000"]
    assert {row["track_id"] for row in added} == {"5"}
    assert {row["score"] for row in added} == {"1.0000"}


def test_a_track_that_was_split_in_cvat_is_two_tracklets_of_two_people(folder: Path) -> None:
    out = exported(folder, "cvat")

    def edit(text: str) -> str:
        before, track, after = text.partition('<track id="1"')
        first, at, second = after.partition('    <box frame="4"')
        second, end, rest = second.partition("</track>")
        head = '  </track>\n  <track id="8" label="person" source="auto">\n'
        return before + track + first + head + at + second.replace(">7<", ">8<") + end + rest

    edited(out / "gate.xml", edit)
    table = rows_of(imported(folder, out))
    assert of_person(table, 7) == [0, 1, 2, 3, 12, 13]
    assert of_person(table, 8) == [4, 5]
    pieces_of_3 = {(row["person_id"], row["tracklet"]) for row in table if row["track_id"] == "3"}
    assert pieces_of_3 == {("7", "0"), ("8", "4"), ("7", "12")}


def test_a_second_track_with_the_same_track_id_and_frames_gets_an_id_of_its_own(
    folder: Path,
) -> None:
    out = exported(folder, "cvat")
    edited(
        out / "gate.xml",
        lambda text: text.replace(
            '<attribute name="track_id">4</attribute>', '<attribute name="track_id">3</attribute>'
        ),
    )
    table = rows_of(imported(folder, out))
    keys = [(row["camera"], row["frame"], row["track_id"]) for row in table]
    assert len(set(keys)) == len(keys)
    assert of_person(table, 1) == [1, 2, 3]


def test_a_download_of_cvat_is_read_and_is_of_the_camera_that_its_task_is_named_after(
    folder: Path,
) -> None:
    out = exported(folder, "cvat")
    download = folder.parent / "task_17_annotations.zip"
    with zipfile.ZipFile(download, "w") as archive:
        archive.write(out / "gate.xml", "annotations.xml")
    back = imported(folder, download)
    gate_rows = [row for row in rows_of(folder) if row["camera"] == "gate"]
    assert rows_of(back) == gate_rows


def test_cameras_without_a_file_are_left_out_with_a_note(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = exported(folder, "cvat")
    back = imported(folder, out / "gate.xml")
    said = capsys.readouterr()
    assert "note: no file was given for lobby, empty; left out" in said.err
    assert "2 people in 3 tracklets" in said.out
    assert [path.name for path in (back / "mot").iterdir()] == ["gate.txt"]
    described = json.loads((back / "trajectories.json").read_text())["cameras"]
    assert [each["camera"] for each in described] == ["gate"]


def test_frames_between_those_of_the_run_are_accepted_and_the_run_then_has_every_frame(
    tmp_path: Path,
) -> None:
    seen = tracklet("gate", 1, [0.0, 0.3], [[1, 2, 3, 4]])
    folder = results.write(tmp_path / "run", [person(1, seen)], [camera("gate")], stride=3)
    labels = tmp_path / "gate.txt"
    labels.write_text("".join(f"{frame},1,1,2,10,30,1,1,1\n" for frame in range(1, 8)))
    back = imported(folder, labels)
    assert [row["time_s"] for row in rows_of(back)] == [f"{each / 10:.4f}" for each in range(7)]
    (described,) = json.loads((back / "run.json").read_text())["cameras"]
    assert (described["stride"], described["frame_ranges"]) == (1, [[0, 57]])


def test_times_count_from_the_first_image_where_the_run_saw_nobody(tmp_path: Path) -> None:
    late = replace(camera("gate"), start_s=7.0)
    ranges = {"gate": [(21, 40)]}
    folder = results.write(tmp_path / "run", [], [late], frame_ranges=ranges)
    labels = tmp_path / "gate.txt"
    labels.write_text("22,9,1,2,10,30,1,1,1\n24,9,1,2,10,30,1,1,1\n")
    assert [row["time_s"] for row in rows_of(imported(folder, labels))] == ["7.0000", "7.2000"]


def test_somebody_who_is_away_for_long_has_several_tracklets(folder: Path) -> None:
    (folder / "mot" / "gate.txt").write_text("1,9,1,2,10,30,1,1,1\n20,9,1,2,10,30,1,1,1\n")
    cameras = [replace(each, fps=5.0) for each in CAMERAS]
    run_folder = results.write(folder.parent / "slow", [], cameras)
    back = imported(run_folder, folder / "mot" / "gate.txt")
    assert [(row["time_s"], row["tracklet"]) for row in rows_of(back)] == [
        ("0.0000", "0"),
        ("3.8000", "19"),
    ]


BOX = '<box frame="{}" outside="0" keyframe="1" xtl="1" ytl="2" xbr="11" ybr="30">{}</box>'
SOMEBODY = '<attribute name="person_id">3</attribute>'


def cvat(*tracks: str, root: str = "annotations") -> str:
    inside = "".join(
        f'<track id="{i}" label="person">{track}</track>' for i, track in enumerate(tracks)
    )
    return f"<{root}>{inside}</{root}>"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (cvat(BOX.format(400, SOMEBODY)), "frame 400, but gate has frames 0 to 19 (from 0)"),
        (
            cvat(BOX.format(0, SOMEBODY) + BOX.format(999_999_999, SOMEBODY)),
            "frame 999999999, but gate has frames 0 to 19 (from 0)",
        ),
        (cvat(BOX.format(-1, SOMEBODY)), "frame must be a whole number, not '-1'"),
        (cvat(BOX.format(4, "")), "track 0, frame 4: has no person_id; give it the number"),
        (cvat(BOX.format(4, SOMEBODY.replace("3", "0"))), "has no person_id"),
        (cvat(BOX.format(4, SOMEBODY.replace("3", "Ann"))), "person_id must be a whole number"),
        (cvat(BOX.format(4, SOMEBODY) * 2), "track 0 has two boxes in frame 4"),
        (
            cvat(BOX.format(4, SOMEBODY), BOX.format(4, SOMEBODY)),
            "person 3 has two boxes in frame 4 (from 0); delete one",
        ),
        (cvat(BOX.format(4, SOMEBODY).replace("11", "1")), "the box has no area"),
        (cvat(BOX.format(4, SOMEBODY).replace("11", "nan")), "xbr must be a number, not 'nan'"),
        (
            cvat(BOX.format(4, SOMEBODY).replace("11", "1e300")),
            "the box of person 3 in frame 4 (from 0) reaches to 1e+300 px",
        ),
        (cvat('<polygon frame="1"/>'), "track 0 is a polygon"),
        ('<annotations><image id="0"/></annotations>', "has images instead of tracks"),
        (cvat(root="dataset"), "is not CVAT's XML; export it from CVAT as CVAT for video 1.1"),
        ("<annotations>", "is damaged"),
        ('<?xml version="1.0" encoding="nonsense"?><annotations/>', "is damaged"),
        ("", "is damaged"),
        (
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + cvat("&b;"),
            "is damaged",
        ),
    ],
)
def test_what_cannot_be_meant_in_cvat_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    path = folder.parent / "gate.xml"
    path.write_text(text)
    line = refused(capsys, folder, path)
    assert says in line
    assert "gate.xml" in line


def test_archives_that_are_damaged_or_of_something_else_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.parent / "gate.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    assert "gate.zip: is damaged" in refused(capsys, folder, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gt/gt.txt", "")
    assert "gate.zip: has no annotations.xml; export it" in refused(capsys, folder, path)
    text = cvat(BOX.format(4, SOMEBODY) * 1000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", text)
    damaged = bytearray(path.read_bytes())
    damaged[60:70] = bytes(10)
    path.write_bytes(damaged)
    assert "gate.zip: is damaged" in refused(capsys, folder, path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,1,1,2,10,30,1,1,1\n1,1,20,2,10,30,1,1,1\n", "person 1 has two boxes in frame 0"),
        ("900,1,1,2,10,30,1,1,1\n", "frame 899, but gate has frames 0 to 19"),
        ("1,-1,1,2,10,30,1,1,1\n", "ids (column 2) are numbers of people, 1 or more"),
        ("1,1,1,2\n", "line 1"),
        ("1,1,1,2,1e30,30,1,1,1\n", "person 1 in frame 0 (from 0) reaches to 1e+30 px"),
    ],
)
def test_what_cannot_be_meant_in_a_mot_file_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    path = folder.parent / "gate.txt"
    path.write_text(text)
    assert says in refused(capsys, folder, path)


def test_labels_of_a_camera_of_which_no_frame_was_processed_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = replace(camera("gate"), n_frames=0)
    folder = results.write(tmp_path / "run", [], [nothing], frame_ranges={"gate": []})
    path = tmp_path / "gate.xml"
    path.write_text(cvat(BOX.format(2, SOMEBODY)))
    assert "has a box in frame 2, but gate has no frames" in refused(capsys, folder, path)


def test_files_of_no_camera_of_two_kinds_and_of_none_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = exported(folder, "cvat")
    door = out / "door.xml"
    door.write_text(cvat(BOX.format(1, SOMEBODY)))
    assert "is of no camera of" in refused(capsys, folder, door)
    assert "(lobby, gate, empty); name it after its camera" in refused(capsys, folder, door)
    both = [out / "gate.xml", folder / "mot" / "gate.txt"]
    assert "give one file a camera" in refused(capsys, folder, *both)
    assert "no such file" in refused(capsys, folder, out / "hall.xml")
    assert "is no XML file of CVAT" in refused(capsys, folder, folder / "run.json")
    nothing = folder.parent / "nothing"
    nothing.mkdir()
    assert "has no XML files of CVAT and no MOT files" in refused(capsys, folder, nothing)


def test_the_run_itself_and_other_results_are_not_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = exported(folder, "cvat")
    assert run(folder, out, "--output", folder, "--overwrite") == 2
    assert "is the run itself" in capsys.readouterr().err
    back = imported(folder, out)
    assert run(folder, out, "--output", back) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run(folder, out, "--output", back, "--overwrite") == 0


def test_what_may_not_be_meant_in_a_mot_file_is_a_warning_that_the_results_keep(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = folder.parent / "gate.txt"
    labels.write_text("1,1,1,2,10,30,1,1,1\n2,1,1,2,10,0,1,1,1\n")
    back = imported(folder, labels)
    assert "warning: " in capsys.readouterr().err
    (warning,) = json.loads((back / "run.json").read_text())["warnings"]
    assert "1 of 2 boxes have no area" in warning
    assert of_person(rows_of(back), 1) == [0]


def test_rows_that_were_seen_lie_at_the_times_of_the_run_and_others_between_them(
    tmp_path: Path,
) -> None:
    uneven = Tracklet.bare(
        "gate",
        1,
        np.array([2, 3, 6]),
        np.array([0.21, 0.35, 0.8]),
        np.tile(np.array([[1, 2, 30, 40]], np.float32), (3, 1)),
        np.ones(3, np.float32),
    )
    folder = results.write(tmp_path / "run", [person(1, uneven)], [camera("gate")])
    labels = tmp_path / "gate.txt"
    labels.write_text("".join(f"{frame + 1},1,1,2,29,38,1,1,1\n" for frame in range(9)))
    times_s = [float(row["time_s"]) for row in rows_of(imported(folder, labels))]
    assert_allclose(times_s, [0.01, 0.11, 0.21, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0], atol=1e-4)
    assert all(second > first for first, second in itertools.pairwise(times_s))
