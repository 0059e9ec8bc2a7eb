"""Heat maps: where in the picture of each camera people stood, and for how long.

The place of a person is the middle of the bottom of their box. Where the box is cut by the lower
edge of the picture the feet are outside, so that time is told apart.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from pipeline import floor
from pipeline.records import Array, Camera

Json = dict[str, Any]

CELLS = 64
"""Squares along the longer side of a picture."""
BLUR_CELLS = 0.8
"""Standard deviation by which counts are smoothed: feet are no more exact than that."""
MIN_S = 0.05
"""Less time than this in a square is not written."""
MAX_STEP_S = 2.0
"""A row stands for the time until the next one, but for no longer gap than this."""


class Heat:
    """Counts the seconds that people spend in the squares of each picture.

    Args:
        cameras: all cameras, in order.
    """

    def __init__(self, cameras: Sequence[Camera]) -> None:
        self._cameras = cameras
        self._seconds = [np.zeros(_grid(camera)) for camera in cameras]
        self._cut_s = [0.0] * len(cameras)

    def add(self, camera: int, times_s: Array, boxes: Array) -> None:
        """Count a tracklet.

        Args:
            camera: number of its camera.
            times_s: (n,) of its rows.
            boxes: (n, 4) px.
        """
        seen_by = self._cameras[camera]
        seconds = _lasting_s(times_s)
        is_shown = floor.are_feet_shown(boxes, seen_by)
        self._cut_s[camera] += float(seconds[~is_shown].sum())
        if not self._seconds[camera].size:
            return
        n_rows, n_columns = self._seconds[camera].shape
        feet = floor.foot_points(boxes[is_shown])
        column = (feet[:, 0] * n_columns / seen_by.width).astype(np.int64).clip(0, n_columns - 1)
        row = (feet[:, 1] * n_rows / seen_by.height).astype(np.int64).clip(0, n_rows - 1)
        np.add.at(self._seconds[camera], (row, column), seconds[is_shown])

    def document(self) -> list[Json]:
        """Return a map of each camera: its squares, and the seconds that feet were outside.

        `cells` are numbers of squares, row by row, each followed by its seconds; others have none.
        """
        return [
            _map(seconds, cut_s) for seconds, cut_s in zip(self._seconds, self._cut_s, strict=True)
        ]


def _grid(camera: Camera) -> tuple[int, int]:
    """Rows and columns of squares; none for a camera whose size is not known."""
    longer = max(camera.width, camera.height)
    if min(camera.width, camera.height) <= 0:
        return 0, 0
    n_rows = max(1, round(CELLS * camera.height / longer))
    n_columns = max(1, round(CELLS * camera.width / longer))
    return n_rows, n_columns


def _lasting_s(times_s: Array) -> Array:
    """Seconds that each row stands for."""
    steps_s = np.diff(times_s)
    usual_s = float(np.sort(steps_s)[len(steps_s) // 2]) if len(steps_s) else 0.0
    lasting_s = np.where(steps_s > MAX_STEP_S, usual_s, steps_s)
    return np.append(lasting_s, min(usual_s, MAX_STEP_S))


def _map(seconds: Array, cut_s: float) -> Json:
    n_rows, n_columns = seconds.shape
    cells: list[float] = []
    if seconds.any():
        smooth = cv2.GaussianBlur(seconds, (0, 0), BLUR_CELLS, borderType=cv2.BORDER_REFLECT)
        flat = smooth.ravel()
        for cell in np.flatnonzero(flat >= MIN_S).tolist():
            cells += (cell, round(float(flat[cell]), 1))
    return {
        "columns": n_columns,
        "rows": n_rows,
        "cells": cells,
        "seconds": round(float(seconds.sum()), 1),
        "cut": round(cut_s, 1),
    }
