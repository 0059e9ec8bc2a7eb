"""Transition times between cameras as evidence for identity (ST-ReID, AAAI 2019).
The distribution comes from people of known identity, and from training people only: taken from
query and gallery labels, as one of the seeds does, it tells the answers. A person's visit to a
camera is its mean frame; the time from the earlier visit to the later one falls into a bin of the
pair [later camera][earlier camera], so direction matters. All cameras need one clock; one that is
off by a constant only shifts its rows, but for visits so close that their order changes.

The joint score is logistic in the cosine s and in the smoothed probability p: 1 / (1 + exp(-a s)) *
1 / (1 + 2 exp(-a p)), with a = 5. One training person adds at most 0.008 to a smoothed p, and 0.02
is much, so the second factor moves within a few per cent of 1/3: it re-orders what looks alike. Two
sightings in the same camera have p = 0.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from models import files
from models.errors import InputError
from models.reid.evaluation import distances
from models.reid.evaluation.distances import BLOCK, Array, Features

ALPHA = 5.0
SMOOTH_BINS = 50.0
PIECE = 1 << 17
"""Pairs whose times are looked up at once: what a cache holds."""
TINY = 1e-7
"""Added to every divisor, as in the published code: it can move a time across the edge of a bin."""


@dataclass(frozen=True)
class TransitionModel:
    """Probabilities of the time between visits, by pair of cameras.

    table: (C, C, B) float64, [later camera][earlier camera][bin]; the bins of a pair sum to 1, or 0
    where nobody passed. bin_frames: frames in a bin.
    """

    table: Array
    bin_frames: int = 100

    def probability(
        self, camera_a: Array, frame_a: Array, camera_b: Array, frame_b: Array
    ) -> Array:
        """Probability of the time between sightings a (queries) and b (gallery).

        All arguments are integers and broadcast. At equal frames b counts as the later one.

        Args:
            camera_a: Cameras of the queries, 0-based.
            frame_a: Frames of the queries.
            camera_b: Cameras of the gallery, 0-based.
            frame_b: Frames of the gallery.

        Returns:
            Probabilities, float64, 0 beyond the last bin.

        Raises:
            InputError: The model does not know a camera, or a frame is below 0.
        """
        n_cameras = len(self.table)
        _check(camera_a, frame_a, n_cameras)
        _check(camera_b, frame_b, n_cameras)
        table = _padded(self.table)
        return _look_up(table, self.bin_frames, camera_a, frame_a, camera_b, frame_b)

    def save(self, path: Path) -> None:
        """Write a .npz, whole or not at all; raises InputError."""
        data = io.BytesIO()
        np.savez_compressed(data, table=self.table, bin_frames=self.bin_frames)
        files.write(path, data.getvalue())


def load(path: Path) -> TransitionModel:
    """Read what `TransitionModel.save` wrote.

    Args:
        path: The .npz file.

    Returns:
        The model.

    Raises:
        InputError: The file is not a transition model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            table = np.asarray(file["table"], np.float64)
            bin_frames = int(file["bin_frames"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        raise InputError(
            f"{path}: is not a transition model; make one from the training people"
        ) from None
    if table.ndim != 3 or table.shape[0] != table.shape[1] or bin_frames < 1:
        raise InputError(
            f"{path}: is not a transition model: its table is {table.shape}, its bins {bin_frames}"
            " frames"
        )
    return TransitionModel(table, bin_frames)


def estimate(
    person_ids: Array,
    cameras: Array,
    frames: Array,
    n_cameras: int = 0,
    n_bins: int = 5000,
    bin_frames: int = 100,
) -> TransitionModel:
    """Learn the times between cameras from sightings (n,) of known people.

    It assumes, as published, one visit of a person to a camera.

    Args:
        person_ids: Who was seen (n,).
        cameras: Where (n,), 0-based.
        frames: When (n,), on one clock.
        n_cameras: 0 takes the largest camera.
        n_bins: 5000 for Market-1501, 3000 for DukeMTMC; longer times are left out.
        bin_frames: Frames in a bin.

    Returns:
        The raw histogram, every pair of cameras divided by its sum.

    Raises:
        InputError: There are no sightings, or frames below 0, which mean that a data set has none.
    """
    if not len(person_ids):
        raise InputError("there are no sightings to learn the times between cameras from")
    n_cameras = n_cameras or int(cameras.max()) + 1
    _check(cameras, frames, n_cameras)
    people, person = np.unique(person_ids, return_inverse=True)
    visit_frames = _visit_frames(person * n_cameras + cameras, frames, len(people), n_cameras)
    was_seen = ~np.isnan(visit_frames)
    first, second = np.triu_indices(n_cameras, 1)
    rows, pairs = np.nonzero(was_seen[:, first] & was_seen[:, second])
    first = first[pairs]
    second = second[pairs]
    gap_frames = visit_frames[rows, first] - visit_frames[rows, second]
    is_first_later = gap_frames > 0
    later = np.where(is_first_later, first, second)
    earlier = np.where(is_first_later, second, first)
    bins = (np.abs(gap_frames) / bin_frames).astype(np.int64)
    table = np.zeros((n_cameras, n_cameras, n_bins))
    within = bins < n_bins
    np.add.at(table, (later[within], earlier[within], bins[within]), 1)
    return TransitionModel(_divided(table), bin_frames)


def _visit_frames(place: Array, frames: Array, n_people: int, n_cameras: int) -> Array:
    """Mean frame (people, cameras) of every visit, NaN where a person was not seen.

    place: (n,) person * n_cameras + camera of every sighting.
    """
    shape = (n_people, n_cameras)
    n_places = n_people * n_cameras
    counts = np.bincount(place, minlength=n_places).reshape(shape)
    sums = np.bincount(place, frames, minlength=n_places).reshape(shape)
    mean = sums / (counts + TINY)
    return np.where(counts > 0, mean, np.nan)


def smooth(model: TransitionModel, sigma_bins: float = SMOOTH_BINS) -> TransitionModel:
    """Smooth a model with a Gaussian cut off at 3 sigma (a Parzen window).

    Args:
        model: Raw histogram; it counts as 0 beyond its bins.
        sigma_bins: Standard deviation in bins; 0 leaves the model as it is.

    Returns:
        The smoothed model, every pair of cameras divided by its sum.
    """
    if sigma_bins <= 0:
        return model
    reach = int(3 * sigma_bins)
    offsets = np.arange(-reach, reach + 1)
    density = np.exp(-(offsets**2) / (2 * sigma_bins**2))
    kernel = density / (sigma_bins * np.sqrt(2 * np.pi))
    seen = model.table.any(2)
    table = np.zeros_like(model.table)
    table[seen] = ndimage.convolve1d(model.table[seen], kernel, axis=1, mode="constant")
    return TransitionModel(_divided(table), model.bin_frames)


def joint_score(likeness: Array, probability: Array, alpha: float = ALPHA) -> Array:
    """Joint score of appearance and time; the arguments broadcast.

    Args:
        likeness: Cosines, -1..1.
        probability: Smoothed probabilities of the times between, 0..1.
        alpha: Slope of both logistic factors.

    Returns:
        Scores in 0..1; large is similar.
    """
    appearance = 1 + np.exp(-alpha * likeness)
    time = 1 + 2 * np.exp(-alpha * probability)
    return np.asarray(1 / (appearance * time))


@dataclass(frozen=True)
class Sightings:
    """Samples with the place and time where they were seen.

    features: (n, D), compared by cosine. cameras: (n,) integers, 0-based. frames: (n,) integers.
    """

    features: Features
    cameras: Array
    frames: Array

    def __post_init__(self) -> None:
        shapes = (len(self.features),), self.cameras.shape, self.frames.shape
        if len(set(shapes)) > 1:
            raise InputError(
                f"features of {shapes[0]} items, cameras {shapes[1]}, frames {shapes[2]}: expected"
                " one of each an item"
            )


def joint_distances(
    query: Sightings,
    gallery: Sightings,
    model: TransitionModel,
    alpha: float = ALPHA,
    n_rows: int = 0,
) -> Iterator[Array]:
    """Minus the joint score, in blocks of rows; see `distances.blocks`.

    Args:
        query: Q sightings.
        gallery: G sightings.
        model: Smoothed transition model.
        alpha: Slope of both logistic factors.
        n_rows: Rows in a block; 0 takes as many as `BLOCK` holds.

    Yields:
        Blocks (n, G) float32 in the order of the queries; small is similar.

    Raises:
        InputError: Features do not fit together, or the model does not know a camera.
    """
    joint = _Joint(model, alpha, query, gallery)
    query_unit, gallery_unit = _unit(query, gallery)
    n_rows = n_rows or max(1, BLOCK // max(1, len(gallery_unit)))
    to = _Seen(gallery.cameras, gallery.frames)
    for start in range(0, max(1, len(query_unit)), n_rows):
        rows = slice(start, start + n_rows)
        source = _Seen(query.cameras[rows, None], query.frames[rows, None])
        likeness = joint.likeness(query_unit[rows] @ gallery_unit.T)
        score = joint.score(likeness, source, to)
        yield score.neg_().numpy()


class JointDistances:
    """2 - 2 joint score between all samples, queries first: an `Original` of `reranking`."""

    def __init__(
        self, query: Sightings, gallery: Sightings, model: TransitionModel, alpha: float = ALPHA
    ) -> None:
        self._joint = _Joint(model, alpha, query, gallery)
        self._features = torch.cat(_unit(query, gallery))
        self._cameras = np.concatenate([query.cameras, gallery.cameras])
        self._frames = np.concatenate([query.frames, gallery.frames])

    def __len__(self) -> int:
        """See `Original`."""
        return len(self._cameras)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """See `Original`. The two triangles differ where frames are equal."""
        block = self._features[start:stop]
        later = self._features[start:]
        likeness = self._joint.likeness(block @ later.T)
        after_block = likeness[:, stop - start :]
        mirrored = after_block.T.clone(memory_format=torch.contiguous_format)
        block_seen = self._seen(start, stop)
        later_seen = self._seen(start, None)
        after_seen = self._seen(stop, None)
        found_score = self._joint.score(likeness, later_seen, block_seen.as_columns())
        mirrored_score = self._joint.score(mirrored, block_seen, after_seen.as_columns())
        return _as_distance(found_score), _as_distance(mirrored_score)

    def pairs(self, to: Array, source: Array) -> Array:
        """See `Original`."""
        pieces = []
        for rows, other_rows in distances.paired(self._features, to, source):
            pieces.append(distances.dot(rows, other_rows))
        likeness = self._joint.likeness(torch.cat(pieces))
        source_seen = _Seen(self._cameras[source], self._frames[source])
        to_seen = _Seen(self._cameras[to], self._frames[to])
        score = self._joint.score(likeness, source_seen, to_seen)
        return _as_distance(score).numpy()

    def _seen(self, start: int, stop: int | None) -> "_Seen":
        return _Seen(self._cameras[start:stop], self._frames[start:stop])


@dataclass(frozen=True)
class _Seen:
    """Cameras and frames of some samples: rows (m,) or columns (n, 1)."""

    cameras: Array
    frames: Array

    def as_columns(self) -> "_Seen":
        """The same samples as columns (n, 1)."""
        return _Seen(self.cameras[:, None], self.frames[:, None])

    def piece(self, rows: slice, n_axes: int) -> "_Seen":
        """The samples of these rows of an array with `n_axes` axes that they broadcast with."""
        if self.cameras.ndim != n_axes:
            return self
        return _Seen(self.cameras[rows], self.frames[rows])


def _as_distance(score: Tensor) -> Tensor:
    """Distance 2 - 2 score, in place."""
    return score.mul_(-2).add_(2)


class _Joint:
    """The joint score with its second factor tabulated for every bin."""

    def __init__(
        self, model: TransitionModel, alpha: float, query: Sightings, gallery: Sightings
    ) -> None:
        for side in (query, gallery):
            _check(side.cameras, side.frames, len(model.table))
        factors = 1 / (1 + 2 * np.exp(-alpha * _padded(model.table)))
        self._factors = factors.astype(np.float32)
        self._bin_frames = model.bin_frames
        self._alpha = alpha

    def likeness(self, cosines: Tensor) -> Tensor:
        """First factor, on the CPU, of cosines, which are overwritten."""
        return cosines.mul_(self._alpha).sigmoid_().cpu()

    def score(self, likeness: Tensor, source: _Seen, to: _Seen) -> Tensor:
        """Score, float32; `likeness` (n, m) or (n,) is overwritten and the sightings broadcast."""
        scores = likeness.numpy()
        n_rows = max(1, len(scores))
        row_size = max(1, scores.size // n_rows)
        step = max(1, PIECE // row_size)
        for start in range(0, len(scores), step):
            rows = slice(start, start + step)
            a = source.piece(rows, scores.ndim)
            b = to.piece(rows, scores.ndim)
            scores[rows] *= _look_up(
                self._factors, self._bin_frames, a.cameras, a.frames, b.cameras, b.frames
            )
        return likeness


def _unit(query: Sightings, gallery: Sightings) -> tuple[Tensor, Tensor]:
    query_features, gallery_features = distances.tensors(query.features, gallery.features)
    return distances.normalise(query_features), distances.normalise(gallery_features)


def _check(cameras: Array, frames: Array, n_cameras: int) -> None:
    if np.min(frames, initial=0) < 0:
        raise InputError(
            "some samples have no frame number (-1): the time between cameras needs a data set that"
            " has them"
        )
    if np.min(cameras, initial=0) < 0 or np.max(cameras, initial=0) >= n_cameras:
        found = f"{np.min(cameras)}..{np.max(cameras)}"
        raise InputError(
            f"cameras {found}, but the transition model knows 0..{n_cameras - 1}: make it from the"
            " same cameras"
        )


def _padded(table: Array) -> Array:
    """Table with a last bin for all later times, where the probability is 0."""
    return np.pad(table, ((0, 0), (0, 0), (0, 1)))


def _look_up(
    table: Array, bin_frames: int, camera_a: Array, frame_a: Array, camera_b: Array, frame_b: Array
) -> Array:
    """Values of a padded table (C, C, B + 1) at the time between sightings that broadcast."""
    n_cameras, n_bins = table.shape[1:]
    a_is_later = camera_a * n_cameras + camera_b
    b_is_later = camera_b * n_cameras + camera_a
    pair = np.where(frame_a > frame_b, a_is_later, b_is_later)
    gap_frames = np.abs(frame_a - frame_b)
    bins = np.minimum(gap_frames // bin_frames, n_bins - 1)
    values = table.reshape(-1)
    return np.asarray(values[pair * n_bins + bins])


def _divided(table: Array) -> Array:
    """Rows that sum to 1, or stay 0 where nothing was seen."""
    return np.asarray(table / (table.sum(2, keepdims=True) + TINY))
