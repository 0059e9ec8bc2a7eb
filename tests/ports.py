"""A TCP port of this machine on which a test may start its server, once and again."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port that no other program gets while no server listens on it.

    A socket that does not listen keeps it: who connects is refused. On Linux a server with
    SO_REUSEADDR, as all servers here have, can listen on it nevertheless; elsewhere the port is
    only one that was free.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port = int(keeper.getsockname()[1])
        if sys.platform != "linux":
            keeper.close()
        yield port
