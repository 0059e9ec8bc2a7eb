"""YOLO weights as a detector of the pipeline; `models.detector.inference` does the work."""

from pathlib import Path

from models import device as devices
from models.detector.inference import PersonDetector
from models.errors import InputError
from models.runtimes.names import PrecisionName, RuntimeName
from pipeline.config import DetectorConfig
from pipeline.errors import ModelError
from pipeline.records import Detections, Frame


class YoloDetector:
    """Any weights that `PersonDetector` can load."""

    def __init__(
        self,
        weights: str,
        config: DetectorConfig,
        device: str,
        runtime: RuntimeName = "torch",
        precision: PrecisionName = "auto",
    ) -> None:
        self.name = f"YOLO {Path(weights).name}"
        on = devices.resolve(device)
        try:
            self._detector = PersonDetector(
                weights,
                config.architecture,
                config.size_px,
                config.min_score,
                config.nms_iou,
                str(on),
                config.classes,
                runtime,
                precision,
            )
        except InputError as error:
            hint = ""
            if "name its architecture" in str(error):
                hint = "; for example --set detector.architecture=yolo11n.yaml"
            elif "name the class of people" in str(error):
                hint = "; for example --set detector.classes=[NAME]"
            raise ModelError(f"{error}{hint}") from None
        self.files: tuple[Path, ...] = (self._detector.path,)
        self.choice = self._detector.choice
        self.notes = self._detector.notes

    @property
    def warnings(self) -> list[str]:
        """Sizes of pictures that the chosen runtime cannot compute."""
        return self._detector.warnings

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return people with score >= `min_score`, boxes clipped to the image."""
        found = self._detector.detect([frame.image for frame in frames])
        return [Detections(boxes, scores) for boxes, scores in found]
