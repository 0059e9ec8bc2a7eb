"""Features of samples, decoded on threads while the network works, and optionally cached.
A tracklet is covered by clips and its feature is the mean over them, so memory does not grow with
its length. The default rule covers every frame once, in clips as equal as can be that weigh by
their frames: for networks that average, the mean over all.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models import files, weights
from models.errors import InputError
from models.progress import Progress
from models.reid import preprocess
from models.reid.data.clips import TestRule, covering_clips
from models.reid.data.loader import read_image
from models.reid.data.samples import Sample
from models.reid.encoder import Encoder
from models.reid.evaluation import distances

Array = NDArray[Any]
ONE_SCALE = (1.0,)
PIECE_FRAMES = 4096
"""Frames after which what is done so far is kept: a minute on two CPU cores."""


@dataclass(frozen=True)
class Reading:
    """How samples become clips.

    rule: of `clips.covering_clips`. length: at most this many frames a clip. flip: whether the
    mirror image is read as well. scales: factors of the crop's area in which it is read, see
    `extract`.
    """

    rule: TestRule = "all"
    length: int = 16
    flip: bool = False
    scales: tuple[float, ...] = ONE_SCALE


def extract(
    encoder: Encoder,
    samples: Sequence[Sample],
    reading: Reading = Reading(),
    progress: bool = False,
    group: int = 64,
    parts: Path | None = None,
) -> Array:
    """Compute the features of samples.

    Args:
        encoder: The network.
        samples: n samples.
        reading: How samples become clips. With `flip` or several `scales` a clip's feature is the
            sum of the unit features of all its forms: the clip and its mirror image, at each scale.
            These are the forms of the tests of layumi and ST-ReID (the latter without scales),
            which add features as they are, of nearly equal length. As there, a scale s resizes the
            sides of the network's input by sqrt(s), bicubically. layumi resizes the input for the
            third scale and on from the one before it; here every scale starts from the crop.
        progress: Whether to show how far it is, see `models.progress`.
        group: Clips that are decoded at once.
        parts: Folder that keeps what is done so far, for the next call; None keeps nothing.

    Returns:
        (n, width) float32, not normalised.

    Raises:
        InputError: An image cannot be read.
    """
    pieces = [np.zeros((0, encoder.width), np.float32)]
    with Progress("features", "samples", len(samples), quiet=not progress) as shown:
        for rows in _pieces(samples):
            path = parts / f"{rows.start}.npy" if parts else None
            piece = _kept(path) if path else None
            if piece is None or piece.shape != (rows.stop - rows.start, encoder.width):
                seen = partial(_say, shown, rows.start)
                piece = _extract(encoder, samples[rows], reading, group, seen)
                if path:
                    _keep(path, piece)
            shown.at(rows.stop)
            pieces.append(piece)
    return np.concatenate(pieces)


def _say(shown: Progress, first: int, n_done: int) -> None:
    shown.at(first + n_done)


def _extract(
    encoder: Encoder,
    samples: Sequence[Sample],
    reading: Reading,
    group: int,
    seen: Callable[[int], None],
) -> Array:
    """Features of a piece; `seen` is told how many samples are done."""
    features = np.zeros((len(samples), encoder.width), np.float32)
    n_frames = np.zeros(len(samples), np.float32)
    for owners, clips in _decoded(samples, reading, encoder.size, group):
        clip_features = _clip_features(encoder, clips, reading)
        lengths = np.array([len(clip) for clip in clips], np.float32)
        np.add.at(features, owners, clip_features * lengths[:, None])
        np.add.at(n_frames, owners, lengths)
        seen(owners[-1])  # a later clip of this sample may be missing
    return features / n_frames[:, None]


def _pieces(samples: Sequence[Sample]) -> Iterator[slice]:
    """Consecutive slices of at most `PIECE_FRAMES` frames (at least one sample)."""
    start = 0
    n_frames = 0
    for i, sample in enumerate(samples):
        length = len(sample.paths)
        if i > start and n_frames + length > PIECE_FRAMES:
            yield slice(start, i)
            start = i
            n_frames = 0
        n_frames += length
    if start < len(samples):
        yield slice(start, len(samples))


def _keep(path: Path, features: Array) -> None:
    """Write features to a file, whole or not at all; raises InputError."""
    data = io.BytesIO()
    np.save(data, features)
    files.write(path, data.getvalue())


def _kept(path: Path) -> Array | None:
    """Features of a file; None where there is none, or one cut short by a full disk."""
    try:
        return np.asarray(np.load(path), np.float32)
    except (ValueError, OSError, EOFError):
        return None


def _clip_features(encoder: Encoder, clips: list[Array], reading: Reading) -> Array:
    """Features (n, width) of clips, each (T, H, W, 3)."""
    if not reading.flip and reading.scales == ONE_SCALE:
        return encoder.features(clips)
    forms = [clips]
    if reading.flip:
        forms.append([clip[:, :, ::-1] for clip in clips])
    total = np.zeros((len(clips), encoder.width), np.float32)
    for form in forms:
        for scale in reading.scales:
            total += distances.normalise(encoder.features(form, scale=scale))
    return total


def cached(
    folder: Path | None,
    key: dict[str, Any],
    samples: Sequence[Sample],
    make: Callable[[Path | None], Array],
) -> tuple[Array, bool]:
    """Read features from a cache, or compute them and keep them there.

    Args:
        folder: Folder of the cache; None keeps nothing.
        key: What the features depend on besides the samples: `weights_digest`, reading.
        samples: A file counts by its path, size and date.
        make: Computes the features; gets a folder for its parts, as `extract` does, with which
            an interrupted call goes on.

    Returns:
        The features, and whether they came from the cache.

    Raises:
        InputError: The folder cannot be written (said before anything is computed), or a sample
            does not exist.
    """
    if folder is None:
        return make(None), False
    digest = _digest(key, samples)
    path = folder / f"{digest}.npy"
    features = _kept(path)
    if features is not None:
        return features, True
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {files.failure(error)}") from None
    parts = folder / f"{digest}.parts"
    features = make(parts)
    _keep(path, features)
    shutil.rmtree(parts, ignore_errors=True)
    return features, False


def weights_digest(path: Path) -> str:
    """Digest of a network's weights, with those that an .onnx keeps in files beside it.

    Args:
        path: Weights of any kind.

    Returns:
        SHA-256 in hexadecimal digits.

    Raises:
        InputError: A file cannot be read.
    """
    digest = hashlib.sha256(weights.sha256(path).encode())
    if path.suffix == ".onnx":
        for name in sorted(_external_files(path)):
            digest.update(weights.sha256(path.parent / name).encode())
    return digest.hexdigest()


def _external_files(path: Path) -> set[str]:
    """Names of the files beside an .onnx that hold its weights."""
    graph = onnx.load(str(path), load_external_data=False).graph
    names = set()
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                names.add(entry.value)
    return names


def _decoded(
    samples: Sequence[Sample], reading: Reading, size: tuple[int, int], group: int
) -> Iterator[tuple[list[int], list[Array]]]:
    """Groups of clips with the samples they belong to, read two groups ahead."""
    parts = _parts(samples, reading)

    def decode(part: tuple[int, Array]) -> Array:
        sample, frames = part
        paths = samples[sample].paths
        images = [preprocess.resize(read_image(paths[frame]), *size) for frame in frames]
        return np.stack(images)

    with ThreadPoolExecutor(4) as pool:
        ahead: list[tuple[list[int], list[Future[Array]]]] = []
        try:
            while True:
                while len(ahead) < 3 and (batch := list(islice(parts, group))):
                    owners = [sample for sample, _ in batch]
                    futures = [pool.submit(decode, part) for part in batch]
                    ahead.append((owners, futures))
                if not ahead:
                    return
                owners, futures = ahead.pop(0)
                yield owners, [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _parts(samples: Sequence[Sample], reading: Reading) -> Iterator[tuple[int, Array]]:
    """Every clip of the samples: index of its sample, and its frames."""
    for i, sample in enumerate(samples):
        for frames in _clips(len(sample.paths), reading):
            yield i, frames


def _clips(n: int, reading: Reading) -> list[Array]:
    if reading.rule == "all":
        return np.array_split(np.arange(n), -(-n // reading.length))
    return covering_clips(n, reading.length, reading.rule)


def _digest(key: dict[str, Any], samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for sample in samples:
        for path in sample.paths:
            try:
                status = path.stat()
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be read ({error.strerror}); check the data set"
                ) from None
            digest.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns};".encode())
        digest.update(b"\n")
    return digest.hexdigest()[:32]
