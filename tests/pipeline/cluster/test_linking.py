"""Linking on a cluster: the same people as in one process, at once and in shards of time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.scale import processes
from benchmarks.scale.processes import LINKER, Process
from pipeline.cluster import connection, linking
from pipeline.config import LinkingConfig, RayConfig
from pipeline.linking import shards
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.outputs import links
from tests.pipeline.cluster.machines import Machines
from tests.pipeline.linking.test_linker import CAMERAS
from tests.pipeline.linking.test_shards import WALK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ray = pytest.importorskip("ray", reason="needs the package ray (pip install 'ray>=2.50,<3')")


@pytest.fixture(scope="module")
def cluster(machines: Machines) -> Iterator[None]:
    """A connection to the cluster."""
    machines.fill()
    with connection.connected(RayConfig(address=machines.address)):
        yield


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("shard_s", [0.0, 8.0])
def test_people_are_those_of_one_process(shard_s: float) -> None:
    config = LinkingConfig(min_person_s=0, shard_s=shard_s, handover_s=4.0)
    told = corrections.NONE
    here = shards.link(WALK, CAMERAS, config, told, sites.NONE)
    there = linking.link(WALK, CAMERAS, config, told, sites.NONE)
    assert links.to_json(there, config) == links.to_json(here, config)
    assert len(here.people) > 1


@pytest.mark.usefixtures("cluster")
def test_the_benchmark_tells_a_process_that_links_from_workers() -> None:
    title = linking._result(linking._started(Path.read_text, Path("/proc/self/cmdline")))
    assert processes.kind_of(101, Process(100, title, 0.0), command=100) == LINKER
