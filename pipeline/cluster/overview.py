"""What the driver of a live run knows of cameras and tracklets, from the reports of its workers.

A worker that is lost takes with it what it has not reported, some tenths of a second. Its open
tracklets close with what was reported of them, so that linking waits for none for ever, and whoever
was in them is known: the next worker begins new tracks, which linking gives to the same people.
Numbers of frames and tracks go on after the highest that were reported.

There is no Ray in this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.cluster.live_group import Orders, Report
from pipeline.config import CameraConfig
from pipeline.live.group import Desk
from pipeline.live.presence import PageCrop
from pipeline.live.state import CameraProgress
from pipeline.records import Camera, Embedded, Key
from pipeline.sources.live.health import CameraEvent, CameraEventKind, Health

STARTING = "its worker is being started"
WAITED = "workers waited too long for the process that links"


@dataclass(slots=True)
class _Known:
    """What is known of a group.

    place: worker and node, as they are shown; both "" until it runs.
    report: the last one of the worker that runs.
    open: the open tracklets.
    n_frames: of workers before, by camera.
    n_dropped: of workers before.
    since_s: when the group got its state, seconds since 1970.
    lost: why its worker was lost; "" once it has another that runs.
    waits: why its worker has found no place yet; "" where it is not known to wait.
    """

    cameras: tuple[CameraConfig, ...]
    since_s: float
    place: tuple[str, str] = ("", "")
    report: Report = field(default_factory=Report)
    open: dict[Key, Embedded] = field(default_factory=dict)
    n_frames: dict[str, int] = field(default_factory=dict)
    n_dropped: int = 0
    lost: str = ""
    waits: str = ""


class Overview:
    """Takes reports, and answers for all workers; see the module.

    Args:
        desk: where rows, crops, pictures and timings go.
        max_lost_s: `tracker.max_lost_s`.
        progress: by camera, where numbers go on after an earlier run.
    """

    def __init__(
        self, desk: Desk, max_lost_s: float, progress: Mapping[str, CameraProgress]
    ) -> None:
        self._desk = desk
        self._max_lost_s = max_lost_s
        self._groups: dict[str, _Known] = {}
        self._cameras: dict[str, Camera] = {}
        self._progress = dict(progress)
        self._latest_s = 0.0
        self._events: list[CameraEvent] = []
        self._page_crops: list[PageCrop] = []
        self._warnings: list[str] = []

    # by group

    def assign(self, group: str, cameras: Sequence[CameraConfig]) -> None:
        """Give a group its cameras from now on."""
        if group not in self._groups:
            self._groups[group] = _Known((), self._desk.clock())
        self._groups[group].cameras = tuple(cameras)

    def cameras_of(self, group: str) -> tuple[CameraConfig, ...]:
        """Return the cameras of a group."""
        return self._groups[group].cameras

    def orders(self, group: str, is_last: bool) -> Orders:
        """Return what the worker of a group is told.

        Args:
            group: its name.
            is_last: whether it is to come to an end.
        """
        known = self._groups[group]
        owners = {}
        for embedded in known.open.values():
            track = (embedded.tracklet.camera, embedded.tracklet.track_id)
            person_id = self._desk.person_of(*track)
            if person_id > 0:
                owners[track] = person_id
        names = [camera.name for camera in known.cameras]
        watched = tuple(name for name in names if self._desk.hub.is_watched(name))
        return Orders(known.cameras, owners, watched, self._desk.blocked(), is_last)

    def wait(self, group: str, reason: str) -> None:
        """Note why the worker of a group has found no place yet, in words."""
        self._groups[group].waits = reason

    def begin(self, group: str, worker: str, node: str) -> None:
        """Note that the worker of a group runs.

        Args:
            group: its name.
            worker: which worker it is, as it is shown.
            node: where it runs, as it is shown.
        """
        known = self._groups[group]
        known.place = (worker, node)
        if known.lost:
            now_s = self._desk.clock()
            reason = f"{worker} runs on {node}, {now_s - known.since_s:.1f} s after the loss"
            self._say(known, "worker_restarted", reason)
            known.since_s = now_s
        known.lost = ""
        known.waits = ""

    def take(self, group: str, report: Report) -> list[Embedded]:
        """Take a report of the worker of a group.

        Args:
            group: its name.
            report: what the worker has seen.

        Returns:
            The tracklets that closed.
        """
        known = self._groups[group]
        if report.n_dropped > known.report.n_dropped:
            n_new = report.n_dropped - known.report.n_dropped
            self._say(known, "drops", f"{n_new} rows and tracklets are lost: {WAITED}")
        known.report = report
        self._latest_s = max(self._latest_s, report.now_s)
        self._cameras |= report.cameras
        for camera, progress in report.progress.items():
            self._go_on(camera, progress)
        for camera, tracks in report.rows:
            last_frame = int(tracks.frames.max())
            last_track_id = int(tracks.track_ids.max())
            self._go_on(camera, CameraProgress(last_frame + 1, last_track_id + 1))
            self._desk.on_tracks(camera, tracks)
        self._desk.crops.add(report.crops)
        self._desk.timings.add(report.seconds, report.counts)
        for camera, picture in report.pictures.items():
            self._desk.hub.publish_picture(camera, picture.jpeg, picture.time_s)
        self._events += report.events
        self._page_crops += report.page_crops
        if report.has_ended:
            self._warnings += report.warnings
        return self._closed(known, report)

    def lose(self, group: str, reason: str) -> list[Embedded]:
        """Note that the worker of a group is gone.

        Args:
            group: its name.
            reason: why, in words.

        Returns:
            Its open tracklets, which have closed.
        """
        known = self._groups[group]
        for camera, n_frames in known.report.n_frames.items():
            known.n_frames[camera] = known.n_frames.get(camera, 0) + n_frames
        known.n_dropped += known.report.n_dropped
        if not known.lost:
            known.since_s = self._desk.clock()
            worker, node = known.place
            where = f"{worker} on {node}" if worker else "its worker, which had not begun"
            self._say(known, "worker_lost", f"{where}: {reason}; another one is started")
        known.lost = reason
        known.place = ("", "")
        known.report = Report()
        return self._left_open(known)

    def end(self, group: str) -> list[Embedded]:
        """Note that a group needs no worker any more; returns what was still open."""
        return self._left_open(self._groups[group])

    # for all groups

    @property
    def now_s(self) -> float:
        """Time of the latest frame, or of this machine when all cameras have been silent."""
        return max(self._latest_s, self._desk.clock() - self._max_lost_s)

    @property
    def n_frames(self) -> dict[str, int]:
        """Frames processed so far, by camera."""
        n_frames: dict[str, int] = {}
        for known in self._groups.values():
            for part in (known.n_frames, known.report.n_frames):
                for camera, n_more in part.items():
                    n_frames[camera] = n_frames.get(camera, 0) + n_more
        return n_frames

    @property
    def n_dropped(self) -> int:
        """Rows and tracklets that are lost because workers waited too long to be asked."""
        return sum(known.n_dropped + known.report.n_dropped for known in self._groups.values())

    @property
    def cameras(self) -> dict[str, Camera]:
        """Cameras that have been connected, by name."""
        return self._cameras

    @property
    def progress(self) -> dict[str, CameraProgress]:
        """How far each camera came."""
        return self._progress

    @property
    def warnings(self) -> list[str]:
        """What workers that have ended found suspect, and what was dropped."""
        warnings = list(self._warnings)
        if self.n_dropped:
            warnings.append(f"{self.n_dropped} rows and tracklets are lost: {WAITED}")
        return warnings

    def provisional(self) -> list[Embedded]:
        """Return the open tracklets of all workers, as if they closed now."""
        return [each for known in self._groups.values() for each in known.open.values()]

    def health(self) -> list[Health]:
        """Return how the cameras are doing, in the order of names."""
        healths: list[Health] = []
        for known in self._groups.values():
            reported = {each.camera: each for each in known.report.health}
            worker, node = known.place
            reasons = [f"its worker was lost: {known.lost}"] if known.lost else []
            reasons.append(known.waits or STARTING)
            for camera in known.cameras:
                waiting = Health(
                    camera.name,
                    "lost" if known.lost else "connecting",
                    known.since_s,
                    reason="; ".join(reasons),
                )
                health = reported.get(camera.name, waiting)
                healths.append(replace(health, worker=worker, node=node))
        return sorted(healths, key=lambda health: health.camera)

    def take_events(self) -> list[CameraEvent]:
        """Return what has happened to cameras and workers since the last call, in time order."""
        events = self._events
        self._events = []
        return sorted(events, key=lambda event: event.time_s)

    def take_page_crops(self) -> list[PageCrop]:
        """Return the best crops of tracks that came since the last call."""
        taken = self._page_crops
        self._page_crops = []
        return taken

    def being_written(self) -> list[Path]:
        """Return the segments that are being written; on any thread."""
        groups = list(self._groups.values())
        return [path for known in groups for path in known.report.being_written]

    def _closed(self, known: _Known, report: Report) -> list[Embedded]:
        """What closed, also open tracklets that are told neither as open nor as closed any more,
        because they were dropped.
        """
        if report.open is None:
            return report.closed
        before = known.open
        known.open = {each.tracklet.key: each for each in report.open}
        told = known.open.keys() | {each.tracklet.key for each in report.closed}
        gone = [each for key, each in before.items() if key not in told]
        return [*report.closed, *gone]

    def _left_open(self, known: _Known) -> list[Embedded]:
        left = list(known.open.values())
        known.open = {}
        return left

    def _go_on(self, camera: str, at_least: CameraProgress) -> None:
        """Let the numbers of a camera go on after those that are known now."""
        known = self._progress.get(camera, CameraProgress(0, 1))
        next_frame = max(known.next_frame, at_least.next_frame)
        next_track_id = max(known.next_track_id, at_least.next_track_id)
        self._progress[camera] = CameraProgress(next_frame, next_track_id)

    def _say(self, known: _Known, kind: CameraEventKind, reason: str) -> None:
        now_s = self._desk.clock()
        self._events += [CameraEvent(now_s, kind, each.name, reason) for each in known.cameras]
