"""Networks as runtimes see them: bytes of pictures in, numbers out.

One file serves all runtimes but torch: an .onnx, which OpenVINO and onnxruntime both read. It is
exported by torch's older exporter, by tracing: the newer one needs the package onnxscript, which a
run does not have, and takes several times as long.
"""

import contextlib
import hashlib
import io
import json
import warnings
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.errors import InputError, one_line
from models.runtimes import cache, quantize
from models.weights import public

Array = NDArray[Any]

EXPORTER = "3"
"""Version of what is exported; a change of the graphs changes it, so that old files are left."""
OPSET = 17
INPUT = "pictures"
OUTPUT = "answer"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Graph:
    """A network in evaluation mode, in float32 on the CPU.

    module: pictures (n, height, width, 3) uint8 BGR -> (n, ...) float32; nothing in it may be an
        inference tensor.
    name: what it is, for people and for the name of its file.
    parts: what the graph depends on, by name: the hash of the weights first of all.
    sample: pictures of the shape in which it is exported, with something in every pixel.
    is_size_free: whether pictures may have another height and width than the sample; the number of
        pictures in one call is that of the sample.
    ranges: of the convolutions that can be computed in 8 bits; empty where they are not known.
    """

    module: nn.Module
    name: str
    parts: dict[str, str]
    sample: Array
    is_size_free: bool = False
    packages: tuple[str, ...] = field(default=("torch", "onnx"))
    ranges: quantize.Ranges = field(default_factory=dict)

    @torch.inference_mode()
    def reference(self, pictures: Array) -> Array:
        """What the network gives in torch, in float32."""
        with torch.autocast("cpu", enabled=False):
            answer: torch.Tensor = self.module(torch.from_numpy(pictures))
        return answer.numpy()

    def expected(self, pictures: Array) -> Array:
        """As `reference`, computed once on a machine: it is kept beside the exported file, after
        its checksum.
        """
        shown = hashlib.sha256(pictures.tobytes()).hexdigest()
        path = cache.path_of(self.name, {**self.key, "pictures": shown}, ".npy")
        with contextlib.suppress(OSError):
            kept = path.read_bytes()
            if hashlib.sha256(kept[DIGEST_BYTES:]).digest() == kept[:DIGEST_BYTES]:
                stored: Array = np.load(io.BytesIO(kept[DIGEST_BYTES:]), allow_pickle=False)
                return stored
        answer = self.reference(pictures)
        written = io.BytesIO()
        np.save(written, answer)
        data = written.getvalue()
        cache.write(path, hashlib.sha256(data).digest() + data)
        return answer

    def in_int8(self) -> "Graph":
        """The same network with its convolutions in 8 bits; it needs `ranges`.

        Raises:
            InputError: The ranges are those of another network.
        """
        parts = {**self.parts, "ranges": json.dumps(self.ranges, sort_keys=True)}
        return replace(self, module=quantize.quantized(self.module, self.ranges), parts=parts)

    @property
    def key(self) -> dict[str, str]:
        """All that the exported file depends on, by name."""
        size = "free" if self.is_size_free else "x".join(map(str, self.sample.shape[1:3]))
        versions = {package: metadata.version(package) for package in self.packages}
        return {
            "exporter": EXPORTER,
            "batch": str(len(self.sample)),
            "size": size,
            **versions,
            **self.parts,
        }

    @property
    def path(self) -> Path:
        """Where the exported file lies."""
        return cache.path_of(self.name, self.key, ".onnx")

    def exported(self) -> tuple[bytes, str]:
        """Return the .onnx file, from the cache or made now.

        Returns:
            The file's contents, and a note when they cannot be kept.

        Raises:
            InputError: The network cannot be exported.
        """
        try:
            return self.path.read_bytes(), ""
        except OSError:
            return self.export()

    def export(self) -> tuple[bytes, str]:
        """As `exported`, but made anew."""
        stream = io.BytesIO()
        axes = {1: "height", 2: "width"} if self.is_size_free else {}
        try:
            with (
                warnings.catch_warnings(),
                contextlib.redirect_stdout(io.StringIO()),  # a failure would print the graph
                torch.no_grad(),
            ):
                warnings.simplefilter("ignore")  # about the older exporter, and about tracing
                torch.onnx.export(
                    self.module,
                    (torch.from_numpy(self.sample),),
                    stream,  # type: ignore[arg-type]
                    input_names=[INPUT],
                    output_names=[OUTPUT],
                    dynamic_axes={INPUT: axes} if axes else None,
                    opset_version=OPSET,
                    dynamo=False,
                )
        except Exception as error:  # noqa: BLE001 - tracing a foreign network raises anything
            raise InputError(f"{self.name} cannot be exported ({one_line(error)})") from None
        data = stream.getvalue()
        if reason := cache.write(self.path, data):
            return data, (
                f"{self.path.parent}: cannot be written ({reason}), so that networks are exported"
                f" anew in every run; name another folder in {public.CACHE}"
            )
        return data, ""


def to_rgb(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, height, width, 3) BGR as RGB.

    Indexing is exported as Gather. `flip` would be a Slice with a negative step, for which OpenVINO
    has no fast code: it took 2 of the 25 ms of a picture.
    """
    return pictures[..., [2, 1, 0]]


def blotches(shape: tuple[int, int, int], seed: int = 0) -> Array:
    """Return pictures (n, height, width, 3) uint8 of smooth blotches of several sizes."""
    import cv2

    n, height, width = shape
    rng = np.random.default_rng(seed)
    pictures = np.zeros((n, height, width, 3), np.float32)
    for i in range(n):
        for n_cells in (4, 12, 36):
            cells = rng.uniform(0, 85, (n_cells, n_cells, 3)).astype(np.float32)
            pictures[i] += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(pictures, 0, 255).astype(np.uint8)


def wrong_form(found: Array, expected: Array) -> str:
    """Say why an answer cannot be compared with the expected one; "" if it can.

    Args:
        found: What a runtime gives.
        expected: What torch gives.
    """
    if found.shape != expected.shape:
        return f"its answer has the shape {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all() or not np.isfinite(expected).all():
        return "its answer or torch's is not finite"
    return ""
