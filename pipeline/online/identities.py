"""Keep ids: groups that were linked anew take the ids of the people with whom they share rows."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.records import Key, Person, Tracklet

MAX_SPANS = 1024
"""Stretches of time that are remembered of a person in a camera, the newest."""


class Spans:
    """Stretches of time, disjoint and in order: when somebody was in one camera.

    The oldest are dropped when there are more than `MAX_SPANS`, so memory and the time of a query
    are bounded.
    """

    def __init__(self) -> None:
        self._starts_s: list[float] = []
        self._ends_s: list[float] = []

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return zip(self._starts_s, self._ends_s, strict=True)

    @property
    def last_s(self) -> float:
        """End of the last stretch, seconds; -inf when there is none."""
        return self._ends_s[-1] if self._ends_s else -math.inf

    def add(self, start_s: float, end_s: float) -> None:
        """Add a stretch; those that it overlaps become one with it."""
        low = bisect_left(self._ends_s, start_s)
        high = bisect_right(self._starts_s, end_s)
        if low < high:
            start_s = min(start_s, self._starts_s[low])
            end_s = max(end_s, self._ends_s[high - 1])
        self._starts_s[low:high] = [start_s]
        self._ends_s[low:high] = [end_s]
        del self._starts_s[:-MAX_SPANS], self._ends_s[:-MAX_SPANS]

    def overlaps(self, start_s: float, end_s: float) -> bool:
        """Whether any stretch has a moment in common with this one."""
        return bisect_left(self._ends_s, start_s) < bisect_right(self._starts_s, end_s)


@dataclass(slots=True)
class Known:
    """A person who is remembered: the tracklets of the last step, and when older ones were, by
    camera.
    """

    window: dict[Key, Tracklet] = field(default_factory=dict)
    past: dict[str, Spans] = field(default_factory=dict)

    @property
    def last_s(self) -> float:
        """When the person was last seen, seconds."""
        window_s = max((t.last_s for t in self.window.values()), default=-math.inf)
        past_s = max((spans.last_s for spans in self.past.values()), default=-math.inf)
        return max(window_s, past_s)

    def settle(self, tracklets: Iterable[Tracklet]) -> None:
        """Keep of these only when they were."""
        for tracklet in tracklets:
            del self.window[tracklet.key]
            self.past.setdefault(tracklet.camera, Spans()).add(tracklet.first_s, tracklet.last_s)

    def allows(self, tracklets: Iterable[Tracklet]) -> bool:
        """Whether none of these would bring the person into a camera where it already was at that
        time.
        """
        return not any(
            self.past[t.camera].overlaps(t.first_s, t.last_s)
            for t in tracklets
            if t.camera in self.past
        )

    def allows_past(self, other: "Known") -> bool:
        """Whether the two could have been one person."""
        return not any(
            self.past[camera].overlaps(start_s, end_s)
            for camera in self.past.keys() & other.past.keys()
            for start_s, end_s in other.past[camera]
        )

    def take_over(self, other: "Known") -> None:
        """Take over what is known of somebody who turned out to be this person."""
        self.window |= other.window
        for camera, spans in other.past.items():
            own = self.past.setdefault(camera, Spans())
            for start_s, end_s in spans:
                own.add(start_s, end_s)


@dataclass(frozen=True, slots=True)
class Identified:
    """ids of the groups, in order. merged: who turned out to be somebody else, (gone, into, group).

    before: whose tracklets were, by their name in the last step, and for those that had none by
    most of their rows.
    """

    ids: list[int]
    merged: list[tuple[int, int, int]]
    before: dict[Key, int]


class Identities:
    """The people who are remembered, `people` by id; ids count from 1, and none is given twice."""

    def __init__(self) -> None:
        self.people: dict[int, Known] = {}
        self._n_people = 0

    def identify(self, groups: Sequence[Person]) -> Identified:
        """Say who groups are, which `commit` makes so; the older of people who merged takes over
        what is known of the younger.

        A group is the person with whom it has most rows in common, the most first, unless that
        person's past forbids it; one that is nobody is somebody new. Who is left over, and is in
        one group with all rows, has merged.
        """
        overlap = _Overlap(self.people, groups)
        ids: dict[int, int] = {}
        free = set(self.people)
        for (person_id, g), _ in sorted(
            overlap.common.items(), key=lambda item: (-item[1], item[0])
        ):
            if g not in ids and person_id in free and self._fits(person_id, groups[g], overlap):
                ids[g] = person_id
                free.discard(person_id)
        for g in range(len(groups)):
            if g not in ids:
                self._n_people += 1
                ids[g] = self._n_people
        merged = []
        for person_id in sorted(free):
            if (g := self._merges(person_id, groups, ids, overlap)) >= 0:
                into, gone = ids[g], person_id
                if gone < into and overlap.groups_of[into] == {g}:
                    into, gone = gone, into
                    ids[g] = into
                self.people[into].take_over(self.people.pop(gone))
                merged.append((gone, into, g))
        return Identified([ids[g] for g in range(len(groups))], merged, overlap.before)

    def commit(self, ids: Sequence[int], groups: Sequence[Person]) -> list[int]:
        """Remember whose tracklets are from now on; returns the people who have none left."""
        for known in self.people.values():
            known.window = {}
        for person_id, group in zip(ids, groups, strict=True):
            self.people.setdefault(person_id, Known()).window = {t.key: t for t in group.tracklets}
        return [person_id for person_id, known in self.people.items() if not known.window]

    def _fits(self, person_id: int, group: Person, overlap: "_Overlap") -> bool:
        return self.people[person_id].allows(
            t for t in group.tracklets if overlap.before.get(t.key) != person_id
        )

    def _merges(
        self, person_id: int, groups: Sequence[Person], ids: dict[int, int], overlap: "_Overlap"
    ) -> int:
        """Return the group in which all of a person is somebody else; -1: there is none."""
        g, *others = sorted(overlap.groups_of[person_id])
        known, into = self.people[person_id], self.people.get(ids[g])
        merges = (
            not others
            and into is not None
            and self._fits(person_id, groups[g], overlap)
            and known.allows_past(into)
        )
        return g if merges else -1


class _Overlap:
    """What people and groups have in common.

    common: rows, by (person, group). groups_of: groups in which each person is. before: see
    `Identified`.
    """

    def __init__(self, people: dict[int, Known], groups: Sequence[Person]) -> None:
        self.common: Counter[tuple[int, int]] = Counter()
        self.groups_of: dict[int, set[int]] = defaultdict(set)
        self.before = {
            key: person_id for person_id, known in people.items() for key in known.window
        }
        tracks: dict[tuple[str, int], list[tuple[int, Tracklet]]] = defaultdict(list)
        for person_id, known in people.items():
            for tracklet in known.window.values():
                tracks[tracklet.camera, tracklet.track_id].append((person_id, tracklet))
        for g, group in enumerate(groups):
            for tracklet in group.tracklets:
                self._count_overlaps(g, tracklet, tracks[tracklet.camera, tracklet.track_id])

    def _count_overlaps(
        self, g: int, tracklet: Tracklet, earlier: list[tuple[int, Tracklet]]
    ) -> None:
        shares: Counter[int] = Counter()
        for person_id, other in earlier:
            low, high = np.searchsorted(
                tracklet.frames, [other.frames[0], other.frames[-1] + 1]
            ).tolist()
            if high > low:
                shares[person_id] += high - low
                self.groups_of[person_id].add(g)
        for person_id, n_rows in shares.items():
            self.common[person_id, g] += n_rows
        if shares:
            self.before.setdefault(tracklet.key, min(shares, key=lambda p: (-shares[p], p)))
