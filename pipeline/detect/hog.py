"""OpenCV's built-in HOG people detector (Dalal & Triggs 2005): nothing to download, upright and unoccluded people only."""

import cv2
import numpy as np

from pipeline.config import DetectorConfig
from pipeline.records import Detections, Frame


class HogDetector:
    """Placeholder until tuned."""

    name = "HOG"

    def __init__(self, config: DetectorConfig) -> None:
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return upright people."""
        out = []
        for f in frames:
            rects, w = self._hog.detectMultiScale(f.image, winStride=(8, 8), padding=(8, 8), scale=1.05)
            r = np.array(rects, np.float32).reshape(-1, 4)
            r[:, 2:] += r[:, :2]
            out.append(Detections(r, np.clip(np.array(w, np.float32).reshape(-1), 0, 1)))
        return out
