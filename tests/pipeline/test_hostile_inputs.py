"""Files and numbers that are wrong are one line at the start, and never a traceback or a crash at
the end.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models import weights
from pipeline import cli, explain
from tests.conftest import ROOT
from tests.videos import write_video

DEEP = "[" * 100_000
WITH_REID = ("--set", "reid.weights=auto")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "cam.mp4", 5)


@pytest.fixture(scope="module")
def results(video: Path) -> Path:
    output = video.parent / "out"
    assert run(output, video, *WITH_REID) == 0
    return output


def run(output: Path, video: Path | None, *arguments: str | Path) -> int:
    """Run without a ReID network, which takes long to load, unless the arguments name one."""
    quick = ["--set", "detector.weights=hog", "--quiet", "--output", str(output)]
    videos = ["--videos", str(video)] if video else []
    return cli.main(["--set", "reid.weights=none", *videos, *map(str, arguments), *quick])


def assert_refused(code: int, output: Path, capsys: pytest.CaptureFixture[str], says: str) -> None:
    said = capsys.readouterr().err
    assert code == 2, said
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert not output.exists()


@pytest.mark.parametrize("option", ["--config", "--corrections", "--priors"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (DEEP, "nested more than 50 deep"),
        (None, "Not a regular file"),
        ("folder", "Is a directory"),
        ("&a [*a]", ""),
        ("same: [[a/1, b/1]]\nsame: []", ""),
        ("1e999", ""),
        ("\x00", ""),
    ],
)
def test_a_small_file_that_is_hostile_is_refused_at_the_start(
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    content: str | None,
    says: str,
) -> None:
    path = tmp_path / "given.yaml"
    if content is None:
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_text(content)
    output = tmp_path / "out"
    assert_refused(run(output, video, option, path), output, capsys, says)


def test_keys_given_twice_are_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("sources: {stride: 2}\nsources: {max_seconds: 1}\n")
    output = tmp_path / "out"
    assert_refused(run(output, video, "--config", site), output, capsys, "sources is given twice")


@pytest.mark.parametrize("start", ["190:20:30", "1:30", "0x" + "f" * 9000])
def test_a_start_that_is_no_number_of_seconds_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"cameras: [{{source: {video}, start_s: {start}}}]\n")
    output = tmp_path / "out"
    assert_refused(run(output, None, "--config", site), output, capsys, "site.yaml")


@pytest.mark.parametrize(
    "setting",
    [
        "sources.image_fps=1e308",
        "sources.image_fps=1.0e-300",
        "sources.max_seconds=1.0e+308",
        "linking.similarity_scale=1.0e+308",
        "linking.max_gap_s=1.0e+300",
        "tracker.acceleration_std=1.0e+200",
        "tracklets.max_tracklet_s=1.0e+308",
        "sources.stride=" + "9" * 18,
        "sources.stride=0x" + "f" * 9000,
        "reid.batch_crops=" + "9" * 5000,
        "linking.max_floor_m=.inf",
        "detector.classes=" + DEEP,
        "cameras=" + "{a: " * 10_000,
    ],
)
def test_extreme_numbers_are_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    output = tmp_path / "out"
    key = setting.partition("=")[0]
    assert_refused(run(output, video, "--set", setting), output, capsys, key)


@pytest.mark.parametrize(
    "setting",
    [
        "sources.stride=1000000000",
        "linking.similarity_scale=1.0e+30",
        "linking.similarity_scale=1.0e-300",
        "linking.max_speed_m_s=1.0e+30",
        "tracker.acceleration_std=1.0e+30",
        "tracker.position_std=1.0e-300",
        "tracker.max_lost_s=1.0e+30",
        "output.trail_s=1.0e+30",
        "reid.batch_crops=1000000000000",
    ],
)
def test_what_is_allowed_at_the_edge_runs(sample: Path, tmp_path: Path, setting: str) -> None:
    boxes = f"detector.detections={sample / 'truth'}"
    quick = ["--max-seconds", "1", "--no-video", "--quiet", "--output", str(tmp_path / "out")]
    videos = [str(sample / "cam1.mp4"), str(sample / "cam2.mp4")]
    reid = "reid.weights=none"
    arguments = ["--videos", *videos, "--set", boxes, "--set", reid, "--set", setting]
    assert cli.main([*arguments, *quick]) == 0


@pytest.mark.parametrize("fps", [1e-5, 1 / 3600, 10_000])
def test_images_may_come_once_a_day_or_ten_thousand_times_a_second(
    tmp_path: Path, sample: Path, fps: float
) -> None:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i + 1:04d}.jpg"), cv2.imread(str(sample / "report.jpg")))
    assert run(tmp_path / "out", folder, "--set", f"sources.image_fps={fps:.9f}") == 0
    assert (tmp_path / "out" / "images.mp4").is_file()


FLOOR = [[0.02, 0.001, -5.0], [0.0, 0.05, -9.0], [0.0, 0.001, 1.0]]


@pytest.mark.parametrize("factor", [1e-9, 1e-4, 1, -1, 1e8])
def test_a_homography_may_be_multiplied_by_any_number(
    video: Path, tmp_path: Path, factor: float
) -> None:
    rows = [[value * factor for value in row] for row in FLOOR]
    site = tmp_path / "site.yaml"
    site.write_text(json.dumps({"cameras": [{"source": str(video), "homography": rows}]}))
    assert run(tmp_path / "out", None, "--config", site) == 0


@pytest.mark.parametrize(
    "rows",
    [
        [[1e308] * 3] * 3,
        [[1e308, 0, 0], [0, 1e308, 0], [0, 0, 1e308]],
        [[1e-300, 0, 0], [0, 1e-300, 0], [0, 0, 1e-300]],
        [[1, 2, 3], [2, 4, 6], [0, 0, 1]],
        [[1e6, 2e6, 3e6], [2e6, 4e6, 6e6], [0, 0, 1e6]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 0, 0], [0, 0, 1]],
    ],
)
def test_a_homography_that_cannot_be_inverted_is_refused_in_any_units(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[list[float]]
) -> None:
    site = tmp_path / "site.yaml"
    text = json.dumps({"cameras": [{"source": str(video), "homography": rows}]})
    site.write_text(text.replace("e+", "e").replace("1e308", "1.0e+308"))
    output = tmp_path / "out"
    code = run(output, None, "--config", site)
    assert_refused(code, output, capsys, "homography")


def test_a_homography_to_the_coordinates_of_a_map_is_one(video: Path, tmp_path: Path) -> None:
    rows = [[0.02, 0.001, 691_000.5], [0.0, 0.05, 5_334_000.25], [0.0, 0.0, 1.0]]
    site = tmp_path / "site.yaml"
    site.write_text(json.dumps({"cameras": [{"source": str(video), "homography": rows}]}))
    assert run(tmp_path / "out", None, "--config", site) == 0


TRAVEL = {"earlier": "a", "later": "b", "gaps_s": [3.5], "n_overlaps": 0}
OVERLAP = {
    "cameras": ["a", "b"], "matrix": FLOOR, "error_m": 0.1, "n_points": 40, "n_pairs": 4, "agree": 1
}  # fmt: skip


def write_priors(path: Path, results: Path, **entries: object) -> Path:
    """Write the priors of a run with other entries."""
    document = json.loads((results / "priors.json").read_text())
    path.write_text(json.dumps(document | {key: [entry] for key, entry in entries.items()}))
    return path


def test_priors_of_sound_types_are_taken(results: Path, video: Path, tmp_path: Path) -> None:
    sound = write_priors(tmp_path / "sound.json", results, travel=TRAVEL, homographies=OVERLAP)
    assert run(tmp_path / "out", video, "--priors", sound, *WITH_REID) == 0


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("travel", {**TRAVEL, "earlier": 5}),
        ("travel", {**TRAVEL, "later": None}),
        ("travel", {**TRAVEL, "earlier": ["a"]}),
        ("travel", {**TRAVEL, "gaps_s": "35"}),
        ("travel", {**TRAVEL, "gaps_s": [None]}),
        ("travel", {**TRAVEL, "gaps_s": {"3": 4}}),
        ("travel", {**TRAVEL, "n_overlaps": "many"}),
        ("travel", {**TRAVEL, "n_overlaps": 1e300}),
        ("travel", "text"),
        ("travel", None),
        ("homographies", {**OVERLAP, "cameras": [1, 2]}),
        ("homographies", {**OVERLAP, "cameras": ["a"]}),
        ("homographies", {**OVERLAP, "matrix": [[1, 2], [3]]}),
        ("homographies", {**OVERLAP, "matrix": "text"}),
        ("homographies", {**OVERLAP, "agree": 5}),
        ("homographies", {**OVERLAP, "error_m": -1}),
        ("homographies", {**OVERLAP, "n_points": True}),
    ],
)
def test_priors_of_wrong_types_are_refused_at_the_start(
    results: Path,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    key: str,
    entry: object,
) -> None:
    priors = write_priors(tmp_path / "priors.json", results, **{key: entry})
    output = tmp_path / "out"
    code = run(output, video, "--priors", priors)
    assert_refused(code, output, capsys, "is not a priors.json of this program")


@pytest.mark.parametrize("value", ["1e999", "-1e999", '"0.5"', "null", "[]", "true", "1e300"])
def test_similarities_in_priors_that_are_no_numbers_are_refused_at_the_start(
    results: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    document = json.loads((results / "priors.json").read_text())
    document["looks"]["same"] = "HERE"
    priors = tmp_path / "priors.json"
    priors.write_text(json.dumps(document).replace('"HERE"', value))
    output = tmp_path / "out"
    code = run(output, video, "--priors", priors, *WITH_REID)
    assert_refused(code, output, capsys, "priors.json")


def shipped_reid() -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of the ReID network that ships."""
    path = weights.bundled("reid", "cpu")
    assert path is not None
    with safe_open(str(path), "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return state, file.metadata()


@pytest.mark.parametrize(
    "changed",
    [
        *({"height_px": value} for value in (0, -1, 1, 10**9, "256", None, 256.0, True, [256])),
        {"width_px": 0},
        {"width_px": 7},
        {"options": None},
        {"options": {"n_classes": -5}},
        {"options": {"n_classes": "many"}},
        {"architecture": 5},
        {"architecture": ["osnet"]},
    ],
)
def test_a_recipe_that_cannot_be_is_refused_when_it_is_read(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    path = tmp_path / "reid.safetensors"
    state, metadata = shipped_reid()
    metadata["recipe"] = json.dumps(json.loads(metadata["recipe"]) | changed)
    save_file(state, path, metadata)
    output = tmp_path / "out"
    code = run(output, video, "--set", f"reid.weights={path}")
    assert_refused(code, output, capsys, "reid.safetensors: its")


@pytest.mark.parametrize("key", ["recipe", "about"])
def test_metadata_of_weights_that_are_nested_deeply_are_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    path = tmp_path / "reid.safetensors"
    state, metadata = shipped_reid()
    save_file(state, path, metadata | {key: DEEP})
    output = tmp_path / "out"
    code = run(output, video, "--set", f"reid.weights={path}")
    assert_refused(code, output, capsys, "reid.safetensors: its recipe")


@pytest.mark.parametrize(
    "setting", ["reid.weights", "linking.priors", "linking.corrections", "detector.detections"]
)
def test_a_path_that_cannot_be_looked_up_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    output = tmp_path / "out"
    given = ["--set", f"{setting}={'x' * 300}", "--videos", video, "--quiet"]
    code = cli.main([*map(str, given), "--output", str(output)])
    assert_refused(code, output, capsys, "ile name too long")


AS_NOBODY = """
import contextlib, io, json, os, sys
from pipeline.cli import main
import models.reid.encoder, pipeline.detect.hog, pipeline.run  # before their folder is out of reach
os.setgid(65534)
os.setuid(65534)
found = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(words)
    found.append([code, said.getvalue()])
print(json.dumps(found))
"""
LOCKED_SETTINGS = ("reid.weights", "linking.priors", "linking.corrections", "detector.detections")


@pytest.fixture(scope="module")
def said_of_locked() -> Iterator[dict[str, tuple[int, str]]]:
    """Exit code and standard error of nobody's runs, each with a setting that names a file in a
    folder of somebody else.
    """
    if os.geteuid():
        pytest.skip("needs root, to become nobody")
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o777)
        locked = public / "locked"
        locked.mkdir(mode=0o700)
        (locked / "file").touch()
        video = write_video(public / "cam.mp4", 5)
        runs = []
        for setting in LOCKED_SETTINGS:
            words = ["--set", f"{setting}={locked / 'file'}", "--videos", str(video), "--quiet"]
            if setting != "detector.detections":
                words += ["--set", "detector.weights=hog"]
            runs.append([*words, "--output", str(public / setting)])
        program = [sys.executable, "-c", AS_NOBODY, json.dumps(runs)]
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        yield dict(zip(LOCKED_SETTINGS, map(tuple, found), strict=True))


@pytest.mark.parametrize("setting", LOCKED_SETTINGS)
def test_a_folder_that_may_not_be_searched_is_one_line(
    said_of_locked: dict[str, tuple[int, str]], setting: str
) -> None:
    code, said = said_of_locked[setting]
    assert code == 2, said
    assert "Traceback" not in said
    assert "ermission denied" in said


@pytest.mark.parametrize("name", ["trajectories.json", "links.json"])
@pytest.mark.parametrize(
    "text",
    [
        '{"people": null, "links": null}',
        '{"people": [null], "links": [null]}',
        '{"people": [{"person_id": 1}], "links": [{}]}',
        '{"people": {"a": 1}, "links": 5}',
        '{"people": [[]], "links": "text", "near_misses": 1}',
        DEEP,
        "[]",
        "null",
        "1e999",
    ],
)
def test_explain_refuses_documents_that_are_not_ours(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    for each in ("trajectories.json", "links.json"):
        (tmp_path / each).write_bytes((results / each).read_bytes())
    (tmp_path / name).write_text(text)
    assert explain.main([str(tmp_path), "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("max_seconds", ["1.0e-300", "1.0e+30"])
def test_any_number_of_seconds_may_be_the_most(
    video: Path, tmp_path: Path, max_seconds: str
) -> None:
    assert run(tmp_path / "out", video, "--max-seconds", max_seconds) == 0
