"""Tables of the benchmark, as text."""

import math
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.pipeline.systems import Run, Runs, median, ratio
from pipeline.evaluate.scores import in_words

WIDTH = 20
COLUMNS = ("frames/s", "wall s", "CPU s", "CPU ms/frame", "peak MiB", "global IDF1", "local IDF1")
RATIOS = {"frames_s": "frames/s", "cpu_ms": "CPU s a frame"}
OTHERS = ("earlier", "plain", "demo")
"""What ours is set against."""

Ratios = dict[str, dict[str, float]]
"""By other system, then by name of the value."""


def title(scene: str, runs: Runs) -> str:
    """Name a scene, its frames, and the commits that were run.

    Args:
        scene: Its name.
        runs: Runs by system.
    """
    ended: dict[str, Run] = {}
    for name, of_system in runs.items():
        for found in of_system:
            if found is not None:
                ended[name] = found
    words = [scene]
    if ended:
        n_frames = max(found.frames for found in ended.values())
        words.append(f"{n_frames} frames of all cameras")
    for name in ("ours", "earlier"):
        if name in ended:
            words.append(f"{name} {ended[name].git[:7] or 'not in git'}")
    return ", ".join(words)


def costs(head: str, runs: Runs) -> str:
    """Lay out one row a system: medians over the rounds, "-" for what is not known.

    Args:
        head: Title of the first column.
        runs: Runs by system.
    """
    lines = [f"{head:<{WIDTH}}" + "".join(f"{column:>14}" for column in COLUMNS)]
    lines += [f"{name:<{WIDTH}}{_cost_cells(of_system)}" for name, of_system in runs.items()]
    return "\n".join(lines)


def _cost_cells(runs: Sequence[Run | None]) -> str:
    cells = [
        _number(median(runs, what), decimals)
        for what, decimals in (
            ("frames_s", 1),
            ("wall_s", 1),
            ("cpu_s", 1),
            ("cpu_ms", 1),
            ("peak_mib", 0),
        )
    ]
    if any(runs):
        cells += [in_words(median(runs, what)) for what in ("idf1", "local_idf1")]
    else:
        cells += ["-", "-"]
    return "".join(f"{cell:>14}" for cell in cells)


def ratios(runs: Runs) -> Ratios:
    """Set ours against the others.

    Args:
        runs: Runs by system, with "ours" among them.

    Returns:
        Ours over the other, the median over the rounds; without systems that did not run.
    """
    found: Ratios = {}
    for other in OTHERS:
        if other in runs and "ours" in runs:
            found[other] = {what: ratio(runs["ours"], runs[other], what) for what in RATIOS}
    return found


def ratio_table(by_scene: Mapping[str, Ratios]) -> str:
    """Lay out the ratios of each scene, and their geometric means where there are several.

    Args:
        by_scene: Ratios by scene.
    """
    lines = [f"{'ours over':<{WIDTH}}{'scene':<16}" + "".join(f"{t:>14}" for t in RATIOS.values())]
    for other in OTHERS:
        rows = {scene: found[other] for scene, found in by_scene.items() if other in found}
        if len(rows) > 1:
            rows["geometric mean"] = {
                what: _geometric_mean([row[what] for row in rows.values()]) for what in RATIOS
            }
        for scene, row in rows.items():
            cells = "".join(f"{_number(row[what], 2):>14}" for what in RATIOS)
            lines.append(f"{other:<{WIDTH}}{scene:<16}{cells}")
    return "\n".join(lines)


def _geometric_mean(values: Sequence[float]) -> float:
    """The mean of those that are known; nan without one."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.geometric_mean(known) if known else math.nan


def stage_table(runs: Runs) -> str:
    """Lay out wall-clock milliseconds a frame in each stage, before and after.

    Stages run at the same time, so that they add up to more than the run took.

    Args:
        runs: Runs by system; those that tell their stages are shown.
    """
    shown = {}
    for name, of_system in runs.items():
        if name.startswith(("earlier", "ours")):
            shown[name] = _stages(of_system)
    names = sorted({stage for stages in shown.values() for stage in stages})
    if not names:
        return ""
    lines = [f"{'ms a frame':<{WIDTH}}" + "".join(f"{name:>18}" for name in shown)]
    for stage in names:
        cells = "".join(f"{_number(of.get(stage, math.nan), 2):>18}" for of in shown.values())
        lines.append(f"  {stage:<{WIDTH - 2}}{cells}")
    return "\n".join(lines)


def _stages(runs: Sequence[Run | None]) -> dict[str, float]:
    """Medians over the rounds, by stage."""
    told = [found.stages_ms for found in runs if found is not None]
    names = {stage for stages in told for stage in stages}
    return {
        name: statistics.median(stages[name] for stages in told if name in stages) for name in names
    }


def _number(value: float, decimals: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{decimals}f}"
