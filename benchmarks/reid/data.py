"""What the evaluation benchmark measures on: features, ids, cameras and frames of the size of
Market-1501.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.reid.data import catalogue
from models.reid.evaluation import distances, spatial_temporal

Array = NDArray[Any]

N_LATENT, NOISE, CAMERA = 24, 0.45, 0.4
"""Made-up features live in so many dimensions; how far pictures of a person lie apart, and what a
camera adds.
"""


@dataclass(frozen=True)
class Inputs:
    """Features (Q, D), (G, D) of unit length, labels of both, and the model of transitions before
    and after smoothing.
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
        """Every so many-th query and gallery item, a `share` of both."""
        kept = {}
        for field in fields(self):
            values = getattr(self, field.name)
            step = (
                np.arange(0, len(values), 1 / share).astype(np.int64)
                if "table" not in field.name
                else slice(None)
            )
            kept[field.name] = values[step]
        return Inputs(**kept)

    def save(self, path: Path) -> None:
        """Write a .npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})


def load(path: Path) -> Inputs:
    """Read what `Inputs.save` wrote."""
    with np.load(path) as file:
        return Inputs(**{name: file[name] for name in file.files})


def make(dataset: Path | None, features: Path | None, width: int) -> tuple[Inputs, str]:
    """Inputs and where they come from: labels of Market-1501 or made up, features from a .npz
    (query, gallery) or made up.
    """
    labels, origin = _labels(dataset)
    query_ids, gallery_ids, query_cameras, gallery_cameras, query_frames, gallery_frames, *seen = (
        labels
    )
    raw = spatial_temporal.estimate(seen[0], seen[1], seen[2], n_cameras=6)
    if features:
        with np.load(features) as file:
            query, gallery = file["query"], file["gallery"]
        if len(query) != len(query_ids) or len(gallery) != len(gallery_ids):
            raise InputError(
                f"{features}: {len(query)} and {len(gallery)} features for {len(query_ids)},"
                f" {len(gallery_ids)} items"
            )
        origin += f", features of {features.name}"
    else:
        together = (
            np.concatenate([query_ids, gallery_ids]),
            np.concatenate([query_cameras, gallery_cameras]),
        )
        query, gallery = np.split(_features(*together, width), [len(query_ids)])
        origin += f", made-up features of {width} numbers"
    query, gallery = (distances.normalise(f.astype(np.float32)) for f in (query, gallery))
    return (
        Inputs(
            query,
            gallery,
            query_ids,
            gallery_ids,
            query_cameras,
            gallery_cameras,
            query_frames,
            gallery_frames,
            raw.table,
            spatial_temporal.smooth(raw).table,
        ),
        origin,
    )


def _labels(dataset: Path | None) -> tuple[list[Array], str]:
    """Ids, cameras and frames, each of queries and gallery; then ids, cameras and frames of the
    training people.
    """
    if dataset is None:
        return _made_up(), "labels made up"
    found = catalogue.load("market1501", dataset, {})
    columns = [
        np.array([getattr(sample, name) for sample in samples])
        for name in ("person_id", "camera", "frame")
        for samples in (found.query, found.gallery, found.train)
    ]
    return [*columns[0:2], *columns[3:5], *columns[6:8], *columns[2::3]], "Market-1501"


def _made_up() -> list[Array]:
    """As many people, cameras and items as Market-1501 has; everybody walks along the cameras at a
    pace of their own.
    """
    rng = np.random.default_rng(0)

    def items(people: Array) -> tuple[Array, Array, Array]:
        cameras = rng.integers(0, 6, len(people))
        return (
            people,
            cameras,
            500 * people + cameras * (2000 + 3 * people) + rng.integers(0, 200, len(people)),
        )

    query = items(np.repeat(np.arange(1, 751), 5)[:3368])
    gallery = items(np.concatenate([rng.integers(1, 751, 13115), np.zeros(2798, np.int64)]))
    train = items(rng.integers(0, 751, 12936))
    return [column for pair in zip(query, gallery, strict=True) for column in pair] + list(train)


def _features(ids: Array, cameras: Array, width: int) -> Array:
    """Return noisy copies of a vector a person, shifted by the camera, in few of `width`
    dimensions; distractors are alone.
    """
    rng = np.random.default_rng(1)
    people = rng.standard_normal((int(ids.max()) + 1, N_LATENT), dtype=np.float32)[ids]
    people[ids == 0] = rng.standard_normal((int((ids == 0).sum()), N_LATENT), dtype=np.float32)
    shift = (
        CAMERA * rng.standard_normal((int(cameras.max()) + 1, N_LATENT), dtype=np.float32)[cameras]
    )
    noise = NOISE * rng.standard_normal(people.shape, dtype=np.float32)
    return np.asarray(
        (people + shift + noise) @ rng.standard_normal((N_LATENT, width), dtype=np.float32)
    )
