"""A scene streamed over RTSP to a live run: identities, and delay from camera to event.

Every camera is a server process of its own, and all begin at one moment, as cameras do that are on.
The program connects as any user's would. Rows of its results have times on the cameras' clocks,
from which the frames of the files follow, so they are scored against the same truth as a run over
the files.
"""

import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml

from benchmarks.pipeline import scenes
from benchmarks.pipeline.scenes import ROOT, Scene
from pipeline.errors import PipelineError
from pipeline.live import journal
from pipeline.records import Array

CONNECT_S = 15.0
"""From the start of the program to the first picture: it loads networks, and connects."""
LAST_S = 4.0
"""The program runs so much longer than the scene."""
SERVER = ("-m", "benchmarks.live.rtsp_server")


@dataclass(frozen=True, slots=True)
class Streamed:
    """A live run of a scene.

    Attributes:
        scores: As `scenes.score` returns them.
        delays_s: From the time of a tracklet's first row to the line in events.jsonl that says
            whose it is, of each tracklet, (n,).
        looks_per_s: Pictures of a camera in which somebody was seen, in a second.
    """

    scores: dict[str, float]
    delays_s: Array
    looks_per_s: float


@contextmanager
def served(videos: Sequence[Path], *options: str) -> Iterator[list[str]]:
    """Serve videos, each from a process of its own.

    Args:
        videos: H.264 files.
        options: More arguments of each `rtsp_server`.

    Yields:
        The address of each camera.
    """
    with ExitStack() as servers:
        addresses = []
        for video in videos:
            words = [sys.executable, *SERVER, str(video), "--port", "0", *options]
            server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            servers.callback(server.wait)
            servers.callback(server.kill)
            assert server.stdout is not None
            addresses.append(server.stdout.readline().strip())
        yield addresses


def run(scene: Scene, max_seconds: float, settings: Sequence[str] = ()) -> Streamed:
    """Stream a scene to the program.

    Args:
        scene: With truth of every frame.
        max_seconds: How much of it; 0 for all.
        settings: `--set` of the program.

    Raises:
        PipelineError: The program failed.
    """
    lengths = {video.name: _length(video.path) for video in scene.videos}
    duration_s = max_seconds or max(length.n_frames / length.fps for length in lengths.values())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output = folder / "live"
        starts_at_s = time.time() + CONNECT_S
        videos = [video.path for video in scene.videos]
        options = ("--once", "--starts-at-s", str(starts_at_s))
        with served(videos, *options) as addresses, _Tail(output / journal.EVENTS) as tail:
            config = _write_config(scene, addresses, folder / "site.yaml")
            words = [sys.executable, "run_pipeline.py", "--config", str(config), "--quiet"]
            words += ["--output", str(output)]
            words += ["--max-seconds", str(duration_s + CONNECT_S + LAST_S)]
            for setting in settings:
                words += ["--set", setting]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PipelineError(f"the live run failed: {done.stderr.strip()[-300:]}")
        first_s, n_looks = _first_rows(output)
        delays_s = [
            heard_s - first_s[tracklet]
            for tracklet, heard_s in tail.heard_s.items()
            if tracklet in first_s
        ]
        results = folder / "recorded"
        streamed = {
            name: _Length(min(length.n_frames, round(duration_s * length.fps)), length.fps)
            for name, length in lengths.items()
        }
        _write_as_recorded(output, streamed, starts_at_s, results)
        looks_per_s = n_looks / len(scene.videos) / duration_s
        return Streamed(scenes.score(scene, results), np.array(delays_s), looks_per_s)


@dataclass(frozen=True, slots=True)
class _Length:
    """How long a video is."""

    n_frames: int
    fps: float


def _length(path: Path) -> _Length:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return _Length(stream.frames, float(stream.average_rate or 25))


def _write_config(scene: Scene, addresses: Sequence[str], path: Path) -> Path:
    """Write settings with the cameras of a scene at other addresses, homographies and all."""
    scene.write_config(path)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for camera, address in zip(document["cameras"], addresses, strict=True):
        camera["source"] = address
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


class _Tail:
    """Reads a file of events as it grows.

    Attributes:
        heard_s: When a tracklet was first said to be somebody, seconds since 1970, by its name.
    """

    def __init__(self, path: Path) -> None:
        self.heard_s: dict[str, float] = {}
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tail", daemon=True)

    def __enter__(self) -> "_Tail":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._path.exists() and not self._stop.wait(0.05):
            pass
        with suppress(FileNotFoundError), self._path.open(encoding="utf-8") as file:
            waiting = ""
            while not self._stop.is_set():
                waiting += file.read()
                *lines, waiting = waiting.split("\n")
                for line in lines:
                    self._note(json.loads(line))
                self._stop.wait(0.02)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("tracklet"):
            self.heard_s.setdefault(event["tracklet"], time.time())


def _first_rows(output: Path) -> tuple[dict[str, float], int]:
    """Time of the first row of each track, by the name of its first tracklet; number of looks."""
    first_s: dict[str, float] = {}
    begun: set[tuple[str, int]] = set()
    looks: set[tuple[str, int]] = set()
    for rows in journal.read_rows(journal.row_files(output)):
        looks |= {(rows.camera, frame) for frame in rows.frames}
        if (rows.camera, rows.track_id) not in begun:
            begun.add((rows.camera, rows.track_id))
            name = f"{rows.camera}/{rows.track_id}@{rows.frames[0]}"
            first_s[name] = rows.times_s[0]
    return first_s, len(looks)


def _write_as_recorded(
    output: Path, lengths: dict[str, _Length], starts_at_s: float, folder: Path
) -> None:
    """Write rows of a live run as MOT files with the frame numbers of the videos.

    A `run.json` says how many frames were streamed, so that no others are scored.
    """
    folder.mkdir()
    lines: dict[str, dict[tuple[int, int], str]] = {name: {} for name in lengths}
    with (output / "tracks.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            length = lengths[row["camera"]]
            frame = round((float(row["time_s"]) - starts_at_s) * length.fps)
            if not 0 <= frame < length.n_frames:
                continue
            x1, y1, x2, y2 = (float(row[key]) for key in ("x1", "y1", "x2", "y2"))
            person_id = int(row["person_id"])
            line = f"{frame + 1},{person_id},{x1},{y1},{x2 - x1},{y2 - y1},{row['score']},-1,-1,-1"
            lines[row["camera"]].setdefault((frame, person_id), line)
    for name, in_camera in lines.items():
        text = "".join(f"{line}\n" for _, line in sorted(in_camera.items()))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    cameras = [
        {"camera": name, "n_frames": length.n_frames, "stride": 1}
        for name, length in lengths.items()
    ]
    (folder / "run.json").write_text(json.dumps({"cameras": cameras}), encoding="utf-8")
