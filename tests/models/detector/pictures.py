"""Small rendered pictures: a person is a standing ellipse on a soft background."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.detector import data


def picture(seed: int, width_px: int = 128, height_px: int = 96) -> tuple[Any, Any]:
    """An image and the boxes of its people."""
    generator = np.random.default_rng(seed)
    image = cv2.resize(generator.integers(60, 200, (6, 8, 3), np.uint8), (width_px, height_px))
    boxes = []
    for x in generator.permutation(np.arange(20, width_px - 10, 30))[: generator.integers(1, 4)]:
        y, height = int(generator.integers(30, 50)), int(generator.integers(30, 50))
        colour = [int(c) for c in generator.integers(0, 255, 3)]
        cv2.ellipse(image, (int(x), y), (height // 6, height // 2), 0, 0, 360, colour, -1)
        boxes.append([x - height // 6, y - height // 2, x + height // 6, y + height // 2])
    return image, np.array(boxes, np.float32)


def folder(path: Path, n: int) -> Path:
    """A labelled folder of `n` pictures; the last one shows nobody, and has no label file."""
    (path / "images").mkdir(parents=True)
    for i in range(n):
        image, boxes = picture(i)
        cv2.imwrite(str(path / "images" / f"{i:03d}.jpg"), image)
        if i < n - 1:
            data.write_labels(
                path / "labels" / f"{i:03d}.txt", boxes, image.shape[1], image.shape[0]
            )
    return path
