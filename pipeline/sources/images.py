"""Folders of numbered images."""

import configparser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2

from models import files
from pipeline import image_numbers, yuv
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import SourceError
from pipeline.records import NO_IMAGE, Array, Frame
from pipeline.sources.looks import Looks, lag_of
from pipeline.sources.source import camera_of, reason

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
MIN_FPS = 1e-6
"""One picture in 11 days."""
MAX_FPS = 1e6


class ImageFolder:
    """A folder of numbered images; the rate comes from MOT's seqinfo.ini or from
    `sources.image_fps`. Numbers in names are frame numbers, see `image_numbers`.
    """

    def __init__(
        self,
        config: CameraConfig,
        settings: SourcesConfig,
        looks_per_s: float = 0,
        in_yuv: bool = False,
    ) -> None:
        self._settings = settings
        self._in_yuv = in_yuv
        self.looks = Looks(looks_per_s, lag_of(settings.read_ahead_frames))
        self.warnings: list[str] = []
        folder = Path(config.source)
        fps = settings.image_fps
        if (folder / "seqinfo.ini").is_file():
            folder, fps = _read_seqinfo(folder, fps)
        _check_rate(config.source, fps)
        try:
            images = [
                path
                for path in folder.iterdir()
                if path.suffix.lower() in IMAGE_SUFFIXES and not _is_special(path)
            ]
        except OSError as error:
            raise SourceError(
                f"{folder}: is not a folder of images that can be read ({reason(error)})"
            ) from None
        self._paths = sorted(images, key=lambda p: files.natural(p.name))
        if not self._paths:
            raise SourceError(
                f"{config.source}: no images in this folder (looked for"
                f" {', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        if fps == 0:
            raise SourceError(
                f"{config.source}: a folder of images needs a rate; add --set sources.image_fps=25"
            )
        first = _read_image(self._paths[0])
        if first is None:
            raise SourceError(f"{self._paths[0]}: is not an image that can be read")
        names = [path.name for path in self._paths]
        self._numbering = image_numbers.number(names, fps, settings.numbers_in_names)
        camera = camera_of(config, first.shape[1], first.shape[0], fps, len(self._paths))
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
            if not self.looks.is_due(time_s):
                yield Frame(self.camera.name, index, self.camera.start_s + time_s, NO_IMAGE)
                continue
            image = _read_image(path)
            if image is None or image.shape[:2] != (self.camera.height, self.camera.width):
                bad.append(path.name)
                self.looks.unread()
                continue
            in_yuv = yuv.from_bgr(image) if self._in_yuv else None
            yield Frame(self.camera.name, index, self.camera.start_s + time_s, image, in_yuv)
        if bad:
            self.warnings.append(
                f"{self.camera.name}: {len(bad)} images unreadable or of another size, first"
                f" {bad[0]}"
            )


def _read_seqinfo(folder: Path, fps: float) -> tuple[Path, float]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(files.read_text(folder / "seqinfo.ini"))
        sequence = parser["Sequence"]
        return folder / sequence.get("imDir", "img1"), float(sequence.get("frameRate", str(fps)))
    except (OSError, configparser.Error, KeyError, ValueError) as error:
        raise SourceError(
            f"{folder}/seqinfo.ini: needs [Sequence] with frameRate ({reason(error)})"
        ) from None


def _check_rate(source: str, fps: float) -> None:
    """Raise SourceError when a rate can be that of no camera; 0 stands for an unknown one."""
    if fps != 0 and not MIN_FPS <= fps <= MAX_FPS:
        raise SourceError(
            f"{source}: {fps:g} frames/s is no rate of a camera (from {MIN_FPS:g} to {MAX_FPS:g});"
            " correct frameRate in seqinfo.ini, or sources.image_fps"
        )


def _is_special(path: Path) -> bool:
    """Whether this is a pipe or a device, which may never end; a broken link is none."""
    return path.exists() and not path.is_file()


def _read_image(path: Path) -> Array | None:
    try:
        image: Array | None = cv2.imread(str(path))
    except cv2.error:  # larger than OpenCV allows, as a damaged header may claim
        return None
    return image
