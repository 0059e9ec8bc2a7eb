"""The whole program against its earlier self and against what a user would otherwise write.

    python -m benchmarks.pipeline [--parts systems cameras rates] [--scenes DIR ...]
                                  [--earlier DIR] [--systems NAME ...] [--videos]
                                  [--max-seconds S] [--rounds N] [--device NAME]
                                  [--detector FILE] [--reid FILE] [--plots DIR] [--jsonl FILE]

Systems: for each scene one row a system, ours over the others, and time by stage.
- ours: `run_pipeline.py` with its default settings, and with detector.rate=all.
- earlier: the same in a checkout of an earlier commit, with the weights that ship there.
- plain and demo: two scripts (`alternatives`) with our networks. plain has as many threads as
  ultralytics sets, one less than there are cores. plain-threads, which runs only where --systems
  names it, has one per core; it needs a machine with nothing else running.
Nobody writes annotated videos; --videos adds rows in which ours and earlier do, as they do by
default.

Cameras: frames/s of ours when the first video of the first scene is opened as several cameras.
Rates: accuracy and CPU time of ours against detector.rate, in scenes with truth.

Each run is a process of its own. Costs are of the whole process, from its start to its end: frames
of all cameras by wall-clock time; user and system time, also a frame; and the largest memory. A
run that is not counted goes first, since the first run on a machine prepares networks and keeps
them. Systems take turns, round by round; printed are medians, and ratios are medians of those of
each round. Global IDF1 is that of `python -m pipeline.evaluate` over all cameras in one id space,
on the labelled frames; local IDF1 is the mean of IDF1 in each camera. A run that fails is named in
one line, and the others go on.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import record
from benchmarks.pipeline import plots, scenes, systems, tables
from benchmarks.pipeline.alternatives import used
from benchmarks.pipeline.scenes import Scene
from benchmarks.pipeline.systems import Options, Runs, System
from models import command
from models import device as devices
from models import weights as bundle
from models.errors import InputError
from pipeline.errors import PipelineError

PARTS = ("systems", "cameras", "rates")
RATES = ("1", "2", "3", "5", "10", "all", "auto")
N_CAMERAS = {"cpu": (1, 2, 4, 8), "cuda": (1, 4, 16, 64)}
WARM_UP_S = 1.0


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS)
    add(
        "--scenes",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders with one video per camera, and cameras.json and truth/ where there are any"
        " (default: the sample, and real and rendered scenes of ../shared/data that are there)",
    )
    add("--earlier", type=Path, metavar="DIR", help="a checkout of an earlier commit")
    add("--systems", nargs="+", metavar="NAME", help="only these rows, as the table names them")
    add("--videos", action="store_true", help="add rows in which annotated videos are written")
    add("--max-seconds", type=float, default=0.0, metavar="S", help="of each video; 0 for all")
    add("--rounds", type=int, default=1, metavar="N", help="runs of each system")
    add("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps")
    add("--detector", type=Path, metavar="FILE", help="weights of all (default: what ships)")
    add("--reid", type=Path, metavar="FILE", help="weights of all (default: what ships)")
    add("--cameras", type=int, nargs="+", metavar="N", help="numbers of cameras, for cameras")
    add("--rates", nargs="+", default=RATES, metavar="R", help="of the detector, for rates")
    add("--plots", type=Path, metavar="DIR", help="draw cameras.png and rates.png there")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words), (InputError, PipelineError))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.rounds < 1:
        raise InputError(f"--rounds {arguments.rounds}: expected 1 or more")
    chosen = _scenes(arguments)
    compared = _systems(arguments)
    options = _options(arguments)
    first = replace(chosen[0], truth=None)
    systems.run(systems.ours("warm-up"), first, replace(options, max_seconds=WARM_UP_S))
    if "systems" in arguments.parts:
        _compare(arguments, chosen, compared, options)
    if "cameras" in arguments.parts:
        _count_cameras(arguments, chosen[0], options)
    if "rates" in arguments.parts:
        _vary_rate(arguments, chosen, options)


def _scenes(arguments: argparse.Namespace) -> list[Scene]:
    """The scenes that are asked for; raises InputError."""
    if arguments.scenes:
        return [scenes.load(folder) for folder in arguments.scenes]
    there = [folder for folder in scenes.DEFAULT if folder.is_dir()]
    return [scenes.load(folder) for folder in there]


def _systems(arguments: argparse.Namespace) -> list[System]:
    """The systems that are asked for; raises InputError."""
    there = systems.all_systems(arguments.earlier, arguments.videos)
    if not arguments.systems:
        return [system for system in there if system.name not in systems.ON_REQUEST]
    names = [system.name for system in there]
    if unknown := sorted(set(arguments.systems) - set(names)):
        raise InputError(f"--systems {unknown[0]}: there is no such row; there are {names}")
    return [system for system in there if system.name in arguments.systems]


def _options(arguments: argparse.Namespace) -> Options:
    """What all systems are told; raises InputError."""
    settings = []
    for key, path in (("detector", arguments.detector), ("reid", arguments.reid)):
        if path is not None:
            if not path.exists():
                raise InputError(f"--{key} {path}: no such file")
            settings.append(f"{key}.weights={path.resolve()}")
    return Options(arguments.max_seconds, arguments.device, tuple(settings))


def _compare(
    arguments: argparse.Namespace, chosen: list[Scene], compared: list[System], options: Options
) -> None:
    """Print the tables of all systems on all scenes."""
    by_scene: dict[str, tables.Ratios] = {}
    for scene in chosen:
        runs = systems.run_rounds(compared, scene, options, arguments.rounds)
        print(f"\n{tables.title(scene.name, runs)}")
        print(f"{tables.costs('', runs)}\n", flush=True)
        if stages := tables.stage_table(runs):
            print(stages, flush=True)
        by_scene[scene.name] = tables.ratios(runs)
        _record(arguments, "systems", scene.name, runs)
    if any(by_scene.values()):
        print(f"\n{tables.ratio_table(by_scene)}", flush=True)


def _count_cameras(arguments: argparse.Namespace, scene: Scene, options: Options) -> None:
    """Print what ours costs against the number of cameras."""
    device = devices.resolve(arguments.device).type
    numbers = arguments.cameras or N_CAMERAS.get(device, N_CAMERAS["cpu"])
    runs: Runs = {str(n): [] for n in numbers}
    for _ in range(arguments.rounds):
        for n in numbers:
            runs[str(n)].append(systems.run(systems.ours(), scenes.repeated(scene, n), options))
    print(f"\n{scene.videos[0].path.name} of {scene.name} as several cameras")
    print(tables.costs("cameras", runs), flush=True)
    plots.cameras(runs, arguments.plots)
    _record(arguments, "cameras", scene.name, runs)


def _vary_rate(arguments: argparse.Namespace, chosen: list[Scene], options: Options) -> None:
    """Print what ours costs, and how right it is, against the rate of the detector."""
    of_rates = [systems.ours(rate, f"detector.rate={rate}") for rate in arguments.rates]
    by_scene: dict[str, Runs] = {}
    for scene in chosen:
        if scene.truth is None:
            continue
        runs = systems.run_rounds(of_rates, scene, options, arguments.rounds)
        print(f"\n{scene.name}")
        print(tables.costs("detector.rate", runs), flush=True)
        by_scene[scene.name] = runs
        _record(arguments, "rates", scene.name, runs)
    plots.rates(by_scene, arguments.plots)


def _record(arguments: argparse.Namespace, part: str, scene: str, runs: Runs) -> None:
    """Keep all runs of a scene, with what they depend on."""
    device = devices.resolve(arguments.device).type
    weights = {
        "detector": _about_weights(used("detector", str(arguments.detector or "auto"), device)),
        "reid": _about_weights(used("reid", str(arguments.reid or "auto"), device)),
    }
    settings = {
        "part": part,
        "scene": scene,
        "device": device,
        "max_seconds": arguments.max_seconds,
        "rounds": arguments.rounds,
        "weights": weights,
    }
    results = {}
    for name, of_system in runs.items():
        results[name] = [run.as_json() if run else None for run in of_system]
    record.append(arguments.jsonl, "pipeline", settings, results)


def _about_weights(path: Path) -> dict[str, str]:
    """Name and checksum of weights; "" for a folder."""
    return {"name": path.name, "sha256": bundle.sha256(path) if path.is_file() else ""}


if __name__ == "__main__":
    sys.exit(main())
