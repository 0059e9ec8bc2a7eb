"""A crowd in front of a simulated detector, for benchmarks that need any number of people."""

import numpy as np

from pipeline.records import Array, Detections

FPS = 25.0


class Crowd:
    """`n` people of 60 to 240 px who walk to and fro and turn at the borders.

    Their speed is about half their height a second.
    """

    def __init__(self, n: int, width: int, height: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._limits = np.array([width, height])
        self._height = rng.uniform(60, min(240, height / 2), n)
        self._foot = rng.uniform([0, 0], self._limits, (n, 2))
        direction = rng.normal(size=(n, 2))
        self._speed = direction * self._height[:, None] / 2 * [1, 0.2]

    def step(self) -> Detections:
        """Move for one frame and detect: 3 px of jitter, 5 % misses, some false alarms."""
        self._foot += self._speed / FPS
        is_outside = (self._foot < 0) | (self._foot > self._limits)
        self._speed[is_outside] *= -1
        self._foot = np.clip(self._foot, 0, self._limits)
        n_false = int(self._rng.poisson(0.5))
        boxes = np.concatenate([self._detected(), self._false_alarms(n_false)])
        boxes = np.clip(boxes, 0, np.tile(self._limits, 2)).astype(np.float32)
        sides = boxes[:, 2:] - boxes[:, :2]
        boxes = boxes[sides.min(axis=1) > 1]
        scores = self._rng.uniform(0.4, 0.95, len(boxes))
        return Detections(boxes, scores.astype(np.float32))

    def _detected(self) -> Array:
        """Boxes of the people who are detected, (k, 4)."""
        half_width = self._height * 0.2
        x = self._foot[:, 0]
        y = self._foot[:, 1]
        boxes = np.stack([x - half_width, y - self._height, x + half_width, y], axis=1)
        jitter = self._rng.normal(0, 3, boxes.shape)
        is_detected = self._rng.random(len(x)) > 0.05
        return np.asarray((boxes + jitter)[is_detected])

    def _false_alarms(self, n: int) -> Array:
        """Boxes (n, 4) of 30 x 80 px, anywhere."""
        corner = self._rng.uniform([0, 0], self._limits - 80, (n, 2))
        return np.concatenate([corner, corner + np.array([30, 80])], axis=1)
