"""Boxes of one camera that a human corrected, and the reader of MOTChallenge files.

In a file of results, a score of 0 is a box that a run interpolated. In a file of truth, which has a
class and a visibility, only rows of pedestrians that count are people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import box_files, mot
from pipeline.errors import SourceError
from pipeline.evaluate import boxes
from pipeline.records import Array

MAX_NUMBER = 1_000_000_000
"""Largest id, and largest frame."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Boxes of one camera, by track and frame: boxes (n, 4) float64, all others (n,).

    tracks are the ids of tracks in the file; MOTChallenge's are those of people. track_ids are 0
    where the file does not tell them. warnings say what in the file may not be meant.
    """

    path: Path
    frames: Array
    boxes: Array
    scores: Array
    is_filled: Array
    person_ids: Array
    track_ids: Array
    tracks: Array
    warnings: tuple[str, ...] = ()


def read_mot(paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> Iterator[Labels]:
    """Read MOTChallenge files that belong together.

    Args:
        paths: files of results or truth.
        sizes: width and height of the pictures, px, one a file.

    Yields:
        The boxes of each file.

    Raises:
        SourceError: a file is damaged, or cannot be meant as it is.
    """
    tables = [mot.read(path) for path in paths]
    first_frame = box_files.origin(tables)
    for path, table, size in zip(paths, tables, sizes, strict=True):
        frames = box_files.count_from(table, path, first_frame, "give frames from 1")
        yield _of_table(path, table, frames, box_files.check_pixels(table, path, size))


def _of_table(path: Path, table: Array, frames: Array, warnings: Sequence[str]) -> Labels:
    """The rows that are people, by id and frame."""
    if table.shape[1] in boxes.CLASS_COLUMNS:
        is_person = (table[:, 6] != 0) & (table[:, 7] == box_files.PEDESTRIAN)
        scores = np.ones(len(table))
        doubts: list[str] = []
    else:
        is_person = np.ones(len(table), np.bool_)
        scores, doubts = box_files.probabilities(table, path)
    has_area = (table[:, 4] > 0) & (table[:, 5] > 0)
    ids = table[:, 1].astype(np.int64)
    keep = np.flatnonzero(is_person & has_area)
    keep = keep[np.lexsort([frames[keep], ids[keep]])]
    corners = table[keep, 2:6].copy()
    corners[:, 2:] += corners[:, :2]
    if len(keep) and not 1 <= ids[keep].min() <= ids[keep].max() <= MAX_NUMBER:
        raise SourceError(f"{path}: ids (column 2) are numbers of people, 1 or more")
    return Labels(
        path=path,
        frames=frames[keep],
        boxes=corners,
        scores=scores[keep],
        is_filled=scores[keep] == 0,
        person_ids=ids[keep],
        track_ids=np.zeros(len(keep), np.int64),
        tracks=ids[keep],
        warnings=(*warnings, *doubts),
    )
