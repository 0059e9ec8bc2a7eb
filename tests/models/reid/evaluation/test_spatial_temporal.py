"""Transition times between cameras and the joint score."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from models.errors import InputError
from models.reid.evaluation import distances, ranking, reranking, spatial_temporal
from models.reid.evaluation.spatial_temporal import JointDistances, Sightings, TransitionModel
from tests.models.reid.golden import F


def golden() -> TransitionModel:
    """The histogram of the golden numbers: 40 people, cameras 1..6."""
    rows = [
        (i, c - 1, 1000 + 37 * i + 900 * c * c + 20 * ((13 * i + 29 * c) % 50) + 25 * r)
        for i in range(40)
        for c in range(1, 7)
        if (7 * i + 3 * c) % 4
        for r in range(1 + (i + c) % 3)
    ]
    return spatial_temporal.estimate(*np.array(rows).T)


def test_golden_histogram() -> None:
    table = golden().table
    assert table.shape == (6, 6, 5000)
    assert table[1, 0].sum() == pytest.approx(1, abs=5e-7)
    assert (table[1, 0].argmax(), round(table[1, 0].max(), 6)) == (22, 0.7)
    assert not table[0, 1].any()
    assert (table > 0).sum() == 36


def test_golden_smoothed_histogram() -> None:
    row = spatial_temporal.smooth(golden()).table[1, 0]
    assert row.argmax() == 25
    assert_allclose(
        row[[25, 0, 30, 100, 300]],
        [0.01146705, 0.01013179, 0.01140996, 0.00375750, 0],
        rtol=0,
        atol=5e-9,
    )


def test_golden_joint_scores() -> None:
    found = spatial_temporal.joint_score(
        np.array([0.9, 0.9, 0.5, 1]), np.array([0, 0.005, 0.01, 0])
    )
    assert_allclose(found, [0.32967102, 0.33518824, 0.31839963, 0.33110238], rtol=0, atol=5e-9)


Seen = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def sightings(draw: st.DrawFn) -> Seen:
    """Ids, cameras (more than any data set here has) and frames; several frames of a person in a
    camera, equal times.
    """
    n = draw(st.integers(1, 25))
    person, camera = (draw(hnp.arrays(np.int64, n, elements=st.integers(0, top))) for top in (4, 9))
    return (
        person,
        camera,
        draw(
            hnp.arrays(
                np.int64, n, elements=st.sampled_from([0, 1, 50, 99, 100, 101, 730, 1999, 2500])
            )
        ),
    )


@given(sightings())
@settings(max_examples=100)
def test_the_histogram_is_counted_pair_by_pair_with_its_direction(seen: Seen) -> None:
    n_bins = 20
    visits = {
        (p, c): seen[2][(seen[0] == p) & (seen[1] == c)].sum()
        / (((seen[0] == p) & (seen[1] == c)).sum() + 1e-7)
        for p, c in zip(*seen[:2], strict=True)
    }
    expected = np.zeros((10, 10, n_bins))
    for (p, j), first in visits.items():
        for (q, k), second in visits.items():
            if p == q and j < k and int(abs(first - second) / 100) < n_bins:
                later, earlier = (j, k) if first > second else (k, j)
                expected[later, earlier, int(abs(first - second) / 100)] += 1
    expected /= expected.sum(2, keepdims=True) + 1e-7
    assert_allclose(spatial_temporal.estimate(*seen, n_cameras=10, n_bins=n_bins).table, expected)


@pytest.mark.parametrize("sigma", [0.1, 1, 2.5, 50])
def test_smoothing_adds_a_bell_around_every_transition(sigma: float) -> None:
    table = np.zeros((2, 2, 40))
    table[1, 0, [0, 3, 39]] = 0.25, 0.5, 0.25
    expected = np.zeros(40)
    for at, weight in ((0, 0.25), (3, 0.5), (39, 0.25)):
        for b in range(40):
            if abs(b - at) <= 3 * sigma:
                expected[b] += (
                    weight
                    * np.exp(-((b - at) ** 2) / (2 * sigma**2))
                    / (sigma * np.sqrt(2 * np.pi))
                )
    found = spatial_temporal.smooth(TransitionModel(table), sigma).table
    assert_allclose(found[1, 0], expected / (expected.sum() + 1e-7), atol=1e-12)
    assert not found[[0, 0, 1], [0, 1, 1]].any()


def test_a_smoothing_of_nothing_leaves_the_model() -> None:
    assert_array_equal(spatial_temporal.smooth(golden(), 0).table, golden().table)


def model(n_cameras: int = 3, n_bins: int = 4) -> TransitionModel:
    """Another probability for every direction, pair and bin, but none within a camera."""
    table = np.random.default_rng(0).random((n_cameras, n_cameras, n_bins))
    table[np.arange(n_cameras), np.arange(n_cameras)] = 0
    return TransitionModel(table)


def test_a_probability_is_that_of_the_later_and_the_earlier_camera() -> None:
    known = model()
    camera_a, camera_b, frame_a, frame_b = (
        np.array([0, 0, 2, 1, 0, 1]),
        np.array([1, 1, 1, 2, 2, 1]),
        *np.array([[150, 150, 0, 700, 10_000, 5], [40, 350, 399, 700, 0, 60]]),
    )
    expected = [
        known.table[0, 1, 1],
        known.table[1, 0, 2],
        known.table[1, 2, 3],
        known.table[2, 1, 0],
        0,
        0,
    ]
    assert_array_equal(known.probability(camera_a, frame_a, camera_b, frame_b), expected)
    square = known.probability(camera_a[:, None], frame_a[:, None], camera_b, frame_b)
    assert square.shape == (6, 6)
    assert_array_equal(square.diagonal(), expected)


@pytest.fixture
def both() -> tuple[Sightings, Sightings]:
    """Queries and gallery, some at the same frame."""
    rng = np.random.default_rng(1)
    sides = [(F(7, 8), 7), (F(12, 8, 3.77, 5.1), 12)]
    query, gallery = (
        Sightings(f, rng.integers(0, 3, n), 60 * rng.integers(0, 8, n)) for f, n in sides
    )
    return query, gallery


def scores(query: Sightings, gallery: Sightings) -> np.ndarray:
    """Joint scores from [query] to [gallery] by their definition."""
    one, other = (
        np.asarray(s.features) / np.linalg.norm(s.features, axis=1, keepdims=True)
        for s in (query, gallery)
    )
    p = model().probability(
        query.cameras[:, None], query.frames[:, None], gallery.cameras, gallery.frames
    )
    return spatial_temporal.joint_score(one @ other.T, p)


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_joint_distances_rank_by_the_joint_score(
    both: tuple[Sightings, Sightings], n_rows: int
) -> None:
    blocks = list(spatial_temporal.joint_distances(*both, model(), n_rows=n_rows))
    assert_allclose(np.concatenate(blocks), -scores(*both), rtol=1e-5)
    assert len(blocks) == {0: 1, 1: 7, 3: 3}[n_rows]


def test_reranking_takes_the_joint_scores_of_all_samples(
    both: tuple[Sightings, Sightings], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Sightings(
        *(
            np.concatenate([getattr(s, name) for s in both])
            for name in ("features", "cameras", "frames")
        )
    )
    matrix = 2 - 2 * scores(together, together)
    joint = JointDistances(*both, model())
    assert (matrix != matrix.T).any()
    assert len(joint) == 19
    rows, rest = joint.rows(4, 9)
    assert_allclose(rows, matrix.T[4:9, 4:], rtol=1e-5)
    assert_allclose(rest, matrix.T[9:, 4:9], rtol=1e-5)
    to, source = np.divmod(np.arange(19 * 19), 19)
    assert_allclose(joint.pairs(to, source).reshape(19, 19), matrix.T, rtol=1e-5)
    expected = reranking.rerank_distances(reranking.MatrixDistances(matrix), 7, 5, 2, 0.3)
    for block in (19, 100, 1 << 20):
        monkeypatch.setattr(reranking, "BLOCK", block)
        monkeypatch.setattr(spatial_temporal, "PIECE", block)
        assert_allclose(reranking.rerank_distances(joint, 7, 5, 2, 0.3), expected, atol=1e-5)


def test_time_tells_apart_people_who_look_alike() -> None:
    """Everybody walks from camera 0 to camera 1 in 1000 frames; looks say nothing."""
    people, start = np.arange(30), 20_000 * np.arange(30)
    ids, cameras = np.tile(people, 2), np.repeat([0, 1], 30)
    learned = spatial_temporal.smooth(
        spatial_temporal.estimate(ids, cameras, np.concatenate([start, start + 1000])), 3
    )
    query = Sightings(np.ones((30, 4)), np.zeros(30, np.int64), start)
    gallery = Sightings(np.ones((30, 4)), np.ones(30, np.int64), start[::-1] + 1040)
    found = ranking.rank(
        spatial_temporal.joint_distances(query, gallery, learned),
        people,
        people[::-1],
        query.cameras,
        gallery.cameras,
    )
    assert found.scores().at(1) == 1
    assert (
        ranking.rank(
            distances.blocks(query.features, gallery.features),
            people,
            people[::-1],
            query.cameras,
            gallery.cameras,
        )
        .scores()
        .at(1)
        < 0.1
    )


def test_tensors_and_arrays_give_the_same_joint_distances(
    both: tuple[Sightings, Sightings],
) -> None:
    tensors = [
        Sightings(torch.from_numpy(np.asarray(s.features)), s.cameras, s.frames) for s in both
    ]
    first = next(spatial_temporal.joint_distances(*both, model()))
    assert_array_equal(
        next(spatial_temporal.joint_distances(tensors[0], tensors[1], model())), first
    )


def test_a_saved_model_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "transitions.npz"
    saved = TransitionModel(model().table, 25)
    saved.save(path)
    loaded = spatial_temporal.load(path)
    assert_array_equal(loaded.table, saved.table)
    assert loaded.bin_frames == 25
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    text, other, flat = tmp_path / "text.npz", tmp_path / "other.npz", tmp_path / "flat.npz"
    text.write_text("words")
    np.savez(other, features=np.zeros(3))
    np.savez(flat, table=np.zeros((2, 3, 4)), bin_frames=100)
    for path in (text, other, tmp_path / "absent.npz"):
        with pytest.raises(InputError, match="is not a transition model; make one"):
            spatial_temporal.load(path)
    with pytest.raises(InputError, match=r"its table is \(2, 3, 4\)"):
        spatial_temporal.load(flat)


def test_cameras_and_frames_that_the_model_cannot_know_are_refused(
    both: tuple[Sightings, Sightings],
) -> None:
    zero = np.zeros(1, np.int64)
    with pytest.raises(InputError, match=r"cameras 3\.\.3, but the transition model knows 0\.\.2"):
        model().probability(zero + 3, zero, zero, zero)
    with pytest.raises(InputError, match="no frame number"):
        model().probability(zero, zero, zero, zero - 1)
    with pytest.raises(InputError, match="no frame number"):
        spatial_temporal.estimate(zero, zero, zero - 1)
    with pytest.raises(InputError, match="no sightings"):
        spatial_temporal.estimate(zero[:0], zero[:0], zero[:0])
    with pytest.raises(InputError, match="the transition model knows"):
        JointDistances(*both, model(n_cameras=2))
    with pytest.raises(InputError, match="expected one of each an item"):
        Sightings(F(3, 4), np.zeros(3, np.int64), np.zeros(2, np.int64))
