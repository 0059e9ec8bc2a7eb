"""When the pictures of a live camera were made, in seconds since 1970 on this machine's clock.

A picture has a stamp on the clock of its stream, which starts anywhere and may restart, freeze or
jump, and it arrives late by a delay that varies. Two ways lead to its time:

- *arrival*: stamp plus the smallest difference between arrival and stamp so far, which is that of
  the packet that came through fastest. It slowly grows, since no two clocks run at the same speed.
- *sender*: a camera takes some time to encode a picture, and another one more, which the arrival
  does not show. With each RTCP sender report, a camera tells what its own wall clock is now, and at
  which stamp; FFmpeg turns that into the wall clock of each packet. So the report says how old a
  picture was when it was sent, and by that its time is earlier than by the arrival. It does not
  matter whether the camera's clock is right, and what it is off by is told.

`pipeline.sources.clock` would not do: it repairs the clock of a recording, where nothing arrives,
and its times count from the first picture.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.sources.live.health import ClockKind

MAX_SET_BACK_S = 0.5
"""This machine's clock may be set back by so much at once, and is followed."""
MIN_STEP_S = 1e-3
"""A picture is at least so much later than the one before, whatever is told."""
DRIFT = 1e-4
"""Seconds a second by which the smallest delay may grow: more than the clocks of computers and
cameras differ by.
"""
MAX_BEHIND_S = 5.0
"""A stamp that is behind the fastest packet by more than this has jumped back, or stood still: a
delay would have ended in a timeout. One that jumps ahead is the fastest packet itself.
"""
MAX_OFFSET_S = 86_400.0
"""A clock that is off by more than a day was never set, and is not believed."""
MAX_CLOCK_STEP_S = 1.0
"""A clock that is off by this much more or less than at the report before has been set."""
MAX_CLOCK_STEPS = 3
"""A clock that was set more often in an hour is not believed until the next connection."""
HOUR_S = 3600.0
MAX_AGE_S = 30.0
"""A report that says that a picture is older when it is sent is wrong."""
N_REPORTS = 32
"""Reports among which the oldest picture counts, two to three minutes: a report that is sent some
time before the next picture makes it look younger.
"""


class SteadyClock:
    """This machine's clock, in seconds since 1970, which goes on when it is set back.

    Times that are told must grow, so that all cameras would stand still until the clock has caught
    up. When it is set ahead, as after a sleep of the machine, it is followed.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with the time of the clock `wall`, and watch it by the clock `monotonic`."""
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last_s = wall()
        self._last_monotonic_s = monotonic()
        self._shift_s = 0.0

    def __call__(self) -> float:
        """Return the time now."""
        with self._lock:
            monotonic_s = self._monotonic()
            now_s = self._wall() + self._shift_s
            expected_s = self._last_s + monotonic_s - self._last_monotonic_s
            if now_s < expected_s - MAX_SET_BACK_S:
                self._shift_s += expected_s - now_s
                now_s = expected_s
            self._last_s = now_s
            self._last_monotonic_s = monotonic_s
            return now_s


@dataclass(frozen=True, slots=True)
class Stamps:
    """All that is known of the time of a picture, in seconds.

    stamp_s: on the clock of the stream; None where it has none.
    arrival_s: when its packet was complete, on this machine's clock.
    sender_s: when it was made, on the sender's wall clock; None where that is not told.
    report_s: what the sender's wall clock was when it sent a report that came since the picture
        before; None where none came.
    """

    stamp_s: float | None
    arrival_s: float
    sender_s: float | None = None
    report_s: float | None = None


class WallClock:
    """Turns stamps into times that always grow, over all connections to one camera.

    kind: whose clock the last time is on.
    offset_s: the sender's clock minus this machine's; 0 where it is not known.
    last_s: the last time.
    """

    def __init__(self, believes_sender: bool = True, last_s: float = -math.inf) -> None:
        """Start a clock.

        Args:
            believes_sender: whether the sender's way may be taken.
            last_s: all times are later than this.
        """
        self._believes_sender = believes_sender
        self._arrival = ArrivalClock()
        self._sender = _Sender()
        self._changes: list[str] = []
        self.kind: ClockKind = "unknown"
        self.offset_s = 0.0
        self.last_s = last_s

    def restart(self) -> None:
        """Forget the stream; that of another connection follows."""
        self._arrival = ArrivalClock()
        self._sender = _Sender()

    def time_s(self, stamps: Stamps) -> float:
        """Return the time of the next picture, later than that of the one before."""
        told_s = self._arrival.time_s(stamps.stamp_s, stamps.arrival_s)
        kind: ClockKind = "arrival"
        if self._believes_sender:
            self._sender.note(stamps, self._arrival)
            self._changes += self._sender.take_doubts()
            self.offset_s = self._sender.offset_s
            age_s = self._sender.age_s(self._arrival)
            if age_s is not None:
                told_s -= age_s
                kind = "sender"
        self._note(kind)
        self.last_s = max(told_s, self.last_s + MIN_STEP_S)
        return self.last_s

    def take_changes(self) -> list[str]:
        """Return what has changed since the last call, in words."""
        changes = self._changes
        self._changes = []
        return changes

    def _note(self, kind: ClockKind) -> None:
        if kind == self.kind:
            return
        if kind == "sender":
            self._changes.append("times are now by the camera's own clock")
        elif self.kind == "sender":
            self._changes.append("times are now by the arrival of the packets")
        self.kind = kind


class ArrivalClock:
    """Times of one connection: stamps plus the smallest delay seen.

    smallest_s: the smallest difference between arrival and stamp.
    n_starts: how often stamps began to count anew.
    """

    def __init__(self) -> None:
        self.smallest_s = math.nan
        self.n_starts = 0
        self._last_stamp_s = math.nan
        self._last_arrival_s = math.nan

    def time_s(self, stamp_s: float | None, arrival_s: float) -> float:
        """Return when the next picture would have come through fastest."""
        if stamp_s is None or stamp_s == self._last_stamp_s:
            return arrival_s
        offset_s = arrival_s - stamp_s
        if self._is_new(stamp_s, offset_s):
            self.n_starts += 1
            self.smallest_s = offset_s
        else:
            elapsed_s = max(arrival_s - self._last_arrival_s, 0.0)
            self.smallest_s = min(self.smallest_s + DRIFT * elapsed_s, offset_s)
        self._last_stamp_s = stamp_s
        self._last_arrival_s = arrival_s
        return stamp_s + self.smallest_s

    def _is_new(self, stamp_s: float, offset_s: float) -> bool:
        """Whether this is the first stamp, or one after a restart or a jump."""
        is_first = math.isnan(self.smallest_s)
        is_back = stamp_s < self._last_stamp_s
        is_behind = offset_s > self.smallest_s + MAX_BEHIND_S
        return is_first or is_back or is_behind


class _Sender:
    """What the sender's reports tell.

    offset_s: the sender's clock minus this machine's; 0 where it is not known.
    """

    def __init__(self) -> None:
        self._ages_s: deque[float] = deque(maxlen=N_REPORTS)
        """How old a picture was when it was sent, had it come at its stamp: less the delay of its
        packet, which is only known against the fastest one.
        """
        self._age_s: float | None = None
        self._n_starts = 0
        self._steps_s: deque[float] = deque(maxlen=MAX_CLOCK_STEPS + 1)
        """When the clock was set."""
        self._is_believed = True
        self._doubts: list[str] = []
        self.offset_s = 0.0

    def age_s(self, arrival: ArrivalClock) -> float | None:
        """Return how old pictures are when the fastest packet comes; None: not known."""
        if self._n_starts != arrival.n_starts:
            self._n_starts = arrival.n_starts
            self._ages_s.clear()
        if self._ages_s and self._is_believed:
            self._age_s = max(max(self._ages_s) + arrival.smallest_s, 0.0)
        return self._age_s

    def note(self, stamps: Stamps, arrival: ArrivalClock) -> None:
        """Take the report that came with a picture, if one did, of which the stamp is known."""
        told = (stamps.report_s, stamps.sender_s, stamps.stamp_s)
        if not self._is_believed or None in told:
            return
        self.age_s(arrival)
        assert stamps.report_s is not None
        assert stamps.sender_s is not None
        assert stamps.stamp_s is not None
        age_s = stamps.report_s - stamps.sender_s
        if abs(age_s) > MAX_AGE_S:
            return
        offset_s = stamps.report_s - stamps.arrival_s
        if self._age_s is not None and abs(offset_s - self.offset_s) > MAX_CLOCK_STEP_S:
            self._steps_s.append(stamps.arrival_s)
        self._ages_s.append(age_s - stamps.arrival_s + stamps.stamp_s)
        self.offset_s = offset_s
        n_steps = len(self._steps_s)
        is_often = n_steps > MAX_CLOCK_STEPS and stamps.arrival_s - self._steps_s[0] < HOUR_S
        if abs(offset_s) > MAX_OFFSET_S:
            self._doubt(f"is off by {abs(offset_s) / MAX_OFFSET_S:.0f} days")
        elif is_often:
            self._doubt(f"jumped {n_steps} times within an hour")

    def take_doubts(self) -> list[str]:
        """Return why the clock is not believed, in words, once."""
        doubts = self._doubts
        self._doubts = []
        return doubts

    def _doubt(self, why: str) -> None:
        self._is_believed = False
        self._age_s = None
        self._doubts.append(
            f"the camera's own clock {why} and is not believed; let the camera take its time from"
            " a time server (NTP)"
        )
