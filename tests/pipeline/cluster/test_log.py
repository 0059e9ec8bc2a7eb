"""The log of a run over files: what a kill leaves of it, and which run may go on with it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import chunks
from pipeline import config as configuration
from pipeline.chunks import Chunk, Found
from pipeline.cluster.log import CHUNKS, RunLog
from pipeline.config import Config
from pipeline.errors import ConfigError, OutputError
from pipeline.outputs.folder import UNFINISHED, OutputFolder
from pipeline.records import Detections
from pipeline.result import Result


def found(camera: str, frames: list[int]) -> Found:
    """Two boxes in each frame, of which the frame can be told."""
    boxes = [np.full((2, 4), frame, np.float32) for frame in frames]
    scores = np.array([0.5, 0.75], np.float32)
    return Found.of(camera, frames, [Detections(each, scores) for each in boxes])


def chunk(camera: str, frames: list[int]) -> Chunk:
    return Chunk({camera: frames[-1] + 1}, [], [], [found(camera, frames)], {}, {})


@pytest.fixture
def result(tmp_path: Path) -> Result:
    """Of a run that has not begun."""
    video = tmp_path / "cam.mp4"
    video.write_bytes(b"video")
    config = Config(cameras=[{"source": str(video), "name": "cam"}], engine="ray")
    return Result(config, tmp_path / "out", "YOLO", "reid", "abc", "def")


def begun(result: Result, *given: Chunk) -> Path:
    """The output folder of a run that was killed when it had these chunks."""
    log = RunLog(result.folder, result, resume=False)
    log.begin()
    for each in given:
        log.append(chunks.to_bytes(each))
    return result.folder


def test_what_was_found_is_known_in_the_order_of_the_frames(result: Result) -> None:
    folder = begun(result, chunk("cam", [0, 2]), chunk("other", [9]), chunk("cam", [6, 4]))
    done = RunLog(folder, result, resume=True).done(["cam"])
    assert list(done.found) == ["cam"]
    assert done.found["cam"].frames.tolist() == [0, 2, 4, 6]
    assert done.found["cam"].boxes[:, 0].tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    assert done.n_frames == {"cam": 5}


@pytest.mark.parametrize("n_lost", [1, 100])
def test_a_torn_chunk_is_left_out_and_the_next_one_takes_its_place(
    result: Result, n_lost: int
) -> None:
    folder = begun(result, chunk("cam", [0]), chunk("cam", [1]))
    path = folder / UNFINISHED / CHUNKS
    os.truncate(path, path.stat().st_size - n_lost)
    log = RunLog(folder, result, resume=True)
    log.begin()
    log.append(chunks.to_bytes(chunk("cam", [7])))
    assert [each.found[0].frames.tolist() for each in log.read()] == [[0], [7]]


def test_a_log_that_is_damaged_is_told_in_one_line(result: Result) -> None:
    folder = begun(result, chunk("cam", [0]))
    with (folder / UNFINISHED / CHUNKS).open("ab") as file:
        file.write(bytes(64))
    log = RunLog(folder, result, resume=True)
    log.begin()
    with pytest.raises(ConfigError, match=r"chunks: is damaged; begin anew with --overwrite"):
        list(log.read())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"linking.min_probability": 0.7}, "has other linking.min_probability; give the same"),
        ({"tracker.max_lost_s": 9.0}, "has other tracker.max_lost_s"),
        ({"output.report": False}, "has other output.report"),
    ],
)
def test_a_run_with_other_settings_does_not_go_on(
    result: Result, values: Mapping[str, Any], reason: str
) -> None:
    folder = begun(result)
    other = replace(result, config=configuration.change(result.config, values))
    with pytest.raises(ConfigError) as caught:
        RunLog(folder, other, resume=True)
    assert reason in str(caught.value)
    assert "--overwrite" in str(caught.value)


def test_a_run_goes_on_in_another_cluster(result: Result) -> None:
    folder = begun(result, chunk("cam", [0]))
    values = {"ray.address": "10.0.0.5:6379", "ray.cameras_per_worker": 1}
    other = replace(result, config=configuration.change(result.config, values))
    assert RunLog(folder, other, resume=True).is_resumed


def test_a_run_with_other_weights_or_a_changed_video_does_not_go_on(result: Result) -> None:
    folder = begun(result)
    with pytest.raises(ConfigError, match=r"has another network, runtime or precision \(reid\)"):
        RunLog(folder, replace(result, reid_sha256="other"), resume=True)
    Path(result.config.cameras[0].source).write_bytes(b"another video")
    with pytest.raises(ConfigError, match=r"the source of cam has changed since"):
        RunLog(folder, result, resume=True)


def test_a_folder_with_an_unfinished_run_says_how_to_go_on(result: Result) -> None:
    folder = begun(result)
    with pytest.raises(OutputError, match=r"holds an unfinished run; add --resume.*--overwrite"):
        OutputFolder(folder, overwrite=False)


def test_overwriting_begins_anew_and_resuming_does_not(result: Result) -> None:
    folder = begun(result)
    for overwrite, resume in ((False, True), (True, False)):
        output = OutputFolder(folder, overwrite, resume)
        output.create()
        output.close()
        assert (folder / UNFINISHED).is_dir() == resume
