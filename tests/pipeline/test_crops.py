"""People cut out of videos, and a training on them."""

import hashlib
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from models.reid import train
from models.reid.data import catalogue
from pipeline import cli, crops
from pipeline.evaluate import boxes
from tests.conftest import ROOT
from tests.models.reid.training.runs import rows
from tests.videos import write_tracks, write_video

SIZE = (64, 48)
TABLE_HEAD = "camera,frame,time_s,track_id,person_id,x1,y1,x2,y2,score\n"


def truth(folder: Path, camera: str, boxes: list[tuple[float, ...]]) -> Path:
    """MOTChallenge truth; boxes are (frame from 1, id, x, y, w, h) and perhaps a visibility."""
    folder.mkdir(exist_ok=True)
    lines = [
        f"{','.join(map(str, box[:6]))},1,1,{box[6] if len(box) > 6 else 1}\n" for box in boxes
    ]
    (folder / f"{camera}.txt").write_text("".join(lines))
    return folder


def cut(
    tmp_path: Path, boxes: list[tuple[float, ...]], *more: str, fps: float = 10, n_frames: int = 40
) -> dict[str, np.ndarray]:
    """Crops of one video, by person/camera/frame."""
    tmp_path.mkdir(exist_ok=True)
    video = write_video(tmp_path / "gate.mp4", n_frames, fps, SIZE)
    output = tmp_path / "people"
    given = [
        "--videos",
        str(video),
        "--boxes",
        str(truth(tmp_path / "truth", "gate", boxes)),
        "--output",
        str(output),
    ]
    assert crops.main([*given, "--min-height", "10", *more]) == 0
    return {
        str(path.relative_to(output).with_suffix("")): cv2.imread(str(path))
        for path in sorted(output.rglob("*.jpg"))
    }


def frames_of(found: dict[str, np.ndarray], person: str = "0001") -> list[int]:
    return [int(Path(name).name) for name in found if name.startswith(f"{person}/gate/")]


def test_a_crop_is_the_box_of_its_frame_and_named_by_the_frame_from_0(tmp_path: Path) -> None:
    found = cut(tmp_path, [(4, 7, 20, 16, 12, 30), (31, 7, 30, 10, 20, 24)])
    assert {name: crop.shape for name, crop in found.items()} == {
        "0007/gate/000003": (30, 12, 3),
        "0007/gate/000030": (24, 20, 3),
    }
    for index, crop in ((3, found["0007/gate/000003"]), (30, found["0007/gate/000030"])):
        assert (
            abs(float(crop.mean()) - (20 + 3 * index % 200)) < 4
        )  # the picture's grey tells its number


@pytest.mark.parametrize(
    ("every_s", "fps", "expected"),
    [
        ("1", 10, [0, 10, 20, 30]),
        ("0.5", 10, [0, 5, 10, 15, 20, 25, 30, 35]),
        ("1", 12.5, [0, 13, 26, 39]),
        ("9", 10, [0]),
        ("0", 10, list(range(40))),
    ],
)
def test_a_person_is_cut_every_so_many_seconds(
    every_s: str, fps: float, expected: list[int], tmp_path: Path
) -> None:
    boxes = [(i + 1, 1, 20, 10, 12, 30) for i in range(40)] + [
        (i + 1, 2, 40, 10, 12, 30) for i in range(5, 10)
    ]
    found = cut(tmp_path, boxes, "--every-s", every_s, fps=fps)
    assert frames_of(found) == expected
    assert frames_of(found, "0002")[0] == 5


def test_low_boxes_are_left_out_and_the_next_high_one_is_taken_at_once(tmp_path: Path) -> None:
    heights = [9, 8, 20, 9, 30]
    found = cut(
        tmp_path,
        [(i + 1, 1, 20, 10, 12, height) for i, height in enumerate(heights)],
        "--every-s",
        "0.2",
    )
    assert frames_of(found) == [2, 4]


def test_boxes_that_leave_the_image_are_cut_at_its_edge_and_left_out_when_less_than_half_is_inside(
    tmp_path: Path,
) -> None:
    boxes: list[tuple[float, ...]] = [
        (1, 1, -10, 10, 30, 30),
        (2, 2, -20, 10, 30, 30),
        (3, 3, 46, 24, 20, 34),
        (4, 4, 100, 10, 20, 30),
        (5, 5, -50, 10, 20, 30),
        (6, 6, 20, 10, 0, 30),
        (7, 7, 20, -90, 20, 30),
    ]
    found = cut(tmp_path, boxes)
    assert {name: crop.shape[:2] for name, crop in found.items()} == {
        "0001/gate/000000": (30, 20),
        "0003/gate/000002": (24, 18),
    }


def test_truth_that_is_hidden_is_left_out(tmp_path: Path) -> None:
    found = cut(
        tmp_path,
        [(1, 1, 20, 10, 12, 30, 0.4), (2, 1, 20, 10, 12, 30, 0.6), (20, 1, 20, 10, 12, 30, 0.1)],
    )
    assert frames_of(found) == [1]
    assert frames_of(
        cut(tmp_path / "again", [(1, 1, 20, 10, 12, 30, 0.1)], "--min-visibility", "0")
    ) == [0]


def test_boxes_after_the_last_frame_do_no_harm(tmp_path: Path) -> None:
    assert frames_of(cut(tmp_path, [(5, 1, 20, 10, 12, 30), (900, 1, 20, 10, 12, 30)])) == [4]


def test_people_of_a_run_are_cut_as_the_run_numbered_them(sample: Path, tmp_path: Path) -> None:
    run = [
        "--videos",
        str(sample / "cam1.mp4"),
        "--set",
        f"detector.detections={sample / 'truth'}",
        "--max-seconds",
        "3",
    ]
    quiet = [
        "--output",
        str(tmp_path / "run"),
        "--no-video",
        "--quiet",
        "--set",
        "reid.weights=none",
    ]
    assert cli.main([*run, *quiet]) == 0
    given = [
        "--videos",
        str(sample / "cam1.mp4"),
        "--boxes",
        str(tmp_path / "run"),
        "--output",
        str(tmp_path / "people"),
    ]
    assert crops.main(given) == 0
    lines = (tmp_path / "run" / "tracks.csv").read_text().splitlines()
    header = lines[0].split(",")
    known = {
        (row[header.index("person_id")], row[header.index("frame")])
        for row in (line.split(",") for line in lines[1:])
    }
    written = list((tmp_path / "people").rglob("*.jpg"))
    assert len(written) > 5
    assert all(
        (str(int(path.parts[-3])), str(int(path.stem))) in known and path.parts[-2] == "cam1"
        for path in written
    )


def run_on(folder: Path, *given: str | Path) -> Path:
    """Results of a run with one standing person, from boxes of a file."""
    lines = [f"{frame},-1,20,16,12,30,1\n" for frame in range(1, 21)]
    (folder / "boxes.txt").write_text("".join(lines))
    boxes = ["--set", f"detector.detections={folder / 'boxes.txt'}", "--set", "reid.weights=none"]
    arguments = [*map(str, given), *boxes, "--no-video", "--quiet", "--output"]
    assert cli.main([*arguments, str(folder / "run")]) == 0
    return folder / "run"


def cut_run(video: Path, results: Path, output: Path) -> set[str]:
    """Names person/camera/frame of the crops of a run."""
    given = ["--videos", str(video), "--boxes", str(results), "--output", str(output)]
    assert crops.main([*given, "--min-height", "10"]) == 0
    return {str(path.relative_to(output).with_suffix("")) for path in output.rglob("*.jpg")}


def test_a_video_whose_name_the_run_cleaned_is_found(tmp_path: Path) -> None:
    video = write_video(tmp_path / "my cam.mp4", 20, 10, SIZE)
    results = run_on(tmp_path, "--videos", video)
    people = tmp_path / "people"
    assert cut_run(video, results, people) == {"0001/my_cam/000000", "0001/my_cam/000010"}


def test_a_camera_that_the_config_names_is_found_by_its_source(tmp_path: Path) -> None:
    video = write_video(tmp_path / "0001.mp4", 20, 10, SIZE)
    config = tmp_path / "site.yaml"
    config.write_text("cameras: [{source: 0001.mp4, name: lobby}]\n", encoding="utf-8")
    results = run_on(tmp_path, "--config", config)
    expected = {"0001/lobby/000000", "0001/lobby/000010"}
    assert cut_run(video, results, tmp_path / "people") == expected
    (tmp_path / "moved").mkdir()
    moved = video.rename(tmp_path / "moved" / "0001.mp4")
    assert cut_run(moved, results, tmp_path / "again") == expected


def test_crops_of_a_run_come_from_the_video_tracks_that_it_read(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.mp4", 20, 10, SIZE)
    large = write_video(tmp_path / "large.mp4", 20, 10, (96, 72))
    video = write_tracks(tmp_path / "dash.mkv", [small, large])
    config = tmp_path / "site.yaml"
    config.write_text(
        "cameras: [{source: dash.mkv, name: road, track: 2}, {source: dash.mkv, name: cabin}]\n",
        encoding="utf-8",
    )
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    lines = [f"{frame},-1,20,16,12,30,1\n" for frame in range(1, 21)]
    for camera in ("road", "cabin"):
        (boxes / f"{camera}.txt").write_text("".join(lines))
    results = tmp_path / "run"
    given = ["--config", str(config), "--no-video", "--quiet", "--output", str(results)]
    settings = ["--set", f"detector.detections={boxes}", "--set", "reid.weights=none"]
    assert cli.main([*given, *settings]) == 0
    people = tmp_path / "people"
    cut_run(video, results, people)
    brightest = {
        camera: max(cv2.imread(str(path)).max() for path in people.glob(f"*/{camera}/000000.jpg"))
        for camera in ("road", "cabin")
    }
    assert brightest["road"] > 200  # the box meets the white corner of the large pictures only
    assert brightest["cabin"] < 100


def test_what_was_found_while_reading_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = write_video(tmp_path / "small.mp4", 20, 10, SIZE)
    video = write_tracks(tmp_path / "gate.mp4", [small, small])
    boxes = truth(tmp_path / "truth", "gate", [(1, 1, 20, 16, 12, 30)])
    assert cut_run(video, boxes, tmp_path / "people") == {"0001/gate/000000"}
    assert "warning: gate: the file has 2 video tracks" in capsys.readouterr().err


def test_truth_may_be_named_as_the_video_is_also_with_a_blank(tmp_path: Path) -> None:
    video = write_video(tmp_path / "my cam.mp4", 5, 10, SIZE)
    boxes = truth(tmp_path / "truth", "my cam", [(1, 1, 20, 16, 12, 30)])
    assert cut_run(video, boxes, tmp_path / "people") == {"0001/my_cam/000000"}


@pytest.mark.parametrize(
    "case",
    [
        "other camera",
        "stream",
        "no boxes",
        "not empty",
        "a file",
        "twice",
        "no video",
        "no folder",
        "damaged",
        "damaged config",
    ],
)
def test_what_cannot_be_cut_is_one_line_and_nothing_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, other = write_video(tmp_path / "gate.mp4", 5), write_video(tmp_path / "lobby.mp4", 5)
    (tmp_path / "more").mkdir()
    twin = write_video(tmp_path / "more" / "gate.mp4", 5)
    boxes = truth(tmp_path / "truth", "gate", [(1, 1, 20, 10, 12, 30)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "full.txt").write_text("keep")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "gate.txt").write_text("1,2,three\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tracks.csv").write_text(TABLE_HEAD, encoding="utf-8")
    (tmp_path / "run" / "config.yaml").write_text("cameras: 3\n", encoding="utf-8")
    output = tmp_path / "people"
    videos, given, where, expected = {
        "other camera": (
            [video, other],
            boxes,
            output,
            "lobby.mp4: no boxes for camera lobby; there are boxes for gate",
        ),
        "stream": (
            ["rtsp://me:secret@cam/lobby"],
            boxes,
            output,
            "rtsp://***:***@cam/lobby: no boxes for camera cam_lobby; there are boxes for gate",
        ),
        "no boxes": ([video], tmp_path / "empty", output, "no truth here"),
        "not empty": (
            [video],
            boxes,
            tmp_path / "full",
            "is not an empty folder; give another --output",
        ),
        "a file": ([video], boxes, tmp_path / "full.txt", "is not an empty folder"),
        "twice": ([video, twin], boxes, output, "there is another video of camera gate"),
        "no video": ([tmp_path / "nowhere" / "gate.mp4"], boxes, output, "no such file"),
        "no folder": ([video], boxes, tmp_path / "full.txt" / "people", "cannot be written"),
        "damaged config": ([video], tmp_path / "run", output, "is not the config.yaml of a run"),
        "damaged": ([video], tmp_path / "text", output, "line 1: expected numbers"),
    }[case]
    command = [
        "--videos",
        *map(str, videos),
        "--boxes",
        str(given),
        "--output",
        str(where),
        "--min-height",
        "10",
    ]
    assert crops.main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ") and expected in err
    assert not output.exists() and (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_frames_of_a_video_are_read_as_the_pipeline_reads_them(tmp_path: Path) -> None:
    """Frame numbers count pictures, whatever their times."""
    times = [0.0, 0.1, 0.5, 2.0, 2.1, 4.0]
    video = write_video(tmp_path / "gate.mp4", 6, 10, SIZE, times_s=times)
    boxes = truth(tmp_path / "truth", "gate", [(i + 1, 1, 20, 10, 12, 30) for i in range(6)])
    given = [
        "--videos",
        str(video),
        "--boxes",
        str(boxes),
        "--output",
        str(tmp_path / "people"),
        "--min-height",
        "10",
    ]
    assert crops.main(given) == 0
    assert sorted(int(path.stem) for path in (tmp_path / "people").rglob("*.jpg")) == [0, 3, 5]
    with av.open(str(video)) as container:
        assert container.streams.video[0].frames == 6


@pytest.fixture(scope="module")
def tiny(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The way that configs/reid/tiny.yaml describes, on two of the cameras and for two epochs;
    returns the run's folder.
    """
    folder = tmp_path_factory.mktemp("tiny")
    videos = [str(sample / f"cam{i}.mp4") for i in (1, 2)]
    given = ["--boxes", str(sample / "truth"), "--output", str(folder / "people"), "--every-s", "3"]
    assert crops.main(["--videos", *videos, *given]) == 0
    changed = [
        f"data.root={folder / 'people'}",
        "train.epochs=2",
        "train.device=cpu",
        "train.evaluate_every=1",
    ]
    config = [
        "--config",
        str(ROOT / "configs" / "reid" / "tiny.yaml"),
        *(word for s in changed for word in ("--set", s)),
    ]
    assert train.main([*config, "--output", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def test_the_samples_people_are_a_data_set(tiny: Path, sample: Path) -> None:
    data = catalogue.load("folder", tiny.parent / "people", {})
    assert data.n_train_people == 13 and {s.camera for s in data.train} == {
        0,
        1,
    }  # person 14 never comes by here
    written = {path.parent.parent.name for s in data.train for path in s.paths}
    in_truth = {
        int(line.split(",")[1])
        for camera in (1, 2)
        for line in (sample / "truth" / f"cam{camera}.txt").read_text().splitlines()
    }
    assert {int(name) for name in written} <= in_truth


def test_the_tiny_training_goes_from_videos_to_scores(tiny: Path) -> None:
    log = rows(tiny)
    assert [row["epoch"] for row in log] == [0, 1]
    assert all(0 < row["map"] <= 1 for row in log)


def test_a_trained_network_goes_straight_into_the_pipeline(
    tiny: Path, sample: Path, tmp_path: Path
) -> None:
    videos = [str(sample / "cam1.mp4"), str(sample / "cam2.mp4")]
    changed = [
        "--set",
        f"detector.detections={sample / 'truth'}",
        "--set",
        f"reid.weights={tiny / 'model.safetensors'}",
    ]
    given = [
        "--videos",
        *videos,
        *changed,
        "--max-seconds",
        "4",
        "--no-video",
        "--quiet",
        "--output",
        str(tmp_path / "out"),
    ]
    assert cli.main(given) == 0
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert hashlib.sha256((tiny / "model.safetensors").read_bytes()).hexdigest() in json.dumps(
        manifest
    )
    assert manifest["warnings"] == []
    assert json.loads((tmp_path / "out" / "trajectories.json").read_text())["people"]


def test_boxes_that_were_filled_in_are_not_cut_out(tmp_path: Path) -> None:
    lines = [
        f"cam,{frame},{frame / 10},1,1,0,0,20,50,{score}\n"
        for frame, score in ((0, 0.9), (1, 0.0), (2, 0.5))
    ]
    (tmp_path / "tracks.csv").write_text(TABLE_HEAD + "".join(lines), encoding="utf-8")
    assert crops.read_boxes(tmp_path, 0.5)["cam"].frames.tolist() == [0, 2]
    assert boxes.read_results(tmp_path)["cam"].frames.tolist() == [0, 1, 2]
