"""Carry identities on from one linking to the next: who is who, and which links tie them.

Shards (`shards`), the steps of a live run (`pipeline.online`) and a run that is linked again
(`pipeline.relink`) link tracklets that were linked before, in other groups.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pipeline.linking.clustering.union_find import UnionFind
from pipeline.records import Key, Link, Person, Tracklet

Owned = tuple[int, Tracklet]
"""The number of a person, and a tracklet of theirs."""


def continued(
    common: Mapping[tuple[int, int], int],
    fits: Callable[[int, int], bool] = lambda person_id, number: True,
) -> dict[int, int]:
    """Return which group each known person is: that with most shared rows.

    Args:
        common: number of shared rows, by (person, number of the group); pairs with many are decided
            first.
        fits: whether a person can be a group.

    Returns:
        People by the number of the group that they are; groups of nobody known are not in it.
    """
    ids: dict[int, int] = {}
    taken: set[int] = set()
    for person_id, number in sorted(common, key=lambda pair: (-common[pair], pair)):
        if number in ids or person_id in taken:
            continue
        if fits(person_id, number):
            ids[number] = person_id
            taken.add(person_id)
    return ids


def forest(made: Iterable[Link], owner: Mapping[Key, Owned]) -> dict[int, list[Link]]:
    """Return the links within each person without cycles.

    Args:
        made: links; of those of a cycle the first ones are kept. Links between different people
            were corrected since, and are dropped.
        owner: tracklets as they are now, and their people, by key.

    Returns:
        Links by person, between the tracklets as they are now; people without links are missing.
    """
    united = UnionFind[Key]()
    found: dict[int, list[Link]] = {}
    for link in made:
        first, second = keys_of(link)
        if first not in owner or second not in owner:
            continue
        person, _ = owner[first]
        other, _ = owner[second]
        if person == other and united.join(first, second):
            found.setdefault(person, []).append(renewed(link, owner))
    return found


def links_of(people: Iterable[Person]) -> list[Link]:
    """Return the links of all people, in order."""
    found: list[Link] = []
    for person in people:
        found += person.links
    return found


def keys_of(link: Link) -> tuple[Key, Key]:
    """Return the keys of both tracklets."""
    return link.first.key, link.second.key


def renewed(link: Link, owner: Mapping[Key, Owned]) -> Link:
    """Return the same link between the tracklets as they are now."""
    first, second = keys_of(link)
    _, first_tracklet = owner[first]
    _, second_tracklet = owner[second]
    return replace(link, first=first_tracklet, second=second_tracklet)
