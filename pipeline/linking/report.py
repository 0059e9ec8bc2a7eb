"""Explain decisions as links: between which two tracklets, with what evidence, and why.

A decision is about two groups of tracklets. A link shows two of their members: those with the most
evidence, or those that break a constraint.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.clustering.corrections import MustLink
from pipeline.linking.clustering.rivals import NOBODY, Lookalike, Rivals
from pipeline.linking.clustering.solver import Decision, Solution
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, to_probability
from pipeline.linking.evidence.travel import Travel
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array, Link, Person

MAX_SHOWN = 64
"""Only this many members of a large group are searched for the pair with the most evidence."""


def people(
    index: TrackletIndex, solution: Solution, must_links: Sequence[MustLink], report: "Report"
) -> list[Person]:
    """Return the people of a solution.

    Args:
        index: all tracklets.
        solution: the groups, and the decisions that joined them.
        must_links: pairs that were joined without a decision.
        report: describes decisions.

    Returns:
        People numbered 1, 2, 3... by first appearance, each with the links between its tracklets.
    """
    owner: dict[int, int] = {}
    for number, members in enumerate(solution.groups):
        owner.update(dict.fromkeys(members, number))
    decisions = [*map(_given, must_links), *solution.joined]
    links: list[list[Link]] = [[] for _ in solution.groups]
    for decision, described in zip(decisions, report.links(decisions), strict=True):
        number = owner[decision.first[0]]
        links[number].append(described)
    found = []
    for number, members in enumerate(solution.groups):
        tracklets = tuple(index.tracklets[i] for i in members)
        found.append(Person(number + 1, tracklets, tuple(links[number])))
    return found


def _given(link: MustLink) -> Decision:
    """Return a must-link as a decision."""
    pair = (link.first, link.second)
    return Decision([link.first], [link.second], np.inf, constraint=link.why, violating_pair=pair)


class Report:
    """Describes decisions about groups as links between two of their tracklets.

    most_certain: the largest probability of a link that evidence made, 0..1.
    """

    def __init__(
        self,
        index: TrackletIndex,
        appearance: Appearance,
        constraints: Constraints,
        travel: Travel,
        rivals: Rivals,
        most_certain: float,
    ) -> None:
        self._index = index
        self._appearance = appearance
        self._constraints = constraints
        self._travel = travel
        self._rivals = rivals
        self._most_certain = most_certain

    def links(self, decisions: Sequence[Decision]) -> list[Link]:
        """Return the links of decisions.

        Args:
            decisions: groups that were joined, or kept apart.

        Returns:
            A link for each. It is between the two tracklets that break the constraint, if there is
            one, or else between those with the most evidence.
        """
        found = [self._pair(decision) for decision in decisions]
        pairs = np.array(found, np.int64).reshape(-1, 2)
        first, second = pairs.T
        appearance = self._appearance.odds(first, second).tolist()
        travel = self._travel.odds(first, second).tolist()
        rows = zip(decisions, pairs.tolist(), appearance, travel, strict=True)
        return [self._link(*row) for row in rows]

    def _pair(self, decision: Decision) -> list[int]:
        if decision.constraint:
            return sorted(decision.violating_pair)
        return self._best(decision.first, decision.second)

    def _link(
        self, decision: Decision, pair: Sequence[int], appearance: float, travel: float
    ) -> Link:
        index = self._index
        i, j = pair
        compared = self._constraints.compared(i, j)
        earlier_end_s = min(index.end_s[i], index.end_s[j])
        rival = ""
        rival_probability = 0.0
        if decision.rival:
            rival = index.tracklets[decision.rival[0]].name
            rival_probability = to_probability(decision.rival_odds)
        other = NOBODY
        if not decision.constraint:
            other = self._rivals.likeliest(decision.first, decision.second)
        lookalike = ""
        if other.odds > 0 and not compared.odds > 0:
            lookalike = index.tracklets[other.tracklet].name
        return Link(
            first=index.tracklets[i],
            second=index.tracklets[j],
            probability=self._probability(decision, other),
            similarity=self._similarity(i, j),
            appearance=appearance,
            place=compared.odds,
            travel=travel,
            gap_s=float(index.start_s[j] - earlier_end_s),
            floor_m=compared.metres,
            rule=decision.constraint,
            rival=rival,
            rival_probability=rival_probability,
            lookalike=lookalike,
        )

    def _probability(self, decision: Decision, other: Lookalike) -> float:
        """How likely two groups are one person, given who else each could be."""
        if decision.constraint:
            return to_probability(decision.odds)
        return min(to_probability(other.discount(decision.odds)), self._most_certain)

    def _similarity(self, i: int, j: int) -> float:
        """Cosine of two embeddings; nan where one is missing."""
        first = self._index.embedded[i].embedding
        second = self._index.embedded[j].embedding
        if not first.any() or not second.any():
            return float("nan")
        return float(first @ second)

    def _best(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Return the pair with the most evidence of two groups, in order; of equals the earlier."""
        rows = np.array(first[:MAX_SHOWN])
        columns = np.array(second[:MAX_SHOWN])
        early = np.minimum(rows[:, None], columns).ravel()
        late = np.maximum(rows[:, None], columns).ravel()
        appearance = self._appearance.between(rows, columns).ravel()
        evidence = appearance + self._places(early, late)
        best = int(np.argmax(evidence))
        return [int(early[best]), int(late[best])]

    def _places(self, early: Array, late: Array) -> Array:
        """Log odds of position of pairs (m,), (m,); 0 where positions say nothing, (m,)."""
        gap_s = self._index.start_s[late] - self._index.end_s[early]
        is_close = gap_s < position.MAX_GAP_S
        odds = np.zeros(len(early))
        for k in np.flatnonzero(is_close).tolist():
            compared = self._constraints.compared(int(early[k]), int(late[k]))
            odds[k] = np.nan_to_num(compared.odds)
        return odds
