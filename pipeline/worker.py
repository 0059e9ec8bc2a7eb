"""Read, detect and track some cameras: everything that needs their pixels.

A worker reads all its cameras in step with their clocks, detects in one batch, and tracks and
collects tracklets camera by camera. Cameras are taken in the order of their names, so that the
order on the command line changes nothing. Each camera is read on a thread of its own, and people
are found on another one, while those of earlier rounds are tracked and embedded.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pipeline.ahead import JOIN_S, ahead
from pipeline.config import Config
from pipeline.detect import detector as detectors
from pipeline.detect.detector import Detector
from pipeline.detect.finder import Finder
from pipeline.following import Followed, Following
from pipeline.records import Detections, Frame, Tracklet
from pipeline.sources import Source, read_ahead
from pipeline.sources.looks import ROUNDS_AHEAD, Looks
from pipeline.timings import Timings


@dataclass(frozen=True, slots=True)
class Round:
    """Frames of one round, and by camera what was found in those that have their image."""

    frames: list[Frame]
    found: dict[str, Detections]


OnFrame = Callable[[Frame, Followed], object]
"""Is called with each frame that was looked at, and what it brought."""


class Worker:
    """Runs its cameras to their end.

    n_frames, last_s: how far each camera came: frames processed, and time of the last one.
    frame_ranges: first and last number of frames processed without a break, by camera. Frames of a
        range are `sources.stride` apart; a frame that a source cannot read ends a range.
    """

    def __init__(
        self,
        sources: list[Source],
        detector: Detector,
        config: Config,
        timings: Timings,
        on_frame: OnFrame | None = None,
    ) -> None:
        self._sources = sorted(sources, key=lambda source: source.camera.name)
        self._config = config
        self._timings = timings
        self._on_frame = on_frame
        self._finder = Finder(detector, config.detector, timings)
        self._following: dict[str, Following] = {}
        self._adaptive: dict[str, Looks] = {}
        rois = {camera.name: camera.roi for camera in config.cameras}
        for source in self._sources:
            name = source.camera.name
            is_adaptive = detectors.is_adaptive(config.detector) and not source.looks.has_all
            self._following[name] = Following(
                name, rois.get(name, []), config, timings, is_adaptive
            )
            if is_adaptive:
                self._adaptive[name] = source.looks
        self._warnings: list[str] = []
        names = list(self._following)
        self.n_frames = dict.fromkeys(names, 0)
        self.last_s = dict.fromkeys(names, -np.inf)
        self.frame_ranges: dict[str, list[tuple[int, int]]] = {name: [] for name in names}

    @property
    def now_s(self) -> float:
        """Time of the latest frame."""
        return max(self.last_s.values())

    @property
    def n_boxes(self) -> dict[str, int]:
        """Boxes that were detected inside the region, with a score that can start a track."""
        return {name: following.n_boxes for name, following in self._following.items()}

    @property
    def n_unchanged(self) -> dict[str, int]:
        """Pictures that no network saw, because they show what the last one did."""
        return {name: self._finder.n_unchanged.get(name, 0) for name in self._following}

    @property
    def warnings(self) -> list[str]:
        """What is suspect in what was processed; complete when the run has ended."""
        warnings = list(self._warnings)
        for following in self._following.values():
            warnings += following.warnings
        return warnings

    def provisional(self) -> list[Tracklet]:
        """Return the open tracklets as if they closed now, for online linking."""
        tracklets: list[Tracklet] = []
        for following in self._following.values():
            tracklets += following.provisional()
        return tracklets

    def run(
        self, stop: threading.Event, progress: Callable[[int], object]
    ) -> Generator[list[Tracklet], None, None]:
        """Process the cameras to their end.

        Args:
            stop: ends it early when set.
            progress: is called with the number of frames of each round.

        Yields:
            The tracklets that close, round by round.
        """
        detected = ahead(self._detect(), ROUNDS_AHEAD, "detect", self._timings, self._warn_of_hang)
        with closing(detected):
            for round_ in detected:
                yield self._track(round_)
                progress(len(round_.frames))
                if stop.is_set():
                    break
        last: list[Tracklet] = []
        for following in self._following.values():
            last += following.flush()
        yield last

    def _detect(self) -> Generator[Round, None, None]:
        """Read all cameras, and find people in the frames of each round."""
        stride = self._config.sources.stride
        n_ahead = self._config.sources.read_ahead_frames
        readers: dict[str, Generator[Frame, None, None]] = {}
        intervals_s: dict[str, float] = {}
        for source in self._sources:
            camera = source.camera
            readers[camera.name] = read_ahead(source, n_ahead, self._timings)
            intervals_s[camera.name] = stride / camera.fps
        try:
            for frames in rounds(readers, intervals_s):
                looked_at = [frame for frame in frames if frame.has_image]
                yield Round(frames, self._finder.find(looked_at))
        finally:
            for reader in readers.values():
                reader.close()

    def _track(self, round_: Round) -> list[Tracklet]:
        closed: list[Tracklet] = []
        for frame in round_.frames:
            if frame.has_image:
                followed = self._following[frame.camera].follow(frame, round_.found[frame.camera])
                if self._on_frame is not None:
                    self._on_frame(frame, followed)
                closed += followed.closed
        for frame in round_.frames:
            self._count(frame)
            if frame.camera in self._adaptive:
                self._adaptive[frame.camera].tell(self._following[frame.camera].looks_per_s)
        return closed

    def _warn_of_hang(self) -> None:
        self._warnings.append(
            f"reading or detection did not stop within {JOIN_S:g} s; check the disk or the network"
            " that the cameras are read from"
        )

    def _count(self, frame: Frame) -> None:
        self.n_frames[frame.camera] += 1
        self.last_s[frame.camera] = frame.time_s
        ranges = self.frame_ranges[frame.camera]
        first = frame.index
        if ranges and frame.index == ranges[-1][1] + self._config.sources.stride:
            first, _ = ranges.pop()
        ranges.append((first, frame.index))


def rounds(
    readers: dict[str, Generator[Frame, None, None]], intervals_s: dict[str, float]
) -> Iterator[list[Frame]]:
    """Group frames into batches with at most one frame per camera, in step with the clocks.

    A round takes the earliest frame and every other one that is less than the shortest frame
    interval later. Cameras
    that start later, end earlier or run at another rate are absent from some rounds.

    Args:
        readers: frames of each camera.
        intervals_s: time between two frames of each camera.

    Yields:
        The frames of a round, in the order of `readers`.
    """
    heads: dict[str, Frame] = {}
    for name, reader in readers.items():
        first = next(reader, None)
        if first is not None:
            heads[name] = first
    while heads:
        earliest_s = min(frame.time_s for frame in heads.values())
        limit_s = earliest_s + min(intervals_s[name] for name in heads)
        taken = [
            frame
            for frame in heads.values()
            if frame.time_s == earliest_s or frame.time_s < limit_s
        ]
        yield taken
        for frame in taken:
            following = next(readers[frame.camera], None)
            if following is None:
                del heads[frame.camera]
            else:
                heads[frame.camera] = following
