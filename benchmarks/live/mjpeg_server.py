"""A camera that serves MJPEG over HTTP on loopback (multipart/x-mixed-replace)."""

import base64
import contextlib
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import av
import cv2

HOST = "127.0.0.1"
BOUNDARY = "picture"
JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class _Picture:
    shown_s: float
    jpeg: bytes


class MjpegServer:
    """Plays a file again and again, at true speed. All clients see the same picture at a time.

    Attributes that may be set at any time:
        refuses: credentials are refused, right or wrong.
        silent: connections stay open, and nothing is sent.
        frozen: the first picture is sent again and again.
    """

    def __init__(self, path: Path, *, port: int = 0, user: str = "", password: str = "") -> None:
        """Make a camera that is not on the network yet.

        Args:
            path: The video that it plays; it is held in memory as JPEG.
            port: TCP port; 0 for any.
            user: Needed to watch, with `password`; "" lets everybody watch.
            password: See `user`.
        """
        self.refuses = False
        self.silent = False
        self.frozen = False
        self.port = port
        self._login = f"{user}:{password}" if user else ""
        self._path = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        self._pictures, self._duration_s = _read(path)
        self._started_s = time.monotonic()
        self._server: ThreadingHTTPServer | None = None
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """Address of the stream, with credentials."""
        return f"http://{self._path}{HOST}:{self.port}/video.mjpg"

    def start(self) -> None:
        """Open the port. Raises OSError."""
        self._stopped = threading.Event()
        self._server = _Server(self, self._stopped)
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="mjpeg-accept", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is None:
            return
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> "MjpegServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def __init__(self, camera: MjpegServer, stopped: threading.Event) -> None:
        self.camera = camera
        self.stopped = stopped
        super().__init__((HOST, camera.port), _Client)


class _Client(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        camera = self.server.camera
        login = "Basic " + base64.b64encode(camera._login.encode()).decode()
        is_known = not camera._login or self.headers.get("Authorization") == login
        if camera.refuses or not is_known:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        self.send_header("Content-Type", kind)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client is gone, or does not read
            self._play()

    def _play(self) -> None:
        camera = self.server.camera
        number = 0
        n_pictures = len(camera._pictures)
        while True:
            loop, n = divmod(number, n_pictures)
            due_s = camera._started_s + loop * camera._duration_s + camera._pictures[n].shown_s
            number += 1
            wait_s = due_s - time.monotonic()
            if wait_s < -camera._duration_s / n_pictures:
                continue
            if self.server.stopped.wait(max(wait_s, 0)):
                return
            if not camera.silent:
                self._send(camera._pictures[0 if camera.frozen else n].jpeg)

    def _send(self, jpeg: bytes) -> None:
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


def _read(path: Path) -> tuple[list[_Picture], float]:
    """The pictures of a video, and how long it takes until it begins again."""
    pictures: list[_Picture] = []
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 25)
        for frame in container.decode(video=0):
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            _, jpeg = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"), quality)
            pictures.append(_Picture(len(pictures) / rate, jpeg.tobytes()))
    return pictures, len(pictures) / rate
