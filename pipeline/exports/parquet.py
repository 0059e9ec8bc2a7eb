"""Apache Parquet, with the columns of tracks.csv: for pandas, polars, DuckDB and Spark.

The key `people_tracker` of the file's metadata holds JSON: `schema`, and `cameras` as in
trajectories.json. Rows are in the order of tracks.csv, in row groups of bounded size, compressed
with Zstandard. Format version 2.6.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exports.staging import staged
from pipeline.exports.table import Table
from pipeline.outputs import trajectories
from pipeline.outputs.trajectories import Rows

SCHEMA = "tracks/1"
METADATA = "people_tracker"


def write(table: Table, path: Path) -> None:
    """Write the file.

    Args:
        table: the rows of a run.
        path: the file.

    Raises:
        ImportError: the package pyarrow is missing.
        PipelineError: the results are damaged, or the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    schema = _schema(pyarrow, table)
    names = list(table.footage)
    with (
        staged(path) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd", version="2.6") as writer,
    ):
        for footage, parts in table.by_camera():
            for rows in parts:
                numbers = np.full(len(rows.frames), names.index(footage.camera.name), np.int32)
                cameras = pyarrow.DictionaryArray.from_arrays(numbers, names)
                columns = {"camera": cameras, **_columns(rows)}
                writer.write_table(pyarrow.table(columns, schema=schema))


def _schema(pyarrow: Any, table: Table) -> Any:
    types = {
        "camera": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "frame": pyarrow.int64(),
        "time_s": pyarrow.float64(),
        "track_id": pyarrow.int64(),
        "tracklet": pyarrow.int64(),
        "person_id": pyarrow.int64(),
        "x1": pyarrow.float32(),
        "y1": pyarrow.float32(),
        "x2": pyarrow.float32(),
        "y2": pyarrow.float32(),
        "score": pyarrow.float32(),
        "filled": pyarrow.bool_(),
    }
    cameras = trajectories.describe([each.camera for each in table.footage.values()])
    about = json.dumps({"schema": SCHEMA, "cameras": cameras})
    fields = [pyarrow.field(name, types[name], nullable=False) for name in trajectories.COLUMNS]
    return pyarrow.schema(fields, metadata={METADATA: about})


def _columns(rows: Rows) -> dict[str, Any]:
    x1, y1, x2, y2 = rows.boxes.T.astype(np.float32)
    return {
        "frame": rows.frames,
        "time_s": rows.times_s,
        "track_id": rows.track_ids,
        "tracklet": rows.first_frames,
        "person_id": rows.person_ids,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "score": rows.scores.astype(np.float32),
        "filled": rows.is_filled,
    }
