"""The detector that ships, in every runtime, on pictures of the sample."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from models import device as devices
from models import weights
from models.boxes import iou
from models.detector import data
from models.detector import graph as graphs
from models.detector import network as networks
from models.detector.inference import PersonDetector
from models.errors import InputError
from models.runtimes import cache
from models.runtimes.graph import INPUT
from models.runtimes.names import RuntimeName
from models.weights import public
from pipeline import cli
from pipeline.records import Array


def shipped() -> str:
    path = weights.bundled("detector")
    assert path is not None
    return str(path)


@pytest.fixture(scope="module")
def images(sample: Path) -> list[Array]:
    """Frames of a camera, and one of them turned to portrait."""
    video, truth = sample / "cam1.mp4", sample / "truth" / "cam1.txt"
    pictures = itertools.islice(data.clip(video, truth, every=40), 3)
    images = [picture.image for picture in pictures]
    return [*images, np.ascontiguousarray(images[0].transpose(1, 0, 2))]


@pytest.fixture(scope="module")
def in_torch(images: list[Array]) -> list[tuple[Array, Array]]:
    detector = PersonDetector(shipped(), min_score=0.3, device="cpu", precision="float32")
    return [detector(image) for image in images]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_runtime_finds_the_same_boxes_and_the_same_bytes_in_any_batch(
    images: list[Array], in_torch: list[tuple[Array, Array]], runtime: RuntimeName
) -> None:
    pytest.importorskip(runtime, reason=f"needs the package {runtime}")
    detector = PersonDetector(
        shipped(), min_score=0.3, device="cpu", runtime=runtime, precision="float32"
    )
    assert detector.choice == (runtime, "float32")
    assert detector.notes == ()
    together = detector.detect(images)
    assert sum(len(boxes) for boxes, _ in together) > 10
    for image, found, expected in zip(images, together, in_torch, strict=True):
        assert_allclose(found[0], expected[0], atol=0.05)
        assert_allclose(found[1], expected[1], atol=1e-3)
        boxes, scores = detector(image)
        assert_array_equal(boxes, found[0])
        assert_array_equal(scores, found[1])
    assert detector.warnings == []


@pytest.mark.skipif(not devices.has_int8(), reason="needs a CPU with VNNI")
def test_the_detector_that_ships_finds_the_same_people_in_8_bits(
    images: list[Array], in_torch: list[tuple[Array, Array]]
) -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    detector = PersonDetector(
        shipped(), min_score=0.3, device="cpu", precision="int8", runtime="auto"
    )
    assert detector.choice == ("openvino", "int8")
    assert detector.notes == ()
    n_people = 0
    for image, (boxes, scores) in zip(images, in_torch, strict=True):
        sure = boxes[scores > 0.5]
        found, _ = detector(image)
        overlaps = iou(sure, found)
        assert (overlaps.max(axis=1, initial=0) > 0.8).all()
        n_people += len(sure)
    assert n_people > 5
    assert detector.warnings == []


def test_channels_are_turned_by_a_gather_as_openvino_reverses_slices_slowly() -> None:
    path = Path(shipped())
    graph = graphs.build(networks.load(path), path, "")
    model = onnx.load_from_string(graph.exported()[0])
    users = [node.op_type for node in model.graph.node if INPUT in node.input]
    assert "Gather" in users and "Slice" not in users


def test_boxes_of_another_size_or_score_are_too_different_and_rounding_is_not() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.uniform(20, 200, (4, 500))
    expected = np.concatenate([boxes, rng.uniform(0, 1, (1, 500))])[None].astype(np.float32)
    assert graphs.difference(expected * np.float32(1.001), expected) == ""
    larger = expected * np.array([1, 1, 1.2, 1, 1], np.float32)[:, None]
    assert "% of their size" in graphs.difference(larger, expected)
    surer = expected + np.array([0, 0, 0, 0, 0.05], np.float32)[:, None]
    assert "its scores by 0.050" in graphs.difference(surer, expected)
    assert "not finite" in graphs.difference(expected * np.float32(np.nan), expected)


def test_a_run_tells_which_runtime_and_precision_it_took_and_why_not_another(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    monkeypatch.setenv(public.CACHE, str(tmp_path / "cache"))
    output = tmp_path / "out"
    words = ["--videos", str(sample / "cam1.mp4"), "--output", str(output), "--overwrite"]
    words += ["--max-seconds", "0.2", "--no-video", "--quiet"]
    words += ["--set", "reid.weights=none", "--set", "precision=float32"]

    def manifest(runtime: str) -> dict[str, Any]:
        assert cli.main([*words, "--set", f"runtime={runtime}"]) == 0
        values: dict[str, Any] = json.loads((output / "run.json").read_text())
        return values

    taken = manifest("openvino")
    assert taken["detector"]["runtime"] == "openvino"
    assert taken["detector"]["precision"] == "float32"
    assert taken["reid"]["runtime"] == ""
    assert taken["notes"] == []
    (exported,) = cache.folder().glob("*.onnx")
    data = exported.read_bytes()
    middle = len(data) // 2
    exported.write_bytes(data[:middle] + b"\x3f\x3f" * 2000 + data[middle + 4000 :])
    refused = manifest("auto")
    assert refused["detector"]["runtime"] == "torch"
    (note,) = refused["notes"]
    assert "openvino in float32 is not used" in note and str(exported) in note


def test_a_precision_that_the_runtime_lacks_is_an_error() -> None:
    with pytest.raises(InputError, match="runtime onnxruntime computes in float32"):
        PersonDetector(shipped(), device="cpu", runtime="onnxruntime", precision="bfloat16")
