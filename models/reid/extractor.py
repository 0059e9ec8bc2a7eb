"""Features of people's pictures in a few lines of Python:

    from models.reid import FeatureExtractor

    extract = FeatureExtractor("outputs/reid/mine/model.safetensors")
    features = extract(["a.jpg", "b.jpg"])   # (2, width), rows of unit length
    similarity = features @ features.T       # cosines

An item is a picture (a path, or an array as OpenCV reads it) or a tracklet (a list of pictures),
which has one feature. It runs whatever `encoder.load` opens, in the runtime of the pipeline.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models import device as devices
from models import weights as bundle
from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.data.loader import read_image
from models.reid.encoder import Array
from models.reid.evaluation import distances
from models.runtimes.names import RuntimeName

Picture: TypeAlias = str | Path | NDArray[np.uint8]
Item: TypeAlias = Picture | Sequence[Picture]
MAX_FRAMES = 16
"""Longest clip; a longer tracklet is the mean over clips of nearly equal length."""


class FeatureExtractor:
    """Turns pictures and tracklets into unit vectors.

    Args:
        weights: A file or the name of a fetched public network; "" takes the bundled one.
        device: As for `models.device.resolve`.
        batch_crops: Pictures that go into one call.
        convention: What an exported network takes; "auto": what is recorded of it.
        runtime: What computes a network of ours, see `models.runtimes.choice`.

    Attributes:
        width: Length of a feature.
        size: (height, width) in pixels to which pictures are resized.

    Raises:
        InputError: The weights cannot be used.
    """

    def __init__(
        self,
        weights: str | Path = "",
        device: str = "auto",
        batch_crops: int = 64,
        convention: str = "auto",
        runtime: RuntimeName = "auto",
    ) -> None:
        found = weights or bundle.bundled("reid", devices.resolve(device).type)
        if not found:
            raise InputError("no ReID network is bundled; give the file of one")
        self._encoder = encoder.load(found, device, batch_crops, convention, runtime)
        self._batch_crops = batch_crops
        self.width = self._encoder.width
        self.size = self._encoder.size

    def __call__(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Compute features.

        Args:
            items: n pictures or tracklets. A picture is a path, or an array (h, w, 3) uint8 in the
                order blue, green, red; a tracklet is a list of them, or an array (k, h, w, 3).

        Returns:
            (n, width) float32, rows of unit length; a row whose feature is not finite is 0.

        Raises:
            InputError: A picture cannot be read or is no picture.
        """
        if isinstance(items, str | Path):
            raise InputError(f"{items}: give a list of pictures, also for one: [{str(items)!r}]")
        rows = [np.zeros((0, self.width), np.float32)]
        for group in _groups(items, self._batch_crops):
            rows.append(self._features(group))
        return np.asarray(distances.normalise(np.concatenate(rows)), np.float32)

    def _features(self, items: Sequence[Item]) -> Array:
        clips = []
        owners = []
        for i, item in enumerate(items):
            frames = _frames(item)
            if not frames:
                raise InputError(f"item {i}: a tracklet has no pictures")
            n_clips = math.ceil(len(frames) / MAX_FRAMES)
            for part in np.array_split(np.arange(len(frames)), n_clips):
                clips.append(np.stack([self._crop(frames[k]) for k in part]))
                owners.append(i)
        lengths = np.array([len(clip) for clip in clips], np.float32)
        sums = np.zeros((len(items), self.width), np.float32)
        np.add.at(sums, owners, self._encoder.features(clips) * lengths[:, None])
        return sums / np.bincount(owners, lengths)[:, None]

    def _crop(self, picture: Picture) -> Array:
        image = read_image(Path(picture)) if isinstance(picture, str | Path) else picture
        is_picture = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
        if not is_picture or image.dtype != np.uint8:
            raise InputError(
                f"a picture is an array (height, width, 3) of uint8, not {image.shape} of"
                f" {image.dtype}"
            )
        return np.asarray(preprocess.resize(image, *self.size))


def _frames(item: Item) -> Sequence[Picture]:
    """Pictures of an item; a picture is a tracklet of one."""
    if isinstance(item, str | Path):
        return [item]
    if isinstance(item, np.ndarray):
        return [item] if item.ndim < 4 else list(item)
    return item


def _groups(items: Sequence[Item], n_pictures: int) -> Iterator[list[Item]]:
    """Consecutive items, at least so many pictures in a group; the last may have fewer."""
    group: list[Item] = []
    n_held = 0
    for item in items:
        group.append(item)
        n_held += len(_frames(item))
        if n_held >= n_pictures:
            yield group
            group = []
            n_held = 0
    if group:
        yield group
