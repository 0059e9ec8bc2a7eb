"""Tracklets as arrays: where and when each was seen.

Tracklets are sorted by `Tracklet.key`. A number stands for the same tracklet in all of linking, and
ties are broken by it.
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
"""Tracklets this long show somebody well; shorter ones are mostly fragments from moments when
people hide each other.
"""


@dataclass(frozen=True, slots=True)
class Path:
    """Places (n, 2) at times_s (n,), n may be 0; a unit of place is `unit_m` metres, each is off by
    about `error_m`.
    """

    times_s: Array
    places: Array
    unit_m: float
    error_m: float

    def at(self, times_s: Array) -> Array:
        """Interpolated places (n, 2)."""
        return np.stack(
            [np.interp(times_s, self.times_s, self.places[:, k]) for k in (0, 1)], axis=1
        )


@dataclass(frozen=True, slots=True)
class View:
    """How the floor in one camera's picture lies in another's: matrix (3, 3), px to px; places are
    off by about `error_m`.
    """

    matrix: Array
    error_m: float


NOWHERE = Path(np.zeros(0), np.zeros((0, 2)), 1.0, 0.0)


class TrackletIndex:
    """n tracklets in order. start_s, end_s (n,) seconds; camera (n,) index into `names`;
    is_reliable (n,) bool: as long as `RELIABLE_S`.

    reach (n, 4) is the box x1 y1 x2 y2 in metres that holds a tracklet's floor path, nan without a
    floor; first_m and last_m (n, 3) are x, y and time of that path's ends, floor_error_m (n,) says
    how far off its places are. pieces: consecutive pieces of one track, (earlier, later);
    continued: those of them whose later is ambiguous.

    slack_s (C, C), seconds, is how far the clocks of every two cameras disagree: see `with_slack`.
    overlap (C, C) bool says in which cameras simultaneous places can be compared, on the floor or
    through `views`.
    """

    def __init__(self, embedded: Sequence[Embedded], cameras: Mapping[str, Camera]) -> None:
        self.embedded = sorted(embedded, key=lambda e: e.tracklet.key)
        self.tracklets: list[Tracklet] = [e.tracklet for e in self.embedded]
        self.keys = [t.key for t in self.tracklets]
        self.names = sorted({t.camera for t in self.tracklets})
        index = {name: i for i, name in enumerate(self.names)}
        self.cameras = [cameras[name] for name in self.names]
        self.camera = np.array([index[t.camera] for t in self.tracklets], np.int64)
        self.start_s = np.array([t.first_s for t in self.tracklets], np.float64)
        self.end_s = np.array([t.last_s for t in self.tracklets], np.float64)
        self.is_reliable = self.end_s - self.start_s >= RELIABLE_S
        self.has_floor = np.array([c.homography.size > 0 for c in self.cameras], bool)
        self.slack_s = np.zeros((len(self.names),) * 2)
        self.overlap = self.has_floor[:, None] & self.has_floor[None, :]
        self.views: Mapping[tuple[int, int], View] = {}
        self.pieces = _pieces(self.tracklets)
        self.continued = {(i, j) for i, j in self.pieces if self.tracklets[j].ambiguous}
        self._next_piece = dict(self.continued)
        self._previous_piece = {later: earlier for earlier, later in self.continued}
        n = len(self.tracklets)
        self.reach, self.floor_error_m = np.full((n, 4), np.nan), np.zeros(n)
        self.first_m, self.last_m = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
        self._floors = [
            on_floor(t, self.cameras[c])
            for t, c in zip(self.tracklets, self.camera.tolist(), strict=True)
        ]
        for i, path in enumerate(self._floors):
            if len(path.times_s):
                self.reach[i] = [*path.places.min(axis=0), *path.places.max(axis=0)]
                self.first_m[i], self.last_m[i] = (
                    [*path.places[0], path.times_s[0]],
                    [*path.places[-1], path.times_s[-1]],
                )
                self.floor_error_m[i] = path.error_m

    def __len__(self) -> int:
        return len(self.tracklets)

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
        """Path of a tracklet on the floor, metres; NOWHERE without one."""
        return self._floors[i]

    def common(self, i: int, j: int) -> tuple[Path, Path]:
        """Paths of two tracklets where they can be compared: in their camera's picture, in the
        second's, or on the floor.
        """
        cameras = int(self.camera[i]), int(self.camera[j])
        if cameras[0] == cameras[1]:
            return self.picture(i), self.picture(j)
        if cameras not in self.views:
            return self.floor(i), self.floor(j)
        view, there = self.views[cameras], self._standing(j)
        here = self._standing(i)
        places, ahead = through(here.places, view.matrix)
        return Path(here.times_s[ahead], places[ahead], there.unit_m, view.error_m), there

    def with_slack(self, slack_s: Array) -> "TrackletIndex":
        """Return the same index, of cameras whose clocks disagree by slack_s (C, C) seconds."""
        other = copy(self)
        other.slack_s = slack_s
        return other

    def with_homographies(self, views: Mapping[tuple[int, int], View]) -> "TrackletIndex":
        """Return the same index, with places of these cameras compared in the second's picture."""
        other = copy(self)
        other.views = views
        other.overlap = self.overlap.copy()
        for cameras in views:
            other.overlap[cameras] = True
        return other

    def picture(self, i: int) -> Path:
        """Path of a tracklet in its camera's picture, pixels, with its boxes as the ruler."""
        tracklet = self.tracklets[i]
        metre_px = max(
            float(np.median(tracklet.boxes[:, 3] - tracklet.boxes[:, 1])) / PERSON_M, 1.0
        )
        feet = floor.foot_points(tracklet.boxes)
        return Path(tracklet.times_s, feet, 1 / metre_px, floor.FOOT_STD * PERSON_M)

    def _standing(self, i: int) -> Path:
        """Path in the picture, while the feet are in it."""
        path, inside = (
            self.picture(i),
            self.tracklets[i].boxes[:, 3] < self.cameras[self.camera[i]].height - floor.CUT_PX,
        )
        return Path(path.times_s[inside], path.places[inside], path.unit_m, path.error_m)


def through(points: Array, matrix: Array) -> tuple[Array, Array]:
    """Points (n, 2) of one picture in another, and which (n,) are not beyond its horizon, where
    nothing is.
    """
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    ahead = mapped[:, 2] > 0
    return mapped[:, :2] / np.where(ahead, mapped[:, 2], 1)[:, None], ahead


def on_floor(tracklet: Tracklet, camera: Camera) -> Path:
    """Where a tracklet was on the common floor, as far as its feet were in the picture."""
    if not camera.homography.size:
        return NOWHERE
    places, error = floor.positions(tracklet.boxes, camera)
    good = np.isfinite(places).all(axis=1)
    return (
        Path(tracklet.times_s[good], places[good], 1.0, float(np.median(error[good])))
        if good.any()
        else NOWHERE
    )


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
