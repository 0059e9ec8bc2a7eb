"""MOTChallenge text files: `frame,id,x,y,w,h,score,...`, frames from 1, x and y 0-based pixels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import files
from models.errors import InputError, shorten

Array = NDArray[Any]

MIN_COLUMNS = 6
MAX_VALUE = 40
"""Longest value in a message, characters."""


def read(path: Path) -> Array:
    """Read the rows of a file. Values stand between commas, blanks or semicolons; names of columns
    in the first line are skipped.

    Returns:
        float64 (n, columns), columns as in the file; (0, 7) for a file without rows.

    Raises:
        InputError: The file cannot be read; it names the bad line.
    """
    try:
        lines = files.read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as a MOT file ({error.__class__.__name__})"
        ) from None
    rows: list[list[float]] = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        values = _values(text)
        odd = [value for value in values if not _is_number(value)]
        if not rows and len(odd) == len(values) >= MIN_COLUMNS:
            continue  # names of the columns
        if odd:
            raise InputError(
                f"{path}, line {number}: expected numbers `frame,id,x,y,w,h,score,...`, found"
                f" {shorten(odd[0], MAX_VALUE)!r}"
            )
        row = [float(value) for value in values]
        is_ragged = bool(rows) and len(row) != len(rows[0])
        if len(row) < MIN_COLUMNS or is_ragged or not np.isfinite(row).all():
            n_before = f" after lines of {len(rows[0])}" if is_ragged else ""
            raise InputError(
                f"{path}, line {number}: expected the same {MIN_COLUMNS} or more finite columns in"
                f" every line, found {len(row)}{n_before}"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 7)


def _values(line: str) -> list[str]:
    """The values of a line; beside semicolons a comma is the sign before decimals."""
    if ";" in line:
        return line.replace(",", ".").replace(";", " ").split()
    return line.replace(",", " ").split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def boxes(rows: Array) -> Array:
    """Return boxes (n, 4) float32 x1 y1 x2 y2 of rows as `read` returns them."""
    corners = rows[:, 2:6].copy()
    corners[:, 2:] += corners[:, :2]
    return corners.astype(np.float32)


def line(frame: int, track: int, box: Array, score: float) -> str:
    """Return one row for a 0-based frame and a box x1 y1 x2 y2; the last three columns are unused
    (-1).
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return (
        f"{frame + 1},{track},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1\n"
    )


def truth_line(frame: int, person: int, box: Array) -> str:
    """Return one row of truth for a 0-based frame and a box x1 y1 x2 y2: a pedestrian, who counts
    and is visible.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return f"{frame + 1},{person},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,1,1\n"
