"""The values that flow between the stages: frozen, checked on construction, without optional fields.

"None" is length 0 or -1. Boxes are x1, y1, x2, y2 in pixels of the frame they come from. Two words keep ids apart: a
*track* lives in one camera, a *person* in all of them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.reid.preprocess import HEIGHT_PX, WIDTH_PX

Array = NDArray[Any]


def _check(name: str, array: Array, shape: tuple[int, ...], dtype: type) -> None:
    """Raise ValueError unless `array` has this dtype and shape; -1 in `shape` stands for any length."""
    fits = array.ndim == len(shape) and all(s in (-1, n) for s, n in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.dtype(dtype):
        raise ValueError(f"{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")


@dataclass(frozen=True, slots=True)
class Camera:
    """What is known of a camera before and after its frames are read.

    `fps` is the nominal rate, only for display and for writing video; `n_frames` what the container promises (-1 unknown)
    and, after the run, what was processed; `n_dropped` frames that a live camera lost; `homography` maps image px to floor
    metres, (3, 3) or (0, 0).
    """

    name: str
    source: str
    width: int
    height: int
    fps: float
    start_s: float
    n_frames: int
    homography: Array
    n_dropped: int = 0

    def __post_init__(self) -> None:
        if self.homography.shape not in ((3, 3), (0, 0)):
            raise ValueError(f"homography of {self.name}: expected (3, 3), got {self.homography.shape}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: `index` counts from 0 in its source, `time_s` is on the common clock, `image` (H, W, 3) uint8 BGR."""

    camera: str
    index: int
    time_s: float
    image: Array

    def __post_init__(self) -> None:
        _check("image", self.image, (-1, -1, 3), np.uint8)
        self.image.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Detections:
    """People found in one frame: boxes (N, 4) float32, scores (N,) float32 in 0..1."""

    boxes: Array
    scores: Array

    def __post_init__(self) -> None:
        _check("scores", self.scores, (-1,), np.float32)
        _check("boxes", self.boxes, (len(self.scores), 4), np.float32)

    def __len__(self) -> int:
        return len(self.scores)


NO_DETECTIONS = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracked people of one frame: track_ids (N,) int64, unique in one camera and run, with boxes and scores."""

    track_ids: Array
    boxes: Array
    scores: Array

    def __post_init__(self) -> None:
        _check("track_ids", self.track_ids, (-1,), np.int64)
        _check("scores", self.scores, (len(self.track_ids),), np.float32)
        _check("boxes", self.boxes, (len(self.track_ids), 4), np.float32)

    def __len__(self) -> int:
        return len(self.track_ids)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person in one camera for one stretch of time.

    frames (n,) int64, times_s (n,) float64 increasing, boxes (n, 4) float32, scores (n,) float32; crops
    (k, HEIGHT_PX, WIDTH_PX, 3) uint8 BGR in time order with crop_quality (k,) float32 in 0..1, k may be 0.
    """

    camera: str
    track_id: int
    frames: Array
    times_s: Array
    boxes: Array
    scores: Array
    crops: Array
    crop_quality: Array

    def __post_init__(self) -> None:
        n, k = len(self.frames), len(self.crop_quality)
        _check("frames", self.frames, (-1,), np.int64)
        _check("times_s", self.times_s, (n,), np.float64)
        _check("boxes", self.boxes, (n, 4), np.float32)
        _check("scores", self.scores, (n,), np.float32)
        _check("crop_quality", self.crop_quality, (-1,), np.float32)
        _check("crops", self.crops, (k, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        if n == 0:
            raise ValueError("a tracklet has at least one row")

    @property
    def first_s(self) -> float:
        """Time of the first row, seconds."""
        return float(self.times_s[0])

    @property
    def last_s(self) -> float:
        """Time of the last row, seconds."""
        return float(self.times_s[-1])

    @property
    def key(self) -> tuple[float, str, int]:
        """First appearance: the order in which tracklets are listed everywhere, whatever order they arrived in."""
        return self.first_s, self.camera, self.track_id

    def without_crops(self) -> "Tracklet":
        """Return the same tracklet without pixels."""
        return replace(self, crops=self.crops[:0].copy(), crop_quality=self.crop_quality[:0])


@dataclass(frozen=True, slots=True)
class Embedded:
    """A tracklet and its appearance: embedding (D,) float32 of unit length, or (0,) when there is no ReID network."""

    tracklet: Tracklet
    embedding: Array

    def __post_init__(self) -> None:
        _check("embedding", self.embedding, (-1,), np.float32)


@dataclass(frozen=True, slots=True)
class Link:
    """Why two tracklets are, or are not, one person.

    `probability` in 0..1; `appearance` cosine similarity (nan: no embeddings); `gap_s` seconds from the end of the earlier
    to the start of the later, negative when they overlap; `floor_m` metres between them where space could be compared
    (nan: it could not); `rule` the constraint that forbade the link ("" none).
    """

    first: Tracklet
    second: Tracklet
    probability: float
    appearance: float
    gap_s: float
    floor_m: float
    rule: str


@dataclass(frozen=True, slots=True)
class Person:
    """One identity: tracklets by `Tracklet.key`, and the links that tie them (one fewer than tracklets)."""

    person_id: int
    tracklets: tuple[Tracklet, ...]
    links: tuple[Link, ...]
