"""The constrained solver: cluster tracklets into people.

Agglomerative clustering with average linkage over a sparse graph. Of the groups that an edge joins,
the two with the largest mean evidence are merged, while that is above the threshold and no
constraint between their members forbids it. Appearance is bilinear (`Appearance`), so its mean over
two groups needs only the sum of each: a group costs one row, whatever its size, and pairs without
an edge count as well. Evidence of position is a mean over the edges that have it. Ties are broken
in favour of earlier members.

There are three rounds: reliable tracklets among themselves, then reliable ones with fragments, then
the remaining fragments. A short fragment often has strong and wrong evidence of position, and must
not keep apart what belongs together: on two rendered worlds the rounds are worth 1.5 and 12 points
of global IDF1.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, repeat

import numpy as np

from pipeline.linking.clustering.union_find import UnionFind
from pipeline.linking.evidence.appearance import (
    CHUNK,
    MAX_LOG_ODDS,
    Appearance,
    bilinear_partner,
    products,
)
from pipeline.records import Array

Forbids = Callable[[Sequence[int], Sequence[int]], tuple[str, int, int]]
"""Members of two groups -> the rule that keeps them apart ("" none), and the two that it speaks of.
"""
Entry = tuple[float, int, int, int]
"""Minus the log odds of two groups, the groups, and how many had been joined then."""
TINY = 1e-30
NO_POSITION_PENALTY = 1.5
"""Log odds against two groups that only look alike: with nothing that says where to look for a
person, many at the site could be the second. On five rendered worlds with homographies 1.5 to 3.5
is best and 0 costs up to 6 points of global IDF1; in a real shop, labelled by eye, 2 and more leave
a fifth of what people did to somebody else.
"""
ROUNDS = (2, 1, 0)
"""How many of the two groups must be reliable."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs (m, 2), first < second, that may be one person, and the log odds of their places (m,),
    nan for none.
    """

    pairs: Array
    place: Array


@dataclass(frozen=True, slots=True)
class Decision:
    """Two groups that were joined, or not: their members and the mean log odds.

    rival: the group that was second best for the smaller of the two, and its log odds (empty, -inf:
    none). constraint: what forbade it ("" none), and `violating_pair`, the two tracklets that break
    it.
    """

    first: list[int]
    second: list[int]
    odds: float
    rival: Sequence[int] = ()
    rival_odds: float = -np.inf
    constraint: str = ""
    violating_pair: tuple[int, int] = (-1, -1)


@dataclass(frozen=True, slots=True)
class Solution:
    """groups: members, by first member. joined: in the order it was done. missed: near misses, by
    their groups.
    """

    groups: list[list[int]]
    joined: list[Decision]
    missed: list[Decision]


class Groups:
    """Groups by their first member, and what ties them.

    joined: how many times groups were merged; changed: the count at which each group last was.
    """

    def __init__(self, appearance: Appearance, edges: Edges, is_reliable: Array) -> None:
        n = len(appearance.rows)
        self.members: dict[int, list[int]] = {i: [i] for i in range(n)}
        self.joined = 0
        self.changed = [0] * n
        self.reliable = np.array(is_reliable, np.int64)
        self._weights = appearance.weight.astype(np.float64)
        self._all_seen = bool(self._weights.all())
        self._sums = appearance.rows * appearance.weight[:, None]
        self._owner = np.arange(n, dtype=np.int32)
        known = np.isfinite(edges.place)
        self._pairs = edges.pairs.astype(np.int32)
        self._evidence = np.stack([np.where(known, edges.place, 0), known]).astype(np.float32)
        self._ties = _ties(self._pairs, self._evidence, n)

    def join(self, i: int, j: int) -> None:
        """Merge group j into group i."""
        self._owner[self.members[j]] = i
        self._ties[i] = [
            np.concatenate(both, axis=-1)
            for both in zip(self._ties[i], self._ties.pop(j), strict=True)
        ]
        self.members[i] = sorted(self.members[i] + self.members.pop(j))
        self._sums[i] += self._sums[j]
        self._weights[i] += self._weights[j]
        self.reliable[i] |= self.reliable[j]
        self.joined += 1
        self.changed[i] = self.changed[j] = self.joined

    def tied(self, i: int) -> tuple[Array, Array]:
        """Groups tied to i in order, and the mean log odds that each is the same person; -inf where
        there is no evidence.
        """
        others, evidence = self._ties[i] = self._tidied(i)
        return others, self._odds(
            i, others, self._sums[others] @ bilinear_partner(self._sums[i]), evidence
        )

    def all_offers(self, threshold: float, n_reliable: int) -> tuple[Array, Array, Array]:
        """All pairs of groups with enough evidence, i < j (m,) both, and the evidence (m,)."""
        i, j = np.sort(self._owner[self._pairs], axis=1).T
        (apart,) = np.nonzero((i != j) & (self.reliable[i] + self.reliable[j] >= n_reliable))
        number = i[apart].astype(np.int64) * len(self._owner) + j[apart]
        order = number.argsort(kind="stable")
        number, order = number[order], apart[order]
        first = np.flatnonzero(_differs(number))
        evidence = np.add.reduceat(self._evidence[:, order], first, axis=1)
        i, j = np.divmod(number[first], len(self._owner))
        del apart, number, order, first
        odds = self._odds(i, j, products(self._sums, i, j, np.float32), evidence)
        enough = odds >= threshold
        return i[enough], j[enough], odds[enough]

    def _odds(self, i: Array | int, j: Array, similarity: Array, evidence: Array) -> Array:
        """Mean log odds of pairs of groups, from the sums of how alike they are (m,) and of their
        places (2, m).
        """
        weight, (place, count) = self._weights[j] * self._weights[i], evidence
        odds = similarity / np.maximum(weight, TINY)
        np.minimum(np.maximum(odds, -MAX_LOG_ODDS, out=odds), MAX_LOG_ODDS, out=odds)
        odds += np.divide(
            place, count, out=np.full(len(odds), -NO_POSITION_PENALTY), where=count > 0
        )
        if not self._all_seen:
            odds[weight + count == 0] = -np.inf
        return odds

    def _tidied(self, i: int) -> list[Array]:
        """Ties of a group to those that its partners belong to by now, each once."""
        others, evidence = self._ties[i]
        others = self._owner[others]
        order = others.argsort(kind="stable")
        others, evidence = others[order], evidence[:, order]
        new = _differs(others)
        if not new.all():
            (first,) = new.nonzero()
            others, evidence = others[first], np.add.reduceat(evidence, first, axis=1)
        alone = others != i
        return [others[alone], evidence[:, alone]]

    def offers(
        self, i: int, threshold: float, n_reliable: int, only_later: bool
    ) -> tuple[Array, Array]:
        """Groups tied to i in order, with enough evidence, and the evidence; `only_later` leaves
        out those before i.
        """
        others, odds = self.tied(i)
        enough = (odds >= threshold) & (self.reliable[others] + self.reliable[i] >= n_reliable)
        if only_later:
            enough &= others > i
        return others[enough], odds[enough]

    def rival(self, i: int, j: int) -> tuple[Sequence[int], float]:
        """Return the group other than j that i is most like, and the log odds."""
        others, odds = self.tied(i)
        odds[others == j] = -np.inf
        best = int(np.argmax(odds)) if len(odds) else 0
        return (
            (self.members[int(others[best])], float(odds[best]))
            if len(odds) and np.isfinite(odds[best])
            else ((), -np.inf)
        )

    def fresh(self, i: int, j: int, since: int) -> bool:
        """Whether neither group has changed since so many were joined."""
        return self.changed[i] <= since and self.changed[j] <= since


class _Queue:
    """Pairs of groups, the best first; those that have changed since they were added are passed
    over.

    Pairs come in runs, which are sorted when they are added: the heap holds only the head of each.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._heap: list[tuple[Entry, Iterator[Entry]]] = []

    def add(self, i: Array, j: Array, odds: Array) -> None:
        """Add pairs of groups (m,), (m,), i < j, with their evidence."""
        order = np.lexsort((j, i, -odds))
        run = self._run(i[order], j[order], -odds[order], self._groups.joined)
        for head in islice(run, 1):
            heapq.heappush(self._heap, (head, run))

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        while self._heap:
            (odds, i, j, since), run = self._heap[0]
            following = next(run, None)
            if following is None:
                heapq.heappop(self._heap)
            else:
                heapq.heapreplace(self._heap, (following, run))
            if self._groups.fresh(i, j, since):
                yield -odds, i, j

    def _run(self, i: Array, j: Array, odds: Array, since: int) -> Iterator[Entry]:
        for low in range(0, len(i), CHUNK):
            part = slice(low, low + CHUNK)
            for entry in zip(
                odds[part].tolist(), i[part].tolist(), j[part].tolist(), repeat(since)
            ):
                if self._groups.fresh(entry[1], entry[2], since):
                    yield entry


def solve(
    appearance: Appearance,
    edges: Edges,
    is_reliable: Array,
    threshold: float,
    forbids: Forbids,
    must_link: Sequence[tuple[int, int]] = (),
    near_miss: float = np.inf,
    with_rivals: bool = True,
) -> Solution:
    """Partition 0..n-1. `forbids` is asked before each merge, and again when either group has
    grown.

    is_reliable (n,) bool: see the module. must_link: pairs that are one person from the start,
    whatever the evidence. near_miss: log odds from which groups that stayed apart are reported.
    with_rivals: whether each decision says what was second best.
    """
    groups = Groups(appearance, edges, is_reliable)
    _unite(groups, must_link)
    joined: list[Decision] = []
    refused: dict[tuple[int, int], tuple[int, Decision]] = {}
    for n_reliable in ROUNDS:
        queue = _Queue(groups)
        queue.add(*groups.all_offers(threshold, n_reliable))
        for odds, i, j in queue:
            if _refusal(groups, refused, i, j) is not None:
                continue
            first, second = groups.members[i], groups.members[j]
            constraint, *pair = forbids(first, second)
            if constraint:
                decision = Decision(
                    first, second, odds, (), -np.inf, constraint, (pair[0], pair[1])
                )
                refused[i, j] = groups.joined, decision
                continue
            smaller, larger = (i, j) if len(first) < len(second) else (j, i)
            joined.append(
                Decision(
                    first, second, odds, *(groups.rival(smaller, larger) if with_rivals else ())
                )
            )
            groups.join(i, j)
            others, odds_of_others = groups.offers(i, threshold, n_reliable, only_later=False)
            queue.add(np.minimum(i, others), np.maximum(i, others), odds_of_others)
    return Solution(
        [groups.members[i] for i in sorted(groups.members)],
        joined,
        _missed(groups, refused, near_miss, forbids),
    )


def _refusal(
    groups: Groups, refused: dict[tuple[int, int], tuple[int, Decision]], i: int, j: int
) -> Decision | None:
    """Return what was decided on two groups before, if that still holds."""
    since, decision = refused.get((i, j), (-1, None))
    return decision if groups.fresh(i, j, since) else None


def _missed(
    groups: Groups,
    refused: dict[tuple[int, int], tuple[int, Decision]],
    near_miss: float,
    forbids: Forbids,
) -> list[Decision]:
    """Groups that stayed apart though their evidence is at least `near_miss`, with the rule that
    forbade it, if one did.
    """
    found = []
    for i in sorted(groups.members):
        others, odds = groups.offers(i, near_miss, 0, only_later=True)
        for k in np.lexsort((others, -odds)).tolist():
            j = int(others[k])
            known = _refusal(groups, refused, i, j)
            constraint, *pair = (
                (known.constraint, *known.violating_pair)
                if known
                else forbids(groups.members[i], groups.members[j])
            )
            violating_pair = pair[0], pair[1]
            found.append(
                Decision(
                    groups.members[i],
                    groups.members[j],
                    float(odds[k]),
                    (),
                    -np.inf,
                    constraint,
                    violating_pair,
                )
            )
    return found


def _ties(pairs: Array, evidence: Array, n: int) -> dict[int, list[Array]]:
    """Partners (k,) of each of n in pairs (m, 2), and the evidence (2, k) of that."""
    first, second = pairs.T
    order = np.argsort(np.concatenate([first, second]), kind="stable")
    others, evidence = (
        np.concatenate([second, first])[order],
        evidence[:, order % max(len(pairs), 1)],
    )
    ends = np.cumsum(np.bincount(pairs.ravel(), minlength=n)).tolist()
    return {
        i: [others[low:high], evidence[:, low:high]]
        for i, (low, high) in enumerate(pairwise([0, *ends]))
    }


def _differs(values: Array) -> Array:
    """Where values (n,) differ from the one before, (n,) bool; the first does."""
    new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new


def _unite(groups: Groups, must_link: Sequence[tuple[int, int]]) -> None:
    """Join pairs whatever the evidence; a group is known by its first member."""
    united = UnionFind[int]()
    for first, second in must_link:
        i, j = sorted((united.find(first), united.find(second)))
        if united.join(i, j):
            groups.join(i, j)
