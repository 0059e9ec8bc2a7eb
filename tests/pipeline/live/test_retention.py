"""How long video is kept, and that nothing else is ever deleted."""

from pathlib import Path

import pytest

from pipeline.config import LiveConfig
from pipeline.live import retention
from pipeline.live.retention import DAY_S, Retention
from pipeline.live.segments import SEGMENTS, name_of
from tests.pipeline.live.disks import read_only, small_disk
from tests.waiting import wait_until

NOW_S = 1_764_412_973.25


def fill(folder: Path, ages_days: dict[str, list[float]], n_bytes: int = 1000) -> None:
    """Segments by camera, of an age."""
    for camera, ages in ages_days.items():
        (folder / SEGMENTS / camera).mkdir(parents=True, exist_ok=True)
        for age in ages:
            (folder / SEGMENTS / camera / name_of(NOW_S - age * DAY_S)).write_bytes(b"x" * n_bytes)


def ages(folder: Path) -> dict[str, list[float]]:
    """Ages of the segments that are left, days."""
    found: dict[str, list[float]] = {}
    for age in range(100):
        for path in (folder / SEGMENTS).glob(f"*/{name_of(NOW_S - age * DAY_S)}"):
            found.setdefault(path.parent.name, []).append(age)
    return found


def kept(folder: Path, *current: Path, **live: float) -> Retention:
    config = LiveConfig(**{"min_free_gb": 0.0, **live})
    found = Retention(folder, config, lambda: current, now=lambda: NOW_S + 1)
    found.check()
    return found


def test_segments_are_deleted_by_age_in_all_cameras(tmp_path: Path) -> None:
    fill(tmp_path, {"a": [0, 1, 5, 9], "gone": [7, 8]})
    assert kept(tmp_path, keep_days=6).n_deleted == 3
    assert ages(tmp_path) == {"a": [0, 1, 5]}


def test_the_oldest_segments_of_all_cameras_are_deleted_when_all_are_too_large(
    tmp_path: Path,
) -> None:
    fill(tmp_path, {"a": [0, 2, 4, 6], "b": [1, 3, 5]})
    kept(tmp_path, keep_gb=4500 / 1e9)
    assert ages(tmp_path) == {"a": [0, 2], "b": [1, 3]}


def test_without_limits_all_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, {"a": [0, 99]})
    assert kept(tmp_path).n_deleted == 0
    assert ages(tmp_path) == {"a": [0, 99]}


def test_what_is_being_written_is_never_deleted_and_counts(tmp_path: Path) -> None:
    fill(tmp_path, {"a": [0, 1, 2], "b": [3]})
    written = tmp_path / SEGMENTS / "b" / name_of(NOW_S - 3 * DAY_S)
    kept(tmp_path, written, keep_gb=2500 / 1e9)
    assert ages(tmp_path) == {"a": [0], "b": [3]}
    kept(tmp_path, written, keep_days=0.5, keep_gb=1 / 1e9)
    assert ages(tmp_path) == {"b": [3]}


def test_nothing_that_is_no_segment_is_deleted(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    run = tmp_path / "run"
    name = name_of(0)
    fill(run, {"a": [50]})
    others = [
        run / "events.jsonl",
        run / name,
        run / "rows" / "000001.jsonl",
        run / SEGMENTS / name,
        run / SEGMENTS / "a" / "holiday.mp4",
        run / SEGMENTS / "a" / f"copy of {name}",
        run / SEGMENTS / "a" / "deeper" / name,
        outside / name,
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not to be lost")
    (run / SEGMENTS / "a" / name_of(1)).symlink_to(outside / name)
    (run / SEGMENTS / "a" / name_of(2)).mkdir()
    (run / SEGMENTS / "linked").symlink_to(outside)
    assert kept(run, keep_days=1, keep_gb=1 / 1e9).n_deleted == 1
    assert all(path.read_text() == "not to be lost" for path in others)
    assert (run / SEGMENTS / "a" / name_of(1)).is_symlink()


def test_a_segment_that_cannot_be_deleted_is_said_and_the_others_are(tmp_path: Path) -> None:
    """A read-only file system holds one camera's segments."""
    with small_disk(tmp_path / "small", megabytes=1) as disk:
        fill(disk, {"a": [8], "b": [9]})
        with read_only(disk / SEGMENTS / "b"):
            found = kept(disk, keep_days=1)
            assert ages(disk) == {"b": [9]}
            assert "cannot be deleted (Read-only file system)" in found.problem


def test_video_waits_while_the_disk_is_nearly_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", megabytes=8) as disk:
        found = kept(disk, min_free_gb=0.004)
        assert found.blocked() == ""
        (disk / "filler").write_bytes(b"x" * 5_000_000)
        found.check()
        assert found.blocked().startswith("only 0.0 GB are free on the disk")
        assert "live.min_free_gb is 0.004" in found.blocked()
        (disk / "filler").write_bytes(b"x" * 4_300_000)
        found.check()
        assert found.blocked(), "it needs a little more room to resume"
        (disk / "filler").unlink()
        found.check()
        assert found.blocked() == ""


def test_it_goes_on_looking_until_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PERIOD_S", 0.05)
    fill(tmp_path, {"a": [9]})
    found = Retention(tmp_path, LiveConfig(keep_days=5), lambda: (), now=lambda: NOW_S)
    found.start()
    assert found.n_deleted == 1
    fill(tmp_path, {"a": [8]})
    wait_until(lambda: found.n_deleted >= 2)
    found.close()
    assert found._thread is not None
    assert not found._thread.is_alive()


def test_a_folder_that_cannot_be_looked_at_is_a_state_and_no_end(tmp_path: Path) -> None:
    found = Retention(tmp_path / "gone", LiveConfig(), lambda: ())
    found.start()
    assert found.problem.startswith("segments cannot be looked at (")
    (tmp_path / "gone").mkdir()
    found._look()
    assert found.problem == ""
    found.close()
