"""Tracklets of all cameras -> people. The one place that knows both appearance and space-time."""

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking import affinity, cluster, priors
from pipeline.records import Array, Camera, Embedded, Link, Person, Tracklet

CERTAIN = 40.0
"""Log odds for pieces of one track, which are one person whatever they look like."""


def link(embedded: list[Embedded], cameras: dict[str, Camera], config: LinkingConfig) -> list[Person]:
    """Return people numbered 1, 2, 3... by first appearance; the result does not depend on the order of `embedded`."""
    embedded = sorted(embedded, key=lambda e: e.tracklet.key)
    tracklets = [e.tracklet for e in embedded]
    similarity = affinity.similarity(embedded)
    prior = priors.compute(tracklets, cameras, config)
    appearance = affinity.log_odds(similarity, config)
    pieces = _pieces(tracklets)
    appearance[pieces] = CERTAIN
    groups, merges = cluster.solve(
        appearance,
        prior.place,
        (prior.rule != "") & ~pieces,
        affinity.odds(config.min_probability),
        lambda members: priors.in_reach([tracklets[i] for i in members], config),
    )  # fmt: skip
    evidence = np.nan_to_num(appearance) + np.nan_to_num(prior.place)

    def describe(first: list[int], second: list[int], odds: float) -> tuple[int, Link]:
        i, j = max(((a, b) for a in first for b in second), key=lambda pair: (evidence[pair], -pair[0], -pair[1]))
        i, j = min(i, j), max(i, j)
        return i, Link(
            tracklets[i], tracklets[j], affinity.probability(odds), float(similarity[i, j]),
            float(prior.gap_s[i, j]), float(prior.floor_m[i, j]), str(prior.rule[i, j]),
        )  # fmt: skip

    links = [describe(*merge) for merge in merges]
    people = []
    for number, members in enumerate(groups, start=1):
        mine = set(members)
        people.append(Person(number, tuple(tracklets[i] for i in members), tuple(found for i, found in links if i in mine)))
    return people


def _pieces(tracklets: list[Tracklet]) -> Array:
    """True (n, n) where two tracklets are pieces of one track, cut at `max_tracklet_s`."""
    tracks = np.array([f"{t.camera}/{t.track_id}" for t in tracklets], dtype=object)
    same = np.asarray(tracks[:, None] == tracks[None, :], dtype=bool)
    np.fill_diagonal(same, False)
    return same
