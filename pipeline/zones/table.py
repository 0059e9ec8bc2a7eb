"""Events at zones as text, zones.csv, and summed up."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from pipeline.config import ZoneConfig
from pipeline.errors import SourceError
from pipeline.outputs.trajectories import Return
from pipeline.zones.counting import Event

FILE = "zones.csv"
COLUMNS = tuple(field.name for field in fields(Event))


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened at a zone.

    Attributes:
        zone: its name.
        is_line: whether it is a line, for which `entries` and `exits` are crossings in and out and
            all else is 0.
        entries: how often somebody entered.
        exits: how often somebody left.
        inside: people inside at the end.
        most: people inside at once, at most.
        dwell_s: median time of a stay that has ended, seconds.
    """

    zone: str
    is_line: bool
    entries: int
    exits: int
    inside: int
    most: int
    dwell_s: float

    def in_words(self) -> str:
        """Return a line for the closing summary."""
        if self.is_line:
            return f"zone {self.zone}: {self.entries} in, {self.exits} out"
        entries = f"{self.entries} {'entry' if self.entries == 1 else 'entries'}"
        exits = f"{self.exits} {'exit' if self.exits == 1 else 'exits'}"
        stay = f", median stay {self.dwell_s:.1f} s" if self.exits else ""
        return (
            f"zone {self.zone}: {entries}, {exits}, {self.inside} inside at the end,"
            f" {self.most} at most{stay}"
        )


def totals(events: Sequence[Event], configured: Sequence[ZoneConfig]) -> list[Totals]:
    """Sum up events, zone by zone in the order of the settings."""
    found = []
    is_line = {zone.name: bool(zone.line) for zone in configured}
    for name, counts_crossings in is_line.items():
        own = [event for event in events if event.zone == name]
        dwells_s = [event.dwell_s for event in own if event.kind == "exit"]
        n_in = sum(event.kind == "entry" or event.direction == "in" for event in own)
        n_out = sum(event.kind == "exit" or event.direction == "out" for event in own)
        found.append(
            Totals(
                name,
                counts_crossings,
                n_in,
                n_out,
                inside=own[-1].occupancy if own else 0,
                most=max((event.occupancy for event in own), default=0),
                dwell_s=float(np.median(dwells_s)) if dwells_s else 0.0,
            )
        )
    return found


def csv_lines(events: Sequence[Event]) -> Iterator[str]:
    """Write zones.csv: one row per event, header first. What an event has not is empty."""
    writer: Any = csv.writer(Return(), lineterminator="\n")
    yield writer.writerow(COLUMNS)
    for event in events:
        dwell_s = f"{event.dwell_s:.4f}" if event.kind == "exit" else ""
        occupancy = "" if event.kind == "crossing" else event.occupancy
        names = [event.zone, event.kind, event.person_id, f"{event.time_s:.4f}", event.camera]
        yield writer.writerow([*names, event.direction, dwell_s, occupancy])


def read(path: Path) -> list[Event]:
    """Read zones.csv; a missing one has no events.

    Raises:
        SourceError: it cannot be read.
        ValueError, KeyError, TypeError: it was not written by this program.
    """
    if not path.is_file():
        return []
    try:
        text = files.read_text(path)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); delete it to go on without zones"
        ) from None
    try:
        return [_event(row) for row in csv.DictReader(io.StringIO(text))]
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _event(row: dict[str, str]) -> Event:
    kind = row["kind"]
    direction = row["direction"]
    if kind not in ("entry", "exit", "crossing") or direction not in ("", "in", "out"):
        raise ValueError(f"there are no events of kind {kind} {direction}")
    return Event(
        row["zone"],
        kind,  # type: ignore[arg-type]
        int(row["person_id"]),
        float(row["time_s"]),
        row["camera"],
        direction,  # type: ignore[arg-type]
        float(row["dwell_s"] or 0),
        int(row["occupancy"] or 0),
    )
