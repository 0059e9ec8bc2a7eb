"""A constant-velocity Kalman filter over all tracks of a camera at once.

The state of a box is its centre x, centre y, width and height, and the speed of each. Noise does
not mix these four coordinates, so the 8-state filter falls apart into four filters of two states
(value, speed) per track, and predict and update are a few array operations for any number of
tracks. The model is filterpy's: F = [[1, dt], [0, 1]], H = [1, 0], Q from `Q_discrete_white_noise`
(piecewise constant acceleration). A test compares every step with `filterpy.kalman.KalmanFilter`.
All noise is scaled by the height of the box, so near and far people are alike (as in DeepSORT,
Wojke et al. 2017). It differs between places and sizes only: detectors find the size of a box worse
than its place, and people change their size slowly. So the two places share one covariance, and the
two sizes another.
"""

from functools import lru_cache

import numpy as np
from filterpy.common import Q_discrete_white_noise

from pipeline.records import Array

INITIAL_SPEED_STD = 1.0
"""Of a new track, in box heights a second: a walking person moves at about 0.8."""
SIZE_NOISE = 2.5
"""Standard deviation of a measured size, as a multiple of that of a measured place."""
SIZE_ACCELERATION = 0.35
"""The same for the acceleration and for the speed of a new track."""


def measure(boxes: Array) -> Array:
    """Convert boxes to measurements of the filter.

    Args:
        boxes: x1 y1 x2 y2, (n, 4) px.

    Returns:
        Centre x, centre y, width, height, (n, 4) float64 px.
    """
    boxes = boxes.astype(np.float64)
    top_left = boxes[:, :2]
    bottom_right = boxes[:, 2:]
    centre = (top_left + bottom_right) / 2
    size = bottom_right - top_left
    return np.concatenate([centre, size], axis=1)


def to_boxes(values: Array) -> Array:
    """Convert states to boxes, the inverse of `measure`.

    Args:
        values: centre x, centre y, width, height in the first four columns, (n, 4 or more) px.

    Returns:
        Boxes x1 y1 x2 y2, (n, 4) float32 px, at least 1 px wide and high.
    """
    centre = values[:, :2]
    half_size = np.maximum(values[:, 2:4], 1) / 2
    corners = [centre - half_size, centre + half_size]
    return np.concatenate(corners, axis=1, dtype=np.float32, casting="same_kind")


class KalmanFilter:
    """Constant-velocity motion with noise proportional to the height of the box.

    A state is a mean (n, 8), four values and then their speeds, and a covariance (n, 2, 3): for
    places and for sizes the three distinct entries var(value), cov, var(speed) of a 2 x 2 matrix.

    Args:
        position_std: standard deviation of a measured place, as a fraction of the box height.
        acceleration_std: that of the acceleration, box heights per second squared.
        size_noise_ratio: noise of measured sizes, as a multiple of that of places.
        size_acceleration_ratio: the same for acceleration and first speed.
    """

    def __init__(
        self,
        position_std: float,
        acceleration_std: float,
        size_noise_ratio: float = SIZE_NOISE,
        size_acceleration_ratio: float = SIZE_ACCELERATION,
    ) -> None:
        noise_ratios = np.array([1, size_noise_ratio])
        acceleration_ratios = np.array([1, size_acceleration_ratio])
        self._noise = np.square(position_std * noise_ratios)
        self._acceleration = np.square(acceleration_std * acceleration_ratios)
        self._speed = np.square(INITIAL_SPEED_STD * acceleration_ratios)

    def start(self, measured: Array) -> tuple[Array, Array]:
        """Return the state of new tracks: at rest, of unknown speed.

        Args:
            measured: first measurements, (n, 4).

        Returns:
            Mean (n, 8) and covariance (n, 2, 3).
        """
        height_squared = np.square(measured[:, 3:4])
        covariance = np.zeros((len(measured), 2, 3))
        covariance[:, :, 0] = self._noise * height_squared
        covariance[:, :, 2] = self._speed * height_squared
        speed = np.zeros_like(measured)
        mean = np.concatenate([measured, speed], axis=1)
        return mean, covariance

    def predict(self, mean: Array, covariance: Array, dt_s: float) -> tuple[Array, Array]:
        """Return the state `dt_s` seconds later.

        Args:
            mean: (n, 8).
            covariance: (n, 2, 3).
            dt_s: seconds, above 0.

        Returns:
            Mean and covariance, shaped alike.
        """
        step, unit_noise = _step(dt_s)
        acceleration = self._acceleration * _height_squared(mean)
        moved = mean.copy()
        moved[:, :4] += dt_s * mean[:, 4:]
        wider = covariance @ step + acceleration[:, :, None] * unit_noise
        return moved, wider

    def update(self, mean: Array, covariance: Array, measured: Array) -> tuple[Array, Array]:
        """Return the state after a measurement.

        Args:
            mean: (n, 8).
            covariance: (n, 2, 3).
            measured: (n, 4).

        Returns:
            Mean and covariance, shaped alike.
        """
        noise_of_both = self._noise * _height_squared(mean)
        noise = noise_of_both[:, :, None]
        innovation = covariance[:, :, :1] + noise
        gain = covariance[:, :, :2] / innovation

        # Values first, then speeds; within each, the two places, then the two sizes.
        gain_of_entries = gain.transpose(0, 2, 1)[:, :, :, None]
        residual = (measured - mean[:, :4]).reshape(-1, 2, 2)
        change = gain_of_entries * residual[:, None]
        corrected = mean + change.reshape(-1, 8)

        tighter = np.empty_like(covariance)
        tighter[:, :, :2] = gain * noise
        explained = gain[:, :, 1] * covariance[:, :, 1]
        tighter[:, :, 2] = covariance[:, :, 2] - explained
        return corrected, tighter


def _height_squared(mean: Array) -> Array:
    """Squared heights of boxes (n, 1), at least 1 px."""
    height = np.maximum(mean[:, 3:4], 1)
    return np.square(height)


@lru_cache(64)
def _step(dt_s: float) -> tuple[Array, Array]:
    """Return what `dt_s` seconds do to a covariance.

    Returns:
        Matrix (3, 3) by which its three entries are multiplied, and noise (3,) that is added.
    """
    of_value = [1, 0, 0]
    of_mixed = [2 * dt_s, 1, 0]
    of_speed = [dt_s**2, dt_s, 1]
    noise = Q_discrete_white_noise(2, dt=dt_s, var=1.0)
    distinct_noise = noise[[0, 0, 1], [0, 1, 1]]
    return np.array([of_value, of_mixed, of_speed]), distinct_noise
