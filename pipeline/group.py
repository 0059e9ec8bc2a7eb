"""Some cameras of a run over files, read to their end: what goes from their pixels to tracklets
with embeddings.

A run in one process has one group with all cameras; on a cluster each worker has one. All that is
found of a camera is the same in whatever group it is, and whatever is found in the cameras beside
it.

A group whose process died is read again from the start, because a tracker cannot begin in the
middle of a video and give the same tracks. What is slow is not done again: what the detector found
before is taken from where it was kept (`Replay`), and tracklets that were embedded before are left
out.
"""

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.chunks import CameraEnd, Chunk, Crop, Found
from pipeline.config import Config
from pipeline.detect.detector import Detector
from pipeline.embed import Embedder
from pipeline.records import Detections, Embedded, Frame, Key, Tracklet
from pipeline.report import crops
from pipeline.report.stills import Stills
from pipeline.sources import Source
from pipeline.timings import Timings
from pipeline.worker import Worker

CHUNK_S = 2.0
"""A chunk is given at least so often, seconds of the wall clock."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was given of some cameras before, and need not be given again.

    Attributes:
        keys: of the tracklets.
        found: what the detector found, by camera.
        n_frames: how many frames were processed by then, by camera.
    """

    keys: Collection[Key] = frozenset()
    found: Mapping[str, Found] = field(default_factory=dict)
    n_frames: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Iterable[Chunk], cameras: Collection[str]) -> "Done":
        """Return what was given of some cameras.

        Args:
            given: the chunks of all cameras, in order.
            cameras: names of those that count.
        """
        keys: set[Key] = set()
        parts: dict[str, list[Found]] = {}
        n_frames: dict[str, int] = {}
        for chunk in given:
            for embedded in chunk.tracklets:
                if embedded.tracklet.camera in cameras:
                    keys.add(embedded.tracklet.key)
            for found in chunk.found:
                if found.camera in cameras:
                    parts.setdefault(found.camera, []).append(found)
            for camera, n in chunk.n_frames.items():
                if camera in cameras:
                    n_frames[camera] = max(n, n_frames.get(camera, 0))
        joined = {camera: Found.joined(of_camera) for camera, of_camera in parts.items()}
        return cls(frozenset(keys), joined, n_frames)


class Replay:
    """A detector that is not asked about frames again that are known, and keeps what it finds."""

    def __init__(self, detector: Detector, known: Mapping[str, Found]) -> None:
        """Begin.

        Args:
            detector: finds people in frames that are not known.
            known: what was found before, by camera.
        """
        self._detector = detector
        self._known = known
        self._starts = {camera: found.starts for camera, found in known.items()}
        self._new: list[tuple[str, int, Detections]] = []
        self._lock = threading.Lock()
        self.name = detector.name
        self.files: tuple[Path, ...] = detector.files
        self.choice = detector.choice

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what the detector found."""
        return self._detector.warnings

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return one `Detections` per frame, in the order of `frames`."""
        found = [self._look_up(frame.camera, frame.index) for frame in frames]
        unknown = [frame for frame, known in zip(frames, found, strict=True) if known is None]
        new = iter(self._detector.detect(unknown) if unknown else [])
        answers: list[Detections] = []
        kept: list[tuple[str, int, Detections]] = []
        for frame, known in zip(frames, found, strict=True):
            answer = next(new) if known is None else known
            answers.append(answer)
            if known is None:
                kept.append((frame.camera, frame.index, answer))
        with self._lock:
            self._new += kept
        return answers

    def take(self) -> list[Found]:
        """Return what the detector found since the last call, by camera."""
        with self._lock:
            new = self._new
            self._new = []
        by_camera: dict[str, list[tuple[int, Detections]]] = {}
        for camera, frame, found in new:
            by_camera.setdefault(camera, []).append((frame, found))
        return [
            Found.of(camera, [frame for frame, _ in pairs], [found for _, found in pairs])
            for camera, pairs in by_camera.items()
        ]

    def _look_up(self, camera: str, frame: int) -> Detections | None:
        """What was found in a frame before; None where it is not known."""
        known = self._known.get(camera)
        if known is None:
            return None
        row = int(np.searchsorted(known.frames, frame))
        if row == len(known.frames) or known.frames[row] != frame:
            return None
        start = self._starts[camera][row]
        boxes = slice(start, start + known.counts[row])
        return Detections(known.boxes[boxes], known.scores[boxes])


class Group:
    """Reads cameras to their end, once."""

    def __init__(
        self,
        sources: list[Source],
        detector: Detector,
        embedder: Embedder,
        config: Config,
        done: Done | None = None,
    ) -> None:
        """Begin.

        Args:
            sources: the cameras.
            detector: finds people in them.
            embedder: turns tracklets into embeddings.
            config: all settings.
            done: what was given of these cameras before; None where what the detector finds is
                not kept.
        """
        self._config = config
        self._sources = sources
        self._embedder = embedder
        self._timings = Timings()
        self._stills = Stills(config.privacy.blur)
        self._done = done or Done()
        is_slow = not config.detector.detections  # a file of boxes is read again
        self._replay = None
        if done is not None and is_slow:
            self._replay = Replay(detector, self._done.found)
        self._detector: Detector = self._replay or detector
        on_frame = self._stills.look if config.output.report else None
        self._worker = Worker(sources, self._detector, config, self._timings, on_frame)
        self._waiting: list[Tracklet] = []
        self._crops: list[Crop] = []
        self._embedded: list[Embedded] = []

    @property
    def has_caught_up(self) -> bool:
        """Whether all frames have been processed again that were processed before."""
        n_frames = self._worker.n_frames
        return all(n_frames[name] >= n for name, n in self._done.n_frames.items())

    def chunks(
        self, stop: threading.Event, progress: Callable[[int], object]
    ) -> Generator[Chunk, None, None]:
        """Process the cameras to their end.

        Args:
            stop: ends it early when set.
            progress: is called with the number of frames of each round.

        Yields:
            What was found, every `CHUNK_S` at least; how far the cameras came with the last one.
        """
        batch_crops = self._config.reid.batch_crops
        due_s = time.monotonic() + CHUNK_S
        with closing(self._worker.run(stop, progress)) as rounds:
            for closed in rounds:
                self._add(closed)
                if sum(len(tracklet.crops) for tracklet in self._waiting) >= batch_crops:
                    self._embed()
                if time.monotonic() >= due_s:
                    yield self._chunk([], [])
                    due_s = time.monotonic() + CHUNK_S
        self._embed()
        stills = self._stills.encoded() if self._config.output.report else {}
        warnings = [*self._detector.warnings, *self._worker.warnings, *self._embedder.warnings]
        yield self._chunk(ends_of(self._worker, self._sources, stills), warnings)

    def _add(self, closed: Iterable[Tracklet]) -> None:
        """Take tracklets that closed, but for those that were given before."""
        for tracklet in closed:
            if tracklet.key in self._done.keys:
                continue
            self._waiting.append(tracklet)
            if self._config.output.report:
                best = crops.best_of(tracklet, self._config.privacy.blur)
                self._crops.append(Crop(tracklet.camera, tracklet.track_id, best))

    def _embed(self) -> None:
        """Embed what waits, so that crops are held only for a moment."""
        n_crops = sum(len(tracklet.crops) for tracklet in self._waiting)
        with self._timings.stage("embed", n_crops):
            self._embedded += self._embedder.embed(self._waiting)
        self._waiting = []

    def _chunk(self, ends: list[CameraEnd], warnings: list[str]) -> Chunk:
        """What was found since the chunk before; crops of tracklets that wait come with these."""
        n_waiting = len(self._waiting) if self._config.output.report else 0
        n_ready = len(self._crops) - n_waiting
        tracklets = self._embedded
        ready = self._crops[:n_ready]
        self._embedded = []
        self._crops = self._crops[n_ready:]
        found = self._replay.take() if self._replay is not None else []
        seconds, counts = self._timings.take()
        n_frames = dict(self._worker.n_frames)
        return Chunk(n_frames, tracklets, ready, found, seconds, counts, ends, warnings)


def ends_of(
    worker: Worker, sources: Sequence[Source], stills: Mapping[str, bytes]
) -> list[CameraEnd]:
    """Return how far cameras came.

    Args:
        worker: what has read them.
        sources: the cameras.
        stills: JPEGs by camera.
    """
    ends: list[CameraEnd] = []
    for source in sources:
        name = source.camera.name
        end = CameraEnd(
            camera=name,
            n_frames=worker.n_frames[name],
            last_s=float(worker.last_s[name]),
            frame_ranges=list(worker.frame_ranges[name]),
            n_boxes=worker.n_boxes[name],
            n_unchanged=worker.n_unchanged[name],
            warnings=list(source.warnings),
            still=stills.get(name, b""),
        )
        ends.append(end)
    return ends
