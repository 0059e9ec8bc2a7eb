"""What the tests of live cameras share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.live.rtsp_server import RtspServer
from tests.pipeline.sources.live.watching import FPS
from tests.ports import reserved_port
from tests.videos import write_video


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("rtsp") / "clip.mp4", 50, FPS)


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    with reserved_port() as port, RtspServer(clip, port=port, report_s=0.5) as started:
        yield started
