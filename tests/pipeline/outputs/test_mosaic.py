import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.outputs.mosaic import DARK, TILE_WIDTH_PX, Grid, tile, too_dark
from pipeline.outputs.video import Interrupted
from pipeline.records import Array, Camera
from tests.pipeline.outputs.people import camera
from tests.videos import write_video

HEIGHT_PX = 480  # of a tile, for cameras of 4:3


def make(
    folder: Path,
    name: str,
    n_frames: int,
    fps: float = 10,
    start_s: float = 0,
    size: tuple[int, int] = (64, 48),
) -> tuple[Camera, Path]:
    return replace(camera(name, fps=float(fps), size=size), start_s=start_s), write_video(
        folder / f"{name}.mp4", n_frames, fps, size
    )


def tiled(folder: Path, *made: tuple[Camera, Path], stop: bool = False) -> list[Array]:
    """The mosaic's images; their times are checked against the highest rate."""
    tile([c for c, _ in made], [v for _, v in made], folder / "mosaic.mp4", 23, lambda: stop)
    with av.open(str(folder / "mosaic.mp4")) as container:
        frames = list(container.decode(video=0))
    fps = max(c.fps for c, _ in made)
    assert [frame.time for frame in frames] == pytest.approx(
        [i / fps for i in range(len(frames))], abs=1e-5
    )
    return [frame.to_ndarray(format="bgr24") for frame in frames]


def running(images: list[Array], place: int, n_columns: int = 2) -> list[int]:
    """The frames in which a tile shows its camera: the white corner of the test pictures, where an
    empty tile is dark.
    """
    y, x = place // n_columns * HEIGHT_PX + 100, place % n_columns * TILE_WIDTH_PX + 130
    assert all(image[y, x].max() < DARK + 10 or image[y, x].min() > 200 for image in images)
    return [i for i, image in enumerate(images) if image[y, x].min() > 200]


@pytest.mark.parametrize(("n_cameras", "n_columns", "n_rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2)])
def test_tiles_form_a_square_as_far_as_they_go(
    tmp_path: Path, n_cameras: int, n_columns: int, n_rows: int
) -> None:
    images = tiled(tmp_path, *[make(tmp_path, f"cam{i}", 2) for i in range(n_cameras)])
    assert [image.shape for image in images] == [
        (n_rows * HEIGHT_PX, n_columns * TILE_WIDTH_PX, 3)
    ] * 2
    assert all(running(images, place, n_columns) == [0, 1] for place in range(n_cameras))
    assert not any(
        running(images, place, n_columns) for place in range(n_cameras, n_columns * n_rows)
    )


def test_the_mosaic_lasts_from_first_start_to_last_end_and_tiles_are_empty_outside_their_time(
    tmp_path: Path,
) -> None:
    early, late = make(tmp_path, "early", 8, start_s=100), make(tmp_path, "late", 10, start_s=100.5)
    images = tiled(tmp_path, early, late)
    assert len(images) == 15
    assert running(images, 0) == list(range(8))
    assert running(images, 1) == list(range(5, 15))


def test_a_slower_camera_holds_its_picture_until_the_next(tmp_path: Path) -> None:
    images = tiled(tmp_path, make(tmp_path, "slow", 4, fps=5), make(tmp_path, "fast", 8))
    assert running(images, 0) == running(images, 1) == list(range(8))
    brightness = np.array(
        [image[-40:, TILE_WIDTH_PX - 40 : TILE_WIDTH_PX].mean() for image in images]
    )
    assert [i for i in range(1, 8) if brightness[i] - brightness[i - 1] > 1] == [2, 4, 6]


@pytest.mark.parametrize("fps", [7, Fraction(60000, 1001)])
def test_no_frame_is_late_or_shown_twice_when_the_rate_does_not_fit_the_files_clock(
    tmp_path: Path, fps: float
) -> None:
    images = tiled(tmp_path, make(tmp_path, "cam", 12, fps=fps))
    assert len(images) == 12
    assert np.diff([image[-40:, -40:].mean() for image in images]).min() > 1


def test_a_camera_of_another_shape_keeps_its_proportions(tmp_path: Path) -> None:
    portrait = make(tmp_path, "portrait", 1, size=(48, 64))
    image = tiled(tmp_path, make(tmp_path, "wide", 1), portrait)[0][:, TILE_WIDTH_PX:]
    white = image.min(axis=2) > 200
    assert np.flatnonzero(white.any(axis=0))[[0, -1]] == pytest.approx([140, 140 + 90], abs=4)
    assert np.flatnonzero(white.any(axis=1))[[0, -1]] == pytest.approx([0, 120], abs=4)


def test_a_grid_says_where_the_pictures_of_a_camera_are(tmp_path: Path) -> None:
    sizes = [(64, 48), (48, 64), (80, 20)]
    made = [make(tmp_path, f"cam{i}", 1, size=size) for i, size in enumerate(sizes)]
    (image,) = tiled(tmp_path, *made)
    height, width = image.shape[:2]
    for number, size in enumerate(sizes):
        shares = np.array(Grid.of(sizes).place(number, size))
        left, top, wide, high = (shares * (width, height, width, height)).tolist()
        tile_top, tile_left = top // 160 * 160, left // 640 * 640
        own = image[int(tile_top) : int(tile_top) + 160, int(tile_left) : int(tile_left) + 640]
        (rows,) = (own.min(axis=2) > 200).any(axis=1).nonzero()
        (columns,) = (own.min(axis=2) > 200).any(axis=0).nonzero()
        assert (rows[0], columns[0]) == pytest.approx((top - tile_top, left - tile_left), abs=4)
        assert (len(rows), len(columns)) == pytest.approx((high / 4, wide / 4), abs=6)


@pytest.mark.parametrize(
    ("spans_s", "said"),
    [
        ({"a": (0, 60), "b": (0, 10)}, ""),
        ({"a": (0, 60), "b": (660, 700)}, ""),
        ({"a": (0, 60), "b": (661, 700)}, "b starts 601 s after the end of a"),
        ({"a": (0, 900), "b": (5, 20), "c": (1400, 1500)}, ""),
        ({"late": (1.7e9, 1.7e9 + 9), "early": (0, 30)}, "late starts 1699999970 s after"),
        ({"a": (0, float("inf")), "b": (9000, 9100)}, ""),
    ],
)
def test_times_in_which_no_camera_has_a_picture_are_bounded(
    spans_s: dict[str, tuple[float, float]], said: str
) -> None:
    assert said in too_dark(spans_s)
    assert bool(said) == bool(too_dark(spans_s))


@pytest.mark.parametrize(
    ("sizes", "tile_height"),
    [
        ([(4000, 2)], 160),
        ([(2, 4000)], 1280),
        ([(4000, 2), (2, 4000)], 160),
        ([(64, 48), (2, 4000)], 480),
    ],
)
def test_pictures_of_extreme_shapes_get_tiles_of_a_usual_shape(
    tmp_path: Path, sizes: list[tuple[int, int]], tile_height: int
) -> None:
    made = [make(tmp_path, f"cam{i}", 2, size=size) for i, size in enumerate(sizes)]
    images = tiled(tmp_path, *made)
    assert [image.shape for image in images] == [(tile_height, len(sizes) * TILE_WIDTH_PX, 3)] * 2


def test_a_flat_picture_is_shown_in_the_middle_of_its_tile(tmp_path: Path) -> None:
    (image,) = tiled(tmp_path, make(tmp_path, "cam", 1, size=(4000, 80)))
    rows = np.flatnonzero((image.min(axis=2) > 150).any(axis=1))
    assert image.shape == (160, TILE_WIDTH_PX, 3)
    assert (rows[0], rows[-1]) == (pytest.approx(74, abs=3), pytest.approx(77, abs=3))


def test_a_pause_of_hours_is_one_still_picture_of_its_length(tmp_path: Path) -> None:
    times_s = [i / 10 + 18_000 * (i >= 10) for i in range(20)]
    video = write_video(tmp_path / "cam.mp4", 20, 10, times_s=times_s)
    other = make(tmp_path, "short", 5)
    started_s = time.process_time()
    cameras = [camera("cam", fps=10.0, size=(64, 48)), other[0]]
    tile(cameras, [video, other[1]], tmp_path / "mosaic.mp4", 23, lambda: False)
    assert time.process_time() - started_s < 20
    with av.open(str(tmp_path / "mosaic.mp4")) as container:
        shown_s = [frame.time for frame in container.decode(video=0)]
    assert shown_s == pytest.approx(times_s, abs=0.11)
    assert len(shown_s) <= 22


def test_an_interrupted_mosaic_says_so(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        tiled(tmp_path, make(tmp_path, "cam", 2), stop=True)
