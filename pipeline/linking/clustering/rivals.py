"""Who else somebody could be: people who are surely not the person of the other group.

A camera shows a person once at a time. So whoever is seen together with a member of one group is
somebody else, and how much that rival is like the other group says how much it counts that the two
groups are alike. Where people are dressed alike, every rival is as likely; evidence of two groups
alone cannot tell that.

Lookalikes who are not seen together with a group are not found in this way. So the share of people
who look like each other at the site limits the probability that is said of any link, though not the
decision (`most_certain`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.linking.evidence.appearance import Appearance, to_probability
from pipeline.linking.evidence.position import GOES_ON
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

MOST_MEMBERS = 16
"""Members of a group that are looked at, evenly spaced."""
SWITCHED = 1 - to_probability(GOES_ON)
"""How often a track follows somebody else after an ambiguous match."""


def most_certain(lookalike_share: float) -> float:
    """Return the largest probability that is said of a link at a site.

    Appearance does not show that a track went over to a lookalike, or that a lookalike stands where
    the person is expected. Without this limit, of links said to be 99 % certain 96 % were right
    where people are dressed alike (half of the real and rendered scenes without homographies).

    Args:
        lookalike_share: share of the pairs of two people who look like one person, 0..1.
    """
    return 1 - SWITCHED * lookalike_share


class Lookalike(NamedTuple):
    """A tracklet of somebody else, -1 for none, and the log odds that it is the person instead."""

    odds: float
    tracklet: int

    def discount(self, odds: float) -> float:
        """Lower log odds that two groups are one person by those of the lookalike."""
        return odds - float(np.logaddexp(0.0, self.odds))


NOBODY = Lookalike(-np.inf, -1)


class Rivals:
    """Finds how likely rivals are, of two groups of tracklets."""

    def __init__(
        self,
        index: TrackletIndex,
        appearance: Appearance,
        silent: float,
    ) -> None:
        self._index = index
        self._appearance = appearance
        self._silent = silent
        self._seen: dict[int, Array] = {}

    def discount(self, odds: float, first: Sequence[int], second: Sequence[int]) -> float:
        """Lower the log odds that two groups are one person by who else each could be.

        Args:
            odds: log odds of the two groups alone.
            first: members of one group.
            second: members of the other.

        Returns:
            Log odds, at most `odds`.
        """
        return self.likeliest(first, second).discount(odds)

    def likeliest(self, first: Sequence[int], second: Sequence[int]) -> Lookalike:
        """Return who, of those surely somebody else, is most likely the person of a group.

        Args:
            first: members of one group.
            second: members of the other.
        """
        some = _some(first)
        others = _some(second)
        return max(self._likeliest(some, others), self._likeliest(others, some))

    def _likeliest(self, group: list[int], other: list[int]) -> Lookalike:
        """The most likely to be a group, of those who are seen together with another; only one of
        them, since several tracklets may be one person.
        """
        seen = [self._in_view_with(member) for member in other]
        excluded = [self._in_view_with(member) for member in group]
        rivals = np.setdiff1d(np.concatenate(seen), np.concatenate([group, other, *excluded]))
        if not len(rivals):
            return NOBODY
        alike = self._appearance.between(np.array(group), rivals).mean(axis=0)
        best = int(alike.argmax())
        return Lookalike(float(alike[best]) + self._silent, int(rivals[best]))

    def _in_view_with(self, i: int) -> Array:
        if i not in self._seen:
            self._seen[i] = self._index.in_view_with(i)
        return self._seen[i]


def _some(group: Sequence[int]) -> list[int]:
    step = -(-len(group) // MOST_MEMBERS)
    return list(group[::step])
