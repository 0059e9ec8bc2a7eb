"""The values that flow between the stages: frozen, checked on construction, without optional
fields.

"None" is length 0 or -1. Boxes are x1, y1, x2, y2 in pixels of the frame they come from. Two words
keep ids apart: a *track* lives in one camera, a *person* in all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.vectors import pool

Array = NDArray[Any]
Key = tuple[float, str, int]
"""`Tracklet.key`: seconds of the first row, camera, track. It stays while a tracklet grows."""


def _check(name: str, array: Array, shape: tuple[int, ...], dtype: type) -> None:
    """Raise ValueError unless `array` has this dtype and shape; -1 in `shape` stands for any
    length.
    """
    fits = array.ndim == len(shape) and all(
        s in (-1, n) for s, n in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        raise ValueError(
            f"{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}"
        )


@dataclass(frozen=True, slots=True)
class Camera:
    """What is known of a camera before and after its frames are read.

    `fps` is the nominal rate, only for display and for writing video; `n_frames` what the container
    promises (-1 unknown) and, after the run, what was processed; `n_dropped` frames that a live
    camera lost; `homography` maps image px to floor metres, (3, 3) or (0, 0). `first_index` and
    `last_index` are the first and last frame numbers that the source promises; a `last_index` of -1
    is unknown.
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
    first_index: int = 0
    last_index: int = -1

    def __post_init__(self) -> None:
        if self.homography.shape not in ((3, 3), (0, 0)):
            raise ValueError(
                f"homography of {self.name}: expected (3, 3), got {self.homography.shape}"
            )


NO_IMAGE: Array = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: `index` counts from 0 in its source, `time_s` is on the common clock.

    image: (H, W, 3) uint8 BGR, or `NO_IMAGE` where nobody looks at it.
    picture: the same in YUV 4:2:0 (see `pipeline.yuv`), read-only; only where it is to be drawn on.
    """

    camera: str
    index: int
    time_s: float
    image: Array
    picture: av.VideoFrame | None = None

    def __post_init__(self) -> None:
        _check("image", self.image, (-1, -1, 3), np.uint8)
        self.image.flags.writeable = False

    @property
    def has_image(self) -> bool:
        """Whether the frame is looked at."""
        return self.image.size > 0


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
    """What a tracker says after a frame: rows of people, in time order.

    frames (N,) int64, times_s (N,) float64, track_ids (N,) int64, unique within one camera and run,
    boxes, scores. Rows are of this frame, and of frames before where a track was confirmed only
    now.

    ambiguous (N,) bool: the box was hardly more likely to be this track's than another's, so the
    track may have gone over to somebody else.
    """

    frames: Array
    times_s: Array
    track_ids: Array
    boxes: Array
    scores: Array
    ambiguous: Array

    def __post_init__(self) -> None:
        _check("track_ids", self.track_ids, (-1,), np.int64)
        _check("frames", self.frames, (len(self.track_ids),), np.int64)
        _check("times_s", self.times_s, (len(self.track_ids),), np.float64)
        _check("scores", self.scores, (len(self.track_ids),), np.float32)
        _check("boxes", self.boxes, (len(self.track_ids), 4), np.float32)
        _check("ambiguous", self.ambiguous, (len(self.track_ids),), np.bool_)

    def __len__(self) -> int:
        return len(self.track_ids)

    def take(self, which: Array, track_ids: Array) -> "Tracks":
        """Rows `which` (k,), under other ids (k,)."""
        return Tracks(
            self.frames[which],
            self.times_s[which],
            track_ids,
            self.boxes[which],
            self.scores[which],
            self.ambiguous[which],
        )


def join(parts: Sequence[Tracks]) -> Tracks:
    """Rows one after the other, of one part or more."""
    return (
        parts[0]
        if len(parts) == 1
        else Tracks(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Tracks)))
    )


NONE_FILLED: Array = np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person in one camera for one stretch of time: a track, or a piece of one. It is named by
    `key`.

    `ambiguous` says that it is a later piece of a track, cut where the tracker was not sure that it
    still followed the same person; a piece that is not ambiguous goes on from the piece before it.

    frames (n,) int64, times_s (n,) float64 increasing, boxes (n, 4) float32, scores (n,) float32,
    is_filled (n,) bool: rows that were interpolated, not detected (by default none are);
    crops (k, HEIGHT_PX, WIDTH_PX, 3) uint8 BGR in time order with crop_quality (k,) float32 in 0..1
    and crop_times_s (k,) float64, k may be 0.
    """

    camera: str
    track_id: int
    frames: Array
    times_s: Array
    boxes: Array
    scores: Array
    crops: Array
    crop_quality: Array
    crop_times_s: Array
    ambiguous: bool = False
    is_filled: Array = field(default_factory=lambda: NONE_FILLED)

    def __post_init__(self) -> None:
        n, k = len(self.frames), len(self.crop_quality)
        if not self.is_filled.any():
            object.__setattr__(self, "is_filled", np.zeros(n, np.bool_))
        _check("is_filled", self.is_filled, (n,), np.bool_)
        _check("frames", self.frames, (-1,), np.int64)
        _check("times_s", self.times_s, (n,), np.float64)
        _check("boxes", self.boxes, (n, 4), np.float32)
        _check("scores", self.scores, (n,), np.float32)
        _check("crop_quality", self.crop_quality, (-1,), np.float32)
        _check("crop_times_s", self.crop_times_s, (k,), np.float64)
        _check("crops", self.crops, (k, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        if n == 0:
            raise ValueError("a tracklet has at least one row")

    @classmethod
    def bare(
        cls,
        camera: str,
        track_id: int,
        frames: Array,
        times_s: Array,
        boxes: Array,
        scores: Array,
        is_filled: Array = NONE_FILLED,
    ) -> "Tracklet":
        """Return a tracklet without crops; the values are those of the class."""
        return cls(
            camera,
            track_id,
            frames,
            times_s,
            boxes,
            scores,
            crops=np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
            crop_quality=np.zeros(0, np.float32),
            crop_times_s=np.zeros(0),
            is_filled=is_filled,
        )

    @property
    def first_s(self) -> float:
        """Time of the first row, seconds."""
        return float(self.times_s[0])

    @property
    def last_s(self) -> float:
        """Time of the last row, seconds."""
        return float(self.times_s[-1])

    @property
    def key(self) -> Key:
        """First appearance: the order in which tracklets are listed everywhere, whatever order they
        arrived in.
        """
        return self.first_s, self.camera, self.track_id

    @property
    def name(self) -> str:
        """How people speak of it: camera/track@first frame."""
        return f"{self.camera}/{self.track_id}@{self.frames[0]}"

    def rows(self, keep: Array | slice) -> "Tracklet":
        """Return a piece of the tracklet, with the crops from its time.

        Args:
            keep: (n,) bool, or a slice of the rows; it keeps at least one.
        """
        times_s = self.times_s[keep]
        is_inside = _between(self.crop_times_s, times_s[0], times_s[-1])
        piece = replace(
            self,
            frames=self.frames[keep],
            times_s=times_s,
            boxes=self.boxes[keep],
            scores=self.scores[keep],
            is_filled=self.is_filled[keep],
        )
        return piece.with_crops(is_inside)

    def shifted(self, by_s: float) -> "Tracklet":
        """Return the same tracklet, `by_s` seconds later."""
        return replace(self, times_s=self.times_s + by_s, crop_times_s=self.crop_times_s + by_s)

    def with_crops(self, keep: Array) -> "Tracklet":
        """Return the same tracklet with only some of its crops, keep (k,) bool."""
        return replace(
            self,
            crops=self.crops[keep],
            crop_quality=self.crop_quality[keep],
            crop_times_s=self.crop_times_s[keep],
        )

    def without_crops(self) -> "Tracklet":
        """Return the same tracklet without pixels."""
        return self.with_crops(np.zeros(len(self.crop_quality), np.bool_))


@dataclass(frozen=True, slots=True)
class Embedded:
    """A tracklet and its appearance: embedding (D,) float32 of unit length, or (0,) when there is
    no ReID network.

    crop_embeddings (k, D) float16 of unit length: each crop alone, in time order, with crop_quality
    (k,) float32 in 0..1 and crop_times_s (k,) float64; k may be 0. They tell how steady the
    appearance is, and where a track went over from one person to another.
    """

    tracklet: Tracklet
    embedding: Array
    crop_embeddings: Array
    crop_quality: Array
    crop_times_s: Array

    def __post_init__(self) -> None:
        _check("embedding", self.embedding, (-1,), np.float32)
        _check("crop_quality", self.crop_quality, (-1,), np.float32)
        _check("crop_times_s", self.crop_times_s, (len(self.crop_quality),), np.float64)
        _check(
            "crop_embeddings",
            self.crop_embeddings,
            (len(self.crop_quality), len(self.embedding)),
            np.float16,
        )

    def rows(self, keep: Array | slice) -> "Embedded":
        """Return a piece of the tracklet, with the crop embeddings from its time.

        The embedding is the mean of the piece's own crops: zeros if it has none though the whole
        has some, and that of the whole if no crops are known.

        Args:
            keep: (n,) bool, or a slice of the rows; it keeps at least one.
        """
        tracklet = self.tracklet.rows(keep)
        is_inside = _between(self.crop_times_s, tracklet.first_s, tracklet.last_s)
        crop_embeddings = self.crop_embeddings[is_inside]
        quality = self.crop_quality[is_inside]
        if len(crop_embeddings):
            embedding = pool(crop_embeddings, quality)
        elif len(self.crop_embeddings):
            embedding = np.zeros_like(self.embedding)
        else:
            embedding = self.embedding
        return Embedded(tracklet, embedding, crop_embeddings, quality, self.crop_times_s[is_inside])

    def cut(self, row: int) -> tuple["Embedded", "Embedded"]:
        """Return what is before a row, and what is from it on, which may be somebody else.

        Args:
            row: number of a row after the first.
        """
        later = self.rows(slice(row, None))
        ambiguous = replace(later.tracklet, ambiguous=True)
        return self.rows(slice(0, row)), replace(later, tracklet=ambiguous)

    def shifted(self, by_s: float) -> "Embedded":
        """Return the same tracklet, `by_s` seconds later."""
        return replace(
            self,
            tracklet=self.tracklet.shifted(by_s),
            crop_times_s=self.crop_times_s + by_s,
        )


def _between(times_s: Array, first_s: float, last_s: float) -> Array:
    """Which times (k,) lie in a stretch, both ends included: (k,) bool."""
    return np.asarray((times_s >= first_s) & (times_s <= last_s))


@dataclass(frozen=True, slots=True)
class Link:
    """Why two tracklets are, or are not, one person.

    `probability` in 0..1 is that of the two people they belonged to when it was decided; what
    follows is of the two tracklets: `similarity` cosine (nan: no embeddings); `appearance`, `place`
    and `travel` the log odds of how they look, of where they were, and, where place says nothing,
    of the time between (nan: no evidence); `gap_s` seconds from the end of the earlier to the start
    of the later, negative when they overlap; `floor_m` metres between them where space could be
    compared (nan: it could not). `rule` is the constraint that forbade the link, or what made it
    without asking ("" none); `rival` names the tracklet of the second best choice ("" none) and
    `rival_probability` how good it was. `lookalike` names a tracklet of somebody else who looks
    like the person of one side, where place does not support the link ("" none).
    """

    first: Tracklet
    second: Tracklet
    probability: float
    similarity: float
    appearance: float
    place: float
    travel: float
    gap_s: float
    floor_m: float
    rule: str
    rival: str
    rival_probability: float
    lookalike: str

    @classmethod
    def decided(
        cls, first: Tracklet, second: Tracklet, probability: float, rule: str = ""
    ) -> "Link":
        """Return a link whose evidence is not known.

        Args:
            first: a tracklet.
            second: another one.
            probability: that they are one person, 0..1.
            rule: what decided it; "" for the evidence.
        """
        return cls(
            first,
            second,
            probability,
            similarity=np.nan,
            appearance=np.nan,
            place=np.nan,
            travel=np.nan,
            gap_s=second.first_s - first.last_s,
            floor_m=np.nan,
            rule=rule,
            rival="",
            rival_probability=0.0,
            lookalike="",
        )


@dataclass(frozen=True, slots=True)
class Person:
    """One identity: tracklets by `Tracklet.key`, and the links that tie them (one fewer than
    tracklets).
    """

    person_id: int
    tracklets: tuple[Tracklet, ...]
    links: tuple[Link, ...]

    @property
    def first_s(self) -> float:
        """Time of the first row in any camera, seconds."""
        return min(tracklet.first_s for tracklet in self.tracklets)

    @property
    def last_s(self) -> float:
        """Time of the last row in any camera, seconds."""
        return max(tracklet.last_s for tracklet in self.tracklets)

    @property
    def seen_s(self) -> float:
        """Duration of all tracklets together; who is in two cameras at once counts twice."""
        return sum(tracklet.last_s - tracklet.first_s for tracklet in self.tracklets)

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras that show the person, in alphabetical order."""
        return sorted({tracklet.camera for tracklet in self.tracklets})

    @property
    def is_doubtful(self) -> bool:
        """Whether a link rests on appearance alone, which does not tell two people apart."""
        return any(link.lookalike for link in self.links)
