"""Online linking against offline, on synthetic scenes and a simulated day, fed as a live system
would see them.

The tracklets of a scene come piece by piece: open ones as far as they have been seen, closed ones
when their track has ended. Three labels of the same boxes are
scored, the first two from the events alone: *live*, what a screen would have shown when the person
was there; *first*, what was first said; and what was said in the end.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.linking import perturbations, site
from benchmarks.linking.synthetic_scenes import SyntheticScene
from pipeline.config import Config, LinkingConfig
from pipeline.linking.learning.lessons import Lessons
from pipeline.linking.linker import Linked
from pipeline.online import events
from pipeline.online.events import Event
from pipeline.online.linker import Names, OnlineLinker, engine_of
from pipeline.records import Array, Embedded, Key, Person

PERIOD_S, DAY_PERIOD_S = 1.0, 30.0
NOBODY = -1
Labels = dict[Key, Array]
"""Person of each row (n,) of a tracklet, `NOBODY` where nothing was said."""


@dataclass(frozen=True, slots=True)
class Watched:
    """People by each of the labels, all events, and CPU seconds of each step (n,)."""

    live: list[Person]
    first: list[Person]
    final: list[Person]
    said: list[Event]
    step_s: Array


def watch(scene: SyntheticScene, config: LinkingConfig, period_s: float = PERIOD_S) -> Watched:
    """Link a scene step by step."""
    linking = OnlineLinker(engine_of(scene.cameras, config), config.forget_after_s)
    closes_s = _closing_times(scene.embedded)
    live, first = (
        {e.tracklet.key: np.full(len(e.tracklet.frames), NOBODY) for e in scene.embedded}
        for _ in range(2)
    )
    waiting, now_s = list(scene.embedded), min(e.tracklet.first_s for e in scene.embedded)
    said: list[Event] = []
    owner: dict[str, int] = {}
    step_s = []
    while waiting:
        now_s += period_s
        for e in waiting:
            if closes_s[e.tracklet.key] <= now_s:
                linking.add(e, provisional=False)
            else:
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
    shown, told = (_people(scene.embedded, labels) for labels in (live, first))
    return Watched(shown, told, linking.linked().people, said, np.array(step_s))


def day(n: int) -> list[dict[str, float]]:
    """Link the first `n` tracklets of a simulated day as they close; each hour: ms a step, and what
    it looked at.
    """
    here, config = site.simulate(n), LinkingConfig()
    engine, n_seen = engine_of(here.cameras, config), list[int]()

    def counting(embedded: Sequence[Embedded], sure: Sequence[Names], settled: Lessons) -> Linked:
        n_seen.append(len(embedded))
        return engine(embedded, sure, settled)

    linking = OnlineLinker(counting, config.forget_after_s)
    n_seen.clear()
    arriving = iter(sorted(here.embedded, key=lambda e: e.tracklet.last_s))
    coming, now_s, step_s = next(arriving, None), 0.0, list[float]()
    hours = []
    while coming is not None:
        now_s += DAY_PERIOD_S
        while coming is not None and coming.tracklet.last_s <= now_s:
            linking.add(coming, provisional=False)
            coming = next(arriving, None)
        before_s = time.process_time()
        linking.step(now_s)
        step_s.append(time.process_time() - before_s)
        if now_s % 3600 == 0 or coming is None:
            hours.append(
                {
                    "hour": now_s / 3600,
                    "step_ms": 1000 * float(np.mean(step_s)),
                    "looked_at": float(np.mean(n_seen)),
                }
            )
            step_s.clear()
            n_seen.clear()
    return hours


def _closing_times(embedded: Sequence[Embedded]) -> dict[Key, float]:
    """When each tracklet closes: with the next piece of its track, or when that is given up."""
    found: dict[Key, float] = {}
    following: dict[tuple[str, int], float] = {}
    for t in sorted((e.tracklet for e in embedded), key=lambda t: t.key, reverse=True):
        found[t.key] = following.get((t.camera, t.track_id), t.last_s + Config().tracker.max_lost_s)
        following[t.camera, t.track_id] = t.first_s
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
    for t in (e.tracklet for e in embedded):
        pieces = sorted(tracks.get(f"{t.camera}/{t.track_id}", []))
        which = np.searchsorted([frame for frame, _ in pieces], t.frames, side="right")
        now = np.array([NOBODY, *(person for _, person in pieces)])[which]
        mine = labels[t.key]
        new = (t.times_s > after_s) & (t.times_s <= until_s) & (mine == NOBODY)
        mine[new] = now[new]


def _people(embedded: Sequence[Embedded], labels: Labels) -> list[Person]:
    found: dict[int, list[Embedded]] = {}
    for e in embedded:
        for person in np.unique(labels[e.tracklet.key]).tolist():
            if person != NOBODY:
                found.setdefault(person, []).extend(
                    perturbations.part(e, labels[e.tracklet.key] == person)
                )
    return [
        Person(person, tuple(e.tracklet for e in own), ()) for person, own in sorted(found.items())
    ]
