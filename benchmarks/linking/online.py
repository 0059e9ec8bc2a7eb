"""Online linking against offline, on synthetic scenes and a simulated day.

The tracklets of a scene arrive piece by piece, as in a live system: open ones as far as they have
been seen, closed ones when their track has ended. Three labels of the same boxes are scored, the
first two from the events alone: *live*, what a screen would have shown when the person was there;
*first*, the first answer; and the final answer.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.linking import perturbations, site
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline.config import Config, LinkingConfig
from pipeline.linking.learning.lessons import Lessons
from pipeline.linking.linker import Linked
from pipeline.online import events
from pipeline.online.events import Event
from pipeline.online.linker import Names, OnlineLinker, engine_of
from pipeline.records import Array, Embedded, Key, Person, Tracklet

PERIOD_S = 1.0
DAY_PERIOD_S = 30.0
NOBODY = -1
Labels = dict[Key, Array]
"""Person of each row (n,) of a tracklet, `NOBODY` where nothing was said."""


@dataclass(frozen=True, slots=True)
class Watched:
    """People by each of the labels, all events, and CPU seconds of each step (n,)."""

    live: list[Person]
    first: list[Person]
    final: Linked
    said: list[Event]
    step_s: Array


def watch(scene: EmbeddedScene, config: LinkingConfig, period_s: float = PERIOD_S) -> Watched:
    """Link a scene step by step.

    Args:
        scene: The scene.
        config: Of the linker.
        period_s: Seconds between two steps.

    Returns:
        People by each of the labels, the events, and the time of each step.
    """
    linking = OnlineLinker(engine_of(scene.cameras, config), config.forget_after_s)
    closes_s = _closing_times(scene.embedded)
    live = _unlabelled(scene.embedded)
    first = _unlabelled(scene.embedded)
    waiting = list(scene.embedded)
    now_s = min(e.tracklet.first_s for e in waiting)
    said: list[Event] = []
    owner: dict[str, int] = {}
    step_s = []
    while waiting:
        now_s += period_s
        for e in waiting:
            if closes_s[e.tracklet.key] <= now_s:
                linking.add(e, provisional=False)
                continue
            for seen in perturbations.part(e, e.tracklet.times_s <= now_s):
                linking.add(seen, provisional=True)
        _label(live, waiting, owner, now_s - period_s, now_s)
        before_s = time.process_time()
        new = linking.step(now_s)
        step_s.append(time.process_time() - before_s)
        said += new
        owner = events.replay(new, owner)
        _label(first, waiting, owner, -np.inf, now_s)
        waiting = [e for e in waiting if closes_s[e.tracklet.key] > now_s]
    return Watched(
        live=_people(scene.embedded, live),
        first=_people(scene.embedded, first),
        final=linking.linked(),
        said=said,
        step_s=np.array(step_s),
    )


def _unlabelled(embedded: Sequence[Embedded]) -> Labels:
    labels = {}
    for e in embedded:
        labels[e.tracklet.key] = np.full(len(e.tracklet.frames), NOBODY)
    return labels


def day(n: int, config: LinkingConfig | None = None) -> list[dict[str, float]]:
    """Link the first tracklets of a simulated day as they close.

    Args:
        n: How many tracklets.
        config: Of the linker; None for the defaults.

    Returns:
        For each hour: `hour`, mean milliseconds a step (`step_ms`), and the mean number of
        tracklets that a step looked at (`looked_at`).
    """
    simulated = site.simulate(n)
    config = config or LinkingConfig()
    engine = engine_of(simulated.cameras, config)
    n_seen: list[int] = []

    def counting(
        embedded: Sequence[Embedded],
        sure: Sequence[Names],
        apart: Sequence[Names],
        settled: Lessons,
    ) -> Linked:
        n_seen.append(len(embedded))
        return engine(embedded, sure, apart, settled)

    linking = OnlineLinker(counting, config.forget_after_s)
    n_seen.clear()
    arriving = deque(sorted(simulated.embedded, key=lambda e: e.tracklet.last_s))
    now_s = 0.0
    step_s: list[float] = []
    hours = []
    while arriving:
        now_s += DAY_PERIOD_S
        while arriving and arriving[0].tracklet.last_s <= now_s:
            linking.add(arriving.popleft(), provisional=False)
        before_s = time.process_time()
        linking.step(now_s)
        step_s.append(time.process_time() - before_s)
        if now_s % 3600 == 0 or not arriving:
            hour = {
                "hour": now_s / 3600,
                "step_ms": 1000 * float(np.mean(step_s)),
                "looked_at": float(np.mean(n_seen)),
            }
            hours.append(hour)
            step_s.clear()
            n_seen.clear()
    return hours


def _closing_times(embedded: Sequence[Embedded]) -> dict[Key, float]:
    """When each tracklet closes: with the next piece of its track, or when that is given up."""
    max_lost_s = Config().tracker.max_lost_s
    found: dict[Key, float] = {}
    following: dict[tuple[str, int], float] = {}
    tracklets = [e.tracklet for e in embedded]
    for tracklet in sorted(tracklets, key=lambda t: t.key, reverse=True):
        track = (tracklet.camera, tracklet.track_id)
        found[tracklet.key] = following.get(track, tracklet.last_s + max_lost_s)
        following[track] = tracklet.first_s
    return found


def _label(
    labels: Labels,
    embedded: Sequence[Embedded],
    owner: Mapping[str, int],
    after_s: float,
    until_s: float,
) -> None:
    """Give rows of this time that have no label the person whose they are now."""
    tracks: dict[str, list[tuple[int, int]]] = {}
    for name, person in owner.items():
        track, _, frame = name.rpartition("@")
        tracks.setdefault(track, []).append((int(frame), person))
    for e in embedded:
        tracklet = e.tracklet
        pieces = sorted(tracks.get(f"{tracklet.camera}/{tracklet.track_id}", []))
        begins = [frame for frame, _ in pieces]
        people = [person for _, person in pieces]
        piece = np.searchsorted(begins, tracklet.frames, side="right")
        now = np.array([NOBODY, *people])[piece]
        own = labels[tracklet.key]
        is_in_time = (tracklet.times_s > after_s) & (tracklet.times_s <= until_s)
        is_new = is_in_time & (own == NOBODY)
        own[is_new] = now[is_new]


def _people(embedded: Sequence[Embedded], labels: Labels) -> list[Person]:
    tracklets: dict[int, list[Tracklet]] = {}
    for e in embedded:
        own = labels[e.tracklet.key]
        for person in np.unique(own).tolist():
            if person == NOBODY:
                continue
            rows = e.tracklet.rows(own == person)
            tracklets.setdefault(person, []).append(rows)
    return [Person(person, tuple(seen), ()) for person, seen in sorted(tracklets.items())]
