"""Cameras are read in rounds, in step with their clocks."""

import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import CameraConfig, Config, SourcesConfig
from pipeline.detect.mot_file import MotFileDetector
from pipeline.records import Frame
from pipeline.sources import open_source
from pipeline.timings import Timings
from pipeline.worker import Worker, rounds
from tests.videos import write_video


@pytest.mark.parametrize(
    ("stride", "late_s", "sizes"),
    [
        (1, 0.05, [2] * 20),
        (5, 0.05, [2] * 4),
        (5, 0.2, [2] * 4),
        (5, 0.45, [2] * 4),
        (5, 0.5, [1, 2, 2, 2, 1]),
    ],
)
def test_cameras_out_of_phase_share_their_rounds_whatever_the_stride(
    tmp_path: Path, stride: int, late_s: float, sizes: list[int]
) -> None:
    settings = SourcesConfig(stride=stride)
    cameras = []
    for name, start_s in (("early", 0.0), ("late", late_s)):
        video = write_video(tmp_path / f"{name}.mp4", 20, 10)
        cameras.append(CameraConfig(source=str(video), name=name, start_s=start_s))
        (tmp_path / f"{name}.txt").touch()
    config = Config(cameras=cameras, sources=settings)
    sources = [open_source(camera, settings) for camera in cameras]
    detector = MotFileDetector(tmp_path, [source.camera for source in sources], 0.1)
    found: list[int] = []
    worker = Worker(sources, detector, config, Timings())
    list(worker.run(threading.Event(), found.append))
    assert found == sizes
    assert worker.n_frames == {"early": 20 // stride, "late": 20 // stride}


@pytest.mark.parametrize("interval_s", [0.04, 0.0])
def test_rounds_end_also_where_times_are_too_large_to_tell_frames_apart(interval_s: float) -> None:
    image = np.zeros((2, 2, 3), np.uint8)

    def frames(camera: str, start_s: float) -> Generator[Frame, None, None]:
        for i in range(3):
            yield Frame(camera, i, start_s + i * interval_s, image)

    readers = {"late": frames("late", 1e18), "early": frames("early", 0.0)}
    found = list(rounds(readers, dict.fromkeys(readers, interval_s)))
    assert sum(len(each) for each in found) == 6
    assert [frame.camera for frame in found[0]] == ["early"]
