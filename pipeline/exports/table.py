"""tracks.csv of a finished run as a stream, with what is known of its cameras.

Exports need the rows of all boxes camera by camera, in the order of frames, which is how
`tracks.csv` has them. So a day of rows passes through in parts of bounded size. Of
`trajectories.json`, which is large, only the beginning is read: it describes the cameras.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from models import documents
from pipeline.config import file_name
from pipeline.errors import SourceError
from pipeline.evaluate import boxes
from pipeline.outputs import reading
from pipeline.outputs.trajectories import COLUMNS, Rows
from pipeline.records import Array, Camera

PART_ROWS = 50_000
"""Rows that are read at once."""
HEAD_CHARACTERS = 100_000
MAX_HEAD_CHARACTERS = 10_000_000
PEOPLE = re.compile(r'"people"\s*:')
"""The key that follows the cameras; in the text of a value, its quotes would be escaped."""
NO_HOMOGRAPHY = np.zeros((0, 0))
NO_FRAMES: Array = np.zeros(0, np.int64)
NO_ROWS = Rows(
    frames=NO_FRAMES,
    times_s=np.zeros(0),
    boxes=np.zeros((0, 4)),
    scores=np.zeros(0),
    is_filled=np.zeros(0, np.bool_),
    track_ids=NO_FRAMES,
    first_frames=NO_FRAMES,
    person_ids=NO_FRAMES,
)


@dataclass(frozen=True)  # without slots, for what is computed once
class Footage:
    """A camera of a run, and the numbers of the frames that were processed: (n,) int64 from 0."""

    camera: Camera
    frames: Array

    @cached_property
    def stride(self) -> int:
        """Processed frames are this many frames apart."""
        return int(np.diff(self.frames).min()) if len(self.frames) > 1 else 1

    @cached_property
    def first_frame(self) -> int:
        """Number of the first frame that was processed; 0 where there is none."""
        return int(self.frames.min(initial=self.last_frame + 1))

    @cached_property
    def last_frame(self) -> int:
        """Number of the last frame that was processed; -1 where there is none."""
        return int(self.frames.max(initial=-1))

    def nominal_times(self, frames: Array) -> Array:
        """Return when frames (n,) were taken if the rate was the nominal one: (n,) seconds on the
        common clock.
        """
        return np.asarray(self.camera.start_s + (frames - self.first_frame) / self.camera.fps)


class Table:
    """The rows of a finished run, read from its folder as often as they are asked for.

    footage: cameras by name, in the order of the run.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is known of the cameras.

        Args:
            folder: output folder of a run over files, or of a live run whose results were made.

        Raises:
            SourceError: it holds no results.
        """
        self.folder = folder
        self._path = folder / "tracks.csv"
        described = _described(folder / "trajectories.json")
        if not self._path.is_file():
            raise SourceError(f"{self._path}: no such file; give the output folder of a run")
        processed = boxes.processed(folder)
        with reading.written_by_us(folder):
            cameras = [_camera(entry) for entry in described]
        self.footage: dict[str, Footage] = {}
        for camera in cameras:
            frames = processed.get(camera.name, np.arange(max(camera.n_frames, 0)))
            self.footage[camera.name] = Footage(camera, frames)

    def by_camera(self) -> Iterator[tuple[Footage, Iterator[Rows]]]:
        """Read all rows, camera by camera, and those without rows last.

        Yields:
            A camera, and its rows in parts, in the order of frames. No frame is in two parts. The
            rows of a camera must be taken before the next camera is asked for.

        Raises:
            SourceError: the table is damaged, or has cameras that the run did not have.
        """
        left = dict(self.footage)
        with (
            reading.written_by_us(self._path),
            self._path.open(newline="", encoding="utf-8") as file,
        ):
            reader = csv.reader(file)
            if next(_lines(reader), None) != list(COLUMNS):
                raise ValueError("other columns")
            for camera, lines in groupby(_lines(reader), key=itemgetter(0)):
                if camera not in left:
                    raise ValueError(f"{camera} is unknown, or its rows do not stand together")
                yield left.pop(camera), self._parts(lines)
        for footage in left.values():
            yield footage, iter(())

    def _parts(self, lines: Iterator[list[str]]) -> Iterator[Rows]:
        with reading.written_by_us(self._path):
            yield from _whole_frames(_in_parts(lines))


def select(rows: Rows, which: Array | slice) -> Rows:
    """Return some of the rows, `which` being a slice, indices, or (n,) bool."""
    return Rows(*(getattr(rows, each.name)[which] for each in fields(Rows)))


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Return the rows of one part or more, one after the other."""
    names = [each.name for each in fields(Rows)]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def frames_of(rows: Rows) -> Iterator[tuple[int, slice]]:
    """Yield the frames of rows that are in their order, each with where its rows are."""
    frames, starts = np.unique(rows.frames, return_index=True)
    ends = [*starts[1:].tolist(), len(rows.frames)]
    for frame, start, end in zip(frames.tolist(), starts.tolist(), ends, strict=True):
        yield frame, slice(start, end)


def _described(path: Path) -> list[dict[str, Any]]:
    """The cameras of trajectories.json, without reading the people."""
    text = ""
    try:
        with path.open(encoding="utf-8") as file:
            while not (found := PEOPLE.search(text)):
                part = file.read(HEAD_CHARACTERS)
                if not part or len(text) > MAX_HEAD_CHARACTERS:
                    raise ValueError("no people")
                text += part
        head = text[: found.start()].rstrip().removesuffix(",")
        return list(documents.from_json(head + "}")["cameras"])
    except OSError:
        raise SourceError(f"{path}: cannot be read; give the output folder of a run") from None
    except (ValueError, KeyError, TypeError):
        raise SourceError(
            f"{path}: was not written by this program; give the output folder of a run"
        ) from None


def _camera(entry: dict[str, Any]) -> Camera:
    name = str(entry["camera"])
    if file_name(name) != name or not name.strip("."):
        raise ValueError("a name that is no name of a file, and exports name files by it")
    return Camera(
        name,
        str(entry["source"]),
        int(entry["width"]),
        int(entry["height"]),
        float(entry["fps"]),
        float(entry["start_s"]),
        int(entry["n_frames"]),
        NO_HOMOGRAPHY,
        int(entry["n_dropped"]),
    )


def _lines(reader: Iterable[list[str]]) -> Iterator[list[str]]:
    """The lines of a table that are not empty; raises ValueError."""
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _in_parts(lines: Iterator[list[str]]) -> Iterator[Rows]:
    while part := list(islice(lines, PART_ROWS)):
        if any(len(line) != len(COLUMNS) for line in part):
            raise ValueError("a line has other columns")
        yield _rows(dict(zip(COLUMNS, zip(*part, strict=True), strict=True)))


def _rows(texts: dict[str, tuple[str, ...]]) -> Rows:
    """Rows of the columns of a table."""
    boxes_ = np.stack([_numbers(texts[side]) for side in ("x1", "y1", "x2", "y2")], axis=1)
    return Rows(
        frames=_whole(texts["frame"]),
        times_s=_numbers(texts["time_s"]),
        boxes=boxes_,
        scores=_numbers(texts["score"]),
        is_filled=_whole(texts["filled"]).astype(np.bool_),
        track_ids=_whole(texts["track_id"]),
        first_frames=_whole(texts["tracklet"]),
        person_ids=_whole(texts["person_id"]),
    )


def _whole(texts: Sequence[str]) -> Array:
    return np.array(texts).astype(np.int64)


def _numbers(texts: Sequence[str]) -> Array:
    numbers = np.array(texts).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    return numbers


def _whole_frames(parts: Iterable[Rows]) -> Iterator[Rows]:
    """Cut parts anew such that no frame is in two of them."""
    rest: list[Rows] = []
    for part in parts:
        rows = concatenate([*rest, part])
        if (np.diff(rows.frames) < 0).any():
            raise ValueError("frames are not in order")
        start_of_last = int(np.searchsorted(rows.frames, rows.frames[-1]))
        if start_of_last:
            yield select(rows, slice(start_of_last))
        rest = [select(rows, slice(start_of_last, None))]
    yield from rest
