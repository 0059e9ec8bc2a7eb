"""Exported ReID networks as they should have been exported.

Two things go wrong with .onnx files that users have. `MeanVarianceNormalization` is defined through
E[x^2] - E[x]^2, which rounds below zero on small maps, and onnxruntime then gives NaN for every
crop (person-reidentification-retail-0287 does this; OpenVINO computes the variance from
differences). And most exports are fixed to a batch of one, which costs a call per crop. Both are
mended in memory: the normalisation is rewritten from differences, the batch is freed when the graph
allows it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.errors import InputError, one_line
from models.reid import crop_size, preprocess
from models.reid.preprocess import Convention

Array = NDArray[Any]

EPSILON = 1e-9


class ExportedNetwork:
    """A network from an .onnx file on onnxruntime: crops, or clips of crops, -> features.

    `width`: length of a feature. `size`: (height, width) px of a crop as the network sees it, from
      its input or else from its
    metadata. `clips`: whether it takes clips (B, T, 3, H, W), as video networks of ours do, rather
    than images (N, 3, H, W). `note`: which of several outputs is taken, in words; "" for a single
    one.
    """

    note = ""

    def __init__(
        self,
        path: Path,
        device: torch.device,
        batch: int,
        convention: Convention = preprocess.IMAGENET,
    ) -> None:
        """Open the file; raises InputError when it is not a ReID network. `batch` crops go into one
        call.
        """
        self._convention = convention
        self._output = ""
        cuda = "CUDAExecutionProvider"
        self.on_cuda = device.type == "cuda" and cuda in onnxruntime.get_available_providers()
        self._providers = (
            [cuda, "CPUExecutionProvider"] if self.on_cuda else ["CPUExecutionProvider"]
        )
        try:
            model = onnx.load(str(path))
            stabilise(model)
            self._session = self._open(model)
            shape = self._session.get_inputs()[0].shape
            self._dtype = _pixel_type(self._session.get_inputs()[0].type)
            if len(self._session.get_inputs()) != 1 or len(shape) not in (4, 5) or shape[-3] != 3:
                raise ValueError(f"its input is {shape}")
            self.clips, self.size = len(shape) == 5, _size(model, shape[-2:])
            self._n_frames = shape[1] if self.clips and isinstance(shape[1], int) else 0
            self._batch, self._padded = batch, isinstance(shape[0], int)
            if isinstance(shape[0], int):
                self._batch = shape[0]
                self._try_free_batch(model, batch)
            probe = self._raw_rows([noise(self.size)])
            refuse_not_finite(probe)
            self.width = probe.shape[1]
        except Exception as error:  # noqa: BLE001 - onnx and onnxruntime raise anything for a foreign file
            reason = one_line(error)
            form = "input (N, 3, H, W) or (B, T, 3, H, W), output (N, D)"
            raise InputError(f"{path}: is not a ReID network with {form} ({reason})") from None

    def features(self, crops: Sequence[Array] | Array) -> Array:
        """Crops, each (h, w, 3) uint8 BGR -> (n, width) float32 of unit length, or 0 where the
        network gives nothing finite.

        A network of clips sees each crop as a clip of its own.
        """
        features = self._rows([crop[None] for crop in crops])
        return np.asarray(
            features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12),
            np.float32,
        )

    def clip_features(self, clips: Sequence[Array]) -> Array:
        """Clips, each (k, h, w, 3) uint8 BGR with any k -> (n, width) float32, raw; 0 for clips of
        none and what is not finite.

        Clips of one length share a call. A network with a fixed number of frames sees that many,
        spread over the clip, repeated where it has fewer. For a network of images a clip is the
        mean of its frames' features.
        """
        features = np.zeros((len(clips), self.width), np.float32)
        if not self.clips:
            rows = self._rows([crop[None] for clip in clips for crop in clip])
            for i, end in enumerate(np.cumsum([len(clip) for clip in clips])):
                if len(clips[i]):
                    features[i] = rows[end - len(clips[i]) : end].mean(axis=0)
            return features
        owners: dict[int, list[int]] = {}
        for i, clip in enumerate(clips):
            if len(clip):
                owners.setdefault(self._n_frames or len(clip), []).append(i)
        for alike in owners.values():
            features[alike] = self._rows([clips[i] for i in alike])
        return features

    def _rows(self, clips: Sequence[Array]) -> Array:
        """As `_raw_rows`, but 0 for what is not finite."""
        return np.asarray(np.nan_to_num(self._raw_rows(clips), posinf=0, neginf=0))

    def _raw_rows(self, clips: Sequence[Array]) -> Array:
        """Raw output for clips that can share a call: alike long; one frame each for images."""
        rows: list[Array] = [] if clips else [np.zeros((0, getattr(self, "width", 0)), np.float32)]
        n_frames = self._n_frames or max([1, *map(len, clips)])
        batch = self._batch if self._padded else max(1, self._batch // n_frames)
        for start in range(0, len(clips), batch):
            part = np.stack([self._frames(clip) for clip in clips[start : start + batch]])
            n = len(part)
            if self._padded:
                part = np.concatenate([part, np.repeat(part[-1:], batch - n, axis=0)])
            pixels = preprocess.normalise(
                torch.from_numpy(part.reshape(-1, *part.shape[2:])), self._convention
            ).numpy()
            rows.append(
                self._run(
                    pixels.reshape(*part.shape[:2], *pixels.shape[1:]) if self.clips else pixels
                )[:n]
            )
        return np.concatenate(rows)

    def _frames(self, clip: Array) -> Array:
        """Frames of a clip that the network sees, at its size."""
        chosen = np.linspace(0, len(clip) - 1, self._n_frames or len(clip)).round().astype(int)
        return np.stack([preprocess.resize(clip[i], *self.size) for i in chosen])

    def _open(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = (
            False  # batches differ in size, and the arena keeps the largest of everything
        )
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=self._providers
        )

    def _run(self, batch: Array) -> Array:
        given = {self._session.get_inputs()[0].name: batch.astype(self._dtype, copy=False)}
        if not self._output:
            names = [output.name for output in self._session.get_outputs()]
            outputs = dict(zip(names, self._session.run(None, given), strict=True))
            self._output, self.note = choose_output(outputs, len(batch))
        out = np.asarray(self._session.run([self._output], given)[0])
        return as_rows(out, len(batch))

    def _try_free_batch(self, model: onnx.ModelProto, batch: int) -> None:
        """Open the batch when that changes no number; graphs that hard-code their batch stay as
        they are.
        """
        fixed = self._session
        frames = (self._n_frames or 2,) if self.clips else ()
        sample = (
            np.random.default_rng(0)
            .normal(size=(2 * self._batch, *frames, 3, *self.size))
            .astype(np.float32)
        )
        expected = np.concatenate(
            [self._run(sample[: self._batch]), self._run(sample[self._batch :])]
        )
        try:
            self._session = self._open(free_batch(model))
            if np.allclose(
                self._run(sample),
                expected,
                rtol=1e-3,
                atol=1e-3 * np.abs(expected).max(),
                equal_nan=True,
            ):
                self._batch, self._padded = batch, False
                return
        except Exception:  # noqa: BLE001 - any failure here means the graph needs its batch
            pass
        self._session = fixed


def _pixel_type(name: str) -> type[np.floating[Any]]:
    """The type of an input by onnxruntime's name; raises ValueError."""
    types: dict[str, type[np.floating[Any]]] = {
        "tensor(float)": np.float32,
        "tensor(float16)": np.float16,
        "tensor(double)": np.float64,
    }
    if name not in types:
        raise ValueError(f"its input is {name}; export it with a float32 input")
    return types[name]


def noise(size: tuple[int, int]) -> Array:
    """Return a clip of one crop (1, height, width, 3) uint8 with something in every pixel."""
    return np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)


def refuse_not_finite(features: Array) -> None:
    """Raise ValueError when features (n, D) of sound crops are not finite."""
    if not np.isfinite(features).all():
        raise ValueError(
            "it gives NaN or infinite features, so its weights are damaged or its precision is too"
            " low; export it again, as float32"
        )


def choose_output(outputs: Mapping[str, Array], n: int) -> tuple[str, str]:
    """Tell the features among the outputs of a network by their shapes.

    Features are (n, D) or (n, D, 1, 1) with D > 1. Of several, those are taken whose length is a
    multiple of 32, as features have it and numbers of classes hardly ever, and of those the
    longest, and of equals the first.

    Args:
        outputs: what a network gives for `n` crops, by name.
        n: how many crops.

    Returns:
        The name, and what to tell: "" if there is only one output.

    Raises:
        ValueError: None has the shape of features.
    """
    widths = {name: _width(np.asarray(out), n) for name, out in outputs.items()}
    shapes = ", ".join(f"{name} {np.shape(out)}" for name, out in outputs.items())
    best = max(widths, key=lambda name: (widths[name] > 1, widths[name] % 32 == 0, widths[name]))
    if widths[best] < 2:
        raise ValueError(f"it gives {shapes} for {n} crops, none of which is features (N, D)")
    note = f"of its outputs {shapes}, {best} is taken as the features" if len(outputs) > 1 else ""
    return best, note


def _width(out: Array, n: int) -> int:
    """Length of a feature in an output, 0 if the output has not the shape of features."""
    is_flat = out.ndim >= 2 and len(out) == n and all(axis == 1 for axis in out.shape[2:])
    return int(out.shape[1]) if is_flat else 0


def as_rows(out: Array, n: int) -> Array:
    """Return features of `n` crops as (n, D) float32; raises ValueError for another shape."""
    if not _width(out, n):
        raise ValueError(f"it gives {out.shape} for {n} crops")
    return np.asarray(out.reshape(n, -1), np.float32)


def _size(model: onnx.ModelProto, shape: Sequence[int | str]) -> tuple[int, int]:
    """(height, width) px of the input: its own, else those that our exports name in the metadata,
    else the usual.
    """
    height, width = shape
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    named = {entry.key: entry.value for entry in model.metadata_props}
    return int(named.get("height_px", crop_size.HEIGHT_PX)), int(
        named.get("width_px", crop_size.WIDTH_PX)
    )


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose batch is open; whether it still computes the same is for the caller to
    check.
    """
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    for value in [*freed.graph.input, *freed.graph.output]:
        value.type.tensor_type.shape.dim[0].ClearField("dim_value")
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del freed.graph.value_info[:]
    constants = {i.name: i for i in freed.graph.initializer}
    for node in freed.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = node.attribute[0].t
    for node in freed.graph.node:
        if (
            node.op_type == "Reshape"
            and node.input[1] in constants
            and node.input[0] not in constants
        ):
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            if shape.ndim == 1 and len(shape) and shape[0] == 1:
                shape[0] = 0  # copy the batch instead of naming it
                node.input[1] += "/free"
                freed.graph.initializer.append(numpy_helper.from_array(shape, node.input[1]))
    return freed


def stabilise(model: onnx.ModelProto) -> None:
    """Rewrite every MeanVarianceNormalization of the model, in place."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    nodes: list[Any] = []
    for node in model.graph.node:
        nodes += (
            _normalisation(model.graph, node, opset)
            if node.op_type == "MeanVarianceNormalization"
            else [node]
        )
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _normalisation(graph: Any, node: Any, opset: int) -> list[Any]:
    """(x - mean) / (sqrt(mean((x - mean)^2)) + epsilon), over the node's axes."""
    source, target = node.input[0], node.output[0]
    axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [0, 2, 3])

    def name(part: str) -> str:
        return f"{target}/{part}"

    def mean(of: str, result: str) -> Any:
        if opset < 18:  # later the axes are an input
            return helper.make_node("ReduceMean", [of], [result], axes=axes, keepdims=1)
        return helper.make_node("ReduceMean", [of, name("axes")], [result], keepdims=1)

    graph.initializer.append(
        numpy_helper.from_array(np.array(EPSILON, np.float32), name("epsilon"))
    )
    graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), name("axes")))
    return [
        mean(source, name("mean")),
        helper.make_node("Sub", [source, name("mean")], [name("difference")]),
        helper.make_node("Mul", [name("difference"), name("difference")], [name("square")]),
        mean(name("square"), name("variance")),
        helper.make_node("Sqrt", [name("variance")], [name("deviation")]),
        helper.make_node("Add", [name("deviation"), name("epsilon")], [name("scale")]),
        helper.make_node("Div", [name("difference"), name("scale")], [target]),
    ]
