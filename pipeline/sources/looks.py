"""Which frames of a camera are looked at: the rate of detection.

A detector takes far more time than all else. People move little from frame to frame, so a few looks
a second are enough; frames in between are read, so that times and lengths stay exact, but not
converted or detected, and rows are filled in afterwards (`pipeline.fill`). `sources.stride` would
not do: it leaves frames out of the results, and it counts frames, where this counts seconds.

The rate may change while a camera is read (see `LookRate`). A reader is ahead of the tracker, by
more or less as threads happen to run. So that the same frames are looked at in every run, a change
counts from a fixed number of frames later, `lag`, which no reader is ahead by.
"""

import math

ROUNDING_S = 1e-3
"""Timestamps may be rounded by this, in some containers."""

ROUNDS_AHEAD = 2
"""Rounds, with at most a frame of each camera, in which people may be found before those of earlier
rounds are tracked.
"""
RATES_PER_S = (5.0, 10.0, 20.0)
"""What `detector.rate: auto` chooses from. On four scenes with truth in all cameras (12.5 and 25
frames a second), 5 lose nothing of global IDF1; on MOT17, with up to 40 people in view or a camera
that is carried, 5 lose 1 to 8 points of HOTA and 10 at most 2.
"""
MORE_ABOVE = (0.28, 0.45)
"""Share of ambiguous matches above which the next higher rate is taken ..."""
FEWER_BELOW = (0.22, 0.35)
"""... and below which the rate goes back. At 5 looks a second, the share is 0.06 to 0.15 in scenes
where these are enough, and 0.2 to 0.9 where they are not.
"""
SHORT_S = 10.0
"""All frames of shorter files are looked at: there is little to gain."""
MEMORY_S = 20.0
"""Time after which a match counts a third."""
N_BEFORE, SHARE_BEFORE = 20.0, 0.12
"""At first, as if so many matches with this share had been seen."""


class LookRate:
    """How many looks a second a camera needs: more where matches are ambiguous.

    Ambiguous matches are those where id switches are likely: people are close to each other, or
    move far between two looks because there are many, or because the camera moves.
    """

    def __init__(self) -> None:
        self._level = 0
        self._time_s = math.nan
        self._n_matches = N_BEFORE
        self._n_ambiguous = N_BEFORE * SHARE_BEFORE

    @property
    def per_s(self) -> float:
        """Looks a second."""
        return RATES_PER_S[self._level]

    def learn(self, time_s: float, n_matches: int, n_ambiguous: int) -> None:
        """Take the matches of confirmed tracks in one frame.

        Args:
            time_s: time of the frame, later than the one before.
            n_matches: how many there are.
            n_ambiguous: how many of them are ambiguous.
        """
        elapsed_s = 0.0 if math.isnan(self._time_s) else time_s - self._time_s
        kept = math.exp(-elapsed_s / MEMORY_S)
        self._time_s = time_s
        self._n_matches = kept * self._n_matches + n_matches
        self._n_ambiguous = kept * self._n_ambiguous + n_ambiguous
        share = self._n_ambiguous / max(self._n_matches, 1.0)
        if self._level < len(MORE_ABOVE) and share > MORE_ABOVE[self._level]:
            self._level += 1
        elif self._level and share < FEWER_BELOW[self._level - 1]:
            self._level -= 1


def lag_of(n_read_ahead: int) -> int:
    """Return the `lag` of a source of which so many frames may be read ahead."""
    n_in_round = 1  # that is put together
    return n_read_ahead + n_in_round + ROUNDS_AHEAD


class Looks:
    """Chooses the frames of one camera, evenly on its clock."""

    def __init__(self, per_s: float, lag: int = 0) -> None:
        """Choose `per_s` frames a second at first, 0 all; a change counts `lag` frames later."""
        self._lag = lag
        self._due_s = -math.inf
        self._last_s = -math.inf
        self._n_asked = 0
        self._n_told = 0
        self._changes = [(0, per_s)]
        """From which frame on, counted from 0, which rate."""

    @property
    def has_all(self) -> bool:
        """Whether all frames are looked at, as set at first."""
        return not self._changes[0][1]

    def tell(self, per_s: float) -> None:
        """Set the rate, after each frame in turn has been processed."""
        self._n_told += 1
        if per_s != self._changes[-1][1]:
            self._changes.append((self._n_told + self._lag, per_s))

    def unread(self) -> None:
        """Take back the last question: that frame cannot be read, so it will not be told of."""
        self._n_asked -= 1

    def is_due(self, time_s: float) -> bool:
        """Whether the next frame, at this time, is looked at; to be asked once for each frame."""
        while len(self._changes) > 1 and self._changes[1][0] <= self._n_asked:
            del self._changes[0]
        per_s = self._changes[0][1]
        self._n_asked += 1
        if not per_s:
            return True
        interval_s = 1 / per_s
        due_s = min(self._due_s, self._last_s + interval_s)  # at once, when the rate has grown
        if time_s < due_s - ROUNDING_S:
            return False
        is_in_step = time_s - due_s < interval_s
        self._due_s = (due_s if is_in_step else time_s) + interval_s
        self._last_s = time_s
        return True
