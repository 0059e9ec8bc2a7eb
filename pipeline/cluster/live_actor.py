"""The worker of a group of live cameras, as a Ray actor.

It imports what computes networks when it has begun to run: that takes seconds, in which it answers
already, so that a worker that loads is told from one that found no place.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cluster.supervision import SupervisedWorker

if TYPE_CHECKING:
    from pipeline.cluster.live_group import Orders, Report, ReportingGroup
    from pipeline.config import Config
    from pipeline.live.state import CameraProgress
    from pipeline.preparation import Chosen

ANSWER_S = 0.5
"""Longest wait for the networks before it answers that they are not there yet."""


class LiveActor(SupervisedWorker):
    """Looks at its cameras, and reports when it is asked; see `ReportingGroup`."""

    def __init__(
        self,
        config: "Config",
        chosen: "Chosen",
        output: Path,
        progress: Mapping[str, "CameraProgress"],
    ) -> None:
        """Begin to load networks, and then to look at the cameras, if there are any.

        Args:
            config: see `ReportingGroup`; a spare worker has no cameras yet.
            chosen: what computes the networks, as the driver has chosen it.
            output: see `ReportingGroup`.
            progress: see `ReportingGroup`.
        """
        self._config = config
        self._chosen = chosen
        self._output = output
        self._progress = progress
        self._has_cameras = threading.Event()
        self._group: ReportingGroup | None = None
        self._error: Exception | None = None
        self._has_begun = threading.Event()
        if config.cameras:
            self._has_cameras.set()
        threading.Thread(target=self._begin, name="begin", daemon=True).start()

    def take_over(
        self,
        config: "Config",
        chosen: "Chosen",
        output: Path,
        progress: Mapping[str, "CameraProgress"],
    ) -> None:
        """Give a spare worker its cameras; what it takes is what a worker is made of."""
        self._config = config
        self._progress = progress
        self._has_cameras.set()

    def report(self, orders: "Orders") -> "Report | None":
        """Return what was seen since the last report; None while networks are being loaded.

        Args:
            orders: see there.

        Raises:
            Exception: the networks cannot be loaded.
        """
        if not self._has_begun.wait(ANSWER_S):
            return None
        if self._group is None:
            assert self._error is not None
            raise self._error
        return self._group.report(orders)

    def _begin(self) -> None:
        from pipeline import preparation
        from pipeline.cluster.live_group import ReportingGroup

        try:
            networks = preparation.load_networks(self._config, [], self._chosen)
            self._has_cameras.wait()
            self._group = ReportingGroup(self._config, networks, self._output, self._progress)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: `report` raises it
            self._error = error
        self._has_begun.set()
