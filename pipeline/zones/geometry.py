"""Points, areas and lines in a plane: pixels of a picture, or metres of the floor."""

import numpy as np

from pipeline.records import Array


def area(polygon: Array) -> float:
    """Return the area of a polygon (n, 2); sides that cross make it smaller."""
    following = np.roll(polygon, -1, axis=0)
    return abs(float(np.sum(_cross(polygon, following)))) / 2


def crosses_itself(polygon: Array) -> bool:
    """Whether two sides of a polygon (n, 2) cross: each has the ends of the other on both sides."""
    ends = np.roll(polygon, -1, axis=0)
    directions = ends - polygon
    for start, end in zip(polygon, ends, strict=True):
        direction = end - start
        of_starts = _cross(direction, polygon - start)
        of_ends = _cross(direction, ends - start)
        of_start = _cross(directions, start - polygon)
        of_end = _cross(directions, end - polygon)
        if ((of_starts * of_ends < 0) & (of_start * of_end < 0)).any():
            return True
    return False


def depth(points: Array, polygon: Array) -> Array:
    """Return how deep points are in an area.

    Args:
        points: (n, 2).
        polygon: (m, 2), m at least 3.

    Returns:
        (n,) distances to the border, positive inside and on the border, negative outside.
    """
    is_inside = np.zeros(len(points), np.bool_)
    nearest = np.full(len(points), np.inf)
    x = points[:, 0]
    y = points[:, 1]
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        is_between = (start[1] > y) != (end[1] > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing_x = start[0] + (y - start[1]) / (end[1] - start[1]) * (end[0] - start[0])
        is_inside ^= is_between & (x < crossing_x)
        nearest = np.minimum(nearest, _distance(points, start, end))
    return np.where(is_inside | (nearest == 0), nearest, -nearest)


def beside(points: Array, line: Array) -> Array:
    """Return how far points are beside a straight line, which has no ends here.

    Args:
        points: (n, 2).
        line: (2, 2), two points of it that differ.

    Returns:
        (n,) distances, positive to the right as seen from the first point to the second, where y
        points down as in a picture.
    """
    along = line[1] - line[0]
    return np.asarray(_cross(along, points - line[0]) / np.linalg.norm(along))


def along(points: Array, line: Array) -> Array:
    """Return how far along a line points are, (n,): 0 at its start, and its length at its end."""
    direction = line[1] - line[0]
    return np.asarray((points - line[0]) @ direction / np.linalg.norm(direction))


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _distance(points: Array, start: Array, end: Array) -> Array:
    """Distances (n,) of points to the stretch between two points."""
    direction = end - start
    length2 = float(direction @ direction)
    share = (points - start) @ direction / length2 if length2 else np.zeros(len(points))
    nearest = start + np.clip(share, 0, 1)[:, None] * direction
    return np.asarray(np.linalg.norm(points - nearest, axis=1))
