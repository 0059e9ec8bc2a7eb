import itertools
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Frame
from pipeline.sources import Source, open_source
from tests.videos import picture, write_video

NTSC = Fraction(30000, 1001)
SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nhello\n"


def open_one(path: Path, start_s: float = 0.0, **settings: float) -> Source:
    return open_source(
        CameraConfig(source=str(path), name="cam", start_s=start_s),
        SourcesConfig.model_validate(settings),
    )


def read(path: Path, start_s: float = 0.0, **settings: float) -> tuple[list[Frame], list[str]]:
    """All frames, and the warnings that are there afterwards."""
    source = open_one(path, start_s, **settings)
    frames = list(source)
    return frames, source.warnings


def times_s(frames: list[Frame]) -> list[float]:
    return [frame.time_s for frame in frames]


def shows(frame: Frame, i: int) -> bool:
    """Whether this is `picture(i)`, which is 3 grey levels brighter than `picture(i - 1)`."""
    return abs(float(frame.image[-8:, -8:].mean()) - float(picture(i)[-1, -1, 0])) < 4.5


def write_images(folder: Path, *names: str, size: tuple[int, int] = (64, 48)) -> Path:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), picture(10 * i, *size))
    return folder


def test_29_97_frames_a_second_stay_29_97(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 90, NTSC)
    source = open_one(path)
    frames = list(source)
    assert times_s(frames) == pytest.approx([i * 1001 / 30000 for i in range(90)], abs=1e-4)
    assert (source.camera.fps, source.camera.n_frames) == (pytest.approx(float(NTSC)), 90)
    assert [frame.index for frame in frames] == list(range(90))
    assert source.warnings == []


def test_variable_frame_rates_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 2.0, 2.01, 5.0]
    frames, warnings = read(write_video(tmp_path / "a.mp4", len(times), times_s=times))
    assert times_s(frames) == pytest.approx(times, abs=1e-4)
    assert warnings == []


def test_times_count_from_the_first_frame_and_the_cameras_start_is_added(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 3, times_s=[7.0, 7.1, 7.2])
    assert times_s(read(path)[0]) == pytest.approx([0, 0.1, 0.2], abs=1e-4)
    assert times_s(read(path, start_s=-3.5)[0]) == pytest.approx([-3.5, -3.4, -3.3], abs=1e-4)


def test_stride_and_max_seconds_choose_frames_without_changing_their_index_or_time(
    tmp_path: Path,
) -> None:
    frames, warnings = read(
        write_video(tmp_path / "a.mp4", 20), start_s=100, stride=3, max_seconds=1
    )
    assert [frame.index for frame in frames] == [0, 3, 6, 9]
    assert times_s(frames) == pytest.approx([100, 100.3, 100.6, 100.9])
    assert all(shows(frame, frame.index) for frame in frames)
    assert warnings == []


@pytest.mark.parametrize(
    ("degrees", "size", "corner"),
    [
        (0, (64, 48), (0, 0)),
        (90, (48, 64), (0, -1)),
        (180, (64, 48), (-1, -1)),
        (270, (48, 64), (-1, 0)),
    ],
)
def test_a_phones_rotation_gives_an_upright_picture(
    tmp_path: Path, degrees: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    source = open_one(write_video(tmp_path / "a.mp4", 2, rotation_deg=degrees))
    frame = next(iter(source))
    assert (source.camera.width, source.camera.height) == size == frame.image.shape[1::-1]
    bright = [yx for yx in itertools.product((0, -1), (0, -1)) if frame.image[yx].min() > 200]
    assert bright == [corner]


def test_a_video_without_timestamps_runs_at_its_nominal_rate(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    with (
        av.open(str(write_video(tmp_path / "a.mp4", 10))) as video,
        av.open(str(path), "w", format="h264") as raw,
    ):
        stream = raw.add_stream("libx264", rate=10)
        stream.width, stream.height = 64, 48
        raw.mux(
            packet for frame in [*video.decode(video=0), None] for packet in stream.encode(frame)
        )
    source = open_one(path)
    assert times_s(list(source)) == pytest.approx([i / source.camera.fps for i in range(10)])


def test_sound_that_is_longer_than_the_pictures_does_not_make_them_look_cut_short(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.mkv"
    with (
        av.open(str(write_video(tmp_path / "a.mp4", 10))) as video,
        av.open(str(path), "w") as both,
    ):
        pictures, sound = (
            both.add_stream("libx264", rate=10),
            both.add_stream("pcm_s16le", rate=8000),
        )
        pictures.width, pictures.height = 64, 48
        for frame in [*video.decode(video=0), None]:
            both.mux(pictures.encode(frame))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 40_000), np.int16), layout="mono")
        silence.rate, silence.pts = 8000, 0
        both.mux(sound.encode(silence))
    frames, warnings = read(path)
    assert (len(frames), warnings) == (10, [])


def test_joined_recordings_whose_clock_starts_anew_go_on_without_a_jump(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.ts", 20).read_bytes()
    (tmp_path / "two.ts").write_bytes(one + one)
    assert times_s(read(tmp_path / "two.ts")[0]) == pytest.approx(
        [i / 10 for i in range(40)], abs=1e-4
    )


def test_a_colon_in_a_files_name_is_not_taken_for_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "10:30 gate ü.mp4", 3)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("10:30 gate ü.mp4"))[0]) == 3


def write_seqinfo(folder: Path, text: str) -> None:
    write_images(folder, "1.png")
    (folder / "seqinfo.ini").write_text(text)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("missing.mp4", lambda path: None, "no such file or folder"),
        ("long" * 100, lambda path: None, "no such file or folder"),
        ("zero.mp4", Path.touch, "the file is empty"),
        (
            "text.mp4",
            lambda path: path.write_text("not a video\n" * 99),
            "is not a video that can be read",
        ),
        (
            "words.srt",
            lambda path: path.write_text(SUBTITLES),
            "is not a video that can be read (no pictures in it)",
        ),
        ("folder", Path.mkdir, "no images in this folder"),
        (
            "folder",
            lambda path: write_images(path, "1.png"),
            "needs a rate; add --set sources.image_fps=25",
        ),
        (
            "folder",
            lambda path: write_seqinfo(path, "frameRate=30"),
            "needs [Sequence] with frameRate",
        ),
        (
            "folder",
            lambda path: write_seqinfo(path, "[Sequence]\nframeRate=fast"),
            "needs [Sequence] with frameRate",
        ),
        ("folder", lambda path: write_seqinfo(path, "[Sequence]\nimDir=.\n"), "needs a rate"),
        *(
            (
                "folder",
                lambda path, rate=rate: write_seqinfo(
                    path, f"[Sequence]\nimDir=.\nframeRate={rate}\n"
                ),
                "frames/s is no rate of a camera",
            )
            for rate in ("inf", "nan", "-inf", "-25", "1e300", "1e-300")
        ),
        (
            "folder",
            lambda path: write_seqinfo(path, "[Sequence]\nframeRate=30\n"),
            "img1: is not a folder of images",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line_that_says_why(
    tmp_path: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(SourceError) as caught:
        open_one(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["rtsp://me:secret@camera/1", "http://camera/video.mp4", "0", "file.mp4?live"]
)
def test_a_live_camera_in_place_of_a_file_is_an_error_that_says_what_to_do(source: str) -> None:
    with pytest.raises(SourceError, match="is a live camera, which a live run reads") as caught:
        open_source(CameraConfig(source=source, name="cam"), SourcesConfig())
    assert "record to a file to read it here" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_was_cut_short_is_read_up_to_the_cut_with_one_warning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100, size=(128, 96))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    frames, warnings = read(path)
    assert 30 < len(frames) < 70
    assert times_s(frames) == pytest.approx([i / 10 for i in range(len(frames))])
    assert len(warnings) == 1
    assert f"ends after {len(frames) / 10:.1f} s of the 10.0 s it announces" in warnings[0]


@pytest.mark.parametrize("n_bytes", [4, 40, 300])
@pytest.mark.parametrize("at", [0, 0.5, 0.7])
def test_damaged_bytes_cost_a_few_frames_and_a_warning_but_not_the_rest(
    tmp_path: Path, at: float, n_bytes: int
) -> None:
    path = write_video(tmp_path / "a.mp4", 100, size=(128, 96))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    start += round((len(data) - start) * at)
    data[start : start + n_bytes] = bytes(255 - byte for byte in data[start : start + n_bytes])
    path.write_bytes(data)
    frames, warnings = read(path)
    assert 90 < len(frames) <= 100
    assert np.diff(times_s(frames)).min() > 0.09
    assert any("damaged packets were skipped" in warning for warning in warnings) == (
        len(frames) < 100
    )


def test_images_come_in_natural_order_whatever_their_format(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "cam", "1.png", "2.bmp", "10.jpeg", "²0.png")  # ² is no digit
    (folder / "notes.txt").write_text("not an image")
    frames, warnings = read(folder, start_s=5, image_fps=4)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert all(shows(frame, 10 * frame.index) for frame in frames)
    assert times_s(frames) == [5, 5.25, 5.5, 5.75]
    assert len(warnings) == 1
    assert "they are numbered in the order of their names" in warnings[0]


def test_a_folders_stride_and_max_seconds_are_those_of_a_video(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "cam", *(f"{i:03}.png" for i in range(9)))
    frames, _ = read(folder, image_fps=10, stride=3, max_seconds=0.6)
    assert [(frame.index, frame.time_s) for frame in frames] == [(0, 0), (3, pytest.approx(0.3))]


def test_seqinfo_gives_the_folder_and_the_rate_even_when_another_rate_is_set(
    tmp_path: Path,
) -> None:
    write_images(tmp_path / "frames", "000001.jpg", "000002.jpg")
    (tmp_path / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nimDir=frames\nframeRate=30\nseqLength=600\n"
    )
    source = open_one(tmp_path, image_fps=5)
    assert (source.camera.fps, source.camera.n_frames) == (30, 2)
    assert times_s(list(source)) == pytest.approx([0, 1 / 30])


def test_images_that_cannot_be_read_or_have_another_size_are_skipped_with_a_warning(
    tmp_path: Path,
) -> None:
    folder = write_images(tmp_path, *(f"{i}.bmp" for i in range(1, 7)))
    (folder / "2.bmp").write_bytes(b"")
    (folder / "3.bmp").write_text("not an image")
    header = bytearray((folder / "4.bmp").read_bytes())
    header[18:26] = np.array([10**6, 10**6], "<i4").tobytes()  # a size that OpenCV refuses
    (folder / "4.bmp").write_bytes(header)
    write_images(folder, "5.bmp", size=(32, 48))
    frames, warnings = read(folder, image_fps=10)
    assert [frame.index for frame in frames] == [0, 5]
    assert times_s(frames) == [0, 0.5]
    assert warnings == ["cam: 4 images unreadable or of another size, first 2.bmp"]


@pytest.mark.parametrize("name", ["0.png", "5.png", "link.png"])
def test_a_pipe_in_a_folder_of_images_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = write_images(tmp_path / "cam", *(f"{i}.png" for i in (1, 2, 3)))
    os.mkfifo(tmp_path / "pipe")
    if name == "link.png":
        (folder / name).symlink_to(tmp_path / "pipe")
    else:
        os.mkfifo(folder / name)
    frames, warnings = read(folder, image_fps=10)
    assert len(frames) == 3
    assert warnings == []


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(SourceError, match="is a pipe or a device, not a file"):
        open_one(tmp_path / "a.mp4")


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_title_that_is_not_utf_8_is_no_obstacle(tmp_path: Path, kind: str) -> None:
    plain = write_video(tmp_path / "plain.mp4", 5)
    path = tmp_path / f"a.{kind}"
    with av.open(str(plain)) as video, av.open(str(path), "w") as titled:
        titled.metadata["title"] = "Tur Sud"
        stream = titled.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                titled.mux(packet)
    data = path.read_bytes()
    assert b"Tur Sud" in data
    path.write_bytes(data.replace(b"Tur Sud", b"T\xfcr S\xfcd"))  # Latin-1
    frames, warnings = read(path)
    assert (len(frames), warnings) == (5, [])


def write_noise(path: Path, n_frames: int, n_sounds: int) -> bytes:
    """Write a large MPEG-TS, and return its bytes."""
    images = np.random.default_rng(0).integers(0, 255, (n_frames, 240, 320, 3), np.uint8)
    with av.open(str(path), "w") as container:
        options = {"qmin": "1", "qmax": "1", "g": "1"}
        video = container.add_stream("mpeg2video", rate=25, options=options)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        sounds = [container.add_stream("mp2", rate=48000) for _ in range(n_sounds)]
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(video.encode(frame))
        for sound in sounds:
            for i in range(10):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), layout="mono")
                silence.rate, silence.pts = 48000, i * 1152
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
        container.mux(video.encode(None))
    return path.read_bytes()


def test_tracks_of_sound_that_appear_late_cost_no_picture(tmp_path: Path) -> None:
    silent = write_noise(tmp_path / "silent.ts", 10, 0)
    with_sound = write_noise(tmp_path / "sound.ts", 10, 12)
    path = tmp_path / "late.ts"
    path.write_bytes(silent * 6 + with_sound + silent)  # beyond what is probed at both ends
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
    frames, warnings = read(path)
    assert len(frames) == 80
    assert times_s(frames) == pytest.approx([i / 25 for i in range(80)], abs=1e-3)
    assert len(warnings) == 1  # the recordings are joined


def test_frames_are_read_only(tmp_path: Path) -> None:
    write_images(tmp_path, "1.png")
    for frame in (*read(tmp_path, image_fps=1)[0], *read(write_video(tmp_path / "a.mp4", 1))[0]):
        with pytest.raises(ValueError, match="read-only"):
            frame.image[0, 0] = 0
