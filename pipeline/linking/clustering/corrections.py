"""Corrections by a human: what linking has to obey, in the next run or in `people-tracker apply`.

    same: [[cam1/3, cam2/7], [cam1/8@120, cam1/11]]
    different: [[cam1/4, cam2/9]]
    not_a_person: [cam1/8@40, cam2/5]
    split: [cam1/3@145]

A name is camera/track, which stands for all tracklets of that track, or camera/track@frame, the one
tracklet that begins there; `python -m pipeline.explain`, `links.json` and `tracks.csv` show them.

- `same` and `different` are must-link and cannot-link constraints. One list of names alone is one
  group. They hold for whole people: a track that is `same` as one of two `different` ones is
  different from the other. They override all other constraints, and the continuity of a track.
- `not_a_person` leaves a tracklet, or a whole track, out of all results.
- `split` cuts a track at a frame. The tracklet that ends there and the one that begins there are
  different people. The later one has the name that `split` gives, in all of the file.

Names are those of the tracklets after all cuts. What similarity means is learned before them, from
the same tracklets as without corrections, so that a correction does not move the cuts elsewhere
that other names refer to.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field, field_validator, model_validator

from models import files, settings
from models.errors import InputError
from models.settings import Section
from pipeline.errors import ConfigError
from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.reasons import CORRECTED, ONE_TRACK
from pipeline.records import Embedded, Tracklet

FILE = "corrections.yaml"
"""What an output folder has of them."""
EXAMPLE = "configs/default.yaml"
LINE = 96
"""Length of a line of the file, characters."""
NAME = re.compile(r"[\w.-]+/\d+(@\d+)?")
Pair = tuple[int, int]
Start = tuple[int, int]
"""First frame of a tracklet, and its number."""


def _ordered(i: int, j: int) -> Pair:
    return min(i, j), max(i, j)


def _track(name: str) -> str:
    return name.partition("@")[0]


def _frame(name: str) -> int:
    """First frame of a tracklet; of a track -1, which is before all."""
    return int(name.partition("@")[2] or -1)


def _cuts(split: Sequence[str], starts: Mapping[str, Sequence[Start]]) -> dict[str, Pair]:
    """What is before and after each cut, by its name; without those that part nothing."""
    found = {}
    for name in split:
        of_track = sorted(starts.get(_track(name), ()))
        place = bisect_left(of_track, (_frame(name), -1))
        if 0 < place < len(of_track):
            found[name] = (of_track[place - 1][1], of_track[place][1])
    return found


class _People:
    """Must-links and cannot-links between whole groups of tracklets.

    Args:
        different: pairs that are different people.
    """

    def __init__(self, different: Iterable[Pair] = ()) -> None:
        self._groups = UnionFind[int]()
        self._others: dict[int, set[int]] = {}
        for pair in different:
            self.part(*pair)

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
    """Groups of names that are one person, groups whose members are all different people, names of
    what is no person, and where tracks are cut.

    Raises:
        ValueError: a name is malformed, a group is too small, or corrections contradict each other.
    """

    same: list[list[str]] = Field(default_factory=list)
    different: list[list[str]] = Field(default_factory=list)
    not_a_person: list[str] = Field(default_factory=list)
    split: list[str] = Field(default_factory=list)

    @field_validator("same", "different", mode="before")
    @classmethod
    def _one_group_or_many(cls, value: Any) -> Any:
        if value is None:
            return []
        is_group = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return [value] if is_group and value else value

    @field_validator("not_a_person", "split", mode="before")
    @classmethod
    def _names_or_nothing(cls, value: Any) -> Any:
        return [] if value is None else value

    @model_validator(mode="after")
    def _sound(self) -> "Corrections":
        for name in self.names():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name such as cam1/3 or cam1/3@120")
        if any(len(group) < 2 for group in self.different):
            raise ValueError("different: a group needs two names or more")
        for name in self.split:
            if "@" not in name:
                raise ValueError(f"split: {name} needs the frame of the cut, as in {name}@145")
        self._refuse_contradictions()
        return self

    def names(self) -> list[str]:
        """Return all names, each once, in the order of their first mention."""
        groups = [*self.same, *self.different, self.not_a_person, self.split]
        return list(dict.fromkeys(chain.from_iterable(groups)))

    def plus(self, other: "Corrections") -> "Corrections":
        """Return what both say.

        Raises:
            ValueError: they contradict each other.
        """
        values = {}
        for kind in Corrections.model_fields:
            both = [*getattr(self, kind), *getattr(other, kind)]
            values[kind] = list({str(said): said for said in both}.values())
        return Corrections.model_validate(values)

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
        starts: dict[str, list[Start]] = defaultdict(list)
        for number, name in enumerate(names):
            members[name].append(number)
            if _track(name) != name:
                members[_track(name)].append(number)
            starts[_track(name)].append((_frame(name), number))
        self._refuse_people_who_are_none(members)

        same, different = self.pairs(members)
        different += [_ordered(*pair) for pair in _cuts(self.split, starts).values()]
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

    def _refuse_people_who_are_none(self, members: Mapping[str, Sequence[int]]) -> None:
        """Check that no group of the same has both people and what is none."""
        no_people = set(chain.from_iterable(members[name] for name in self.not_a_person))
        for group in self.same:
            none = [name for name in group if no_people.issuperset(members[name])]
            if not none or len(none) == len(group):
                continue
            other = next(name for name in group if name not in none)
            raise ValueError(
                f"{none[0]} is said to be no person, and yet to be one person with {other}; take"
                " one out"
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


def load(path: str, online: bool = False) -> Corrections:
    """Read a file of corrections.

    Args:
        path: a YAML file, "" for none.
        online: whether people are linked while they are in view, which cannot cut tracks or leave
            them out.

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
        found = settings.build(Corrections, settings.read(path, EXAMPLE), path, EXAMPLE)
    except InputError as error:
        raise ConfigError(str(error)) from None
    if online and (found.not_a_person or found.split):
        raise ConfigError(
            f"{path}: not_a_person and split are for runs over files that link at their end; take"
            " them out, or set linking.online to false"
        )
    return found


def of_folder(folder: Path) -> Corrections:
    """Read the corrections that the results of a folder obey; empty where there are none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = folder / FILE
    return load(str(path)) if files.exists(path) else NONE


def to_yaml(corrections: Corrections) -> str:
    """Return the text that `load` reads, a group a line."""
    said = {kind: value for kind, value in corrections.model_dump().items() if value}
    if not said:
        return ""
    return yaml.safe_dump(said, sort_keys=False, default_flow_style=None, width=LINE)


def cut(corrections: Corrections, embedded: Sequence[Embedded]) -> list[Embedded]:
    """Cut tracklets where `split` says so.

    Args:
        corrections: what a human said.
        embedded: the tracklets of this run.

    Returns:
        All tracklets in order, each whole or in its pieces.
    """
    frames: dict[str, list[int]] = defaultdict(list)
    for name in corrections.split:
        frames[_track(name)].append(_frame(name))
    found = []
    for whole in embedded:
        rest = whole
        for frame in sorted(frames.get(_track(whole.tracklet.name), ())):
            row = int(np.searchsorted(rest.tracklet.frames, frame))
            if 0 < row < len(rest.tracklet.frames):
                before, rest = rest.cut(row)
                found.append(before)
        found.append(rest)
    return found


def by_name(corrections: Corrections, tracklets: Sequence[Tracklet]) -> Corrections:
    """Return the same corrections without `split`, in the names of these tracklets.

    Args:
        corrections: what a human said.
        tracklets: the tracklets of this run, with all cuts.

    Returns:
        Corrections in which two tracklets that a cut parts are `different`. A cut of no track is
        left out.
    """
    if not corrections.split:
        return corrections
    cuts = _cuts(corrections.split, _starts(tracklets))
    names = {name: tracklets[later].name for name, (_, later) in cuts.items()}

    def renamed(group: Sequence[str]) -> list[str]:
        return [names.get(name, name) for name in group]

    different = [renamed(group) for group in corrections.different]
    for before, after in cuts.values():
        different.append([tracklets[before].name, tracklets[after].name])
    values = {
        "same": [renamed(group) for group in corrections.same],
        "different": different,
        "not_a_person": renamed(corrections.not_a_person),
        "split": [],
    }
    return corrections.model_copy(update=values)


def part(
    corrections: Corrections, embedded: Sequence[Embedded]
) -> tuple[list[Embedded], list[Tracklet]]:
    """Part people from what is no person.

    Args:
        corrections: what a human said, as `by_name` returns it.
        embedded: the tracklets of this run, with all cuts.

    Returns:
        Tracklets of people, and those that are no person. A piece of a track that follows one that
        is no person may be anybody: it is ambiguous.
    """
    tracklets = [each.tracklet for each in embedded]
    members = _members(tracklets) if corrections.not_a_person else {}
    no_people = set(chain.from_iterable(members.get(name, ()) for name in corrections.not_a_person))
    if not no_people:
        return list(embedded), []
    following: set[int] = set()
    for starts in _starts(tracklets).values():
        for (_, earlier), (_, later) in pairwise(starts):
            if earlier in no_people:
                following.add(later)
    people = []
    for number, each in enumerate(embedded):
        if number in no_people:
            continue
        ambiguous = each.tracklet.ambiguous or number in following
        people.append(replace(each, tracklet=replace(each.tracklet, ambiguous=ambiguous)))
    return people, [tracklets[number] for number in sorted(no_people)]


def resolve(
    corrections: Corrections, tracklets: Sequence[Tracklet]
) -> tuple[list[Pair], list[Pair]]:
    """Return the constraints as pairs of tracklets.

    Args:
        corrections: what a human said, as `by_name` returns it.
        tracklets: the tracklets of this run.

    Returns:
        Must-links and cannot-links, as pairs of indices, the smaller first; names of no tracklet
        are ignored.
    """
    if not corrections.names():
        return [], []
    return corrections.pairs(_members(tracklets))


def passed_over(corrections: Corrections, tracklets: Sequence[Tracklet]) -> list[str]:
    """Return a message for everything that could not be obeyed.

    Args:
        corrections: what a human said.
        tracklets: the tracklets of this run.

    Returns:
        Lines for the user: names of no tracklet, and tracklets that are said to be one person and
        are parted by a cut in a gap of their track, which only the tracklets themselves show.
    """
    if not corrections.names():
        return []
    return _unknown(corrections, tracklets) + _contradictions(corrections, tracklets)


def _contradictions(corrections: Corrections, tracklets: Sequence[Tracklet]) -> list[str]:
    """A line for every `same` that the corrections as a whole do not allow."""
    same, different = resolve(by_name(corrections, tracklets), tracklets)
    people = _People(different)
    lines = []
    for first, second in same:
        people.join(first, second)
        if people.find(first) == people.find(second):
            continue
        parted = sorted((tracklets[first], tracklets[second]), key=lambda tracklet: tracklet.key)
        lines.append(
            f"corrections: that {parted[0].name} and {parted[1].name} are the same is passed over:"
            " a cut, or what else is said, makes them different"
        )
    return lines


def _unknown(corrections: Corrections, tracklets: Sequence[Tracklet]) -> list[str]:
    """A line for every name of no tracklet, in the order of the names."""
    members = _members(tracklets)
    starts = _starts(tracklets)
    cuts = _cuts(corrections.split, starts)
    split = set(corrections.split)
    lines = []
    for name in corrections.names():
        is_known = name in cuts if name in split else name in members
        if is_known:
            continue
        hint = "this run has no such track"
        same_track = [tracklets[number] for _, number in starts.get(_track(name), ())]
        if same_track and name in split:
            last = max(int(tracklet.frames[-1]) for tracklet in same_track)
            hint = f"that track has frames {same_track[0].frames[0]} to {last}"
        elif same_track:
            known = ", ".join(str(tracklet.frames[0]) for tracklet in same_track)
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
    people = _People(different)
    links = [MustLink(first, second, CORRECTED) for first, second in same]
    links += [MustLink(first, second, ONE_TRACK) for first, second in pieces]
    return [link for link in links if people.join(link.first, link.second)]


def _starts(tracklets: Sequence[Tracklet]) -> dict[str, list[Start]]:
    """Tracklets of each track, in order."""
    starts: dict[str, list[Start]] = defaultdict(list)
    for number, tracklet in enumerate(tracklets):
        starts[_track(tracklet.name)].append((int(tracklet.frames[0]), number))
    return {track: sorted(of_track) for track, of_track in starts.items()}


def _members(tracklets: Sequence[Tracklet]) -> dict[str, list[int]]:
    """Indices by name of track and by name of tracklet."""
    members: dict[str, list[int]] = {}
    for i, tracklet in enumerate(tracklets):
        for name in (_track(tracklet.name), tracklet.name):
            members.setdefault(name, []).append(i)
    return members
