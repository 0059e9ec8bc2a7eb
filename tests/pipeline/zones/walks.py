"""People who walk where a test says, seen by cameras of 640 x 480 px."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.config import ZoneConfig
from pipeline.records import Array, Camera, Person, Tracklet
from pipeline.zones import counting
from pipeline.zones.counting import Event
from tests.pipeline.outputs import people

SIZE = (640, 480)
HEIGHT_PX = 100.0
"""Of a person: feet within 9 px of a border are at it."""
SQUARE = [(200.0, 200.0), (400.0, 200.0), (400.0, 400.0), (200.0, 400.0)]
LINE = [(320.0, 100.0), (320.0, 460.0)]
"""From the top down: "in" is to the left."""
OUTSIDE = (100.0, 300.0)
INSIDE = (300.0, 300.0)
STEP_S = 0.1


def camera(name: str = "gate", homography: Array = people.NO_HOMOGRAPHY) -> Camera:
    return people.camera(name, homography, size=SIZE)


def area(
    camera_name: str = "gate", name: str = "shop", polygon: Sequence[tuple[float, float]] = SQUARE
) -> ZoneConfig:
    return ZoneConfig(name=name, camera=camera_name, polygon=list(polygon))


def line(camera_name: str = "gate", name: str = "door") -> ZoneConfig:
    return ZoneConfig(name=name, camera=camera_name, line=LINE)


def walk(*points: tuple[float, float], step_px: float = 10.0) -> Array:
    """Feet (n, 2) on the way from point to point, so many pixels a row."""
    parts = []
    for start, end in pairwise(points):
        n_steps = max(1, round(float(np.hypot(end[0] - start[0], end[1] - start[1])) / step_px))
        parts.append(np.linspace(start, end, n_steps, endpoint=False))
    return np.concatenate([*parts, np.array(points[-1:], np.float64)])


def stand(point: tuple[float, float], duration_s: float) -> Array:
    """Feet (n, 2) of somebody who stands still."""
    return np.tile(np.array(point, np.float64), (round(duration_s / STEP_S), 1))


def seen(
    feet: Array, first_s: float = 0.0, camera_name: str = "gate", track_id: int = 1
) -> Tracklet:
    """Somebody whose feet (n, 2) were seen every `STEP_S`."""
    half = HEIGHT_PX / 6
    x, y = feet.T
    boxes = np.stack([x - half, y - HEIGHT_PX, x + half, y], axis=1)
    times_s = first_s + STEP_S * np.arange(len(feet))
    return people.tracklet(camera_name, track_id, times_s.tolist(), boxes.tolist())


def count(
    persons: Sequence[Sequence[Tracklet]],
    zones: Sequence[ZoneConfig],
    cameras: Sequence[Camera] = (),
    end_s: float = 1000.0,
) -> list[Event]:
    """Events of people, each given by their tracklets, whose ids count from 1."""
    known = cameras or [camera("gate"), camera("hall")]
    found = [
        Person(number, tuple(sorted(tracklets, key=lambda each: each.key)), ())
        for number, tracklets in enumerate(persons, start=1)
    ]
    return counting.count(found, known, zones, end_s)


def kinds(events: Sequence[Event]) -> list[str]:
    """What happened, in order; of a crossing its direction."""
    return [event.direction or event.kind for event in events]
