"""The people of one camera as `supervision.Detections`, frame by frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.exports import table
from pipeline.exports.table import Table
from pipeline.outputs.trajectories import Rows

if TYPE_CHECKING:
    from supervision import Detections


def to_supervision(folder: str | Path, camera: str) -> Iterator[tuple[int, "Detections"]]:
    """Read the people of one camera.

    Frames without people are left out, so a video is annotated like this:

        people = dict(to_supervision("outputs/monday", "gate"))
        for index, frame in enumerate(supervision.get_video_frames_generator("gate.mp4")):
            detections = people.get(index, supervision.Detections.empty())

    Args:
        folder: output folder of a run.
        camera: name of the camera.

    Returns:
        An iterator over the frames in their order: the number of the frame, from 0, and who is in
        it. `tracker_id` is the person's id, which is the same in all cameras, `confidence` the
        score of the detector, and `class_id` 0. `data` has `class_name`, `track_id` within the
        camera, `time_s` on the common clock, and `filled` where a box was interpolated.

    Raises:
        ConfigError: there is no such camera, or the package supervision is missing.
        SourceError: the folder holds no results; while iterating, they are damaged.
    """
    try:
        import supervision  # noqa: F401
    except ImportError:
        raise ConfigError(
            "to_supervision needs the package supervision (pip install supervision)"
        ) from None
    results = Table(Path(folder))
    if camera not in results.footage:
        known = ", ".join(results.footage)
        raise ConfigError(f"{folder}: has no camera {camera}; its cameras are {known}")
    return _frames(results, camera)


def _frames(results: Table, camera: str) -> Iterator[tuple[int, "Detections"]]:
    for footage, parts in results.by_camera():
        if footage.camera.name != camera:
            continue
        for rows in parts:
            for frame, which in table.frames_of(rows):
                yield frame, _detections(table.select(rows, which))
        return


def _detections(rows: Rows) -> "Detections":
    from supervision import Detections

    n_rows = len(rows.frames)
    return Detections(
        xyxy=rows.boxes.astype(np.float32),
        confidence=rows.scores.astype(np.float32),
        class_id=np.zeros(n_rows, np.int64),
        tracker_id=rows.person_ids,
        data={
            "class_name": np.full(n_rows, "person"),
            "track_id": rows.track_ids,
            "time_s": rows.times_s,
            "filled": rows.is_filled,
        },
    )
