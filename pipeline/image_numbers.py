"""Which frame of its camera an image of a folder is: the number in its name says so.

Numbers in names are frame numbers, as in MOTChallenge: 000021.jpg is frame 21, and a missing image
leaves a gap in time. The one digit group that differs between the names is the number. Names that
cannot mean this (two groups that differ, as in a date with a time; numbers that are nearly all
missing) are counted in their order instead, which is always told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from models.files import DIGITS

MAX_NUMBER = 99_999_999
"""Larger numbers are clocks."""
MIN_SHARE = 0.1
"""Of the numbers between the first and the last, at least this share has an image."""
SWITCH = "--set sources.numbers_in_names=false"


@dataclass(frozen=True, slots=True)
class Numbering:
    """Frames of the images of a folder.

    Attributes:
        indices: frame of each image, from 0, increasing.
        step: what all differences of the indices are multiples of.
        warnings: what was found that may not be meant.
    """

    indices: list[int]
    step: int
    warnings: list[str]


def number(names: Sequence[str], fps: float, in_names: bool) -> Numbering:
    """Number the images of a folder.

    Args:
        names: file names, in natural order.
        fps: frames per second, for messages.
        in_names: whether numbers in names are frame numbers; if not, images are counted.

    Returns:
        The frame of each image.
    """
    counted = list(range(len(names)))
    if not in_names:
        return Numbering(counted, 1, [])
    numbers = _numbers(names)
    if numbers is None:
        text = (
            f"the names of its images ({names[0]} ...) have no frame number that counts up; they"
            f" are numbered in the order of their names, without gaps ({SWITCH} says so)"
        )
        return Numbering(counted, 1, [text])
    differences = [after - before for before, after in pairwise(numbers)]
    step = math.gcd(*differences) or 1
    n_expected = (numbers[-1] - numbers[0]) // step + 1
    if numbers[-1] > MAX_NUMBER or len(numbers) < MIN_SHARE * n_expected:
        text = (
            f"the numbers in the names of its images go from {numbers[0]} to {numbers[-1]} for"
            f" {len(numbers)} images, which are no frame numbers; the images are numbered in the"
            f" order of their names, without gaps ({SWITCH} says so)"
        )
        return Numbering(counted, 1, [text])
    warnings = _doubts(names, numbers, differences, step, n_expected, fps)
    first = min(1, numbers[0])
    return Numbering([value - first for value in numbers], step, warnings)


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The number in each name, None when they have none that differs and increases."""
    parts = [DIGITS.split(Path(name).stem) for name in names]
    if len(parts[0]) < 2 or any(len(part) != len(parts[0]) for part in parts):
        return None
    groups = range(len(parts[0]))
    differing = [i for i in groups if len({part[i] for part in parts}) > 1]
    if len(names) == 1:
        differing = [len(parts[0]) - 2]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return None
    numbers = [int(part[differing[0]]) for part in parts]
    is_rising = all(a < b for a, b in pairwise(numbers))
    return numbers if is_rising else None


def _doubts(
    names: Sequence[str],
    numbers: list[int],
    differences: list[int],
    step: int,
    n_expected: int,
    fps: float,
) -> list[str]:
    warnings: list[str] = []
    if numbers[0] == 0:
        warnings.append(
            f"its images count from 0 ({names[0]}); frame numbers in MOT files count from 1 and are"
            " one higher than those in the names"
        )
    if step > 1:
        warnings.append(
            f"the numbers of its images rise in steps of {step}; at {fps:g} frames/s they are taken"
            f" {step / fps:g} s apart; if they are {1 / fps:g} s apart, add {SWITCH}"
        )
    if n_expected > len(numbers):
        gap = next(i for i, difference in enumerate(differences) if difference > step)
        warnings.append(
            f"{n_expected - len(numbers)} of {n_expected} images are missing (the first gap is"
            f" between {names[gap]} and {names[gap + 1]}); they leave gaps in time; if the numbers"
            f" are no frame numbers, add {SWITCH}"
        )
    return warnings
