"""Clips of crops -> features: what evaluation, search and the pipeline ask of a ReID network,
whatever file it came from.

One seam, `Encoder`, with two implementations: networks of ours (.safetensors, and checkpoints of
other programs that are read as such), which see a clip as a whole, and exported ones (.onnx,
OpenVINO's .xml), where the features of an image network are averaged over the clip by crop quality.
A network of ours runs in the runtime that `models.runtimes` chooses.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models import device as devices
from models.errors import InputError, one_line
from models.reid import graph as graphs
from models.reid import preprocess
from models.reid.exported import ExportedNetwork, noise
from models.reid.networks import file, state_dicts, table
from models.reid.networks.frames import FrameWise
from models.reid.networks.heads import MeanPooling, QualityPooling
from models.reid.openvino_network import OpenVinoNetwork
from models.runtimes import choice as runtimes
from models.runtimes.choice import Choice, Chosen
from models.runtimes.names import PrecisionName, RuntimeName
from models.weights import public

Array = NDArray[Any]


class Encoder(Protocol):
    """A ReID network, ready to run. `width` is the length of a feature, `size` (height, width) of a
    crop as it sees it.
    """

    width: int
    size: tuple[int, int]
    on_cuda: bool
    frame_wise: bool
    """Whether the feature of a clip is a mean of the features of its frames, so that frames can be
    asked for alone.
    """
    about: dict[str, Any]
    """What was written with a network of ours; empty for exported ones."""
    one_size: bool
    """Whether it takes crops of `size` only, so that they cannot be scaled."""
    note: str
    """What the user should know of how it is read; "" for nothing."""
    choice: Choice
    """The runtime that computes it, and its precision."""

    def features(
        self, clips: Sequence[Array], quality: Sequence[Array] | None = None, scale: float = 1.0
    ) -> Array:
        """Compute features.

        Args:
            clips: n clips, each (k, h, w, 3) uint8 BGR with k >= 1.
            quality: (k,) in 0..1 for each clip, ones when left out.
            scale: Factor of the area of the crops that the network sees; 1 where `one_size`.

        Returns:
            (n, width) float32, raw; non-finite rows become 0.
        """
        ...


def load(
    weights: str | Path,
    device: str = "auto",
    batch_crops: int = 64,
    convention: str = "auto",
    runtime: RuntimeName = "torch",
    precision: PrecisionName = "auto",
) -> Encoder:
    """Open ReID weights.

    Args:
        weights: A .safetensors network of ours, any exported .onnx, an OpenVINO .xml, the name of
            a fetched public model, or, under any other name, a PyTorch checkpoint of one of
            `networks.families`.
        device: As for `models.device.resolve`.
        batch_crops: Crops that go into one call.
        convention: What an exported network takes, a key of `preprocess.CONVENTIONS`, or "auto":
            what is recorded of it.
        runtime: What computes a network of ours, see `models.runtimes.choice`; exported networks
            have a runtime of their own.
        precision: In which precision it computes.

    Raises:
        InputError: The weights or the runtime cannot be used.
    """
    path = public.find(weights)
    if path.suffix not in (".onnx", ".xml"):
        if path.suffix != ".safetensors" and not state_dicts.is_checkpoint(path):
            raise InputError(
                f"{path}: ReID weights are .safetensors (ours), .onnx (any exported network), .xml"
                " (OpenVINO), a PyTorch checkpoint or Keras's .h5"
            )
        return _network(path, device, batch_crops, convention, runtime, precision)
    takes = recorded(path) if convention == "auto" else preprocess.CONVENTIONS[convention]
    if path.suffix == ".xml":
        return ExportedEncoder(OpenVinoNetwork(path, batch_crops, takes), batch_crops)
    return ExportedEncoder(
        ExportedNetwork(path, devices.resolve(device), batch_crops, takes), batch_crops
    )


def _network(
    path: Path,
    device: str,
    batch_crops: int,
    convention: str,
    runtime: RuntimeName,
    precision: PrecisionName,
) -> "NetworkEncoder":
    """Open a network of `models.reid.networks`; see `load`."""
    if convention != "auto":
        raise InputError(
            f"{path}: a network of ours says itself what it takes; leave the convention at auto"
        )
    loaded = file.load(path)
    try:
        network = NetworkEncoder(
            loaded, devices.resolve(device), batch_crops, path, runtime, precision
        )
        network.features([noise(network.size)])
    except RuntimeError as error:
        recipe = loaded.recipe
        raise InputError(
            f"{path}: its network does not take crops of its own size"
            f" {recipe.height_px}x{recipe.width_px} ({one_line(error)})"
        ) from None
    return network


def recorded(path: Path) -> preprocess.Convention:
    """What an exported network takes: as `public.json` says of the file, else ImageNet's for .onnx;
    raises InputError for .xml.

    Nearly all .onnx exports take what their network was trained on, while converters to .xml put
    any part of it into the graph.
    """
    if known := public.known(path):
        return preprocess.CONVENTIONS[known.convention]
    if path.suffix == ".onnx":
        return preprocess.IMAGENET
    raise InputError(
        f"{path}: what this network takes is not recorded; set reid.convention to one of"
        f" {', '.join(preprocess.CONVENTIONS)}"
    )


class NetworkEncoder:
    """A network of `models.reid.networks`, with the input size it was trained for."""

    def __init__(
        self,
        loaded: file.Loaded,
        device: torch.device,
        batch_crops: int,
        path: Path | None = None,
        runtime: RuntimeName = "torch",
        precision: PrecisionName = "auto",
    ) -> None:
        """Prepare the network.

        Args:
            loaded: The network and its recipe.
            device: Where torch runs it.
            batch_crops: Crops of one call in torch.
            path: Its file; None only for runtime "torch".
            runtime: What computes it.
            precision: In which precision.

        Raises:
            InputError: The runtime cannot be used.
        """
        self.network = loaded.network.to(device).eval()
        self.width = int(loaded.network.width)  # type: ignore[arg-type]
        self.size = (loaded.recipe.height_px, loaded.recipe.width_px)
        self.on_cuda = device.type == "cuda"
        self.frame_wise = frame_wise(loaded.network)
        row = table.TABLE.get(loaded.recipe.architecture)
        self.one_size = row is not None and (row.fixed_size or row.sized)
        self.about = loaded.about
        self._device, self._batch_crops = device, batch_crops
        self._is_fast = precision != "float32"
        self._chosen = self._choose(loaded, path, runtime, precision)
        self.choice = self._chosen.choice
        notes = [loaded.note, *self._chosen.notes]
        self.note = "; ".join(note for note in notes if note)

    def features(
        self, clips: Sequence[Array], quality: Sequence[Array] | None = None, scale: float = 1.0
    ) -> Array:
        """See `Encoder`. In torch, which alone scales, clips of different length share a batch,
        padded and masked.
        """
        rows = [np.zeros((0, self.width), np.float32)]
        for part in _batches(clips, self._batch_crops):
            in_part = quality[part] if quality else None
            if self._chosen.run is None or scale != 1:
                rows.append(self._batch(clips[part], in_part, scale))
            else:
                rows.append(self._means(clips[part], in_part))
        return np.concatenate(rows)

    def _choose(
        self,
        loaded: file.Loaded,
        path: Path | None,
        runtime: RuntimeName,
        precision: PrecisionName,
    ) -> Chosen:
        """Choose what computes the network; raises InputError."""
        if path is None or runtime == "torch":
            in_torch = runtimes.torch_precision(self._device, precision)
            return Chosen(Choice("torch", in_torch), None)
        if self._device.type != "cpu":
            reason = f"{path.name} runs on {self._device}, and only torch does"
            return runtimes.without_graph(runtime, precision, self._device, reason)
        if not self.frame_wise:
            reason = f"{path.name} takes clips, which only torch runs"
            return runtimes.without_graph(runtime, precision, self._device, reason)
        graph = graphs.build(loaded, path)

        def in_torch_run(crops: Array) -> Array:
            return self._batch([crop[None] for crop in crops], None)

        return runtimes.choose(graph, in_torch_run, graphs.difference, runtime, precision)

    def _means(self, clips: Sequence[Array], quality: Sequence[Array] | None) -> Array:
        """Features of clips from the chosen runtime: means over the frames."""
        assert self._chosen.run is not None
        crops = np.concatenate([_resized(clip, self.size) for clip in clips])
        of_crops = self._chosen.run(crops)
        lengths = [len(clip) for clip in clips]
        given = [np.ones(n) for n in lengths] if quality is None else quality
        weights = np.concatenate([graphs.frame_weights(self.network, q) for q in given])
        starts = np.cumsum([0, *lengths])[:-1]
        totals = np.add.reduceat(weights, starts)[:, None]
        sums = np.add.reduceat(of_crops * weights[:, None], starts)
        return _finite(sums / totals)

    @torch.inference_mode()
    def _batch(
        self, clips: Sequence[Array], quality: Sequence[Array] | None, scale: float = 1.0
    ) -> Array:
        shape = (len(clips), max(len(c) for c in clips))
        crops = np.zeros((*shape, *self.size, 3), np.uint8)
        mask, weights = np.zeros(shape, bool), np.ones(shape, np.float32)
        for i, clip in enumerate(clips):
            crops[i, : len(clip)], mask[i, : len(clip)] = _resized(clip, self.size), True
            if quality:
                weights[i, : len(clip)] = quality[i]
        pixels = torch.from_numpy(crops.reshape(-1, *crops.shape[2:])).to(self._device)
        images = preprocess.scaled(preprocess.normalise(pixels), scale)
        images = images.reshape(*shape, *images.shape[1:])
        with devices.autocast(self._device) if self._is_fast else nullcontext():
            out = self.network(
                images,
                torch.from_numpy(mask).to(self._device),
                torch.from_numpy(weights).to(self._device),
            )
        return _finite(out.float().cpu().numpy())


class ExportedEncoder:
    """An exported network on onnxruntime or OpenVINO."""

    def __init__(self, network: ExportedNetwork | OpenVinoNetwork, batch_crops: int) -> None:
        self._network = network
        self._batch_crops = batch_crops
        self.width, self.on_cuda, self.size = (
            self._network.width,
            self._network.on_cuda,
            self._network.size,
        )
        self.frame_wise = not (isinstance(network, ExportedNetwork) and network.clips)
        self.one_size = True
        self.about: dict[str, Any] = {}
        self.note = network.note
        name = "onnxruntime" if isinstance(network, ExportedNetwork) else "openvino"
        self.choice = Choice(name, "as exported")

    def features(
        self, clips: Sequence[Array], quality: Sequence[Array] | None = None, scale: float = 1.0
    ) -> Array:
        """See `Encoder`. Features of an image network are brought to unit length before they are
        averaged.
        """
        if isinstance(self._network, ExportedNetwork) and self._network.clips:
            return _finite(self._network.clip_features(clips))
        rows: list[Array] = [np.zeros((0, self.width), np.float32)]
        for part in _batches(clips, self._batch_crops):
            group = clips[part]
            crops = self._network.features([crop for clip in group for crop in clip])
            weights = (
                np.concatenate([np.maximum(q, 1e-3) for q in quality[part]])
                if quality
                else np.ones(len(crops))
            )
            starts = np.cumsum([0, *(len(clip) for clip in group)])[:-1]
            total = np.add.reduceat(weights, starts)[:, None]
            rows.append(np.add.reduceat(crops * weights[:, None], starts) / total)
        return _finite(np.concatenate(rows))


def frame_wise(network: torch.nn.Module) -> bool:
    """Whether the test feature of a clip is a mean over its frames."""
    head = getattr(network, "head", None)
    return isinstance(network, FrameWise) or isinstance(head, MeanPooling | QualityPooling)


def _resized(clip: Array, size: tuple[int, int]) -> Array:
    return np.stack([preprocess.resize(crop, *size) for crop in clip])


def _finite(features: Array) -> Array:
    whole = np.isfinite(features).all(axis=1, keepdims=True)
    return np.where(whole, features, 0).astype(np.float32)


def _batches(clips: Sequence[Array], n_crops: int) -> Iterator[slice]:
    """Consecutive slices of at most `n_crops` crops (at least one clip)."""
    start = held = 0
    for i, clip in enumerate(clips):
        if i > start and held + len(clip) > n_crops:
            yield slice(start, i)
            start, held = i, 0
        held += len(clip)
    if start < len(clips):
        yield slice(start, len(clips))
