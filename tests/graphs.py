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
