"""Evidence of position: log odds that a tracklet is where it is because it continues another.

A Gaussian around the position of the first, which widens with the gap, is compared with anybody's
position: uniform over `CROWD_M2` square metres. Across cameras, metres come from homographies.
Within one camera the picture is compared, with a box height of `PERSON_M`: a track often ends
because the feet are hidden, and a box cut by half moves a floor position by many metres, but a
picture position by less than one.

A homography that was learned maps some feet wrongly: hidden ones, and all where it does not hold.
So a distance of two tracklets that are seen at once is compared with a mixture: with the share of
feet that agreed when it was learned, the Gaussian, and otherwise anybody's position. Such a
distance is never a cannot-link, as one on a floor that was given is.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking.evidence.appearance import MAX_LOG_ODDS
from pipeline.linking.index import Path, TrackletIndex, View
from pipeline.linking.reasons import FLOOR
from pipeline.records import Array

CROWD_M2 = 100.0
WALK_M_S = 1.0
PLACE_STD_M = 0.3
MAX_GAP_S = 3.0
"""Beyond this gap positions are no evidence."""
MIN_COMMON_ROWS = 3
GOES_ON = 1.7
"""Log odds that a track still follows the same person after an ambiguous match: it does in 85 % of
the cases on two rendered worlds.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """The positions of two tracklets, compared.

    Attributes:
        odds: log odds that they are one person; nan where positions say nothing.
        metres: distance; nan where the positions cannot be compared.
        rule: the cannot-link that the positions give, "" for none.
    """

    odds: float
    metres: float
    rule: str


SILENT = Compared(np.nan, np.nan, "")


def compare(index: TrackletIndex, i: int, j: int, config: LinkingConfig) -> Compared:
    """Compare the positions of two tracklets.

    Args:
        index: all tracklets.
        i: index of the earlier.
        j: index of the later.
        config: holds the longest distance of one person on the floor.

    Returns:
        The comparison; `SILENT` where the tracklets are `MAX_GAP_S` or more apart in time, or where
        their positions cannot be compared.
    """
    if (i, j) in index.continued:
        return Compared(GOES_ON, np.nan, "")
    if index.start_s[j] - index.end_s[i] >= MAX_GAP_S:
        return SILENT
    first, second = index.common(i, j)
    if not len(first.times_s) or not len(second.times_s):
        return SILENT
    camera = index.camera[i]
    other_camera = index.camera[j]
    walked_m = WALK_M_S * index.slack_s[camera, other_camera]
    error_m = float(np.sqrt(PLACE_STD_M**2 + first.error_m**2 + second.error_m**2 + walked_m**2))
    is_at_once = index.start_s[j] <= index.end_s[i]
    is_one_camera = camera == other_camera
    if is_at_once:
        if is_one_camera:
            return SILENT
        view = index.views.get((int(camera), int(other_camera)))
        return _at_once(first, second, error_m, config, view)
    compared = _in_sequence(first, second, error_m)
    if is_one_camera and index.is_rival_of_track(i, j):
        compared = replace(compared, odds=min(compared.odds, -GOES_ON))
    return compared


def _in_sequence(first: Path, second: Path, error_m: float) -> Compared:
    """Compare the end of the earlier path with the start of the later."""
    is_in_order = first.times_s[0] < second.times_s[0]
    early, late = (first, second) if is_in_order else (second, first)
    step = np.linalg.norm(late.places[0] - early.places[-1])
    distance_m = float(_unit_m(first, second) * step)
    elapsed_s = max(float(late.times_s[0] - early.times_s[-1]), 1e-3)
    std_m = float(np.hypot(error_m, WALK_M_S * elapsed_s))
    return Compared(_odds(distance_m, std_m), distance_m, "")


def _at_once(
    first: Path, second: Path, error_m: float, config: LinkingConfig, view: View | None
) -> Compared:
    """Compare two paths at the times that they have in common, by their median distance.

    view: how their pictures were learned to overlap; None on a floor that was given.
    """
    is_begun = first.times_s >= second.times_s[0]
    is_not_over = first.times_s <= second.times_s[-1]
    common_s = first.times_s[is_begun & is_not_over]
    if len(common_s) < MIN_COMMON_ROWS:
        return SILENT
    apart = np.linalg.norm(first.at(common_s) - second.at(common_s), axis=1)
    distance_m = float(np.median(apart) * _unit_m(first, second))
    odds = _odds(distance_m, error_m)
    if view is not None:
        mixed = np.logaddexp(np.log(view.agree) + odds, np.log(1 - view.agree))
        return Compared(float(mixed), distance_m, "")
    is_far = distance_m - 2 * error_m > config.max_floor_m
    return Compared(odds, distance_m, FLOOR if is_far else "")


def _unit_m(first: Path, second: Path) -> float:
    """Metres of a unit of place between two paths, the geometric mean of both."""
    return float(np.sqrt(first.unit_m * second.unit_m))


def _odds(distance_m: float, std_m: float) -> float:
    """Log odds of this distance for one person against anybody in the crowd."""
    peak = np.log(CROWD_M2 / (2 * np.pi * std_m**2))
    odds = peak - distance_m**2 / (2 * std_m**2)
    return float(np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS))


def apart_m(reach: Array, other: Array) -> Array:
    """Return the shortest distance between boxes on the floor.

    Args:
        reach: x1 y1 x2 y2, (..., 4) metres.
        other: boxes to compare with, (..., 4) metres.

    Returns:
        Distances, (...) metres, 0 where boxes overlap; nan where a box is nan.
    """
    beyond = reach[..., :2] - other[..., 2:]
    before = other[..., :2] - reach[..., 2:]
    gap = np.maximum(np.maximum(beyond, before), 0)
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1]))
