from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.config import LinkingConfig
from pipeline.linking.evidence.appearance import MAX_LOG_ODDS, Appearance, clarity
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import similarity
from pipeline.linking.learning.similarity import Calibration
from pipeline.records import Camera, Embedded, Tracklet
from pipeline.vectors import pool

CAMERAS = {
    name: Camera(name, f"{name}.mp4", 1000, 1000, 10, 0, -1, np.zeros((0, 0))) for name in "ab"
}
CONFIG = LinkingConfig()


def calibrate(index: TrackletIndex, *arguments: Any) -> Calibration:
    """Fit the curve to an index."""
    return similarity.calibrate(similarity.sample(index).samples, index.names, *arguments)


def site(
    n_people: int, noise: float, common: float, quality: float = 1.0, seed: int = 0
) -> TrackletIndex:
    """People who stand in camera a together and then in b; looks are themselves + `noise` + what
    all have in `common`.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=128)
    embedded = []
    for i in range(n_people):
        self_ = rng.normal(size=128) + common * shared
        for k, camera in enumerate("ab"):
            looks = self_ + noise * rng.normal(size=(8, 128))
            looks /= np.linalg.norm(looks, axis=1, keepdims=True)
            times = np.arange(8) + 100.0 * k
            rows = np.tile(np.array([0, 0, 40, 100], np.float32), (8, 1))
            no_crops = np.zeros((0, 256, 128, 3), np.uint8)
            tracklet = Tracklet(
                camera,
                i,
                np.arange(8),
                times,
                rows,
                np.ones(8, np.float32),
                no_crops,
                np.zeros(0, np.float32),
                np.zeros(0),
            )
            weights = np.full(8, quality, np.float32)
            embedded.append(
                Embedded(tracklet, pool(looks, weights), looks.astype(np.float16), weights, times)
            )
    return TrackletIndex(embedded, CAMERAS)


def test_without_tracklets_the_curve_is_that_of_the_settings() -> None:
    found = calibrate(TrackletIndex([], CAMERAS), CONFIG)
    assert found.n_same == found.n_different == 0
    assert found.curve.scale == pytest.approx(CONFIG.similarity_scale)


def test_the_fewer_the_pairs_the_nearer_the_curve_is_to_the_settings() -> None:
    evens = [
        float(calibrate(site(n, 0.3, 3.0), CONFIG).curve.even.mean()) for n in (1, 2, 4, 8, 16, 32)
    ]
    assert evens == sorted(evens)
    assert evens[0] < CONFIG.similarity_at_even_odds + 0.07
    assert evens[-1] > 0.8  # all look alike at this site: cosines of 0.9


@pytest.mark.parametrize("common", [0.0, 0.5, 1.0, 2.0])
def test_even_odds_lie_between_two_people_and_one(common: float) -> None:
    s = site(30, 0.5, common)
    curve = calibrate(s, CONFIG).curve
    looks = Appearance.of(s.embedded, s.camera, curve)
    i, j = np.triu_indices(len(s), 1)
    same = np.array(
        [s.tracklets[a].track_id == s.tracklets[b].track_id for a, b in zip(i, j, strict=True)]
    )
    odds = looks.odds(i, j)
    assert np.median(odds[same]) > 2 and np.median(odds[~same]) < -2


@pytest.mark.parametrize(
    ("noise", "common", "words"), [(0.3, 0.0, "well"), (4.5, 0.0, "fairly"), (6.0, 2.0, "poorly")]
)
def test_it_says_in_words_how_well_a_site_separates(
    noise: float, common: float, words: str
) -> None:
    found = calibrate(site(30, noise, common), CONFIG)
    assert f"apart {words}" in found.in_words() and f"{found.n_same} tracklets" in found.in_words()


def test_people_seen_together_who_look_like_one_person_are_counted_and_told() -> None:
    different = calibrate(site(20, 0.3, 0.0), CONFIG)
    assert (different.n_together, different.n_alike) == (2 * 190, 0)
    assert different.lookalike_share == pytest.approx(1 / 382)
    assert "look like one person" not in different.in_words()

    index = site(20, 0.3, 0.0)
    dressed = {i: index.embedded[i % 2] for i in range(20)}  # 10 in each of two looks
    alike = [
        replace(dressed[e.tracklet.track_id], tracklet=e.tracklet, crop_times_s=e.crop_times_s)
        for e in index.embedded
    ]
    found = calibrate(TrackletIndex(alike, CAMERAS), CONFIG)
    assert found.n_alike == 2 * 2 * 45
    assert f"but {found.n_alike} of 380 pairs here look like one person" in found.in_words()


def test_of_lookalikes_nothing_is_known_where_nobody_was_seen_together() -> None:
    found = similarity.calibrate(similarity.NO_SAMPLES, (), CONFIG)
    assert found.lookalike_share == 0.5


def test_lookalikes_are_counted_of_cameras_that_have_left_the_window() -> None:
    samples = similarity.sample(site(20, 0.3, 0.0)).samples
    known = similarity.calibrate(samples, "ab", CONFIG)
    half = similarity.calibrate(samples, "a", CONFIG)
    assert (half.n_together, half.n_alike) == (known.n_together, known.n_alike)


def test_cosines_of_poor_crops_are_judged_by_what_is_to_be_expected_of_them() -> None:
    clear, poor = (
        clarity(site(2, 0.3, 0.0).embedded),
        clarity(site(2, 0.3, 0.0, quality=0.01).embedded),
    )
    assert (clear > 0.95).all() and (poor < 0.5).all()


def test_products_of_rows_are_the_log_odds_of_the_curve() -> None:
    s = site(5, 1.0, 0.5, quality=0.05)
    curve = calibrate(s, CONFIG).curve
    looks, clear = Appearance.of(s.embedded, s.camera, curve), clarity(s.embedded)
    for i in range(len(s)):
        for j in range(i):
            cosine = float(s.embedded[i].embedding @ s.embedded[j].embedding)
            even = (curve.even[s.camera[i]] + curve.even[s.camera[j]]) / 2 * clear[i] * clear[j]
            expected = np.clip((cosine - even) / curve.scale, -MAX_LOG_ODDS, MAX_LOG_ODDS)
            (odds,) = looks.odds(np.array([i]), np.array([j]))
            assert odds == pytest.approx(expected, abs=1e-4)


def test_pairs_of_strangers_are_spread_over_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten hours with three people in view at once, and room for one pair of them an hour."""
    monkeypatch.setattr(similarity, "MAX_PAIRS", 10)
    rng = np.random.default_rng(0)
    embedded = []
    for hour in range(10):
        for i in range(3):
            e = site(1, 0.3, 0.0, seed=int(rng.integers(1000))).embedded[0]
            tracklet = replace(e.tracklet, track_id=3 * hour + i)
            embedded.append(replace(e, tracklet=tracklet).shifted(3600.0 * hour + i))
    index = TrackletIndex(embedded, CAMERAS)
    pairs = similarity.sample(index).pairs
    hours = index.start_s[pairs] // 3600
    assert (hours[:, 0] == hours[:, 1]).all()
    assert hours[:, 0].tolist() == list(range(10))
