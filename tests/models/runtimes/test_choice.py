"""The choice of a runtime, on a small network that all of them compute."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from models import device as devices
from models.errors import InputError
from models.runtimes import choice as runtimes
from models.runtimes.choice import Choice, Chosen
from models.runtimes.graph import Array, Graph, blotches, wrong_form
from models.weights import public
from tests.conftest import ROOT

SHAPE = (2, 24, 40)
RUNTIMES = ["openvino", "onnxruntime"]


class Network(nn.Module):
    """Channel means of a convolution: pictures (n, h, w, 3) uint8 -> (n, 8)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        pixels = pictures.permute(0, 3, 1, 2).float().div(255)
        return self.layer(pixels).relu().mean((2, 3))


def graph(seed: int = 0) -> Graph:
    network = Network(seed).eval().requires_grad_(False)
    return Graph(network, "small", {"weights": str(seed)}, blotches(SHAPE), is_size_free=True)


def difference(found: Array, expected: Array, _precision: str = "float32") -> str:
    apart = float(np.abs(found - expected).max() / np.abs(expected).max())
    return f"it differs by {apart:.3f}" if apart > 0.02 else ""


def choose(
    runtime: str = "auto",
    precision: str = "float32",
    of: Graph | None = None,
    tolerance: Callable[[Array, Array, str], str] = difference,
) -> Chosen:
    of = of or graph()
    return runtimes.choose(of, of.reference, tolerance, runtime, precision)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(public.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture
def openvino() -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason=f"needs the package {name}")
    return name


def run_of(chosen: Chosen) -> Callable[[Array], Array]:
    assert chosen.run is not None
    return chosen.run


def test_every_runtime_gives_what_torch_gives_for_pictures_of_any_size(runtime: str) -> None:
    chosen = choose(runtime)
    assert chosen.choice == (runtime, "float32")
    assert chosen.notes == ()
    for shape in [SHAPE, (4, 32, 24)]:
        pictures = blotches(shape, seed=1)
        assert_allclose(run_of(chosen)(pictures), graph().reference(pictures), atol=1e-5)


def test_the_answer_for_a_picture_is_the_same_bytes_in_any_batch_and_run(runtime: str) -> None:
    pictures = blotches((5, 24, 40), seed=2)
    together = run_of(choose(runtime))(pictures)
    again = run_of(choose(runtime))
    assert_array_equal(again(pictures), together)
    for i, picture in enumerate(pictures):
        assert_array_equal(again(picture[None])[0], together[i])


def test_a_network_is_exported_once_and_other_weights_have_a_file_of_their_own(
    runtime: str, cache: Path
) -> None:
    choose(runtime)
    (first,) = cache.glob("*.onnx")
    written_ns = first.stat().st_mtime_ns
    choose(runtime)
    assert [path.stat().st_mtime_ns for path in cache.glob("*.onnx")] == [written_ns]
    choose(runtime, of=graph(seed=1))
    assert len(list(cache.glob("*.onnx"))) == 2


def test_an_exported_network_that_is_another_one_is_refused(runtime: str) -> None:
    other, _ = graph(seed=1).exported()
    path = graph().path
    path.write_bytes(other)
    with pytest.raises(InputError, match=rf"^runtime {runtime}: .* it differs by .*{path.name}"):
        choose(runtime)


@pytest.mark.usefixtures("openvino")
def test_auto_refuses_a_network_that_is_another_one_with_a_note_and_takes_torch() -> None:
    other, _ = graph(seed=1).exported()
    graph().path.write_bytes(other)
    chosen = choose()
    assert chosen.run is None
    assert chosen.choice == ("torch", "float32")
    (note,) = chosen.notes
    assert note.startswith("small: openvino in float32 is not used, because it differs by ")
    assert str(graph().path) in note


def test_a_damaged_file_in_the_cache_is_exported_again(runtime: str) -> None:
    graph().exported()
    path = graph().path
    path.write_bytes(path.read_bytes()[:300])
    assert run_of(choose(runtime)) is not None
    assert path.stat().st_size > 300


def test_without_a_place_for_the_cache_networks_run_from_memory_with_a_note(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(public.CACHE, str(tmp_path / "file"))
    chosen = choose(runtime)
    assert_array_equal(run_of(chosen)(blotches(SHAPE)).shape, (2, 8))
    (note,) = chosen.notes
    assert "cannot be written" in note and public.CACHE in note


@pytest.mark.usefixtures("openvino")
def test_without_a_place_for_the_cache_nothing_is_measured_and_openvino_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(public.CACHE, str(tmp_path / "file"))
    assert choose().choice == ("openvino", "float32")


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_auto_takes_what_it_remembers_whatever_is_faster_now(cache: Path, name: str) -> None:
    choose()
    (memory,) = cache.glob("*.json")
    memory.write_text(json.dumps({"runtime": name, "precision": "float32"}))
    assert choose().choice == (name, "float32")


@pytest.mark.usefixtures("openvino")
def test_a_damaged_memory_is_measured_and_written_again(cache: Path) -> None:
    first = choose().choice
    (memory,) = cache.glob("*.json")
    memory.write_text("{")
    assert choose().choice.runtime in ("openvino", "torch")
    assert json.loads(memory.read_text())["precision"] == first.precision


@pytest.mark.usefixtures("openvino")
@pytest.mark.skipif(
    devices.fast_dtype(torch.device("cpu")) != torch.bfloat16,
    reason="needs a CPU that computes in bfloat16",
)
def test_bfloat16_is_taken_only_within_the_tolerance() -> None:
    assert choose("openvino", "auto").choice == ("openvino", "bfloat16")

    def strict(found: Array, expected: Array, _precision: str) -> str:
        return "" if np.allclose(found, expected, rtol=1e-5) else "it is not exact"

    chosen = choose("openvino", "auto", tolerance=strict)
    assert chosen.choice == ("openvino", "float32")
    (note,) = chosen.notes
    assert "openvino in bfloat16 is not used, because it is not exact" in note


def test_without_openvino_auto_takes_onnxruntime_or_torch_and_a_pin_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose().choice in [("onnxruntime", "float32"), ("torch", "float32")]
    with pytest.raises(InputError, match=r"^runtime openvino: it is not installed; pip install"):
        choose("openvino")


def test_torch_is_taken_without_an_export(cache: Path) -> None:
    assert choose("torch") == Chosen(Choice("torch", "float32"), None)
    assert not cache.exists()


def test_what_only_torch_runs_is_torch_for_auto_and_an_error_for_others() -> None:
    cpu = torch.device("cpu")
    chosen = runtimes.without_graph("auto", "float32", cpu, "it takes clips")
    assert chosen.choice == ("torch", "float32")
    with pytest.raises(InputError, match=r"^runtime openvino: it takes clips; take runtime=auto"):
        runtimes.without_graph("openvino", "auto", cpu, "it takes clips")


@pytest.mark.usefixtures("openvino")
def test_openvino_is_loaded_without_what_reports_its_use(tmp_path: Path) -> None:
    script = """
import socket, sys
def refuse(*arguments, **named):
    raise SystemExit("network access")
socket.socket.connect = socket.getaddrinfo = refuse
from models.runtimes import openvino_package
openvino_package.load().Core()
reporting = [name for name in sys.modules if name.startswith("openvino_telemetry.")]
assert not reporting, reporting
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("openvino")
def test_signals_are_handled_after_networks_on_openvino_are_gone() -> None:
    script = """
import gc, signal
from models.runtimes.runners import OpenVinoRunner
from tests.models.runtimes.test_choice import graph
data = graph().export()[0]
runners = [OpenVinoRunner(data, "float32", 2) for _ in range(3)]
for runner in runners:
    runner(graph().sample)
del runner
while runners:
    del runners[0]
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_what_torch_gives_is_computed_once_and_again_where_the_file_is_damaged(cache: Path) -> None:
    expected = graph().expected(blotches(SHAPE))
    (kept,) = cache.glob("*.npy")
    assert_array_equal(expected, graph().reference(blotches(SHAPE)))
    other = graph()
    other.module.layer.weight.zero_()  # type: ignore[operator, union-attr]
    assert_array_equal(other.expected(blotches(SHAPE)), expected)
    kept.write_bytes(kept.read_bytes()[:-1] + b"\0")
    assert not np.array_equal(other.expected(blotches(SHAPE)), expected)


@pytest.mark.parametrize("damaged", ["runtime", "torch"])
def test_answers_that_are_not_finite_never_agree(damaged: str) -> None:
    whole = np.ones((1, 8), np.float32)
    broken = np.full((1, 8), np.nan, np.float32)
    found = broken if damaged == "runtime" else whole
    expected = broken if damaged == "torch" else whole
    assert wrong_form(found, expected) == "its answer or torch's is not finite"
    assert wrong_form(whole, whole) == ""
