"""What settled tracklets of this run taught about its site: how a live run learns all day.

A live run links a window of time again and again. Each call of `link` learns from what is in the
window; without more, what has left it would be forgotten. So what a step learned from tracklets
that have *settled*, whose people will not change, is kept as `Lessons` and given to the next step,
which learns from the other tracklets only: nothing is lost, and nothing counts twice. Memory is
bounded: the newest samples and transitions are kept, and the best homography and clock offset of
every two cameras. A `Site` would not do: it holds what earlier runs learned, which gives way to
what this run measures.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pipeline.linking.learning import travel_times
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import NO_SAMPLES, Sampled, Samples
from pipeline.linking.learning.travel_times import Observed, TravelTimes
from pipeline.records import Array, Key

MAX_SAMPLES = 5000
"""Cosines of each kind that are kept, the newest."""

Measured = TypeVar("Measured", Homography, Offset)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the tracklets of `keys`, and settled ones before them, taught."""

    keys: Collection[Key] = frozenset()
    samples: Samples = NO_SAMPLES
    travel: TravelTimes = field(default_factory=TravelTimes)
    homographies: tuple[Homography, ...] = ()
    offsets: tuple[Offset, ...] = ()

    def includes(self, keys: Sequence[Key]) -> Array:
        """Which tracklets (n,) have taught already, (n,) bool."""
        return np.array([key in self.keys for key in keys], np.bool_)


NOTHING = Lessons()


@dataclass(frozen=True, slots=True)
class Taught:
    """What one call of `link` learned, and from which tracklets.

    before: lessons that it was given. sampled is of the tracklets `whole`, steps of the `pieces`
    that those were cut into.
    """

    before: Lessons
    whole: Sequence[Key]
    sampled: Sampled
    pieces: Sequence[Key]
    steps: Observed
    homographies: tuple[Homography, ...]
    offsets: tuple[Offset, ...]

    def lessons(self, settled: Collection[Key]) -> Lessons:
        """Return the lessons before, and what was learned from settled tracklets alone."""
        is_settled = np.array([key in settled for key in self.whole], np.bool_)
        new_samples = self.sampled.settled(is_settled, self.before.includes(self.whole))
        begins = [self.pieces[i] for i in self.steps.visit.tolist()]
        is_final = np.array([key in settled for key in begins], np.bool_)
        new_steps = self.steps.some(is_final & ~self.before.includes(begins))
        return Lessons(
            settled,
            self.before.samples.plus(new_samples).newest(MAX_SAMPLES),
            travel_times.add(self.before.travel, new_steps.times()),
            self.homographies,
            self.offsets,
        )


NOTHING_TAUGHT = Taught(
    NOTHING,
    (),
    Sampled(NO_SAMPLES, np.zeros(0, np.int64), np.zeros((0, 2), np.int64)),
    (),
    Observed((), *(np.zeros(0, np.int64) for _ in range(4))),
    (),
    (),
)


def best(before: Sequence[Measured], new: Sequence[Measured]) -> tuple[Measured, ...]:
    """Of every two cameras what was measured by most pairs of tracklets; of equals the new."""
    found = {frozenset(each.cameras): each for each in before}
    for each in new:
        old = found.get(frozenset(each.cameras))
        if old is None or each.n_pairs >= old.n_pairs:
            found[frozenset(each.cameras)] = each
    return tuple(found.values())
