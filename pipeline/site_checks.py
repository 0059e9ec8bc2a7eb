"""Whether regions of interest and homographies mean what they have to.

A region is compared with the picture before a run. A homography is compared with people, after
they are tracked: whoever stands on its floor is about 0.65 m wide and walks, at most, a few metres
a second. Both are measured along the line of the feet, so that the height of the camera does not
matter.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline import floor
from pipeline.box_files import MAX_FRACTION
from pipeline.config import ZoneConfig
from pipeline.errors import ConfigError
from pipeline.records import Array, Camera, Tracklet
from pipeline.zones import geometry

MAX_BEYOND = 0.1
"""A region may reach beyond the picture by this share of its width and height without a word."""
MAX_PX = 100_000
"""OpenCV draws no shapes that reach much further."""
RESOLUTIONS = ((640, 360), (640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))

MIN_BOXES = 20
MAX_ROWS = 2000
"""Boxes of a camera that are compared with its homography, spread over the run."""
TYPICAL_WIDTH_M = 0.65
WIDTHS_M = (0.3, 1.4)
POSSIBLE_WIDTHS_M = (0.15, 1.9)
"""The median width of people is within the first limits, and cannot be outside the second ones. In
eight rendered views it is 0.63 to 0.70 m.
"""
MAX_WIDTH_RATIO = 4.0
"""Of the widths of people nine tenths are at most this much larger than the smallest tenth."""
MAX_BEHIND = 0.02
MAX_WALK_M_S = 6.0
"""A median above this is no walking."""
SPEED_STEP_S = 1.0
UNITS = {"centimetres": 0.01, "millimetres": 0.001, "feet": 0.3048, "inches": 0.0254, "km": 1000.0}


def check_region(camera: Camera, roi: Sequence[tuple[float, float]]) -> list[str]:
    """Compare a region of interest with the picture.

    Args:
        camera: the camera, with the size of its picture.
        roi: polygon of (x, y) px; () for none.

    Returns:
        Warnings.

    Raises:
        ConfigError: the region cannot be meant in pixels of this picture.
    """
    if not roi:
        return []
    points = np.array(roi, np.float64)
    warnings = _check_shape(camera, points, f"{camera.name}: its roi", "roi")
    if geometry.crosses_itself(points):
        crossing = "has sides that cross; list its points in order along its border"
        warnings.append(f"{camera.name}: its roi {crossing}")
    return warnings


def check_zones(zones: Iterable[ZoneConfig], cameras: Mapping[str, Camera]) -> list[str]:
    """Compare all zones with the pictures that they are in; see `check_zone`."""
    warnings: list[str] = []
    for zone in zones:
        if zone.camera:
            warnings += check_zone(cameras[zone.camera], zone)
    return warnings


def check_zone(camera: Camera, zone: ZoneConfig) -> list[str]:
    """Compare a shape of a zone with the picture that it is in.

    Args:
        camera: the camera of the zone, with the size of its picture.
        zone: the shape.

    Returns:
        Warnings.

    Raises:
        ConfigError: the shape cannot be meant in pixels of this picture.
    """
    key = "line" if zone.line else "polygon"
    where = f"zone {zone.name}: its {key} in {camera.name}"
    return _check_shape(camera, np.array(zone.points, np.float64), where, key)


def _check_shape(camera: Camera, points: Array, where: str, key: str) -> list[str]:
    """Compare a polygon or a line with the picture.

    Args:
        camera: the camera, with the size of its picture.
        points: (n, 2) px.
        where: what it is, for messages.
        key: its setting: "line", or one of a polygon.

    Returns:
        Warnings.

    Raises:
        ConfigError: it cannot be meant in pixels of this picture.
    """
    size = np.array([camera.width, camera.height])
    picture = f"the picture of {camera.width} x {camera.height} px"
    reach = f"reaches from {_point(points.min(axis=0))} to {_point(points.max(axis=0))}"
    if np.abs(points).max() <= MAX_FRACTION:
        raise ConfigError(
            f"{where} {reach}, as fractions of the picture do; in pixels of {picture} it is"
            f" {key}: {_polygon(points * size)}"
        )
    is_flat = abs(cv2.contourArea(points.astype(np.float32))) < 1
    if key != "line" and is_flat and not geometry.crosses_itself(points):
        raise ConfigError(f"{where} has no area: its points lie on one line; {reach}")
    inside = np.zeros((camera.height, camera.width), np.uint8)
    corners = np.clip(points, -MAX_PX, MAX_PX).round().astype(np.int32)
    if key == "line":
        cv2.polylines(inside, [corners], False, 1)
    else:
        cv2.fillPoly(inside, [corners], 1)
    hint = _drawn_at(points, size, key)
    if not inside.any():
        raise ConfigError(f"{where} {reach}, wholly outside {picture}{hint}")
    warnings: list[str] = []
    beyond = np.maximum(points.max(axis=0) - size, -points.min(axis=0)) / size
    if beyond.max() > MAX_BEYOND:
        share = "" if key == "line" else f" ({inside.mean():.0%} of the picture is in it)"
        warnings.append(f"{where} {reach}, beyond {picture}{share}{hint}")
    elif points.max() <= 100 and points.max(axis=0).min() >= 90 and size.min() >= 200:
        warnings.append(
            f"{where} {reach}, the upper left corner of {picture}; if these are percent, it is"
            f" {key}: {_polygon(points * size / 100)}"
        )
    return warnings


def _drawn_at(points: Array, size: Array, key: str) -> str:
    """Guess the resolution that a shape was drawn at."""
    if points.min() >= 0 and (points[:, ::-1] <= size).all():
        return f"; if x and y are exchanged, it is {key}: {_polygon(points[:, ::-1])}"
    for width, height in RESOLUTIONS:
        fits = (points.max(axis=0) <= [width, height]).all() and points.min() >= 0
        same_aspect = abs(width / height * size[1] / size[0] - 1) < 0.02
        if fits and same_aspect and width > size[0]:
            scaled = _polygon(points * size / [width, height])
            return f"; if it was drawn at {width} x {height}, it is {key}: {scaled}"
    return "; draw it on a picture of this camera"


def _point(point: Array) -> str:
    return f"({point[0]:.4g}, {point[1]:.4g})"


def _polygon(points: Array) -> str:
    return str([[round(float(x), 1), round(float(y), 1)] for x, y in points])


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong with a camera's homography, in words; `is_impossible`: nobody can be so wide,
    so that linking is better without it.
    """

    camera: str
    text: str
    is_impossible: bool


def check_homographies(
    tracklets: Sequence[Tracklet], cameras: Iterable[Camera], can_leave_out: bool
) -> list[Doubt]:
    """Compare homographies with the people on their floor.

    Args:
        tracklets: all of a run.
        cameras: all of a run.
        can_leave_out: whether impossible homographies are left out of linking; for the text.

    Returns:
        A doubt for each homography that does not fit, with the width and the speed of people and
        what would make them right.
    """
    of_camera: dict[str, list[Tracklet]] = defaultdict(list)
    for tracklet in tracklets:
        of_camera[tracklet.camera].append(tracklet)
    doubts: list[Doubt] = []
    for camera in cameras:
        if len(camera.homography):
            doubts += _check_homography(camera, of_camera[camera.name], can_leave_out)
    return doubts


def without_homographies(camera: Camera, doubts: Sequence[Doubt]) -> Camera:
    """Return a camera without its homography, if that is impossible."""
    if any(doubt.camera == camera.name and doubt.is_impossible for doubt in doubts):
        return replace(camera, homography=np.zeros((0, 0)))
    return camera


def _check_homography(
    camera: Camera, tracklets: Sequence[Tracklet], can_leave_out: bool
) -> list[Doubt]:
    boxes = np.concatenate([np.zeros((0, 4)), *(tracklet.boxes for tracklet in tracklets)])
    places, _ = floor.positions(boxes, camera)
    upright = boxes[np.isfinite(places).all(axis=1)]
    if len(upright) < MIN_BOXES:
        return []
    upright = upright[:: -(-len(upright) // MAX_ROWS)]
    width_m = float(np.median(_widths(upright, camera.homography)))
    speeds_m_s = _speeds(tracklets, camera)
    speed_m_s = float(np.median(speeds_m_s)) if len(speeds_m_s) else float("nan")
    walk = f" and walk {speed_m_s:.3g} m/s" if len(speeds_m_s) else ""
    found = f"{camera.name}: with its homography people are {width_m:.3g} m wide{walk} (medians)"
    if not _fits(upright, camera.homography, WIDTHS_M):
        is_impossible = not _fits(upright, camera.homography, POSSIBLE_WIDTHS_M)
        effect = "until then, floor positions and the links that rest on them are wrong"
        if is_impossible and can_leave_out:
            effect = "it is left out of linking and of the results"
        text = f"{found}; {_remedy(upright, camera.homography)}; {effect}"
        return [Doubt(camera.name, text, is_impossible)]
    if speed_m_s > MAX_WALK_M_S:
        text = (
            f"{found}; check the frame rate: frames are {1 / camera.fps:.3g} s apart"
            " (sources.image_fps for folders of images)"
        )
        return [Doubt(camera.name, text, False)]
    return []


def _widths(boxes: Array, matrix: Array) -> Array:
    """How wide people are on the floor, (n,) m."""
    left = floor.project(boxes[:, [0, 3]].astype(np.float64), matrix)
    right = floor.project(boxes[:, [2, 3]].astype(np.float64), matrix)
    return np.asarray(np.linalg.norm(right - left, axis=1))


def _fits(boxes: Array, matrix: Array, limits_m: tuple[float, float] = WIDTHS_M) -> bool:
    """Whether the median width of people is within limits, alike everywhere, and all people are
    before the camera.
    """
    widths_m = _widths(boxes, matrix)
    low, middle, high = np.quantile(widths_m, [0.1, 0.5, 0.9])
    feet = floor.foot_points(boxes)
    depth = np.concatenate([feet, np.ones((len(feet), 1))], axis=1) @ matrix[2]
    behind = min(float(np.mean(depth > 0)), float(np.mean(depth < 0)))
    is_person = limits_m[0] <= middle <= limits_m[1] and high <= MAX_WIDTH_RATIO * max(low, 1e-9)
    return bool(is_person and behind <= MAX_BEHIND)


def _remedy(boxes: Array, matrix: Array) -> str:
    """Say what would make the homography right."""
    width_m = float(np.median(_widths(boxes, matrix)))
    ratio = TYPICAL_WIDTH_M / max(width_m, 1e-12)
    unit = min(UNITS, key=lambda name: abs(np.log(UNITS[name] / ratio)))
    scale = UNITS[unit]
    if _fits(boxes, np.diag([scale, scale, 1.0]) @ matrix):
        return (
            f"is it in {unit}? multiply its first two rows by {scale:g}, which makes"
            f" {width_m * scale:.2f} m"
        )
    inverse = np.linalg.inv(matrix)
    candidates = {
        "its inverse fits: it maps the floor to the image; give the inverse": inverse,
        "it fits with rows and columns exchanged; give it transposed": matrix.T,
        "its inverse fits, transposed; give that": inverse.T,
    }
    for words, candidate in candidates.items():
        if _fits(boxes, candidate):
            return words
    return "people are 0.3 to 1.4 m wide: measure the floor points again"


def _speeds(tracklets: Sequence[Tracklet], camera: Camera) -> Array:
    """Speeds over about a second, (n,) m/s, of all tracklets of a camera."""
    speeds = [np.zeros(0)]
    for tracklet in tracklets:
        places, _ = floor.positions(tracklet.boxes, camera)
        later = np.searchsorted(tracklet.times_s, tracklet.times_s + SPEED_STEP_S)
        is_there = later < len(places)
        now = np.flatnonzero(is_there)
        later = later[is_there]
        took_s = tracklet.times_s[later] - tracklet.times_s[now]
        speeds.append(np.linalg.norm(places[later] - places[now], axis=1) / took_s)
    joined = np.concatenate(speeds)
    return joined[np.isfinite(joined)]
