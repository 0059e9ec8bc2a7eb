"""Features of samples, decoded on threads while the network works, and optionally cached.
A tracklet is covered by clips and its feature is the mean over them, so memory does not grow with
its length. The default rule covers every frame once, in clips as equal as can be that weigh by
their frames: for networks that average, the mean over all.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tqdm
from numpy.typing import NDArray

from models import files, weights
from models.errors import InputError
from models.reid import preprocess
from models.reid.data.clips import TestRule, covering_clips
from models.reid.data.loader import read_image
from models.reid.data.samples import Sample
from models.reid.encoder import Encoder
from models.reid.evaluation import distances

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """How samples become clips.

    rule: of `clips.covering_clips`. length: at most this many frames a clip. flip: whether the
    mirror image is read as well.
    """

    rule: TestRule = "all"
    length: int = 16
    flip: bool = False


def extract(
    encoder: Encoder,
    samples: Sequence[Sample],
    reading: Reading = Reading(),
    progress: bool = False,
    group: int = 64,
) -> Array:
    """Compute the features of samples.

    Args:
        encoder: The network.
        samples: n samples.
        reading: How samples become clips. With `flip` a clip's feature is the sum of the unit
            features of the clip and of its mirror image, as in the tests of layumi and ST-ReID.
        progress: Whether to show a bar on standard error where that is a terminal.
        group: Clips that are decoded at once.

    Returns:
        (n, width) float32, not normalised.

    Raises:
        InputError: An image cannot be read.
    """
    features = np.zeros((len(samples), encoder.width), np.float32)
    n_frames = np.zeros(len(samples), np.float32)
    disable = None if progress else True
    with tqdm.tqdm(total=len(samples), unit="", disable=disable, leave=False) as bar:
        for owners, clips in _decoded(samples, reading, encoder.size, group):
            clip_features = _clip_features(encoder, clips, reading.flip)
            lengths = np.array([len(clip) for clip in clips], np.float32)
            np.add.at(features, owners, clip_features * lengths[:, None])
            np.add.at(n_frames, owners, lengths)
            n_done = owners[-1] + 1
            bar.update(n_done - bar.n)
    return features / n_frames[:, None]


def _clip_features(encoder: Encoder, clips: list[Array], flip: bool) -> Array:
    """Features (n, width) of clips, each (T, H, W, 3)."""
    plain = encoder.features(clips)
    if not flip:
        return plain
    mirrored = encoder.features([clip[:, :, ::-1] for clip in clips])
    return distances.normalise(plain) + distances.normalise(mirrored)


def cached(
    folder: Path | None, key: dict[str, Any], samples: Sequence[Sample], make: Callable[[], Array]
) -> tuple[Array, bool]:
    """Read features from a cache, or compute them and keep them there.

    Args:
        folder: Folder of the cache; None keeps nothing.
        key: What the features depend on besides the samples: `weights_digest`, reading.
        samples: A file counts by its path, size and date.
        make: Computes the features.

    Returns:
        The features, and whether they came from the cache.

    Raises:
        InputError: The folder cannot be written (said before anything is computed), or a sample
            does not exist.
    """
    if folder is None:
        return make(), False
    path = folder / f"{_digest(key, samples)}.npy"
    if path.is_file():
        try:
            return np.asarray(np.load(path), np.float32), True
        except (ValueError, OSError, EOFError):
            pass  # cut short by a full disk: made again
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {files.failure(error)}") from None
    features = make()
    data = io.BytesIO()
    np.save(data, features)
    files.write(path, data.getvalue())
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
