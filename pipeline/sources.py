"""Cameras as iterables of `Frame` with true timestamps: video files and folders of images.

A file is read completely and loses nothing. Time is the presentation timestamp minus that of the first frame, plus the
camera's `start_s`; a frame count is never turned into time, so 29.97 stays 29.97 and variable rates are right. A live
source will be one more class with the same three members (`camera`, `warnings`, iteration), chosen in `open_source`.
"""

import configparser
import queue
import re
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.error import FFmpegError

from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import Array, Camera, Frame
from pipeline.timings import Timings

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
POLL_S = 0.1


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
    if not path.exists():
        raise SourceError(f"{config.source}: no such file or folder; check the path")
    if path.is_dir():
        return ImageFolder(config, settings)
    if path.stat().st_size == 0:
        raise SourceError(f"{config.source}: the file is empty; record or copy it again")
    return VideoFile(config, settings)


def _camera(config: CameraConfig, width: int, height: int, fps: float, n_frames: int) -> Camera:
    homography = np.array(config.homography or np.zeros((0, 0)), dtype=np.float64)
    return Camera(config.name, config.source, width, height, fps, config.start_s, n_frames, homography)


class VideoFile:
    """A video file read with PyAV. Rotation metadata is honoured; a damaged file is read up to its break."""

    def __init__(self, config: CameraConfig, settings: SourcesConfig) -> None:
        self._config, self._settings = config, settings
        self.warnings: list[str] = []
        try:
            with av.open(config.source) as container:
                stream = container.streams.video[0]
                first = next(container.decode(stream))
                rate = stream.average_rate or stream.guessed_rate or 25
                duration = stream.duration or 0
                self._duration_s = float(duration * stream.time_base) if stream.time_base else 0.0
                if not duration and container.duration:
                    self._duration_s = container.duration / av.time_base
                n_frames = stream.frames or round(self._duration_s * rate) or -1
        except (FFmpegError, IndexError, StopIteration) as error:
            raise SourceError(
                f"{config.source}: is not a video that can be read ({_reason(error)}); convert it to MP4 (H.264)"
            ) from None
        turned = first.rotation % 180 != 0
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        self.camera = _camera(config, width, height, float(rate), n_frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield every `stride`-th frame; what is damaged is skipped and noted in `warnings`."""
        last_s = -1.0
        step_s = 1 / self.camera.fps
        origin: float | None = None
        for index, picture in enumerate(self._pictures()):
            raw_s = last_s + step_s if picture.time is None else picture.time
            origin = raw_s if origin is None else origin
            time_s = raw_s - origin
            if time_s <= last_s:
                time_s = last_s + step_s / 100  # a clock that stands still or jumps back
            last_s = time_s
            if 0 < self._settings.max_seconds <= time_s:
                return
            if index % self._settings.stride == 0:
                image = _upright(picture.to_ndarray(format="bgr24"), picture.rotation)
                yield Frame(self.camera.name, index, self.camera.start_s + time_s, image)
        self._note_missing(last_s + step_s)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        n_damaged = 0
        try:
            with av.open(self._config.source) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                for packet in container.demux(stream):
                    try:
                        yield from packet.decode()
                    except FFmpegError:
                        n_damaged += 1
        except FFmpegError as error:
            self.warnings.append(f"{self.camera.name}: reading stopped at a damaged place ({_reason(error)})")
        if n_damaged:
            self.warnings.append(f"{self.camera.name}: {n_damaged} damaged packets were skipped")

    def _note_missing(self, end_s: float) -> None:
        if self._duration_s - end_s > max(0.25, 2 / self.camera.fps):
            self.warnings.append(
                f"{self.camera.name}: the video ends after {end_s:.1f} s of the {self._duration_s:.1f} s it announces "
                "(cut short or damaged); processed up to there"
            )


class ImageFolder:
    """A folder of numbered images; the rate comes from MOT's seqinfo.ini or from `sources.image_fps`."""

    def __init__(self, config: CameraConfig, settings: SourcesConfig) -> None:
        self._settings = settings
        self.warnings: list[str] = []
        folder = Path(config.source)
        fps = settings.image_fps
        if (folder / "seqinfo.ini").is_file():
            folder, fps = _read_seqinfo(folder, fps)
        self._paths = sorted(
            (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES), key=lambda p: _natural(p.name)
        )
        if not self._paths:
            raise SourceError(f"{config.source}: no images in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        if fps <= 0:
            raise SourceError(f"{config.source}: a folder of images needs a rate; add --set sources.image_fps=25")
        first = cv2.imread(str(self._paths[0]))
        if first is None:
            raise SourceError(f"{self._paths[0]}: is not an image that can be read")
        self.camera = _camera(config, first.shape[1], first.shape[0], fps, len(self._paths))

    def __iter__(self) -> Iterator[Frame]:
        """Yield every `stride`-th image; unreadable ones and ones of another size are skipped and noted."""
        bad: list[str] = []
        for index in range(0, len(self._paths), self._settings.stride):
            time_s = index / self.camera.fps
            if 0 < self._settings.max_seconds <= time_s:
                break
            image = cv2.imread(str(self._paths[index]))
            if image is None or image.shape[:2] != (self.camera.height, self.camera.width):
                bad.append(self._paths[index].name)
                continue
            yield Frame(self.camera.name, index, self.camera.start_s + time_s, image.astype(np.uint8, copy=False))
        if bad:
            self.warnings.append(f"{self.camera.name}: {len(bad)} images unreadable or of another size, first {bad[0]}")


def read_ahead(source: Source, n_frames: int, timings: Timings) -> Generator[Frame, None, None]:
    """Read `source` on a thread of its own, at most `n_frames` ahead of the consumer.

    An exception in the thread is raised here; closing the generator stops and joins the thread. The thread's work counts as
    "decode" in `timings`, the consumer's idling as "wait for decode".
    """
    frames: queue.Queue[Frame | BaseException | None] = queue.Queue(maxsize=n_frames)
    stop = threading.Event()

    def put(item: Frame | BaseException | None) -> None:
        while not stop.is_set():
            try:
                frames.put(item, timeout=POLL_S)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            reading = iter(source)
            while not stop.is_set():
                with timings.stage("decode"):
                    frame = next(reading, None)
                put(frame)
                if frame is None:
                    return
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: it travels to the consumer
            put(error)

    def take() -> Frame | BaseException | None:
        while True:
            try:
                return frames.get(timeout=POLL_S)
            except queue.Empty:
                if not thread.is_alive() and frames.empty():
                    return None

    thread = threading.Thread(target=read, name=f"read {source.camera.name}", daemon=True)
    thread.start()
    try:
        while True:
            with timings.stage("wait for decode"):
                item = take()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _upright(image: Array, rotation_deg: int) -> Array:
    """Turn by the display matrix's angle, which PyAV gives counter-clockwise in degrees."""
    quarter_turns = round(rotation_deg / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_seqinfo(folder: Path, fps: float) -> tuple[Path, float]:
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        sequence = parser["Sequence"]
        return folder / sequence.get("imDir", "img1"), fps or float(sequence["frameRate"])
    except (configparser.Error, KeyError, ValueError) as error:
        raise SourceError(f"{folder}/seqinfo.ini: needs [Sequence] with frameRate ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or "no video in it"
    return " ".join(str(text).split())
