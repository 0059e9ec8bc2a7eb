"""Tracklets -> embeddings, batched on the device.

One seam, `Embedder`, with two implementations: a ReID network of whatever file
(`models.reid.encoder`), and none, when linking has space and time only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from models import device as devices
from models import weights as bundle
from models.errors import InputError
from models.reid import encoder
from models.runtimes.choice import NO_RUNTIME, Choice
from models.runtimes.names import PrecisionName, RuntimeName
from pipeline.config import ReidConfig
from pipeline.errors import ModelError
from pipeline.records import Array, Embedded, Tracklet
from pipeline.vectors import pool, unit

NO_CUDA = {
    ".onnx": (
        "the .onnx ReID network runs on the CPU: the installed onnxruntime has no CUDA; install"
        " onnxruntime-gpu instead"
    ),
    ".xml": (
        "the .xml ReID network runs on the CPU: OpenVINO has no CUDA; give an .onnx or .safetensors"
        " one to use the GPU"
    ),
}


class Embedder(Protocol):
    """Turns tracklets into embeddings of unit length."""

    name: str
    width: int
    files: tuple[Path, ...]
    """What it was loaded from; empty when nothing was."""
    choice: Choice
    """The runtime that computes it, and its precision; empty when it is no network."""

    @property
    def frame_wise(self) -> bool:
        """Whether the embedding of a tracklet is the mean of its crops; else it takes clips."""
        ...

    @property
    def warnings(self) -> list[str]:
        """What is suspect in the embeddings; complete when the last tracklet has been embedded."""
        ...

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Return one `Embedded` per tracklet, in order and without its crops."""
        ...


def build(
    config: ReidConfig,
    device: str,
    runtime: RuntimeName = "torch",
    precision: PrecisionName = "auto",
) -> tuple[Embedder, list[str]]:
    """Return the embedder that the config asks for.

    Args:
        config: the ReID network.
        device: name of a device, or "auto".
        runtime: what computes the network, see `models.runtimes.choice`.
        precision: in which precision.

    Returns:
        The embedder, and notes for the user.

    Raises:
        ModelError: the network cannot be loaded.
    """
    if config.weights == "none":
        return NoEmbedder(), []
    on = devices.resolve(device).type
    try:
        is_auto = config.weights == "auto"
        path = bundle.bundled("reid", on) if is_auto else bundle.find(config.weights)
        if path is None:
            return NoEmbedder(), [
                "no ReID network is bundled: people are linked by space and time only (within a"
                " camera, and across cameras that have a homography); to link by appearance give"
                " weights: --set reid.weights=FILE.onnx"
            ]
        convention = "auto" if is_auto else config.convention
        embedder = NetworkEmbedder(path, config.batch_crops, device, convention, runtime, precision)
    except InputError as error:
        raise ModelError(str(error)) from None
    notes = [f"{path.name}: {embedder.note}"] if embedder.note else []
    if on == "cuda" and not embedder.on_cuda:
        notes.append(NO_CUDA[path.suffix])
    return embedder, notes


class NoEmbedder:
    """No appearance at all."""

    name = "none"
    width = 0
    files: tuple[Path, ...] = ()
    frame_wise = True
    choice = NO_RUNTIME

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Return tracklets with embeddings of length 0, in order."""
        nothing = np.zeros(0, np.float32)
        return [bare(tracklet, nothing) for tracklet in tracklets]


class NetworkEmbedder:
    """A ReID network. Every crop is embedded; a tracklet is the mean of its crops, by quality.

    A network for clips embeds all crops of a tracklet once more, together, as one clip.
    """

    def __init__(
        self,
        path: Path,
        batch_crops: int,
        device: str,
        convention: str = "auto",
        runtime: RuntimeName = "torch",
        precision: PrecisionName = "auto",
    ) -> None:
        self.name = path.name
        self.files: tuple[Path, ...] = (
            (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
        )
        self._encoder = encoder.load(path, device, batch_crops, convention, runtime, precision)
        self.choice = self._encoder.choice
        self.width = self._encoder.width
        self.on_cuda = self._encoder.on_cuda
        self.note = self._encoder.note
        self._n_crops = 0
        self._n_without = 0

    @property
    def frame_wise(self) -> bool:
        """Whether the embedding of a tracklet is the mean of its crops; else it takes clips."""
        return self._encoder.frame_wise

    @property
    def warnings(self) -> list[str]:
        """How many crops the network gave nothing finite for."""
        if not self._n_without:
            return []
        return [
            f"{self.name}: {self._n_without} of {self._n_crops} crops got NaN or infinite features"
            " and count as alike to nobody; export the network as float32, or take another one"
        ]

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Embed in batches of about `batch_crops` crops.

        Args:
            tracklets: tracklets with their crops.

        Returns:
            One `Embedded` per tracklet, in order. A tracklet without crops gets zeros, whose
            similarity to everything is 0.
        """
        with_crops = [tracklet for tracklet in tracklets if len(tracklet.crops)]
        crops: list[Array] = []
        ends: list[int] = []
        for tracklet in with_crops:
            crops += [crop[None] for crop in tracklet.crops]
            ends.append(len(crops))
        all_embeddings = unit(self._encoder.features(crops))
        self._n_crops += len(crops)
        self._n_without += int((~all_embeddings.any(axis=1)).sum())
        crop_embeddings = np.split(all_embeddings, ends[:-1]) if with_crops else []
        if self.frame_wise:
            embeddings = [
                pool(of_crops, tracklet.crop_quality)
                for of_crops, tracklet in zip(crop_embeddings, with_crops, strict=True)
            ]
        else:
            clips = [tracklet.crops for tracklet in with_crops]
            quality = [tracklet.crop_quality for tracklet in with_crops]
            embeddings = list(unit(self._encoder.features(clips, quality)))
        embedded: list[Embedded] = []
        n_done = 0
        for tracklet in tracklets:
            if len(tracklet.crops):
                embedding = embeddings[n_done]
                of_crops = crop_embeddings[n_done]
                embedded.append(self._embedded(tracklet, embedding, of_crops))
                n_done += 1
            else:
                embedded.append(bare(tracklet, np.zeros(self.width, np.float32)))
        return embedded

    def _embedded(self, tracklet: Tracklet, embedding: Array, crop_embeddings: Array) -> Embedded:
        return Embedded(
            tracklet.without_crops(),
            embedding,
            crop_embeddings.astype(np.float16),
            tracklet.crop_quality,
            tracklet.crop_times_s,
        )


def bare(tracklet: Tracklet, embedding: Array) -> Embedded:
    """Return a tracklet with an embedding and no crops.

    Args:
        tracklet: the tracklet.
        embedding: (D,) float32; zeros, or of length 0, when there is no appearance.
    """
    no_embeddings = np.zeros((0, len(embedding)), np.float16)
    no_quality = np.zeros(0, np.float32)
    no_times_s = np.zeros(0)
    return Embedded(tracklet.without_crops(), embedding, no_embeddings, no_quality, no_times_s)
