"""A camera whose geometry is known, and people who walk before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.records import Array, Camera

WIDE = 0.4
"""Width of a person's box as a share of its height."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A camera at a place (x, y, z) m of a site with z up, which looks towards `ahead` (radians
    from the x axis, against the clock) and down by `tilt`.
    """

    place: tuple[float, float, float]
    ahead: float
    tilt: float
    focal_share: float = 0.8
    size: tuple[int, int] = (1280, 720)

    @property
    def camera(self) -> Camera:
        return Camera("c", "c.mp4", *self.size, 10.0, 0.0, -1, np.zeros((0, 0)))

    def pixels(self, points: Array) -> Array:
        """Where points (n, 3) of the site are in the picture, (n, 2) px; nan behind the camera."""
        cosine = np.cos(self.ahead)
        sine = np.sin(self.ahead)
        level = np.array([cosine, sine, 0.0])
        right = np.array([sine, -cosine, 0.0])
        down = np.array([0.0, 0.0, -1.0])
        forward = np.cos(self.tilt) * level + np.sin(self.tilt) * down
        below = np.cos(self.tilt) * down - np.sin(self.tilt) * level
        rays = points - np.array(self.place)
        depth = np.where(rays @ forward > 0.1, rays @ forward, np.nan)
        focal_px = self.focal_share * max(self.size)
        u = focal_px * (rays @ right) / depth + self.size[0] / 2
        v = focal_px * (rays @ below) / depth + self.size[1] / 2
        return np.column_stack([u, v])

    def boxes(self, floor_m: Array, height_m: float, rng: np.random.Generator) -> Array:
        """Boxes (n, 4) px of a person at places (n, 2) m, whose edges are off by 3 % of the height
        as those of a detector are.
        """
        feet = self.pixels(np.column_stack([floor_m, np.zeros(len(floor_m))]))
        heads = self.pixels(np.column_stack([floor_m, np.full(len(floor_m), height_m)]))
        tall = feet[:, 1] - heads[:, 1]
        noise = rng.normal(0, 0.03, (len(floor_m), 2)) * tall[:, None]
        top = heads[:, 1] + noise[:, 0]
        bottom = feet[:, 1] + noise[:, 1]
        half = WIDE * tall / 2
        return np.column_stack([feet[:, 0] - half, top, feet[:, 0] + half, bottom])

    def to_floor(self) -> Array:
        """Homography (3, 3) from pixels to metres of the site, positive before the horizon."""
        corners = np.array([[-3.0, 4.0], [3.0, 4.0], [-3.0, 20.0], [3.0, 20.0], [0.0, 9.0]])
        turn = self.ahead - np.pi / 2
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        places = corners @ rotation.T + np.array(self.place[:2])
        pixels = self.pixels(np.column_stack([places, np.zeros(len(places))]))
        rows = []
        for (u, v), (x, y) in zip(pixels.tolist(), places.tolist(), strict=True):
            rows.append([u, v, 1, 0, 0, 0, -x * u, -x * v, -x])
            rows.append([0, 0, 0, u, v, 1, -y * u, -y * v, -y])
        matrix = np.linalg.svd(np.array(rows, np.float64))[2][-1].reshape(3, 3)
        return matrix * np.sign(np.append(pixels[0], 1) @ matrix[2])


def walks(
    seen: Sequence[Seen], n_people: int, area: tuple[float, float, float, float], seed: int = 3
) -> list[list[tuple[Array, Array, Array]]]:
    """Let people walk straight through an area, one after the other.

    Args:
        seen: cameras.
        n_people: how many.
        area: least x and y, and most x and y, m.
        seed: of the random numbers.

    Returns:
        For each camera, what it sees of each person: times (n,), boxes (n, 4), places (n, 2) m.
    """
    rng = np.random.default_rng(seed)
    low = np.array(area[:2])
    high = np.array(area[2:])
    found: list[list[tuple[Array, Array, Array]]] = [[] for _ in seen]
    for number in range(n_people):
        start, end = rng.uniform(low, high, (2, 2))
        n_rows = max(2, int(np.linalg.norm(end - start) / 0.14))
        floor_m = np.linspace(start, end, n_rows)
        times_s = 10.0 * number + 0.1 * np.arange(n_rows)
        height_m = float(rng.normal(1.7, 0.08))
        for each, of_camera in zip(seen, found, strict=True):
            boxes = each.boxes(floor_m, height_m, rng)
            width, height = each.size
            is_seen = (boxes[:, 0] > 0) & (boxes[:, 2] < width) & (boxes[:, 3] < 0.93 * height)
            is_seen &= boxes[:, 1] > 0
            of_camera.append((times_s[is_seen], boxes[is_seen], floor_m[is_seen]))
    return found


def ratios(points: Array, truth: Array) -> Any:
    """How long distances on a plan are beside true ones: percentiles 10, 50 and 90."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(points), (2, 5000))
    planned_m = np.linalg.norm(points[first] - points[second], axis=1)
    true_m = np.linalg.norm(truth[first] - truth[second], axis=1)
    is_far = true_m > 1
    return np.percentile(planned_m[is_far] / true_m[is_far], (10, 50, 90))
