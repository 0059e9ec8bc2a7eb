"""Leave out people who are in view too briefly to be believed.

Who is seen for less than a second in all cameras together is hardly ever a person: it is a box on a
part of somebody, or on a thing, or a fragment of somebody who has another identity. In half A of
`benchmarks.linking.real_scenes`, of 178 such people 160 are nobody and 17 are fragments; none is
all that was found of a person, even where each camera is linked alone. Leaving them out raises
IDF1 by 0.4 points, and lowers it in no scene. From 1.25 s on true people are lost.

`tracklets.min_tracklet_s` cannot be that strict: it judges a track before anybody knows whether it
belongs to somebody who is seen for longer.
"""

from collections.abc import Sequence, Set
from dataclasses import replace

from pipeline.records import Key, Link, Person

SHARE_OF_RUN = 0.5
"""Nobody who is seen for this share of a run is too brief, however short the run."""


def part(
    people: Sequence[Person], min_person_s: float, told: Set[Key] = frozenset()
) -> tuple[list[Person], list[Person]]:
    """Part people who are seen for long enough from those who are not.

    Args:
        people: Everybody, by first appearance.
        min_person_s: Least duration of all tracklets of a person together, seconds.
        told: Tracklets that a human said something about; their people stay.

    Returns:
        The people who stay, and those who are left out, in the same order. Those who stay are
        numbered 1, 2, 3..., and the others after them.
    """
    first_s = min((person.first_s for person in people), default=0.0)
    last_s = max((person.last_s for person in people), default=0.0)
    least_s = min(min_person_s, SHARE_OF_RUN * (last_s - first_s))
    kept: list[Person] = []
    left_out: list[Person] = []
    for person in people:
        is_told = any(tracklet.key in told for tracklet in person.tracklets)
        is_kept = is_told or person.seen_s >= least_s
        (kept if is_kept else left_out).append(person)
    return _numbered(kept, 1), _numbered(left_out, 1 + len(kept))


def links_between(people: Sequence[Person], links: Sequence[Link]) -> list[Link]:
    """Return the links between tracklets of these people, in the same order."""
    keys = {tracklet.key for person in people for tracklet in person.tracklets}
    return [link for link in links if link.first.key in keys and link.second.key in keys]


def notes(n_brief: int, min_person_s: float) -> list[str]:
    """Return at most one line for the user.

    Args:
        n_brief: How many people were left out.
        min_person_s: The setting that left them out.
    """
    if not n_brief:
        return []
    who = "1 person" if n_brief == 1 else f"{n_brief} people"
    return [
        f"left out {who} seen for less than {min_person_s:g} s in all, mostly false boxes;"
        " --set linking.min_person_s=0 keeps them"
    ]


def _numbered(people: Sequence[Person], first: int) -> list[Person]:
    return [replace(person, person_id=number) for number, person in enumerate(people, first)]
