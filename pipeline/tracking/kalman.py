"""A constant-velocity Kalman filter over all tracks of a camera at once.

The state of a box is its centre x, centre y, width and height, each with a velocity. Noise does not mix these four
coordinates, so the 8-state filter falls apart into four filters of two states (value, velocity) per track, and predict and
update are a few element-wise array operations for any number of tracks. The model is filterpy's: F = [[1, dt], [0, 1]],
H = [1, 0], Q from `Q_discrete_white_noise` (piecewise constant acceleration). A test compares every step with
`filterpy.kalman.KalmanFilter`. All noise is scaled by the height of the box, so near and far people are alike
(as in DeepSORT, Wojke et al. 2017).
"""

import numpy as np
from filterpy.common import Q_discrete_white_noise

from pipeline.records import Array

INITIAL_SPEED_STD = 1.0
"""Of a new track, in box heights a second: a walking person moves at about 0.8."""


def measure(boxes: Array) -> Array:
    """Boxes (n, 4) x1 y1 x2 y2 -> measurements (n, 4) centre x, centre y, width, height, float64."""
    boxes = boxes.astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, size], axis=1)


def to_boxes(values: Array) -> Array:
    """Inverse of `measure`; sizes are kept at 1 px or more."""
    half = np.maximum(values[:, 2:], 1) / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1).astype(np.float32)


class KalmanFilter:
    """Constant-velocity motion with noise proportional to the height of the box.

    `position_std` is the standard deviation of a measurement and `acceleration_std` that of the acceleration (per second
    squared), both as fractions of the box height. A state is (mean (n, 4, 2), covariance (n, 4, 3)): value and velocity
    of each coordinate, and the three distinct entries var(value), cov, var(velocity) of its 2 x 2 covariance.
    """

    def __init__(self, position_std: float, acceleration_std: float) -> None:
        self.position_std = position_std
        self.acceleration_std = acceleration_std

    def start(self, measured: Array) -> tuple[Array, Array]:
        """State of tracks first seen at `measured` (n, 4): at rest, of unknown speed."""
        mean = np.stack([measured, np.zeros_like(measured)], axis=2)
        height = measured[:, 3]
        covariance = np.zeros((len(measured), 4, 3))
        covariance[:, :, 0] = ((self.position_std * height) ** 2)[:, None]
        covariance[:, :, 2] = ((INITIAL_SPEED_STD * height) ** 2)[:, None]
        return mean, covariance

    def predict(self, mean: Array, covariance: Array, dt_s: float) -> tuple[Array, Array]:
        """State `dt_s` seconds later."""
        noise = Q_discrete_white_noise(2, dt=dt_s, var=1.0)
        variance = ((self.acceleration_std * np.maximum(mean[:, 3, 0], 1)) ** 2)[:, None]
        value, cross, speed = covariance[:, :, 0], covariance[:, :, 1], covariance[:, :, 2]
        later = np.empty_like(covariance)
        later[:, :, 0] = value + dt_s * (2 * cross + dt_s * speed) + noise[0, 0] * variance
        later[:, :, 1] = cross + dt_s * speed + noise[0, 1] * variance
        later[:, :, 2] = speed + noise[1, 1] * variance
        moved = mean.copy()
        moved[:, :, 0] += dt_s * mean[:, :, 1]
        return moved, later

    def update(self, mean: Array, covariance: Array, measured: Array) -> tuple[Array, Array]:
        """State after seeing `measured` (n, 4)."""
        noise = ((self.position_std * np.maximum(mean[:, 3, 0], 1)) ** 2)[:, None]
        value, cross, speed = covariance[:, :, 0], covariance[:, :, 1], covariance[:, :, 2]
        total = value + noise
        gain_value, gain_speed = value / total, cross / total
        residual = measured - mean[:, :, 0]
        seen = np.stack([mean[:, :, 0] + gain_value * residual, mean[:, :, 1] + gain_speed * residual], axis=2)
        tighter = np.empty_like(covariance)
        tighter[:, :, 0] = gain_value * noise
        tighter[:, :, 1] = gain_speed * noise
        tighter[:, :, 2] = speed - gain_speed * cross
        return seen, tighter
