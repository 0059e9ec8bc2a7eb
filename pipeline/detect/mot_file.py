"""A MOT detections file as a detector: boxes from elsewhere, or truth, or an earlier run's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import files
from models.errors import InputError
from models.runtimes.choice import NO_RUNTIME
from pipeline import box_files, mot
from pipeline.config import file_name
from pipeline.errors import SourceError
from pipeline.records import NO_DETECTIONS, Array, Camera, Detections, Frame

AUTO = -1
MIN_IN_VAIN = 0.05
"""Share of boxes that is told; a video may have a few frames fewer than its header says."""
ADVICE = "add --set detector.first_frame={first}"
CLASS_ADVICE = "add --set detector.classes=[{found}]"


@dataclass(frozen=True, slots=True)
class _File:
    """Boxes of a camera by frame; `where` is the file, `n_boxes` how many boxes it has."""

    where: Path
    frames: dict[int, Detections]
    n_boxes: int


class MotFileDetector:
    """Looks frames up by camera and index in `<folder>/<camera>.txt`, or in one file when there is
    one camera.
    """

    name = "detections file"
    choice = NO_RUNTIME

    def __init__(
        self,
        path: Path,
        cameras: Sequence[Camera],
        min_score: float,
        first_frame: int = AUTO,
        classes: Sequence[int] = (),
    ) -> None:
        """Read the files.

        Args:
            path: a file, or a folder with a file per camera.
            cameras: the cameras; boxes are compared with their pictures and frames.
            min_score: boxes with a lower score are left out, 0..1.
            first_frame: number that the files give to the first frame of the source; AUTO: they
                number frames as MOTChallenge does, from 1, or the images by their names.
            classes: classes of people, in files whose column 8 is a class; () for pedestrians.

        Raises:
            SourceError: a file is missing or damaged, or cannot mean what it has to.
        """
        try:
            is_there = files.exists(path)
        except InputError as error:
            raise SourceError(f"{error} (detector.detections)") from None
        if not is_there:
            raise SourceError(f"{path}: no such detections file or folder (detector.detections)")
        if path.is_file() and len(cameras) > 1:
            raise SourceError(
                f"{path}: one file serves one camera; give a folder with <camera>.txt for each"
            )
        self.files: tuple[Path, ...] = (path,)
        self._notes: list[str] = []
        paths = {camera.name: path if path.is_file() else _file(path, camera) for camera in cameras}
        tables = {name: _read(file) for name, file in paths.items()}
        first = first_frame
        if first_frame == AUTO:
            first = box_files.origin(list(tables.values()))
            if first == 0:
                self._notes.append(
                    f"{path}: a frame 0 was found, so its files count frames from 0; frame 0 is the"
                    " first frame (add --set detector.first_frame=0 if that is meant)"
                )
        self._read: dict[str, _File] = {}
        for camera in cameras:
            where = paths[camera.name]
            rows = self._people(tables[camera.name], where, tuple(classes))
            indices = box_files.count_from(rows, where, first, ADVICE)
            if first_frame != AUTO:
                indices = indices + camera.first_index
            self._notes += _frames_in_vain(indices, first, camera, where, first_frame == AUTO)
            self._notes += box_files.check_pixels(rows, where, (camera.width, camera.height))
            self._read[camera.name] = self._file_of(rows, indices, where, min_score)
        self._n_given: dict[str, int] = {}
        """Boxes of each camera that was asked about: a worker is not asked about all."""

    @property
    def warnings(self) -> list[str]:
        """What is suspect in the files; complete when the last frame has been asked for."""
        unused = [
            f"{file.where}: none of its {file.n_boxes} boxes is of a frame that was processed"
            for camera, file in self._read.items()
            if file.n_boxes and self._n_given.get(camera) == 0
        ]
        return self._notes + unused

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return the file's boxes of each frame."""
        found = [self._read[f.camera].frames.get(f.index, NO_DETECTIONS) for f in frames]
        for frame, in_frame in zip(frames, found, strict=True):
            self._n_given[frame.camera] = self._n_given.get(frame.camera, 0) + len(in_frame)
        return found

    def _people(self, rows: Array, where: Path, classes: tuple[int, ...]) -> Array:
        """Rows of people, where column 8 is a class."""
        if rows.shape[1] not in (8, 9) or not len(rows) or (rows[:, 7] < 0).any():
            return rows
        if not classes:  # without a class 0, numbers are MOTChallenge's; with it, COCO's
            classes = (0,) if (rows[:, 7] == 0).any() else (box_files.PEDESTRIAN,)
        if reasons := box_files.of_classes(rows, where, classes, CLASS_ADVICE):
            raise SourceError(reasons[0])
        keep = np.isin(rows[:, 7], classes)
        if not keep.all():
            others = np.unique(rows[~keep, 7].astype(np.int64)).tolist()
            self._notes.append(
                f"{where}: {int((~keep).sum())} of {len(rows)} boxes are of class"
                f" {', '.join(map(str, others))} (column 8), not {', '.join(map(str, classes))},"
                " and are left out"
            )
        return rows[keep]

    def _file_of(self, rows: Array, indices: Array, where: Path, min_score: float) -> _File:
        scores, notes = box_files.probabilities(rows, where)
        self._notes += notes
        frames = _by_frame(rows, indices, scores, min_score)
        return _File(where, frames, sum(map(len, frames.values())))


def by_frame(path: Path, min_score: float) -> dict[int, Detections]:
    """Detections of one MOT file by 0-based frame; raises SourceError."""
    rows = _read(path)
    indices = box_files.count_from(rows, path, box_files.origin([rows]), ADVICE)
    scores, _ = box_files.probabilities(rows, path)
    return _by_frame(rows, indices, scores, min_score)


def _file(folder: Path, camera: Camera) -> Path:
    """The camera's file in a folder; its name may have blanks where the camera's has _."""
    alike = [path for path in sorted(folder.glob("*.txt")) if file_name(path.stem) == camera.name]
    return next(iter(alike), folder / f"{camera.name}.txt")


def _read(path: Path) -> Array:
    if not path.is_file():
        raise SourceError(f"{path}: no such detections file; the camera's name must be the file's")
    return mot.read(path)


def _frames_in_vain(
    indices: Array, first: int, camera: Camera, where: Path, advise: bool
) -> list[str]:
    """Say how many boxes are of frames that the camera does not have; raises SourceError when all
    are.
    """
    if camera.last_index < 0 or not len(indices):
        return []
    is_inside = (indices >= camera.first_index) & (indices <= camera.last_index)
    shift = first if advise else first - camera.first_index
    found = f"frames {indices.min() + shift} to {indices.max() + shift}"
    there = f"frames {camera.first_index + shift} to {camera.last_index + shift}"
    if not is_inside.any():
        hint = ADVICE.format(first=indices.min() + shift)
        raise SourceError(
            f"{where}: has boxes of {found}, but {camera.name} has {there}"
            + (f"; if its first frame is the camera's, {hint}" if advise else "")
        )
    n_outside = int((~is_inside).sum())
    if n_outside < MIN_IN_VAIN * len(indices):
        return []
    return [
        f"{where}: {n_outside} of {len(indices)} boxes are of frames that {camera.name} does not"
        f" have: the file has {found}, the camera {there}; is it the file of this recording?"
    ]


def _by_frame(
    rows: Array, indices: Array, scores: Array, min_score: float
) -> dict[int, Detections]:
    scores = scores.astype(np.float32)
    boxes = mot.boxes(rows)
    good = (scores >= min_score) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    indices, scores, boxes = indices[good], scores[good], boxes[good]
    if not len(indices):
        return {}
    order = np.argsort(indices, kind="stable")
    values, starts = np.unique(indices[order], return_index=True)
    groups = np.split(order, starts[1:])
    return {int(i): Detections(boxes[g], scores[g]) for i, g in zip(values, groups, strict=True)}
