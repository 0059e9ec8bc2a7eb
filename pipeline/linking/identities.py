"""Which of the people who are known are these? Groups that were linked anew take the ids of those
with whom they share rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.linking.events import Key
from pipeline.records import Person, Tracklet


@dataclass(slots=True)
class Known:
    """A person who is remembered: the tracklets of the last step, and the times (first_s, last_s)
    of older ones, by camera.
    """

    window: dict[Key, Tracklet] = field(default_factory=dict)
    past: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def settle(self, tracklets: Iterable[Tracklet]) -> None:
        """Keep of these only when they were."""
        for tracklet in tracklets:
            del self.window[tracklet.key]
            self.past.setdefault(tracklet.camera, []).append((tracklet.first_s, tracklet.last_s))

    def allows(self, tracklets: Iterable[Tracklet]) -> bool:
        """Whether none of these would bring the person into a camera where it already was at that
        time.
        """
        times = ((t.first_s, t.last_s, self.past.get(t.camera, ())) for t in tracklets)
        return not any(first <= b and a <= last for first, last, past in times for a, b in past)

    def allows_past(self, other: "Known") -> bool:
        """Whether the two could have been one person."""
        common = self.past.keys() & other.past.keys()
        return not any(
            a <= d and c <= b
            for camera in common
            for a, b in self.past[camera]
            for c, d in other.past[camera]
        )


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
                self._take_over(into, gone)
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

    def _take_over(self, into: int, gone: int) -> None:
        heir, other = self.people[into], self.people.pop(gone)
        heir.window |= other.window
        for camera, times in other.past.items():
            heir.past.setdefault(camera, []).extend(times)


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
