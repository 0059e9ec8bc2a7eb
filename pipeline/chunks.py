"""What a group of cameras gives while it is read, chunk by chunk.

A chunk is all that leaves a group: tracklets with their embeddings, one picture of each, what the
detector found, and at the end how far each camera came. It is packed without pickle, so that the
same bytes go from machine to machine and into the log of a run.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline import packed
from pipeline.records import Array, Detections, Embedded, Tracklet
from pipeline.report.crops import Best

SCHEMA = "chunk/1"


@dataclass(frozen=True, slots=True)
class Crop:
    """The best crop of a track's tracklet."""

    camera: str
    track_id: int
    best: Best


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector found in frames of one camera.

    frames (n,) int64 in order, counts (n,) int64 of boxes in each; boxes (m, 4) float32 px and
    scores (m,) float32 of all frames, one after the other.
    """

    camera: str
    frames: Array
    counts: Array
    boxes: Array
    scores: Array

    @classmethod
    def of(cls, camera: str, frames: Sequence[int], found: Sequence[Detections]) -> "Found":
        """Return what was found in frames of a camera, one `Detections` each."""
        return cls(
            camera,
            np.array(frames, np.int64),
            np.array([len(each) for each in found], np.int64),
            np.concatenate([np.zeros((0, 4), np.float32), *(each.boxes for each in found)]),
            np.concatenate([np.zeros(0, np.float32), *(each.scores for each in found)]),
        )

    @classmethod
    def joined(cls, parts: Sequence["Found"]) -> "Found":
        """Return what was found in all frames of a camera, in the order of the frames.

        Args:
            parts: of the camera, one or more. They are in the order of the frames, but for those of
                a worker that was started again: it may have found what its log had not.
        """
        together = cls(
            parts[0].camera,
            np.concatenate([part.frames for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )
        order = np.argsort(together.frames, kind="stable")
        starts = together.starts
        ranges = [np.arange(starts[i], starts[i] + together.counts[i]) for i in order]
        rows = np.concatenate([np.zeros(0, np.int64), *ranges])
        return cls(
            together.camera,
            together.frames[order],
            together.counts[order],
            together.boxes[rows],
            together.scores[rows],
        )

    @property
    def starts(self) -> Array:
        """First row (n,) int64 of the boxes of each frame."""
        return np.cumsum(self.counts) - self.counts


@dataclass(frozen=True, slots=True)
class CameraEnd:
    """How far a camera came; the values are those of `Worker`.

    Attributes:
        warnings: what went wrong with its source.
        still: a JPEG with few people; b"" where none is kept.
    """

    camera: str
    n_frames: int
    last_s: float
    frame_ranges: list[tuple[int, int]]
    n_boxes: int
    n_unchanged: int
    warnings: list[str]
    still: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a group of cameras gave since the chunk before.

    Attributes:
        n_frames: frames that were processed so far, by camera.
        tracklets: those that closed and were embedded.
        crops: of these tracklets, where a report is written.
        found: what the detector found, where that is kept.
        seconds: of each stage.
        counts: of each stage.
        ends: of all cameras, in the last chunk.
        warnings: what is suspect in all that was read, in the last chunk.
    """

    n_frames: Mapping[str, int]
    tracklets: list[Embedded]
    crops: list[Crop]
    found: list[Found]
    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    ends: list[CameraEnd] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


KINDS = packed.kinds(Chunk, Crop, Best, Found, CameraEnd, Embedded, Tracklet)


def to_bytes(chunk: Chunk) -> bytes:
    """Return a chunk as bytes."""
    file = io.BytesIO()
    packed.write(file, SCHEMA, chunk, KINDS)
    return file.getvalue()


def from_bytes(data: bytes) -> Chunk:
    """Return the chunk of `to_bytes`; raises ValueError where the bytes are damaged."""
    value = packed.Document(io.BytesIO(data), SCHEMA).value(KINDS)
    if not isinstance(value, Chunk):
        raise ValueError("it holds no chunk")
    return value
