"""The constrained solver: cluster tracklets into people.

Agglomerative clustering with average linkage over a sparse graph. Of all groups that an edge
connects, the two with the largest mean evidence are merged, while that is above the threshold and
no cannot-link between their members forbids it. Appearance is bilinear (`Appearance`), so its mean
over two groups needs only the sum of each: a group costs one row, whatever its size, and pairs
without an edge count as well. Evidence of position is a mean over the edges that have it. Ties are
broken in favour of earlier members.

There are three rounds: reliable tracklets among themselves, then reliable ones with fragments, then
the remaining fragments. A short fragment often has strong but wrong evidence of position, which
must not separate tracklets of one person: on two rendered worlds the rounds are worth 1.5 and 12
points of global IDF1.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

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
"""Members of two groups -> the rule that keeps them apart ("" none), and two that break it."""
Discount = Callable[[float, Sequence[int], Sequence[int]], float]
"""Log odds that two groups are one person, and their members -> the log odds that are left when it
counts who else each could be (`rivals`).
"""
Entry = tuple[float, int, int, int]
"""Minus the log odds of two groups, the groups, and the number of merges before it was added."""
TINY = 1e-30
NO_POSITION_PENALTY = 1.5
"""Log odds subtracted where there is evidence of appearance alone: many people at the site could
look like that. Fewer people make it less, see `no_position_odds`. On five rendered worlds with
homographies 1.5 to 3.5 is best, and 0 costs up to 6 points of global IDF1; in a real shop, labelled
by eye, 2 and more assign a fifth of the tracklets to the wrong person.
"""
PENALTY_PER_LOG_PEOPLE = 0.5
"""Among n people this times ln(n) is subtracted, up to `NO_POSITION_PENALTY` at 20. Chosen on half
of the real and rendered scenes without homographies, where 0.3 to 0.6 differ by 0.3 points of IDF1.
"""
MIN_DISCOUNTED_ODDS = -1.4
"""Groups with lower log odds than this (1 in 5), given who else each could be, stay apart. On the
same half -2 is 0.3 points of IDF1 worse, and -0.7 is 1.5 worse.
"""
ROUNDS = (2, 1, 0)
"""How many of the two groups must be reliable."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Candidate pairs.

    Attributes:
        pairs: indices, (m, 2), first < second.
        place: log odds of their positions, (m,); nan where positions say nothing.
        silent: log odds of pairs whose positions say nothing, see `no_position_odds`.
    """

    pairs: Array
    place: Array
    silent: float = -NO_POSITION_PENALTY


def no_position_odds(n_people: int) -> float:
    """Return the log odds, without any evidence, that two tracklets are one person.

    Args:
        n_people: how many people are at the site, about.
    """
    return -min(NO_POSITION_PENALTY, PENALTY_PER_LOG_PEOPLE * float(np.log(max(n_people, 1))))


@dataclass(frozen=True, slots=True)
class Decision:
    """Two groups that were joined, or kept apart.

    Attributes:
        first: members of one group.
        second: members of the other.
        odds: mean log odds that they are one person.
        rival: the group that was second best for the smaller of the two; empty for none.
        rival_odds: its log odds; -inf for none.
        constraint: the rule that forbade it, "" for none.
        violating_pair: two tracklets that break the rule, -1 for none.
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
    """The people that the solver found.

    Attributes:
        groups: members of each, sorted by first member.
        joined: merges, in the order in which they were made.
        missed: near misses, sorted by their groups.
    """

    groups: list[list[int]]
    joined: list[Decision]
    missed: list[Decision]


class Groups:
    """Groups, named by their first member, and the evidence between them.

    Attributes:
        members: members of each group, sorted.
        joined: number of merges so far.
        changed: for each group the value of `joined` after its last merge.
        reliable: 1 for groups with a reliable member, else 0, (n,).
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
        is_known = np.isfinite(edges.place)
        place = np.where(is_known, edges.place, 0)
        self._pairs = edges.pairs.astype(np.int32)
        self._evidence = np.stack([place, is_known]).astype(np.float32)
        self._silent = edges.silent
        self._ties = _ties(self._pairs, self._evidence, n)

    def join(self, i: int, j: int) -> None:
        """Merge group j into group i.

        Args:
            i: group, the one with the earlier first member.
            j: group; its name is no longer valid afterwards.
        """
        others, evidence = self._ties[i]
        more_others, more_evidence = self._ties.pop(j)
        all_others = np.concatenate([others, more_others])
        all_evidence = np.concatenate([evidence, more_evidence], axis=1)
        self._ties[i] = (all_others, all_evidence)
        self._owner[self.members[j]] = i
        self.members[i] = sorted(self.members[i] + self.members.pop(j))
        self._sums[i] += self._sums[j]
        self._weights[i] += self._weights[j]
        self.reliable[i] |= self.reliable[j]
        self.joined += 1
        self.changed[i] = self.joined
        self.changed[j] = self.joined

    def tied(self, i: int) -> tuple[Array, Array]:
        """Return the groups with an edge to a group.

        Args:
            i: group.

        Returns:
            Groups (k,), sorted, and the mean log odds that each is the same person (k,), -inf where
            there is no evidence.
        """
        self._ties[i] = self._merged_ties(i)
        others, evidence = self._ties[i]
        similarity = self._sums[others] @ bilinear_partner(self._sums[i])
        return others, self._odds(i, others, similarity, evidence)

    def all_offers(self, threshold: float, n_reliable: int) -> tuple[Array, Array, Array]:
        """Return all pairs of groups with enough evidence.

        Args:
            threshold: mean log odds that a pair needs.
            n_reliable: number of groups of a pair that must be reliable, 0..2.

        Returns:
            Groups i < j, (m,) each, and the mean log odds (m,).
        """
        i, j = np.sort(self._owner[self._pairs], axis=1).T
        are_reliable = self.reliable[i] + self.reliable[j] >= n_reliable
        (edges,) = np.nonzero((i != j) & are_reliable)
        n = len(self._owner)
        number = i[edges].astype(np.int64) * n + j[edges]
        order = number.argsort(kind="stable")
        number = number[order]
        edges = edges[order]
        first = np.flatnonzero(_differs(number))
        evidence = np.add.reduceat(self._evidence[:, edges], first, axis=1)
        i, j = np.divmod(number[first], n)
        del are_reliable, edges, number, order, first  # large
        similarity = products(self._sums, i, j, np.float32)
        odds = self._odds(i, j, similarity, evidence)
        is_enough = odds >= threshold
        return i[is_enough], j[is_enough], odds[is_enough]

    def _odds(self, i: Array | int, j: Array, similarity: Array, evidence: Array) -> Array:
        """Mean log odds (m,) of pairs of groups.

        similarity: summed products of appearance, (m,). evidence: summed log odds of position, and
        the number of edges that have them, (2, m).
        """
        place, count = evidence
        weight = self._weights[j] * self._weights[i]
        odds = similarity / np.maximum(weight, TINY)
        np.maximum(odds, -MAX_LOG_ODDS, out=odds)
        np.minimum(odds, MAX_LOG_ODDS, out=odds)
        mean_place = np.full(len(odds), self._silent)
        np.divide(place, count, out=mean_place, where=count > 0)
        odds += mean_place
        if not self._all_seen:
            odds[weight + count == 0] = -np.inf
        return odds

    def _merged_ties(self, i: int) -> tuple[Array, Array]:
        """Ties of a group to the present groups of its partners, each group once."""
        partners, evidence = self._ties[i]
        others = self._owner[partners]
        order = others.argsort(kind="stable")
        others = others[order]
        evidence = evidence[:, order]
        is_new = _differs(others)
        if not is_new.all():
            (first,) = is_new.nonzero()
            others = others[first]
            evidence = np.add.reduceat(evidence, first, axis=1)
        is_other = others != i
        return others[is_other], evidence[:, is_other]

    def offers(
        self, i: int, threshold: float, n_reliable: int, only_later: bool
    ) -> tuple[Array, Array]:
        """Return the groups with enough evidence that they are the same person as a group.

        Args:
            i: group.
            threshold: mean log odds that a pair needs.
            n_reliable: number of groups of a pair that must be reliable, 0..2.
            only_later: whether groups before i are left out.

        Returns:
            Groups (k,), sorted, and the mean log odds (k,).
        """
        others, odds = self.tied(i)
        are_reliable = self.reliable[others] + self.reliable[i] >= n_reliable
        is_offer = (odds >= threshold) & are_reliable
        if only_later:
            is_offer &= others > i
        return others[is_offer], odds[is_offer]

    def rival(self, i: int, j: int) -> tuple[Sequence[int], float]:
        """Return the group other than j that is most likely the same person as i.

        Args:
            i: group.
            j: group.

        Returns:
            Its members, and the mean log odds; () and -inf when there is none.
        """
        others, odds = self.tied(i)
        odds[others == j] = -np.inf
        if np.isneginf(odds).all():
            return (), -np.inf
        best = int(np.argmax(odds))
        return self.members[int(others[best])], float(odds[best])

    def fresh(self, i: int, j: int, since: int) -> bool:
        """Whether both groups are unchanged since there were `since` merges."""
        return self.changed[i] <= since and self.changed[j] <= since


class _Queue:
    """Pairs of groups, the best first; a pair is skipped if a group has changed since it was added.

    Pairs are added in runs, and each is sorted then: the heap holds only the head of each run.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._heap: list[tuple[Entry, Iterator[Entry]]] = []

    def add(self, i: Array, j: Array, odds: Array) -> None:
        """Add pairs of groups.

        Args:
            i: groups, (m,).
            j: later groups, (m,).
            odds: mean log odds, (m,).
        """
        cost = -odds
        order = np.lexsort((j, i, cost))
        run = self._run(i[order], j[order], cost[order], self._groups.joined)
        head = next(run, None)
        if head is not None:
            heapq.heappush(self._heap, (head, run))

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        while self._heap:
            (cost, i, j, since), run = self._heap[0]
            following = next(run, None)
            if following is None:
                heapq.heappop(self._heap)
            else:
                heapq.heapreplace(self._heap, (following, run))
            if self._groups.fresh(i, j, since):
                yield -cost, i, j

    def _run(self, i: Array, j: Array, cost: Array, since: int) -> Iterator[Entry]:
        for low in range(0, len(i), CHUNK):
            part = slice(low, low + CHUNK)
            costs = cost[part].tolist()
            firsts = i[part].tolist()
            seconds = j[part].tolist()
            for entry in zip(costs, firsts, seconds, repeat(since)):
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
    discount: Discount | None = None,
) -> Solution:
    """Partition tracklets into people.

    Args:
        appearance: appearance of n tracklets.
        edges: candidate pairs, and their evidence of position.
        is_reliable: which tracklets are no fragments, (n,) bool.
        threshold: mean log odds from which two groups are joined.
        forbids: finds cannot-links; it is called before each merge, and again for the same groups
            when one of them has grown.
        must_link: pairs that are one person whatever the evidence.
        near_miss: mean log odds from which groups that stayed apart are reported.
        with_rivals: whether decisions name the second best group.
        discount: lowers log odds by who else each group could be; None leaves that out.

    Returns:
        The groups, and the decisions that led to them.
    """
    groups = Groups(appearance, edges, is_reliable)
    _unite(groups, must_link)
    joined: list[Decision] = []
    refusals = _Refusals(groups, forbids)
    # From these odds on no rival is likely enough to matter.
    enough = MAX_LOG_ODDS + edges.silent + MIN_DISCOUNTED_ODDS
    for n_reliable in ROUNDS:
        queue = _Queue(groups)
        queue.add(*groups.all_offers(threshold, n_reliable))
        for odds, i, j in queue:
            if refusals.holds(i, j):
                continue
            constraint, _ = refusals.check(i, j)
            if constraint:
                continue
            pair = groups.members[i], groups.members[j]
            if (
                discount is not None
                and odds < enough
                and discount(odds, *pair) < MIN_DISCOUNTED_ODDS
            ):
                continue
            joined.append(_joined(groups, i, j, odds, with_rivals))
            groups.join(i, j)
            others, odds_of_others = groups.offers(i, threshold, n_reliable, only_later=False)
            first = np.minimum(i, others)
            second = np.maximum(i, others)
            queue.add(first, second, odds_of_others)
    members = [groups.members[i] for i in sorted(groups.members)]
    return Solution(members, joined, _missed(groups, refusals, near_miss))


class _Refusals:
    """Pairs of groups that a cannot-link keeps apart; valid while both groups are unchanged."""

    def __init__(self, groups: Groups, forbids: Forbids) -> None:
        self._groups = groups
        self._forbids = forbids
        self._refused: dict[tuple[int, int], tuple[int, str, tuple[int, int]]] = {}
        """By groups: the number of merges at that time, the rule, and two tracklets that break it.
        """

    def holds(self, i: int, j: int) -> bool:
        """Whether two groups were refused, and are unchanged since then."""
        if (i, j) not in self._refused:
            return False
        since, _, _ = self._refused[i, j]
        return self._groups.fresh(i, j, since)

    def check(self, i: int, j: int) -> tuple[str, tuple[int, int]]:
        """Return the rule that keeps two groups apart ("" none), and two that break it.

        Args:
            i: group.
            j: later group.
        """
        if self.holds(i, j):
            _, constraint, violating_pair = self._refused[i, j]
            return constraint, violating_pair
        members = self._groups.members
        constraint, first, second = self._forbids(members[i], members[j])
        if constraint:
            self._refused[i, j] = (self._groups.joined, constraint, (first, second))
        return constraint, (first, second)


def _joined(groups: Groups, i: int, j: int, odds: float, with_rivals: bool) -> Decision:
    """Describe a merge before it is made."""
    first = groups.members[i]
    second = groups.members[j]
    if not with_rivals:
        return Decision(first, second, odds)
    smaller, larger = (i, j) if len(first) < len(second) else (j, i)
    rival, rival_odds = groups.rival(smaller, larger)
    return Decision(first, second, odds, rival, rival_odds)


def _missed(groups: Groups, refusals: _Refusals, near_miss: float) -> list[Decision]:
    """Return groups that stayed apart though their evidence is at least `near_miss`."""
    found = []
    for i in sorted(groups.members):
        others, odds = groups.offers(i, near_miss, 0, only_later=True)
        for k in np.lexsort((others, -odds)).tolist():
            j = int(others[k])
            constraint, violating_pair = refusals.check(i, j)
            decision = Decision(
                groups.members[i],
                groups.members[j],
                float(odds[k]),
                constraint=constraint,
                violating_pair=violating_pair,
            )
            found.append(decision)
    return found


def _ties(pairs: Array, evidence: Array, n: int) -> dict[int, tuple[Array, Array]]:
    """Return for each of n tracklets its partners (k,) in pairs (m, 2), and the evidence (2, k)."""
    first, second = pairs.T
    order = np.argsort(np.concatenate([first, second]), kind="stable")
    others = np.concatenate([second, first])[order]
    edges = order % max(len(pairs), 1)
    evidence = evidence[:, edges]
    ends = np.cumsum(np.bincount(pairs.ravel(), minlength=n)).tolist()
    ties = {}
    for i, (low, high) in enumerate(pairwise([0, *ends])):
        ties[i] = (others[low:high], evidence[:, low:high])
    return ties


def _differs(values: Array) -> Array:
    """Where values (n,) differ from the one before, (n,) bool; the first counts as different."""
    is_new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return is_new


def _unite(groups: Groups, must_link: Sequence[tuple[int, int]]) -> None:
    """Join pairs whatever the evidence; a group is named by its first member."""
    united = UnionFind[int]()
    for first, second in must_link:
        i, j = sorted((united.find(first), united.find(second)))
        if united.join(i, j):
            groups.join(i, j)
