"""From decisions to links: between which two tracklets, with what evidence, and why.

A decision is about two groups of tracklets. A person who asks why wants to see two tracklets: those
with the most evidence, or those that break a constraint.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.clustering.corrections import MustLink
from pipeline.linking.clustering.solver import Decision, Solution
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, to_probability
from pipeline.linking.evidence.travel import Travel
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array, Link, Person

MAX_SHOWN = 64
"""Members of a large group among which the pair that ties it best is looked for."""


def people(
    index: TrackletIndex, solution: Solution, must_links: Sequence[MustLink], report: "Report"
) -> list[Person]:
    """Return people numbered by first appearance, each with the links that tie it."""
    owner = {i: number for number, members in enumerate(solution.groups) for i in members}
    links: list[list[Link]] = [[] for _ in solution.groups]
    given = [
        Decision(
            [t.first], [t.second], np.inf, constraint=t.why, violating_pair=(t.first, t.second)
        )
        for t in must_links
    ]
    decisions = [*given, *solution.joined]
    for decision, described in zip(decisions, report.links(decisions), strict=True):
        links[owner[decision.first[0]]].append(described)
    return [
        Person(number, tuple(index.tracklets[i] for i in members), tuple(found))
        for number, (members, found) in enumerate(zip(solution.groups, links, strict=True), start=1)
    ]


class Report:
    """Turns decisions about groups into links between the two tracklets that speak most for
    them.
    """

    def __init__(
        self, index: TrackletIndex, appearance: Appearance, constraints: Constraints, held: Travel
    ) -> None:
        self._index, self._appearance, self._constraints, self._travel = (
            index,
            appearance,
            constraints,
            held,
        )

    def links(self, decisions: Sequence[Decision]) -> list[Link]:
        """The links of decisions; where a rule forbade it, between the two tracklets that the rule
        speaks of.
        """
        pairs = np.array([self._pair(decision) for decision in decisions], np.int64).reshape(-1, 2)
        appearance, travelled = (
            self._appearance.odds(*pairs.T).tolist(),
            self._travel.odds(*pairs.T).tolist(),
        )
        return [
            self._link(*each)
            for each in zip(decisions, pairs.tolist(), appearance, travelled, strict=True)
        ]

    def _pair(self, decision: Decision) -> list[int]:
        return sorted(
            decision.violating_pair
            if decision.constraint
            else self._best(decision.first, decision.second)
        )

    def _link(
        self, decision: Decision, pair: Sequence[int], appearance: float, travelled: float
    ) -> Link:
        s, (i, j) = self._index, pair
        compared = self._constraints.compared(i, j)
        rival = s.tracklets[decision.rival[0]].name if len(decision.rival) else ""
        return Link(
            first=s.tracklets[i],
            second=s.tracklets[j],
            probability=to_probability(decision.odds),
            similarity=self._similarity(i, j),
            appearance=appearance,
            place=compared.odds,
            travel=travelled,
            gap_s=float(s.start_s[j] - min(s.end_s[i], s.end_s[j])),
            floor_m=compared.metres,
            rule=decision.constraint,
            rival=rival,
            rival_probability=to_probability(decision.rival_odds) if rival else 0.0,
        )

    def _similarity(self, i: int, j: int) -> float:
        first, second = (self._index.embedded[k].embedding for k in (i, j))
        return float(first @ second) if first.any() and second.any() else float("nan")

    def _best(self, first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
        """The pair with the most evidence of two groups, the earlier of equals."""
        i, j = np.array(first[:MAX_SHOWN]), np.array(second[:MAX_SHOWN])
        early, late = np.minimum(i[:, None], j).ravel(), np.maximum(i[:, None], j).ravel()
        evidence = self._appearance.between(i, j).ravel() + self._places(early, late)
        best = int(np.argmax(evidence))
        return int(early[best]), int(late[best])

    def _places(self, early: Array, late: Array) -> Array:
        close = self._index.start_s[late] - self._index.end_s[early] < position.MAX_GAP_S
        odds = np.zeros(len(early))
        for k in np.flatnonzero(close).tolist():
            odds[k] = np.nan_to_num(self._constraints.compared(int(early[k]), int(late[k])).odds)
        return odds
