"""Fit the curve from cosine similarity to log odds to the site's own tracklets.

A user's recordings have no labels, but some pairs are known. *Strangers* are tracklets that one
camera sees at the same time: two people. *Halves* are the two halves of one tracklet: one person,
though in one camera and at one time, and so more similar than the same person elsewhere.
`CROSS_CAMERA_RATIO` is the share of their margin over strangers that is left across cameras: 0.8 on
rendered worlds, where the margin of halves is 0.85 and more; 0.5 in a real shop, where it is 0.65.
The even point lies in the middle: with the network that ships, cosines of one person spread as much
as those of two (0.09 on rendered worlds), and of the shares 0.28 to 0.66 the middle was the lowest
that is best on a rendered mall and a real terrace. The curve is as steep as both spreads allow, but
a typical pair has log odds of at most `MAX_TYPICAL_LOG_ODDS`. A site with few people has few pairs:
the settings count as `PRIOR_PAIRS` more.

Cameras differ (light, angle, blur), so each has a shift of its own, shrunk in the same way. The
even point of two cameras is the mean of theirs, which keeps evidence bilinear.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking.evidence.appearance import Curve, clarity, clarity_of
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array, Embedded
from pipeline.vectors import pool

HALVES_MARGIN, CROSS_CAMERA_RATIO = (0.65, 0.85), (0.5, 0.8)
"""How much more alike than strangers the halves of a tracklet are, and the share of that which is
left across cameras.
"""
EVEN_POINT = 0.5
"""Share of the way from two people to one person at which both are equally likely."""
MAX_TYPICAL_LOG_ODDS = 6.0
PRIOR_PAIRS = 20
MOST_BEFORE = 200
"""Pairs of earlier runs count up to so many: light and clothes change."""
MIN_CLARITY = 0.7
MIN_CROPS = 4
MAX_PAIRS = 200_000
WELL, FAIRLY = 4.0, 2.5
"""How far apart same and different must lie, in standard deviations, to be called well or fairly
apart.
"""


@dataclass(frozen=True, slots=True)
class SimilarityStats:
    """Typical cosine of one person across cameras, and of two people; standard deviation around
    both.

    n_same, n_different: tracklets and pairs of people that say it, of this run and earlier ones.
    """

    same: float
    different: float
    spread: float
    n_same: int
    n_different: int


NOTHING_KNOWN = SimilarityStats(0.0, 0.0, 0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve of a site, and what it was fitted to; see `SimilarityStats`."""

    curve: Curve
    same: float
    different: float
    spread: float
    n_same: int
    n_different: int

    @property
    def stats(self) -> SimilarityStats:
        """What a later run of this site may start from."""
        return SimilarityStats(
            self.same, self.different, self.spread, self.n_same, self.n_different
        )

    @property
    def separation(self) -> float:
        """Standard deviations between same and different."""
        return (self.same - self.different) / self.spread

    def in_words(self) -> str:
        """How well appearance tells people apart here, for a person who reads run.json."""
        if not self.n_same or not self.n_different:
            return (
                "how well appearance tells people apart here is not known: there was too little to"
                " compare"
            )
        of = (
            f"(same person about {self.same:.2f}, two people about {self.different:.2f},"
            f" {self.separation:.1f} standard deviations apart; from {self.n_same} tracklets and"
            f" {self.n_different} pairs of people seen together)"
        )
        if self.separation >= WELL:
            return f"appearance tells people apart well {of}"
        if self.separation >= FAIRLY:
            return (
                f"appearance tells people apart fairly {of}: people of similar appearance may be"
                " confused"
            )
        return (
            f"appearance tells people apart poorly {of}: identities depend on time and position"
            " more than on appearance"
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """Cosines that a site's own tracklets give, corrected for quality, and their cameras by name.

    halves (k,): between the halves of one tracklet; half_cameras (k,). strangers (m,): between two
    people whom one camera sees at the same time; stranger_cameras (m, 2).
    """

    halves: Array
    half_cameras: Array
    strangers: Array
    stranger_cameras: Array

    def some(self, halves: Array, strangers: Array) -> "Samples":
        """Return those of some indices, or where a mask is true."""
        return Samples(
            self.halves[halves],
            self.half_cameras[halves],
            self.strangers[strangers],
            self.stranger_cameras[strangers],
        )

    def plus(self, newer: "Samples") -> "Samples":
        """Return both, the newer last."""
        return Samples(
            np.concatenate([self.halves, newer.halves]),
            np.concatenate([self.half_cameras, newer.half_cameras]),
            np.concatenate([self.strangers, newer.strangers]),
            np.concatenate([self.stranger_cameras, newer.stranger_cameras]),
        )

    def newest(self, n: int) -> "Samples":
        """Return at most `n` of each kind, the last."""
        return self.some(np.arange(len(self.halves))[-n:], np.arange(len(self.strangers))[-n:])


NO_SAMPLES = Samples(
    np.zeros(0, np.float32), np.zeros(0, np.str_), np.zeros(0), np.zeros((0, 2), np.str_)
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Samples of an index, and the tracklets that they are of: owners (k,), pairs (m, 2)."""

    samples: Samples
    owners: Array
    pairs: Array

    def beyond(self, is_taught: Array) -> Samples:
        """Return the samples with at least one tracklet that has not taught yet, (n,) bool."""
        return self.samples.some(~is_taught[self.owners], ~self._within(is_taught))

    def settled(self, is_settled: Array, is_taught: Array) -> Samples:
        """Return those of them all of whose tracklets have settled, (n,) bool."""
        return self.samples.some(
            is_settled[self.owners] & ~is_taught[self.owners],
            self._within(is_settled) & ~self._within(is_taught),
        )

    def _within(self, is_member: Array) -> Array:
        """Pairs both of whose tracklets are members."""
        return np.asarray(is_member[self.pairs].all(axis=1), np.bool_)


def sample(index: TrackletIndex) -> Sampled:
    """Return the cosines that say what similarity means, from an index of whole tracklets."""
    pairs, strangers = _negatives(index)
    halves, owners = _halves(index.embedded)
    names = np.array(index.names, np.str_)
    samples = Samples(halves, names[index.camera[owners]], strangers, names[index.camera[pairs]])
    return Sampled(samples, owners, pairs)


def calibrate(
    samples: Samples,
    names: Sequence[str],
    config: LinkingConfig,
    before: SimilarityStats = NOTHING_KNOWN,
) -> Calibration:
    """Fit the similarity curve of a site.

    Without samples it is the prior's: the settings', and what runs `before` learned.

    Args:
        samples: Cosines of this run's tracklets.
        names: Cameras of the curve, in order.
        config: Holds the similarity at even odds, and its scale.
        before: Statistics of earlier runs.
    """
    known = _known(config, before)
    cosines = samples.strangers
    halves = samples.halves
    different, spread_different = _typical(
        cosines, known.different, known.spread, known.n_different
    )
    crossing = float(
        np.interp(
            _typical(halves, known.same, known.spread, known.n_same)[0] - different,
            HALVES_MARGIN,
            CROSS_CAMERA_RATIO,
        )
    )
    lead = crossing * (halves - different)
    same, spread_same = _typical(different + lead, known.same, known.spread, known.n_same)
    spread = float(np.hypot(spread_same, spread_different) / np.sqrt(2))
    gap = max(same - different, 1e-2)
    even = np.full(len(names), different + EVEN_POINT * gap)
    for camera, name in enumerate(names):
        is_stranger = (samples.stranger_cameras == name).any(axis=1)
        strangers = _shift(cosines[is_stranger] - different)
        own_halves = halves[samples.half_cameras == name]
        selves = _shift(crossing * (own_halves - different) - gap)
        even[camera] += (strangers + selves) / 2
    scale = max(gap / (2 * MAX_TYPICAL_LOG_ODDS), spread**2 / gap)
    n_same, n_different = len(halves) + before.n_same, len(cosines) + before.n_different
    return Calibration(Curve(even, scale), same, different, spread, n_same, n_different)


def _known(config: LinkingConfig, before: SimilarityStats) -> SimilarityStats:
    """Settings and earlier runs together, with how many pairs they are worth."""
    gap = 2 * MAX_TYPICAL_LOG_ODDS * config.similarity_scale
    told = (
        config.similarity_at_even_odds - EVEN_POINT * gap,
        config.similarity_at_even_odds + (1 - EVEN_POINT) * gap,
    )
    n_same, n_different = (min(n, MOST_BEFORE) for n in (before.n_same, before.n_different))
    different = np.average([told[0], before.different], weights=[PRIOR_PAIRS, n_different])
    same = np.average([told[1], before.same], weights=[PRIOR_PAIRS, n_same])
    spread = np.average([2 * config.similarity_scale, before.spread], weights=[PRIOR_PAIRS, n_same])
    return SimilarityStats(
        float(same),
        float(different),
        float(spread),
        int(PRIOR_PAIRS + n_same),
        int(PRIOR_PAIRS + n_different),
    )


def _negatives(s: TrackletIndex) -> tuple[Array, Array]:
    """Pairs (m, 2) that one camera sees at the same time, and their cosines (m,), corrected for
    quality.
    """
    clear = clarity(s.embedded)
    good = np.array([e.embedding.any() for e in s.embedded], bool) & (clear >= MIN_CLARITY)
    found: list[tuple[int, int]] = []
    for camera in range(len(s.names)):
        found += _together(
            s, np.flatnonzero(good & (s.camera == camera)).tolist(), MAX_PAIRS // len(s.names)
        )
    pairs = np.array(found, np.int64).reshape(-1, 2)
    rows = [s.embedded[i].embedding @ s.embedded[j].embedding for i, j in found]
    return pairs, np.array(rows, np.float64) / (clear[pairs[:, 0]] * clear[pairs[:, 1]])


def _together(s: TrackletIndex, mine: list[int], most: int) -> list[tuple[int, int]]:
    """Pairs of one camera's tracklets that are seen at the same time.

    If there are more than `most`, as many are chosen, evenly spaced over the day.
    """
    total = sum(len(earlier) for _, earlier in _in_view(s, mine))
    if total <= most:
        return [(k, i) for i, earlier in _in_view(s, mine) for k in earlier]
    chosen = ((np.arange(most) + 0.5) * (total / most)).astype(np.int64)
    found: list[tuple[int, int]] = []
    n_before = 0
    for i, earlier in _in_view(s, mine):
        low, high = np.searchsorted(chosen, [n_before, n_before + len(earlier)]).tolist()
        found += [(earlier[number - n_before], i) for number in chosen[low:high].tolist()]
        n_before += len(earlier)
    return found


def _in_view(s: TrackletIndex, mine: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Each tracklet of a camera, and the earlier ones that are still seen when it begins."""
    in_view: list[int] = []
    for i in mine:
        in_view = [k for k in in_view if s.end_s[k] > s.start_s[i]]
        yield i, in_view
        in_view.append(i)


def _halves(embedded: list[Embedded]) -> tuple[Array, Array]:
    """Cosines (k,) between the halves of tracklets, corrected for quality, and the tracklets
    (k,).
    """
    cosines, owners = [], []
    for i, e in enumerate(embedded):
        k = len(e.crop_embeddings)
        if k < MIN_CROPS:
            continue
        sides = [
            (e.crop_embeddings[part], e.crop_quality[part])
            for part in (slice(0, k // 2), slice(k // 2, k))
        ]
        clear = clarity_of(np.array([quality.sum() for _, quality in sides]))
        if clear.min() >= MIN_CLARITY:
            first, second = (pool(*side) for side in sides)
            cosines.append(float(first @ second) / (clear[0] * clear[1]))
            owners.append(i)
    return np.array(cosines), np.array(owners, np.int64)


def _typical(values: Array, known: float, known_spread: float, n_known: int) -> tuple[float, float]:
    """Median and spread (from the median deviation: a few wrong pairs do no harm), shrunk towards
    what was known.
    """
    n = len(values)
    if not n:
        return known, known_spread
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    share = n / (n + n_known)
    return share * middle + (1 - share) * known, share * spread + (1 - share) * known_spread


def _shift(values: Array) -> float:
    """Median of a camera's deviations, shrunk towards none."""
    return (
        float(np.median(values)) * len(values) / (len(values) + PRIOR_PAIRS) if len(values) else 0.0
    )
