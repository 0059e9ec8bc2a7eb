"""Video of a live camera: playable while it is written, and no harm to the run when it fails."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import InvalidDataError

from pipeline import yuv
from pipeline.config import LiveConfig, OutputConfig
from pipeline.live import segments
from pipeline.live.segments import Segments, name_of, start_of
from pipeline.outputs.video import NOBODY, Mark, colour, draw_now
from tests.pipeline.live.disks import small_disk
from tests.programs import running
from tests.videos import picture
from tests.waiting import wait_until

START_S = 1_764_412_973.25
"""2025-11-29 10:42:53.250 UTC."""
OUTPUT = OutputConfig(crf=30)


def a_picture(number: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    return yuv.from_bgr(picture(number, *size))


def noise(number: int, size: tuple[int, int] = (320, 240)) -> av.VideoFrame:
    """A picture that takes much room."""
    rng = np.random.default_rng(number)
    return yuv.from_bgr(rng.integers(0, 255, (*size[::-1], 3), np.uint8))


def put(written: Segments, shown: av.VideoFrame, time_s: float) -> None:
    """Write a picture as a camera does that is not too fast."""
    wait_until(lambda: written._waiting.qsize() < segments.MAX_WAITING)
    written.write(shown, time_s)


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


def played(path: Path) -> list[float]:
    """Times as a player gets them, which stops where the last second is not whole."""
    found: list[float] = []
    with av.open(str(path)) as container, suppress(InvalidDataError):
        for frame in container.decode(video=0):
            found.append(frame.time or 0.0)
    return found


def files_of(folder: Path, camera: str = "cam") -> list[Path]:
    return sorted((folder / segments.SEGMENTS / camera).iterdir())


def writing(folder: Path, segment_s: float = 60.0, **others: object) -> Segments:
    return Segments(folder, "cam", LiveConfig(segment_s=segment_s), OUTPUT, **others)  # type: ignore[arg-type]


def test_segments_last_segment_s_and_are_named_by_the_time_of_their_first_picture(
    tmp_path: Path,
) -> None:
    written = writing(tmp_path, segment_s=2)
    for number in range(50):
        put(written, a_picture(number), START_S + number / 10)
    written.close()
    names = [path.name for path in files_of(tmp_path)]
    assert names == [
        "2025-11-29T10-42-53.250Z.mp4",
        "2025-11-29T10-42-55.250Z.mp4",
        "2025-11-29T10-42-57.250Z.mp4",
    ]
    assert ":" not in "".join(names)
    found = [times(path) for path in files_of(tmp_path)]
    assert [len(each) for each in found] == [20, 20, 10]
    np.testing.assert_allclose(found[0], np.arange(20) / 10, atol=1e-4)
    assert written.n_dropped == {"busy": 0, "stopped": 0}
    assert written.take_events() == []
    assert written.current is None


@pytest.mark.parametrize("time_s", [0.0, START_S, 1_764_412_973.9999, 1_800_000_000.001])
def test_the_name_of_a_segment_tells_when_it_begins(time_s: float) -> None:
    found = start_of(name_of(time_s))
    assert found is not None
    assert 0 <= time_s - found < 0.0011


@pytest.mark.parametrize("name", ["mosaic.mp4", "2025-13-29T10-42-53.250Z.mp4", "x" + name_of(0)])
def test_other_names_are_of_no_segments(name: str) -> None:
    assert start_of(name) is None


def test_a_segment_can_be_played_while_it_is_written(tmp_path: Path) -> None:
    written = writing(tmp_path)
    for number in range(60):
        put(written, noise(number), START_S + number / 10)
    wait_until(written._waiting.empty)
    path = written.current
    assert path is not None
    wait_until(lambda: path.stat().st_size > segments.WRITTEN_BYTES)
    found = played(path)
    assert 30 <= len(found) < 60
    np.testing.assert_allclose(found, np.arange(len(found)) / 10, atol=1e-4)
    written.close()
    assert len(times(path)) == 60


CHILD = """
import itertools, sys, time
from pathlib import Path
from tests.pipeline.live.test_segments import START_S, noise, put, writing
written = writing(Path(sys.argv[1]))
for number in itertools.count():
    put(written, noise(number % 7), START_S + number / 10)
    print(number, flush=True)
"""


def test_what_a_kill_leaves_can_be_played(tmp_path: Path) -> None:
    with running([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 80:
            pass
        child.kill()
        child.communicate()
    (path,) = files_of(tmp_path)
    assert len(played(path)) >= 40


@pytest.mark.parametrize("size", [(65, 48), (64, 49), (65, 49)])
def test_pictures_of_odd_sizes_get_a_row_or_a_column_more(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    written = writing(tmp_path)
    for number in range(5):
        put(written, a_picture(number, size), START_S + number / 10)
    written.close()
    (path,) = files_of(tmp_path)
    with av.open(str(path)) as container:
        shown = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in shown] == [
        (yuv.even(size[0]), yuv.even(size[1]))
    ] * 5


def test_a_gap_another_size_and_a_clock_that_goes_back_begin_a_new_segment(tmp_path: Path) -> None:
    written = writing(tmp_path)
    begins = [(0.0, (64, 48)), (20.0, (64, 48)), (21.0, (80, 48)), (5.0, (80, 48))]
    for start_s, size in begins:
        for number in range(10):
            put(written, a_picture(number, size), START_S + start_s + number / 10)
    written.close()
    found = {path.name: times(path) for path in files_of(tmp_path)}
    assert sorted(found) == sorted(name_of(START_S + start_s) for start_s, _ in begins)
    assert all(each[-1] == pytest.approx(0.9) for each in found.values())


def test_a_segment_of_the_same_time_is_not_written_over(tmp_path: Path) -> None:
    for _ in range(2):
        written = writing(tmp_path)
        put(written, a_picture(0), START_S)
        written.close()
    assert [path.name for path in files_of(tmp_path)] == [
        "2025-11-29T10-42-53.250Z.mp4",
        "2025-11-29T10-42-53.251Z.mp4",
    ]


def test_a_camera_that_is_lost_has_its_last_pictures_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "GAP_S", 0.5)
    all_are_there = threading.Event()
    written = writing(tmp_path, blocked=lambda: str(all_are_there.wait(60))[:0])
    for number in range(4):
        written.write(a_picture(number), START_S + number / 10)
    all_are_there.set()
    wait_until(
        lambda: written.current is None and not written._waiting.qsize() and files_of(tmp_path)
    )
    (path,) = files_of(tmp_path)
    assert len(times(path)) == 4
    written.close()


@pytest.fixture
def retried_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "RETRY_S", 0.2)


def shown_until(written: Segments, is_so: object, number: int) -> int:
    """Go on writing pictures until something is so; returns the number of the next picture."""
    end_s = time.monotonic() + 100
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end_s, "it took too long"
        put(written, noise(number % 7), START_S + number / 10)
        number += 1
        time.sleep(0.005)
    return number


@pytest.mark.usefixtures("retried_soon")
def test_a_folder_that_takes_no_files_stops_video_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / segments.SEGMENTS).write_text("a file where the folder goes")
    written = writing(tmp_path)
    number = shown_until(written, lambda: written.problem, 0)
    assert written.problem == "video cannot be written (Not a directory)"
    number = shown_until(written, lambda: written.n_dropped["stopped"] > 3, number)
    (tmp_path / segments.SEGMENTS).unlink()
    shown_until(written, lambda: not written.problem, number)
    written.close()
    assert [event.kind for event in written.take_events()] == ["video_stopped", "video_resumed"]
    assert len(times(files_of(tmp_path)[-1])) > 5


@pytest.mark.usefixtures("retried_soon")
def test_a_full_disk_stops_video_which_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", megabytes=2) as disk:
        written = writing(disk)
        number = shown_until(written, lambda: written.problem, 0)
        assert written.problem == "video cannot be written (No space left on device)"
        path = files_of(disk)[0]
        assert len(times(path)) > 10, "what was written by then can be played"
        number = shown_until(written, lambda: written.n_dropped["stopped"] > 20, number)
        assert [event.kind for event in written.take_events()] == ["video_stopped"]
        wait_until(lambda: files_of(disk) == [path])  # what has no picture is not left
        path.unlink()
        shown_until(written, lambda: not written.problem, number)
        (resumed,) = written.take_events()
        assert (resumed.kind, resumed.camera) == ("video_resumed", "cam")
        written.close()


def test_video_waits_while_it_may_not_be_written(tmp_path: Path) -> None:
    reason = ["only 0.3 GB are free"]
    written = writing(tmp_path, blocked=lambda: reason[0])
    number = shown_until(written, lambda: written.n_dropped["stopped"] > 3, 0)
    assert written.problem == "only 0.3 GB are free"
    assert not (tmp_path / segments.SEGMENTS).exists()
    reason[0] = ""
    number = shown_until(written, lambda: not written.problem, number)
    reason[0] = "only 0.2 GB are free"
    shown_until(written, lambda: written.problem, number)
    assert written.current is None, "what was written is complete"
    written.close()
    said = [(event.kind, event.reason) for event in written.take_events()]
    assert said == [
        ("video_stopped", "only 0.3 GB are free"),
        ("video_resumed", "video is written again"),
        ("video_stopped", "only 0.2 GB are free"),
    ]


def test_a_machine_that_is_too_slow_drops_pictures_and_counts_them(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow() -> str:
        gate.wait(100)
        return ""

    written = writing(tmp_path, blocked=slow)
    begun_s = time.monotonic()
    for number in range(30):
        written.write(a_picture(number), START_S + number / 10)
    assert time.monotonic() - begun_s < 60, "writing never waits"
    gate.set()
    written.close()
    n_dropped = written.n_dropped["busy"]
    assert 30 - segments.MAX_WAITING - 1 <= n_dropped <= 30 - segments.MAX_WAITING
    (path,) = files_of(tmp_path)
    assert len(times(path)) == 30 - n_dropped


def test_a_disk_that_hangs_does_not_hang_the_end_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "CLOSE_S", 0.3)
    gate = threading.Event()
    written = writing(tmp_path, blocked=lambda: str(gate.wait(30))[:0])
    written.write(a_picture(0), START_S)
    written.close()
    assert written.problem == "the disk did not answer for 0.3 s"
    gate.set()
    written._thread.join()


# --- drawing


@pytest.fixture
def black() -> Iterator[av.VideoFrame]:
    yield yuv.from_bgr(np.zeros((240, 320, 3), np.uint8))


def test_boxes_of_now_have_the_colour_of_the_person_and_unknown_ones_are_grey(
    black: av.VideoFrame,
) -> None:
    known = Mark(7, np.array([50, 60, 90, 140], np.float32), True)
    unknown = Mark(NOBODY, np.array([150, 60, 190, 140], np.float32), True)
    image = yuv.to_bgr(draw_now(black, [known, unknown], "cam", START_S))
    assert np.abs(image[100, 50].astype(int) - colour(7)).max() < 35
    assert np.ptp(image[100, 150].astype(int)) < 12
    assert image[100, 150].mean() > 90
    assert image[52, 56].max() > 100, "the number stands above the box"
    assert image[52, 156].max() < 30
    assert not yuv.to_bgr(black).any(), "it is a copy"


def test_the_time_is_drawn(black: av.VideoFrame) -> None:
    first, second = (
        yuv.to_bgr(draw_now(black, [], "cam", START_S + later_s))[:30] for later_s in (0, 1)
    )
    assert (first != second).any()
