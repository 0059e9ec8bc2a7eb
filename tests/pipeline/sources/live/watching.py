"""Consumers of live cameras, for tests."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.config import CameraConfig, LiveConfig
from pipeline.records import Frame
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent
from tests.lateness import Lateness

FPS = 25
"""Of the clip that servers play."""
LOOP_S = 2.0
"""Its duration."""
QUICK = LiveConfig(open_timeout_s=2.0, dead_after_s=4.0)


@dataclass
class Watched:
    """What a consumer saw.

    frames: all frames, by camera.
    ages_s: how old each was when its round came, by camera.
    rounds_s: when rounds came, on the monotonic clock.
    """

    frames: dict[str, list[Frame]] = field(default_factory=dict)
    ages_s: dict[str, list[float]] = field(default_factory=dict)
    rounds_s: list[float] = field(default_factory=list)
    events: list[CameraEvent] = field(default_factory=list)

    def times_s(self, camera: str) -> list[float]:
        return [frame.time_s for frame in self.frames.get(camera, [])]

    def kinds(self, camera: str) -> list[str]:
        return [event.kind for event in self.events if event.camera == camera]

    def event_s(self, camera: str, kind: str) -> float:
        """When an event of a kind happened first."""
        times_s = [e.time_s for e in self.events if (e.camera, e.kind) == (camera, kind)]
        assert times_s, f"no {kind} among {self.kinds(camera)}"
        return times_s[0]


def camera(source: object, name: str = "cam", **settings: object) -> CameraConfig:
    return CameraConfig.model_validate({"source": str(source), "name": name, **settings})


class Watching:
    """Watches cameras on the test's thread, until something is so; a context manager.

    busy_s: how long a round is worked on.
    """

    def __init__(
        self, *cameras: CameraConfig, live: LiveConfig = QUICK, busy_s: float = 0.0
    ) -> None:
        self.seen = Watched()
        self.cameras = LiveCameras(cameras, live)
        self._busy_s = busy_s
        self._machine = Lateness()
        self._rounds = self.cameras.rounds(threading.Event())

    def __enter__(self) -> "Watching":
        self._machine.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._rounds.close()
        self.cameras.close()
        self._machine.__exit__()

    @property
    def slack_s(self) -> float:
        """What limits of time are given more, because this machine was late."""
        return self._machine.slack_s

    @property
    def slack(self) -> int:
        """The same in pictures of the clip."""
        return round(self.slack_s * FPS)

    def until(self, is_so: Callable[[Watched], bool], within_s: float) -> Watched:
        """Watch until something is so; fails if that takes much longer than on an idle machine."""
        began_s = time.monotonic()
        while not is_so(self.seen):
            took_s = time.monotonic() - began_s
            assert took_s < 3 * within_s + 3 * self.slack_s, (
                self.cameras.health(),
                self.seen.events,
            )
            assert self._next(), "the rounds have ended"
        return self.seen

    def for_s(self, duration_s: float) -> Watched:
        """Watch for some time, or until the rounds end."""
        deadline_s = time.monotonic() + duration_s
        while time.monotonic() < deadline_s and self._next():
            pass
        return self.seen

    def _next(self) -> bool:
        frames = next(self._rounds, None)
        if frames is None:
            self.seen.events += self.cameras.take_events()
            return False
        self.seen.rounds_s.append(time.monotonic())
        now_s = time.time()
        for frame in frames:
            self.seen.frames.setdefault(frame.camera, []).append(frame)
            self.seen.ages_s.setdefault(frame.camera, []).append(now_s - frame.time_s)
        self.seen.events += self.cameras.take_events()
        if frames:
            time.sleep(self._busy_s)
        return True


def has_frames(name: str, n: int) -> Callable[[Watched], bool]:
    return lambda seen: len(seen.frames.get(name, [])) >= n


def has_event(name: str, kind: str) -> Callable[[Watched], bool]:
    return lambda seen: kind in seen.kinds(name)


def is_growing(times_s: list[float]) -> bool:
    return all(before < after for before, after in itertools.pairwise(times_s))
