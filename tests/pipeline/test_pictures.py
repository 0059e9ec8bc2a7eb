"""Pictures are what a player shows: matrix, shape of the pixels, changes of size, tracks."""

import csv
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline import cli, yuv
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Array
from pipeline.sources import Source, open_source
from tests.videos import write_beginning, write_tracks, write_video

ONE = 0x10000
TURN_30 = tuple(round(ONE * value) for value in (0.8660254, 0.5, -0.5, 0.8660254))


def quarters(width: int = 64, height: int = 48) -> Array:
    """A picture whose quarters are black, dark, bright and white, in reading order."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, width // 2 :] = 80
    image[height // 2 :, : width // 2] = 160
    image[height // 2 :, width // 2 :] = 240
    return image


def write(
    path: Path,
    images: list[Array],
    aspects: list[Fraction] | None = None,
    matrix: tuple[int, ...] = (),
) -> Path:
    """Write images at 10 frames/s, with the shape of their pixels and the display matrix a b c d.

    A change of size or shape begins a new MPEG-TS stream that goes on in the same file.
    """
    aspects = aspects or [Fraction(1)] * len(images)
    parts: list[tuple[tuple[int, ...], Fraction, list[int]]] = []
    for i, (image, aspect) in enumerate(zip(images, aspects, strict=True)):
        if not parts or parts[-1][:2] != (image.shape, aspect):
            parts.append((image.shape, aspect, []))
        parts[-1][2].append(i)
    data = b""
    for (height, width, _), aspect, members in parts:
        part = path.with_name(f"part{path.suffix}")
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"crf": "1", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.sample_aspect_ratio = aspect
            for i in members:
                frame = av.VideoFrame.from_ndarray(images[i], format="bgr24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data += part.read_bytes()
    if matrix:
        start = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of header
        a, b, c, d = matrix
        packed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
        data = data[:start] + packed + data[start + 36 :]
    path.write_bytes(data)
    return path


def open_one(path: Path, track: int = 0) -> Source:
    return open_source(CameraConfig(source=str(path), name="cam", track=track), SourcesConfig())


def images(source: Source) -> list[Array]:
    return [frame.image for frame in source]


def images_to_draw_on(path: Path) -> list[Array]:
    """Pictures in YUV, as BGR images."""
    source = open_source(CameraConfig(source=str(path), name="cam"), SourcesConfig(), in_yuv=True)
    return [yuv.to_bgr(frame.picture) for frame in source if frame.picture is not None]


def corners(image: Array) -> list[int]:
    """Grey levels near the corners in reading order, as far as they are those of `quarters`."""
    height, width = image.shape[:2]
    found = [
        image[y, x].mean() for y in (height // 8, -height // 8) for x in (width // 8, -width // 8)
    ]
    return [round(float(level) / 80) * 80 for level in found]


@pytest.mark.parametrize(
    ("matrix", "size", "shown"),
    [
        ((ONE, 0, 0, ONE), (64, 48), [0, 80, 160, 240]),
        ((-ONE, 0, 0, ONE), (64, 48), [80, 0, 240, 160]),
        ((ONE, 0, 0, -ONE), (64, 48), [160, 240, 0, 80]),
        ((-ONE, 0, 0, -ONE), (64, 48), [240, 160, 80, 0]),
        ((0, ONE, ONE, 0), (48, 64), [0, 160, 80, 240]),
        ((0, ONE, -ONE, 0), (48, 64), [160, 0, 240, 80]),
        ((0, -ONE, ONE, 0), (48, 64), [80, 240, 0, 160]),
        ((0, -ONE, -ONE, 0), (48, 64), [240, 80, 160, 0]),
    ],
)
def test_a_display_matrix_turns_and_mirrors_the_picture_as_it_says(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], shown: list[int]
) -> None:
    source = open_one(write(tmp_path / "a.mp4", [quarters()] * 2, matrix=matrix))
    assert (source.camera.width, source.camera.height) == size
    assert [corners(image) for image in images(source)] == [shown] * 2
    assert source.warnings == []
    to_draw_on = images_to_draw_on(tmp_path / "a.mp4")
    assert [image.shape[1::-1] for image in to_draw_on] == [size] * 2
    assert [corners(image) for image in to_draw_on] == [shown] * 2


def test_a_matrix_that_turns_by_30_degrees_turns_clockwise_and_keeps_the_size(
    tmp_path: Path,
) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[28:36, 76:84] = 255  # right of the middle
    (image,) = images(open_one(write(tmp_path / "a.mp4", [picture], matrix=TURN_30)))
    assert image.shape == picture.shape
    y, x = np.argwhere(image[..., 0] > 128).mean(axis=0)
    assert (x, y) == pytest.approx((48 + 32 * 0.866, 32 + 32 * 0.5), abs=1)
    (to_draw_on,) = images_to_draw_on(tmp_path / "a.mp4")
    assert np.abs(np.subtract(to_draw_on, image, dtype=np.int16)).max() <= 8


@pytest.mark.parametrize(
    ("stored", "aspect", "size"),
    [
        ((320, 360), Fraction(2), (640, 360)),
        ((640, 180), Fraction(1, 2), (640, 360)),
        ((720, 576), Fraction(16, 15), (768, 576)),
    ],
)
def test_pixels_that_are_not_square_are_stretched_until_they_are(
    tmp_path: Path, stored: tuple[int, int], aspect: Fraction, size: tuple[int, int]
) -> None:
    circle = np.zeros((size[1], size[0], 3), np.uint8)
    cv2.circle(circle, (size[0] // 2, size[1] // 2), 80, (255, 255, 255), -1)
    squeezed = cv2.resize(circle, stored, interpolation=cv2.INTER_AREA)
    source = open_one(write(tmp_path / "a.mp4", [squeezed], [aspect]))
    (image,) = images(source)
    assert (source.camera.width, source.camera.height) == size == image.shape[1::-1]
    rows, columns = np.nonzero(image[..., 0] > 128)
    assert np.ptp(rows) == pytest.approx(160, abs=4)
    assert np.ptp(columns) == pytest.approx(160, abs=4)


@pytest.mark.parametrize(
    ("stored", "aspect", "matrix"),
    [
        ((64, 48), Fraction(3, 2), (ONE, 0, 0, ONE)),
        ((64, 48), Fraction(33, 32), (0, ONE, -ONE, 0)),
        ((32, 48), Fraction(63, 32), (-ONE, 0, 0, ONE)),
    ],
)
def test_pictures_to_draw_on_are_those_that_people_are_found_in(
    tmp_path: Path, stored: tuple[int, int], aspect: Fraction, matrix: tuple[int, ...]
) -> None:
    blurred = cv2.GaussianBlur(quarters(*stored), (9, 9), 3)
    path = write(tmp_path / "a.mp4", [blurred] * 2, [aspect] * 2, matrix)
    found_in = images(open_one(path))
    for image, to_draw_on in zip(found_in, images_to_draw_on(path), strict=True):
        assert to_draw_on.shape == image.shape
        assert np.abs(np.subtract(to_draw_on, image, dtype=np.int16)).max() <= 10


def test_a_phone_held_upright_has_its_pixels_stretched_before_they_are_turned(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.mp4", [quarters(32, 48)], [Fraction(2)], (0, ONE, -ONE, 0))
    source = open_one(path)
    (image,) = images(source)
    assert image.shape[:2] == (64, 48) == (source.camera.height, source.camera.width)
    assert corners(image) == [160, 0, 240, 80]


def test_pixels_of_a_shape_that_no_camera_has_are_taken_for_square_with_a_warning(
    tmp_path: Path,
) -> None:
    source = open_one(write(tmp_path / "a.mp4", [quarters()], [Fraction(10)]))
    assert images(source)[0].shape == (48, 64, 3)
    assert source.warnings == [
        "cam: pixels of 10:1 are not believed; they are taken for square ones"
    ]


def test_after_a_change_of_size_all_pictures_have_the_first_size_with_one_warning(
    tmp_path: Path,
) -> None:
    small = [quarters()] * 8
    path = write(tmp_path / "a.ts", [*small, *[quarters(96, 72)] * 8, *small])
    source = open_one(path)
    seen = images(source)
    assert {image.shape for image in seen} == {(48, 64, 3)}
    assert [corners(image) for image in seen] == [[0, 80, 160, 240]] * 24
    assert [corners(image) for image in images_to_draw_on(path)] == [[0, 80, 160, 240]] * 24
    assert source.warnings == [
        "cam: the picture changes its size 2 times, first at 0.80 s to 96x72; all pictures are"
        " scaled to the first size, 64x48"
    ]


def test_a_change_of_shape_is_warned_of_as_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts", [*[quarters()] * 8, *[quarters(96, 48)] * 8])
    source = open_one(path)
    assert {image.shape for image in images(source)} == {(48, 64, 3)}
    (warning,) = source.warnings
    assert "changes its size at 0.80 s to 96x48" in warning
    assert "roi and homography may not fit" in warning


def test_pixels_that_become_wide_in_the_stream_are_stretched_from_there_on(tmp_path: Path) -> None:
    narrow = [quarters(32, 48)] * 10
    aspects = [Fraction(1)] * 10 + [Fraction(2)] * 10
    path = write(tmp_path / "a.ts", [*[quarters()] * 10, *narrow], aspects)
    source = open_one(path)
    assert {image.shape for image in images(source)} == {(48, 64, 3)}
    assert source.warnings == []


def two_tracks(tmp_path: Path, sample: Path) -> Path:
    """A file whose first track is cam1 of the sample and whose second is cam2."""
    parts = [write_beginning(sample / f"cam{i}.mp4", tmp_path / f"{i}.mp4", 5) for i in (1, 2)]
    return write_tracks(tmp_path / "dash.mp4", parts)


@pytest.mark.parametrize("track", [1, 2])
def test_each_of_two_video_tracks_can_be_read(tmp_path: Path, sample: Path, track: int) -> None:
    source = open_one(two_tracks(tmp_path, sample), track)
    same = open_one(tmp_path / f"{track}.mp4")
    for image, expected in zip(images(source), images(same), strict=True):
        np.testing.assert_array_equal(image, expected)
    assert source.warnings == []


def test_a_track_that_is_ignored_is_named(tmp_path: Path, sample: Path) -> None:
    source = open_one(two_tracks(tmp_path, sample))
    assert len(images(source)) == 5
    (warning,) = source.warnings
    assert warning.startswith("cam: the file has 2 video tracks; the first is read, and not track")
    assert "track: 2" in warning


def test_a_track_that_does_not_exist_is_an_error_that_counts_them(
    tmp_path: Path, sample: Path
) -> None:
    two_tracks(tmp_path, sample)
    with pytest.raises(SourceError, match=r"has 2 video tracks, so there is no track 3.* 1 or 2$"):
        open_one(tmp_path / "dash.mp4", 3)
    with pytest.raises(SourceError, match="has one video track, so there is no track 2"):
        open_one(tmp_path / "1.mp4", 2)


def test_a_folder_of_images_has_no_tracks(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), quarters())
    with pytest.raises(SourceError, match="a folder of images has no tracks"):
        open_source(
            CameraConfig(source=str(tmp_path), name="cam", track=1), SourcesConfig(image_fps=1)
        )


def test_a_cover_picture_is_no_second_track(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    cover = cv2.imencode(".png", quarters(16, 16))[1].tobytes()
    with (
        av.open(str(write_video(tmp_path / "a.mp4", 5))) as original,
        av.open(str(path), "w", format="matroska") as container,
    ):
        container.add_attachment("cover.png", "image/png", cover)
        stream = container.add_stream_from_template(original.streams.video[0])
        for packet in original.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    source = open_one(path)
    assert (source.camera.width, len(images(source)), source.warnings) == (64, 5, [])


def test_plain_pictures_are_exactly_what_the_decoder_gives(tmp_path: Path) -> None:
    path = write_video(write_video(tmp_path / "a.mp4", 3), 3)
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for image, expected in zip(images(open_one(path)), decoded, strict=True):
        np.testing.assert_array_equal(image, expected)


def test_regions_detections_results_and_the_written_video_are_in_shown_pixels(
    tmp_path: Path,
) -> None:
    squeezed = cv2.resize(quarters(320, 180), (160, 180))
    write(tmp_path / "cam.mp4", [squeezed] * 10, [Fraction(2)] * 10)
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{i},-1,{x},60,20,60,1\n" for i in range(1, 11) for x in (40, 240)))
    config = tmp_path / "site.yaml"
    config.write_text(
        "cameras:\n- {source: cam.mp4, roi: [[200, 0], [320, 0], [320, 180], [200, 180]]}\n",
        encoding="utf-8",
    )
    results = tmp_path / "run"
    given = ["--config", str(config), "--quiet", "--output", str(results)]
    settings = ["--set", f"detector.detections={boxes}", "--set", "reid.weights=none"]
    assert cli.main([*given, *settings]) == 0
    with (results / "tracks.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 10
    assert all(float(row["x1"]) == pytest.approx(240, abs=0.5) for row in rows)
    with av.open(str(results / "cam.mp4")) as written:
        stream = written.streams.video[0]
        assert (stream.width, stream.height) == (320, 180)
        assert stream.sample_aspect_ratio in (None, 1)
