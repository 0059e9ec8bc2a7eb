"""Results and truth as the metrics want them: per camera, which boxes meet which in every frame.

MOTChallenge's rules (Milan et al. 2016): result boxes that match a distractor (a reflection, a
static person, a person on a vehicle) count neither for nor against, and truth counts only where its
flag is set and its class is pedestrian. A pedestrian whose flag is not set, or whose visibility is
below `min_visibility`, is treated like a distractor. In files of MOT15, which have no class and
visibility, rows whose flag is not set are not there.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.boxes import iou
from pipeline import mot
from pipeline.errors import SourceError
from pipeline.records import Array

MIN_IOU = 0.5
PEDESTRIAN = 1
DISTRACTORS = (2, 6, 7, 8, 12)
"""Person on vehicle, vehicle, static person, distractor, reflection: column 8 of MOT16, 17 and 20.
"""


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
    against.
    """

    rows: Rows
    counts: Array


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
    """Rows per camera from an output folder (`tracks.csv`) or from a folder of MOT files; raises
    SourceError.

    Without `with_filled` the rows of a table that were not detected but filled in, whose score is
    0, are left out.
    """
    table = path / "tracks.csv"
    if table.is_file():
        return _read_table(table, with_filled)
    files = _mot_files(path)
    if not files:
        raise SourceError(
            f"{path}: no results here; give an output folder with tracks.csv, or a folder of MOT"
            " files"
        )
    found = {camera: _rows(mot.read(file)) for camera, file in files.items()}
    for camera, rows in found.items():
        _refuse_twins(rows, str(files[camera]))
    return found


def read_truth(path: Path, min_visibility: float) -> dict[str, Truth]:
    """Truth per camera from `<camera>.txt` or `<camera>/gt/gt.txt`; raises SourceError."""
    files = _mot_files(path)
    if not files:
        raise SourceError(
            f"{path}: no truth here; give a folder with a MOTChallenge file per camera,"
            " <camera>.txt"
        )
    wanted = {camera: truth(mot.read(file), min_visibility) for camera, file in files.items()}
    for camera, each in wanted.items():
        _refuse_twins(each.rows.take(each.counts), str(files[camera]))
    return wanted


def processed(path: Path) -> dict[str, Array]:
    """Read from `run.json` which frames of each camera a run processed.

    Args:
        path: folder of results.

    Returns:
        Frame numbers from 0, (n,) int64, by camera; empty for results without a `run.json`.
    """
    try:
        cameras = json.loads((path / "run.json").read_text(encoding="utf-8"))["cameras"]
        return {camera["camera"]: _processed_frames(camera) for camera in cameras}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _processed_frames(camera: dict[str, Any]) -> Array:
    stride = camera["stride"]
    if "frame_ranges" not in camera:  # older runs did not say which frames could not be read
        return np.arange(0, camera["n_frames"] * stride, stride)
    ranges = [np.arange(first, last + 1, stride) for first, last in camera["frame_ranges"]]
    return np.concatenate([_NO_ROWS, *ranges])


def only(wanted: Truth, frames: Array | range) -> Truth:
    """Truth of these frames."""
    keep = np.isin(wanted.rows.frames, frames)
    return Truth(wanted.rows.take(keep), wanted.counts[keep])


def meet(camera: str, results: Rows, wanted: Truth) -> Scene:
    """Pair up one camera's frames, with what counts neither for nor against taken out on both
    sides.
    """
    truth_ids, result_rows, ious = [], [], []
    of_truth, of_results = _by_frame(wanted.rows.frames), _by_frame(results.frames)
    for frame in sorted(of_truth.keys() | of_results.keys()):
        t, r = of_truth.get(frame, _NO_ROWS), of_results.get(frame, _NO_ROWS)
        alike = iou(wanted.rows.boxes[t], results.boxes[r])
        counts = wanted.counts[t]
        if not counts.all() and len(r):
            r, alike = _without_ignored(r, alike, counts)
        truth_ids.append(wanted.rows.ids[t[counts]])
        result_rows.append(r)
        ious.append(alike[counts].astype(np.float64))
    return Scene(camera, results, truth_ids, result_rows, ious)


def _without_ignored(rows: Array, alike: Array, counts: Array) -> tuple[Array, Array]:
    """Drop the result rows whose best partner in a one-to-one matching is truth that does not
    count.
    """
    good = np.where(alike >= MIN_IOU, alike, 0)
    t, r = linear_sum_assignment(-good)
    ignored = r[(good[t, r] > 0) & ~counts[t]]
    keep = np.setdiff1d(np.arange(len(rows)), ignored)
    return rows[keep], alike[:, keep]


def _by_frame(frames: Array) -> dict[int, Array]:
    order = np.argsort(frames, kind="stable")
    values, starts = np.unique(frames[order], return_index=True)
    return (
        dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True)) if len(frames) else {}
    )


def _mot_files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder")
    nested = {p.parent.parent.name: p for p in path.glob("*/gt/gt.txt")}
    flat = {p.stem: p for p in path.glob("*.txt")}
    below = {p.stem: p for p in path.glob("mot/*.txt")}
    return dict(sorted((nested or flat or below).items()))


def _rows(table: Array) -> Rows:
    ids = table[:, 1].astype(np.int64)
    return _checked(Rows(table[:, 0].astype(np.int64) - 1, mot.boxes(table), ids, ids, ids))


def truth(table: Array, min_visibility: float) -> Truth:
    """Rows of one MOTChallenge truth file as `pipeline.mot.read` returns them, and which of them
    count.
    """
    rows = _rows(table)
    keep = counts = np.ones(len(table), bool)
    if table.shape[1] == 9:  # MOT16, 17 and 20
        counts = (table[:, 6] != 0) & (table[:, 7] == PEDESTRIAN) & (table[:, 8] >= min_visibility)
        keep = counts | np.isin(table[:, 7], [PEDESTRIAN, *DISTRACTORS])
    elif table.shape[1] > 6:  # MOT15: only the flag
        keep = table[:, 6] != 0
    return Truth(rows.take(keep), counts[keep])


def _refuse_twins(rows: Rows, where: str) -> None:
    """Raise SourceError when an id stands twice in one frame."""
    pairs = np.stack([rows.frames, rows.ids], axis=1)
    if len(np.unique(pairs, axis=0)) != len(pairs):
        raise SourceError(f"{where}: an id stands twice in one frame")


def _checked(rows: Rows) -> Rows:
    if len(rows.frames) and rows.frames.min() < 0:
        raise SourceError("MOT files count frames from 1; a frame 0 was found")
    return rows


def _read_table(path: Path, with_filled: bool) -> dict[str, Rows]:
    by_camera: dict[str, list[list[float]]] = {}
    try:
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            piece = (
                "tracklet" if "tracklet" in row else "track_id"
            )  # tables of version 0.1.0 have none
            values = [
                float(row[k])
                for k in ("frame", "person_id", "track_id", piece, "x1", "y1", "x2", "y2")
            ]
            if with_filled or float(row["score"]) > 0:
                by_camera.setdefault(row["camera"], []).append(values)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: is not a tracks.csv of this program ({error})") from None
    found = {camera: _from_values(np.array(values)) for camera, values in sorted(by_camera.items())}
    for camera, rows in found.items():
        _refuse_twins(rows, f"{path}, {camera}")
    return found


def _from_values(values: Array) -> Rows:
    frames, ids, tracks, tracklets = values[:, :4].T.astype(np.int64)
    return Rows(frames, values[:, 4:].astype(np.float32), ids, tracks, tracklets)
