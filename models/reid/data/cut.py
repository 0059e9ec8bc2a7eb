"""People cut out of labelled pictures, as training pictures without identities:

    python -m models.reid.data.cut --pictures detection/cafe detection/office --output crops

`--pictures` are folders in YOLO's layout (see `models.detector.data`). `pipeline.crops` does the
same for videos and tracks.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from models import command
from models.detector.data import image_files, labelled
from models.errors import InputError
from models.reid.data.loader import write_image

MIN_HEIGHT_PX = 40
MIN_ASPECT = 1.2
"""Height of a box relative to its width below which it hardly shows a whole person."""
MAX_SIDE_PX = 256
"""Crops are reduced to this: no network of ours sees more."""


def cut(folder: Path, output: Path) -> int:
    """Cut all people out of a labelled folder.

    Args:
        folder: with images/ and labels/ in YOLO's layout.
        output: gets `<folder>_<image>_<number>.jpg`.

    Returns:
        How many were cut; boxes lower than 40 px or wider than a standing person are left out.

    Raises:
        InputError: an image or its labels cannot be read, or a crop cannot be written.
    """
    n_cut = 0
    for path, picture in zip(image_files(folder, "all"), labelled(folder), strict=True):
        for number, box in enumerate(picture.truth):
            crop = _crop(picture.image, box)
            if crop is None:
                continue
            name = f"{folder.name}_{path.stem}_{number}.jpg"
            write_image(output / name, crop)
            n_cut += 1
    return n_cut


def _crop(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    left, top = np.maximum(np.rint(box[:2]), 0).astype(int)
    right, bottom = np.rint(box[2:]).astype(int)
    crop = image[top:bottom, left:right]
    height, width = crop.shape[:2]
    if height < MIN_HEIGHT_PX or height < MIN_ASPECT * width:
        return None
    scale = min(1.0, MAX_SIDE_PX / height)
    size = (max(1, round(width * scale)), round(height * scale))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA))


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.data.cut", description="Cut people out of labelled pictures."
    )
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a folder for the crops"
    )
    return command.run(_run, parser.parse_args(arguments))


def _run(parsed: argparse.Namespace) -> None:
    try:
        parsed.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{parsed.output}: cannot be written ({error.strerror})") from None
    for folder in parsed.pictures:
        print(f"{folder}: {cut(folder, parsed.output)} people")


if __name__ == "__main__":
    sys.exit(main())
