"""The one seam through which people are found, and the choice of who finds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from models import device as devices
from models import weights
from models.errors import InputError
from models.runtimes.choice import Choice
from models.runtimes.names import PrecisionName, RuntimeName
from pipeline.config import DetectorConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.records import Camera, Detections, Frame
from pipeline.sources.looks import RATES_PER_S


class Detector(Protocol):
    """Finds people in frames of any number of cameras."""

    name: str
    """What runs, for people: "YOLO yolo11n.pt", "HOG", "detections file"."""
    files: tuple[Path, ...]
    """What it was loaded from; empty when nothing was."""
    choice: Choice
    """The runtime that computes it, and its precision; empty when it is no network."""

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what it finds; complete when the last frame has been given."""
        ...

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return one `Detections` per frame, in the order of `frames`."""
        ...


def build(
    config: DetectorConfig,
    device: str,
    cameras: Sequence[Camera],
    runtime: RuntimeName = "torch",
    precision: PrecisionName = "auto",
) -> tuple[Detector, list[str]]:
    """Choose and load the detector.

    Args:
        config: The settings of the detector.
        device: Name of a device, or "auto".
        cameras: The cameras that it is for.
        runtime: What computes a network, see `models.runtimes.choice`.
        precision: In which precision.

    Returns:
        The detector, and notes for the user.

    Raises:
        PipelineError: A setting, the weights or a file of detections cannot be used.
    """
    if config.detections:
        from pipeline.detect.mot_file import MotFileDetector

        if config.weights != "auto":
            raise ConfigError(
                "detector.detections and detector.weights exclude each other; give one of them"
            )
        from_file = MotFileDetector(
            Path(config.detections),
            cameras,
            config.min_score,
            config.first_frame,
            _numbers(config.classes),
        )
        return from_file, []
    chosen = config.weights
    notes: list[str] = []
    if chosen == "auto":
        try:
            bundled = weights.bundled("detector", devices.resolve(device).type)
        except InputError as error:
            raise ModelError(str(error)) from None
        if bundled is None:
            chosen = "hog"
            notes = [
                "no person detector is bundled: using OpenCV's HOG, which misses many people; "
                "for far better results give YOLO weights: --set detector.weights=yolo11n.pt"
            ]
        else:
            chosen = str(bundled)
    if chosen == "hog":
        from pipeline.detect.hog import HogDetector

        if config.classes:
            raise ConfigError(
                "detector.classes: HOG knows people only; leave it out, or give detector.weights"
            )
        return HogDetector(config), notes
    from pipeline.detect.yolo import YoloDetector

    yolo = YoloDetector(chosen, config, device, runtime, precision)
    return yolo, [*notes, *yolo.notes]


def rate(config: DetectorConfig) -> float:
    """Return how many frames of a camera are looked at in a second, at first; 0 for all."""
    if isinstance(config.rate, float):
        return config.rate
    return RATES_PER_S[0] if is_adaptive(config) else 0.0


def is_adaptive(config: DetectorConfig) -> bool:
    """Whether each camera's rate follows what it shows (`LookRate`)."""
    return config.rate == "auto" and not config.detections


def skips_unchanged(config: DetectorConfig) -> bool:
    """Whether pictures that have not changed are not looked at again (`LastLook`)."""
    return config.skip_unchanged and config.rate != "all" and not config.detections


def _numbers(classes: Sequence[int | str]) -> list[int]:
    """Classes as numbers, as files of boxes have them; raises ConfigError."""
    if names := [name for name in classes if isinstance(name, str)]:
        raise ConfigError(
            f"detector.classes: {names[0]} is a name, but the boxes of detector.detections have"
            " numbers in column 8; give the number"
        )
    return [number for number in classes if isinstance(number, int)]
