"""What settled tracklets of this run taught about its site, so that a live run learns all day.

A live run links a sliding window of time repeatedly. Each call of `link` learns from the tracklets
in the window; without `Lessons`, what was learned from older ones would be lost. So what a step
learned from tracklets that have *settled*, whose people will not change, is kept and given to the
next step, which learns from the other tracklets only: nothing is lost, and nothing counts twice.
Memory is bounded: the newest samples and transitions are kept, and the best homography and clock
offset of every two cameras. A `Site` cannot be used for this: it holds what earlier runs learned,
which is replaced by what this run measures.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pipeline.linking.learning import travel_times
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import NO_SAMPLES, Sampled, Samples
from pipeline.linking.learning.travel_times import NO_STEPS, Observed, TravelTimes
from pipeline.records import Array, Key

MAX_SAMPLES = 5000
"""Cosines of each kind that are kept, the newest."""

Measured = TypeVar("Measured", Homography, Offset)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What was learned from the tracklets of `keys`, and from settled ones before them."""

    keys: Collection[Key] = frozenset()
    samples: Samples = NO_SAMPLES
    travel: TravelTimes = field(default_factory=TravelTimes)
    homographies: tuple[Homography, ...] = ()
    offsets: tuple[Offset, ...] = ()
    searched_s: float = -math.inf
    """Time of the latest row when homographies were last searched, seconds."""

    def includes(self, keys: Sequence[Key]) -> Array:
        """Return which tracklets were learned from, (n,) bool."""
        return np.array([key in self.keys for key in keys], np.bool_)


NOTHING = Lessons()


@dataclass(frozen=True, slots=True)
class Taught:
    """What one call of `link` learned, and from which tracklets.

    Attributes:
        before: lessons that it was given.
        whole: tracklets that `sampled` is from.
        sampled: cosines.
        pieces: tracklets that `steps` is from, after splitting.
        steps: steps between cameras.
        homographies: the best so far.
        offsets: the best clock offsets so far.
        searched_s: see `Lessons`.
    """

    before: Lessons
    whole: Sequence[Key]
    sampled: Sampled
    pieces: Sequence[Key]
    steps: Observed
    homographies: tuple[Homography, ...]
    offsets: tuple[Offset, ...]
    searched_s: float

    def lessons(self, settled: Collection[Key]) -> Lessons:
        """Return the lessons before, with what was learned from settled tracklets alone.

        Args:
            settled: keys of all tracklets that have settled and can be in the next window.
        """
        is_settled = np.array([key in settled for key in self.whole], np.bool_)
        is_taught = self.before.includes(self.whole)
        new_samples = self.sampled.settled(is_settled, is_taught)
        samples = self.before.samples.plus(new_samples).newest(MAX_SAMPLES)

        begins = [self.pieces[i] for i in self.steps.visit.tolist()]
        is_final = np.array([key in settled for key in begins], np.bool_)
        is_new = ~self.before.includes(begins)
        new_steps = self.steps.some(is_final & is_new)
        travel = travel_times.add(self.before.travel, new_steps.times())
        return Lessons(settled, samples, travel, self.homographies, self.offsets, self.searched_s)


NOTHING_TAUGHT = Taught(
    NOTHING,
    (),
    Sampled(NO_SAMPLES, np.zeros(0, np.int64), np.zeros((0, 2), np.int64)),
    (),
    NO_STEPS,
    (),
    (),
    -math.inf,
)


def best(before: Sequence[Measured], new: Sequence[Measured]) -> tuple[Measured, ...]:
    """Return for every two cameras the measurement with the most pairs of tracklets.

    Args:
        before: earlier measurements.
        new: new ones, which replace earlier ones with as many pairs.
    """
    found = {frozenset(measured.cameras): measured for measured in before}
    for measured in new:
        cameras = frozenset(measured.cameras)
        old = found.get(cameras)
        if old is None or measured.n_pairs >= old.n_pairs:
            found[cameras] = measured
    return tuple(found.values())
