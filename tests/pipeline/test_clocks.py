"""Times always grow and mean seconds, whatever the timestamps of a video do."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import cli
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.sources import clock, open_source
from tests.videos import picture, write_video

RATE = 25.0
EVEN = [i / RATE for i in range(40)]


def read(path: Path, max_gap_s: float = 10.0) -> tuple[list[float], list[str], float]:
    """Times, warnings and nominal rate of a video."""
    source = open_source(
        CameraConfig(source=str(path), name="cam"), SourcesConfig(max_gap_s=max_gap_s)
    )
    times_s = [frame.time_s for frame in source]
    return times_s, source.warnings, source.camera.fps


def repaired(stamps_s: Sequence[float | None], **pace: float) -> tuple[list[float], list[str]]:
    """Times and warnings that a clock of 25 frames/s makes of timestamps."""
    a_clock = clock.Clock(clock.Pace(1 / RATE, **pace), 10.0)
    return [a_clock.time_s(stamp_s) for stamp_s in stamps_s], a_clock.warnings()


@pytest.mark.parametrize("n_b_frames", [0, 1, 3])
def test_avi_which_has_no_presentation_times_is_even_also_with_b_frames(
    tmp_path: Path, n_b_frames: int
) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        options = {"bf": str(n_b_frames), "b-adapt": "0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="bgr24")))
        container.mux(stream.encode(None))
    times_s, warnings, _ = read(path)
    assert times_s == pytest.approx(EVEN, abs=1e-6)
    assert warnings == []


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_copy_with_times_of_decoding_for_times_of_presentation_is_even(
    tmp_path: Path, kind: str
) -> None:
    original = tmp_path / "original.mp4"
    with av.open(str(original), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "b-adapt": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="bgr24")))
        container.mux(stream.encode(None))
    path = tmp_path / f"copy.{kind}"
    with av.open(str(original)) as video, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(video.streams.video[0])
        packets = [packet for packet in video.demux(video=0) if packet.dts is not None]
        first_dts = packets[0].dts or 0
        for packet in packets:
            packet.stream = stream
            packet.dts = (packet.dts or 0) - first_dts
            packet.pts = packet.dts
            copy.mux(packet)
    assert read(original)[:2] == (pytest.approx(EVEN, abs=1e-4), [])
    times_s, warnings, _ = read(path)
    assert times_s == pytest.approx(EVEN, abs=2e-3)
    assert warnings == []


@pytest.mark.parametrize("n_first", [20, 5])
def test_a_clock_that_goes_back_goes_on_at_the_nominal_rate_with_a_warning(
    tmp_path: Path, n_first: int
) -> None:
    one = write_video(tmp_path / "one.ts", n_first, RATE).read_bytes()
    two = write_video(tmp_path / "two.ts", 20, RATE).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + two)
    times_s, warnings, _ = read(tmp_path / "both.ts")
    assert times_s == pytest.approx([i / RATE for i in range(n_first + 20)], abs=1e-4)
    back_s = (n_first - 1) / RATE
    assert warnings == [
        f"cam: the clock of the video goes back by {back_s:.2f} s at {n_first / RATE:.2f} s; its"
        " times go on there at 25 frames/s"
    ]


def test_many_restarts_are_one_warning_that_counts_them(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.ts", 10, RATE).read_bytes()
    (tmp_path / "all.ts").write_bytes(one * 4)
    times_s, warnings, _ = read(tmp_path / "all.ts")
    assert times_s == pytest.approx(EVEN, abs=1e-4)
    (warning,) = warnings
    assert "goes back 3 times, first by 0.36 s at 0.40 s" in warning


@pytest.mark.parametrize(
    ("kind", "n_before", "jump_s"),
    [("mkv", 1, 1e6), ("mkv", 20, 36_000), ("mkv", 20, 11), ("ts", 20, 36_000), ("ts", 1, 40_000)],
)
def test_a_clock_that_jumps_ahead_goes_on_at_the_nominal_rate_with_a_warning(
    tmp_path: Path, kind: str, n_before: int, jump_s: float
) -> None:
    stamps_s = [time_s + jump_s * (i >= n_before) for i, time_s in enumerate(EVEN)]
    times_s, warnings, fps = read(write_video(tmp_path / f"a.{kind}", 40, RATE, times_s=stamps_s))
    assert times_s == pytest.approx(EVEN, abs=2e-3)
    assert fps == pytest.approx(RATE, rel=0.01)
    (warning,) = warnings
    assert f"jumps ahead by {jump_s + 0.04:.2f} s at {n_before / RATE:.2f} s" in warning
    assert "set sources.max_gap_s" in warning


def test_an_mp4_whose_average_rate_a_jump_has_falsified_has_its_nominal_rate(
    tmp_path: Path,
) -> None:
    stamps_s = [time_s + 20_000 * (i >= 20) for i, time_s in enumerate(EVEN)]
    times_s, warnings, fps = read(write_video(tmp_path / "a.mp4", 40, RATE, times_s=stamps_s))
    assert times_s == pytest.approx(EVEN, abs=1e-3)
    assert fps == pytest.approx(RATE, rel=0.001)
    assert len(warnings) == 1


def test_a_pause_is_believed_up_to_the_setting(tmp_path: Path) -> None:
    stamps_s = [time_s + 600 * (i >= 20) for i, time_s in enumerate(EVEN)]
    path = write_video(tmp_path / "a.mp4", 40, RATE, times_s=stamps_s)
    times_s, warnings, _ = read(path, max_gap_s=601)
    assert times_s == pytest.approx(stamps_s, abs=1e-4)
    assert warnings == []


@pytest.mark.parametrize("interval_s", [5.0, 60.0, 3600.0])
def test_time_lapse_is_no_jump(tmp_path: Path, interval_s: float) -> None:
    stamps_s = [i * interval_s for i in range(8)]
    times_s, warnings, _ = read(write_video(tmp_path / "a.mkv", 8, RATE, times_s=stamps_s))
    assert (times_s, warnings) == (pytest.approx(stamps_s, abs=2e-3), [])


@pytest.mark.parametrize("wrong_s", [1e6, -300.0])
def test_one_wrong_timestamp_moves_no_other_frame(wrong_s: float) -> None:
    stamps_s = [*EVEN[:20], wrong_s, *EVEN[21:]]
    times_s, warnings = repaired(stamps_s)
    assert times_s == pytest.approx(EVEN)
    assert len(warnings) == 1


def test_a_jump_ahead_and_back_again_costs_no_time_and_is_told_twice() -> None:
    stamps_s = [*EVEN[:10], *(time_s + 500 for time_s in EVEN[10:30]), *EVEN[30:]]
    times_s, warnings = repaired(stamps_s)
    assert times_s == pytest.approx(EVEN)
    assert "jumps ahead by 500.04 s" in warnings[0]


def test_frames_without_a_timestamp_follow_at_the_nominal_rate() -> None:
    times_s, warnings = repaired([None, None, *EVEN[:3], None, EVEN[4]])
    assert times_s == pytest.approx(EVEN[:7])
    assert warnings == []


def test_stamps_that_stand_still_or_go_back_a_frame_are_told(tmp_path: Path) -> None:
    stamps_s = [*EVEN[:10], EVEN[8], EVEN[9], *EVEN[12:]]
    times_s, warnings = repaired(stamps_s)
    assert np.diff(times_s).min() > 0
    assert times_s[12:] == pytest.approx(EVEN[12:])
    (warning,) = warnings
    assert "no later than the frame before them (2 times, first by 0.04 s at 0.36 s)" in warning


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(("n_in_burst", "step_s"), [(10, 0.001), (2, 0.001), (5, 0.004)])
def test_frames_stamped_in_bursts_are_spaced_evenly_with_a_warning(
    tmp_path: Path, kind: str, n_in_burst: int, step_s: float
) -> None:
    stamps_s = [i // n_in_burst * n_in_burst / RATE + i % n_in_burst * step_s for i in range(60)]
    times_s, warnings, fps = read(write_video(tmp_path / f"a.{kind}", 60, RATE, times_s=stamps_s))
    assert times_s == pytest.approx([i / RATE for i in range(60)], abs=2e-3)
    assert fps == pytest.approx(RATE, rel=0.01)
    (warning,) = warnings
    assert f"in bursts of about {n_in_burst}, every {n_in_burst / RATE:.3g} s" in warning


def test_stamps_in_whole_seconds_are_bursts_too(tmp_path: Path) -> None:
    stamps_s = [float(i // 25) for i in range(150)]
    found = clock.pace(np.array(stamps_s), RATE)
    assert found == clock.Pace(pytest.approx(1 / RATE), pytest.approx(1.0), pytest.approx(25))
    times_s, _ = repaired(stamps_s, burst_period_s=1.0, burst_frames=25)
    assert times_s == pytest.approx([i / RATE for i in range(150)])


def test_even_frames_between_bursts_follow_a_camera_whose_rate_is_not_quite_as_told() -> None:
    true_s = [i * 0.041 for i in range(2000)]
    stamps_s = [true_s[i // 10 * 10] + i % 10 * 0.001 for i in range(2000)]
    times_s, _ = repaired(stamps_s, burst_period_s=0.4, burst_frames=10)
    assert np.abs(np.subtract(times_s, true_s)).max() < 0.1
    assert np.diff(times_s).min() > 0.02
    assert np.diff(times_s).max() < 0.1


def test_a_pause_between_bursts_is_kept() -> None:
    stamps_s = [i // 10 * 0.4 + i % 10 * 0.001 + (3 if i >= 200 else 0) for i in range(400)]
    times_s, _ = repaired(stamps_s, burst_period_s=0.4, burst_frames=10)
    assert times_s[199] == pytest.approx(199 * 0.04)
    assert times_s[200:] == pytest.approx([3 + i * 0.04 for i in range(200, 400)])


def test_bursts_without_a_period_are_told_and_left_alone(tmp_path: Path) -> None:
    starts_s = [0.0, 0.3, 1.2, 1.5, 2.9, 3.3]
    stamps_s = [start_s + i * 0.001 for start_s in starts_s for i in range(6)]
    times_s, warnings, _ = read(
        write_video(tmp_path / "a.mp4", len(stamps_s), RATE, times_s=stamps_s)
    )
    assert times_s == pytest.approx(stamps_s, abs=1e-4)
    (warning,) = warnings
    assert "irregular bursts" in warning


@pytest.mark.parametrize(
    "stamps_s",
    [
        EVEN,
        np.cumsum(np.tile([1 / 240], 100)).tolist(),  # a fast camera
        np.cumsum(np.tile([0.033, 0.05], 50)).tolist(),  # film shown at 24 frames/s
        np.cumsum(np.tile([0.1, 0.1, 2.0], 30)).tolist(),  # three pictures each time
        np.cumsum(np.repeat([0.04, 1.0], 50)).tolist(),  # day and night
        np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, 200)).tolist(),
    ],
)
def test_other_uneven_stamps_are_no_bursts_and_keep_the_announced_rate(
    stamps_s: list[float],
) -> None:
    assert clock.pace(np.array(stamps_s), 12.5) == clock.Pace(1 / 12.5)
    assert repaired(stamps_s)[1] == []


@pytest.mark.parametrize("jump_s", [-0.76, 36_000.0, 1e6])
def test_a_run_keeps_its_people_over_a_jump_and_says_so_on_the_screen_and_in_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], jump_s: float
) -> None:
    if jump_s < 0:
        part = write_video(tmp_path / "part.ts", 20, RATE).read_bytes()
        path = tmp_path / "cam.ts"
        path.write_bytes(part * 2)
    else:
        stamps_s = [time_s + jump_s * (i >= 20) for i, time_s in enumerate(EVEN)]
        path = write_video(tmp_path / "cam.mkv", 40, RATE, times_s=stamps_s)
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{frame},-1,20,16,12,30,1\n" for frame in range(1, 41)))
    results = tmp_path / "run"
    given = ["--videos", str(path), "--quiet", "--output", str(results)]
    settings = ["--set", f"detector.detections={boxes}", "--set", "reid.weights=none"]
    assert cli.main([*given, *settings]) == 0
    with (results / "tracks.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {row["track_id"] for row in rows} == {"1"}
    assert [float(row["time_s"]) for row in rows] == pytest.approx(EVEN, abs=2e-3)
    with av.open(str(results / "cam.mp4")) as written:
        assert (written.duration or 0) / av.time_base == pytest.approx(1.6, abs=0.05)
    (warning,) = [
        line
        for line in json.loads((results / "run.json").read_text())["warnings"]
        if "clock of the video" in line
    ]
    assert f"by {abs(jump_s + 0.04 * (jump_s > 0)):.2f} s at 0.80 s" in warning
    assert f"warning: {warning}\n" in capsys.readouterr().err
