"""The side of a live run that has pixels: cameras that are looked at together, and all that is made
of their pictures.

`pipeline.live.run` has the other side: journal, state, linker, page and sinks. What goes from here
to there has no pixels but JPEGs of what the page and the report show: rows, embedded tracklets,
health and events of cameras. So this side can be in other processes (`pipeline.cluster.live`).
"""

import threading
import traceback
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from models import command
from models.errors import one_line
from pipeline.config import CameraConfig, Config
from pipeline.errors import PipelineError
from pipeline.following import Followed
from pipeline.live.best_crops import BestCrops
from pipeline.live.hub import Hub
from pipeline.live.presence import PageCrop, PageCrops
from pipeline.live.state import CameraProgress
from pipeline.live.views import Views
from pipeline.live.worker import LiveWorker
from pipeline.online.runner import CachedEmbedder, Progress
from pipeline.preparation import Networks
from pipeline.records import Camera, Embedded, Frame, Tracklet, Tracks
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent, Health
from pipeline.timings import Timings


@dataclass(frozen=True, slots=True)
class Desk:
    """What the side that has pixels takes from the side that has none, and gives to it at once.

    Attributes:
        output: output folder of the run.
        clock: seconds since 1970.
        timings: where stages are counted.
        hub: takes the pictures of cameras that somebody watches.
        crops: takes the best crops for the report.
        person_of: returns the number of the person whose track of a camera this is; -1 for nobody.
        blocked: returns why no pictures may be kept now, in words; "" where they may.
        on_tracks: takes what the tracker of a camera returned.
    """

    output: Path
    clock: Callable[[], float]
    timings: Timings
    hub: Hub
    crops: BestCrops
    person_of: Callable[[str, int], int]
    blocked: Callable[[], str]
    on_tracks: Callable[[str, Tracks], object]


class CameraSide(Progress[Any], Protocol):
    """What a run asks of the side that has pixels; for one thread, except `being_written`."""

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """Cameras that have been connected, by name, also those that are gone."""
        ...

    @property
    def progress(self) -> Mapping[str, CameraProgress]:
        """How far each camera came, also those that are gone."""
        ...

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what was processed; complete when the run has ended."""
        ...

    def rounds(self, stop: threading.Event) -> Generator[list[Any], None, None]:
        """Yield what closes, round by round, until `stop` is set or all cameras have ended."""
        ...

    def embed(self, closed: Sequence[Any], provisional: Sequence[Any]) -> list[Embedded]:
        """Embed closed and open tracklets, in order; on any thread."""
        ...

    def health(self) -> list[Health]:
        """Return how the cameras are doing, in the order of names."""
        ...

    def take_events(self) -> list[CameraEvent]:
        """Return what has happened to cameras and videos since the last call."""
        ...

    def take_page_crops(self) -> list[PageCrop]:
        """Return the best crops of tracks for the page, those that are new or better."""
        ...

    def being_written(self) -> Collection[Path]:
        """Return the segments of video that are being written; on any thread."""
        ...

    def reload(self, cameras: Sequence[CameraConfig]) -> None:
        """Add, remove and change cameras."""
        ...

    def close(self) -> None:
        """Close cameras and segments."""
        ...


class LiveGroup:
    """Cameras of this process; see `CameraSide`."""

    def __init__(
        self,
        config: Config,
        networks: Networks,
        desk: Desk,
        progress: Mapping[str, CameraProgress],
        open_cameras: Callable[..., LiveCameras] = LiveCameras,
    ) -> None:
        """Start to connect; nothing is looked at yet.

        Args:
            config: all settings; its cameras are those of the group.
            networks: what finds people, and what tells them apart.
            desk: the other side.
            progress: by camera, where numbers go on after an earlier run.
            open_cameras: `LiveCameras`, or a function like it.
        """
        self._config = config
        self._networks = networks
        self._desk = desk
        self._page_crops = PageCrops(config.privacy.blur)
        self._waiting_crops: list[PageCrop] = []
        self._embedder = CachedEmbedder(networks.embedder, desk.timings)
        self._views = Views(desk.output, config, desk.hub, desk.person_of, desk.blocked)
        self._cameras = open_cameras(
            config.cameras,
            config.live,
            now=desk.clock,
            next_indices={name: each.next_frame for name, each in progress.items()},
        )
        self._worker = LiveWorker(
            self._cameras,
            networks.detector,
            config,
            desk.timings,
            self._on_frame,
            {name: each.next_track_id for name, each in progress.items()},
            desk.clock,
        )

    @property
    def now_s(self) -> float:
        """See `LiveWorker.now_s`."""
        return self._worker.now_s

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Frames processed so far, by camera."""
        return self._worker.n_frames

    @property
    def cameras(self) -> dict[str, Camera]:
        """See `CameraSide`."""
        return self._cameras.cameras

    @property
    def progress(self) -> dict[str, CameraProgress]:
        """See `CameraSide`."""
        next_tracks = self._worker.next_track_ids
        return {
            name: CameraProgress(next_frame, next_tracks.get(name, 1))
            for name, next_frame in self._cameras.next_indices.items()
        }

    @property
    def warnings(self) -> list[str]:
        """See `CameraSide`."""
        networks = self._networks
        return [
            *self._worker.warnings,
            *networks.detector.warnings,
            *networks.embedder.warnings,
        ]

    def rounds(self, stop: threading.Event) -> Generator[list[Tracklet], None, None]:
        """See `CameraSide`; what closes is yielded with its crops."""
        with closing(self._worker.run(stop)) as rounds:
            for closed in rounds:
                if self._config.serve.port:
                    self._waiting_crops += self._page_crops.of_closed(closed)
                if self._keeps_crops:
                    self._desk.crops.take_closed(closed)
                yield closed

    def provisional(self) -> list[Tracklet]:
        """Return the open tracklets as if they closed now."""
        return self._worker.provisional()

    def embed(self, closed: Sequence[Tracklet], provisional: Sequence[Tracklet]) -> list[Embedded]:
        """See `CachedEmbedder.embed`."""
        return self._embedder.embed(closed, provisional)

    def health(self) -> list[Health]:
        """See `CameraSide`."""
        return self._cameras.health()

    def take_events(self) -> list[CameraEvent]:
        """See `CameraSide`."""
        return [*self._cameras.take_events(), *self._views.take_events()]

    def take_page_crops(self) -> list[PageCrop]:
        """See `CameraSide`; the best crops so far of who is in view are chosen now."""
        in_view = self._worker.provisional()
        if self._config.serve.port:
            self._waiting_crops += self._page_crops.of_open(in_view)
        if self._keeps_crops:
            self._desk.crops.take_in_view(in_view)
        taken = self._waiting_crops
        self._waiting_crops = []
        return taken

    def being_written(self) -> list[Path]:
        """See `CameraSide`."""
        return self._views.being_written()

    def reload(self, cameras: Sequence[CameraConfig]) -> None:
        """See `CameraSide`."""
        self._cameras.reload(cameras)
        self._worker.reload(cameras)

    def close(self) -> None:
        """See `CameraSide`."""
        self._cameras.close()
        self._views.close()

    @property
    def _keeps_crops(self) -> bool:
        return self._config.output.report and not self._desk.blocked()

    def _on_frame(self, frame: Frame, followed: Followed) -> None:
        self._desk.on_tracks(frame.camera, followed.tracks)
        with self._desk.timings.stage("draw"):
            self._views.show(frame, followed)


def failure_in_words(error: Exception) -> str:
    """Return what failed; for an error that nobody expected, also where."""
    if isinstance(error, PipelineError):
        return str(error)
    if command.is_out_of_memory(error):
        return command.OUT_OF_MEMORY
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    return f"{kind}: {one_line(error)} ({Path(place.filename).name}, line {place.lineno})"
