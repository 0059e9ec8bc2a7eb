"""What a live run wrote, for the report: its journal, its segments, and its best crops.

A live run has no links.json. Why people were linked is in the events, in words, with the
probability when it was decided; who was nearly linked is in those of people who appeared.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.explain import strength
from pipeline.linking.reasons import ONE_TRACK
from pipeline.live import best_crops, merge
from pipeline.live.merge import Merged
from pipeline.live.segments import SEGMENTS, start_of
from pipeline.online.events import NO_LINK, Event
from pipeline.outputs import trajectories
from pipeline.outputs.links import NEAR_MISS
from pipeline.records import Link, Person, Tracklet
from pipeline.report.site import Segment
from pipeline.report.written import Written

Json = dict[str, Any]

IS = re.compile(r"is (?P<other>\S+): ")
"""How the reason of an event begins that links a tracklet to another one."""
IS_NOT = re.compile(r"is not (?P<other>\S+): .*?probability (?P<probability>[01]\.\d+)")
ODDS = re.compile(r"(?P<evidence>appearance|position) (?P<odds>[+-]\d+\.\d+)")
OTHERWISE = "decided with other tracklets of this person"
NOT_MEASURED = "how well appearance tells people apart here is told when the run has ended"


def written(folder: Path, merged: Merged, run: Json) -> Written:
    """Return what a live run wrote.

    Args:
        folder: its output folder.
        merged: the results of its journal.
        run: run.json, or what is known of it while the run goes on.
    """
    confirmed = merged.setup.confirmed_probability
    return Written(
        people=trajectories.entries(merged.people, merged.cameras, confirmed),
        n_tracklets=sum(len(person.tracklets) for person in merged.people),
        cameras=trajectories.describe(merged.cameras),
        why=_why(folder, merged, run),
        run=run,
        crops=best_crops.load(folder),
        files=frozenset(),
        config=Config(zones=list(merged.setup.zones)),
        zone_events=merged.zone_events,
        segments={camera.name: segments_of(folder, camera.name) for camera in merged.cameras},
        origin="live",
    )


def segments_of(folder: Path, camera: str) -> list[Segment]:
    """Return when each segment of a camera begins, and its file name, in order."""
    found = []
    for path in (folder / SEGMENTS / camera).glob("*"):
        start_s = start_of(path.name)
        if start_s is not None:
            found.append((start_s, path.name))
    return sorted(found)


def _why(folder: Path, merged: Merged, run: Json) -> Json:
    """What links.json says of a run over files, as far as the events know it."""
    events = _Reasons(merge.decisions(folder))
    owner = {}
    for person in merged.people:
        for tracklet in person.tracklets:
            owner[tracklet.name] = person.person_id
    confirmed = merged.setup.confirmed_probability
    links = []
    for person in merged.people:
        links += events.links(person, confirmed)
    return {
        "min_probability": 0.0,
        "confirmed_probability": confirmed,
        "calibration": {"in_words": run.get("appearance", NOT_MEASURED)},
        "links": links,
        "near_misses": events.near_misses(owner),
    }


class _Reasons:
    """Why each tracklet is, or is not, with others: the last event of it."""

    def __init__(self, decided: Iterable[Event]) -> None:
        self._last = dict(merge.by_tracklet(decided))

    def links(self, person: Person, confirmed: float) -> list[Json]:
        """Entries of links.json for the links of a person, which lead to their first tracklet.

        The tracklet that the event of a link names takes the place of the first one.
        """
        places = {tracklet.name: place for place, tracklet in enumerate(person.tracklets)}
        return [self._link(person, link, places, confirmed) for link in person.links]

    def _link(
        self, person: Person, link: Link, places: Mapping[str, int], confirmed: float
    ) -> Json:
        pair = [link.first.name, link.second.name]
        event = self._last.get(link.second.name)
        reason = event.reason if event is not None and event.probability != NO_LINK else ""
        found = IS.match(reason)
        if found is not None and found["other"] in places:
            pair = sorted([found["other"], link.second.name], key=places.__getitem__)
        status = trajectories.status(link.probability, confirmed)
        entry = _entry([person.person_id] * 2, pair, link.probability, status)
        if not reason and _track(link.first) == _track(link.second):
            return {**entry, "rule": ONE_TRACK}
        return {**entry, "reason": _in_words(reason, OTHERWISE)}

    def near_misses(self, owner: Mapping[str, int]) -> list[Json]:
        """Entries of links.json for tracklets of people who appeared, and could have been others.

        Args:
            owner: the person of each tracklet.

        Returns:
            The most probable one of each two people, in order.
        """
        best: dict[frozenset[int], Json] = {}
        for name, event in self._last.items():
            found = IS_NOT.match(event.reason)
            if event.kind != "appeared" or found is None:
                continue
            other = found["other"]
            people = [owner.get(name, 0), owner.get(other, 0)]
            pair = frozenset(people)
            probability = float(found["probability"])
            is_better = pair not in best or probability > best[pair]["probability"]
            if all(people) and len(pair) == 2 and is_better:
                words = _in_words(event.reason, "no clear evidence")
                entry = _entry(people, [name, other], probability, NEAR_MISS)
                best[pair] = {**entry, "reason": f"{words}, between {name} and {other}"}
        return sorted(best.values(), key=lambda link: -float(link["probability"]))


def _track(tracklet: Tracklet) -> tuple[str, int]:
    return tracklet.camera, tracklet.track_id


def _in_words(reason: str, otherwise: str) -> str:
    """The evidence in the reason of an event, or something else where it has none."""
    parts = [
        f"{each['evidence']}: {strength(float(each['odds']))}" for each in ODDS.finditer(reason)
    ]
    return ", ".join(parts) or otherwise


def _entry(people: Sequence[int], pair: Sequence[str], probability: float, status: str) -> Json:
    return {
        "people": list(people),
        "first": {"name": pair[0]},
        "second": {"name": pair[1]},
        "probability": probability,
        "status": status,
        "rule": "",
        "rival": "",
        "lookalike": "",
    }
