"""Results and truth in the form that the metrics take: per camera, the IoU of all boxes of a frame.

MOTChallenge's rules (Milan et al. 2016): result boxes that match a distractor (a reflection, a
static person, a person on a vehicle) count neither for nor against, and truth counts only where its
flag is set and its class is pedestrian. A pedestrian whose flag is not set, or whose visibility is
below `min_visibility`, is treated like a distractor. In files of MOT15, which have no class and
visibility, rows whose flag is not set are not there.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from models import documents, files
from models.boxes import iou
from pipeline import box_files, mot
from pipeline.box_files import PEDESTRIAN
from pipeline.config import file_name
from pipeline.errors import SourceError
from pipeline.records import Array

MIN_IOU = 0.5
FIRST_FRAME_ADVICE = "add --first-frame {first}"
CLASS_ADVICE = "add --truth-class {found}"
DISTRACTORS = (2, 6, 7, 8, 12)
"""Person on vehicle, vehicle, static person, distractor, reflection: column 8 of MOT16, 17 and 20.
"""
CLASS_COLUMNS = (8, 9)
"""Files with so many columns have a class in the eighth, and a visibility in the ninth."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Boxes of one camera: frames (n,) int64 from 0, boxes (n, 4), ids (n,) int64.

    In results, tracks and tracklets (n,) int64 say which track a row is of, and which piece of it,
    by the piece's first frame; where pieces are not known, tracklets repeat tracks.
    """

    frames: Array
    boxes: Array
    ids: Array
    tracks: Array
    tracklets: Array

    def take(self, keep: Array) -> "Rows":
        """Return the rows where `keep` (n,) bool is True."""
        return Rows(
            self.frames[keep],
            self.boxes[keep],
            self.ids[keep],
            self.tracks[keep],
            self.tracklets[keep],
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth of one camera; `counts` (n,) bool is False where a row counts neither for nor
    against. `notes` says what in its file may not be meant.
    """

    rows: Rows
    counts: Array
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """One camera, frame by frame: truth ids, result rows (indices into `results`), and their IoU
    (n_truth, n_rows).
    """

    camera: str
    results: Rows
    truth_ids: list[Array]
    result_rows: list[Array]
    ious: list[Array]


_NO_ROWS = np.zeros(0, np.int64)
NOTHING = Rows(_NO_ROWS, np.zeros((0, 4), np.float32), _NO_ROWS, _NO_ROWS, _NO_ROWS)


def read_results(path: Path, with_filled: bool = True) -> dict[str, Rows]:
    """Read results.

    Args:
        path: an output folder with `tracks.csv`, or a folder of MOT files.
        with_filled: whether rows of a table that were not detected but interpolated, whose score is
            0, are read too.

    Returns:
        Rows by camera.

    Raises:
        SourceError: there are no results, or a file is damaged.
    """
    table = path / "tracks.csv"
    if table.is_file():
        return _read_table(table, with_filled)
    paths = mot_files(path)
    if not paths:
        raise SourceError(
            f"{path}: no results here; give an output folder with tracks.csv, or a folder of MOT"
            " files"
        )
    tables = {camera: mot.read(file) for camera, file in paths.items()}
    first = box_files.origin(list(tables.values()))
    cameras: dict[str, Rows] = {}
    for camera, file in paths.items():
        frames = box_files.count_from(tables[camera], file, first, "give frames from 1")
        cameras[camera] = _rows(tables[camera], frames)
        _refuse_duplicates(cameras[camera], str(file))
    return cameras


def doubts(path: Path) -> list[str]:
    """Say what in results given as MOT files may not be meant; nothing for a table.

    Args:
        path: an output folder with `tracks.csv`, or a folder of MOT files.

    Raises:
        SourceError: a file is damaged, or cannot be meant so.
    """
    if (path / "tracks.csv").is_file():
        return []
    notes = ["MOT files have no track ids: every id of a camera is taken for one track of it"]
    tables = {file: mot.read(file) for file in mot_files(path).values()}
    if box_files.origin(list(tables.values())) == 0:
        notes.append(f"{path}: frames count from 0, since a frame 0 was found in the results")
    for file, table in tables.items():
        notes += box_files.check_pixels(table, file, None)
    return notes


def read_truth(
    path: Path,
    min_visibility: float,
    classes: Sequence[int] = (PEDESTRIAN,),
    first_frame: int | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Truth]:
    """Read MOTChallenge truth.

    Args:
        path: a folder with `<camera>.txt` or `<camera>/gt/gt.txt`.
        min_visibility: people less visible than this (0..1) count neither for nor against.
        classes: classes that count, in files with a class in column 8.
        first_frame: number that the files give to the first frame; None: 1, or 0 if a frame 0 is
            found.
        sizes: width and height of the picture in px, by camera, as far as they are known.

    Returns:
        Truth by camera.

    Raises:
        SourceError: there is no truth, no row counts, or a file is damaged or cannot be meant so.
    """
    paths = mot_files(path)
    if not paths:
        raise SourceError(
            f"{path}: no truth here; give a folder with a MOTChallenge file per camera,"
            " <camera>.txt"
        )
    tables = {camera: mot.read(file) for camera, file in paths.items()}
    first = box_files.origin(list(tables.values())) if first_frame is None else first_frame
    cameras: dict[str, Truth] = {}
    reasons: dict[str, list[str]] = {}
    for camera, file in paths.items():
        table = tables[camera]
        notes = box_files.check_pixels(table, file, (sizes or {}).get(camera))
        if first == 0 and first_frame is None:
            notes.append(f"{file}: frames count from 0, since a frame 0 was found in the truth")
        if len(table) and (table[:, 1] < 0).all():
            raise SourceError(
                f"{file}: the ids (column 2) are negative in every row, as in files of detections;"
                " truth says who each box is"
            )
        frames = box_files.count_from(table, file, first, FIRST_FRAME_ADVICE)
        in_camera = truth(table, min_visibility, classes, frames)
        if not in_camera.counts.any():
            reasons[camera] = _why_nothing_counts(table, file, min_visibility, classes)
            notes += reasons[camera]
        _refuse_duplicates(in_camera.rows.take(in_camera.counts), str(file))
        cameras[camera] = replace(in_camera, notes=tuple(notes))
    if len(reasons) == len(cameras):
        first_reason = next(reason for lines in reasons.values() for reason in lines)
        n_others = len(reasons) - 1
        raise SourceError(first_reason + (f" (and {n_others} more files)" if n_others else ""))
    return cameras


def _why_nothing_counts(
    table: Array, where: Path, min_visibility: float, classes: Sequence[int]
) -> list[str]:
    """Say why no row of a file of truth counts, and what to type."""
    if not len(table):
        return [f"{where}: has no rows, so that there is nobody to be found"]
    if table.shape[1] in CLASS_COLUMNS:
        if reasons := box_files.of_classes(table, where, classes, CLASS_ADVICE):
            return reasons
        table = table[np.isin(table[:, 7], classes)]
    n = len(table)
    if table.shape[1] > 6 and (table[:, 6] == 0).all():
        return [
            f"{where}: 0 of {n} rows count: their flag (column 7) is 0, which means that a row does"
            " not count; write 1"
        ]
    highest = f"{table[:, 8].max():g}" if table.shape[1] == 9 else "unknown"
    return [
        f"{where}: 0 of {n} rows count: their visibility (column 9) is at most {highest}, below"
        f" {min_visibility:g}; add --min-visibility 0 if the column does not mean visibility"
    ]


def processed(path: Path) -> dict[str, Array]:
    """Read from `run.json` which frames of each camera a run processed.

    Args:
        path: folder of results.

    Returns:
        Frame numbers from 0, (n,) int64, by camera; empty for results without a `run.json`.
    """
    try:
        cameras = documents.from_json(files.read_text(path / "run.json"))["cameras"]
        return {camera["camera"]: _processed_frames(camera) for camera in cameras}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def picture_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Read from `run.json` how large the pictures of each camera are.

    Args:
        path: folder of results.

    Returns:
        Width and height in px, by camera; empty where they are not known.
    """
    try:
        cameras = documents.from_json(files.read_text(path / "run.json"))["cameras"]
        return {each["camera"]: (int(each["width"]), int(each["height"])) for each in cameras}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _processed_frames(camera: dict[str, Any]) -> Array:
    stride = camera["stride"]
    ranges = camera.get("frame_ranges")
    if not ranges:  # live runs and older ones do not say which frames they could not read
        return np.arange(0, camera["n_frames"] * stride, stride)
    return np.concatenate([np.arange(first, last + 1, stride) for first, last in ranges])


def only(truth: Truth, frames: Array | range) -> Truth:
    """Return the truth of these frames, numbered from 0."""
    keep = np.isin(truth.rows.frames, frames)
    return replace(truth, rows=truth.rows.take(keep), counts=truth.counts[keep])


def match_frames(camera: str, results: Rows, truth: Truth) -> Scene:
    """Compare the boxes of results and truth, frame by frame.

    What counts neither for nor against is taken out on both sides.

    Args:
        camera: the camera's name.
        results: its results.
        truth: its truth.
    """
    truth_ids: list[Array] = []
    result_rows: list[Array] = []
    ious: list[Array] = []
    truth_by_frame = _by_frame(truth.rows.frames)
    results_by_frame = _by_frame(results.frames)
    for frame in sorted(truth_by_frame.keys() | results_by_frame.keys()):
        in_truth = truth_by_frame.get(frame, _NO_ROWS)
        in_results = results_by_frame.get(frame, _NO_ROWS)
        overlap = iou(truth.rows.boxes[in_truth], results.boxes[in_results])
        counts = truth.counts[in_truth]
        if not counts.all() and len(in_results):
            in_results, overlap = _without_ignored(in_results, overlap, counts)
        truth_ids.append(truth.rows.ids[in_truth[counts]])
        result_rows.append(in_results)
        ious.append(overlap[counts].astype(np.float64))
    return Scene(camera, results, truth_ids, result_rows, ious)


def _without_ignored(rows: Array, overlap: Array, counts: Array) -> tuple[Array, Array]:
    """Drop the result rows that a one-to-one matching gives to truth that does not count."""
    value = np.where(overlap >= MIN_IOU, overlap, 0)
    in_truth, in_results = linear_sum_assignment(-value)
    is_ignored = (value[in_truth, in_results] > 0) & ~counts[in_truth]
    keep = np.setdiff1d(np.arange(len(rows)), in_results[is_ignored])
    return rows[keep], overlap[:, keep]


def _by_frame(frames: Array) -> dict[int, Array]:
    """Rows of each frame, by frame."""
    if not len(frames):
        return {}
    order = np.argsort(frames, kind="stable")
    values, starts = np.unique(frames[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))


def mot_files(path: Path) -> dict[str, Path]:
    """Return the MOT file of each camera in a folder, `<camera>.txt` or `<camera>/gt/gt.txt`, or
    those of the output folder of a run; raises SourceError when it is no folder.
    """
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder")
    nested = {file_name(p.parent.parent.name): p for p in path.glob("*/gt/gt.txt")}
    flat = {file_name(p.stem): p for p in path.glob("*.txt")}
    below = {file_name(p.stem): p for p in path.glob("mot/*.txt")}
    return dict(sorted((nested or flat or below).items()))


def _rows(table: Array, frames: Array) -> Rows:
    ids = table[:, 1].astype(np.int64)
    return Rows(frames, mot.boxes(table), ids, ids, ids)


def truth(
    table: Array,
    min_visibility: float,
    classes: Sequence[int] = (PEDESTRIAN,),
    frames: Array | None = None,
) -> Truth:
    """Rows of one MOTChallenge truth file, and which of them count.

    Args:
        table: as `pipeline.mot.read` returns it.
        min_visibility: people less visible than this (0..1) count neither for nor against.
        classes: classes that count.
        frames: frame of each row from 0, (n,) int64; None: those of the table count from 1.
    """
    rows = _rows(table, table[:, 0].astype(np.int64) - 1 if frames is None else frames)
    keep = counts = np.ones(len(table), bool)
    if table.shape[1] in CLASS_COLUMNS:  # MOT16, 17 and 20
        counts = (table[:, 6] != 0) & np.isin(table[:, 7], classes)
        if table.shape[1] == 9:
            counts &= table[:, 8] >= min_visibility
        keep = counts | np.isin(table[:, 7], [*classes, *DISTRACTORS])
    elif table.shape[1] > 6:  # MOT15: only the flag
        keep = table[:, 6] != 0
    return Truth(rows.take(keep), counts[keep])


def _refuse_duplicates(rows: Rows, where: str) -> None:
    """Raise SourceError when an id stands twice in one frame."""
    pairs = np.stack([rows.frames, rows.ids], axis=1)
    values, counts = np.unique(pairs, axis=0, return_counts=True)
    if len(values) != len(pairs):
        frame, person = values[counts > 1][0].tolist()
        raise SourceError(
            f"{where}: an id stands twice in one frame: {person} in frame {frame + 1}"
        )


def _read_table(path: Path, with_filled: bool) -> dict[str, Rows]:
    values: dict[str, list[list[float]]] = {}
    try:
        for row in csv.DictReader(files.read_text(path).splitlines()):
            # tables of version 0.1.0 have no column "tracklet"
            tracklet = "tracklet" if "tracklet" in row else "track_id"
            columns = ("frame", "person_id", "track_id", tracklet, "x1", "y1", "x2", "y2")
            is_filled = row.get("filled", "") == "1" or float(row["score"]) == 0
            if with_filled or not is_filled:
                in_camera = values.setdefault(row["camera"], [])
                in_camera.append([float(row[column]) for column in columns])
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: is not a tracks.csv of this program ({error})") from None
    cameras: dict[str, Rows] = {}
    for camera in sorted(values):
        cameras[camera] = _from_values(np.array(values[camera]))
        _refuse_duplicates(cameras[camera], f"{path}, {camera}")
    return cameras


def _from_values(values: Array) -> Rows:
    frames, ids, tracks, tracklets = values[:, :4].T.astype(np.int64)
    return Rows(frames, values[:, 4:].astype(np.float32), ids, tracks, tracklets)
