"""Cameras and tracklets made up for the tests of what is written."""

from collections.abc import Sequence

import numpy as np

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.linking.evidence.appearance import Curve
from pipeline.linking.learning.clocks import Clocks
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.learning.travel_times import TravelTimes
from pipeline.linking.linker import Linked
from pipeline.records import Array, Camera, Link, Person, Tracklet

NO_HOMOGRAPHY = np.zeros((0, 0))


def camera(
    name: str, homography: Array = NO_HOMOGRAPHY, fps: float = 10, size: tuple[int, int] = (64, 48)
) -> Camera:
    return Camera(name, f"{name}.mp4", *size, fps, 0.0, 20, homography)


def tracklet(
    name: str, track_id: int, times_s: Sequence[float], boxes: Sequence[Sequence[float]]
) -> Tracklet:
    """Rows at `times_s`, in the frames of a 10 fps camera; one box stands for all rows."""
    n = len(times_s)
    return Tracklet(
        name,
        track_id,
        (np.array(times_s) * 10).round().astype(np.int64),
        np.array(times_s, np.float64),
        np.broadcast_to(np.array(boxes, np.float32), (n, 4)),
        np.full(n, 0.875, np.float32),
        np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
    )


def link(
    first: Tracklet,
    second: Tracklet,
    probability: float,
    rule: str = "",
    rival: str = "",
    lookalike: str = "",
) -> Link:
    """They look alike, and nothing is known of their places."""
    gap_s = second.first_s - first.last_s
    return Link(
        first,
        second,
        probability,
        0.8,
        5.0,
        np.nan,
        np.nan,
        gap_s,
        np.nan,
        rule,
        rival,
        0.25 if rival else 0.0,
        lookalike,
    )


def person(person_id: int, *tracklets: Tracklet, links: Sequence[Link] = ()) -> Person:
    return Person(person_id, tracklets, tuple(links))


def calibration(
    n_cameras: int, different: float = 0.2, n_pairs: int = 30, n_alike: int = 0
) -> Calibration:
    """One person is 0.8 alike, and different people so much; both are off by 0.1."""
    curve = Curve(np.full(n_cameras, 0.4), 0.05)
    return Calibration(curve, 0.8, different, 0.1, n_pairs, n_pairs, n_pairs, n_alike)


def linked(people: Sequence[Person], near_misses: Sequence[Link] = ()) -> Linked:
    """What linking returned."""
    n_cameras = len({t.camera for each in people for t in each.tracklets})
    return Linked(
        list(people),
        list(near_misses),
        calibration(n_cameras),
        Clocks({}, ()),
        [],
        TravelTimes(),
        {},
    )
