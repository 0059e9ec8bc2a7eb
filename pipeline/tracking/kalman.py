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
SIZE_NOISE, SIZE_ACCELERATION = 2.5, 0.35
"""Standard deviations of sizes as a share of those of places: of a measurement, and of the
acceleration and the first speed. These are the defaults of the settings of the same name.
"""


def measure(boxes: Array) -> Array:
    """Boxes (n, 4) x1 y1 x2 y2 -> measurements (n, 4) centre x, centre y, width, height,
    float64.
    """
    boxes = boxes.astype(np.float64)
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(first + second) / 2, second - first], axis=1)


def to_boxes(values: Array) -> Array:
    """Inverse of `measure`; sizes are kept at 1 px or more."""
    half, centre = np.maximum(values[:, 2:4], 1) / 2, values[:, :2]
    return np.concatenate(
        [centre - half, centre + half], axis=1, dtype=np.float32, casting="same_kind"
    )


class KalmanFilter:
    """Constant-velocity motion with noise proportional to the height of the box.

    `position_std` is the standard deviation of a measured place and `acceleration_std` that of the
    acceleration (per second squared), both as fractions of the box height. A state is (mean (n, 8):
    values, then speeds; covariance (n, 2, 3): of places and of sizes the three distinct entries
    var(value), cov, var(speed) of a 2 x 2 covariance).
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
        """State of tracks first seen at `measured` (n, 4): at rest, of unknown speed."""
        covariance, tall = np.zeros((len(measured), 2, 3)), np.square(measured[:, 3:4])
        covariance[:, :, 0] = self._noise * tall
        covariance[:, :, 2] = self._speed * tall
        return np.concatenate([measured, np.zeros_like(measured)], axis=1), covariance

    def predict(self, mean: Array, covariance: Array, dt_s: float) -> tuple[Array, Array]:
        """State `dt_s` seconds later."""
        step, noise = _step(dt_s)
        accelerated = self._acceleration * np.square(np.maximum(mean[:, 3:4], 1))
        moved = mean.copy()
        moved[:, :4] += dt_s * mean[:, 4:]
        return moved, covariance @ step + accelerated[:, :, None] * noise

    def update(self, mean: Array, covariance: Array, measured: Array) -> tuple[Array, Array]:
        """State after seeing `measured` (n, 4)."""
        noise = (self._noise * np.square(np.maximum(mean[:, 3:4], 1)))[:, :, None]
        gain = covariance[:, :, :2] / (covariance[:, :, :1] + noise)
        residual = (measured - mean[:, :4]).reshape(-1, 2, 2)
        change = gain.transpose(0, 2, 1)[:, :, :, None] * residual[:, None]
        tighter = np.empty_like(covariance)
        tighter[:, :, :2] = gain * noise
        tighter[:, :, 2] = covariance[:, :, 2] - gain[:, :, 1] * covariance[:, :, 1]
        return mean + change.reshape(-1, 8), tighter


@lru_cache(64)
def _step(dt_s: float) -> tuple[Array, Array]:
    """What `dt_s` seconds do to the three entries of a covariance: they are multiplied by (3, 3),
    and (3,) is added.
    """
    noise = Q_discrete_white_noise(2, dt=dt_s, var=1.0)
    return np.array([[1, 0, 0], [2 * dt_s, 1, 0], [dt_s**2, dt_s, 1]]), noise[[0, 0, 1], [0, 1, 1]]
