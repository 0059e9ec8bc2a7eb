"""Shown pictures: what ffmpeg and a player show of the stored ones.

The display matrix of a phone turns or mirrors the stored picture, and its sample aspect ratio says
how wide a stored pixel is. A shown picture is upright and has square pixels. A picture with neither
is converted to BGR and nothing else; to be drawn on, it is not even that (see `pipeline.yuv`).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type

from pipeline import yuv
from pipeline.records import Array
from pipeline.yuv import Colours

MAX_ASPECT = 8
"""Pixels that are longer than this are not believed; 2:1 is the most that is in use."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is turned and mirrored, in this order.

    transposed: rows and columns change places.
    mirrored: left and right change places.
    flipped: top and bottom change places.
    angle_deg: what is left to turn clockwise, in a picture that keeps its size.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False
    angle_deg: float = 0.0

    def apply(self, image: Array, black: int = 0) -> Array:
        """Return the image (H, W, 3), or plane (H, W), as it is shown.

        Args:
            image: as it was stored; it is returned itself where nothing is to be done.
            black: value of what a turned picture does not cover.
        """
        if self == PLAIN:
            return image
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.mirrored:
            image = image[:, ::-1]
        if self.flipped:
            image = image[::-1]
        image = np.ascontiguousarray(image)
        return _turned(image, self.angle_deg, black) if self.angle_deg else image


PLAIN = Orientation()


class Orientations:
    """Tells the orientation of decoded pictures by their display matrices.

    The matrix is read once for each angle: PyAV ties a picture of which it was read to it in a
    circle, so that its memory would wait for Python's collector.
    """

    def __init__(self) -> None:
        self._by_angle: dict[int, Orientation] = {}

    def of(self, picture: av.VideoFrame) -> Orientation:
        """Return what the display matrix of a picture asks for."""
        angle_deg = picture.rotation
        if angle_deg not in self._by_angle:
            self._by_angle[angle_deg] = _orientation(picture)
        return self._by_angle[angle_deg]


def _orientation(picture: av.VideoFrame) -> Orientation:
    """Read the display matrix, which maps a stored point (x, y) to (a x + c y, b x + d y)."""
    side_data: SideDataContainer = picture.side_data  # type: ignore[assignment]
    matrix = side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return PLAIN
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    angle_deg = math.degrees(math.atan2(b, a))
    if abs(angle_deg - 90 * round(angle_deg / 90)) >= 1:
        return Orientation(angle_deg=angle_deg)
    if abs(b) > abs(a):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def believed(aspect: Fraction | None) -> Fraction:
    """Return the width of a stored pixel through its height; 1 where that is not to be believed."""
    return aspect if aspect and 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else Fraction(1)


def shown_size(
    picture: av.VideoFrame, aspect: Fraction, orientation: Orientation
) -> tuple[int, int]:
    """Return width and height of the shown picture; the longer side of its pixels is kept.

    Args:
        picture: as it was decoded.
        aspect: width of a stored pixel through its height.
        orientation: how it is turned.
    """
    width = picture.width
    height = picture.height
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return (height, width) if orientation.transposed else (width, height)


def shown(picture: av.VideoFrame, size: tuple[int, int], orientation: Orientation) -> Array:
    """Return the shown picture (H, W, 3) uint8 BGR, scaled to `size` (width, height)."""
    width, height = size[::-1] if orientation.transposed else size
    # more threads give the same pixels for more CPU time
    image = picture.to_ndarray(format="bgr24", width=width, height=height, threads=1)
    return orientation.apply(image)


def shown_in_yuv(
    picture: av.VideoFrame, size: tuple[int, int], orientation: Orientation, colours: Colours
) -> av.VideoFrame:
    """Return the shown picture in YUV 4:2:0.

    Args:
        picture: as it was decoded. It is returned itself where nothing is to be done, so the
            result must not be changed: the decoder may refer to it.
        size: width and height of the result, px.
        orientation: how it is turned.
        colours: those of the result.
    """
    width, height = size[::-1] if orientation.transposed else size
    picture = yuv.converted(picture, width, height, colours)
    if orientation == PLAIN:
        return picture
    made = yuv.blank(*size, colours)
    for source, target, black in zip(
        yuv.planes(picture), yuv.planes(made), colours.black, strict=True
    ):
        target[:] = orientation.apply(source, black)
    return made


def _turned(image: Array, angle_deg: float, black: int) -> Array:
    height, width = image.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, -angle_deg, 1)
    turned: Array = cv2.warpAffine(image, matrix, (width, height), borderValue=(black,) * 3)
    return turned
