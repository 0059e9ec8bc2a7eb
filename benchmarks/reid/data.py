"""Inputs of the evaluation benchmark: features and labels of the size of Market-1501."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.reid.data import catalogue
from models.reid.data.samples import Sample
from models.reid.evaluation import distances, spatial_temporal

Array = NDArray[Any]

N_LATENT = 24
"""Dimensions that made-up features span."""
NOISE = 0.45
"""How far pictures of a person lie apart."""
CAMERA = 0.4
"""How far a camera shifts features."""


@dataclass(frozen=True)
class Inputs:
    """Features (Q, D) and (G, D) of unit length, their labels, and the transition model.

    raw_table, table: before and after smoothing.
    """

    query: Array
    gallery: Array
    query_ids: Array
    gallery_ids: Array
    query_cameras: Array
    gallery_cameras: Array
    query_frames: Array
    gallery_frames: Array
    raw_table: Array
    table: Array

    @property
    def labels(self) -> tuple[Array, Array, Array, Array]:
        """Return ids and cameras as `ranking.rank` takes them."""
        return self.query_ids, self.gallery_ids, self.query_cameras, self.gallery_cameras

    def part(self, share: float) -> "Inputs":
        """Keep a `share`, 0..1, of queries and gallery, evenly spread."""
        kept = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if "table" not in field.name:
                places = np.arange(0, len(values), 1 / share)
                values = values[places.astype(np.int64)]
            kept[field.name] = values
        return Inputs(**kept)

    def save(self, path: Path) -> None:
        """Write a .npz."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez(path, **columns)


def load(path: Path) -> Inputs:
    """Read what `Inputs.save` wrote."""
    with np.load(path) as file:
        return Inputs(**{name: file[name] for name in file.files})


def make(dataset: Path | None, features: Path | None, width: int) -> tuple[Inputs, str]:
    """Make the inputs.

    Args:
        dataset: folder of Market-1501, for its labels; None makes them up.
        features: .npz with query (Q, D) and gallery (G, D); None makes them up.
        width: of made-up features.

    Returns:
        The inputs, and a text that says where they come from.

    Raises:
        InputError: the data set cannot be read, or the features are not those of its items.
    """
    if dataset is None:
        labels = _made_up()
        origin = "labels made up"
    else:
        labels = _market1501(dataset)
        origin = "Market-1501"
    train = labels.train
    raw = spatial_temporal.estimate(train.ids, train.cameras, train.frames, n_cameras=6)
    if features:
        query, gallery = _read_features(features, labels)
        origin += f", features of {features.name}"
    else:
        query, gallery = _made_up_features(labels, width)
        origin += f", made-up features of {width} numbers"
    inputs = Inputs(
        query=distances.normalise(query.astype(np.float32)),
        gallery=distances.normalise(gallery.astype(np.float32)),
        query_ids=labels.query.ids,
        gallery_ids=labels.gallery.ids,
        query_cameras=labels.query.cameras,
        gallery_cameras=labels.gallery.cameras,
        query_frames=labels.query.frames,
        gallery_frames=labels.gallery.frames,
        raw_table=raw.table,
        table=spatial_temporal.smooth(raw).table,
    )
    return inputs, origin


class _Items(NamedTuple):
    """Person, camera and frame (n,) of some items."""

    ids: Array
    cameras: Array
    frames: Array


class _Labels(NamedTuple):
    query: _Items
    gallery: _Items
    train: _Items


def _read_features(path: Path, labels: _Labels) -> tuple[Array, Array]:
    """Features of queries and gallery from a .npz; raises InputError where the numbers differ."""
    n_query = len(labels.query.ids)
    n_gallery = len(labels.gallery.ids)
    with np.load(path) as file:
        query = file["query"]
        gallery = file["gallery"]
    if len(query) != n_query or len(gallery) != n_gallery:
        raise InputError(
            f"{path}: {len(query)} and {len(gallery)} features for {n_query}, {n_gallery} items"
        )
    return query, gallery


def _market1501(folder: Path) -> _Labels:
    found = catalogue.load("market1501", folder, {})
    return _Labels(_items(found.query), _items(found.gallery), _items(found.train))


def _items(samples: Sequence[Sample]) -> _Items:
    ids = np.array([sample.person_id for sample in samples])
    cameras = np.array([sample.camera for sample in samples])
    frames = np.array([sample.frame for sample in samples])
    return _Items(ids, cameras, frames)


def _made_up() -> _Labels:
    """As many people, cameras and items as Market-1501 has.

    Everybody walks along the cameras at a pace of their own.
    """
    rng = np.random.default_rng(0)

    def items(people: Array) -> _Items:
        cameras = rng.integers(0, 6, len(people))
        pace = 2000 + 3 * people
        delay = rng.integers(0, 200, len(people))
        return _Items(people, cameras, 500 * people + cameras * pace + delay)

    query = items(np.repeat(np.arange(1, 751), 5)[:3368])
    distractors = np.zeros(2798, np.int64)
    gallery = items(np.concatenate([rng.integers(1, 751, 13115), distractors]))
    train = items(rng.integers(0, 751, 12936))
    return _Labels(query, gallery, train)


def _made_up_features(labels: _Labels, width: int) -> tuple[Array, Array]:
    """Features of queries and gallery, drawn together."""
    ids = np.concatenate([labels.query.ids, labels.gallery.ids])
    cameras = np.concatenate([labels.query.cameras, labels.gallery.cameras])
    features = _features(ids, cameras, width)
    n_query = len(labels.query.ids)
    return features[:n_query], features[n_query:]


def _features(ids: Array, cameras: Array, width: int) -> Array:
    """Noisy copies of a vector a person, shifted by the camera; distractors are alone."""
    rng = np.random.default_rng(1)

    def drawn(n_rows: int, n_columns: int = N_LATENT) -> Array:
        return rng.standard_normal((n_rows, n_columns), dtype=np.float32)

    people = drawn(int(ids.max()) + 1)[ids]
    is_distractor = ids == 0
    people[is_distractor] = drawn(int(is_distractor.sum()))
    shift = CAMERA * drawn(int(cameras.max()) + 1)[cameras]
    noise = NOISE * drawn(len(ids))
    latent = people + shift + noise
    return np.asarray(latent @ drawn(N_LATENT, width))
