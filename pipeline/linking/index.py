"""Tracklets as arrays: where and when each was seen.

Tracklets are sorted by `Tracklet.key`. An index means the same tracklet in all of linking, and
breaks ties.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from pipeline import floor
from pipeline.records import Array, Camera, Embedded, Tracklet

PERSON_M = 1.7
"""Height of a person: the ruler within a picture."""


RELIABLE_S = 1.0
"""Shorter tracklets are fragments, mostly from moments of occlusion."""
TOGETHER_S = 0.5
"""Time for which two tracklets of one camera must be in view at once to be two people; two boxes of
one person last less.
"""


@dataclass(frozen=True, slots=True)
class Path:
    """Where somebody was.

    Attributes:
        times_s: (n,) seconds, n may be 0.
        places: positions at these times, (n, 2), in units of `unit_m`.
        unit_m: metres of a unit.
        error_m: standard deviation of a position in metres.
    """

    times_s: Array
    places: Array
    unit_m: float
    error_m: float

    def at(self, times_s: Array) -> Array:
        """Interpolate the path.

        Args:
            times_s: (m,) seconds.

        Returns:
            Places, (m, 2).
        """
        x = np.interp(times_s, self.times_s, self.places[:, 0])
        y = np.interp(times_s, self.times_s, self.places[:, 1])
        return np.stack([x, y], axis=1)


@dataclass(frozen=True, slots=True)
class View:
    """Maps the floor in one camera's picture to another's.

    Attributes:
        matrix: px to px, (3, 3).
        error_m: standard deviation of mapped positions in metres.
        agree: share of feet that are mapped to their place, above 0 and below 1.
    """

    matrix: Array
    error_m: float
    agree: float


NOWHERE = Path(np.zeros(0), np.zeros((0, 2)), 1.0, 0.0)


class TrackletIndex:
    """n tracklets of C cameras, sorted by `Tracklet.key`.

    Attributes:
        embedded: the tracklets with their embeddings.
        tracklets: the tracklets alone.
        keys: their keys.
        start_s: start of each, (n,) seconds.
        end_s: end of each, (n,) seconds.
        is_reliable: whether each is at least `RELIABLE_S` long, (n,) bool.
        pieces: consecutive pieces of one track, (earlier, later).
        continued: those pieces of which the later is ambiguous.
        names: names of the cameras, sorted.
        cameras: the cameras.
        camera: camera of each tracklet, index into `names`, (n,) int.
        has_floor: whether each camera has a homography to the common floor, (C,) bool.
        overlap: cameras whose simultaneous positions can be compared, (C, C) bool.
        slack_s: how far the clocks of every two cameras disagree, (C, C) seconds.
        views: homographies between pictures, by two cameras.
        reach: box x1 y1 x2 y2 that holds a floor path, (n, 4) metres; nan without a floor.
        first_m: x, y and time of the start of a floor path, (n, 3); nan without a floor.
        last_m: x, y and time of its end, (n, 3); nan without a floor.
        floor_error_m: standard deviation of floor positions, (n,) metres.
    """

    def __init__(self, embedded: Sequence[Embedded], cameras: Mapping[str, Camera]) -> None:
        self.embedded = sorted(embedded, key=lambda e: e.tracklet.key)
        self.tracklets: list[Tracklet] = [e.tracklet for e in self.embedded]
        self.keys = [tracklet.key for tracklet in self.tracklets]
        self.start_s = np.array([tracklet.first_s for tracklet in self.tracklets], np.float64)
        self.end_s = np.array([tracklet.last_s for tracklet in self.tracklets], np.float64)
        self._longest_s = float((self.end_s - self.start_s).max(initial=0.0))
        self.is_reliable = self.end_s - self.start_s >= RELIABLE_S
        self.pieces = _pieces(self.tracklets)
        self.continued = {pair for pair in self.pieces if self.tracklets[pair[1]].ambiguous}
        self._next_piece = dict(self.continued)
        self._previous_piece = {later: earlier for earlier, later in self.continued}

        self.names = sorted({tracklet.camera for tracklet in self.tracklets})
        self.cameras = [cameras[name] for name in self.names]
        number = {name: i for i, name in enumerate(self.names)}
        self.camera = np.array([number[tracklet.camera] for tracklet in self.tracklets], np.int64)
        self.has_floor = np.array([camera.homography.size > 0 for camera in self.cameras], bool)
        self.overlap = self.has_floor[:, None] & self.has_floor[None, :]
        self.slack_s = np.zeros(self.overlap.shape)
        self.views: Mapping[tuple[int, int], View] = {}

        n = len(self.tracklets)
        self.reach = np.full((n, 4), np.nan)
        self.first_m = np.full((n, 3), np.nan)
        self.last_m = np.full((n, 3), np.nan)
        self.floor_error_m = np.zeros(n)
        self._floors = [on_floor(tracklet, cameras[tracklet.camera]) for tracklet in self.tracklets]
        for i, path in enumerate(self._floors):
            if not len(path.times_s):
                continue
            self.reach[i, :2] = path.places.min(axis=0)
            self.reach[i, 2:] = path.places.max(axis=0)
            self.first_m[i] = [*path.places[0], path.times_s[0]]
            self.last_m[i] = [*path.places[-1], path.times_s[-1]]
            self.floor_error_m[i] = path.error_m

    def __len__(self) -> int:
        return len(self.tracklets)

    def in_view_with(self, i: int) -> Array:
        """Return the reliable tracklets that the camera of a tracklet shows at the same time, for
        `TOGETHER_S` at least; these are other people.
        """
        seen = self.seen(int(self.camera[i]), self.start_s[i], self.end_s[i])
        together_s = np.minimum(self.end_s[seen], self.end_s[i])
        together_s -= np.maximum(self.start_s[seen], self.start_s[i])
        is_other = (seen != i) & self.is_reliable[seen]
        return np.asarray(seen[is_other & (together_s >= TOGETHER_S)])

    def seen(self, camera: int, first_s: float, last_s: float) -> Array:
        """Return the tracklets (k,) that a camera shows at any time of a span, in order."""
        low = np.searchsorted(self.start_s, first_s - self._longest_s)
        high = np.searchsorted(self.start_s, last_s, side="right")
        near = np.arange(low, high)
        is_seen = (self.camera[near] == camera) & (self.end_s[near] >= first_s)
        return np.asarray(near[is_seen])

    def is_rival_of_track(self, i: int, j: int) -> bool:
        """Whether a link contradicts the tracker at an ambiguous match.

        Args:
            i: index of the earlier tracklet.
            j: index of the later, of the same camera.

        Returns:
            Whether the track of i goes on beside j, or that of j comes from beside i: one person
            cannot be there twice, so the tracker is wrong if i and j are one person.
        """
        next_piece = self._next_piece.get(i, j)
        previous_piece = self._previous_piece.get(j, i)
        goes_on_beside = next_piece != j and self.start_s[j] <= self.end_s[next_piece]
        comes_from_beside = previous_piece != i and self.start_s[previous_piece] <= self.end_s[i]
        return bool(goes_on_beside or comes_from_beside)

    def floor(self, i: int) -> Path:
        """Return the path of a tracklet on the floor, in metres; NOWHERE without one."""
        return self._floors[i]

    def common(self, i: int, j: int) -> tuple[Path, Path]:
        """Return the paths of two tracklets where they can be compared.

        Args:
            i: index of a tracklet.
            j: index of another.

        Returns:
            Both paths in their camera's picture, in the picture of the second, or on the floor.
        """
        cameras = int(self.camera[i]), int(self.camera[j])
        if cameras[0] == cameras[1]:
            return self.picture(i), self.picture(j)
        if cameras not in self.views:
            return self.floor(i), self.floor(j)
        view = self.views[cameras]
        here = self._standing(i)
        there = self._standing(j)
        places, is_ahead = through(here.places, view.matrix)
        times_s = here.times_s[is_ahead]
        mapped = Path(times_s, places[is_ahead], there.unit_m, view.error_m)
        return mapped, there

    def with_slack(self, slack_s: Array) -> "TrackletIndex":
        """Return the same index with other clocks.

        Args:
            slack_s: how far the clocks of every two cameras disagree, (C, C) seconds.
        """
        other = copy(self)
        other.slack_s = slack_s
        return other

    def with_homographies(self, views: Mapping[tuple[int, int], View]) -> "TrackletIndex":
        """Return the same index with views.

        Args:
            views: by two cameras; their tracklets are compared in the picture of the second.
        """
        other = copy(self)
        other.views = views
        other.overlap = self.overlap.copy()
        for cameras in views:
            other.overlap[cameras] = True
        return other

    def picture(self, i: int) -> Path:
        """Return the path of a tracklet in its camera's picture, in pixels, scaled by its boxes."""
        tracklet = self.tracklets[i]
        heights_px = tracklet.boxes[:, 3] - tracklet.boxes[:, 1]
        metre_px = max(float(np.median(heights_px)) / PERSON_M, 1.0)
        feet = floor.foot_points(tracklet.boxes)
        return Path(tracklet.times_s, feet, 1 / metre_px, floor.FOOT_STD * PERSON_M)

    def _standing(self, i: int) -> Path:
        """Path in the picture, while the feet are in it."""
        path = self.picture(i)
        camera = self.cameras[self.camera[i]]
        are_shown = floor.are_feet_shown(self.tracklets[i].boxes, camera)
        times_s = path.times_s[are_shown]
        return Path(times_s, path.places[are_shown], path.unit_m, path.error_m)


def through(points: Array, matrix: Array) -> tuple[Array, Array]:
    """Map points by a homography.

    Args:
        points: (n, 2) px.
        matrix: (3, 3).

    Returns:
        Mapped points (n, 2), and which of them are not beyond the horizon, (n,) bool.
    """
    ones = np.ones((len(points), 1))
    mapped = np.concatenate([points, ones], axis=1) @ matrix.T
    depth = mapped[:, 2]
    is_ahead = depth > 0
    divisor = np.where(is_ahead, depth, 1)
    return mapped[:, :2] / divisor[:, None], is_ahead


def on_floor(tracklet: Tracklet, camera: Camera) -> Path:
    """Return the path of a tracklet on the common floor, while its feet are in the picture.

    Args:
        tracklet: its boxes.
        camera: its camera.

    Returns:
        The path in metres; NOWHERE without a homography, or with the feet always hidden.
    """
    if not camera.homography.size:
        return NOWHERE
    places, error_m = floor.positions(tracklet.boxes, camera)
    is_known = np.isfinite(places).all(axis=1)
    if not is_known.any():
        return NOWHERE
    typical_error_m = float(np.median(error_m[is_known]))
    return Path(tracklet.times_s[is_known], places[is_known], 1.0, typical_error_m)


def _pieces(tracklets: list[Tracklet]) -> list[tuple[int, int]]:
    """Consecutive pieces of one track, (earlier, later), by the later."""
    last: dict[tuple[str, int], int] = {}
    found = []
    for i, tracklet in enumerate(tracklets):
        track = tracklet.camera, tracklet.track_id
        if track in last:
            found.append((last[track], i))
        last[track] = i
    return found
