"""A MOT detections file as a detector: boxes from elsewhere, or truth, or an earlier run's."""

from pathlib import Path

import numpy as np

from pipeline import mot
from pipeline.errors import SourceError
from pipeline.records import NO_DETECTIONS, Array, Detections, Frame


class MotFileDetector:
    """Looks frames up by camera and index in `<folder>/<camera>.txt`, or in one file when there is
    one camera.
    """

    name = "detections file"

    def __init__(self, path: Path, cameras: list[str], min_score: float) -> None:
        if not path.exists():
            raise SourceError(f"{path}: no such detections file or folder (detector.detections)")
        if path.is_file() and len(cameras) > 1:
            raise SourceError(
                f"{path}: one file serves one camera; give a folder with <camera>.txt for each"
            )
        self.files: tuple[Path, ...] = (path,)
        self._frames = {
            camera: by_frame(path if path.is_file() else path / f"{camera}.txt", min_score)
            for camera in cameras
        }

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return the file's boxes of each frame."""
        return [self._frames[frame.camera].get(frame.index, NO_DETECTIONS) for frame in frames]


def by_frame(path: Path, min_score: float) -> dict[int, Detections]:
    """Detections of one MOT file by 0-based frame; raises SourceError."""
    if not path.is_file():
        raise SourceError(f"{path}: no such detections file; the camera's name must be the file's")
    rows = mot.read(path)
    scores = _scores(rows).astype(np.float32)
    boxes = mot.boxes(rows)
    good = (scores >= min_score) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows, scores, boxes = rows[good], scores[good], boxes[good]
    if not len(rows):
        return {}
    order = np.argsort(rows[:, 0], kind="stable")
    indices, starts = np.unique(rows[order, 0].astype(np.int64), return_index=True)
    groups = np.split(order, starts[1:])
    return {
        int(i) - 1: Detections(boxes[g], scores[g]) for i, g in zip(indices, groups, strict=True)
    }


def _scores(rows: Array) -> Array:
    """Column 7 when it is a confidence; files that keep -1 there, or have no such column, count as
    certain.
    """
    if rows.shape[1] < 7:
        return np.ones(len(rows))
    return np.where(rows[:, 6] < 0, 1.0, np.clip(rows[:, 6], 0, 1))
