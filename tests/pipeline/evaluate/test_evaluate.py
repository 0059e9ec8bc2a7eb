"""Scores on scenes small enough to count by hand, and against a second implementation on a real
sequence.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

from pipeline import cli, mot
from pipeline.config import TrackerConfig
from pipeline.detect.mot_file import by_frame
from pipeline.errors import SourceError
from pipeline.evaluate import __main__ as command
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.scores import Report
from pipeline.tracking.tracker import Tracker


def write(
    path: Path, cameras: dict[str, list[tuple[int, int, int]]], tail: str = "1,-1,-1,-1"
) -> Path:
    """MOT files: rows (frame, id, place), boxes of 10 x 20 px that are 100 px apart by place."""
    path.mkdir()
    for camera, rows in cameras.items():
        (path / f"{camera}.txt").write_text(
            "".join(f"{f},{i},{100 * at},0,10,20,{tail}\n" for f, i, at in rows)
        )
    return path


def stay(i: int, at: int, first: int = 1, last: int = 10) -> list[tuple[int, int, int]]:
    return [(frame, i, at) for frame in range(first, last + 1)]


def report(
    tmp_path: Path, results: dict[str, list], truth: dict[str, list], **options: float
) -> Report:
    return command.evaluate(
        write(tmp_path / "r", results), write(tmp_path / "t", truth), **options
    )[0]


def test_perfect_results_score_one_everywhere(tmp_path: Path) -> None:
    rows = {"a": stay(1, 1) + stay(2, 2), "b": stay(1, 5)}
    found = report(tmp_path, rows, rows)
    for each in [*found.cameras.values(), found.together["ours"], found.together["oracle links"]]:
        assert all(each[m] == pytest.approx(1) for m in scores.METRICS if m != "IDSW")
        assert each["IDSW"] == 0
    assert (found.link_precision, found.link_recall) == (1, 1)
    assert (found.people_found, found.people_present) == (2, 2)


def test_a_swap_half_way_costs_half_of_idf1_and_two_switches(tmp_path: Path) -> None:
    swapped = stay(1, 1, 1, 5) + stay(1, 2, 6, 10) + stay(2, 2, 1, 5) + stay(2, 1, 6, 10)
    ours = report(tmp_path, {"a": swapped}, {"a": stay(1, 1) + stay(2, 2)}).together["ours"]
    assert ours["IDF1"] == pytest.approx(0.5)
    assert ours["IDSW"] == 2
    assert ours["MOTA"] == pytest.approx(1 - 2 / 20)
    assert ours["DetA"] == pytest.approx(1)
    assert ours["AssA"] == pytest.approx(1 / 3)  # each box: 5 in common, of 10 + 10 - 5
    assert ours["HOTA"] == pytest.approx((1 / 3) ** 0.5)


def test_a_fragment_costs_its_shorter_part(tmp_path: Path) -> None:
    ours = report(
        tmp_path, {"a": stay(1, 1, 1, 7) + stay(2, 1, 8, 10)}, {"a": stay(1, 1)}
    ).together["ours"]
    assert ours["IDF1"] == pytest.approx(0.7)
    assert ours["IDSW"] == 1


def test_two_people_merged_across_cameras_cost_the_global_score_but_no_camera(
    tmp_path: Path,
) -> None:
    results = {"a": stay(1, 1), "b": stay(1, 1)}
    found = report(tmp_path, results, {"a": stay(1, 1), "b": stay(2, 1)})
    assert [c["IDF1"] for c in found.cameras.values()] == [1, 1]
    assert found.together["ours"]["IDF1"] == pytest.approx(0.5)
    assert found.together["local ids only"]["IDF1"] == pytest.approx(1)
    assert found.together["oracle links"]["IDF1"] == pytest.approx(1)
    assert found.link_precision == 0
    assert math.isnan(found.link_recall)
    assert (found.people_found, found.people_present) == (1, 2)


def test_a_person_split_across_cameras_costs_half_and_changes_no_mota(tmp_path: Path) -> None:
    found = report(tmp_path, {"a": stay(1, 1), "b": stay(2, 1)}, {"a": stay(7, 1), "b": stay(7, 1)})
    assert found.together["ours"]["IDF1"] == pytest.approx(0.5)
    assert found.together["ours"]["IDSW"] == 0
    assert found.together["ours"]["MOTA"] == pytest.approx(1)
    assert found.together["oracle links"]["IDF1"] == pytest.approx(1)
    assert math.isnan(found.link_precision)
    assert found.link_recall == 0


def test_nothing_found_scores_zero_where_a_score_is_defined(tmp_path: Path) -> None:
    ours = report(tmp_path, {"a": []}, {"a": stay(1, 1)}).together["ours"]
    assert all(ours[m] == 0 for m in ("HOTA", "DetA", "IDF1", "IDR", "MOTA", "IDSW"))
    assert np.isnan([ours["IDP"], ours["AssA"]]).all()


@pytest.mark.parametrize("results", [[], stay(1, 1)])
def test_a_camera_without_truth_has_no_score_that_is_a_share_of_truth(
    tmp_path: Path, results: list[tuple[int, int, int]]
) -> None:
    truth = write(tmp_path / "t", {"a": [], "b": stay(1, 1)})
    found, notes = command.evaluate(write(tmp_path / "r", {"a": results, "b": stay(1, 1)}), truth)
    empty = found.cameras["a"]
    assert np.isnan([empty["MOTA"], empty["IDR"], empty["IDSW"], empty["AssA"]]).all()
    assert [np.isnan(empty["IDF1"]), np.isnan(empty["HOTA"])] == [not results] * 2
    assert all(not np.isnan(score) for score in found.together["ours"].values())
    assert any("a.txt: has no rows" in note for note in notes)


def test_what_is_not_defined_is_a_dash_on_the_screen_and_null_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"a": stay(1, 1)}
    folders = [str(write(tmp_path / name, rows)) for name in "rt"]
    file = tmp_path / "s.json"
    assert command.main([*folders, "--json", str(file)]) == 0
    assert "links: precision -, recall - over" in capsys.readouterr().out
    written = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert written["link_precision"] is None
    write(tmp_path / "none", {"a": []})
    assert command.main([str(tmp_path / "none"), folders[1], "--json", str(file)]) == 0
    table = capsys.readouterr().out.splitlines()
    # HOTA, DetA, AssA, IDF1, IDP, IDR, MOTA, IDSW
    assert table[1].split() == ["a", "0.0", "0.0", "-", "0.0", "-", "0.0", "0.0", "0"]


def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str, results: str = "r"
) -> str:
    """The one line of the error that scoring r against t gives."""
    assert command.main([str(tmp_path / results), str(tmp_path / "t"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("tail", "words", "option"),
    [
        (
            "1,2,1",
            "0 of 10 rows count: their class (column 8) is 2 (person on vehicle in MOTChallenge),"
            " not 1; if people are class 2 here, add --truth-class 2",
            ["--truth-class", "2"],
        ),
        ("1,80,1", "is 80, not 1; if people are class 80 here", ["--truth-class", "1", "80"]),
        ("1,4", "their class (column 8) is 4 (bicycle", ["--truth-class", "4"]),
        ("0,1,1", "their flag (column 7) is 0", None),
        ("1,1,0.1", "their visibility (column 9) is at most 0.1", ["--min-visibility", "0"]),
    ],
    ids=["class", "unknown class", "eight columns", "flag", "visibility"],
)
def test_truth_without_a_row_that_counts_is_an_error_that_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tail: str,
    words: str,
    option: list[str] | None,
) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": stay(1, 1)}, tail)
    line = refused(tmp_path, capsys)
    assert "a.txt: " in line
    assert words in line
    if option:
        arguments = [str(tmp_path / "r"), str(tmp_path / "t"), *option]
        assert command.main(arguments) == 0
        assert "people: 1 found, 1 present" in capsys.readouterr().out


def test_truth_without_rows_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": []})
    assert "a.txt: has no rows" in refused(tmp_path, capsys)


def test_cameras_of_which_none_is_on_both_sides_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "r", {"lobby": stay(1, 1)})
    write(tmp_path / "t", {"cam1": stay(1, 1)})
    line = refused(tmp_path, capsys)
    assert "has the cameras lobby" in line
    assert "has truth of cam1: no camera in common" in line


def test_frames_of_which_none_is_on_both_sides_are_an_error_that_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": stay(1, 1, 5001, 5010)})
    line = refused(tmp_path, capsys)
    assert "a: results have frames 1 to 10, the truth has frames 5001 to 5010: no frame in" in line
    assert line.endswith("add --first-frame 5001")
    found, _ = command.evaluate(tmp_path / "r", tmp_path / "t", first_frame=5001)
    assert found.together["ours"]["IDF1"] == 1


def test_truth_of_frames_that_a_run_did_not_process_at_all_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces(tmp_path / "r", (1, 1))
    cameras = [{"camera": "a", "n_frames": 4, "stride": 1, "frame_ranges": [[20, 23]]}]
    (tmp_path / "r" / "run.json").write_text(json.dumps({"cameras": cameras}))
    write(tmp_path / "t", {"a": stay(1, 1, 1, 4)})
    line = refused(tmp_path, capsys)
    assert "the run processed frames 21 to 24, the truth has frames 1 to 4" in line
    assert line.endswith("--first-frame -19")
    assert command.main([str(tmp_path / "r"), str(tmp_path / "t"), "--first-frame", "-19"]) == 0


def test_frame_0_is_the_first_frame_and_is_told(tmp_path: Path) -> None:
    truth = write(tmp_path / "t", {"a": stay(1, 1, 0, 9)})
    found, notes = command.evaluate(write(tmp_path / "r", {"a": stay(1, 1)}), truth)
    assert found.together["ours"]["IDF1"] == 1
    assert any("a.txt: frames count from 0" in note for note in notes)
    results = write(tmp_path / "r0", {"a": stay(1, 1, 0, 9)})
    found, notes = command.evaluate(results, truth)
    assert found.together["ours"]["IDF1"] == 1
    assert any("was found in the results" in note for note in notes)


def test_frames_before_the_first_are_an_error_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": stay(1, 1, -3, 9)})
    assert "t/a.txt: frame -3 was found" in refused(tmp_path, capsys)


def test_truth_in_other_pixels_than_the_results_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "r", {"a": stay(1, 1)})
    large = write(tmp_path / "large", {"a": []})
    (large / "a.txt").write_text("".join(f"{f},1,300,0,30,60,1\n" for f in range(1, 11)))
    _, notes = command.evaluate(results, large)
    assert any("not one of 10 boxes matches the truth; boxes reach x 110, y 20" in n for n in notes)
    write(tmp_path / "t", {"a": []})
    (tmp_path / "t" / "a.txt").write_text("".join(f"{f},1,.3,0,.1,.3,1\n" for f in range(1, 11)))
    assert "a.txt: all boxes lie within 0..0.3" in refused(tmp_path, capsys)


def test_truth_is_compared_with_the_picture_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces(tmp_path / "r", (1, 1))
    camera = {"camera": "a", "n_frames": 10, "stride": 1, "width": 120, "height": 30}
    (tmp_path / "r" / "run.json").write_text(json.dumps({"cameras": [camera]}))
    write(tmp_path / "t", {"a": stay(1, 3)})
    assert "100% of 10 boxes lie mostly outside the picture of 120 x 30 px" in refused(
        tmp_path, capsys
    )


def test_cameras_on_one_side_only_are_named_and_missing_results_count_as_missed(
    tmp_path: Path,
) -> None:
    results = write(tmp_path / "r", {"a": stay(1, 1), "x": stay(1, 1)})
    truth = write(tmp_path / "t", {"a": stay(1, 1), "b": stay(1, 1)})
    found, notes = command.evaluate(results, truth)
    assert found.together["ours"]["IDR"] == pytest.approx(0.5)
    assert [note.partition(":")[0] for note in notes[:2]] == ["x", "b"]


def test_some_cameras_can_be_scored_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, truth = (
        write(tmp_path / "r", {"a": stay(1, 1)}),
        write(tmp_path / "t", {"a": stay(1, 1), "b": stay(1, 1)}),
    )
    assert command.evaluate(results, truth, cameras=["a"])[0].together["ours"][
        "IDF1"
    ] == pytest.approx(1)
    assert command.main([str(results), str(truth), "--cameras", "z"]) == 2
    assert "no truth for z; there is a, b" in capsys.readouterr().err


def test_people_seen_by_one_camera_only_are_scored_like_all_others(tmp_path: Path) -> None:
    truth = {"a": stay(1, 1), "b": stay(1, 1) + stay(9, 3)}
    found = report(tmp_path, {"a": stay(1, 1), "b": stay(1, 1)}, truth)
    assert found.together["ours"]["IDR"] == pytest.approx(20 / 30)
    assert found.people_present == 2


@pytest.mark.parametrize(
    ("tail", "counts"),
    [
        ("1,1,1", True),
        ("1,1,0.3", True),
        ("1,1,0.2", False),
        ("0,1,1", False),
        ("1,7,1", False),
        ("1,12,1", False),
    ],
)
def test_ignore_rows_distractors_and_hidden_people_count_neither_for_nor_against(
    tmp_path: Path, tail: str, counts: bool
) -> None:
    truth = write(tmp_path / "t", {"a": stay(1, 1)}, "1,1,1")
    with (truth / "a.txt").open("a") as file:
        file.writelines(f"{f},{i},{100 * at},0,10,20,{tail}\n" for f, i, at in stay(2, 2))
    both = write(tmp_path / "both", {"a": stay(1, 1) + stay(2, 2)})
    one = write(tmp_path / "one", {"a": stay(1, 1)})
    assert command.evaluate(both, truth)[0].together["ours"]["IDF1"] == pytest.approx(1)
    assert command.evaluate(one, truth)[0].together["ours"]["IDF1"] == pytest.approx(
        2 / 3 if counts else 1
    )


def test_visibility_is_an_option_and_other_classes_are_not_there_at_all(tmp_path: Path) -> None:
    truth = write(tmp_path / "t", {"a": stay(1, 1)}, "1,1,0.1")
    with (truth / "a.txt").open("a") as file:
        file.writelines(f"{f},{i},{100 * at},0,10,20,0,3,1\n" for f, i, at in stay(2, 2))  # a car
    results = write(tmp_path / "r", {"a": stay(1, 1) + stay(2, 2)})
    assert command.evaluate(results, truth, 0)[0].together["ours"]["IDP"] == pytest.approx(0.5)
    with pytest.raises(SourceError, match="visibility"):
        command.evaluate(results, truth)


def pieces(path: Path, people: tuple[int, int], column: bool = True) -> Path:
    """A table with one track, in two pieces of five frames that belong to these people; old tables
    lack the column.
    """
    path.mkdir()
    head = "camera,frame,time_s,track_id,person_id,x1,y1,x2,y2,score" + ",tracklet" * column
    rows = [
        f"a,{f},{f / 10},4,{people[f // 5]},100,0,110,20,1" + f",{f // 5 * 5}" * column
        for f in range(10)
    ]
    (path / "tracks.csv").write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize("column", [True, False])
def test_the_pieces_of_a_track_are_one_track_for_the_control_without_links(
    tmp_path: Path, column: bool
) -> None:
    found, _ = command.evaluate(
        pieces(tmp_path / "r", (1, 2), column), write(tmp_path / "t", {"a": stay(1, 1)})
    )
    assert found.together["ours"]["IDF1"] == pytest.approx(0.5)
    assert found.together["local ids only"]["IDF1"] == pytest.approx(1)
    assert found.together["oracle links"]["IDF1"] == pytest.approx(1)
    links = (found.link_precision, found.link_recall)
    assert links == pytest.approx((math.nan, 0 if column else math.nan), nan_ok=True)


@pytest.mark.parametrize(
    ("people", "links"), [((1, 2), (math.nan, math.nan)), ((1, 1), (0, math.nan))]
)
def test_the_pieces_of_a_track_that_went_over_to_somebody_else_have_each_their_person(
    tmp_path: Path, people: tuple[int, int], links: tuple[float, float]
) -> None:
    truth = write(tmp_path / "t", {"a": stay(7, 1, 1, 5) + stay(8, 1, 6, 10)})
    found, _ = command.evaluate(pieces(tmp_path / "r", people), truth)
    assert found.together["oracle links"]["IDF1"] == pytest.approx(1)
    assert found.together["local ids only"]["IDF1"] == pytest.approx(0.5)
    assert (found.link_precision, found.link_recall) == pytest.approx(links, nan_ok=True)


def track(detections: Path, fps: float) -> boxes.Rows:
    """Our tracker's rows on a MOT detections file."""
    tracker, rows = Tracker(TrackerConfig()), []
    for frame, found in sorted(by_frame(detections, 0.1).items()):
        tracks = tracker.update(found, frame / fps, frame)
        rows += [
            (i, k, *box)
            for i, k, box in zip(tracks.frames, tracks.track_ids, tracks.boxes, strict=True)
        ]
    values = np.array(rows)
    frames, ids = values[:, :2].T.astype(np.int64)
    return boxes.Rows(frames, values[:, 2:].astype(np.float32), ids, ids, ids)


@pytest.mark.parametrize("sequence", ["MOT17-05", "MOT17-02"])
def test_the_scores_are_those_of_a_second_implementation_on_a_real_sequence(
    shared_data: Path, sequence: str
) -> None:
    folder = shared_data / "mot" / sequence
    results = track(folder / "det_sim.txt", fps=30)
    scene = boxes.match_frames(sequence, results, boxes.truth(mot.read(folder / "gt.txt"), 0.0))
    ours = scores.score([scene]).cameras[sequence]
    ids = [results.ids[rows] for rows in scene.result_rows]
    hota = compute_hota_metrics(scene.truth_ids, ids, scene.ious)
    identity = compute_identity_metrics(scene.truth_ids, ids, scene.ious)
    clear = compute_clear_metrics(scene.truth_ids, ids, scene.ious)
    expected = {
        **{k: hota[k] for k in ("HOTA", "DetA", "AssA")},
        **{k: identity[k] for k in ("IDF1", "IDP", "IDR")},
    }
    expected |= {"MOTA": clear["MOTA"], "IDSW": clear["IDSW"]}
    assert ours == pytest.approx(expected, abs=1e-6)
    assert ours["HOTA"] > 0.4


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"a": stay(1, 1), "b": stay(1, 5)}
    write(tmp_path / "r", rows)
    write(tmp_path / "t", rows)
    assert (
        command.main([str(tmp_path / "r"), str(tmp_path / "t"), "--json", str(tmp_path / "s.json")])
        == 0
    )
    said = capsys.readouterr().out
    assert all(
        word in said
        for word in ("local ids only", "oracle links", "HOTA", "people: 1 found, 1 present", "0.25")
    )
    assert json.loads((tmp_path / "s.json").read_text())["together"]["ours"]["IDF1"] == 1


def test_frames_that_a_run_did_not_process_are_not_scored(sample: Path, tmp_path: Path) -> None:
    boxes_of = ["--set", f"detector.detections={sample / 'truth'}", "--no-video", "--quiet"]
    some = ["--stride", "2", "--max-seconds", "8", "--output", str(tmp_path / "out")]
    assert cli.main(["--videos", str(sample / "cam4.mp4"), *boxes_of, *some]) == 0
    found, notes = command.evaluate(tmp_path / "out", sample / "truth", cameras=["cam4"])
    assert found.together["oracle links"]["IDR"] > 0.7
    assert "were not processed" in notes[0]


def test_images_that_could_not_be_read_are_not_scored_and_all_others_are(tmp_path: Path) -> None:
    images = tmp_path / "gate"
    images.mkdir()
    for i in range(1, 21):
        cv2.imwrite(str(images / f"{i:02d}.png"), np.full((60, 300, 3), 90, np.uint8))
    for i in (3, 4, 10):
        (images / f"{i:02d}.png").write_text("not an image")
    truth = write(tmp_path / "truth", {"gate": stay(1, 1, 1, 20)})
    given = ["--videos", str(images), "--set", f"detector.detections={truth}", "--no-video"]
    more = ["--set", "sources.image_fps=10", "--set", "tracklets.fill_gap_s=0", "--quiet"]
    assert cli.main([*given, *more, "--output", str(tmp_path / "out")]) == 0
    read = [i for i in range(20) if i + 1 not in (3, 4, 10)]
    assert list(boxes.processed(tmp_path / "out")["gate"]) == read
    found, notes = command.evaluate(tmp_path / "out", truth)
    assert found.together["ours"]["IDF1"] == pytest.approx(1)
    assert notes == ["gate: 3 frames of truth were not processed and are not scored"]


@pytest.mark.parametrize("said", [{}, {"frame_ranges": []}])
def test_runs_that_do_not_say_which_frames_they_read_are_taken_to_have_read_the_first(
    tmp_path: Path, said: dict[str, list[int]]
) -> None:
    cameras = [{"camera": "gate", "n_frames": 4, "stride": 2, **said}]
    (tmp_path / "run.json").write_text(json.dumps({"cameras": cameras}))
    assert boxes.processed(tmp_path)["gate"].tolist() == [0, 2, 4, 6]


def test_mot15_truth_is_there_only_where_its_flag_is_set(tmp_path: Path) -> None:
    truth = write(tmp_path / "t", {"a": stay(1, 1)})
    with (truth / "a.txt").open("a") as file:
        file.writelines(f"{f},{i},{100 * at},0,10,20,0,-1,-1,-1\n" for f, i, at in stay(2, 2))
    results = write(tmp_path / "r", {"a": stay(1, 1)})
    found, _ = command.evaluate(results, truth)
    assert found.together["ours"]["IDF1"] == pytest.approx(1)
    assert found.people_present == 1


def test_links_between_tracks_of_people_who_do_not_count_are_not_judged(tmp_path: Path) -> None:
    truth = write(tmp_path / "t", {"a": stay(1, 1), "b": stay(1, 1)}, "1,1,1")
    for camera in "ab":
        with (truth / f"{camera}.txt").open("a") as file:
            file.writelines(f"{f},{i},{100 * at},0,10,20,1,1,0.1\n" for f, i, at in stay(2, 2))
    rows = stay(1, 1) + stay(2, 2)
    found, _ = command.evaluate(write(tmp_path / "r", {"a": rows, "b": rows}), truth)
    assert (found.link_precision, found.link_recall) == (1, 1)


def test_an_id_twice_in_one_frame_of_the_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "r", {"a": stay(1, 1) + stay(1, 2)})
    assert command.main([str(results), str(write(tmp_path / "t", {"a": stay(1, 1)}))]) == 2
    assert "a.txt: an id stands twice in one frame: 1 in frame 1\n" in capsys.readouterr().err


def test_detections_are_no_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": stay(-1, 1)})
    line = refused(tmp_path, capsys)
    assert "a.txt: the ids (column 2) are negative in every row, as in files of detections" in line


def test_scores_are_not_given_for_a_visibility_in_percent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "r", {"a": stay(1, 1)})
    write(tmp_path / "t", {"a": stay(1, 1)}, "1,1,0.9")
    line = refused(tmp_path, capsys, "--min-visibility", "25")
    assert "0 of 10 rows count: their visibility (column 9) is at most 0.9, below 25" in line


def test_scores_that_cannot_be_written_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write(tmp_path / name, {"a": stay(1, 1)})) for name in "rt"]
    assert command.main([*folders, "--json", str(tmp_path / "no" / "scores.json")]) == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("broken", ["missing", "empty", "text", "twice"])
def test_wrong_folders_and_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    results = write(tmp_path / "r", {"a": stay(1, 1)})
    truth = tmp_path / "t"
    if broken != "missing":
        truth.mkdir()
    if broken == "text":
        (truth / "a.txt").write_text("not,a,mot,file\n")
    if broken == "twice":
        (truth / "a.txt").write_text("1,1,0,0,9,9,1\n1,1,5,5,9,9,1\n")
    assert command.main([str(results), str(truth)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_oracle_links_of_good_boxes_reach_nine_tenths_on_the_sample(
    sample: Path, tmp_path: Path
) -> None:
    arguments = [
        "--config",
        "configs/plaza_4_cameras.yaml",
        "--set",
        f"detector.detections={sample / 'truth'}",
    ]
    assert cli.main([*arguments, "--no-video", "--quiet", "--output", str(tmp_path / "out")]) == 0
    found, _ = command.evaluate(tmp_path / "out", sample / "truth")
    assert found.together["oracle links"]["IDF1"] >= 0.9
    assert (
        found.together["local ids only"]["IDF1"]
        < found.together["ours"]["IDF1"]
        < found.together["oracle links"]["IDF1"]
    )
