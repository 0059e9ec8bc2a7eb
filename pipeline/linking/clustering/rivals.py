"""Who else somebody could be: people who are surely not the person of the other group.

A camera shows a person once at a time. So whoever is seen together with a member of one group is
somebody else, and how much that rival is like the other group says how much it counts that the two
groups are alike. Where people are dressed alike, every rival is as likely; evidence of two groups
alone cannot tell that.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.linking.evidence.appearance import Appearance
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array

MOST_MEMBERS = 16
"""Members of a group that are looked at, evenly spaced."""


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
        some = _some(first)
        others = _some(second)
        rivals = max(self._odds(some, others), self._odds(others, some))
        return odds - float(np.logaddexp(0.0, rivals))

    def _odds(self, group: list[int], other: list[int]) -> float:
        """Log odds that a group is the most likely of those who are seen together with another;
        only of one of them, since several tracklets may be one person.
        """
        seen = [self._in_view_with(member) for member in other]
        excluded = [self._in_view_with(member) for member in group]
        rivals = np.setdiff1d(np.concatenate(seen), np.concatenate([group, other, *excluded]))
        if not len(rivals):
            return -np.inf
        alike = self._appearance.between(np.array(group), rivals).mean(axis=0)
        return float(alike.max()) + self._silent

    def _in_view_with(self, i: int) -> Array:
        if i not in self._seen:
            self._seen[i] = self._index.in_view_with(i)
        return self._seen[i]


def _some(group: Sequence[int]) -> list[int]:
    step = -(-len(group) // MOST_MEMBERS)
    return list(group[::step])
