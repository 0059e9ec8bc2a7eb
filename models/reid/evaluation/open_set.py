"""Open-set scores: what a threshold on the score of the best match is worth, when some queries show
people who are not in the gallery.

Ranking scores count only queries that have an answer. Who searches for a person has to decide
whether the first result is that person at all. Here the gallery items of some people are left out,
so that the queries of these people have no mate. With Q_in the queries that have an answer in the
gallery, Q_out those whose person is not in it, d(q) the distance of the nearest gallery item (junk
removed), and a threshold t:

    FAR(t) = |{q in Q_out: d(q) < t}| / |Q_out|                             false alarm rate
    DIR(t) = |{q in Q_in: d(q) < t and the nearest shows q's person}| / |Q_in|
                                                 detection and identification rate, at rank 1
    TTR(t) = |{q in Q_in: d(q) < t}| / |Q_in|                               true target rate

FAR and DIR are those of Phillips, Grother and Micheals (Handbook of Face Recognition, 2011), which
Liao et al. (Open-set Person Re-identification, arXiv 1408.0872) use for people. TTR and FAR, under
the name FTR, are those of Zheng, Gong and Xiang (IEEE TPAMI 38(3), 2016): whether somebody of the
gallery was recognised, whoever it was. `even_odds` looks at pairs instead; the more items a gallery
has, the nearer is the nearest of them, so a threshold for searches is stricter.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.errors import InputError
from models.reid.data.samples import Dataset
from models.reid.evaluation.distances import Array
from models.reid.evaluation.protocol import labels
from models.reid.evaluation.ranking import Ranking

FALSE_ALARM_RATES = (0.001, 0.01, 0.1)
"""What tables show."""


@dataclass(frozen=True)
class Point:
    """Scores at one threshold.

    threshold: a distance; nearer items are matches. n_false_alarms: queries without a mate that
    have a match all the same. dir, ttr: 0..1.
    """

    threshold: float
    n_false_alarms: int
    dir: float
    ttr: float


@dataclass(frozen=True)
class Matches:
    """The nearest gallery item of every query, and which queries it decides about.

    distance: (Q,) float32. is_right: (Q,) bool, whether it shows the query's person. has_mate:
    (Q,) bool, queries with an answer in the gallery. has_none: (Q,) bool, queries whose person is
    not in the gallery. Queries that are neither have gallery items of their own camera only.
    """

    distance: Array
    is_right: Array
    has_mate: Array
    has_none: Array

    def at(self, threshold: float) -> Point:
        """Scores of a threshold.

        Args:
            threshold: Items at a smaller distance are matches.

        Returns:
            The scores.
        """
        is_match = self.distance < threshold
        n_false_alarms = int((is_match & self.has_none).sum())
        n_identified = (is_match & self.has_mate & self.is_right).sum()
        n_detected = (is_match & self.has_mate).sum()
        n_mated = self.has_mate.sum()
        return Point(
            threshold, n_false_alarms, float(n_identified / n_mated), float(n_detected / n_mated)
        )

    def threshold(self, false_alarm_rate: float) -> float:
        """Largest threshold with at most this false alarm rate.

        Args:
            false_alarm_rate: From 0 to below 1.

        Returns:
            The distance of the first query without a mate that would be one false alarm too many.
        """
        alarms = np.sort(self.distance[self.has_none])
        n_allowed = int(false_alarm_rate * len(alarms) + 1e-9)  # 0.1 * 30 is below 3
        return float(alarms[n_allowed])


@dataclass(frozen=True)
class LeftOut:
    """A data set without the gallery items of some people.

    n_left_out, n_people: of the people who are in query and gallery. share, seed: see `leave_out`.
    kept: (G,) bool, items of the gallery that are still there.
    """

    data: Dataset
    kept: Array
    n_left_out: int
    n_people: int
    share: float
    seed: int


def leave_out(data: Dataset, share: float, seed: int) -> LeftOut:
    """Leave people out of a gallery.

    Args:
        data: Query and gallery.
        share: Share of the people of the queries who leave it, above 0 and below 1; at least one
            of them leaves and one stays.
        seed: The people are drawn with it; the same seed draws the same people.

    Returns:
        The data set with the rest of the gallery.

    Raises:
        InputError: Fewer than two people are in query and gallery.
    """
    query_people, gallery_people, _, _ = labels(data.query, data.gallery)
    people = np.intersect1d(query_people, gallery_people)
    if len(people) < 2:
        raise InputError(
            f"{data.name}: open-set scores need two people who are in query and gallery, and there"
            f" are {len(people)}; leave out --open-set"
        )
    n_left_out = min(max(1, round(share * len(people))), len(people) - 1)
    left_out = np.random.default_rng(seed).choice(people, n_left_out, replace=False)
    kept = ~np.isin(gallery_people, left_out)
    gallery = tuple(sample for sample, stays in zip(data.gallery, kept, strict=True) if stays)
    rest = replace(data, gallery=gallery)
    return LeftOut(rest, kept, n_left_out, len(people), share, seed)


def matches(ranking: Ranking, data: Dataset) -> Matches:
    """Take the nearest items from a ranking of a gallery from which people were left out.

    Args:
        ranking: Of all queries, with at least the nearest item (`top` of `ranking.rank`).
        data: The query and gallery that were ranked.

    Returns:
        The nearest items.

    Raises:
        InputError: No query has an answer in the gallery.
    """
    query_people, gallery_people, _, _ = labels(data.query, data.gallery)
    has_mate = ranking.n_answers > 0
    if not has_mate.any():
        raise InputError(
            f"{data.name}: no query of the people who stay in the gallery has an answer there; try"
            " another --seed, or a smaller share for --open-set"
        )
    return Matches(
        distance=ranking.top_distances[:, 0],
        is_right=ranking.top_correct[:, 0],
        has_mate=has_mate,
        has_none=~np.isin(query_people, gallery_people),
    )
