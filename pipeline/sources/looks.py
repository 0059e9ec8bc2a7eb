"""Which frames of a camera are looked at: the rate of detection.

A detector takes far more time than all else. People move little from frame to frame, so a few looks
a second are enough; frames in between are read, so that times and lengths stay exact, but not
converted or detected, and rows are filled in afterwards (`pipeline.fill`). `sources.stride` would
not do: it leaves frames out of the results, and it counts frames, where this counts seconds.
"""

import math

ROUNDING_S = 1e-3
"""Timestamps may be rounded by this, in some containers."""


class Looks:
    """Chooses the frames of one camera, evenly on its clock."""

    def __init__(self, per_s: float) -> None:
        """Choose `per_s` frames a second; 0 chooses all."""
        self._interval_s = 1 / per_s if per_s else 0.0
        self._due_s = -math.inf

    def is_due(self, time_s: float) -> bool:
        """Whether the frame at this time, later than those before, is looked at."""
        if time_s < self._due_s - ROUNDING_S:
            return False
        late_s = time_s - self._due_s
        is_in_step = late_s < self._interval_s
        self._due_s = (self._due_s if is_in_step else time_s) + self._interval_s
        return True
