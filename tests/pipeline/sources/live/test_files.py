"""Files that are played as if they were live."""

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import yuv
from pipeline.config import SourcesConfig
from pipeline.sources import open_source
from pipeline.sources.live.cameras import LiveCameras
from tests.pipeline.sources.live.watching import QUICK, Watching, camera, has_frames
from tests.videos import picture, write_video
from tests.waiting import wait_until

FPS = 25


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("live") / "clip.mp4", 30, FPS)


def test_a_file_is_played_at_its_own_pace_and_ends(clip: Path) -> None:
    with Watching(camera(clip, live=True)) as watching:
        began_s = time.time()
        seen = watching.for_s(10)
        assert time.time() - began_s == pytest.approx(30 / FPS, abs=0.3 + watching.slack_s)
    times_s = np.array(seen.times_s("cam"))
    assert len(times_s) > 25 - watching.slack
    indices = [frame.index for frame in seen.frames["cam"]]
    starts_s = times_s - np.array(indices) / FPS
    assert np.ptp(starts_s) < 1e-3
    assert starts_s[0] == pytest.approx(began_s, abs=0.1 + watching.slack_s)
    assert seen.kinds("cam") == ["connected", "ended"]


def test_frames_are_those_that_a_reader_of_files_sees(clip: Path) -> None:
    right = list(open_source(camera(clip), SourcesConfig()))
    with Watching(camera(clip, live=True)) as watching:
        seen = watching.until(has_frames("cam", 5), 5)
    for frame in seen.frames["cam"]:
        np.testing.assert_array_equal(frame.image, right[frame.index].image)
        assert frame.picture is not None
        np.testing.assert_array_equal(yuv.to_bgr(frame.picture), frame.image)


def test_files_start_together_but_for_their_start_s(clip: Path) -> None:
    cameras = [camera(clip, "a", live=True, start_s=100.0), camera(clip, "b", start_s=100.5)]
    with Watching(*cameras) as watching:
        seen = watching.for_s(10)
    starts_s = {}
    for name in ("a", "b"):
        first = seen.frames[name][0]
        starts_s[name] = first.time_s - first.index / FPS
    assert starts_s["b"] - starts_s["a"] == pytest.approx(0.5, abs=1e-3)


def test_pictures_with_b_frames_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    with av.open(str(path), "w") as container:
        options = {"bf": "3", "b_strategy": "0", "g": "20"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(picture(i), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Watching(camera(path, live=True)) as watching:
        seen = watching.for_s(10)
    brightness = [frame.image[-1, -1, 0] for frame in seen.frames["cam"]]
    assert (np.diff(np.array(brightness, int)) > 0).all()
    steps_s = np.diff(seen.times_s("cam")) / np.diff([f.index for f in seen.frames["cam"]])
    np.testing.assert_allclose(steps_s, 1 / FPS, atol=2e-3)


def test_a_missing_file_is_tried_again_and_comes_when_it_is_there(
    tmp_path: Path, clip: Path
) -> None:
    path = tmp_path / "later.mp4"
    with Watching(camera(path, live=True)) as watching:
        watching.until(lambda _: bool(watching.cameras.health()[0].reason), 5)
        (health,) = watching.cameras.health()
        assert (health.state, health.reason) == ("connecting", "No such file or directory")
        whole = tmp_path / "whole.mp4"
        whole.write_bytes(clip.read_bytes())
        whole.rename(path)
        watching.until(has_frames("cam", 2), 5)


def test_a_damaged_file_ends_and_does_not_begin_again(tmp_path: Path, clip: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 50, FPS, (128, 96))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with Watching(camera(path, live=True)) as watching:
        seen = watching.for_s(10)
    assert 15 - watching.slack < len(seen.frames["cam"]) < 45
    assert seen.kinds("cam")[-1] == "ended"


def test_looks_are_as_many_a_second_as_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 75, FPS)
    with Watching(camera(path, live=True)) as watching:
        watching.cameras.tell("cam", 5)
        seen = watching.for_s(10)
        (health,) = watching.cameras.health()
    np.testing.assert_allclose(np.diff(seen.times_s("cam")), 0.2, atol=0.05 + watching.slack_s)
    assert health.n_frames == 75
    assert health.n_dropped["rate"] == pytest.approx(60, abs=2 + watching.slack)


def test_a_higher_rate_counts_at_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100, FPS)
    with Watching(camera(path, live=True)) as watching:
        watching.cameras.tell("cam", 0.5)
        watching.until(has_frames("cam", 1), 5)
        watching.cameras.tell("cam", 10)
        seen = watching.until(has_frames("cam", 6), 5)
    assert seen.times_s("cam")[5] - seen.times_s("cam")[0] < 1.0 + watching.slack_s


def test_a_consumer_that_is_too_slow_sees_the_newest_pictures_of_all_cameras(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "a.mp4", 100, FPS)
    names = ["a", "b", "c", "d"]
    with Watching(*[camera(path, name) for name in names], busy_s=0.2) as watching:
        seen = watching.for_s(10)
        health = watching.cameras.health()
    shares = [len(seen.frames[name]) for name in names]
    assert max(shares) - min(shares) <= 2 + watching.slack
    assert max(shares) == pytest.approx(4.0 / 0.2, abs=4 + watching.slack)
    assert max(max(ages_s[1:]) for ages_s in seen.ages_s.values()) < 0.5 + watching.slack_s
    for each, share in zip(health, shares, strict=True):
        assert each.n_dropped["busy"] == pytest.approx(100 - share, abs=2)


def copied(
    path: Path, source: Path, n_times: int, fps: float, change: Callable[[int, bytes], bytes]
) -> Path:
    """The packets of a file again and again, at another rate, and each of them changed."""
    with av.open(str(source)) as container, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        tick = Fraction(1, 90_000)
        for n in range(n_times * len(packets)):
            original = packets[n % len(packets)]
            packet = av.Packet(change(n, bytes(original)))
            packet.stream = stream
            packet.is_keyframe = original.is_keyframe
            packet.time_base = tick
            packet.pts = packet.dts = round(n / fps / tick)
            made.mux(packet)
    return path


def write_noise(path: Path, n: int) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.codec_context.gop_size = 10
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for _ in range(n):
            noise = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def test_a_picture_that_is_damaged_is_no_data(tmp_path: Path) -> None:
    def spoil(n: int, data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes(200) + data[middle + 200 :] if n == 9 else data

    once = write_noise(tmp_path / "once.mkv", 20)
    path = copied(tmp_path / "spoilt.mkv", once, 1, FPS, spoil)
    for _ in range(10):
        with Watching(camera(path, live=True)) as watching:
            watching.for_s(10)
            (health,) = watching.cameras.health()
        if health.n_frames + health.n_dropped.get("damaged", 0) == 20:
            break  # a busy machine passes over some
    assert health.n_dropped["damaged"] == 1
    assert health.n_frames == 19


def test_pictures_stay_fresh_where_decoding_is_slower_than_the_camera(tmp_path: Path) -> None:
    once = write_noise(tmp_path / "once.mkv", 20)
    path = copied(tmp_path / "fast.mkv", once, 150, 1000, lambda _, data: data)
    with Watching(camera(path, live=True)) as watching:
        began_s = time.monotonic()
        seen = watching.for_s(20)
        assert time.monotonic() - began_s < 3 + 1.5 + watching.slack_s
        (health,) = watching.cameras.health()
    assert health.n_dropped["busy"] > 500
    assert np.percentile(seen.ages_s["cam"], 95) < 0.5 + watching.slack_s
    assert max(seen.ages_s["cam"]) < 0.8 + watching.slack_s


def test_an_empty_round_comes_at_least_every_quarter_of_a_second(tmp_path: Path) -> None:
    with Watching(camera(tmp_path / "nowhere.mp4", live=True)) as watching:
        seen = watching.for_s(1.5)
    assert seen.frames == {}
    assert max(np.diff(seen.rounds_s)) < 0.4 + watching.slack_s


def test_the_numbers_of_a_resumed_run_go_on(clip: Path) -> None:
    cameras = LiveCameras([camera(clip, live=True)], QUICK, next_indices={"cam": 5000})
    frames = [frame for frames in cameras.rounds(threading.Event()) for frame in frames]
    cameras.close()
    assert 5000 <= frames[0].index < 5030


def test_stop_ends_the_rounds_and_close_ends_the_threads(clip: Path) -> None:
    cameras = LiveCameras([camera(clip, live=True)], QUICK)
    stop = threading.Event()
    rounds = cameras.rounds(stop)
    next(rounds)
    stop.set()
    assert len(list(rounds)) <= 1
    cameras.close()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "camera cam"])
