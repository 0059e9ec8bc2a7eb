"""Live cameras that are not watched over RTSP: MJPEG, MPEG-TS and HLS over HTTP, and devices."""

import http.server
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.pipeline.sources.live.watching import Watching, camera, has_event, has_frames
from tests.videos import picture, write_video

Body = Callable[[http.server.BaseHTTPRequestHandler], None]
FPS = 10


class Pages:
    """An HTTP server of the test, whose pages may go on for ever."""

    def __init__(self, pages: dict[str, tuple[str, Body]]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path not in pages:
                    self.send_error(404)
                    return
                kind, body = pages[self.path]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                with suppress(OSError):
                    body(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Pages":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sends(data: bytes) -> Body:
    return lambda handler: handler.wfile.write(data)


def jpegs(n: int) -> list[bytes]:
    made = []
    for i in range(n):
        frame = av.VideoFrame.from_ndarray(picture(i), format="bgr24")
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mjpeg") as container:
            stream = container.add_stream("mjpeg", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        made.append(buffer.getvalue())
    return made


def mjpeg(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Pictures one after the other, `FPS` a second."""
    for image in jpegs(40):
        handler.wfile.write(
            b"--frame\r\nContent-Type: image/jpeg\r\n"
            + f"Content-Length: {len(image)}\r\n\r\n".encode()
            + image
            + b"\r\n"
        )
        time.sleep(1 / FPS)


def mpeg_ts(handler: http.server.BaseHTTPRequestHandler) -> None:
    class Out(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            handler.wfile.write(data)
            return len(data)

    with av.open(Out(), "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = FPS
        for i in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="bgr24")))
            time.sleep(1 / FPS)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("multipart/x-mixed-replace; boundary=frame", mjpeg), ("video/mp2t", mpeg_ts)],
    ids=["mjpeg", "mpeg-ts"],
)
def test_a_camera_is_watched_over_http(kind: str, body: Body) -> None:
    with (
        Pages({"/stream": (kind, body)}) as pages,
        Watching(camera(f"{pages.url}/stream")) as watching,
    ):
        seen = watching.until(has_frames("cam", 20), 15)
        (health,) = watching.cameras.health()
    steps_s = np.diff(seen.times_s("cam"))
    assert health.clock == "arrival"
    assert np.median(steps_s[8:]) == pytest.approx(1 / FPS, abs=0.03 + watching.slack_s)
    assert max(seen.ages_s["cam"][10:]) < 0.5 + watching.slack_s
    assert {frame.image.shape for frame in seen.frames["cam"]} == {(48, 64, 3)}


@contextmanager
def hls(folder: Path) -> Iterator[str]:
    """A playlist to which a segment of a second is added each second."""
    with av.open(
        str(folder / "all.m3u8"),
        "w",
        format="hls",
        options={"hls_time": "1", "hls_list_size": "0"},
    ) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = FPS
        stream.codec_context.time_base = Fraction(1, FPS)
        for i in range(120):
            frame = av.VideoFrame.from_ndarray(picture(i), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    segments = sorted(folder.glob("*.ts"), key=lambda path: int(path.stem.removeprefix("all")))
    began_s = time.monotonic()

    def playlist(handler: http.server.BaseHTTPRequestHandler) -> None:
        n_ready = min(3 + int(time.monotonic() - began_s), len(segments))
        first = max(n_ready - 3, 0)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for path in segments[first:n_ready]:
            lines += ["#EXTINF:1.0,", path.name]
        handler.wfile.write("\n".join([*lines, ""]).encode())

    pages: dict[str, tuple[str, Body]] = {"/live.m3u8": ("application/x-mpegURL", playlist)}
    for path in segments:
        data = path.read_bytes()
        pages[f"/{path.name}"] = (
            "video/mp2t",
            lambda handler, data=data: handler.wfile.write(data),
        )
    with Pages(pages) as served:
        yield f"{served.url}/live.m3u8"


def test_hls_comes_a_segment_at_a_time_and_is_shown_picture_by_picture(tmp_path: Path) -> None:
    with hls(tmp_path) as url, Watching(camera(url)) as watching:
        seen = watching.until(has_frames("cam", 45), 20)
    came_s = np.array(seen.times_s("cam")) + np.array(seen.ages_s["cam"])
    assert np.diff(came_s)[5:].max() < 0.8 + watching.slack_s
    steps_s = np.diff(seen.times_s("cam"))
    assert np.median(steps_s) == pytest.approx(1 / FPS, abs=0.02 + watching.slack_s)
    assert [event.kind for event in seen.events] == ["connected"]


def test_a_server_that_is_no_camera_is_tried_again(tmp_path: Path) -> None:
    pages = {"/stream": ("text/html", sends(b"<html>" * 999))}
    with Pages(pages) as served:
        cameras = [camera(f"{served.url}/stream"), camera(f"{served.url}/nowhere", "gone")]
        with Watching(*cameras) as watching:
            watching.until(lambda _: all(h.reason for h in watching.cameras.health()), 10)
            reasons = {health.camera: health.reason for health in watching.cameras.health()}
            pages["/stream"] = ("video/mp2t", mpeg_ts)
            watching.until(has_event("cam", "connected"), 10)
    assert reasons["cam"]
    assert "404" in reasons["gone"]


def test_a_name_that_does_not_resolve_is_tried_again(tmp_path: Path) -> None:
    good = write_video(tmp_path / "a.mp4", 50, 25)
    cameras = [camera("rtsp://no-such-host.invalid/main", "lost"), camera(good, "good", live=True)]
    with Watching(*cameras) as watching:
        seen = watching.until(has_event("good", "ended"), 10)
        watching.until(lambda _: "host" in watching.cameras.health()[1].reason, 20)
        (_, lost) = watching.cameras.health()
    assert len(seen.frames["good"]) >= 45 - watching.slack
    assert max(seen.ages_s["good"]) < 0.5 + watching.slack_s
    assert lost.state in ("connecting", "lost")
    assert "name of the host is not found" in lost.reason


@pytest.mark.parametrize("source", ["/dev/video97", "97"])
def test_a_webcam_that_is_not_plugged_in_is_waited_for(source: str) -> None:
    with Watching(camera(source)) as watching:
        watching.until(lambda _: bool(watching.cameras.health()[0].reason), 5)
        (health,) = watching.cameras.health()
    assert health.state == "connecting"
    assert health.reason == "No such file or directory"
