"""The networks that ship in every runtime of this machine.

    python -m benchmarks.runtimes [--data DIR [--sets NAME ...]] [--rounds N] [--jsonl FILE]

Runtimes take turns, round by round, so that other load of the machine hits all of them. Printed are
frames/s (crops/s) of the best round, CPU time of a frame (crop) in the cheapest round, the distance
from torch in float32, and for the detector AP50 on the sample and on the sets of `--data`. Frames
are detected one by one, as for one camera, and in batches of four, as for four cameras. The CPU
time counts all threads; letterboxing and suppression are part of it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import record
from models import boxes, command, weights
from models.detector import data
from models.detector.data import PictureSet
from models.detector.evaluate import evaluate
from models.detector.inference import PersonDetector
from models.errors import InputError
from models.reid import encoder
from models.runtimes.names import PrecisionName, RuntimeName
from models.runtimes.runners import Array
from pipeline.tracklets import cut

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "samples/plaza"
CAMERAS = ("cam1", "cam2", "cam4")
VARIANTS: tuple[tuple[RuntimeName, PrecisionName], ...] = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("onnxruntime", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)
"""The first one is what the others are compared with."""
N_FRAMES = 16
N_CROPS = 64
BATCH = 4
MIN_SCORE = 0.1
MIN_IOU = 0.5
"""Boxes of two runtimes with a higher IoU are the same box."""


@dataclass
class Row:
    """One variant of a network. per_s: things a second; cpu_ms: CPU time of one; apart: how far its
    answers are from the first variant's; ap50: by name of the set.
    """

    name: str
    per_s: float = 0.0
    cpu_ms: float = float("inf")
    apart: str = ""
    ap50: dict[str, float] = field(default_factory=dict)


def measure(jobs: dict[str, Callable[[], Any]], n_things: int, n_rounds: int) -> dict[str, Row]:
    """Run jobs in turns.

    Args:
        jobs: What is measured, by name; each call does the same work.
        n_things: Things that a call works on.
        n_rounds: Calls of each job that count.
    """
    rows = {name: Row(name) for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(n_rounds):
        for name, job in jobs.items():
            start_s = time.perf_counter()
            start_cpu_s = time.process_time()
            job()
            seconds = time.perf_counter() - start_s
            cpu_s = time.process_time() - start_cpu_s
            rows[name].per_s = max(rows[name].per_s, n_things / seconds)
            rows[name].cpu_ms = min(rows[name].cpu_ms, 1000 * cpu_s / n_things)
    return rows


def detectors(path: Path, size_px: int) -> dict[str, PersonDetector]:
    """The detector in every variant that this machine has."""
    opened: dict[str, PersonDetector] = {}
    for runtime, precision in VARIANTS:
        try:
            opened[f"{runtime} {precision}"] = PersonDetector(
                str(path), "", size_px, device="cpu", runtime=runtime, precision=precision
            )
        except InputError as error:
            print(f"left out: {error}")
    return opened


def encoders(path: Path) -> dict[str, encoder.Encoder]:
    """The ReID network in every variant that this machine has."""
    opened: dict[str, encoder.Encoder] = {}
    for runtime, precision in VARIANTS:
        try:
            opened[f"{runtime} {precision}"] = encoder.load(
                path, "cpu", 16, runtime=runtime, precision=precision
            )
        except InputError as error:
            print(f"left out: {error}")
    return opened


def sample_set(camera: str, every: int) -> PictureSet:
    """Frames of a camera of the sample with their truth."""
    video, truth = SAMPLE / f"{camera}.mp4", SAMPLE / "truth" / f"{camera}.txt"
    return PictureSet(f"plaza {camera}", lambda: data.clip(video, truth, every))


def boxes_apart(found: Sequence[Array], expected: Sequence[Array]) -> str:
    """How far boxes (n, 4) of pictures are from the expected ones, and how many have no other."""
    distances: list[float] = []
    n_lonely = 0
    for ours, theirs in zip(found, expected, strict=True):
        overlaps = boxes.iou(ours, theirs)
        for i, row in enumerate(overlaps):
            if not len(row) or row.max() < MIN_IOU:
                n_lonely += 1
                continue
            distances.append(float(np.abs(ours[i] - theirs[row.argmax()]).max()))
    mean_px = np.mean(distances) if distances else 0.0
    return f"{mean_px:.3f} px, {n_lonely} of {sum(map(len, found))} boxes alone"


def features_apart(found: Array, expected: Array) -> str:
    """How far features (n, D) are from the expected ones in unit length."""
    lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, expected)]
    apart = np.linalg.norm(found / lengths[0] - expected / lengths[1], axis=1)
    return f"{apart.mean():.4f} mean, {apart.max():.4f} max"


def detector_rows(path: Path, images: list[Array], arguments: argparse.Namespace) -> list[Row]:
    """Measure the detector."""
    opened = detectors(path, arguments.size_px)
    jobs: dict[str, Callable[[], Any]] = {}
    for name, found in opened.items():
        jobs[f"{name}, one by one"] = _one_by_one(found, images)
        jobs[f"{name}, in fours"] = _in_fours(found, images)
    rows = measure(jobs, len(images), arguments.rounds)
    expected: list[Array] | None = None
    sets = [sample_set(camera, arguments.every) for camera in CAMERAS]
    if arguments.data:
        sets += data.test_sets(arguments.test_sets, arguments.data, arguments.sets)
    for name, detector in opened.items():
        row = rows[f"{name}, one by one"]
        answers = [detector(image) for image in images]
        strong = [corners[scores >= MIN_SCORE] for corners, scores in answers]
        expected = expected or strong
        row.apart = boxes_apart(strong, expected)
        row.ap50 = {judged.set: judged.ap50 for judged in evaluate(name, detector, sets)}
    return list(rows.values())


def _one_by_one(detector: PersonDetector, images: list[Array]) -> Callable[[], Any]:
    return lambda: [detector(image) for image in images]


def _in_fours(detector: PersonDetector, images: list[Array]) -> Callable[[], Any]:
    starts = range(0, len(images), BATCH)
    return lambda: [detector.detect(images[start : start + BATCH]) for start in starts]


def reid_rows(path: Path, crops: list[Array], n_rounds: int) -> list[Row]:
    """Measure the ReID network."""
    opened = encoders(path)
    clips = [crop[None] for crop in crops]
    jobs = {name: _features(network, clips) for name, network in opened.items()}
    rows = measure(jobs, len(crops), n_rounds)
    expected: Array | None = None
    for name, network in opened.items():
        features = network.features(clips)
        expected = features if expected is None else expected
        rows[name].apart = features_apart(features, expected)
    return list(rows.values())


def _features(network: encoder.Encoder, clips: list[Array]) -> Callable[[], Any]:
    return lambda: network.features(clips)


def show(title: str, unit: str, rows: Sequence[Row]) -> None:
    """Print a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row.ap50))
    heads = [title, f"{unit}s/s", f"CPU ms a {unit}", "from torch float32", *names]
    if names:
        heads.append("mean AP50")
    print("\n| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for row in rows:
        cells = [row.name, f"{row.per_s:.1f}", f"{row.cpu_ms:.1f}", row.apart]
        cells += [f"{row.ap50[name]:.3f}" if name in row.ap50 else "" for name in names]
        if names:
            cells.append(f"{np.mean(list(row.ap50.values())):.4f}" if row.ap50 else "")
        print("| " + " | ".join(cells) + " |")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, metavar="N", help="rounds that are measured")
    add("--every", type=int, default=30, metavar="N", help="frames of the sample for AP50")
    add("--size-px", type=int, default=640, metavar="N", help="long side of the detector's input")
    add("--data", type=Path, metavar="DIR", help="folder of the detector's test sets")
    add("--test-sets", type=Path, default=Path(data.EXAMPLE), metavar="FILE")
    add("--sets", nargs="*", default=[], metavar="NAME", help="only sets whose names begin so")
    return parser.parse_args(words)


def main() -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse())


def _run(arguments: argparse.Namespace) -> None:
    detector_path, reid_path = weights.bundled("detector"), weights.bundled("reid")
    assert detector_path and reid_path
    pictures = list(islice(sample_set(CAMERAS[0], 10).read(), N_FRAMES))
    images = [picture.image for picture in pictures]
    crops = [cut(picture.image, box) for picture in pictures for box in picture.truth][:N_CROPS]
    print(f"{torch.get_num_threads()} threads; {len(images)} frames, {len(crops)} crops")
    of_detector = detector_rows(detector_path, images, arguments)
    show(detector_path.stem, "frame", of_detector)
    of_reid = reid_rows(reid_path, crops, arguments.rounds)
    show(reid_path.stem, "crop", of_reid)
    results = {
        "detector": [vars(row) for row in of_detector],
        "reid": [vars(row) for row in of_reid],
    }
    settings = {"threads": torch.get_num_threads(), "rounds": arguments.rounds}
    record.append(arguments.jsonl, "runtimes", settings, results)


if __name__ == "__main__":
    sys.exit(main())
