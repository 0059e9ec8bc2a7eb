"""Samples -> features, decoded on threads while the network works, and kept in a cache when one is
given.

A tracklet is covered by clips and its feature is the mean over them, so memory does not grow with
its length. The default rule covers every frame once, in clips as equal as can be that weigh by
their frames: for networks that average, the mean over all.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    """How samples become clips: a rule of `clips.covering_clips`, `length` frames a clip at most,
    mirrored as well or not.
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
    """Features (n, width) float32 of the samples, raw; `group` clips are decoded at once. Raises
    InputError for a bad image.

    `progress` shows a bar on standard error where that is a terminal. With `flip` a clip's feature
    is the sum of the unit features of the clip and of its mirror image, as layumi's and ST-ReID's
    tests take it.
    """
    features = np.zeros((len(samples), encoder.width), np.float32)
    n_frames = np.zeros(len(samples), np.float32)
    with tqdm.tqdm(
        total=len(samples), unit="", disable=None if progress else True, leave=False
    ) as bar:
        for owners, clips in _decoded(samples, reading, encoder.size, group):
            found = encoder.features(clips)
            if reading.flip:
                mirrored = encoder.features([clip[:, :, ::-1] for clip in clips])
                found = distances.normalise(found) + distances.normalise(mirrored)
            lengths = np.array([len(clip) for clip in clips], np.float32)
            np.add.at(features, owners, found * lengths[:, None])
            np.add.at(n_frames, owners, lengths)
            bar.update(owners[-1] + 1 - bar.n)
    return features / n_frames[:, None]


def cached(
    folder: Path | None, key: dict[str, Any], samples: Sequence[Sample], make: Callable[[], Array]
) -> tuple[Array, bool]:
    """Features from `folder`, or made and kept there; and whether they came from it. None keeps
    nothing.

    `key` is what they depend on besides the samples: `weights_digest`, reading. A file counts by
    its path, size and date. Raises InputError where the folder cannot be written, before anything
    is made, and for a sample that is not there.
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
    """Digest of a network's weights, with those in files beside an .onnx: torch may export so, and
    the .onnx stays the same.
    """
    digest = hashlib.sha256(weights.sha256(path).encode())
    if path.suffix == ".onnx":
        tensors = onnx.load(str(path), load_external_data=False).graph.initializer
        beside = {
            entry.value
            for tensor in tensors
            for entry in tensor.external_data
            if entry.key == "location"
        }
        for name in sorted(beside):
            digest.update(weights.sha256(path.parent / name).encode())
    return digest.hexdigest()


def _decoded(
    samples: Sequence[Sample], reading: Reading, size: tuple[int, int], group: int
) -> Iterator[tuple[list[int], list[Array]]]:
    """Groups of clips with the samples they belong to, read two groups ahead."""
    parts = (
        (i, clip) for i, sample in enumerate(samples) for clip in _clips(len(sample.paths), reading)
    )

    def decode(part: tuple[int, Array]) -> Array:
        paths = samples[part[0]].paths
        return np.stack([preprocess.resize(read_image(paths[k]), *size) for k in part[1]])

    with ThreadPoolExecutor(4) as pool:
        ahead: list[tuple[list[int], Any]] = []
        try:
            while True:
                while len(ahead) < 3 and (batch := list(islice(parts, group))):
                    ahead.append(
                        ([i for i, _ in batch], [pool.submit(decode, part) for part in batch])
                    )
                if not ahead:
                    return
                owners, futures = ahead.pop(0)
                yield owners, [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


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
