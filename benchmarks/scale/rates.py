"""Rates that the model multiplies, measured on scenes: CPU time by stage, tracklets, bytes.

Each scene is measured in a process of its own on one thread, stage after stage, so that CPU time
belongs to one stage and does not depend on what else the machine does. Decoding reads the videos
and nothing else; detection looks at pictures that are in memory; tracking is what following the
cameras takes beyond both. Then the program runs as users run it, and the sizes of its files are
read. Rates of linking are those of `benchmarks.linking`.
"""

import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av

from benchmarks.linking import online, site
from benchmarks.pipeline.scenes import ROOT, Scene
from benchmarks.scale.model import Line, PowerLaw, Rates
from benchmarks.scale.runs import Pair
from pipeline import chunks
from pipeline import config as configuration
from pipeline.api import track_people
from pipeline.config import CameraConfig, Config, LinkingConfig, SourcesConfig
from pipeline.group import Done, Group
from pipeline.preparation import Prepared, prepare
from pipeline.records import Embedded, Frame, Tracklet
from pipeline.result import Result
from pipeline.sources import open_source
from pipeline.sources.looks import RATES_PER_S
from pipeline.timings import Timings
from pipeline.worker import Worker

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
"""Tracklets of a run, for linking."""
WINDOWS_S = (150.0, 300.0, 600.0)
"""`linking.forget_after_s`, for a step of online linking."""
ONLINE_TRACKLETS = 3000
SITE_CAMERAS = site.N_COLUMNS * site.N_ROWS + site.N_HALLS
"""Of the simulated day."""
N_PICTURES = 40
"""Pictures that the detector looks at again, so that its time is known without that of decoding."""
KINDS = {
    "rows": ("tracks.csv", "trajectories.json", "mot"),
    "tracklets": ("tracklets.npz", "links.json"),
    "crops": ("crops.zip",),
}
"""Files of the results, by kind; without `report.html`, which is for looking at hours, not days."""
FULL_HD = (1920, 1080)
FULL_HD_FPS = 25
N_FULL_HD = 100
"""Frames that are decoded."""


@dataclass(frozen=True, slots=True)
class SceneRates:
    """What was measured on one scene; see `model.Rates`.

    Attributes:
        scene: Its name.
        cameras: How many.
        fps: Frames a second of a camera.
        size: Width and height, px.
        video_s: Of a camera.
        looks_per_s: Of a camera.
        tracklets: Of all cameras.
        rows_per_tracklet: Boxes.
    """

    scene: str
    cameras: int
    fps: float
    size: tuple[int, int]
    video_s: float
    looks_per_s: float
    decode_ms: float
    detect_ms: float
    track_ms: float
    embed_ms: float
    tracklets: int
    tracklets_per_min: float
    crops_per_tracklet: float
    rows_per_tracklet: float
    kept_bytes: float
    stored_bytes: Mapping[str, float]
    video_ms: float
    video_bytes_per_s: float

    def as_json(self) -> dict[str, Any]:
        """Return all values by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured beside runs, as JSON holds it.

    Attributes:
        of_scenes: `SceneRates` of each scene.
        sent: As `sent` returns it, of the first scene.
        full_hd_ms: As `full_hd` returns it.
        linked: As `linked` returns them.
        stepped: As `stepped` returns them.
    """

    of_scenes: Sequence[Mapping[str, Any]]
    sent: Mapping[str, float]
    full_hd_ms: float
    linked: Sequence[Mapping[str, float]]
    stepped: Sequence[Mapping[str, float]]


def measure_apart(folder: Path, max_seconds: float) -> dict[str, Any]:
    """Measure a scene in a process of its own; see `measure`.

    Args:
        folder: Of the scene.
        max_seconds: Of each video; 0 for all.

    Returns:
        `SceneRates` as values that JSON can hold.
    """
    words = [sys.executable, "-m", "benchmarks.scale", "--one", str(folder)]
    words += ["--rate-seconds", str(max_seconds)]
    done = subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    *_, last = done.stdout.splitlines()  # after the notes of runs
    found: dict[str, Any] = json.loads(last)
    print(f"{found['scene']}: measured", file=sys.stderr, flush=True)
    return found


def measure(scene: Scene, max_seconds: float) -> SceneRates:
    """Measure a scene in this process.

    Args:
        scene: Cameras.
        max_seconds: Of each video; 0 for all.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene.write_config(folder / "scene.yaml")
        settings = [f"sources.max_seconds={max_seconds}"]
        config = configuration.load(str(folder / "scene.yaml"), settings)

        decoding = prepare(config, folder / "unused", overwrite=True)
        decode_s, n_frames, pictures = _decode(decoding)
        detect_s = _detect(decoding, pictures)

        following = prepare(config, folder / "unused", overwrite=True)
        timings = Timings()
        follow_s, tracklets = _follow(following, timings)
        n_looks = timings.counts["detect"]
        embed_s, embedded = _embed(following, tracklets)
        n_crops = sum(len(tracklet.crops) for tracklet in tracklets)
        track_s = follow_s - decode_s - n_looks * detect_s

        without_s, _ = _run(config, folder / "without", with_video=False)
        with_s, result = _run(config, folder / "results", with_video=True)
        n_tracklets = len(tracklets)
        stored = {}
        for kind, names in KINDS.items():
            n_bytes = sum(_size(folder / "results" / each) for each in names)
            stored[kind] = n_bytes / n_tracklets
        videos = sum(_size(path) for path in (folder / "results").glob("*.mp4"))
        first = result.cameras[0]
        camera_s = n_frames / first.fps
        return SceneRates(
            scene=scene.name,
            cameras=len(scene.videos),
            fps=first.fps,
            size=(first.width, first.height),
            video_s=camera_s / len(scene.videos),
            looks_per_s=n_looks / camera_s,
            decode_ms=1000 * decode_s / n_frames,
            detect_ms=1000 * detect_s,
            track_ms=1000 * track_s / n_looks,
            embed_ms=1000 * embed_s / n_crops,
            tracklets=n_tracklets,
            tracklets_per_min=60 * n_tracklets / camera_s,
            crops_per_tracklet=n_crops / n_tracklets,
            rows_per_tracklet=sum(len(each.frames) for each in tracklets) / n_tracklets,
            kept_bytes=len(pickle.dumps(embedded, protocol=5)) / n_tracklets,
            stored_bytes=stored,
            video_ms=1000 * (with_s - without_s) / n_frames,
            video_bytes_per_s=videos / camera_s,
        )


def _decode(prepared: Prepared) -> tuple[float, int, list[Frame]]:
    """CPU seconds to read all cameras, how many frames, and some of their pictures."""
    n_frames = 0
    pictures: list[Frame] = []
    before_s = time.process_time()
    for source in prepared.sources:
        for frame in source:
            n_frames += 1
            if frame.has_image and len(pictures) < N_PICTURES:
                pictures.append(frame)
    return time.process_time() - before_s, n_frames, pictures


def _detect(prepared: Prepared, pictures: Sequence[Frame]) -> float:
    """CPU seconds a picture; each camera is in a batch once, as in a run."""
    n_cameras = len(prepared.sources)
    prepared.detector.detect(list(pictures[:n_cameras]))  # the first batch prepares the network
    before_s = time.process_time()
    for start in range(0, len(pictures), n_cameras):
        prepared.detector.detect(list(pictures[start : start + n_cameras]))
    return (time.process_time() - before_s) / len(pictures)


def _follow(prepared: Prepared, timings: Timings) -> tuple[float, list[Tracklet]]:
    """CPU seconds to read, detect, track and gather, and the tracklets."""
    worker = Worker(prepared.sources, prepared.detector, prepared.config, timings)
    tracklets: list[Tracklet] = []
    before_s = time.process_time()
    for closed in worker.run(threading.Event(), lambda _: None):
        tracklets += closed
    return time.process_time() - before_s, tracklets


def _embed(prepared: Prepared, tracklets: Sequence[Tracklet]) -> tuple[float, list[Embedded]]:
    """CPU seconds to embed tracklets, and the tracklets with their embeddings."""
    prepared.embedder.embed(tracklets[:1])  # the first batch prepares the network
    embedded: list[Embedded] = []
    before_s = time.process_time()
    for start in range(0, len(tracklets), 4):
        embedded += prepared.embedder.embed(tracklets[start : start + 4])
    return time.process_time() - before_s, embedded


def _run(config: Config, output: Path, with_video: bool) -> tuple[float, Result]:
    """CPU seconds of a whole run, and its result."""
    before_s = time.process_time()
    settings = {"output.video": with_video}
    result = track_people(config=config, output=output, settings=settings)
    return time.process_time() - before_s, result


def sent(scene: Scene, max_seconds: float) -> dict[str, float]:
    """Return what a worker sends, by kind, bytes of a camera and second of video.

    Args:
        scene: Its cameras are read as a worker reads its own.
        max_seconds: Of each video; 0 for all.
    """
    sizes = dict.fromkeys(("all", "tracklets", "boxes", "pictures"), 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene.write_config(folder / "scene.yaml")
        settings = [f"sources.max_seconds={max_seconds}", "engine=ray"]
        config = configuration.load(str(folder / "scene.yaml"), settings)
        prepared = prepare(config, folder / "unused", overwrite=True)
        group = Group(prepared.sources, prepared.detector, prepared.embedder, config, Done())
        n_frames: dict[str, int] = {}
        for chunk in group.chunks(threading.Event(), lambda _: None):
            n_frames |= chunk.n_frames
            size = len(chunks.to_bytes(chunk))
            blind_ends = [replace(end, still=b"") for end in chunk.ends]
            blind = replace(chunk, crops=[], ends=blind_ends)
            sizes["all"] += size
            sizes["pictures"] += size - len(chunks.to_bytes(blind))
            sizes["boxes"] += size - len(chunks.to_bytes(replace(chunk, found=[])))
            sizes["tracklets"] += size - len(chunks.to_bytes(replace(chunk, tracklets=[])))
    video_s = sum(n / prepared.cameras[name].fps for name, n in n_frames.items())
    return {kind: size / video_s for kind, size in sizes.items()}


def full_hd(video: Path) -> float:
    """Return the CPU time to decode a frame of 1920x1080, ms.

    Args:
        video: Its pictures are made larger, encoded in H.264 at 25 frames a second, and read as a
            run reads them.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "full_hd.mp4"
        with av.open(str(video)) as source, av.open(str(path), "w") as target:
            encoded = target.add_stream("libx264", rate=FULL_HD_FPS)
            encoded.width, encoded.height = FULL_HD
            encoded.pix_fmt = "yuv420p"
            for picture in islice(source.decode(video=0), N_FULL_HD):
                large = picture.reformat(*FULL_HD, format="yuv420p")
                large.pts = None
                target.mux(encoded.encode(large))
            target.mux(encoded.encode())
        camera = CameraConfig(source=str(path), name="full_hd")
        before_s = time.process_time()
        n_frames = sum(1 for _ in open_source(camera, SourcesConfig(), RATES_PER_S[0]))
        return 1000 * (time.process_time() - before_s) / n_frames


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size if path.is_file() else 0


def linked(sizes: Sequence[int]) -> list[dict[str, float]]:
    """Measure linking by tracklets, each size in a process of its own.

    Args:
        sizes: Numbers of tracklets.

    Returns:
        A row a size, as `benchmarks.linking` measures it.
    """
    rows = []
    for size in sizes:
        words = [sys.executable, "-m", "benchmarks.linking", "--one", str(size)]
        done = subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE)
        rows.append(json.loads(done.stdout))
        print(f"linking, {size} tracklets: {rows[-1]['cpu_s']:.1f} s", file=sys.stderr)
    return rows


def stepped(n_tracklets: int) -> list[dict[str, float]]:
    """Measure a step of online linking by how many tracklets it looks at.

    Args:
        n_tracklets: Of the simulated day of 100 cameras.

    Returns:
        `step_ms` and `looked_at` of the last hour for each window, and `window_s`.
    """
    rows = []
    for window_s in WINDOWS_S:
        *_, last = online.day(n_tracklets, LinkingConfig(forget_after_s=window_s))
        rows.append({**last, "window_s": window_s})
        print(f"online, {window_s:g} s: {last['step_ms']:.0f} ms a step", file=sys.stderr)
    return rows


def combined(pairs: Sequence[Pair], measured: Measured) -> Rates:
    """Put together what was measured: means over the scenes, and lines through the runs.

    Args:
        pairs: Runs, the engine local first.
        measured: All else.
    """
    of_scenes = measured.of_scenes
    mean = partial(_mean, of_scenes)
    on_ray = [pair for pair in pairs if pair.long.workers]
    per_worker = []
    worker_mib = []
    for pair in on_ray:
        for mib in pair.long.worker_mib:
            per_worker.append(pair.long.cameras / pair.long.workers)
            worker_mib.append(mib)
    memory = Line.through(per_worker, worker_mib)
    sizes = [row["n"] for row in measured.linked]
    looked_at = [row["looked_at"] for row in measured.stepped]
    default_s = LinkingConfig().forget_after_s
    usual = next(row for row in measured.stepped if row["window_s"] == default_s)
    return Rates(
        decode_ms_per_s=statistics.mean(each["fps"] * each["decode_ms"] for each in of_scenes),
        full_hd_ms_per_s=FULL_HD_FPS * measured.full_hd_ms,
        video_ms_per_s=statistics.mean(each["fps"] * each["video_ms"] for each in of_scenes),
        detect_ms=mean("detect_ms"),
        track_ms=mean("track_ms"),
        embed_ms=mean("embed_ms"),
        looks_per_s=mean("looks_per_s"),
        tracklets_per_min=mean("tracklets_per_min"),
        crops_per_tracklet=mean("crops_per_tracklet"),
        kept_bytes=mean("kept_bytes"),
        stored_bytes={
            kind: statistics.mean(each["stored_bytes"][kind] for each in of_scenes)
            for kind in KINDS
        },
        video_bytes_per_s=mean("video_bytes_per_s"),
        sent_bytes_per_s=measured.sent["all"],
        driver_ms_per_s=statistics.mean(pair.ms_a_video_second("command_s") for pair in on_ray),
        ray_cores_per_node=statistics.mean(
            pair.long.idle_cores / (pair.long.workers + 1) for pair in on_ray
        ),
        ray_mib_per_node=statistics.mean(
            pair.long.ray_mib / (pair.long.workers + 1) for pair in on_ray
        ),
        worker_mib=memory.base,
        camera_mib=memory.slope,
        link_s=PowerLaw.through(sizes, [row["cpu_s"] for row in measured.linked]),
        link_mib=Line.through(sizes, [row["peak_mib"] for row in measured.linked]),
        step_s=PowerLaw.through(looked_at, [row["step_ms"] / 1000 for row in measured.stepped]),
        looked_at_per_camera=usual["looked_at"] / SITE_CAMERAS,
    )


def _mean(of_scenes: Sequence[Mapping[str, Any]], what: str) -> float:
    return float(statistics.mean(each[what] for each in of_scenes))
