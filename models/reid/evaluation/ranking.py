"""Where the right answers stand when the gallery is sorted by distance: CMC, mean average
precision, and the nearest items.

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


@dataclass(frozen=True)
class Scores:
    """What a table shows. cmc: (max_rank,) float64, the share of queries with a right answer at
    rank 1, 2, ... or before.
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
    k) bool.
    """

    first: Array
    n_answers: Array
    precision_ap: Array
    triangle_ap: Array
    top: Array
    top_correct: Array

    def scores(
        self, ap: str = "precision", over: str = "valid", max_rank: int = RANKS[-1]
    ) -> Scores:
        """CMC and mean AP; `ap` is "precision" or "triangle", `over` is "valid" or "all". Raises
        InputError without answers.
        """
        if ap not in ("precision", "triangle"):
            raise InputError(f"average precision {ap}: expected precision or triangle")
        if over not in ("valid", "all"):
            raise InputError(f"scores over {over}: expected valid or all")
        n_queries, n_valid = len(self.first), self.n_valid
        if not n_valid:
            raise InputError(
                f"none of {n_queries} queries has an answer in the gallery, in a camera other than"
                " its own"
            )
        n_over = n_valid if over == "valid" else n_queries
        counts = np.bincount(self.first[self.first >= 0], minlength=max_rank)
        each = self.precision_ap if ap == "precision" else self.triangle_ap
        return Scores(
            counts.cumsum()[:max_rank] / n_over, float(each.sum() / n_over), n_valid, n_queries
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

    distances: (Q, G), compared as float32, small is alike; or blocks of their rows in order, as
    `distances.blocks` gives them. Ids and cameras: (Q,) and (G,) integers. top: how many of the
    nearest items to name. Raises InputError where shapes do not fit or a distance is not a number.
    """
    labels = _Labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    parts = [_rank_block(block, labels, top, start) for start, block in labels.pieces(distances)]
    return Ranking(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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
    """Scores with a single gallery shot, the protocol of CUHK03's first splits; distances (Q, G).

    For each query and draw one item a person is drawn from the gallery without junk, and the CMC is
    the mean over `n_draws`. The AP is that of the whole gallery. The draws depend on nothing but
    the generator.
    """
    ranking = rank(distances, query_ids, gallery_ids, query_cameras, gallery_cameras)
    plain = ranking.scores(ap, over, max_rank)
    labels = _Labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    places = [
        _draw(block, labels, generator, n_draws, start) for start, block in labels.pieces(distances)
    ]
    counts = np.bincount(np.concatenate(places), minlength=max_rank)
    n_over = plain.n_valid if over == "valid" else plain.n_queries
    return replace(plain, cmc=counts.cumsum()[:max_rank] / (n_draws * n_over))


def sort_keys(distances: Array) -> Array:
    """Keys (..., G) uint64 whose order is that of the distances: in the upper 32 bits; the lower
    ones are 0.
    """
    bits = (distances.astype(np.float32, copy=False) + np.float32(0)).view(
        np.int32
    )  # adding 0 makes -0 and 0 the same
    ordered = (bits ^ ((bits >> 31) | np.int32(-(1 << 31)))).view(np.uint32)
    return ordered.astype(np.uint64) << np.uint64(32)


def key_distances(keys: Array) -> Array:
    """Return the distances, float32, that went into sort keys."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32).view(np.int32)
    return (ordered ^ (~(ordered >> 31) | np.int32(-(1 << 31)))).view(np.float32)


@dataclass(frozen=True)
class _Labels:
    """Whose picture each item is and which camera took it."""

    query_ids: Array
    gallery_ids: Array
    query_cameras: Array
    gallery_cameras: Array

    def __post_init__(self) -> None:
        for side, ids, cameras in (
            ("query", self.query_ids, self.query_cameras),
            ("gallery", self.gallery_ids, self.gallery_cameras),
        ):
            if ids.ndim != 1 or ids.shape != cameras.shape:
                raise InputError(
                    f"{side}: ids {ids.shape} and cameras {cameras.shape}: expected one of each an"
                    " item"
                )
        if not len(self.query_ids):
            raise InputError("there are no queries to rank the gallery for")

    def alike(self, start: int, stop: int) -> tuple[Array, Array]:
        """Right answers and junk of some queries, each (n, G) bool."""
        same = self.gallery_ids == self.query_ids[start:stop, None]
        here = self.gallery_cameras == self.query_cameras[start:stop, None]
        nobody = self.gallery_ids == JUNK
        return same & ~here & ~nobody, (same & here) | nobody

    def pieces(self, distances: Array | Iterable[Array]) -> Iterator[tuple[int, Array]]:
        """Blocks of at most `BLOCK` distances (at least a row), each with the index of its first
        query.
        """
        n_queries, n_gallery = len(self.query_ids), len(self.gallery_ids)
        n_rows, start = max(1, BLOCK // max(1, n_gallery)), 0
        for block in (distances,) if isinstance(distances, np.ndarray) else distances:
            if block.ndim != 2 or block.shape[1] != n_gallery or start + len(block) > n_queries:
                expected = f"rows of a matrix ({n_queries}, {n_gallery})"
                raise InputError(
                    f"distances from query {start} on have shape {block.shape}: expected {expected}"
                )
            for i in range(0, len(block), n_rows):
                yield start + i, block[i : i + n_rows]
            start += len(block)
        if start != n_queries:
            raise InputError(f"there are distances for {start} of {n_queries} queries")


def _keys(distances: Array, low: Array) -> Array:
    """Sort keys with `low` in their lower half; raises InputError for a distance that is not a
    number.
    """
    if np.isnan(distances).any():
        raise InputError("a distance is not a number: the features hold NaN or infinite values")
    return sort_keys(distances) | low


def _rank_block(distances: Array, labels: _Labels, top: int, start: int) -> tuple[Array, ...]:
    """Columns of a `Ranking` for the queries from `start` on."""
    n = len(distances)
    right, junk = labels.alike(start, start + n)
    low = np.arange(distances.shape[1], dtype=np.uint64) << np.uint64(1)
    keys = _keys(distances, low | right)
    keys[junk] = LAST
    keys.sort(axis=1)
    rows, at = np.nonzero((keys & np.uint64(1)).astype(bool))
    n_answers = np.bincount(rows, minlength=n)
    begin = np.cumsum(n_answers) - n_answers
    first = np.full(n, -1)
    first[n_answers > 0] = at[begin[n_answers > 0]]
    nth = np.arange(len(rows)) - begin[rows]
    precision = (nth + 1) / (at + 1)
    before = np.where(at > 0, nth / np.maximum(at, 1), 1.0)
    share = 1 / np.maximum(n_answers, 1)
    precision_ap = np.bincount(rows, precision, minlength=n) * share
    triangle_ap = np.bincount(rows, (before + precision) / 2, minlength=n) * share
    best = np.full((n, top), LAST)
    best[:, : keys.shape[1]] = keys[:, :top]
    items = np.where(best == LAST, -1, ((best & FIELD) >> np.uint64(1)).astype(np.int64))
    return first, n_answers, precision_ap, triangle_ap, items, (best & np.uint64(1)).astype(bool)


def _draw(
    distances: Array, labels: _Labels, generator: np.random.Generator, n_draws: int, start: int
) -> Array:
    """Ranks of the right answer among one drawn item a person, 0-based, of all draws of the queries
    that have one.
    """
    right, _ = labels.alike(start, start + len(distances))
    keys = _keys(distances, np.arange(distances.shape[1], dtype=np.uint64))
    order = np.argsort(labels.gallery_ids, kind="stable")
    people, starts, sizes = np.unique(
        labels.gallery_ids[order], return_index=True, return_counts=True
    )
    places = [np.zeros(0, np.int64)]
    for row, right_row, person in zip(keys, right, labels.query_ids[start:], strict=False):
        chance = generator.random((n_draws, len(people) + 1))
        answers = np.flatnonzero(right_row)
        if not len(answers):
            continue
        mine = row[answers[(chance[:, -1] * len(answers)).astype(np.int64)]]
        drawn = row[order[starts + (chance[:, :-1] * sizes).astype(np.int64)]]
        places.append(((drawn < mine[:, None]) & (people != person) & (people != JUNK)).sum(1))
    return np.concatenate(places)
