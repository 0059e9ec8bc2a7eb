"""An MQTT 3.1.1 broker on this machine, as far as a publisher with quality of service 1 sees it."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONNECT = 1
CONNACK = 0x20
PUBLISH = 3
PUBACK = 0x40
PINGREQ = 12
PINGRESP = 0xD0
DISCONNECT = 14
NOT_AUTHORIZED = 5


@dataclass(frozen=True)
class Message:
    """What was published."""

    topic: str
    payload: bytes
    quality: int


class Broker(socketserver.ThreadingTCPServer):
    """Keeps what is published. It refuses all who connect without `user:password`, if that is set,
    and takes but never confirms messages while it is `silent`.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, login: str = "") -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.login = login
        self.silent = False
        self.messages: list[Message] = []
        self.n_connections = 0
        self.n_pings = 0
        self.said_goodbye = False
        self._open: list[socket.socket] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Serve a connection, and note it, to be able to cut it."""
        self._open.append(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        """Break all connections."""
        for each in self._open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself
        self._open.clear()


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    server: Broker

    def handle(self) -> None:
        """Answer packets until the client leaves."""
        self.server.n_connections += 1
        try:
            while True:
                first, body = self._packet()
                if not self._answer(first, body):
                    return
        except (EOFError, OSError):
            return

    def _packet(self) -> tuple[int, bytes]:
        first = self._read(1)[0]
        length = 0
        for position in range(4):
            digit = self._read(1)[0]
            length |= (digit & 127) << (7 * position)
            if digit < 128:
                break
        return first, self._read(length)

    def _read(self, n_bytes: int) -> bytes:
        data = self.rfile.read(n_bytes)
        if len(data) < n_bytes:
            raise EOFError
        return data

    def _answer(self, first: int, body: bytes) -> bool:
        kind = first >> 4
        if kind == CONNECT:
            is_known = not self.server.login or self._login(body) == self.server.login
            code = 0 if is_known else NOT_AUTHORIZED
            self.wfile.write(bytes([CONNACK, 2, 0, code]))
            return is_known
        if kind == PUBLISH:
            self._publish(first, body)
        elif kind == PINGREQ:
            self.server.n_pings += 1
            self.wfile.write(bytes([PINGRESP, 0]))
        elif kind == DISCONNECT:
            self.server.said_goodbye = True
            return False
        return True

    def _publish(self, first: int, body: bytes) -> None:
        quality = first >> 1 & 3
        topic, rest = _text(body)
        identifier, payload = rest[:2], rest[2:]
        assert quality == 1
        if self.server.silent:
            return
        self.server.messages.append(Message(topic, payload, quality))
        self.wfile.write(bytes([PUBACK, 2]) + identifier)

    @staticmethod
    def _login(body: bytes) -> str:
        protocol, rest = _text(body)
        level, flags = rest[0], rest[1]
        assert (protocol, level) == ("MQTT", 4)
        _, rest = _text(rest[4:])  # the name of the client, after the time to keep alive
        if not flags & 0x80:
            return ""
        user, rest = _text(rest)
        password, _ = _text(rest) if flags & 0x40 else ("", b"")
        return f"{user}:{password}"


def _text(data: bytes) -> tuple[str, bytes]:
    (length,) = struct.unpack(">H", data[:2])
    return data[2 : 2 + length].decode(), data[2 + length :]


@contextmanager
def serving(port: int = 0, login: str = "") -> Iterator[Broker]:
    """A broker that runs until the end of the block, where its connections break."""
    with Broker(port, login) as broker:
        thread = threading.Thread(target=lambda: broker.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield broker
        finally:
            broker.shutdown()
            broker.cut()
            thread.join()
