"""Cameras and tracklets made up for the tests of what is written."""

from collections.abc import Sequence

import numpy as np

from models.reid.preprocess import HEIGHT_PX, WIDTH_PX
from pipeline.records import Array, Camera, Link, Person, Tracklet

NO_HOMOGRAPHY = np.zeros((0, 0))


def camera(name: str, homography: Array = NO_HOMOGRAPHY, fps: float = 10, size: tuple[int, int] = (64, 48)) -> Camera:
    return Camera(name, f"{name}.mp4", *size, fps, 0.0, 20, homography)


def tracklet(name: str, track_id: int, times_s: Sequence[float], boxes: Sequence[Sequence[float]]) -> Tracklet:
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
    )


def link(first: Tracklet, second: Tracklet, probability: float) -> Link:
    return Link(first, second, probability, 0.8, second.first_s - first.last_s, np.nan, "")


def person(person_id: int, *tracklets: Tracklet, links: Sequence[Link] = ()) -> Person:
    return Person(person_id, tracklets, tuple(links))
