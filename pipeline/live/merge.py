"""Make the results of a live run of its journal: trajectories.json, tracks.csv, mot/, report.html
and, where the settings have zones, zones.csv.

    python -m pipeline.live.merge outputs/monday

A live run does so at its end. Where it was killed, or still goes on, the command does it for what
is on disk. People are those of the last event. A row belongs to the piece of its track that began
last before it; rows of tracks that nobody was told of, because they were too short, are left out.
So are people who were seen too briefly (`linking.brief`), while the others keep their numbers. Gaps
stay gaps, but for short ones, which are interpolated as in a recording (`pipeline.fill`).
Probabilities of links are those from when they were decided.
"""

import argparse
import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from models import command, files
from pipeline import fill
from pipeline.errors import PipelineError
from pipeline.live import journal
from pipeline.live.journal import Setup
from pipeline.online import events
from pipeline.online.events import NO_LINK, Event
from pipeline.outputs import trajectories
from pipeline.outputs.folder import MOT, writing
from pipeline.records import Camera, Link, Person, Tracklet
from pipeline.zones import counting, table

Write = Callable[[str, Iterable[str]], None]
"""Writes a file, by its name in the output folder, part by part."""
Piece = tuple[int, int]
"""First frame of a piece of a track, and its person."""


@dataclass(frozen=True, slots=True)
class _Track:
    """Rows of a track, in the order in which they were written."""

    frames: "array[int]" = field(default_factory=lambda: array("q"))
    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    boxes: "array[float]" = field(default_factory=lambda: array("f"))
    scores: "array[float]" = field(default_factory=lambda: array("f"))


def people(folder: Path) -> list[Person]:
    """Return the people of a journal.

    Args:
        folder: output folder of a live run.

    Returns:
        People by id, with the rows that were detected. Their links lead from each tracklet to the
        first one, and have no more than a probability.
    """
    pieces = _pieces(decisions(folder))
    probabilities = _Probabilities(decisions(folder))
    tracklets: dict[int, list[Tracklet]] = defaultdict(list)
    for (camera, track_id), track in _tracks(folder, pieces).items():
        for person_id, tracklet in _cut(camera, track_id, track, pieces[camera, track_id]):
            tracklets[person_id].append(tracklet)
    found = []
    for person_id, own in sorted(tracklets.items()):
        in_order = sorted(own, key=lambda tracklet: tracklet.key)
        links = probabilities.links(in_order)
        found.append(Person(person_id, tuple(in_order), tuple(links)))
    return found


@dataclass(frozen=True, slots=True)
class Merged:
    """The people of a journal with short gaps interpolated, the cameras, what happened at zones,
    and what else is known.
    """

    people: list[Person]
    cameras: list[Camera]
    zone_events: list[counting.Event]
    setup: Setup


def read(folder: Path) -> Merged:
    """Return the results of a journal.

    Args:
        folder: output folder of a live run, which holds the journal.

    Raises:
        PipelineError: there is no journal.
    """
    setup = journal.read_setup(folder)
    kept = [person for person in people(folder) if person.seen_s >= setup.min_person_s]
    found = filled(kept, setup)
    cameras = _counted(setup.cameras, found)
    end_s = max([setup.until_s, *(person.last_s for person in found)])
    zone_events = counting.count(found, cameras, setup.zones, end_s)
    return Merged(found, cameras, zone_events, setup)


def filled(found: Sequence[Person], setup: Setup) -> list[Person]:
    """Return people with short gaps interpolated."""
    return fill.fill(found, setup.max_interpolated_gap_s, stride=1, look_s=setup.look_s)


def write(folder: Path, write_parts: Write) -> Merged:
    """Write the results of a journal, but for the report.

    Args:
        folder: output folder of a live run, which holds the journal.
        write_parts: writes a file.

    Returns:
        What is in them.

    Raises:
        PipelineError: there is no journal, or the results cannot be written.
    """
    merged = read(folder)
    found = merged.people
    confirmed = merged.setup.confirmed_probability
    parts = trajectories.json_parts(found, merged.cameras, confirmed)
    write_parts("trajectories.json", parts)
    write_parts("tracks.csv", trajectories.csv_lines(found))
    for camera in merged.cameras:
        write_parts(f"{MOT}/{camera.name}.txt", trajectories.mot_lines(found, camera.name))
    if merged.setup.zones:
        write_parts(table.FILE, table.csv_lines(merged.zone_events))
    return merged


def _counted(cameras: Iterable[Camera], found: Iterable[Person]) -> list[Camera]:
    """Cameras with how many frames they had, which a run tells at its end.

    Where it was killed, they had at least those up to the last one that somebody was seen in.
    """
    n_seen: dict[str, int] = defaultdict(int)
    for person in found:
        for tracklet in person.tracklets:
            n_frames = int(tracklet.frames[-1]) + 1
            n_seen[tracklet.camera] = max(n_seen[tracklet.camera], n_frames)
    return [
        replace(camera, n_frames=max(camera.n_frames, n_seen[camera.name])) for camera in cameras
    ]


def decisions(folder: Path) -> Iterator[Event]:
    """Yield what was decided about people, one by one: a run of weeks has too many events to hold.

    Args:
        folder: output folder of a live run, which holds the journal.
    """
    return (event for event in journal.read_events(folder) if isinstance(event, Event))


def by_tracklet(decided: Iterable[Event]) -> Iterator[tuple[str, Event]]:
    """Yield what was decided about each tracklet: its name and an event, of which the last counts.

    That is the event of the link by which it joined its person, or, if it is the first of a person
    who merged into another, the one of the link between the two.

    Args:
        decided: all events about people, in order.
    """
    firsts: dict[int, str] = {}
    unlinked: set[str] = set()
    for event in decided:
        if event.kind == "merged":
            name = firsts.get(event.before, "")
            if name not in unlinked:
                continue
        elif event.tracklet:
            name = event.tracklet
            firsts.setdefault(event.person_id, name)
        else:
            continue
        if event.probability == NO_LINK:
            unlinked.add(name)
        else:
            unlinked.discard(name)
        yield name, event


class _Probabilities:
    """How likely each tracklet is of its person, by the events.

    The first of all has no link of its own; it is as likely as the best of the others.
    """

    def __init__(self, decided: Iterable[Event]) -> None:
        self._of_tracklet = {name: event.probability for name, event in by_tracklet(decided)}

    def links(self, tracklets: Sequence[Tracklet]) -> list[Link]:
        """Return the links from all tracklets of a person, in order, to the first."""
        first, *others = tracklets
        known = [self._of_tracklet.get(each.name, NO_LINK) for each in tracklets]
        best = max(*known, 0.0)
        links = []
        for other, probability in zip(others, known[1:], strict=True):
            known_or_best = best if probability == NO_LINK else probability
            links.append(Link.decided(first, other, known_or_best))
        return links


def _pieces(decided: Iterable[Event]) -> dict[tuple[str, int], list[Piece]]:
    """Pieces of each track, by camera and track, in order."""
    found: dict[tuple[str, int], list[Piece]] = defaultdict(list)
    for name, person_id in events.replay(decided).items():
        camera, _, rest = name.rpartition("/")
        track_id, _, first_frame = rest.partition("@")
        found[camera, int(track_id)].append((int(first_frame), person_id))
    for pieces in found.values():
        pieces.sort()
    return dict(found)


def _tracks(
    folder: Path, wanted: Mapping[tuple[str, int], object]
) -> dict[tuple[str, int], _Track]:
    """Rows of the tracks that are wanted, by camera and track."""
    tracks: dict[tuple[str, int], _Track] = defaultdict(_Track)
    for rows in journal.read_rows(journal.row_files(folder)):
        if (rows.camera, rows.track_id) not in wanted:
            continue
        track = tracks[rows.camera, rows.track_id]
        track.frames.extend(rows.frames)
        track.times_s.extend(rows.times_s)
        track.scores.extend(rows.scores)
        for box in rows.boxes:
            track.boxes.extend(box)
    return tracks


def _cut(
    camera: str, track_id: int, track: _Track, pieces: Sequence[Piece]
) -> Iterator[tuple[int, Tracklet]]:
    """Pieces of a track that have rows, each with its person."""
    frames, order = np.unique(np.array(track.frames, np.int64), return_index=True)
    times_s = np.array(track.times_s, np.float64)[order]
    boxes = np.array(track.boxes, np.float32).reshape(-1, 4)[order]
    scores = np.array(track.scores, np.float32)[order]
    first_frames = [first_frame for first_frame, _ in pieces]
    bounds = [*np.searchsorted(frames, first_frames).tolist(), len(frames)]
    for number, (_, person_id) in enumerate(pieces):
        own = slice(bounds[number], bounds[number + 1])
        if own.start < own.stop:
            yield (
                person_id,
                Tracklet.bare(camera, track_id, frames[own], times_s[own], boxes[own], scores[own]),
            )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 when it cannot be read."""
    parser = command.Parser(
        prog="python -m pipeline.live.merge",
        description="Make trajectories.json, tracks.csv, mot/, zones.csv and report.html of what a"
        " live run has on disk, also when it was killed or still runs.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a live run")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), PipelineError, results_are_files=True)


def _run(parsed: argparse.Namespace) -> None:
    folder: Path = parsed.folder

    def write_parts(name: str, parts: Iterable[str]) -> None:
        with _replacing(folder / name) as path, path.open("w", encoding="utf-8") as file:
            file.writelines(parts)

    from pipeline.report import write as report  # here, because it reads what this module makes

    merged = write(folder, write_parts)
    report.of_live_folder(folder, merged)
    found = merged.people
    n_tracklets = sum(len(person.tracklets) for person in found)
    print(f"{len(found)} people in {n_tracklets} tracklets: {folder / 'trajectories.json'}")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a path to write, which takes the place of another one when it is complete."""
    with writing(path), files.staged(path) as temporary:
        yield temporary


if __name__ == "__main__":
    sys.exit(main())
