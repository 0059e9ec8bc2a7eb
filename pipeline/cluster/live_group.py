"""What a worker of a live run does: it looks at its cameras, and reports when it is asked.

A `LiveGroup` runs here on threads of its own, however slow the driver is. Of tracklets that are
open only the newest state is kept for it. Rows and closed tracklets wait for it, and beyond a bound
the oldest are dropped and counted. Pixels stay here: a report has them only as JPEGs of what the
page and the report of the run show.

There is no Ray in this module; `pipeline.cluster.live` makes actors of it.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.config import CameraConfig, Config
from pipeline.errors import PipelineError
from pipeline.live.best_crops import BestCrops
from pipeline.live.group import Desk, LiveGroup, failure_in_words
from pipeline.live.hub import Hub, Picture
from pipeline.live.presence import PageCrop
from pipeline.live.state import CameraProgress
from pipeline.preparation import Networks
from pipeline.records import Camera, Embedded, Tracklet, Tracks
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent, Health
from pipeline.sources.live.wall_clock import SteadyClock
from pipeline.timings import Timings

SOONEST_S = 0.1
"""A report comes no sooner after it was asked for."""
LATEST_S = 0.25
"""It comes after so long, even if there is nothing new."""
NOTE_S = 0.2
"""Health, events and crops are taken so often."""
STEPS_PER_DELAY = 4
"""How often tracklets are embedded in `linking.max_delay_s`; they are linked twice in that time."""
MAX_ROWS = 100_000
"""Rows that wait for a driver that does not ask: half an hour of five people."""
MAX_CLOSED = 500
"""Closed tracklets that wait for it, without pixels, about 100 kB each."""
MAX_UNEMBEDDED = 64
"""Closed tracklets that wait for the network, with pixels, about 1.5 MB each."""
MAX_PAGE_CROPS = 1000
MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told when it is asked.

    Attributes:
        cameras: all its cameras from now on.
        owners: the number of the person whose track of a camera this is, of tracks in view.
        watched: cameras whose pictures somebody looks at.
        blocked: why no pictures may be kept now, in words; "" where they may.
        is_last: whether it is to come to an end.
    """

    cameras: tuple[CameraConfig, ...]
    owners: Mapping[tuple[str, int], int] = field(default_factory=dict)
    watched: tuple[str, ...] = ()
    blocked: str = ""
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has seen since its last report.

    Attributes:
        rows: by camera, what the tracker returned.
        closed: tracklets that closed.
        open: all open tracklets, as if they closed now; None where that has not changed.
        now_s: see `LiveWorker.now_s`.
        n_frames: frames processed since it began, by camera.
        cameras: cameras that have been connected, by name.
        progress: how far each camera came.
        health: how the cameras are doing.
        events: what has happened to cameras and videos.
        page_crops: the best crops of tracks, for the page.
        crops: the best crops of tracklets, for the report; see `BestCrops.take`.
        pictures: the newest picture of cameras that somebody looks at.
        being_written: segments that are being written.
        seconds, counts: see `Timings.take`.
        n_dropped: rows and tracklets that are lost since it began, because nobody asked.
        warnings: what is suspect in what was processed, with the last report.
        has_ended: whether this is the last report.
        error: why it ended early; None where it did not.
    """

    rows: list[tuple[str, Tracks]] = field(default_factory=list)
    closed: list[Embedded] = field(default_factory=list)
    open: list[Embedded] | None = None
    now_s: float = 0.0
    n_frames: Mapping[str, int] = field(default_factory=dict)
    cameras: Mapping[str, Camera] = field(default_factory=dict)
    progress: Mapping[str, CameraProgress] = field(default_factory=dict)
    health: list[Health] = field(default_factory=list)
    events: list[CameraEvent] = field(default_factory=list)
    page_crops: list[PageCrop] = field(default_factory=list)
    crops: list[str] = field(default_factory=list)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    being_written: list[Path] = field(default_factory=list)
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    n_dropped: int = 0
    warnings: list[str] = field(default_factory=list)
    has_ended: bool = False
    error: PipelineError | None = None


class ReportingGroup:
    """Cameras that are looked at on threads of its own; see the module."""

    def __init__(
        self,
        config: Config,
        networks: Networks,
        output: Path,
        progress: Mapping[str, CameraProgress],
        clock: Callable[[], float] | None = None,
        open_cameras: Callable[..., LiveCameras] = LiveCameras,
    ) -> None:
        """Start to look at the cameras.

        Args:
            config: all settings; its cameras are those of the group.
            networks: what finds people, and what tells them apart.
            output: output folder of the run, which all workers share; segments are written into it.
            progress: by camera, where numbers go on after an earlier worker or run.
            clock: seconds since 1970; by default one that is never set back.
            open_cameras: `LiveCameras`, or a function like it.
        """
        clock = clock or SteadyClock()
        self._changed = threading.Condition()
        self._orders = Orders(tuple(config.cameras))
        self._told = self._orders.cameras
        """The cameras that the group was told of last."""
        self._timings = Timings()
        self._hub = Hub()
        self._has_page = config.serve.port > 0
        self._n_pictures_sent = 0
        self._crops = BestCrops(output, config.privacy.blur, clock)
        self._waiting = Report()
        """What the next report has beside pictures, crops for the report, and timings."""
        self._n_rows = 0
        self._n_dropped = 0
        self._unembedded: list[Tracklet] = []
        self._period_s = config.linking.max_delay_s / STEPS_PER_DELAY
        self._note_due_s = 0.0
        self._stop = threading.Event()
        desk = Desk(
            output,
            clock,
            self._timings,
            self._hub,
            self._crops,
            self._person_of,
            self._blocked,
            self._on_tracks,
        )
        self._group = LiveGroup(config, networks, desk, progress, open_cameras)
        self._thread = threading.Thread(target=self._run, name="group", daemon=True)
        self._thread.start()

    def report(self, orders: Orders) -> Report:
        """Return what was seen since the last report, after a wait of `LATEST_S` at most.

        Args:
            orders: what the group is told.
        """
        with self._changed:
            self._orders = orders
        for camera in orders.watched:
            self._hub.viewed(camera)
        if orders.is_last:
            self._stop.set()
        else:
            time.sleep(SOONEST_S)
        with self._changed:
            self._changed.wait_for(self._has_news, LATEST_S - SOONEST_S)
            waiting = self._waiting
            self._waiting = replace(
                waiting, rows=[], closed=[], open=None, events=[], page_crops=[]
            )
            self._n_rows = 0
            n_dropped = self._n_dropped
        seconds, counts = self._timings.take()
        cameras = dict(self._group.cameras)  # with those of all rows
        return replace(
            waiting,
            cameras=cameras,
            crops=self._crops.take(),
            pictures=self._new_pictures(waiting.health),
            seconds=seconds,
            counts=counts,
            n_dropped=n_dropped,
        )

    def close(self) -> None:
        """Stop, and wait for the end; what is left is in the next report."""
        self._stop.set()
        self._thread.join()

    # on the threads of the group

    def _run(self) -> None:
        error: PipelineError | None = None
        try:
            with closing(self._group):
                try:
                    with closing(self._group.rounds(self._stop)) as rounds:
                        self._follow(rounds)
                finally:
                    self._note()
        except PipelineError as known:
            error = known
        except Exception as unknown:  # noqa: BLE001 - the edge of a thread: the driver raises it
            error = PipelineError(failure_in_words(unknown))
        with self._changed:
            self._waiting = replace(
                self._waiting,
                events=[*self._waiting.events, *self._group.take_events()],
                being_written=[],
                warnings=self._group.warnings,
                has_ended=True,
                error=error,
            )
            self._changed.notify_all()

    def _follow(self, rounds: Generator[list[Tracklet], None, None]) -> None:
        """Take the rounds; tracklets are embedded meanwhile, a step after the other."""
        step: Future[None] | None = None
        due_s = 0.0
        with ThreadPoolExecutor(1, thread_name_prefix="embed") as thread:
            for closed in rounds:
                self._hold(closed)
                now_s = time.monotonic()
                if step is not None and step.done():
                    step.result()
                    step = None
                if step is None and now_s >= due_s:
                    due_s = now_s + self._period_s
                    step = thread.submit(self._embed, self._held(), self._group.provisional())
                if now_s >= self._note_due_s:
                    self._note_due_s = now_s + NOTE_S
                    self._note()
                self._take_orders()
            if step is not None:
                step.result()
        self._embed(self._held(), [])

    def _hold(self, closed: Sequence[Tracklet]) -> None:
        """Let closed tracklets wait for the network."""
        self._unembedded += closed
        n_surplus = max(len(self._unembedded) - MAX_UNEMBEDDED, 0)
        del self._unembedded[:n_surplus]
        with self._changed:
            self._n_dropped += n_surplus
            self._changed.notify_all()  # there may be new pictures

    def _held(self) -> list[Tracklet]:
        held = self._unembedded
        self._unembedded = []
        return held

    def _embed(self, closed: list[Tracklet], provisional: list[Tracklet]) -> None:
        """Embed what closed and what is open, for the next report."""
        embedded = self._group.embed(closed, provisional)
        with self._changed:
            all_closed = self._waiting.closed + embedded[: len(closed)]
            n_surplus = max(len(all_closed) - MAX_CLOSED, 0)
            self._n_dropped += n_surplus
            self._waiting = replace(
                self._waiting, closed=all_closed[n_surplus:], open=embedded[len(closed) :]
            )
            self._changed.notify_all()

    def _note(self) -> None:
        """Note how the group is, for the next report."""
        group = self._group
        page_crops = group.take_page_crops()
        events = group.take_events()
        health = group.health()
        self._hub.publish(health, [])
        with self._changed:
            waiting = self._waiting
            self._waiting = replace(
                waiting,
                now_s=group.now_s,
                n_frames=dict(group.n_frames),
                progress=dict(group.progress),
                health=health,
                events=[*waiting.events, *events][-MAX_EVENTS:],
                page_crops=[*waiting.page_crops, *page_crops][-MAX_PAGE_CROPS:],
                being_written=group.being_written(),
            )
            self._changed.notify_all()

    def _take_orders(self) -> None:
        """Add, remove and change cameras where the driver says so."""
        wanted = self._orders.cameras
        if wanted != self._told:
            self._told = wanted
            self._group.reload(wanted)

    def _on_tracks(self, camera: str, tracks: Tracks) -> None:
        if not len(tracks):
            return
        with self._changed:
            rows = self._waiting.rows
            rows.append((camera, tracks))
            self._n_rows += len(tracks)
            while self._n_rows > MAX_ROWS and len(rows) > 1:
                _, oldest = rows.pop(0)
                self._n_rows -= len(oldest)
                self._n_dropped += len(oldest)

    def _person_of(self, camera: str, track_id: int) -> int:
        return self._orders.owners.get((camera, track_id), -1)

    def _blocked(self) -> str:
        return self._orders.blocked

    # on the thread that asks

    def _has_news(self) -> bool:
        waiting = self._waiting
        is_shown = self._hub.n_pictures > self._n_pictures_sent
        return waiting.has_ended or waiting.open is not None or is_shown

    def _new_pictures(self, health: Sequence[Health]) -> dict[str, Picture]:
        """The pictures that are newer than those of the last report."""
        sent = self._n_pictures_sent
        self._n_pictures_sent = self._hub.n_pictures
        pictures: dict[str, Picture] = {}
        for each in health if self._has_page else []:
            picture = self._hub.picture(each.camera)
            if picture is not None and picture.number > sent:
                pictures[each.camera] = picture
        return pictures
