"""Small real ONNX networks, made by the tests."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.records import Array

N_FEATURES = 8


def write_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    opset: int = 17,
    **constants: Array,
) -> Path:
    """A graph from "crops" to "features"."""
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("crops", shape), ("features", [shape[0], None]))
    ]
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "reid", values[:1], values[1:], initial)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path
    )
    return path


def write_convolution(
    path: Path, batch: int | str, tail: str = "Flatten", scale: float = 1
) -> Path:
    """Conv, ReLU, global pool and a tail: another node, or the shapes of one Reshape after the
    other.
    """
    rng = np.random.default_rng(1)
    constants = {"weight": (scale * rng.normal(size=(N_FEATURES, 3, 3, 3))).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["crops", "weight"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
    ]
    if tail == "Flatten":
        nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    elif (
        tail == "BatchMean"
    ):  # an operation across the batch, which gives other numbers when the batch is opened
        nodes[2:] = [
            helper.make_node("MeanVarianceNormalization", ["positive"], ["even"]),
            helper.make_node("Mul", ["even", "positive"], ["weighted"]),
            helper.make_node("GlobalAveragePool", ["weighted"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ]
    else:
        shapes = [[int(n) for n in shape.split(",")] for shape in tail.split(" ")]
        names = ["pooled", *(f"shaped{i}" for i in range(len(shapes) - 1)), "features"]
        for i, shape in enumerate(shapes):
            constants[f"shape{i}"] = np.array(shape)
            nodes.append(helper.make_node("Reshape", [names[i], f"shape{i}"], [names[i + 1]]))
    return write_graph(path, nodes, [batch, 3, 32, 16], **constants)


def write_outputs(
    path: Path, outputs: dict[str, list[int]], pixel_type: int = TensorProto.FLOAT
) -> Path:
    """A graph with several outputs: for each, random weights times the mean colour of a crop.

    Args:
        path: where to write it.
        outputs: shape of each output for one crop, by name; an empty one gives the maps themselves.
        pixel_type: type of the input and of all outputs.
    """
    rng = np.random.default_rng(3)
    nodes = [helper.make_node("ReduceMean", ["crops"], ["colour"], axes=[2, 3], keepdims=0)]
    initial: list[onnx.TensorProto] = []
    kind = helper.tensor_dtype_to_np_dtype(pixel_type)
    for name, shape in outputs.items():
        if not shape:
            nodes.append(helper.make_node("Identity", ["crops"], [name]))
            continue
        weights = rng.normal(size=(3, int(np.prod(shape)))).astype(kind)
        target = np.array([-1, *shape], np.int64)
        initial.append(numpy_helper.from_array(weights, f"{name}.weight"))
        initial.append(numpy_helper.from_array(target, f"{name}.shape"))
        nodes.append(helper.make_node("MatMul", ["colour", f"{name}.weight"], [f"{name}.flat"]))
        nodes.append(helper.make_node("Reshape", [f"{name}.flat", f"{name}.shape"], [name]))
    crops = helper.make_tensor_value_info("crops", pixel_type, ["n", 3, 32, 16])
    values = [helper.make_tensor_value_info(name, pixel_type, None) for name in outputs]
    graph = helper.make_graph(nodes, "reid", [crops], values, initial)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path
