"""The filter over all tracks at once equals filterpy's, one track at a time."""

import numpy as np
import pytest
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter as Reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline.records import Array
from pipeline.tracking.kalman import (
    INITIAL_SPEED_STD,
    SIZE_ACCELERATION,
    SIZE_NOISE,
    KalmanFilter,
    measure,
    to_boxes,
)

POSITION_STD, ACCELERATION_STD = 0.05, 1.0
NOISE = np.array([1, 1, SIZE_NOISE, SIZE_NOISE])
ACCELERATION = np.array([1, 1, SIZE_ACCELERATION, SIZE_ACCELERATION])
numbers = st.floats(-2000, 4000)
sizes = st.floats(1, 1000)
measurement = st.tuples(numbers, numbers, sizes, sizes)
thin_ones_too = st.tuples(numbers, numbers, *[sizes | st.floats(0.1, 2)] * 2)


def reference(measured: Array) -> Reference:
    """State x, y, w, h, then their velocities."""
    filter_ = Reference(dim_x=8, dim_z=4)
    filter_.x[:4, 0] = measured
    filter_.H = np.eye(4, 8)
    filter_.P = (
        np.diag(
            np.concatenate([POSITION_STD * NOISE, INITIAL_SPEED_STD * ACCELERATION]) * measured[3]
        )
        ** 2
    )
    return filter_


def height(filter_: Reference) -> float:
    return max(float(filter_.x[3, 0]), 1)


def predict(filter_: Reference, dt_s: float) -> None:
    filter_.F = np.kron([[1, dt_s], [0, 1]], np.eye(4))
    noise = Q_discrete_white_noise(2, dt=dt_s, var=(ACCELERATION_STD * height(filter_)) ** 2)
    filter_.Q = np.kron(noise, np.diag(ACCELERATION**2))
    filter_.predict()


def update(filter_: Reference, measured: Array) -> None:
    filter_.R = np.diag(POSITION_STD * NOISE * height(filter_)) ** 2
    filter_.update(measured)


def assert_equal(mean: Array, covariance: Array, references: list[Reference]) -> None:
    """Every number of the 8 states and the 8 x 8 covariance, those that must be zero included."""
    for m, (place, size), filter_ in zip(mean, covariance, references, strict=True):
        assert_allclose(m, filter_.x.ravel(), rtol=1e-8, atol=1e-8)
        full = sum(
            np.kron([[value, cross], [cross, speed]], np.diag(of))
            for (value, cross, speed), of in ((place, [1, 1, 0, 0]), (size, [0, 0, 1, 1]))
        )
        assert_allclose(full, filter_.P, rtol=1e-8, atol=1e-8 * np.abs(full).max())


@settings(max_examples=40)
@given(st.data(), st.integers(1, 4), st.lists(st.floats(0.001, 5), min_size=1, max_size=5))
def test_every_predict_and_update_equals_filterpy_for_several_tracks_and_irregular_times(
    data: st.DataObject, n_tracks: int, steps_s: list[float]
) -> None:
    tracks = st.lists(thin_ones_too, min_size=n_tracks, max_size=n_tracks).map(np.array)
    ours, first = KalmanFilter(POSITION_STD, ACCELERATION_STD), data.draw(tracks)
    references = [reference(row) for row in first]
    mean, covariance = ours.start(first)
    assert_equal(mean, covariance, references)
    for dt_s in steps_s:
        mean, covariance = ours.predict(mean, covariance, dt_s)
        for filter_ in references:
            predict(filter_, dt_s)
        assert_equal(mean, covariance, references)
        measured = data.draw(tracks)
        mean, covariance = ours.update(mean, covariance, measured)
        for filter_, row in zip(references, measured, strict=True):
            update(filter_, row)
        assert_equal(mean, covariance, references)


def test_a_prediction_leaves_the_state_it_started_from_alone() -> None:
    ours = KalmanFilter(POSITION_STD, ACCELERATION_STD)
    mean, covariance = ours.start(np.array([[50.0, 60, 20, 40]]))
    before = mean.copy(), covariance.copy()
    ours.update(*ours.predict(mean, covariance, 0.1), np.array([[80.0, 60, 20, 40]]))
    assert (mean == before[0]).all() and (covariance == before[1]).all()


@given(st.lists(measurement, min_size=1, max_size=5))
def test_boxes_are_the_inverse_of_measurements(
    rows: list[tuple[float, float, float, float]],
) -> None:
    values = np.array(rows)
    boxes = to_boxes(values)
    assert boxes.dtype == np.float32
    assert_allclose(measure(boxes), values, atol=2e-3)  # float32 at 4000 px


@pytest.mark.parametrize("size", [(0, 0), (-5, 0.5)])
def test_a_box_never_gets_thinner_than_a_pixel(size: tuple[float, float]) -> None:
    assert to_boxes(np.array([[10.0, 20, *size]])).tolist() == [[9.5, 19.5, 10.5, 20.5]]


@given(st.lists(st.tuples(measurement, st.floats(0.001, 5)), min_size=1, max_size=40))
def test_covariance_stays_positive_definite(
    seen: list[tuple[tuple[float, float, float, float], float]],
) -> None:
    ours = KalmanFilter(POSITION_STD, ACCELERATION_STD)
    mean, covariance = ours.start(np.array([seen[0][0]]))
    for measured, dt_s in seen:
        mean, covariance = ours.update(*ours.predict(mean, covariance, dt_s), np.array([measured]))
        for value, cross, speed in covariance[0]:
            assert value > 0 and speed > 0 and value * speed > cross**2
