"""How linking scales, what each part of it adds, and what it withstands.

    python -m benchmarks.linking [--parts scale ablation robustness online real review]
                                 [--sizes N ...] [--shard-s S] [--handover-s S]
                                 [--scenes DIR ...] [--data DIR] [--detections DIR]
                                 [--cache DIR] [--plot FILE.png]
                                 [--reliability-plot FILE.png] [--jsonl FILE]

Scale: the first 1,000 to 100,000 tracklets of a simulated day of 100 cameras (`site`), each size in
a process of its own on one thread: seconds and peak memory, and precision and recall over pairs of
tracklets; in shards of time with --shard-s. The other parts take synthetic scenes with truth
(default: the sample), which are detected, tracked and embedded once and kept in the cache; only
linking and filling are repeated.
Ablation: what each part of linking adds, and where the rest of IDF1 is lost (`synthetic_scenes`).
Robustness: what perturbations cost (`perturbations`). Online: deciding while people are in view,
and all day (`online`). Real: scenes with truth of real and rendered people, about whose sites
nothing is known, and what is wrong with their links (`real_scenes`); it needs --data. Review: what
a human's answers to the questions of the report bring to those scenes (`review`).
"""

import os

os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"
)  # before numpy

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import record
from benchmarks.linking import online as watching
from benchmarks.linking import (
    perturbations,
    real_scenes,
    review,
    site,
    synthetic_scenes,
    tracklet_cache,
)
from benchmarks.linking.synthetic_scenes import EmbeddedScene, Variant
from models import command
from models.errors import InputError
from pipeline import config as configuration
from pipeline.config import Config, LinkingConfig
from pipeline.errors import PipelineError
from pipeline.evaluate import losses
from pipeline.evaluate.scores import in_words
from pipeline.linking import shards
from pipeline.records import Array, Person

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples/plaza"
PARTS = ("scale", "ablation", "robustness", "online", "real", "review")
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
AIM_S = 120.0
"""For the largest size, on one core."""
AIM_MIB = 2048.0
BLUE = "#0072b2"
RED = "#d55e00"
N_TWINS = 3
N_SWAPS = 4
OFFSETS_S = (1.0, 2.0, 3.0)

Row = dict[str, float]


def measure(n: int, config: LinkingConfig) -> Row:
    """Link the first tracklets of the simulated day.

    Args:
        n: How many tracklets.
        config: Settings of linking.

    Returns:
        Seconds, MiB, and agreement with truth.
    """
    simulated = site.simulate(n)
    before_mib = _peak_mib()
    cpu_before_s = _cpu_s()
    wall_before_s = time.perf_counter()
    linked = shards.link(simulated.embedded, simulated.cameras, config)
    wall_s = time.perf_counter() - wall_before_s
    cpu_s = _cpu_s() - cpu_before_s
    found = {}
    for person in [*linked.people, *linked.left_out]:
        for tracklet in person.tracklets:
            found[tracklet.key] = person.person_id
    labels = np.array([found[e.tracklet.key] for e in simulated.embedded])
    precision, recall = agreement(labels, simulated.people)
    return {
        "n": n,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "before_mib": before_mib,
        "peak_mib": _peak_mib(),
        "precision": precision,
        "recall": recall,
        "people": len(linked.people),
        "present": len(np.unique(simulated.people)),
    }


def agreement(labels: Array, truth: Array) -> tuple[float, float]:
    """Count pairs of tracklets that share a label, and pairs that are one person in truth.

    Args:
        labels: The label of each tracklet (n,).
        truth: The person of each tracklet (n,).

    Returns:
        Precision and recall of the former, 0..1.
    """
    n_linked = _n_pairs(labels)
    n_true = _n_pairs(truth)
    n_both = _n_pairs(np.stack([labels, truth], axis=1))
    precision = n_both / n_linked if n_linked else 1.0
    recall = n_both / n_true if n_true else 1.0
    return precision, recall


def growth(rows: Sequence[Row], what: str) -> float:
    """Return the power of the number of tracklets with which a column grows.

    It is the slope of a line through the logarithms.

    Args:
        rows: Measurements of two sizes or more.
        what: Name of the column.
    """
    sizes = np.log([row["n"] for row in rows])
    values = np.log([row[what] for row in rows])
    slope, _ = np.polyfit(sizes, values, 1)
    return float(slope)


def scale(sizes: Sequence[int], config: LinkingConfig, plot: Path | None) -> list[Row]:
    """Measure every size in a child process and print the table.

    Args:
        sizes: Numbers of tracklets.
        config: Holds the length of shards.
        plot: File for a drawing; None draws nothing.

    Returns:
        The measurements.
    """
    print(
        f"aim: {max(SIZES):,} tracklets, a day of 100 cameras, in {AIM_S:g} s and {AIM_MIB:,.0f}"
        " MiB on one core"
    )
    print(
        f"{'tracklets':>10}{'CPU s':>9}{'wall s':>9}{'MiB':>8}{'before':>8}"
        f"{'pairs P':>9}{'R':>8}{'people':>8}{'true':>7}"
    )
    rows: list[Row] = []
    for n in sizes:
        row = _measured_apart(n, config)
        rows.append(row)
        times = f"{row['cpu_s']:>9.1f}{row['wall_s']:>9.1f}"
        memory = f"{row['peak_mib']:>8,.0f}{row['before_mib']:>8,.0f}"
        pairs = f"{row['precision']:>9.1%}{row['recall']:>8.1%}"
        people = f"{row['people']:>8,.0f}{row['present']:>7,.0f}"
        print(f"{n:>10,}{times}{memory}{pairs}{people}", flush=True)
    if len(rows) > 1:
        power = growth(rows, "cpu_s")
        print(f"CPU time grows with the number of tracklets to the power of {power:.2f}")
    if plot is not None:
        draw(rows, plot)
    return rows


def _measured_apart(n: int, config: LinkingConfig) -> Row:
    """`measure` in a process of its own, whose peak memory is that of this size alone."""
    words = [sys.executable, "-m", "benchmarks.linking", "--one", str(n)]
    words += ["--shard-s", str(config.shard_s), "--handover-s", str(config.handover_s)]
    done = subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    row: Row = json.loads(done.stdout)
    return row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds and memory against tracklets.

    It says so when matplotlib, which is optional, is not installed.

    Args:
        rows: The measurements.
        path: The PNG.
    """
    if not find_spec("matplotlib"):
        print("no plot: matplotlib is not installed")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    n = np.array([row["n"] for row in rows])
    seconds = np.array([row["cpu_s"] for row in rows])
    time_axes.loglog(n, seconds, "o", color=BLUE, label="measured")
    if len(rows) > 1:
        power, shift = np.polyfit(np.log(n), np.log(seconds), 1)
        fitted = np.exp(shift) * n**power
        label = f"tracklets to the power of {power:.2f}"
        time_axes.loglog(n, fitted, color=BLUE, linewidth=1, label=label)
    peak_mib = [row["peak_mib"] for row in rows]
    before_mib = [row["before_mib"] for row in rows]
    memory_axes.loglog(n, peak_mib, "o-", color=BLUE, linewidth=1, label="peak")
    memory_axes.loglog(n, before_mib, "o:", color=BLUE, linewidth=1, label="before linking")
    _finish(time_axes, AIM_S, "CPU seconds, one core")
    _finish(memory_axes, AIM_MIB, "MiB")
    memory_axes.yaxis.set_minor_formatter("{x:,.0f}")
    figure.savefig(path, format="png")


def _finish(axes: Any, aim: float, unit: str) -> None:
    """Add the aim, labels and a legend."""
    label = f"aim at {max(SIZES):,}: below {aim:,.0f}"
    axes.axhline(aim, color=RED, linewidth=1, linestyle="--", label=label)
    axes.set_xlabel("tracklets of a day of 100 cameras")
    axes.set_ylabel(unit)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def _n_pairs(labels: Array) -> int:
    _, counts = np.unique(labels, axis=0, return_counts=True)
    n_pairs = counts * (counts - 1) // 2
    return int(n_pairs.sum())


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ablation(scene: EmbeddedScene) -> dict[str, Any]:
    """Print what each part of linking adds, and where the rest is lost.

    Args:
        scene: The scene to link.

    Returns:
        Scores by variant ("variants"), IDF1 and what it loses by cause ("lost"), and the ratio of
        our IDF1 to that of oracle links ("over_oracle").
    """
    print(
        f"\n{scene.name}: {len(scene.embedded)}"
        f" tracklets\n{'':<28}{'IDF1':>7}{'HOTA':>7}{'links P':>9}{'R':>8}{'people':>8}"
    )
    usual = synthetic_scenes.link(scene)
    report = synthetic_scenes.score(scene, usual)
    _show("local ids only", report.together["local ids only"])
    results: dict[str, Any] = {}
    for number, ladder in enumerate(synthetic_scenes.LADDERS):
        for variant in ladder:
            found = report
            if variant != synthetic_scenes.FULL:
                people = synthetic_scenes.link(scene, variant)
                found = synthetic_scenes.score(scene, people)
            links = {
                "precision": found.link_precision,
                "recall": found.link_recall,
                "people": found.people_found,
            }
            precision = in_words(found.link_precision, 1, "%")
            recall = in_words(found.link_recall, 1, "%")
            pairs = f"{precision:>9}{recall:>8}"
            _show(variant.name, found.together["ours"], f"{pairs}{found.people_found:>8}")
            results[f"{number} {variant.name}"] = {"scores": found.together, **links}
    oracle = report.together["oracle links"]
    _show("oracle links", oracle, f"{report.people_present:>25}")
    share = report.together["ours"]["IDF1"] / oracle["IDF1"]
    lost = losses.attribute(synthetic_scenes.matched(scene, usual)).shares()
    print(f"ours over oracle links: {share:.3f}")
    causes = [f"{cause} {in_words(share_lost)}" for cause, share_lost in lost.items()]
    print(f"of 100: {', '.join(causes)}")
    return {"variants": results, "lost": lost, "over_oracle": share}


def _show(name: str, row: Row, more: str = "") -> None:
    scores = f"{in_words(row['IDF1']):>7}{in_words(row['HOTA']):>7}"
    print(f"{name:<28}{scores}{more}", flush=True)


def robustness(scene: EmbeddedScene) -> dict[str, Any]:
    """Print global IDF1 before and after each perturbation.

    Args:
        scene: The scene to perturb.

    Returns:
        IDF1, 0..1, "before" and "after", by perturbation.
    """
    camera = sorted(scene.cameras)[1]
    usual = synthetic_scenes.link(scene)
    before = _idf1(scene, usual)
    dead = perturbations.dead_camera(scene, camera)
    swapped, n_swaps = perturbations.swaps(scene, N_SWAPS)
    before_dead = _idf1(dead, perturbations.without_dead(scene, usual, camera))
    late = {offset_s: perturbations.late_clock(scene, camera, offset_s) for offset_s in OFFSETS_S}
    cases: dict[str, tuple[float, EmbeddedScene, dict[str, bool]]] = {}
    for offset_s, harmed in late.items():
        name = f"{camera} {offset_s:g} s ahead"
        cases[name] = (before, harmed, {})
    for offset_s, harmed in late.items():
        name = f"{camera} {offset_s:g} s ahead, clocks applied"
        cases[name] = (before, harmed, {"apply_clocks": True})
    cases[f"{camera} dead for a third"] = (before_dead, dead, {})
    cases[f"{N_TWINS} pairs of twins"] = (before, perturbations.twins(scene, N_TWINS), {})
    cases[f"{n_swaps} pairs swapped by the tracker"] = (before, swapped, {})
    print(f"\n{scene.name}: global IDF1\n{'':<36}{'before':>8}{'after':>8}")
    results = {}
    for name, (idf1, harmed, settings) in cases.items():
        people = synthetic_scenes.link(harmed, Variant(name, settings=settings))
        after = _idf1(harmed, people)
        results[name] = {"before": idf1, "after": after}
        print(f"{name:<36}{100 * idf1:>8.1f}{100 * after:>8.1f}", flush=True)
    return results


def online(scene: EmbeddedScene) -> dict[str, Any]:
    """Print global IDF1 offline and online, what was corrected, and the time of a step.

    Args:
        scene: The scene to link.

    Returns:
        IDF1, 0..1, by label; numbers of events by kind; milliseconds a step.
    """
    watched = watching.watch(scene, LinkingConfig())
    offline = _idf1(scene, synthetic_scenes.link(scene))
    final = _idf1(scene, synthetic_scenes.filled(watched.final))
    live = _idf1(scene, watched.live)
    first = _idf1(scene, watched.first)
    kinds = dict.fromkeys(("appeared", "merged", "split"), 0)
    for event in watched.said:
        if event.kind in kinds:
            kinds[event.kind] += 1
    step_ms = 1000 * float(np.mean(watched.step_s))
    print(
        f"\n{scene.name}\n{'IDF1 offline':>12}{'online':>9}{'first':>9}{'live':>9}"
        f"{'appeared':>10}{'merged':>8}{'split':>7}"
        f"{'ms/step':>9}"
    )
    scores = f"{100 * offline:>12.1f}{100 * final:>9.1f}{100 * first:>9.1f}{100 * live:>9.1f}"
    counts = f"{kinds['appeared']:>10}{kinds['merged']:>8}{kinds['split']:>7}"
    print(f"{scores}{counts}{step_ms:>9.0f}", flush=True)
    return {
        "offline": offline,
        "final": final,
        "first": first,
        "live": live,
        "step_ms": step_ms,
        **kinds,
    }


def all_day(n: int) -> list[Row]:
    """Print, hour by hour, what a step of online linking costs.

    Args:
        n: Tracklets of the day.

    Returns:
        One row an hour, as `online.day` returns it.
    """
    print(
        f"\nthe first {n:,} tracklets of the day,"
        f" online\n{'hour':>6}{'ms a step':>11}{'looked at':>11}"
    )
    hours = watching.day(n)
    for row in hours:
        print(f"{row['hour']:>6.1f}{row['step_ms']:>11.0f}{row['looked_at']:>11.0f}")
    return hours


def _idf1(scene: EmbeddedScene, people: Sequence[Person]) -> float:
    return synthetic_scenes.score(scene, people).together["ours"]["IDF1"]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="tracklets, for scale"
    )
    parser.add_argument(
        "--shard-s", type=float, default=0.0, metavar="S", help="for scale: linking.shard_s"
    )
    parser.add_argument(
        "--handover-s",
        type=float,
        default=LinkingConfig().handover_s,
        metavar="S",
        help="for scale: linking.handover_s",
    )
    parser.add_argument(
        "--online-tracklets",
        type=int,
        default=12_000,
        metavar="N",
        help="for online: how much of the day",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw time and memory against tracklets"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        nargs="+",
        default=[SAMPLE],
        metavar="DIR",
        help="folders with camN.mp4, cameras.json, truth/",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=tracklet_cache.default_folder(),
        help="where embedded tracklets are kept; may be deleted at any time",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=ROOT.parent / "shared" / "data",
        help="for real and review: folder with multicam/, worlds/ and reid/",
    )
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="DIR",
        help="for real and review: folder with SCENE/CAMERA.txt, boxes of the videos (default:"
        " detect)",
    )
    parser.add_argument(
        "--reliability-plot",
        type=Path,
        metavar="FILE.png",
        help="for real: draw the share of right links against their probability",
    )
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words), (InputError, PipelineError))


def _run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    values = {"linking.shard_s": arguments.shard_s, "linking.handover_s": arguments.handover_s}
    config = configuration.change(Config(), values).linking
    if arguments.one:
        print(json.dumps(measure(arguments.one, config)))
        return
    results: dict[str, Any] = {}
    if "scale" in arguments.parts:
        results["scale"] = scale(arguments.sizes, config, arguments.plot)
    there = [folder for folder in arguments.scenes if (folder / "cameras.json").is_file()]
    for part, show in (("ablation", ablation), ("robustness", robustness), ("online", online)):
        if part not in arguments.parts:
            continue
        by_scene = {}
        for folder in there:
            scene = synthetic_scenes.load(folder, arguments.cache)
            by_scene[str(folder)] = show(scene)
        results[part] = by_scene
    if "online" in arguments.parts:
        results["day"] = all_day(arguments.online_tracklets)
    if {"real", "review"} & set(arguments.parts):
        scenes = real_scenes.load(arguments.data, arguments.detections, arguments.cache, SAMPLE)
        if "real" in arguments.parts:
            results["real"] = real_scenes.run(scenes, arguments.reliability_plot)
        if "review" in arguments.parts:
            results["review"] = review.run(scenes)
    if set(arguments.parts) - {"scale", "real", "review"}:
        for folder in sorted(set(arguments.scenes) - set(there)):
            print(f"{folder}: skipped, there is no cameras.json")
    record.append(arguments.jsonl, "linking", {"parts": list(arguments.parts)}, results)


if __name__ == "__main__":
    sys.exit(main())
