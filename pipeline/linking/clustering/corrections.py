"""Corrections by a human: must-link and cannot-link constraints for the next run.

    same: [[cam1/3, cam2/7], [cam1/8@120, cam1/11]]
    different: [[cam1/4, cam2/9]]

A name is camera/track, which stands for all tracklets of that track, or camera/track@frame, the one
tracklet that begins there; `python -m pipeline.explain`, `links.json` and `tracks.csv` show them.
One list of names alone is one group. Corrections hold for whole people: a track that is `same` as
one of two `different` ones is different from the other. They override all other constraints, and
the continuity of a track.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise, product
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from models import files, settings
from models.errors import InputError
from models.settings import Section
from pipeline.errors import ConfigError
from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.reasons import CORRECTED, ONE_TRACK
from pipeline.records import Tracklet

EXAMPLE = "configs/default.yaml"
NAME = re.compile(r"[\w.-]+/\d+(@\d+)?")
Pair = tuple[int, int]


class _People:
    """Must-links and cannot-links between whole groups of tracklets."""

    def __init__(self) -> None:
        self._groups = UnionFind[int]()
        self._others: dict[int, set[int]] = {}

    def find(self, i: int) -> int:
        """Return the representative of the person of i."""
        return self._groups.find(i)

    def join(self, i: int, j: int) -> bool:
        """Make i and j one person.

        Returns:
            False when they are one person already, or when they are known to be different people.
        """
        person = self.find(i)
        joined = self.find(j)
        if joined in self._others.get(person, ()):
            return False
        if not self._groups.join(person, joined):
            return False
        for other in self._others.pop(joined, set()):
            self._others[other].discard(joined)
            self.part(person, other)
        return True

    def part(self, i: int, j: int) -> None:
        """Say that i and j are different people."""
        person = self.find(i)
        other = self.find(j)
        self._others.setdefault(person, set()).add(other)
        self._others.setdefault(other, set()).add(person)


class Corrections(Section):
    """Groups of names that are one person, and groups whose members are all different people.

    Raises:
        ValueError: a name is malformed, a group is too small, or two groups contradict each other.
    """

    same: list[list[str]] = Field(default_factory=list)
    different: list[list[str]] = Field(default_factory=list)

    @field_validator("same", "different", mode="before")
    @classmethod
    def _one_group_or_many(cls, value: Any) -> Any:
        if value is None:
            return []
        is_group = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return [value] if is_group and value else value

    @model_validator(mode="after")
    def _sound(self) -> "Corrections":
        for name in self.names():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name such as cam1/3 or cam1/3@120")
        if any(len(group) < 2 for group in self.different):
            raise ValueError("different: a group needs two names or more")
        self._refuse_contradictions()
        return self

    def names(self) -> list[str]:
        """Return all names, each once, in the order of their first mention."""
        groups = [*self.same, *self.different]
        return list(dict.fromkeys(chain.from_iterable(groups)))

    def pairs(self, members: Mapping[str, Sequence[int]]) -> tuple[list[Pair], list[Pair]]:
        """Return the constraints as pairs of tracklets.

        Args:
            members: tracklets of each name, by index; names that are missing are ignored.

        Returns:
            Must-links and cannot-links, as pairs of indices, the smaller first.
        """
        same = []
        for group in self.same:
            tracklets = chain.from_iterable(members.get(name, ()) for name in group)
            same += [_ordered(*pair) for pair in pairwise(tracklets)]
        different = []
        for group in self.different:
            for first, second in combinations(group, 2):
                pairs = product(members.get(first, ()), members.get(second, ()))
                different += [_ordered(*pair) for pair in pairs]
        return same, different

    def _refuse_contradictions(self) -> None:
        """Check the groups as if every track had the tracklets that are named, and one more."""
        mentioned: dict[str, None] = {}
        for name in self.names():
            mentioned[name] = None
            mentioned[_track(name)] = None
        names = list(mentioned)
        members: dict[str, list[int]] = {name: [] for name in names}
        for number, name in enumerate(names):
            members[name].append(number)
            if _track(name) != name:
                members[_track(name)].append(number)

        same, different = self.pairs(members)
        people = _People()
        for pair in same:
            people.join(*pair)
        for first, second in different:
            person = people.find(first)
            if person != people.find(second):
                continue
            all_mentioned = {first, second, *chain.from_iterable(same)}
            told = sorted(number for number in all_mentioned if people.find(number) == person)
            whole = ", ".join(names[number] for number in told)
            raise ValueError(
                f"{names[first]} and {names[second]} are said to be different, and yet to be one"
                f" person ({whole}); take one out"
            )


NONE = Corrections()


@dataclass(frozen=True, slots=True)
class MustLink:
    """Two tracklets that are one person whatever the evidence, by index.

    Attributes:
        first: index of the earlier.
        second: index of the later.
        why: `ONE_TRACK` or `CORRECTED`.
    """

    first: int
    second: int
    why: str


def load(path: str) -> Corrections:
    """Read a file of corrections.

    Args:
        path: a YAML file, "" for none.

    Returns:
        The corrections, empty without a file.

    Raises:
        ConfigError: the file is missing, or its content is not valid.
    """
    if not path:
        return NONE
    try:
        if not files.exists(Path(path)):
            raise ConfigError(f"{path}: no such file; check linking.corrections or --corrections")
        return settings.build(Corrections, settings.read(path, EXAMPLE), path, EXAMPLE)
    except InputError as error:
        raise ConfigError(str(error)) from None


def resolve(
    corrections: Corrections, tracklets: Sequence[Tracklet]
) -> tuple[list[Pair], list[Pair]]:
    """Return the constraints as pairs of tracklets.

    Args:
        corrections: what a human said.
        tracklets: the tracklets of this run.

    Returns:
        Must-links and cannot-links, as pairs of indices, the smaller first; names of no tracklet
        are ignored.
    """
    if not corrections.names():
        return [], []
    return corrections.pairs(_members(tracklets))


def unknown(corrections: Corrections, tracklets: Sequence[Tracklet]) -> list[str]:
    """Return a message for every name of no tracklet of this run.

    Args:
        corrections: what a human said.
        tracklets: the tracklets of this run.

    Returns:
        Lines for the user, in the order of the names.
    """
    if not corrections.names():
        return []
    members = _members(tracklets)
    lines = []
    for name in corrections.names():
        if name in members:
            continue
        same_track = members.get(_track(name), ())
        begins = sorted(int(tracklets[i].frames[0]) for i in same_track)
        hint = "this run has no such track"
        if begins:
            known = ", ".join(map(str, begins))
            hint = f"that track's tracklets begin at frame {known}"
        lines.append(f"corrections: {name} is passed over: {hint}")
    return lines


def must_links(
    same: Sequence[Pair], pieces: Sequence[Pair], different: Sequence[Pair]
) -> list[MustLink]:
    """Return the must-links of a run, without redundant ones.

    Args:
        same: pairs of tracklets that a human called the same.
        pieces: consecutive pieces of one track.
        different: pairs that a human called different; no must-link joins them.

    Returns:
        Must-links; each joins two groups that those before leave apart.
    """
    people = _People()
    for pair in different:
        people.part(*pair)
    links = [MustLink(first, second, CORRECTED) for first, second in same]
    links += [MustLink(first, second, ONE_TRACK) for first, second in pieces]
    return [link for link in links if people.join(link.first, link.second)]


def _ordered(i: int, j: int) -> Pair:
    return min(i, j), max(i, j)


def _track(name: str) -> str:
    return name.partition("@")[0]


def _members(tracklets: Sequence[Tracklet]) -> dict[str, list[int]]:
    """Indices by name of track and by name of tracklet."""
    members: dict[str, list[int]] = {}
    for i, tracklet in enumerate(tracklets):
        for name in (_track(tracklet.name), tracklet.name):
            members.setdefault(name, []).append(i)
    return members
