"""Cannot-link constraints between two tracklets, or two groups of them.

One camera shows a person once at a time. The travel time between two cameras has a minimum and a
maximum. On a common floor, simultaneous positions agree, and nobody walks between cameras faster
than `max_speed_m_s`. Corrections of a human hold without exception. Constraints of the floor hold
between reliable tracklets only: a fragment is short because its feet were hidden, so its position
is wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking.evidence import position
from pipeline.linking.evidence.position import PLACE_STD_M, WALK_M_S
from pipeline.linking.index import TrackletIndex
from pipeline.linking.reasons import CORRECTED, FLOOR, SAME_TIME, SPEED, TRAVEL
from pipeline.records import Array

UNSEEN_S = 10.0
"""Longest that somebody is in view and not found, before leaving and after coming: with travel
times that truth never exceeds as the longest, 0 costs 3 and 12 points of global IDF1 on two
rendered worlds, 5 up to 1, 10 none.
"""


class Constraints:
    """The rules of a site, asked about pairs of tracklets by index.

    least_s, most_s (C, C): shortest and longest time from leaving one camera to appearing in the
    other; views may overlap where the shortest is -inf. A gap of up to `_short_s` is never too long
    a step, and one above `_long_s` never too short.
    """

    def __init__(
        self, index: TrackletIndex, config: LinkingConfig, different: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._index, self._config = index, config
        self.least_s, self.most_s = travel_limits(index.names, config)
        self._different: dict[int, set[int]] = {}
        for i, j in different:
            self._different.setdefault(i, set()).add(j)
            self._different.setdefault(j, set()).add(i)
        self._compared: dict[tuple[int, int], position.Compared] = {}
        on_floor = index.has_floor[:, None] & index.has_floor
        self._on_floor = (on_floor | index.overlap) & ~np.eye(len(on_floor), dtype=bool)
        self._short_s = float(self.most_s.min(initial=np.inf))
        self._long_s = max(
            0.0,
            float(self.least_s.max(initial=0)),
            _extent_m(index.reach) / config.max_speed_m_s,
        )

    def compared(self, i: int, j: int) -> position.Compared:
        """What place says of two tracklets, worked out once."""
        pair = min(i, j), max(i, j)
        s = self._index
        if s.start_s[pair[1]] - s.end_s[pair[0]] >= position.MAX_GAP_S and pair not in s.continued:
            return position.SILENT
        if pair not in self._compared:
            compared = position.compare(self._index, *pair, self._config)
            if not self._config.position_evidence:
                compared = replace(compared, odds=np.nan)
            self._compared[pair] = compared
        return self._compared[pair]

    def places(self, pairs: Array) -> Array:
        """Log odds of the places of pairs (m, 2), i < j; nan where nothing can be said, which is
        true of nearly all.
        """
        s = self._index
        odds = np.full(len(pairs), np.nan)
        close = s.start_s[pairs[:, 1]] - s.end_s[pairs[:, 0]] < position.MAX_GAP_S
        if s.continued:
            close |= np.isin(_number(pairs), _number(np.array(sorted(s.continued))))
        odds[close] = [self.compared(i, j).odds for i, j in pairs[close].tolist()]
        return odds

    def between(self, first: Sequence[int], second: Sequence[int]) -> tuple[str, int, int]:
        """Return the rule that keeps two groups apart ("" none), and the two tracklets that it
        speaks of.
        """
        for rule, broken, a, b in self._broken(np.array(first), np.array(second)):
            (where,) = broken.nonzero()
            if len(where):
                return rule, int(a[where[0]]), int(b[where[0]])
        for i in first if self._different else ():
            if told := self._different.get(i, set()).intersection(second):
                return CORRECTED, i, min(told)
        return self._out_of_reach(first, second)

    def _broken(self, first: Array, second: Array) -> Iterator[tuple[str, Array, Array, Array]]:
        """For each rule whether pairs break it (m,), and the pairs (m,), (m,); of those close
        enough in time to break one.
        """
        s = self._index
        gap = np.maximum(s.start_s[first][:, None], s.start_s[second])
        gap -= np.minimum(s.end_s[first][:, None], s.end_s[second])
        i, j = (gap <= self._long_s).nonzero()
        if not len(i):
            return
        a, b, gap = first[i], second[j], gap[i, j]
        cameras = s.camera[a], s.camera[b]
        yield SAME_TIME, (cameras[0] == cameras[1]) & (gap <= 0), a, b
        yield TRAVEL, gap < self.least_s[cameras], a, b
        (where,) = (self._on_floor[cameras] & s.is_reliable[a] & s.is_reliable[b]).nonzero()
        if not len(where):
            return
        a, b, gap = a[where], b[where], gap[where]
        yield SPEED, self._too_fast(a, b) | self._too_fast(b, a), a, b
        at_once = s.overlap[s.camera[a], s.camera[b]] & (gap <= 0)
        a, b = a[at_once], b[at_once]
        yield (
            FLOOR,
            np.array(
                [self._far_apart(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)], bool
            ),
            a,
            b,
        )

    def _far_apart(self, i: int, j: int) -> bool:
        reach = self._index.reach
        if position.apart_m(reach[i], reach[j]) > self._config.max_floor_m + 2 * self._error_m(
            i, j
        ):
            return True
        return self.compared(i, j).rule != ""

    def _error_m(self, i: int, j: int) -> float:
        s, error = self._index, self._index.floor_error_m
        walked_m = WALK_M_S * s.slack_s[s.camera[i], s.camera[j]]
        return float(np.sqrt(PLACE_STD_M**2 + error[i] ** 2 + error[j] ** 2 + walked_m**2))

    def _too_fast(self, early: Array, late: Array) -> Array:
        """True where `late` follows `early` in another camera, and one would have had to run from
        the one to the other.
        """
        s = self._index
        leaves, comes = s.last_m[early], s.first_m[late]
        elapsed = comes[..., 2] - leaves[..., 2]
        slack = 3 * np.sqrt(
            PLACE_STD_M**2 + s.floor_error_m[early] ** 2 + s.floor_error_m[late] ** 2
        )
        follows = (
            (s.start_s[late] > s.end_s[early]) & (elapsed > 0) & (s.camera[early] != s.camera[late])
        )
        follows &= s.is_reliable[early] & s.is_reliable[late]
        distance = np.linalg.norm(comes[..., :2] - leaves[..., :2], axis=-1)
        return np.asarray(
            follows
            & (
                distance - slack
                > self._config.max_speed_m_s
                * (elapsed + s.slack_s[s.camera[early], s.camera[late]])
            )
        )

    def _out_of_reach(self, first: Sequence[int], second: Sequence[int]) -> tuple[str, int, int]:
        """Check that no step from one group to the other takes longer than the longest travel time.

        Only gaps with one end in each group count. A gap inside a group was allowed when the group
        was made, or a correction made it; it does not keep others away.
        """
        s = self._index
        members = np.array([*first, *second])
        is_second = np.repeat([False, True], [len(first), len(second)])
        order = np.argsort(members)
        members, is_second = members[order], is_second[order]
        until_s = np.maximum.accumulate(s.end_s[members])
        gap = s.start_s[members[1:]] - until_s[:-1]
        if gap.max(initial=0) <= self._short_s:
            return "", -1, -1
        is_latest = s.end_s[members] == until_s
        latest = np.maximum.accumulate(np.where(is_latest, np.arange(len(members)), 0))[:-1]
        earlier, later = members[latest], members[1:]
        is_between = is_second[latest] != is_second[1:]
        too_long = gap > self.most_s[s.camera[earlier], s.camera[later]]
        (violations,) = (is_between & too_long).nonzero()
        if not len(violations):
            return "", -1, -1
        return TRAVEL, int(earlier[violations[0]]), int(later[violations[0]])


def travel_limits(names: Sequence[str], config: LinkingConfig) -> tuple[Array, Array]:
    """Shortest and longest times (C, C) between tracklets that the config allows; -inf where views
    may overlap.
    """
    least, most = np.full((len(names),) * 2, -np.inf), np.full((len(names),) * 2, config.max_gap_s)
    index = {name: i for i, name in enumerate(names)}
    for travel in config.travel:
        if all(name in index for name in travel.cameras):
            a, b = (index[name] for name in travel.cameras)
            least[a, b] = least[b, a] = travel.min_s or -np.inf
            most[a, b] = most[b, a] = travel.max_s + UNSEEN_S
    return least, most


def _extent_m(reach: Array) -> float:
    """Longest distance between places that were seen on the floor; 0 without any."""
    seen = reach[np.isfinite(reach).all(axis=1)]
    return (
        float(np.linalg.norm(seen[:, 2:].max(axis=0) - seen[:, :2].min(axis=0)))
        if len(seen)
        else 0.0
    )


def _number(pairs: Array) -> Array:
    """One number for each pair (m, 2) of indices."""
    return pairs[:, 0] << 32 | pairs[:, 1]
