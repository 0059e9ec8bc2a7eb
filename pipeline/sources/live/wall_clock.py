"""When the pictures of a live camera were made, in seconds since 1970 on this machine's clock.

A picture has a stamp on the clock of its stream, which starts anywhere and may restart, freeze or
jump, and it arrives late by a delay that varies. Two ways lead to its time:

- *sender*: with each RTCP sender report, a camera tells its own wall clock now, and what stamp that
  is. FFmpeg turns it into the wall clock of each packet. The camera's clock need not be right: a
  report is sent without delay, so its arrival minus what it says is what the clock is off by, and
  that is corrected. The smallest of several reports has the least transit in it.
- *arrival*: stamp plus the smallest difference between arrival and stamp so far, which is that of
  the packet that came through fastest. It slowly grows, since no two clocks run at the same speed.

The sender's way sees how long a camera takes to encode, and the other does not, so cameras of
different makes agree to some 10 ms by it. `pipeline.sources.clock` would not do: it repairs the
clock of a recording, where nothing arrives, and its times count from the first picture.
"""

import math
from collections import deque
from dataclasses import dataclass

from pipeline.sources.live.health import ClockKind

MIN_STEP_S = 1e-3
"""A picture is at least so much later than the one before, whatever is told."""
DRIFT = 1e-4
"""Seconds a second by which the smallest delay may grow: more than the clocks of computers and
cameras differ by.
"""
MAX_AHEAD_S = 1.0
"""A stamp that moves ahead of the arrival by more than this between two pictures has jumped."""
MAX_BEHIND_S = 5.0
"""A stamp that is behind the fastest packet by more than this has jumped, or stood still: a delay
would have ended in a timeout.
"""
MAX_OFFSET_S = 86_400.0
"""A clock that is off by more than a day was never set, and is not believed."""
MAX_CLOCK_STEP_S = 0.25
"""A clock that tells the same stamp this much differently has been set anew."""
MAX_CLOCK_STEPS = 3
"""A clock that was set anew more often in an hour is not believed until the next connection."""
HOUR_S = 3600.0
MAX_DELAY_S = 30.0
"""A sender that says a picture was made so long before it came is not believed."""
N_REPORTS = 32
"""Reports whose smallest transit counts: two to three minutes."""


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
        told_s, is_new = self._arrival.time_s(stamps.stamp_s, stamps.arrival_s)
        kind: ClockKind = "arrival"
        if self._believes_sender:
            by_sender_s = self._sender.time_s(stamps, is_new)
            if by_sender_s is not None:
                told_s = by_sender_s
                kind = "sender"
            self.offset_s = self._sender.offset_s
            self._changes += self._sender.take_doubts()
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
            way = "ahead of" if self.offset_s >= 0 else "behind"
            self._changes.append(
                f"times are now by the camera's own clock; it is {abs(self.offset_s):.3f} s {way}"
                " this machine's, which is corrected"
            )
        elif self.kind == "sender":
            self._changes.append("times are now by the arrival of the packets")
        self.kind = kind


class ArrivalClock:
    """Times of one connection: stamps plus the smallest delay seen."""

    def __init__(self) -> None:
        self._smallest_s = math.nan
        self._last_stamp_s = math.nan
        self._last_offset_s = math.nan
        self._last_arrival_s = math.nan

    def time_s(self, stamp_s: float | None, arrival_s: float) -> tuple[float, bool]:
        """Return the time of the next picture, and whether its stamp counts from anew."""
        if stamp_s is None or stamp_s == self._last_stamp_s:
            return arrival_s, False
        offset_s = arrival_s - stamp_s
        is_new = self._is_new(stamp_s, offset_s)
        if is_new:
            self._smallest_s = offset_s
        else:
            elapsed_s = max(arrival_s - self._last_arrival_s, 0.0)
            self._smallest_s = min(self._smallest_s + DRIFT * elapsed_s, offset_s)
        self._last_stamp_s = stamp_s
        self._last_offset_s = offset_s
        self._last_arrival_s = arrival_s
        return stamp_s + self._smallest_s, is_new

    def _is_new(self, stamp_s: float, offset_s: float) -> bool:
        """Whether this is the first stamp, or one after a restart or a jump."""
        is_first = math.isnan(self._smallest_s)
        is_back = stamp_s < self._last_stamp_s
        is_ahead = offset_s < self._last_offset_s - MAX_AHEAD_S
        is_behind = offset_s > self._smallest_s + MAX_BEHIND_S
        return is_first or is_back or is_ahead or is_behind


class _Sender:
    """The sender's wall clock, and what it is off by.

    offset_s: the sender's clock minus this machine's; 0 where it is not known.
    """

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=N_REPORTS)
        """Arrival minus what it says, of the last reports."""
        self._from_stamp_s = math.nan
        """The sender's wall clock minus the stamp."""
        self._steps_s: deque[float] = deque(maxlen=MAX_CLOCK_STEPS + 1)
        """When the clock was set anew."""
        self._is_believed = True
        self._doubts: list[str] = []
        self.offset_s = 0.0

    def time_s(self, stamps: Stamps, is_new: bool) -> float | None:
        """Return when a picture was made, on this machine's clock; None where it is not known.

        Args:
            stamps: those of the picture.
            is_new: whether its stamp counts from anew.
        """
        if is_new:
            self._from_stamp_s = math.nan
            self._late_s.clear()
        sender_s = self._sender_s(stamps)
        if stamps.report_s is not None:
            self._take_report(stamps.arrival_s - stamps.report_s)
        if sender_s is None or not self._late_s or not self._is_believed:
            return None
        time_s = sender_s + min(self._late_s)
        if abs(time_s - stamps.arrival_s) > MAX_DELAY_S:
            return None
        return min(time_s, stamps.arrival_s)

    def take_doubts(self) -> list[str]:
        """Return why the clock is not believed, in words, once."""
        doubts = self._doubts
        self._doubts = []
        return doubts

    def _sender_s(self, stamps: Stamps) -> float | None:
        """The sender's wall clock for a picture; from its stamp, where the packet does not say."""
        if stamps.stamp_s is None:
            return stamps.sender_s
        if stamps.sender_s is None:
            told_s = stamps.stamp_s + self._from_stamp_s
            return None if math.isnan(told_s) else told_s
        from_stamp_s = stamps.sender_s - stamps.stamp_s
        step_s = from_stamp_s - self._from_stamp_s
        self._from_stamp_s = from_stamp_s
        if abs(step_s) > MAX_CLOCK_STEP_S:
            self._note_step(step_s, stamps.arrival_s)
        return stamps.sender_s

    def _take_report(self, late_s: float) -> None:
        if abs(late_s) > MAX_OFFSET_S and self._is_believed:
            self._doubt(f"is off by {abs(late_s) / MAX_OFFSET_S:.0f} days")
        self._late_s.append(late_s)
        self.offset_s = -min(self._late_s)

    def _note_step(self, step_s: float, now_s: float) -> None:
        """Learn anew what the clock is off by."""
        self._late_s.clear()
        self._steps_s.append(now_s)
        is_often = len(self._steps_s) > MAX_CLOCK_STEPS and now_s - self._steps_s[0] < HOUR_S
        if is_often and self._is_believed:
            self._doubt(f"jumped {len(self._steps_s)} times in an hour, lastly by {step_s:.3g} s")

    def _doubt(self, why: str) -> None:
        self._is_believed = False
        self._doubts.append(
            f"the camera's own clock {why} and is not believed; let the camera take its time from"
            " a time server (NTP)"
        )
