"""One cluster for all tests of this folder: it takes seconds to start."""

import os
from collections.abc import Iterator

import pytest

from tests.pipeline.cluster.machines import Machines

OF_A_BUSY_MACHINE = {
    "RAY_worker_register_timeout_seconds": "600",  # workers start late
    "RAY_memory_monitor_refresh_ms": "0",  # other programs may have taken nearly all memory
}
os.environ.update(OF_A_BUSY_MACHINE)  # before a cluster is started


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """A cluster of three machines, which are processes on this one."""
    machines = Machines()
    yield machines
    machines.stop()
