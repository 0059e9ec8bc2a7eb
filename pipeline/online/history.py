"""What online linking has finished with: whose tracklets were in the end, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.linker import Linked
from pipeline.linking.reasons import DECIDED
from pipeline.online.identities import Known
from pipeline.records import Key, Link, Person, Tracklet

MAX_NEAR_MISSES = 20_000
"""Near misses of settled tracklets that are kept, the newest."""


class History:
    """Tracklets by person, and the links and near misses from the time when they were decided.

    Every link is kept once and near misses are bounded. Tracklets, without pixels, are what the
    results are made of: they grow with the day.
    """

    def __init__(self) -> None:
        self._tracklets: dict[int, list[Tracklet]] = {}
        self._links: dict[tuple[Key, Key], Link] = {}
        self._near_misses: dict[tuple[Key, Key], Link] = {}

    def add(self, person_id: int, tracklets: Iterable[Tracklet]) -> None:
        """These stay with this person."""
        self._tracklets.setdefault(person_id, []).extend(tracklets)

    def add_reasons(self, linked: Linked, tracklets: Iterable[Tracklet]) -> None:
        """Note what ties these, and what nearly did."""
        keys = {t.key for t in tracklets}
        if not keys:
            return
        for link in links(linked):
            if not keys & {link.first.key, link.second.key}:
                continue
            pair = link.first.key, link.second.key
            known = self._links.get(pair)
            if known is None or (known.rule == DECIDED and link.rule != DECIDED):
                self._links.pop(pair, None)
                self._links[pair] = link
        for missed in linked.near_misses:
            if keys & {missed.first.key, missed.second.key}:
                pair = missed.first.key, missed.second.key
                self._near_misses.pop(pair, None)
                self._near_misses[pair] = missed
        while len(self._near_misses) > MAX_NEAR_MISSES:
            del self._near_misses[next(iter(self._near_misses))]

    def merge(self, gone: int, into: int) -> None:
        """Two people were one."""
        if gone in self._tracklets:
            self.add(into, self._tracklets.pop(gone))

    def with_present(self, known: Mapping[int, Known], linked: Linked) -> Linked:
        """Return everybody: history and those who are remembered, as they were linked last."""
        tracklets = {person_id: list(own) for person_id, own in self._tracklets.items()}
        for person_id, present in known.items():
            tracklets.setdefault(person_id, []).extend(present.window.values())
        owner = {t.key: (person_id, t) for person_id, own in tracklets.items() for t in own}
        ties = _forest(
            sorted([*self._links.values(), *links(linked)], key=lambda link: link.rule == DECIDED),
            owner,
        )
        people = [
            Person(
                person_id, tuple(sorted(own, key=lambda t: t.key)), tuple(ties.get(person_id, ()))
            )
            for person_id, own in sorted(tracklets.items())
        ]
        return replace(
            linked,
            people=people,
            near_misses=_apart([*self._near_misses.values(), *linked.near_misses], owner),
        )


def links(linked: Linked) -> list[Link]:
    """All that ties people."""
    return [link for person in linked.people for link in person.links]


def _apart(near_misses: Iterable[Link], owner: Mapping[Key, tuple[int, Tracklet]]) -> list[Link]:
    """Near misses between tracklets that are still there, and still apart; the latest of each
    two.
    """
    found = {
        (m.first.key, m.second.key): m
        for m in near_misses
        if m.first.key in owner and m.second.key in owner
    }
    return [
        _renewed(m, owner)
        for (first, second), m in sorted(found.items())
        if owner[first][0] != owner[second][0]
    ]


def _forest(
    made: Iterable[Link], owner: Mapping[Key, tuple[int, Tracklet]]
) -> dict[int, list[Link]]:
    """Links within each person without those that close a circle, the first made stay; others have
    been corrected since.
    """
    united = UnionFind[Key]()
    found: dict[int, list[Link]] = {}
    for link in made:
        person, other = (owner.get(t.key, (-1, t))[0] for t in (link.first, link.second))
        if person == other != -1 and united.join(link.first.key, link.second.key):
            found.setdefault(person, []).append(_renewed(link, owner))
    return found


def _renewed(link: Link, owner: Mapping[Key, tuple[int, Tracklet]]) -> Link:
    """The same link between the tracklets as they became."""
    return replace(link, first=owner[link.first.key][1], second=owner[link.second.key][1])
