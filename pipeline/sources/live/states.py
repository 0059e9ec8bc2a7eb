"""How a live camera is doing, told from when its pictures come; what changes is an event."""

import itertools
from collections import Counter, deque

from pipeline.config import LiveConfig
from pipeline.sources.live.health import CameraEvent, CameraEventKind, State

STALL_INTERVALS = 2
MIN_STALL_S = 2.0
"""A camera is stalled when no picture came for so many intervals, or so long if that is more."""
N_RECENT = 50
"""Pictures whose rate is told."""
DROPS_EVERY_S = 60.0
"""Drops are told at most so often."""
TOLD_DROPS = ("busy", "damaged")
"""Those that somebody might do something about."""
MAX_EVENTS = 1000
EVENT_OF_STATE: dict[State, CameraEventKind] = {
    "stalled": "stalled",
    "frozen": "frozen",
    "lost": "lost",
    "ended": "ended",
}


class States:
    """The state of one camera, and its events. Not safe for threads.

    state: see `State`.
    since_s: when it began.
    reason: why it is not live; "" where it is.
    n_pictures: how many have come.
    n_dropped: pictures that were not looked at, by reason.
    """

    def __init__(self, camera: str, live: LiveConfig, now_s: float) -> None:
        """Start without a connection.

        Args:
            camera: its name.
            live: when a camera is lost, and frozen.
            now_s: from when on pictures are waited for.
        """
        self._camera = camera
        self._live = live
        self._arrivals_s: deque[float] = deque(maxlen=N_RECENT)
        self._last_s = now_s
        self._cause = ""
        """Why there is no connection."""
        self._is_frozen = False
        self._n_told: Counter[str] = Counter()
        self._drops_due_s = now_s + DROPS_EVERY_S
        self._events: deque[CameraEvent] = deque(maxlen=MAX_EVENTS)
        self.state: State = "connecting"
        self.since_s = now_s
        self.reason = ""
        self.n_pictures = 0
        self.n_dropped: Counter[str] = Counter()

    @property
    def fps(self) -> float:
        """Pictures a second, lately; 0 where the camera is not live."""
        span_s = self._arrivals_s[-1] - self._arrivals_s[0] if self._arrivals_s else 0.0
        is_told = self.state in ("live", "frozen") and span_s > 0
        return (len(self._arrivals_s) - 1) / span_s if is_told else 0.0

    def connect(self) -> None:
        """Note that another connection begins."""
        self._arrivals_s.clear()

    def fail(self, now_s: float, why: str) -> None:
        """Note why there is no connection."""
        self._cause = why
        if self.state != "live":
            self.reason = why
        self.update(now_s)

    def picture(self, now_s: float, is_frozen: bool) -> None:
        """Note that a picture has come; `is_frozen`: it is the same one for long."""
        self.n_pictures += 1
        self._arrivals_s.append(now_s)
        self._last_s = now_s
        self._cause = ""
        self._is_frozen = is_frozen
        self.update(now_s)

    def end(self, now_s: float, why: str) -> None:
        """Note that a file is over."""
        self._enter("ended", now_s, why)

    def update(self, now_s: float) -> None:
        """Find what has changed because time went on."""
        self._tell_drops(now_s)
        silent_s = now_s - self._last_s
        why = self._cause or "the connection is open"
        if self.state == "ended":
            return
        if silent_s >= self._live.dead_after_s:
            self._enter("lost", now_s, f"no picture for {silent_s:.0f} s: {why}")
        elif not self.n_pictures or (self.state == "lost" and silent_s > 0):
            return
        elif silent_s >= self._stall_s():
            self._enter("stalled", now_s, f"no picture for {silent_s:.1f} s: {why}")
        elif self._is_frozen:
            after_s = self._live.frozen_after_s
            self._enter("frozen", now_s, f"all pictures were equal for {after_s:g} s")
        elif self.state != "live":
            self._go_live(now_s)

    def say(self, now_s: float, kind: CameraEventKind, why: str) -> None:
        """Add an event."""
        self._events.append(CameraEvent(now_s, kind, self._camera, why))

    def take_events(self) -> list[CameraEvent]:
        """Return the events since the last call."""
        events = list(self._events)
        self._events.clear()
        return events

    def _stall_s(self) -> float:
        """How long no picture may come before the camera is stalled."""
        arrivals_s = list(self._arrivals_s)
        if len(arrivals_s) < 2:
            return MIN_STALL_S
        pairs = itertools.pairwise(arrivals_s)
        intervals_s = sorted(after_s - before_s for before_s, after_s in pairs)
        median_s = intervals_s[len(intervals_s) // 2]
        return max(STALL_INTERVALS * median_s, MIN_STALL_S)

    def _go_live(self, now_s: float) -> None:
        was = self.state
        outage_s = now_s - self.since_s
        self.state = "live"
        self.since_s = now_s
        self.reason = ""
        if self.n_pictures == 1:
            self.say(now_s, "connected", "pictures arrive")
        else:
            self.say(now_s, "back", f"after {outage_s:.1f} s {was}")

    def _enter(self, state: State, now_s: float, why: str) -> None:
        if state == self.state:
            return
        self.state = state
        self.since_s = now_s
        self.reason = why
        self.say(now_s, EVENT_OF_STATE[state], why)

    def _tell_drops(self, now_s: float) -> None:
        if now_s < self._drops_due_s:
            return
        self._drops_due_s = now_s + DROPS_EVERY_S
        new = self.n_dropped - self._n_told
        self._n_told = Counter(self.n_dropped)
        parts = [f"{new[why]} {why}" for why in TOLD_DROPS if new[why]]
        if parts:
            told = ", ".join(parts)
            self.say(now_s, "drops", f"pictures not looked at in {DROPS_EVERY_S:g} s: {told}")
