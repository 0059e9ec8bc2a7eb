"""MOTChallenge text files, read and written: `frame,id,x,y,w,h,score,...`, frames from 1, x and y
0-based pixels.
"""

from pathlib import Path

import numpy as np

from pipeline.errors import SourceError
from pipeline.records import Array


def read(path: Path) -> Array:
    """Return the rows as float64 (n, columns), columns as in the file; raises SourceError naming
    the bad line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: cannot be read as a MOT file ({error.__class__.__name__})"
        ) from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(value) for value in line.replace(",", " ").split()]
        except ValueError:
            raise SourceError(
                f"{path}, line {number}: expected numbers `frame,id,x,y,w,h,score,...`"
            ) from None
        if len(row) < 6 or (rows and len(row) != len(rows[0])) or not np.isfinite(row).all():
            raise SourceError(
                f"{path}, line {number}: expected the same 6 or more finite columns in every line"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 7)


def boxes(rows: Array) -> Array:
    """Boxes (n, 4) float32 x1 y1 x2 y2 of rows as `read` returns them."""
    corners = rows[:, 2:6].copy()
    corners[:, 2:] += corners[:, :2]
    return corners.astype(np.float32)


def line(frame: int, track: int, box: Array, score: float) -> str:
    """One row for a 0-based frame and a box x1 y1 x2 y2; the last three columns are unused (-1)."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return (
        f"{frame + 1},{track},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1\n"
    )
