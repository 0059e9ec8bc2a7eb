"""Floor plans: where people walked, seen from above, in metres.

Cameras whose homographies were given share one plan in the coordinates of the site. Others whose
views overlap with theirs are joined to it by the homographies that linking learned between
pictures. The rest get approximate plans: `ground` measures the floor of a camera by the heights of
people, and cameras that overlap are joined to it. So there is one plan for each group of cameras
that overlap, and for each camera alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from pipeline import floor
from pipeline.linking.index import through
from pipeline.linking.learning import homographies
from pipeline.linking.learning.homographies import Homography
from pipeline.records import Array, Camera
from pipeline.report import ground
from pipeline.report.ground import Ground

Json = dict[str, Any]
Pair = tuple[int, int]
"""Numbers of two cameras."""

MAX_POINTS = 60_000
MAX_POINTS_OF_TRACKLET = 60
STEP_S = 0.5
"""Feet are averaged over this time at least."""
MAX_STANDING = 20
"""Boxes of a tracklet by which the floor is measured."""
OUTLIERS = 0.5
"""Percent of the points that may be outside of a plan, on each side."""
MARGIN_M = 0.5
MIN_PLACES = 20
"""Places to which the homography of a camera is fitted again, which results do not tell."""
NEAR = 95
"""Percentile of the lower edges of boxes beyond which people are where a view begins."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """Where a person went in one camera.

    times_s: (n,); feet: (n, 2) px; floor_m: (n, 2), or (0, 2) where it is not known.
    """

    person_id: int
    camera: int
    times_s: Array
    feet: Array
    floor_m: Array

    def only(self, chosen: Array) -> "_Walk":
        """The walk with some of its points."""
        return replace(self, times_s=self.times_s[chosen], feet=self.feet[chosen])


@dataclass(frozen=True, slots=True)
class _Placed:
    """A walk and where it is on a plan, (n, 2) m."""

    walk: _Walk
    points: Array


class Plans:
    """Gathers walks, and draws the plans of a site.

    Args:
        cameras: all cameras, in order.
        n_tracklets: how many there are; the more, the fewer points of each are kept.
    """

    def __init__(self, cameras: Sequence[Camera], n_tracklets: int) -> None:
        self._cameras = cameras
        n_points = MAX_POINTS // max(n_tracklets, 1)
        self._n_points = int(np.clip(n_points, 2, MAX_POINTS_OF_TRACKLET))
        self._walks: list[_Walk] = []
        self._standing: dict[int, list[Array]] = defaultdict(list)

    def add(
        self, person_id: int, camera: int, times_s: Array, boxes: Array, floor_m: Array
    ) -> None:
        """Take a tracklet.

        Args:
            person_id: whose it is.
            camera: number of its camera.
            times_s: (n,) of its rows.
            boxes: (n, 4) px.
            floor_m: (n, 2), or (0, 2) where it is not known.
        """
        seen_by = self._cameras[camera]
        is_standing = floor.are_standing(boxes, seen_by)
        if not is_standing.any():
            return
        upright = boxes[is_standing]
        times_s = times_s[is_standing]
        columns = [times_s, floor.foot_points(upright)]
        if len(floor_m):
            columns.append(floor_m[is_standing])
        rows = _means(np.column_stack(columns), self._starts(times_s))
        points = rows[:, 3:] if len(floor_m) else floor_m
        self._walks.append(_Walk(person_id, camera, rows[:, 0], rows[:, 1:3], points))
        if not len(floor_m):
            self._standing[camera].append(_whole(upright, seen_by))

    def _starts(self, times_s: Array) -> Array:
        """First rows of the stretches that are averaged."""
        n_steps = 1 + int((times_s[-1] - times_s[0]) / STEP_S)
        n_points = min(len(times_s), self._n_points, n_steps)
        return np.arange(n_points) * len(times_s) // n_points

    def documents(self, learned: Sequence[Homography], origin_s: float) -> list[Json]:
        """Return the plans, the one of given homographies first.

        Args:
            learned: homographies between pictures.
            origin_s: time from which times count.
        """
        names = [camera.name for camera in self._cameras]
        views = {pair: view.matrix for pair, view in homographies.views(names, learned).items()}
        left = sorted({walk.camera for walk in self._walks})
        found = []
        given = self._given()
        if given:
            fitted = {camera: matrix for camera, matrix in given.items() if matrix.size}
            matrices = given | _reached(fitted, left, views)
            placed = self._placed(matrices)
            found.append(_plan(placed, origin_s, is_mirrored=_is_mirrored(placed)))
            left = [camera for camera in left if camera not in matrices]
        while left:
            group = list(_reached({left[0]: np.eye(3)}, left, views))
            left = [camera for camera in left if camera not in group]
            measured = self._measured(group)
            if measured:
                reference = min(measured, key=lambda camera: measured[camera].doubt)
                matrices = _reached({reference: measured[reference].matrix}, group, views)
                doubt = measured[reference].doubt
                placed = self._placed(matrices)
                found.append(_plan(placed, origin_s, reference=reference, doubt=doubt))
        return found

    def _given(self) -> dict[int, Array]:
        """Homographies to the floor of the cameras where places on it are known, (3, 3), or (0, 0)
        where these are too few.
        """
        known = [_Placed(walk, walk.floor_m) for walk in self._walks if len(walk.floor_m)]
        return {camera: _homography(places) for camera, places in _by_camera(known).items()}

    def _placed(self, matrices: Mapping[int, Array]) -> list[_Placed]:
        """Walks in the cameras of these homographies, before the horizon."""
        found = []
        for walk in self._walks:
            if walk.camera not in matrices:
                continue
            if len(walk.floor_m):
                found.append(_Placed(walk, walk.floor_m))
            else:
                points, is_ahead = through(walk.feet, matrices[walk.camera])
                if is_ahead.any():
                    found.append(_Placed(walk.only(is_ahead), points[is_ahead]))
        return found

    def _measured(self, group: Sequence[int]) -> dict[int, Ground]:
        """Cameras whose floor the heights of people tell."""
        found = {}
        for number in group:
            camera = self._cameras[number]
            standing = np.concatenate(self._standing[number])
            measured = ground.estimate(standing, (camera.width, camera.height))
            if measured is not None:
                found[number] = measured
        return found


def _reached(
    known: Mapping[int, Array], among: Sequence[int], views: Mapping[Pair, Array]
) -> dict[int, Array]:
    """Homographies to a plan: those known, and of cameras that are joined to them by few views."""
    matrices = dict(known)
    reached = list(known)
    for before in reached:
        for camera in among:
            if camera not in matrices and (camera, before) in views:
                matrices[camera] = matrices[before] @ views[camera, before]
                reached.append(camera)
    return matrices


def _means(rows: Array, starts: Array) -> Array:
    """Means of stretches of rows (n, k), which begin at `starts`."""
    counts = np.diff(np.append(starts, len(rows)))
    return np.asarray(np.add.reduceat(rows, starts) / counts[:, None])


def _whole(boxes: Array, camera: Camera) -> Array:
    """Feet and head, (n, 2) px, of some boxes that the upper edge of the picture does not cut."""
    height_px = boxes[:, 3] - boxes[:, 1]
    whole = boxes[boxes[:, 1] > floor.CUT_SHARE * height_px]
    step = max(1, -(-len(whole) // MAX_STANDING))
    return whole[::step][:, [3, 1]]


@dataclass(frozen=True, slots=True)
class _Places:
    """Feet (n, 2) px in one camera, and where they are on a plan, (n, 2) m."""

    feet: Array
    points: Array


def _by_camera(placed: Sequence[_Placed]) -> dict[int, _Places]:
    """All places of each camera, by its number."""
    grouped: dict[int, list[_Placed]] = defaultdict(list)
    for each in placed:
        grouped[each.walk.camera].append(each)
    found = {}
    for camera, of_camera in sorted(grouped.items()):
        feet = np.concatenate([each.walk.feet for each in of_camera])
        points = np.concatenate([each.points for each in of_camera])
        found[camera] = _Places(feet, points)
    return found


def _homography(places: _Places) -> Array:
    """The homography from feet to points, positive before the horizon; (0, 0) without enough
    places.
    """
    if len(places.feet) < MIN_PLACES:
        return np.zeros((0, 0))
    matrix, _ = cv2.findHomography(places.feet, places.points, 0)
    if matrix is None or not floor.is_homography(matrix):
        return np.zeros((0, 0))
    depth = places.feet @ matrix[2, :2] + matrix[2, 2]
    return np.asarray(matrix * np.sign(np.median(depth)))


def _is_mirrored(placed: Sequence[_Placed]) -> bool:
    """Whether the y of a site grows the other way than in a plan with x to the right and y up.

    A camera sees the floor from above, with v growing downwards. Coordinates that turn the same way
    as its pixels are those of a plan whose y grows downwards too.
    """
    turns = 0.0
    for places in _by_camera(placed).values():
        feet = places.feet - places.feet.mean(axis=0)
        points = places.points - places.points.mean(axis=0)
        turns += len(feet) * float(np.sign(np.linalg.det(feet.T @ points)))
    return turns > 0


def _plan(
    placed: Sequence[_Placed],
    origin_s: float,
    reference: int = -1,
    doubt: float = 0.0,
    is_mirrored: bool = False,
) -> Json:
    """What the page draws of a plan: its bounds, where views begin, and paths.

    A path is a person and a camera, then time, x and y of each point.
    """
    points = np.concatenate([each.points for each in placed])
    low = np.percentile(points, OUTLIERS, axis=0) - MARGIN_M
    high = np.percentile(points, 100 - OUTLIERS, axis=0) + MARGIN_M
    paths = []
    for each in placed:
        rows = np.column_stack([each.walk.times_s - origin_s, each.points]).round(2)
        paths.append([each.walk.person_id, each.walk.camera, *rows.ravel().tolist()])
    return {
        "reference": reference,
        "doubt": round(doubt, 2),
        "mirrored": is_mirrored,
        "bounds": [*low.round(2).tolist(), *high.round(2).tolist()],
        "views": [[camera, *_near(places)] for camera, places in _by_camera(placed).items()],
        "paths": paths,
    }


def _near(places: _Places) -> list[float]:
    """Where the view of a camera begins: the place of the people who are lowest in the picture."""
    feet_y = places.feet[:, 1]
    is_near = feet_y >= np.percentile(feet_y, NEAR)
    near: list[float] = np.median(places.points[is_near], axis=0).round(2).tolist()
    return near
