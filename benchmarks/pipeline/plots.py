"""Drawings of the benchmark; matplotlib is optional."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.pipeline.systems import Runs, median

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
AUTO = "auto"
"""A rate that is no point of a line."""


def cameras(runs: Runs, folder: Path | None) -> None:
    """Draw frames/s against the number of cameras, as `cameras.png`.

    Args:
        runs: Runs by number of cameras.
        folder: Where to; None draws nothing.
    """
    if folder is None or not can_draw():
        return
    figure, (axes,) = _figure(1)
    numbers = [int(name) for name in runs]
    frames_s = [median(of_number, "frames_s") for of_number in runs.values()]
    axes.plot(numbers, frames_s, "o-", color=COLOURS[0], linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    _finish(axes, "cameras", "frames/s of all cameras")
    save(figure, folder / "cameras.png")


def rates(by_scene: Mapping[str, Runs], folder: Path | None) -> None:
    """Draw global IDF1 and CPU time against `detector.rate`, as `rates.png`.

    Args:
        by_scene: Runs by rate, by scene.
        folder: Where to; None draws nothing.
    """
    if folder is None or not by_scene or not can_draw():
        return
    figure, (accuracy, cost) = _figure(2)
    for i, (scene, runs) in enumerate(by_scene.items()):
        colour = COLOURS[i % len(COLOURS)]
        rates = list(runs)
        fixed = [place for place, rate in enumerate(rates) if rate != AUTO]
        adaptive = [place for place, rate in enumerate(rates) if rate == AUTO]
        idf1 = [100 * median(of_rate, "idf1") for of_rate in runs.values()]
        cpu_ms = [median(of_rate, "cpu_ms") for of_rate in runs.values()]
        for axes, values in ((accuracy, idf1), (cost, cpu_ms)):
            lines = [values[place] for place in fixed]
            axes.plot(fixed, lines, "o-", color=colour, linewidth=1, label=scene)
            axes.plot(adaptive, [values[place] for place in adaptive], "s", color=colour)
            axes.set_xticks(range(len(rates)), rates)
    _finish(accuracy, "detector.rate, frames/s", "global IDF1", from_zero=False)
    _finish(cost, "detector.rate, frames/s", "CPU ms a frame")
    accuracy.legend(frameon=False, fontsize=8)
    save(figure, folder / "rates.png")


def can_draw() -> bool:
    """Whether matplotlib is installed; says so where it is not."""
    if find_spec("matplotlib"):
        return True
    print("no plot: matplotlib is not installed")
    return False


def _figure(n_axes: int) -> tuple[Any, Sequence[Any]]:
    """A figure and its axes, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * n_axes, 4), dpi=120, layout="constrained")
    return figure, figure.subplots(1, n_axes, squeeze=False)[0]


def _finish(axes: Any, along: str, unit: str, from_zero: bool = True) -> None:
    """Add labels and a grid."""
    axes.set_xlabel(along)
    axes.set_ylabel(unit)
    if from_zero:
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    axes.grid(linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    print(f"drawn: {path}")
