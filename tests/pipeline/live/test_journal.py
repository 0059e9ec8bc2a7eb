"""What is on disk of a live run, whatever happens to it."""

import json
import re
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ZoneConfig
from pipeline.errors import ConfigError
from pipeline.live import journal
from pipeline.live.journal import Journal, Setup
from pipeline.online.events import Event
from pipeline.records import Array, Camera, Tracks
from pipeline.sources.live.health import CameraEvent
from tests.lateness import Lateness
from tests.programs import running
from tests.waiting import wait_until

APPEARED = Event(1.0, "appeared", 1, -1, "cam/1@0", "new")
LOST = CameraEvent(2.5, "lost", "cam", "no picture for 20 s")
LONG_S = 1000.0
"""Until a journal flushes by itself; these tests do it."""


def rows(frame: int, *track_ids: int, time_s: float | None = None) -> Tracks:
    """Rows of one frame."""
    n = len(track_ids)
    rng = np.random.default_rng(frame)
    return Tracks(
        np.full(n, frame),
        np.full(n, frame / 7 if time_s is None else time_s),
        np.array(track_ids, np.int64),
        (1000 * rng.random((n, 4))).astype(np.float32),
        rng.random(n).astype(np.float32),
        np.zeros(n, np.bool_),
    )


def frames(folder: Path) -> list[int]:
    """Frames of all rows that are on disk."""
    return [frame for line in journal.read_rows(journal.row_files(folder)) for frame in line.frames]


def test_rows_come_back_as_they_were_by_camera_and_track(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    first, second = rows(3, 1, 2), rows(4, 2)
    written.add("cam", first)
    written.add("cam", second)
    written.add("other", rows(3))  # nobody in view
    written.close()
    one, two = journal.read_rows(journal.row_files(tmp_path))
    assert (one.camera, one.track_id, one.frames) == ("cam", 1, [3])
    assert (two.camera, two.track_id, two.frames) == ("cam", 2, [3, 4])
    expected_boxes: Array = np.stack([first.boxes[1], second.boxes[0]])
    np.testing.assert_array_equal(np.array(two.boxes, np.float32), expected_boxes)
    expected_scores = [first.scores[1], second.scores[0]]
    np.testing.assert_array_equal(np.array(two.scores, np.float32), expected_scores)
    assert two.times_s == [3 / 7, 4 / 7]


def test_events_of_people_and_of_cameras_come_back_in_order(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    written.say([APPEARED, LOST])
    written.say([APPEARED])
    written.close()
    assert list(journal.read_events(tmp_path)) == [APPEARED, LOST, APPEARED]
    for line in (tmp_path / journal.EVENTS).read_text().splitlines():
        assert {"time_s", "kind", "reason"} <= json.loads(line).keys()


def test_cameras_and_settings_come_back(tmp_path: Path) -> None:
    camera = Camera("cam", "rtsp://10.0.0.7/main", 640, 480, 25.0, 1.7e9, 12, np.eye(3), 3)
    bare = Camera("b", "0", 640, 480, 25.0, 1.7e9, 12, np.zeros((0, 0)))
    written = Journal(tmp_path, LONG_S)
    written.describe(Setup((camera,)))
    written.flush()
    zones = (ZoneConfig(name="door", camera="cam", line=[(1, 2), (3, 4)]),)
    written.describe(Setup((camera, bare), 0.8, 2.0, 1.0, {"cam": 0.2}, zones, 1.7e9))
    written.close()
    found = journal.read_setup(tmp_path)
    assert (found.confirmed_probability, found.max_interpolated_gap_s) == (0.8, 2.0)
    assert found.min_person_s == 1.0
    assert found.look_s == {"cam": 0.2}
    assert (found.zones, found.until_s) == (zones, 1.7e9)
    assert [each.name for each in found.cameras] == ["cam", "b"]
    np.testing.assert_array_equal(found.cameras[0].homography, np.eye(3))
    assert found.cameras[1].homography.shape == (0, 0)
    assert found.cameras[0].source == "rtsp://10.0.0.7/main"
    assert found.cameras[0].n_dropped == 3


@pytest.mark.parametrize("text", [None, "", "{}", '{"schema": "setup/2"}', '{"schema":"setup/1"}'])
def test_a_folder_without_a_journal_is_refused_in_one_line(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / journal.SETUP).write_text(text)
    with pytest.raises(ConfigError) as raised:
        journal.read_setup(tmp_path)
    assert re.fullmatch(
        r".*setup\.json: .*; give the output folder of a live run", str(raised.value)
    )


CHILD = """
import itertools, sys, time
from pathlib import Path
import numpy as np
from pipeline.live.journal import Journal
from pipeline.online.events import Event
from pipeline.records import Tracks

written = Journal(Path(sys.argv[1]), float(sys.argv[2]))
for frame in itertools.count():
    now_s = time.time()
    one = np.ones(1)
    boxes = np.full((1, 4), frame, np.float32)
    tracks = Tracks(
        np.array([frame]), now_s * one, np.array([1]), boxes, one.astype(np.float32), one < 0
    )
    written.add("cam", tracks)
    written.say([Event(now_s, "seen", 1, -1, f"cam/1@{frame}", "x" * 200)])
    print(now_s, flush=True)
    time.sleep(0.002)
"""


def test_a_kill_loses_no_more_than_flush_s_and_breaks_nothing(tmp_path: Path) -> None:
    flush_s = 2.0
    words = [sys.executable, "-c", CHILD, tmp_path, str(flush_s)]
    with running(words, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        added_s = [float(child.stdout.readline())]
        while added_s[-1] < added_s[0] + 3.7:
            added_s.append(float(child.stdout.readline()))
        child.kill()
        rest, _ = child.communicate()
    added_s += map(float, rest.split()[:-1])  # the last one may be torn
    late_s = 20 * max(np.diff(added_s))  # of a machine that is busy
    saved = [s for line in journal.read_rows(journal.row_files(tmp_path)) for s in line.times_s]
    assert added_s[-1] - saved[-1] <= flush_s + late_s
    assert frames(tmp_path) == list(range(len(saved)))
    said = list(journal.read_events(tmp_path))
    assert added_s[-1] - said[-1].time_s <= flush_s + late_s
    assert len(said) >= len(saved) - 1, "a row is added just before its event"


def test_rows_are_on_disk_within_flush_s_when_nothing_more_comes(tmp_path: Path) -> None:
    flush_s = 2.0
    with Lateness() as machine, closing(Journal(tmp_path, flush_s)) as written:
        begun_s = time.monotonic()
        written.add("cam", rows(0, 1))
        written.say([LOST])
        wait_until(
            lambda: frames(tmp_path) == [0] and list(journal.read_events(tmp_path)) == [LOST]
        )
        took_s = time.monotonic() - begun_s
    assert took_s < flush_s + 10 * machine.worst_s


@pytest.mark.parametrize("torn", ['{"camera": "cam", "tr', '{"camera": "cam"}', "\x00" * 70_000])
def test_a_torn_last_line_is_left_out_and_cut_when_the_run_goes_on(
    tmp_path: Path, torn: str
) -> None:
    first = Journal(tmp_path, LONG_S)
    first.add("cam", rows(0, 1))
    first.say([APPEARED])
    first.close()
    (path,) = journal.row_files(tmp_path)
    for each in (path, tmp_path / journal.EVENTS):
        with each.open("a") as file:
            file.write(torn)
    assert frames(tmp_path) == [0]
    assert list(journal.read_events(tmp_path)) == [APPEARED]
    second = Journal(tmp_path, LONG_S)
    second.add("cam", rows(1, 1))
    second.say([LOST])
    second.close()
    assert frames(tmp_path) == [0, 1]
    assert list(journal.read_events(tmp_path)) == [APPEARED, LOST]
    assert torn not in path.read_text()


def three_lines(folder: Path) -> tuple[Path, list[str]]:
    """The file of rows of a journal of frames 0 to 2, and its lines, one a frame."""
    written = Journal(folder, LONG_S)
    for frame in range(3):
        written.add("cam", rows(frame, 1))
        written.flush()
    written.close()
    (path,) = journal.row_files(folder)
    return path, path.read_text().splitlines()


def test_a_damaged_line_loses_only_itself(tmp_path: Path) -> None:
    path, lines = three_lines(tmp_path)
    for damaged in (lines[1][:-9], '{"camera": "cam"}', "[1]", lines[1].replace("[1]", "[1,2]", 1)):
        path.write_text("\n".join([lines[0], damaged, lines[2]]) + "\n")
        assert frames(tmp_path) == [0, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("camera", []),
        ("track_id", "1"),
        ("frames", [1e999]),
        ("frames", [1.5]),
        ("frames", [[1]]),
        ("frames", [10**30]),
        ("times_s", ["1"]),
        ("times_s", [[1.0]]),
        ("boxes", [[1, 2, 3]]),
        ("boxes", [[1, 2, 3, 1e300]]),
        ("boxes", [[1, 2, 3, 10**400]]),
        ("scores", [float("nan")]),
    ],
)
def test_a_line_with_values_that_this_program_does_not_write_loses_only_itself(
    tmp_path: Path, name: str, value: object
) -> None:
    path, lines = three_lines(tmp_path)
    lines[1] = json.dumps({**json.loads(lines[1]), name: value})
    path.write_text("\n".join(lines) + "\n")
    assert frames(tmp_path) == [0, 2]


def test_files_of_rows_are_of_a_manageable_size_and_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_FILE_BYTES", 1000)
    for start in (0, 20):
        written = Journal(tmp_path, LONG_S)
        for frame in range(start, start + 20):
            written.add("cam", rows(frame, 1))
            written.flush()
        written.close()
    paths = journal.row_files(tmp_path)
    assert 3 < len(paths) < 15
    assert all(path.stat().st_size < 1300 for path in paths)
    assert frames(tmp_path) == list(range(40))


def test_a_disk_that_takes_nothing_is_said_and_caught_up_with_later(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    written.add("cam", rows(0, 1))
    written.say([APPEARED])
    written.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (path,) = journal.row_files(tmp_path)
    limit = path.stat().st_size + 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        written.add("cam", rows(1, 1))
        written.say([LOST] * 9)
        written.flush()
        assert "rows/000001.jsonl: cannot be written (File too large)" in written.problem
        assert "events.jsonl: cannot be written" in written.problem
        assert frames(tmp_path) == [0]
        assert path.read_bytes().endswith(b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    written.add("cam", rows(2, 1))
    written.flush()
    assert written.problem == ""
    written.close()
    assert frames(tmp_path) == [0, 1, 2]
    assert list(journal.read_events(tmp_path)) == [APPEARED, *[LOST] * 9]
    assert written.n_dropped == 0


def test_what_waits_for_a_disk_is_bounded_and_what_is_dropped_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_WAITING_ROWS", 5)
    monkeypatch.setattr(journal, "MAX_WAITING_EVENTS", 2)
    written = Journal(tmp_path, LONG_S)
    (tmp_path / journal.ROWS).rmdir()
    (tmp_path / journal.ROWS).write_text("a file where the folder was")
    for frame in range(9):
        written.add("cam", rows(frame, 1))
        written.flush()
    assert "cannot be written" in written.problem
    written.say([APPEARED, LOST, LOST])
    (tmp_path / journal.ROWS).unlink()
    written.flush()
    assert written.problem == ""
    written.close()
    assert frames(tmp_path) == [4, 5, 6, 7, 8]
    assert list(journal.read_events(tmp_path)) == [LOST, LOST]
    assert written.n_dropped == 4 + 1


def test_a_run_that_goes_on_knows_the_highest_numbers(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    written.add("cam", rows(7, 3, 12))
    written.add("b", rows(90, 2))
    written.say([APPEARED, Event(3.0, "merged", 4, 9, "", "alike"), LOST])
    written.close()
    found = journal.last(tmp_path)
    assert found.frames == {"cam": 7, "b": 90}
    assert found.track_ids == {"cam": 12, "b": 2}
    assert found.person_id == 9
    assert journal.last(tmp_path / "nothing").person_id == 0


def test_events_are_on_disk_at_once_however_seldom_rows_are(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, flush_s=600)) as written:
        written.say([CameraEvent(1.0, "lost", "gate", "no picture for 20 s")])
        wait_until(lambda: list(journal.read_events(tmp_path)))
