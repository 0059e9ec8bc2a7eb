"""Clusters that cannot be used are told in one line, within seconds."""

import http.server
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.cluster import connection
from pipeline.config import RayConfig
from pipeline.errors import ClusterError

LONGEST_S = 60.0
"""On a busy machine; Ray itself would wait for minutes."""


def why_not(address: str) -> str:
    """Why a cluster cannot be used; it takes seconds to find out."""
    start_s = time.monotonic()
    with pytest.raises(ClusterError) as caught, connection.connected(RayConfig(address=address)):
        pass
    assert time.monotonic() - start_s < LONGEST_S
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def web_server() -> Iterator[int]:
    """Port of a server that is no cluster."""
    with http.server.HTTPServer(("", 0), http.server.BaseHTTPRequestHandler) as server:
        server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "needs the package ray (pip install 'ray>=2.50,<3')" in why_not("")


def test_an_address_that_nobody_answers_is_told() -> None:
    pytest.importorskip("ray")
    reason = why_not("127.0.0.1:9")
    assert reason.startswith("ray.address=127.0.0.1:9: nobody answers (")
    assert reason.endswith("or leave ray.address out to start one on this machine")


def test_a_server_that_is_no_cluster_is_told(
    web_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(connection, "PROBE_S", LONGEST_S)
    assert "what answers is no Ray cluster" in why_not(f"127.0.0.1:{web_server}")


def test_a_token_that_is_missing_is_told() -> None:
    inner = RuntimeError("Last error: ray.exceptions.AuthenticationError: RPC error")
    outer = ConnectionError("Failed to connect to Ray cluster at 10.0.0.5:6379")
    outer.__cause__ = inner
    assert connection.is_refused(outer)
    assert not connection.is_refused(ConnectionError("Failed to connect"))
