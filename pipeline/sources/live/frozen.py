"""Finds cameras that send the same picture again and again.

A camera whose sensor or encoder hangs goes on sending packets. Its pictures are equal to the last
bit, or, where they are encoded anew, are a few that repeat. Those of a camera that works differ by
the noise of its sensor at the latest with the next keyframe, however empty the place is.
`detect.unchanged` would not do: a place where nothing moves is no frozen camera.
"""

import zlib
from collections import deque

import av
import numpy as np

N_KINDS = 4
"""A frozen camera shows at most so many different pictures: a keyframe, and what refines it."""
EVERY_S = 0.2
"""Pictures are compared at most so often."""
ROW_STEP = 4
"""Every so many rows are compared."""


class FrozenPictures:
    """Compares the pictures of one camera.

    is_frozen: the last pictures were all equal for the given time.
    """

    def __init__(self, after_s: float) -> None:
        """Compare over `after_s`; 0 never finds anything."""
        self._after_s = after_s
        self._kinds: deque[int] = deque(maxlen=N_KINDS)
        self._last_new_s = 0.0
        self._due_s = 0.0
        self.is_frozen = False

    def restart(self) -> None:
        """Forget the pictures: those of another connection follow."""
        self._kinds.clear()
        self._due_s = 0.0
        self.is_frozen = False

    def note(self, picture: av.VideoFrame, now_s: float) -> None:
        """Take the next picture, and set `is_frozen`."""
        is_soon = self._due_s - EVERY_S <= now_s < self._due_s
        if not self._after_s or (is_soon and not self.is_frozen):
            return
        self._due_s = now_s + EVERY_S
        kind = _checksum(picture)
        if kind not in self._kinds:
            self._kinds.append(kind)
            self._last_new_s = now_s
        self.is_frozen = now_s - self._last_new_s >= self._after_s


def _checksum(picture: av.VideoFrame) -> int:
    """Of the luma, or of whatever is in the first plane."""
    plane = picture.planes[0]
    line_size = abs(plane.line_size)
    rows = np.frombuffer(memoryview(plane), np.uint8)[: line_size * plane.height].reshape(
        -1, line_size
    )
    width = min(line_size, plane.width)
    return zlib.crc32(rows[::ROW_STEP, :width].tobytes())
