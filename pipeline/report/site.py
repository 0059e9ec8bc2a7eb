"""The site in numbers: stays, ways from camera to camera, people over time, and how long they stay.

A person who is seen by two cameras at once, or in pieces, is one person: all counts are of people.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pipeline.outputs.mosaic import Grid

Json = dict[str, Any]

MOSAIC = "mosaic.mp4"
Segment = tuple[float, str]
"""When a piece of a camera's video begins, seconds, and the name of its file."""
STAY_GAP_S = 10.0
"""Who is back in a camera after less than this has not been elsewhere."""
N_BINS = 200
"""Bins of people over time, at most."""
BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
GAP_EDGES_S = np.logspace(0, 5, 41).round(2)
"""Edges of the times from camera to camera, seconds: from one to the next, a third more."""
DWELL_S = (5, 10, 30, 60, 300, 900, 3600)
"""Edges of the table of how long people stay, seconds."""


class Stay(NamedTuple):
    """A person in one camera: its number, and from when to when, seconds."""

    camera: int
    first_s: float
    last_s: float


class Bins(NamedTuple):
    """Stretches of time in which people are counted: start of the first, length, and number."""

    first_s: float
    length_s: float
    n: int


def bins(first_s: float, last_s: float) -> Bins:
    """Return bins of the shortest length of `BIN_S` that makes about `N_BINS` of them at most."""
    span_s = max(last_s - first_s, 1.0)
    length_s = next((each for each in BIN_S if span_s / each <= N_BINS), BIN_S[-1])
    return Bins(first_s, length_s, int(span_s // length_s) + 1)


def stays(seen: Iterable[tuple[int, float, float]]) -> list[Stay]:
    """Return the stays of a person, by their beginning.

    Args:
        seen: camera, first and last second of each tracklet.
    """
    found: list[Stay] = []
    latest: dict[int, int] = {}
    for camera, first_s, last_s in sorted(seen, key=lambda each: each[1]):
        place = latest.get(camera, -1)
        if place >= 0 and first_s - found[place].last_s <= STAY_GAP_S:
            before = found[place]
            found[place] = before._replace(last_s=max(before.last_s, last_s))
        else:
            latest[camera] = len(found)
            found.append(Stay(camera, first_s, last_s))
    return found


def cameras(
    known: Sequence[Json],
    run: Json,
    files: Set[str],
    people: Sequence[Sequence[Stay]],
    segments: Mapping[str, Sequence[Segment]],
) -> list[Json]:
    """Describe the cameras, with the file of their video ("" for none), where they are in the
    mosaic (shares of its left, top, width and height, none for those that are not in it), and their
    segments.
    """
    in_mosaic = [each for each in known if each["n_frames"]] if MOSAIC in files else []
    sizes = [(int(each["width"]), int(each["height"])) for each in in_mosaic]
    tiles: dict[str, Sequence[float]] = {}
    for number, each in enumerate(in_mosaic):
        tiles[str(each["camera"])] = Grid.of(sizes).place(number, sizes[number])
    counted = {str(each["camera"]): each for each in run.get("cameras", [])}
    of_camera: dict[int, list[float]] = defaultdict(list)
    for route in people:
        in_camera: dict[int, float] = defaultdict(float)
        for stay in route:
            in_camera[stay.camera] += stay.last_s - stay.first_s
        for number, seconds in in_camera.items():
            of_camera[number].append(seconds)
    described = []
    for number, camera in enumerate(known):
        name = str(camera["camera"])
        video = f"{name}.mp4"
        counts = counted.get(name, {})
        seen_s = of_camera[number]
        entry = {
            "name": name,
            "start": float(camera["start_s"]),
            "width": int(camera["width"]),
            "height": int(camera["height"]),
            "video": video if video in files else "",
            "people": len(seen_s),
            "dwell": round(float(np.median(seen_s)), 1) if seen_s else 0.0,
            "frames": int(camera["n_frames"]),
            "dropped": int(camera["n_dropped"]),
            "boxes": int(counts.get("n_boxes", 0)),
            "in_tracks": int(counts.get("n_boxes_in_tracks", 0)),
            "fps": float(camera["fps"]),
            "tile": tiles.get(name, ()),
            "segments": segments.get(name, ()),
        }
        described.append(entry)
    return described


def steps(people: Sequence[Sequence[Stay]]) -> list[Json]:
    """Count the ways from camera to camera, the most used first.

    Returns:
        Numbers of both cameras, how many steps there were, in how many both saw the person at once,
        percentiles 10, 50 and 90 of the seconds between (empty where all were at once), and
        `counts` of these seconds below the first of `GAP_EDGES_S`, and from each edge to the next.
    """
    gaps_s: dict[tuple[int, int], list[float]] = defaultdict(list)
    for route in people:
        for before, after in pairwise(route):
            if before.camera != after.camera:
                gaps_s[before.camera, after.camera].append(after.first_s - before.last_s)
    found = []
    for (earlier, later), all_s in sorted(gaps_s.items(), key=lambda item: -len(item[1])):
        between_s = [gap_s for gap_s in all_s if gap_s > 0]
        percentiles = np.percentile(between_s, (10, 50, 90)) if between_s else np.zeros(0)
        entry = {
            "from": earlier,
            "to": later,
            "n": len(all_s),
            "at_once": len(all_s) - len(between_s),
            "seconds": percentiles.round(1).tolist(),
            "counts": np.bincount(np.searchsorted(GAP_EDGES_S, between_s, "right")).tolist(),
        }
        found.append(entry)
    return found


def occupancy(people: Sequence[Sequence[Stay]], n_cameras: int, over: Bins) -> Json:
    """Count people over time.

    Returns:
        `bin_s`, the people of the whole site in each bin, and those of each camera.
    """
    site = np.zeros(over.n, np.int64)
    by_camera = np.zeros((n_cameras, over.n), np.int64)
    for route in people:
        here: dict[int, set[int]] = defaultdict(set)
        for stay in route:
            first = int((stay.first_s - over.first_s) // over.length_s)
            last = int((stay.last_s - over.first_s) // over.length_s)
            here[stay.camera].update(range(first, last + 1))
        for number, in_camera in here.items():
            by_camera[number, sorted(in_camera)] += 1
        anywhere: set[int] = set().union(*here.values())
        site[sorted(anywhere)] += 1
    return {"bin_s": over.length_s, "site": site.tolist(), "cameras": by_camera.tolist()}


def dwell(people: Sequence[Sequence[Stay]]) -> Json:
    """Count people by the time from when they were first seen to when they were last seen.

    Returns:
        The edges in seconds, the counts between them (one more than edges), and the median.
    """
    spans_s = [
        max(stay.last_s for stay in route) - min(stay.first_s for stay in route) for route in people
    ]
    places = np.searchsorted(DWELL_S, spans_s, side="right")
    counts = np.bincount(places.astype(np.int64), minlength=len(DWELL_S) + 1)
    median = round(float(np.median(spans_s)), 1) if spans_s else 0.0
    return {"edges": list(DWELL_S), "counts": counts.tolist(), "median": median}
