"""A run of live cameras: it goes on until it is stopped, and what it saw is on disk by then.

`pipeline.run` reads files to their end, links them, and draws them in a second pass. A live run has
no end and no second pass: people are linked online, rows and events go to a journal, pictures are
drawn when they are looked at, and what a later run needs to go on is saved every few seconds.

The first Ctrl-C or SIGTERM ends it in good order: everything is flushed, the results are made of
the journal, and the exit code is 0. So it is, but with 2 and a line that says why, when a network
fails or memory is out. The second Ctrl-C ends it at once with 130, without results; they can be
made of the journal later (`merge`). A disk that takes nothing is told and waited for. SIGHUP reads
the config again, if there is one.
"""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from models import command, settings
from models.errors import one_line
from models.interrupts import Interrupts
from pipeline import config as configuration
from pipeline import preparation
from pipeline.address import Address
from pipeline.config import CameraConfig, Config
from pipeline.errors import ConfigError, OutputError, PipelineError, SourceError
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.linking.learning.lessons import Lessons
from pipeline.linking.linker import Linked
from pipeline.live import journal, merge, sinks, state
from pipeline.live.best_crops import BestCrops
from pipeline.live.group import CameraSide, Desk, LiveGroup, failure_in_words
from pipeline.live.hub import Hub
from pipeline.live.journal import Journal, Setup
from pipeline.live.linking import LiveRunner
from pipeline.live.merge import Merged
from pipeline.live.presence import Presence
from pipeline.live.retention import Retention
from pipeline.live.server import Server
from pipeline.live.state import STATE, CameraProgress, State
from pipeline.online.events import Event
from pipeline.online.linker import Names, OnlineLinker, engine_of
from pipeline.outputs import manifest
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.preparation import Networks, longest_look_s
from pipeline.records import Camera, Embedded, Tracks
from pipeline.report import write as report
from pipeline.result import Result
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent
from pipeline.sources.live.wall_clock import SteadyClock
from pipeline.timings import Timings

LINKING_SHARE = 0.5
"""Of the time; the rest is for pictures, of which the newest would be lost in a crowd."""
PUBLISH_S = 0.5
"""People and health on the page are at most so old."""
ENDING = "stopping; the results are being written (Ctrl-C again to stop at once)"

Reload = Callable[[], Config]
"""Reads the settings again; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class World:
    """What a run is connected to. A benchmark gives it cameras whose days are short.

    Attributes:
        clock: seconds since 1970; by default one that goes on when the machine's is set back.
        open_cameras: `LiveCameras`, or a function like it.
        load_networks: like `preparation.load_networks`.
        timings: where stages are counted.
    """

    clock: Callable[[], float] = field(default_factory=SteadyClock)
    open_cameras: Callable[..., LiveCameras] = LiveCameras
    load_networks: Callable[[Config, Sequence[Camera]], Networks] = preparation.load_networks
    timings: Timings = field(default_factory=Timings)


def run(
    config: Config,
    output: Path,
    resume: bool = False,
    reload: Reload | None = None,
    quiet: bool = False,
    interrupts: Interrupts | None = None,
    world: World | None = None,
) -> Result:
    """Follow people in live cameras until it is stopped, or all files played as if live are over.

    Args:
        config: all settings, with at least one camera.
        output: folder for the results.
        resume: go on with the people of an earlier run in `output`, if there is one.
        reload: reads the settings again; None where there is nothing to read.
        quiet: print nothing of what happens.
        interrupts: what stops the run; by default Ctrl-C.
        world: what it is connected to; by default the cameras of the config, in real time.

    Returns:
        What was found and written.

    Raises:
        PipelineError: the input is bad, which is found before anything is written; or a stage
            fails, after what was seen is on disk.
    """
    interrupts = interrupts or Interrupts(reading=ENDING)
    live = _LiveRun(config, output, resume, reload, quiet, world or World())
    with interrupts, _hangup(live.ask_to_reload if reload else None), closing(live):
        try:
            live.follow(interrupts["reading"])
        except Exception as error:
            live.finish_after(error)
            if isinstance(error, PipelineError) or command.is_out_of_memory(error):
                raise
            raise PipelineError(failure_in_words(error)) from error
        try:
            return live.finish()
        except OutputError as error:
            live.warn_of_lost_rows()
            raise OutputError(
                f"{error}; then `python -m pipeline.live.merge {output}` makes the results"
            ) from None


@contextmanager
def _hangup(on_hangup: Callable[[], object] | None) -> Iterator[None]:
    """Call something at SIGHUP, which otherwise ends the run."""
    is_main = threading.current_thread() is threading.main_thread()
    if on_hangup is None or not is_main or not hasattr(signal, "SIGHUP"):
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        on_hangup()

    before = signal.signal(signal.SIGHUP, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class _LiveRun:
    """The parts of one run, and what happens at each turn, on the thread that calls `follow`."""

    def __init__(
        self,
        config: Config,
        output: Path,
        resume: bool,
        reload: Reload | None,
        quiet: bool,
        world: World,
    ) -> None:
        """Check all input and load the networks; nothing is read or written yet."""
        self._output = output
        self._reload = reload
        self._quiet = quiet
        self._world = world
        self._is_reload_due = threading.Event()
        self._timings = world.timings
        self._config, notes = preparation.checked(config)
        _check(self._config)
        corrected = corrections.load(config.linking.corrections, online=True)
        self._folder = _folder(output, resume)
        self._networks = world.load_networks(self._config, [])
        self._result = preparation.new_result(self._config, output, self._networks)
        self._result.timings = self._timings
        self._result.notes = notes + self._networks.notes
        before = sites.load(config.linking.priors, self._result.reid_sha256)
        self._records: dict[str, Camera] = {}
        """All cameras so far by name, also those that are gone."""

        def engine(
            embedded: Sequence[Embedded],
            sure: Sequence[Names],
            apart: Sequence[Names],
            told: Lessons,
        ) -> Linked:
            known = dict(self._records)  # more come while linking runs
            return engine_of(known, config.linking, corrected, before)(embedded, sure, apart, told)

        forget_after_s = self._config.linking.forget_after_s
        self._linker = OnlineLinker(engine, forget_after_s, keep_history=False)
        self._progress: dict[str, CameraProgress] = {}
        if resume and journal.row_files(output):
            self._take_up(output)
        self._hub = Hub()
        self._presence = Presence()
        self._has_begun = False
        self._problems: dict[str, str] = {}
        """Why something could not be done at last, by what is told when it is solved."""
        self._publish_due_s = 0.0
        self._save_due_s = 0.0

    def _take_up(self, output: Path) -> None:
        """Go on after an earlier run."""
        for camera in journal.read_setup(output).cameras:
            self._records[camera.name] = camera
        earlier = State(0.0, self._linker.state(), {})  # of a run that was killed at once
        if (output / STATE).exists():
            earlier = state.load(output / STATE, self._result.reid_sha256)
        resumed = state.resumed(earlier, journal.last(output))
        self._linker.restore(resumed.linker)
        self._progress = dict(resumed.cameras)
        self._say(f"going on with {len(resumed.linker.people)} people")

    def ask_to_reload(self) -> None:
        """Read the settings again at the next turn."""
        self._is_reload_due.set()

    def follow(self, stop: threading.Event) -> None:
        """Run until `stop` is set, or everything has ended; raises PipelineError."""
        config = self._config
        for note in self._result.notes:
            self._say(f"note: {note}")
        with ExitStack() as parts:
            if config.serve.port:
                server = Server(self._hub, config.serve, self._reload_from_page, self._warn)
                parts.enter_context(server)
                self._say(f"the page is at {server.url}")
            for sink in sinks.start(self._hub, config.events, os.environ, self._warn):
                parts.enter_context(closing(sink))
            if config.engine == "ray":
                from pipeline.cluster import live  # here, because few runs need it

                parts.enter_context(live.connected(config))
            self._folder.create()
            self._folder.reopen()
            self._place = self._output.stat()
            self._crops = BestCrops(self._output, config.privacy.blur, self._world.clock)
            self._journal = parts.enter_context(
                closing(Journal(self._output, config.live.flush_s, self._crops.write))
            )
            self._retention = Retention(
                self._output, config.live, self._being_written, self._world.clock
            )
            parts.enter_context(closing(self._retention))
            self._side = parts.enter_context(closing(self._opened()))
            self._retention.start()
            self._has_begun = True
            if config.sources.max_seconds:
                timer = threading.Timer(config.sources.max_seconds, stop.set)
                timer.daemon = True
                timer.start()
                parts.callback(timer.cancel)
            runner = LiveRunner(
                self._side,
                self._side.embed,
                self._linker,
                config.linking.max_delay_s,
                self._timings,
                self._on_events,
                LINKING_SHARE,
            )
            try:
                with closing(self._turns(stop)) as turns:
                    self._result.linked = runner.follow(turns)
            finally:
                self._take_health()
                self._save_state()
                until_s = self._side.now_s
                self._journal.describe(self._setup(self._counted_cameras(), until_s))
        self._result.interrupted = False  # a live run has no end that it could miss

    def finish(self) -> Result:
        """Make the results of the journal, when everything has been followed."""
        result = self._result
        result.warnings += self._lost_rows()
        merged = merge.write(self._output, self._folder.write_parts)
        result.people = merged.people
        result.zone_events = merged.zone_events
        result.cameras = self._counted_cameras()
        result.warnings += self._side.warnings
        self._folder.write_text(
            configuration.FILE, settings.dump(configuration.stored(self._config))
        )
        self._folder.write_text(
            "priors.json", sites.to_json(result.linked.site, result.reid_sha256)
        )
        self._report(merged)
        self._folder.publish(manifest.to_json(result, [*self._folder.written, MANIFEST]))
        result.files = self._folder.written
        return result

    def _report(self, merged: Merged) -> None:
        """Write the report, or a warning: results are complete without it."""
        if not self._config.output.report:
            return
        try:
            report.of_live_run(self._folder, merged, self._result)
        except PipelineError as error:
            self._result.warnings.append(f"{report.FILE} was not written: {one_line(error)}")

    def finish_after(self, error: Exception) -> None:
        """Make the results when the run has failed; that they cannot be made either is told."""
        if not self._has_begun:
            return
        self._result.linked = self._linker.linked()
        self._result.warnings.append(f"the run ended early: {failure_in_words(error)}")
        try:
            self.finish()
        except Exception as second:  # noqa: BLE001 - the first error is the one that is raised
            self._warn(f"the results could not be written: {failure_in_words(second)}")
            return
        self._warn(
            f"the run failed; the results until then are in {self._output}, and --resume goes on"
            " with its people"
        )

    def warn_of_lost_rows(self) -> None:
        """Tell what the journal has not written, where there is no `run.json` to tell it."""
        for line in self._lost_rows():
            self._warn(line)

    def close(self) -> None:
        """Let others write into the folder."""
        self._folder.close()

    # what happens while it runs

    def _opened(self) -> CameraSide:
        """Start to connect to the cameras."""
        desk = Desk(
            self._output,
            self._world.clock,
            self._timings,
            self._hub,
            self._crops,
            self._presence.person_of,
            self._retention.blocked,
            self._on_tracks,
        )
        if self._config.engine == "ray":
            from pipeline.cluster.live import LiveWorkers

            return LiveWorkers(self._config, self._result, desk, self._progress)
        return LiveGroup(
            self._config, self._networks, desk, self._progress, self._world.open_cameras
        )

    def _being_written(self) -> Collection[Path]:
        return self._side.being_written()

    def _turns(self, stop: threading.Event) -> Generator[list[Any], None, None]:
        """What closes, round by round; between rounds all else is done."""
        with closing(self._side.rounds(stop)) as rounds:
            for closed in rounds:
                yield closed
                now_s = self._world.clock()
                if self._is_reload_due.is_set():
                    self._read_settings()
                if now_s >= self._publish_due_s:
                    self._publish_due_s = now_s + PUBLISH_S
                    self._take_health()

    def _on_tracks(self, camera: str, tracks: Tracks) -> None:
        if camera not in self._records:  # linking needs it with the first track
            self._records.update(self._side.cameras)
        self._journal.add(camera, tracks)
        for track_id, time_s in zip(tracks.track_ids, tracks.times_s, strict=True):
            self._presence.see(camera, [int(track_id)], float(time_s))

    def _on_events(self, said: list[Event]) -> None:
        self._journal.say(said)
        self._hub.say([asdict(event) for event in said])
        self._presence.take_crops(self._side.take_page_crops())
        self._presence.update(self._linker, self._side.now_s)
        now_s = self._world.clock()
        if now_s >= self._save_due_s:
            self._save_due_s = now_s + self._config.live.flush_s
            self._look_at_folder()
            self._save_state()

    def _take_health(self) -> None:
        """Publish how the cameras are, and tell what happened to them."""
        self._records.update(self._side.cameras)
        self._tell(self._side.take_events())
        people = self._presence.people(self._side.now_s)
        self._hub.publish(self._side.health(), people)
        self._note(self._journal.problem, "rows and events are written again")
        self._note(self._crops.problem, "pictures of people are written again")
        self._note(self._retention.problem, "old pictures are deleted again")

    def _look_at_folder(self) -> None:
        """Tell that the output folder was deleted; what comes next goes into a new one."""
        with suppress(OSError):
            self._output.mkdir(parents=True, exist_ok=True)
            place = self._output.stat()
            if not os.path.samestat(place, self._place):
                self._warn(
                    f"{self._output}: was deleted, and all that it held is lost; a new folder gets"
                    " what comes next, without people whose tracks have begun"
                )
            self._place = place

    def _note(self, problem: str, solved: str) -> None:
        """Tell a problem once, and that it is solved.

        Args:
            problem: why something cannot be done now; "" where it can.
            solved: what is told when it can be done again.
        """
        before = self._problems.get(solved, "")
        if problem and not before:
            self._warn(problem)
        if before and not problem:
            self._warn(solved)
        self._problems[solved] = problem

    def _lost_rows(self) -> list[str]:
        """What to warn of when the journal was closed and has not written everything."""
        lost = []
        if self._journal.n_dropped:
            lost.append(f"{self._journal.n_dropped} rows and events are lost: the disk took none")
        if self._journal.problem:
            lost.append(f"the last rows and events are lost: {self._journal.problem}")
        return lost

    def _tell(self, said: Sequence[CameraEvent]) -> None:
        self._journal.say(said)
        self._hub.say([asdict(event) for event in said])
        for event in said:
            self._say(f"{event.camera}: {event.kind.replace('_', ' ')}: {event.reason}")

    def _save_state(self) -> None:
        """Save what a later run needs; a full disk is told, and tried again."""
        self._journal.describe(self._setup(self._records.values()))
        now = State(self._side.now_s, self._linker.state(), self._side.progress)
        problem = ""
        try:
            state.save(self._output / STATE, now, self._result.reid_sha256)
        except OutputError as error:
            problem = str(error)
        self._note(problem, "the people for --resume are written again")

    def _setup(self, cameras: Iterable[Camera], until_s: float = 0.0) -> Setup:
        """What the results need beside rows and events; `until_s` is known at the end."""
        config = self._config
        look_s = {}
        for camera in self._records.values():
            look_s[camera.name] = longest_look_s(config.detector, 1 / camera.fps)
        return Setup(
            tuple(cameras),
            config.linking.confirmed_probability,
            config.tracklets.max_interpolated_gap_s,
            config.linking.min_person_s,
            look_s,
            tuple(config.zones),
            until_s if math.isfinite(until_s) else 0.0,
        )

    def _counted_cameras(self) -> list[Camera]:
        """All cameras so far, with how many pictures have come, which changes all the time."""
        progress = self._side.progress
        counted = []
        for name, camera in self._records.items():
            n_frames = progress[name].next_frame if name in progress else 0
            counted.append(replace(camera, n_frames=n_frames))
        return counted

    def _reload_from_page(self) -> str:
        if self._reload is None:
            raise ConfigError("this run has no config file to read again")
        self._new_settings()  # what is wrong is told to who asked
        self.ask_to_reload()
        return "the config is being read again"

    def _new_settings(self) -> Config:
        """The settings as they are now; raises PipelineError."""
        assert self._reload is not None
        new, _ = preparation.checked(configuration.all_live(self._reload()))
        _check(new)
        return new

    def _read_settings(self) -> None:
        """Add, remove and change cameras as the config says now."""
        self._is_reload_due.clear()
        if self._reload is None:
            return
        try:
            new = self._new_settings()
        except PipelineError as error:
            self._warn(f"the config was not read again: {one_line(error)}; the old one counts")
            return
        others = new.model_copy(update={"cameras": self._config.cameras})
        if others != self._config:
            self._warn("only changes of cameras count now; all others count from the next start")
        self._config = self._config.model_copy(update={"cameras": new.cameras})
        self._result.config = self._config
        self._side.reload(new.cameras)
        self._say(f"the config was read again: {len(new.cameras)} cameras")

    def _warn(self, line: str) -> None:
        """Tell of something that went wrong."""
        print(f"{time.strftime('%H:%M:%S')} warning: {line}", file=sys.stderr, flush=True)

    def _say(self, line: str) -> None:
        """Tell of something that happened."""
        if not self._quiet:
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _check(config: Config) -> None:
    """Raise PipelineError for settings that live cameras cannot have."""
    if config.detector.detections:
        raise ConfigError(
            "detector.detections: its boxes are of the frames of recordings; leave it out for live"
            " cameras"
        )
    for camera in config.cameras:
        _check_file(camera)


def _check_file(camera: CameraConfig) -> None:
    """Raise SourceError for a file that is not there: other than a camera, it will not come."""
    address = Address.parse(camera.source)
    if address.kind == "folder":
        raise SourceError(
            f"{address.shown}: a folder of images cannot be played as if live; give live cameras"
            " and video files alone"
        )
    if address.kind == "file" and not Path(address.path).is_file():
        raise SourceError(f"{address.shown}: no such file; check the path")


def _folder(output: Path, resume: bool) -> OutputFolder:
    """The output folder, where no other live run may lie unless it goes on."""
    if not resume and ((output / STATE).exists() or journal.row_files(output)):
        raise OutputError(
            f"{output}: holds a live run; add --resume to go on with its people, or choose another"
            " --output"
        )
    return OutputFolder(output, overwrite=resume)
