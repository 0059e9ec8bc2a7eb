"""Scenes of the benchmark: videos of cameras, with their homographies and truth where known."""

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from models.errors import InputError
from pipeline import mot
from pipeline.evaluate import __main__ as evaluation
from pipeline.evaluate.scores import Scores
from pipeline.records import Array

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DEFAULT = (
    ROOT / "samples" / "plaza",
    DATA / "worlds" / "mall",
    DATA / "multicam" / "terrace1",
    DATA / "clips" / "towncentre_a",
)
"""Those that are not there are left out, but for the first."""
VIDEOS = (".mp4", ".avi", ".mkv")
SCORES = ("idf1", "local_idf1", "unlinked_idf1")


class Video(NamedTuple):
    """A camera: its name, its file, and 3 x 3 image pixels to floor metres ([] if not known)."""

    name: str
    path: Path
    homography: list[list[float]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Cameras that are processed together. truth: folder of MOTChallenge files; None for none."""

    name: str
    videos: tuple[Video, ...]
    truth: Path | None

    def write_config(self, path: Path) -> None:
        """Write the settings file that every system is given.

        Args:
            path: The YAML file.
        """
        cameras = []
        for video in self.videos:
            camera: dict[str, Any] = {"name": video.name, "source": str(video.path)}
            if video.homography:
                camera["homography"] = video.homography
            cameras.append(camera)
        path.write_text(yaml.safe_dump({"cameras": cameras}), encoding="utf-8")


def load(folder: Path) -> Scene:
    """Read which cameras a scene has.

    Args:
        folder: Videos; `cameras.json` with names and homographies, and `truth/`, are optional.

    Raises:
        InputError: There is no video.
    """
    about = folder / "cameras.json"
    videos: list[Video] = []
    if about.is_file():
        for listed in json.loads(about.read_text(encoding="utf-8"))["cameras"]:
            path = (folder / f"{listed['name']}.mp4").resolve()
            videos.append(Video(listed["name"], path, listed["H_image_to_ground"]))
    elif folder.is_dir():
        paths = sorted(path for path in folder.iterdir() if path.suffix in VIDEOS)
        videos = [Video(path.stem, path.resolve(), []) for path in paths]
    if not videos:
        raise InputError(f"{folder}: no videos here; give a folder with one per camera")
    truth = folder / "truth"
    return Scene(folder.name, tuple(videos), truth if truth.is_dir() else None)


def repeated(scene: Scene, n_cameras: int) -> Scene:
    """Return a scene whose cameras all show the first video of another scene.

    Args:
        scene: The other scene.
        n_cameras: How many cameras.
    """
    path = scene.videos[0].path
    videos = [Video(f"camera{i + 1}", path, []) for i in range(n_cameras)]
    return Scene(f"{n_cameras} x {scene.name}", tuple(videos), None)


def labelled_frames(tables: Sequence[Array]) -> range | None:
    """Tell which frames were labelled, where only every n-th one was.

    Args:
        tables: Truth of each camera, as `mot.read` returns it.

    Returns:
        Frames from 0, up to the last one with a row; None when every frame was labelled.
    """
    frames = np.unique(np.concatenate([table[:, 0] for table in tables])).astype(np.int64) - 1
    if len(frames) < 2:
        return None
    step = int(np.gcd.reduce(np.diff(frames)))
    if step == 1:
        return None
    last = int(frames[-1])
    return range(last % step, last + 1, step)


def score(scene: Scene, results: Path) -> dict[str, float]:
    """Score results as `python -m pipeline.evaluate` does, on the labelled frames.

    Args:
        scene: The scene.
        results: Output folder of a run, or a folder of MOT files with a `run.json`.

    Returns:
        0..1, nan without truth: "idf1" of all cameras in one id space; "local_idf1", the mean of
        IDF1 in each camera; "unlinked_idf1", as the first, when every track keeps an id of its own.

    Raises:
        PipelineError: Results and truth cannot be compared.
    """
    if scene.truth is None:
        return dict.fromkeys(SCORES, math.nan)
    labelled = labelled_frames([mot.read(path) for path in sorted(scene.truth.glob("*.txt"))])
    if labelled is None:
        report, _ = evaluation.evaluate(results, scene.truth)
    else:
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder)
            _keep_frames(results, kept, labelled)
            report, _ = evaluation.evaluate(kept, scene.truth)
    in_cameras = [_idf1(scores) for scores in report.cameras.values()]
    return {
        "idf1": _idf1(report.together["ours"]),
        "local_idf1": float(np.mean(in_cameras)),
        "unlinked_idf1": _idf1(report.together["local ids only"]),
    }


def _idf1(scores: Scores) -> float:
    return scores["IDF1"]


def _keep_frames(results: Path, kept: Path, frames: range) -> None:
    """Copy results without the rows of other frames, which would count as false positives."""
    shutil.copy(results / "run.json", kept)
    table = results / "tracks.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            rows = [row for row in reader if int(row["frame"]) in frames]
        with (kept / table.name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        return
    for path in results.glob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        in_frames = [line for line in lines if int(line.split(",")[0]) - 1 in frames]
        (kept / path.name).write_text("".join(in_frames), encoding="utf-8")
