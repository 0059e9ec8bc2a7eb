import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline import yuv
from pipeline.config import CameraConfig, OutputConfig, SourcesConfig
from pipeline.outputs.folder import OutputFolder
from pipeline.outputs.video import (
    HOLD_S,
    Drawing,
    Encoder,
    Interrupted,
    annotate,
    colour,
    wrong_length,
)
from pipeline.records import Array, Person
from pipeline.sources import Source, open_source
from pipeline.timings import Timings
from tests.pipeline.outputs.people import camera, person, tracklet
from tests.videos import picture, write_video

BOX = [50, 60, 90, 140]
BLACK = yuv.from_bgr(np.zeros((200, 300, 3), np.uint8))


def open_one(path: Path, start_s: float = 0.0) -> Source:
    config = CameraConfig(source=str(path), name="cam", start_s=start_s)
    return open_source(config, SourcesConfig(image_fps=10), in_yuv=True)


def annotated(
    source: Source, path: Path, people: Sequence[Person] = (), stop: bool = False
) -> Path:
    annotate(
        iter(source), source.camera, list(people), path, OutputConfig(), Timings(), lambda: stop
    )
    return path


def facts(path: Path) -> tuple[Fraction | None, Fraction, list[float]]:
    """Average rate, duration and the times of all frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        return (
            stream.average_rate,
            stream.duration * stream.time_base,
            [f.time or 0.0 for f in container.decode(stream)],
        )


def drawn(time_s: float, *people: Person, name: str = "cam", trail_s: float = 0.0) -> Array:
    """What is drawn at a time on a black picture, without the camera's name."""
    drawing = Drawing(camera(name, size=(300, 200)), list(people), trail_s)
    return yuv.to_bgr(drawing.draw(BLACK, time_s))[40:]


def is_colour(found: Sequence[int], person_id: int) -> bool:
    """Whether this is a person's colour, which thin lines have nearly: chroma has half the size."""
    return int(np.abs(np.subtract(found, colour(person_id))).max()) < 35


def edge(box: Sequence[float], image: Array) -> tuple[int, ...]:
    """The colour in the middle of a box's left edge."""
    return tuple(image[round((box[1] + box[3]) / 2) - 40, round(box[0])].tolist())


# --- files


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(60000, 1001), 12.5, 7])
def test_an_annotated_video_has_the_frames_the_rate_and_the_length_of_its_source(
    tmp_path: Path, fps: float
) -> None:
    path = write_video(tmp_path / "a.mp4", 45, fps)
    source = open_one(path, start_s=1e6)
    rate, duration_s, times_s = facts(annotated(source, tmp_path / "out.mp4"))
    assert (rate, duration_s) == facts(path)[:2]
    assert times_s == pytest.approx([i / float(fps) for i in range(45)], abs=2e-5)


def test_variable_frame_rates_keep_their_times_and_their_length_but_for_the_last_picture(
    tmp_path: Path,
) -> None:
    times = [0, 0.1, 0.15, 0.9, 1.0, 1.05, 4.0]
    path = write_video(tmp_path / "a.mp4", len(times), times_s=times)
    _, duration_s, times_s = facts(annotated(open_one(path), tmp_path / "out.mp4"))
    assert times_s == pytest.approx(times, abs=2e-5)
    assert duration_s == pytest.approx(
        4.0 + 4.1 / 7, abs=0.01
    )  # the last picture stays for the average time


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_browsers_can_play_it_also_when_the_size_is_odd(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture(i, *size))
    path = annotated(open_one(tmp_path), tmp_path / "out.mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded completely
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 64, 48)
        assert len(list(container.decode(video=0))) == 3


def test_frames_closer_than_the_files_clock_can_tell_are_still_written_in_order(
    tmp_path: Path,
) -> None:
    with Encoder(tmp_path / "out.mp4", 64, 48, 10, 23) as encoder:
        for i, time_s in enumerate([0, 1e-6, 2e-6, 0.1]):
            encoder.write(yuv.from_bgr(picture(i)), time_s)
    _, _, times_s = facts(tmp_path / "out.mp4")
    assert times_s == pytest.approx([0, 0, 0, 0.1], abs=1e-4)
    assert np.diff(times_s).min() > 0


@pytest.mark.parametrize("step_s", [6 * 3600 - 1, 23_861, 1e6, 1e7])
def test_a_step_too_long_for_the_file_squeezes_no_other_step(tmp_path: Path, step_s: float) -> None:
    with Encoder(tmp_path / "out.mp4", 64, 48, 10, 23) as encoder:
        for i in range(20):
            encoder.write(yuv.from_bgr(picture(i)), i / 10 + step_s * (i >= 5) + step_s * (i >= 15))
    _, duration_s, times_s = facts(tmp_path / "out.mp4")
    steps_s = np.diff(times_s)
    assert np.delete(steps_s, [4, 14]) == pytest.approx(np.full(17, 0.1), abs=1e-4)
    assert steps_s[[4, 14]] == pytest.approx(min(step_s + 0.1, 6 * 3600), abs=1e-4)
    assert duration_s > times_s[-1]


def test_a_video_that_became_shorter_than_its_frames_is_told(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 30_000.2, 30_000.3]
    for name, pause_s in (("short.mp4", 0), ("long.mp4", 29_000)):
        with Encoder(tmp_path / name, 64, 48, 10, 23) as encoder:
            for i, time_s in enumerate(times):
                encoder.write(yuv.from_bgr(picture(i)), time_s - pause_s * (i >= 3))
    assert wrong_length(tmp_path / "long.mp4", 1000.3, 10) == ""
    said = wrong_length(tmp_path / "short.mp4", 30_000.3, 10)
    assert said.startswith("the video lasts ")
    assert "and its frames 30000.3 s" in said
    assert "lower sources.max_gap_s" in said


def test_time_lapse_is_written_with_its_times(tmp_path: Path) -> None:
    times = [i * 7200.0 for i in range(4)]
    with Encoder(tmp_path / "out.mp4", 64, 48, 1 / 7200, 23) as encoder:
        for i, time_s in enumerate(times):
            encoder.write(yuv.from_bgr(picture(i)), time_s)
    assert facts(tmp_path / "out.mp4")[2] == pytest.approx(times, abs=1e-4)
    assert wrong_length(tmp_path / "out.mp4", times[-1], 1 / 7200) == ""


@pytest.mark.parametrize("n_frames", [0, 3])
def test_an_interrupted_video_leaves_no_file(tmp_path: Path, n_frames: int) -> None:
    source = open_one(write_video(tmp_path / "a.mp4", 10))
    folder = OutputFolder(tmp_path / "out", overwrite=False)
    answers = itertools.chain([False] * n_frames, itertools.repeat(True))
    with pytest.raises(Interrupted), folder.file("cam.mp4") as path:
        annotate(
            iter(source), source.camera, [], path, OutputConfig(), Timings(), lambda: next(answers)
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_boxes_are_drawn_at_the_time_they_were_seen_also_when_the_camera_started_late(
    tmp_path: Path,
) -> None:
    source = open_one(write_video(tmp_path / "a.mp4", 10, size=(300, 200)), start_s=50)
    seen = person(4, tracklet("cam", 1, [50.3, 50.4], [BOX]))
    with av.open(str(annotated(source, tmp_path / "out.mp4", [seen]))) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    off = [int(np.abs(np.subtract(edge(BOX, image[40:]), colour(4))).max()) for image in images]
    assert [i for i, distance in enumerate(off) if distance < 60] == [3, 4]


# --- drawing


def test_the_first_twelve_people_have_colours_that_can_be_told_apart() -> None:
    colours = [np.array(colour(i)) for i in range(1, 13)]
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(colours, 2)) >= 40


@pytest.mark.parametrize("name", ["cam", "another"])
def test_a_person_has_the_same_colour_in_every_camera(name: str) -> None:
    seen = person(3, tracklet("cam", 1, [1.0], [BOX]), tracklet("another", 9, [1.0], [BOX]))
    assert is_colour(edge(BOX, drawn(1.0, seen, name=name)), 3)


@pytest.mark.parametrize("matrix", [1, 2, 6])
@pytest.mark.parametrize("value_range", [yuv.LIMITED, yuv.FULL])
def test_a_person_has_the_same_colour_in_videos_of_all_kinds(matrix: int, value_range: int) -> None:
    black = np.zeros((400, 600, 3), np.uint8)
    picture = yuv.from_bgr(black, yuv.Colours(matrix, value_range, 2, 2))
    seen = person(8, tracklet("cam", 1, [1.0], [BOX]))
    drawing = Drawing(camera("cam", size=(1920, 1080)), [seen], trail_s=0)
    image = yuv.to_bgr(drawing.draw(picture, 1.0))
    assert np.abs(np.subtract(image[100, 50], colour(8), dtype=np.int16)).max() <= 6


def test_people_of_other_cameras_are_not_drawn() -> None:
    assert not drawn(1.0, person(3, tracklet("another", 1, [1.0], [BOX]))).any()


@pytest.mark.parametrize(("gap_s", "joined"), [(HOLD_S - 0.05, True), (HOLD_S + 0.05, False)])
def test_a_short_gap_is_bridged_by_a_box_half_way_and_a_long_one_is_not(
    gap_s: float, joined: bool
) -> None:
    far = [150, 60, 190, 140]
    seen = person(1, tracklet("cam", 1, [1.0, 1.0 + gap_s], [BOX, far]))
    image = drawn(1.0 + gap_s / 2, seen)
    assert is_colour(edge([100, 60, 140, 140], image), 1) == joined
    assert image.any() == joined
    assert is_colour(edge(far, drawn(1.0 + gap_s, seen)), 1)


def test_interpolated_boxes_are_thinner_than_seen_ones() -> None:
    def luma_in_row(picture: av.VideoFrame) -> int:
        return np.count_nonzero(yuv.planes(picture)[0][100, :80] > 16)

    seen = person(1, tracklet("cam", 1, [1.0, 1.2], [BOX]))
    big = Drawing(camera("cam", size=(1920, 1080)), [seen], trail_s=0)
    at_row, between = (luma_in_row(big.draw(BLACK, time_s)) for time_s in (1.0, 1.1))
    assert 0 < between < at_row


@pytest.mark.parametrize("time_s", [0.9, 2.1])
def test_nothing_is_drawn_before_and_after_a_person_was_seen(time_s: float) -> None:
    assert not drawn(time_s, person(1, tracklet("cam", 1, [1.0, 1.5, 2.0], [BOX]))).any()


def test_the_trail_shows_the_last_seconds_and_then_fades() -> None:
    left, right = [0, 60, 40, 140], [100, 60, 140, 140]
    seen = person(1, tracklet("cam", 1, [1.0, 2.0, 3.0], [left, right, right]))
    on_the_way = (slice(99, 102), 70)
    assert drawn(2.0, seen, trail_s=1.5)[on_the_way].any()
    assert not drawn(3.0, seen, trail_s=1.5)[on_the_way].any()
    assert not drawn(4.6, seen, trail_s=1.5).any()


@pytest.mark.parametrize(
    "box",
    [
        [-80, -90, 10, 20],
        [290, 190, 500, 700],
        [-1e5, 60, 1e5, 140],
        [1000, 60, 1040, 140],
        [-4e9, 60, 4e9, 3e9],
    ],
)
def test_a_box_beyond_the_picture_still_shows_its_number_inside(box: list[float]) -> None:
    seen = person(1, tracklet("cam", 1, [0.9, 1.0], [BOX, box]))
    size = (300, 200)
    with_box = Drawing(camera("cam", size=size), [seen], trail_s=2).draw(BLACK, 1.0)
    without = Drawing(camera("cam", size=size), [], trail_s=2).draw(BLACK, 1.0)
    assert (yuv.to_bgr(with_box) != yuv.to_bgr(without)).any()


@pytest.mark.parametrize(
    ("time_s", "same", "other"), [(59.96, 60.0, 59.9), (3599.96, 3600.0, 0.0), (-0.51, -0.5, 0.5)]
)
def test_the_clock_rounds_to_tenths_and_never_shows_60_seconds(
    time_s: float, same: float, other: float
) -> None:
    shown = {
        t: yuv.to_bgr(Drawing(camera("cam"), [], 0).draw(BLACK, t)).tobytes()
        for t in (time_s, same, other)
    }
    assert shown[time_s] == shown[same] != shown[other]


def test_drawing_leaves_the_picture_itself_alone() -> None:
    before = yuv.to_bgr(BLACK)
    seen = person(1, tracklet("cam", 1, [1.0], [BOX]))
    drawn_on = Drawing(camera("cam", size=(300, 200)), [seen], 0).draw(BLACK, 1.0)
    assert (yuv.to_bgr(drawn_on) != before).any()
    np.testing.assert_array_equal(yuv.to_bgr(BLACK), before)
