"""Evaluation on one data set: features, then one row of scores for each way to compare them."""

import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.errors import InputError
from models.reid.data.samples import Dataset, Sample
from models.reid.encoder import Encoder
from models.reid.evaluation import distances, features, reranking, spatial_temporal
from models.reid.evaluation.distances import Array
from models.reid.evaluation.features import Reading
from models.reid.evaluation.protocol import Protocol, score
from models.reid.evaluation.ranking import Ranking, Scores
from models.reid.evaluation.spatial_temporal import (
    ALPHA,
    SMOOTH_BINS,
    JointDistances,
    Sightings,
    TransitionModel,
)


@dataclass(frozen=True)
class Choices:
    """What is evaluated and how.

    spatial_temporal: needs frame numbers, and training people or `times`. times: file with the raw
    distribution of times between cameras; None learns it from the training people. smooth_bins:
    standard deviation of its smoothing. alpha: slope of the joint score's factors.
    """

    protocol: Protocol
    reading: Reading
    rerank: bool = False
    rerank_form: str = "paper"
    spatial_temporal: bool = False
    cache: Path | None = None
    top: int = 0
    times: Path | None = None
    smooth_bins: float = SMOOTH_BINS
    alpha: float = ALPHA


@dataclass(frozen=True)
class Row:
    """One way to compare.

    seconds: its own time without features. peak_mib: the process's largest memory by then.
    """

    name: str
    scores: Scores
    ranking: Ranking
    seconds: float
    peak_mib: float


@dataclass
class Report:
    """Rows, and what the features took; times between cameras where they were asked for, as they
    were learned and smoothed.

    query_features (Q, D) and gallery_features (G, D) are raw, as the network gives them.
    """

    rows: list[Row] = field(default_factory=list)
    feature_seconds: float = 0.0
    cached: bool = False
    query_features: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    gallery_features: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    times: TransitionModel | None = None
    transitions: TransitionModel | None = None
    alike: Callable[[int, Array], Array] = lambda q, g: np.zeros(len(g))
    """Cosines of query q (its place) and gallery items g (places)."""

    def add(
        self,
        name: str,
        make: Callable[[], Array | Iterable[Array]],
        data: Dataset,
        choices: Choices,
    ) -> None:
        """Compute distances and their scores as one row."""
        started_s = time.perf_counter()
        scores, ranking = score(make(), data.query, data.gallery, choices.protocol, choices.top)
        took_s = time.perf_counter() - started_s
        self.rows.append(Row(name, scores, ranking, took_s, peak_mib()))


def evaluate(
    encoder: Encoder, digest: str, data: Dataset, choices: Choices, progress: bool = False
) -> Report:
    """Evaluate a network on query and gallery of a data set.

    Args:
        encoder: The network.
        digest: Stands for its weights in the cache's key.
        data: The data set.
        choices: What to evaluate and how.
        progress: Whether to show a bar.

    Returns:
        One row of scores for each way to compare.

    Raises:
        InputError: There is nothing to rank, or there are no frame numbers for spatial-temporal
            scores; before the features, which take long.
    """
    if not data.query or not data.gallery:
        raise InputError(
            f"{data.root}: {data.name} has no query and gallery as it was read, so nothing can be"
            " ranked; people in a folder without roles are tested with --set use=test"
        )
    report = Report()
    if choices.spatial_temporal:
        report.times = times_between(data, choices.times)
        report.transitions = spatial_temporal.smooth(report.times, choices.smooth_bins)
    started = time.perf_counter()
    query, gallery, report.cached = _features(encoder, digest, data, choices, progress)
    report.feature_seconds = time.perf_counter() - started
    report.query_features = query
    report.gallery_features = gallery
    protocol = choices.protocol
    report.alike = lambda q, g: 1 - distances.pairwise(query[[q]], gallery[g])[0]
    report.add("plain", lambda: distances.blocks(query, gallery, protocol.metric), data, choices)
    if choices.rerank:
        near = distances.normalise if protocol.metric == "cosine" else np.asarray
        report.add(
            "re-ranked",
            lambda: reranking.rerank(near(query), near(gallery), form=choices.rerank_form),
            data,
            choices,
        )
    if model := report.transitions:
        seen = _sightings(query, data.query), _sightings(gallery, data.gallery)
        report.add(
            "spatial-temporal",
            lambda: spatial_temporal.joint_distances(*seen, model, choices.alpha),
            data,
            choices,
        )
        if choices.rerank:
            both = JointDistances(*seen, model, choices.alpha)
            report.add("both", lambda: reranking.rerank_distances(both, len(query)), data, choices)
    return report


def times_between(data: Dataset, known: Path | None = None) -> TransitionModel:
    """Learn how long people take between cameras from the training people, or read it.

    Args:
        data: Its query and gallery only say how many cameras there are.
        known: File that an earlier evaluation wrote; None learns.

    Returns:
        The raw distribution.

    Raises:
        InputError: There are no training people, some samples have no frame number, or the file is
            of other cameras.
    """
    tested = [*data.query, *data.gallery]
    samples = tested if known else [*data.train, *tested]
    lacks_frames = any(sample.frame < 0 for sample in samples)
    if lacks_frames or not (known or data.train):
        raise InputError(
            f"{data.root}: {data.name} lacks frame numbers or training people; leave out"
            " --spatial-temporal"
        )
    n_cameras = 1 + max(sample.camera for sample in samples)
    if known:
        model = spatial_temporal.load(known)
        if len(model.table) < n_cameras:
            raise InputError(
                f"{known}: knows the times between {len(model.table)} cameras; {data.name} has"
                f" {n_cameras}"
            )
        return model
    people = np.array([sample.person_id for sample in data.train])
    cameras, frames = _when(data.train)
    return spatial_temporal.estimate(people, cameras, frames, n_cameras)


def peak_mib() -> float:
    """Largest resident memory of the process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _features(
    encoder: Encoder, digest: str, data: Dataset, choices: Choices, progress: bool
) -> tuple[Array, Array, bool]:
    """Features of query and gallery; a sample that is in both (MARS) is read once."""
    samples = list(dict.fromkeys([*data.query, *data.gallery]))
    place = {sample: i for i, sample in enumerate(samples)}
    key = {
        "weights": digest,
        "rule": choices.reading.rule,
        "length": choices.reading.length,
        "flip": choices.reading.flip,
    }

    def extract(parts: Path | None) -> Array:
        return features.extract(encoder, samples, choices.reading, progress, parts=parts)

    found, cached = features.cached(choices.cache, key, samples, extract)
    query = found[[place[sample] for sample in data.query]]
    gallery = found[[place[sample] for sample in data.gallery]]
    return query, gallery, cached


def _sightings(features: Array, samples: Sequence[Sample]) -> Sightings:
    return Sightings(features, *_when(samples))


def _when(samples: Sequence[Sample]) -> tuple[Array, Array]:
    """Cameras and frames (n,) of samples."""
    return np.array([s.camera for s in samples]), np.array([s.frame for s in samples])
