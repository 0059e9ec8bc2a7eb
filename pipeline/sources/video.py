"""Video files, read with PyAV."""

from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Array, Frame
from pipeline.sources.source import camera_of, reason

RESTART_S = 1.0
"""A clock that jumps back further than this has started anew: recordings joined into one file."""


class VideoFile:
    """A video file read with PyAV. Rotation metadata is honoured; a damaged file is read up to its
    break.
    """

    def __init__(self, config: CameraConfig, settings: SourcesConfig) -> None:
        self._config, self._settings = config, settings
        self._n_damaged = 0
        self.warnings: list[str] = []
        try:
            with self._open() as container:
                stream = container.streams.video[0]
                first = next(self._decode(container, stream))
                rate = stream.average_rate or stream.guessed_rate or 25
                duration_s = (
                    float((stream.duration or 0) * (stream.time_base or 0))
                    or (container.duration or 0) / av.time_base
                )
                n_frames = stream.frames or round(duration_s * rate) or -1
                own = stream.duration or len(container.streams) == 1
                self._duration_s = (
                    duration_s if own else 0.0
                )  # the container's would be that of its longest stream
        except (FFmpegError, IndexError, StopIteration) as error:
            raise SourceError(
                f"{config.source}: is not a video that can be read ({reason(error)}); convert it"
                " to MP4 (H.264)"
            ) from None
        turned = first.rotation % 180 != 0
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        self.camera = camera_of(config, width, height, float(rate), n_frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield every `stride`-th frame; what is damaged is skipped and noted in `warnings`."""
        self._n_damaged, time_s = 0, 0.0
        try:
            for index, (time_s, picture) in enumerate(self._timed()):
                if 0 < self._settings.max_seconds <= time_s:
                    return
                if index % self._settings.stride == 0:
                    image = _upright(picture.to_ndarray(format="bgr24"), picture.rotation)
                    yield Frame(self.camera.name, index, self.camera.start_s + time_s, image)
            self._note_missing(time_s + 1 / self.camera.fps)
        finally:
            if self._n_damaged:
                self.warnings.append(
                    f"{self.camera.name}: {self._n_damaged} damaged packets were skipped"
                )

    def _timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Pictures and seconds since the first, carried on where the clock is missing, stands still
        or starts anew.
        """
        step_s = 1 / self.camera.fps
        origin: float | None = None
        last_s = -step_s
        for picture in self._pictures():
            time_s = last_s + step_s
            if picture.time is not None:
                if origin is None or picture.time - origin < last_s - RESTART_S:
                    origin = picture.time - time_s
                time_s = max(picture.time - origin, last_s + step_s / 100)
            last_s = time_s
            yield time_s, picture

    def _pictures(self) -> Iterator[av.VideoFrame]:
        try:
            with self._open() as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                yield from self._decode(container, stream)
        except FFmpegError as error:
            self.warnings.append(
                f"{self.camera.name}: reading stopped at a damaged place ({reason(error)})"
            )

    def _open(self) -> InputContainer:
        return av.open(
            f"file:{self._config.source}"
        )  # without "file:", a colon in the name makes it a protocol

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except FFmpegError:
                self._n_damaged += 1

    def _note_missing(self, end_s: float) -> None:
        if self._duration_s - end_s > max(0.25, 2 / self.camera.fps):
            self.warnings.append(
                f"{self.camera.name}: the video ends after {end_s:.1f} s of the"
                f" {self._duration_s:.1f} s it announces (cut short or damaged); processed up to"
                " there"
            )


def _upright(image: Array, rotation_deg: int) -> Array:
    """Turn by the display matrix's angle, which PyAV gives counter-clockwise in degrees."""
    quarter_turns = round(rotation_deg / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
