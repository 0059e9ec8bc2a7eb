"""Drawn videos have the pictures and the colours of their sources."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline import yuv
from pipeline.config import CameraConfig, OutputConfig, SourcesConfig
from pipeline.outputs.video import annotate
from pipeline.records import Array
from pipeline.sources import open_source
from pipeline.timings import Timings
from pipeline.yuv import Colours

UNTAGGED = Colours(2, 0, 2, 2)
BT601 = Colours(6, 1, 6, 6)
FULL_BT601 = Colours(6, 2, 6, 6)
FULL_BT709 = Colours(1, 2, 1, 1)
BT2020_PQ = Colours(9, 1, 9, 16)
BELOW_TITLE = 40
"""Rows that the camera's name may cover."""


@pytest.fixture
def photos(sample: Path) -> list[Array]:
    """A few pictures of the sample, BGR."""
    with av.open(str(sample / "cam1.mp4")) as container:
        return [
            frame.to_ndarray(format="bgr24")
            for frame in itertools.islice(container.decode(video=0), 0, 60, 20)
        ]


def write(
    path: Path,
    images: list[Array],
    colours: Colours,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
) -> Path:
    """Write images with tags that are true."""
    with av.open(str(path), "w") as container:
        options = {"crf": "4"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        colours.tag(stream.codec_context)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            if not pixel_format.startswith(("bgr", "rgb")):
                frame = frame.reformat(
                    format=pixel_format,
                    dst_colorspace=yuv.MATRICES[colours.matrix],
                    dst_color_range=max(colours.value_range, 1),
                )
                colours.tag(frame)
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def redrawn(source_path: Path, path: Path, image_fps: float = 0) -> Path:
    """Annotate a source in which nobody was found, nearly without loss."""
    config = CameraConfig(source=str(source_path), name="cam")
    source = open_source(config, SourcesConfig(image_fps=image_fps), in_yuv=True)
    settings = OutputConfig(crf=4)
    annotate(iter(source), source.camera, [], path, settings, Timings(), lambda: False)
    return path


def decoded(path: Path) -> Iterator[tuple[Colours, Array]]:
    """Tags and BGR images."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            tags = Colours(
                frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
            )
            yield tags, frame.to_ndarray(format="bgr24")


def mean_difference(first: Array, second: Array) -> float:
    height, width = first.shape[:2]
    cut = second[:height, :width]
    return float(np.abs(np.subtract(first, cut, dtype=np.int16))[BELOW_TITLE:].mean())


@pytest.mark.parametrize("colours", [UNTAGGED, BT601, yuv.BT709, FULL_BT601, FULL_BT709])
def test_a_drawn_video_shows_the_colours_of_its_source(
    tmp_path: Path, photos: list[Array], colours: Colours
) -> None:
    source = write(tmp_path / "source.mp4", photos, colours)
    drawn = redrawn(source, tmp_path / "drawn.mp4")
    for (tags, expected), (drawn_tags, image) in zip(decoded(source), decoded(drawn), strict=True):
        assert drawn_tags == tags == colours
        assert mean_difference(expected, image) < 0.5


@pytest.mark.parametrize(
    ("codec", "pixel_format", "colours", "drawn_colours"),
    [
        ("libx264", "yuv422p", yuv.BT709, yuv.BT709),
        ("libx264", "yuv444p", FULL_BT601, FULL_BT601),
        ("libx264", "yuv420p10le", BT2020_PQ, BT2020_PQ),
        ("mjpeg", "yuvj422p", Colours(5, 2, 2, 2), Colours(5, 2, 2, 2)),
        ("ffv1", "bgr0", UNTAGGED, yuv.BT709),
        ("ffv1", "gray", UNTAGGED, UNTAGGED),
    ],
)
def test_other_pixel_formats_are_converted_to_what_players_show_with_the_same_colours(
    tmp_path: Path,
    photos: list[Array],
    codec: str,
    pixel_format: str,
    colours: Colours,
    drawn_colours: Colours,
) -> None:
    source = write(tmp_path / "source.mkv", photos, colours, codec, pixel_format)
    drawn = redrawn(source, tmp_path / "drawn.mp4")
    with av.open(str(drawn)) as container:
        assert container.streams.video[0].codec_context.pix_fmt in yuv.FORMATS
    for (_, expected), (tags, image) in zip(decoded(source), decoded(drawn), strict=True):
        assert tags == drawn_colours
        assert mean_difference(expected, image) < 1.5


def test_colours_that_change_in_the_middle_of_a_file_are_converted_to_the_first_ones(
    tmp_path: Path, photos: list[Array]
) -> None:
    parts = [write(tmp_path / "a.ts", photos, BT601), write(tmp_path / "b.ts", photos, FULL_BT709)]
    source = tmp_path / "source.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    drawn = list(decoded(redrawn(source, tmp_path / "drawn.mp4")))
    assert {tags for tags, _ in drawn} == {BT601}
    assert len(drawn) > len(photos)
    for (_, image), photo in zip(drawn, [*photos, *photos], strict=False):
        assert mean_difference(photo, image) < 4


@pytest.mark.parametrize("first", [UNTAGGED, yuv.BT709, FULL_BT601, FULL_BT709])
@pytest.mark.parametrize("second", [BT601, FULL_BT709])
def test_converted_colours_look_the_same(first: Colours, second: Colours) -> None:
    red = np.full((48, 64, 3), (20, 30, 220), np.uint8)
    made = yuv.converted(yuv.from_bgr(red, first), 64, 48, second)
    assert yuv.colours_of(made) == second
    assert np.abs(np.subtract(yuv.to_bgr(made), red, dtype=np.int16)).max() <= 8


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_folders_of_images_keep_their_colours(
    tmp_path: Path, photos: list[Array], suffix: str
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i, photo in enumerate(photos):
        cv2.imwrite(str(folder / f"{i}{suffix}"), photo)
    drawn = list(decoded(redrawn(folder, tmp_path / "drawn.mp4", image_fps=10)))
    for (tags, image), photo in zip(drawn, photos, strict=True):
        assert tags == yuv.BT709
        assert mean_difference(photo, image) < 3


def test_a_usual_picture_is_not_converted_at_all(tmp_path: Path, photos: list[Array]) -> None:
    path = write(tmp_path / "a.mp4", photos, UNTAGGED)
    config = CameraConfig(source=str(path), name="cam")
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    source = open_source(config, SourcesConfig(), in_yuv=True)
    for frame, expected in zip(source, stored, strict=True):
        assert frame.picture is not None
        assert not frame.has_image
        np.testing.assert_array_equal(frame.picture.to_ndarray(), expected)


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1), (2, 3)])
def test_a_copy_has_the_pixels_of_its_original_and_an_even_size(size: tuple[int, int]) -> None:
    width, height = size
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    picture = yuv.from_bgr(image, FULL_BT601)
    copied = yuv.copy(picture)
    assert (copied.width, copied.height) == (width + width % 2, height + height % 2)
    assert yuv.colours_of(copied) == FULL_BT601
    for plane, original in zip(yuv.planes(copied), yuv.planes(picture), strict=True):
        padded = np.pad(original, [(0, n % 2) for n in original.shape], mode="edge")
        expected = original if plane.shape == original.shape else padded
        np.testing.assert_array_equal(plane, expected)
    yuv.planes(copied)[0][:] = 0
    assert yuv.planes(picture)[0].any()
