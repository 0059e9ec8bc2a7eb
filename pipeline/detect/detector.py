"""The one seam through which people are found, and the choice of who finds them."""

from pathlib import Path
from typing import Protocol

from models import device as devices
from models import weights
from models.errors import InputError
from pipeline.config import DetectorConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.records import Detections, Frame


class Detector(Protocol):
    """Finds people in frames of any number of cameras."""

    name: str
    """What runs, for people: "YOLO yolo11n.pt", "HOG", "detections file"."""
    files: tuple[Path, ...]
    """What it was loaded from; empty when nothing was."""

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return one `Detections` per frame, in the order of `frames`."""
        ...


def build(config: DetectorConfig, device: str, cameras: list[str]) -> tuple[Detector, list[str]]:
    """Return the detector that `config` asks for and notes for the user; raises ConfigError,
    ModelError, SourceError.
    """
    if config.detections:
        from pipeline.detect.mot_file import MotFileDetector

        if config.weights != "auto":
            raise ConfigError(
                "detector.detections and detector.weights exclude each other; give one of them"
            )
        return MotFileDetector(Path(config.detections), cameras, config.min_score), []
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

        return HogDetector(config), notes
    from pipeline.detect.yolo import YoloDetector

    return YoloDetector(chosen, config, device), notes
