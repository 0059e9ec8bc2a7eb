"""A live run on a real Ray cluster of three machines on loopback, of which workers, a machine and
the driver are killed: cameras come back, and people keep their numbers.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.live.rtsp_server import RtspServer
from pipeline.live import journal
from tests import programs, waiting
from tests.pipeline.cluster.machines import TOO_BUSY, Machines, held
from tests.videos import write_beginning

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
pytest.importorskip("ray", reason="needs the package ray (pip install 'ray>=2.50,<3')")

LIMIT_S = 600.0
"""Longest wait for something that takes half a minute on an idle machine."""

wait_until = partial(waiting.wait_until, timeout_s=LIMIT_S)
CAMERAS = ("east", "west")
SETTINGS = (
    "engine=ray",
    "device=cpu",
    "runtime=torch",
    "ray.cameras_per_worker=1",
    f"ray.start_timeout_s={LIMIT_S:g}",
    "detector.size_px=480",
    "detector.rate=3",
    "live.flush_s=1",
)


@pytest.fixture(scope="module")
def site(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A config of two cameras, which servers on loopback play over and over."""
    folder = tmp_path_factory.mktemp("site")
    clip = write_beginning(sample / "cam4.mp4", folder / "cam4.mp4", 150)
    path = folder / "site.yaml"
    with RtspServer(clip) as east, RtspServer(clip) as west:
        write_site(path, east=east.url, west=west.url)
        yield path


def write_site(path: Path, **addresses: str) -> None:
    """Write a config of cameras by name."""
    cameras = [{"source": address, "name": name} for name, address in addresses.items()]
    path.write_text(json.dumps({"cameras": cameras}), encoding="utf-8")


class Run:
    """A live run, and what is on disk of it."""

    def __init__(self, output: Path, process: subprocess.Popen[str]) -> None:
        self.output = output
        self.process = process

    def said(self) -> str:
        """All that it and earlier runs have printed."""
        return said_of(self.output).read_text(encoding="utf-8")

    def events(self, kind: str) -> list[Any]:
        """Events of a kind, as the journal has them."""
        return [event for event in journal.read_events(self.output) if event.kind == kind]

    def cameras_with(self, kind: str, after_s: float) -> set[str]:
        """Cameras to which something has happened after a time."""
        return {event.camera for event in self.events(kind) if event.time_s > after_s}

    def rows(self, after_s: float = 0.0) -> list[tuple[str, int, int, float]]:
        """Camera, track, frame and time of all rows after a time."""
        rows = []
        for line in journal.read_rows(journal.row_files(self.output)):
            for frame, time_s in zip(line.frames, line.times_s, strict=True):
                if time_s > after_s:
                    rows.append((line.camera, line.track_id, frame, time_s))
        return rows

    def sees(
        self, n_rows: int, after_s: float = 0.0, names: Sequence[str] = CAMERAS
    ) -> Callable[[], bool]:
        """Whether each camera has so many rows after a time."""

        def is_enough() -> bool:
            assert self.process.poll() is None, self.said()
            cameras = [camera for camera, *_ in self.rows(after_s)]
            return all(cameras.count(name) >= n_rows for name in names)

        return is_enough


@contextmanager
def running(site: Path, output: Path, *given: str) -> Iterator[Run]:
    """A run, which is killed after the block if it goes on."""
    words = [sys.executable, "run_pipeline.py", "--config", str(site), "--output", str(output)]
    for setting in SETTINGS:
        words += ["--set", setting]
    with (
        said_of(output).open("a", encoding="utf-8") as said,
        programs.running([*words, *given], stdout=said, stderr=said) as process,
    ):
        yield Run(output, process)


def said_of(output: Path) -> Path:
    """File of what the runs into a folder have printed."""
    return output.parent / "said.txt"


def people_of(output: Path) -> list[tuple[int, list[float]]]:
    """Number of each person, and when they were seen."""
    people = []
    for person in json.loads((output / "trajectories.json").read_text())["people"]:
        times_s = [time_s for part in person["tracklets"] for time_s in part["times_s"]]
        people.append((person["person_id"], times_s))
    return people


def test_people_keep_their_numbers_when_a_worker_a_machine_and_the_driver_are_killed(
    machines: Machines, site: Path, tmp_path: Path
) -> None:
    machines.fill()
    output = tmp_path / "out"
    address = ("--set", f"ray.address={machines.address}")
    with running(site, output, *address) as run:
        wait_until(run.sees(20))
        with held(run.process):
            machines.kill_a_machine_and_all_workers()
            killed_s = time.time()
        wait_until(lambda: run.cameras_with("worker_restarted", killed_s) == {*CAMERAS})
        assert run.cameras_with("worker_lost", killed_s) == {*CAMERAS}
        died = [e.camera for e in run.events("worker_lost") if TOO_BUSY not in e.reason]
        assert len(died) == len(set(died)), "each loss is told once"
        wait_until(run.sees(5, killed_s + 1.0))
        run.process.kill()
    machines.fill()
    resumed_s = time.time()
    with running(site, output, *address, "--resume") as run:
        wait_until(run.sees(10, resumed_s))
        run.process.terminate()
        assert run.process.wait() == 0, run.said()
        assert "going on with" in run.said()
        rows = run.rows()
    assert len({row[:3] for row in rows}) == len(rows), "no frame of a track is counted twice"
    rows.sort(key=lambda row: row[3])
    for name in CAMERAS:
        frames = [frame for camera, _, frame, _ in rows if camera == name]
        assert (np.diff(frames) >= 0).all(), "numbers of frames go on"
    n_late = 0
    n_known = 0
    for _, times_s in people_of(output):
        late = sum(time_s > resumed_s for time_s in times_s)
        n_late += late
        n_known += late if min(times_s) < killed_s else 0
    assert n_late > 0
    assert n_known > 0.7 * n_late
    told = json.loads((output / "run.json").read_text())
    assert told["engine"] == "ray"
    assert sorted(camera for worker in told["workers"] for camera in worker["cameras"]) == [
        *CAMERAS
    ]
    for name in CAMERAS:
        assert list((output / "segments" / name).iterdir()), "workers write video"
    assert (output / "report.html").is_file()


def test_sighup_starts_a_worker_for_a_new_camera_and_ends_that_of_one_that_is_gone(
    machines: Machines, site: Path, tmp_path: Path
) -> None:
    machines.fill()
    addresses = {each["name"]: each["source"] for each in json.loads(site.read_text())["cameras"]}
    changed = tmp_path / "changed.yaml"
    write_site(changed, east=addresses["east"])
    with running(changed, tmp_path / "out", "--set", f"ray.address={machines.address}") as run:
        wait_until(run.sees(5, names=["east"]))
        write_site(changed, west=addresses["west"])
        run.process.send_signal(signal.SIGHUP)
        wait_until(run.sees(5, names=["west"]))
        wait_until(lambda: len(machines.worker_pids()) == 1)
        run.process.terminate()
        assert run.process.wait() == 0, run.said()
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert sorted(each["group"] for each in told["workers"]) == ["east", "west"]
    lost = run.events("worker_lost")
    assert all(TOO_BUSY in event.reason for event in lost)
    assert lost or [each["restarts"] for each in told["workers"]] == [0, 0]
