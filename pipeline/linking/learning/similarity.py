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
the settings count as `PRIOR_TRACKLETS` and `PRIOR_PAIRS` more.

Cameras differ (light, angle, blur), so each has a shift of its own, shrunk in the same way. The
even point of two cameras is the mean of theirs, which keeps evidence bilinear.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking.evidence.appearance import Curve, clarity, clarity_of
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array, Embedded
from pipeline.vectors import pool

HALVES_MARGIN = (0.65, 0.85)
"""Margin of the halves of a tracklet over strangers, in cosine, at two sites."""
CROSS_CAMERA_RATIO = (0.5, 0.8)
"""Share of that margin that is left across cameras, at these sites."""
EVEN_POINT = 0.5
"""Share of the way from two people to one person at which both are equally likely."""
MAX_TYPICAL_LOG_ODDS = 6.0
PRIOR_TRACKLETS = 20
"""Tracklets that the settings count as."""
PRIOR_PAIRS = 40
"""Pairs of people seen together that they count as. On half of the real and rendered scenes 20 is
1.5 points of IDF1 worse and 80 is 1 worse: where few people are seen, two who are dressed alike say
little of what strangers look like.
"""
MOST_BEFORE = 200
"""Pairs of earlier runs count up to so many: light and clothes change."""
MIN_CLARITY = 0.7
MIN_CROPS = 4
MAX_PAIRS = 200_000
WELL = 4.0
"""Standard deviations between same and different from which people are told apart well."""
FAIRLY = 2.5
"""The same for fairly."""


@dataclass(frozen=True, slots=True)
class SimilarityStats:
    """Typical cosines of a site, from this run and earlier ones.

    Attributes:
        same: cosine of one person across cameras.
        different: cosine of two people.
        spread: standard deviation around both.
        n_same: tracklets that `same` is from.
        n_different: pairs of people that `different` is from.
    """

    same: float
    different: float
    spread: float
    n_same: int
    n_different: int


NOTHING_KNOWN = SimilarityStats(0.0, 0.0, 0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve of a site, and what it was fitted to; see `SimilarityStats`.

    Of `n_together` pairs of people whom this run saw together, `n_alike` are more likely one person
    by the curve. Earlier runs do not count: it depends on who is there.
    """

    curve: Curve
    same: float
    different: float
    spread: float
    n_same: int
    n_different: int
    n_together: int
    n_alike: int

    def of_cameras(self, names: Sequence[str], kept: Sequence[str]) -> "Calibration":
        """Return the same calibration for some of its cameras.

        Args:
            names: all cameras of the curve, in order.
            kept: those that are still needed, in order.
        """
        even = np.array([self.curve.even[names.index(name)] for name in kept], np.float64)
        return replace(self, curve=replace(self.curve, even=even))

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

    @property
    def lookalike_share(self) -> float:
        """Share of the pairs of two people who look like one person, by the rule of succession: a
        half where nobody was seen together, and never 0.
        """
        return (self.n_alike + 1) / (self.n_together + 2)

    def in_words(self) -> str:
        """Return how well appearance tells people apart here, for readers of run.json."""
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
        if self.n_alike:
            of += f", but {self.n_alike} of {self.n_together} pairs here look like one person"
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
    """Cosines of a site's own tracklets, corrected for quality, and their cameras by name.

    Attributes:
        halves: between the halves of one tracklet, (k,).
        half_cameras: their cameras, (k,) str.
        strangers: between two people whom one camera sees at the same time, (m,).
        stranger_cameras: their cameras, (m, 2) str.
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
        halves = np.arange(len(self.halves))[-n:]
        strangers = np.arange(len(self.strangers))[-n:]
        return self.some(halves, strangers)


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
        """Return the samples with at least one tracklet that was not used before.

        Args:
            is_taught: which tracklets were used before, (n,) bool.
        """
        new_halves = ~is_taught[self.owners]
        new_strangers = ~self._within(is_taught)
        return self.samples.some(new_halves, new_strangers)

    def settled(self, is_settled: Array, is_taught: Array) -> Samples:
        """Return the new samples all of whose tracklets have settled.

        Args:
            is_settled: which tracklets have settled, (n,) bool.
            is_taught: which tracklets were used before, (n,) bool.
        """
        halves = is_settled[self.owners] & ~is_taught[self.owners]
        strangers = self._within(is_settled) & ~self._within(is_taught)
        return self.samples.some(halves, strangers)

    def _within(self, is_member: Array) -> Array:
        """Pairs both of whose tracklets are members."""
        return np.asarray(is_member[self.pairs].all(axis=1), np.bool_)


def sample(index: TrackletIndex) -> Sampled:
    """Return the cosines that say what similarity means, from an index of whole tracklets."""
    pairs, strangers = _negatives(index)
    halves, owners = _halves(index.embedded)
    names = np.array(index.names, np.str_)
    half_cameras = names[index.camera[owners]]
    stranger_cameras = names[index.camera[pairs]]
    samples = Samples(halves, half_cameras, strangers, stranger_cameras)
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
    strangers = samples.strangers
    halves = samples.halves
    different, spread_different = _typical(
        strangers, known.different, known.spread, known.n_different
    )
    typical_half, _ = _typical(halves, known.same, known.spread, known.n_same)
    margin = typical_half - different
    crossing = float(np.interp(margin, HALVES_MARGIN, CROSS_CAMERA_RATIO))
    lead = crossing * (halves - different)
    same, spread_same = _typical(different + lead, known.same, known.spread, known.n_same)
    spread = float(np.hypot(spread_same, spread_different) / np.sqrt(2))
    gap = max(same - different, 1e-2)

    even = np.full(len(names), different + EVEN_POINT * gap)
    for camera, name in enumerate(names):
        is_stranger = (samples.stranger_cameras == name).any(axis=1)
        stranger_shift = _shift(strangers[is_stranger] - different)
        own_halves = halves[samples.half_cameras == name]
        half_shift = _shift(crossing * (own_halves - different) - gap)
        even[camera] += (stranger_shift + half_shift) / 2
    scale = max(gap / (2 * MAX_TYPICAL_LOG_ODDS), spread**2 / gap)
    n_same = len(halves) + before.n_same
    n_different = len(strangers) + before.n_different
    return Calibration(
        curve=Curve(even, scale),
        same=same,
        different=different,
        spread=spread,
        n_same=n_same,
        n_different=n_different,
        n_together=len(strangers),
        n_alike=_count_alike(samples, dict(zip(names, even.tolist(), strict=True))),
    )


def _count_alike(samples: Samples, even: Mapping[str, float]) -> int:
    """Number of strangers whose cosine is at even odds or above, by the even points of cameras.

    even: cameras that have left the window of a live run are missing; the others' mean stands for
    theirs.
    """
    typical = float(np.mean(list(even.values()))) if even else np.inf
    cameras = samples.stranger_cameras
    points = np.full(cameras.shape, typical)
    for name, point in even.items():
        points[cameras == name] = point
    return int((samples.strangers >= points.mean(axis=1)).sum())


def _known(config: LinkingConfig, before: SimilarityStats) -> SimilarityStats:
    """Combine the settings with earlier runs, with the number of pairs that they are worth."""
    gap = 2 * MAX_TYPICAL_LOG_ODDS * config.similarity_scale
    told_different = config.similarity_at_even_odds - EVEN_POINT * gap
    told_same = config.similarity_at_even_odds + (1 - EVEN_POINT) * gap
    told_spread = 2 * config.similarity_scale
    n_same = min(before.n_same, MOST_BEFORE)
    n_different = min(before.n_different, MOST_BEFORE)
    weights_same = [PRIOR_TRACKLETS, n_same]
    weights_different = [PRIOR_PAIRS, n_different]
    different = np.average([told_different, before.different], weights=weights_different)
    same = np.average([told_same, before.same], weights=weights_same)
    spread = np.average([told_spread, before.spread], weights=weights_same)
    return SimilarityStats(
        float(same),
        float(different),
        float(spread),
        PRIOR_TRACKLETS + n_same,
        PRIOR_PAIRS + n_different,
    )


def _negatives(index: TrackletIndex) -> tuple[Array, Array]:
    """Pairs (m, 2) that one camera sees at once, and their cosines (m,), corrected for quality."""
    clear = clarity(index.embedded)
    has_embedding = np.array([e.embedding.any() for e in index.embedded], bool)
    is_good = has_embedding & (clear >= MIN_CLARITY)
    found: list[tuple[int, int]] = []
    for camera in range(len(index.names)):
        (tracklets,) = (is_good & (index.camera == camera)).nonzero()
        found += _together(index, tracklets.tolist(), MAX_PAIRS // len(index.names))
    pairs = np.array(found, np.int64).reshape(-1, 2)
    cosines = [index.embedded[i].embedding @ index.embedded[j].embedding for i, j in found]
    clear_of_pairs = clear[pairs[:, 0]] * clear[pairs[:, 1]]
    return pairs, np.array(cosines, np.float64) / clear_of_pairs


def _together(index: TrackletIndex, tracklets: list[int], most: int) -> list[tuple[int, int]]:
    """Pairs of one camera's tracklets that are seen at the same time.

    If there are more than `most`, as many are chosen, evenly spaced over the day.
    """
    total = sum(len(in_view) for _, in_view in _in_view(index, tracklets))
    n_chosen = min(total, most)
    if not n_chosen:
        return []
    chosen = ((np.arange(n_chosen) + 0.5) * (total / n_chosen)).astype(np.int64)
    found: list[tuple[int, int]] = []
    n_before = 0
    for tracklet, in_view in _in_view(index, tracklets):
        n_after = n_before + len(in_view)
        low, high = np.searchsorted(chosen, [n_before, n_after]).tolist()
        for number in chosen[low:high].tolist():
            found.append((in_view[number - n_before], tracklet))
        n_before = n_after
    return found


def _in_view(index: TrackletIndex, tracklets: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Each tracklet of a camera, and the earlier ones that are still seen when it begins."""
    in_view: list[int] = []
    for tracklet in tracklets:
        start_s = index.start_s[tracklet]
        in_view = [earlier for earlier in in_view if index.end_s[earlier] > start_s]
        yield tracklet, in_view
        in_view.append(tracklet)


def _halves(embedded: list[Embedded]) -> tuple[Array, Array]:
    """Cosines (k,) between the halves of tracklets, corrected for quality; the tracklets (k,)."""
    cosines = []
    owners = []
    for owner, tracklet in enumerate(embedded):
        n_crops = len(tracklet.crop_embeddings)
        if n_crops < MIN_CROPS:
            continue
        middle = n_crops // 2
        first_quality = tracklet.crop_quality[:middle]
        second_quality = tracklet.crop_quality[middle:]
        clear = clarity_of(np.array([first_quality.sum(), second_quality.sum()]))
        if clear.min() >= MIN_CLARITY:
            first = pool(tracklet.crop_embeddings[:middle], first_quality)
            second = pool(tracklet.crop_embeddings[middle:], second_quality)
            cosines.append(float(first @ second) / (clear[0] * clear[1]))
            owners.append(owner)
    return np.array(cosines), np.array(owners, np.int64)


def _typical(values: Array, known: float, known_spread: float, n_known: int) -> tuple[float, float]:
    """Median and spread, shrunk towards what was known.

    The spread is from the median deviation, so a few wrong pairs do no harm.
    """
    n = len(values)
    if not n:
        return known, known_spread
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    share = n / (n + n_known)
    typical = share * median + (1 - share) * known
    typical_spread = share * spread + (1 - share) * known_spread
    return typical, typical_spread


def _shift(values: Array) -> float:
    """Median of a camera's deviations, shrunk towards none."""
    n = len(values)
    if not n:
        return 0.0
    return float(np.median(values)) * n / (n + PRIOR_TRACKLETS)
