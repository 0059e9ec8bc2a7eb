"""A live run on a cluster: workers have the cameras, the driver has all else (`CameraSide`).

The driver asks each worker again and again for what it has seen, and tells it who is who
(`live_group`). A worker or machine that is lost is replaced at once, as often as it takes: a run of
weeks does not end because a machine does. Its cameras have a gap, and people keep their numbers
(`overview`).
"""

import pickle
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models import device as devices
from pipeline import config as configuration
from pipeline.cluster import connection
from pipeline.cluster.groups import CameraGroup, divide
from pipeline.cluster.live_actor import LiveActor, LiveJob
from pipeline.cluster.live_group import Report
from pipeline.cluster.overview import Overview
from pipeline.cluster.supervision import (
    Event,
    Lost,
    Started,
    SupervisedWorker,
    Supervisor,
    Waiting,
    spares,
)
from pipeline.config import CameraConfig, Config, GroupConfig
from pipeline.live.group import Desk
from pipeline.live.presence import PageCrop
from pipeline.live.state import CameraProgress
from pipeline.preparation import Chosen
from pipeline.records import Camera, Embedded
from pipeline.result import Result
from pipeline.sources.live.health import CameraEvent, Health

TICK_S = 0.1
"""Turns of the run come at least so often."""
HANG_S = 5.0
"""Longest silence of a worker, which answers within half a second: its cameras are to be live again
ten seconds after a machine was cut off.
"""
END_S = 30.0
"""Longest wait for the last reports when the run ends."""


@contextmanager
def connected(config: Config) -> Iterator[None]:
    """Connect to the cluster of the settings for the time of a block.

    Args:
        config: all settings.

    Raises:
        ClusterError: there is no cluster, or no room in it for the workers.
    """
    with connection.connected(config.ray) as is_own:
        if is_own:  # no machine will come into it
            groups = _groups_of(config)
            all_workers = [*groups, *spares(groups, config.ray.spare_workers)]
            connection.refuse_too_small(all_workers, at_once=True)
        yield


def _groups_of(config: Config) -> list[CameraGroup]:
    return divide(config.cameras, config.ray, devices.resolve(config.device).type == "cuda")


class LiveWorkers:
    """All workers of a run; see `CameraSide`."""

    def __init__(
        self,
        config: Config,
        result: Result,
        desk: Desk,
        progress: Mapping[str, CameraProgress],
    ) -> None:
        """Start the workers, within `connected`.

        Args:
            config: all settings.
            result: says what computes the networks, and takes where workers run.
            desk: the other side.
            progress: by camera, where numbers go on after an earlier run.
        """
        self._config = configuration.absolute(config)
        self._chosen = Chosen.of(result)
        self._result = result
        self._output = desk.output.absolute()
        self._overview = Overview(desk, config.tracker.max_lost_s, progress)
        self._groups: dict[str, CameraGroup] = {}
        """Those that have a worker, or are to have one."""
        self._ending: set[str] = set()
        """Those whose worker was told to come to an end."""
        self._home: dict[str, str] = {}
        """The group of each camera so far."""
        self._warnings: list[str] = []
        groups = _groups_of(config)
        by_name = {camera.name: camera for camera in self._config.cameras}
        for group in groups:
            self._assign(group, [by_name[name] for name in group.cameras])
        self._supervisor = Supervisor(
            groups,
            self._made,
            config.ray.start_timeout_s,
            HANG_S,
            max_losses=0,
            n_spares=config.ray.spare_workers,
        )
        self._supervisor.start()

    @property
    def now_s(self) -> float:
        """See `Overview.now_s`."""
        return self._overview.now_s

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Frames processed so far, by camera."""
        return self._overview.n_frames

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """See `CameraSide`."""
        return self._overview.cameras

    @property
    def progress(self) -> Mapping[str, CameraProgress]:
        """See `CameraSide`."""
        return self._overview.progress

    @property
    def warnings(self) -> list[str]:
        """See `CameraSide`."""
        return [*self._overview.warnings, *self._warnings]

    def rounds(self, stop: threading.Event) -> Generator[list[Embedded], None, None]:
        """See `CameraSide`; what closes is yielded with its embeddings."""
        ends_s = float("inf")
        while self._groups:
            closed: list[Embedded] = []
            if stop.is_set() and ends_s == float("inf"):
                ends_s = time.monotonic() + END_S
                closed += self._end_where_none_runs()
            if time.monotonic() > ends_s:
                closed += self._end_all()
            for event in self._supervisor.poll(TICK_S):
                closed += self._take(event, stop.is_set())
            self._warnings += self._supervisor.take_warnings()
            yield closed

    def embed(self, closed: Sequence[Embedded], provisional: Sequence[Embedded]) -> list[Embedded]:
        """See `CameraSide`; the workers have done it."""
        return [*closed, *provisional]

    def provisional(self) -> list[Embedded]:
        """Return the open tracklets of all workers."""
        return self._overview.provisional()

    def health(self) -> list[Health]:
        """See `CameraSide`."""
        return self._overview.health()

    def take_events(self) -> list[CameraEvent]:
        """See `CameraSide`; among them, that workers were lost and run again."""
        return self._overview.take_events()

    def take_page_crops(self) -> list[PageCrop]:
        """See `CameraSide`."""
        return self._overview.take_page_crops()

    def being_written(self) -> list[Path]:
        """See `CameraSide`."""
        return self._overview.being_written()

    def reload(self, cameras: Sequence[CameraConfig]) -> None:
        """See `CameraSide`; a camera stays with its worker, and the others are not disturbed."""
        reloaded = self._config.model_copy(update={"cameras": list(cameras)})
        self._config = configuration.absolute(reloaded)
        wanted: dict[str, list[CameraConfig]] = {
            name: [] for name in self._groups if name not in self._ending
        }
        new: list[CameraConfig] = []
        for camera in self._config.cameras:
            home = self._home.get(camera.name, "")
            if home in wanted:
                wanted[home].append(camera)
            else:
                new.append(camera)
        for camera in new:
            self._take_in(camera, wanted)
        for name, of_group in wanted.items():
            is_new = name not in self._groups
            group = self._groups.get(name) or self._new_group(name, of_group)
            self._assign(group, of_group)
            if is_new:
                self._supervisor.add(group)

    def close(self) -> None:
        """End all workers."""
        self._supervisor.close()

    def _made(self, group: CameraGroup) -> tuple[type[SupervisedWorker], Sequence[Any]]:
        """What the worker of a group, or a spare one, is made of now."""
        cameras = list(self._overview.cameras_of(group.name)) if group.cameras else []
        changed = {"cameras": cameras, "device": self._chosen.device}
        config = self._config.model_copy(update=changed)
        progress = dict(self._overview.progress)
        return LiveActor, (LiveJob(config, self._chosen, self._output, progress),)

    def _take(self, event: Event, is_last: bool) -> list[Embedded]:
        """Take what has happened to a worker, and ask it again; returns what closed."""
        name = event.group
        overview = self._overview
        if name not in self._groups:  # a spare worker took over what is not needed any more
            return []
        if isinstance(event, Waiting):
            overview.wait(name, event.reason)
            return []
        if isinstance(event, Lost):
            closed = overview.lose(name, event.reason)
            if is_last:
                self._end(name)
            return closed
        closed = []
        if isinstance(event, Started):
            names = [camera.name for camera in overview.cameras_of(name)]
            self._result.workers[name] = event.entry(names)
            place = event.place
            worker = f"{name} (process {place.pid})"
            overview.begin(name, worker, f"{place.host} ({place.node_id[:8]})")
            if not names:
                return self._end(name)
        elif event.answer is not None:
            report: Report = pickle.loads(event.answer)
            closed = overview.take(name, report)
            self._supervisor.progressed(name)
            if report.error is not None:
                raise report.error
            if report.has_ended:
                return [*closed, *self._end(name)]
        is_over = is_last or not overview.cameras_of(name)
        if is_over:
            self._ending.add(name)
        self._supervisor.ask(name, "report", overview.orders(name, is_over))
        return closed

    def _end(self, name: str) -> list[Embedded]:
        """End the worker of a group; returns what was still open."""
        self._supervisor.finish(name)
        self._ending.discard(name)
        del self._groups[name]
        return self._overview.end(name)

    def _end_where_none_runs(self) -> list[Embedded]:
        """End groups whose worker is being started."""
        closed: list[Embedded] = []
        places = self._supervisor.places
        for name in [name for name in self._groups if name not in places]:
            closed += self._end(name)
        return closed

    def _end_all(self) -> list[Embedded]:
        closed: list[Embedded] = []
        for name in list(self._groups):
            self._warnings.append(f"the worker of {name} did not end within {END_S:g} s")
            closed += self._end(name)
        return closed

    def _assign(self, group: CameraGroup, cameras: Sequence[CameraConfig]) -> None:
        self._groups[group.name] = group
        self._overview.assign(group.name, cameras)
        for camera in cameras:
            self._home[camera.name] = group.name

    def _take_in(self, camera: CameraConfig, wanted: dict[str, list[CameraConfig]]) -> None:
        """Put a camera that has no worker into a group: its own, one with room, or a new one.

        A camera that was in a group which is gone gets a new one: others do not know how far it
        came.
        """
        if camera.group and camera.group not in self._ending:
            wanted.setdefault(camera.group, []).append(camera)
            return
        for of_group in wanted.values():
            has_room = not camera.group and 0 < len(of_group) < self._config.ray.cameras_per_worker
            is_unnamed = all(not other.group for other in of_group)
            if has_room and is_unnamed and camera.name not in self._home:
                of_group.append(camera)
                return
        name = camera.group or camera.name
        while name in wanted or name in self._groups:
            name += "+"
        wanted[name] = [camera]

    def _new_group(self, name: str, cameras: Sequence[CameraConfig]) -> CameraGroup:
        needs = self._config.ray.groups.get(cameras[0].group, GroupConfig())
        names = tuple(camera.name for camera in cameras)
        return CameraGroup(name, names, needs, on_gpu=self._chosen.device == "cuda")
