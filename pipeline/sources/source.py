"""What all sources have in common."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from pipeline.address import Address
from pipeline.config import CameraConfig
from pipeline.records import Camera, Frame
from pipeline.sources.looks import Looks


class Source(Protocol):
    """A camera that can be read once; `warnings` is complete when the iteration has ended.

    looks: which frames have an image; others have `NO_IMAGE`.
    """

    camera: Camera
    looks: Looks
    warnings: list[str]

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in time order."""
        ...


def camera_of(config: CameraConfig, width: int, height: int, fps: float, n_frames: int) -> Camera:
    """Return the record of a configured camera whose pictures are `width` x `height` px."""
    homography = np.array(config.homography or np.zeros((0, 0)), dtype=np.float64)
    return Camera(
        config.name,
        Address.parse(config.source).shown,
        width,
        height,
        fps,
        config.start_s,
        n_frames,
        homography,
        last_index=max(n_frames, 0) - 1,
    )


def reason(error: BaseException) -> str:
    """Return in one line why a source cannot be read."""
    no_pictures = isinstance(error, (IndexError, StopIteration))
    text = "no pictures in it" if no_pictures else getattr(error, "strerror", None) or error
    return " ".join(str(text).split())
