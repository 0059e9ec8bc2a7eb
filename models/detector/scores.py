"""How well boxes were found: average precision as COCO computes it, and recall at one false alarm a
frame.

AP is COCO's (greedy matching by score, 101 recall levels, `iscrowd` for what is to be ignored),
equal to pycocotools to the last digit; the third number is what a tracker feels: how many people
are found when each frame may show one who is not there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import boxes

Array = NDArray[Any]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


class Found(NamedTuple):
    """What a detector said about one picture, beside the truth; boxes are x1 y1 x2 y2 px."""

    boxes: Array
    """(n, 4)"""
    scores: Array
    """(n,)"""
    truth: Array
    """(m, 4), people who must be found"""
    ignored: Array
    """(k, 4), regions where finding someone is neither right nor wrong"""


class Scores(NamedTuple):
    """Scores of one detector on one set, all from 0 to 1; -1 where the set shows nobody."""

    ap50: float
    ap: float
    """Mean over the IoU thresholds 0.5, 0.55 ... 0.95."""
    recall: float
    """Share found at IoU 0.5 with at most one false alarm a frame, over the whole set."""


def score(pictures: Sequence[Found]) -> Scores:
    """Scores over all pictures together; every picture is a frame."""
    n_truth = sum(len(picture.truth) for picture in pictures)
    if not n_truth:
        return Scores(-1.0, -1.0, -1.0)
    confidence = np.concatenate([np.zeros(0), *(picture.scores for picture in pictures)])
    verdicts = np.concatenate(
        [np.zeros((0, len(THRESHOLDS)), np.int8), *(judge(picture) for picture in pictures)]
    )
    verdicts = verdicts[np.argsort(-confidence, kind="stable")]
    precisions = [average_precision(column, n_truth) for column in verdicts.T]
    right = np.cumsum(verdicts[:, 0] == 1)
    wrong = np.cumsum(verdicts[:, 0] == 0)
    within = right[wrong <= len(pictures)]
    return Scores(
        precisions[0],
        float(np.mean(precisions)),
        float(within[-1]) / n_truth if len(within) else 0.0,
    )


def judge(picture: Found) -> Array:
    """Right (1), wrong (0) or ignored (-1): int8 (n, thresholds), in the order of `picture.boxes`.

    Boxes are taken by descending score; each takes the free person it overlaps most, then any
    ignored region that holds more than the threshold of it (a region may take many).
    """
    verdicts = np.zeros((len(picture.boxes), len(THRESHOLDS)), np.int8)
    found = _precise(picture.boxes)
    overlap = boxes.iou(found, _precise(picture.truth))
    inside = _shares(found, _precise(picture.ignored)).max(axis=1, initial=0.0)
    order = np.argsort(-picture.scores, kind="stable")
    for t, threshold in enumerate(THRESHOLDS):
        free = overlap.copy()
        for i in order:
            best = len(free[i]) - 1 - int(np.argmax(free[i][::-1])) if len(free[i]) else -1
            if best >= 0 and free[i, best] >= threshold:
                free[:, best] = -1
                verdicts[i, t] = 1
            elif inside[i] >= threshold:
                verdicts[i, t] = -1
    return verdicts


def average_precision(verdicts: Array, n_truth: int) -> float:
    """Area under the precision-recall curve at 101 recalls; `verdicts` (n,) by descending score, as
    `judge` gives them.
    """
    counted = verdicts[verdicts >= 0]
    right = np.cumsum(counted)
    precision = right / np.arange(1, len(counted) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(right / n_truth, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[reached].mean())


def _shares(found: Array, regions: Array) -> Array:
    """Part of every box that lies in every region, (n, k)."""
    both = boxes.intersections(found, regions)
    area = boxes.areas(found)[:, None]
    return np.asarray(both / np.where(area > 0, area, np.inf))


def _precise(corners: Array) -> Array:
    return corners.astype(np.float64).reshape(-1, 4)
