"""Which runtime computes a network: torch, OpenVINO or onnxruntime, and in which precision.

A runtime is taken only when it gives what torch gives in float32, within a tolerance that the
network's owner states; it is compared whenever a network is opened, since a file in the cache may
be damaged. Of those that pass, `auto` takes the faster one, measured once on a machine and
remembered, so that two runs on one machine never differ by the noise of timing. Where nothing can
be remembered nothing is measured: OpenVINO is taken where it passes.

Exported runtimes are for the CPU. On a GPU, and for what cannot be exported, there is torch.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch

from models import device as devices
from models.errors import InputError, one_line
from models.runtimes import cache, openvino_package
from models.runtimes.graph import Array, Graph
from models.runtimes.names import PrecisionName, RuntimeName
from models.runtimes.runners import OnnxRunner, OpenVinoRunner, Run

BUDGET_S = 1.0
"""Longest measurement of one network; a run has two networks."""
MAX_CALLS = 5
"""Most calls of each runtime in a measurement."""
PRECISIONS = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


class Choice(NamedTuple):
    """A runtime and its precision: "float32", "bfloat16", "float16" or "int8"."""

    runtime: str
    precision: str


NO_RUNTIME = Choice("", "")
"""Of what is no network."""


@dataclass(frozen=True)
class Chosen:
    """What computes a network. run: None for torch, which the network's owner runs itself.

    notes: what the user should know, such as a runtime that was refused.
    """

    choice: Choice
    run: Run | None
    notes: tuple[str, ...] = ()


Difference = Callable[[Array, Array, str], str]
"""Answer of a runtime, answer of torch in float32, precision of the runtime -> why they differ too
much; "" if they do not.
"""


def torch_precision(device: torch.device, wanted: PrecisionName = "auto") -> str:
    """The precision in which torch computes on a device.

    Raises:
        InputError: The device does not compute in the wanted one.
    """
    fast = PRECISIONS[devices.fast_dtype(device)]
    if wanted in ("auto", fast):
        return fast
    if wanted == "float32" and device.type != "cuda":
        return wanted
    if wanted == "int8":
        raise InputError("precision int8: torch does not compute in it; take precision=auto")
    raise InputError(f"precision {wanted}: {device} computes in {fast} here; take precision=auto")


def without_graph(
    runtime: RuntimeName, precision: PrecisionName, device: torch.device, reason: str
) -> Chosen:
    """Choose torch for a network that no other runtime can take.

    Args:
        runtime: What the user asks for.
        precision: What the user asks for.
        device: Where torch runs.
        reason: Why no other runtime can take it, as a clause.

    Raises:
        InputError: The user asks for another runtime.
    """
    if runtime not in ("auto", "torch"):
        raise InputError(f"runtime {runtime}: {reason}; take runtime=auto or torch")
    return Chosen(Choice("torch", torch_precision(device, precision)), None)


def choose(
    graph: Graph,
    torch_run: Run,
    difference: Difference,
    runtime: RuntimeName,
    precision: PrecisionName,
) -> Chosen:
    """Choose a runtime on the CPU.

    Args:
        graph: The network.
        torch_run: The same network in torch, in the fastest precision that is allowed.
        difference: Tells whether answers differ too much.
        runtime: One of them, or "auto".
        precision: One of them, or "auto": bfloat16 where the CPU computes in it and the answers
            are within the tolerance, else float32. "int8" is OpenVINO's alone.

    Raises:
        InputError: The runtime that is asked for is not installed, or gives other answers; or the
            network cannot be computed in the precision.
    """
    if precision == "int8":
        return _in_int8(graph, difference, runtime)
    return _faster(graph, torch_run, difference, runtime, precision)


def _faster(
    graph: Graph,
    torch_run: Run,
    difference: Difference,
    runtime: RuntimeName,
    precision: PrecisionName,
) -> Chosen:
    """As `choose`, in floating point."""
    in_torch = Choice("torch", torch_precision(torch.device("cpu"), precision))
    candidates = _candidates(runtime, precision)
    if not candidates:
        return Chosen(in_torch, None)
    memory = cache.path_of(graph.name, _machine(graph, runtime, precision), ".json")
    remembered = _remembered(memory, [in_torch, *candidates]) if runtime == "auto" else None
    if remembered == in_torch:
        return Chosen(in_torch, None)
    if remembered:
        candidates = [remembered]
    found = _first_that_agrees(graph, candidates, difference)
    if found.run is None:
        if runtime != "auto":
            raise InputError(f"runtime {runtime}: {found.notes[-1]}; take runtime=auto or torch")
        return Chosen(in_torch, None, found.notes)
    if runtime != "auto" or remembered:
        return found
    try:
        best = _measured_once(memory, graph, found, Chosen(in_torch, torch_run))
    except OSError:
        return found
    return found if best == found.choice else Chosen(in_torch, None, found.notes)


def _in_int8(graph: Graph, difference: Difference, runtime: RuntimeName) -> Chosen:
    """OpenVINO with the network in 8 bits; raises InputError."""
    title = "precision int8:"
    if runtime not in ("auto", "openvino"):
        raise InputError(f"{title} runtime {runtime} does not compute in it; take runtime=openvino")
    if not openvino_package.is_installed():
        raise InputError(f"{title} it needs the package openvino; pip install openvino")
    if not devices.has_int8():
        raise InputError(f"{title} this CPU has no VNNI instructions; take precision=auto")
    if not graph.ranges:
        raise InputError(
            f"{title} the activation ranges of {graph.name} are not known; measure them with"
            " python -m models.calibrate, or take precision=auto"
        )
    found = _first_that_agrees(graph, [Choice("openvino", "int8")], difference)
    if found.run is None:
        raise InputError(f"{title} {found.notes[-1]}; take precision=auto")
    return found


def _candidates(runtime: RuntimeName, precision: PrecisionName) -> list[Choice]:
    """Choices other than torch, the most promising first; raises InputError."""
    fast = PRECISIONS[devices.fast_dtype(torch.device("cpu"))]
    precisions = list(dict.fromkeys((fast, "float32")))
    if precision != "auto":
        torch_precision(torch.device("cpu"), precision)
        precisions = [precision]
    in_openvino = [Choice("openvino", name) for name in precisions]
    in_onnxruntime = [Choice("onnxruntime", name) for name in precisions if name == "float32"]
    if runtime == "torch":
        return []
    if runtime == "onnxruntime":
        if not in_onnxruntime:
            raise InputError("runtime onnxruntime computes in float32; take precision=auto")
        return in_onnxruntime
    if openvino_package.is_installed():
        return in_openvino
    if runtime == "openvino":
        raise InputError("runtime openvino: it is not installed; pip install openvino")
    return in_onnxruntime


def _first_that_agrees(graph: Graph, candidates: list[Choice], difference: Difference) -> Chosen:
    """The first choice that gives what torch gives; without `run` when none does."""
    notes: list[str] = []
    expected = graph.expected(graph.sample)
    for choice in candidates:
        title = f"{graph.name}: {choice.runtime} in {choice.precision} is not used"
        try:
            source = graph.in_int8() if choice.precision == "int8" else graph
            run, note = _open(source, choice)
            reason = difference(run(graph.sample), expected, choice.precision)
        except Exception as error:  # noqa: BLE001 - whatever a foreign runtime raises, torch is left
            notes.append(f"{title}, because it fails ({one_line(error)})")
            continue
        if reason:
            notes.append(
                f"{title}, because {reason}; if {source.path} is from elsewhere, delete it"
            )
            continue
        return Chosen(choice, run, tuple([*notes, note] if note else notes))
    return Chosen(candidates[0], None, tuple(notes))


def _open(graph: Graph, choice: Choice) -> tuple[Run, str]:
    """A runtime with the network, and a note; a damaged file in the cache is exported again."""
    data, note = graph.exported()
    try:
        return _runner(data, choice, len(graph.sample)), note
    except ImportError:
        raise
    except Exception:  # noqa: BLE001 - runtimes raise anything for a damaged file
        data, note = graph.export()
        return _runner(data, choice, len(graph.sample)), note


def _runner(data: bytes, choice: Choice, batch: int) -> Run:
    if choice.runtime == "openvino":
        return OpenVinoRunner(data, choice.precision, batch)
    return OnnxRunner(data, batch)


def _machine(graph: Graph, runtime: str, precision: str) -> dict[str, str]:
    """All that a remembered choice depends on, by name."""
    versions = {}
    for package in ("openvino", "onnxruntime"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = ""
    return {
        **graph.key,
        **versions,
        "runtime": runtime,
        "precision": precision,
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _processor() -> str:
    """Name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    # model name alone does not tell cloud machines apart: flags do
    told = [line for line in lines if line.startswith(("model name", "flags"))]
    return " ".join(told[:2])


def _remembered(memory: Path, allowed: list[Choice]) -> Choice | None:
    """What was chosen earlier; None when nothing was, or it is not possible any more."""
    values: dict[str, Any] = cache.read_json(memory) or {}
    choice = Choice(str(values.get("runtime")), str(values.get("precision")))
    return choice if choice in allowed else None


def _measured_once(memory: Path, graph: Graph, found: Chosen, in_torch: Chosen) -> Choice:
    """Measure two choices, remember the faster one, and return what is remembered; another process
    may have been earlier. Raises OSError.
    """
    memory.parent.mkdir(parents=True, exist_ok=True)
    best_s = _measure(graph.sample, [found, in_torch])
    faster = min(best_s, key=lambda choice: best_s[choice])
    values = {
        "runtime": faster.runtime,
        "precision": faster.precision,
        "seconds": {" ".join(choice): best_s[choice] for choice in best_s},
    }
    text = json.dumps(values, indent=1) + "\n"
    cache.write_first(memory, text.encode())
    first = _remembered(memory, list(best_s))
    if first is None:  # the file there is damaged
        cache.write(memory, text.encode())
    return first or faster


def _measure(sample: Array, rivals: list[Chosen]) -> dict[Choice, float]:
    """Shortest seconds of a call by choice; calls take turns, so that other load hits all.

    The first call of each loads what is loaded late, and counts only if no time is left.
    """
    times_s: dict[Choice, list[float]] = {rival.choice: [] for rival in rivals}
    begin_s = time.perf_counter()
    for n in range(MAX_CALLS + 1):
        for rival in rivals:
            if rival.run is None or (n and time.perf_counter() - begin_s > BUDGET_S):
                continue
            start_s = time.perf_counter()
            rival.run(sample)
            times_s[rival.choice].append(time.perf_counter() - start_s)
    return {choice: min(taken[1:] or taken) for choice, taken in times_s.items()}
