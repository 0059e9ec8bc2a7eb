"""Cameras as iterables of `Frame` with true timestamps: video files and folders of images.

A file is read completely and loses nothing. Time is the presentation timestamp minus that of the
first frame, plus the camera's `start_s`; a frame count is never turned into time, so 29.97 stays
29.97 and variable rates are right. Clocks that jump are repaired, with a warning (see `clock`):
times in all results are seconds of the repaired clock.

A live camera is no such source: it cannot be asked for the next frame, since the newest one wins,
and it may come and go. A live run takes rounds of frames from `live.cameras.LiveCameras` instead.

- `source`: what all sources have in common
- `video`, `images`: the two kinds
- `picture`: shown pictures, upright and with square pixels
- `clock`: times that always grow
- `looks`: which frames have their image, where the detector does not look at all
- `ahead`: reading on a thread
- `live`: live cameras
"""

from pathlib import Path

from pipeline.address import Address
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.sources.ahead import read_ahead
from pipeline.sources.images import ImageFolder
from pipeline.sources.source import Source
from pipeline.sources.video import VideoFile

__all__ = ["ImageFolder", "Source", "VideoFile", "open_source", "read_ahead"]


def open_source(
    config: CameraConfig, settings: SourcesConfig, looks_per_s: float = 0, in_yuv: bool = False
) -> Source:
    """Open a named camera.

    Args:
        config: the camera.
        settings: how sources are read.
        looks_per_s: how many frames a second have their image, the others `NO_IMAGE`; 0 for all.
        in_yuv: read the pictures to draw on them, in YUV 4:2:0.

    Raises:
        SourceError: it cannot be read, or is a live stream.
    """
    address = Address.parse(config.source)
    shown = address.shown
    if address.is_live:
        raise SourceError(
            f"{shown}: is a live camera, which a live run reads (people-tracker --videos, or"
            " pipeline.follow_live); record to a file to read it here"
        )
    path = Path(config.source)
    try:
        n_bytes = path.stat().st_size
    except (OSError, ValueError):
        raise SourceError(f"{shown}: no such file or folder; check the path") from None
    if path.is_dir() and config.track:
        raise SourceError(
            f"{shown}: a folder of images has no tracks; leave out track of camera {config.name}"
        )
    if path.is_dir():
        return ImageFolder(config, settings, looks_per_s, in_yuv)
    if not path.is_file():
        raise SourceError(f"{shown}: is a pipe or a device, not a file; record to a file first")
    if n_bytes == 0:
        raise SourceError(f"{shown}: the file is empty; record or copy it again")
    return VideoFile(config, settings, looks_per_s, in_yuv)
