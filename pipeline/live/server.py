"""The page of a live run, served from a thread of its own."""

import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from models.errors import one_line
from pipeline.config import ServeConfig
from pipeline.errors import ConfigError, PipelineError
from pipeline.live.access import Access
from pipeline.live.hub import Hub

if TYPE_CHECKING:
    from pipeline.live.guard import Report
    from pipeline.live.streams import Streams
    from pipeline.live.web import Reload, Uvicorn

BACKLOG = 64
MAX_CONNECTIONS = 200
START_S = 60.0
"""Longest wait for the server to listen, which takes long only on a machine that is overloaded."""
POLL_S = 0.02
GRACE_S = 1
STOP_S = 5.0
UNREAD_MS = 30_000
"""A connection ends when its other end reads nothing for so long; other viewers get its place."""


def _no_reload() -> str:
    raise ConfigError("this run has no config to read again")


class Server:
    """Serves a hub.

    Args:
        hub: the state that is shown.
        serve: port, host and token. Port 0 takes a free one.
        reload: see `pipeline.live.web.app_of`.
        report: gets one line for each fault of the program.
        environ: for ${NAME} in the token.

    Raises:
        ConfigError: A token is missing, or a package is.
    """

    def __init__(
        self,
        hub: Hub,
        serve: ServeConfig,
        reload: "Reload" = _no_reload,
        report: "Report" = print,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._hub = hub
        self._serve = serve
        self._reload = reload
        self._report = report
        self._rules = Access.of(serve, environ)
        self._port = serve.port
        self._streams: Streams | None = None
        self._uvicorn: Uvicorn | None = None
        self._thread: threading.Thread | None = None
        _check_packages()

    @property
    def url(self) -> str:
        """Where the page is, once it is started; without the token."""
        host = self._serve.host
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/"

    def start(self) -> None:
        """Return when it listens.

        Raises:
            ConfigError: The port or the address is not free.
        """
        import uvicorn

        from pipeline.live.streams import Streams
        from pipeline.live.web import Uvicorn, app_of

        listener = self._listener()
        self._port = listener.getsockname()[1]
        self._streams = Streams()
        app = app_of(self._hub, self._rules, self._streams, self._reload, self._report)
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what goes wrong is reported
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._uvicorn = Uvicorn(config)
        self._thread = threading.Thread(
            target=self._run, args=(self._uvicorn, listener), name="serve", daemon=True
        )
        self._thread.start()
        _wait_until_started(self._uvicorn, self._thread)

    def stop(self) -> None:
        """End all streams, and return within `STOP_S`."""
        if self._streams is not None:
            self._streams.is_closing = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_S)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, server: "Uvicorn", listener: socket.socket) -> None:
        try:
            server.run(sockets=[listener])
        except Exception as error:  # noqa: BLE001 - the edge of a thread: it is reported
            self._report(f"serve has stopped: {type(error).__name__}: {one_line(error)}")
        finally:
            listener.close()

    def _listener(self) -> socket.socket:
        """A socket that listens. Raises ConfigError."""
        host = self._serve.host
        address = f"serve: {host}:{self._serve.port}"
        try:
            found = socket.getaddrinfo(host, self._serve.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{address}: no such address ({one_line(error)})") from None
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
            listener.bind(place)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            reason = error.strerror or one_line(error)
            raise ConfigError(f"{address}: {reason}; take another serve.port") from None
        return listener


def _wait_until_started(server: "Uvicorn", thread: threading.Thread) -> None:
    """Return when the server answers. Raises PipelineError."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and thread.is_alive():
        if server.started:
            return
        time.sleep(POLL_S)
    raise PipelineError("serve: the server did not start")


def _check_packages() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise ConfigError(
            "serve needs the packages fastapi and uvicorn (pip install fastapi uvicorn)"
        ) from None
