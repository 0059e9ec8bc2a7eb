import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pipeline import ahead
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Camera, Frame
from pipeline.sources import open_source, read_ahead
from pipeline.timings import Timings
from tests.videos import write_video
from tests.waiting import wait_until


class Counted:
    """A source that counts what is read from it, fails before frame `fails_at`, and notes when it
    is closed.
    """

    def __init__(self, n_frames: int, fails_at: int = -1) -> None:
        self.camera = Camera("counted", "", 2, 2, 10.0, 0.0, n_frames, np.zeros((0, 0)))
        self.warnings: list[str] = []
        self.n_read, self.closed, self._fails_at = 0, False, fails_at

    def __iter__(self) -> Iterator[Frame]:
        try:
            for i in range(self.camera.n_frames):
                if i == self._fails_at:
                    raise SourceError("the cable came off")
                self.n_read += 1
                yield Frame("counted", i, i / 10, np.zeros((2, 2, 3), np.uint8))
        finally:
            self.closed = True


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "decode"]


def settled(source: Counted, n_frames: int) -> int:
    """How many frames were read a moment after `n_frames` are."""
    wait_until(lambda: source.n_read >= n_frames)
    time.sleep(0.02)
    return source.n_read


@pytest.mark.parametrize("n_ahead", [1, 8])
def test_reading_ahead_yields_every_frame_in_order(tmp_path: Path, n_ahead: int) -> None:
    path = write_video(tmp_path / "a.mp4", 30)
    timings = Timings()
    source, same = (
        open_source(CameraConfig(source=str(path), name="cam"), SourcesConfig()) for _ in range(2)
    )
    found = list(read_ahead(source, n_ahead, timings))
    assert [(f.index, f.time_s) for f in found] == [(f.index, f.time_s) for f in same]
    assert len(found) == 30
    assert set(timings.seconds) == {"decode", "wait for decode"}
    assert readers() == []


@pytest.mark.parametrize("n_ahead", [1, 3])
def test_reading_ahead_never_holds_more_frames_than_it_may(n_ahead: int) -> None:
    source = Counted(100)
    with closing(read_ahead(source, n_ahead, Timings())) as frames:
        for n_taken in range(1, 5):
            next(frames)
            assert settled(source, n_taken + n_ahead) == n_taken + n_ahead


def test_an_error_while_reading_ahead_is_raised_at_the_consumer_after_the_frames_before_it() -> (
    None
):
    taken = []
    with pytest.raises(SourceError, match="the cable came off"):
        for frame in read_ahead(Counted(10, fails_at=4), 2, Timings()):
            taken.append(frame.index)
    assert taken == [0, 1, 2, 3]
    assert readers() == []


HANG_S = 300.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread counts as hanging because the machine is busy."""
    monkeypatch.setattr(ahead, "JOIN_S", HANG_S)


class Hanging(Counted):
    """A source that hangs after its first frame, until it is let go."""

    def __init__(self) -> None:
        super().__init__(1)
        self.let_go = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        self.let_go.wait(HANG_S)


def test_a_source_that_hangs_is_reported_and_does_not_hold_up_whoever_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "JOIN_S", 0.2)
    source = Hanging()
    frames = read_ahead(source, 2, Timings())
    next(frames)
    started = time.monotonic()
    frames.close()
    waited_s = time.monotonic() - started
    source.let_go.set()
    wait_until(lambda: not readers())
    assert waited_s < HANG_S / 2
    assert source.warnings == [
        "counted: reading did not stop within 0.2 s; check the disk or the network that it is read"
        " from"
    ]


@pytest.mark.parametrize("n_taken", [0, 1, 5])
def test_closing_early_stops_the_thread_and_closes_the_source(n_taken: int) -> None:
    source = Counted(100)
    frames = read_ahead(source, 2, Timings())
    assert len(list(itertools.islice(frames, n_taken))) == n_taken
    frames.close()
    assert readers() == []
    assert source.closed == (n_taken > 0)
    assert source.n_read <= n_taken + 2
