"""Runs over files on a real Ray cluster of three machines on loopback, with workers, machines and
drivers that are killed: the results are those of one process, byte for byte.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.log import CHUNKS
from pipeline.outputs.folder import UNFINISHED
from tests.conftest import ROOT
from tests.pipeline.cluster.machines import TOO_BUSY, Machines, held, kill
from tests.programs import running
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ray = pytest.importorskip("ray", reason="needs the package ray (pip install 'ray>=2.50,<3')")

SECONDS = 9
WHOLE_S = 60
FPS = 12.5
SETTINGS = ("device=cpu", "runtime=torch", "detector.size_px=320")
LIMIT_S = 600
"""Longest wait for a run that takes a minute on an idle machine."""
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
    """What one process writes, which has loaded nothing else that may change how torch computes."""
    output = tmp_path_factory.mktemp("local") / "out"
    subprocess.run([*command(sample, output), "--quiet"], check=True)
    assert (output / "tracks.csv").stat().st_size > 1000
    return results(output)


@contextmanager
def started(
    machines: Machines, sample: Path, output: Path, *given: str
) -> Iterator[subprocess.Popen[str]]:
    """A run on the cluster, which has acknowledged something and goes on."""
    machines.fill()
    words = command(sample, output, *given)
    for setting in (
        "engine=ray",
        f"ray.address={machines.address}",
        f"ray.start_timeout_s={LIMIT_S}",
    ):
        words += ["--set", setting]
    log = output / UNFINISHED / CHUNKS
    before = log.stat().st_size if log.exists() else 0
    with running(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        wait_until(
            lambda: process.poll() is not None or (log.exists() and log.stat().st_size > before),
            timeout_s=LIMIT_S,
        )
        yield process


def test_a_killed_worker_and_a_killed_machine_change_nothing(
    machines: Machines, sample: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    wait_until(lambda: not machines.worker_pids(), LIMIT_S)  # of other tests
    one_each = ("--set", "ray.cameras_per_worker=1")
    with started(machines, sample, tmp_path / "out", *one_each) as process:
        with held(process):
            wait_until(lambda: len(machines.worker_pids()) == 2, LIMIT_S)
            machines.kill_a_machine_and_all_workers()
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert results(tmp_path / "out") == expected
    told = about(tmp_path / "out")
    assert told["engine"] == "ray"
    losses = [line for line in told["warnings"] if "was lost" in line]
    for worker in told["workers"]:
        its_losses = [line for line in losses if f"the worker of {worker['group']} " in line]
        assert worker["restarts"] == len(its_losses) > 0
        assert len([line for line in its_losses if TOO_BUSY not in line]) <= 1
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_with_a_spare_worker_the_results_are_the_same_whichever_worker_is_killed(
    machines: Machines, sample: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    wait_until(lambda: not machines.worker_pids(), LIMIT_S)  # of other tests
    spare = ("--set", "ray.spare_workers=1")
    with started(machines, sample, tmp_path / "out", *spare) as process:
        with held(process):  # the other worker waits soon, until the spare one is there
            wait_until(lambda: len(machines.worker_pids()) == 2, LIMIT_S)
            kill(machines.worker_pids()[0])
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert results(tmp_path / "out") == expected


def test_a_run_whose_command_was_killed_goes_on_and_ends_with_the_same_results(
    machines: Machines, sample: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with started(machines, sample, tmp_path / "out") as process:
        process.kill()
        process.communicate()
    assert not (tmp_path / "out" / "tracks.csv").exists()
    with started(machines, sample, tmp_path / "out", "--resume") as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert results(tmp_path / "out") == expected
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_ctrl_c_stops_reading_and_what_was_read_is_written(
    machines: Machines, sample: Path, tmp_path: Path
) -> None:
    whole = ("--max-seconds", str(WHOLE_S))
    with started(machines, sample, tmp_path / "out", *whole) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 130, said
    told = about(tmp_path / "out")
    assert told["interrupted"]
    assert 0 < max(camera["n_frames"] for camera in told["cameras"]) < WHOLE_S * FPS


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
    words += ["--output", str(tmp_path / "out"), "--set", "reid.weights=none"]
    words += ["--set", f"detector.detections={sample / 'truth'}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the worker of north (cam1) found no place within 2 s: it waits")
    assert "1 north (0 free)" in last
