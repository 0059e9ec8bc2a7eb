"""Learn how long people take from camera to camera, from pairs that are certain.

From people whom appearance alone makes certain, a run learns for every two cameras how long they
were out of view, and how often both cameras saw them at once. So whether views overlap need not be
configured.

Pieces of a track that are certainly one person are one *visit*, and gaps lie between visits. Two
visits with a certain third one between them are no transition, and time is no evidence for them:
without this rule, people who walk about all day are split (20 points of F1 in a simulated office).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.linking.evidence.gaps import HORIZON_S
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

MIN_TRANSITIONS = 3
"""Fewer transitions than this are no evidence."""
MAX_TRANSITIONS = 500
"""Observations kept of a pair of cameras, the newest."""
N_NEXT = 32
"""Members of a group that are paired with each, those that follow it."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """Observed steps from one camera to another.

    Attributes:
        gaps_s: seconds above 0 from leaving the first to appearing in the second, newest last.
        n_overlaps: number of times that the first camera still saw the person when the second
            began to.
    """

    gaps_s: tuple[float, ...] = ()
    n_overlaps: int = 0

    @property
    def n(self) -> int:
        """Number of all observations."""
        return len(self.gaps_s) + self.n_overlaps

    def newest(self, n: int) -> "Transitions":
        """Return at most `n` observations: the newest gaps, and overlaps in proportion."""
        if self.n <= n:
            return self
        n_gaps = len(self.gaps_s)
        n_kept = n_gaps * n // self.n
        newest_s = self.gaps_s[n_gaps - n_kept :]
        return Transitions(newest_s, n - n_kept)


@dataclass(frozen=True, slots=True)
class TravelTimes:
    """Transitions by (earlier camera, later camera); missing ones were never observed."""

    transitions: Mapping[tuple[str, str], Transitions] = field(default_factory=dict)

    def of(self, earlier: str, later: str) -> Transitions:
        """Return the transitions from one camera to another, by name."""
        return self.transitions.get((earlier, later), Transitions())


class CameraVisits:
    """The visits of n tracklets, named by their first tracklet.

    Attributes:
        camera: camera of each tracklet, (n,) int.
        first: visit of each tracklet, (n,) int.
        start_s: start of that visit, (n,) seconds.
        end_s: end of that visit, (n,) seconds.
        certain: distinct pairs of visits that are certainly one person, (k, 2), in order.
    """

    def __init__(self, index: TrackletIndex, certain: Array) -> None:
        n = len(index)
        self.camera = index.camera
        self.first = np.arange(n)
        for earlier, later in index.pieces:
            if (earlier, later) not in index.continued:
                self.first[later] = self.first[earlier]
        latest_s = index.end_s.copy()
        np.maximum.at(latest_s, self.first, index.end_s)
        self.start_s = index.start_s[self.first]
        self.end_s = latest_s[self.first]

        certain_tracklets = np.asarray(certain, np.int64).reshape(-1, 2)
        pairs = np.sort(self.first[certain_tracklets], axis=1)
        is_two_visits = pairs[:, 0] < pairs[:, 1]
        self.certain = np.unique(pairs[is_two_visits], axis=0)
        first, second = self.certain.T
        goes_on = self.end_s[second] > self.end_s[first]
        self._next_s = np.full(n, np.inf)
        """Start of the next certain visit that ends later."""
        np.minimum.at(self._next_s, first[goes_on], self.start_s[second[goes_on]])
        self._last_s = np.full(n, -np.inf)
        """Latest end of a certain visit before."""
        np.maximum.at(self._last_s, second, self.end_s[first])

    def of(self, camera: int) -> Array:
        """Return the visits of one camera, by index, in order."""
        is_first = self.first == np.arange(len(self.first))
        return np.flatnonzero((self.camera == camera) & is_first)

    def in_order(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Return the visits of pairs of tracklets.

        Args:
            first: tracklets, (m,).
            second: other tracklets, (m,).

        Returns:
            Earlier and later visits, (m,) each.
        """
        first_visit = self.first[first]
        second_visit = self.first[second]
        return np.minimum(first_visit, second_visit), np.maximum(first_visit, second_visit)

    def gap_ms(self, earlier: Array, later: Array) -> Array:
        """Return the gaps between visits.

        Args:
            earlier: visits, (m,).
            later: visits, (m,).

        Returns:
            Whole milliseconds from the end of one to the start of the other, (m,) int64; 0 or less
            where they overlap.
        """
        gap_s = self.start_s[later] - self.end_s[earlier]
        return np.rint(gap_s * 1000).astype(np.int64)

    def apart(self, earlier: Array, later: Array) -> Array:
        """Return which pairs of visits are no step.

        Args:
            earlier: visits, (m,).
            later: visits, (m,).

        Returns:
            True where the gap is too long, or a certain visit lies between the two, (m,) bool.
        """
        gap_s = self.start_s[later] - self.end_s[earlier]
        comes_before = self._next_s[earlier] < self.start_s[later]
        ends_after = self._last_s[later] > self.end_s[earlier]
        has_between = comes_before | ends_after
        return np.asarray((gap_s > HORIZON_S) | ((gap_s > 0) & has_between))


def followed(index: TrackletIndex, groups: Iterable[Sequence[int]]) -> Array:
    """Return the pairs of tracklets that may be certain.

    Args:
        index: all tracklets.
        groups: people, as indices of tracklets.

    Returns:
        Pairs (m, 2) of one group; the second is among the `N_NEXT` that follow the first.
    """
    members = [np.sort(np.asarray(group, np.int64)) for group in groups if len(group) > 1]
    tracklets = np.concatenate([np.zeros(0, np.int64), *members])
    sizes = [len(group) for group in members]
    owner = np.repeat(np.arange(len(members)), sizes)
    found = [np.zeros((0, 2), np.int64)]
    for step in range(1, min(N_NEXT + 1, len(tracklets))):
        is_one = owner[:-step] == owner[step:]
        first = tracklets[:-step][is_one]
        second = tracklets[step:][is_one]
        found.append(np.stack([first, second], axis=1))
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Observed:
    """Observed steps between cameras.

    Attributes:
        names: cameras.
        earlier: camera of the earlier visit, index into `names`, (k,).
        later: camera of the later visit, (k,).
        gap_ms: milliseconds between them, (k,); 0 or less where the visits overlap.
        visit: the first tracklet of the later visit, by index, (k,).
    """

    names: Sequence[str]
    earlier: Array
    later: Array
    gap_ms: Array
    visit: Array

    def some(self, chosen: Array) -> "Observed":
        """Return the steps where `chosen`, (k,) bool, is true."""
        return Observed(
            self.names,
            self.earlier[chosen],
            self.later[chosen],
            self.gap_ms[chosen],
            self.visit[chosen],
        )

    def times(self) -> TravelTimes:
        """Return travel times, the newest `MAX_TRANSITIONS` of each way."""
        way = self.earlier * len(self.names) + self.later
        found: dict[tuple[str, str], Transitions] = {}
        for each in np.unique(way).tolist():
            gap_ms = self.gap_ms[way == each]
            positive_ms = gap_ms[gap_ms > 0]
            gaps_s = tuple((positive_ms / 1000).tolist())
            steps = Transitions(gaps_s, len(gap_ms) - len(positive_ms))
            earlier, later = divmod(each, len(self.names))
            found[self.names[earlier], self.names[later]] = steps.newest(MAX_TRANSITIONS)
        return TravelTimes(found)


NO_STEPS = Observed((), *(np.zeros(0, np.int64) for _ in range(4)))


def observe(index: TrackletIndex, groups: Iterable[Sequence[int]], certain: Array) -> Observed:
    """Return the steps between cameras of people whom linking found, in order of time.

    Args:
        index: all tracklets.
        groups: people, as indices of tracklets.
        certain: pairs (m, 2) of their tracklets that are one person without evidence of time.
    """
    owner = np.full(len(index), -1)
    for number, group in enumerate(groups):
        owner[list(group)] = number
    pairs = np.asarray(certain, np.int64).reshape(-1, 2)
    first_owner = owner[pairs[:, 0]]
    second_owner = owner[pairs[:, 1]]
    is_one = (first_owner == second_owner) & (first_owner >= 0)
    visits = CameraVisits(index, pairs[is_one])

    earlier, later = visits.certain.T
    is_other_camera = index.camera[earlier] != index.camera[later]
    is_step = is_other_camera & ~visits.apart(earlier, later)
    earlier = earlier[is_step]
    later = later[is_step]
    gap_ms = visits.gap_ms(earlier, later)
    order = np.lexsort((gap_ms, visits.start_s[later]))
    earlier = earlier[order]
    later = later[order]
    earlier_camera = index.camera[earlier]
    later_camera = index.camera[later]
    return Observed(index.names, earlier_camera, later_camera, gap_ms[order], later)


def add(earlier: TravelTimes, new: TravelTimes) -> TravelTimes:
    """Add new travel times to earlier ones.

    Args:
        earlier: what earlier runs learned.
        new: what is new.

    Returns:
        Both, at most `MAX_TRANSITIONS` of each way; the oldest are dropped.
    """
    total = {}
    for cameras in sorted({*earlier.transitions, *new.transitions}):
        fresh = new.of(*cameras)
        n_room = max(MAX_TRANSITIONS - fresh.n, 0)
        old = earlier.of(*cameras).newest(n_room)
        gaps_s = old.gaps_s + fresh.gaps_s
        total[cameras] = Transitions(gaps_s, old.n_overlaps + fresh.n_overlaps)
    return TravelTimes(total)


def in_words(times: TravelTimes) -> list[str]:
    """Return one line for every way from camera to camera, for readers of run.json."""
    lines = []
    for (earlier, later), steps in sorted(times.transitions.items()):
        if steps.n >= MIN_TRANSITIONS:
            lines.append(_in_words(earlier, later, steps))
    return lines


def _in_words(earlier: str, later: str, steps: Transitions) -> str:
    said = []
    if steps.gaps_s:
        low, middle, high = np.percentile(steps.gaps_s, (10, 50, 90))
        n_steps = len(steps.gaps_s)
        most = f"{n_steps} steps, most within {low:.1f} to {high:.1f} s"
        said.append(f"about {middle:.1f} s ({most})")
    if steps.n_overlaps:
        said.append(f"{steps.n_overlaps} times seen by both at once")
    return f"{earlier} to {later}: {', '.join(said)}"
