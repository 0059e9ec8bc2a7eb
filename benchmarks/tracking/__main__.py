"""Our tracker against others, all fed the same boxes.

    python -m benchmarks.tracking --data DIR [--only NAME ...] [--jsonl FILE]
                                  [--parts accuracy ablation rates density week] [--days N]

Accuracy: HOTA, IDF1, MOTA and switches over all sequences of a set (MOT17 with DETR's boxes, MOT17
with simulated boxes, MOT15 with public boxes), and the updates a second while doing so. Ablation:
ours with one idea off, or another on. Rates: HOTA when only every second, third or sixth frame is
there, or a random half. Density: updates a second at 20, 100, 200 and 500 boxes a frame. Week: time
and memory of ours on one busy camera, day by day. Only the update calls are timed, on one thread.
Peers and how to install them: `benchmarks/requirements-peers.txt`.
"""

import os

os.environ.update(
    OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"
)  # before numpy

import argparse
import configparser
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import record
from benchmarks.tracking import peers
from benchmarks.tracking.crowd import FPS, Crowd
from benchmarks.tracking.peers import Make, Update
from models import command
from pipeline import mot
from pipeline.config import TrackerConfig
from pipeline.detect.mot_file import by_frame
from pipeline.errors import PipelineError
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.boxes import Rows, Scene, Truth
from pipeline.records import NO_DETECTIONS, Array, Detections
from pipeline.tracking.tracker import Tracker

SETS = {
    "MOT17, DETR boxes": ("MOT17-*", "det.txt"),
    "MOT17, simulated boxes": ("MOT17-*", "det_sim.txt"),
    "MOT15": ("MOT15-*", "det.txt"),
}
PARTS = ("accuracy", "ablation", "rates", "density", "week")
ON_RECORDINGS = {"accuracy", "ablation", "rates"}
STEPS = (1, 2, 3, 6)
ABLATION: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, scores not calibrated": {"calibrate_scores": False},
    "ours, heights not compared": {"compare_heights": False},
    "ours, boxes as detected": {"smoothing": 0.0},
    "ours, sizes as sure as places": {"size_noise_ratio": 1.0, "size_acceleration_ratio": 1.0},
    "ours, parts of people start tracks": {"part_share": 1.0},
    "ours, duplicate boxes kept": {"duplicate_iou": 1.0},
    "ours, confirmed at once": {"confirm_s": 0.0},
    "ours, lost after 0.5 s": {"max_lost_s": 0.5},
}
"""Settings that switch one idea off, or another one on."""
DENSITIES = (20, 100, 200, 500)
WEEK_FPS = 2.0
WEEK_PEOPLE = 8
DAY_S = 86_400
WARM_UP = 20
"""Updates that fill a tracker."""
METRICS = ("HOTA", "IDF1", "MOTA", "IDSW")
ID_STEP = 1_000_000
"""Ids of different sequences are different ids."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One MOT sequence: truth and detections by frame.

    fps: frames a second, on average where some are missing.
    """

    name: str
    fps: float
    truth: Truth
    frames: dict[int, Detections]

    def only(self, kept: Array) -> "Recording":
        """The same with these frames (n,) alone."""
        fps = self.fps * len(kept) / len(self.frames)
        frames = {i: self.frames[i] for i in kept.tolist()}
        return Recording(self.name, fps, boxes.only(self.truth, kept), frames)


def read(folder: Path, detections: str) -> Recording:
    """Read a MOT sequence.

    Args:
        folder: Holds gt.txt, seqinfo.ini and the detections.
        detections: Name of the file of detections.

    Returns:
        The recording, with every frame of the sequence.

    Raises:
        PipelineError: A file cannot be read.
    """
    info = configparser.ConfigParser()
    info.read(folder / "seqinfo.ini")
    sequence = info["Sequence"]
    found = by_frame(folder / detections, 0.0)
    n_frames = int(sequence["seqLength"])
    frames = {i: found.get(i, NO_DETECTIONS) for i in range(n_frames)}
    truth = boxes.truth(mot.read(folder / "gt.txt"), 0.0)
    return Recording(folder.name, float(sequence["frameRate"]), truth, frames)


def thinned(recording: Recording, step: int) -> Recording:
    """Leave every `step`-th frame; 0: a random half."""
    frames = np.array(sorted(recording.frames))
    if step:
        return recording.only(frames[::step])
    chance = np.random.default_rng(0).random(len(frames))
    return recording.only(frames[chance < 0.5])


def drive(update: Update, recording: Recording, fps: float) -> tuple[Rows, float]:
    """Run a tracker over a recording.

    Args:
        update: A fresh tracker.
        recording: Its frames may be thinned.
        fps: The rate at which frames are numbered.

    Returns:
        The tracker's rows, and the seconds that its updates took.
    """
    rows: list[tuple[Array, Array, Array]] = []
    seconds = 0.0
    for i, found in recording.frames.items():
        start = time.perf_counter()
        rows.append(update(found.boxes, found.scores, i / fps, i))
        seconds += time.perf_counter() - start
    frames = np.concatenate([frames for frames, _, _ in rows]).astype(np.int64)
    ids = np.concatenate([ids for _, ids, _ in rows]).astype(np.int64)
    corners = np.concatenate([corners for _, _, corners in rows]).astype(np.float32)
    return Rows(frames, corners, ids, ids, ids), seconds


def accuracy(make: Make, recordings: Sequence[Recording], step: int = 1) -> dict[str, float]:
    """Score a tracker over all sequences together.

    Args:
        make: Makes a fresh tracker for a frame rate.
        recordings: The sequences.
        step: As in `thinned`.

    Returns:
        `METRICS`, and updates a second ("updates_s").
    """
    scenes: list[Scene] = []
    n_frames = 0
    seconds = 0.0
    for number, whole in enumerate(recordings):
        recording = thinned(whole, step)
        rows, took_s = drive(make(recording.fps), recording, whole.fps)
        n_frames += len(recording.frames)
        seconds += took_s
        first_id = number * ID_STEP
        truth = recording.truth
        apart_truth = replace(truth, rows=_with_ids_from(truth.rows, first_id))
        apart_rows = _with_ids_from(rows, first_id)
        scenes.append(boxes.match_frames(recording.name, apart_rows, apart_truth))
    labels = [scene.results.ids for scene in scenes]
    found = scores.together(scenes, labels)
    measured = {metric: found[metric] for metric in METRICS}
    return {**measured, "updates_s": n_frames / seconds}


def _with_ids_from(rows: Rows, first_id: int) -> Rows:
    return replace(rows, ids=rows.ids + first_id)


def speed(make: Make, n_boxes: int, seconds: float = 3.0) -> float:
    """Measure updates a second at a density, after a warm-up that fills the tracker.

    Args:
        make: Makes a fresh tracker for a frame rate.
        n_boxes: Boxes a frame.
        seconds: How long to measure; at most 3000 updates.

    Returns:
        Updates a second.
    """
    crowd = Crowd(n_boxes, 1920, 1080, np.random.default_rng(0))
    update = make(FPS)
    spent_s = 0.0
    n_measured = 0
    frame = 0
    while spent_s < seconds and n_measured < 3000:
        found = crowd.step()
        started_s = time.perf_counter()
        update(found.boxes, found.scores, frame / FPS, frame)
        took_s = time.perf_counter() - started_s
        if frame >= WARM_UP:
            spent_s += took_s
            n_measured += 1
        frame += 1
    return n_measured / spent_s


def ablation(recordings: Sequence[Recording]) -> dict[str, dict[str, float]]:
    """Scores of our tracker with each of `ABLATION`, and of the rows that a screen could show."""
    found = {"ours, as a screen shows it": accuracy(peers.ours(live=True), recordings)}
    for name, settings in ABLATION.items():
        found[name] = accuracy(peers.ours(TrackerConfig(**settings)), recordings)
    return found


def week(days: int) -> list[dict[str, float]]:
    """Let our tracker look at one busy camera for days.

    Args:
        days: How many.

    Returns:
        For each day: microseconds an update, live tracks, ids so far, MiB in use.
    """
    crowd = Crowd(WEEK_PEOPLE, 1920, 1080, np.random.default_rng(0))
    tracker = Tracker(TrackerConfig())
    n_a_day = round(DAY_S * WEEK_FPS)
    found = []
    newest = 0
    for day in range(days):
        spent_s = 0.0
        for frame in range(day * n_a_day, (day + 1) * n_a_day):
            detections = crowd.step()
            started_s = time.perf_counter()
            tracks = tracker.update(detections, frame / WEEK_FPS, frame)
            spent_s += time.perf_counter() - started_s
            newest = max(newest, int(tracks.track_ids.max(initial=0)))
        row = {
            "day": day + 1,
            "us": 1e6 * spent_s / n_a_day,
            "live": len(tracker),
            "ids": newest,
            "mib": _mib_in_use(),
        }
        found.append(row)
        print("".join(f"{value:>12,.0f}" for value in row.values()), flush=True)
    return found


def _mib_in_use() -> float:
    """Resident memory of this process."""
    fields = Path("/proc/self/statm").read_text().split()
    n_pages = int(fields[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="MOT sequences with gt.txt, det.txt, seqinfo.ini; for accuracy, ablation and rates",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these trackers")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-1])
    parser.add_argument(
        "--days", type=int, default=7, help="of the part `week`, which takes minutes a day"
    )
    arguments = parser.parse_args()
    if ON_RECORDINGS & {*arguments.parts} and arguments.data is None:
        parser.error("--data DIR is needed, or --parts density week")
    return arguments


def main() -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(), PipelineError)


def _run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    found, missing = peers.installed()
    chosen = {
        name: make for name, make in found.items() if not arguments.only or name in arguments.only
    }
    results: dict[str, Any] = {}
    if ON_RECORDINGS & {*arguments.parts}:
        for title, (pattern, detections) in SETS.items():
            recordings = _recordings(arguments.data, pattern, detections)
            if not recordings:
                print(f"{title}: skipped, no {pattern}/{detections} in {arguments.data}")
                continue
            results |= _on_recordings(title, recordings, chosen, arguments.parts)
    if "density" in arguments.parts:
        results["density"] = _densities(chosen)
    if "week" in arguments.parts:
        print(f"\none camera, {WEEK_PEOPLE} people, {WEEK_FPS:g} frames/s")
        head = ("day", "us/update", "live tracks", "ids so far", "MiB")
        print("".join(f"{name:>12}" for name in head))
        results["week"] = week(arguments.days)
    for name, why in missing.items():
        print(f"skipped: {name} ({why})")
    record.append(arguments.jsonl, "trackers", {"data": str(arguments.data)}, results)


def _recordings(data: Path, pattern: str, detections: str) -> list[Recording]:
    """The sequences of a set that have these detections."""
    folders = sorted(data.glob(pattern))
    return [read(folder, detections) for folder in folders if (folder / detections).is_file()]


def _on_recordings(
    title: str, recordings: Sequence[Recording], chosen: dict[str, Make], parts: Sequence[str]
) -> dict[str, Any]:
    """Print the parts that take sequences; returns their results by title."""
    print(f"\n{title}: {', '.join(recording.name for recording in recordings)}")
    results: dict[str, Any] = {}
    if "accuracy" in parts:
        by_tracker = {name: accuracy(make, recordings) for name, make in chosen.items()}
        results[title] = _scored(by_tracker)
    if "ablation" in parts:
        results[f"{title}, ablation"] = _scored(ablation(recordings))
    if "rates" in parts:
        results[f"{title}, rates"] = _rates(chosen, recordings)
    return results


def _scored(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Print scores; returns them."""
    print(f"{'':<42}{'HOTA':>7}{'IDF1':>7}{'MOTA':>7}{'IDSW':>7}{'updates/s':>11}")
    for name, row in results.items():
        percent = "".join(f"{100 * row[m]:>7.1f}" for m in ("HOTA", "IDF1", "MOTA"))
        print(f"{name:<42}{percent}{row['IDSW']:>7.0f}{row['updates_s']:>11,.0f}", flush=True)
    return results


def _rates(chosen: dict[str, Make], recordings: Sequence[Recording]) -> dict[str, dict[str, float]]:
    """Print HOTA at lower frame rates; returns it, by step."""
    titles = {step: f"1 of {step}" if step > 1 else "all frames" for step in STEPS}
    titles[0] = "random half"
    print(f"{'HOTA of':<42}" + "".join(f"{title:>13}" for title in titles.values()))
    results = {}
    for name, make in chosen.items():
        row = {}
        for step, title in titles.items():
            row[title] = accuracy(make, recordings, step)["HOTA"]
        results[name] = row
        cells = [f"{100 * hota:>13.1f}" for hota in row.values()]
        print(f"{name:<42}{''.join(cells)}", flush=True)
    return results


def _densities(chosen: dict[str, Make]) -> dict[str, dict[str, float]]:
    """Print updates a second; returns them."""
    head = "".join(f"{n:>9}" for n in DENSITIES)
    print(f"\nupdates/s at boxes a frame\n{'':<42}{head}", flush=True)
    results = {}
    for name, make in chosen.items():
        row = {str(n): speed(make, n) for n in DENSITIES}
        results[name] = row
        cells = "".join(f"{value:>9,.0f}" for value in row.values())
        print(f"{name:<42}{cells}", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
