"""How many detected boxes belong to no track: what tracking lost.

Tracks that are seen once, or for less than `tracklets.min_tracklet_s`, are discarded, mostly
rightly. But where frames are few, or the detector flickers, people are lost this way, and nothing
else in the results would say so. The timings count frames and the results count people; neither
counts boxes.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.records import Tracklet

MAX_SHARE = 0.1
"""A larger share of boxes without a track is told as a warning."""
LONG_INTERVAL_S = 0.3
"""Where processed frames are farther apart, people pass between two of them."""


def count_tracked(tracklets: Iterable[Tracklet], min_score: float) -> dict[str, int]:
    """Count the boxes of tracklets by camera.

    Args:
        tracklets: of all cameras, before gaps are filled.
        min_score: lowest score of the boxes that count, 0..1.

    Returns:
        Number of boxes of each camera that has a tracklet.
    """
    n_tracked: dict[str, int] = {}
    for tracklet in tracklets:
        n_boxes = int(np.count_nonzero(tracklet.scores >= min_score))
        n_tracked[tracklet.camera] = n_tracked.get(tracklet.camera, 0) + n_boxes
    return n_tracked


def warnings(
    n_boxes: Mapping[str, int], n_tracked: Mapping[str, int], intervals_s: Mapping[str, float]
) -> list[str]:
    """Say of which cameras many boxes belong to no track.

    Args:
        n_boxes: detected boxes by camera.
        n_tracked: those of them that belong to a track, by camera.
        intervals_s: time between two processed frames, by camera.

    Returns:
        A line for each camera of which more than `MAX_SHARE` of the boxes have no track.
    """
    lines = []
    for camera, n in n_boxes.items():
        n_lost = n - n_tracked.get(camera, 0)
        if n_lost <= MAX_SHARE * n:
            continue
        remedy = "lower tracker.confirm_s or tracklets.min_tracklet_s to keep shorter tracks"
        if intervals_s[camera] > LONG_INTERVAL_S:
            remedy = (
                f"frames are {intervals_s[camera]:.2g} s apart, and a person seen in one frame only"
                " makes no track; give more frames per second, or a smaller sources.stride"
            )
        lines.append(f"{camera}: {n_lost:,} of {n:,} boxes belong to no track; {remedy}")
    return lines
