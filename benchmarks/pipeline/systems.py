"""The systems that are compared, each run as a command in a process of its own."""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.pipeline import OMP_NUM_THREADS, scenes
from benchmarks.pipeline.scenes import ROOT, Scene
from models import threads
from models.errors import InputError, shorten
from pipeline.errors import PipelineError

PRODUCT = "run_pipeline.py"
ALTERNATIVE = ("-m", "benchmarks.pipeline.alternatives")
ON_REQUEST = ("plain-threads",)
"""Systems that run only when they are named: threads that wait for each other crawl under load."""
COST = Path(__file__).with_name("cost.py")
MAX_REASON = 200
"""Longest reason of a failure, characters."""


@dataclass(frozen=True, slots=True)
class System:
    """A command that takes --config, --output, --max-seconds, --device and --set.

    Attributes:
        name: Its row in the table.
        words: Python's arguments before the options.
        folder: Where it runs.
        settings: `--set` of this system, beside those of all.
        n_threads: OMP_NUM_THREADS where the user has not set it; "" leaves it unset.
    """

    name: str
    words: tuple[str, ...]
    folder: Path = ROOT
    settings: tuple[str, ...] = ()
    n_threads: str = ""

    def environment(self) -> dict[str, str]:
        """Return the variables of the process, with the number of threads of the user."""
        variables = dict(os.environ)
        variables.pop("OMP_NUM_THREADS", None)
        n_threads = OMP_NUM_THREADS or self.n_threads
        return {**variables, "OMP_NUM_THREADS": n_threads} if n_threads else variables


@dataclass(frozen=True, slots=True)
class Options:
    """What all systems are told.

    Attributes:
        max_seconds: Of each video; 0 for the whole.
        device: As of the product.
        settings: `--set` of all systems.
    """

    max_seconds: float = 0.0
    device: str = "auto"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of a system on a scene took, and how right it was.

    Attributes:
        frames: Of all cameras together.
        wall_s: From the start of the process to its end.
        cpu_s: User and system time of the process and those that it started.
        peak_mib: The largest memory of one process.
        scores: As `scenes.score` returns them.
        stages_ms: Milliseconds a frame, by stage, where the run tells.
        git: The commit, where the run tells.
    """

    frames: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    scores: Mapping[str, float]
    stages_ms: Mapping[str, float]
    git: str

    @property
    def frames_s(self) -> float:
        """Frames of all cameras by the wall-clock time."""
        return self.frames / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU time of a frame."""
        return 1000 * self.cpu_s / self.frames

    def as_json(self) -> dict[str, Any]:
        """Return all values by name."""
        return {**asdict(self), "frames_s": self.frames_s, "cpu_ms": self.cpu_ms}


Runs = dict[str, list[Run | None]]
"""Runs by system, one of each round; None for those that failed."""


def ours(name: str = "ours", *settings: str, videos: bool = False, folder: Path = ROOT) -> System:
    """Return the product, without annotated videos unless asked.

    Args:
        name: Its row in the table.
        settings: `section.key=value`.
        videos: Whether it writes annotated videos.
        folder: Of a checkout.
    """
    words = (PRODUCT, "--quiet") if videos else (PRODUCT, "--quiet", "--no-video")
    return System(name, words, folder, settings)


def all_systems(earlier: Path | None, videos: bool) -> list[System]:
    """Return the systems in the order of the table; ours is the first.

    Args:
        earlier: A checkout of an earlier commit; None for none.
        videos: Whether to add those that write annotated videos.

    Raises:
        InputError: The checkout is none.
    """
    if earlier is not None and not (earlier / PRODUCT).is_file():
        raise InputError(f"{earlier}: has no {PRODUCT}; give a checkout of an earlier commit")
    checkouts = {"ours": ROOT}
    if earlier is not None:
        checkouts["earlier"] = earlier.resolve()
    found = [ours(), ours("ours, rate=all", "detector.rate=all")]
    if earlier is not None:
        found.append(ours("earlier", folder=checkouts["earlier"]))
    n_cores = str(threads.available())
    # `import ultralytics`, with which the script would begin, sets one thread
    found.append(System("plain", (*ALTERNATIVE, "plain"), n_threads="1"))
    with_threads = (*ALTERNATIVE, "plain", "--threads", n_cores)
    found.append(System("plain-threads", with_threads, n_threads=n_cores))
    found.append(System("demo", (*ALTERNATIVE, "demo")))
    if videos:
        for name, folder in checkouts.items():
            found.append(ours(f"{name}, videos", videos=True, folder=folder))
    return found


def run(system: System, scene: Scene, options: Options) -> Run | None:
    """Run a system on a scene; a failure is printed in one line.

    Args:
        system: The system.
        scene: The scene.
        options: What all systems are told.

    Returns:
        What it took; None when it failed.
    """
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        scene.write_config(scratch / "scene.yaml")
        words = [sys.executable, "-I", str(COST), str(scratch / "cost.json")]
        words += [sys.executable, *system.words]
        words += ["--config", str(scratch / "scene.yaml"), "--output", str(scratch / "results")]
        words += ["--max-seconds", str(options.max_seconds), "--device", options.device]
        for setting in (*options.settings, *system.settings):
            words += ["--set", setting]
        done = subprocess.run(
            words,
            check=False,
            cwd=system.folder,
            env=system.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            lines = done.stdout.strip().splitlines() or ["it printed nothing"]
            reason = shorten(lines[-1], MAX_REASON)
            print(f"{scene.name}, {system.name}: failed ({done.returncode}): {reason}", flush=True)
            return None
        cost = json.loads((scratch / "cost.json").read_text(encoding="utf-8"))
        print(f"{scene.name}, {system.name}: {cost['wall_s']:.1f} s", file=sys.stderr, flush=True)
        return _read(scene, system, scratch / "results", cost)


def _read(scene: Scene, system: System, results: Path, cost: dict[str, float]) -> Run | None:
    """Read and score the results of a run."""
    about = json.loads((results / "run.json").read_text(encoding="utf-8"))
    n_frames = sum(camera["n_frames"] for camera in about["cameras"])
    if not n_frames:
        print(f"{scene.name}, {system.name}: failed: no frame was read", flush=True)
        return None
    try:
        scored = scenes.score(scene, results)
    except PipelineError as error:
        print(f"{scene.name}, {system.name}: not scored: {error}", flush=True)
        scored = dict.fromkeys(scenes.SCORES, math.nan)
    stages_ms = {
        stage: 1000 * took["seconds"] / n_frames for stage, took in about.get("stages", {}).items()
    }
    return Run(n_frames, **cost, scores=scored, stages_ms=stages_ms, git=about.get("git", ""))


def run_rounds(compared: Sequence[System], scene: Scene, options: Options, n_rounds: int) -> Runs:
    """Run systems in turns, so that other load of the machine hits all of them.

    Args:
        compared: The systems.
        scene: The scene.
        options: What all systems are told.
        n_rounds: Runs of each system.
    """
    runs: Runs = {system.name: [] for system in compared}
    for _ in range(n_rounds):
        for system in compared:
            runs[system.name].append(run(system, scene, options))
    return runs


def median(runs: Sequence[Run | None], what: str) -> float:
    """Return the median of a value over the runs that ended well; nan without one.

    Args:
        runs: Runs of one system.
        what: Name of an attribute of `Run`, or of a score.
    """
    values = []
    for found in runs:
        if found is not None:
            value = found.scores[what] if what in found.scores else getattr(found, what)
            values.append(value)
    return statistics.median(values) if values else math.nan


def ratio(runs: Sequence[Run | None], others: Sequence[Run | None], what: str) -> float:
    """Return the median, over rounds, of the ratio of two systems; nan without a common round.

    Args:
        runs: Runs of one system.
        others: Runs of the other one, in the same rounds.
        what: Name of an attribute of `Run`.
    """
    ratios = []
    for found, other in zip(runs, others, strict=True):
        if found is not None and other is not None:
            ratios.append(getattr(found, what) / getattr(other, what))
    return statistics.median(ratios) if ratios else math.nan
