"""What a live run saw, on disk as it goes, in files that a kill cannot break.

A run that lasts for weeks cannot hold its rows in memory until it ends, and whoever pulls the plug
must not lose them. The output folder of a live run therefore has

- `rows/<n>.jsonl`: the rows of tracks, one JSON object for each track and flush: camera, track_id,
  frames (n), times_s (n), boxes (n, 4) px, scores (n), all as the tracker returned them, exactly. A
  new file begins at `MAX_FILE_BYTES`.
- `events.jsonl`: what was decided about people (`pipeline.online.events`), and what happened to the
  cameras (`pipeline.sources.live.health`), one JSON object a line.
- `setup.json`: the cameras and settings that the results need, replaced as a whole.

`pipeline.live.merge` makes the results of them. Lines are only appended. What is torn off at the
end of a file, by a kill or a full disk, is no line: it is left out when read, and cut when the
run goes on.
"""

import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import documents, files
from models.errors import one_line
from pipeline.config import ZoneConfig
from pipeline.errors import ConfigError
from pipeline.live import lines
from pipeline.online import events
from pipeline.online.events import Event
from pipeline.records import Array, Camera, Tracks, join
from pipeline.sources.live.health import CameraEvent

ROWS = "rows"
EVENTS = "events.jsonl"
SETUP = "setup.json"
SCHEMA = "setup/1"
MAX_FILE_BYTES = 64_000_000
MAX_WAITING_ROWS = 500_000
"""Rows that wait in memory for a disk that takes none, the newest: some hours of five people."""
MAX_WAITING_EVENTS = 50_000
CLOSE_S = 10.0
"""Longest wait for a disk when the run ends."""
NUMBERED = re.compile(r"[0-9]{6,}\.jsonl")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the results need beside rows and events.

    Attributes:
        cameras: all cameras so far.
        confirmed_probability: `linking.confirmed_probability`.
        max_interpolated_gap_s: `tracklets.max_interpolated_gap_s`.
        min_person_s: `linking.min_person_s`.
        look_s: longest time from one look of the detector to the next, seconds, by camera.
        zones: `zones`.
        until_s: time of the last picture, seconds; 0 while the run goes on, or where it was killed.
    """

    cameras: tuple[Camera, ...] = ()
    confirmed_probability: float = 0.9
    max_interpolated_gap_s: float = 1.5
    min_person_s: float = 0.0
    look_s: Mapping[str, float] = field(default_factory=dict)
    zones: tuple[ZoneConfig, ...] = ()
    until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TrackRows:
    """A line of rows: see the module."""

    camera: str
    track_id: int
    frames: list[int]
    times_s: list[float]
    boxes: list[list[float]]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Last:
    """The highest numbers in a journal, after which a run that is resumed goes on.

    Attributes:
        frames: of each camera.
        track_ids: of each camera.
        person_id: of all people.
    """

    frames: Mapping[str, int]
    track_ids: Mapping[str, int]
    person_id: int


class Journal:
    """Writes rows and events from a thread of its own, so that a slow disk delays nobody.

    Rows are on disk at most `flush_s` after they were added, and events at once. While the disk
    takes nothing, they wait in memory; beyond `MAX_WAITING_ROWS` the oldest rows are dropped and
    counted.

    Args:
        folder: output folder of the run; what is in it already is continued.
        flush_s: seconds.
        also: is called at each flush, on the same thread, for what else is to be written.

    Raises:
        OSError: the folder cannot be written into at all.
    """

    def __init__(
        self, folder: Path, flush_s: float, also: Callable[[], object] = lambda: None
    ) -> None:
        self._folder = folder
        self._also = also
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._rows: list[tuple[str, Tracks]] = []
        self._events: list[Event | CameraEvent] = []
        self._setup = ""
        self._setup_on_disk = ""
        self._n_waiting = 0
        self._n_dropped_rows = 0
        self._n_dropped_events = 0
        self._problem = ""
        rows = folder / ROWS
        rows.mkdir(parents=True, exist_ok=True)
        numbered = row_files(folder)
        for path in [*numbered[-1:], folder / EVENTS]:
            lines.cut_torn(path)
        self._number = int(numbered[-1].stem) if numbered else 1
        self._closing = threading.Event()
        self._has_news = threading.Event()
        """Set when events were said, or when it is closing."""
        self._thread = threading.Thread(
            target=self._run, args=(flush_s / 2,), name="journal", daemon=True
        )
        self._thread.start()

    @property
    def problem(self) -> str:
        """Why the last flush failed, in words; "" where it did not."""
        return self._problem

    @property
    def n_dropped(self) -> int:
        """Rows and events that are lost because the disk took none for too long."""
        return self._n_dropped_rows + self._n_dropped_events

    def add(self, camera: str, tracks: Tracks) -> None:
        """Add what the tracker of a camera returned."""
        if not len(tracks):
            return
        with self._lock:
            self._rows.append((camera, tracks))
            self._n_waiting += len(tracks)
            while self._n_waiting > MAX_WAITING_ROWS and len(self._rows) > 1:
                _, oldest = self._rows.pop(0)
                self._n_waiting -= len(oldest)
                self._n_dropped_rows += len(oldest)

    def say(self, said: Iterable[Event | CameraEvent]) -> None:
        """Add events, in order."""
        with self._lock:
            self._events += said
            n_surplus = max(len(self._events) - MAX_WAITING_EVENTS, 0)
            del self._events[:n_surplus]
            self._n_dropped_events += n_surplus
            if self._events:
                self._has_news.set()

    def describe(self, setup: Setup) -> None:
        """Replace what is known of cameras and settings."""
        text = _setup_text(setup)
        with self._lock:
            self._setup = text

    def flush(self) -> None:
        """Write all that was added; a failure is told by `problem`, and what failed is kept."""
        with self._writing:
            with self._lock:
                rows = self._rows
                said = self._events
                setup = self._setup
                self._rows = []
                self._events = []
                self._n_waiting = 0
            # rows without their events would be nobody's
            problems = [self._append_events(said), self._append_rows(rows)]
            is_there = not setup or (self._folder / SETUP).exists()
            if setup != self._setup_on_disk or not is_there:
                problem = _replace(self._folder / SETUP, setup)
                problems.append(problem)
                if not problem:
                    self._setup_on_disk = setup
            self._problem = "; ".join(problem for problem in problems if problem)
            self._also()

    def close(self) -> None:
        """Write what is left and stop; waits for a disk that hangs for at most `CLOSE_S`."""
        self._closing.set()
        self._has_news.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._problem = f"the disk did not answer for {CLOSE_S:g} s; the last rows are lost"

    def _run(self, period_s: float) -> None:
        is_last = False
        while not is_last:
            self._has_news.wait(period_s)
            self._has_news.clear()
            is_last = self._closing.is_set()
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - the edge of a thread: the run goes on, and says so
                self._problem = f"rows cannot be written: {one_line(error)}"

    def _append_rows(self, rows: list[tuple[str, Tracks]]) -> str:
        """Append rows, or keep them for the next time; returns what went wrong."""
        if not rows:
            return ""
        path = self._folder / ROWS / f"{self._number:06d}.jsonl"
        problem = lines.append(path, _row_lines(rows))
        if problem:
            with self._lock:
                self._rows = rows + self._rows
                self._n_waiting += sum(len(tracks) for _, tracks in rows)
        elif path.stat().st_size >= MAX_FILE_BYTES:
            self._number += 1
        return problem

    def _append_events(self, said: list[Event | CameraEvent]) -> str:
        """Append events, or keep them for the next time; returns what went wrong."""
        if not said:
            return ""
        problem = lines.append(self._folder / EVENTS, _event_lines(said))
        if problem:
            with self._lock:
                self._events = said + self._events
        return problem


def row_files(folder: Path) -> list[Path]:
    """Return the files of rows of a run, the oldest first."""
    found = [path for path in (folder / ROWS).glob("*") if NUMBERED.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem))


def read_rows(paths: Iterable[Path]) -> Iterator[TrackRows]:
    """Read rows.

    Args:
        paths: files, as of `row_files`.

    Yields:
        The lines in order, without those that are torn or damaged.
    """
    for path in paths:
        for value in lines.read(path):
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                yield _track_rows(value)


def read_events(folder: Path) -> Iterator[Event | CameraEvent]:
    """Read the events of a run, in order, without lines that are torn or damaged."""
    for value in lines.read(folder / EVENTS):
        kind = Event if "tracklet" in value else CameraEvent
        names = [each.name for each in fields(kind)]
        with suppress(TypeError):
            yield kind(**{name: value[name] for name in names if name in value})


def read_setup(folder: Path) -> Setup:
    """Read the cameras and settings of a run.

    Raises:
        ConfigError: there are none, or the file is damaged.
    """
    path = folder / SETUP
    try:
        document = documents.from_json(files.read_text(path, files.MAX_SETTINGS_BYTES))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}")
        cameras = []
        for entry in document["cameras"]:
            homography = np.array(entry["homography"], np.float64)
            homography = homography.reshape((3, 3) if homography.size else (0, 0))
            cameras.append(Camera(**{**entry, "homography": homography}))
        return Setup(
            tuple(cameras),
            float(document["confirmed_probability"]),
            float(document["max_interpolated_gap_s"]),
            float(document["min_person_s"]),
            {str(name): float(look_s) for name, look_s in document["look_s"].items()},
            tuple(ZoneConfig(**zone) for zone in document.get("zones", [])),
            float(document.get("until_s", 0.0)),
        )
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give the output folder of a live run"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: is no {SETUP} of this program ({one_line(error)}); give the output folder of"
            " a live run"
        ) from None


def last(folder: Path) -> Last:
    """Return the highest numbers in a journal.

    Frames and tracks are those of the two newest files of rows, in which every camera is that was
    read in the last hours.
    """
    frames: dict[str, int] = {}
    track_ids: dict[str, int] = {}
    for rows in read_rows(row_files(folder)[-2:]):
        frames[rows.camera] = max(frames.get(rows.camera, -1), *rows.frames)
        track_ids[rows.camera] = max(track_ids.get(rows.camera, 0), rows.track_id)
    person_id = 0
    for event in read_events(folder):
        if isinstance(event, Event):
            person_id = max(person_id, event.person_id, event.before)
    return Last(frames, track_ids, person_id)


def _setup_text(setup: Setup) -> str:
    cameras = []
    for camera in setup.cameras:
        entry = asdict(replace(camera, homography=np.zeros((0, 0))))
        entry["homography"] = camera.homography.tolist()
        cameras.append(entry)
    document = {
        "schema": SCHEMA,
        "cameras": cameras,
        "confirmed_probability": setup.confirmed_probability,
        "max_interpolated_gap_s": setup.max_interpolated_gap_s,
        "min_person_s": setup.min_person_s,
        "look_s": dict(setup.look_s),
        "zones": [zone.model_dump(mode="json") for zone in setup.zones],
        "until_s": setup.until_s,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _row_lines(rows: Sequence[tuple[str, Tracks]]) -> str:
    """Lines of rows, one for each track."""
    cameras: dict[str, list[Tracks]] = defaultdict(list)
    for camera, tracks in rows:
        cameras[camera].append(tracks)
    found = []
    for camera, parts in cameras.items():
        joined = join(parts)
        for track_id in np.unique(joined.track_ids).tolist():
            (own,) = (joined.track_ids == track_id).nonzero()
            line = {
                "camera": camera,
                "track_id": track_id,
                "frames": joined.frames[own].tolist(),
                "times_s": joined.times_s[own].tolist(),
                "boxes": [_shortest(box) for box in joined.boxes[own]],
                "scores": _shortest(joined.scores[own]),
            }
            found.append(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
    return "".join(found)


def _shortest(values: Array) -> list[float]:
    """Numbers (n,) float32 in the fewest digits that read back as the same float32."""
    return [float(f"{value:.9g}") for value in values.tolist()]


def _event_lines(said: Iterable[Event | CameraEvent]) -> str:
    found = []
    for event in said:
        if isinstance(event, Event):
            found.append(events.to_json_lines([event]))
        else:
            entry = {**asdict(event), "time_s": round(event.time_s, 4)}
            found.append(json.dumps(entry) + "\n")
    return "".join(found)


def _track_rows(value: Mapping[str, Any]) -> TrackRows:
    """Check a line that was read; raises KeyError, TypeError, ValueError or OverflowError."""
    rows = TrackRows(**{each.name: value[each.name] for each in fields(TrackRows)})
    if not (isinstance(rows.camera, str) and isinstance(rows.track_id, int)):
        raise TypeError("a line of rows is of a track of a camera")
    frames = np.array(rows.frames)
    numbers = np.array([rows.times_s, rows.scores])
    with np.errstate(over="ignore"):
        boxes = np.array(rows.boxes, np.float32)
    n_rows = len(rows.frames)
    if not n_rows or frames.ndim != 1:
        raise ValueError("a line of rows has frames")
    if numbers.shape != (2, n_rows) or boxes.shape != (n_rows, 4):
        raise ValueError("a line of rows has as many times, boxes and scores as frames")
    is_finite = np.isfinite(numbers).all() and np.isfinite(boxes).all()
    if frames.dtype != np.int64 or not is_finite:
        raise ValueError("a line of rows has whole frames and finite numbers")
    return rows


def _replace(path: Path, text: str) -> str:
    """Put a text in the place of a file; returns what went wrong."""
    try:
        replace_file(path, text.encode())
    except OSError as error:
        return f"{path}: {files.failure(error)}"
    return ""


def replace_file(path: Path, data: bytes) -> None:
    """Put data in the place of a file, so that at any time either is there whole.

    Raises:
        OSError: it cannot be written; the earlier file is still there.
    """
    with files.staged(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    lines.sync_folder(path.parent)
