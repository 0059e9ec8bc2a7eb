"""What a cosine means: the fitted curve from similarity to odds."""

from pathlib import Path

import numpy as np
import pytest

from models.reid.data.samples import Dataset, Sample
from models.reid.evaluation import even_odds


def people(n: int, camera: int) -> tuple[Sample, ...]:
    return tuple(Sample((Path(f"{person}.jpg"),), person, camera) for person in range(n))


def pair_set(cosines_same: np.ndarray, different: float) -> tuple[np.ndarray, np.ndarray, Dataset]:
    """Query i has the cosine given to gallery item i, and about `different` to the others."""
    n = len(cosines_same)
    common = np.sqrt(max(different, 0.0))
    query = np.zeros((n, 2 * n + 1))
    gallery = np.zeros((n, 2 * n + 1))
    query[:, 0] = gallery[:, 0] = common
    rows = np.arange(n)
    rest = 1 - common**2
    query[rows, 1 + rows] = np.sqrt(rest)
    own = (cosines_same - common**2) / np.sqrt(rest)
    gallery[rows, 1 + rows] = own
    gallery[rows, 1 + n + rows] = np.sqrt(np.maximum(rest - own**2, 0))
    data = Dataset("pairs", Path(), (), people(n, 0), people(n, 1), video=False)
    return query, gallery, data


def test_the_even_point_lies_between_the_same_person_and_others() -> None:
    rng = np.random.default_rng(0)
    query, gallery, data = pair_set(rng.normal(0.7, 0.05, 200).clip(0.5, 0.9), 0.3)
    curve = even_odds.fit(query, gallery, data)
    assert 0.35 < curve.even < 0.65
    assert curve.error < 0.01


def test_the_curve_finds_the_log_odds_that_pairs_were_drawn_with() -> None:
    rng = np.random.default_rng(1)
    values = (np.arange(even_odds.N_BINS) + 0.5) / even_odds.N_BINS * 2 - 1
    odds = np.exp((values - 0.4) / 0.08)
    frequency = np.exp(-0.5 * ((values - 0.4) / 0.2) ** 2)
    same = rng.poisson(1e5 * frequency * odds / (1 + odds)).astype(float)
    different = rng.poisson(1e5 * frequency / (1 + odds)).astype(float)
    slope, offset = even_odds._logistic(values, same / same.sum(), different / different.sum())
    assert -offset / slope == pytest.approx(0.4, abs=0.005)
    assert 1 / slope == pytest.approx(0.08, rel=0.02)


def test_pairs_of_one_camera_do_not_count() -> None:
    query, gallery, data = pair_set(np.full(20, 0.8), 0.2)
    alone = Dataset(data.name, data.root, (), data.query, people(20, 0), video=False)
    with pytest.raises(ValueError, match="no pair of one person"):
        even_odds.fit(query, gallery, alone)


def test_a_set_of_one_person_has_no_even_point() -> None:
    query, gallery, data = pair_set(np.full(1, 0.8), 0.2)
    with pytest.raises(ValueError, match="or none of two people"):
        even_odds.fit(query, gallery, data)
