"""Live cameras that are watched over RTSP, and fail."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.rtsp_server import RtspServer
from pipeline.config import SourcesConfig
from pipeline.sources import open_source
from pipeline.sources.live.cameras import CLOSE_S, LiveCameras
from tests.pipeline.sources.live.watching import (
    QUICK,
    Watched,
    Watching,
    camera,
    has_event,
    has_frames,
)
from tests.videos import write_video

FPS = 25
LOOP_S = 2.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("rtsp") / "clip.mp4", 50, FPS)


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    with RtspServer(clip, report_s=0.5) as started:
        yield started


def is_growing(times_s: list[float]) -> bool:
    return all(before < after for before, after in itertools.pairwise(times_s))


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def max_gap_s(times_s: list[float]) -> float:
    return float(np.diff(times_s).max())


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_is_watched_over_rtsp(server: RtspServer, transport: str) -> None:
    with Watching(camera(server.url, transport=transport)) as watching:
        seen = watching.until(has_frames("cam", 40), 10)
        (health,) = watching.cameras.health()
        known = watching.cameras.cameras["cam"]
    indices = [frame.index for frame in seen.frames["cam"]]
    assert indices[0] <= 10  # the first ones come at once
    assert np.diff(indices)[10:].max() <= 3
    assert np.median(seen.ages_s["cam"]) < 0.15
    assert (known.width, known.height, known.n_frames) == (64, 48, -1)
    assert (health.state, health.reason, health.n_reconnects) == ("live", "", 0)
    assert health.fps == pytest.approx(FPS, rel=0.3)
    assert seen.kinds("cam")[:1] == ["clock"] or seen.kinds("cam")[:1] == ["connected"]


def test_a_camera_that_is_restarted_is_back_within_three_seconds(server: RtspServer) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 20), 10)
        n_before = len(watching.seen.frames["cam"])
        server.stop()
        stopped_s = time.time()
        watching.until(has_event("cam", "lost"), 8)
        (health,) = watching.cameras.health()
        assert health.state == "lost"
        assert "refused" in health.reason
        watching.for_s(1.0)
        n_lost = len(watching.seen.frames["cam"])
        server.start()
        started_s = time.time()
        seen = watching.until(has_event("cam", "back"), 6)
        watching.for_s(0.5)
        (health,) = watching.cameras.health()
    assert seen.event_s("cam", "stalled") - stopped_s == pytest.approx(2.0, abs=0.5)
    assert seen.event_s("cam", "lost") - stopped_s == pytest.approx(4.0, abs=0.5)
    assert seen.event_s("cam", "back") - started_s < 3.0
    assert health.n_reconnects == 1
    assert n_lost - n_before <= 3  # what was on its way; nothing stands in for what is missing
    assert max_gap_s(seen.times_s("cam")) > 4.5
    indices = [frame.index for frame in seen.frames["cam"]]
    assert np.diff(indices).max() < 15
    assert is_growing(seen.times_s("cam"))


def test_a_connection_that_is_held_open_in_silence_is_given_up(server: RtspServer) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 20), 10)
        server.silent = True
        watching.until(has_event("cam", "lost"), 8)
        (health,) = watching.cameras.health()
        assert health.reason.endswith("no packet for 2 s")
        server.silent = False
        since_s = time.time()
        seen = watching.until(has_event("cam", "back"), 6)
    assert seen.event_s("cam", "back") - since_s < 3.0
    assert is_growing(seen.times_s("cam"))


def test_a_stream_that_is_cut_in_the_middle_of_a_picture_comes_back(server: RtspServer) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 20), 10)
        server.cut()
        n_before = len(watching.seen.frames["cam"])
        seen = watching.until(has_frames("cam", n_before + 30), 6)
        (health,) = watching.cameras.health()
    assert health.n_reconnects == 1
    assert max_gap_s(seen.times_s("cam")) < 3.0


def test_a_dead_a_silent_and_a_refusing_camera_do_not_delay_another(
    server: RtspServer, clip: Path
) -> None:
    closed = RtspServer(clip)
    closed.start()
    closed.stop()
    with RtspServer(clip) as silent, RtspServer(clip, user="me", password="secret") as refusing:
        silent.silent = True
        refusing.refuses = True
        cameras = {"dead": closed, "silent": silent, "refused": refusing, "good": server}
        configs = [camera(each.url, name) for name, each in cameras.items()]
        with Watching(*configs) as watching:
            seen = watching.until(has_frames("good", 75), 10)
            health = {each.camera: each for each in watching.cameras.health()}
            # the others come when they can
            closed.start()
            silent.silent = False
            refusing.refuses = False
            for name in ("dead", "silent", "refused"):
                watching.until(has_event(name, "connected"), 8)
            text = repr([watching.cameras.health(), seen.events, watching.cameras.cameras])
    closed.stop()
    assert max_gap_s(seen.times_s("good")[10:]) < 0.3
    assert max(seen.ages_s["good"][10:]) < 0.5
    assert "refused" in health["dead"].reason
    assert "401" in health["refused"].reason
    assert health["silent"].state == "connecting"
    assert "secret" not in text


def test_a_frozen_camera_is_found_gives_no_frames_and_comes_back(server: RtspServer) -> None:
    live = QUICK.model_copy(update={"frozen_after_s": 1.5})
    with Watching(camera(server.url), live=live) as watching:
        watching.until(has_frames("cam", 20), 10)
        server.frozen = True
        since_s = time.time()
        seen = watching.until(has_event("cam", "frozen"), 6)
        n_frozen = len(seen.frames["cam"])
        watching.for_s(1.0)
        (health,) = watching.cameras.health()
        assert health.state == "frozen"
        assert health.n_dropped["frozen"] > 15
        assert len(seen.frames["cam"]) == n_frozen
        server.frozen = False
        until_s = time.time()
        watching.until(has_event("cam", "back"), 4)
        watching.until(has_frames("cam", n_frozen + 10), 4)
    assert 1.3 < seen.event_s("cam", "frozen") - since_s < 2.2
    assert seen.event_s("cam", "back") - until_s < 1.5
    assert max_gap_s(seen.times_s("cam")) > 1.0


def test_pictures_of_another_size_are_scaled_to_the_first(
    server: RtspServer, tmp_path: Path
) -> None:
    other = write_video(tmp_path / "other.mp4", 50, FPS, (128, 96))
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 10), 10)
        server.show(other)
        seen = watching.until(has_event("cam", "resized"), 5)
        n_before = len(seen.frames["cam"])
        watching.until(has_frames("cam", n_before + 10), 5)
    assert {frame.image.shape for frame in seen.frames["cam"]} == {(48, 64, 3)}
    (event,) = [event for event in seen.events if event.kind == "resized"]
    assert event.reason == "pictures are 128x96 now; they are scaled to the first size, 64x48"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_garbled_packets_are_counted_and_do_not_stop_a_camera(
    tmp_path: Path, transport: str
) -> None:
    path = write_video(tmp_path / "a.mp4", 50, FPS, (320, 240))
    with RtspServer(path) as server, Watching(camera(server.url, transport=transport)) as watching:
        watching.until(has_frames("cam", 10), 10)
        server.garbled_share = 0.4
        watching.for_s(3.0)
        server.garbled_share = 0.0
        n_before = len(watching.seen.frames["cam"])
        seen = watching.until(has_frames("cam", n_before + 25), 6)
        (health,) = watching.cameras.health()
    assert health.n_dropped["damaged"] > 0
    assert is_growing(seen.times_s("cam"))


def test_a_connection_that_can_not_be_decoded_is_made_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 50, FPS, (320, 240))
    live = QUICK.model_copy(update={"open_timeout_s": 1.0})
    with RtspServer(path) as server, Watching(camera(server.url), live=live) as watching:
        watching.until(has_frames("cam", 10), 10)
        n_connections = server.n_connections
        server.garbled_share = 1.0
        watching.until(lambda _: server.n_connections > n_connections, 10)
        server.garbled_share = 0.0
        n_before = len(watching.seen.frames["cam"])
        watching.until(has_frames("cam", n_before + 25), 10)


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
    assert np.percentile(ages_s, 90) < 0.3


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
    assert len(found_s) > 20
    assert np.abs(found_s).max() < 0.05
    assert kinds == {"sender" if clock == "auto" else "arrival"}
    if clock == "auto":
        np.testing.assert_allclose(offsets_s, [0.6, -1.1], atol=0.05)


@pytest.mark.parametrize("clock", ["auto", "arrival"])
@pytest.mark.parametrize("fps", [5, 25])
def test_times_are_those_when_pictures_were_made_at_any_rate(
    fps: int, clock: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", 50, fps)
    right = [frame.image[-1, -1, 0] for frame in open_source(camera(path), SourcesConfig())]
    live = QUICK.model_copy(update={"clock": clock})
    starts_at_s = time.time() + 0.2
    with (
        RtspServer(path, starts_at_s=starts_at_s, loops=False) as server,
        Watching(camera(server.url), live=live) as watching,
    ):
        seen = watching.until(has_frames("cam", 20), 10)
    made_s = [right.index(frame.image[-1, -1, 0]) / fps for frame in seen.frames["cam"]]
    late_s = np.array(seen.times_s("cam")) - starts_at_s - np.array(made_s)
    assert np.abs(late_s[8:]).max() < 0.05


def test_a_camera_that_encodes_slowly_agrees_with_a_quick_one_by_its_own_clock(clip: Path) -> None:
    found_s = {}
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
    assert np.median(found_s["arrival"]) == pytest.approx(0.6, abs=0.05)
    assert found_s["auto"].max() < 0.05


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
    assert max(seen.ages_s["cam"]) < 1.0


def test_reloading_adds_removes_and_changes_cameras_and_leaves_the_rest_alone(clip: Path) -> None:
    servers = {name: RtspServer(clip) for name in ("kept", "removed", "changed", "added", "new")}
    for each in servers.values():
        each.start()
    before = [camera(servers[name].url, name) for name in ("kept", "removed", "changed")]
    after = [
        camera(servers["kept"].url, "kept"),
        camera(servers["new"].url, "changed"),
        camera(servers["added"].url, "added"),
    ]
    with Watching(*before) as watching:
        for name in ("kept", "removed", "changed"):
            watching.until(has_frames(name, 10), 10)
        n_changed = len(watching.seen.frames["changed"])
        watching.cameras.reload(after)
        n_removed = len(watching.seen.frames["removed"])
        watching.until(has_frames("added", 10), 10)
        watching.until(has_frames("changed", n_changed + 10), 10)
        seen = watching.seen
        assert len(seen.frames["removed"]) == n_removed
        assert {health.camera for health in watching.cameras.health()} == {
            "kept",
            "changed",
            "added",
        }
        assert set(watching.cameras.cameras) == {"kept", "removed", "changed", "added"}
        watching.cameras.reload(before)
        watching.until(has_frames("removed", n_removed + 10), 10)
        connected = {name: servers[name].n_connections for name in servers}
    for each in servers.values():
        each.stop()
    assert connected == {"kept": 1, "removed": 2, "changed": 2, "added": 1, "new": 1}
    assert max_gap_s(seen.times_s("kept")[10:]) < 0.3
    for name in ("removed", "changed"):
        assert is_growing(seen.times_s(name))
        indices = [frame.index for frame in seen.frames[name]]
        assert indices == sorted(set(indices))


def test_closing_takes_little_time_when_a_camera_hangs_in_a_read(server: RtspServer) -> None:
    live = QUICK.model_copy(update={"open_timeout_s": 4.0})
    cameras = LiveCameras([camera(server.url, "hanging")], live)
    rounds = cameras.rounds(threading.Event())
    while not next(rounds):
        pass
    server.silent = True
    time.sleep(0.2)
    began_s = time.monotonic()
    cameras.close()
    assert time.monotonic() - began_s < CLOSE_S + 0.5
    while "camera hanging" in names_of_threads():
        assert time.monotonic() - began_s < 4.0 + 1.0
        time.sleep(0.05)
    assert next(rounds, None) == []  # nobody is left, and nobody waits
    rounds.close()


def test_connections_that_come_and_go_leave_no_threads_and_no_files_open(
    server: RtspServer,
) -> None:
    def n_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 10), 10)
        n_open_before = n_open()
        n_threads_before = threading.active_count()
        for n in range(2, 7):
            server.cut()
            watching.until(lambda _, n=n: server.n_connections == n, 5)
            n_seen = len(watching.seen.frames["cam"])
            watching.until(has_frames("cam", n_seen + 5), 5)
        assert n_open() <= n_open_before + 1
        assert threading.active_count() <= n_threads_before + 1
    assert "camera cam" not in names_of_threads()
