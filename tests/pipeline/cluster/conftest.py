"""One cluster for all tests of this folder: it takes seconds to start."""

from collections.abc import Iterator

import pytest

from tests.pipeline.cluster.machines import Machines


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """A cluster of three machines, which are processes on this one."""
    machines = Machines()
    yield machines
    machines.stop()
