"""All that is measured on one data set, against plain loops over its images."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from models.reid.data import catalogue
from models.reid.data.samples import Dataset
from models.reid.evaluation import distances, features, report, reranking, spatial_temporal
from models.reid.evaluation.features import Reading
from models.reid.evaluation.protocol import Protocol
from models.reid.evaluation.ranking import RANKS
from models.reid.evaluation.report import (
    SIMILARITIES,
    Choices,
    Row,
    evaluate,
    shown,
    times_between,
)
from tests.models.reid import miniatures
from tests.models.reid.evaluation import expected

Array = np.ndarray[Any, Any]
PARTIAL = {"any_counts": True}


def transitions(data: Dataset) -> spatial_temporal.TransitionModel:
    return spatial_temporal.smooth(times_between(data))


class Colours:
    """An encoder that counts what it sees."""

    width, size, on_cuda = expected.WIDTH, (miniatures.HEIGHT_PX, miniatures.WIDTH_PX), False
    one_size = False

    def __init__(self) -> None:
        self.n_frames = 0

    def features(
        self, clips: Sequence[Array], quality: Sequence[Array] | None = None, scale: float = 1.0
    ) -> Array:
        self.n_frames += sum(len(clip) for clip in clips)
        return np.array(
            [np.mean([expected.image_feature(image) for image in clip], axis=0) for clip in clips],
            np.float32,
        )


class Long(Colours):
    """Features of different length, by chance."""

    def features(self, clips: Sequence[Array], quality: Sequence[Array] | None = None) -> Array:
        return super().features(clips) * np.array(
            [[1 + clip[0, 0, 0, 0] % 4] for clip in clips], np.float32
        )


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = miniatures.market(tmp_path_factory.mktemp("market"))
    return catalogue.load("market1501", root, PARTIAL)


@pytest.fixture(scope="module")
def mars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.mars(tmp_path_factory.mktemp("mars"))


def choices(
    protocol: Protocol | None = None, reading: Reading | None = None, **more: Any
) -> Choices:
    return Choices(protocol or Protocol(), reading or Reading(), **more)


def numbers(row: Row) -> dict[str, float]:
    ranks = {f"rank{k}": row.scores.at(k) for k in RANKS}
    return {"map": row.scores.mean_ap, **ranks, "valid_queries": row.scores.n_valid}


def raw_features(data: Dataset) -> tuple[Array, Array]:
    one, other = (features.extract(Long(), samples) for samples in (data.query, data.gallery))
    return one, other


@pytest.mark.parametrize("over", ["valid", "all"])
@pytest.mark.parametrize("ap", ["precision", "triangle"])
@pytest.mark.parametrize("metric", distances.METRICS)
def test_images_score_as_plain_loops_say(market: Dataset, metric: str, ap: str, over: str) -> None:
    (row,) = evaluate(Colours(), "", market, choices(Protocol(metric, ap, over))).rows
    apart = expected.distances(market.query, market.gallery, metric)
    wanted = expected.scores(apart, market.query, market.gallery, ap, over)
    assert row.name == "plain" and numbers(row) == pytest.approx(wanted)
    assert (
        0.4 < wanted["map"] < 1.0 and wanted["rank1"] > 0.9
    )  # far above chance, and not a test of ones


@pytest.mark.parametrize(("gallery", "n_valid"), [("official", 8), ("without_query", 6)])
@pytest.mark.parametrize("over", ["valid", "all"])
def test_tracklets_score_as_plain_loops_say_in_both_galleries_of_mars(
    mars: Path, gallery: str, n_valid: int, over: str
) -> None:
    data = catalogue.load("mars", mars, {**PARTIAL, "gallery": gallery})
    (row,) = evaluate(Colours(), "", data, choices(Protocol(over=over))).rows
    wanted = expected.scores(
        expected.distances(data.query, data.gallery), data.query, data.gallery, over=over
    )
    assert numbers(row) == pytest.approx(wanted)
    assert (row.scores.n_valid, row.scores.n_queries) == (n_valid, 8)
    assert row.scores.at(1) == pytest.approx(1.0 if over == "valid" else n_valid / 8)


def test_a_tracklet_that_asks_and_answers_is_read_once(mars: Path) -> None:
    encoder, data = Colours(), catalogue.load("mars", mars, PARTIAL)
    assert set(data.query) < set(data.gallery)
    evaluate(encoder, "", data, choices())
    assert encoder.n_frames == sum(len(s.paths) for s in data.gallery)


WAYS = {
    (False, False): ["plain"],
    (True, False): ["plain", "re-ranked"],
    (False, True): ["plain", "spatial-temporal"],
    (True, True): ["plain", "re-ranked", "spatial-temporal", "both"],
}


@pytest.mark.parametrize(("asked", "names"), WAYS.items())
def test_each_way_to_compare_that_is_asked_for_is_a_row(
    market: Dataset, asked: tuple[bool, bool], names: list[str]
) -> None:
    encoder = Colours()
    found = evaluate(encoder, "", market, choices(rerank=asked[0], spatial_temporal=asked[1]))
    assert [row.name for row in found.rows] == names
    assert encoder.n_frames == len(market.query) + len(market.gallery)  # features are made once
    assert (found.transitions is not None) == asked[1]
    assert all(row.scores.n_valid == 12 and row.scores.at(1) > 0.7 for row in found.rows)
    assert 30 < found.rows[0].peak_mib <= found.rows[-1].peak_mib < 30_000


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("form", reranking.FORMS)
def test_re_ranking_takes_features_of_unit_length_for_the_cosine_alone(
    market: Dataset, form: str, metric: str
) -> None:
    _, row = evaluate(
        Long(), "", market, choices(Protocol(metric), rerank=True, rerank_form=form)
    ).rows
    raw = raw_features(market)
    unit = distances.normalise(raw[0]), distances.normalise(raw[1])
    wanted, other = (
        expected.scores(reranking.rerank(*pair, form=form), market.query, market.gallery)
        for pair in ((unit, raw) if metric == "cosine" else (raw, unit))
    )
    assert numbers(row) == pytest.approx(wanted)
    assert wanted != other or form == "st-reid"  # which takes cosines itself


def test_spatial_temporal_rows_use_the_joint_score_of_the_paper(market: Dataset) -> None:
    _, _, row, both = evaluate(
        Colours(), "", market, choices(rerank=True, spatial_temporal=True)
    ).rows
    model, everybody = transitions(market), (*market.query, *market.gallery)

    def joint(i: int, j: int) -> float:
        one, other = everybody[i], everybody[j]
        pair = (one.camera, other.camera) if one.frame > other.frame else (other.camera, one.camera)
        p = float(model.table[*pair, abs(one.frame - other.frame) // model.bin_frames])
        return 1 / (1 + math.exp(-5 * (1 - looks[i, j]))) / (1 + 2 * math.exp(-5 * p))

    looks = expected.distances(everybody, everybody)
    scores = np.array([[joint(i, j) for j in range(len(everybody))] for i in range(len(everybody))])
    n = len(market.query)
    assert numbers(row) == pytest.approx(
        expected.scores(-scores[:n, n:], market.query, market.gallery)
    )
    apart = reranking.rerank_distances(reranking.MatrixDistances(2 - 2 * scores), n)
    assert numbers(both) == pytest.approx(expected.scores(apart, market.query, market.gallery))


def test_times_between_cameras_are_learned_from_training_people_alone(market: Dataset) -> None:
    model = transitions(market)
    people, cameras, frames = (
        np.array([getattr(s, n) for s in market.train]) for n in ("person_id", "camera", "frame")
    )
    wanted = spatial_temporal.smooth(spatial_temporal.estimate(people, cameras, frames, 3))
    assert np.array_equal(model.table, wanted.table) and model.table.shape[:2] == (3, 3)
    swapped = tuple(
        replace(s, person_id=s.person_id + i, frame=s.frame + 900 * i)
        for i, s in enumerate(market.gallery)
    )
    assert np.array_equal(model.table, transitions(replace(market, gallery=swapped)).table)
    later = tuple(replace(s, frame=s.frame + 3000 * s.camera) for s in market.train)
    assert not np.array_equal(model.table, transitions(replace(market, train=later)).table)


def test_cameras_that_no_training_person_saw_are_known_all_the_same(market: Dataset) -> None:
    far = (*market.gallery, replace(market.gallery[0], camera=5))
    (plain, joint) = evaluate(
        Colours(), "", replace(market, gallery=far), choices(spatial_temporal=True)
    ).rows
    assert plain.scores.n_queries == joint.scores.n_queries == 12


@pytest.mark.parametrize("part", ["train", "query", "gallery", "nobody trains"])
def test_without_frame_numbers_or_training_people_nothing_is_computed(
    market: Dataset, part: str
) -> None:
    data = replace(market, train=())
    if part != "nobody trains":
        samples = getattr(market, part)
        data = replace(market, **{part: (replace(samples[0], frame=-1), *samples[1:])})
    encoder = Colours()
    with pytest.raises(
        InputError, match=r"lacks frame numbers or training people; leave out --spatial-temporal$"
    ):
        evaluate(encoder, "", data, choices(spatial_temporal=True))
    assert encoder.n_frames == 0


@pytest.mark.parametrize("part", ["query", "gallery"])
def test_a_data_set_without_query_or_gallery_is_an_error(market: Dataset, part: str) -> None:
    with pytest.raises(InputError, match="market1501 has no query and gallery"):
        evaluate(Colours(), "", replace(market, **{part: ()}), choices())


MEASURES = {
    "plain": "cosine",
    "re-ranked": "re-ranked distance",
    "spatial-temporal": "joint score",
    "both": "re-ranked distance",
}


def test_results_are_shown_with_the_score_that_orders_them(market: Dataset) -> None:
    asked = choices(rerank=True, spatial_temporal=True, top=40)
    rows = evaluate(Colours(), "", market, asked).rows
    assert {row.name: row.measure for row in rows} == MEASURES
    for row in rows:
        scores = shown(row.measure, row.ranking.top_distances)
        assert scores.shape == (12, 40)
        for found, values in zip(row.ranking.top, scores, strict=True):
            steps = np.diff(values[found >= 0])
            assert (steps <= 0).all() if row.measure in SIMILARITIES else (steps >= 0).all()
    cosines = 1 - expected.distances(market.query, market.gallery)
    first = shown("cosine", rows[0].ranking.top_distances[3, :5])
    assert first == pytest.approx(cosines[3, rows[0].ranking.top[3, :5]], abs=1e-5)
    assert (np.abs(shown("joint score", rows[2].ranking.top_distances[:, 0]) - 0.33) < 0.03).all()


@pytest.mark.parametrize("metric", ["squared_euclidean", "euclidean"])
def test_distances_are_shown_as_they_are(market: Dataset, metric: str) -> None:
    (row,) = evaluate(Colours(), "", market, choices(Protocol(metric), top=3)).rows
    assert row.measure == metric.replace("_", " ")
    apart = expected.distances(market.query, market.gallery, metric)
    wanted = np.take_along_axis(apart, row.ranking.top, 1)
    assert shown(row.measure, row.ranking.top_distances) == pytest.approx(wanted, rel=1e-3)


def test_an_open_set_is_ranked_without_the_people_who_left(market: Dataset) -> None:
    asked = choices(rerank=True, left_out=0.5, seed=4)
    report = evaluate(Colours(), "", market, asked)
    found = report.open_set
    assert found is not None
    assert (found.left_out.n_left_out, found.left_out.n_people) == (2, 4)
    alone = evaluate(Colours(), "", found.left_out.data, choices(rerank=True, top=1)).rows
    assert list(found.matches) == [row.name for row in alone]
    for matches, other in zip(found.matches.values(), alone, strict=True):
        assert np.array_equal(matches.distance, other.ranking.top_distances[:, 0])
        assert matches.has_mate.sum() == matches.has_none.sum() == 6
    assert report.rows[0].scores.n_valid == 12  # the other scores are of the whole gallery
    assert found.even is not None
    assert 0 < found.even.even < 1


def test_too_few_people_for_an_open_set_are_said_before_the_features(market: Dataset) -> None:
    encoder = Colours()
    one = replace(market, query=tuple(s for s in market.query if s.person_id == 1))
    with pytest.raises(InputError, match="open-set scores need two people"):
        evaluate(encoder, "", one, choices(left_out=0.5))
    assert encoder.n_frames == 0


def test_a_single_gallery_shot_draws_the_same_on_every_run(tmp_path: Path) -> None:
    data = catalogue.load("cuhk03", miniatures.cuhk03(tmp_path), {**PARTIAL, "protocol": "classic"})
    once, again = (
        evaluate(Colours(), "", data, choices(Protocol(single_shot=True))).rows[0] for _ in range(2)
    )
    assert numbers(once) == numbers(again) and once.scores.n_valid == len(data.query)


def test_kept_features_are_used_for_the_same_weights_samples_and_reading_alone(
    market: Dataset, tmp_path: Path
) -> None:
    def kept(data: Dataset = market, digest: str = "a", reading: Reading | None = None) -> bool:
        encoder = Colours()
        found = evaluate(encoder, digest, data, choices(reading=reading, cache=tmp_path))
        assert found.cached == (encoder.n_frames == 0)
        return found.cached

    assert not kept()
    assert kept()
    assert not kept(digest="b")
    assert not any(
        kept(reading=reading)
        for reading in (
            Reading(flip=True),
            Reading("evenly"),
            Reading(length=3),
            Reading(scales=(1.0, 1.1)),
        )
    )
    assert not kept(replace(market, gallery=market.gallery[1:]))
    assert kept()
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"] * 7


def test_peak_memory_is_what_the_system_says() -> None:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("needs Linux's /proc")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    assert report.peak_mib() == pytest.approx(int(line.split()[1]) / 1024, rel=0.02)
