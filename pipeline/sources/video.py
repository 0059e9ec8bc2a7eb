"""Video files, read with PyAV."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline import hardware, yuv
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import NO_IMAGE, Frame
from pipeline.sources import clock
from pipeline.sources.clock import Clock, Pace
from pipeline.sources.looks import Looks, lag_of
from pipeline.sources.picture import (
    MAX_ASPECT,
    Orientation,
    Orientations,
    believed,
    shown,
    shown_in_yuv,
    shown_size,
)
from pipeline.sources.source import camera_of, reason
from pipeline.yuv import Colours, colours_of

FALLBACK_FPS = 25
N_LOOKED_AT = 300
"""Packets at the beginning, whose timestamps tell the pace of a file that has no full index, and
whether there are times of presentation.
"""
MAX_LOOKED_AT_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a file says of its video track before it is read.

    size: width and height of the first picture as it is shown.
    colours: those of the first picture in YUV.
    aspect: width of a stored pixel through its height.
    follows_codec: the aspect is the codec's, which can change; otherwise it is the file's.
    has_pts: pictures have presentation timestamps. AVI and careless copies have times of decoding
        in their place, which are out of order with B-frames: then those are the right ones.
    announced_s: duration of the track; 0 unknown.
    """

    size: tuple[int, int]
    colours: Colours
    aspect: Fraction
    follows_codec: bool
    pace: Pace
    fps: float
    n_frames: int
    has_pts: bool
    announced_s: float


class VideoFile:
    """A video file read with PyAV. Pictures are shown ones (see `picture`), all of the size of the
    first; a damaged file is read up to its break.
    """

    def __init__(
        self,
        config: CameraConfig,
        settings: SourcesConfig,
        looks_per_s: float = 0,
        in_yuv: bool = False,
    ) -> None:
        self._config, self._settings = config, settings
        self._in_yuv = in_yuv
        self.looks = Looks(looks_per_s, lag_of(settings.read_ahead_frames))
        self._is_accelerated = hardware.decoder(settings.decoder) != hardware.SOFTWARE
        self._n_damaged = 0
        self._n_without_memory = 0
        self._orientations = Orientations()
        self.warnings: list[str] = []
        try:
            with self._open() as container:
                self._facts = self._look(container, self._track(container))
        except (FFmpegError, StopIteration) as error:
            raise SourceError(
                f"{config.source}: is not a video that can be read ({reason(error)}); convert it"
                " to MP4 (H.264)"
            ) from None
        width, height = self._facts.size
        self.camera = camera_of(config, width, height, self._facts.fps, self._facts.n_frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield every `stride`-th frame; what was damaged or repaired is noted in `warnings`."""
        self._n_damaged = 0
        self._n_without_memory = 0
        sizes = _Sizes(self._facts.size)
        times = Clock(self._facts.pace, self._settings.max_gap_s)
        try:
            for index, (picture, aspect) in enumerate(self._pictures()):
                time_s = times.time_s(self._stamp_s(picture))
                if 0 < self._settings.max_seconds <= time_s:
                    return
                orientation = self._orientations.of(picture)
                sizes.note(shown_size(picture, aspect, orientation), time_s)
                if index % self._settings.stride == 0:
                    yield self._frame(index, time_s, picture, orientation)
            self._warn_of_missing(max(times.last_s, times.span_s) + self._facts.pace.interval_s)
        finally:
            if self._n_damaged:
                why = f", {self._n_without_memory} of them for lack of memory"
                reason_given = why if self._n_without_memory else ""
                self._warn(f"{self._n_damaged} damaged packets were skipped{reason_given}")
            for line in [*sizes.warnings(), *times.warnings()]:
                self._warn(line)

    def _frame(
        self, index: int, time_s: float, picture: av.VideoFrame, orientation: Orientation
    ) -> Frame:
        """A frame, with its picture in YUV or with its image where it is looked at."""
        size = self._facts.size
        image = NO_IMAGE
        in_yuv = None
        if self._in_yuv:
            in_yuv = shown_in_yuv(picture, size, orientation, self._facts.colours)
        elif self.looks.is_due(time_s):
            image = shown(picture, size, orientation)
        return Frame(self.camera.name, index, self.camera.start_s + time_s, image, in_yuv)

    def _pictures(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Decoded pictures, each with the aspect of its pixels."""
        try:
            with self._open() as container:
                stream = self._track(container)
                stream.thread_type = "AUTO"
                aspect = self._facts.aspect
                codec = stream.codec_context
                for picture in self._decode(container, stream):
                    is_of_picture = (picture.width, picture.height) == (codec.width, codec.height)
                    if self._facts.follows_codec and is_of_picture:  # the codec may be ahead
                        aspect = believed(codec.sample_aspect_ratio)
                    yield picture, aspect
        except FFmpegError as error:
            self._warn(f"reading stopped at a damaged place ({reason(error)})")

    def _stamp_s(self, picture: av.VideoFrame) -> float | None:
        """Timestamp of a picture in seconds; None where it has none."""
        if self._facts.has_pts:
            return picture.time
        if picture.dts is None or picture.time_base is None:
            return None
        return float(picture.dts * picture.time_base)

    def _open(self) -> InputContainer:
        return av.open(
            f"file:{self._config.source}",  # without "file:", a colon makes the name a protocol
            metadata_errors="replace",
            hwaccel=hardware.acceleration(self._settings.decoder),
        )

    def _track(self, container: InputContainer) -> VideoStream:
        """The video track to read; raises SourceError when there is none."""
        source = self._config.source
        tracks = _tracks(container)
        if not tracks:
            raise SourceError(
                f"{source}: is not a video that can be read (no pictures in it); convert it to MP4"
                " (H.264)"
            )
        if self._config.track > len(tracks):
            counted = "one video track" if len(tracks) == 1 else f"{len(tracks)} video tracks"
            raise SourceError(
                f"{source}: has {counted}, so there is no track {self._config.track}; set track of"
                f" camera {self._config.name} to {' or '.join(map(str, range(1, len(tracks) + 1)))}"
            )
        return tracks[max(self._config.track, 1) - 1]

    def _look(self, container: InputContainer, stream: VideoStream) -> _Facts:
        """Read the beginning; raises StopIteration when there are no pictures."""
        stamps: list[int] = []
        delays: set[int] = set()
        first = None
        n_bytes = 0
        for packet in _packets(container, stream):
            if packet.dts is not None:
                stamps.append(packet.dts)
            if packet.dts is not None and packet.pts is not None:
                delays.add(packet.pts - packet.dts)
            n_bytes += packet.size
            if first is None:
                first = next(self._decoded(packet), None)
            if first and (len(stamps) >= N_LOOKED_AT or n_bytes > MAX_LOOKED_AT_BYTES):
                break
        if first is None:
            first = next(iter(stream.decode(None)))
        self._warn_of_tracks(container)
        self._warn_of_aspect(stream)
        index = stream.index_entries
        if 0 < len(index) == stream.frames:
            stamps = [entry.timestamp for entry in index]
        in_order = bool(delays) and not stream.codec_context.has_b_frames
        has_pts = in_order or len(delays) > 1
        return self._facts_of(container, stream, first, stamps, has_pts)

    def _facts_of(
        self,
        container: InputContainer,
        stream: VideoStream,
        first: av.VideoFrame,
        stamps: list[int],
        has_pts: bool,
    ) -> _Facts:
        """What the file says, and what its timestamps say in the order of decoding."""
        rate = float(stream.average_rate or stream.guessed_rate or FALLBACK_FPS)
        stamps_s = np.array(stamps, np.float64) * float(stream.time_base or 1)
        pace = clock.pace(stamps_s, rate)
        fps = rate if pace.interval_s == 1 / rate else 1 / pace.interval_s
        own_s = float((stream.duration or 0) * (stream.time_base or 0))
        duration_s = own_s or (container.duration or 0) / av.time_base
        n_frames = stream.frames or round(duration_s * fps) or -1
        # the container's duration is that of its longest stream
        announced_s = duration_s if own_s or len(container.streams) == 1 else 0.0
        follows_codec = stream.sample_aspect_ratio == stream.codec_context.sample_aspect_ratio
        aspect = believed(stream.sample_aspect_ratio)
        size = shown_size(first, aspect, self._orientations.of(first))
        colours = colours_of(first)
        return _Facts(
            size, colours, aspect, follows_codec, pace, fps, n_frames, has_pts, announced_s
        )

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        for packet in _packets(container, stream):
            yield from self._decoded(packet)

    def _decoded(self, packet: "av.Packet[VideoStream]") -> Iterator[av.VideoFrame]:
        """Pictures that a packet completes; a damaged packet is counted."""
        try:
            for picture in packet.decode():
                yield yuv.in_planes(picture) if self._is_accelerated else picture
        except FFmpegError as error:
            self._n_damaged += 1
            self._n_without_memory += isinstance(error, MemoryError)

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self._config.name}: {text}")

    def _warn_of_tracks(self, container: InputContainer) -> None:
        ignored = _tracks(container)[1:]
        if self._config.track or not ignored:
            return
        named = [
            f"track {number} ({stream.width}x{stream.height})"
            for number, stream in enumerate(ignored, start=2)
        ]
        self._warn(
            f"the file has {len(named) + 1} video tracks; the first is read, and not"
            f" {', '.join(named)}. Set track: 1 for this camera if that is right, and add a camera"
            " with the same source and track: 2 to read another"
        )

    def _warn_of_aspect(self, stream: VideoStream) -> None:
        found = stream.sample_aspect_ratio
        if found and not 1 / MAX_ASPECT <= found <= MAX_ASPECT:
            self._warn(
                f"pixels of {found.numerator}:{found.denominator} are not believed; they are taken"
                " for square ones"
            )

    def _warn_of_missing(self, end_s: float) -> None:
        announced_s = self._facts.announced_s
        if announced_s - end_s > max(0.25, 2 * self._facts.pace.interval_s):
            self._warn(
                f"the video ends after {end_s:.1f} s of the {announced_s:.1f} s it announces (cut"
                " short or damaged); processed up to there"
            )


class _Sizes:
    """Notes where shown pictures change their size."""

    def __init__(self, first: tuple[int, int]) -> None:
        self._first = first
        self._last = first
        self._n_changes = 0
        self._change = ""
        self._changes_shape = False

    def note(self, size: tuple[int, int], time_s: float) -> None:
        """Note the size (width, height) of the next picture, and its time."""
        if size == self._last:
            return
        self._last = size
        self._n_changes += 1
        self._change = self._change or f"at {time_s:.2f} s to {size[0]}x{size[1]}"
        width, height = self._first
        self._changes_shape |= abs(size[0] * height - size[1] * width) > 0.02 * size[1] * width

    def warnings(self) -> list[str]:
        """Return what is to be told, without the name of the camera."""
        if not self._n_changes:
            return []
        width, height = self._first
        times = "" if self._n_changes == 1 else f" {self._n_changes} times, first"
        shape = (
            "; its shape changes too, so what is seen may be distorted, and roi and homography may"
            " not fit"
        )
        return [
            f"the picture changes its size{times} {self._change}; all pictures are scaled to the"
            f" first size, {width}x{height}{shape if self._changes_shape else ''}"
        ]


def _tracks(container: InputContainer) -> list[VideoStream]:
    """Video tracks, without cover pictures."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]


def _packets(container: InputContainer, stream: VideoStream) -> "Iterator[av.Packet[VideoStream]]":
    """Packets of a stream, with the empty one at the end that flushes the decoder."""
    with suppress(IndexError):  # PyAV fails after all that, where a stream appeared late
        yield from container.demux(stream)
