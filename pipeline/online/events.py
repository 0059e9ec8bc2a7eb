"""Events of online linking: one JSON object a line in events.jsonl, in order of time.

- `time_s`: time of the decision, on the common clock
- `kind`, which determines the meaning of the rest:
  `appeared`: `tracklet` is a new person, `person_id`;
  `seen`: `tracklet` is `person_id`, who is known;
  `split`: `tracklet`, which was `before` until now, is `person_id`, who is known or new;
  `merged`: all tracklets of `before` are `person_id`, and `before` no longer exists;
  `rejoined`: `tracklet`, a piece of a track that was `before`, is no longer cut off; its rows are
  those of the piece before it, which is `person_id`;
  `forgotten`: `person_id` gets no more tracklets, and keeps those that it has
- `person_id`: from now on; `before`: until now, -1 for none
- `tracklet`: camera/track@first frame; "" where the event is about all of a person
- `reason`: in words, with the probability or the rule
- `probability`: of the link that the decision rests on, when it was made, 0 to 1; -1 where it rests
  on none

The people at any time follow from the events so far, see `replay`: a row of a track belongs to the
piece that began last before it.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.linking.linker import Linked
from pipeline.records import Key, Link, Person, Tracklet

NO_LINK = -1.0
"""Stands for the probability of a link where there is none."""


@dataclass(frozen=True, slots=True)
class Event:
    """One decision: see the module."""

    time_s: float
    kind: Literal["appeared", "seen", "split", "merged", "rejoined", "forgotten"]
    person_id: int
    before: int
    tracklet: str
    reason: str
    probability: float = NO_LINK


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was decided: `reason` and `probability` of an event."""

    words: str
    probability: float = NO_LINK


def to_json_lines(events: Iterable[Event]) -> str:
    """Return events as text, one JSON object a line."""
    lines = []
    for event in events:
        fields = asdict(event)
        fields["time_s"] = round(event.time_s, 4)
        fields["probability"] = round(event.probability, 4)
        lines.append(json.dumps(fields) + "\n")
    return "".join(lines)


def replay(said: Iterable[Event], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """Apply events.

    Args:
        said: events, in order.
        before: person of each tracklet before the first event, by name.

    Returns:
        Person of each tracklet after the last event, by name; pieces that are no longer cut off are
        not there.
    """
    owner = dict(before or {})
    names: dict[int, set[str]] = defaultdict(set)  # of each person
    for name, person in owner.items():
        names[person].add(name)
    for event in said:
        if event.kind == "forgotten":
            continue
        if event.kind == "merged":
            gone = names.pop(event.before, set())
            owner.update(dict.fromkeys(gone, event.person_id))
            names[event.person_id] |= gone
            continue
        before_event = owner.pop(event.tracklet, None)
        if before_event is not None:
            names[before_event].discard(event.tracklet)
        if event.kind != "rejoined":
            owner[event.tracklet] = event.person_id
            names[event.person_id].add(event.tracklet)
    return owner


class Reasons:
    """Reasons of decisions, from the links and near misses of a step of linking.

    Args:
        linked: the step.
        before: person of each tracklet until now.
    """

    def __init__(self, linked: Linked, before: Mapping[Key, int]) -> None:
        self._before = before
        self._made: dict[Key, list[Link]] = {}
        for person in linked.people:
            _add_by_end(self._made, person.links)
        self._missed: dict[Key, list[Link]] = {}
        _add_by_end(self._missed, linked.near_misses)

    def joined(self, tracklet: Tracklet) -> Reason:
        """Return why a tracklet is one of its group."""
        links = self._made.get(tracklet.key, [])
        words = _most_likely(links, tracklet, "is", "its track was cut otherwise")
        return Reason(words, max((link.probability for link in links), default=NO_LINK))

    def alone(self, tracklet: Tracklet) -> Reason:
        """Return why a tracklet is no known person."""
        links = self._missed.get(tracklet.key, [])
        return Reason(_most_likely(links, tracklet, "is not", "like nobody who is remembered"))

    def parted(self, tracklet: Tracklet, person_id: int) -> Reason:
        """Return why a tracklet is no longer with those that still are this person."""
        links = []
        for link in self._missed.get(tracklet.key, []):
            other = _other(link, tracklet)
            if self._before.get(other.key) == person_id:
                links.append(link)
        otherwise = f"no longer like person {person_id}"
        return Reason(_most_likely(links, tracklet, "is not", otherwise))

    def merged(self, gone: int, group: Person) -> Reason:
        """Return why all of a person is in a group: the link between them and the others."""
        ties = []
        for link in group.links:
            is_first = self._before.get(link.first.key) == gone
            is_second = self._before.get(link.second.key) == gone
            if is_first != is_second:
                ties.append((link, link.first if is_first else link.second))
        if not ties:  # every link is of a tracklet that was cut otherwise until now
            return Reason("its tracklets were cut otherwise")
        link, tracklet = max(ties, key=lambda tie: tie[0].probability)
        return Reason(f"{tracklet.name} {_words(link, tracklet, 'is')}", link.probability)


def _add_by_end(found: dict[Key, list[Link]], links: Iterable[Link]) -> None:
    """Add links to those of both their tracklets."""
    for link in links:
        for tracklet in (link.first, link.second):
            found.setdefault(tracklet.key, []).append(link)


def _other(link: Link, tracklet: Tracklet) -> Tracklet:
    return link.second if link.first.key == tracklet.key else link.first


def _most_likely(links: list[Link], tracklet: Tracklet, verb: str, otherwise: str) -> str:
    """Describe the most likely of links, or give another reason where there is none."""
    if not links:
        return otherwise
    best = max(links, key=lambda link: link.probability)
    return _words(best, tracklet, verb)


def _words(link: Link, tracklet: Tracklet, verb: str) -> str:
    parts = []
    if not math.isnan(link.appearance):
        parts.append(f"appearance {link.appearance:+.1f}")
    if not math.isnan(link.place):
        parts.append(f"position {link.place:+.1f}")
    evidence = f"probability {link.probability:.2f}"
    if parts:
        evidence += f", log odds of {' and '.join(parts)}"
    rule = f"{link.rule}; " if link.rule else ""
    return f"{verb} {_other(link, tracklet).name}: {rule}{evidence}"
