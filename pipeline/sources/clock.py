"""The clock of a video: seconds that always grow, from timestamps that may not.

Timestamps are believed, with these exceptions. A stamp that lies more than `MAX_BACK_FRAMES` before
the one before it is a restart (recordings joined into one file), and a step of more than
`sources.max_gap_s` is a jump; both go on one frame interval after the frame before. Where stamps
come in bursts, as of recorders that note when the network delivered a frame, frames are spaced
evenly. Each repair is counted, and told in `Clock.warnings`.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.records import Array

MAX_BACK_FRAMES = 2.5
MIN_GAP_FRAMES = 10
"""A step of fewer frame intervals is no jump, however long, so that time lapse is possible."""
MIN_STEP_FRAMES = 0.01
MIN_STEP_S = 5e-4
"""Frames that are stamped no later than the frame before come this much later, or
`MIN_STEP_FRAMES` if that is less.
"""
MAX_STEP_OF_RATE_S = 10.0
"""Longer steps say nothing of the rate, whether they are jumps or pauses."""
MAX_BURST_STEP_S = 0.008
"""Frames closer than this are of one burst, if others are further apart: no camera that has pauses
is as fast.
"""
MIN_BURSTS = 2
"""So many complete bursts, beside the first and the last one, tell a period."""
BURST_TOLERANCE = 0.2
BURST_GAIN = 0.2
"""Share of the difference to the stamp of a burst's first frame that is made up for at once."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the frames of a video follow each other.

    interval_s: nominal time between two frames.
    burst_period_s: time between two bursts; 0 where frames do not come in bursts.
    burst_frames: frames in a burst, 0 likewise.
    irregular: frames come in bursts, but no period can be told.
    """

    interval_s: float
    burst_period_s: float = 0.0
    burst_frames: float = 0.0
    irregular: bool = False


def pace(stamps_s: Array, announced_fps: float) -> Pace:
    """Tell the pace from the first timestamps of a video, or from all.

    The announced rate holds unless there are jumps or pauses, which falsify it, or bursts; or
    unless steps are so much longer that they would count as jumps.

    Args:
        stamps_s: timestamps (n,) in the order of decoding, seconds.
        announced_fps: rate that the file announces, frames/s.
    """
    announced = Pace(1 / announced_fps)
    steps_s = np.diff(stamps_s)
    steps_s = steps_s[steps_s >= 0]
    if not len(steps_s) or not steps_s.any():
        return announced
    typical_s = float(np.median(steps_s[steps_s > 0]))
    is_jump = steps_s > max(MAX_STEP_OF_RATE_S, MIN_GAP_FRAMES * typical_s)
    within_s = steps_s[~is_jump]
    mean_s = float(within_s.mean())
    if is_jump.any() or mean_s > MIN_GAP_FRAMES * announced.interval_s:
        announced = Pace(mean_s)
    return _burst_pace(within_s, mean_s, announced)


def _burst_pace(steps_s: Array, mean_s: float, otherwise: Pace) -> Pace:
    """The pace of bursts, where nearly all steps are tiny or long; `otherwise` where they are not.

    Args:
        steps_s: steps (n,) between frames.
        mean_s: their mean.
        otherwise: the pace without bursts.
    """
    is_tiny = steps_s < min(MAX_BURST_STEP_S, mean_s / 4)
    is_long = steps_s > 1.5 * mean_s
    starts = np.flatnonzero(is_long) + 1
    if (is_tiny | is_long).mean() < 0.95 or is_tiny.mean() < 0.3 or len(starts) <= MIN_BURSTS:
        return otherwise
    sizes = np.diff(starts)
    times_s = np.append(0.0, np.cumsum(steps_s))
    periods_s = np.diff(times_s[starts])
    size = float(sizes.mean())
    period_s = float(periods_s.mean())
    same_size = np.abs(sizes - size) <= max(1.0, BURST_TOLERANCE * size)
    same_period = np.abs(periods_s - period_s) <= BURST_TOLERANCE * period_s
    if same_size.mean() < 0.9 or same_period.mean() < 0.9:
        return Pace(otherwise.interval_s, irregular=True)
    return Pace(period_s / size, period_s, size)


@dataclass(slots=True)
class _Repairs:
    """Repairs of one kind: how many, and of the first one how far and where."""

    n: int = 0
    first_s: float = 0.0
    at_s: float = 0.0

    def add(self, seconds: float, at_s: float) -> None:
        if not self.n:
            self.first_s = seconds
            self.at_s = at_s
        self.n += 1

    def __str__(self) -> str:
        first = f"by {self.first_s:.2f} s at {self.at_s:.2f} s"
        return first if self.n == 1 else f"{self.n} times, first {first}"


class Clock:
    """Turns the timestamps of a video into seconds since its first frame.

    last_s: time of the last frame.
    span_s: how far the timestamps themselves reach.
    """

    def __init__(self, pace: Pace, max_gap_s: float) -> None:
        self._pace = pace
        self._max_step_s = max(max_gap_s, MIN_GAP_FRAMES * pace.interval_s, 2 * pace.burst_period_s)
        self._tolerance_s = max(MAX_BACK_FRAMES * pace.interval_s, pace.burst_period_s)
        self._origins_s: list[float] = []
        self._first_stamp_s = 0.0
        self._last_stamp_s = 0.0
        self._back = _Repairs()
        self._ahead = _Repairs()
        self._late = _Repairs()
        self.last_s = -pace.interval_s
        self.span_s = 0.0

    def time_s(self, stamp_s: float | None) -> float:
        """Return the time of the next frame; later than that of the frame before.

        Args:
            stamp_s: its timestamp in seconds; None where it has none.
        """
        expected_s = self.last_s + self._pace.interval_s
        if stamp_s is None:
            self._last_stamp_s += self._pace.interval_s
            self.last_s = expected_s
            return expected_s
        if not self._origins_s:
            self._origins_s = [stamp_s - expected_s]
            self._first_stamp_s = stamp_s
        else:
            self._follow_jump(stamp_s, expected_s)
        step_s = stamp_s - self._last_stamp_s
        self._last_stamp_s = stamp_s
        self.span_s = max(self.span_s, stamp_s - self._first_stamp_s)
        told_s = stamp_s - self._origins_s[-1]
        if self._pace.burst_period_s:
            self.last_s = self._evenly(told_s, expected_s, step_s)
            return self.last_s
        if told_s <= self.last_s:
            self._late.add(self.last_s - told_s, self.last_s)
        min_step_s = min(MIN_STEP_S, MIN_STEP_FRAMES * self._pace.interval_s)
        self.last_s = max(told_s, self.last_s + min_step_s)
        return self.last_s

    def _follow_jump(self, stamp_s: float, expected_s: float) -> None:
        """Choose where time counts from: after a jump anew, and as before when it is over."""
        step_s = stamp_s - self._last_stamp_s
        is_back = step_s < -MAX_BACK_FRAMES * self._pace.interval_s
        is_ahead = step_s > self._max_step_s
        fits = abs(stamp_s - self._origins_s[-1] - expected_s) <= self._tolerance_s
        for origin_s in self._origins_s[:-1]:
            if not fits and abs(stamp_s - origin_s - expected_s) <= self._tolerance_s:
                self._origins_s = [origin_s]
                return
        if is_back or is_ahead:
            (self._back if is_back else self._ahead).add(abs(step_s), expected_s)
            self._origins_s = [self._origins_s[-1], stamp_s - expected_s]

    def _evenly(self, told_s: float, expected_s: float, step_s: float) -> float:
        """Time of a frame between two bursts, which keeps step with the bursts."""
        if step_s <= MAX_BURST_STEP_S:
            return expected_s
        error_s = told_s - expected_s
        if error_s > self._pace.burst_period_s:
            return told_s
        correction_s = BURST_GAIN * error_s
        return expected_s + max(correction_s, -0.5 * self._pace.interval_s)

    def warnings(self) -> list[str]:
        """Return a line for each kind of repair so far, without the name of the camera."""
        rate = f"{1 / self._pace.interval_s:.4g} frames/s"
        lines: list[str] = []
        if self._back.n:
            lines.append(
                f"the clock of the video goes back {self._back}; its times go on there at {rate}"
            )
        if self._ahead.n:
            lines.append(
                f"the clock of the video jumps ahead {self._ahead}; the jump is left out, and times"
                f" go on there at {rate}. If the recording did pause, set sources.max_gap_s to more"
                " than the pause"
            )
        if self._late.n:
            lines.append(
                "frames are stamped no later than the frame before them (" + str(self._late) + ");"
                " they follow it closely"
            )
        if self._pace.burst_period_s:
            lines.append(
                f"frames are stamped in bursts of about {self._pace.burst_frames:.3g}, every"
                f" {self._pace.burst_period_s:.3g} s; they are spaced evenly at {rate}"
            )
        if self._pace.irregular:
            lines.append(
                "frames are stamped in irregular bursts, and their true times cannot be told; set"
                " the camera or the recorder to note the time of exposure"
            )
        return lines
