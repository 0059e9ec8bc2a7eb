"""Evaluation on one data set: features, then one row of scores for each way to compare them."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.errors import InputError
from models.reid.data.samples import Dataset, Sample
from models.reid.encoder import Encoder
from models.reid.evaluation import (
    distances,
    even_odds,
    features,
    open_set,
    ranking,
    reranking,
    spatial_temporal,
)
from models.reid.evaluation.distances import Array
from models.reid.evaluation.even_odds import Curve
from models.reid.evaluation.features import ONE_SCALE, Reading
from models.reid.evaluation.open_set import LeftOut, Matches
from models.reid.evaluation.protocol import Protocol, labels, score
from models.reid.evaluation.ranking import Ranking, Scores
from models.reid.evaluation.spatial_temporal import (
    ALPHA,
    SMOOTH_BINS,
    JointDistances,
    Sightings,
    TransitionModel,
)

COSINE = "cosine"
JOINT_SCORE = "joint score"
SIMILARITIES = (COSINE, JOINT_SCORE)
"""Measures that grow with similarity; the others are distances."""


@dataclass(frozen=True)
class Choices:
    """What is evaluated and how.

    spatial_temporal: needs frame numbers, and training people or `times`. times: file with the raw
    distribution of times between cameras; None learns it from the training people. smooth_bins:
    standard deviation of its smoothing. alpha: slope of the joint score's factors. left_out: share
    of the people who leave the gallery for open-set scores, drawn with `seed`; 0 computes none.
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
    left_out: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One way to compare.

    measure: what orders the gallery, see `shown`. seconds: its own time without features. peak_mib:
    the process's largest memory by then.
    """

    name: str
    measure: str
    scores: Scores
    ranking: Ranking
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Way:
    """One way to compare, before it is computed: `make` returns distances (Q, G), or blocks of
    their rows.
    """

    name: str
    measure: str
    make: Callable[[], Array | Iterable[Array]]


@dataclass(frozen=True)
class OpenSet:
    """What is known of queries without a mate.

    left_out: who left the gallery. matches: the nearest item of every query, by the name of a row.
    even: what a cosine means in the whole gallery; None without a pair of each kind seen by
    different cameras.
    """

    left_out: LeftOut
    matches: dict[str, Matches]
    even: Curve | None


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
    open_set: OpenSet | None = None


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
        InputError: There is nothing to rank, there are no frame numbers for spatial-temporal
            scores or too few people for open-set scores, or the network takes one size only; before
            the features, which take long.
    """
    _check(encoder, data, choices.reading)
    report = Report()
    left_out = None
    if choices.left_out:
        left_out = open_set.leave_out(data, choices.left_out, choices.seed)
    if choices.spatial_temporal:
        report.times = times_between(data, choices.times)
        report.transitions = spatial_temporal.smooth(report.times, choices.smooth_bins)
    started = time.perf_counter()
    query, gallery, report.cached = _features(encoder, digest, data, choices, progress)
    report.feature_seconds = time.perf_counter() - started
    report.query_features = query
    report.gallery_features = gallery
    for way in _ways(query, gallery, data, choices, report.transitions):
        started_s = time.perf_counter()
        scores, found = score(way.make(), data.query, data.gallery, choices.protocol, choices.top)
        took_s = time.perf_counter() - started_s
        report.rows.append(Row(way.name, way.measure, scores, found, took_s, peak_mib()))
    if left_out:
        matches = _matches(report, left_out, choices)
        report.open_set = OpenSet(left_out, matches, _even_odds(query, gallery, data))
    return report


def _check(encoder: Encoder, data: Dataset, reading: Reading) -> None:
    """Raise InputError where there is nothing to rank, or the network cannot be asked so."""
    if not data.query or not data.gallery:
        raise InputError(
            f"{data.root}: {data.name} has no query and gallery as it was read, so nothing can be"
            " ranked; people in a folder without roles are tested with --set use=test"
        )
    if reading.scales != ONE_SCALE and encoder.one_size:
        height_px, width_px = encoder.size
        raise InputError(
            f"this network takes crops of {height_px}x{width_px} px only; leave out --scales"
        )


def shown(measure: str, apart: Array | float) -> Array:
    """Turn the distances that order a gallery into the numbers that people know.

    Args:
        measure: Of a `Row`: one of `SIMILARITIES`, or a kind of distance.
        apart: Distances of any shape.

    Returns:
        Cosines -1..1, joint scores 0..1, or else the distances.
    """
    if measure == COSINE:
        return 1 - np.asarray(apart)
    if measure == JOINT_SCORE:
        return -np.asarray(apart)
    return np.asarray(apart)


def _ways(
    query: Array,
    gallery: Array,
    data: Dataset,
    choices: Choices,
    transitions: TransitionModel | None,
) -> Iterator[Way]:
    """All ways to compare features of queries (Q, D) and of a gallery (G, D)."""
    metric = choices.protocol.metric
    yield Way(
        "plain",
        metric.replace("_", " "),
        lambda: distances.blocks(query, gallery, metric),
    )
    if choices.rerank:
        near = distances.normalise if metric == "cosine" else np.asarray
        yield Way(
            "re-ranked",
            "re-ranked distance",
            lambda: reranking.rerank(near(query), near(gallery), form=choices.rerank_form),
        )
    if transitions is None:
        return
    seen = _sightings(query, data.query), _sightings(gallery, data.gallery)
    yield Way(
        "spatial-temporal",
        JOINT_SCORE,
        lambda: spatial_temporal.joint_distances(*seen, transitions, choices.alpha),
    )
    if choices.rerank:
        both = JointDistances(*seen, transitions, choices.alpha)
        yield Way(
            "both",
            "re-ranked distance",
            lambda: reranking.rerank_distances(both, len(query)),
        )


def _even_odds(query: Array, gallery: Array, data: Dataset) -> Curve | None:
    """See `OpenSet.even`."""
    try:
        return even_odds.fit(query, gallery, data)
    except ValueError:
        return None


def _matches(report: Report, left_out: LeftOut, choices: Choices) -> dict[str, Matches]:
    """Compare with the gallery from which people were left out; see `OpenSet.matches`."""
    rest = left_out.data
    gallery = report.gallery_features[left_out.kept]
    known = labels(rest.query, rest.gallery)
    matches = {}
    for way in _ways(report.query_features, gallery, rest, choices, report.transitions):
        nearest = ranking.rank(way.make(), *known, top=1)
        matches[way.name] = open_set.matches(nearest, rest)
    return matches


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
    if choices.reading.scales != ONE_SCALE:  # features kept before there were scales stay valid
        key["scales"] = choices.reading.scales

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
