"""What a human knows: tracks that are one person, and tracks that are different people, as
constraints on the next run.

    same: [[cam1/3, cam2/7], [cam1/8@120, cam1/11]]
    different: [[cam1/4, cam2/9]]

A name is camera/track, which stands for all tracklets of that track, or camera/track@frame, the one
tracklet that begins there; `python -m pipeline.explain`, `links.json` and `tracks.csv` show them.
One list of names alone is one group. What is said holds for whole people: whoever is `same` as one
of two `different` ones is different from the other. It wins over all rules, and over the continuity
of a track.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from models import settings
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
    """Who is one person and who is not: must-links and cannot-links between whole groups."""

    def __init__(self) -> None:
        self._groups = UnionFind[int]()
        self._others: dict[int, set[int]] = {}

    def find(self, i: int) -> int:
        """Return who stands for the person of i."""
        return self._groups.find(i)

    def join(self, i: int, j: int) -> bool:
        """Make i and j one person; False when they are already, or when they are told apart."""
        i, j = self.find(i), self.find(j)
        if j in self._others.get(i, ()) or not self._groups.join(i, j):
            return False
        for other in self._others.pop(j, set()):
            self._others[other].discard(j)
            self.part(i, other)
        return True

    def part(self, i: int, j: int) -> None:
        """Say that i and j are different people."""
        i, j = self.find(i), self.find(j)
        self._others.setdefault(i, set()).add(j)
        self._others.setdefault(j, set()).add(i)


class Corrections(Section):
    """Groups of names that are one person, and groups whose members are all different people; never
    both at once.
    """

    same: list[list[str]] = Field(default_factory=list)
    different: list[list[str]] = Field(default_factory=list)

    @field_validator("same", "different", mode="before")
    @classmethod
    def _one_group_or_many(cls, value: Any) -> Any:
        if value is None:
            return []
        return (
            [value]
            if isinstance(value, list) and value and all(isinstance(v, str) for v in value)
            else value
        )

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
        """All names, each once, in the order of their first mention."""
        return list(
            dict.fromkeys(name for group in [*self.same, *self.different] for name in group)
        )

    def pairs(self, members: Mapping[str, Sequence[int]]) -> tuple[list[Pair], list[Pair]]:
        """Return the pairs that are one person and those that are not, given what names stand for;
        others are passed over.
        """
        groups = [[i for name in group for i in members.get(name, ())] for group in self.same]
        same = [(min(pair), max(pair)) for group in groups for pair in pairwise(group)]
        apart = [
            pair
            for group in self.different
            for pair in combinations([members.get(name, ()) for name in group], 2)
        ]
        return same, [
            (min(i, j), max(i, j)) for first, second in apart for i, j in product(first, second)
        ]

    def _refuse_contradictions(self) -> None:
        """As if every track had the tracklets that are named, and one more."""
        names = list(dict.fromkeys(part for name in self.names() for part in (name, _track(name))))
        members = {
            name: [i for i, part in enumerate(names) if name in (part, _track(part))]
            for name in names
        }
        same, different = self.pairs(members)
        people = _People()
        for i, j in same:
            people.join(i, j)
        for i, j in different:
            if people.find(i) == people.find(j):
                told = {
                    k for pair in [*same, (i, j)] for k in pair if people.find(k) == people.find(i)
                }
                whole = ", ".join(names[k] for k in sorted(told))
                raise ValueError(
                    f"{names[i]} and {names[j]} are said to be different, and yet to be one person"
                    f" ({whole}); take one out"
                )


NONE = Corrections()


@dataclass(frozen=True, slots=True)
class MustLink:
    """Tracklets that are one person before any evidence is looked at, by index, and why
    (`ONE_TRACK` or `CORRECTED`).
    """

    first: int
    second: int
    why: str


def load(path: str) -> Corrections:
    """Read a file of corrections ("" none); raises ConfigError."""
    if not path:
        return NONE
    if not Path(path).is_file():
        raise ConfigError(f"{path}: no such file; check linking.corrections or --corrections")
    try:
        return settings.build(Corrections, settings.read(path, EXAMPLE), path, EXAMPLE)
    except InputError as error:
        raise ConfigError(str(error)) from None


def resolve(
    corrections: Corrections, tracklets: Sequence[Tracklet]
) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs of tracklets, by index, that are one person, and those that are not; unknown
    names are passed over.
    """
    return corrections.pairs(_members(tracklets)) if corrections.names() else ([], [])


def unknown(corrections: Corrections, tracklets: Sequence[Tracklet]) -> list[str]:
    """Return a line for every name that stands for nothing in this run."""
    if not corrections.names():
        return []
    members = _members(tracklets)
    lines = []
    for name in corrections.names():
        if name not in members:
            begins = map(
                str, sorted(int(tracklets[i].frames[0]) for i in members.get(_track(name), ()))
            )
            known = ", ".join(begins)
            hint = (
                f"that track's tracklets begin at frame {known}"
                if known
                else "this run has no such track"
            )
            lines.append(f"corrections: {name} is passed over: {hint}")
    return lines


def must_links(
    same: Sequence[Pair], pieces: Sequence[Pair], different: Sequence[Pair]
) -> list[MustLink]:
    """Return what is one person from the start, without a pair too many.

    That is what a human called the same, and consecutive pieces of a track but for those that a
    human told apart.
    """
    people = _People()
    for i, j in different:
        people.part(i, j)
    named = [*((i, j, CORRECTED) for i, j in same), *((i, j, ONE_TRACK) for i, j in pieces)]
    return [MustLink(i, j, why) for i, j, why in named if people.join(i, j)]


def _track(name: str) -> str:
    return name.partition("@")[0]


def _members(tracklets: Sequence[Tracklet]) -> dict[str, list[int]]:
    """Indices by name of track and by name of tracklet."""
    members: dict[str, list[int]] = {}
    for i, tracklet in enumerate(tracklets):
        members.setdefault(_track(tracklet.name), []).append(i)
        members.setdefault(tracklet.name, []).append(i)
    return members
