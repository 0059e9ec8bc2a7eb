import csv
import json
import time
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pipeline import mot
from pipeline.outputs import trajectories
from pipeline.outputs.folder import OutputFolder
from pipeline.records import Camera, Person
from tests.conftest import ROOT
from tests.pipeline.outputs.people import camera, link, person, tracklet

SCHEMA = json.loads((ROOT / "pipeline" / "outputs" / "trajectories-1.schema.json").read_text())

EARLY = tracklet("gate", 3, [0.0, 0.1], [[10, 5, 20, 40], [11.125, 5, 21, 40]])
LATER = tracklet("lobby", 1, [0.5], [[1, 2, 3, 4]])
AGAIN = tracklet("gate", 5, [0.1, 1.2], [[30, 5, 40, 44]])
OTHER = tracklet("gate", 4, [0.1], [[-3, 0, 9, 48]])

PEOPLE = [
    person(1, EARLY, LATER, AGAIN, links=[link(EARLY, LATER, 0.9), link(LATER, AGAIN, 0.6)]),
    person(2, OTHER),
]
CAMERAS = [
    camera("lobby"),
    replace(camera("gate", np.diag([0.01, 0.02, 1])), n_dropped=7),
    camera("empty"),
]


def document(people: list[Person], cameras: list[Camera]) -> dict:
    """The trajectories, checked against the schema."""
    loaded: dict = json.loads("".join(trajectories.json_parts(people, cameras, 0.9)))
    jsonschema.Draft202012Validator(SCHEMA).validate(loaded)
    return loaded


def test_the_schema_is_one_and_refuses_what_it_does_not_know() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError, match="was unexpected"):
        jsonschema.validate(document(PEOPLE, CAMERAS) | {"extra": 1}, SCHEMA)


@pytest.mark.parametrize("cameras", [CAMERAS, []])
def test_a_run_without_people_follows_the_schema(cameras: list[Camera]) -> None:
    assert document([], cameras)["people"] == []


def test_people_and_cameras_are_written_as_the_schema_says() -> None:
    written = document(PEOPLE, CAMERAS)
    assert [(c["camera"], c["n_frames"], c["n_dropped"]) for c in written["cameras"]] == [
        ("lobby", 20, 0),
        ("gate", 20, 7),
        ("empty", 20, 0),
    ]
    first, second = written["people"]
    assert {key: first[key] for key in ("person_id", "first_s", "last_s", "cameras")} == {
        "person_id": 1,
        "first_s": 0.0,
        "last_s": 1.2,
        "cameras": ["gate", "lobby"],
    }
    assert [(t["camera"], t["track_id"]) for t in first["tracklets"]] == [
        ("gate", 3),
        ("lobby", 1),
        ("gate", 5),
    ]
    assert second["tracklets"][0]["boxes"] == [[-3, 0, 9, 48]]


def test_a_person_with_a_link_that_a_lookalike_puts_in_doubt_is_doubtful() -> None:
    doubted = link(EARLY, LATER, 0.6, lookalike="gate/4@1")
    people = [person(1, EARLY, LATER, links=[doubted]), person(2, OTHER)]
    assert [p["doubtful"] for p in document(people, CAMERAS)["people"]] == [True, False]


def test_trajectories_of_earlier_versions_without_doubts_follow_the_schema() -> None:
    written = document(PEOPLE, CAMERAS)
    for entry in written["people"]:
        del entry["doubtful"]
    jsonschema.validate(written, SCHEMA)


def test_a_tracklet_has_a_time_a_box_and_a_score_for_every_frame_and_frames_count_from_0() -> None:
    early = document(PEOPLE, CAMERAS)["people"][0]["tracklets"][0]
    assert (early["frames"], early["times_s"], early["scores"]) == (
        [0, 1],
        [0.0, 0.1],
        [0.875, 0.875],
    )
    assert early["boxes"] == [[10, 5, 20, 40], [11.12, 5, 21, 40]]


def test_only_cameras_with_a_homography_have_floor_positions() -> None:
    early, later, _ = document(PEOPLE, CAMERAS)["people"][0]["tracklets"]
    assert early["floor_m"] == [[0.15, 0.8], [0.161, 0.8]]
    assert "floor_m" not in later


def test_feet_on_the_horizon_still_give_valid_json() -> None:
    horizon_at_40 = np.array([[1.0, 0, 0], [0, 1, 0], [0, -0.025, 1]])
    early = document([person(1, EARLY)], [camera("gate", horizon_at_40)])["people"][0]["tracklets"][
        0
    ]
    assert np.isfinite(early["floor_m"]).all()


def test_a_tracklets_link_probability_is_that_of_its_best_link_and_1_when_it_is_alone() -> None:
    assert trajectories.link_probabilities(PEOPLE[0]) == {
        EARLY.key: 0.9,
        LATER.key: 0.9,
        AGAIN.key: 0.6,
    }
    assert trajectories.link_probabilities(PEOPLE[1]) == {OTHER.key: 1}
    written = [t for p in document(PEOPLE, CAMERAS)["people"] for t in p["tracklets"]]
    assert [t["link_probability"] for t in written] == [0.9, 0.9, 0.6, 1]
    assert [t["link_status"] for t in written] == [
        "confirmed",
        "confirmed",
        "probable",
        "confirmed",
    ]


def test_a_tracklet_is_named_by_its_first_frame() -> None:
    first, second = document(PEOPLE, CAMERAS)["people"]
    assert [t["tracklet"] for t in [*first["tracklets"], *second["tracklets"]]] == [0, 5, 1, 1]


def test_the_csv_has_one_row_per_box_by_camera_frame_and_track_and_frames_count_from_0() -> None:
    header, *rows = csv.reader(trajectories.csv_lines(PEOPLE))
    assert (
        ",".join(header)
        == "camera,frame,time_s,track_id,tracklet,person_id,x1,y1,x2,y2,score,filled"
    )
    assert [row[:6] for row in rows] == [
        ["gate", "0", "0.0000", "3", "0", "1"],
        ["gate", "1", "0.1000", "3", "0", "1"],
        ["gate", "1", "0.1000", "4", "1", "2"],
        ["gate", "1", "0.1000", "5", "1", "1"],
        ["gate", "12", "1.2000", "5", "1", "1"],
        ["lobby", "5", "0.5000", "1", "5", "1"],
    ]
    assert rows[2][6:] == ["-3.00", "0.00", "9.00", "48.00", "0.8750", "0"]


def test_a_camera_name_with_a_comma_stays_one_column() -> None:
    people = [person(1, tracklet("a,b", 1, [0], [[0, 0, 1, 1]]))]
    rows = list(csv.reader(trajectories.csv_lines(people)))
    assert [len(row) for row in rows] == [12, 12]


def test_mot_files_read_back_as_the_same_boxes_with_person_ids_and_frames_from_1(
    tmp_path: Path,
) -> None:
    assert list(trajectories.mot_lines(PEOPLE, "empty")) == []
    path = tmp_path / "gate.txt"
    path.write_text("".join(trajectories.mot_lines(PEOPLE, "gate")))
    rows = mot.read(path)
    assert rows[:, :2].tolist() == [[1, 1], [2, 1], [2, 1], [2, 2], [13, 1]]
    assert sorted(mot.boxes(rows).tolist()) == pytest.approx(
        np.array(sorted([*EARLY.boxes.tolist(), *AGAIN.boxes.tolist(), *OTHER.boxes.tolist()])),
        abs=0.011,
    )
    assert rows[:, 6] == pytest.approx(0.875)


def test_writing_a_long_run_takes_less_memory_than_its_text(tmp_path: Path) -> None:
    n_frames, n_people = 1000, 10
    people = [
        person(i, tracklet("gate", i, (np.arange(n_frames) / 10).tolist(), [[0, 0, 100, 200]]))
        for i in range(1, n_people + 1)
    ]
    folder = OutputFolder(tmp_path, overwrite=True)
    for name, parts in (
        ("tracks.csv", trajectories.csv_lines(people)),
        ("gate.txt", trajectories.mot_lines(people, "gate")),
        ("trajectories.json", trajectories.json_parts(people, [camera("gate")], 0.9)),
    ):
        tracemalloc.start()
        folder.write_parts(name, parts)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes / (n_frames * n_people) < 200, name


def test_a_person_who_is_in_view_for_days_is_never_held_whole() -> None:
    times_s = [index / 10 for index in range(100)]
    pieces = [tracklet("gate", number, times_s, [[1, 2, 3, 4]] * 100) for number in range(50)]
    parts = list(trajectories.json_parts([person(1, *pieces)], CAMERAS, 0.9))
    assert max(map(len, parts)) < len("".join(parts)) / 25


def test_many_links_of_one_person_are_looked_through_once() -> None:
    pieces = [tracklet("gate", i, [float(i)], [[0, 0, 9, 9]]) for i in range(3000)]
    links = [link(a, b, 0.7) for a, b in pairwise(pieces)]
    started_s = time.thread_time()
    probabilities = trajectories.link_probabilities(person(1, *pieces, links=links))
    assert set(probabilities.values()) == {0.7} and len(probabilities) == 3000
    assert time.thread_time() - started_s < 1
