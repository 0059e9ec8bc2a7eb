"""Hides people in pictures before they are encoded or served.

A region becomes a few cells across its width, each with its mean colour, and the steps between
cells are smoothed. Blurring alone would not do: a known blur can be undone. A face is about a third
of the width of a box, so it is one or two cells.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import av
import cv2
import numpy as np

from pipeline import yuv
from pipeline.records import NO_IMAGE, Array

Blur = Literal["off", "faces", "bodies"]
"""`privacy.blur`: nothing, the upper part of each person's box, or the whole box."""

MAX_CELLS = 4
"""Cells across a region."""
MIN_CELL_PX = 8
"""Smallest side of a cell: fewer cells in small boxes."""
HEAD_HEIGHT_RATIO = 0.3
"""Part of a box that holds the head of somebody who stands upright."""
HEAD_WIDTH_RATIO = 0.8
"""The same as a multiple of the width: of somebody who sits, or is cut off by the lower border, the
head is a larger part of the box.
"""

Region = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels."""


def blurred(picture: av.VideoFrame, boxes: Array, kind: Blur) -> av.VideoFrame:
    """Return a picture in which people cannot be recognised.

    Args:
        picture: in one of `yuv.FORMATS`; it is not changed.
        boxes: (N, 4), px, of the people at the time of the picture; they may reach beyond it.
        kind: what is hidden.

    Returns:
        A copy that differs only in the boxes, rounded outwards to even pixels; the picture itself
        where nothing is to be hidden.
    """
    if kind == "off" or len(boxes) == 0:
        return picture
    colours = yuv.colours_of(picture)
    made = yuv.blank(picture.width, picture.height, colours)
    planes = yuv.planes(made)
    yuv.put(yuv.planes(picture), planes, 0, 0)
    for region in _regions(boxes, kind, picture.width, picture.height):
        _hide(planes, region)
    made.pts = picture.pts
    if picture.time_base is not None:
        made.time_base = picture.time_base
    return made


def blurred_image(image: Array, boxes: Array, kind: Blur) -> Array:
    """Return an image in which people cannot be recognised.

    Args:
        image: (H, W, 3) uint8 BGR; it is not changed.
        boxes: (N, 4), px, of the people in it; they may reach beyond it.
        kind: what is hidden.

    Returns:
        A copy that differs only in the boxes; the image itself where nothing is to be hidden.
    """
    if kind == "off" or len(boxes) == 0:
        return image
    shown = image.copy()
    height, width = image.shape[:2]
    for left, top, right, bottom in _regions(boxes, kind, width, height):
        _hide_part(shown[top:bottom, left:right], _cell_px(right - left))
    return shown


def blurred_crop(crop: Array, kind: Blur) -> Array:
    """Return a crop of one person as it may be shown.

    Args:
        crop: (H, W, 3) uint8 BGR, the whole box of the person.
        kind: what is hidden.

    Returns:
        The crop, a copy whose upper part is hidden, or `NO_IMAGE` where bodies are hidden: nothing
        worth showing would be left.
    """
    if kind == "bodies":
        return NO_IMAGE
    if kind == "off" or crop.size == 0:
        return crop
    height, width = crop.shape[:2]
    shown = crop.copy()
    n_rows = math.ceil(_head_px(width, height))
    _hide_part(shown[:n_rows], _cell_px(width))
    return shown


def _regions(boxes: Array, kind: Blur, width: int, height: int) -> Iterator[Region]:
    """What is hidden of each box inside the picture, rounded outwards to even pixels."""
    for x1, y1, x2, y2 in boxes.tolist():
        lower = y2 if kind == "bodies" else min(y2, y1 + _head_px(x2 - x1, y2 - y1))
        left = max(0, math.floor(x1 / 2) * 2)
        top = max(0, math.floor(y1 / 2) * 2)
        right = min(width, math.ceil(x2 / 2) * 2)
        bottom = min(height, math.ceil(lower / 2) * 2)
        if left < right and top < bottom:
            yield left, top, right, bottom


def _head_px(width: float, height: float) -> float:
    """Rows of a box that may hold the head."""
    return min(height, max(HEAD_HEIGHT_RATIO * height, HEAD_WIDTH_RATIO * width))


def _cell_px(width: int) -> float:
    return max(MIN_CELL_PX, width / MAX_CELLS)


def _hide(planes: Sequence[Array], region: Region) -> None:
    """Hide a region, which starts at even pixels, in planes Y, U and V."""
    left, top, right, bottom = region
    cell_px = _cell_px(right - left)
    for plane, step in zip(planes, (1, 2, 2), strict=True):
        rows = slice(top // step, math.ceil(bottom / step))
        columns = slice(left // step, math.ceil(right / step))
        _hide_part(plane[rows, columns], cell_px / step)


def _hide_part(part: Array, cell_px: float) -> None:
    """Replace samples (H, W) or (H, W, 3) by the smoothed means of square cells."""
    height, width = part.shape[:2]
    n_columns = max(1, math.floor(width / cell_px))
    n_rows = max(1, math.floor(height / cell_px))
    samples = np.ascontiguousarray(part)
    cells = cv2.resize(samples, (n_columns, n_rows), interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
