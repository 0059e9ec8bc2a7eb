"""Rows become tracklets: when one closes, and which of its crops are kept.

A tracklet closes when its track ends, or is cut: at `max_tracklet_s`, so that a person who stands
in view all day is handed on in pieces, and where the tracker was not sure that it still followed
the same person, so that linking can decide that by appearance. (On two rendered worlds one row in
twelve is of somebody else than its tracklet without these cuts, one in thirty-three with them.)
While it is open it keeps its rows (a few numbers each, at most `max_tracklet_s` of them) and at
most `max_crops` crops, so its memory is bounded. The crops are the best of equal stretches of time:
when there are more stretches than crops to keep, neighbours are merged and the better crop stays,
which leaves between half and all of `max_crops`, spread over the whole tracklet, whatever its
length.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from models.boxes import iou
from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from models.reid.preprocess import resize
from pipeline.config import TrackletsConfig
from pipeline.records import Array, Frame, Tracklet, Tracks

FIRST_STRETCH_S = 0.25
GOOD_HEIGHT_PX = 128.0
SHARP_VARIANCE = 200.0
BORDER_PX = 2


@dataclass(slots=True)
class _Crop:
    stretch: int
    quality: float
    time_s: float
    image: Array


@dataclass(slots=True)
class _Open:
    """A tracklet that still grows."""

    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    boxes: list[Array] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    crops: list[_Crop] = field(default_factory=list)
    stretch_s: float = FIRST_STRETCH_S
    continued: bool = False
    ambiguous: bool = False
    cut_due: bool = False
    """An id switch is likely since the piece began; it is cut once it is long enough."""

    def keep(self, frame: Frame, box: Array, most: float, max_crops: int) -> None:
        """Offer a crop whose quality is at most `most`; pixels are only touched when it can win its
        stretch.
        """
        stretch = int((frame.time_s - self.times_s[0]) / self.stretch_s)
        rival = self.crops[-1] if self.crops and self.crops[-1].stretch == stretch else None
        if rival is not None and rival.quality >= most:
            return
        image = cut(frame.image, box)
        quality = most * _sharpness(image)
        if rival is None:
            self.crops.append(_Crop(stretch, quality, frame.time_s, image))
        elif quality > rival.quality:
            self.crops[-1] = _Crop(stretch, quality, frame.time_s, image)
        while len(self.crops) > max_crops:
            self._merge()

    def _merge(self) -> None:
        """Double the stretch: of the crops that now share one, the better stays."""
        self.stretch_s *= 2
        best: dict[int, _Crop] = {}
        for crop in self.crops:
            crop.stretch //= 2
            if crop.stretch not in best or crop.quality > best[crop.stretch].quality:
                best[crop.stretch] = crop
        self.crops = list(best.values())

    def counts(self, min_tracklet_s: float) -> bool:
        """Whether it is more than a false alarm, as shorter tracks mostly are."""
        return self.continued or self.times_s[-1] - self.times_s[0] >= min_tracklet_s

    def record(self, camera: str, track_id: int) -> Tracklet:
        """Return what there is of it."""
        crops = [crop.image for crop in self.crops]
        return Tracklet(
            camera,
            track_id,
            np.array(self.frames, np.int64),
            np.array(self.times_s, np.float64),
            np.array(self.boxes, np.float32).reshape(-1, 4),
            np.array(self.scores, np.float32),
            np.array(crops, np.uint8).reshape(-1, HEIGHT_PX, WIDTH_PX, 3),
            np.array([crop.quality for crop in self.crops], np.float32),
            np.array([crop.time_s for crop in self.crops], np.float64),
            self.ambiguous,
        )


class Gatherer:
    """Gathers one camera's rows into tracklets."""

    def __init__(self, camera: str, config: TrackletsConfig) -> None:
        self._camera, self._config = camera, config
        self._open: dict[int, _Open] = {}

    def add(self, frame: Frame, tracks: Tracks, live_ids: Array) -> list[Tracklet]:
        """Take what the tracker says after a frame; returns what closed: tracks that ended or grew
        too long.
        """
        closed = self._close(sorted(self._open.keys() - set(live_ids.tolist())))
        here = tracks.frames == frame.index  # pictures of frames before are gone
        most = np.zeros(len(tracks))
        most[here] = _geometry(tracks.boxes[here], tracks.scores[here], frame.image.shape)
        for i, track_id in enumerate(tracks.track_ids.tolist()):
            time_s = float(tracks.times_s[i])
            row = self._open.setdefault(track_id, _Open())
            if row.times_s:
                age_s = time_s - row.times_s[0]
                gap_s = time_s - row.times_s[-1]
                is_gap = gap_s > self._config.max_gap_in_tracklet_s
                row.cut_due |= is_gap or bool(tracks.ambiguous[i])
                ambiguous = row.cut_due and age_s >= self._config.min_piece_s
                if ambiguous or age_s >= self._config.max_tracklet_s:
                    closed.append(self._open.pop(track_id).record(self._camera, track_id))
                    row = self._open[track_id] = _Open(continued=True, ambiguous=ambiguous)
            row.frames.append(int(tracks.frames[i]))
            row.times_s.append(time_s)
            row.boxes.append(tracks.boxes[i])
            row.scores.append(float(tracks.scores[i]))
            if here[i]:
                row.keep(frame, tracks.boxes[i], float(most[i]), self._config.max_crops)
        return closed

    def flush(self) -> list[Tracklet]:
        """Close what is still open: the end of the source."""
        return self._close(sorted(self._open))

    def provisional(self) -> list[Tracklet]:
        """What is open, as if it closed now; it stays open. While a tracklet grows, its `key`
        stays.
        """
        return self._records(list(self._open.items()))

    def _close(self, track_ids: list[int]) -> list[Tracklet]:
        return self._records([(track_id, self._open.pop(track_id)) for track_id in track_ids])

    def _records(self, rows: list[tuple[int, _Open]]) -> list[Tracklet]:
        """Tracks shorter than `min_tracklet_s` are left out: they are mostly false alarms."""
        return [
            row.record(self._camera, track_id)
            for track_id, row in rows
            if row.counts(self._config.min_tracklet_s)
        ]


def inside(image: Array, box: Array) -> Array:
    """The part of an image (H, W, 3) inside the box x1 y1 x2 y2, clipped to it; at least one
    pixel.
    """
    height, width = image.shape[:2]
    x1, y1 = max(0, min(int(box[0]), width - 1)), max(0, min(int(box[1]), height - 1))
    x2, y2 = (
        max(x1 + 1, min(int(np.ceil(box[2])), width)),
        max(y1 + 1, min(int(np.ceil(box[3])), height)),
    )
    return image[y1:y2, x1:x2]


def cut(image: Array, box: Array) -> Array:
    """Crop of a BGR image as a ReID network sees it, (HEIGHT_PX, WIDTH_PX, 3) uint8."""
    return resize(inside(image, box))


def _geometry(boxes: Array, scores: Array, shape: tuple[int, ...]) -> Array:
    """Quality in 0..1 before sharpness: score x size x not cut by the border x not covered by a
    person in front.
    """
    if not len(boxes):
        return np.zeros(0)
    size = np.minimum((boxes[:, 3] - boxes[:, 1]) / GOOD_HEIGHT_PX, 1)
    inside = (
        (boxes[:, 0] > BORDER_PX)
        & (boxes[:, 1] > BORDER_PX)
        & (boxes[:, 2] < shape[1] - BORDER_PX)
        & (boxes[:, 3] < shape[0] - BORDER_PX)
    )
    return np.asarray(scores * size * np.where(inside, 1, 0.5) * (1 - _covered(boxes)))


def _covered(boxes: Array) -> Array:
    """Largest IoU with a person in front (whose feet are lower in the image), (n,)."""
    overlap = iou(boxes, boxes)
    overlap[boxes[:, None, 3] >= boxes[None, :, 3]] = 0
    return np.asarray(overlap.max(axis=1))


def _sharpness(crop: Array) -> float:
    """Variance of the Laplacian, squashed into 0.5..1: blur halves the quality at most."""
    grey = cv2.cvtColor(crop[::2, ::2], cv2.COLOR_BGR2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return 0.5 + 0.5 * variance / (variance + SHARP_VARIANCE)
