"""Floor plans: where people walked, seen from above, in metres.

Cameras whose homographies were given share one plan in the coordinates of the site. Others get an
approximate one: `ground` measures the floor of a camera by the heights of people, and cameras whose
views overlap are joined to it by the homographies that linking learned between their pictures. So
there is one plan for each group of cameras that overlap, and for each camera alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
        floor_m = floor_m[is_standing] if len(floor_m) else floor_m
        starts = self._starts(times_s)
        walk = _Walk(
            person_id,
            camera,
            _means(times_s, starts),
            _means(floor.foot_points(upright), starts),
            _means(floor_m, starts) if len(floor_m) else floor_m,
        )
        self._walks.append(walk)
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
        known = [_Placed(walk, walk.floor_m) for walk in self._walks if len(walk.floor_m)]
        found = []
        if known:
            is_mirrored = _is_mirrored(known)
            found.append(_plan(known, origin_s, reference=-1, doubt=0.0, is_mirrored=is_mirrored))
        given = {placed.walk.camera for placed in known}
        left = sorted({walk.camera for walk in self._walks} - given)
        names = [camera.name for camera in self._cameras]
        views = {pair: view.matrix for pair, view in homographies.views(names, learned).items()}
        while left:
            group = _joined(left[0], left, views)
            left = [camera for camera in left if camera not in group]
            approximate = self._approximate(group, views, origin_s)
            if approximate is not None:
                found.append(approximate)
        return found

    def _approximate(
        self, group: Sequence[int], views: Mapping[Pair, Array], origin_s: float
    ) -> Json | None:
        """The plan of cameras that overlap, from the one whose floor is measured best."""
        grounds = self._grounds(group)
        if not grounds:
            return None
        reference = min(grounds, key=lambda camera: grounds[camera].doubt)
        matrices = {reference: grounds[reference].matrix}
        for camera, before in _ways(reference, group, views):
            matrices[camera] = matrices[before] @ views[camera, before]
        placed = []
        for walk in self._walks:
            if walk.camera in matrices:
                points, is_ahead = through(walk.feet, matrices[walk.camera])
                placed.append(_Placed(walk.only(is_ahead), points[is_ahead]))
        shown = [each for each in placed if len(each.points)]
        doubt = grounds[reference].doubt
        return _plan(shown, origin_s, reference=reference, doubt=doubt, is_mirrored=False)

    def _grounds(self, group: Sequence[int]) -> dict[int, Ground]:
        found = {}
        for number in group:
            camera = self._cameras[number]
            standing = np.concatenate(self._standing[number])
            measured = ground.estimate(standing, (camera.width, camera.height))
            if measured is not None:
                found[number] = measured
        return found


def _joined(first: int, among: Sequence[int], views: Mapping[Pair, Array]) -> list[int]:
    """Cameras whose views overlap with that of the first, or with one of those that do."""
    return [first, *(camera for camera, _ in _ways(first, among, views))]


def _ways(first: int, among: Sequence[int], views: Mapping[Pair, Array]) -> Iterator[Pair]:
    """Cameras reached from the first by the fewest views, each with the one before on the way."""
    reached = [first]
    for before in reached:
        for camera in among:
            if camera not in reached and (camera, before) in views:
                reached.append(camera)
                yield camera, before


def _means(values: Array, starts: Array) -> Array:
    """Means of stretches of rows, which begin at `starts`."""
    counts = np.diff(np.append(starts, len(values)))
    sums = np.add.reduceat(values, starts)
    return np.asarray(sums / counts.reshape(-1, *[1] * (values.ndim - 1)))


def _whole(boxes: Array, camera: Camera) -> Array:
    """Feet and head, (n, 2) px, of some boxes that the upper edge of the picture does not cut."""
    height_px = boxes[:, 3] - boxes[:, 1]
    whole = boxes[boxes[:, 1] > floor.CUT_SHARE * height_px]
    step = max(1, -(-len(whole) // MAX_STANDING))
    return whole[::step][:, [3, 1]]


def _is_mirrored(placed: Sequence[_Placed]) -> bool:
    """Whether the y of a site grows the other way than in a plan with x to the right and y up.

    A camera sees the floor from above, with v growing downwards. Coordinates that turn the same way
    as its pixels are those of a plan whose y grows downwards too.
    """
    turns = 0.0
    by_camera: dict[int, list[_Placed]] = defaultdict(list)
    for each in placed:
        by_camera[each.walk.camera].append(each)
    for of_camera in by_camera.values():
        feet = np.concatenate([each.walk.feet for each in of_camera])
        points = np.concatenate([each.points for each in of_camera])
        centred = feet - feet.mean(axis=0)
        turn = np.linalg.det(centred.T @ (points - points.mean(axis=0)))
        turns += len(feet) * float(np.sign(turn))
    return turns > 0


def _plan(
    placed: Sequence[_Placed], origin_s: float, reference: int, doubt: float, is_mirrored: bool
) -> Json:
    """What the page draws of a plan: its bounds, where views begin, and paths.

    A path is a person and a camera, then time, x and y of each point.
    """
    points = np.concatenate([each.points for each in placed])
    low = np.percentile(points, OUTLIERS, axis=0) - MARGIN_M
    high = np.percentile(points, 100 - OUTLIERS, axis=0) + MARGIN_M
    paths = []
    by_camera: dict[int, list[_Placed]] = defaultdict(list)
    for each in placed:
        by_camera[each.walk.camera].append(each)
        rows = np.column_stack([each.walk.times_s - origin_s, each.points]).round(2)
        paths.append([each.walk.person_id, each.walk.camera, *rows.ravel().tolist()])
    return {
        "reference": reference,
        "doubt": round(doubt, 2),
        "mirrored": is_mirrored,
        "bounds": [*low.round(2).tolist(), *high.round(2).tolist()],
        "views": [[number, *_near(each)] for number, each in sorted(by_camera.items())],
        "paths": paths,
    }


def _near(placed: Sequence[_Placed]) -> list[float]:
    """Where the view of a camera begins: the place of the people who are lowest in the picture."""
    feet_y = np.concatenate([each.walk.feet[:, 1] for each in placed])
    points = np.concatenate([each.points for each in placed])
    is_near = feet_y >= np.percentile(feet_y, NEAR)
    near: list[float] = np.median(points[is_near], axis=0).round(2).tolist()
    return near
