"""MARS (Zheng et al., ECCV 2016): 1261 people, 6 cameras, 20,478 tracklets made by a detector and a
tracker.

`info/*_name.txt` name the images of `bbox_train` and `bbox_test`; the MATLAB files give tracklets
as rows of first line, last line (1-based, inclusive), person, camera. Images are named
`0001C1T0001F001.jpg`: person, camera, tracklet, frame; person -1 is junk (`00-1`), 0 a distractor.

`query_IDX.mat` picks 1,980 of the test tracklets as queries. Officially they **stay in the
gallery**, where they answer no query of their own camera, and all 1,980 have an answer. torchreid
and others take them out; then 140 have none, and results cannot be compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.reid.data.layout import (
    OfficialOptions,
    checked,
    locate,
    matrices,
    require,
    text_lines,
    whole_numbers,
)
from models.reid.data.samples import JUNK, Dataset, Frames, Sample, relabel

FOLDERS = ("mars", "MARS")
FILES = (
    "train_name.txt",
    "test_name.txt",
    "tracks_train_info.mat",
    "tracks_test_info.mat",
    "query_IDX.mat",
)
N_CAMERAS = 6
COUNTS = {
    "train people": 625,
    "train tracklets": 8298,
    "query people": 626,
    "query tracklets": 1980,
    "gallery tracklets": 11310,
    "junk tracklets": 870,
}


class Options(OfficialOptions):
    """Variants of the protocol."""

    gallery: Literal["official", "without_query"] = "official"
    """without_query: the query tracklets are taken out, as in torchreid; 140 queries are left
    without an answer.
    """


def load(root: Path, options: Options) -> Dataset:
    """Read MARS from its own folder or the one above; raises InputError where it is not as
    published.
    """
    here = locate(root, FOLDERS, ["bbox_train", "bbox_test", *(f"info/{name}" for name in FILES)])
    info = here / "info"
    train = _tracklets(
        here / "bbox_train",
        info / "train_name.txt",
        info / "tracks_train_info.mat",
        "track_train_info",
    )
    test = _tracklets(
        here / "bbox_test", info / "test_name.txt", info / "tracks_test_info.mat", "track_test_info"
    )
    (values,) = matrices(info / "query_IDX.mat", "query_IDX")
    asked = whole_numbers(values.ravel(), 1, len(test), f"{info / 'query_IDX.mat'}: query_IDX") - 1
    query = [sample for i in asked if (sample := test[i])]
    kept = set(range(len(test))) - (
        set(asked.tolist()) if options.gallery == "without_query" else set()
    )
    gallery = [sample for i in sorted(kept) if (sample := test[i])]
    labelled = relabel([sample for sample in train if sample])
    n_junk = train.count(None) + test.count(None)
    dataset = Dataset("mars", here, labelled, tuple(query), tuple(gallery), True, n_junk)
    return checked(
        dataset,
        options,
        COUNTS | ({"gallery tracklets": 9330} if options.gallery == "without_query" else {}),
    )


def _tracklets(folder: Path, names_file: Path, rows_file: Path, matrix: str) -> list[Sample | None]:
    """The tracklets, one for each row, None where it is junk."""
    names = text_lines(names_file)
    rows = _rows(rows_file, matrix, len(names))
    frames = [
        (
            None
            if person == JUNK
            else _frames(folder, names[first - 1 : last], person, camera, rows_file)
        )
        for first, last, person, camera in rows
    ]
    require(found for found in frames if found)
    return [
        Sample(found, person, camera - 1) if found else None
        for found, (_, _, person, camera) in zip(frames, rows, strict=True)
    ]


def _rows(file: Path, matrix: str, n_names: int) -> list[tuple[int, int, int, int]]:
    (values,) = matrices(file, matrix)
    where = f"{file}: {matrix}"
    if values.ndim != 2 or values.shape[1] != 4:
        raise InputError(
            f"{where}: must have 4 columns, first line, last line, person and camera; unpack it"
            " again"
        )
    limits = ((1, n_names), (1, n_names), (JUNK, 9999), (1, N_CAMERAS))
    columns: list[NDArray[Any]] = [
        whole_numbers(values[:, i], low, high, f"{where}, column {i + 1}")
        for i, (low, high) in enumerate(limits)
    ]
    if (columns[1] < columns[0]).any():
        raise InputError(
            f"{where}: row {int(np.argmax(columns[1] < columns[0])) + 1} ends before it begins;"
            " unpack it again"
        )
    first, last, person, camera = (column.tolist() for column in columns)
    return list(zip(first, last, person, camera, strict=True))


def _frames(folder: Path, names: Sequence[str], person: int, camera: int, file: Path) -> Frames:
    """The images in the order of the frames; raises InputError if they are not all of the person
    and camera.
    """
    start = f"{person:04d}C{camera}"
    if other := next((name for name in names if not name.startswith(start)), None):
        raise InputError(
            f"{file}: a tracklet of person {person} in camera {camera} holds {other}; unpack the"
            " data set again"
        )
    return Frames(folder / start[:4], tuple(sorted(names)))
