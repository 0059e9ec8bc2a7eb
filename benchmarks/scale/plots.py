"""Drawing of the benchmark; matplotlib is optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pipeline.plots import COLOURS, can_draw, save
from benchmarks.scale.model import Assumptions, Costs
from benchmarks.scale.runs import Pair
from benchmarks.scale.tables import CPU

FILE = "scale.png"


def scale(
    pairs: Sequence[Pair],
    days: Mapping[str, Sequence[Costs]],
    assumed: Assumptions,
    folder: Path | None,
) -> None:
    """Draw what was measured and what cameras would cost, as `scale.png`.

    Args:
        pairs: Runs, the engine local first.
        days: Costs of each number of cameras, by name of the day; the first one is drawn where
            the day does not matter.
        assumed: Assumptions behind them.
        folder: Where to; None draws nothing.
    """
    if folder is None or not can_draw():
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), dpi=90, layout="constrained")
    (measured, machines), (network, linking) = figure.subplots(2, 2)
    _draw_runs(measured, pairs)
    city, *_ = days.values()
    cameras = [of_n.cameras for of_n in city]
    _lines(
        machines,
        cameras,
        {
            "cores, no GPU": [of_n.cores for of_n in city],
            "cores beside GPUs": [of_n.cores_with_gpus for of_n in city],
            "GPUs (assumed rate)": [of_n.gpus for of_n in city],
            "memory, GiB": [of_n.memory_gib for of_n in city],
        },
    )
    machines.set_title("simulated: workers", fontsize=10)
    _lines(
        network,
        cameras,
        {
            "from cameras, Mbit/s (assumed)": [1000 * of_n.camera_gbit_s for of_n in city],
            "workers to drivers, Mbit/s": [of_n.sent_mbit_s for of_n in city],
            "video of a day, GB": [of_n.stored_gb["video"] for of_n in city],
            "all else of a crowded day, GB": [
                sum(of_n.stored_gb.values()) - of_n.stored_gb["video"] for of_n in city
            ],
        },
    )
    network.set_title("simulated: network and storage", fontsize=10)
    memory = {}
    for name, costs in days.items():
        memory[f"{name} day, one linker"] = [of_n.as_one.gib for of_n in costs]
        memory[f"{name} day, a linker a site"] = [of_n.by_site.gib for of_n in costs]
    _lines(linking, cameras, memory)
    linking.axhline(assumed.link_gib, color="black", linewidth=1, linestyle="--")
    linking.set_title("simulated: GiB to link a day; a shard is below the line", fontsize=10)
    save(figure, folder / FILE)


def _draw_runs(axes: Any, pairs: Sequence[Pair]) -> None:
    """Draw CPU time of a frame, stacked by process."""
    names = [f"{pair.long.workers}" if pair.long.workers else "local" for pair in pairs]
    below = [0.0] * len(pairs)
    for colour, (what, of) in zip(COLOURS, CPU.items(), strict=False):
        values = [max(pair.ms_a_frame(what), 0.0) for pair in pairs]
        axes.bar(names, values, bottom=below, color=colour, width=0.6, label=of)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.set_xlabel("workers")
    axes.set_ylabel("CPU ms a frame")
    axes.set_ylim(0, 1.3 * max(below))
    axes.set_title(f"measured: {pairs[0].long.cameras} cameras", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper center")


def _lines(axes: Any, cameras: Sequence[int], lines: dict[str, list[float]]) -> None:
    """Draw lines against the number of cameras, both on logarithmic axes."""
    for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
        axes.loglog(cameras, values, "o-", color=colour, linewidth=1, label=name)
    axes.set_xticks(cameras, [f"{n:,}" for n in cameras])
    axes.set_xlabel("cameras")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.grid(which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
