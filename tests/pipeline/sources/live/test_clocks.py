"""Times of live cameras over RTSP, whatever their clocks do."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.rtsp_server import RtspServer
from pipeline.config import SourcesConfig
from pipeline.sources import open_source
from tests.pipeline.sources.live.watching import (
    LOOP_S,
    QUICK,
    Watched,
    Watching,
    camera,
    has_event,
    has_frames,
    is_growing,
)
from tests.videos import write_video


@pytest.mark.parametrize("fault", ["restart", "jump", "jump back", "freeze"])
def test_times_are_right_whatever_the_stamps_do(server: RtspServer, fault: str) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 30), 10)
        if fault == "restart":
            server.restart_stamps()
        elif fault == "freeze":
            server.freeze_stamps()
        else:
            server.jump_stamps(3600 if fault == "jump" else -3600)
        seen = watching.until(has_frames("cam", 80), 10)
    ages_s = np.array(seen.ages_s["cam"][10:])
    assert is_growing(seen.times_s("cam"))
    assert ages_s.min() > -0.05
    assert np.percentile(ages_s, 90) < 0.3 + watching.slack_s


def times_by_picture(seen: Watched, name: str) -> dict[int, list[float]]:
    """When each picture of the clip was seen, by its brightness."""
    times_s: dict[int, list[float]] = {}
    for frame in seen.frames[name]:
        times_s.setdefault(int(frame.image[-1, -1, 0]), []).append(frame.time_s)
    return times_s


def differences_s(seen: Watched, a: str, b: str, from_s: float) -> np.ndarray:
    """Differences of the times that two cameras tell of the same pictures."""
    of_a, of_b = times_by_picture(seen, a), times_by_picture(seen, b)
    pairs = [
        (time_a, min(of_b[number], key=lambda time_b: abs(time_a - time_b)))
        for number in of_a.keys() & of_b.keys()
        for time_a in of_a[number]
        if time_a > from_s
    ]
    found_s = np.array([time_a - time_b for time_a, time_b in pairs])
    return found_s[np.abs(found_s) < LOOP_S / 2]  # the other one did not show it in this loop


@pytest.mark.parametrize("clock", ["auto", "arrival"])
def test_cameras_whose_clocks_differ_by_1_7_seconds_agree_to_50_ms(clip: Path, clock: str) -> None:
    live = QUICK.model_copy(update={"clock": clock})
    starts_at_s = time.time() + 0.3
    with (
        RtspServer(clip, starts_at_s=starts_at_s, clock_offset_s=0.6) as a,
        RtspServer(clip, starts_at_s=starts_at_s, clock_offset_s=-1.1) as b,
        Watching(camera(a.url, "a"), camera(b.url, "b"), live=live) as watching,
    ):
        watching.until(has_frames("a", 20), 10)
        reported_s = time.time() + 1.0
        seen = watching.for_s(4.0)
        kinds = {health.clock for health in watching.cameras.health()}
        offsets_s = [health.clock_offset_s for health in watching.cameras.health()]
    found_s = differences_s(seen, "a", "b", reported_s)
    assert len(found_s) > max(20 - watching.slack, 0)
    assert np.abs(found_s).max() < 0.05 + watching.slack_s
    assert kinds == {"sender" if clock == "auto" else "arrival"}
    if clock == "auto":
        np.testing.assert_allclose(offsets_s, [0.6, -1.1], atol=0.05 + watching.slack_s)


@pytest.mark.parametrize("clock", ["auto", "arrival"])
@pytest.mark.parametrize("fps", [5, 25])
def test_times_are_those_when_pictures_were_made_at_any_rate(
    fps: int, clock: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", 65, fps)
    right = [frame.image[-1, -1, 0] for frame in open_source(camera(path), SourcesConfig())]
    live = QUICK.model_copy(update={"clock": clock})
    starts_at_s = time.time() + 0.5
    with (
        RtspServer(path, starts_at_s=starts_at_s, loops=False) as server,
        Watching(camera(server.url), live=live) as watching,
    ):
        seen = watching.until(has_frames("cam", 20), 10)
    made_s = [right.index(frame.image[-1, -1, 0]) / fps for frame in seen.frames["cam"]]
    late_s = np.array(seen.times_s("cam")) - starts_at_s - np.array(made_s)
    assert np.abs(late_s[8:]).max() < 0.05 + watching.slack_s


@pytest.mark.slow
def test_a_camera_that_encodes_slowly_agrees_with_a_quick_one_by_its_own_clock(clip: Path) -> None:
    found_s = {}
    slack_s = 0.0
    for clock in ("arrival", "auto"):
        live = QUICK.model_copy(update={"clock": clock})
        starts_at_s = time.time() + 0.3
        with (
            RtspServer(clip, starts_at_s=starts_at_s) as quick,
            RtspServer(clip, starts_at_s=starts_at_s, clock_offset_s=1.7) as slow,
            Watching(camera(quick.url, "quick"), camera(slow.url, "slow"), live=live) as watching,
        ):
            slow.encodes_s = 0.6
            watching.until(has_frames("slow", 20), 10)
            seen = watching.for_s(3.0)
        from_s = seen.times_s("slow")[0] + 2.0
        found_s[clock] = np.abs(differences_s(seen, "quick", "slow", from_s))
        slack_s = max(slack_s, watching.slack_s)
    assert np.median(found_s["arrival"]) == pytest.approx(0.6, abs=0.05 + slack_s)
    assert found_s["auto"].max() < 0.05 + slack_s


def test_times_grow_when_a_camera_begins_to_tell_its_clock(clip: Path) -> None:
    with RtspServer(clip, report_s=0.0) as server, Watching(camera(server.url)) as watching:
        server.encodes_s = 0.6
        watching.until(has_frames("cam", 20), 10)
        assert watching.cameras.health()[0].clock == "arrival"
        server.report_s = 0.5
        seen = watching.until(has_event("cam", "clock"), 5)
        watching.for_s(1.0)
        assert watching.cameras.health()[0].clock == "sender"
    assert is_growing(seen.times_s("cam"))
    (event,) = [event for event in seen.events if event.kind == "clock"]
    assert event.reason == "times are now by the camera's own clock"


def test_a_clock_that_was_never_set_is_not_believed(clip: Path) -> None:
    with (
        RtspServer(clip, clock_offset_s=-1.0e9, report_s=0.3) as server,
        Watching(camera(server.url)) as watching,
    ):
        watching.until(has_frames("cam", 20), 10)
        seen = watching.until(has_event("cam", "clock"), 5)
        assert watching.cameras.health()[0].clock == "arrival"
    assert "is not believed" in next(e.reason for e in seen.events if e.kind == "clock")
    assert max(seen.ages_s["cam"]) < 1.0 + watching.slack_s
