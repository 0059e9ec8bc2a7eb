"""Exported ReID networks as they should have been exported.

Two things go wrong with .onnx files that users have. `MeanVarianceNormalization` is defined through
E[x^2] - E[x]^2, which rounds below zero on small maps, and onnxruntime then gives NaN for every
crop (person-reidentification-retail-0287 does this; OpenVINO computes the variance from
differences). And most exports are fixed to a batch of one, which costs a call per crop. Both are
mended in memory: the normalisation is rewritten from differences, the batch is freed when the graph
allows it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.errors import InputError
from models.reid import crop_size, preprocess
from models.reid.preprocess import Convention

Array = NDArray[Any]

EPSILON = 1e-9


class ExportedNetwork:
    """A network from an .onnx file on onnxruntime: crops, or clips of crops, -> features.

    `width`: length of a feature. `size`: (height, width) px of a crop as the network sees it, from
      its input or else from its
    metadata. `clips`: whether it takes clips (B, T, 3, H, W), as video networks of ours do, rather
    than images (N, 3, H, W).
    """

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
            if len(self._session.get_inputs()) != 1 or len(shape) not in (4, 5) or shape[-3] != 3:
                raise ValueError(f"its input is {shape}")
            self.clips, self.size = len(shape) == 5, _size(model, shape[-2:])
            self._n_frames = shape[1] if self.clips and isinstance(shape[1], int) else 0
            self._batch, self._padded = batch, isinstance(shape[0], int)
            if isinstance(shape[0], int):
                self._batch = shape[0]
                self._try_free_batch(model, batch)
            self.width = self.features(np.zeros((1, *self.size, 3), np.uint8)).shape[1]
        except Exception as error:  # noqa: BLE001 - onnx and onnxruntime raise anything for a foreign file
            reason = " ".join(str(error).split())[:120]
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
        """Raw output, 0 for what is not finite, for clips that can share a call: alike long; one
        frame each for images.
        """
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
        return np.asarray(np.nan_to_num(np.concatenate(rows), posinf=0, neginf=0))

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
        out = np.asarray(self._session.run(None, {self._session.get_inputs()[0].name: batch})[0])
        if out.ndim != 2 or len(out) != len(batch):
            raise ValueError(f"it gives {out.shape} for {batch.shape}")
        return out

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
