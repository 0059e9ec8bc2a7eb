"""What a live run shows now: the newest picture and health of each camera, people, and events.

The run publishes, and never waits for those who watch. Pictures and people are replaced by newer
ones. Of events the last `EVENTS_KEPT` are held; a subscription is only a place among them, so a
subscriber that does not read costs nothing, and misses the oldest, which is counted. A queue for
each subscriber would hold the same events many times.
"""

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.sources.live.health import Health

EVENTS_KEPT = 1000
TAKEN_AT_ONCE = 50
"""Events that a subscriber can hold in memory: one that is slow must not hold all of them."""
WATCHED_S = 5.0
"""A camera is watched until so long after its last picture was taken by a viewer."""


@dataclass(frozen=True, slots=True)
class PersonNow:
    """A person who is in view, or was lately.

    Attributes:
        person_id: the number, the same in all cameras.
        cameras: where the person is in view now; () is nowhere.
        first_s: when first seen, seconds since 1970.
        last_s: when last seen.
        route: camera, first and last time of each stay, in order.
        crop_jpeg: the best crop, as it may be shown; b"" for none.
        probability: of the weakest link between the tracklets of the person; 1 for a single one.
    """

    person_id: int
    cameras: tuple[str, ...]
    first_s: float
    last_s: float
    route: tuple[tuple[str, float, float], ...]
    crop_jpeg: bytes
    probability: float


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest picture of a camera; `number` grows with each picture of any camera."""

    jpeg: bytes
    time_s: float
    number: int


@dataclass(frozen=True, slots=True)
class Said:
    """An event, and its number in this run, from 0."""

    number: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many events subscribers of one name have taken, and how many they missed."""

    n_sent: int
    n_dropped: int


class Hub:
    """The present state of a live run; all methods may be called from any thread."""

    def __init__(self) -> None:
        self.run_id = secrets.token_hex(4)
        """Tells numbers of events from those of an earlier run."""
        self._changed = threading.Condition()
        self._pictures: dict[str, Picture] = {}
        self._n_pictures = 0
        self._health: list[Health] = []
        self._people: list[PersonNow] = []
        self._events: deque[Mapping[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._n_events = 0
        self._n_by_kind: Counter[str] = Counter()
        self._n_sent: Counter[str] = Counter()
        self._n_dropped: Counter[str] = Counter()
        self._viewed_s: dict[str, float] = {}

    @property
    def n_pictures(self) -> int:
        """Number of the newest picture of any camera; 0 before the first one."""
        with self._changed:
            return self._n_pictures

    def publish_picture(self, camera: str, jpeg: bytes, time_s: float) -> None:
        """Replace the picture of a camera.

        Args:
            camera: its name.
            jpeg: the annotated picture, as it may be shown.
            time_s: its time, seconds since 1970.
        """
        with self._changed:
            self._n_pictures += 1
            self._pictures[camera] = Picture(jpeg, time_s, self._n_pictures)

    def publish(self, health: Sequence[Health], people: Sequence[PersonNow]) -> None:
        """Replace what is known of cameras and people; a camera that is not listed is gone."""
        with self._changed:
            self._health = list(health)
            self._people = sorted(people, key=lambda person: person.person_id)
            names = {each.camera for each in health}
            for gone in self._pictures.keys() - names:
                del self._pictures[gone]
            for gone in self._viewed_s.keys() - names:
                del self._viewed_s[gone]

    def say(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Add events: JSON objects with at least `time_s` and `kind`."""
        with self._changed:
            for event in events:
                self._events.append(event)
                self._n_by_kind[str(event["kind"])] += 1
            self._n_events += len(events)
            self._changed.notify_all()

    def subscribe(self, name: str, after: int | None = None) -> "Subscription":
        """Return the events from now on.

        Args:
            name: what counts of sent and dropped events are kept under.
            after: number of the last event that is known, to get those since; -1 for all that are
                held.
        """
        with self._changed:
            start = self._n_events if after is None else after + 1
            return Subscription(self, name, min(start, self._n_events))

    def take(self, start: int, timeout_s: float) -> list[Said]:
        """Return the next events from a number on that are held, after waiting for one."""
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(lambda: self._n_events > start, timeout_s)
            first = self._n_events - len(self._events)
            said = []
            begin = max(start, first)
            for number in range(begin, min(begin + TAKEN_AT_ONCE, self._n_events)):
                said.append(Said(number, self._events[number - first]))
            return said

    def count(self, name: str, n_sent: int, n_dropped: int) -> None:
        """Add to the counts of sent and dropped events of subscribers of a name."""
        with self._changed:
            self._n_sent[name] += n_sent
            self._n_dropped[name] += n_dropped

    def delivered(self) -> dict[str, Delivered]:
        """Return the counts of events by the name of the subscribers."""
        with self._changed:
            return {
                name: Delivered(n_sent, self._n_dropped[name])
                for name, n_sent in sorted(self._n_sent.items())
            }

    def n_events(self) -> dict[str, int]:
        """Return how many events were said, by kind."""
        with self._changed:
            return dict(sorted(self._n_by_kind.items()))

    def picture(self, camera: str) -> Picture | None:
        """Return the newest picture of a camera; None if there is none yet."""
        with self._changed:
            return self._pictures.get(camera)

    def health(self) -> list[Health]:
        """Return the health of all cameras, in the order in which the run lists them."""
        with self._changed:
            return list(self._health)

    def people(self) -> list[PersonNow]:
        """Return the people who are in view or were lately, by number."""
        with self._changed:
            return list(self._people)

    def viewed(self, camera: str) -> None:
        """Note that somebody takes the pictures of a camera."""
        with self._changed:
            self._viewed_s[camera] = time.monotonic()

    def is_watched(self, camera: str) -> bool:
        """Whether somebody takes the pictures of a camera; encoding others can be spared."""
        with self._changed:
            viewed_s = self._viewed_s.get(camera)
        return viewed_s is not None and time.monotonic() - viewed_s < WATCHED_S


class Subscription:
    """A place among the events of a hub; for one thread or task."""

    def __init__(self, hub: Hub, name: str, start: int) -> None:
        self._hub = hub
        self._name = name
        self._next = start

    def take(self, timeout_s: float = 0.0) -> list[Said]:
        """Return the next events that are still held, `TAKEN_AT_ONCE` at most.

        Args:
            timeout_s: how long to wait for one.
        """
        said = self._hub.take(self._next, timeout_s)
        if said:
            self._hub.count(self._name, 0, said[0].number - self._next)
            self._next = said[-1].number + 1
        return said

    def confirm(self, n_sent: int, n_dropped: int = 0) -> None:
        """Count events that reached the subscriber, or that it refused for good."""
        self._hub.count(self._name, n_sent, n_dropped)
