"""Exported files say what the results say, by the libraries that people read them with."""

import contextlib
import gc
import json
import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.errors import ConfigError, SourceError
from pipeline.evaluate import boxes
from pipeline.exports import __main__ as export
from pipeline.exports import table, to_supervision
from pipeline.exports.table import Table
from pipeline.fill import fill
from pipeline.outputs.trajectories import Rows
from pipeline.records import Person
from tests.pipeline.exports import results
from tests.pipeline.outputs.people import camera, person, tracklet

EARLY = tracklet("gate", 3, [0.0, 0.1, 0.4, 0.5], [[10, 5, 20, 40]])
LATER = tracklet("lobby", 1, [0.5, 0.6], [[1, 2, 3.25, 4.5]])
AGAIN = tracklet("gate", 3, [1.2], [[30, 5, 40.5, 44]])
OTHER = tracklet("gate", 4, [0.1, 0.2], [[-3, 0, 9, 48]])
(FILLED,) = fill([person(7, EARLY)], max_gap_s=1.5, stride=1)
PEOPLE = [person(1, OTHER), person(7, *FILLED.tracklets, LATER, AGAIN)]
CAMERAS = [camera("lobby", fps=12.5), camera("gate"), camera("empty")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return results.write(tmp_path / "run", PEOPLE, CAMERAS)


def run(*arguments: str | Path) -> int:
    return export.main([str(each) for each in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that says why."""
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@contextlib.contextmanager
def parts_of(n_rows: int) -> Iterator[None]:
    """Read tables in small parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "PART_ROWS", n_rows)
        yield


def all_rows(folder: Path) -> dict[str, list[Rows]]:
    read = Table(folder).by_camera()
    return {footage.camera.name: list(parts) for footage, parts in read}


def test_a_table_has_all_rows_of_a_run_and_cameras_without_rows(folder: Path) -> None:
    read = all_rows(folder)
    assert list(read) == ["gate", "lobby", "empty"]
    gate = table.concatenate(read["gate"])
    assert gate.frames.tolist() == [0, 1, 1, 2, 2, 3, 4, 5, 12]
    assert gate.person_ids.tolist() == [7, 7, 1, 7, 1, 7, 7, 7, 7]
    assert gate.is_filled.tolist() == [False, False, False, True, False, True, False, False, False]
    assert_allclose(gate.boxes[-1], [30, 5, 40.5, 44])
    assert read["empty"] == []


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7])
def test_no_frame_is_in_two_parts_however_small_they_are(folder: Path, n_rows: int) -> None:
    whole = table.concatenate(all_rows(folder)["gate"])
    with parts_of(n_rows):
        parts = all_rows(folder)["gate"]
    frames = [set(part.frames.tolist()) for part in parts]
    assert sum(map(len, frames)) == len(set().union(*frames))
    joined = table.concatenate(parts)
    assert joined.frames.tolist() == whole.frames.tolist()
    assert_allclose(joined.boxes, whole.boxes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("camera,frame", "kamera,frame"),
        ("gate,12,", "gate,x,"),
        ("gate,12,", "gate,3,"),
        ("gate,12,", "door,12,"),
        ("lobby,5,", "gate,5,"),
        (",40.50,", ",nan,"),
        (",40.50,", ","),
    ],
)
def test_damaged_tables_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], before: str, after: str
) -> None:
    damaged = folder / "tracks.csv"
    damaged.write_text(damaged.read_text().replace(before, after))
    line = refused(capsys, folder, "--coco", folder.parent / "out.json")
    assert "tracks.csv: its results were not written by this program" in line
    assert not (folder.parent / "out.json").exists()


def test_cameras_are_described_whatever_follows_them(folder: Path) -> None:
    document = json.loads((folder / "trajectories.json").read_text())
    document["cameras"][0]["source"] = 'a "people": [] b'
    (folder / "trajectories.json").write_text(json.dumps(document, indent=2))
    assert list(Table(folder).footage) == ["lobby", "gate", "empty"]
    assert Table(folder).footage["lobby"].camera.source == 'a "people": [] b'


@pytest.mark.parametrize(
    "text", ["", "[]", '{"cameras": 3, "people": []}', '{"cameras": [{}], "people": []}']
)
def test_a_folder_that_is_no_run_is_one_line(folder: Path, text: str) -> None:
    (folder / "trajectories.json").write_text(text)
    with pytest.raises(SourceError, match="give the output folder of a run"):
        Table(folder)


@pytest.mark.parametrize("name", ["..", "../door", "a/b", ""])
def test_names_of_cameras_that_would_lead_out_of_the_folder_are_refused(
    folder: Path, name: str
) -> None:
    described = (folder / "trajectories.json").read_text().replace('"empty"', json.dumps(name))
    (folder / "trajectories.json").write_text(described)
    with pytest.raises(SourceError, match="were not written by this program"):
        Table(folder)


def test_mot_sequences_are_read_as_truth_that_the_results_match(folder: Path) -> None:
    out = folder.parent / "mot"
    assert run(folder, "--mot", out) == 0
    truth = boxes.read_truth(out, 0.5)
    assert truth["gate"].counts.all()
    expected = boxes.read_results(folder)
    for name in ("gate", "lobby"):
        ours = truth[name].rows
        order = np.lexsort([expected[name].ids, expected[name].frames])
        assert ours.frames.tolist() == expected[name].frames[order].tolist()
        assert ours.ids.tolist() == expected[name].ids[order].tolist()
        assert_allclose(ours.boxes, expected[name].boxes[order], atol=1e-4)
    assert (out / "empty" / "gt" / "gt.txt").read_text() == ""
    assert "seqLength=20\nimWidth=64\nimHeight=48\n" in (out / "gate" / "seqinfo.ini").read_text()
    assert "frameRate=12.5\n" in (out / "lobby" / "seqinfo.ini").read_text()


def test_coco_is_read_by_pycocotools_and_has_images_of_frames_without_people(folder: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs the package pycocotools")
    out = folder.parent / "run.json"
    assert run(folder, "--coco", out) == 0
    with contextlib.redirect_stdout(None):
        read = coco.COCO(str(out))
    assert len(read.imgs) == 60
    assert len(read.anns) == 11
    images = {image["file_name"]: image for image in read.imgs.values()}
    image = images["gate/000001.jpg"]
    assert (image["width"], image["height"], image["frame_id"]) == (64, 48, 1)
    annotations = read.loadAnns(read.getAnnIds(imgIds=[image["id"]]))
    assert [(each["person_id"], each["track_id"], each["bbox"]) for each in annotations] == [
        (7, 3, [10, 5, 10, 35]),
        (1, 4, [-3, 0, 12, 48]),
    ]
    assert (annotations[0]["area"], annotations[0]["segmentation"]) == (350, [])
    filled = [each for each in read.anns.values() if each["filled"]]
    assert [(each["tracklet"], each["score"]) for each in filled] == [(0, 0.0), (0, 0.0)]
    assert read.getAnnIds(imgIds=[images["gate/000010.jpg"]["id"]]) == []


def test_coco_has_images_of_frames_that_run_json_does_not_know(folder: Path) -> None:
    (folder / "run.json").unlink()
    cameras = [replace(each, n_frames=2) for each in CAMERAS]
    results.write(folder, PEOPLE, cameras)
    (folder / "run.json").unlink()
    out = folder.parent / "out.json"
    assert run(folder, "--coco", out) == 0
    document = json.loads(out.read_text())
    images = {image["id"] for image in document["images"]}
    assert len(images) == len(document["images"])
    assert {each["image_id"] for each in document["annotations"]} <= images


def boxes_of(track: ET.Element) -> list[tuple[int, bool, bool]]:
    """Frame of each box, whether it is a keyframe, and whether it ends what is seen."""
    return [
        (int(box.attrib["frame"]), box.attrib["keyframe"] == "1", box.attrib["outside"] == "1")
        for box in track.findall("box")
    ]


def test_a_cvat_track_is_a_tracklet_and_ends_with_a_box_outside(folder: Path) -> None:
    out = folder.parent / "cvat"
    assert run(folder, "--cvat", out) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["empty.xml", "gate.xml", "labels.json", "lobby.xml"]
    document = ET.parse(out / "gate.xml").getroot()
    other, early, again = document.findall("track")
    assert boxes_of(other) == [(1, True, False), (2, True, False), (3, True, True)]
    assert boxes_of(early) == [
        (0, True, False),
        (1, True, False),
        (2, False, False),
        (3, False, False),
        (4, True, False),
        (5, True, False),
        (6, True, True),
    ]
    assert boxes_of(again) == [(12, True, False), (13, True, True)]
    attributes = {each.attrib["name"]: each.text for each in early.findall("box")[2]}
    assert attributes == {"person_id": "7", "track_id": "3", "score": "0.0000", "filled": "true"}
    assert document.findtext("meta/task/original_size/width") == "64"
    assert document.findtext("meta/task/stop_frame") == "19"
    (label,) = json.loads((out / "labels.json").read_text())
    named = [each.text for each in document.findall(".//label/attributes/attribute/name")]
    assert [each["name"] for each in label["attributes"]] == named
    assert [each["mutable"] for each in label["attributes"]] == [False, False, True, True]


def test_a_cvat_track_of_every_third_frame_has_gaps_where_the_run_has_them(tmp_path: Path) -> None:
    seen = tracklet("gate", 1, [0.0, 0.3, 0.9, 5.7], [[1, 2, 3, 4]])
    folder = results.write(tmp_path / "run", [person(1, seen)], [camera("gate")], stride=3)
    assert run(folder, "--cvat", tmp_path / "cvat") == 0
    document = ET.parse(tmp_path / "cvat" / "gate.xml").getroot()
    (track,) = document.findall("track")
    frames = [(frame, is_outside) for frame, _, is_outside in boxes_of(track)]
    assert frames == [(0, False), (3, False), (6, True), (9, False), (12, True), (57, False)]
    assert document.findtext("meta/task/frame_filter") == "step=3"


def test_parquet_is_tracks_csv_with_types(folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the package pyarrow")
    csv = pytest.importorskip("pyarrow.csv", reason="needs the package pyarrow")
    out = folder.parent / "run.parquet"
    with parts_of(2):
        assert run(folder, "--parquet", out) == 0
    read = parquet.read_table(out)
    expected = csv.read_csv(folder / "tracks.csv")
    assert read.column_names == expected.column_names
    for name in read.column_names:
        ours, theirs = read[name].to_pylist(), expected[name].to_pylist()
        if name == "camera":
            assert ours == theirs
        else:
            assert_allclose(ours, theirs, rtol=1e-6)
    about = json.loads(read.schema.metadata[b"people_tracker"])
    assert about["schema"] == "tracks/1"
    assert [each["camera"] for each in about["cameras"]] == ["lobby", "gate", "empty"]
    assert parquet.ParquetFile(out).metadata.format_version == "2.6"


def in_rerun(path: Path) -> dict[str, dict[float, dict[str, Any]]]:
    """By entity and time, what the reader of rerun finds; of equal times the last one counts."""
    chunk = pytest.importorskip("rerun.chunk", reason="needs the package rerun-sdk")
    found: dict[str, dict[float, dict[str, Any]]] = {}
    reader = chunk.RrdReader(path)
    (recording,) = reader.recordings()
    for each in reader.stream(store=recording):
        rows = each.to_record_batch().to_pydict()
        times = rows.get("time", [])
        of_entity = found.setdefault(each.entity_path, {})
        for i, time in enumerate(times):
            of_entity[time.total_seconds()] = {name: values[i] for name, values in rows.items()}
    return found


def test_rerun_shows_each_frame_with_its_people_and_nobody_after_the_last(folder: Path) -> None:
    pytest.importorskip("rerun", reason="needs the package rerun-sdk")
    out = folder.parent / "run.rrd"
    with parts_of(3):
        assert run(folder, "--rerun", out) == 0
    read = in_rerun(out)
    gate = read["/gate"]
    labels = {time: row["Boxes2D:labels"] for time, row in sorted(gate.items())}
    assert labels == {
        0.0: ["7"],
        0.1: ["7", "1"],
        0.2: ["7", "1"],
        0.3: ["7"],
        0.4: ["7"],
        0.5: ["7"],
        0.6: [],
        1.2: ["7"],
        1.3: [],
    }
    assert gate[0.1]["frame"] == 1
    assert gate[0.1]["Boxes2D:class_ids"] == [7, 1]
    assert gate[0.1]["Boxes2D:centers"] == [[15, 22.5], [3, 24]]
    assert gate[0.1]["Boxes2D:half_sizes"] == [[5, 17.5], [6, 24]]
    assert "/lobby/picture" in read


def test_a_writer_of_rerun_that_is_switched_off_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="needs the package rerun-sdk")
    monkeypatch.setenv("RERUN", "0")
    out = folder.parent / "run.rrd"
    assert run(folder, "--rerun", out) == 2
    assert "run.rrd: rerun wrote nothing" in capsys.readouterr().err
    assert not out.exists()


def test_supervision_gets_the_people_of_a_camera_frame_by_frame(folder: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="needs the package supervision")
    with parts_of(4):
        people = dict(to_supervision(folder, "gate"))
    assert list(people) == [0, 1, 2, 3, 4, 5, 12]
    both = people[1]
    assert isinstance(both, supervision.Detections)
    assert both.tracker_id.tolist() == [7, 1]
    assert_allclose(both.xyxy, [[10, 5, 20, 40], [-3, 0, 9, 48]])
    assert_allclose(both.confidence, [0.875, 0.875])
    assert both[both.tracker_id == 1].data["track_id"].tolist() == [4]
    assert people[3].data["filled"].tolist() == [True]
    assert list(to_supervision(folder, "empty")) == []


def test_supervision_of_an_unknown_camera_names_the_known_ones(folder: Path) -> None:
    pytest.importorskip("supervision", reason="needs the package supervision")
    with pytest.raises(ConfigError, match="has no camera door; its cameras are lobby, gate, empty"):
        to_supervision(folder, "door")


def test_a_run_without_people_can_be_exported_in_all_formats(tmp_path: Path) -> None:
    for package in ("pyarrow", "rerun"):
        pytest.importorskip(package, reason=f"needs the package {package}")
    people: list[Person] = []
    folder = results.write(tmp_path / "run", people, [camera("gate")])
    out = tmp_path / "out"
    formats = ("mot", "coco", "cvat", "parquet", "rerun")
    arguments = [word for each in formats for word in (f"--{each}", out / each)]
    assert run(folder, *arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(formats)


def export_peak(folder: Path, name: str, n_people: int) -> tuple[int, int]:
    """Size of the rows of people who walk one after the other, and most memory of an export."""
    times_s = np.arange(0, 8, 0.1)
    walks = [tracklet("gate", 1 + i, times_s + i, [[1, 2, 3, 4]]) for i in range(n_people)]
    people = [person(1 + i, walk) for i, walk in enumerate(walks)]
    results.write(folder, people, [replace(CAMERAS[1], n_frames=900)])
    with parts_of(100):
        gc.collect()
        tracemalloc.start()
        assert run(folder, f"--{name}", folder / "out") == 0
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return (folder / "tracks.csv").stat().st_size, peak


@pytest.mark.parametrize("name", ["mot", "coco", "cvat"])
def test_the_memory_of_an_export_does_not_grow_with_the_rows(tmp_path: Path, name: str) -> None:
    export_peak(tmp_path / "first", name, 2)  # loads what the format needs
    small, peak_of_small = export_peak(tmp_path / "small", name, 20)
    large, peak_of_large = export_peak(tmp_path / "large", name, 80)
    assert peak_of_large - peak_of_small < 0.3 * (large - small)


def test_nothing_is_replaced_unless_it_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "out.json"
    out.write_text("mine")
    assert "out.json: exists; choose another place" in refused(capsys, folder, "--coco", out)
    assert out.read_text() == "mine"
    assert run(folder, "--coco", out, "--overwrite") == 0
    assert json.loads(out.read_text())["images"]
    kept = folder.parent / "cvat" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    assert "exists" in refused(capsys, folder, "--cvat", kept.parent)
    assert run(folder, "--cvat", kept.parent, "--overwrite") == 0
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "place"), [("coco", "run.json"), ("parquet", "tracks.csv"), ("mot", "mot")]
)
def test_files_of_the_run_itself_are_never_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    said = refused(capsys, folder, f"--{name}", folder / place, "--overwrite")
    assert f"{place}: belongs to the run" in said
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before
    assert run(folder, "--coco", folder / "people.json") == 0


def test_places_of_the_wrong_kind_and_given_twice_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is a folder" in refused(capsys, folder, "--coco", folder)
    assert "is a file" in refused(capsys, folder, "--cvat", folder / "run.json")
    out = folder.parent / "out"
    assert "same place" in refused(capsys, folder, "--coco", out, "--parquet", out)
    (folder.parent / "a").write_text("")
    assert "a/out.json: cannot be written" in refused(
        capsys, folder, "--coco", folder.parent / "a" / "out.json"
    )


def test_a_format_has_to_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(folder)
    assert "name a format: --mot, --coco, --cvat, --parquet or --rerun" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "module"), [("parquet", "pyarrow"), ("rerun", "rerun")])
def test_a_missing_package_is_said_before_anything_is_written(
    folder: Path, name: str, module: str
) -> None:
    out = folder.parent / "out"
    arguments = [str(folder), "--coco", str(out / "a.json"), f"--{name}", str(out / "b")]
    hidden = (
        "import importlib.util, sys; known = importlib.util.find_spec;"
        f"importlib.util.find_spec = lambda name: None if name == {module!r} else known(name);"
        "from pipeline.exports import __main__; sys.exit(__main__.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"error: --{name} needs the package" in done.stderr
    assert not out.exists()
