"""Our tracker against others, all fed the same boxes.

    python -m benchmarks.trackers [--data ../shared/data/mot] [--only NAME ...] [--parts accuracy density] [--jsonl FILE]

Accuracy: HOTA, IDF1, MOTA and switches over all sequences of a set (MOT17 with DETR's boxes, MOT17 with simulated boxes, MOT15
with public boxes), and the updates a second while doing so. Density: updates a second at 20, 100, 200 and 500 boxes a frame.
Only the update calls are timed, on one thread. Peers and how to install them: `benchmarks/requirements-peers.txt`.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy

import argparse
import configparser
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import peers, record
from benchmarks.crowd import Crowd
from benchmarks.peers import Make, Update
from pipeline import mot
from pipeline.detect.mot_file import by_frame
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.boxes import Rows, Scene, Truth
from pipeline.records import NO_DETECTIONS, Detections

SETS = {
    "MOT17, DETR boxes": ("MOT17-*", "det.txt"),
    "MOT17, simulated boxes": ("MOT17-*", "det_sim.txt"),
    "MOT15": ("MOT15-*", "det.txt"),
}
DENSITIES = (20, 100, 200, 500)
METRICS = ("HOTA", "IDF1", "MOTA", "IDSW")
ID_STEP = 1_000_000
"""Ids of different sequences are different ids."""


class Sequence:
    """One MOT sequence: truth, detections by frame, frame rate."""

    def __init__(self, folder: Path, detections: str) -> None:
        info = configparser.ConfigParser()
        info.read(folder / "seqinfo.ini")
        self.name, self.fps = folder.name, float(info["Sequence"]["frameRate"])
        self.truth: Truth = boxes.truth(mot.read(folder / "gt.txt"), 0.0)
        found = by_frame(folder / detections, 0.0)
        length = int(info["Sequence"]["seqLength"])
        self.frames = [found.get(i, NO_DETECTIONS) for i in range(length)]


def drive(update: Update, frames: list[Detections]) -> tuple[Rows, float]:
    """Run a tracker over frames; returns its rows and the seconds its updates took."""
    rows: list[tuple[int, np.ndarray, np.ndarray]] = []
    seconds = 0.0
    for i, found in enumerate(frames):
        start = time.perf_counter()
        ids, at = update(found.boxes, found.scores)
        seconds += time.perf_counter() - start
        rows.append((i, ids, at))
    ids = np.concatenate([r[1] for r in rows]).astype(np.int64)
    at = np.concatenate([r[2] for r in rows]).astype(np.float32)
    return Rows(np.repeat([r[0] for r in rows], [len(r[1]) for r in rows]), at, ids, ids, ids), seconds


def accuracy(make: Make, sequences: list[Sequence]) -> dict[str, float]:
    """Scores over all sequences together, and updates a second."""
    scenes: list[Scene] = []
    n_frames, seconds = 0, 0.0
    for number, sequence in enumerate(sequences):
        rows, took = drive(make(sequence.fps), sequence.frames)
        n_frames, seconds = n_frames + len(sequence.frames), seconds + took
        mine = sequence.truth.rows
        truth = replace(sequence.truth, rows=replace(mine, ids=mine.ids + number * ID_STEP))
        scenes.append(boxes.meet(sequence.name, replace(rows, ids=rows.ids + number * ID_STEP), truth))
    found = scores.together(scenes, [scene.results.ids for scene in scenes])
    return {**{m: found[m] for m in METRICS}, "updates_s": n_frames / seconds}


def speed(make: Make, n_boxes: int, seconds: float = 3.0) -> float:
    """Updates a second at a density, after a warm-up that fills the tracker."""
    crowd, update = Crowd(n_boxes, 1920, 1080, np.random.default_rng(0)), make(25.0)
    for _ in range(20):
        found = crowd.step()
        update(found.boxes, found.scores)
    spent, n = 0.0, 0
    while spent < seconds and n < 3000:
        found = crowd.step()
        start = time.perf_counter()
        update(found.boxes, found.scores)
        spent, n = spent + time.perf_counter() - start, n + 1
    return n / spent


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/mot"), help="folders with gt.txt, det.txt, seqinfo.ini"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these trackers")
    parser.add_argument("--parts", nargs="+", choices=("accuracy", "density"), default=["accuracy", "density"])
    parser.add_argument("--jsonl", type=Path, help="append the results as one JSON line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found, missing = peers.installed()
    chosen = {name: make for name, make in found.items() if not arguments.only or name in arguments.only}
    results: dict[str, dict[str, dict[str, float]]] = {}
    for title, (pattern, detections) in SETS.items() if "accuracy" in arguments.parts else ():
        sequences = [
            Sequence(folder, detections) for folder in sorted(arguments.data.glob(pattern)) if (folder / detections).is_file()
        ]
        if not sequences:
            print(f"{title}: skipped, no {pattern}/{detections} in {arguments.data}")
            continue
        print(f"\n{title}: {', '.join(s.name for s in sequences)}")
        print(f"{'':<24}{'HOTA':>7}{'IDF1':>7}{'MOTA':>7}{'IDSW':>7}{'updates/s':>11}", flush=True)
        results[title] = {name: accuracy(make, sequences) for name, make in chosen.items()}
        for name, row in results[title].items():
            percent = "".join(f"{100 * row[m]:>7.1f}" for m in ("HOTA", "IDF1", "MOTA"))
            print(f"{name:<24}{percent}{row['IDSW']:>7.0f}{row['updates_s']:>11,.0f}", flush=True)
    if "density" in arguments.parts:
        print(f"\nupdates/s at boxes a frame\n{'':<24}" + "".join(f"{n:>9}" for n in DENSITIES), flush=True)
        results["density"] = {}
        for name, make in chosen.items():
            row = {str(n): speed(make, n) for n in DENSITIES}
            results["density"][name] = row
            print(f"{name:<24}" + "".join(f"{v:>9,.0f}" for v in row.values()), flush=True)
    for name, why in missing.items():
        print(f"skipped: {name} ({why})")
    record.append(arguments.jsonl, "trackers", {"data": str(arguments.data)}, results)


if __name__ == "__main__":
    main()
