"""The worker over files by itself, without a cluster."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import chunks, preparation
from pipeline.chunks import Chunk
from pipeline.cluster.file_worker import FileWorker, Job
from pipeline.config import CameraConfig, Config
from pipeline.errors import ClusterError
from pipeline.group import Done
from pipeline.preparation import Chosen


def job_of(sample: Path) -> Job:
    """What the worker of a camera is made of, with boxes from a file."""
    config, _ = preparation.checked(
        Config(
            cameras=[CameraConfig(source=str(sample / "cam1.mp4"), name="cam1")],
            sources={"max_seconds": 2},
            detector={"detections": str(sample / "truth")},
            reid={"weights": "none"},
        )
    )
    cameras = [preparation.open_camera(camera, config).camera for camera in config.cameras]
    networks = preparation.load_networks(config, cameras)
    chosen = Chosen.of(preparation.new_result(config, sample, networks))
    return Job(config, ("cam1",), tuple(cameras), chosen, Done())


def read(worker: FileWorker) -> list[Chunk]:
    """All chunks of a worker, to the last one."""
    given: list[Chunk] = []
    while not (given and given[-1].ends):
        packed = worker.next(stop=False)
        if packed is not None:
            given.append(chunks.from_bytes(packed))
    return given


def test_a_spare_worker_reads_nothing_until_it_takes_over(sample: Path) -> None:
    job = job_of(sample)
    spare = FileWorker(replace(job, cameras=()))
    assert spare.next(stop=False) is None
    spare.take_over(job)
    assert read(spare)[-1].n_frames == read(FileWorker(job))[-1].n_frames == {"cam1": 25}


def test_a_spare_worker_that_cannot_begin_says_so_when_it_takes_over(sample: Path) -> None:
    job = replace(job_of(sample), version="0.0")
    spare = FileWorker(replace(job, cameras=()))
    spare.take_over(job)
    with pytest.raises(ClusterError, match=r"and the command 0\.0; install the same"):
        read(spare)
