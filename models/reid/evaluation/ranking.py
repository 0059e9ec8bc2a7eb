"""Ranking of the gallery for every query: CMC, mean average precision and the nearest items.
Published numbers differ by protocol, so each choice is named. Two forms of average precision are in
use: "precision", the mean of the precision at each right answer (open-reid, torchreid, BoT), and
"triangle", the area under the precision-recall curve by the trapezoid rule (the code of Market-1501
and MARS, layumi, ST-ReID). And there are two denominators: the "valid" queries that have an answer
in the gallery, or "all" of them, where a query without an answer counts 0. Gallery items that show
the query's person in the query's camera are junk, and so are those whose id is -1: they count
neither for nor against. A query that is itself in the gallery (official MARS) goes by the same
rule.

Sorting takes most of the time. Distance and gallery index are packed into one 64-bit key: numpy
sorts those four times faster than it finds a stable order of the distances, ties fall in the order
of the gallery, and whether an item is right travels along in the key.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from models.errors import InputError
from models.reid.data.samples import JUNK
from models.reid.evaluation.distances import BLOCK, Array

RANKS = (1, 5, 10, 20)
"""What tables show."""
LAST = np.uint64(0xFFFF_FFFF_FFFF_FFFE)
"""The key of junk: after every distance, and even, so it is no hit."""
FIELD = np.uint64(0xFFFF_FFFF)
SIGN_BIT = np.int32(-(1 << 31))


@dataclass(frozen=True)
class Scores:
    """Retrieval scores over a set of queries.

    cmc: (max_rank,) float64, the share of queries with a right answer at rank 1, 2, ... or before.
    mean_ap: mean average precision, 0..1. n_valid: queries that have an answer in the gallery.
    """

    cmc: Array
    mean_ap: float
    n_valid: int
    n_queries: int

    def at(self, rank: int) -> float:
        """Share of queries answered at `rank` (1-based) or before."""
        return float(self.cmc[rank - 1])


@dataclass(frozen=True)
class Ranking:
    """Where the answers of every query stand, junk removed.

    first: (Q,) int64, 0-based rank of the first right answer, -1 where there is none. n_answers:
    (Q,) int64, right answers. precision_ap, triangle_ap: (Q,) float64, 0 where there is no answer.
    top: (Q, k) int64, the k nearest gallery items, -1 past the end of the gallery; top_correct: (Q,
    k) bool; top_distances: (Q, k) float32, infinite past the end.
    """

    first: Array
    n_answers: Array
    precision_ap: Array
    triangle_ap: Array
    top: Array
    top_correct: Array
    top_distances: Array

    def scores(
        self, ap: str = "precision", over: str = "valid", max_rank: int = RANKS[-1]
    ) -> Scores:
        """Compute the CMC and the mean AP.

        Args:
            ap: Form of average precision, "precision" or "triangle".
            over: Denominator: "valid" queries, which have an answer, or "all".
            max_rank: Length of the CMC.

        Returns:
            The scores.

        Raises:
            InputError: A form is unknown, or no query has an answer in the gallery.
        """
        if ap not in ("precision", "triangle"):
            raise InputError(f"average precision {ap}: expected precision or triangle")
        if over not in ("valid", "all"):
            raise InputError(f"scores over {over}: expected valid or all")
        n_queries = len(self.first)
        n_valid = self.n_valid
        if n_valid == 0:
            raise InputError(
                f"none of {n_queries} queries has an answer in the gallery, in a camera other than"
                " its own"
            )
        n_over = n_valid if over == "valid" else n_queries
        average_precision = self.precision_ap if ap == "precision" else self.triangle_ap
        answered_at = self.first[self.first >= 0]
        return Scores(
            cmc=_cmc(answered_at, max_rank, n_over),
            mean_ap=float(average_precision.sum() / n_over),
            n_valid=n_valid,
            n_queries=n_queries,
        )

    @property
    def n_valid(self) -> int:
        """Queries with a right answer."""
        return int((self.first >= 0).sum())


def rank(
    distances: Array | Iterable[Array],
    query_ids: Array,
    gallery_ids: Array,
    query_cameras: Array,
    gallery_cameras: Array,
    top: int = 0,
) -> Ranking:
    """Rank the gallery for every query.

    Args:
        distances: (Q, G), compared as float32, small is similar; or blocks of their rows in order,
            as `distances.blocks` yields them.
        query_ids: (Q,) integers.
        gallery_ids: (G,) integers.
        query_cameras: (Q,) integers.
        gallery_cameras: (G,) integers.
        top: How many of the nearest items to name.

    Returns:
        The ranking, one row for every query.

    Raises:
        InputError: Shapes do not fit, or a distance is not a number.
    """
    labels = _Labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    parts = []
    for start, block in labels.pieces(distances):
        parts.append(_rank_block(block, labels, top, start))
    return Ranking(
        first=np.concatenate([part.first for part in parts]),
        n_answers=np.concatenate([part.n_answers for part in parts]),
        precision_ap=np.concatenate([part.precision_ap for part in parts]),
        triangle_ap=np.concatenate([part.triangle_ap for part in parts]),
        top=np.concatenate([part.top for part in parts]),
        top_correct=np.concatenate([part.top_correct for part in parts]),
        top_distances=np.concatenate([part.top_distances for part in parts]),
    )


def single_shot_scores(
    distances: Array,
    query_ids: Array,
    gallery_ids: Array,
    query_cameras: Array,
    gallery_cameras: Array,
    generator: np.random.Generator,
    n_draws: int = 10,
    ap: str = "precision",
    over: str = "valid",
    max_rank: int = RANKS[-1],
) -> Scores:
    """Compute scores with a single gallery shot, the protocol of CUHK03's first splits.

    For each query and draw, one item per person is drawn from the gallery without junk.

    Args:
        distances: (Q, G), small is similar.
        query_ids: (Q,) integers.
        gallery_ids: (G,) integers.
        query_cameras: (Q,) integers.
        gallery_cameras: (G,) integers.
        generator: The draws depend on it alone.
        n_draws: Draws for each query.
        ap: Form of average precision, "precision" or "triangle".
        over: Denominator, "valid" or "all" queries.
        max_rank: Length of the CMC.

    Returns:
        The CMC as the mean over the draws, and the mean AP of the whole gallery.

    Raises:
        InputError: As for `rank` and `Ranking.scores`.
    """
    ranking = rank(distances, query_ids, gallery_ids, query_cameras, gallery_cameras)
    whole_gallery = ranking.scores(ap, over, max_rank)
    labels = _Labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    places = []
    for start, block in labels.pieces(distances):
        places.append(_draw(block, labels, generator, n_draws, start))
    n_over = whole_gallery.n_valid if over == "valid" else whole_gallery.n_queries
    cmc = _cmc(np.concatenate(places), max_rank, n_draws * n_over)
    return replace(whole_gallery, cmc=cmc)


def sort_keys(distances: Array) -> Array:
    """Turn distances into integers that sort in the same order.

    Args:
        distances: (..., G), compared as float32.

    Returns:
        (..., G) uint64, with the order in the upper 32 bits and zeros in the lower 32.
    """
    without_negative_zero = distances.astype(np.float32, copy=False) + np.float32(0)
    bits = without_negative_zero.view(np.int32)
    negative = bits >> 31  # all bits set where the number is negative
    flipped = bits ^ (negative | SIGN_BIT)
    ordered = flipped.view(np.uint32).astype(np.uint64)
    return ordered << np.uint64(32)


def key_distances(keys: Array) -> Array:
    """Return the distances, float32, that went into sort keys."""
    upper = (keys >> np.uint64(32)).astype(np.uint32)
    ordered = upper.view(np.int32)
    negative = ~(ordered >> 31)
    bits = ordered ^ (negative | SIGN_BIT)
    return bits.view(np.float32)


@dataclass(frozen=True)
class _Labels:
    """Person and camera of every query and gallery item."""

    query_ids: Array
    gallery_ids: Array
    query_cameras: Array
    gallery_cameras: Array

    def __post_init__(self) -> None:
        _check_labels("query", self.query_ids, self.query_cameras)
        _check_labels("gallery", self.gallery_ids, self.gallery_cameras)
        if len(self.query_ids) == 0:
            raise InputError("there are no queries to rank the gallery for")

    def alike(self, start: int, stop: int) -> tuple[Array, Array]:
        """Right answers and junk of the queries start..stop, each (n, G) bool."""
        same_person = self.gallery_ids == self.query_ids[start:stop, None]
        same_camera = self.gallery_cameras == self.query_cameras[start:stop, None]
        nobody = self.gallery_ids == JUNK
        right = same_person & ~same_camera & ~nobody
        junk = (same_person & same_camera) | nobody
        return right, junk

    def pieces(self, distances: Array | Iterable[Array]) -> Iterator[tuple[int, Array]]:
        """Blocks of at most `BLOCK` distances (at least a row) and the index of each first query.

        Args:
            distances: (Q, G), or blocks of their rows in order.

        Yields:
            Index of the first query, and its block (n, G).

        Raises:
            InputError: The rows are not those of a matrix (Q, G).
        """
        n_queries = len(self.query_ids)
        n_gallery = len(self.gallery_ids)
        n_rows = max(1, BLOCK // max(1, n_gallery))
        given = [distances] if isinstance(distances, np.ndarray) else distances
        start = 0
        for block in given:
            is_too_long = start + len(block) > n_queries
            if block.ndim != 2 or block.shape[1] != n_gallery or is_too_long:
                expected = f"rows of a matrix ({n_queries}, {n_gallery})"
                raise InputError(
                    f"distances from query {start} on have shape {block.shape}: expected {expected}"
                )
            for first_row in range(0, len(block), n_rows):
                yield start + first_row, block[first_row : first_row + n_rows]
            start += len(block)
        if start != n_queries:
            raise InputError(f"there are distances for {start} of {n_queries} queries")


def _check_labels(side: str, ids: Array, cameras: Array) -> None:
    if ids.ndim != 1 or ids.shape != cameras.shape:
        raise InputError(
            f"{side}: ids {ids.shape} and cameras {cameras.shape}: expected one of each an item"
        )


def _cmc(places: Array, max_rank: int, n_over: int) -> Array:
    """CMC (max_rank,) of 0-based ranks of answers, as shares of `n_over`."""
    n_at_rank = np.bincount(places, minlength=max_rank)
    n_answered = n_at_rank.cumsum()
    return np.asarray(n_answered[:max_rank] / n_over)


def _keys(distances: Array, low: Array) -> Array:
    """Sort keys with `low` in their lower half; raises InputError for a distance that is NaN."""
    if np.isnan(distances).any():
        raise InputError("a distance is not a number: the features hold NaN or infinite values")
    return sort_keys(distances) | low


def _rank_block(distances: Array, labels: _Labels, top: int, start: int) -> Ranking:
    """Rank the gallery for the queries from `start` on, given their distances (n, G)."""
    n_queries = len(distances)
    right, junk = labels.alike(start, start + n_queries)
    items = np.arange(distances.shape[1], dtype=np.uint64)
    low = items << np.uint64(1)
    keys = _keys(distances, low | right)
    keys[junk] = LAST
    keys.sort(axis=1)
    queries, places = np.nonzero(_is_right(keys))
    n_answers = np.bincount(queries, minlength=n_queries)
    begin = np.cumsum(n_answers) - n_answers
    precision_ap, triangle_ap = _average_precision(queries, places, n_answers, begin)
    nearest = np.full((n_queries, top), LAST)
    nearest[:, : keys.shape[1]] = keys[:, :top]
    return Ranking(
        first=_first_places(places, n_answers, begin),
        n_answers=n_answers,
        precision_ap=precision_ap,
        triangle_ap=triangle_ap,
        top=_items(nearest),
        top_correct=_is_right(nearest),
        top_distances=np.where(nearest == LAST, np.float32(np.inf), key_distances(nearest)),
    )


def _is_right(keys: Array) -> Array:
    """Whether the items behind sort keys are right answers: their lowest bit."""
    return (keys & np.uint64(1)).astype(bool)


def _items(keys: Array) -> Array:
    """Gallery items behind sort keys, int64, and -1 for junk."""
    items = (keys & FIELD) >> np.uint64(1)
    return np.where(keys == LAST, -1, items.astype(np.int64))


def _first_places(places: Array, n_answers: Array, begin: Array) -> Array:
    """0-based rank (n,) of each query's first right answer, -1 where there is none."""
    first = np.full(len(n_answers), -1)
    has_answer = n_answers > 0
    first[has_answer] = places[begin[has_answer]]
    return first


def _average_precision(
    queries: Array, places: Array, n_answers: Array, begin: Array
) -> tuple[Array, Array]:
    """Both forms of average precision, each (n,).

    queries, places: query and 0-based rank of every right answer, in order. n_answers, begin: (n,)
    each query's number of right answers and its first one in that order.
    """
    n_queries = len(n_answers)
    n_before = np.arange(len(queries)) - begin[queries]
    precision = (n_before + 1) / (places + 1)
    precision_before = np.where(places > 0, n_before / np.maximum(places, 1), 1.0)
    trapezoid = (precision_before + precision) / 2
    share = 1 / np.maximum(n_answers, 1)
    precision_ap = np.bincount(queries, precision, minlength=n_queries) * share
    triangle_ap = np.bincount(queries, trapezoid, minlength=n_queries) * share
    return precision_ap, triangle_ap


def _draw(
    distances: Array, labels: _Labels, generator: np.random.Generator, n_draws: int, start: int
) -> Array:
    """0-based ranks of the right answer among one drawn item a person.

    All draws of the queries that have an answer, one after the other.
    """
    right, _ = labels.alike(start, start + len(distances))
    items = np.arange(distances.shape[1], dtype=np.uint64)
    keys = _keys(distances, items)
    order = np.argsort(labels.gallery_ids, kind="stable")
    sorted_ids = labels.gallery_ids[order]
    people, starts, sizes = np.unique(sorted_ids, return_index=True, return_counts=True)
    places = [np.zeros(0, np.int64)]
    for row, right_row, person in zip(keys, right, labels.query_ids[start:], strict=False):
        chance = generator.random((n_draws, len(people) + 1))
        answers = np.flatnonzero(right_row)
        if len(answers) == 0:
            continue
        drawn_answer = (chance[:, -1] * len(answers)).astype(np.int64)
        answer_keys = row[answers[drawn_answer]]
        drawn_within = (chance[:, :-1] * sizes).astype(np.int64)
        drawn_keys = row[order[starts + drawn_within]]
        is_other = (people != person) & (people != JUNK)
        is_nearer = drawn_keys < answer_keys[:, None]
        places.append((is_nearer & is_other).sum(1))
    return np.concatenate(places)
