"""Linking while frames are read, as a live system does: what `linking.online` puts between the
worker and the results.

Twice in `max_delay_s`, what has closed and what there is of the tracklets that are open is embedded
and linked. So the identity of a tracklet is known at most `max_delay_s` after its first row, if
`tracklets.min_tracklet_s` is less than half of that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.embed import Embedder, bare, pool
from pipeline.linking.events import Event, Key
from pipeline.linking.linker import Linked
from pipeline.linking.online import Engine, OnlineLinker
from pipeline.records import Array, Embedded, Tracklet
from pipeline.timings import Timings
from pipeline.worker import Worker


class EmbeddingCache:
    """Keeps the crop embeddings of open tracklets, so that each crop is embedded once.

    The embedding of an open tracklet is the mean of its crops; a network for clips embeds it as one
    clip when it has closed.
    """

    def __init__(self) -> None:
        self._known: dict[Key, dict[float, Array]] = {}

    def missing(self, tracklets: Sequence[Tracklet]) -> list[Tracklet]:
        """The same tracklets with only those crops that have not been embedded yet."""
        return [
            _only(t, ~np.isin(t.crop_times_s, list(self._known.get(t.key, ())))) for t in tracklets
        ]

    def merge(self, tracklets: Sequence[Tracklet], new: Sequence[Embedded]) -> list[Embedded]:
        """All that there is of tracklets, now that their missing crops are embedded; others are
        forgotten.
        """
        before, self._known = self._known, {}
        for tracklet, part in zip(tracklets, new, strict=True):
            looks = before.get(tracklet.key, {}) | dict(
                zip(part.crop_times_s.tolist(), part.crop_embeddings, strict=True)
            )
            self._known[tracklet.key] = {
                s: looks[s] for s in tracklet.crop_times_s.tolist() if s in looks
            }
        return [
            _whole(t, list(self._known[t.key].values()), part)
            for t, part in zip(tracklets, new, strict=True)
        ]


class OnlineRunner:
    """Takes the rounds of a worker and links whenever a step is due; `events` are those of all
    steps.
    """

    def __init__(
        self,
        worker: Worker,
        embedder: Embedder,
        engine: Engine,
        config: LinkingConfig,
        timings: Timings,
    ) -> None:
        self._worker, self._embedder, self._timings = worker, embedder, timings
        self._online, self._cache = OnlineLinker(engine, config.forget_after_s), EmbeddingCache()
        self._period_s, self._due_s, self._n_frames = config.max_delay_s / 2, -np.inf, 0
        self._closed: list[Tracklet] = []
        self.events: list[Event] = []

    def follow(self, rounds: Iterable[list[Tracklet]]) -> Linked:
        """Take what closed, round by round, to the end; returns who was who."""
        for closed in rounds:
            self._closed += closed
            if self._worker.now_s >= self._due_s:
                self._step()
        self._step()
        return self._online.linked()

    def _step(self) -> None:
        now_s, n_frames, provisional = (
            self._worker.now_s,
            sum(self._worker.n_frames.values()),
            self._worker.provisional(),
        )
        fresh = self._cache.missing(provisional)
        waiting, self._closed = [*self._closed, *fresh], []
        with self._timings.stage("embed", sum(len(t.crops) for t in waiting)):
            embedded = self._embedder.embed(waiting)
        n_closed = len(waiting) - len(fresh)
        with self._timings.stage("link", n_frames - self._n_frames):
            for each in embedded[:n_closed]:
                self._online.add(each, provisional=False)
            for each in self._cache.merge(provisional, embedded[n_closed:]):
                self._online.add(each, provisional=True)
            self.events += self._online.step(now_s)
        self._due_s, self._n_frames = now_s + self._period_s, n_frames


def _only(tracklet: Tracklet, which: Array) -> Tracklet:
    """The same tracklet with some of its crops, (k,) bool."""
    crops, quality, times_s = (
        tracklet.crops[which],
        tracklet.crop_quality[which],
        tracklet.crop_times_s[which],
    )
    return replace(tracklet, crops=crops, crop_quality=quality, crop_times_s=times_s)


def _whole(tracklet: Tracklet, looks: list[Array], part: Embedded) -> Embedded:
    if not looks:
        return bare(tracklet, np.zeros_like(part.embedding))
    stack, quality = np.stack(looks), tracklet.crop_quality
    return Embedded(
        tracklet.without_crops(), pool(stack, quality), stack, quality, tracklet.crop_times_s
    )
