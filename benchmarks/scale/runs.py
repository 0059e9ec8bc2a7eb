"""The program on real clusters of this machine, against itself without one.

A cluster of n workers has n + 1 raylets, each with an address of its own on loopback: a head
without CPUs, where the program runs, and a node with one CPU for each worker. So every worker is a
process of its own on a node of its own, and what it sends the program goes through sockets. All of
them share the cores of this machine: what is measured is what Ray costs, not how much faster
several machines are.
"""

import hashlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.live.soak import free_port
from benchmarks.pipeline.scenes import ROOT, Scene, Video
from benchmarks.scale.processes import COMMAND, LINKER, OF_RAY, WORKERS, Sampler, Used
from models.errors import shorten
from pipeline.cluster import connection
from pipeline.errors import PipelineError

PRODUCT = ROOT / "run_pipeline.py"
RAY = Path(sys.executable).with_name("ray")
STORE_BYTES = 200_000_000
"""Object store of each node: what is under way between a worker and the program is far smaller."""
STARTED = "Ray runtime started"
START_S = 300.0
"""Longest start of a node, and of a worker: many start at once on few cores."""
STOP_S = 60.0
IDLE_S = 10.0
"""How long a cluster without work is watched."""
MAX_REASON = 300
DIFFERENT = "rounds differ"


@dataclass(frozen=True, slots=True)
class Node:
    """A `ray start` and all processes below it."""

    process: subprocess.Popen[bytes]
    log: Path


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes of this machine. The first one is the head.

    Attributes:
        address: For `ray.address`.
        nodes: All of them.
        environment: Variables of whoever connects.
        idle: What Ray's processes use while nothing runs.
    """

    address: str
    nodes: Sequence[Node]
    environment: Mapping[str, str]
    idle: Used


@dataclass(frozen=True, slots=True)
class Run:
    """What a run used; memory is the largest of each process, CPU time of user and system.

    Attributes:
        workers: Processes that own cameras; 0 for the engine local.
        cameras: How many.
        frames: Of all cameras.
        video_s: Length of a camera's video.
        wall_s: From the start of the program to its end.
        command_s: CPU time of the program itself.
        workers_s: CPU time of the workers.
        linker_s: CPU time of linking in a process of its own.
        ray_s: CPU time of Ray's own processes, on all nodes.
        idle_cores: Cores that Ray's own processes of these nodes use while nothing runs.
        sent_bytes: From the nodes of the workers to that of the program.
        back_bytes: The other way.
        idle_bytes_s: From the nodes of the workers to that of the program, in a second in which
            nothing runs.
        command_mib: Memory of the program.
        worker_mib: Memory of each worker.
        ray_mib: Memory of Ray's own processes, together.
        link_s: Wall-clock time of linking, as run.json has it.
        restarts: Of workers that were lost, which costs them their work since the last chunk.
        tracks_sha256: Hash of tracks.csv.
    """

    workers: int
    cameras: int
    frames: int
    video_s: float
    wall_s: float
    command_s: float
    workers_s: float
    linker_s: float
    ray_s: float
    idle_cores: float
    sent_bytes: float
    back_bytes: float
    idle_bytes_s: float
    command_mib: float
    worker_mib: Sequence[float]
    ray_mib: float
    link_s: float
    restarts: int
    tracks_sha256: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs that differ in their length alone, so that what a start costs can be left out."""

    short: Run
    long: Run

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Pair":
        """Return what `as_json` gave."""
        return cls(Run(**values["short"]), Run(**values["long"]))

    @classmethod
    def mean(cls, rounds: Sequence["Pair"]) -> "Pair":
        """Return the means of rounds, as `mean_run`."""
        short = mean_run([pair.short for pair in rounds])
        return cls(short, mean_run([pair.long for pair in rounds]))

    def as_json(self) -> dict[str, Any]:
        """Return all values by name."""
        return asdict(self)

    def ms_a_frame(self, what: str) -> float:
        """Return the CPU time of a frame beyond that of the start.

        Args:
            what: Name of CPU seconds of a `Run`.
        """
        return 1000 * self._more(what) / self._more("frames")

    def ms_a_video_second(self, what: str) -> float:
        """Return the CPU time of a second of a camera's video, beyond that of the start.

        Args:
            what: Name of CPU seconds of a `Run`.
        """
        return 1000 * self._more(what) / self._more("video_s") / self.long.cameras

    def start_s(self, what: str) -> float:
        """Return the CPU seconds of a run without frames.

        Args:
            what: Name of CPU seconds of a `Run`.
        """
        a_frame_s = self.ms_a_frame(what) / 1000
        return float(getattr(self.short, what)) - a_frame_s * self.short.frames

    @property
    def ray_cores(self) -> float:
        """Cores that Ray's own processes use in a run, on all nodes, beyond their start."""
        return self._more("ray_s") / self._more("wall_s")

    @property
    def sent_bytes_s(self) -> float:
        """Bytes from the workers to the program, of a camera and second of its video, beyond those
        that Ray sends anyway.
        """
        idle_bytes = self.long.idle_bytes_s * self._more("wall_s")
        return (self._more("sent_bytes") - idle_bytes) / self.long.cameras / self._more("video_s")

    def _more(self, what: str) -> float:
        return float(getattr(self.long, what) - getattr(self.short, what))


def mean_run(rounds: Sequence[Run]) -> Run:
    """Return the mean of the same run in several rounds.

    Args:
        rounds: One or more runs.

    Returns:
        Means of all figures; the sum of restarts; the memory of each worker; the hash of
        tracks.csv, or DIFFERENT where rounds differ.
    """
    first = rounds[0]
    means: dict[str, Any] = {}
    for each in fields(Run):
        is_figure = isinstance(getattr(first, each.name), int | float)
        if is_figure and each.name != "restarts":
            means[each.name] = statistics.mean(getattr(run, each.name) for run in rounds)
    hashes = {run.tracks_sha256 for run in rounds}
    return replace(
        first,
        **means,
        restarts=sum(run.restarts for run in rounds),
        worker_mib=[mib for run in rounds for mib in run.worker_mib],
        tracks_sha256=first.tracks_sha256 if len(hashes) == 1 else DIFFERENT,
    )


def cameras_of(scene: Scene, n_cameras: int) -> Scene:
    """Return a scene of so many cameras, which show the videos of another one in turn.

    Args:
        scene: The other scene.
        n_cameras: How many cameras.
    """
    videos = []
    for i in range(n_cameras):
        shown = scene.videos[i % len(scene.videos)]
        videos.append(Video(f"{shown.name}_{i // len(scene.videos) + 1}", shown.path, []))
    return Scene(f"{n_cameras} cameras of {scene.name}", tuple(videos), None)


@contextmanager
def cluster(n_workers: int) -> Iterator[Cluster]:
    """Start a head and a node for each worker, and stop them.

    Args:
        n_workers: How many nodes beside the head.

    Raises:
        PipelineError: A node does not start.
    """
    token = secrets.token_hex(32)
    environment = {
        **os.environ,
        **connection.ENVIRONMENT,
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }
    port = free_port()
    nodes: list[Node] = []
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as name:
        folder = Path(name)
        head = ["--head", "--num-cpus=0", "--include-dashboard=false", f"--port={port}"]
        head += [f"--temp-dir={folder}", f"--ray-client-server-port={free_port()}"]
        try:
            nodes.append(_node(head, folder / "head.txt", environment))
            address = f"{_address_in(nodes[0].log)}:{port}"
            for i in range(n_workers):
                words = [f"--address={address}", f"--node-ip-address=127.0.0.{i + 2}"]
                words += ["--num-cpus=1"]
                nodes.append(_node(words, folder / f"node{i}.txt", environment))
            yield Cluster(address, nodes, environment, _watched_idle(nodes))
        finally:
            _stop(nodes)


def _node(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Node:
    """Start a node, and wait until it runs; raises PipelineError."""
    command = [str(RAY), "start", "--block", f"--object-store-memory={STORE_BYTES}", *words]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    until_s = time.monotonic() + START_S
    while STARTED not in log.read_text(encoding="utf-8"):
        if process.poll() is not None or time.monotonic() > until_s:
            process.kill()
            raise PipelineError(f"a node of Ray does not start: {_last_words(log)}")
        time.sleep(0.2)
    return Node(process, log)


def _last_words(log: Path) -> str:
    """The last line of what a program has printed."""
    lines = log.read_text(encoding="utf-8").strip().splitlines() or ["it printed nothing"]
    return shorten(lines[-1], MAX_REASON)


def _address_in(log: Path) -> str:
    """The address that a head says it has."""
    text = log.read_text(encoding="utf-8")
    return text.partition("Local node IP: ")[2].split()[0]


def _stop(nodes: Sequence[Node]) -> None:
    """Stop the nodes, the head last."""
    for node in reversed(nodes):
        node.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            node.process.wait(STOP_S)
        node.process.kill()
        node.process.wait()


def _watched_idle(nodes: Sequence[Node]) -> Used:
    sampler = Sampler({node.process.pid for node in nodes})
    sampler.start()
    time.sleep(IDLE_S)
    return sampler.stop()


def measure(scene: Scene, n_workers: int, seconds: Sequence[float]) -> dict[str, Any]:
    """Run the program twice on a scene.

    Args:
        scene: Cameras.
        n_workers: Nodes with a worker each; 0 for the engine local.
        seconds: Of each video, of the short run and of the long one.

    Returns:
        A `Pair` as values that JSON can hold.

    Raises:
        PipelineError: The program or the cluster failed.
    """
    with cluster(n_workers) if n_workers else nullcontext() as on:
        short, long = (run(scene, max_seconds, on) for max_seconds in seconds)
    print(f"{n_workers} workers: {long.wall_s:.0f} s", file=sys.stderr, flush=True)
    return Pair(short, long).as_json()


def run(scene: Scene, max_seconds: float, on: Cluster | None) -> Run:
    """Run the program on a scene, and measure what it and all of Ray use.

    Args:
        scene: Cameras.
        max_seconds: Of each video; 0 for all.
        on: Where to; None for the engine local.

    Raises:
        PipelineError: The program failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene.write_config(folder / "scene.yaml")
        words = [sys.executable, str(PRODUCT), "--quiet", "--no-video"]
        words += ["--config", str(folder / "scene.yaml"), "--output", str(folder / "results")]
        words += ["--max-seconds", str(max_seconds)]
        for setting in _engine(scene, on):
            words += ["--set", setting]
        environment = on.environment if on else {**os.environ, "OMP_NUM_THREADS": "1"}
        sampler = Sampler({node.process.pid for node in on.nodes} if on else set())
        sampler.start()
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=said, stderr=said)
            sampler.roots.add(process.pid)
            try:
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            finally:
                used = sampler.stop()
        if code:
            reason = _last_words(folder / "said.txt")
            raise PipelineError(f"{scene.name}: the program failed ({code}): {reason}")
        return _read(folder / "results", used, process.pid, on)


def _engine(scene: Scene, on: Cluster | None) -> list[str]:
    """Settings of the engine, with as many workers as the cluster has nodes for."""
    if on is None:
        return []
    per_worker = -(-len(scene.videos) // (len(on.nodes) - 1))
    return [
        "engine=ray",
        f"ray.address={on.address}",
        f"ray.cameras_per_worker={per_worker}",
        f"ray.start_timeout_s={START_S}",
    ]


def _read(results: Path, used: Used, pid: int, on: Cluster | None) -> Run:
    """Put together what was sampled and what the run says of itself."""
    about = json.loads((results / "run.json").read_text(encoding="utf-8"))
    document = json.loads((results / "trajectories.json").read_text(encoding="utf-8"))
    cameras = about["cameras"]
    fps = document["cameras"][0]["fps"]
    frames = sum(camera["n_frames"] for camera in cameras)
    with (results / "tracks.csv").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    head = on.nodes[0].process.pid if on else 0
    here = {pid, head}
    workers = on.nodes[1:] if on else []
    idle_cores = 0.0
    idle_bytes_s = 0.0
    if on:
        idle_cores = on.idle.cpu_s(OF_RAY, pid) / on.idle.wall_s
        idle_bytes_s = _bytes_into({head}, on.idle) / on.idle.wall_s
    return Run(
        workers=len(on.nodes) - 1 if on else 0,
        cameras=len(cameras),
        frames=frames,
        video_s=frames / len(cameras) / fps,
        wall_s=used.wall_s,
        command_s=used.cpu_s(COMMAND, pid),
        workers_s=used.cpu_s(WORKERS, pid),
        linker_s=used.cpu_s(LINKER, pid),
        ray_s=used.cpu_s(OF_RAY, pid),
        idle_cores=idle_cores,
        sent_bytes=_bytes_into(here, used),
        back_bytes=_bytes_into({node.process.pid for node in workers}, used),
        idle_bytes_s=idle_bytes_s,
        command_mib=sum(each.peak_mib for each in used.of(COMMAND, pid)),
        worker_mib=[each.peak_mib for each in used.of(WORKERS, pid)],
        ray_mib=sum(each.peak_mib for each in used.of(OF_RAY, pid)),
        link_s=about["stages"].get("link", {}).get("seconds", 0.0),
        restarts=sum(worker["restarts"] for worker in about.get("workers", [])),
        tracks_sha256=digest,
    )


def _bytes_into(roots: Set[int], used: Used) -> int:
    """Bytes that some roots, of one or more machines, were sent by others."""
    return sum(n for (a, b), n in used.sent.items() if a not in roots and b in roots)
