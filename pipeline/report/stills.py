"""A still of each camera, on which the report draws places: a frame with few people.

The first frame that is looked at is kept, and replaced by each one that shows fewer people, so that
a camera costs one small picture at any time. An even frame (a lens cap, a fade from black) is taken
only as long as there is no other.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.following import Followed
from pipeline.live import jpeg, privacy
from pipeline.live.privacy import Blur
from pipeline.records import Array, Frame

EVEN_STD = 8.0
"""Grey levels of an even frame differ by less than this (standard deviation)."""
SAMPLE_STEP = 16
"""Every so many rows and columns are looked at to see whether a frame is even."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A small picture (H, W, 3) uint8 BGR, whether it is even, and how many people it shows."""

    image: Array
    is_even: bool
    n_people: int


class Stills:
    """The best frame so far of each camera."""

    def __init__(self, blur: Blur) -> None:
        """Begin; what `blur` says is hidden of people before a frame is kept."""
        self._blur = blur
        self._kept: dict[str, _Kept] = {}
        self._encoded: dict[str, bytes] = {}

    def take(self, camera: str, encoded: bytes) -> None:
        """Take the still of a camera that was looked at elsewhere, as JPEG."""
        self._encoded[camera] = encoded

    def look(self, frame: Frame, followed: Followed) -> None:
        """Keep a frame if it is better than the one before.

        Args:
            frame: a frame with its image.
            followed: what it brought, with all places where people may be.
        """
        n_people = len(followed.possible_boxes)
        before = self._kept.get(frame.camera)
        if before is not None and not before.is_even and n_people >= before.n_people:
            return
        is_even = float(frame.image[::SAMPLE_STEP, ::SAMPLE_STEP].std()) < EVEN_STD
        if before is not None and is_even:
            return
        shown = privacy.blurred_image(frame.image, followed.possible_boxes, self._blur)
        self._kept[frame.camera] = _Kept(_small(shown), is_even, n_people)

    def encoded(self) -> dict[str, bytes]:
        """Return the stills as JPEG, by camera in the order of the names."""
        looked_at = {camera: jpeg.of_image(kept.image) for camera, kept in self._kept.items()}
        return dict(sorted((self._encoded | looked_at).items()))


def _small(image: Array) -> Array:
    height, width = image.shape[:2]
    scale = jpeg.MAX_SIDE_PX / max(height, width)
    if scale >= 1:
        return image.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
