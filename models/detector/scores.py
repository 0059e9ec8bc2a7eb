"""Detection scores: average precision as COCO computes it, and recall at one false alarm a frame.
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
    """Score a detector over all pictures together; every picture is a frame.

    Args:
        pictures: What it found, beside the truth.

    Returns:
        Scores in 0..1; -1 where the pictures show nobody.
    """
    n_truth = sum(len(picture.truth) for picture in pictures)
    if n_truth == 0:
        return Scores(-1.0, -1.0, -1.0)
    confidence = np.concatenate([picture.scores for picture in pictures])
    verdicts = np.concatenate([judge(picture) for picture in pictures])
    verdicts = verdicts[np.argsort(-confidence, kind="stable")]
    precisions = [average_precision(column, n_truth) for column in verdicts.T]
    n_right = np.cumsum(verdicts[:, 0] == 1)
    n_wrong = np.cumsum(verdicts[:, 0] == 0)
    n_right_within = n_right[n_wrong <= len(pictures)]
    recall = float(n_right_within[-1]) / n_truth if len(n_right_within) else 0.0
    return Scores(ap50=precisions[0], ap=float(np.mean(precisions)), recall=recall)


def judge(picture: Found) -> Array:
    """Judge every box at every IoU threshold.

    Boxes are taken by descending score; each takes the free person it overlaps most, then any
    ignored region that holds more than the threshold of it (a region may take many).

    Args:
        picture: n boxes beside the truth.

    Returns:
        Right (1), wrong (0) or ignored (-1): int8 (n, thresholds), in the order of the boxes.
    """
    found = _precise(picture.boxes)
    overlap = boxes.iou(found, _precise(picture.truth))
    inside = _shares(found, _precise(picture.ignored)).max(axis=1, initial=0.0)
    order = np.argsort(-picture.scores, kind="stable")
    verdicts = np.zeros((len(found), len(THRESHOLDS)), np.int8)
    for column, threshold in enumerate(THRESHOLDS):
        free = overlap.copy()
        for box in order:
            person = _last_largest(free[box])
            if person >= 0 and free[box, person] >= threshold:
                free[:, person] = -1
                verdicts[box, column] = 1
            elif inside[box] >= threshold:
                verdicts[box, column] = -1
    return verdicts


def _last_largest(values: Array) -> int:
    """Index of the largest value, the last one where several are; -1 where there is none."""
    if len(values) == 0:
        return -1
    from_behind = int(np.argmax(values[::-1]))
    return len(values) - 1 - from_behind


def average_precision(verdicts: Array, n_truth: int) -> float:
    """Area under the precision-recall curve at 101 recalls.

    Args:
        verdicts: (n,) by descending score, as `judge` returns them for one threshold.
        n_truth: How many people there are to find.

    Returns:
        The average precision, 0..1.
    """
    counted = verdicts[verdicts >= 0]
    n_right = np.cumsum(counted)
    precision = n_right / np.arange(1, len(counted) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(n_right / n_truth, RECALLS, side="left")
    at_recalls = np.append(envelope, 0.0)[reached]
    return float(at_recalls.mean())


def _shares(found: Array, regions: Array) -> Array:
    """Part of every box that lies in every region, (n, k)."""
    both = boxes.intersections(found, regions)
    area = boxes.areas(found)[:, None]
    return np.asarray(both / np.where(area > 0, area, np.inf))


def _precise(corners: Array) -> Array:
    return corners.astype(np.float64).reshape(-1, 4)
