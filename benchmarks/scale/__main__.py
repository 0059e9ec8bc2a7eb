"""What many cameras cost: the program on Ray against itself without, and what a city would take.

    python -m benchmarks.scale [--parts runs rates city] [--workers N ...] [--rounds N]
                               [--cameras N] [--seconds SHORT LONG] [--scenes DIR ...]
                               [--rate-seconds S] [--sizes N ...] [--busy-hours H]
                               [--measured FILE] [--plots DIR] [--jsonl FILE]

Runs: the same cameras with engine local, and on a cluster of this machine with each number of
workers (`runs`), at two lengths: what a frame costs is the difference, what a start costs is the
rest. All workers share the cores of this machine, so that this shows what Ray costs and not how
much faster several machines are. Rates: CPU time by stage, tracklets and bytes of each scene
(`rates`), and what linking takes. City: what 10 to 10,000 cameras would cost, computed from both
and from assumptions that are printed (`model`): while people come by, on a crowded day (hours as
busy as the scenes), and on a quiet one (as many tracklets as the simulated day of
`benchmarks.linking`).

What was measured is kept, by commit and weights, and is not measured again. --measured FILE keeps
it in another place, and takes what other commits measured there, which it says.
"""

import os

os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"
)  # before numpy

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from benchmarks.linking import site, tracklet_cache
from benchmarks.pipeline import scenes
from benchmarks.pipeline.alternatives import used
from benchmarks.pipeline.scenes import Scene
from benchmarks.scale import model, plots, rates, runs, tables
from benchmarks.scale.model import Assumptions, Rates
from benchmarks.scale.rates import Measured
from benchmarks.scale.runs import Pair
from models import command, files
from models import weights as bundle
from models.errors import InputError
from pipeline.errors import PipelineError
from pipeline.version import git_hash

PARTS = ("runs", "rates", "city")
WORKERS = (1, 2, 4, 8)
QUIET_TRACKLETS = site.TRACKLETS_A_DAY / rates.SITE_CAMERAS
"""Of a camera and day, as in the simulated day of `benchmarks.linking`."""
CITY = (10, 100, 1_000, 10_000)
DEFAULT_SCENES = scenes.DEFAULT[:2]
"""Crowded all the time: a square and a mall. Those that are not there are left out."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS)
    add("--workers", type=int, nargs="+", default=WORKERS, metavar="N", help="of the runs on Ray")
    add("--rounds", type=int, default=2, metavar="N", help="of the runs, whose means are shown")
    add("--cameras", type=int, default=8, metavar="N", help="of all runs")
    add(
        "--seconds",
        type=float,
        nargs=2,
        default=(4.0, 12.0),
        metavar=("SHORT", "LONG"),
        help="of each video in the runs",
    )
    add(
        "--scenes",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders with one video per camera; the runs take the first (default: the sample, and"
        " scenes of ../shared/data that are there)",
    )
    add("--rate-seconds", type=float, default=12.0, metavar="S", help="of each video, for rates")
    add("--sizes", type=int, nargs="+", default=rates.SIZES, metavar="N", help="tracklets, linked")
    add("--busy-hours", type=float, metavar="H", help="of a day that is as busy as the scenes")
    add("--measured", type=Path, metavar="FILE", help="where measurements are kept")
    add("--plots", type=Path, metavar="DIR", help="draw scale.png there")
    add("--one", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words), (InputError, PipelineError))


def _run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if arguments.one:
        scene = scenes.load(arguments.one)
        print(json.dumps(rates.measure(scene, arguments.rate_seconds).as_json()))
        return
    chosen = _scenes(arguments)
    kept = Kept(arguments.measured or _file())
    results: dict[str, Any] = {}
    of_runs = _runs(arguments, chosen[0], kept)
    if "runs" in arguments.parts:
        print(tables.runs(of_runs), flush=True)
        results["runs"] = [pair.as_json() for pair in of_runs]
    if {"rates", "city"} & set(arguments.parts):
        measured = _measured(arguments, chosen, kept)
        combined = rates.combined(of_runs, measured)
        if "rates" in arguments.parts:
            print(tables.rates(measured), flush=True)
            results["rates"] = combined.as_json()
        if "city" in arguments.parts:
            results["city"] = _city(arguments, of_runs, combined)
    settings = {"scenes": [scene.name for scene in chosen], "parts": list(arguments.parts)}
    record.append(arguments.jsonl, "scale", settings, results)


class Kept:
    """What was measured, in a file, and by which commits."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it is there.

        Args:
            path: The file.

        Raises:
            InputError: It is damaged.
        """
        self._path = path
        self._entries: dict[str, Any] = {}
        if path.is_file():
            try:
                self._entries = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise InputError(f"{path}: is no file of this benchmark; delete it") from None

    def get(self, name: str, settings: Any, measure: Callable[[], Any]) -> Any:
        """Return what was measured with the same settings, or measure it.

        Args:
            name: Of the measurement.
            settings: What it depends on beside commit and weights, values that JSON can hold.
            measure: Returns values that JSON can hold.
        """
        entry = self._entries.get(name)
        if entry and entry["settings"] == settings:
            if entry["git"] != git_hash():
                print(f"{name}: measured by commit {entry['git'][:12]}")
            return entry["results"]
        results = measure()
        self._entries[name] = {"git": git_hash(), "settings": settings, "results": results}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files.write(self._path, json.dumps(self._entries, indent=1).encode())
        return results


def _file() -> Path:
    """Where this commit with these weights keeps what it measured."""
    hashes = [bundle.sha256(used(kind, "auto", "cpu"))[:8] for kind in ("detector", "reid")]
    name = "-".join([git_hash()[:12], *hashes])
    return tracklet_cache.default_folder().with_name("scale") / f"{name}.json"


def _scenes(arguments: argparse.Namespace) -> list[Scene]:
    """The scenes that are asked for; raises InputError."""
    if arguments.scenes:
        return [scenes.load(folder) for folder in arguments.scenes]
    return [scenes.load(folder) for folder in DEFAULT_SCENES if folder.is_dir()]


def _runs(arguments: argparse.Namespace, scene: Scene, kept: Kept) -> list[Pair]:
    """Two runs with each number of workers, 0 for the engine local; means of all rounds."""
    cameras = runs.cameras_of(scene, arguments.cameras)
    settings = [cameras.name, list(arguments.seconds)]
    rounds: dict[int, list[Pair]] = {n_workers: [] for n_workers in (0, *arguments.workers)}
    for number in range(1, arguments.rounds + 1):
        for n_workers, pairs in rounds.items():
            name = f"runs, {n_workers} workers, round {number}"
            measure = partial(runs.measure, cameras, n_workers, arguments.seconds)
            pairs.append(Pair.from_json(kept.get(name, settings, measure)))
    return [Pair.mean(pairs) for pairs in rounds.values()]


def _measured(arguments: argparse.Namespace, chosen: Sequence[Scene], kept: Kept) -> Measured:
    """All that is measured beside runs."""
    first = chosen[0]
    video = first.videos[0].path
    seconds = arguments.rate_seconds
    sizes = list(arguments.sizes)
    n_online = rates.ONLINE_TRACKLETS
    return Measured(
        of_scenes=_of_scenes(arguments, chosen, kept),
        sent=kept.get(f"sent {first.name}", seconds, lambda: rates.sent(first, seconds)),
        full_hd_ms=kept.get("full HD", rates.N_FULL_HD, lambda: rates.full_hd(video)),
        linked=kept.get("linked", sizes, lambda: rates.linked(sizes)),
        stepped=kept.get("stepped", n_online, lambda: rates.stepped(n_online)),
    )


def _of_scenes(
    arguments: argparse.Namespace, chosen: Sequence[Scene], kept: Kept
) -> list[dict[str, Any]]:
    """Rates of each scene."""
    found = []
    for scene in chosen:
        folder = scene.videos[0].path.parent
        measure = partial(rates.measure_apart, folder, arguments.rate_seconds)
        found.append(kept.get(f"scene {scene.name}", arguments.rate_seconds, measure))
    return found


def _city(
    arguments: argparse.Namespace, of_runs: Sequence[Pair], measured: Rates
) -> dict[str, Any]:
    """Print and draw what cameras would cost."""
    crowded = Assumptions()
    if arguments.busy_hours is not None:
        crowded = replace(crowded, busy_hours=arguments.busy_hours)
    share = QUIET_TRACKLETS / (measured.tracklets_per_min * 60 * 24)
    quiet = replace(crowded, busy_hours=24.0, share=share)
    days = {}
    for name, assumed in (("crowded", crowded), ("quiet", quiet)):
        days[name] = [model.costs(n, measured, assumed) for n in CITY]
    print(tables.assumptions(crowded))
    print(tables.machines(days["crowded"], crowded))
    for name, costs in days.items():
        print(f"\na {name} day{tables.day(costs)}")
    print(tables.live(days["quiet"], measured, quiet), flush=True)
    plots.scale(of_runs, days, crowded, arguments.plots)
    results = {name: [asdict(of_n) for of_n in costs] for name, costs in days.items()}
    return {"assumed": asdict(crowded), "costs": results}


if __name__ == "__main__":
    sys.exit(main())
