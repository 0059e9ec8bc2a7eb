"""A real HTTP server on this machine, for what a publisher or a network may do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `contents` by path. A path in `broken` breaks off half way; one in `silent` sends
    nothing until the end. At the end all answers have ended, so that none speaks in a later test.
    """

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server: Server

    def do_GET(self) -> None:
        """Send what the server holds for the path."""
        self.server.asked.append(self.path)
        if self.path in self.server.silent:
            self.server.closing.wait()
        data = self.server.contents.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.path in self.server.broken else data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs until the end of the block."""
    with Server() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
