"""The whole program, on the sample's clips and on files that are wrong in every way users' files
are wrong.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import jsonschema
import pytest

from pipeline import cli, mot, preparation
from pipeline import config as configuration
from pipeline import run as run_module
from pipeline.errors import ModelError, SourceError
from pipeline.evaluate import boxes
from pipeline.outputs import manifest
from pipeline.records import Embedded, Tracklet
from pipeline.report import crops
from tests.conftest import ROOT
from tests.programs import running
from tests.videos import write_video
from tests.waiting import wait_until

QUICK = ["--max-seconds", "4", "--no-video", "--quiet"]
NO_REID = ("--set", "reid.weights=none")
"""For runs that are not about appearance; loading a network takes longer than the rest of them."""
HOG = ("--set", "detector.weights=hog", *NO_REID)
HOG_SETTINGS = ["detector.weights=hog", "reid.weights=none"]


def run(output: Path, *arguments: str | Path) -> int:
    return cli.main([*map(str, arguments), "--output", str(output)])


def truth_boxes(sample: Path) -> list[str]:
    return ["--set", f"detector.detections={sample / 'truth'}"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """Results of two overlapping cameras with homographies, boxes from the truth, annotated."""
    output = tmp_path_factory.mktemp("run") / "out"
    config = ROOT / "configs" / "plaza.yaml"
    assert (
        run(
            output,
            "--config",
            config,
            *truth_boxes(sample),
            "--max-seconds",
            "4",
            "--mosaic",
            "--quiet",
        )
        == 0
    )
    return output


def document(output: Path) -> dict:
    loaded: dict = json.loads((output / "trajectories.json").read_text())
    return loaded


def test_a_run_writes_every_file_that_run_json_lists_and_nothing_else(result: Path) -> None:
    manifest = json.loads((result / "run.json").read_text())
    found = {p.relative_to(result).as_posix() for p in result.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == found
    assert found == {
        *(
            "cam1.mp4",
            "cam2.mp4",
            "mosaic.mp4",
            "config.yaml",
            "trajectories.json",
            "links.json",
            "priors.json",
            "tracks.csv",
            "tracklets.npz",
            "crops.zip",
            "report.html",
            "run.json",
        ),
        *("mot/cam1.txt", "mot/cam2.txt"),
    }
    assert manifest["warnings"] == []
    assert manifest["stages"]["track"]["frames"] == 100
    assert len(manifest["git"]) in (0, 40)


def test_scoring_knows_the_size_of_the_pictures_of_a_run(result: Path) -> None:
    described = document(result)["cameras"]
    sizes = {each["camera"]: (each["width"], each["height"]) for each in described}
    assert boxes.picture_sizes(result) == sizes != {}


def test_the_report_shows_the_crop_of_everybody_and_the_videos_beside_it(result: Path) -> None:
    text = (result / "report.html").read_text()
    data = re.search(r'id="data">(.*?)</script>', text)
    assert data is not None
    shown = json.loads(data[1])
    ids = [person["person_id"] for person in document(result)["people"]]
    assert [person["id"] for person in shown["people"]] == ids
    assert all(person["crop"] >= 0 for person in shown["people"])
    assert [camera["video"] for camera in shown["cameras"]] == ["cam1.mp4", "cam2.mp4"]
    assert shown["mosaic"] == "mosaic.mp4"
    (plan,) = shown["plans"]
    assert len(plan["paths"]) == sum(len(person["tracklets"]) for person in shown["people"])
    assert str(ROOT) not in text


def test_no_report_leaves_out_the_report_and_the_crops(sample: Path, tmp_path: Path) -> None:
    given = ["--videos", sample / "cam1.mp4", *truth_boxes(sample), *NO_REID, *QUICK]
    given.append("--no-report")
    assert run(tmp_path, *given) == 0
    assert not {"report.html", "crops.zip"} & {path.name for path in tmp_path.iterdir()}


def test_crops_in_the_report_hide_what_is_private(sample: Path, tmp_path: Path) -> None:
    private = ["--set", "privacy.blur=bodies", "--set", "linking.online=true"]
    private += NO_REID
    given = ["--videos", sample / "cam1.mp4", *truth_boxes(sample), *QUICK, *private]
    assert run(tmp_path, *given) == 0
    assert crops.load(tmp_path / crops.FILE).entries == {}
    assert "There are no pictures of people, as privacy.blur asks." in (
        (tmp_path / "report.html").read_text()
    )


def test_trajectories_follow_the_schema_and_agree_with_the_csv_and_mot_files(result: Path) -> None:
    trajectories = document(result)
    schema = json.loads((ROOT / "pipeline/outputs/trajectories-1.schema.json").read_text())
    jsonschema.validate(trajectories, schema)
    rows = list(csv.DictReader((result / "tracks.csv").read_text().splitlines()))
    from_json = {
        (t["camera"], frame, t["track_id"], p["person_id"])
        for p in trajectories["people"]
        for t in p["tracklets"]
        for frame in t["frames"]
    }
    from_csv = {
        (r["camera"], int(r["frame"]), int(r["track_id"]), int(r["person_id"])) for r in rows
    }
    assert from_csv == from_json
    from_mot = {
        (c, int(r[0]) - 1, int(r[1]))
        for c in ("cam1", "cam2")
        for r in mot.read(result / "mot" / f"{c}.txt")
    }
    assert from_mot == {(camera, frame, person) for camera, frame, _, person in from_json}


def assert_rows_are_unique(output: Path) -> None:
    rows = list(csv.DictReader((output / "tracks.csv").read_text().splitlines()))
    assert rows
    for column in ("track_id", "person_id"):
        keys = [(row["camera"], row["frame"], row[column]) for row in rows]
        assert len(set(keys)) == len(keys)


def test_no_track_and_no_person_has_two_rows_in_one_frame(result: Path) -> None:
    assert_rows_are_unique(result)


def test_rows_stay_unique_where_a_gap_is_filled_and_the_track_goes_on_as_somebody_else(
    tmp_path: Path,
) -> None:
    video = write_video(tmp_path / "gate.mp4", 50, 10, (320, 240))
    rows = [(frame, 20) for frame in (*range(1, 21), *range(26, 46))]
    rows += [(frame, 120) for frame in range(31, 46)]
    lines = [f"{frame},-1,{x},20,30,90,1\n" for frame, x in sorted(rows)]
    (tmp_path / "gate.txt").write_text("".join(lines))
    corrections = tmp_path / "corrections.yaml"
    corrections.write_text(
        "same: [[gate/1@0, gate/2@30]]\ndifferent: [[gate/1@0, gate/1@25]]\n", encoding="utf-8"
    )
    boxes = ["--set", f"detector.detections={tmp_path / 'gate.txt'}", *NO_REID, *QUICK[2:]]
    given = ["--videos", video, "--corrections", corrections, *boxes]
    assert run(tmp_path / "out", *given) == 0
    assert_rows_are_unique(tmp_path / "out")
    first = document(tmp_path / "out")["people"][0]
    assert [t["frames"] for t in first["tracklets"]] == [list(range(25)), list(range(30, 45))]


def test_overlapping_cameras_with_homographies_share_people_without_any_reid(result: Path) -> None:
    both = [p for p in document(result)["people"] if p["cameras"] == ["cam1", "cam2"]]
    assert len(both) >= 4
    for person in both:
        first, second = (
            next(t for t in person["tracklets"] if t["camera"] == c) for c in ("cam1", "cam2")
        )
        common = sorted(set(first["frames"]) & set(second["frames"]))
        places = [t["floor_m"][t["frames"].index(common[0])] for t in (first, second)]
        assert abs(places[0][0] - places[1][0]) < 2.5


@pytest.mark.parametrize("name", ["cam1", "cam2"])
def test_annotated_videos_keep_rate_and_length_of_the_source(
    result: Path, sample: Path, name: str
) -> None:
    with (
        av.open(str(result / f"{name}.mp4")) as drawn,
        av.open(str(sample / f"{name}.mp4")) as source,
    ):
        assert drawn.streams.video[0].average_rate == source.streams.video[0].average_rate
        assert drawn.streams.video[0].frames == 50
        assert drawn.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_two_runs_give_the_same_bytes(result: Path, sample: Path, tmp_path: Path) -> None:
    assert (
        run(
            tmp_path / "again",
            "--config",
            ROOT / "configs" / "plaza.yaml",
            *truth_boxes(sample),
            *QUICK,
        )
        == 0
    )
    for name in ("trajectories.json", "tracks.csv", "mot/cam1.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (result / name).read_bytes()


def test_the_order_of_the_cameras_changes_nothing_but_the_order_in_which_they_are_listed(
    sample: Path, tmp_path: Path
) -> None:
    videos = [sample / "cam1.mp4", sample / "cam2.mp4", sample / "cam4.mp4"]
    assert run(tmp_path / "a", "--videos", *videos, *truth_boxes(sample), *QUICK) == 0
    assert run(tmp_path / "b", "--videos", *videos[::-1], *truth_boxes(sample), *QUICK) == 0
    assert document(tmp_path / "a")["people"] == document(tmp_path / "b")["people"]


def test_stride_keeps_the_people_and_the_saved_config_repeats_the_run(
    sample: Path, tmp_path: Path
) -> None:
    shared = [
        "--videos",
        sample / "cam4.mp4",
        *truth_boxes(sample),
        "--max-seconds",
        "6",
        "--quiet",
    ]
    assert run(tmp_path / "all", *shared, "--no-video") == 0
    assert run(tmp_path / "half", *shared, "--stride", "2") == 0
    every, half = document(tmp_path / "all")["people"], document(tmp_path / "half")["people"]
    assert len(every) == len(half) > 0
    assert {f % 2 for p in half for t in p["tracklets"] for f in t["frames"]} == {0}
    with av.open(str(tmp_path / "half" / "cam4.mp4")) as drawn:
        assert drawn.streams.video[0].frames == 75
    assert (
        run(
            tmp_path / "repeat",
            "--config",
            tmp_path / "half" / "config.yaml",
            "--no-video",
            "--quiet",
        )
        == 0
    )
    assert document(tmp_path / "repeat") == document(tmp_path / "half")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hog_finds_people_in_the_sample_without_any_weights(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    videos = [sample / "cam1.mp4", sample / "cam2.mp4"]
    assert (
        run(out, "--videos", *videos, "--max-seconds", "1.6", "--set", "detector.weights=hog") == 0
    )
    assert len(document(out)["people"]) >= 3
    assert "people in 2 cameras" in capsys.readouterr().out


def test_cameras_may_differ_in_size_rate_length_start_and_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    first = write_video(tmp_path / "cam.mp4", 20, 10, (64, 48))
    second = write_video(tmp_path / "x" / "cam.mp4", 13, 25, (98, 130))
    assert (
        run(
            tmp_path / "out",
            "--videos",
            first,
            second,
            *HOG,
            "--quiet",
            "--mosaic",
        )
        == 0
    )
    cameras = document(tmp_path / "out")["cameras"]
    assert [(c["camera"], c["n_frames"], c["width"]) for c in cameras] == [
        ("cam", 20, 64),
        ("cam-2", 13, 98),
    ]
    assert (tmp_path / "out" / "cam-2.mp4").is_file()


def test_a_region_of_interest_keeps_only_people_whose_feet_are_inside(
    sample: Path, tmp_path: Path
) -> None:
    config = tmp_path / "roi.yaml"
    config.write_text(
        f"cameras:\n  - source: {sample / 'cam4.mp4'}\n    roi: [[0, 0], [480, 0], [480, 540], [0,"
        " 540]]\n"
    )
    exact = (*NO_REID, "--set", "tracker.smoothing=0")  # whose boxes are the detected ones
    assert run(tmp_path / "out", "--config", config, *truth_boxes(sample), *QUICK, *exact) == 0
    boxes = [
        b for p in document(tmp_path / "out")["people"] for t in p["tracklets"] for b in t["boxes"]
    ]
    assert boxes
    assert all((x1 + x2) / 2 <= 480 for x1, _, x2, _ in boxes)


def broken(tmp_path: Path) -> dict[str, list[str]]:
    """Command lines that cannot work, by what the one line must say."""
    good = str(write_video(tmp_path / "good.mp4", 5))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    (tmp_path / "weights.pt").write_text("these are not weights")
    (tmp_path / "reid.onnx").write_text("these are not weights")
    (tmp_path / "reid.safetensors").write_text("these are not weights")
    (tmp_path / "config.yaml").write_text("tracker:\n  max_lost: 3\n")
    return {
        "no cameras": [],
        "no such file": ["--videos", str(tmp_path / "missing.mp4")],
        "is empty": ["--videos", good, str(tmp_path / "empty.mp4")],
        "not a video": ["--videos", str(tmp_path / "text.mp4")],
        "unknown key tracker.max_lost; did you mean tracker.max_lost_s": [
            *("--videos", good, "--config", str(tmp_path / "config.yaml"))
        ],
        "tracker.max_lost_s": ["--videos", good, "--set", "tracker.max_lost_s=long"],
        "sources.stride": ["--videos", good, "--stride", "0"],
        "cannot be loaded as YOLO": [
            "--videos",
            good,
            "--set",
            f"detector.weights={tmp_path / 'weights.pt'}",
        ],
        "nor a name that ultralytics publishes": [
            "--videos",
            good,
            "--set",
            "detector.weights=yolo99z.pt",
        ],
        "is not a ReID network": [
            "--videos",
            good,
            "--set",
            f"reid.weights={tmp_path / 'reid.onnx'}",
        ],
        "not a readable safetensors": [
            "--videos",
            good,
            "--set",
            f"reid.weights={tmp_path / 'reid.safetensors'}",
        ],
        "no such ReID weights": ["--videos", good, "--set", "reid.weights=nowhere.onnx"],
        "no such detections file": ["--videos", good, "--set", "detector.detections=nowhere"],
        "no such CUDA device": ["--videos", good, "--device", "cuda:9"],
        "cameras.0.source": ["--videos", ""],
        "there is no camera lobby": [
            "--videos",
            good,
            "--set",
            "linking.travel=[{cameras: [lobby, good]}]",
        ],
        "have two entries": [
            "--videos",
            good,
            good,
            "--set",
            "linking.travel=[{cameras: [good, good-2]}, {cameras: [good-2, good]}]",
        ],
        "zones: shop: there is no camera lobby": [
            "--videos",
            good,
            "--set",
            "zones=[{name: shop, camera: lobby, line: [[0, 0], [9, 9]]}]",
        ],
        "wholly outside the picture": [
            "--videos",
            good,
            "--set",
            "zones=[{name: shop, camera: good, line: [[900, 0], [900, 900]]}]",
        ],
        "File name too long": ["--videos", good, "--output", str(tmp_path / ("x" * 300))],
    }


@pytest.mark.parametrize("case", range(20))
def test_bad_input_is_one_line_exit_code_2_and_nothing_written(
    case: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, arguments = list(broken(tmp_path).items())[case]
    before = set(tmp_path.rglob("*"))
    output = ["--output", str(tmp_path / "out")]
    assert cli.main([*output, "--set", "reid.weights=none", *arguments]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert expected in errors[0]
    assert set(tmp_path.rglob("*")) == before


def test_a_mosaic_of_cameras_whose_clocks_are_far_apart_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "site.yaml"
    early, late = write_video(tmp_path / "early.mp4", 5), write_video(tmp_path / "late.mp4", 5)
    config.write_text(f"cameras:\n  - source: {early}\n  - source: {late}\n    start_s: 1000\n")
    given = ["--config", config, *HOG, "--quiet"]
    assert run(tmp_path / "out", *given, "--mosaic") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no mosaic: late starts 1000 s after the end of early")
    assert said.count("\n") == 1 and not (tmp_path / "out").exists()
    assert run(tmp_path / "out", *given) == 0


def test_a_mosaic_that_would_be_dark_since_a_video_ended_early_is_left_out_with_a_warning(
    sample: Path, tmp_path: Path
) -> None:
    whole = (sample / "cam4.mp4").read_bytes()
    (tmp_path / "cam4.mp4").write_bytes(whole[: len(whole) // 8])
    late = write_video(tmp_path / "late.mp4", 5)
    config = tmp_path / "site.yaml"
    config.write_text(
        f"cameras:\n  - source: {tmp_path / 'cam4.mp4'}\n  - source: {late}\n    start_s: 630\n"
    )
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for camera in ("cam4", "late"):
        (boxes / f"{camera}.txt").touch()
    settings = ["--set", f"detector.detections={boxes}", *NO_REID]
    given = ["--config", config, *settings, "--quiet", "--mosaic"]
    assert run(tmp_path / "out", *given) == 0
    written = json.loads((tmp_path / "out" / "run.json").read_text())
    assert any(warning.startswith("no mosaic: late starts") for warning in written["warnings"])
    assert "late.mp4" in written["files"] and "mosaic.mp4" not in written["files"]


def test_a_truncated_video_is_processed_to_its_break_and_reported(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (sample / "cam4.mp4").read_bytes()
    faststart = whole.index(b"moov") < whole.index(b"mdat")
    assert faststart
    (tmp_path / "cam4.mp4").write_bytes(whole[: len(whole) // 3])
    arguments = ["--videos", tmp_path / "cam4.mp4", *truth_boxes(sample), *NO_REID, "--quiet"]
    assert run(tmp_path / "out", *arguments) == 0
    warning, *_ = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    assert "cam4" in warning
    assert "warning: cam4" in capsys.readouterr().err
    n_frames = document(tmp_path / "out")["cameras"][0]["n_frames"]
    assert 100 < n_frames < 400
    with av.open(str(tmp_path / "out" / "cam4.mp4")) as drawn:
        assert drawn.streams.video[0].frames == n_frames


def test_a_folder_with_something_in_it_is_refused_and_overwrite_replaces_only_our_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = write_video(tmp_path / "cam.mp4", 5), tmp_path / "out"
    hog = [*HOG, "--quiet"]
    assert run(out, "--videos", video, *hog) == 0
    (out / "mine.txt").write_text("keep")
    assert run(out, "--videos", video, *hog) == 2
    assert "not empty" in capsys.readouterr().err
    other = write_video(tmp_path / "other.mp4", 5)
    assert run(out, "--videos", other, *hog, "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "keep"
    assert (out / "other.mp4").is_file()
    assert not (out / "cam.mp4").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        arguments = [
            "--videos",
            sample / "cam1.mp4",
            *truth_boxes(sample),
            *NO_REID,
            "--max-seconds",
            "4",
            "--quiet",
        ]
        assert run(disk / "out", *arguments) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert len(error) == 1
        assert "free some space" in error[0]
        left = {p.name for p in (disk / "out").rglob("*") if p.is_file()}
        assert not any("partial" in name or name.endswith(".mp4") for name in left)
        json.loads((disk / "out" / "trajectories.json").read_text())
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def hog_of(sample: Path, out: Path) -> list[str]:
    """A run that takes much longer than a test waits before it stops it."""
    return ["--videos", str(sample / "cam1.mp4"), *HOG, "--output", str(out)]


def wait_for_frames(out: Path) -> None:
    """Wait until a run reads; its folder is there when it takes signals."""
    wait_until(out.exists, timeout_s=300)
    time.sleep(1)


def assert_finished_early(out: Path, code: int, said: str) -> None:
    assert code == 130
    assert "interrupted" in said
    assert json.loads((out / "run.json").read_text())["interrupted"]
    n_frames = document(out)["cameras"][0]["n_frames"]
    assert 0 < n_frames < 750
    with av.open(str(out / "cam1.mp4")) as drawn:
        assert drawn.streams.video[0].frames == n_frames


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_finishes_what_was_read_and_says_what_was_written(
    sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "run_pipeline.py", *hog_of(sample, out)]
    with running(command, stdout=subprocess.PIPE) as process:
        wait_for_frames(out)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=300)
    assert_finished_early(out, process.returncode, said)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stop_finishes_what_was_read_and_says_what_was_written(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    out = tmp_path / "out"

    def stop() -> None:
        wait_for_frames(out)
        os.kill(os.getpid(), number)

    stopping = threading.Thread(target=stop)
    stopping.start()
    code = cli.main(hog_of(sample, out))
    stopping.join()
    assert_finished_early(out, code, capsys.readouterr().out)


class Failing:
    """An embedder whose device fails."""

    name, width, files = "failing", 4, ()
    frame_wise = True

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        raise ModelError("the device is lost")


@pytest.mark.parametrize("online", [False, True])
def test_no_reader_lives_on_when_a_later_stage_fails(tmp_path: Path, online: bool) -> None:
    video = write_video(tmp_path / "cam.mp4", 200)
    boxes = [f"{frame},-1,20,16,12,30,1\n" for frame in range(1, 201)]
    (tmp_path / "boxes.txt").write_text("".join(boxes))
    values = {
        "cameras": [{"source": str(video)}],
        "detector.detections": str(tmp_path / "boxes.txt"),
        "tracklets.max_tracklet_s": 1.0,
        "reid.batch_crops": 1,
        "linking.online": online,
    }
    config = configuration.change(configuration.load("", ["reid.weights=none"]), values)
    prepared = preparation.prepare(config, tmp_path / "out", overwrite=False)
    prepared.folder.create()
    broken = replace(prepared, embedder=Failing())
    with pytest.raises(ModelError) as failure:
        run_module.process(broken, run_module.stages(), quiet=True)
    assert failure.traceback  # which keeps what was on the stack
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("read ")])


def test_a_camera_that_had_no_frame_before_ctrl_c_has_no_video_and_does_not_spoil_the_rest(
    tmp_path: Path,
) -> None:
    config = tmp_path / "site.yaml"
    early, late = write_video(tmp_path / "early.mp4", 40), write_video(tmp_path / "late.mp4", 5)
    config.write_text(f"cameras:\n  - source: {early}\n  - source: {late}\n    start_s: 1000\n")
    interrupts = run_module.stages()
    interrupts["reading"].set()
    loaded = configuration.load(str(config), HOG_SETTINGS)
    result = run_module.run(loaded, tmp_path / "out", quiet=True, interrupts=interrupts)
    assert result.interrupted
    assert [c.n_frames for c in result.cameras] == [1, 0]
    assert {"early.mp4", "run.json"} <= set(result.files)
    assert "late.mp4" not in result.files


def test_inputs_in_the_output_folder_are_refused_so_that_results_cannot_replace_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    before = video.read_bytes()
    assert run(tmp_path, "--videos", video, "--overwrite", *HOG) == 2
    assert "lies in the output folder" in capsys.readouterr().err
    assert video.read_bytes() == before


def test_the_saved_config_names_the_source_and_not_the_drawn_video_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "cam.mp4", 5)
    monkeypatch.chdir(tmp_path)
    assert run(Path("out"), "--videos", "cam.mp4", *HOG, "--quiet") == 0
    assert configuration.load("out/config.yaml").cameras[0].source == str(tmp_path / "cam.mp4")
    assert document(Path("out"))["cameras"][0]["source"] == "cam.mp4"


def test_an_output_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path / "run:1",
            "--videos",
            write_video(tmp_path / "c.mp4", 5),
            *HOG,
        )
        == 0
    )
    assert (tmp_path / "run:1" / "c.mp4").is_file()


def test_ctrl_c_while_drawing_stops_drawing_and_keeps_the_rest(tmp_path: Path) -> None:
    interrupts = run_module.stages()
    interrupts["drawing"].set()
    loaded = configuration.load("", HOG_SETTINGS)
    loaded = configuration.change(
        loaded, {"cameras": [{"source": str(write_video(tmp_path / "cam.mp4", 5))}]}
    )
    result = run_module.run(loaded, tmp_path / "out", quiet=True, interrupts=interrupts)
    assert result.interrupted
    assert {"trajectories.json", "run.json"} <= set(result.files)
    assert not (tmp_path / "out" / "cam.mp4").exists()
    assert "drawing was interrupted" in result.warnings[0]


class Removing(threading.Event):
    """Set when reading is over; then the first camera's video is gone, as a disk that is pulled."""

    def __init__(self, video: Path) -> None:
        super().__init__()
        self._video = video

    def set(self) -> None:
        self._video.unlink()
        super().set()


def test_a_camera_that_cannot_be_drawn_costs_neither_the_others_nor_run_json(
    tmp_path: Path,
) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", 5) for i in (1, 2, 3)]
    interrupts = run_module.stages()
    interrupts._events["reading"] = Removing(videos[0])
    loaded = configuration.load("", [*HOG_SETTINGS, "output.mosaic=true"])
    loaded = configuration.change(loaded, {"cameras": [{"source": str(v)} for v in videos]})
    out = tmp_path / "out"
    with pytest.raises(SourceError, match=r"cam1\.mp4"):
        run_module.run(loaded, out, quiet=True, interrupts=interrupts)
    manifest = json.loads((out / "run.json").read_text())
    found = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == found
    assert {"cam2.mp4", "cam3.mp4", "trajectories.json"} <= found
    assert "cam1.mp4" not in found
    assert any(text.startswith("cam1.mp4 was not written") for text in manifest["warnings"])


def test_with_fewer_cameras_overwriting_leaves_nothing_of_the_others_to_be_scored(
    tmp_path: Path,
) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", 5) for i in (1, 2)]
    hog = (*HOG, "--quiet")
    assert run(tmp_path / "out", "--videos", *videos, *hog) == 0
    assert run(tmp_path / "out", "--videos", videos[0], *hog, "--overwrite") == 0
    left = {p.name for p in (tmp_path / "out").rglob("cam*")}
    assert left == {"cam1.mp4", "cam1.txt"}


def test_a_run_that_fails_while_reading_leaves_the_results_of_the_last_one(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    out = tmp_path / "out"
    assert run(out, "--videos", video, *HOG, "--quiet") == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    values = {"cameras": [{"source": str(video)}]}
    config = configuration.change(configuration.load("", HOG_SETTINGS), values)
    prepared = preparation.prepare(config, out, overwrite=True)
    with pytest.raises(ModelError), closing(prepared.folder) as folder:
        folder.create()
        broken = replace(prepared, embedder=Failing())
        run_module.process(broken, run_module.stages(), quiet=True)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("letter", ["x", "摄"])
def test_a_camera_with_a_name_that_no_file_can_have_is_refused_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], letter: str
) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    longest = letter * (251 // len(letter.encode()))
    config = tmp_path / "site.yaml"
    config.write_text(f"cameras: [{{source: {video}, name: {longest}}}]\n", encoding="utf-8")
    hog = (*HOG, "--quiet")
    assert run(tmp_path / "out", "--config", config, *hog) == 0
    assert (tmp_path / "out" / f"{longest}.mp4").is_file()
    config.write_text(f"cameras: [{{source: {video}, name: {longest}x}}]\n", encoding="utf-8")
    assert run(tmp_path / "new", "--config", config, *hog) == (2 if letter == "x" else 0)
    config.write_text(f"cameras: [{{source: {video}, name: {longest}xyz}}]\n", encoding="utf-8")
    assert run(tmp_path / "new", "--config", config, *hog) == 2
    assert "give a shorter name under cameras" in capsys.readouterr().err


def test_files_named_in_the_help_exist() -> None:
    named = [word for word in cli.EPILOG.split() if word.startswith(("configs/", "samples/"))]
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_packages_under_another_name_do_not_spoil_the_end_of_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest, "PACKAGES", ("numpy", "onnxruntime-by-another-name"))
    assert manifest.packages()["onnxruntime-by-another-name"] == ""
    assert manifest.packages()["numpy"]


def test_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert "multi-camera people tracker" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_walking_man_is_one_person_in_room_and_corridor(
    shared_data: Path, tmp_path: Path
) -> None:
    clips, reid = (
        shared_data / "clips/room_corridor",
        shared_data / "baselines/person-reidentification-retail-0287.onnx",
    )
    yolo = shared_data / "baselines/yolo11n_coco.safetensors"
    weights = [
        f"detector.weights={yolo}",
        "detector.architecture=yolo11n.yaml",
        f"reid.weights={reid}",
    ]
    arguments = [a for w in weights for a in ("--set", w)]
    videos = [clips / "room.mp4", clips / "corridor.mp4"]
    assert (
        run(
            tmp_path / "out",
            "--videos",
            *videos,
            *arguments,
            "--stride",
            "3",
            "--no-video",
            "--quiet",
        )
        == 0
    )
    longest = max(
        document(tmp_path / "out")["people"],
        key=lambda p: sum(len(t["frames"]) for t in p["tracklets"]),
    )
    assert longest["cameras"] == ["corridor", "room"]


@pytest.mark.parametrize(("words", "n"), [([], 1), (["--no-video"], 0)])
def test_videos_of_recordings_that_blur_does_not_reach_are_warned_of(
    tmp_path: Path, words: list[str], n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "cam.mp4", 10)
    (tmp_path / "boxes.txt").touch()
    settings = ["privacy.blur=faces", f"detector.detections={tmp_path / 'boxes.txt'}"]
    arguments = ["--videos", str(video), "--output", str(tmp_path / "out"), "--quiet", *words]
    for setting in [*settings, "reid.weights=none"]:
        arguments += ["--set", setting]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().err.count("not in the annotated videos of recordings") == n
