"""Pictures that show what the last one did, which are not looked at again.

Many recordings are of places where nothing moves for hours. A picture whose every part is as bright
as in the last one that the network saw has the same people in the same places, so what was found
there is taken again; a full look follows every few seconds all the same. The comparison takes about
a hundredth of what the network does. A rate of detection (`sources.looks`) would not do: it cannot
fall to nothing without missing whoever comes.
"""

import cv2
import numpy as np

from pipeline.records import Array, Detections, Frame

N_COLUMNS = 160
"""Parts of a picture from left to right; the smallest people that are detected cover two."""
MAX_CHANGE = 8
"""Change of a part's mean brightness, of 255, that is noise. On real recordings at 5 looks a
second, parts change by at most 5 where nobody moves; one person changes some by 25 and more.
"""
MAX_AGE_S = 3.0
"""Pictures are looked at at least as often as this."""


class LastLook:
    """What one camera showed when it was last looked at, and what was found."""

    def __init__(self) -> None:
        self._time_s = -np.inf
        self._parts: Array = np.zeros((0, 0), np.int16)
        self._found: Detections | None = None

    def again(self, frame: Frame) -> Detections | None:
        """Return what was found, if this picture shows the same; else None, and `take` follows."""
        parts = _parts(frame.image)
        is_recent = frame.time_s - self._time_s <= MAX_AGE_S
        if self._found is not None and is_recent and self._is_same(parts):
            return self._found
        self._time_s = frame.time_s
        self._parts = parts
        self._found = None
        return None

    def take(self, found: Detections) -> None:
        """Remember what was found in the picture that was last asked about."""
        self._found = found

    def _is_same(self, parts: Array) -> bool:
        if parts.shape != self._parts.shape:
            return False
        return bool(np.abs(parts - self._parts).max() <= MAX_CHANGE)


def _parts(image: Array) -> Array:
    """Mean brightness of each part of a picture, (rows, `N_COLUMNS`) int16."""
    height, width = image.shape[:2]
    n_columns = min(N_COLUMNS, width)
    n_rows = max(1, round(height * n_columns / width))
    small = cv2.resize(image, (n_columns, n_rows), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)
