"""The program sends nothing anywhere: it runs where the only network is loopback, with a name
server that notes every query.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.exports import results
from tests.pipeline.outputs.people import camera, person, tracklet
from tests.videos import write_video

WATCH = """
import fcntl, json, socket, struct, subprocess, sys, threading

UP = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS, IFF_UP and IFF_RUNNING
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(server, UP[0], struct.pack("16sh14x", b"lo", UP[1]))
server.bind(("127.0.0.1", 53))
queries = []

def serve():
    while True:
        queries.append(server.recv(4096)[12:].decode("latin-1"))

threading.Thread(target=serve, daemon=True).start()
code = subprocess.run(sys.argv[1:]).returncode
print("watched", json.dumps([code, queries]))
"""

ASK = "import socket; socket.setdefaulttimeout(1); socket.getaddrinfo('example.org', 80)"
STAY = """
import sys, time
from pipeline.cli import main
code = main(sys.argv[1:])
time.sleep(15)  # what waits in a queue of events is sent later
sys.exit(code)
"""
EXPORT = """
import sys, time
from pipeline.exports.__main__ import main
code = main(sys.argv[1:])
time.sleep(5)
sys.exit(code)
"""

RUNTIMES = (
    "models.reid.exported",
    "models.reid.export",
    "models.reid.openvino_network; import openvino",
    "models.detector.inference; import onnxruntime, openvino",
)
"""What is imported; some need a package that may be missing."""
REID_WEIGHTS = ("none", "auto")
LIMIT_S = 900
"""Longest wait for programs that take half a minute on an idle machine."""

pytestmark = pytest.mark.timeout(2 * LIMIT_S)


class Watched:
    """Runs Python with an empty HOME, no network, and a name server that answers nobody."""

    def __init__(self, folder: Path) -> None:
        self._resolv = folder / "resolv.conf"
        self._resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self._home = folder / "home"
        self._home.mkdir()

    def run(self, *arguments: str) -> str:
        """Return what was printed, with one line `watched [exit code, [queries]]`."""
        self.start(*arguments)
        return self.said()

    def start(self, *arguments: str) -> None:
        """Run beside what else runs; `said` waits for the end."""
        bind = f"mount --bind {self._resolv} /etc/resolv.conf && exec " + '"$@"'
        isolated = ["unshare", "--net", "--mount", "sh", "-c", bind, "sh"]
        watch = [sys.executable, "-c", WATCH, sys.executable, *arguments]
        given_by_ci = {"CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY"}
        environment = {key: value for key, value in os.environ.items() if key not in given_by_ci}
        environment |= {"HOME": str(self._home), "PYTHONPATH": str(ROOT)}
        environment.pop("XDG_CACHE_HOME", None)
        self._process = subprocess.Popen(
            [*isolated, *watch],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        """Wait for the end; returns what `run` does."""
        out, err = self._process.communicate(timeout=LIMIT_S)
        if self._process.returncode:
            pytest.skip(f"needs the right to make namespaces: {err.strip()[-200:]}")
        return out

    def stop(self) -> None:
        """End what a failed test has left."""
        self._process.kill()
        self._process.communicate()

    def files(self) -> set[str]:
        """Files in HOME, but for the settings that ultralytics keeps for itself."""
        found = {p.relative_to(self._home).as_posix() for p in self._home.rglob("*") if p.is_file()}
        return {name for name in found if "Ultralytics" not in name}


def side_by_side(
    folders: pytest.TempPathFactory, programs: dict[str, list[str]]
) -> Iterator[dict[str, Watched]]:
    """Start several programs at once, which wait for seconds for what is sent late; yields what
    watches them.
    """
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    started = {name: Watched(folders.mktemp("watched")) for name in programs}
    for name, arguments in programs.items():
        started[name].start(*arguments)
    yield started
    for watched in started.values():
        watched.stop()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    return Watched(tmp_path)


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Watched]]:
    """Each import of `RUNTIMES`."""
    programs = {name: ["-c", f"import time, {name}; time.sleep(6)"] for name in RUNTIMES}
    yield from side_by_side(tmp_path_factory, programs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Watched]]:
    """A run with each of `REID_WEIGHTS`."""
    folder = tmp_path_factory.mktemp("runs")
    video = write_video(folder / "cam.mp4", 20)
    programs = {}
    for weights in REID_WEIGHTS:
        words = ["--videos", str(video), "--output", str(folder / weights), "--quiet"]
        programs[weights] = ["-c", STAY, *words, "--set", f"reid.weights={weights}"]
    yield from side_by_side(tmp_path_factory, programs)


def test_the_watcher_sees_a_query(watched: Watched) -> None:
    said = watched.run("-c", ASK)
    assert "example" in said


@pytest.mark.slow
@pytest.mark.parametrize("module", RUNTIMES)
def test_importing_a_runtime_asks_for_no_host_and_leaves_nothing_in_home(
    imports: dict[str, Watched], module: str
) -> None:
    if "openvino" in module:
        pytest.importorskip("openvino")
    assert "watched [0, []]" in imports[module].said()
    assert imports[module].files() == set()


def test_an_export_for_the_rerun_viewer_asks_for_no_host_and_leaves_nothing_in_home(
    watched: Watched, tmp_path: Path
) -> None:
    pytest.importorskip("rerun", reason="needs the package rerun-sdk")
    seen = tracklet("gate", 1, [0.0, 0.1], [[1, 2, 3, 4]])
    folder = results.write(tmp_path / "run", [person(1, seen)], [camera("gate")])
    recording = tmp_path / "run.rrd"
    said = watched.run("-c", EXPORT, str(folder), "--rerun", str(recording))
    assert "watched [0, []]" in said
    assert watched.files() == set()
    assert recording.stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("reid", REID_WEIGHTS)
def test_a_run_asks_for_no_host_and_leaves_nothing_in_home(
    runs: dict[str, Watched], reid: str
) -> None:
    assert "watched [0, []]" in runs[reid].said()
    assert runs[reid].files() == set()
