"""The camera of the live tests and benchmarks, watched with PyAV as the product does."""

import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import numpy as np
import pytest

from benchmarks.live.rtsp_server import HOST, RtspServer
from tests.lateness import Lateness
from tests.ports import reserved_port
from tests.videos import write_video

FPS = 25
SIZE = (160, 96)
OPEN_AND_READ_S = (30, 10)
QUICKLY_S = (5, 2)
"""The same, where the camera is to be missed."""
CONNECTED_WITHIN_S = (1.0, 2.0, 4.0, 8.0)
"""A camera that is to be seen from its first picture on is given so long, in one attempt after the
other: a busy machine may need more.
"""
MOST = 500
"""Packets and pictures that are read at most until something is seen."""
QUICK = {"analyzeduration": "100000"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("rtsp") / "clip.mp4", 50, FPS, SIZE)


def watch(
    server: RtspServer, transport: str = "tcp", timeout_s: tuple[float, float] = OPEN_AND_READ_S
) -> av.container.InputContainer:
    return av.open(server.url, options={"rtsp_transport": transport, **QUICK}, timeout=timeout_s)


def pictures_of(container: av.container.InputContainer, n: int | None = None) -> list[np.ndarray]:
    decoded = itertools.islice(container.decode(video=0), n)
    return [picture.to_ndarray(format="bgr24") for picture in decoded]


def taken_until(items: Iterator[Any], is_so: Callable[[list[Any]], object]) -> list[Any]:
    """Take items until something is so of those so far: on a busy machine old ones come first."""
    taken: list[Any] = []
    for item in itertools.islice(items, MOST):
        taken.append(item)
        if is_so(taken):
            break
    return taken


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def sender_times(container: av.container.InputContainer) -> Iterator[tuple[av.Packet, float]]:
    """Packets with a sender's time, Unix seconds."""
    for packet in container.demux(video=0):
        if side_data := packet.get_sidedata("prft"):
            (wall_us,) = struct.unpack_from("<q", bytes(side_data))
            yield packet, wall_us / 1e6


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("with_b_frames", [False, True], ids=["plain", "b-frames"])
def test_a_client_sees_the_pictures_of_the_file(
    transport: str, with_b_frames: bool, tmp_path: Path, clip: Path
) -> None:
    path = _with_b_frames(tmp_path / "b.mp4") if with_b_frames else clip
    with av.open(str(path)) as container:
        expected = pictures_of(container)
    for within_s in CONNECTED_WITHIN_S:
        server = RtspServer(path, starts_at_s=time.time() + within_s, loops=False)
        with server, watch(server, transport) as stream:
            seen = pictures_of(stream)
        if len(seen) == len(expected):
            break

    assert len(seen) == len(expected)
    assert min(psnr_db(a, b) for a, b in zip(seen, expected, strict=True)) > 60


def _with_b_frames(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        options = {"bf": "3", "b_strategy": "0", "g": "20"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for i in range(50):
            image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
            image[20:60, 2 * i : 2 * i + 30] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.has_b_frames
    return path


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_packets_carry_the_cameras_wall_clock(transport: str, clip: Path) -> None:
    for within_s in CONNECTED_WITHIN_S:
        starts_at_s = time.time() + within_s
        server = RtspServer(clip, starts_at_s=starts_at_s, clock_offset_s=1.7, loops=False)
        with server, watch(server, transport) as stream:
            seen = [wall_s for _, wall_s in sender_times(stream)]
        if len(seen) == 50:
            break

    expected = starts_at_s + 1.7 + np.arange(50) / FPS
    np.testing.assert_allclose(seen, expected, atol=0.005)


def test_without_sender_reports_there_is_no_wall_clock(clip: Path) -> None:
    with RtspServer(clip, report_s=0) as server, watch(server) as stream:
        packets = list(itertools.islice(stream.demux(video=0), 20))

    assert [packet for packet in packets if packet.get_sidedata("prft")] == []


def test_a_clock_that_is_set_shows_with_the_next_report(clip: Path) -> None:
    with RtspServer(clip, report_s=0.2) as server, watch(server) as stream:
        offsets = (wall_s - float(p.pts or 0) / 90_000 for p, wall_s in sender_times(stream))
        offsets_s = list(itertools.islice(offsets, 10))
        server.clock_offset_s = -5
        offsets_s += taken_until(offsets, lambda taken: taken[-1] < offsets_s[-1] - 1)
        offsets_s += itertools.islice(offsets, 10)

    steps_s = np.diff(offsets_s[1:])
    assert np.isclose(steps_s, -5, atol=0.005).sum() == 1
    assert np.isclose(steps_s, 0, atol=0.005).sum() == len(steps_s) - 1


def test_all_clients_see_the_same_stream(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server, "tcp") as first, watch(server, "udp") as second:
        assert server.n_watching == 2
        seen = dict(_by_time(second, 10))
        last_ms = max(seen)
        also_seen = dict(taken_until(_by_time(first, MOST), lambda taken: taken[-1][0] >= last_ms))

    common = seen.keys() & also_seen.keys()
    assert len(common) >= 5
    assert all(np.array_equal(seen[time_ms], also_seen[time_ms]) for time_ms in common)


def _by_time(container: av.container.InputContainer, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures by their sender's time in milliseconds."""
    for packet, wall_s in itertools.islice(sender_times(container), n):
        for picture in packet.decode():
            yield round(wall_s * 1000), picture.to_ndarray(format="bgr24")


def test_a_client_that_never_reads_holds_nobody_up(clip: Path) -> None:
    server = RtspServer(clip, speed=20)
    with server, socket.create_connection((HOST, server.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
        for request in (f"SETUP {server.url}/track1", f"PLAY {server.url}"):
            deaf.sendall(f"{request} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n".encode())
        with watch(server) as stream:
            assert len(pictures_of(stream, 500)) == 500
            assert server.n_watching == 2
        with Lateness() as machine:
            begun_s = time.monotonic()
            server.stop()
            took_s = time.monotonic() - begun_s
        assert took_s < 2 + machine.slack_s


@pytest.mark.parametrize("nonsense", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe\r\n", b"$"])
def test_a_client_that_talks_nonsense_is_cut_off(nonsense: bytes, clip: Path) -> None:
    with RtspServer(clip) as server:
        with socket.create_connection((HOST, server.port), timeout=60) as odd:
            odd.sendall(nonsense)
            odd.shutdown(socket.SHUT_WR)
            assert odd.recv(100) == b""
        with watch(server) as stream:
            assert pictures_of(stream, 2)


def test_a_fast_camera_sends_more_and_its_clock_runs_as_fast(clip: Path) -> None:
    with RtspServer(clip, speed=10) as server, watch(server) as stream, Lateness() as machine:
        begun_s = time.monotonic()
        seen = [wall_s for _, wall_s in itertools.islice(sender_times(stream), 250)]
        took_s = time.monotonic() - begun_s

    assert took_s < 3 + machine.slack_s
    np.testing.assert_allclose(np.diff(seen), 1 / FPS, atol=0.005)


def test_a_stream_that_does_not_loop_ends(clip: Path) -> None:
    with RtspServer(clip, loops=False) as server, watch(server) as stream:
        assert 0 < len(pictures_of(stream)) <= 50


@pytest.mark.parametrize("password", ["wrong", "", "%", "a:b@/c%40"])
def test_only_the_right_password_opens_a_stream(password: str, clip: Path) -> None:
    right = "a:b@/ %41#?"
    with RtspServer(clip, user="me@home", password=right) as server:
        with watch(server) as stream:
            assert pictures_of(stream, 2)
        wrong_url = server.url.replace(quote(right, safe=""), quote(password, safe=""))
        with pytest.raises(av.error.HTTPUnauthorizedError):
            av.open(wrong_url, options={"rtsp_transport": "tcp"}, timeout=OPEN_AND_READ_S)


def test_a_camera_can_refuse_all_credentials(clip: Path) -> None:
    with RtspServer(clip, user="me", password="secret") as server:
        server.refuses = True
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(server)
        server.refuses = False
        with watch(server) as stream:
            assert pictures_of(stream, 2)


def test_another_path_is_not_found(clip: Path) -> None:
    with RtspServer(clip) as server, pytest.raises(av.error.HTTPNotFoundError):
        av.open(f"{server.url}2", options={"rtsp_transport": "tcp"}, timeout=OPEN_AND_READ_S)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_that_is_stopped_comes_back_on_its_port(transport: str, clip: Path) -> None:
    with (
        reserved_port() as port,
        RtspServer(clip, port=port) as server,
        watch(server, transport, QUICKLY_S) as stream,
    ):
        assert pictures_of(stream, 10)
        server.stop()
        assert server.n_watching == 0
        with pytest.raises(av.error.FFmpegError):
            _read_to_the_end(stream)
        with pytest.raises(av.error.ConnectionRefusedError):
            watch(server, transport)
        server.start()
        with watch(server, transport) as again:
            assert len(pictures_of(again, 10)) == 10
    assert server.n_connections == 2


def _read_to_the_end(stream: av.container.InputContainer) -> None:
    """Read what was sent, then raise EOFError, which is an FFmpegError in PyAV."""
    for _ in stream.demux(video=0):
        pass
    raise av.error.EOFError(0, "the stream has ended")


def test_a_frozen_camera_sends_equal_pictures(clip: Path) -> None:
    with (
        RtspServer(clip, report_s=0.2) as server,
        watch(server) as stream,
        Lateness() as machine,
    ):
        assert len(np.unique(np.array(pictures_of(stream, 20))[:, -1, -1, 0])) > 5
        server.frozen = True
        on_their_way = (pictures_of(stream, 1)[0] for _ in range(MOST))
        for before, after in itertools.pairwise(on_their_way):
            if np.array_equal(before, after):
                break
        begun_s = time.monotonic()
        frozen = np.array(pictures_of(stream, 50))
        took_s = time.monotonic() - begun_s
        server.frozen = False
        assert len(np.unique(np.array(pictures_of(stream, 50))[:, -1, -1, 0])) > 5

    assert np.all(frozen == frozen[0])
    assert took_s > 1 - machine.slack_s, "they come at their rate"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_garbled_packets_spoil_pictures_and_later_ones_are_right(
    transport: str, clip: Path
) -> None:
    with av.open(str(clip)) as container:
        right = pictures_of(container)
    with RtspServer(clip) as server, watch(server, transport) as stream:
        pictures_of(stream, 5)
        server.garbled_share = 0.8
        n_spoilt = 0
        for packet in itertools.islice(stream.demux(video=0), MOST):
            n_spoilt += not _is_one_of(right, packet)
            if n_spoilt > 10:
                break
        server.garbled_share = 0.0
        n_right = _n_right_in_a_row(right, stream)
        if n_right < 20:  # a decoder may not recover from all that is wrong in parameters
            with watch(server, transport) as again:
                n_right = _n_right_in_a_row(right, again)

    assert n_spoilt > 10
    assert n_right == 20


def _n_right_in_a_row(right: list[np.ndarray], stream: av.container.InputContainer) -> int:
    """How many packets in a row, 20 at most, are right at last; first come those on their way."""
    n_right = 0
    for packet in itertools.islice(stream.demux(video=0), 200):
        n_right = n_right + 1 if _is_one_of(right, packet) else 0
        if n_right == 20:
            break
    return n_right


def _is_one_of(right: list[np.ndarray], packet: av.Packet) -> bool:
    """Whether a packet decodes without fault to a picture of the file."""
    try:
        pictures = [picture.to_ndarray(format="bgr24") for picture in packet.decode()]
    except av.error.FFmpegError:
        return False
    return len(pictures) == 1 and any(np.array_equal(pictures[0], each) for each in right)


def test_lost_packets_leave_gaps(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server, "udp") as stream:
        pictures_of(stream, 5)
        server.lost_share = 0.5
        walls_s = (wall_s for _, wall_s in sender_times(stream))
        seen_s = taken_until(walls_s, lambda taken: _n_gaps(taken) > 3)

    assert _n_gaps(seen_s) > 3


def _n_gaps(seen_s: list[float]) -> int:
    return int(np.count_nonzero(np.diff(seen_s) > 1.5 / FPS))


def test_a_stream_can_be_cut_in_the_middle_of_a_picture(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server) as stream:
        pictures_of(stream, 5)
        server.cut()
        with pytest.raises(av.error.FFmpegError):
            _read_to_the_end(stream)
        with watch(server) as again:
            assert len(pictures_of(again, 10)) == 10


def test_a_silent_camera_holds_the_connection_open(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server, timeout_s=QUICKLY_S) as stream:
        pictures_of(stream, 5)
        server.silent = True
        begun_s = time.monotonic()
        with pytest.raises(av.error.ExitError):  # FFmpeg's read timeout
            _read_to_the_end(stream)
        # FFmpeg holds the last packet back until the next one, or the first of two timeouts
        assert time.monotonic() - begun_s > 2 * QUICKLY_S[1] - 0.1
        assert server.n_watching == 1
        with pytest.raises(av.error.FFmpegError):
            av.open(server.url, options={"rtsp_transport": "tcp"}, timeout=(0.5, 0.5))
        server.silent = False
        with watch(server) as again:
            assert len(pictures_of(again, 10)) == 10


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_resolution_can_change_within_a_stream(
    transport: str, clip: Path, tmp_path: Path
) -> None:
    other = write_video(tmp_path / "other.mp4", 50, FPS, (96, 160))
    with RtspServer(clip) as server, watch(server, transport) as stream:
        sizes = [image.shape for image in pictures_of(stream, 5)]
        server.show(other)
        shapes = (picture.to_ndarray(format="bgr24").shape for picture in stream.decode(video=0))
        sizes += taken_until(shapes, lambda taken: taken[-1] == (160, 96, 3))

    assert sizes[0] == (SIZE[1], SIZE[0], 3)
    assert sizes[-1] == (160, 96, 3)


def test_a_pause_loses_pictures_and_the_clock_goes_on(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server) as stream, Lateness() as machine:
        pictures_of(stream, 5)
        server.pause(1.0)
        walls_s = (wall_s for _, wall_s in sender_times(stream))
        seen_s = taken_until(walls_s, lambda taken: len(taken) > 1 and taken[-1] - taken[-2] > 0.5)
        seen_s += itertools.islice(walls_s, 20)

    steps_s = np.diff(seen_s)
    assert 1.0 < steps_s.max() < 1.5 + machine.slack_s
    assert np.median(steps_s) == pytest.approx(1 / FPS, abs=0.005)


def test_timestamps_can_restart(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server) as stream:
        stamps_s = _stamps_s(stream, 30)
        server.restart_stamps()
        stamps = _stamps(stream)
        stamps_s += taken_until(stamps, lambda taken: taken[-1] < stamps_s[-1] - 1)
        stamps_s += itertools.islice(stamps, 10)

    steps_s = np.diff(stamps_s)
    assert np.count_nonzero(steps_s < -1) == 1
    assert np.isclose(steps_s, 1 / FPS, atol=0.005).sum() == len(steps_s) - 1


def test_timestamps_can_jump(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server) as stream:
        stamps_s = _stamps_s(stream, 10)
        server.jump_stamps(3600)
        stamps_s += taken_until(_stamps(stream), lambda taken: taken[-1] > 3600)

    steps_s = np.diff(stamps_s)
    assert steps_s.max() == pytest.approx(3600 + 1 / FPS, abs=0.01)
    assert np.isclose(steps_s, 1 / FPS, atol=0.005).sum() == len(steps_s) - 1


def test_timestamps_can_freeze(clip: Path) -> None:
    with RtspServer(clip) as server, watch(server) as stream, Lateness() as machine:
        _stamps_s(stream, 10)
        server.freeze_stamps()
        taken_until(_stamps(stream), lambda taken: len(taken) > 1 and taken[-1] == taken[-2])
        begun_s = time.monotonic()
        walls_s = [wall_s for _, wall_s in itertools.islice(sender_times(stream), 30)]
        took_s = time.monotonic() - begun_s

    assert took_s > 0.8 - machine.slack_s
    assert len(set(walls_s)) <= 3 + took_s  # one more with each report


def _stamps(stream: av.container.InputContainer) -> Iterator[float]:
    for packet in stream.demux(video=0):
        if packet.pts is not None:
            yield float(packet.pts * packet.time_base)


def _stamps_s(stream: av.container.InputContainer, n: int) -> list[float]:
    return list(itertools.islice(_stamps(stream), n))
