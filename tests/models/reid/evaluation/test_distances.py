"""Distances between features."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from models.errors import InputError
from models.reid.evaluation import distances
from tests.models.reid.golden import F

QUERY, GALLERY = F(5, 8), F(9, 8, 3.77, 5.1)


def plain(metric: str) -> np.ndarray:
    """Distances by their definitions, in double precision."""
    squared = ((QUERY[:, None] - GALLERY[None]) ** 2).sum(2)
    if metric == "cosine":
        lengths = np.linalg.norm(QUERY, axis=1)[:, None] * np.linalg.norm(GALLERY, axis=1)
        return 1 - QUERY @ GALLERY.T / lengths
    return squared if metric == "squared_euclidean" else np.sqrt(squared)


@pytest.mark.parametrize("metric", distances.METRICS)
def test_each_metric_is_its_definition_for_arrays_and_tensors(metric: str) -> None:
    found = distances.pairwise(QUERY, GALLERY, metric)
    assert found.dtype == np.float32
    assert_allclose(found, plain(metric), atol=1e-5)
    assert_array_equal(
        distances.pairwise(torch.from_numpy(QUERY), torch.from_numpy(GALLERY), metric), found
    )


@pytest.mark.parametrize("metric", distances.METRICS)
@pytest.mark.parametrize("n_rows", [1, 2, 5, 50])
def test_blocks_are_rows_in_order_whatever_their_size(metric: str, n_rows: int) -> None:
    parts = list(distances.blocks(QUERY, GALLERY, metric, n_rows))
    assert [len(p) for p in parts[:-1]] == [n_rows] * (len(parts) - 1)
    assert_allclose(np.concatenate(parts), plain(metric), atol=1e-5)


def test_an_item_is_not_at_a_negative_distance_of_itself() -> None:
    features = 100 + F(20, 64)
    assert distances.pairwise(features, features, "squared_euclidean").min() >= 0


def test_a_gallery_or_query_of_nothing_has_distances_of_nothing() -> None:
    assert distances.pairwise(QUERY, GALLERY[:0]).shape == (5, 0)
    assert distances.pairwise(QUERY[:0], GALLERY).shape == (0, 9)


def test_normalised_rows_have_length_one_and_zero_stays_zero() -> None:
    features = QUERY.copy()
    features[2] = 0
    unit = distances.normalise(features)
    assert_allclose(np.linalg.norm(unit, axis=1), [1, 1, 0, 1, 1], atol=1e-6)
    assert isinstance(distances.normalise(torch.from_numpy(features)), torch.Tensor)


def test_features_are_left_as_they_were() -> None:
    query, gallery = QUERY.astype(np.float32), GALLERY.astype(np.float32)
    for metric in distances.METRICS:
        distances.pairwise(query, gallery, metric)
    assert_array_equal(query, QUERY.astype(np.float32))
    assert_array_equal(gallery, GALLERY.astype(np.float32))


@pytest.mark.parametrize(
    ("query", "gallery", "metric", "says"),
    [
        (QUERY, GALLERY, "manhattan", "metric manhattan: expected one of squared_euclidean"),
        (QUERY, GALLERY[:, :3], "cosine", "queries have 8 features and the gallery 3"),
        (QUERY[0], GALLERY, "cosine", r"features have shape \(8,\)"),
    ],
)
def test_what_does_not_fit_is_said(
    query: np.ndarray, gallery: np.ndarray, metric: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        distances.blocks(query, gallery, metric)
