"""Unpacks CUHK03's one big file into images, once: `python -m models.reid.data.cuhk03_archive
FOLDER`.

It is HDF5 and needs h5py, which few users need, so h5py is not among the requirements. In it
`labeled` and `detected` are cells of five camera pairs, each a cell of people x 10 images, five of
either view, some missing; `testsets` are 20 lists of (pair, person). MATLAB's axes come reversed. A
folder gets its name when it is complete, so what was cut short is done again.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models import command, extras, files
from models.errors import InputError
from models.reid.data.cuhk03 import ARCHIVE, FOLDERS, TESTSETS
from models.reid.data.layout import locate


def unpack(root: Path) -> Path:
    """Write what is not there yet of `images_labeled/`, `images_detected/` and `testsets.json`;
    returns the folder.

    Raises InputError without h5py, or for a file that is not CUHK03's.
    """
    here = locate(root, FOLDERS, [ARCHIVE])
    h5py = extras.h5py(f"{here / ARCHIVE}: unpacking")
    try:
        with h5py.File(here / ARCHIVE, "r") as archive:
            write(archive, here)
    except (OSError, KeyError) as error:
        raise InputError(
            f"{here / ARCHIVE}: cannot be unpacked ({' '.join(str(error).split())}); download it"
            " again"
        ) from None
    return here


def write(archive: Mapping[Any, Any], here: Path) -> None:
    """Write the images and test sets of an open archive into a folder."""
    for labels in ("labeled", "detected"):
        folder, partial = here / f"images_{labels}", here / f"images_{labels}.partial"
        if folder.is_dir():
            continue
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for pair, cell in enumerate(archive[labels][0], start=1):
            for person, row in enumerate(_value(archive, cell), start=1):
                _write_person(archive, row, partial, f"{pair}_{person:03d}")
        partial.rename(folder)
    testsets = [_value(archive, cell).astype(int).tolist() for cell in archive["testsets"][0]]
    files.write(here / TESTSETS, json.dumps(testsets).encode())


def _write_person(archive: Mapping[Any, Any], row: NDArray[Any], folder: Path, name: str) -> None:
    for i, cell in enumerate(row):
        image = _value(archive, cell)
        if image.ndim < 3:
            continue  # an empty cell
        png = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))[1]
        (folder / f"{name}_{1 if i < 5 else 2}_{i + 1:02d}.png").write_bytes(png.tobytes())


def _value(archive: Mapping[Any, Any], reference: Any) -> NDArray[Any]:
    return np.asarray(archive[reference][:]).T


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        description="Unpack CUHK03's cuhk-03.mat into folders of images."
    )
    parser.add_argument("folder", type=Path, help="the folder that holds cuhk03_release")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    print(f"unpacked into {unpack(parsed.folder)}")


if __name__ == "__main__":
    sys.exit(main())
