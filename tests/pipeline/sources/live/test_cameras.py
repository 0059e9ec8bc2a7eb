"""Live cameras that are watched over RTSP, and fail."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.rtsp_server import RtspServer
from pipeline.sources.live.cameras import CLOSE_S, LiveCameras
from tests.lateness import Lateness
from tests.pipeline.sources.live.watching import (
    FPS,
    QUICK,
    Watching,
    camera,
    has_event,
    has_frames,
    is_growing,
)
from tests.ports import reserved_port
from tests.videos import write_video
from tests.waiting import wait_until


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
    assert indices[0] <= 10 + watching.slack  # the first ones come at once
    assert np.diff(indices)[10:].max() <= 3 + watching.slack
    assert np.median(seen.ages_s["cam"]) < 0.15 + watching.slack_s
    assert (known.width, known.height, known.n_frames) == (64, 48, -1)
    assert (health.state, health.reason, health.n_reconnects) == ("live", "", 0)
    assert health.fps == pytest.approx(FPS, rel=0.3 + watching.slack_s)
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
    most_s = 0.5 + watching.slack_s
    assert seen.event_s("cam", "stalled") - stopped_s == pytest.approx(2.0, abs=most_s)
    assert seen.event_s("cam", "lost") - stopped_s == pytest.approx(4.0, abs=most_s)
    assert seen.event_s("cam", "back") - started_s < 3.0 + watching.slack_s
    assert health.n_reconnects == 1
    # what was on its way; nothing stands in for what is missing
    assert n_lost - n_before <= 3 + watching.slack
    assert max_gap_s(seen.times_s("cam")) > 4.5
    indices = [frame.index for frame in seen.frames["cam"]]
    assert np.diff(indices).max() < 15 + watching.slack
    assert is_growing(seen.times_s("cam"))


def test_a_connection_that_is_held_open_in_silence_is_given_up(server: RtspServer) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 20), 10)
        server.silent = True
        watching.until(lambda _: server.n_connections >= 2, QUICK.open_timeout_s + 1.5)
        watching.until(has_event("cam", "lost"), 8)
        (health,) = watching.cameras.health()
        assert health.reason.endswith("no packet for 2 s")
        server.silent = False
        since_s = time.time()
        seen = watching.until(has_event("cam", "back"), 6)
    assert seen.event_s("cam", "back") - since_s < 3.0 + watching.slack_s
    assert is_growing(seen.times_s("cam"))


def test_a_stream_that_is_cut_in_the_middle_of_a_picture_comes_back(server: RtspServer) -> None:
    with Watching(camera(server.url)) as watching:
        watching.until(has_frames("cam", 20), 10)
        server.cut()
        n_before = len(watching.seen.frames["cam"])
        seen = watching.until(has_frames("cam", n_before + 30), 6)
        (health,) = watching.cameras.health()
    assert health.n_reconnects == 1
    assert max_gap_s(seen.times_s("cam")) < 3.0 + watching.slack_s


def test_a_dead_a_silent_and_a_refusing_camera_do_not_delay_another(
    server: RtspServer, clip: Path
) -> None:
    with (
        reserved_port() as port,
        RtspServer(clip) as silent,
        RtspServer(clip, user="me", password="secret") as refusing,
    ):
        closed = RtspServer(clip, port=port)
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
    assert max_gap_s(seen.times_s("good")[10:]) < 0.3 + watching.slack_s
    assert max(seen.ages_s["good"][10:]) < 0.5 + watching.slack_s
    assert "refused" in health["dead"].reason
    assert "401" in health["refused"].reason
    assert health["silent"].state in ("connecting", "lost")
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
        assert health.n_dropped["frozen"] > 15 - watching.slack
        assert len(seen.frames["cam"]) == n_frozen
        server.frozen = False
        until_s = time.time()
        watching.until(has_event("cam", "back"), 4)
        watching.until(has_frames("cam", n_frozen + 10), 4)
    assert 1.3 < seen.event_s("cam", "frozen") - since_s < 2.2 + watching.slack_s
    assert seen.event_s("cam", "back") - until_s < 1.5 + watching.slack_s
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


@pytest.mark.slow
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
    assert max_gap_s(seen.times_s("kept")[10:]) < 0.3 + watching.slack_s
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
    with Lateness() as machine:
        began_s = time.monotonic()
        cameras.close()
        took_s = time.monotonic() - began_s
    assert took_s < CLOSE_S + 0.5 + machine.slack_s
    wait_until(lambda: "camera hanging" not in names_of_threads())
    assert next(rounds, None) == []  # nobody is left, and nobody waits
    rounds.close()


@pytest.mark.slow
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
        watching.until(lambda _: n_open() <= n_open_before + 1, 5)
        watching.until(lambda _: threading.active_count() <= n_threads_before + 1, 5)
    wait_until(lambda: "camera cam" not in names_of_threads())


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_stays_where_it_is_over_many_pictures_and_connections(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 50, FPS, (640, 480))
    with RtspServer(path, speed=4) as first, RtspServer(path, speed=4) as second:
        cameras = [camera(first.url, "a"), camera(second.url, "b")]
        used: list[int] = []
        with Watching(*cameras) as watching:
            n_pictures = 0
            while len(used) < 15 or n_pictures < 3000:
                watching.for_s(2.0)
                watching.seen.frames.clear()
                used.append(resident_bytes())
                first.cut()
                n_pictures = sum(health.n_frames for health in watching.cameras.health())
    assert max(used[8:]) - max(used[3:8]) < 8e6
