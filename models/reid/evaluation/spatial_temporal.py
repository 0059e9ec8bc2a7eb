"""When a person who left one camera appears in another, and what that says about who is who
(ST-ReID, AAAI 2019).

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
PIECE = 1 << 17
"""Pairs whose times are looked up at once: what a cache holds."""
TINY = 1e-7
"""What the published code adds to counts and sums it divides by; kept, since it can move a time
across the edge of a bin.
"""


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
        """Probability of the time between sightings a (queries) and b (gallery), float64, of
        integers that broadcast.

        0 beyond the last bin. At equal frames b counts as the later one. Raises InputError for a
        camera that the model does not know or a frame below 0.
        """
        for camera, frame in ((camera_a, frame_a), (camera_b, frame_b)):
            _check(camera, frame, len(self.table))
        return _look_up(_padded(self.table), self.bin_frames, camera_a, frame_a, camera_b, frame_b)

    def save(self, path: Path) -> None:
        """Write a .npz, whole or not at all; raises InputError."""
        data = io.BytesIO()
        np.savez_compressed(data, table=self.table, bin_frames=self.bin_frames)
        files.write(path, data.getvalue())


def load(path: Path) -> TransitionModel:
    """Read what `TransitionModel.save` wrote; raises InputError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            table, bin_frames = np.asarray(file["table"], np.float64), int(file["bin_frames"])
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
    place = person * n_cameras + cameras
    shape = (len(people), n_cameras)
    n_places = len(people) * n_cameras
    counts = np.bincount(place, minlength=n_places).reshape(shape)
    sums = np.bincount(place, frames, minlength=n_places).reshape(shape)
    mean = sums / (counts + TINY)
    first, second = np.triu_indices(n_cameras, 1)
    rows, pairs = np.nonzero((counts[:, first] > 0) & (counts[:, second] > 0))
    first = first[pairs]
    second = second[pairs]
    gap_frames = mean[rows, first] - mean[rows, second]
    later = np.where(gap_frames > 0, first, second)
    earlier = np.where(gap_frames > 0, second, first)
    bins = (np.abs(gap_frames) / bin_frames).astype(np.int64)
    table = np.zeros((n_cameras, n_cameras, n_bins))
    within = bins < n_bins
    np.add.at(table, (later[within], earlier[within], bins[within]), 1)
    return TransitionModel(_divided(table), bin_frames)


def smooth(model: TransitionModel, sigma_bins: float = 50.0) -> TransitionModel:
    """Model smoothed with a Gaussian cut off at 3 sigma (a Parzen window), nothing beyond the bins;
    0 leaves it as it is.
    """
    if sigma_bins <= 0:
        return model
    reach = int(3 * sigma_bins)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma_bins**2)) / (
        sigma_bins * np.sqrt(2 * np.pi)
    )
    seen = model.table.any(2)
    table = np.zeros_like(model.table)
    table[seen] = ndimage.convolve1d(model.table[seen], kernel, axis=1, mode="constant")
    return TransitionModel(_divided(table), model.bin_frames)


def joint_score(likeness: Array, probability: Array, alpha: float = ALPHA) -> Array:
    """Joint score in 0..1, large is alike, of cosines and probabilities that broadcast."""
    return np.asarray(
        1 / ((1 + np.exp(-alpha * likeness)) * (1 + 2 * np.exp(-alpha * probability)))
    )


@dataclass(frozen=True)
class Sightings:
    """What was seen where and when: features (n, D), compared by cosine; cameras (n,) 0-based;
    frames (n,); integers.
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
    """Minus the joint score, small is alike, in blocks of rows (n, G) float32, in the order of the
    queries; see `distances`.
    """
    joint = _Joint(model, alpha, query, gallery)
    one, other = _unit(query, gallery)
    n_rows = n_rows or max(1, BLOCK // max(1, len(other)))
    to = gallery.cameras, gallery.frames
    for start in range(0, max(1, len(one)), n_rows):
        rows = slice(start, start + n_rows)
        source = query.cameras[rows, None], query.frames[rows, None]
        yield joint.score(joint.likeness(one[rows] @ other.T), source, to).neg_().numpy()


class JointDistances:
    """2 - 2 joint score between all samples, queries first: what `reranking.rerank_distances` takes
    (`Original` there).
    """

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
        likeness = self._joint.likeness(self._features[start:stop] @ self._features[start:].T)
        mirrored = likeness[:, stop - start :].T.clone(memory_format=torch.contiguous_format)
        found = self._joint.score(likeness, self._seen(start, None), self._seen(start, stop, 1))
        mirrored = self._joint.score(mirrored, self._seen(start, stop), self._seen(stop, None, 1))
        return found.mul_(-2).add_(2), mirrored.mul_(-2).add_(2)

    def pairs(self, to: Array, source: Array) -> Array:
        """See `Original`."""
        cosines = torch.cat(
            [distances.dot(a, b) for a, b in distances.paired(self._features, to, source)]
        )
        ends = [(self._cameras[which], self._frames[which]) for which in (source, to)]
        return self._joint.score(self._joint.likeness(cosines), *ends).mul_(-2).add_(2).numpy()

    def _seen(self, start: int, stop: int | None, axes: int = 0) -> tuple[Array, Array]:
        """Cameras and frames of some samples, as columns with `axes` 1."""
        shape = (-1,) + axes * (1,)
        return self._cameras[start:stop].reshape(shape), self._frames[start:stop].reshape(shape)


class _Joint:
    """The joint score with its second factor worked out for every bin. A sighting is (cameras,
    frames).
    """

    def __init__(
        self, model: TransitionModel, alpha: float, query: Sightings, gallery: Sightings
    ) -> None:
        for side in (query, gallery):
            _check(side.cameras, side.frames, len(model.table))
        self._factors = (1 / (1 + 2 * np.exp(-alpha * _padded(model.table)))).astype(np.float32)
        self._bin_frames, self._alpha = model.bin_frames, alpha

    def likeness(self, cosines: Tensor) -> Tensor:
        """First factor, on the CPU, of cosines, which are overwritten."""
        return cosines.mul_(self._alpha).sigmoid_().cpu()

    def score(
        self, likeness: Tensor, source: tuple[Array, Array], to: tuple[Array, Array]
    ) -> Tensor:
        """Score, float32, of sightings: columns (n, 1) and rows (m,), or rows (n,) alike.
        `likeness` is overwritten.
        """
        scores = likeness.numpy()
        step = max(1, PIECE // max(1, scores.size // max(1, len(scores))))
        for start in range(0, len(scores), step):
            rows = slice(start, start + step)
            ends = [
                side[rows] if side.ndim == scores.ndim else side for side in (*source, *to)
            ]  # columns by rows
            scores[rows] *= _look_up(self._factors, self._bin_frames, *ends)
        return likeness


def _unit(query: Sightings, gallery: Sightings) -> tuple[Tensor, Tensor]:
    one, other = distances.tensors(query.features, gallery.features)
    return distances.normalise(one), distances.normalise(other)


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
    """Values of a padded table (C, C, B + 1) at the time between sightings a and b that
    broadcast.
    """
    n_cameras, n_bins = table.shape[1:]
    pair = np.where(
        frame_a > frame_b, camera_a * n_cameras + camera_b, camera_b * n_cameras + camera_a
    )
    bins = np.minimum(np.abs(frame_a - frame_b) // bin_frames, n_bins - 1)
    return np.asarray(table.reshape(-1)[pair * n_bins + bins])


def _divided(table: Array) -> Array:
    """Rows that sum to 1, or stay 0 where nothing was seen."""
    return np.asarray(table / (table.sum(2, keepdims=True) + TINY))
