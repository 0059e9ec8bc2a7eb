"""Keep ids stable: newly linked groups take the ids of the people with whom they share rows."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.linking.continuity import continued
from pipeline.records import Key, Person, Tracklet

MAX_SPANS = 1024
"""Stretches of time that are kept of a person in a camera."""


class Spans:
    """Disjoint stretches of time, in order: when a person was in one camera.

    Of more than `MAX_SPANS` the two oldest become one, so that memory and the time of a query
    are bounded, and when a person was first seen stays known.
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
        """Add a stretch of time, in seconds; those that it overlaps are merged with it."""
        low = bisect_left(self._ends_s, start_s)
        high = bisect_right(self._starts_s, end_s)
        if low < high:
            start_s = min(start_s, self._starts_s[low])
            end_s = max(end_s, self._ends_s[high - 1])
        self._starts_s[low:high] = [start_s]
        self._ends_s[low:high] = [end_s]
        if len(self._starts_s) > MAX_SPANS:
            del self._starts_s[1], self._ends_s[0]

    def overlaps(self, start_s: float, end_s: float) -> bool:
        """Whether any stretch overlaps this one, in seconds."""
        first = bisect_left(self._ends_s, start_s)
        after_last = bisect_right(self._starts_s, end_s)
        return first < after_last


@dataclass(slots=True)
class Known:
    """A known person.

    Attributes:
        window: tracklets of the last step, by key.
        past: when older tracklets were, by camera.
    """

    window: dict[Key, Tracklet] = field(default_factory=dict)
    past: dict[str, Spans] = field(default_factory=dict)

    @property
    def last_s(self) -> float:
        """When the person was last seen, seconds."""
        tracklets = self.window.values()
        window_s = max((tracklet.last_s for tracklet in tracklets), default=-math.inf)
        past_s = max((spans.last_s for spans in self.past.values()), default=-math.inf)
        return max(window_s, past_s)

    def settle(self, tracklets: Iterable[Tracklet]) -> None:
        """Move tracklets of the window to the past, which keeps only their times."""
        for tracklet in tracklets:
            del self.window[tracklet.key]
            spans = self.past.setdefault(tracklet.camera, Spans())
            spans.add(tracklet.first_s, tracklet.last_s)

    def allows(self, tracklets: Iterable[Tracklet]) -> bool:
        """Whether no tracklet is in a camera at a time when the person was there before."""
        for tracklet in tracklets:
            spans = self.past.get(tracklet.camera)
            if spans is not None and spans.overlaps(tracklet.first_s, tracklet.last_s):
                return False
        return True

    def allows_past(self, other: "Known") -> bool:
        """Whether the two were never in one camera at the same time."""
        for camera in self.past.keys() & other.past.keys():
            own = self.past[camera]
            for start_s, end_s in other.past[camera]:
                if own.overlaps(start_s, end_s):
                    return False
        return True

    def take_over(self, other: "Known") -> None:
        """Add what is known of a person who turned out to be this one."""
        self.window |= other.window
        for camera, spans in other.past.items():
            own = self.past.setdefault(camera, Spans())
            for start_s, end_s in spans:
                own.add(start_s, end_s)


@dataclass(frozen=True, slots=True)
class Identified:
    """The people that groups are.

    Attributes:
        ids: person of each group, in order.
        merged: people who turned out to be others, (gone, into, index of the group).
        before: person of each tracklet so far: of the tracklet with its key in the last step, or
            else of most of its rows.
    """

    ids: list[int]
    merged: list[tuple[int, int, int]]
    before: dict[Key, int]


class Identities:
    """The known people, `people` by id; ids count from 1, and none is used twice.

    last_id: the highest id so far.
    """

    def __init__(self) -> None:
        self.people: dict[int, Known] = {}
        self.last_id = 0

    def identify(self, groups: Sequence[Person]) -> Identified:
        """Find out who groups are; `commit` stores it.

        A group is the person with whom it shares most rows, unless that person's past forbids it;
        pairs with many shared rows are decided first. A group that is no known person is a new one.
        A person who is left over, with all rows in one group, has merged with the person of that
        group, and the one with the lower id keeps it.

        Args:
            groups: people of the last step of linking.

        Returns:
            A person for each group.
        """
        overlap = _Overlap(self.people, groups)
        ids = self._continued(groups, overlap)
        left = set(self.people) - set(ids.values())
        for number in range(len(groups)):
            if number not in ids:
                self.last_id += 1
                ids[number] = self.last_id
        merged = []
        for person_id in sorted(left):
            number = self._merges(person_id, groups, ids, overlap)
            if number < 0:
                continue
            into = ids[number]
            gone = person_id
            if gone < into and overlap.groups_of[into] == {number}:
                into, gone = gone, into
                ids[number] = into
            self.people[into].take_over(self.people.pop(gone))
            merged.append((gone, into, number))
        in_order = [ids[number] for number in range(len(groups))]
        return Identified(in_order, merged, overlap.before)

    def commit(self, ids: Sequence[int], groups: Sequence[Person]) -> list[int]:
        """Store the tracklets of each person, which replace those of the last step.

        Args:
            ids: person of each group.
            groups: people of the last step of linking.

        Returns:
            People who have no tracklets left in the window.
        """
        for known in self.people.values():
            known.window = {}
        for person_id, group in zip(ids, groups, strict=True):
            known = self.people.setdefault(person_id, Known())
            known.window = {tracklet.key: tracklet for tracklet in group.tracklets}
        return [person_id for person_id, known in self.people.items() if not known.window]

    def _continued(self, groups: Sequence[Person], overlap: "_Overlap") -> dict[int, int]:
        """Known people by the number of the group that they are."""

        def fits(person_id: int, number: int) -> bool:
            return self._fits(person_id, groups[number], overlap)

        return continued(overlap.common, fits)

    def _fits(self, person_id: int, group: Person, overlap: "_Overlap") -> bool:
        """Whether a person's past allows the tracklets of a group that are new to that person."""
        new = []
        for tracklet in group.tracklets:
            if overlap.before.get(tracklet.key) != person_id:
                new.append(tracklet)
        return self.people[person_id].allows(new)

    def _merges(
        self, person_id: int, groups: Sequence[Person], ids: dict[int, int], overlap: "_Overlap"
    ) -> int:
        """Return the number of the group in which all of a person is another; -1 for none."""
        number, *others = sorted(overlap.groups_of[person_id])
        into = self.people.get(ids[number])
        if others or into is None:
            return -1
        if not self._fits(person_id, groups[number], overlap):
            return -1
        return number if self.people[person_id].allows_past(into) else -1


class _Overlap:
    """What people and groups have in common.

    Attributes:
        common: number of shared rows, by (person, number of the group).
        groups_of: groups in which each person has rows.
        before: see `Identified`.
    """

    def __init__(self, people: dict[int, Known], groups: Sequence[Person]) -> None:
        self.common: Counter[tuple[int, int]] = Counter()
        self.groups_of: dict[int, set[int]] = defaultdict(set)
        self.before: dict[Key, int] = {}
        tracks: dict[tuple[str, int], list[tuple[int, Tracklet]]] = defaultdict(list)
        for person_id, known in people.items():
            for key, tracklet in known.window.items():
                self.before[key] = person_id
                tracks[tracklet.camera, tracklet.track_id].append((person_id, tracklet))
        for number, group in enumerate(groups):
            for tracklet in group.tracklets:
                earlier = tracks[tracklet.camera, tracklet.track_id]
                self._count_overlaps(number, tracklet, earlier)

    def _count_overlaps(
        self, number: int, tracklet: Tracklet, earlier: list[tuple[int, Tracklet]]
    ) -> None:
        """Count the rows that a tracklet of a group shares with earlier ones of its track."""
        shared: Counter[int] = Counter()
        for person_id, other in earlier:
            span = [other.frames[0], other.frames[-1] + 1]
            low, high = np.searchsorted(tracklet.frames, span).tolist()
            if high > low:
                shared[person_id] += high - low
                self.groups_of[person_id].add(number)
        for person_id, n_rows in shared.items():
            self.common[person_id, number] += n_rows
        if shared:
            person_id = min(shared, key=lambda person: (-shared[person], person))
            self.before.setdefault(tracklet.key, person_id)
