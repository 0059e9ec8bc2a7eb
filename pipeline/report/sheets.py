"""Crops tiled into a few JPEG sheets, small enough for a page.

A browser decodes a sheet when one of its crops comes into view, so a page with thousands of people
opens at once. The more crops there are, the smaller each is.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from pipeline.records import Array

COLUMNS = 16
PER_SHEET = 256
MAX_CROPS = 6000
"""Crops in a page."""
SIZES = ((300, 128, 82), (1500, 80, 78), (MAX_CROPS, 48, 75))
"""Up to so many crops: their width, px, and JPEG quality; they are twice as high as wide."""


@dataclass(frozen=True, slots=True)
class Sheets:
    """JPEG sheets in base64, and the size of each crop, px."""

    width: int
    height: int
    sheets: Sequence[str]


def tile(images: Iterable[Array], n_images: int) -> Sheets:
    """Return sheets of crops, row by row.

    Args:
        images: crops (H, W, 3) uint8 BGR of any size.
        n_images: how many there are, at most `MAX_CROPS`.
    """
    width, quality = next((size[1], size[2]) for size in SIZES if n_images <= size[0])
    height = 2 * width
    left = iter(images)
    sheets = []
    while batch := list(islice(left, PER_SHEET)):
        sheets.append(_sheet(batch, width, height, quality))
    return Sheets(width, height, sheets)


def _sheet(images: Sequence[Array], width: int, height: int, quality: int) -> str:
    n_rows = -(-len(images) // COLUMNS)
    n_columns = min(len(images), COLUMNS)
    sheet = np.zeros((n_rows * height, n_columns * width, 3), np.uint8)
    for place, image in zip(_places(len(images), width, height), images, strict=True):
        sheet[place] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _places(n_images: int, width: int, height: int) -> Iterator[tuple[slice, slice]]:
    for number in range(n_images):
        row, column = divmod(number, COLUMNS)
        top = row * height
        left = column * width
        yield slice(top, top + height), slice(left, left + width)
