"""People who walk to and fro in front of a simulated detector, for benchmarks that need any number
of them.
"""

import numpy as np

from pipeline.records import Array, Detections

FPS = 25.0


class Crowd:
    """`n` people of 60 to 240 px who walk at about half their height a second and turn at the
    borders.
    """

    def __init__(self, n: int, width: int, height: int, rng: np.random.Generator) -> None:
        self._rng, self._limits = rng, np.array([width, height])
        self._tall = rng.uniform(60, min(240, height / 2), n)
        self._foot = rng.uniform([0, 0], self._limits, (n, 2))
        self._speed = rng.normal(size=(n, 2)) * self._tall[:, None] / 2 * [1, 0.2]

    def step(self) -> Detections:
        """Move for one frame and detect: 3 px of jitter, 5 % misses, some false alarms."""
        self._foot += self._speed / FPS
        self._speed[(self._foot < 0) | (self._foot > self._limits)] *= -1
        self._foot = np.clip(self._foot, 0, self._limits)
        half, n_false = self._tall * 0.2, int(self._rng.poisson(0.5))
        x, y = self._foot.T
        boxes: Array = np.stack([x - half, y - self._tall, x + half, y], axis=1)
        boxes = (boxes + self._rng.normal(0, 3, boxes.shape))[self._rng.random(len(x)) > 0.05]
        corner = self._rng.uniform([0, 0], self._limits - 80, (n_false, 2))
        boxes = np.concatenate(
            [boxes, np.concatenate([corner, corner + np.array([30, 80])], axis=1)]
        )
        limits = np.tile(self._limits, 2)
        boxes = np.clip(boxes, 0, limits).astype(np.float32)
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 1]
        return Detections(boxes, self._rng.uniform(0.4, 0.95, len(boxes)).astype(np.float32))
