"""The camera of the live tests and benchmarks, watched with PyAV as the product does."""

import itertools
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.live.rtsp_server import RtspServer
from tests.videos import write_video

FPS = 25
SIZE = (160, 96)
OPEN_AND_READ_S = (5, 2)
QUICK = {"analyzeduration": "100000"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("rtsp") / "clip.mp4", 50, FPS, SIZE)


def watch(server: RtspServer, transport: str = "tcp") -> av.container.InputContainer:
    return av.open(
        server.url,
        options={"rtsp_transport": transport, **QUICK},
        timeout=OPEN_AND_READ_S,
    )


def pictures_of(container: av.container.InputContainer, n: int | None = None) -> list[np.ndarray]:
    decoded = itertools.islice(container.decode(video=0), n)
    return [picture.to_ndarray(format="bgr24") for picture in decoded]


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
    server = RtspServer(path, starts_at_s=time.time() + 0.3, loops=False)
    with server, watch(server, transport) as stream:
        seen = pictures_of(stream)

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
    starts_at_s = time.time() + 0.3
    server = RtspServer(clip, starts_at_s=starts_at_s, clock_offset_s=1.7, loops=False)
    with server, watch(server, transport) as stream:
        seen = [wall_s for _, wall_s in sender_times(stream)]

    expected = starts_at_s + 1.7 + np.arange(50) / FPS
    np.testing.assert_allclose(seen, expected, atol=0.005)
