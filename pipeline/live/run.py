"""A run of live cameras: it goes on until it is stopped, and what it saw is on disk by then.

`pipeline.run` reads files to their end, links them, and draws them in a second pass. A live run has
no end and no second pass: people are linked online, rows and events go to a journal, pictures are
drawn when they are looked at, and what a later run needs to go on is saved every few seconds.

The first Ctrl-C or SIGTERM ends it in good order: everything is flushed, and the results are made
of the journal. SIGHUP reads the config again, if there is one.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from models import settings
from models.errors import one_line
from models.interrupts import Interrupts
from pipeline import config as configuration
from pipeline import preparation
from pipeline.address import Address
from pipeline.config import CameraConfig, Config
from pipeline.errors import ConfigError, OutputError, SourceError
from pipeline.following import Followed
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.live import journal, merge, sinks, state
from pipeline.live.hub import Hub
from pipeline.live.journal import Journal, Setup
from pipeline.live.presence import Presence
from pipeline.live.server import Server
from pipeline.live.state import STATE, CameraProgress, State
from pipeline.live.views import Views
from pipeline.live.worker import LiveWorker
from pipeline.online.events import Event
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.online.runner import OnlineRunner
from pipeline.outputs import manifest
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.preparation import Networks
from pipeline.records import Camera, Frame, Tracklet
from pipeline.result import Result
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent
from pipeline.timings import Timings

PUBLISH_S = 0.5
"""People and health on the page are at most so old."""
ENDING = "stopping; the results are being written (Ctrl-C again to stop at once)"

Reload = Callable[[], Config]
"""Reads the settings again; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class World:
    """What a run is connected to. A benchmark gives it cameras whose days are short.

    Attributes:
        clock: seconds since 1970.
        open_cameras: `LiveCameras`, or a function like it.
        load_networks: like `preparation.load_networks`.
        timings: where stages are counted.
    """

    clock: Callable[[], float] = time.time
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
        live.follow(interrupts["reading"])
        return live.finish()


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
        for camera in self._config.cameras:
            _check_file(camera)
        corrected = corrections.load(config.linking.corrections)
        self._folder = _folder(output, resume)
        self._networks = world.load_networks(self._config, [])
        self._result = preparation.new_result(self._config, output, self._networks)
        self._result.timings = self._timings
        self._result.notes = notes + self._networks.notes
        before = sites.load(config.linking.priors, self._result.reid_sha256)
        self._records: dict[str, Camera] = {}
        """All cameras so far by name, also those that are gone."""
        engine = engine_of(self._records, self._config.linking, corrected, before)
        forget_after_s = self._config.linking.forget_after_s
        self._linker = OnlineLinker(engine, forget_after_s, keep_history=False)
        self._progress: dict[str, CameraProgress] = {}
        if resume and journal.row_files(output):
            self._take_up(output)
        self._hub = Hub()
        self._presence = Presence(self._config.privacy.blur)
        self._journal_problem = ""
        self._publish_due_s = 0.0
        self._save_due_s = 0.0

    def _take_up(self, output: Path) -> None:
        """Go on after an earlier run."""
        for camera in journal.read_setup(output).cameras:
            self._records[camera.name] = camera
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
        self._folder.create()
        with ExitStack() as parts:
            self._journal = parts.enter_context(closing(Journal(self._output, config.live.flush_s)))
            self._views = parts.enter_context(
                closing(Views(self._output, config, self._hub, self._presence, self._world.clock))
            )
            if config.serve.port:
                server = Server(self._hub, config.serve, self._reload_from_page, self._warn)
                parts.enter_context(server)
                self._say(f"the page is at {server.url}")
            for sink in sinks.start(self._hub, config.events, os.environ, self._warn):
                parts.enter_context(closing(sink))
            next_frames = {name: each.next_frame for name, each in self._progress.items()}
            next_tracks = {name: each.next_track_id for name, each in self._progress.items()}
            self._cameras = parts.enter_context(
                closing(
                    self._world.open_cameras(
                        config.cameras,
                        config.live,
                        now=self._world.clock,
                        next_indices=next_frames,
                    )
                )
            )
            self._worker = LiveWorker(
                self._cameras,
                self._networks.detector,
                config,
                self._timings,
                self._on_frame,
                next_tracks,
                self._world.clock,
            )
            if config.sources.max_seconds:
                timer = threading.Timer(config.sources.max_seconds, stop.set)
                timer.daemon = True
                timer.start()
                parts.callback(timer.cancel)
            runner = OnlineRunner(
                self._worker,
                self._networks.embedder,
                self._linker,
                config.linking.max_delay_s,
                self._timings,
                self._on_events,
            )
            try:
                self._result.linked = runner.follow(self._turns(stop))
            finally:
                self._take_health()
                self._save_state()
        self._result.interrupted = False  # a live run has no end that it could miss

    def finish(self) -> Result:
        """Make the results of the journal, when everything has been followed."""
        result = self._result
        result.people = merge.write(self._output, self._folder.write_parts)
        result.cameras = list(self._records.values())
        result.warnings += self._worker.warnings
        result.warnings += self._networks.detector.warnings
        result.warnings += self._networks.embedder.warnings
        self._folder.write_text("config.yaml", settings.dump(configuration.stored(self._config)))
        self._folder.write_text(
            "priors.json", sites.to_json(result.linked.site, result.reid_sha256)
        )
        self._folder.publish(manifest.to_json(result, [*self._folder.written, MANIFEST]))
        result.files = self._folder.written
        return result

    def close(self) -> None:
        """Let others write into the folder."""
        self._folder.close()

    # what happens while it runs

    def _turns(self, stop: threading.Event) -> Generator[list[Tracklet], None, None]:
        """The tracklets that close, round by round; between rounds all else is done."""
        with closing(self._worker.run(stop)) as rounds:
            for closed in rounds:
                self._presence.take_crops(closed)
                yield closed
                now_s = self._world.clock()
                if self._is_reload_due.is_set():
                    self._read_settings()
                if now_s >= self._publish_due_s:
                    self._publish_due_s = now_s + PUBLISH_S
                    self._take_health()
                if now_s >= self._save_due_s:
                    self._save_due_s = now_s + self._config.live.flush_s
                    self._save_state()

    def _on_frame(self, frame: Frame, followed: Followed) -> None:
        self._journal.add(frame.camera, followed.tracks)
        with self._timings.stage("draw"):
            self._views.show(frame, followed)

    def _on_events(self, said: list[Event]) -> None:
        self._journal.say(said)
        self._hub.say([asdict(event) for event in said])
        self._presence.take_crops(self._worker.provisional())
        self._presence.update(self._linker, self._worker.now_s)

    def _take_health(self) -> None:
        """Publish how the cameras are, and tell what happened to them."""
        self._records.update(self._cameras.cameras)
        self._tell([*self._cameras.take_events(), *self._views.take_events()])
        self._hub.publish(self._cameras.health(), self._presence.people)
        problem = self._journal.problem
        if problem and problem != self._journal_problem:
            self._warn(problem)
        self._journal_problem = problem

    def _tell(self, said: Sequence[CameraEvent]) -> None:
        self._journal.say(said)
        self._hub.say([asdict(event) for event in said])
        for event in said:
            self._say(f"{event.camera}: {event.kind.replace('_', ' ')}: {event.reason}")

    def _save_state(self) -> None:
        """Save what a later run needs; a full disk is told, and tried again."""
        self._journal.describe(self._setup())
        next_tracks = self._worker.next_track_ids
        progress = {}
        for name, next_frame in self._cameras.next_indices.items():
            progress[name] = CameraProgress(next_frame, next_tracks.get(name, 1))
        now = State(self._worker.now_s, self._linker.state(), self._progress | progress)
        try:
            state.save(self._output / STATE, now, self._result.reid_sha256)
        except OutputError as error:
            self._warn(str(error))

    def _setup(self) -> Setup:
        """What the results need beside rows and events."""
        config = self._config
        look_s = {name: self._worker.look_s(name) for name in self._records}
        return Setup(
            tuple(self._records.values()),
            config.linking.confirmed_probability,
            config.tracklets.max_interpolated_gap_s,
            config.linking.min_person_s,
            look_s,
        )

    def _reload_from_page(self) -> str:
        if self._reload is None:
            raise ConfigError("this run has no config file to read again")
        self._reload()  # what is wrong is told to who asked
        self.ask_to_reload()
        return "the config is being read again"

    def _read_settings(self) -> None:
        """Add, remove and change cameras as the config says now."""
        self._is_reload_due.clear()
        if self._reload is None:
            return
        try:
            new, _ = preparation.checked(self._reload())
        except ConfigError as error:
            self._warn(f"the config was not read again: {one_line(error)}")
            return
        others = new.model_copy(update={"cameras": self._config.cameras})
        if others != self._config:
            self._warn("only changes of cameras count now; all others count from the next start")
        self._config = self._config.model_copy(update={"cameras": new.cameras})
        self._result.config = self._config
        self._cameras.reload(new.cameras)
        self._worker.reload(new.cameras)
        self._say(f"the config was read again: {len(new.cameras)} cameras")

    def _warn(self, line: str) -> None:
        """Tell of something that went wrong."""
        print(f"{time.strftime('%H:%M:%S')} warning: {line}", file=sys.stderr, flush=True)

    def _say(self, line: str) -> None:
        """Tell of something that happened."""
        if not self._quiet:
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


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
    if not resume and (output / STATE).exists():
        raise OutputError(
            f"{output}: holds a live run; add --resume to go on with its people, or choose another"
            " --output"
        )
    return OutputFolder(output, overwrite=resume)
