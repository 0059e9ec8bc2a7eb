"""What online linking says, when and why: one JSON object a line in events.jsonl, in the order in
which it was said.

- `time_s`: when it was said, on the common clock
- `kind`, and with it what the rest means:
  `appeared`: `tracklet` is somebody new, `person_id`;
  `seen`: `tracklet` is `person_id`, who is known;
  `split`: `tracklet`, which was said to be `before`, is `person_id`, who is known or new;
  `merged`: everything that was `before` is `person_id`, and `before` is gone;
  `forgotten`: `person_id` is gone, and what it was given stays its own
- `person_id`: from now on; `before`: until now, -1 where there is none
- `tracklet`: camera/track@first frame; "" where the event is about all of a person
- `reason`: in words, with the probability or the rule

Who is who is what has been said so far: see `replay`.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.linking.linker import Linked
from pipeline.records import Key, Link, Person, Tracklet


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was said: see the module."""

    time_s: float
    kind: Literal["appeared", "seen", "split", "merged", "forgotten"]
    person_id: int
    before: int
    tracklet: str
    reason: str


def to_json_lines(events: Iterable[Event]) -> str:
    """Return events as text, one JSON object a line."""
    return "".join(
        json.dumps(asdict(event) | {"time_s": round(event.time_s, 4)}) + "\n" for event in events
    )


def replay(said: Iterable[Event], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """Whose every tracklet is, by name, for somebody who heard these events; `before`: as was known
    until then.
    """
    owner = dict(before or {})
    for event in said:
        if event.kind == "merged":
            owner = {
                name: event.person_id if person == event.before else person
                for name, person in owner.items()
            }
        elif event.kind != "forgotten":
            owner[event.tracklet] = event.person_id
    return owner


class Reasons:
    """Words for decisions, from the links that the engine made, or nearly made. before: whose
    tracklets were until now.
    """

    def __init__(self, linked: Linked, before: Mapping[Key, int]) -> None:
        self._before = before
        self._made = _by_end(link for person in linked.people for link in person.links)
        self._missed = _by_end(linked.near_misses)

    def joined(self, tracklet: Tracklet) -> str:
        """Why it is one of a group."""
        return _most_likely(
            self._made.get(tracklet.key, []), tracklet, "is", "its track was cut otherwise"
        )

    def alone(self, tracklet: Tracklet) -> str:
        """Why it is nobody who is known."""
        return _most_likely(
            self._missed.get(tracklet.key, []), tracklet, "is not", "like nobody who is remembered"
        )

    def parted(self, tracklet: Tracklet, person_id: int) -> str:
        """Why it is no longer with those who still are this person."""
        links = [
            k
            for k in self._missed.get(tracklet.key, [])
            if self._before.get(_other(k, tracklet).key) == person_id
        ]
        return _most_likely(links, tracklet, "is not", f"no longer like person {person_id}")

    def merged(self, gone: int, group: Person) -> str:
        """Why all of a person is in this group: the link that ties it to the others."""
        ends = [
            (k, self._before.get(k.first.key) == gone, self._before.get(k.second.key) == gone)
            for k in group.links
        ]
        ties = [(k, k.first if first else k.second) for k, first, second in ends if first != second]
        if not ties:  # every link is of a tracklet that was cut otherwise until now
            return "its tracklets were cut otherwise"
        link, tracklet = max(ties, key=lambda tie: tie[0].probability)
        return f"{tracklet.name} {_words(link, tracklet, 'is')}"


def _by_end(links: Iterable[Link]) -> dict[Key, list[Link]]:
    found: dict[Key, list[Link]] = {}
    for link in links:
        for tracklet in (link.first, link.second):
            found.setdefault(tracklet.key, []).append(link)
    return found


def _other(link: Link, tracklet: Tracklet) -> Tracklet:
    return link.second if link.first.key == tracklet.key else link.first


def _most_likely(links: list[Link], tracklet: Tracklet, verb: str, otherwise: str) -> str:
    return (
        _words(max(links, key=lambda link: link.probability), tracklet, verb)
        if links
        else otherwise
    )


def _words(link: Link, tracklet: Tracklet, verb: str) -> str:
    parts = [
        f"{name} {odds:+.1f}"
        for name, odds in (("appearance", link.appearance), ("position", link.place))
        if not math.isnan(odds)
    ]
    evidence = f"probability {link.probability:.2f}" + (
        f", log odds of {' and '.join(parts)}" if parts else ""
    )
    return (
        f"{verb} {_other(link, tracklet).name}: {link.rule + '; ' if link.rule else ''}{evidence}"
    )
