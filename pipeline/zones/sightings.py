"""What one camera says of one person and one zone: when inside, when outside, when over a line.

Feet are where the person is (`pipeline.floor`). They jitter, and by more for people who are near.
Therefore somebody enters at the border of an area, and has left only when beyond the border by a
margin; a line is crossed by who comes from beyond the margin on one side to beyond it on the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import floor
from pipeline.records import Array, Camera, Tracklet
from pipeline.zones import geometry

BRIDGE_S = 5.0
"""Who is not seen for up to this long is taken to be where they were seen last."""
MARGIN_STDS = 3.0
"""Standard deviations of the feet (`floor.FOOT_STD`) that a margin is wide."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon or a line (n, 2): px of the picture, or metres if it is on the floor."""

    points: Array
    is_on_floor: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Where a person was in one camera, in order of time: times_s (n,), points (n, 2), and margin
    (n,), how far points may be off, in the unit of the points.
    """

    times_s: Array
    points: Array
    margin: Array

    def pieces(self) -> Iterator["Places"]:
        """Split where the person was not seen for long."""
        breaks = np.flatnonzero(np.diff(self.times_s) > BRIDGE_S) + 1
        for rows in np.split(np.arange(len(self.times_s)), breaks):
            if len(rows):
                yield Places(self.times_s[rows], self.points[rows], self.margin[rows])


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a camera says all along that somebody is inside, or that they are not."""

    first_s: float
    last_s: float
    camera: str
    is_inside: bool


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody goes over a line; `is_in` to its right, as seen from its first point."""

    time_s: float
    camera: str
    is_in: bool


def places(tracklets: Sequence[Tracklet], camera: Camera, is_on_floor: bool) -> Places:
    """Return where a person was.

    Args:
        tracklets: those of the person in this camera.
        camera: the camera.
        is_on_floor: whether places are metres on the floor, which are known where feet are shown;
            otherwise they are pixels of the picture.
    """
    times_s = np.concatenate([tracklet.times_s for tracklet in tracklets])
    boxes = np.concatenate([tracklet.boxes for tracklet in tracklets]).astype(np.float64)
    if is_on_floor:
        points, std = floor.positions(boxes, camera)
    else:
        points = np.clip(floor.foot_points(boxes), 0, [camera.width, camera.height])
        std = np.maximum(floor.FOOT_STD * (boxes[:, 3] - boxes[:, 1]), 1)
    is_known = np.isfinite(points).all(axis=1) & np.isfinite(std)
    known = np.flatnonzero(is_known)
    order = known[np.argsort(times_s[known], kind="stable")]
    return Places(times_s[order], points[order], MARGIN_STDS * std[order])


def stretches(seen: Places, polygons: Sequence[Array], camera: str) -> Iterator[Stretch]:
    """Yield when somebody is in one of some areas, and when in none, in order of time.

    Args:
        seen: where they were.
        polygons: areas (n, 2).
        camera: its name.
    """
    for piece in seen.pieces():
        depths = [geometry.depth(piece.points, polygon) for polygon in polygons]
        depth = np.max(depths, axis=0)
        says = np.select([depth >= 0, depth < -piece.margin], [1, -1], 0)
        is_inside = _held(says) > 0
        changes = np.flatnonzero(np.diff(is_inside)) + 1
        for rows in np.split(np.arange(len(is_inside)), changes):
            first_s = float(piece.times_s[rows[0]])
            last_s = float(piece.times_s[rows[-1]])
            yield Stretch(first_s, last_s, camera, bool(is_inside[rows[0]]))


def crossings(seen: Places, line: Array, camera: str) -> Iterator[Crossing]:
    """Yield when somebody goes over a line between its ends, in order of time.

    Args:
        seen: where they were.
        line: (2, 2), its ends.
        camera: its name.
    """
    length = float(np.linalg.norm(line[1] - line[0]))
    for piece in seen.pieces():
        beside = geometry.beside(piece.points, line)
        says = np.select([beside > piece.margin, beside < -piece.margin], [1, -1], 0)
        decided = np.flatnonzero(says)
        is_over = np.flatnonzero(np.diff(says[decided]))
        for before, after in zip(decided[is_over], decided[is_over + 1], strict=True):
            is_right = beside[before : after + 1] >= 0
            row = int(before + np.flatnonzero(np.diff(is_right))[-1])
            share = beside[row] / (beside[row] - beside[row + 1])
            point = piece.points[row] + share * (piece.points[row + 1] - piece.points[row])
            at = float(geometry.along(point, line))
            margin = piece.margin[row]
            if -margin <= at <= length + margin:
                step_s = piece.times_s[row + 1] - piece.times_s[row]
                time_s = float(piece.times_s[row] + share * step_s)
                yield Crossing(time_s, camera, bool(says[after] > 0))


def _held(says: Array) -> Array:
    """What was said last, 1 or -1, of what is said row by row; 0 says nothing, and -1 holds at the
    beginning.
    """
    rows = np.where(says != 0, np.arange(len(says)), -1)
    latest = np.maximum.accumulate(rows)
    return np.where(latest >= 0, says[latest], -1)
