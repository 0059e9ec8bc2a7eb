"""Settled tracklets of online linking: the person of each, and the reasons."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.linking.continuity import Owned, forest, keys_of, links_of, renewed
from pipeline.linking.linker import Linked
from pipeline.linking.reasons import DECIDED
from pipeline.online.identities import Known
from pipeline.records import Key, Link, Person, Tracklet

MAX_NEAR_MISSES = 20_000
"""Near misses of settled tracklets that are kept, the newest."""


class History:
    """Tracklets by person, and the links and near misses from when they were decided.

    Every link is kept once, and the number of near misses is bounded. The tracklets, without
    pixels, are needed for the results: their number grows during the day.

    Args:
        is_kept: whether anything is kept. A live run, which may last for weeks, has its rows and
            events on disk instead (`pipeline.live.journal`).
    """

    def __init__(self, is_kept: bool = True) -> None:
        self._is_kept = is_kept
        self._tracklets: dict[int, list[Tracklet]] = {}
        self._links: dict[tuple[Key, Key], Link] = {}
        self._near_misses: dict[tuple[Key, Key], Link] = {}

    def add(self, person_id: int, tracklets: Iterable[Tracklet]) -> None:
        """Add tracklets whose person will not change."""
        if not self._is_kept:
            return
        self._tracklets.setdefault(person_id, []).extend(tracklets)

    def add_reasons(self, linked: Linked, tracklets: Iterable[Tracklet]) -> None:
        """Keep the links and near misses of tracklets.

        Args:
            linked: the last step of linking.
            tracklets: tracklets that have settled.
        """
        keys = {tracklet.key for tracklet in tracklets}
        if not keys or not self._is_kept:
            return
        for link in links_of(linked.people):
            pair = keys_of(link)
            if keys.isdisjoint(pair):
                continue
            known = self._links.get(pair)
            if known is None or (known.rule == DECIDED and link.rule != DECIDED):
                self._links.pop(pair, None)
                self._links[pair] = link
        for missed in linked.near_misses:
            pair = keys_of(missed)
            if not keys.isdisjoint(pair):
                self._near_misses.pop(pair, None)
                self._near_misses[pair] = missed
        while len(self._near_misses) > MAX_NEAR_MISSES:
            oldest = next(iter(self._near_misses))
            del self._near_misses[oldest]

    def merge(self, gone: int, into: int) -> None:
        """Give the tracklets of one person to another."""
        if gone in self._tracklets:
            self.add(into, self._tracklets.pop(gone))

    def with_present(self, known: Mapping[int, Known], linked: Linked) -> Linked:
        """Return all people: the history, and the known people as they were linked last.

        Args:
            known: known people by id, with the tracklets of the window.
            linked: the last step of linking.

        Returns:
            That step, with the people and near misses of the whole run.
        """
        tracklets = {person_id: list(own) for person_id, own in self._tracklets.items()}
        for person_id, present in known.items():
            tracklets.setdefault(person_id, []).extend(present.window.values())
        owner: dict[Key, Owned] = {}
        for person_id, own in tracklets.items():
            for tracklet in own:
                owner[tracklet.key] = (person_id, tracklet)

        made = [*self._links.values(), *links_of(linked.people)]
        made.sort(key=lambda link: link.rule == DECIDED)
        ties = forest(made, owner)
        people = []
        for person_id, own in sorted(tracklets.items()):
            in_order = sorted(own, key=lambda tracklet: tracklet.key)
            person_links = ties.get(person_id, ())
            people.append(Person(person_id, tuple(in_order), tuple(person_links)))
        missed = [*self._near_misses.values(), *linked.near_misses]
        return replace(linked, people=people, near_misses=_apart(missed, owner))


def _apart(near_misses: Iterable[Link], owner: Mapping[Key, Owned]) -> list[Link]:
    """Near misses between present tracklets of different people, the latest of each pair."""
    latest = {keys_of(missed): missed for missed in near_misses}
    found = []
    for (first, second), missed in sorted(latest.items()):
        if first not in owner or second not in owner:
            continue
        person, _ = owner[first]
        other, _ = owner[second]
        if person != other:
            found.append(renewed(missed, owner))
    return found
