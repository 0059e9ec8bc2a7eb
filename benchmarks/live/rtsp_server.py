"""A camera that serves RTSP on loopback and fails on request.

It plays an H.264 file at true speed, or faster, as a network camera does: RTP over TCP or UDP,
sender reports with the camera's wall clock, Basic authentication. All clients see the same stream;
one that connects later sees it from the next key picture on. Faults are methods and take effect at
the next picture. No server of the package registries can be made to fail in these ways.

    with RtspServer(Path("cam1.mp4"), clock_offset_s=1.7) as camera:
        av.open(camera.url, options={"rtsp_transport": "tcp"})
"""

import argparse
import base64
import contextlib
import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from benchmarks.live import clips, rtp
from benchmarks.live.clips import Clip, Unit

HOST = "127.0.0.1"
MAX_LATE_S = 3.0
"""A client that is this far behind misses pictures up to the next key, as on a camera whose buffer
is full.
"""
CLOSED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Programme:
    """A clip on the stream's clock, which counts seconds from the start of the camera.

    begins_s: when its first picture is shown.
    loops: it begins again when it is over.
    """

    clip: Clip
    begins_s: float
    loops: bool

    def unit(self, number: int) -> Unit | None:
        """Unit by its number over all loops; None after the end."""
        loop, n = divmod(number, len(self.clip.units))
        return self.clip.units[n] if not loop or self.loops else None

    def loop_s(self, number: int) -> float:
        """When the loop that has a unit begins."""
        return self.begins_s + number // len(self.clip.units) * self.clip.duration_s

    def key_from(self, time_s: float) -> int:
        """Number of the first key that is sent at `time_s` or later."""
        n_loops = max(int((time_s - self.begins_s) / self.clip.duration_s) - 1, 0)
        number = n_loops * len(self.clip.units) if self.loops else 0
        while unit := self.unit(number):
            if unit.is_key and self.loop_s(number) + unit.sent_s >= time_s:
                break
            number += 1
        return number


@dataclass(frozen=True, slots=True)
class _Stamps:
    """How RTP timestamps follow from the stream's clock.

    shift_s: is added.
    frozen_s: all pictures have this time; None if time goes on.
    """

    shift_s: float = 0.0
    frozen_s: float | None = None

    def of(self, time_s: float) -> float:
        """Timestamp of a time, seconds."""
        return time_s + self.shift_s if self.frozen_s is None else self.frozen_s


class RtspServer:
    """One camera. `start` opens its port, which stays the same when it is stopped and started.

    Attributes that may be set at any time:
        clock_offset_s: the camera's wall clock minus the true one.
        report_s: time between sender reports; 0 sends none.
        encodes_s: time that the camera takes to encode a picture before it sends it.
        garbled_share: share of the packets that arrive with wrong bytes.
        lost_share: share of the packets that are not sent.
        refuses: credentials are refused, right or wrong.
        silent: connections stay open, and nothing is sent or answered.
        frozen: the same key picture is sent again and again.
    """

    def __init__(
        self,
        path: Path,
        *,
        port: int = 0,
        user: str = "",
        password: str = "",
        clock_offset_s: float = 0.0,
        report_s: float = 1.0,
        speed: float = 1.0,
        loops: bool = True,
        starts_at_s: float | None = None,
        name: str = "main",
    ) -> None:
        """Make a camera that is not on the network yet.

        Args:
            path: The H.264 file that it plays.
            port: TCP port; 0 for any.
            user: Needed to watch, with `password`; "" lets everybody watch.
            password: See `user`.
            clock_offset_s: See the class.
            report_s: See the class.
            speed: Stream seconds in a second. The camera's wall clock runs as fast.
            loops: The file begins again when it is over; if not, the stream ends.
            starts_at_s: Unix time at which the file begins; None when `start` is first called.
                Clients may connect before.
            name: Path of the stream in its address.
        """
        self.clock_offset_s = clock_offset_s
        self.report_s = report_s
        self.encodes_s = 0.0
        self.garbled_share = 0.0
        self.lost_share = 0.0
        self.refuses = False
        self.silent = False
        self.frozen = False
        self.n_connections = 0
        self.port = port
        self._user = user
        self._password = password
        self._speed = speed
        self._starts_at_s = starts_at_s
        self._name = name
        self._programme = _Programme(clips.read(path), 0.0, loops)
        self._stamps = _Stamps()
        self._paused_until_s = 0.0
        self._started_s: float | None = None
        self._started_wall_s = 0.0
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Address of the stream, with credentials."""
        login = f"{quote(self._user, safe='')}:{quote(self._password, safe='')}@"
        return f"rtsp://{login if self._user else ''}{HOST}:{self.port}/{self._name}"

    @property
    def n_watching(self) -> int:
        """Clients that are being sent pictures."""
        with self._lock:
            return sum(connection.is_playing for connection in self._connections)

    def start(self) -> None:
        """Open the port. Raises OSError."""
        if self._started_s is None:
            wall_s = time.time()
            wait_s = (self._starts_at_s or wall_s) - wall_s
            self._started_wall_s = wall_s + wait_s
            self._started_s = time.monotonic() + wait_s
        listener = socket.create_server((HOST, self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener,), name="rtsp-accept", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Close the port and all connections; the stream's clock goes on."""
        if self._listener is None or self._acceptor is None:
            return
        with contextlib.suppress(OSError):  # not connected, on some systems
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(CLOSED_WITHIN_S)
        self._listener = None
        for connection in self._watched():
            connection.close()
            connection.join()

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def position_s(self) -> float:
        """Return the time on the stream's clock; negative before the file begins."""
        if self._started_s is None:
            return 0.0
        return (time.monotonic() - self._started_s) * self._speed

    def wall_s(self, position_s: float) -> float:
        """Return what the camera's wall clock shows at a time on the stream's clock."""
        return self._started_wall_s + position_s + self.clock_offset_s

    def show(self, path: Path) -> None:
        """Play another file from now on, perhaps of another resolution."""
        clip = clips.read(path)
        self._programme = _Programme(clip, max(self.position_s(), 0.0), self._programme.loops)

    def pause(self, pause_s: float) -> None:
        """Send no pictures for some seconds; those are lost."""
        self._paused_until_s = time.monotonic() + pause_s

    def cut(self) -> None:
        """Close every connection in the middle of a picture."""
        for connection in self._watched():
            connection.is_to_be_cut = True

    def restart_stamps(self) -> None:
        """Count RTP timestamps from the first one again, as an encoder that was restarted."""
        self._stamps = _Stamps(shift_s=-self.position_s())

    def jump_stamps(self, by_s: float) -> None:
        """Let RTP timestamps jump."""
        self._stamps = _Stamps(shift_s=self._stamps.shift_s + by_s)

    def freeze_stamps(self) -> None:
        """Give all pictures the same RTP timestamp, until one of the other two is called."""
        self._stamps = _Stamps(frozen_s=self._stamps.of(self.position_s()))

    def _watched(self) -> "list[_Connection]":
        with self._lock:
            return list(self._connections)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            connection = _Connection(self, accepted)
            with self._lock:
                self.n_connections += 1
                self._connections.add(connection)
            connection.start()

    def _forget(self, connection: "_Connection") -> None:
        with self._lock:
            self._connections.discard(connection)

    def _is_welcome(self, headers: dict[str, str]) -> bool:
        if self.refuses:
            return False
        if not self._user:
            return True
        login = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        return headers.get("authorization", "") == f"Basic {login}"


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class _Connection:
    """A client: one thread answers its requests, and another one sends it the stream."""

    def __init__(self, server: RtspServer, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_to_be_cut = False
        self._server = server
        self._socket = connected
        self._closed = threading.Event()
        self._sending = threading.Lock()
        self._sender = rtp.Sender()
        self._session = f"{random.getrandbits(32):08x}"
        self._channels = (0, 1)
        self._udp: tuple[socket.socket, socket.socket] | None = None
        self._player: threading.Thread | None = None
        self._reader = threading.Thread(target=self._serve, name="rtsp-requests", daemon=True)

    @property
    def is_playing(self) -> bool:
        """Whether the stream is being sent."""
        return self._player is not None and not self._closed.is_set()

    def start(self) -> None:
        """Answer requests from now on."""
        self._reader.start()

    def close(self) -> None:
        """Close the connection, whatever its threads are doing."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait for the threads of a closed connection."""
        self._reader.join(CLOSED_WITHIN_S)

    # requests

    def _serve(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                while request := _next_request(stream):
                    if not self._server.silent:
                        self._answer(request)
                    if request.method == "TEARDOWN":
                        break
        except (OSError, ValueError):
            pass  # the client is gone, or talks nonsense
        finally:
            self._end()

    def _end(self) -> None:
        self.close()
        if self._player:
            self._player.join(CLOSED_WITHIN_S)
        for each in self._udp or ():
            each.close()
        self._socket.close()
        self._server._forget(self)

    def _answer(self, request: _Request) -> None:
        if request.method == "OPTIONS":
            methods = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
            self._reply(request, "200 OK", {"Public": methods})
        elif not self._server._is_welcome(request.headers):
            self._reply(request, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="camera"'})
        elif urlsplit(request.url).path.split("/")[1:2] != [self._server._name]:
            self._reply(request, "404 Not Found", {})
        elif request.method == "DESCRIBE":
            content = {"Content-Type": "application/sdp", "Content-Base": f"{request.url}/"}
            self._reply(request, "200 OK", content, _description(self._server._programme.clip))
        elif request.method == "SETUP":
            self._set_up(request)
        elif request.method == "PLAY":
            self._reply(request, "200 OK", {"Session": self._session, "Range": "npt=now-"})
            self._play()
        elif request.method in ("GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"):
            self._reply(request, "200 OK", {"Session": self._session})
        else:
            self._reply(request, "501 Not Implemented", {})

    def _set_up(self, request: _Request) -> None:
        parameters = dict(
            part.partition("=")[::2] for part in request.headers["transport"].split(";")
        )
        if "interleaved" in parameters:
            first, last = parameters["interleaved"].split("-")
            self._channels = (int(first), int(last))
            transport = f"RTP/AVP/TCP;unicast;interleaved={first}-{last}"
        else:
            first, last = parameters["client_port"].split("-")
            self._udp = (_connected_udp(int(first)), _connected_udp(int(last)))
            ports = "-".join(str(each.getsockname()[1]) for each in self._udp)
            transport = f"RTP/AVP;unicast;client_port={first}-{last};server_port={ports}"
        session = f"{self._session};timeout=60"
        self._reply(request, "200 OK", {"Session": session, "Transport": transport})

    def _reply(
        self, request: _Request, status: str, headers: dict[str, str], body: str = ""
    ) -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '0')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        with self._sending:
            self._socket.sendall("\r\n".join([*lines, "", body]).encode())

    # the stream

    def _play(self) -> None:
        if self._player is None:
            self._player = threading.Thread(target=self._stream, name="rtsp-stream", daemon=True)
            self._player.start()

    def _stream(self) -> None:
        try:
            self._send_units()
        except OSError:
            pass  # the client is gone
        finally:
            self.close()

    def _send_units(self) -> None:
        """Send the stream from the next key on, until it or the connection ends."""
        server = self._server
        programme = server._programme
        number = programme.key_from(server.position_s())
        reported_s = -float("inf")
        while unit := programme.unit(number):
            begins_s = programme.loop_s(number)
            due_s = begins_s + unit.sent_s + server.encodes_s
            wait_s = (due_s - server.position_s()) / server._speed
            if self._closed.wait(max(wait_s, 0)):
                return
            if programme is not server._programme:
                programme = server._programme
                number = programme.key_from(programme.begins_s)
            elif self._is_muted() or wait_s < -MAX_LATE_S:
                number = programme.key_from(max(server.position_s(), due_s + 1e-6))
            else:
                now_s = time.monotonic()
                if 0 < server.report_s <= now_s - reported_s:
                    reported_s = now_s
                    self._report()
                if server.frozen:
                    first = programme.clip.units[0]
                    self._send(first, due_s - first.sent_s)
                else:
                    self._send(unit, begins_s + unit.shown_s)
                number += 1
        self._say(self._sender.bye())

    def _is_muted(self) -> bool:
        return self._server.silent or time.monotonic() < self._server._paused_until_s

    def _send(self, unit: Unit, shown_s: float) -> None:
        server = self._server
        nals = unit.nals
        if unit.is_key:
            is_set = [nal[0] & 31 == clips.SEQUENCE_PARAMETERS for nal in nals]
            nals = nals if any(is_set) else (*server._programme.clip.parameters, *nals)
        packets = self._sender.packets(nals, self._sender.stamp(server._stamps.of(shown_s)))
        packets = [
            _garbled(packet) if random.random() < server.garbled_share else packet
            for packet in packets
            if random.random() >= server.lost_share
        ]
        if self.is_to_be_cut:
            self._cut(packets)
        elif self._udp:
            for packet in packets:
                self._udp[0].send(packet)
        else:
            self._send_all(b"".join(self._framed(packet, 0) for packet in packets))

    def _cut(self, packets: Sequence[bytes]) -> None:
        """Send a part of the picture, over TCP a part of the last packet, and close."""
        if not self._udp and packets:
            framed = b"".join(self._framed(packet, 0) for packet in packets)
            self._send_all(framed[: -len(packets[-1]) // 2])
        self.close()

    def _report(self) -> None:
        position_s = self._server.position_s()
        stamp = self._sender.stamp(self._server._stamps.of(position_s))
        self._say(self._sender.report(stamp, self._server.wall_s(position_s)))

    def _say(self, packet: bytes) -> None:
        """Send an RTCP packet."""
        if self._udp:
            self._udp[1].send(packet)
        else:
            self._send_all(self._framed(packet, 1))

    def _framed(self, packet: bytes, kind: int) -> bytes:
        """A packet as it is interleaved with the replies; 0 for RTP, 1 for RTCP."""
        return b"$%c%b%b" % (self._channels[kind], len(packet).to_bytes(2, "big"), packet)

    def _send_all(self, data: bytes) -> None:
        with self._sending:
            self._socket.sendall(data)


def _next_request(stream: BinaryIO) -> _Request | None:
    """The next request of a client, without its reports; None where it has closed."""
    while (first := stream.read(1)) == b"$":
        size = int.from_bytes(stream.read(3)[1:], "big")
        stream.read(size)
    line = (first + stream.readline()).decode()
    if not line.strip():
        return None
    method, url, _ = line.split(" ", 2)
    request = _Request(method, url)
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(":")
        request.headers[name.lower()] = value.strip()
    stream.read(int(request.headers.get("content-length", 0)))
    return request


def _connected_udp(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HOST, 0))
    made.connect((HOST, port))
    return made


def _description(clip: Clip) -> str:
    sets = ",".join(base64.b64encode(nal).decode() for nal in clip.parameters)
    profile = clip.parameters[0][1:4].hex()
    lines = [
        "v=0",
        f"o=- 0 0 IN IP4 {HOST}",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {rtp.PAYLOAD_TYPE}",
        f"a=rtpmap:{rtp.PAYLOAD_TYPE} H264/{rtp.TICKS_PER_S}",
        f"a=fmtp:{rtp.PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};"
        f"sprop-parameter-sets={sets}",
        f"a=framerate:{clip.fps:g}",
        "a=control:track1",
    ]
    return "\r\n".join([*lines, ""])


def _garbled(packet: bytes) -> bytes:
    """A packet with one of eight bytes of its payload wrong."""
    data = bytearray(packet)
    for at in range(rtp.HEADER_BYTES + 2, len(data)):
        if random.random() < 1 / 8:
            data[at] ^= random.randrange(1, 256)
    return bytes(data)


def main() -> None:
    """Serve a file until the process is interrupted."""
    parser = argparse.ArgumentParser(description="Serve an H.264 file as an RTSP camera.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--clock-offset-s", type=float, default=0.0)
    parser.add_argument("--report-s", type=float, default=1.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--once", action="store_true", help="end the stream with the file")
    parser.add_argument("--starts-at-s", type=float, help="Unix time at which the file begins")
    given = parser.parse_args()
    server = RtspServer(
        given.file,
        port=given.port,
        user=given.user,
        password=given.password,
        clock_offset_s=given.clock_offset_s,
        report_s=given.report_s,
        speed=given.speed,
        loops=not given.once,
        starts_at_s=given.starts_at_s,
    )
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"rtsp://{HOST}:{server.port}/main", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
