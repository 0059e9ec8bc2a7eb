"""OpenVINO networks give what the same graph gives on onnxruntime. The package is optional: without
it these tests skip.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models import device as devices
from models.errors import InputError
from models.reid import encoder
from models.reid.exported import ExportedNetwork
from models.reid.openvino_network import OpenVinoNetwork
from models.reid.preprocess import CONVENTIONS, IMAGENET
from models.weights import public
from pipeline import embed
from pipeline.config import ReidConfig
from pipeline.records import Array
from tests.graphs import N_FEATURES, write_convolution, write_outputs
from tests.pipeline.test_embed import TRACKLETS

TEACHER = "person-reidentification-retail-0277.xml"


@pytest.fixture(scope="module")
def openvino() -> object:
    return pytest.importorskip("openvino", reason="needs the optional package openvino")


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "fast_dtype", lambda device: torch.float32)


@pytest.fixture(scope="module")
def crops() -> Array:
    """Eleven pictures whose contents differ in more than noise."""
    rng = np.random.default_rng(0)
    return np.stack(
        [cv2.resize(rng.integers(0, 255, (4, 3, 3), np.uint8), (16, 32)) for _ in range(11)]
    )


def convert(onnx: Path) -> Path:
    """The same network in OpenVINO's format."""
    import openvino

    openvino.save_model(
        openvino.convert_model(onnx), onnx.with_suffix(".xml"), compress_to_fp16=False
    )
    return onnx.with_suffix(".xml")


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize(
    ("batch", "tail", "opened"),
    [
        ("n", "Flatten", True),
        (1, "Flatten", True),
        (4, "Flatten", True),
        (1, "8 1,8", False),
        (4, "32 4,8", False),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 64])
def test_features_are_those_of_onnxruntime_however_crops_are_batched(
    tmp_path: Path, crops: Array, batch: int | str, tail: str, opened: bool, size: int
) -> None:
    path = write_convolution(tmp_path / "reid.onnx", batch, tail)
    expected = ExportedNetwork(path, torch.device("cpu"), 64).features(crops)
    network = OpenVinoNetwork(convert(path), size, IMAGENET)
    assert (network.width, network.size, network._padded) == (N_FEATURES, (32, 16), not opened)
    assert_allclose(network.features(crops), expected, atol=1e-4)
    assert network.features(crops[:0]).shape == (0, N_FEATURES)


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_it_gets_the_convention_that_it_is_opened_with(
    tmp_path: Path, crops: Array, convention: str
) -> None:
    path = write_convolution(tmp_path / "reid.onnx", "n")
    expected = ExportedNetwork(path, torch.device("cpu"), 64, CONVENTIONS[convention]).features(
        crops
    )
    assert_allclose(
        OpenVinoNetwork(convert(path), 64, CONVENTIONS[convention]).features(crops),
        expected,
        atol=1e-4,
    )


@pytest.mark.usefixtures("openvino")
def test_a_graph_that_mixes_the_crops_of_a_batch_keeps_its_batch(
    tmp_path: Path, crops: Array
) -> None:
    network = OpenVinoNetwork(
        convert(write_convolution(tmp_path / "reid.onnx", 1, "BatchMean")), 8, IMAGENET
    )
    alone = np.concatenate([network.features(crop[None]) for crop in crops])
    assert_allclose(network.features(crops), alone, atol=1e-5)


@pytest.mark.usefixtures("openvino")
def test_features_of_one_call_are_not_changed_by_the_next(tmp_path: Path, crops: Array) -> None:
    network = OpenVinoNetwork(convert(write_convolution(tmp_path / "reid.onnx", "n")), 64, IMAGENET)
    first = network.features(crops[:4])
    kept = first.copy()
    network.features(crops[4:8])
    assert_allclose(first, kept, atol=0)


@pytest.mark.usefixtures("openvino")
def test_the_pipeline_embeds_with_it_and_knows_both_its_files(tmp_path: Path) -> None:
    path = convert(write_convolution(tmp_path / "reid.onnx", "n"))
    embedder, notes = embed.build(ReidConfig(weights=str(path), convention="imagenet"), "cpu")
    assert (notes, embedder.name, embedder.files) == (
        [],
        "reid.xml",
        (path, path.with_suffix(".bin")),
    )
    other, _ = embed.build(ReidConfig(weights=str(path.with_suffix(".onnx"))), "cpu")
    for mine, theirs in zip(embedder.embed(TRACKLETS), other.embed(TRACKLETS), strict=True):
        assert_allclose(mine.embedding, theirs.embedding, atol=1e-4)


@pytest.mark.usefixtures("openvino")
def test_what_is_no_reid_network_or_has_lost_its_weights_is_an_error_of_one_line(
    tmp_path: Path,
) -> None:
    text = tmp_path / "text.xml"
    text.write_text("just text", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"^.*text\.xml: its weights text\.bin do not lie beside it$"
    ):
        OpenVinoNetwork(text, 8, IMAGENET)
    text.with_suffix(".bin").write_bytes(b"")
    maps = convert(write_convolution(tmp_path / "maps.onnx", 1, "1,2,2,2"))
    for path in (text, maps):
        with pytest.raises(
            InputError, match=f"^{path}: is not a ReID network with input .*$"
        ) as caught:
            OpenVinoNetwork(path, 8, IMAGENET)
        assert "\n" not in str(caught.value)


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    path = tmp_path / "net.xml"
    path.write_text("<net/>", encoding="utf-8")
    with pytest.raises(
        InputError,
        match=r"net\.xml: .* the package openvino \(pip install openvino\); or take an \.onnx$",
    ):
        encoder.load(path, "cpu", 4, "bgr_0_255")


@pytest.mark.slow
@pytest.mark.usefixtures("openvino")
def test_the_teacher_tells_people_apart_and_best_with_the_colours_that_are_recorded(
    shared_data: Path,
) -> None:
    """BGR is right: with the colours swapped, the same person in two cameras is less alike."""
    path = shared_data / "baselines" / TEACHER
    recorded = public.known(path)
    assert recorded is not None and recorded.convention == "bgr_0_255"
    people = sorted((shared_data / "reid" / "cuhk03-pair1-labeled" / "val").glob("*_00.jpg"))[:24]
    clips = [
        [cv2.imread(str(p.with_stem(p.stem[:-2] + view)))[None] for p in people]
        for view in ("00", "05")
    ]
    margins, rank1 = {}, {}
    for convention in ("auto", "rgb_0_255"):
        network = encoder.load(path, "cpu", 8, convention)
        alike = network.features(clips[0]) @ network.features(clips[1]).T
        margins[convention] = float(
            np.diag(alike).mean() - alike[~np.eye(len(people), dtype=bool)].mean()
        )
        rank1[convention] = float((alike.argmax(axis=1) == np.arange(len(people))).mean())
    assert margins["auto"] > margins["rgb_0_255"] + 0.02
    assert rank1["auto"] > 0.9


@pytest.mark.usefixtures("openvino")
def test_features_are_told_among_several_outputs_by_their_shape(
    tmp_path: Path, crops: Array
) -> None:
    source = write_outputs(tmp_path / "two.onnx", {"quality": [1], "features": [64]})
    network = OpenVinoNetwork(convert(source), 4, IMAGENET)
    assert (network.width, network.features(crops).shape) == (64, (11, 64))
    assert "is taken as the features" in network.note
    expected = ExportedNetwork(source, torch.device("cpu"), 4).features(crops)
    assert_allclose(network.features(crops), expected, atol=1e-3)
