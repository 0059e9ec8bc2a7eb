"""Space and time: what forbids a link between two tracklets, and what speaks for it.

Rules forbid: one camera shows a person once at a time; the travel time between two cameras has a minimum; on a common floor,
simultaneous positions agree and nobody walks between cameras faster than `max_speed_m_s`. Evidence is the log odds of finding
the second where it is, if it is the first (a Gaussian around the first's place that widens with the gap) against anybody
(evenly over `CROWD_M2` square metres). Across cameras metres come from homographies; within one a box height is `PERSON_M`.
"""

from dataclasses import dataclass

import numpy as np

from pipeline import floor
from pipeline.config import LinkingConfig
from pipeline.linking.affinity import MAX_LOG_ODDS
from pipeline.records import Array, Camera, Tracklet

CROWD_M2 = 100.0
PERSON_M = 1.7
WALK_M_S = 1.0
PLACE_STD_M = 0.3
MAX_PLACE_GAP_S = 3.0
MIN_COMMON_ROWS = 3

SAME_TIME = "one camera, same time"
TRAVEL = "travel time"
FLOOR = "floor distance"
SPEED = "walking speed"


@dataclass(frozen=True, slots=True)
class Priors:
    """All pairs of n tracklets: gap_s (n, n), rule (n, n) str ("" allowed), place log odds and floor_m (nan: no evidence)."""

    gap_s: Array
    rule: Array
    place: Array
    floor_m: Array


def compute(tracklets: list[Tracklet], cameras: dict[str, Camera], config: LinkingConfig) -> Priors:
    """Rules and evidence for all pairs; the tracklets are in order of `Tracklet.key`."""
    n = len(tracklets)
    start, end = np.array([t.first_s for t in tracklets]), np.array([t.last_s for t in tracklets])
    gap = np.maximum(start[:, None], start[None, :]) - np.minimum(end[:, None], end[None, :])
    names = np.array([t.camera for t in tracklets])
    rule = np.full((n, n), "", dtype=object)
    rule[gap < _min_gap(names, config)] = TRAVEL
    rule[(names[:, None] == names[None, :]) & (gap <= 0)] = SAME_TIME
    place, metres = np.full((n, n), np.nan), np.full((n, n), np.nan)
    places = [_Places(t, cameras[t.camera]) for t in tracklets]
    too_fast = _too_fast(places, gap, config)
    rule[(too_fast | too_fast.T) & (rule == "")] = SPEED
    for i, j in zip(*np.nonzero(np.triu((gap < MAX_PLACE_GAP_S) & (rule == ""), k=1)), strict=True):
        odds, distance, broken = _compare(places[i], places[j], float(gap[i, j]), config)
        place[i, j] = place[j, i] = odds
        metres[i, j] = metres[j, i] = distance
        rule[i, j] = rule[j, i] = broken
    return Priors(gap, rule, place, metres)


def in_reach(tracklets: list[Tracklet], config: LinkingConfig) -> bool:
    """Whether one person can make this journey: no step between consecutive tracklets takes longer than its `max_s`."""
    latest = tracklets[0]
    for following in tracklets[1:]:
        if following.first_s - latest.last_s > max_travel_s(latest.camera, following.camera, config):
            return False
        latest = max(latest, following, key=lambda t: t.last_s)
    return True


def max_travel_s(first: str, second: str, config: LinkingConfig) -> float:
    """Longest time between leaving one camera and appearing in the other, seconds."""
    return next((t.max_s for t in config.travel if set(t.cameras) == {first, second}), config.max_gap_s)


def _min_gap(names: Array, config: LinkingConfig) -> Array:
    """Shortest gap (n, n) that the config's travel times allow; views may overlap where nothing is said."""
    least = np.full((len(names), len(names)), -np.inf)
    for travel in config.travel:
        a, b = travel.cameras
        pair = (names[:, None] == a) & (names[None, :] == b)
        least[pair | pair.T] = travel.min_s or -np.inf
    return least


class _Places:
    """Where a tracklet was, twice: in its camera's picture, with boxes as rulers, and on the floor if there is a homography."""

    __slots__ = ("camera", "floor", "picture")

    def __init__(self, tracklet: Tracklet, camera: Camera) -> None:
        self.camera = camera.name
        metre_px = max(float(np.median(tracklet.boxes[:, 3] - tracklet.boxes[:, 1])) / PERSON_M, 1.0)
        feet = floor.foot_points(tracklet.boxes)
        self.picture = _Path(tracklet.times_s, feet, 1 / metre_px, floor.FOOT_STD * PERSON_M)
        self.floor = _NOWHERE
        if camera.homography.size:
            places, error = floor.positions(tracklet.boxes, camera)
            good = np.isfinite(places).all(axis=1)
            if good.any():
                self.floor = _Path(tracklet.times_s[good], places[good], 1.0, float(np.median(error[good])))


@dataclass(frozen=True, slots=True)
class _Path:
    """Places (n, 2) at times_s (n,), n may be 0; a unit of place is `unit_m` metres, each is off by about `error_m`."""

    times_s: Array
    places: Array
    unit_m: float
    error_m: float

    def at(self, times_s: Array) -> Array:
        """Interpolated places (n, 2)."""
        return np.stack([np.interp(times_s, self.times_s, self.places[:, k]) for k in (0, 1)], axis=1)


_NOWHERE = _Path(np.zeros(0), np.zeros((0, 2)), 1.0, 0.0)


def _compare(a: _Places, b: _Places, gap_s: float, config: LinkingConfig) -> tuple[float, float, str]:
    """(log odds, metres, rule) of two tracklets close in time; nan when their places cannot be compared.

    Within a camera the picture is compared and not the floor: a track often ends because something hides the feet, and a box
    cut by half moves a floor position by many metres, but a picture position by less than one.
    """
    one_camera = a.camera == b.camera
    first, second = (a.picture, b.picture) if one_camera else (a.floor, b.floor)
    if not len(first.times_s) or not len(second.times_s):
        return np.nan, np.nan, ""
    error = float(np.sqrt(PLACE_STD_M**2 + first.error_m**2 + second.error_m**2))
    return _in_sequence(first, second, error) if gap_s > 0 else _at_once(first, second, error, config)


def _too_fast(places: list["_Places"], gap_s: Array, config: LinkingConfig) -> Array:
    """True (n, n) where i is followed by j in another camera, and one would have had to run from the one to the other."""
    if not places:
        return np.zeros((0, 0), bool)
    ends = np.array([[*p.floor.places[-1], p.floor.times_s[-1]] if len(p.floor.times_s) else [np.nan] * 3 for p in places])
    starts = np.array([[*p.floor.places[0], p.floor.times_s[0]] if len(p.floor.times_s) else [np.nan] * 3 for p in places])
    error = np.array([p.floor.error_m for p in places])
    distance = np.linalg.norm(starts[None, :, :2] - ends[:, None, :2], axis=2)
    slack = 3 * np.sqrt(PLACE_STD_M**2 + error[:, None] ** 2 + error[None, :] ** 2)
    names = np.array([p.camera for p in places])
    elapsed = starts[None, :, 2] - ends[:, None, 2]
    late = (gap_s > 0) & (elapsed > 0) & (names[:, None] != names[None, :])
    return np.asarray(late & (distance - slack > config.max_speed_m_s * elapsed))


def _in_sequence(a: _Path, b: _Path, error_m: float) -> tuple[float, float, str]:
    """One after the other: how far is it from the end of the early to the start of the late."""
    early, late = (a, b) if a.times_s[0] < b.times_s[0] else (b, a)
    distance = float(np.sqrt(a.unit_m * b.unit_m) * np.linalg.norm(late.places[0] - early.places[-1]))
    elapsed_s = max(float(late.times_s[0] - early.times_s[-1]), 1e-3)
    return _odds(distance, float(np.hypot(error_m, WALK_M_S * elapsed_s))), distance, ""


def _at_once(a: _Path, b: _Path, error_m: float, config: LinkingConfig) -> tuple[float, float, str]:
    """At the same time in two cameras: the median distance between the two paths."""
    common = a.times_s[(a.times_s >= b.times_s[0]) & (a.times_s <= b.times_s[-1])]
    if len(common) < MIN_COMMON_ROWS:
        return np.nan, np.nan, ""
    distance = float(np.median(np.linalg.norm(a.at(common) - b.at(common), axis=1)))
    return _odds(distance, error_m), distance, FLOOR if distance - 2 * error_m > config.max_floor_m else ""


def _odds(distance_m: float, std_m: float) -> float:
    """Log odds of this distance for one person against anybody in the crowd."""
    odds = np.log(CROWD_M2 / (2 * np.pi * std_m**2)) - distance_m**2 / (2 * std_m**2)
    return float(np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS))
