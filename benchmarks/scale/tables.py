"""Tables of what was measured and of what follows from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial

from benchmarks.scale.model import Assumptions, Costs, Linking, Rates, most_live_cameras
from benchmarks.scale.rates import KINDS, Measured
from benchmarks.scale.runs import Pair

CPU = {
    "command_s": "program",
    "workers_s": "workers",
    "linker_s": "linker",
    "ray_s": "Ray",
}
"""CPU times of a run, and what they are of."""
NAME_WIDTH = 40
WIDTH = 12


def runs(pairs: Sequence[Pair]) -> str:
    """Return what runs cost against their number of workers.

    Args:
        pairs: Runs, the engine local first.
    """
    local = pairs[0]
    run = local.long
    lines = [
        f"{run.cameras} cameras, {run.video_s:g} s of video each; CPU time is of user and system",
        _row("", [f"{p.long.workers} workers" if p.long.workers else "local" for p in pairs]),
    ]

    def add(name: str, value: Callable[[Pair], str]) -> None:
        lines.append(_row(name, [value(pair) for pair in pairs]))

    add("CPU ms a frame", lambda pair: f"{_all_ms(pair):.1f}")
    for what, of in CPU.items():
        lines.append(_row(f"  {of}", [f"{pair.ms_a_frame(what):.1f}" for pair in pairs]))
    add("over local", lambda pair: f"{_all_ms(pair) / _all_ms(local):.2f}")
    add("without Ray, over local", lambda pair: f"{_own_ms(pair) / _own_ms(local):.2f}")
    add("CPU s to start and end", lambda pair: f"{_start_s(pair):.1f}")
    add("bytes sent, a camera and second", lambda pair: f"{pair.sent_bytes_s:,.0f}")
    add("program, CPU ms a camera and second", _driver_ms)
    add("Ray, cores in a run", lambda pair: f"{pair.ray_cores:.3f}" if pair.long.workers else "")
    add("Ray, cores while nothing runs", lambda pair: f"{pair.long.idle_cores:.3f}")
    add("memory of the program, MiB", lambda pair: f"{pair.long.command_mib:,.0f}")
    add("memory of a worker, MiB", _worker_mib)
    add("memory of Ray, all nodes, MiB", lambda pair: f"{pair.long.ray_mib:,.0f}")
    add("workers that were lost", lambda pair: f"{pair.short.restarts + pair.long.restarts}")
    add("same tracks.csv as local", lambda pair: _is_same(pair, local))
    return "\n".join(lines)


def _all_ms(pair: Pair) -> float:
    return sum(pair.ms_a_frame(what) for what in CPU)


def _own_ms(pair: Pair) -> float:
    """All but what Ray's own processes take, which depends on the time that a run takes."""
    return _all_ms(pair) - pair.ms_a_frame("ray_s")


def _start_s(pair: Pair) -> float:
    return sum(pair.start_s(what) for what in CPU)


def _driver_ms(pair: Pair) -> str:
    return f"{pair.ms_a_video_second('command_s'):.1f}" if pair.long.workers else ""


def _worker_mib(pair: Pair) -> str:
    found = pair.long.worker_mib
    return f"{sum(found) / len(found):,.0f}" if found else ""


def _is_same(pair: Pair, local: Pair) -> str:
    return "yes" if pair.long.tracks_sha256 == local.long.tracks_sha256 else "NO"


def rates(measured: Measured) -> str:
    """Return the table of scenes and of linking.

    Args:
        measured: What was measured.
    """
    of_scenes = measured.of_scenes
    linked = measured.linked
    stepped = measured.stepped
    names = {
        "fps": "frames a second",
        "looks_per_s": "looks a second",
        "decode_ms": "decode, CPU ms a frame",
        "detect_ms": "detect, CPU ms a look",
        "track_ms": "track and gather, CPU ms a look",
        "embed_ms": "embed, CPU ms a crop",
        "tracklets_per_min": "tracklets, a camera and minute",
        "crops_per_tracklet": "crops a tracklet",
        "rows_per_tracklet": "boxes a tracklet",
        "kept_bytes": "bytes of a tracklet",
        "video_ms": "annotated video, CPU ms a frame",
        "video_bytes_per_s": "annotated video, bytes a second",
    }
    lines = ["", _row("", [scene["scene"] for scene in of_scenes])]
    for key, name in names.items():
        lines.append(_row(name, [f"{scene[key]:,.1f}" for scene in of_scenes]))
    for kind in KINDS:
        values = [f"{scene['stored_bytes'][kind]:,.0f}" for scene in of_scenes]
        lines.append(_row(f"{kind} on disk, bytes a tracklet", values))
    by_kind = ", ".join(f"{kind} {n_bytes:,.0f}" for kind, n_bytes in measured.sent.items())
    lines.append(f"bytes that a worker sends, a camera and second: {by_kind}")
    lines.append(f"decode 1920x1080: {measured.full_hd_ms:.1f} CPU ms a frame")
    lines += ["", _row("linking: tracklets", [f"{row['n']:,.0f}" for row in linked])]
    lines.append(_row("CPU s", [f"{row['cpu_s']:.1f}" for row in linked]))
    lines.append(_row("MiB", [f"{row['peak_mib']:,.0f}" for row in linked]))
    lines += ["", _row("online step: tracklets", [f"{row['looked_at']:,.0f}" for row in stepped])]
    lines.append(_row("CPU ms", [f"{row['step_ms']:,.0f}" for row in stepped]))
    return "\n".join(lines)


def assumptions(assumed: Assumptions) -> str:
    """Return the assumptions, one a line."""
    named = [f"  {each.name} = {getattr(assumed, each.name):g}" for each in fields(assumed)]
    return "\n".join(["", "assumed:", *named])


def machines(costs: Sequence[Costs], assumed: Assumptions) -> str:
    """Return what numbers of cameras take while people come by.

    Args:
        costs: Of each number of cameras.
        assumed: What was not measured.
    """
    return _table(
        costs,
        {
            "workers": lambda of_n: f"{of_n.workers:,}",
            "cores of workers": lambda of_n: f"{of_n.cores:,.0f}",
            "  of 1920x1080, 25 frames/s": lambda of_n: f"{of_n.cores_full_hd:,.0f}",
            "  more with annotated video": lambda of_n: f"{of_n.cores_video:,.0f}",
            f"machines of {assumed.cores_per_node} cores": lambda of_n: f"{of_n.nodes:,}",
            "with GPUs: cores": lambda of_n: f"{of_n.cores_with_gpus:,.1f}",
            "  GPUs": lambda of_n: f"{of_n.gpus:,.1f}",
            "cores of drivers": lambda of_n: f"{of_n.driver_cores:,.1f}",
            "cores of Ray": lambda of_n: f"{of_n.ray_cores:,.2f}",
            "memory of workers and Ray, GiB": lambda of_n: f"{of_n.memory_gib:,.0f}",
            "from cameras, Gbit/s": lambda of_n: f"{of_n.camera_gbit_s:,.2f}",
            "from workers to drivers, Mbit/s": lambda of_n: f"{of_n.sent_mbit_s:,.1f}",
        },
    )


def day(costs: Sequence[Costs]) -> str:
    """Return what a day of numbers of cameras stores, and how it is linked.

    Args:
        costs: Of each number of cameras.
    """
    rows: dict[str, Callable[[Costs], str]] = {
        "tracklets of a day": lambda of_n: f"{of_n.as_one.tracklets:,.0f}",
        "memory of them in drivers, GiB": lambda of_n: f"{of_n.kept_gib:,.1f}",
    }
    for kind in costs[0].stored_gb:
        rows[f"{kind} on disk, GB"] = partial(_stored, kind)
    rows |= _linking_rows("one linker", lambda of_n: of_n.as_one)
    rows["sites"] = lambda of_n: f"{of_n.sites:,}"
    rows |= _linking_rows("a linker a site", lambda of_n: of_n.by_site)
    return _table(costs, rows)


def live(costs: Sequence[Costs], rates: Rates, assumed: Assumptions) -> str:
    """Return how long a step of live linking takes at sites as those of `benchmarks.linking`.

    Args:
        costs: Of each number of cameras.
        rates: What was measured.
        assumed: What was not.
    """
    rows: dict[str, Callable[[Costs], str]] = {
        "one live linker: a step, s": lambda of_n: f"{of_n.as_one.step_s:,.2f}",
        "a live linker a site: a step, s": lambda of_n: f"{of_n.by_site.step_s:,.2f}",
    }
    most = most_live_cameras(rates, assumed)
    aim_s = assumed.live_delay_s / 2
    return f"{_table(costs, rows)}\na step takes {aim_s:g} s with {most:,} cameras"


def _stored(kind: str, costs: Costs) -> str:
    return f"{costs.stored_gb[kind]:,.1f}"


def _linking_rows(
    name: str, linker: Callable[[Costs], Linking]
) -> dict[str, Callable[[Costs], str]]:
    """Rows of one way to link."""
    return {
        f"{name}: CPU hours": lambda of_n: _extrapolated(linker(of_n), linker(of_n).hours),
        f"{name}: GiB as one shard": lambda of_n: _extrapolated(linker(of_n), linker(of_n).gib),
        f"{name}: shards": lambda of_n: f"{linker(of_n).shards:,}",
        f"{name}: linking.shard_s": lambda of_n: f"{linker(of_n).shard_s:,.0f}",
    }


def _table(costs: Sequence[Costs], rows: Mapping[str, Callable[[Costs], str]]) -> str:
    lines = ["", _row("cameras", [f"{of_n.cameras:,}" for of_n in costs])]
    for name, value in rows.items():
        lines.append(_row(name, [value(of_n) for of_n in costs]))
    return "\n".join(lines)


def _extrapolated(linking: Linking, value: float) -> str:
    """A value, with a star where the size was not measured."""
    return f"{value:,.2f}" + ("" if linking.is_measured else "*")


def _row(name: str, values: Sequence[str]) -> str:
    return f"{name:<{NAME_WIDTH}}" + "".join(f"{value:>{WIDTH}}" for value in values)
