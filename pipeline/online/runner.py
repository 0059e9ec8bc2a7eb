"""Link while frames are read, as a live system does: what `linking.online` puts between the worker
and the results.

Twice in `max_delay_s`, what has closed and what there is of the tracklets that are open is embedded
and linked. So the identity of a tracklet is known at most `max_delay_s` after its first row, if
`tracklets.min_tracklet_s` is less than half of that.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from pipeline.embed import Embedder, bare
from pipeline.linking.linker import Linked
from pipeline.online.events import Event
from pipeline.online.linker import OnlineLinker
from pipeline.records import Array, Embedded, Key, Tracklet
from pipeline.timings import Timings
from pipeline.vectors import pool

Seen = TypeVar("Seen")
"""`Tracklet`, or `Embedded` where workers have embedded what they saw."""
Seen_co = TypeVar("Seen_co", covariant=True)


class Progress(Protocol[Seen_co]):
    """What tells how far the cameras are, whether of files or live."""

    @property
    def now_s(self) -> float:
        """Time of the latest frame, seconds."""
        ...

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Frames processed so far, by camera."""
        ...

    def provisional(self) -> Sequence[Seen_co]:
        """Return the open tracklets as if they closed now."""
        ...


class EmbeddingCache:
    """Keeps the crop embeddings of open tracklets, so that each crop is embedded once."""

    def __init__(self) -> None:
        self._known: dict[Key, dict[float, Array]] = {}

    def missing(self, tracklets: Sequence[Tracklet]) -> list[Tracklet]:
        """Return the tracklets with only those crops that are not in the cache."""
        return [self._without_known(tracklet) for tracklet in tracklets]

    def merge(self, tracklets: Sequence[Tracklet], new: Sequence[Embedded]) -> list[Embedded]:
        """Put embedded crops into the cache, and return the tracklets with all their crops.

        Only these tracklets stay in the cache, with the crops that they still have.

        Args:
            tracklets: Whole tracklets.
            new: The same tracklets, in order, with the embeddings of what was `missing`.

        Returns:
            The tracklets, without pixels; their embedding is the mean of their crops.
        """
        before, self._known = self._known, {}
        whole = []
        for tracklet, part in zip(tracklets, new, strict=True):
            added = dict(zip(part.crop_times_s.tolist(), part.crop_embeddings, strict=True))
            known = before.get(tracklet.key, {}) | added
            times_s = tracklet.crop_times_s.tolist()
            kept = {time_s: known[time_s] for time_s in times_s if time_s in known}
            self._known[tracklet.key] = kept
            whole.append(_whole(tracklet, list(kept.values()), part))
        return whole

    def _without_known(self, tracklet: Tracklet) -> Tracklet:
        known_s = list(self._known.get(tracklet.key, ()))
        is_new = ~np.isin(tracklet.crop_times_s, known_s)
        return tracklet.with_crops(is_new)


class CachedEmbedder:
    """Embeds tracklets while they grow, each crop once if the network allows it.

    Args:
        embedder: what embeds tracklets.
        timings: where the stage "embed" is counted.
    """

    def __init__(self, embedder: Embedder, timings: Timings) -> None:
        self._embedder = embedder
        self._timings = timings
        self._cache = EmbeddingCache()

    def embed(self, closed: Sequence[Tracklet], provisional: Sequence[Tracklet]) -> list[Embedded]:
        """Embed closed and open tracklets, in order.

        Crops that were embedded while a tracklet was open are not embedded again when it closes,
        except by a network for clips, which takes all crops of a closed tracklet together.
        """
        whole = [] if self._embedder.frame_wise else closed
        cached = [*closed, *provisional] if self._embedder.frame_wise else provisional
        waiting = [*whole, *self._cache.missing(cached)]
        with self._timings.stage("embed", sum(len(t.crops) for t in waiting)):
            embedded = self._embedder.embed(waiting)
        return [
            *embedded[: len(whole)],
            *self._cache.merge(cached, embedded[len(whole) :]),
        ]


class OnlineRunner(Generic[Seen]):
    """Takes the rounds of a worker and links whenever a step is due.

    The events of each step are given to `emit` at once and are not kept.

    Args:
        worker: tells how far the cameras are.
        embed: embeds closed and open tracklets, in order; see `CachedEmbedder`.
        online: what links them.
        max_delay_s: two steps come in this time, seconds of the cameras.
        timings: where stages are counted.
        emit: takes the events of each step.
        most_share: share of the time that steps take at most, 0..1, so that the pictures of live
            cameras are not lost to linking in a crowd; identities are then told later. Over files
            it has to be 1, or they would depend on the speed of the machine.
    """

    def __init__(
        self,
        worker: Progress[Seen],
        embed: Callable[[Sequence[Seen], Sequence[Seen]], list[Embedded]],
        online: OnlineLinker,
        max_delay_s: float,
        timings: Timings,
        emit: Callable[[list[Event]], object],
        most_share: float = 1.0,
    ) -> None:
        self._worker = worker
        self._embed = embed
        self._timings = timings
        self._online = online
        self._period_s = max_delay_s / 2
        self._due_s = -np.inf
        self._n_frames = 0
        self._closed: list[Seen] = []
        self._emit = emit
        self._most_share = most_share

    def follow(self, rounds: Iterable[list[Seen]]) -> Linked:
        """Take what closed, round by round, to the end; returns who was who."""
        for closed in rounds:
            self._closed += closed
            if self._worker.now_s >= self._due_s:
                self._emit(self._link(*self._taken()))
        self._emit(self._link(*self._taken()))
        return self._online.linked()

    def _taken(self) -> tuple[float, int, list[Seen], Sequence[Seen]]:
        """What the next step takes: the time, how many frames are new, and what has closed and what
        is open.
        """
        now_s = self._worker.now_s
        n_frames = sum(self._worker.n_frames.values())
        n_new = n_frames - self._n_frames
        closed = self._closed
        self._closed = []
        self._due_s = now_s + self._period_s
        self._n_frames = n_frames
        return now_s, n_new, closed, self._worker.provisional()

    def _link(
        self, now_s: float, n_frames: int, closed: list[Seen], provisional: Sequence[Seen]
    ) -> list[Event]:
        """Embed and link what was taken; returns what has changed."""
        start_s = time.monotonic()
        embedded = self._embed(closed, provisional)
        with self._timings.stage("link", n_frames):
            for number, each in enumerate(embedded):
                self._online.add(each, provisional=number >= len(closed))
            said = self._online.step(now_s)
        if self._most_share < 1:
            pause_s = (time.monotonic() - start_s) / self._most_share
            self._due_s = now_s + max(self._period_s, pause_s)
        return said


def _whole(tracklet: Tracklet, crops: list[Array], part: Embedded) -> Embedded:
    """A tracklet with the embeddings of all its crops."""
    if not crops:
        return bare(tracklet, np.zeros_like(part.embedding))
    crop_embeddings = np.stack(crops)
    return Embedded(
        tracklet.without_crops(),
        pool(crop_embeddings, tracklet.crop_quality),
        crop_embeddings,
        tracklet.crop_quality,
        tracklet.crop_times_s,
    )
