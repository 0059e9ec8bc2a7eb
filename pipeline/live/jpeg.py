"""Pictures as JPEG, for the page of a live run."""

import av
import cv2

from pipeline import yuv
from pipeline.records import Array

MAX_SIDE_PX = 960
"""Pictures are made smaller than this: eight of them are shown side by side."""
QUALITY = 80


def of_picture(picture: av.VideoFrame, max_side_px: int = MAX_SIDE_PX) -> bytes:
    """Return a picture in YUV as JPEG.

    Args:
        picture: in one of `yuv.FORMATS`.
        max_side_px: longest side of the result; larger pictures are made smaller.
    """
    scale = min(1.0, max_side_px / max(picture.width, picture.height))
    width = max(1, round(picture.width * scale))
    height = max(1, round(picture.height * scale))
    small = yuv.converted(picture, width, height, yuv.colours_of(picture))
    return of_image(yuv.to_bgr(small))


def of_image(image: Array) -> bytes:
    """Return an image (H, W, 3) uint8 BGR as JPEG; an empty one as b""."""
    if image.size == 0:
        return b""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
