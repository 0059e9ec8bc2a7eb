"""A recording for the rerun viewer: the boxes of every camera on one timeline.

Entity `/<camera>` holds the boxes of each frame, labelled and coloured by person, the same in all
views. Timelines are `time`, seconds on the common clock, and `frame`, the number of the frame in
its camera. `/<camera>/picture` is the edge of the picture; pixels are not in the file, so that a
day stays small.

Only the writer of the package is used. It opens no connection and reads and writes nothing in the
user's folder (a test watches it). Viewing is another program, `rerun FILE`, which sends statistics
of use unless `rerun analytics disable` was run once.
"""

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import OutputError
from pipeline.exports.staging import staged
from pipeline.exports.table import Footage, Table
from pipeline.outputs.trajectories import Rows
from pipeline.records import Array

APPLICATION = "people_tracker"
MAX_CLASS = 65_536
"""Classes, which have colours, are 16 bit numbers."""


def write(table: Table, path: Path) -> None:
    """Write the file.

    Args:
        table: the rows of a run.
        path: the file, `*.rrd`.

    Raises:
        ImportError: the package rerun-sdk is missing.
        PipelineError: the results are damaged, or the file cannot be written.
    """
    import rerun

    with staged(path) as temporary:
        recording = rerun.RecordingStream(
            APPLICATION, recording_id=uuid.uuid4(), send_properties=False
        )
        recording.save(temporary, default_blueprint=_blueprint(table.footage))
        for footage, parts in table.by_camera():
            entity = rerun.escape_entity_path_part(footage.camera.name)
            size = [footage.camera.width, footage.camera.height]
            edge = rerun.Boxes2D(array=[[0, 0, *size]], array_format=rerun.Box2DFormat.XYWH)
            recording.log(f"{entity}/picture", edge, static=True, strict=True)
            for times_s, frames, rows, n_rows in _moments(parts, footage):
                rerun.send_columns(
                    entity,
                    indexes=[
                        rerun.TimeColumn("time", duration=_exact(times_s)),
                        rerun.TimeColumn("frame", sequence=frames),
                    ],
                    columns=_boxes(rerun, rows).partition(n_rows),
                    recording=recording,
                    strict=True,
                )
        recording.flush()
        recording.disconnect()
        if not temporary.stat().st_size:
            raise OutputError(
                f"{path}: rerun wrote nothing; is it switched off by the variable RERUN?"
            )


def _blueprint(cameras: Iterable[str]) -> Any:
    """One view a camera, and the common clock as timeline."""
    import rerun
    from rerun import blueprint

    views = [
        blueprint.Spatial2DView(origin=rerun.escape_entity_path_part(name), name=name)
        for name in cameras
    ]
    return blueprint.Blueprint(blueprint.Grid(*views), blueprint.TimePanel(timeline="time"))


def _moments(parts: Iterable[Rows], footage: Footage) -> Iterator[tuple[Array, Array, Rows, Array]]:
    """Times, frames, the rows of all of them, and how many rows each has.

    What is not replaced stays in view. So the frame after the last one of somebody has no rows,
    unless there are others in it.
    """
    step = footage.stride
    for rows in parts:
        frames, starts, n_rows = np.unique(rows.frames, return_index=True, return_counts=True)
        times_s = rows.times_s[starts]
        is_followed = np.isin(frames + step, frames)
        empty_frames = frames[~is_followed] + step
        empty_times_s = times_s[~is_followed] + step / footage.camera.fps
        all_frames = np.concatenate([frames, empty_frames])
        order = np.argsort(all_frames, kind="stable")
        all_times_s = np.concatenate([times_s, empty_times_s])
        all_n_rows = np.concatenate([n_rows, np.zeros(len(empty_frames), np.int64)])
        yield all_times_s[order], all_frames[order], rows, all_n_rows[order]


def _exact(times_s: Array) -> Array:
    """Times as whole nanoseconds, which the writer would round down."""
    return np.round(times_s * 1e9).astype("timedelta64[ns]")


def _boxes(rerun: Any, rows: Rows) -> Any:
    corners = rows.boxes[:, :2]
    half_sizes = (rows.boxes[:, 2:] - corners) / 2
    return rerun.Boxes2D.columns(
        centers=corners + half_sizes,
        half_sizes=half_sizes,
        class_ids=rows.person_ids % MAX_CLASS,
        labels=[str(person_id) for person_id in rows.person_ids.tolist()],
    )
