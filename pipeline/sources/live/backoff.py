"""How long to wait before the next attempt to connect to a camera.

Most outages are short: a camera restarts, a cable is moved. So the first minute of an outage is
spent on attempts at most 1 s apart, and the camera is back within 3 s after its server is, the wait
for a keyframe included. Longer outages get exponential back-off up to a minute. Every wait has
jitter, so that cameras behind one switch do not all come back at once, and the attempts of an hour
are capped: some cameras lock out whoever asks too often.
"""

import random
from collections import deque

FIRST_WAIT_S = 0.5
SHORT_WAIT_S = 1.0
SHORT_OUTAGE_S = 60.0
"""Up to here, attempts are `SHORT_WAIT_S` apart."""
GROWTH = 2.0
MAX_WAIT_S = 60.0
JITTER = 0.2
"""Waits are shorter by up to this share, never longer."""
STEADY_S = 10.0
"""A connection that held for so long ends the outage; a shorter one is one more failed attempt."""
HOUR_S = 3600.0


class Backoff:
    """Chooses the waits of one camera."""

    def __init__(self, max_attempts_per_hour: int, jitter: random.Random | None = None) -> None:
        """Start without an outage.

        Args:
            max_attempts_per_hour: cap of attempts, at least 1.
            jitter: where jitter comes from; a new generator where it is None.
        """
        self._jitter = jitter or random.Random()
        self._attempts_s: deque[float] = deque(maxlen=max_attempts_per_hour)
        self._n_failed = 0
        self._outage_s = 0.0
        self._wait_s = SHORT_WAIT_S

    def attempt(self, now_s: float) -> None:
        """Note that an attempt begins."""
        self._attempts_s.append(now_s)

    def wait_s(self, now_s: float, held_s: float) -> float:
        """Return the wait before the next attempt, after one has failed or a connection was lost.

        Args:
            now_s: time of a clock that only differences are taken of, seconds.
            held_s: how long the connection gave pictures; 0 where there was none.
        """
        if held_s >= STEADY_S or not self._n_failed:
            self._n_failed = 0
            self._outage_s = now_s
            self._wait_s = SHORT_WAIT_S
        wait_s = self._next_s(now_s) * (1 - JITTER * self._jitter.random())
        self._n_failed += 1
        return max(wait_s, self._capped_s(now_s))

    def _next_s(self, now_s: float) -> float:
        if not self._n_failed:
            return FIRST_WAIT_S
        if now_s - self._outage_s >= SHORT_OUTAGE_S:
            self._wait_s = min(self._wait_s * GROWTH, MAX_WAIT_S)
        return self._wait_s

    def _capped_s(self, now_s: float) -> float:
        """Wait until an attempt of the last hour is over an hour old, if there are too many."""
        is_full = len(self._attempts_s) == self._attempts_s.maxlen
        return self._attempts_s[0] + HOUR_S - now_s if is_full else 0.0
