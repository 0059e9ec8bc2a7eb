"""Which frames the detector looks at, and what becomes of the others."""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import cli
from pipeline.config import CameraConfig, DetectorConfig, SourcesConfig
from pipeline.detect.detector import rate
from pipeline.sources import open_source
from pipeline.sources.looks import RATES_PER_S, LookRate, Looks
from tests.videos import picture, write_video


def looked_at(times_s: list[float], per_s: float) -> list[float]:
    looks = Looks(per_s)
    return [time_s for time_s in times_s if looks.is_due(time_s)]


@pytest.mark.parametrize("fps", [5, 12.5, 24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("per_s", [1, 2, 4, 5])
def test_so_many_frames_a_second_are_looked_at_evenly(fps: float, per_s: float) -> None:
    times_s = looked_at([round(i / fps, 3) for i in range(round(20 * fps))], per_s)
    assert len(times_s) == pytest.approx(20 * min(per_s, fps), abs=1)
    assert max(b - a for a, b in pairwise(times_s)) <= 1 / per_s + 1 / fps + 0.002


def test_all_frames_are_looked_at_where_they_are_fewer_and_by_a_rate_of_all() -> None:
    slow = [float(i) for i in range(10)]
    assert looked_at(slow, 5) == slow
    fast = [i / 30 for i in range(60)]
    assert looked_at(fast, 0) == fast


@given(st.lists(st.floats(0.001, 5), min_size=1, max_size=60), st.floats(0.2, 30))
def test_after_any_pause_the_next_frame_is_looked_at_and_looks_are_never_too_dense(
    steps_s: list[float], per_s: float
) -> None:
    times_s = np.cumsum(steps_s).tolist()
    seen = set(looked_at(times_s, per_s))
    assert times_s[0] in seen
    for before, after in pairwise(times_s):
        if after - before >= 1 / per_s:
            assert after in seen
    span_s = times_s[-1] - times_s[0]
    assert len(seen) <= span_s * per_s + 2


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, RATES_PER_S[0]),
        ({"rate": "all"}, 0),
        ({"rate": 3}, 3),
        ({"detections": "boxes"}, 0),
        ({"detections": "boxes", "rate": 2}, 2),
    ],
)
def test_boxes_from_a_file_are_all_taken_unless_a_rate_is_given(
    settings: dict[str, object], expected: float
) -> None:
    assert rate(DetectorConfig.model_validate(settings)) == expected


@pytest.mark.parametrize("kind", ["video", "images"])
def test_frames_between_looks_have_their_number_and_time_but_no_image(
    tmp_path: Path, kind: str
) -> None:
    if kind == "video":
        source = write_video(tmp_path / "cam.mp4", n_frames=20, fps=10)
    else:
        source = tmp_path / "images"
        source.mkdir()
        for i in range(20):
            assert cv2.imwrite(str(source / f"{i + 1:06}.png"), picture(i))
    settings = SourcesConfig(image_fps=10)
    camera = CameraConfig(source=str(source), name="cam")
    every = list(open_source(camera, settings))
    some = list(open_source(camera, settings, looks_per_s=2))
    assert [(f.index, f.time_s) for f in some] == [(f.index, f.time_s) for f in every]
    assert [f.index for f in some if f.has_image] == [0, 5, 10, 15]
    for frame in some:
        assert not frame.has_image or (frame.image == every[frame.index].image).all()


def test_a_run_with_a_rate_has_rows_in_all_frames_and_marks_those_between_looks(
    tmp_path: Path, sample: Path
) -> None:
    output = tmp_path / "out"
    arguments = ["--videos", sample / "cam1.mp4", "--max-seconds", "8", "--no-video", "--quiet"]
    settings = ["--set", f"detector.detections={sample / 'truth'}", "--set", "reid.weights=none"]
    rate_of_2 = ["--set", "detector.rate=2", "--output", output]
    assert cli.main([*map(str, [*arguments, *settings, *rate_of_2])]) == 0
    with (output / "tracks.csv").open() as table:
        rows = list(csv.DictReader(table))
    detected = {int(row["frame"]) for row in rows if row["filled"] == "0"}
    assert detected <= set(looked_at_frames(12.5, 2, 100))
    assert {int(row["frame"]) for row in rows} >= set(range(90))
    between = [row for row in rows if row["filled"] == "1"]
    assert len(between) > 3 * (len(rows) - len(between))
    assert all(0 < float(row["score"]) <= 1 for row in between)
    manifest = json.loads((output / "run.json").read_text())
    assert manifest["cameras"][0]["n_frames"] == 100
    assert manifest["stages"]["detect"]["frames"] == len(looked_at_frames(12.5, 2, 100))


@pytest.mark.parametrize(("seconds", "n_looks"), [(9, 9 * 20), (12, 12 * 5)])
def test_short_files_are_looked_at_in_full_by_a_rate_of_auto(
    tmp_path: Path, seconds: int, n_looks: int
) -> None:
    video = write_video(tmp_path / "cam.mp4", n_frames=20 * seconds, fps=20)
    arguments = ["--videos", str(video), "--no-video", "--quiet", "--output", str(tmp_path / "out")]
    settings = ["--set", "detector.weights=hog", "--set", "reid.weights=none"]
    assert cli.main([*arguments, *settings]) == 0
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    n_unchanged = manifest["cameras"][0]["n_unchanged"]
    assert manifest["stages"]["detect"]["frames"] + n_unchanged == n_looks


def looked_at_frames(fps: float, per_s: float, n_frames: int) -> list[int]:
    looks = Looks(per_s)
    return [i for i in range(n_frames) if looks.is_due(i / fps)]


def rate_after(share: float, seconds: int, rate: LookRate | None = None) -> float:
    """The rate of a camera with ten matches a look, so many of them ambiguous."""
    rate = rate or LookRate()
    for i in range(5 * seconds):
        rate.learn(i / 5, 10, round(10 * share))
    return rate.per_s


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 5), (0.1, 5), (0.2, 5), (0.3, 10), (0.5, 20), (1.0, 20)]
)
def test_a_camera_with_more_ambiguous_matches_is_looked_at_more_often(
    share: float, expected: float
) -> None:
    assert rate_after(share, 60) == expected


def test_the_rate_falls_when_matches_are_clear_again_and_stays_where_nobody_is() -> None:
    rate = LookRate()
    assert rate_after(0.5, 60, rate) == 20
    for i in range(1000):
        rate.learn(60 + i / 20, 10, 0)
    assert rate.per_s == 5
    empty = LookRate()
    for i in range(1000):
        empty.learn(float(i), 0, 0)
    assert empty.per_s == 5


@given(
    st.lists(st.sampled_from([0.0, 2.0, 5.0, 10.0]), min_size=1, max_size=60),
    st.integers(1, 8),
    st.randoms(),
)
def test_which_frames_are_looked_at_does_not_depend_on_how_far_ahead_they_are_read(
    rates: list[float], n_ahead: int, random: Random
) -> None:
    def chosen(is_far_ahead: Callable[[], bool]) -> list[bool]:
        looks = Looks(5, lag=n_ahead + 1)
        due: list[bool] = []
        n_told = 0
        while len(due) < len(rates):
            may_read = len(due) <= n_told + n_ahead
            if may_read and (n_told == len(due) or is_far_ahead()):
                due.append(looks.is_due(len(due) / 25))
            elif n_told < len(due):
                looks.tell(rates[n_told])
                n_told += 1
        return due

    assert chosen(lambda: random.random() < 0.5) == chosen(lambda: True) == chosen(lambda: False)


def test_a_frame_that_cannot_be_read_does_not_shift_when_a_rate_begins() -> None:
    looks, other = Looks(5, lag=1), Looks(5, lag=1)
    assert looks.is_due(0.0) and other.is_due(0.0)
    looks.is_due(0.01)
    looks.unread()
    looks.tell(0)
    other.tell(0)
    times_s = [0.02 + 0.04 * i for i in range(10)]
    assert [looks.is_due(t) for t in times_s] == [other.is_due(t) for t in times_s]
