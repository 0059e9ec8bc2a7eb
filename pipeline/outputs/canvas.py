"""Lines, rectangles and plates, drawn on a picture in YUV 4:2:0.

OpenCV draws them on each plane. A line on chroma has half the coordinates and about half the
thickness, so that it covers what an average over the line on luma would cover.
"""

from dataclasses import dataclass

import av
import cv2
import numpy as np

from pipeline import yuv
from pipeline.records import Array
from pipeline.yuv import Colours

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""
N_FRACTION_BITS = 2
"""Of coordinates on chroma, which are in quarters: x of luma is (2 x - 1) / 4 there, since sample c
lies between 2 c and 2 c + 1.
"""
MAX_PX = 2**20
"""Coordinates further away are drawn as if they were here; OpenCV cannot take all of them."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A small picture of even size to be pasted: planes (h, w), (h / 2, w / 2), (h / 2, w / 2)."""

    planes: tuple[Array, Array, Array]

    @property
    def height(self) -> int:
        """Rows of luma."""
        return int(self.planes[0].shape[0])


def plate(image: Array, colours: Colours) -> Plate:
    """Return a plate of an image (h, w, 3) uint8 BGR of even size."""
    return Plate(yuv.planes(yuv.from_bgr(image, colours)))


class Canvas:
    """A picture that is drawn on; it must be of even size."""

    def __init__(self, picture: av.VideoFrame) -> None:
        self.colours = yuv.colours_of(picture)
        self._planes = yuv.planes(picture)

    def polyline(self, points: Array, colour: Colour, thickness: int) -> None:
        """Draw a smooth open line through points (n, 2), px."""
        points = points.clip(-MAX_PX, MAX_PX).round().astype(np.int32)
        luma, *chromas = self._planes
        value, *chroma_values = yuv.samples(colour, self.colours)
        cv2.polylines(luma, [points], False, value, thickness, cv2.LINE_AA)
        halved = [points * 2 - 1]
        thin = _on_chroma(thickness)
        for plane, chroma in zip(chromas, chroma_values, strict=True):
            cv2.polylines(plane, halved, False, chroma, thin, cv2.LINE_AA, N_FRACTION_BITS)

    def rectangle(
        self, first: tuple[float, float], last: tuple[float, float], colour: Colour, thickness: int
    ) -> None:
        """Draw the outline of a rectangle between two corners (x, y), px."""
        x1, y1, x2, y2 = (round(max(-MAX_PX, min(side, MAX_PX))) for side in (*first, *last))
        luma, *chromas = self._planes
        value, *chroma_values = yuv.samples(colour, self.colours)
        cv2.rectangle(luma, (x1, y1), (x2, y2), value, thickness)
        halved_first = (2 * x1 - 1, 2 * y1 - 1)
        halved_last = (2 * x2 - 1, 2 * y2 - 1)
        thin = _on_chroma(thickness)
        for plane, chroma in zip(chromas, chroma_values, strict=True):
            cv2.rectangle(
                plane, halved_first, halved_last, chroma, thin, cv2.LINE_AA, N_FRACTION_BITS
            )

    def paste(self, plate: Plate, x: int, y: int) -> None:
        """Copy a plate to (x, y) or the even place before, moved inside as far as it fits."""
        height, width = self._planes[0].shape
        plate_height, plate_width = plate.planes[0].shape
        left = max(0, min(x, width - plate_width)) // 2 * 2
        top = max(0, min(y, height - plate_height)) // 2 * 2
        yuv.put(plate.planes, self._planes, left, top)


def _on_chroma(thickness: int) -> int:
    """Thickness that covers half as much as this one does: OpenCV draws 3 as 5 px, and 2 as 3."""
    return (thickness + 5) // 4
