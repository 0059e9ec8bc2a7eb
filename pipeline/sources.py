"""Cameras as iterables of `Frame` with true timestamps: video files and folders of images.

A file is read completely and loses nothing. Time is the presentation timestamp minus that of the
first frame, plus the camera's `start_s`; a frame count is never turned into time, so 29.97 stays
29.97 and variable rates are right. A live source will be one more class with the same three members
(`camera`, `warnings`, iteration), chosen in `open_source`.
"""

import configparser
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from models import files
from pipeline import image_numbers
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Array, Camera, Frame
from pipeline.timings import Timings

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
POLL_S = 0.1
JOIN_S = 5.0
"""How long closing a reader waits for its thread, which may hang in a read from a dead disk."""
RESTART_S = 1.0
"""A clock that jumps back further than this has started anew: recordings joined into one file."""


class Source(Protocol):
    """A camera that can be read once; `warnings` is complete when the iteration has ended."""

    camera: Camera
    warnings: list[str]

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in time order."""
        ...


def open_source(config: CameraConfig, settings: SourcesConfig) -> Source:
    """Open a named camera; raises SourceError when it cannot be read."""
    if "://" in config.source:
        raise SourceError(f"{config.source}: streams are not supported yet; record to a file first")
    path = Path(config.source)
    try:
        n_bytes = path.stat().st_size
    except (OSError, ValueError):
        raise SourceError(f"{config.source}: no such file or folder; check the path") from None
    if path.is_dir():
        return ImageFolder(config, settings)
    if n_bytes == 0:
        raise SourceError(f"{config.source}: the file is empty; record or copy it again")
    return VideoFile(config, settings)


def _camera(config: CameraConfig, width: int, height: int, fps: float, n_frames: int) -> Camera:
    homography = np.array(config.homography or np.zeros((0, 0)), dtype=np.float64)
    return Camera(
        config.name, config.source, width, height, fps, config.start_s, n_frames, homography
    )


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
                f"{config.source}: is not a video that can be read ({_reason(error)}); convert it"
                " to MP4 (H.264)"
            ) from None
        turned = first.rotation % 180 != 0
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        camera = _camera(config, width, height, float(rate), n_frames)
        self.camera = replace(camera, last_index=max(n_frames, 0) - 1)

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
                f"{self.camera.name}: reading stopped at a damaged place ({_reason(error)})"
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


class ImageFolder:
    """A folder of numbered images; the rate comes from MOT's seqinfo.ini or from
    `sources.image_fps`. Numbers in names are frame numbers, see `image_numbers`.
    """

    def __init__(self, config: CameraConfig, settings: SourcesConfig) -> None:
        self._settings = settings
        self.warnings: list[str] = []
        folder = Path(config.source)
        fps = settings.image_fps
        if (folder / "seqinfo.ini").is_file():
            folder, fps = _read_seqinfo(folder, fps)
        try:
            images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        except OSError as error:
            raise SourceError(
                f"{folder}: is not a folder of images that can be read ({_reason(error)})"
            ) from None
        self._paths = sorted(images, key=lambda p: files.natural(p.name))
        if not self._paths:
            raise SourceError(
                f"{config.source}: no images in this folder (looked for"
                f" {', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        if fps <= 0:
            raise SourceError(
                f"{config.source}: a folder of images needs a rate; add --set sources.image_fps=25"
            )
        first = _read_image(self._paths[0])
        if first is None:
            raise SourceError(f"{self._paths[0]}: is not an image that can be read")
        names = [path.name for path in self._paths]
        self._numbering = image_numbers.number(names, fps, settings.numbers_in_names)
        camera = _camera(config, first.shape[1], first.shape[0], fps, len(self._paths))
        indices = self._numbering.indices
        self.camera = replace(camera, first_index=indices[0], last_index=indices[-1])

    def __iter__(self) -> Iterator[Frame]:
        """Yield every `stride`-th image; unreadable ones and ones of another size are skipped and
        noted.
        """
        self.warnings += [f"{self.camera.name}: {text}" for text in self._numbering.warnings]
        bad: list[str] = []
        indices = self._numbering.indices
        period = self._settings.stride * self._numbering.step
        for index, path in zip(indices, self._paths, strict=True):
            time_s = (index - indices[0]) / self.camera.fps
            if (index - indices[0]) % period:
                continue
            if 0 < self._settings.max_seconds <= time_s:
                break
            image = _read_image(path)
            if image is None or image.shape[:2] != (self.camera.height, self.camera.width):
                bad.append(path.name)
                continue
            yield Frame(self.camera.name, index, self.camera.start_s + time_s, image)
        if bad:
            self.warnings.append(
                f"{self.camera.name}: {len(bad)} images unreadable or of another size, first"
                f" {bad[0]}"
            )


def read_ahead(source: Source, n_frames: int, timings: Timings) -> Generator[Frame, None, None]:
    """Read `source` on a thread of its own.

    Closing the generator stops the thread. When the thread does not end within `JOIN_S`, a warning
    is added to the source, and the thread dies with the process.

    Args:
        source: what to read.
        n_frames: how many frames may wait for the consumer.
        timings: the thread's work counts as "decode", the consumer's idling as "wait for decode".

    Yields:
        The frames of the source, in its order.

    Raises:
        BaseException: what the source raised, after the frames before it.
    """
    frames: queue.SimpleQueue[Frame | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(
        n_frames
    )  # taken before decoding: a full queue would let the thread hold one more
    stop = threading.Event()

    def read() -> None:
        try:
            reading = iter(source)
            while not stop.is_set():
                if not room.acquire(timeout=POLL_S):
                    continue
                with timings.stage("decode"):
                    frame = next(reading, None)
                frames.put(frame)
                if frame is None:
                    return
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: it travels to the consumer
            frames.put(error)

    thread = threading.Thread(target=read, name=f"read {source.camera.name}", daemon=True)
    thread.start()
    try:
        while True:
            try:
                with timings.stage("wait for decode", 0):
                    item = frames.get(timeout=POLL_S)
            except queue.Empty:
                continue  # the thread ends with None or an exception, always
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item
    finally:
        stop.set()
        thread.join(JOIN_S)
        if thread.is_alive():
            source.warnings.append(
                f"{source.camera.name}: reading did not stop within {JOIN_S:g} s; check the disk or"
                " the network that it is read from"
            )


def _upright(image: Array, rotation_deg: int) -> Array:
    """Turn by the display matrix's angle, which PyAV gives counter-clockwise in degrees."""
    quarter_turns = round(rotation_deg / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _read_seqinfo(folder: Path, fps: float) -> tuple[Path, float]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(files.read_text(folder / "seqinfo.ini"))
        sequence = parser["Sequence"]
        return folder / sequence.get("imDir", "img1"), float(sequence.get("frameRate", str(fps)))
    except (OSError, configparser.Error, KeyError, ValueError) as error:
        raise SourceError(
            f"{folder}/seqinfo.ini: needs [Sequence] with frameRate ({_reason(error)})"
        ) from None


def _read_image(path: Path) -> Array | None:
    try:
        image: Array | None = cv2.imread(str(path))
    except cv2.error:  # larger than OpenCV allows, as a damaged header may claim
        return None
    return image


def _reason(error: BaseException) -> str:
    no_pictures = isinstance(error, (IndexError, StopIteration))
    text = "no pictures in it" if no_pictures else getattr(error, "strerror", None) or error
    return " ".join(str(text).split())
