"""Tracklets -> embeddings, batched on the device.

One seam, `Embedder`, with two implementations: a ReID network of whatever file (`models.reid.encoder`), and none, when linking
has space and time only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from models import device as devices
from models import weights as bundle
from models.errors import InputError
from models.reid import encoder
from pipeline.config import ReidConfig
from pipeline.errors import ModelError
from pipeline.records import Array, Embedded, Tracklet

NO_CUDA = "the .onnx ReID network runs on the CPU: the installed onnxruntime has no CUDA; install onnxruntime-gpu in its place"


class Embedder(Protocol):
    """Turns tracklets into embeddings of unit length."""

    name: str
    width: int
    files: tuple[Path, ...]
    """What it was loaded from; empty when nothing was."""

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Return one `Embedded` per tracklet, in order and without its crops."""
        ...


def build(config: ReidConfig, device: str) -> tuple[Embedder, list[str]]:
    """Return the embedder that `config` asks for and notes for the user; raises ModelError."""
    path = config.weights
    if path == "auto":
        bundled = bundle.bundled("reid")
        if bundled is None:
            return NoEmbedder(), [
                "no ReID network is bundled: people are linked by space and time only (within a camera, and across cameras "
                "that have a homography); to link by appearance give weights: --set reid.weights=FILE.onnx"
            ]
        path = str(bundled)
    if path == "none":
        return NoEmbedder(), []
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such ReID weights (reid.weights); give a .safetensors or .onnx file, auto or none")
    try:
        embedder = NetworkEmbedder(Path(path), config.batch_crops, device)
    except InputError as error:
        raise ModelError(str(error)) from None
    return embedder, [NO_CUDA] if devices.resolve(device).type == "cuda" and not embedder.on_cuda else []


class NoEmbedder:
    """No appearance at all."""

    name = "none"
    width = 0
    files: tuple[Path, ...] = ()

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embeddings of length 0."""
        return [Embedded(t.without_crops(), np.zeros(0, np.float32)) for t in tracklets]


class NetworkEmbedder:
    """A ReID network; a tracklet is one clip of its crops."""

    def __init__(self, path: Path, batch_crops: int, device: str) -> None:
        self.name = path.name
        self.files: tuple[Path, ...] = (path,)
        self._encoder = encoder.load(path, device, batch_crops)
        self.width, self.on_cuda = self._encoder.width, self._encoder.on_cuda

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embed in batches of about `batch_crops` crops; a tracklet without crops gets zeros, which are alike to nothing."""
        seen = [t for t in tracklets if len(t.crops)]
        features = iter(self._encoder.features([t.crops for t in seen], [t.crop_quality for t in seen]))
        return [
            Embedded(t.without_crops(), _unit(next(features) if len(t.crops) else np.zeros(self.width, np.float32)))
            for t in tracklets
        ]


def _unit(feature: Array) -> Array:
    length = float(np.linalg.norm(feature))
    return (feature / length if length else feature).astype(np.float32)
