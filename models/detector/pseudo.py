"""Label frames of videos that nobody labelled: `python -m models.detector.pseudo --weights W
--videos V... --output FOLDER`.

A network looks at each frame and at its mirror image, at a size larger than it is used at; a box
stays when both agree. The folder (YOLO layout) is for training (`data.whole`), never for judging.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from models import command, files
from models.boxes import iou
from models.detector import data
from models.detector.evaluate import Find
from models.detector.inference import Array, PersonDetector

MIN_SCORE = 0.35
MIN_IOU = 0.6


def label(image: Array, find: Find) -> Array:
    """Label one picture.

    Args:
        image: (H, W, 3) uint8 BGR.
        find: The detector: an image to boxes and scores.

    Returns:
        Boxes (n, 4) float32 px that are found in the picture and in its mirror image, with a score
        of `MIN_SCORE` on average; the mean of both.
    """
    boxes, scores = find(image)
    mirrored, mirrored_scores = find(np.ascontiguousarray(image[:, ::-1]))
    width_px = image.shape[1]
    mirrored = mirrored[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width_px, 0, width_px, 0]
    if not len(boxes) or not len(mirrored):
        return np.zeros((0, 4), np.float32)
    overlap = iou(boxes, mirrored)
    partner = overlap.argmax(axis=1)
    is_mutual = overlap.argmax(axis=0)[partner] == np.arange(len(boxes))
    is_sure = (scores + mirrored_scores[partner]) / 2 >= MIN_SCORE
    agree = (overlap.max(axis=1) >= MIN_IOU) & is_mutual & is_sure
    return np.asarray(((boxes + mirrored[partner]) / 2)[agree], np.float32)


def write(videos: list[Path], every: int, find: Find, folder: Path) -> tuple[int, int]:
    """Write every `every`-th frame of the videos with its labels; returns how many frames and
    people. Raises InputError.
    """
    n_frames = n_people = 0
    for video in videos:
        for index, image in data.frames_of(video, every):
            boxes = label(image, find)
            name = f"{video.parent.name}_{video.stem}_{index:06d}"
            files.write(folder / "images" / f"{name}.jpg", cv2.imencode(".jpg", image)[1].tobytes())
            data.write_labels(
                folder / "labels" / f"{name}.txt", boxes, image.shape[1], image.shape[0]
            )
            n_frames += 1
            n_people += len(boxes)
    return n_frames, n_people


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.detector.pseudo", description="Label frames of videos."
    )
    add = parser.add_argument
    add(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .safetensors network that labels",
    )
    add("--architecture", default="", metavar="YAML", help="of a file that does not say it itself")
    add("--videos", type=Path, nargs="+", required=True, metavar="FILE")
    add("--every", type=int, default=20, metavar="N", help="take every N-th frame")
    add("--size-px", type=int, default=960, metavar="N", help="long side of the network's input")
    add("--output", type=Path, required=True, metavar="DIR")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    detector = PersonDetector(
        str(parsed.weights), parsed.architecture, parsed.size_px, min_score=0.1
    )
    n_frames, n_people = write(parsed.videos, parsed.every, detector, parsed.output)
    print(f"{parsed.output}: {n_frames} frames, {n_people} people")


if __name__ == "__main__":
    sys.exit(main())
