"""A Ray cluster of several machines, which are processes on this one."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.cluster import connection

WORKERS = (b"ray::FileWorker", b"ray::LiveActor")
"""How the names of the processes of workers begin."""
TOO_BUSY = "did not answer for"
"""Why a worker is lost that nobody has killed: the machine is too busy."""


class Machines:
    """A head with one CPU, and machines with one CPU each."""

    def __init__(self) -> None:
        connection.import_ray()
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []

    def fill(self) -> None:
        """Have a head and two machines."""
        while len(self._nodes) < 2:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def worker_pids(self) -> list[int]:
        """Workers of all machines."""
        return [pid for node in self._all() for pid in _workers_of(_raylet(node))]

    def kill_a_machine_and_all_workers(self) -> None:
        """Kill a machine that is not the head and has a worker, and the workers of all machines.

        It takes a moment, in which a driver that goes on would start workers again; see `held`.
        """
        node = next(node for node in self._nodes if _workers_of(_raylet(node)))
        pids = self.worker_pids()
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)
        for pid in pids:
            kill(pid)

    def stop(self) -> None:
        self._cluster.shutdown()

    def _all(self) -> list[Any]:
        return [self._cluster.head_node, *self._nodes]


def _raylet(node: Any) -> int:
    """Process id of the raylet of a machine."""
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


def _workers_of(raylet: int) -> list[int]:
    """Process ids of the workers that a raylet has started."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_worker = (path / "cmdline").read_bytes().startswith(WORKERS)
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if is_worker and parent == raylet:
            pids.append(int(path.name))
    return pids


@contextmanager
def held(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Stop a process for the time of a block: a driver then sees all that was done at once."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def kill(pid: int) -> None:
    """Kill a process, if it is there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
