"""Pictures in YUV 4:2:0 with 8 bits, as most cameras record them and all players show them.

Videos are drawn in it, from the decoder to the encoder. BGR, which networks take (`Frame.image`),
would cost two conversions a picture, and each of them rounds the colours.

A picture is an `av.VideoFrame`: luma (H, W), and two planes of chroma with half the rows and
columns, rounded up. Its `Colours` say what the numbers mean; a video has those of its first
picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from pipeline.records import Array

FORMAT = "yuv420p"
FORMATS = (FORMAT, "yuvj420p")
"""Pixel formats that need no conversion; the second one has the full range."""
UNSPECIFIED = 2
RESERVED = (0, 3)
"""Numbers that mean nothing, in matrices (where 0 is RGB), primaries and transfers."""
LIMITED = 1
FULL = 2
NO_CHROMA = 128
MATRICES = {
    1: Colorspace.ITU709,
    UNSPECIFIED: Colorspace.ITU601,  # swscale takes it for this one
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
"""Matrices that swscale knows."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What the numbers of a picture mean, as H.273 and FFmpeg count it.

    matrix: from RGB to YUV; 2 is unspecified.
    value_range: 1 limited (luma 16 to 235), 2 full (0 to 255), 0 unspecified: limited.
    primaries, transfer: 2 is unspecified.
    """

    matrix: int
    value_range: int
    primaries: int
    transfer: int

    def tag(self, picture: av.VideoFrame | VideoCodecContext) -> None:
        """Write them into a picture, or encoder of pictures, whose numbers mean this."""
        picture.colorspace = self.matrix
        picture.color_range = self.value_range
        picture.color_primaries = self.primaries
        picture.color_trc = self.transfer

    @property
    def black(self) -> tuple[int, int, int]:
        """Black, in the three planes."""
        return 0 if self.value_range == FULL else 16, NO_CHROMA, NO_CHROMA


BT709 = Colours(1, LIMITED, 1, 1)
"""What RGB pictures become, as players expect it of HD videos."""


def colours_of(picture: av.VideoFrame) -> Colours:
    """Return the colours that a picture has in YUV; for RGB, those that it is to get."""
    primaries = _meaningful(picture.color_primaries)
    transfer = _meaningful(picture.color_trc)
    if picture.format.is_rgb or picture.format.has_palette:
        is_tagged = primaries != UNSPECIFIED
        return Colours(1, LIMITED, primaries, transfer) if is_tagged else BT709
    value_range = FULL if picture.format.name.startswith("yuvj") else picture.color_range
    matrix = _meaningful(picture.colorspace)
    return Colours(matrix if matrix in MATRICES else 1, value_range, primaries, transfer)


def _meaningful(number: int) -> int:
    return UNSPECIFIED if number in RESERVED else number


def converted(
    picture: av.VideoFrame,
    width: int,
    height: int,
    colours: Colours,
    interpolation: Interpolation = Interpolation.BILINEAR,
) -> av.VideoFrame:
    """Return a picture in YUV 4:2:0 of another size, format or colours; itself if it has them.

    Args:
        picture: in any format.
        width: columns of the result, px.
        height: rows of the result, px.
        colours: those of the result. Primaries and transfers are noted, not converted.
        interpolation: how it is scaled.
    """
    own = colours_of(picture)
    is_in_format = picture.format.name in FORMATS and picture.planes[0].line_size > 0
    if is_in_format and own == colours and (picture.width, picture.height) == (width, height):
        return picture
    is_rgb = picture.format.is_rgb or picture.format.has_palette
    made = picture.reformat(
        width,
        height,
        FORMAT,
        src_colorspace=None if is_rgb else MATRICES[own.matrix],
        dst_colorspace=MATRICES[colours.matrix],
        interpolation=interpolation,
        src_color_range=None if is_rgb else _range(own),
        dst_color_range=_range(colours),
        threads=1,  # more take more CPU time in all
    )
    colours.tag(made)
    return made


def in_planes(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture whose chroma is in one plane, as hardware decodes it, as one with three.

    The samples are the same, and are from then on converted as those that software decodes.
    """
    return picture.reformat(format=FORMAT, threads=1) if picture.format.name == "nv12" else picture


def _range(colours: Colours) -> ColorRange:
    return ColorRange.JPEG if colours.value_range == FULL else ColorRange.MPEG


def from_bgr(image: Array, colours: Colours = BT709) -> av.VideoFrame:
    """Return an image (H, W, 3) uint8 BGR as a picture."""
    height, width = image.shape[:2]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
    return converted(picture, width, height, colours)


def to_bgr(picture: av.VideoFrame) -> Array:
    """Return a picture as an image (H, W, 3) uint8 BGR."""
    image: Array = picture.to_ndarray(format="bgr24", threads=1)
    return image


def blank(width: int, height: int, colours: Colours) -> av.VideoFrame:
    """Return a new picture, whose samples are not set."""
    picture = av.VideoFrame(width, height, FORMAT)
    colours.tag(picture)
    return picture


def planes(picture: av.VideoFrame) -> tuple[Array, Array, Array]:
    """Return the planes Y, U and V of a picture; writing into them changes it."""
    luma, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]
        for plane in picture.planes
    )
    return luma, blue, red


def copy(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a copy of a picture; odd sizes, which H.264 cannot have, get one row or column more.

    Args:
        picture: in one of `FORMATS`.
    """
    width = picture.width
    height = picture.height
    made = blank(even(width), even(height), colours_of(picture))
    put(planes(picture), planes(made), 0, 0)
    luma = planes(made)[0]
    luma[:, width:] = luma[:, width - 1 : width]
    luma[height:] = luma[height - 1 : height]
    return made


@lru_cache(maxsize=4096)
def samples(bgr: tuple[int, int, int], colours: Colours) -> tuple[int, int, int]:
    """Return Y, U and V of a colour."""
    patch = from_bgr(np.full((2, 2, 3), bgr, np.uint8), colours)
    luma, blue, red = (int(plane[0, 0]) for plane in planes(patch))
    return luma, blue, red


def even(n_px: int) -> int:
    """Return the number, or the next even one: H.264 has only even sizes."""
    return n_px + n_px % 2


def put(source: Sequence[Array], target: Sequence[Array], left: int, top: int) -> None:
    """Copy planes Y, U, V to an even place in others, as far as they fit there."""
    for pasted, plane, step in zip(source, target, (1, 2, 2), strict=True):
        place = plane[top // step :, left // step :][: pasted.shape[0], : pasted.shape[1]]
        place[:] = pasted[: place.shape[0], : place.shape[1]]


def fill(target: Sequence[Array], values: Sequence[int]) -> None:
    """Set all samples of three planes, each to one value."""
    for plane, value in zip(target, values, strict=True):
        plane[:] = value
