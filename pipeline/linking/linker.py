"""Tracklets of all cameras -> people, and why.

What is not known of a site is learned from the run itself, in this order: what a cosine means
(`learning.similarity`), which tracklets hold two people (`split`), by how much clocks disagree
(`learning.clocks`), how the views of cameras without homographies overlap
(`learning.homographies`), and, from the people found with all that, how long one takes from camera
to camera (`learning.travel_times`), with which they are found once more. Evidence is about pairs of
tracklets (`evidence`); who is one person is decided from all of it together (`clustering`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking import brief, report, split
from pipeline.linking import site as sites
from pipeline.linking.clustering import candidates, corrections, solver
from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.clustering.corrections import Corrections, MustLink
from pipeline.linking.clustering.rivals import Rivals, most_certain
from pipeline.linking.clustering.solver import Discount, Edges, Solution
from pipeline.linking.evidence.appearance import Appearance, to_log_odds
from pipeline.linking.evidence.travel import Travel
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import (
    clocks,
    correspondences,
    homographies,
    lessons,
    similarity,
    travel_times,
)
from pipeline.linking.learning.clocks import Clocks
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.lessons import Lessons, Taught
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.learning.travel_times import NO_STEPS, Observed, TravelTimes
from pipeline.linking.site import Site
from pipeline.records import Array, Camera, Embedded, Key, Link, Person, Tracklet

LEAST_LIKELY = 0.05
NEAR_MISS = to_log_odds(LEAST_LIKELY)
"""Groups that were this likely to be one person, and are not, are reported."""
CERTAIN = 4.0
"""Log odds of appearance from which two tracklets teach travel times; 2.2 is better where views do
not overlap and people look alike (simulated), and worse in a real shop.
"""

SEARCH_EVERY_S = 10.0
"""A live run searches homographies so often, and not at each step: where people are in view of both
cameras, and the views do not overlap, a search takes three quarters of a step.
"""


@dataclass(frozen=True, slots=True)
class Linked:
    """People; what was nearly linked (its `rule` says what forbade it, "" nothing did); what was
    learned of the site.

    applied_s: what was taken away from the times of cameras, seconds; empty unless `apply_clocks`
    was asked for. taught: what was learned from which tracklets of this run. left_out:
    identities that are no people, since they were seen for less than `min_person_s` (`brief`).
    no_people: those that are no people since a correction says so, each tracklet alone.
    """

    people: list[Person]
    near_misses: list[Link]
    calibration: Calibration
    clocks: Clocks
    homographies: list[Homography]
    travel: TravelTimes
    applied_s: Mapping[str, float]
    taught: Taught = lessons.NOTHING_TAUGHT
    left_out: Sequence[Person] = ()
    no_people: Sequence[Person] = ()

    @property
    def not_shown(self) -> list[Person]:
        """Identities that are in no results."""
        return [*self.left_out, *self.no_people]

    @property
    def tracklets(self) -> list[Tracklet]:
        """All tracklets as they were cut."""
        everybody = [*self.people, *self.not_shown]
        return [tracklet for person in everybody for tracklet in person.tracklets]

    @property
    def site(self) -> Site:
        """What the next run of this site may start from."""
        return Site(self.calibration.stats, self.travel, tuple(self.homographies))


@dataclass(frozen=True, slots=True)
class Learned:
    """The tracklets as they are cut, and what they say of their site before anybody is linked.

    Attributes:
        index: tracklets of people, with the clocks and views of the site.
        appearance: how they look.
        told: corrections in the names of these tracklets.
        refused: tracklets of which a correction says that they are no person.
        calibration: what similarity means.
        clocks: the clocks of all cameras.
        homographies: of this run and of earlier ones.
        applied_s: see `Linked`.
        taught: what was learned from which tracklets, but for travel times.
    """

    index: TrackletIndex
    appearance: Appearance
    told: Corrections
    refused: Sequence[Tracklet]
    calibration: Calibration
    clocks: Clocks
    homographies: list[Homography]
    applied_s: Mapping[str, float]
    taught: Taught


@dataclass(frozen=True, slots=True)
class Decided:
    """Who is one person, however briefly they are seen.

    Attributes:
        people: everybody, numbered 1, 2, 3... by first appearance.
        near_misses: what was nearly linked.
        steps: steps between cameras that teach travel times.
        travel: travel times, those that were known among them.
    """

    people: list[Person]
    near_misses: list[Link]
    steps: Observed
    travel: TravelTimes


def link(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections = corrections.NONE,
    before: Site = sites.NONE,
    settled: Lessons = lessons.NOTHING,
) -> Linked:
    """Learn what the tracklets say of their site, and decide who is one person.

    The result does not depend on the order of `embedded`.

    Args:
        embedded: Tracklets of all cameras.
        cameras: Cameras by name.
        config: Settings of linking.
        corrected: What a human knows of these tracklets.
        before: What earlier runs learned of the site.
        settled: What tracklets that settled earlier in this run taught.

    Returns:
        People numbered 1, 2, 3... by first appearance, with the reasons; without those who are seen
        too briefly (`brief`).
    """
    learned = learn(embedded, cameras, config, corrected, before, settled)
    decided = decide(
        learned.index,
        learned.appearance,
        learned.calibration,
        config,
        learned.told,
        before.travel,
        settled,
    )
    return finish(learned, decided, config)


def learn(
    embedded: Sequence[Embedded],
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections = corrections.NONE,
    before: Site = sites.NONE,
    settled: Lessons = lessons.NOTHING,
) -> Learned:
    """Learn what is needed to link tracklets, and cut them; the arguments are those of `link`."""
    whole = TrackletIndex(embedded, cameras)
    sampled = similarity.sample(whole)
    samples = settled.samples.plus(sampled.beyond(settled.includes(whole.keys)))
    calibration = similarity.calibrate(samples, whole.names, config, before.similarity)
    pieces = corrections.cut(corrected, split.split(whole, calibration.curve))
    told = corrections.by_name(corrected, [piece.tracklet for piece in pieces])
    pieces, refused = corrections.part(told, pieces)
    index = TrackletIndex(pieces, cameras)
    calibration = calibration.of_cameras(whole.names, index.names)
    appearance = Appearance.of(index.embedded, index.camera, calibration.curve)

    likely = correspondences.likely_pairs(index, appearance)
    views = []
    searched_s = settled.searched_s
    latest_s = float(index.end_s.max(initial=-np.inf))
    if config.estimate_homographies and latest_s >= searched_s + SEARCH_EVERY_S:
        views = homographies.estimate(index, likely, settled.homographies)
        searched_s = latest_s
    measured = clocks.measure(index, likely, [view.offset for view in views])
    overlaps = lessons.best(settled.homographies, views)
    offsets = lessons.best(settled.offsets, measured)
    found = clocks.agree(offsets)
    applied_s = found.offsets_s if config.apply_clocks and found.disagree else {}
    if applied_s:
        index = TrackletIndex(clocks.shift(index.embedded, applied_s), cameras)
        appearance = Appearance.of(index.embedded, index.camera, calibration.curve)
    known_views = sites.overlaps(before.homographies, overlaps)
    return Learned(
        on_site(index, clocks.NONE if applied_s else found, known_views),
        appearance,
        told,
        refused,
        calibration,
        found,
        known_views,
        applied_s,
        Taught(settled, whole.keys, sampled, index.keys, NO_STEPS, overlaps, offsets, searched_s),
    )


def on_site(index: TrackletIndex, off: Clocks, known_views: Sequence[Homography]) -> TrackletIndex:
    """Return the same index with what is known of its site.

    Args:
        index: Tracklets.
        off: How far clocks are still off.
        known_views: Homographies between views that overlap.
    """
    index = index.with_slack(off.slack_s(index.names))
    return index.with_homographies(homographies.views(index.names, known_views))


def decide(
    index: TrackletIndex,
    appearance: Appearance,
    calibration: Calibration,
    config: LinkingConfig,
    told: Corrections,
    before: TravelTimes,
    settled: Lessons = lessons.NOTHING,
) -> Decided:
    """Decide who is one person, and learn travel times on the way.

    Args:
        index: Tracklets, with the clocks and views of their site.
        appearance: How they look.
        calibration: What similarity means.
        config: Settings of linking.
        told: Corrections in the names of these tracklets.
        before: Travel times of earlier runs.
        settled: What tracklets that settled earlier in this run taught.
    """
    problem = _Problem(index, appearance, config, told)
    groups = problem.solve_without_travel()
    certain = travel_times.followed(index, groups)
    certain = certain[appearance.odds(certain[:, 0], certain[:, 1]) >= CERTAIN]
    steps = travel_times.observe(index, groups, certain)
    if not config.learn_travel_times:
        steps = steps.some(np.zeros(len(steps.visit), np.bool_))
    begins = [index.keys[i] for i in steps.visit.tolist()]
    fresh = steps.some(~settled.includes(begins)).times()
    times = travel_times.add(before, travel_times.add(settled.travel, fresh))

    n_people = sum(bool(index.is_reliable[group].any()) for group in groups)
    limit = most_certain(calibration.lookalike_share)
    travel = Travel(index, times, config, certain)
    people, missed = problem.decide(travel, n_people, limit)
    return Decided(people, missed, steps, times)


def finish(learned: Learned, decided: Decided, config: LinkingConfig) -> Linked:
    """Return the result of linking: who is seen too briefly is left out.

    Args:
        learned: What was learned of the site.
        decided: Who is one person.
        config: Settings of linking.
    """
    people, left_out = brief.part(decided.people, config.min_person_s, _told(learned))
    return Linked(
        people,
        brief.links_between(people, decided.near_misses),
        learned.calibration,
        learned.clocks,
        learned.homographies,
        decided.travel,
        learned.applied_s,
        replace(learned.taught, steps=decided.steps),
        left_out,
        _alone(learned.refused, 1 + len(decided.people)),
    )


def _told(learned: Learned) -> set[Key]:
    """Tracklets that a correction calls the same as others, or different."""
    same, different = corrections.resolve(learned.told, learned.index.tracklets)
    return {learned.index.keys[i] for i in chain.from_iterable([*same, *different])}


def _alone(tracklets: Sequence[Tracklet], first_id: int) -> list[Person]:
    """One identity for each tracklet, numbered from `first_id`."""
    return [Person(number, (each,), ()) for number, each in enumerate(tracklets, first_id)]


def nobody(config: LinkingConfig) -> Linked:
    """Return the result without tracklets: no people, and what the settings say of the site."""
    calibration = similarity.calibrate(similarity.NO_SAMPLES, (), config)
    return Linked([], [], calibration, clocks.NONE, [], TravelTimes(), {})


def constraints_of(
    index: TrackletIndex, config: LinkingConfig, told: Corrections
) -> tuple[Constraints, list[MustLink]]:
    """Return what holds between tracklets whatever the evidence.

    Args:
        index: Tracklets.
        config: Settings of linking.
        told: Corrections in the names of these tracklets.

    Returns:
        Cannot-links; and must-links, which are those of corrections and between the pieces of a
        track of which the later is not ambiguous.
    """
    same, different = corrections.resolve(told, index.tracklets)
    pieces = [pair for pair in index.pieces if pair not in index.continued]
    must_links = corrections.must_links(same, pieces, different)
    return Constraints(index, config, different), must_links


class _Problem:
    """Evidence on the candidate pairs of an index, and the constraints between them."""

    def __init__(
        self,
        index: TrackletIndex,
        appearance: Appearance,
        config: LinkingConfig,
        told: Corrections,
    ) -> None:
        self._index = index
        self._appearance = appearance
        self._config = config
        self._constraints, self._must_links = constraints_of(index, config, told)
        self._pairs = self._candidates()
        self._positions = self._constraints.places(self._pairs)

    def solve_without_travel(self) -> list[list[int]]:
        """Return groups of tracklets, by appearance and position alone."""
        return self._solve(Edges(self._pairs, self._positions), np.inf).groups

    def decide(
        self, travel: Travel, n_people: int, limit: float
    ) -> tuple[list[Person], list[Link]]:
        """Return people and near misses, with the evidence of travel where position is silent.

        Args:
            travel: Evidence of travel times.
            n_people: How many people are at the site, about.
            limit: Largest probability that is said of a link, 0..1.
        """
        silent = solver.no_position_odds(n_people)
        odds = travel.odds(*self._pairs.T) + silent
        is_silent = np.isnan(self._positions)
        place = np.where(is_silent, odds, self._positions)
        rivals = Rivals(self._index, self._appearance, silent)
        solution = self._solve(Edges(self._pairs, place, silent), NEAR_MISS, rivals.discount)
        described = report.Report(
            self._index, self._appearance, self._constraints, travel, rivals, limit
        )
        people = report.people(self._index, solution, self._must_links, described)
        missed = described.links(solution.missed)
        near_misses = [link for link in missed if link.rule or link.probability >= LEAST_LIKELY]
        return people, near_misses

    def _candidates(self) -> Array:
        """Pairs (m, 2) that may be one person."""
        index = self._index
        near = candidates.spatial_candidates(index, self._constraints)
        alike = candidates.appearance_candidates(
            index, self._appearance, self._constraints, NEAR_MISS
        )
        pieces = np.array(index.pieces, np.int64).reshape(-1, 2)
        return candidates.unique(np.concatenate([near, alike, pieces]))

    def _solve(self, edges: Edges, near_miss: float, discount: Discount | None = None) -> Solution:
        """Cluster; groups that stayed apart are explained from `near_miss` on, log odds."""
        return solver.solve(
            self._appearance,
            edges,
            self._index.is_reliable,
            to_log_odds(self._config.min_probability),
            self._constraints.violated_by,
            [(link.first, link.second) for link in self._must_links],
            near_miss,
            with_rivals=np.isfinite(near_miss),
            discount=discount,
        )
