"""MOTChallenge sequences, as trackers and TrackEval read them as truth: `<camera>/gt/gt.txt` and
`<camera>/seqinfo.ini`.

A row of gt.txt is `frame,person,x,y,w,h,1,1,1`: frames count from 1, the three last columns say
that the row counts, that it is a pedestrian, and that all of it is visible (the columns of MOT16,
17 and 20). People have the same id in all cameras. The files `mot/<camera>.txt` of a run have the
other form, that of results, with scores.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline import mot
from pipeline.exports.staging import staged
from pipeline.exports.table import Footage, Table
from pipeline.outputs.trajectories import Rows


def write(table: Table, folder: Path) -> None:
    """Write one sequence a camera.

    Args:
        table: the rows of a run.
        folder: where the sequences go.

    Raises:
        PipelineError: the results are damaged, or a file cannot be written.
    """
    for footage, parts in table.by_camera():
        sequence = folder / footage.camera.name
        with staged(sequence / "gt" / "gt.txt") as path, path.open("w", encoding="utf-8") as file:
            file.writelines(lines(parts))
        with staged(sequence / "seqinfo.ini") as path:
            path.write_text(_info(footage), encoding="utf-8")


def lines(parts: Iterable[Rows]) -> Iterator[str]:
    """Yield the rows of one camera as truth, by frame and person.

    Args:
        parts: rows in the order of frames; no frame is in two parts.
    """
    for rows in parts:
        for i in np.lexsort([rows.person_ids, rows.frames]).tolist():
            yield mot.truth_line(int(rows.frames[i]), int(rows.person_ids[i]), rows.boxes[i])


def _info(footage: Footage) -> str:
    camera = footage.camera
    values = {
        "name": camera.name,
        "imDir": "img1",
        "frameRate": f"{camera.fps:g}",
        "seqLength": footage.last_frame + 1,
        "imWidth": camera.width,
        "imHeight": camera.height,
        "imExt": ".jpg",
    }
    return "[Sequence]\n" + "".join(f"{name}={value}\n" for name, value in values.items())
