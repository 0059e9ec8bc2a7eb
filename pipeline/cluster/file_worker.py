"""A worker that reads the files of a group of cameras."""

import queue
import socket
import threading
from dataclasses import dataclass

from pipeline import chunks
from pipeline.cluster.supervision import SupervisedWorker, refuse_other_version
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.group import Done, Group
from pipeline.preparation import Chosen, load_networks, open_camera
from pipeline.records import Camera
from pipeline.sources import Source
from pipeline.version import VERSION

ANSWER_S = 1.0
"""A worker answers after so long at most, if only that it is alive."""
N_AHEAD = 2
"""Chunks that wait for the driver; then reading waits too, so that nothing is lost."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do.

    Attributes:
        config: all settings, with the device of the driver.
        cameras: names of its cameras; a spare one has none yet.
        all_cameras: those of the run, which a file of detections is for.
        chosen: what computes the networks, as the driver has chosen it.
        done: what was done of it before.
        version: of the driver's program.
    """

    config: Config
    cameras: tuple[str, ...]
    all_cameras: tuple[Camera, ...]
    chosen: Chosen
    done: Done
    version: str = VERSION


class FileWorker(SupervisedWorker):
    """Reads its cameras on a thread, and gives chunks when it is asked."""

    _job: Job

    def __init__(self, job: Job) -> None:
        super().__init__(job, bool(job.cameras))
        self._is_stopping = False
        self._stop = threading.Event()
        self._ready: queue.Queue[bytes | BaseException] = queue.Queue(N_AHEAD)
        threading.Thread(target=self._run, name="group", daemon=True).start()

    def next(self, stop: bool) -> bytes | None:
        """Return the next chunk, packed; None where there is none yet.

        Args:
            stop: whether reading shall end early.

        Raises:
            Exception: what went wrong while the cameras were read.
        """
        self._is_stopping = stop
        try:
            item = self._ready.get(timeout=ANSWER_S)
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise item
        return item

    def _run(self) -> None:
        try:
            group = self._group()

            def note_progress(_: int) -> None:
                # what was acknowledged is read again all the same, or its end would be lost
                if self._is_stopping and group.has_caught_up:
                    self._stop.set()

            for chunk in group.chunks(self._stop, note_progress):
                self._ready.put(chunks.to_bytes(chunk))
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: it travels to the driver
            self._ready.put(error)

    def _group(self) -> Group:
        """Open networks and sources as the driver did, these when there are cameras; raises
        PipelineError.
        """
        refuse_other_version(self._job.version)
        networks = load_networks(self._job.config, self._job.all_cameras, self._job.chosen)
        self._has_cameras.wait()
        job = self._job
        sources: list[Source] = []
        for camera in job.config.cameras:
            if camera.name in job.cameras:
                try:
                    sources.append(open_camera(camera, job.config))
                except SourceError as error:
                    host = socket.gethostname()
                    raise SourceError(f"on the machine {host}: {error}") from None
        return Group(sources, networks.detector, networks.embedder, job.config, job.done)
