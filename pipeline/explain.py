"""Explain why tracklets were linked to one person, and which others nearly were.

    python -m pipeline.explain outputs/monday 4              # person 4
    python -m pipeline.explain outputs/monday cam1/3         # whoever was track 3 of cam1
    python -m pipeline.explain outputs/monday cam1/3@120     # whoever was the piece of it that
    begins at frame 120

It reads `trajectories.json` and `links.json` of a run's output folder. Whoever sees a mistake
writes the names into a file of corrections (`pipeline/linking/clustering/corrections.py`), with
which `people-tracker apply` links the run again, and `--corrections` the next one.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from textwrap import fill

from models import command
from pipeline.errors import ConfigError, PipelineError
from pipeline.linking.reasons import CORRECTED, FLOOR, ONE_TRACK, SAME_TIME, SPEED, TRAVEL
from pipeline.outputs import reading
from pipeline.outputs.reading import Json

WHO = re.compile(r"\d+|[\w.-]+/\d+(@\d+)?")
MAX_NEAR_MISSES = 8
WIDTH = 110
STRENGTHS = ((4.0, "strong"), (2.0, "moderate"), (0.7, "weak"))
"""Log odds, either way, from which evidence is called so."""
CURE = (
    "To correct this, write `same: [NAME, NAME]`, `different: [NAME, NAME]` or `not_a_person:"
    " [NAME]` into a file, and link again: people-tracker apply DIR FILE."
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="python -m pipeline.explain",
        description="Explain why tracklets were linked to one person.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a run")
    parser.add_argument(
        "who",
        metavar="PERSON",
        help="number of a person, or a track cam1/3, or a tracklet cam1/3@120",
    )
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    return parser.parse_args(arguments)


def explain(folder: Path, who: str) -> Json:
    """Return what is known of a person, a track or a tracklet.

    Args:
        folder: output folder of a run.
        who: number of a person, or name of a track or tracklet.

    Returns:
        `people` (several when a track has an id switch), and from links.json `min_probability`,
        `confirmed_probability` and `calibration`. Each person has its `tracklets` in time order,
        the `links` between them, and the `near_misses` with others.

    Raises:
        SourceError: the folder holds no results.
        ConfigError: there is no such person.
    """
    trajectories = reading.read(folder / "trajectories.json")
    why = reading.read(folder / "links.json")
    with reading.written_by_us(folder):
        return _explained(trajectories["people"], why, who, folder)


def _explained(people: list[Json], why: Json, who: str, folder: Path) -> Json:
    owner = {}
    for person in people:
        for tracklet in person["tracklets"]:
            owner[_name(tracklet)] = person["person_id"]
    found = _find(people, who, folder)
    return {
        "people": [_gathered(person, why, owner) for person in found],
        "min_probability": why["min_probability"],
        "confirmed_probability": why["confirmed_probability"],
        "calibration": why["calibration"],
    }


def _find(people: list[Json], who: str, folder: Path) -> list[Json]:
    if not WHO.fullmatch(who):
        raise ConfigError(
            f"{who}: give the number of a person, a track such as cam1/3, or a tracklet such as"
            " cam1/3@120"
        )
    if who.isdigit():
        return _find_number(people, int(who), folder)
    return _find_name(people, who, folder)


def _find_number(people: list[Json], person_id: int, folder: Path) -> list[Json]:
    found = [person for person in people if person["person_id"] == person_id]
    if not found:
        last = max((person["person_id"] for person in people), default=0)
        known = f"there are people 1 to {last}" if people else "nobody was found"
        raise ConfigError(f"{folder}: there is no person {person_id}; {known}")
    return found


def _find_name(people: list[Json], who: str, folder: Path) -> list[Json]:
    """Find the people of a track or tracklet."""
    track = who.partition("@")[0]
    found = []
    pieces = []
    for person in people:
        names = [_name(tracklet) for tracklet in person["tracklets"]]
        pieces += [name for name in names if _is(name, track)]
        if any(_is(name, who) for name in names):
            found.append(person)
    if not found:
        known = f"its track has {', '.join(pieces)}" if pieces else "tracks.csv lists all tracks"
        raise ConfigError(f"{folder}: there is no {who}; {known}")
    return found


def _name(tracklet: Json) -> str:
    return f"{tracklet['camera']}/{tracklet['track_id']}@{tracklet['tracklet']}"


def _is(name: str, who: str) -> bool:
    return who in (name, name.partition("@")[0])


def _gathered(person: Json, why: Json, owner: dict[str, int]) -> Json:
    number = person["person_id"]
    links = [link for link in why["links"] if link["people"][0] == number]
    near_misses = [link for link in why["near_misses"] if number in link["people"]]
    return {
        "person_id": number,
        "first_s": person["first_s"],
        "last_s": person["last_s"],
        "cameras": person["cameras"],
        "tracklets": [_seen(tracklet) for tracklet in person["tracklets"]],
        "links": [_with_rival(link, owner) for link in links],
        "near_misses": near_misses,
    }


def _seen(tracklet: Json) -> Json:
    """Describe a tracklet as it was detected, without the rows that were filled in."""
    times_s = tracklet["times_s"]
    scores = tracklet["scores"]
    filled = tracklet.get("filled", [0] * len(scores))  # results of version 0.1.0 have only scores
    rows = zip(times_s, scores, filled, strict=True)
    detected_s = [time_s for time_s, score, flag in rows if score > 0 and not flag] or times_s
    return {
        "name": _name(tracklet),
        "camera": tracklet["camera"],
        "track_id": tracklet["track_id"],
        "tracklet": tracklet["tracklet"],
        "link_probability": tracklet["link_probability"],
        "link_status": tracklet["link_status"],
        "first_s": detected_s[0],
        "last_s": detected_s[-1],
    }


def _with_rival(link: Json, owner: dict[str, int]) -> Json:
    """The link, and the person of its rival (0 for none)."""
    return {**link, "rival_person": owner.get(link["rival"], 0)}


def text(found: Json) -> str:
    """Format the result of `explain` for reading."""
    people = [_person(person, found["min_probability"]) for person in found["people"]]
    calibration = _wrapped(f"At this site {found['calibration']['in_words']}.", 0)
    return "\n\n".join([*people, f"{calibration}\n{CURE}"])


def _person(person: Json, needed: float) -> str:
    tracklets = person["tracklets"]
    cameras = ", ".join(person["cameras"])
    many = f"{len(tracklets)} tracklets" if len(tracklets) > 1 else "one tracklet"
    span = f"{person['first_s']:.1f} to {person['last_s']:.1f} s"
    lines = [f"Person {person['person_id']}: {many} in {cameras}, {span}"]
    judged = [link for link in person["links"] if not link["rule"]]
    if judged:
        weakest = min(judged, key=lambda link: float(link["probability"]))
        probability = _percent(weakest["probability"])
        lines.append(f"Weakest link: {probability}, {weakest['status']}, {_both(weakest)}")
    lines.append("")
    for i, tracklet in enumerate(tracklets):
        span = f"{tracklet['first_s']:.1f} to {tracklet['last_s']:.1f} s"
        lines.append(f"  {span:<18}{tracklet['name']}")
        earlier = [link for link in person["links"] if link["second"]["name"] == tracklet["name"]]
        lines += [_wrapped(_tie(link, person["person_id"]), 6) for link in earlier]
        if i and not earlier:
            lines.append("      linked through a later tracklet, see below")
    return "\n".join([*lines, *_near(person, needed)])


def _tie(link: Json, person_id: int) -> str:
    """Why the second tracklet of a link is one person with the first."""
    who = f"same person as {link['first']['name']}: "
    if link["rule"] in (ONE_TRACK, CORRECTED):
        return who + reason(link)
    said = f"{_percent(link['probability'])}, {link['status']}: {reason(link)}"
    parts = [f"{who}{said}", second_choice(link, person_id), lookalike(link)]
    return "; ".join(part for part in parts if part)


def reason(link: Json) -> str:
    """Say what made a link: its evidence, or the rule that needs none."""
    if link["rule"] == ONE_TRACK:
        return "the same track continues"
    if link["rule"] == CORRECTED:
        return "set by a correction"
    return _evidence(link)


def second_choice(link: Json, person_id: int) -> str:
    """Name who else could have been linked; "" for nobody.

    Args:
        link: an entry of links.json with `rival_person`, the person of its rival (0 for none).
        person_id: the person of the link.
    """
    if link["rival_person"] in (0, person_id):
        return ""
    probability = _percent(link["rival_probability"])
    return f"second choice: person {link['rival_person']}, {probability} ({link['rival']})"


def lookalike(link: Json) -> str:
    """Name the tracklet of somebody else who looks like the person of a link; "" for none."""
    if not link.get("lookalike"):
        return ""
    return f"{link['lookalike']}, who is somebody else, looks like that too"


def _near(person: Json, needed: float) -> list[str]:
    """Lines about people who were nearly linked to this one."""
    missed = person["near_misses"]
    if not missed:
        return ["", "No other person was close to being linked."]
    lines = ["", "Nearly linked, but other people:"]
    for link in missed[:MAX_NEAR_MISSES]:
        other = sum(link["people"]) - person["person_id"]
        probability = _percent(link["probability"])
        lines.append(_wrapped(f"person {other}, {probability}: {apart(link, needed)}", 2))
    more = len(missed) - MAX_NEAR_MISSES
    if more > 0:
        lines.append(f"  and {more} more in links.json")
    return lines


def apart(link: Json, needed: float) -> str:
    """Say what keeps two people apart, and the evidence.

    Args:
        link: a near miss of links.json.
        needed: `min_probability` of links.json.
    """
    return f"{_obstacle(link, needed)}; {_evidence(link)}"


def _obstacle(link: Json, needed: float) -> str:
    """What keeps two people apart."""
    both = _both(link)
    words = {
        SAME_TIME: f"{link['first']['camera']} shows {both} at the same time",
        TRAVEL: f"the time between {both} does not match the travel time between their cameras",
        SPEED: f"nobody walks fast enough to be both {both}",
        FLOOR: f"{both} are too far apart on the floor at the same time",
        CORRECTED: f"a correction says that {both} are different people",
    }
    if not link["rule"]:
        why = (
            "another link was more probable"
            if link["probability"] >= needed
            else f"below the required {_percent(needed)}"
        )
        return f"{why}; the strongest evidence is between {both}"
    return words.get(link["rule"], f"{link['rule']}, {both}")


def _evidence(link: Json) -> str:
    """What appearance, time and position say of the two tracklets of a link."""
    appearance = "appearance unknown"
    if link["appearance"] is not None:
        weight = strength(link["appearance"])
        appearance = f"appearance similarity {link['similarity']:.2f} ({weight})"
    when = _when(link["gap_s"])
    where = "" if link["floor_m"] is None else f" and {link['floor_m']:.1f} m apart"
    tracks = {(link[side]["camera"], link[side]["track_id"]) for side in ("first", "second")}
    if not where and len(tracks) == 1:
        where = " on the same track"
    weight = "" if link["place"] is None else f" ({strength(link['place'])})"
    if link["place"] is None and link["travel"] is not None:
        weight = f" (travel time: {strength(link['travel'])})"
    return f"{appearance}, {when}{where}{weight}"


def _when(gap_s: float) -> str:
    """How long after the first tracklet the second one begins; below 0, how long both are seen."""
    if gap_s > 0:
        return f"{gap_s:.1f} s later"
    overlap = f"{abs(gap_s):.1f} s"
    return "seen together for a moment" if overlap == "0.0 s" else f"seen together for {overlap}"


def strength(odds: float) -> str:
    """Say in words what log odds say."""
    side = "for" if odds > 0 else "against"
    for least, word in STRENGTHS:
        if abs(odds) >= least:
            return f"{word} evidence {side}"
    return "no clear evidence"


def _both(link: Json) -> str:
    return f"{link['first']['name']} and {link['second']['name']}"


def _percent(probability: float) -> str:
    return "over 99%" if probability > 0.995 else f"{probability:.0%}"


def _wrapped(said: str, indent: int) -> str:
    space = " " * indent
    return fill(
        said,
        WIDTH,
        initial_indent=space,
        subsequent_indent=space + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), PipelineError)


def _run(parsed: argparse.Namespace) -> None:
    found = explain(parsed.folder, parsed.who)
    with reading.written_by_us(parsed.folder):
        said = json.dumps(found, indent=1) if parsed.json else text(found)
    print(said)


if __name__ == "__main__":
    sys.exit(main())
