"""One video with all cameras side by side on the common clock, tiled from their annotated
videos.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

from pipeline import hardware, yuv
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.outputs.video import Encoder, Interrupted
from pipeline.records import Camera, Frame
from pipeline.sources import VideoFile
from pipeline.yuv import Colours

NO_MOSAIC = "no mosaic"
"""Begins the line that says why there is none."""
TILE_WIDTH_PX = 640
TILE_SHAPES = (0.25, 2.0)
"""Height of a tile through its width: flatter and higher pictures get margins."""
DARK = 24
TOLERANCE_S = 1e-4
"""Files round times to 1/90000 s: without it, every other frame of a 7 or 59.94 fps camera would
come one picture late.
"""
MAX_DARK_S = 600.0
"""Longest time in which no camera may have a picture. A `start_s` in seconds since 1970 beside a 0
would fill the disk with dark frames.
"""

ANY_GAP_S = 1e12
"""The annotated videos have the times that were meant, pauses among them."""
MAX_STILL_S = 10.0
"""After this long without a new picture, the same one is not written again until the next."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the cameras are: row by row, in tiles of `TILE_WIDTH_PX` x `tile_height_px`."""

    n_columns: int
    n_rows: int
    tile_height_px: int

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]]) -> "Grid":
        """Return the grid of cameras.

        Args:
            sizes: width and height of the pictures of each, px, one camera or more.
        """
        n_columns = math.ceil(math.sqrt(len(sizes)))
        n_rows = math.ceil(len(sizes) / n_columns)
        flattest = min(height / width for width, height in sizes)
        shape = float(np.clip(flattest, *TILE_SHAPES))
        height = round(TILE_WIDTH_PX * shape / 2) * 2  # H.264 takes even sizes only
        return cls(n_columns, n_rows, height)

    def place(self, number: int, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return where the picture of a camera is.

        Args:
            number: how many cameras are before it.
            size: width and height of its pictures, px.

        Returns:
            Left, top, width and height, in shares of the mosaic.
        """
        row, column = divmod(number, self.n_columns)
        width, height = size
        scale = min(TILE_WIDTH_PX / width, self.tile_height_px / height)
        share_x = scale * width / TILE_WIDTH_PX
        share_y = scale * height / self.tile_height_px
        left = (column + (1 - share_x) / 2) / self.n_columns
        top = (row + (1 - share_y) / 2) / self.n_rows
        return left, top, share_x / self.n_columns, share_y / self.n_rows


class _Tile:
    """One camera's place in the mosaic, of `width` x `height` px, which are even."""

    def __init__(
        self, camera: Camera, video: Path, width: int, height: int, colours: Colours
    ) -> None:
        self._colours = colours
        self._frames = _read(camera, video)
        self._following = next(self._frames, None)
        self._interval_s = 1 / camera.fps
        self._until_s = -math.inf
        empty = np.full((height, width, 3), DARK, np.uint8)
        cv2.putText(
            empty,
            camera.name,
            (16, 40),
            cv2.FONT_HERSHEY_SIMPLEX,
            1,
            (96, 96, 96),
            2,
            cv2.LINE_AA,
        )
        self._empty = yuv.from_bgr(empty, colours)
        self._picture = self._empty

    def at(self, time_s: float) -> av.VideoFrame:
        """Return the latest picture, or an empty tile before the camera's start and after its
        end.
        """
        while self._following is not None and self._following.time_s <= time_s + TOLERANCE_S:
            if self._following.picture is not None:
                self._picture = self._fit(self._following.picture)
            self._until_s = self._following.time_s + self._interval_s - TOLERANCE_S
            self._following = next(self._frames, None)
        return self._picture if self.runs(time_s) else self._empty

    def changes_s(self, time_s: float) -> float:
        """Return when something else is shown than at this time; inf for never."""
        if self._following is not None:
            return self._following.time_s
        return self._until_s if time_s < self._until_s else math.inf

    def runs(self, time_s: float) -> bool:
        """Whether this camera has pictures at or after this time."""
        return self._following is not None or time_s < self._until_s

    def _fit(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Scale a picture into the tile, centred, its proportions kept."""
        width = self._empty.width
        height = self._empty.height
        scale = min(width / picture.width, height / picture.height)
        small = yuv.converted(
            picture,
            _even(picture.width * scale),
            _even(picture.height * scale),
            self._colours,
            Interpolation.AREA if scale < 1 else Interpolation.BILINEAR,
        )
        if (small.width, small.height) == (width, height):
            return small
        fitted = _dark(width, height, self._colours)
        left = (width - small.width) // 4 * 2
        top = (height - small.height) // 4 * 2
        yuv.put(yuv.planes(small), yuv.planes(fitted), left, top)
        return fitted


def _read(camera: Camera, video: Path) -> Iterator[Frame]:
    """Read the annotated video of a camera, on the common clock."""
    config = CameraConfig(source=str(video), name=camera.name, start_s=camera.start_s)
    return iter(VideoFile(config, SourcesConfig(max_gap_s=ANY_GAP_S), in_yuv=True))


def too_dark(spans_s: Mapping[str, tuple[float, float]]) -> str:
    """Say when there would be nothing to show for more than `MAX_DARK_S`.

    Args:
        spans_s: first and last time of each camera's pictures on the common clock, seconds; inf
            where the end is not known.

    Returns:
        One line for the user that names the cameras; "" where the mosaic can be written.
    """
    by_start = sorted(spans_s.items(), key=lambda item: item[1])
    shown_until_s = -math.inf
    last_camera = ""
    for camera, (start_s, end_s) in by_start:
        if last_camera and start_s - shown_until_s > MAX_DARK_S:
            return (
                f"{NO_MOSAIC}: {camera} starts {start_s - shown_until_s:.0f} s after the end of"
                f" {last_camera}, and at most {MAX_DARK_S:.0f} s may be without a picture; set"
                " start_s of all cameras on the same clock, or leave out output.mosaic"
            )
        if end_s > shown_until_s:
            shown_until_s = end_s
            last_camera = camera
    return ""


def tile(
    cameras: Sequence[Camera],
    videos: Sequence[Path],
    path: Path,
    crf: int,
    stop: Callable[[], bool],
    encoder: str = hardware.X264,
) -> None:
    """Write the mosaic, at the highest frame rate among the cameras.

    Args:
        cameras: one or more cameras.
        videos: their annotated videos.
        path: the file to write.
        crf: quality, 0 (best) to 51.
        stop: is asked before each frame whether to stop.
        encoder: what encodes it, see `hardware`.

    Raises:
        Interrupted: `stop` said so.
    """
    grid = Grid.of([(camera.width, camera.height) for camera in cameras])
    height = grid.tile_height_px
    colours = _colours_of(cameras[0], videos[0])
    tiles = [
        _Tile(camera, video, TILE_WIDTH_PX, height, colours)
        for camera, video in zip(cameras, videos, strict=True)
    ]
    fps = max(camera.fps for camera in cameras)
    start_s = min(camera.start_s for camera in cameras)
    size = (grid.n_columns * TILE_WIDTH_PX, grid.n_rows * height)
    with Encoder(path, *size, fps, crf, encoder) as writer:
        index = 0
        while True:
            if stop():
                raise Interrupted
            time_s = start_s + index / fps
            canvas = _dark(*size, colours)
            for place, in_place in enumerate(tiles):
                row, column = divmod(place, grid.n_columns)
                shown = yuv.planes(in_place.at(time_s))
                yuv.put(shown, yuv.planes(canvas), column * TILE_WIDTH_PX, row * height)
            if not any(each.runs(time_s) for each in tiles):
                break
            writer.write(canvas, index / fps)
            index += 1
            still_until_s = min(each.changes_s(time_s) for each in tiles)
            if MAX_STILL_S < still_until_s - time_s < math.inf:
                index = max(index, math.floor((still_until_s - start_s) * fps))


def _colours_of(camera: Camera, video: Path) -> Colours:
    """Return the colours of a video, which has pictures."""
    picture = next(_read(camera, video)).picture
    return yuv.BT709 if picture is None else yuv.colours_of(picture)


def _dark(width: int, height: int, colours: Colours) -> av.VideoFrame:
    made = yuv.blank(width, height, colours)
    yuv.fill(yuv.planes(made), yuv.samples((DARK, DARK, DARK), colours))
    return made


def _even(n_px: float) -> int:
    """Return the nearest even number, but for 0: chroma has half the rows and columns."""
    return max(2, round(n_px / 2) * 2)
