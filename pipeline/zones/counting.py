"""Events at the zones of a site, from all that its cameras say of each person.

Whoever is in a shape of a zone in any camera is in the zone, once: stays in several cameras are
joined, short gaps are bridged, and what lasts for less than `HOLD_S`, inside or outside, does not
count. Cameras without a shape of the zone say nothing of it. Who is seen last inside has left at
that time, unless the run ends soon after. So entries minus exits is how many are inside.

A crossing of a line that several cameras see at about the same time is one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.config import ZoneConfig
from pipeline.records import Array, Camera, Person, Tracklet
from pipeline.zones import sightings
from pipeline.zones.sightings import BRIDGE_S, Crossing, Places, Shape, Stretch

HOLD_S = 0.5
"""A stay, an absence, or the time on the other side of a line that is shorter does not count."""
SAME_CROSSING_S = 2.0
"""Crossings of one person and direction in several cameras are one if they are closer in time."""

Kind = Literal["entry", "exit", "crossing"]
Direction = Literal["", "in", "out"]


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody enters or leaves an area, or crosses a line.

    Attributes:
        zone: its name.
        kind: what happened.
        person_id: who.
        time_s: when, seconds.
        camera: the camera that saw it.
        direction: of a crossing: "in" to the right, as seen from the first point of the line.
        dwell_s: of an exit: for how long the person was inside, seconds; otherwise 0.
        occupancy: people inside afterwards; 0 for lines.
    """

    zone: str
    kind: Kind
    person_id: int
    time_s: float
    camera: str
    direction: Direction = ""
    dwell_s: float = 0.0
    occupancy: int = 0


@dataclass(frozen=True, slots=True)
class Zone:
    """All shapes of one name, by camera; those on the floor are seen by all that know it."""

    name: str
    is_line: bool
    shapes: Mapping[str, Sequence[Shape]]


@dataclass(frozen=True, slots=True)
class _Stay:
    """From when to when somebody is inside, and which cameras saw the beginning and the end."""

    first_s: float
    last_s: float
    first_camera: str
    last_camera: str


def zones_of(configured: Sequence[ZoneConfig], cameras: Sequence[Camera]) -> list[Zone]:
    """Return the zones of the settings, in the order of their names in them."""
    by_name: dict[str, list[ZoneConfig]] = defaultdict(list)
    for each in configured:
        by_name[each.name].append(each)
    zones = []
    for name, entries in by_name.items():
        shapes: dict[str, list[Shape]] = defaultdict(list)
        for entry in entries:
            shape = Shape(np.array(entry.points, np.float64), not entry.camera)
            for camera in cameras:
                sees_floor = shape.is_on_floor and len(camera.homography) > 0
                if sees_floor or camera.name == entry.camera:
                    shapes[camera.name].append(shape)
        zones.append(Zone(name, bool(entries[0].line), shapes))
    return zones


def count(
    people: Iterable[Person],
    cameras: Sequence[Camera],
    configured: Sequence[ZoneConfig],
    end_s: float,
) -> list[Event]:
    """Return what happened at all zones.

    Args:
        people: identities with the rows of their boxes.
        cameras: all cameras of the run.
        configured: `zones` of the settings.
        end_s: when the run ended, on the clock of the rows, seconds.

    Returns:
        Events in order of time.
    """
    by_name = {camera.name: camera for camera in cameras}
    zones = zones_of(configured, cameras)
    events: list[Event] = []
    if not zones:
        return events
    for person in people:
        walk = _Walk(person, by_name)
        for zone in zones:
            events += _line_events(walk, zone) if zone.is_line else _area_events(walk, zone, end_s)
    return _with_occupancy(events)


class _Walk:
    """Where a person was in each camera, which is found once for all zones."""

    def __init__(self, person: Person, cameras: Mapping[str, Camera]) -> None:
        self.person_id = person.person_id
        self._cameras = cameras
        self._tracklets: dict[str, list[Tracklet]] = defaultdict(list)
        for tracklet in person.tracklets:
            self._tracklets[tracklet.camera].append(tracklet)
        self._places: dict[tuple[str, bool], Places] = {}

    def shapes_of(self, zone: Zone) -> Iterator[tuple[str, Sequence[Shape]]]:
        """Yield the cameras that saw the person and know a zone, with its shapes in each."""
        for camera, shapes in zone.shapes.items():
            if camera in self._tracklets:
                yield camera, shapes

    def places(self, camera: str, is_on_floor: bool) -> Places:
        """Return where the person was in a camera; see `sightings.places`."""
        key = (camera, is_on_floor)
        if key not in self._places:
            own = self._tracklets[camera]
            self._places[key] = sightings.places(own, self._cameras[camera], is_on_floor)
        return self._places[key]


def _area_events(walk: _Walk, zone: Zone, end_s: float) -> list[Event]:
    said: list[Stretch] = []
    for camera, shapes in walk.shapes_of(zone):
        for is_on_floor in (False, True):
            polygons = [shape.points for shape in shapes if shape.is_on_floor == is_on_floor]
            if polygons:
                said += sightings.stretches(walk.places(camera, is_on_floor), polygons, camera)
    inside = sorted((each for each in said if each.is_inside), key=lambda each: each.first_s)
    times_s = [(each.first_s, each.last_s) for each in said if not each.is_inside]
    outside = np.array(times_s, np.float64).reshape(-1, 2)
    events = []
    for stay in _stays(inside, outside):
        events.append(Event(zone.name, "entry", walk.person_id, stay.first_s, stay.first_camera))
        if _has_left(stay, outside, end_s):
            left = Event(zone.name, "exit", walk.person_id, stay.last_s, stay.last_camera)
            events.append(replace(left, dwell_s=stay.last_s - stay.first_s))
    return events


def _stays(inside: Sequence[Stretch], outside: Array) -> list[_Stay]:
    """Join the times in which cameras say that one person is inside.

    Args:
        inside: those times, by their beginning.
        outside: (n, 2), first and last second of the times in which a camera says that they are
            not.
    """
    stays: list[_Stay] = []
    for stretch in inside:
        before = stays[-1] if stays else None
        if before is None or _has_left(before, outside, stretch.first_s):
            camera = stretch.camera
            stays.append(_Stay(stretch.first_s, stretch.last_s, camera, camera))
        elif stretch.last_s > before.last_s:
            stays[-1] = replace(before, last_s=stretch.last_s, last_camera=stretch.camera)
    return [stay for stay in stays if stay.last_s - stay.first_s >= HOLD_S]


def _has_left(stay: _Stay, outside: Array, until_s: float) -> bool:
    """Whether somebody left between the end of a stay and a later time, at which they are inside,
    or the run ends: they were seen outside, or not seen for long.
    """
    if until_s - stay.last_s > BRIDGE_S:
        return True
    shared_s = np.minimum(outside[:, 1], until_s) - np.maximum(outside[:, 0], stay.last_s)
    return bool((shared_s >= HOLD_S).any())


def _line_events(walk: _Walk, zone: Zone) -> list[Event]:
    seen_by: list[list[Crossing]] = []
    for camera, shapes in walk.shapes_of(zone):
        for shape in shapes:
            seen = walk.places(camera, shape.is_on_floor)
            seen_by.append(_lasting(sightings.crossings(seen, shape.points, camera)))
    events = []
    for crossing in _once(seen_by):
        direction: Direction = "in" if crossing.is_in else "out"
        person_id = walk.person_id
        events.append(
            Event(zone.name, "crossing", person_id, crossing.time_s, crossing.camera, direction)
        )
    return events


def _lasting(crossings: Iterable[Crossing]) -> list[Crossing]:
    """Leave out crossings that are undone at once."""
    kept: list[Crossing] = []
    for crossing in crossings:
        is_undone = (
            kept and kept[-1].is_in != crossing.is_in and crossing.time_s - kept[-1].time_s < HOLD_S
        )
        if is_undone:
            kept.pop()
        else:
            kept.append(crossing)
    return kept


def _once(seen_by: Sequence[Sequence[Crossing]]) -> list[Crossing]:
    """Leave out crossings that an earlier shape of the line, such as one in another camera, has
    seen too: each of them is the same as one crossing of this shape at most.
    """
    found: list[Crossing] = []
    for crossings in seen_by:
        others = list(found)
        for crossing in crossings:
            same = [
                other
                for other in others
                if other.is_in == crossing.is_in
                and abs(other.time_s - crossing.time_s) <= SAME_CROSSING_S
            ]
            if same:
                others.remove(min(same, key=lambda other: abs(other.time_s - crossing.time_s)))
            else:
                found.append(crossing)
    return sorted(found, key=lambda crossing: crossing.time_s)


def _with_occupancy(events: Sequence[Event]) -> list[Event]:
    """Return events in order of time, with how many people are inside after each."""
    in_order = sorted(events, key=lambda event: (event.time_s, event.zone, event.person_id))
    inside: dict[str, int] = defaultdict(int)
    counted = []
    for event in in_order:
        inside[event.zone] += {"entry": 1, "exit": -1, "crossing": 0}[event.kind]
        counted.append(replace(event, occupancy=inside[event.zone]))
    return counted
