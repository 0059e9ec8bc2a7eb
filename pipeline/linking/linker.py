"""Tracklets of all cameras -> people, and why. The one place that knows both appearance and
space-time.

What is not known of a site is learned from the run itself, in this order: what a cosine means
(`calibrate`), which tracklets hold two people (`split`), by how much clocks disagree (`clocks`),
how the views of cameras without homographies overlap (`homography`), and, from the people found
with all that, how long one takes from camera to camera (`travel`), with which they are found once
more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking import priors, split
from pipeline.linking.clustering import candidates, corrections, solver
from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.clustering.corrections import Corrections, MustLink
from pipeline.linking.clustering.solver import NO_POSITION_PENALTY, Decision, Edges, Solution
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, to_log_odds, to_probability
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import clocks, homographies, similarity, travel_times
from pipeline.linking.learning.clocks import Clocks
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.learning.travel_times import Travel, TravelTimes
from pipeline.linking.priors import Priors
from pipeline.records import Array, Camera, Embedded, Link, Person

NEAR_MISS = to_log_odds(0.05)
"""Groups that were this likely to be one person, and are not, are reported."""
CERTAIN = 4.0
"""Log odds of appearance from which two tracklets teach travel times; 2.2 is better where views do
not overlap and people look alike (simulated), and worse in a real shop.
"""
MAX_SHOWN = 64
"""Members of a large group among which the pair that ties it best is looked for."""


@dataclass(frozen=True, slots=True)
class Linked:
    """People; what was nearly linked (its `rule` says what forbade it, "" nothing did); what was
    learned of the site.

    applied_s: what was taken away from the times of cameras, seconds; empty unless `apply_clocks`
    was asked for.
    """

    people: list[Person]
    near_misses: list[Link]
    calibration: Calibration
    clocks: Clocks
    homographies: list[Homography]
    travel: TravelTimes
    applied_s: Mapping[str, float]

    @property
    def learned(self) -> Priors:
        """What the next run of this site may start from."""
        return Priors(self.calibration.stats, self.travel, tuple(self.homographies))


def link(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections = corrections.NONE,
    before: Priors = priors.NONE,
) -> Linked:
    """Return people numbered 1, 2, 3... by first appearance; the result does not depend on the
    order of `embedded`.

    corrected: what a human knows of these tracklets. before: what earlier runs learned of the site.
    """
    index = TrackletIndex(embedded, cameras)
    calibration = similarity.calibrate(index, config, before.similarity)
    index = TrackletIndex(split.split(index.embedded, index.names, calibration.curve), cameras)
    appearance = Appearance.of(index.embedded, index.camera, calibration.curve)
    likely = clocks.likely_pairs(index, appearance)
    new = homographies.estimate(index, likely) if config.estimate_homographies else []
    found = clocks.estimate(index, likely, [overlap.offset for overlap in new])
    applied_s = found.offsets_s if config.apply_clocks and found.disagree else {}
    if applied_s:
        index = TrackletIndex(clocks.shift(index.embedded, applied_s), cameras)
        appearance = Appearance.of(index.embedded, index.camera, calibration.curve)
    else:
        index.slack_s = found.slack_s(index.names)
    overlaps = priors.overlaps(before.homographies, new)
    index.look_through(homographies.views(index.names, overlaps))
    people, near_misses, times = _Site(index, appearance, config, corrected).link(before.travel)
    return Linked(people, near_misses, calibration, found, overlaps, times, applied_s)


class _Site:
    """What is known of all pairs of tracklets, and who is one person by it."""

    def __init__(
        self,
        index: TrackletIndex,
        appearance: Appearance,
        config: LinkingConfig,
        corrected: Corrections,
    ) -> None:
        self._index, self._appearance, self._config = index, appearance, config
        same, different = corrections.resolve(corrected, index.tracklets)
        self._constraints = Constraints(index, config, different)
        sure = [pair for pair in index.pieces if pair not in index.continued]
        self._must_links = corrections.must_links(same, sure, different)
        self._edges = self._tied()

    def link(self, before: TravelTimes) -> tuple[list[Person], list[Link], TravelTimes]:
        """Return people, near misses, and what is known of travel times now."""
        groups = self._solve(self._edges, explained=False).groups
        followed = travel_times.followed(self._index, groups)
        certain = followed[self._appearance.odds(followed[:, 0], followed[:, 1]) >= CERTAIN]
        times = before
        if self._config.learn_travel_times:
            times = travel_times.add(before, travel_times.learn(self._index, groups, certain))
        held = Travel(self._index, times, self._config, certain)
        odds = held.odds(*self._edges.pairs.T) - NO_POSITION_PENALTY
        silent = np.isnan(self._edges.place)
        solution = self._solve(Edges(self._edges.pairs, np.where(silent, odds, self._edges.place)))
        describe = _Describe(self._index, self._appearance, self._constraints, held)
        people = _people(self._index, solution, self._must_links, describe)
        return people, describe.links(solution.missed), times

    def _tied(self) -> Edges:
        s, constraints = self._index, self._constraints
        pieces = np.array(s.pieces, np.int64).reshape(-1, 2)
        near, alike = (
            candidates.spatial_candidates(s, constraints),
            candidates.appearance_candidates(s, self._appearance, constraints, NEAR_MISS),
        )
        pairs = candidates.unique(np.concatenate([near, alike, pieces]))
        return Edges(pairs, constraints.places(pairs))

    def _solve(self, edges: Edges, explained: bool = True) -> Solution:
        threshold = to_log_odds(self._config.min_probability)
        must_link = [(tie.first, tie.second) for tie in self._must_links]
        is_reliable = self._index.is_reliable
        near_miss = NEAR_MISS if explained else np.inf
        return solver.solve(
            self._appearance,
            edges,
            is_reliable,
            threshold,
            self._constraints.between,
            must_link,
            near_miss,
            explained,
        )


def _people(
    index: TrackletIndex, solution: Solution, must_links: Sequence[MustLink], describe: "_Describe"
) -> list[Person]:
    owner = {i: number for number, members in enumerate(solution.groups) for i in members}
    links: list[list[Link]] = [[] for _ in solution.groups]
    given = [
        Decision(
            [t.first], [t.second], np.inf, constraint=t.why, violating_pair=(t.first, t.second)
        )
        for t in must_links
    ]
    decisions = [*given, *solution.joined]
    for decision, described in zip(decisions, describe.links(decisions), strict=True):
        links[owner[decision.first[0]]].append(described)
    return [
        Person(number, tuple(index.tracklets[i] for i in members), tuple(found))
        for number, (members, found) in enumerate(zip(solution.groups, links, strict=True), start=1)
    ]


class _Describe:
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
