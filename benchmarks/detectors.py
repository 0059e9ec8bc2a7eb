"""Person detectors side by side.

    python -m benchmarks.detectors --ours FILE --data DIR --baselines DIR --output detectors.md

Ours and the model it started from (`models.detector`), HOG (`pipeline.detect.hog`), and the public
FastestDet and person-detection-retail-0013, each with its own input convention, on the sets of
`models.detector.evaluate`. OpenVINO is optional: without it the last
column is left out, and a line says so.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models import command, files
from models.detector import data
from models.detector.evaluate import Find, Row, add_sets, evaluate, table
from models.detector.inference import PersonDetector
from models.errors import InputError
from models.runtimes import openvino_package
from pipeline.config import DetectorConfig
from pipeline.detect.hog import HogDetector
from pipeline.records import Frame

Array = NDArray[Any]

START, FASTEST, SSD = (
    "yolo11n_coco.safetensors",
    "FastestDet.onnx",
    "person-detection-retail-0013.xml",
)
MIN_SCORE = 0.001
FASTEST_SIZE_PX = 352
SSD_SIZE_PX = (544, 320)
MAX_IOU = 0.5


def hog() -> Find:
    """OpenCV's HOG as the pipeline uses it, down to scores of 0.02."""
    detector = HogDetector(DetectorConfig(min_score=0.02))

    def find(image: Array) -> tuple[Array, Array]:
        (found,) = detector.detect([Frame("camera", 0, 0.0, image)])
        return found.boxes, found.scores

    return find


def fastest_det(path: Path) -> Find:
    """FastestDet: the image stretched to 352x352, one anchor a cell of a 22x22 grid, COCO classes,
    its own score formula.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def find(image: Array) -> tuple[Array, Array]:
        small = cv2.resize(
            image, (FASTEST_SIZE_PX, FASTEST_SIZE_PX), interpolation=cv2.INTER_LINEAR
        )
        (answer,) = session.run(
            None, {name: small.transpose(2, 0, 1)[None].astype(np.float32) / 255}
        )
        return decode_fastest_det(answer[0], image.shape[1], image.shape[0])

    return find


def decode_fastest_det(answer: Array, width_px: int, height_px: int) -> tuple[Array, Array]:
    """Channels (5 + classes, rows, columns): objectness, x, y, width, height, classes -> boxes of
    people after suppression.
    """
    rows, columns = answer.shape[1:]
    y, x = np.mgrid[:rows, :columns]
    centre = np.stack(
        [(np.tanh(answer[1]) + x) / columns, (np.tanh(answer[2]) + y) / rows], axis=-1
    )
    half = 1 / (1 + np.exp(-np.stack([answer[3], answer[4]], axis=-1))) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4) * [
        width_px,
        height_px,
        width_px,
        height_px,
    ]
    scores = (answer[0] ** 0.6 * answer[5] ** 0.4).reshape(-1)
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = np.asarray(
        cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), MIN_SCORE, MAX_IOU), np.int64
    ).reshape(-1)
    return boxes[kept].astype(np.float32), scores[kept].astype(np.float32)


def openvino_ssd(path: Path) -> Find:
    """An Open Model Zoo SSD of one class: BGR 0 to 255 stretched to 544x320, rows of image, class,
    score and box.
    """
    model = openvino_package.core().compile_model(str(path), "CPU")

    def find(image: Array) -> tuple[Array, Array]:
        small = cv2.resize(image, SSD_SIZE_PX, interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)[
            None
        ]
        rows = np.asarray(model([small.astype(np.float32)])[0]).reshape(-1, 7)
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] >= MIN_SCORE)]
        boxes = np.clip(rows[:, 3:], 0, 1) * [
            image.shape[1],
            image.shape[0],
            image.shape[1],
            image.shape[0],
        ]
        return boxes.astype(np.float32), rows[:, 2]

    return find


def detectors(ours: list[Path], size_px: int, baselines: Path) -> Iterator[tuple[str, Find]]:
    """All detectors by name; raises InputError."""
    for path in ours:
        yield path.stem, PersonDetector(str(path), size_px=size_px, runtime="auto")
    start = PersonDetector(str(baselines / START), "yolo11n.yaml", size_px, runtime="auto")
    yield "start (YOLO11n COCO)", start
    yield "HOG", hog()
    yield "FastestDet", fastest_det(baselines / FASTEST)
    if find_spec("openvino"):
        yield "retail-0013", openvino_ssd(baselines / SSD)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detectors", description="Person detectors side by side."
    )
    add = parser.add_argument
    add(
        "--ours",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help=".safetensors files of models.detector",
    )
    add(
        "--baselines",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the files of the public detectors",
    )
    add_sets(parser)
    add(
        "--only",
        nargs="*",
        default=[],
        metavar="NAME",
        help="only the detectors whose names begin so",
    )
    add("--size-px", type=int, default=640, metavar="N", help="long side of the YOLOs' input")
    add("--threads", type=int, default=2, metavar="N", help="threads of torch and OpenCV")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the table here, and its numbers beside it as .json",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    torch.set_num_threads(parsed.threads)
    cv2.setNumThreads(parsed.threads)
    sets = data.test_sets(parsed.test_sets, parsed.data, parsed.sets)
    wanted = tuple(name.lower() for name in parsed.only) or ("",)
    rows: list[Row] = []
    for name, find in detectors(parsed.ours, parsed.size_px, parsed.baselines):
        if name.lower().startswith(wanted):
            rows += evaluate(name, find, sets)
    if not rows:
        raise InputError(f"--only {' '.join(parsed.only)}: no such detector")
    text = table(rows)
    if not find_spec("openvino"):
        text += "\n\nretail-0013 left out: OpenVINO is not installed"
    print(text)
    if parsed.output:
        files.write(parsed.output, f"{text}\n".encode())
        numbers = json.dumps([asdict(row) for row in rows], indent=1)
        files.write(parsed.output.with_suffix(".json"), numbers.encode())


if __name__ == "__main__":
    sys.exit(main())
