"""Exported networks, as graphs that users have: fixed or free in their batch, with or without
traps.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose
from onnx import TensorProto, helper

from models.errors import InputError
from models.reid.exported import ExportedNetwork
from models.reid.preprocess import normalise
from pipeline.records import Array
from tests.graphs import N_FEATURES, write_convolution, write_graph, write_outputs

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def crops() -> Array:
    """Eleven pictures whose contents differ in more than noise."""
    rng = np.random.default_rng(0)
    return np.stack(
        [cv2.resize(rng.integers(0, 255, (4, 3, 3), np.uint8), (16, 32)) for _ in range(11)]
    )


@pytest.fixture(scope="module")
def expected(crops: Array, tmp_path_factory: pytest.TempPathFactory) -> Array:
    """What onnxruntime itself gives for the graph, one crop at a time, at unit length."""
    session = onnxruntime.InferenceSession(
        write_convolution(tmp_path_factory.mktemp("plain") / "plain.onnx", 1)
    )
    rows = [
        session.run(None, {"crops": normalise(torch.from_numpy(crop[None])).numpy()})[0][0]
        for crop in crops
    ]
    return np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)


GRAPHS = [
    ("free", "n", "Flatten", True),
    ("fixed to one", 1, "Flatten", True),
    ("fixed to four", 4, "Flatten", True),
    ("a reshape that names the batch", 1, "1,8", True),
    ("a reshape that keeps the batch", 1, "-1,8", True),
    ("reshapes that hard-code more than the batch", 1, "8 1,8", False),
    ("reshapes that hard-code a batch of four", 4, "32 4,8", False),
]


@pytest.mark.parametrize(
    ("batch", "tail", "opened"), [g[1:] for g in GRAPHS], ids=[g[0] for g in GRAPHS]
)
@pytest.mark.parametrize("size", [1, 4, 64])
def test_features_do_not_depend_on_how_crops_are_batched_or_the_network_was_exported(
    tmp_path: Path,
    crops: Array,
    expected: Array,
    batch: int | str,
    tail: str,
    opened: bool,
    size: int,
) -> None:
    network = ExportedNetwork(write_convolution(tmp_path / "reid.onnx", batch, tail), CPU, size)
    assert network.width == N_FEATURES
    assert network._padded is not opened
    assert_allclose(network.features(crops), expected, atol=1e-5)
    assert_allclose(
        np.concatenate([network.features(crop[None]) for crop in crops]), expected, atol=1e-5
    )


@pytest.mark.parametrize("scale", [1, 1e-5, 1e4])
def test_a_graph_that_mixes_the_crops_of_a_batch_keeps_its_batch(
    tmp_path: Path, crops: Array, scale: float
) -> None:
    network = ExportedNetwork(
        write_convolution(tmp_path / "reid.onnx", 1, "BatchMean", scale), CPU, 8
    )
    alone = np.concatenate([network.features(crop[None]) for crop in crops])
    assert_allclose(network.features(crops), alone, atol=1e-5)
    assert np.abs(alone - alone[0]).max() > 0.01


def write_clip_graph(path: Path, batch: int | str, n_frames: int | str) -> Path:
    """Features (B, 6): mean and greatest of the frames' mean colours."""
    nodes = [
        helper.make_node("ReduceMean", ["crops"], ["colours"], axes=[3, 4], keepdims=0),
        helper.make_node("ReduceMean", ["colours"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["colours"], ["greatest"], axes=[1], keepdims=0),
        helper.make_node("Concat", ["mean", "greatest"], ["features"], axis=1),
    ]
    return write_graph(path, nodes, [batch, n_frames, 3, 32, 16])


def clip_feature(frames: Array) -> Array:
    """What that graph gives for one clip."""
    colours = normalise(torch.from_numpy(frames)).numpy().mean(axis=(2, 3))
    return np.concatenate([colours.mean(axis=0), colours.max(axis=0)])


@pytest.mark.parametrize("batch", ["n", 1, 3])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_clips_of_different_length_get_the_features_they_get_alone(
    tmp_path: Path, crops: Array, batch: int | str, size: int
) -> None:
    network = ExportedNetwork(write_clip_graph(tmp_path / "reid.onnx", batch, "t"), CPU, size)
    assert network.clips and network.width == 6 and network.size == (32, 16)
    clips = [crops[:3], crops[3:4], crops[:0], crops[2:9], crops[5:8], crops[9:10]]
    rows = [clip_feature(clip) if len(clip) else np.zeros(6) for clip in clips]
    assert_allclose(network.clip_features(clips), rows, atol=1e-5)
    alone = np.stack([clip_feature(crop[None]) for crop in crops])
    assert_allclose(
        network.features(crops), alone / np.linalg.norm(alone, axis=1, keepdims=True), atol=1e-5
    )
    assert network.clip_features([]).shape == (0, 6)


@pytest.mark.parametrize(
    ("n", "seen"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (4, [0, 1, 2, 3]), (11, [0, 3, 7, 10])]
)
def test_a_network_of_four_frames_sees_four_spread_over_the_clip(
    tmp_path: Path, crops: Array, n: int, seen: list[int]
) -> None:
    network = ExportedNetwork(write_clip_graph(tmp_path / "reid.onnx", "n", 4), CPU, 8)
    found = network.clip_features([crops[:2], crops[:n], crops[:5]])
    assert_allclose(found[1], clip_feature(crops[seen]), atol=1e-5)


def test_a_clip_is_the_mean_of_its_frames_to_a_network_of_images(
    tmp_path: Path, crops: Array
) -> None:
    network = ExportedNetwork(write_convolution(tmp_path / "reid.onnx", 1), CPU, 4)
    assert not network.clips
    session = onnxruntime.InferenceSession(tmp_path / "reid.onnx")
    raw = np.stack(
        [
            session.run(None, {"crops": normalise(torch.from_numpy(crop[None])).numpy()})[0][0]
            for crop in crops
        ]
    )
    assert network.clip_features([]).shape == (0, N_FEATURES)
    found = network.clip_features([crops[:5], crops[:0], crops[5:6], crops[6:]])
    assert_allclose(
        found, [raw[:5].mean(axis=0), np.zeros(N_FEATURES), raw[5], raw[6:].mean(axis=0)], atol=1e-5
    )


@pytest.mark.parametrize(
    ("named", "size"), [({"height_px": "32", "width_px": "16"}, (32, 16)), ({}, (256, 128))]
)
def test_a_free_input_size_is_what_the_metadata_say_or_the_usual(
    tmp_path: Path, named: dict[str, str], size: tuple[int, int]
) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["crops"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["features"]),
    ]
    path = write_graph(tmp_path / "reid.onnx", nodes, ["n", 3, "h", "w"])
    model = onnx.load(path)
    helper.set_model_props(model, named)
    onnx.save(model, path)
    assert ExportedNetwork(path, CPU, 4).size == size


def test_crops_of_any_size_are_resized_and_none_give_none(
    tmp_path: Path, crops: Array, expected: Array
) -> None:
    network = ExportedNetwork(write_convolution(tmp_path / "reid.onnx", "n"), CPU, 4)
    large = np.stack(
        [cv2.resize(crop, (128, 256), interpolation=cv2.INTER_LINEAR) for crop in crops]
    )
    assert (network.features(large) * expected).sum(axis=1).min() > 0.99
    assert network.features(crops[:0]).shape == (0, N_FEATURES)


@pytest.mark.parametrize("opset", [9, 13, 17, 18, 21])
def test_normalising_a_constant_map_stays_finite_where_onnxruntime_gives_nan(
    tmp_path: Path, opset: int
) -> None:
    nodes = [
        helper.make_node("MeanVarianceNormalization", ["crops"], ["even"], axes=[2, 3]),
        helper.make_node("Add", ["even", "crops"], ["both"]),
        helper.make_node("GlobalAveragePool", ["both"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    path = write_graph(tmp_path / "reid.onnx", nodes, [1, 3, 2, 1], opset)
    crops = np.broadcast_to(
        np.array([[3, 90, 200], [255, 0, 17]], np.uint8)[:, None, None], (2, 2, 1, 3)
    ).copy()
    pixels = normalise(torch.from_numpy(crops)).numpy()
    plain = onnxruntime.InferenceSession(path)
    assert np.isnan(plain.run(None, {"crops": pixels[:1]})[0]).all()
    colours = pixels[:, :, 0, 0]
    unit = colours / np.linalg.norm(colours, axis=1, keepdims=True)
    assert_allclose(ExportedNetwork(path, CPU, 8).features(crops), unit, atol=1e-6)


def test_the_mended_normalisation_is_the_normalisation(tmp_path: Path, crops: Array) -> None:
    nodes = [
        helper.make_node("MeanVarianceNormalization", ["crops"], ["even"], axes=[2, 3]),
        helper.make_node("Slice", ["even", "start", "end", "axes"], ["part"]),
        helper.make_node("Flatten", ["part"], ["features"]),
    ]
    ends = {"start": np.array([3, 5]), "end": np.array([7, 9]), "axes": np.array([2, 3])}
    pixels = normalise(torch.from_numpy(crops))
    deviation, mean = torch.std_mean(pixels, dim=(2, 3), keepdim=True, correction=0)
    rows = ((pixels - mean) / deviation)[:, :, 3:7, 5:9].flatten(1).numpy()
    found = ExportedNetwork(
        write_graph(tmp_path / "reid.onnx", nodes, [1, 3, 32, 16], **ends), CPU, 8
    ).features(crops)
    assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "operator"),
    [
        pytest.param([1, 1, 32, 16], "Flatten", id="grey input"),
        pytest.param([1, 3, 32], "Flatten", id="three axes"),
        pytest.param([1, 2, 1, 32, 16], "Flatten", id="grey clips"),
        pytest.param([1, 1, 2, 3, 32, 16], "Flatten", id="six axes"),
        pytest.param([1, 3, 32, 16], "Identity", id="maps, not features"),
        pytest.param([1, 3, 32, 16], "NoSuchOperator", id="unknown operator"),
    ],
)
def test_a_graph_that_is_no_reid_network_is_an_error_of_one_line(
    tmp_path: Path, shape: list[int | str], operator: str
) -> None:
    path = write_graph(
        tmp_path / "reid.onnx", [helper.make_node(operator, ["crops"], ["features"])], shape
    )
    with pytest.raises(ValueError, match=f"^{path}: is not a ReID network .*$"):
        ExportedNetwork(path, CPU, 8)


@pytest.mark.parametrize(
    ("outputs", "taken", "width"),
    [
        ({"quality": [1], "features": [64]}, "features", 64),
        ({"logits": [751], "features": [512]}, "features", 512),
        ({"features": [64, 1, 1], "logits": [90]}, "features", 64),
        ({"maps": [], "before": [128], "after": [128]}, "before", 128),
        ({"parts": [32], "whole": [256]}, "whole", 256),
    ],
    ids=["quality", "classes", "pooled maps", "maps and two alike", "longest"],
)
def test_features_are_told_among_several_outputs_by_their_shape(
    tmp_path: Path, crops: Array, outputs: dict[str, list[int]], taken: str, width: int
) -> None:
    path = write_outputs(tmp_path / "reid.onnx", outputs)
    network = ExportedNetwork(path, CPU, 4)
    assert network.width == width
    assert network.features(crops).shape == (len(crops), width)
    assert f"{taken} is taken as the features" in network.note


@pytest.mark.parametrize("outputs", [{"quality": [1]}, {"quality": [1], "maps": []}])
def test_outputs_of_which_none_can_be_features_are_an_error(
    tmp_path: Path, outputs: dict[str, list[int]]
) -> None:
    path = write_outputs(tmp_path / "reid.onnx", outputs)
    with pytest.raises(InputError, match=r"quality \(1, 1\).*none of which is features"):
        ExportedNetwork(path, CPU, 4)


def test_a_network_in_half_precision_gives_nearly_the_same_features(
    tmp_path: Path, crops: Array
) -> None:
    shape = {"features": [64]}
    half = write_outputs(tmp_path / "half.onnx", shape, TensorProto.FLOAT16)
    whole = write_outputs(tmp_path / "whole.onnx", shape)
    found = ExportedNetwork(half, CPU, 4).features(crops)
    assert found.dtype == np.float32
    assert_allclose(found, ExportedNetwork(whole, CPU, 4).features(crops), atol=0.02)


def test_an_input_that_is_no_float_is_an_error_with_the_whole_type(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["crops"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["features"], axes=[2, 3], keepdims=0),
    ]
    path = write_graph(tmp_path / "reid.onnx", nodes, ["n", 3, 32, 16])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"its input is tensor\(uint8\); export it with a float32"):
        ExportedNetwork(path, CPU, 4)


def test_a_network_that_gives_nan_is_an_error(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["crops"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "weight"], ["features"]),
    ]
    weight = np.full((3, 32), np.nan, np.float32)
    path = write_graph(tmp_path / "reid.onnx", nodes, ["n", 3, 32, 16], weight=weight)
    with pytest.raises(InputError, match="it gives NaN or infinite features"):
        ExportedNetwork(path, CPU, 4)


def test_a_text_file_is_no_reid_network(tmp_path: Path) -> None:
    (tmp_path / "reid.onnx").write_text("just text", encoding="utf-8")
    with pytest.raises(ValueError, match=r"reid.onnx: is not a ReID network .*$"):
        ExportedNetwork(tmp_path / "reid.onnx", CPU, 8)


@pytest.mark.parametrize("name", ["person-reidentification-retail-0287", "osnet_x0_25_msmt17"])
def test_real_networks_are_batched_and_find_people_alike_across_cameras_and_mirrored(
    shared_data: Path, name: str
) -> None:
    network = ExportedNetwork(shared_data / "baselines" / f"{name}.onnx", CPU, 16)
    people = sorted((shared_data / "reid" / "cuhk03-pair1-labeled" / "val").glob("*_00.jpg"))[:6]
    one, other = (
        [cv2.imread(str(p.with_stem(p.stem[:-2] + view))) for p in people] for view in ("00", "05")
    )
    images = np.stack([cv2.resize(image, (128, 256)) for image in one + other])
    features = network.features(images)
    assert not network._padded and np.isfinite(features).all()
    assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert (features * network.features(images[:, :, ::-1])).sum(axis=1).min() > 0.8
    alike = features[:6] @ features[6:].T
    assert np.diag(alike).mean() > alike[~np.eye(6, dtype=bool)].mean() + 0.1
