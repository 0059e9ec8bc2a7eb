"""What the numbers of a MOT file mean: frame origin, scores, classes, pixels.

Detections and truth come from many tools, and most slips of meaning can be read as a valid file.
What a file cannot mean is an error with the figure that was found and what to type; what it hardly
means is a warning. Of 28 files of MOT15 and MOT17 (detections and truth) none is told; with corners
for sizes, or three times as large, all are refused, and with centres for corners all detections but
one sequence's are told. Everything here takes rows as `pipeline.mot.read` returns them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import mot
from pipeline.errors import SourceError
from pipeline.records import Array

CLASSES = {
    1: "pedestrian",
    2: "person on vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non-motorised vehicle",
    7: "static person",
    8: "distractor",
    9: "occluder",
    10: "occluder on the ground",
    11: "occluder full",
    12: "reflection",
    13: "crowd",
}
"""Column 8 of MOTChallenge's truth."""
PEDESTRIAN = 1

MAX_MARGIN = 5.0
"""Scores up to this may be margins of a classifier; larger ones are percentages."""
ROUNDING = 0.01
MIN_STICKING_OUT = 0.05
"""Share of boxes with more than a tenth of their area outside the picture."""
MIN_SLIMNESS = 0.7
"""Median height over width of boxes; people have 2 to 3, and 1 from above."""
FEW_ROWS = 10
"""Fewer boxes say nothing about units."""
KNOWN_OUTSIDE, SUSPECT_OUTSIDE = 0.5, 0.15
"""Shares of boxes that lie mostly outside the picture. Real files have up to 0.07: people who
walk out of it.
"""
MAX_REACH = 1.6
"""Boxes of people who walk out of the picture end at up to 1.5 of its width and height."""
MAX_FRACTION = 1.5
"""Coordinates up to this are fractions of the picture (normalised), not pixels."""
MAX_SMALL, MIN_SPREAD = 0.55, 0.2
"""Boxes made at half the resolution or less stay within this part of the picture's width and
height, and are spread over more than that part of the width.
"""


def count_from(rows: Array, where: Path, first_frame: int, advice: str) -> Array:
    """Return the frame of each row from 0, (n,) int64.

    Args:
        rows: (n, 6 or more).
        where: the file, for messages.
        first_frame: number that the file gives to the first frame.
        advice: what to type for files that begin with another number; it has `{first}`.

    Raises:
        SourceError: there are frames before the first, or numbers that are not whole.
    """
    frames = np.floor(rows[:, 0]).astype(np.int64)
    if (frames != rows[:, 0]).any():
        odd = float(rows[frames != rows[:, 0], 0][0])
        raise SourceError(
            f"{where}: frame numbers (column 1) must be whole, {odd:g} was found; if the column"
            " holds seconds, multiply it by the frame rate"
        )
    if len(frames) and frames.min() < first_frame:
        first = int(frames.min())
        raise SourceError(
            f"{where}: frame {first} was found, but the first frame is {first_frame}; if the file"
            f" counts from {first}, {advice.format(first=first)}"
        )
    return frames - first_frame


def origin(tables: Sequence[Array]) -> int:
    """Return the first frame's number in files that belong together: 0 if one of them has it."""
    smallest = [table[:, 0].min() for table in tables if len(table)]
    return 0 if smallest and min(smallest) == 0 else 1


def probabilities(rows: Array, where: Path) -> tuple[Array, list[str]]:
    """Read the scores, column 7, as probabilities.

    -1 in every row, or no such column, is MOTChallenge's word for no score: such boxes are
    certain. Margins of a classifier, below 0 and above 1, become 1 / (1 + exp(-4 margin)), so that
    a margin of 0 is even and -0.5 is hardly a person.

    Args:
        rows: (n, 6 or more).
        where: the file, for messages.

    Returns:
        Scores (n,) in 0..1, and warnings.

    Raises:
        SourceError: the scores are neither probabilities, percentages nor margins.
    """
    if rows.shape[1] < 7 or not len(rows) or (rows[:, 6] == -1).all():
        return np.ones(len(rows)), []
    scores = rows[:, 6]
    lowest = float(scores.min())
    highest = float(scores.max())
    if lowest >= -ROUNDING and highest <= 1 + ROUNDING:
        return np.clip(scores, 0, 1), []
    has_score = scores != -1
    if scores[has_score].min() >= -ROUNDING and highest <= 1 + ROUNDING:
        n_without = int((~has_score).sum())
        return np.where(has_score, np.clip(scores, 0, 1), 0), [
            f"{where}: {n_without} of {len(rows)} boxes have score -1 and the others have real"
            " ones; -1 counts as 0 here (in every row, it would mean that there are no scores)"
        ]
    found = f"{where}: scores (column 7) go from {lowest:g} to {highest:g}"
    if highest <= MAX_MARGIN:
        n_negative = int((scores < 0).sum())
        return 1 / (1 + np.exp(-4 * np.clip(scores, -20, 20))), [
            f"{found}, {n_negative} of {len(rows)} are negative; they are no probabilities and are"
            " read as margins of a classifier: 0 is even, -0.5 becomes 0.12 and 1 becomes 0.98;"
            " write probabilities in 0..1 if they mean something else"
        ]
    if lowest >= 0 and highest <= 100:
        return scores / 100, [f"{found}; they are read as percentages"]
    raise SourceError(
        f"{found}, which are neither probabilities nor percentages; scale them to 0..1"
    )


def of_classes(rows: Array, where: Path, classes: Sequence[int], option: str) -> list[str]:
    """Say what is known of the class column of truth that has no row that counts.

    Args:
        rows: (n, 8 or 9), not empty.
        where: the file, for messages.
        classes: the classes that count.
        option: what to type to count another class; it has `{found}`.

    Returns:
        Reasons, in words; empty if the classes are not the reason.
    """
    if np.isin(rows[:, 7], classes).any():
        return []
    values, counts = np.unique(rows[:, 7].astype(np.int64), return_counts=True)
    named = [
        f"{value} ({CLASSES[value]} in MOTChallenge)" if value in CLASSES else str(value)
        for value in values.tolist()
    ]
    most = int(values[counts.argmax()])
    wanted = " or ".join(str(value) for value in classes)
    return [
        f"{where}: 0 of {len(rows)} rows count: their class (column 8) is {', '.join(named)}, not"
        f" {wanted}; if people are class {most} here, {option.format(found=most)}"
    ]


def check_pixels(rows: Array, where: Path, size: tuple[int, int] | None) -> list[str]:
    """Check the unit of boxes: x, y, width, height in pixels, not fractions, corners or centres.

    Args:
        rows: (n, 6 or more).
        where: the file, for messages.
        size: width and height of the picture, px; None if not known.

    Returns:
        Warnings.

    Raises:
        SourceError: the boxes cannot be `x, y, width, height` in pixels of the picture.
    """
    warnings: list[str] = []
    has_area = (rows[:, 4] > 0) & (rows[:, 5] > 0)
    if not has_area.all():
        warnings.append(
            f"{where}: {int((~has_area).sum())} of {len(rows)} boxes have no area (width or height"
            " is not positive) and are left out"
        )
    rows = rows[has_area]
    if not len(rows):
        return warnings
    is_tiny = size is None or min(size) > 8
    if is_tiny and np.abs(rows[:, 2:6]).max() <= MAX_FRACTION:
        by = f"width {size[0]} and height {size[1]}" if size else "the width and height"
        raise SourceError(
            f"{where}: all boxes lie within 0..{np.abs(rows[:, 2:6]).max():.2g}, so they are"
            f" fractions of the picture; write pixels: multiply by its {by}"
        )
    if len(rows) < FEW_ROWS:
        return warnings
    are_corners = bool((rows[:, 4:6] > rows[:, 2:4]).all() and (rows[:, 2:4] >= 0).any())
    slimness = float(np.median(rows[:, 5] / rows[:, 4]))
    if slimness < MIN_SLIMNESS and not are_corners:
        warnings.append(
            f"{where}: the boxes are {1 / slimness:.1f} times as wide as tall (median); are width"
            " and height (columns 5 and 6) exchanged, or was the picture turned?"
        )
    if size is None:
        if are_corners and np.ptp(rows[:, 2]) > 0:
            warnings.append(_corners(where))
        return warnings
    return warnings + _against_picture(rows, where, size, are_corners)


def _against_picture(
    rows: Array, where: Path, size: tuple[int, int], are_corners: bool
) -> list[str]:
    boxes = mot.boxes(rows).astype(np.float64)
    outside = float(np.mean(_share_inside(boxes, size) < 0.5))
    right, bottom = boxes[:, 2].max(), boxes[:, 3].max()
    reach = (
        f"{outside:.0%} of {len(rows)} boxes lie mostly outside the picture of"
        f" {size[0]} x {size[1]} px; they reach x {right:.0f}, y {bottom:.0f}"
    )
    overreach = right > MAX_REACH * size[0] or bottom > MAX_REACH * size[1]
    if are_corners:
        fits = float(np.mean(_share_inside(rows[:, 2:6], size) < 0.5)) < SUSPECT_OUTSIDE
        sticks_out = float(np.mean(_share_inside(boxes, size) < 0.9)) > SUSPECT_OUTSIDE
        if fits and (sticks_out or overreach):
            raise SourceError(
                f"{where}: {reach}; as corners x1, y1, x2, y2 they all fit: write x, y, width,"
                " height (columns 5 and 6 minus columns 3 and 4)"
            )
        return [_corners(where)]
    if outside >= KNOWN_OUTSIDE:
        raise SourceError(
            f"{where}: {reach}; if they were made at another resolution, scale them to this one"
        )
    sticking_out = float(np.mean(_share_inside(boxes, size) < 0.9))
    centred = boxes - np.tile(rows[:, 4:6] / 2, 2)
    if sticking_out > MIN_STICKING_OUT and not (_share_inside(centred, size) < 0.9).any():
        return [
            f"{where}: {sticking_out:.0%} of {len(rows)} boxes stick out of the picture of"
            f" {size[0]} x {size[1]} px, and none would if columns 3 and 4 were the centres of the"
            " boxes; they are read as the upper left corners"
        ]
    if outside >= SUSPECT_OUTSIDE or overreach:
        return [f"{where}: {reach}; were they made at another resolution?"]
    is_small = right < MAX_SMALL * size[0] and bottom < MAX_SMALL * size[1]
    if is_small and right - boxes[:, 0].min() > MIN_SPREAD * size[0]:
        return [
            f"{where}: all {len(rows)} boxes lie in the upper left quarter of the picture of"
            f" {size[0]} x {size[1]} px (they reach x {right:.0f}, y {bottom:.0f}); were they made"
            " at a lower resolution?"
        ]
    return []


def _corners(where: Path) -> str:
    return (
        f"{where}: columns 5 and 6 are greater than columns 3 and 4 in every row, as if they were"
        " corners x1, y1, x2, y2; they are read as x, y, width, height"
    )


def _share_inside(boxes: Array, size: tuple[int, int]) -> Array:
    """Share of each box's area that is in the picture, (n,) in 0..1."""
    limits = [size[0], size[1], size[0], size[1]]
    inside = np.clip(boxes, 0, limits)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(np.prod(inside[:, 2:] - inside[:, :2], axis=1) / area)
