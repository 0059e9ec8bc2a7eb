"""One run, from sources to results, in the order of the flow: read, detect, track, gather, embed,
link, write.

Ctrl-C once stops reading, and everything up to there is linked, written and drawn; twice also stops
drawing; three times is the system's own interrupt.
"""

import math
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType

import tqdm

from models import device as devices
from models import settings, weights
from pipeline import config as configuration
from pipeline import embed, fill
from pipeline.config import Config, SourcesConfig
from pipeline.detect import detector
from pipeline.embed import Embedder
from pipeline.errors import ConfigError
from pipeline.linking import priors
from pipeline.linking.clustering import corrections
from pipeline.online import events
from pipeline.online.linker import engine_of
from pipeline.online.runner import OnlineRunner
from pipeline.outputs import links, manifest, mosaic, trajectories, video
from pipeline.outputs.folder import OutputFolder
from pipeline.records import Camera, Embedded, Frame, Tracklet
from pipeline.result import Result
from pipeline.sources import Source, open_source, read_ahead
from pipeline.worker import Worker


class Interrupts:
    """Takes Ctrl-C one step at a time: the first while frames are read stops reading, the next
    stops drawing, a third kills.
    """

    def __init__(self) -> None:
        self.stop_reading, self.stop_drawing = threading.Event(), threading.Event()
        self._in_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interrupts":
        if self._in_main:
            self._before = signal.signal(signal.SIGINT, self._count)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._in_main:
            signal.signal(signal.SIGINT, self._before)

    def _count(self, number: int, frame: FrameType | None) -> None:
        if self.stop_drawing.is_set():
            raise KeyboardInterrupt
        reading = not self.stop_reading.is_set()
        (self.stop_reading if reading else self.stop_drawing).set()
        what = "reading; what was read will be linked, written and drawn" if reading else "drawing"
        os.write(
            2, f"\nstopping {what} (Ctrl-C again to stop sooner)\n".encode()
        )  # print is not safe in a signal handler


def run(
    config: Config,
    output: Path,
    overwrite: bool = False,
    quiet: bool = False,
    interrupts: Interrupts | None = None,
) -> Result:
    """Run the whole pipeline into `output`; raises PipelineError before anything is written when
    the input is bad.
    """
    if not config.cameras:
        raise ConfigError("no cameras: give --videos cam1.mp4 cam2.mp4, or a config with cameras")
    config = config.model_copy(update={"cameras": configuration.unique_names(config.cameras)})
    configuration.check_travel(config)
    corrected = corrections.load(config.linking.corrections)
    folder = OutputFolder(output, overwrite)
    try:
        devices.resolve(config.device)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    sources = [open_source(camera, config.sources) for camera in config.cameras]
    if config.output.mosaic:
        _refuse_a_dark_mosaic(sources, config.sources)
    finder, notes = detector.build(config.detector, config.device, [s.camera.name for s in sources])
    embedder, more_notes = embed.build(config.reid, config.device)
    _keep_apart(output, [Path(c.source) for c in config.cameras] + [*finder.files, *embedder.files])
    result = Result(
        config,
        output,
        finder.name,
        embedder.name,
        _sha256(finder.files),
        _sha256(embedder.files),
        notes=notes + more_notes,
    )
    before = priors.load(config.linking.priors, result.reid_sha256)
    for note in result.notes:
        tqdm.tqdm.write(f"note: {note}")
    folder.create()
    interrupts = interrupts or Interrupts()
    with interrupts:
        worker = Worker(sources, finder, config, result.timings)
        rounds = _rounds(worker, sources, result, interrupts, quiet)
        engine = engine_of(
            {s.camera.name: s.camera for s in sources}, config.linking, corrected, before
        )
        if config.linking.online:
            runner = OnlineRunner(worker, embedder, engine, config.linking, result.timings)
            result.linked = runner.follow(rounds)
            folder.write_text("events.jsonl", events.to_json_lines(runner.events))
        else:
            embedded = _embed(rounds, embedder, result)
            with result.timings.stage("link", sum(worker.n_frames.values())):
                result.linked = engine(embedded, [])
        result.warnings += [warning for source in sources for warning in source.warnings]
        result.cameras = [
            replace(s.camera, n_frames=worker.n_frames[s.camera.name]) for s in sources
        ]
        result.frame_ranges = worker.frame_ranges
        _set_clocks(result, worker.last_s)
        result.people = fill.fill(
            result.linked.people, config.tracklets.max_interpolated_gap_s, config.sources.stride
        )
        result.warnings += corrections.unknown(
            corrected, [t for person in result.people for t in person.tracklets]
        )
        result.warnings += links.doubts(result.linked.calibration)
        result.warnings += links.unset(result.linked, config.linking.online)
        _write(folder, result)
        until_s = worker.last_s if result.interrupted else {}
        if config.output.video and any(c.n_frames for c in result.cameras):
            _draw(folder, result, until_s, worker.last_s, interrupts, quiet)
    result.interrupted |= interrupts.stop_drawing.is_set()
    folder.write_text("run.json", manifest.to_json(result, [*folder.written, "run.json"]))
    result.files = folder.written
    return result


def _keep_apart(output: Path, inputs: list[Path]) -> None:
    """Raise ConfigError when an input lies in the output folder, where results could replace it."""
    for path in inputs:
        if path.resolve().is_relative_to(output.resolve()):
            raise ConfigError(
                f"{path}: lies in the output folder {output}, whose files are replaced; choose"
                " another --output"
            )


def _refuse_a_dark_mosaic(sources: list[Source], settings: SourcesConfig) -> None:
    """Raise ConfigError, before anything is read, when the cameras' times are too far apart."""
    spans_s = {}
    for source in sources:
        camera = source.camera
        n_frames = _expected(camera, settings) * settings.stride
        duration_s = n_frames / camera.fps if camera.n_frames > 0 else math.inf
        spans_s[camera.name] = (camera.start_s, camera.start_s + duration_s)
    if reason := mosaic.too_dark(spans_s):
        raise ConfigError(reason)


def _sha256(files: tuple[Path, ...]) -> str:
    return weights.sha256(files[0]) if files else ""


def _rounds(
    worker: Worker, sources: list[Source], result: Result, interrupts: Interrupts, quiet: bool
) -> Iterator[list[Tracklet]]:
    """Run the worker to its end, or until Ctrl-C; yields what closed, round by round."""
    total = sum(_expected(s.camera, result.config.sources) for s in sources)
    with tqdm.tqdm(total=total, unit="frame", desc="tracking", disable=quiet or None) as bar:
        yield from worker.run(interrupts.stop_reading, bar.update)
    result.interrupted = interrupts.stop_reading.is_set()
    interrupts.stop_reading.set()  # reading is over: the next Ctrl-C stops drawing


def _set_clocks(result: Result, last_s: dict[str, float]) -> None:
    """Let cameras start when the linker says they did, so that all that is written and drawn is on
    one clock.
    """
    ahead_s = result.linked.applied_s
    result.cameras = [
        replace(c, start_s=c.start_s - ahead_s.get(c.name, 0.0)) for c in result.cameras
    ]
    started = [
        c.model_copy(update={"start_s": c.start_s - ahead_s.get(c.name, 0.0)})
        for c in result.config.cameras
    ]
    result.config = result.config.model_copy(update={"cameras": started})
    last_s.update({name: last_s[name] - offset for name, offset in ahead_s.items()})


def _embed(rounds: Iterable[list[Tracklet]], embedder: Embedder, result: Result) -> list[Embedded]:
    """Embed tracklets as they close, so that crops are held only for a moment."""
    embedded: list[Embedded] = []
    waiting: list[Tracklet] = []

    def flush() -> None:
        with result.timings.stage("embed", sum(len(t.crops) for t in waiting)):
            embedded.extend(embedder.embed(waiting))
        waiting.clear()

    for closed in rounds:
        waiting += closed
        if sum(len(t.crops) for t in waiting) >= result.config.reid.batch_crops:
            flush()
    flush()
    return embedded


def _expected(camera: Camera, settings: SourcesConfig) -> int:
    n_frames = max(camera.n_frames, 0)
    if settings.max_seconds:
        n_frames = min(n_frames, round(settings.max_seconds * camera.fps))
    return -(-n_frames // settings.stride)


def _write(folder: OutputFolder, result: Result) -> None:
    with result.timings.stage("write", sum(c.n_frames for c in result.cameras)):
        folder.write_text("config.yaml", settings.dump(configuration.absolute(result.config)))
        linking = result.config.linking
        folder.write_text(
            "trajectories.json",
            trajectories.to_json(result.people, result.cameras, linking.confirmed_probability),
        )
        folder.write_text("links.json", links.to_json(result.linked, linking))
        folder.write_text("priors.json", priors.to_json(result.linked.learned, result.reid_sha256))
        folder.write_text("tracks.csv", trajectories.to_csv(result.people))
        for name, text in trajectories.to_mot(result.people, result.cameras).items():
            folder.write_text(f"mot/{name}.txt", text)


def _draw(
    folder: OutputFolder,
    result: Result,
    until_s: dict[str, float],
    last_s: dict[str, float],
    interrupts: Interrupts,
    quiet: bool,
) -> None:
    """Annotate the cameras side by side on threads; what was stopped half way is not kept."""
    every_frame = result.config.sources.model_copy(update={"stride": 1})
    config = result.config.output
    pairs = zip(result.config.cameras, result.cameras, strict=True)
    seen = [
        (open_source(source, every_frame), camera) for source, camera in pairs if camera.n_frames
    ]
    total = sum(_expected(source.camera, every_frame) for source, _ in seen)

    def draw(source: Source, camera: Camera) -> bool:
        frames = read_ahead(source, result.config.sources.read_ahead_frames, result.timings)
        with closing(frames), folder.file(f"{camera.name}.mp4") as path:
            shown = _until(frames, until_s.get(camera.name), bar)
            video.annotate(
                shown,
                camera,
                result.people,
                path,
                config,
                result.timings,
                interrupts.stop_drawing.is_set,
            )
        return True

    try:
        with (
            tqdm.tqdm(total=total, unit="frame", desc="drawing", disable=quiet or None) as bar,
            ThreadPoolExecutor(2) as pool,
        ):
            list(pool.map(draw, *zip(*seen, strict=True)))
        spans_s = {camera.name: (camera.start_s, last_s[camera.name]) for _, camera in seen}
        reason = mosaic.too_dark(spans_s)
        if config.mosaic and reason:
            result.warnings.append(reason)
        elif config.mosaic:
            videos = [folder.path / f"{camera.name}.mp4" for _, camera in seen]
            with result.timings.stage("mosaic", total), folder.file("mosaic.mp4") as path:
                mosaic.tile(
                    [camera for _, camera in seen],
                    videos,
                    path,
                    config.crf,
                    interrupts.stop_drawing.is_set,
                )
    except video.Interrupted:
        result.warnings.append("drawing was interrupted: some videos were not written")


def _until(frames: Iterable[Frame], last_s: float | None, bar: tqdm.tqdm) -> Iterator[Frame]:  # type: ignore[type-arg]
    """Frames up to a time (None: all), counted on the bar."""
    for frame in frames:
        if last_s is not None and frame.time_s > last_s:
            return
        bar.update(1)
        yield frame
