"""The MJPEG camera of the live tests, watched with PyAV as the product does."""

import itertools
import time
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.live.mjpeg_server import MjpegServer
from tests.lateness import Lateness
from tests.ports import reserved_port
from tests.videos import write_video

FPS = 25
OPEN_AND_READ_S = (30, 10)
QUICKLY_S = (5, 1)
"""The same, where the camera is to be missed."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("mjpeg") / "clip.mp4", 50, FPS, (160, 96))


def pictures_of(container: av.container.InputContainer, n: int) -> np.ndarray:
    decoded = itertools.islice(container.decode(video=0), n)
    return np.array([picture.to_ndarray(format="bgr24") for picture in decoded], np.int16)


def test_a_client_sees_the_pictures_of_the_file_at_its_rate(clip: Path) -> None:
    with av.open(str(clip)) as container:
        expected = pictures_of(container, 50)
    with (
        MjpegServer(clip) as server,
        av.open(server.url, timeout=OPEN_AND_READ_S) as stream,
        Lateness() as machine,
    ):
        pictures_of(stream, 50)  # those of probing come at once
        begun_s = time.monotonic()
        seen = pictures_of(stream, 50)
        took_s = time.monotonic() - begun_s

    differences = np.array([np.abs(expected - picture).mean((1, 2, 3)) for picture in seen])
    numbers = differences.argmin(axis=1)
    steps = np.diff(numbers) % 50
    assert differences.min(axis=1).max() < 3
    assert steps.min() >= 1
    assert steps.max() == 1 or machine.worst_s > 1 / FPS, "those that come too late are left out"
    assert took_s == pytest.approx(2, abs=1 + machine.slack_s)


def test_only_the_right_password_opens_a_stream(clip: Path) -> None:
    with MjpegServer(clip, user="me", password="a@b/c%") as server:
        with av.open(server.url, timeout=OPEN_AND_READ_S) as stream:
            assert len(pictures_of(stream, 2)) == 2
        with pytest.raises(av.error.HTTPUnauthorizedError):
            av.open(server.url.replace("%40", "x"), timeout=OPEN_AND_READ_S)
        server.refuses = True
        with pytest.raises(av.error.HTTPUnauthorizedError):
            av.open(server.url, timeout=OPEN_AND_READ_S)


def test_a_frozen_camera_sends_equal_pictures(clip: Path) -> None:
    with MjpegServer(clip) as server, av.open(server.url, timeout=OPEN_AND_READ_S) as stream:
        server.frozen = True
        pictures_of(stream, 50)
        frozen = pictures_of(stream, 10)
    assert np.all(frozen == frozen[0])


def test_a_silent_camera_holds_the_connection_open(clip: Path) -> None:
    with MjpegServer(clip) as server, av.open(server.url, timeout=QUICKLY_S) as stream:
        server.silent = True
        with pytest.raises(av.error.ExitError):
            pictures_of(stream, 200)


def test_a_camera_that_is_stopped_comes_back_on_its_port(clip: Path) -> None:
    with (
        reserved_port() as port,
        MjpegServer(clip, port=port) as server,
        av.open(server.url, timeout=OPEN_AND_READ_S) as stream,
    ):
        assert len(pictures_of(stream, 5)) == 5
        server.stop()
        with pytest.raises(av.error.FFmpegError):
            pictures_of(stream, 200)
        with pytest.raises(av.error.ConnectionRefusedError):
            av.open(server.url, timeout=OPEN_AND_READ_S)
        server.start()
        with av.open(server.url, timeout=OPEN_AND_READ_S) as again:
            assert len(pictures_of(again, 5)) == 5
