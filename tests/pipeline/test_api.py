"""The Python function, and that it does what the command does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline import cli
from pipeline import config as configuration
from tests.conftest import ROOT
from tests.videos import write_video

QUICK = {"detector.weights": "hog", "reid.weights": "none", "output.video": False}
FILES = ("trajectories.json", "tracks.csv", "links.json", "config.yaml", "mot/cam1.txt")


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, pipeline; print('torch' in sys.modules, pipeline.track_people.__name__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "track_people"]


def test_the_function_and_the_command_write_the_same_files(sample: Path, tmp_path: Path) -> None:
    truth = str(sample / "truth")
    video = sample / "cam1.mp4"
    result = pipeline.track_people(
        [video],
        output=tmp_path / "function",
        settings={
            "detector.detections": truth,
            "reid.weights": "none",
            "sources.max_seconds": 2,
            "output.video": False,
        },
    )
    arguments = ["--videos", str(video), "--output", str(tmp_path / "command")]
    arguments += ["--set", f"detector.detections={truth}", "--set", "reid.weights=none"]
    assert cli.main([*arguments, "--max-seconds", "2", "--no-video", "--quiet"]) == 0
    for name in FILES:
        assert (tmp_path / "function" / name).read_bytes() == (
            tmp_path / "command" / name
        ).read_bytes()
    listed = json.loads((tmp_path / "command" / "run.json").read_text())["files"]
    assert result.files == listed
    assert len(result.people) > 1
    assert not result.interrupted


def test_settings_replace_those_of_the_config_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    site = tmp_path / "site.yaml"
    site.write_text("cameras: [{source: cam.mp4}]\ndevice: cuda\n")
    result = pipeline.track_people(
        output=tmp_path / "out", config=site, settings={**QUICK, "device": "cpu"}
    )
    assert result.config.device == "cpu"
    assert result.cameras[0].source == str(video)


def test_a_config_that_is_loaded_already_is_accepted(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    loaded = configuration.change(configuration.load(""), QUICK)
    result = pipeline.track_people([video], output=tmp_path / "out", config=loaded)
    assert [camera.n_frames for camera in result.cameras] == [5]


def test_live_cameras_are_followed_with_settings_given_in_the_same_ways(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 10, 10)
    with pytest.raises(pipeline.ConfigError, match=r"^settings: unknown key live\.flush;"):
        pipeline.follow_live([video], output=tmp_path / "out", settings={"live.flush": 1})
    result = pipeline.follow_live([video], output=tmp_path / "out", settings=QUICK)
    assert [camera.name for camera in result.cameras] == ["cam"]
    assert "run.json" in result.files


def test_wrong_input_raises_the_errors_that_are_documented(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(pipeline.ConfigError, match=r"^settings: unknown key tracker\.max_lost;"):
        pipeline.track_people(["a.mp4"], output=output, settings={"tracker.max_lost": 1})
    with pytest.raises(pipeline.ConfigError, match=r"^no cameras"):
        pipeline.track_people(output=output)
    with pytest.raises(pipeline.SourceError, match="no such file"):
        pipeline.track_people([tmp_path / "a.mp4"], output=output, settings=QUICK)
    with pytest.raises(pipeline.ModelError):
        pipeline.track_people(
            [write_video(tmp_path / "b.mp4", 2)],
            output=output,
            settings={"reid.weights": "no.onnx"},
        )
    assert not output.exists()


def test_results_are_not_replaced_unless_that_is_asked_for(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 2)
    output = tmp_path / "out"
    pipeline.track_people([video], output=output, settings=QUICK)
    with pytest.raises(pipeline.OutputError, match="is not empty"):
        pipeline.track_people([video], output=output, settings=QUICK)
    pipeline.track_people([video], output=output, settings=QUICK, overwrite=True)


def test_the_command_prints_one_line_for_a_setting_under_its_old_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--videos", "no.mp4", "--output", str(tmp_path / "out")]
    assert cli.main([*arguments, "--set", "tracker.sure_iou=0.3"]) == 2
    notice, error = capsys.readouterr().err.splitlines()
    assert notice.startswith("note: the command line: tracker.sure_iou is now called ")
    assert error.startswith("error: no.mp4: ")
