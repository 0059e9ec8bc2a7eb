"""Runs over files on a real Ray cluster of three machines on loopback, with workers, machines and
drivers that are killed: the results are those of one process, byte for byte.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster import connection
from pipeline.cluster.log import CHUNKS
from pipeline.outputs.folder import UNFINISHED
from tests.conftest import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs the package ray (pip install 'ray>=2.50,<3')")

SECONDS = 9
SETTINGS = ("device=cpu", "runtime=torch", "detector.size_px=320", "ray.cameras_per_worker=1")
SAME = ("tracks.csv", "trajectories.json", "links.json", "priors.json", "mot/cam1.txt")


def command(sample: Path, output: Path, *given: str) -> list[str]:
    """The command of a run over two cameras."""
    words = [sys.executable, str(ROOT / "run_pipeline.py"), "--output", str(output), "--no-video"]
    words += ["--videos", str(sample / "cam1.mp4"), str(sample / "cam2.mp4")]
    words += ["--max-seconds", str(SECONDS), *given]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


def results(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in SAME}


def about(output: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((output / "run.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def expected(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes."""
    output = tmp_path_factory.mktemp("local") / "out"
    subprocess.run(command(sample, output), check=True, capture_output=True)
    assert (output / "tracks.csv").stat().st_size > 1000
    return results(output)


class Machines:
    """A head with one CPU, and machines with one CPU each."""

    def __init__(self) -> None:
        connection.import_ray()
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []

    def fill(self) -> None:
        """Have a head and two machines."""
        while len(self._nodes) < 2:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def worker_pids(self) -> list[int]:
        """Workers of all machines."""
        return [pid for node in self._all() for pid in _workers_of(_raylet(node))]

    def kill_a_machine_with_a_worker(self) -> None:
        """Kill the raylet of a machine that is not the head, with all its processes."""
        node = next(node for node in self._nodes if _workers_of(_raylet(node)))
        self._nodes.remove(node)
        pids = _workers_of(_raylet(node))
        self._cluster.remove_node(node, allow_graceful=False)
        for pid in pids:
            _kill(pid)

    def stop(self) -> None:
        self._cluster.shutdown()

    def _all(self) -> list[Any]:
        return [self._cluster.head_node, *self._nodes]


def _raylet(node: Any) -> int:
    """Process id of the raylet of a machine."""
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


def _workers_of(raylet: int) -> list[int]:
    """Process ids of the workers that a raylet has started."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_worker = (path / "cmdline").read_bytes().startswith(b"ray::FileWorker")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if is_worker and parent == raylet:
            pids.append(int(path.name))
    return pids


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """A cluster of three machines, which are processes on this one."""
    machines = Machines()
    yield machines
    machines.stop()


def started(machines: Machines, sample: Path, output: Path, *given: str) -> subprocess.Popen[str]:
    """A run on the cluster, which has acknowledged something and goes on."""
    machines.fill()
    words = command(
        sample, output, "--set", "engine=ray", "--set", f"ray.address={machines.address}", *given
    )
    log = output / UNFINISHED / CHUNKS
    before = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(
        lambda: process.poll() is not None or (log.exists() and log.stat().st_size > before),
        timeout_s=60,
    )
    return process


def test_a_killed_worker_is_started_again_and_the_results_are_those_of_one_process(
    machines: Machines, sample: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    process = started(machines, sample, tmp_path / "out")
    _kill(machines.worker_pids()[0])
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert results(tmp_path / "out") == expected
    told = about(tmp_path / "out")
    assert told["engine"] == "ray"
    assert sorted(worker["restarts"] for worker in told["workers"]) == [0, 1]
    assert [line for line in told["warnings"] if "was lost" in line]
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_a_killed_machine_and_then_a_killed_driver_change_nothing(
    machines: Machines, sample: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    process = started(machines, sample, tmp_path / "out")
    machines.kill_a_machine_with_a_worker()
    process.kill()
    process.communicate()
    assert not (tmp_path / "out" / "tracks.csv").exists()
    refused = subprocess.run(
        command(sample, tmp_path / "out", "--set", "engine=ray"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "holds an unfinished run; add --resume to go on with it" in refused.stderr
    process = started(machines, sample, tmp_path / "out", "--resume")
    machines.kill_a_machine_with_a_worker()
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert results(tmp_path / "out") == expected


def test_ctrl_c_stops_reading_and_what_was_read_is_written(
    machines: Machines, sample: Path, tmp_path: Path
) -> None:
    process = started(machines, sample, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    told = about(tmp_path / "out")
    assert told["interrupted"]
    assert 0 < max(camera["n_frames"] for camera in told["cameras"]) < SECONDS * 12.5


def test_a_group_that_no_machine_has_room_for_is_told_in_one_line(
    machines: Machines, sample: Path, tmp_path: Path
) -> None:
    machines.fill()
    site = tmp_path / "site.yaml"
    cameras = [{"source": str(sample / "cam1.mp4"), "group": "north"}]
    groups = {"north": {"resources": {"north": 1}}}
    ray_settings = {"address": machines.address, "groups": groups, "start_timeout_s": 2}
    site.write_text(json.dumps({"cameras": cameras, "engine": "ray", "ray": ray_settings}))
    words = [sys.executable, str(ROOT / "run_pipeline.py"), "--config", str(site)]
    words += ["--output", str(tmp_path / "out"), "--set", "runtime=torch"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the worker of north (cam1) found no place within 2 s: it waits")
    assert "1 north (0 free)" in last
