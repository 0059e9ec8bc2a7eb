"""One run, from sources to results: prepare, process, link, write, draw.

The first Ctrl-C, SIGTERM or SIGHUP stops reading; what was read by then is linked, written and
drawn. The second stops drawing. The third raises KeyboardInterrupt.
"""

import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

import tqdm

from models import settings
from models.errors import one_line
from models.interrupts import Interrupts
from pipeline import config as configuration
from pipeline import fill, site_checks
from pipeline import kept as keeping
from pipeline.chunks import CameraEnd, Chunk
from pipeline.config import CameraConfig, Config, LinkingConfig
from pipeline.errors import PipelineError
from pipeline.group import Group, ends_of
from pipeline.kept import Kept
from pipeline.linking import brief, shards
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.linking.site import Site
from pipeline.online import events
from pipeline.online.events import Event
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.online.runner import CachedEmbedder, OnlineRunner
from pipeline.outputs import links, manifest, mosaic, trajectories, video
from pipeline.outputs.folder import MANIFEST, OutputFolder, writing
from pipeline.preparation import Prepared, longest_look_s, n_expected, prepare
from pipeline.records import Camera, Embedded, Frame, Tracklet
from pipeline.report import crops
from pipeline.report import write as report
from pipeline.report.crops import Keeper
from pipeline.report.stills import Stills
from pipeline.result import Result
from pipeline.sources import Source, open_source, read_ahead
from pipeline.timings import Timings
from pipeline.tracking import untracked
from pipeline.worker import Worker
from pipeline.zones import counting, table

N_DRAWING = 2
"""Cameras that are drawn at the same time."""
NOT_DRAWN = "the run ended while videos were drawn: some were not written"
"""Stands in `run.json` until they are."""
DRAWING_STOPPED = "drawing was interrupted: some videos were not written"
ROUNDING_S = 1e-6
"""Times of the same frame may differ by this, since clocks are shifted before or after adding."""

Read = Callable[[Prepared, threading.Event, Callable[[int], object]], Generator[Chunk, None, None]]
"""Reads all cameras: given what to work with, what stops it, and what counts frames."""
Link = Callable[
    [Sequence[Embedded], Mapping[str, Camera], LinkingConfig, Corrections, Site], Linked
]
"""As `shards.link`."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What does the work of a run: one process, or a cluster."""

    read: Read
    link: Link


@dataclass(frozen=True, slots=True)
class Processed:
    """What was read.

    online: people, where linking was online and has decided already; then no tracklets are kept.
        Otherwise None.
    """

    kept: Kept
    online: Linked | None


def stages() -> Interrupts:
    """Return a run's stages that Ctrl-C stops, one after the other: reading and drawing."""
    again = "(Ctrl-C again to stop sooner)"
    return Interrupts(
        reading=f"stopping reading; what was read will be linked, written and drawn {again}",
        drawing=f"stopping drawing {again}",
    )


def run(
    config: Config,
    output: Path,
    overwrite: bool = False,
    quiet: bool = False,
    interrupts: Interrupts | None = None,
    resume: bool = False,
) -> Result:
    """Run the whole pipeline.

    Args:
        config: all settings, with at least one camera.
        output: folder for the results.
        overwrite: replace the results of an earlier run in `output`.
        quiet: show no progress bars.
        interrupts: what stops the run early; by default Ctrl-C.
        resume: with `engine: ray`, go on with an unfinished run in `output`, if there is one.

    Returns:
        What was found and written.

    Raises:
        PipelineError: the input is bad, which is found before anything is written; or the results
            cannot be written.
    """
    prepared = prepare(config, output, overwrite, resume)
    result = prepared.result
    _say(result.notes)
    interrupts = interrupts or stages()
    with ExitStack() as cluster:
        engine = cluster.enter_context(_opened(prepared, resume, quiet))
        with interrupts, closing(prepared.folder) as folder:
            folder.create()
            processed = process(prepared, interrupts, quiet, engine)
            kept = processed.kept
            if processed.online is None:
                with folder.file(keeping.FILE) as path:
                    keeping.write(path, kept)
            link(kept, result, processed.online, engine)
            cluster.close()  # what follows needs no workers
            settle(kept, result)
            write(folder, result)
            if result.corrections.names():
                folder.write_text(corrections.FILE, corrections.to_yaml(result.corrections))
            _finish(folder, kept, result, interrupts, quiet)
            folder.forget_unfinished()
    result.files = folder.written
    return result


@contextmanager
def _opened(prepared: Prepared, resume: bool, quiet: bool) -> Iterator[Engine]:
    """Give the engine of the settings; raises PipelineError."""
    if prepared.config.engine == "local":
        yield HERE
        return
    from pipeline.cluster import engine  # here, because it needs the package ray

    with engine.opened(prepared, resume, quiet) as opened:
        yield opened


def _finish(
    folder: OutputFolder, kept: Kept, result: Result, interrupts: Interrupts, quiet: bool
) -> None:
    """Put the results in their place, drawing videos before the report where they are wanted."""
    config = result.config
    if config.output.video:
        publish(folder, replace(result, warnings=[*result.warnings, NOT_DRAWN]))
        try:
            draw(folder, result, kept.last_s, interrupts, quiet)
        finally:
            result.interrupted |= interrupts["drawing"].is_set()
            if config.output.report:
                write_report(folder, result)
            publish(folder, result)
    else:
        if config.output.report:
            write_report(folder, result)
        publish(folder, result)


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        tqdm.tqdm.write(f"note: {note}")


def write_report(folder: OutputFolder, result: Result) -> None:
    """Write the report, or a warning: results are complete without it.

    Args:
        folder: where it goes, with all other results written.
        result: what was found.
    """
    with result.timings.stage("report", sum(camera.n_frames for camera in result.cameras)):
        try:
            report.of_run(folder, result)
        except PipelineError as error:
            result.warnings.append(f"{report.FILE} was not written: {one_line(error)}")


def publish(folder: OutputFolder, result: Result) -> None:
    """Put all that was written in its place, with `run.json`; raises OutputError."""
    folder.publish(manifest.to_json(result, [*_without_manifest(folder), MANIFEST]))


def _without_manifest(folder: OutputFolder) -> list[str]:
    return [name for name in folder.written if name != MANIFEST]


def _read_here(
    prepared: Prepared, stop: threading.Event, progress: Callable[[int], object]
) -> Generator[Chunk, None, None]:
    """Read all cameras in this process."""
    group = Group(prepared.sources, prepared.detector, prepared.embedder, prepared.config)
    return group.chunks(stop, progress)


HERE = Engine(_read_here, shards.link)
"""This process."""


def process(
    prepared: Prepared, interrupts: Interrupts, quiet: bool, engine: Engine = HERE
) -> Processed:
    """Read, detect, track and embed, until every source has ended or reading is interrupted.

    Online linking decides here, while frames are read, and its `events.jsonl` is written.

    Args:
        prepared: what to work with; how far each camera came is noted in its result.
        interrupts: its stage "reading" stops early, and is over afterwards.
        quiet: show no progress bar.
        engine: what reads the cameras, unless linking is online.

    Raises:
        PipelineError: a source, a network or the output folder fails.
    """
    result = prepared.result
    reading = interrupts["reading"]
    stills = Stills(prepared.config.privacy.blur)
    online = None
    tracklets: list[Embedded] = []
    with _progress_bar(prepared, quiet) as bar, _keeping_crops(prepared, stills) as keeper:
        if prepared.config.linking.online:
            online, ends, warnings = _follow(prepared, reading, bar.update, keeper, stills)
        else:
            chunks = engine.read(prepared, reading, bar.update)
            tracklets, ends, warnings = _take(chunks, result.timings, keeper, stills)
    result.interrupted = reading.is_set()
    reading.set()  # it is over: the next Ctrl-C stops drawing
    _note_ends(result, prepared.cameras, ends, warnings)
    kept = Kept(
        settings=configuration.stored(result.config).model_dump(mode="json"),
        tracklets=tracklets,
        cameras=result.cameras,
        prior=prepared.prior,
        look_s=_look_intervals_s(prepared),
        last_s={end.camera: end.last_s for end in _by_name(ends)},
        frame_ranges=result.frame_ranges,
        n_boxes=result.n_boxes,
        n_unchanged=result.n_unchanged,
        reid_sha256=result.reid_sha256,
        notes=list(result.notes),
        warnings=list(result.warnings),
    )
    return Processed(kept, online)


def _take(
    chunks: Generator[Chunk, None, None], timings: Timings, keeper: Keeper | None, stills: Stills
) -> tuple[list[Embedded], list[CameraEnd], list[str]]:
    """Take all that was found; returns tracklets by their keys, ends and warnings."""
    tracklets: list[Embedded] = []
    ends: list[CameraEnd] = []
    warnings: list[str] = []
    with closing(chunks):
        for chunk in chunks:
            timings.add(chunk.seconds, chunk.counts)
            tracklets += chunk.tracklets
            ends += chunk.ends
            warnings += chunk.warnings
            if keeper is not None:
                for crop in chunk.crops:
                    keeper.add(crop.camera, crop.track_id, crop.best)
    for end in ends:
        if end.still:
            stills.take(end.camera, end.still)
    tracklets.sort(key=lambda embedded: embedded.tracklet.key)
    return tracklets, ends, warnings


def _note_ends(
    result: Result,
    cameras: Mapping[str, Camera],
    ends: Sequence[CameraEnd],
    warnings: Iterable[str],
) -> None:
    """Note in the result how far the cameras came, and what went wrong."""
    by_name = {end.camera: end for end in ends}
    for name in cameras:
        result.warnings += by_name[name].warnings
    result.warnings += dict.fromkeys(warnings)
    result.cameras = [
        replace(camera, n_frames=by_name[name].n_frames) for name, camera in cameras.items()
    ]
    for end in _by_name(ends):
        result.frame_ranges[end.camera] = end.frame_ranges
        result.n_boxes[end.camera] = end.n_boxes
        result.n_unchanged[end.camera] = end.n_unchanged


def _by_name(ends: Iterable[CameraEnd]) -> list[CameraEnd]:
    return sorted(ends, key=lambda end: end.camera)


def _progress_bar(prepared: Prepared, quiet: bool) -> "tqdm.tqdm[NoReturn]":
    """A bar of the frames of all cameras."""
    config = prepared.config.sources
    total = sum(n_expected(camera, config) for camera in prepared.cameras.values())
    return tqdm.tqdm(total=total, unit="frame", desc="tracking", disable=quiet or None)


@contextmanager
def _keeping_crops(prepared: Prepared, stills: Stills) -> Iterator[Keeper | None]:
    """Give what writes the best crop of each tracklet, and stills at the end; None for none."""
    config = prepared.config
    if not config.output.report:
        yield None
        return
    with (
        prepared.folder.file(crops.FILE) as path,
        crops.keeping(path, config.privacy.blur, stills) as keeper,
    ):
        yield keeper


def _follow(
    prepared: Prepared,
    stop: threading.Event,
    progress: Callable[[int], object],
    keeper: Keeper | None,
    stills: Stills,
) -> tuple[Linked, list[CameraEnd], list[str]]:
    """Link online; events wait on disk until the run has ended well, so that memory is bounded.

    Returns who was who, how far the cameras came, and warnings.
    """
    folder = prepared.folder
    linking = prepared.config.linking
    timings = prepared.result.timings
    on_frame = stills.look if keeper is not None else None
    worker = Worker(prepared.sources, prepared.detector, prepared.config, timings, on_frame)
    with (
        closing(worker.run(stop, progress)) as rounds,
        TemporaryFile("w+", encoding="utf-8", dir=folder.path) as said,
    ):

        def emit(new: list[Event]) -> None:
            with writing(folder.path / "events.jsonl"):
                said.write(events.to_json_lines(new))

        engine = engine_of(prepared.cameras, linking, prepared.result.corrections, prepared.prior)
        online = OnlineLinker(engine, linking.forget_after_s)
        embed = CachedEmbedder(prepared.embedder, timings).embed
        runner = OnlineRunner(worker, embed, online, linking.max_delay_s, timings, emit)
        linked = runner.follow(keeper.keep(rounds) if keeper is not None else rounds)
        said.seek(0)
        folder.write_parts("events.jsonl", said)
    warnings = [
        *prepared.detector.warnings,
        *worker.warnings,
        *prepared.embedder.warnings,
    ]
    return linked, ends_of(worker, prepared.sources, {}), warnings


def link(kept: Kept, result: Result, online: Linked | None = None, engine: Engine = HERE) -> None:
    """Link tracklets to people, which is noted in the result.

    Cameras then start when linking says they did, so that all that is written and drawn is on one
    clock.

    Args:
        kept: what was read.
        result: of the run; its corrections are obeyed.
        online: people, where linking was online and has decided already.
        engine: what links otherwise.
    """
    config = result.config
    tracked = [embedded.tracklet for embedded in kept.tracklets]
    if online is not None:
        result.linked = online
        tracked = [each for person in online.people for each in person.tracklets]
    doubts = site_checks.check_homographies(tracked, result.cameras, online is None)
    result.warnings += [doubt.text for doubt in doubts]
    if online is None:
        result.cameras = [
            site_checks.without_homographies(camera, doubts) for camera in result.cameras
        ]
        with result.timings.stage("link", sum(camera.n_frames for camera in result.cameras)):
            result.linked = engine.link(
                kept.tracklets,
                {camera.name: camera for camera in result.cameras},
                config.linking,
                result.corrections,
                kept.prior,
            )
    applied_s = result.linked.applied_s
    result.cameras = [
        replace(camera, start_s=camera.start_s - applied_s.get(camera.name, 0.0))
        for camera in result.cameras
    ]
    starts_s = {camera.name: camera.start_s for camera in result.cameras}
    result.config = config.model_copy(
        update={
            "cameras": [
                camera.model_copy(update={"start_s": starts_s[camera.name]})
                for camera in config.cameras
            ]
        }
    )
    _count_tracked(result, tracked)


def settle(kept: Kept, result: Result) -> None:
    """Fill short gaps of the people who were linked, and say what is doubtful; both are noted in
    the result.

    Args:
        kept: what was read.
        result: of the run, with what linking found.
    """
    config = result.config
    linked = result.linked
    brief_notes = brief.notes(len(linked.left_out), config.linking.min_person_s)
    _say(brief_notes)
    result.notes += brief_notes
    result.people = fill.fill(
        linked.people,
        config.tracklets.max_interpolated_gap_s,
        config.sources.stride,
        result.frame_ranges,
        kept.look_s,
        linked.not_shown,
    )
    ends_s = [last_s - linked.applied_s.get(name, 0.0) for name, last_s in kept.last_s.items()]
    result.zone_events = counting.count(
        result.people, result.cameras, config.zones, end_s=max(ends_s, default=0.0)
    )
    result.warnings += corrections.passed_over(result.corrections, linked.tracklets)
    result.warnings += links.doubts(linked.calibration)
    result.warnings += links.unset(linked, config.linking.online)


def _look_intervals_s(prepared: Prepared) -> dict[str, float]:
    """Longest time from one look of the detector to the next, by camera that has not all frames."""
    stride = prepared.config.sources.stride
    intervals_s: dict[str, float] = {}
    for source in prepared.sources:
        if not source.looks.has_all:
            frame_s = stride / source.camera.fps
            longest_s = longest_look_s(prepared.config.detector, frame_s)
            intervals_s[source.camera.name] = longest_s
    return intervals_s


def _count_tracked(result: Result, tracklets: Sequence[Tracklet]) -> None:
    """Note how many detected boxes belong to a track, with a warning where many do not."""
    min_score = result.config.tracker.new_track_confidence
    result.n_tracked = untracked.count_tracked(tracklets, min_score)
    stride = result.config.sources.stride
    intervals_s = {camera.name: stride / camera.fps for camera in result.cameras}
    result.warnings += untracked.warnings(result.n_boxes, result.n_tracked, intervals_s)


def write(folder: OutputFolder, result: Result) -> None:
    """Write the results, but for the videos and `run.json`; raises OutputError.

    Args:
        folder: where they go.
        result: what was found.
    """
    config = result.config
    linking = config.linking
    with result.timings.stage("write", sum(camera.n_frames for camera in result.cameras)):
        folder.write_text(configuration.FILE, settings.dump(configuration.stored(config)))
        confirmed = linking.confirmed_probability
        folder.write_parts(
            "trajectories.json", trajectories.json_parts(result.people, result.cameras, confirmed)
        )
        folder.write_text("links.json", links.to_json(result.linked, linking))
        folder.write_text("priors.json", sites.to_json(result.linked.site, result.reid_sha256))
        folder.write_parts("tracks.csv", trajectories.csv_lines(result.people))
        if config.zones:
            folder.write_parts(table.FILE, table.csv_lines(result.zone_events))
        for camera in result.cameras:
            lines = trajectories.mot_lines(result.people, camera.name)
            folder.write_parts(f"mot/{camera.name}.txt", lines)


def draw(
    folder: OutputFolder,
    result: Result,
    last_s: Mapping[str, float],
    interrupts: Interrupts,
    quiet: bool,
) -> None:
    """Annotate the videos of all cameras that have frames, and tile them into the mosaic.

    A video that is interrupted is not kept.

    Args:
        folder: where they go.
        result: what was found; a video that is left out is noted in its warnings.
        last_s: time of each camera's last processed frame, on the clocks of the configuration.
        interrupts: its stage "drawing" stops early.
        quiet: show no progress bar.

    Raises:
        PipelineError: a source cannot be read, or a video cannot be written.
    """
    applied_s = result.linked.applied_s
    last_s = {name: time_s - applied_s.get(name, 0.0) for name, time_s in last_s.items()}
    every_frame = result.config.sources.model_copy(update={"stride": 1})
    pairs = zip(result.config.cameras, result.cameras, strict=True)
    jobs = [(config, camera) for config, camera in pairs if camera.n_frames]
    if not jobs:
        return
    total = sum(camera.n_frames for _, camera in jobs) * result.config.sources.stride
    until_s = last_s if result.interrupted else {}

    def annotate(camera_config: CameraConfig, camera: Camera) -> None:
        source = open_source(camera_config, every_frame, in_yuv=True)
        last_frame_s = until_s.get(camera.name, math.inf)
        _annotate(folder, result, source, camera, last_frame_s, bar.update, interrupts)

    try:
        with (
            tqdm.tqdm(total=total, unit="frame", desc="drawing", disable=quiet or None) as bar,
            ThreadPoolExecutor(N_DRAWING) as pool,
        ):
            drawn = {camera.name: pool.submit(annotate, config, camera) for config, camera in jobs}
        _refuse_missing(drawn, result)
        if result.config.output.mosaic:
            _tile(folder, result, [camera for _, camera in jobs], last_s, total, interrupts)
    except video.Interrupted:
        result.warnings.append(DRAWING_STOPPED)


def _refuse_missing(drawn: Mapping[str, Future[None]], result: Result) -> None:
    """Note the videos that could not be drawn, and raise why the first one could not."""
    failures = {name: future.exception() for name, future in drawn.items()}
    for name, failure in failures.items():
        if failure is not None and not isinstance(failure, video.Interrupted):
            result.warnings.append(f"{name}.mp4 was not written: {one_line(failure)}")
    raised = [failure for failure in failures.values() if failure is not None]
    raised.sort(key=lambda failure: isinstance(failure, video.Interrupted))
    if raised:
        raise raised[0]


def _annotate(
    folder: OutputFolder,
    result: Result,
    source: Source,
    camera: Camera,
    until_s: float,
    progress: Callable[[int], object],
    interrupts: Interrupts,
) -> None:
    """Draw one camera's frames up to a time."""
    config = result.config
    frames = read_ahead(source, config.sources.read_ahead_frames, result.timings)
    with closing(frames), folder.file(f"{camera.name}.mp4") as path:
        wrong_length = video.annotate(
            _until(frames, until_s, progress),
            camera,
            result.people,
            path,
            config.output,
            result.timings,
            interrupts["drawing"].is_set,
        )
    if wrong_length:
        result.warnings.append(f"{camera.name}.mp4: {wrong_length}")


def _until(
    frames: Iterable[Frame], until_s: float, progress: Callable[[int], object]
) -> Iterator[Frame]:
    """Frames up to a time, each reported to `progress`."""
    for frame in frames:
        if frame.time_s > until_s + ROUNDING_S:
            return
        progress(1)
        yield frame


def _tile(
    folder: OutputFolder,
    result: Result,
    cameras: list[Camera],
    last_s: dict[str, float],
    n_frames: int,
    interrupts: Interrupts,
) -> None:
    """Write the mosaic, or a warning where it would be dark for long."""
    spans_s = {camera.name: (camera.start_s, last_s[camera.name]) for camera in cameras}
    if reason := mosaic.too_dark(spans_s):
        result.warnings.append(reason)
        return
    videos = [folder.find(f"{camera.name}.mp4") for camera in cameras]
    config = result.config.output
    with result.timings.stage("mosaic", n_frames), folder.file("mosaic.mp4") as path:
        mosaic.tile(cameras, videos, path, config.crf, interrupts["drawing"].is_set, config.encoder)
