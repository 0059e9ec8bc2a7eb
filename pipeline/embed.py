"""Tracklets -> embeddings, batched on the device.

One seam, `Embedder`, with three implementations: our tracklet networks (.safetensors), any exported image ReID network (.onnx,
its features averaged over the crops by quality), and none, when linking has space and time only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import device as devices
from models import weights as bundle
from models.reid import exported, preprocess
from models.reid import network as networks
from models.reid.preprocess import HEIGHT_PX, WIDTH_PX
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
    if path.endswith(".onnx"):
        embedder = ExportedEmbedder(path, config.batch_crops, device)
        slow = devices.resolve(device).type == "cuda" and not embedder.on_cuda
        return embedder, [NO_CUDA] if slow else []
    if path.endswith(".safetensors"):
        return NetworkEmbedder(path, config.batch_crops, device), []
    raise ModelError(f"{path}: ReID weights are .safetensors (ours) or .onnx (any exported network)")


class NoEmbedder:
    """No appearance at all."""

    name = "none"
    width = 0
    files: tuple[Path, ...] = ()

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embeddings of length 0."""
        return [Embedded(t.without_crops(), np.zeros(0, np.float32)) for t in tracklets]


class NetworkEmbedder:
    """A `TrackletNetwork` of ours."""

    def __init__(self, path: str, batch_crops: int, device: str) -> None:
        self.name = Path(path).name
        self.files: tuple[Path, ...] = (Path(path),)
        self._device = devices.resolve(device)
        self._batch_crops = batch_crops
        try:
            network = networks.load(Path(path))
        except ValueError as error:
            raise ModelError(str(error)) from None
        self.width = network.width
        self._network = network.to(self._device)

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embed in batches of about `batch_crops` crops; tracklets of different length share a batch."""
        return [e for batch in _batches(tracklets, self._batch_crops) for e in self._embed_batch(batch)]

    @torch.inference_mode()
    def _embed_batch(self, tracklets: Sequence[Tracklet]) -> Iterator[Embedded]:
        longest = max(len(t.crops) for t in tracklets)
        if longest == 0:
            yield from (_finish(t, np.zeros(self.width)) for t in tracklets)
            return
        crops = np.zeros((len(tracklets), longest, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        quality = np.zeros((len(tracklets), longest), np.float32)
        mask = np.zeros((len(tracklets), longest), bool)
        for i, t in enumerate(tracklets):
            n = len(t.crops)
            crops[i, :n], quality[i, :n], mask[i, : max(n, 1)] = t.crops, t.crop_quality, True
        clips = preprocess.normalise(torch.from_numpy(crops.reshape(-1, *crops.shape[2:])).to(self._device))
        with devices.autocast(self._device):
            embedded = self._network(
                clips.reshape(*mask.shape, *clips.shape[1:]), torch.from_numpy(mask).to(self._device),
                torch.from_numpy(quality).to(self._device),
            )  # fmt: skip
        for t, row in zip(tracklets, embedded.float().cpu().numpy(), strict=True):
            yield _finish(t, row if len(t.crops) else row * 0)


class ExportedEmbedder:
    """Any exported image network; a tracklet's embedding is the mean of its crops' features, weighted by crop quality."""

    def __init__(self, path: str, batch_crops: int, device: str) -> None:
        self.name = Path(path).name
        self.files: tuple[Path, ...] = (Path(path),)
        self._batch_crops = batch_crops
        try:
            self._network = exported.ExportedNetwork(Path(path), devices.resolve(device), batch_crops)
        except ValueError as error:
            raise ModelError(str(error)) from None
        self.width, self.on_cuda = self._network.width, self._network.on_cuda

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embed in batches of about `batch_crops` crops."""
        done: list[Embedded] = []
        for batch in _batches(tracklets, self._batch_crops):
            features = self._network.features(np.concatenate([t.crops for t in batch]))
            ends = np.cumsum([len(t.crops) for t in batch])
            for t, part in zip(batch, np.split(features, ends[:-1]), strict=True):
                done.append(_finish(t, (part * np.maximum(t.crop_quality, 1e-3)[:, None]).sum(axis=0)))
        return done


def _finish(tracklet: Tracklet, feature: Array) -> Embedded:
    """Scale to unit length and drop the crops; a tracklet without crops gets zeros, which are alike to nothing."""
    length = float(np.linalg.norm(feature))
    return Embedded(tracklet.without_crops(), (feature / length if length else feature).astype(np.float32))


def _batches(tracklets: Sequence[Tracklet], n_crops: int) -> Iterator[list[Tracklet]]:
    """Consecutive groups of at most `n_crops` crops (at least one tracklet)."""
    group: list[Tracklet] = []
    held = 0
    for t in tracklets:
        if group and held + len(t.crops) > n_crops:
            yield group
            group, held = [], 0
        group.append(t)
        held += len(t.crops)
    if group:
        yield group
