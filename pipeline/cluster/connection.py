"""A Ray cluster to work with: one that is started on this machine for a run, or one that runs.

Ray waits for minutes for a cluster that does not answer, and then ends the process. So its address
is tried first. Nothing is sent to Ray's makers, and no dashboard is started. A cluster that is
started for a run listens on the network like any other, so it wants a token that nobody knows but
its own processes (Ray 2.52 and later). Its processes would ask the metadata services of three
clouds where they run; they are given a proxy that does not exist.
"""

import importlib.util
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import one_line
from pipeline.cluster.groups import CameraGroup, place
from pipeline.config import RayConfig
from pipeline.errors import ClusterError

if TYPE_CHECKING:
    from types import ModuleType

PROBE_S = 3.0
"""Longest wait for an answer of a cluster's head."""
OBJECT_STORE_BYTES = 512 * 2**20
"""Of a cluster that is started for a run: what workers send is small, and is copied on arrival."""
GONE_AFTER_S = "10"
"""A cluster that was started for a run does not come back; Ray would wait a minute for its head."""
MAX_NODES_SHOWN = 4
"""Most machines whose resources are named in a message."""
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2_SETTINGS = 4
NEEDS_TOKEN = (
    "it asks for a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token of the cluster"
    " or put it into ~/.ray/auth_token"
)
NOWHERE = "http://127.0.0.1:9"
PROXY = "http_proxy"
KEPT_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # they are on by default
    "RAY_USAGE_STATS_REPORT_URL": NOWHERE,  # it is reported there that they are off
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker without a GPU sees none
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what happens to workers is told here, in one line
    "RAY_worker_niceness": "0",  # by default workers wait for all other programs of a machine
}


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, and what it has, by Ray's names."""

    node_id: str
    name: str
    resources: dict[str, float]


def import_ray() -> "ModuleType":
    """Return the package, with its reports about usage turned off.

    Raises:
        ClusterError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(
            "engine=ray needs the package ray (pip install 'ray>=2.50,<3'); or leave engine out"
        )
    os.environ.update(ENVIRONMENT)
    import ray

    return ray  # type: ignore[no-any-return]


@contextmanager
def connected(config: RayConfig) -> Iterator[bool]:
    """Connect this process to the cluster of the settings, or start one, for the time of a block.

    Gives whether it was started for this block.

    Where this process is connected to a cluster already, that one is used and left as it is.

    Args:
        config: settings of the cluster.

    Raises:
        ClusterError: Ray is not installed, the cluster does not answer, or it cannot be started.
    """
    address = config.address or os.environ.get("RAY_ADDRESS", "") or "local"
    is_own = address == "local"
    if is_own:
        _guard()
    ray = import_ray()
    if ray.is_initialized():
        yield False
        return
    try:
        with _keeping_signals():
            if is_own:
                _start(ray)
            else:
                _connect(ray, address)
        yield is_own
    finally:
        ray.shutdown()


def _guard() -> None:
    """Have clusters of this process want a token, unless the user has set how they are guarded.

    Ray reads that when it is imported, and never again.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextmanager
def _keeping_signals() -> Iterator[None]:
    """Handle signals as before when Ray has started, which sets a handler of SIGTERM that exits.

    Processes that are started ignore SIGHUP: a terminal that is closed sends it to all of them, and
    this process then stops in good order.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in KEPT_SIGNALS}
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # of a program that Python runs in
                signal.signal(number, handler)


def nodes() -> list[Node]:
    """Return the machines of the cluster that are alive."""
    ray = import_ray()
    return [
        Node(node["NodeID"], node["NodeName"], dict(node["Resources"]))
        for node in ray.nodes()
        if node["Alive"]
    ]


def free_by_node() -> dict[str, dict[str, float]]:
    """Return what is free on each machine that is alive, by its id and Ray's names."""
    import_ray()
    from ray._private.state import available_resources_per_node

    alive = {node.node_id for node in nodes()}
    free: dict[str, dict[str, float]] = available_resources_per_node()
    return {node_id: free[node_id] for node_id in alive & free.keys()}


def refuse_too_small(groups: Sequence[CameraGroup], at_once: bool) -> None:
    """Check that there is room for workers, as far as the machines that are there now tell it.

    Args:
        groups: one worker is for each.
        at_once: whether all of them run at the same time; otherwise each has to find room alone.

    Raises:
        ClusterError: a worker finds no room.
    """
    there = nodes()
    resources = [node.resources for node in there]
    for group in groups:
        if place([group], resources):
            raise ClusterError(
                f"the worker of {group.title} needs {group.needs_in_words}, which no machine of"
                f" the cluster has ({_has(there)}); change ray.groups, or add a machine"
            )
    left = place(groups, resources) if at_once else []
    if left:
        group = left[0]
        raise ClusterError(
            f"the cluster is too small for {len(groups)} workers: {len(left)} find no room, such"
            f" as that of {group.name}, which needs {group.needs_in_words} ({_has(there)}); add a"
            " machine, give workers less in ray.groups, raise ray.cameras_per_worker, or lower"
            " ray.spare_workers"
        )


def _has(there: Sequence[Node]) -> str:
    """What machines have, for messages."""
    told: list[str] = []
    for node in there[:MAX_NODES_SHOWN]:
        amounts = [
            f"{amount:g} {name}"
            for name, amount in sorted(node.resources.items())
            if not name.startswith("node:") and "memory" not in name
        ]
        told.append(f"{node.name} has {', '.join(amounts) or 'nothing'}")
    n_more = len(there) - len(told)
    return "; ".join(told) + (f"; and {n_more} more" if n_more else "")


def use_own_web() -> None:
    """Take back what keeps Ray's own processes from the web, in a worker that they started."""
    if os.environ.get(PROXY) == NOWHERE:
        del os.environ[PROXY]


def _start(ray: Any) -> None:
    """Start a cluster on this machine; raises ClusterError."""
    os.environ.setdefault(PROXY, NOWHERE)
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", GONE_AFTER_S)
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(f"Ray cannot be started on this machine: {one_line(error)}") from None
    finally:
        use_own_web()


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster that runs; raises ClusterError."""
    where = f"ray.address={address}"
    cure = (
        "start one with `ray start --head`, give another address, or leave ray.address out to"
        " start one on this machine"
    )
    try:
        from ray._private.services import canonicalize_bootstrap_address

        found = canonicalize_bootstrap_address(address)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(f"{where}: there is no cluster ({one_line(error)}); {cure}") from None
    if found is None:
        raise ClusterError(f"{where}: no Ray cluster runs on this machine; {cure}")
    if why := _why_no_cluster(found):
        raise ClusterError(f"{where}: {why}; {cure}")
    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, AssertionError, SystemExit) as error:
        reason = NEEDS_TOKEN if is_refused(error) else one_line(error)
        raise ClusterError(f"{where}: the cluster cannot be used: {reason}") from None


def is_refused(error: BaseException) -> bool:
    """Whether a cluster refused this process, for lack of its token.

    Ray says so in the text of an exception behind the one that it raises.

    Args:
        error: what Ray raised.
    """
    cause: BaseException | None = error
    while cause is not None:
        if "AuthenticationError" in f"{type(cause).__name__} {cause}":
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _why_no_cluster(address: str) -> str:
    """Why no cluster's head is at host:port; "" where one may be."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_S) as connection:
            connection.settimeout(PROBE_S)
            connection.sendall(HTTP2_HELLO)
            answer = connection.recv(9)
    except TimeoutError:
        return f"nobody answered within {PROBE_S:g} s"
    except (OSError, OverflowError) as error:
        return f"nobody answers ({one_line(error)})"
    is_grpc = len(answer) > 3 and answer[3] == HTTP2_SETTINGS
    return "" if is_grpc else "what answers is no Ray cluster"
