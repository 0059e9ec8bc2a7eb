"""OpenCV's built-in HOG people detector (Dalal & Triggs 2005), which needs no download.

As it comes (`detectMultiScale` on the frame) it scores an AP50 of 0.01 on our test sets. What it
takes to reach 0.80 (PETS 0.84, TownCentre 0.75, plaza 0.77, mall 0.83 on frames nothing was tuned
on; 0.12 s a frame on one core), in order of effect: the window is much larger than the person in
it, so boxes are shrunk to the median of the truth (0.01 -> 0.39); people must be 93 px high to be
found, so frames are enlarged to `AREA_PX2` (-> 0.76); windows are suppressed by IoU and
containment, and the winner takes the mean of those that agree (-> 0.83). All windows of a level are
scored in one matrix product over block features, which gives `HOGDescriptor.detect`'s margins in
half its time. It finds upright, mostly whole people.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from models import boxes
from models.runtimes.choice import NO_RUNTIME
from pipeline.config import DetectorConfig
from pipeline.records import Array, Detections, Frame

AREA_PX2 = 1440 * 810
MAX_ENLARGEMENT = 4.0
LEVEL_RATIO = 1.12
WINDOW_PX = (64, 128)
STEP_PX, PAD_PX, BLOCK_PX = 8, 16, 16
BLOCKS = (7, 15)
PERSON_WIDTH, PERSON_HEIGHT, PERSON_SHIFT = 0.525, 0.73, -0.013
"""Of the person in the window, as fractions of it: width, height, and how far the centre is lower.
"""
SCORE_SLOPE, SCORE_OFFSET = 3.5, -3.2
"""Margin -> score. Fitted to the precision of single frames the offset is -2.5; but HOG's false
alarms (trunks, lamp posts) stand still and return in every frame, so scores are lowered: of 22
people for 13 on the sample 14 are left.
"""
MAX_IOU, MAX_CONTAINED, VOTE_MARGIN = 0.5, 0.7, 0.4


class HogDetector:
    """Dense HOG + linear SVM over an enlarged pyramid; frames of a batch run side by side on
    threads.
    """

    name = "HOG"
    files: tuple[Path, ...] = ()
    choice = NO_RUNTIME

    def __init__(self, config: DetectorConfig) -> None:
        self.warnings: list[str] = []
        svm = np.asarray(cv2.HOGDescriptor().getDefaultPeopleDetector(), np.float32).ravel()
        self._weights = svm[:-1].reshape(BLOCKS[0] * BLOCKS[1], -1)
        self._bias = float(svm[-1])
        chance = float(np.clip(config.min_score, 0.01, 0.99))
        self._min_margin = (np.log(chance / (1 - chance)) - SCORE_OFFSET) / SCORE_SLOPE

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return people whose score is at least `min_score`."""
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hog") as pool:
            return list(pool.map(lambda frame: self._detect(frame.image), frames))

    def _detect(self, image: Array) -> Detections:
        windows = np.concatenate([np.zeros((0, 5)), *self._windows(image)])
        boxes, margins = _suppress(windows[np.argsort(-windows[:, 4], kind="stable")])
        limits = [image.shape[1], image.shape[0], image.shape[1], image.shape[0]]
        boxes = np.clip(boxes, 0, limits).astype(np.float32)
        scores = (1 / (1 + np.exp(-(SCORE_SLOPE * margins + SCORE_OFFSET)))).astype(np.float32)
        good = (boxes[:, 2] - boxes[:, 0] > 1) & (boxes[:, 3] - boxes[:, 1] > 1)
        return Detections(boxes[good], scores[good])

    def _windows(self, image: Array) -> Iterator[Array]:
        """Per pyramid level, the people in its windows (n, 5): x1 y1 x2 y2 in px of `image`,
        margin.
        """
        height, width = image.shape[:2]
        scale = min((AREA_PX2 / (height * width)) ** 0.5, MAX_ENLARGEMENT)
        window_px = np.array(WINDOW_PX)
        previous = image
        while True:
            size = (round(width * scale), round(height * scale))
            if (np.array(size) + 2 * PAD_PX < window_px + BLOCK_PX).any():
                return
            origin = image if scale > 0.6 else previous
            level = cv2.resize(origin, size, interpolation=cv2.INTER_LINEAR)
            if scale <= 1:
                previous = level
            margins = self._margins(level)
            rows, columns = np.nonzero(margins >= self._min_margin)
            top_left = np.stack([columns, rows], axis=1) * STEP_PX - PAD_PX
            centre = top_left + window_px * [0.5, 0.5 + PERSON_SHIFT]
            half_size = window_px * [PERSON_WIDTH, PERSON_HEIGHT] / 2
            to_image = np.array([width, height]) / size
            corners = [(centre - half_size) * to_image, (centre + half_size) * to_image]
            yield np.concatenate([*corners, margins[rows, columns, None]], axis=1)
            scale /= LEVEL_RATIO

    def _margins(self, level: Array) -> Array:
        """SVM margin of every window of one level, (rows, columns), at `STEP_PX`."""
        rows, columns = ((n + 2 * PAD_PX - BLOCK_PX) // STEP_PX + 1 for n in level.shape[:2])
        hog = cv2.HOGDescriptor(
            (BLOCK_PX, BLOCK_PX),
            (BLOCK_PX, BLOCK_PX),
            (STEP_PX, STEP_PX),
            (8, 8),
            9,
            1,
            -1.0,
            0,
            0.2,
            True,
        )
        features = np.asarray(
            hog.compute(level, winStride=(STEP_PX, STEP_PX), padding=(PAD_PX, PAD_PX))
        )
        blocks = features.reshape(rows * columns, -1)
        # OpenCV's product runs on this thread alone; NumPy's BLAS would start threads that fight
        # with the pool's (5x the time)
        products = cv2.gemm(self._weights, blocks, 1, None, 0, flags=cv2.GEMM_2_T)  # type: ignore[call-overload]
        answers = products.reshape(*BLOCKS, rows, columns)
        height, width = rows - BLOCKS[1] + 1, columns - BLOCKS[0] + 1
        margins = np.full((height, width), self._bias, np.float32)
        for x in range(BLOCKS[0]):
            for y in range(BLOCKS[1]):
                margins += answers[x, y, y : y + height, x : x + width]
        return margins


def _suppress(windows: Array) -> tuple[Array, Array]:
    """Keep the best of overlapping windows (n, 5), sorted by margin; returns boxes (k, 4), voted,
    and margins (k,).
    """
    corners = windows[:, :4]
    area = boxes.areas(corners)
    alive = np.ones(len(windows), bool)
    voted: list[Array] = []
    margins: list[float] = []
    for i, window in enumerate(windows):
        if not alive[i]:
            continue
        overlap = boxes.intersections(corners[i : i + 1], corners)[0]
        iou = boxes.iou(corners[i : i + 1], corners)[0]
        alive &= (iou <= MAX_IOU) & (overlap <= MAX_CONTAINED * np.minimum(area[i], area))
        agree = iou > MAX_IOU
        voted.append(
            np.average(windows[agree, :4], axis=0, weights=np.exp(windows[agree, 4] / VOTE_MARGIN))
        )
        margins.append(float(window[4]))
    return np.array(voted).reshape(-1, 4), np.array(margins)
