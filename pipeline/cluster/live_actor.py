"""The worker of a group of live cameras, as a Ray actor.

It imports what computes networks when it has begun to run: that takes seconds, in which it answers
already, so that a worker that loads is told from one that found no place.
"""

import pickle
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cluster.supervision import SupervisedWorker, refuse_other_version
from pipeline.errors import OutputError
from pipeline.version import VERSION

if TYPE_CHECKING:
    from pipeline.cluster.live_group import Orders, ReportingGroup
    from pipeline.config import Config
    from pipeline.live.state import CameraProgress
    from pipeline.preparation import Chosen

ANSWER_S = 0.5
"""Longest wait for the networks before it answers that they are not there yet."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What a worker is made of.

    Attributes:
        config: all settings; its cameras are those of the worker, a spare one has none yet.
        chosen: what computes the networks, as the driver has chosen it.
        output: output folder of the run, on a disk that all machines share.
        progress: by camera, where numbers go on after an earlier worker or run.
        version: of the driver's program.
    """

    config: "Config"
    chosen: "Chosen"
    output: Path
    progress: Mapping[str, "CameraProgress"]
    version: str = VERSION


class LiveActor(SupervisedWorker):
    """Looks at its cameras, and reports when it is asked; see `ReportingGroup`."""

    _job: LiveJob

    def __init__(self, job: LiveJob) -> None:
        """Begin to load networks, and then to look at the cameras, if there are any."""
        super().__init__(job, bool(job.config.cameras))
        self._group: ReportingGroup | None = None
        self._error: Exception | None = None
        self._has_begun = threading.Event()
        threading.Thread(target=self._begin, name="begin", daemon=True).start()

    def report(self, orders: "Orders") -> bytes | None:
        """Return what was seen since the last report; None while networks are being loaded.

        Args:
            orders: see there.

        Returns:
            The report, pickled: arrays that Ray hands out stay in its shared memory as long as one
            of them is used, and tracklets are remembered for long.

        Raises:
            Exception: the networks cannot be loaded.
        """
        if not self._has_begun.wait(ANSWER_S):
            return None
        if self._group is None:
            assert self._error is not None
            raise self._error
        return pickle.dumps(self._group.report(orders))

    def _begin(self) -> None:
        try:
            self._group = self._loaded()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: `report` raises it
            self._error = error
        self._has_begun.set()

    def _loaded(self) -> "ReportingGroup":
        """The group, when the networks are there and it has cameras; raises PipelineError."""
        from pipeline import preparation
        from pipeline.cluster.live_group import ReportingGroup

        refuse_other_version(self._job.version)
        _refuse_other_output(self._job)
        networks = preparation.load_networks(self._job.config, [], self._job.chosen)
        self._has_cameras.wait()
        job = self._job
        return ReportingGroup(job.config, networks, job.output, job.progress)


def _refuse_other_output(job: LiveJob) -> None:
    """Raise OutputError where this machine has another output folder, and is to write into it."""
    from pipeline.live.journal import ROWS

    if job.config.output.video and not (job.output / ROWS).is_dir():
        raise OutputError(
            f"{job.output}: is not the output folder of this run on {socket.gethostname()}; choose"
            " an --output on a disk that all machines share, under the same path, or write no"
            " videos (--no-video)"
        )
