"""Cannot-link constraints between two tracklets, or two groups of them.

One camera shows a person once at a time. The travel time between two cameras has a minimum and a
maximum in the settings (`linking.travel`). On a floor that was given, simultaneous positions agree,
and nobody walks between cameras faster than `max_speed_m_s`; homographies that were learned are
evidence, and forbid nothing. Corrections of a human hold without exception. Constraints of the
floor hold between reliable tracklets only: a fragment is short because its feet were hidden, so its
position is wrong.
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
"""Longest time that a person is in view and not detected, before leaving and after coming.

With the true maxima as `max_s`, 0 costs 3 and 12 points of global IDF1 on two rendered worlds, 5 up
to 1, 10 none.
"""


class Constraints:
    """Cannot-link constraints of a site, asked about pairs of tracklets by index.

    Attributes:
        least_s: shortest time from leaving one camera to appearing in another, (C, C); -inf where
            views may overlap.
        most_s: longest such time, (C, C).
    """

    def __init__(
        self, index: TrackletIndex, config: LinkingConfig, different: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._index = index
        self._config = config
        self.least_s, self.most_s = travel_limits(index.names, config)
        self._different: dict[int, set[int]] = {}
        for first, second in different:
            self._different.setdefault(first, set()).add(second)
            self._different.setdefault(second, set()).add(first)
        self._compared: dict[tuple[int, int], position.Compared] = {}
        have_floor = index.has_floor[:, None] & index.has_floor
        is_other_camera = ~np.eye(len(have_floor), dtype=bool)
        self._on_floor = have_floor & is_other_camera
        self._short_s = float(self.most_s.min(initial=np.inf))
        """A gap of up to this is never too long a step."""
        longest_walk_s = _extent_m(index.reach) / config.max_speed_m_s
        self._long_s = max(0.0, float(self.least_s.max(initial=0)), longest_walk_s)
        """A gap above this is never too short a step."""

    def compared(self, i: int, j: int) -> position.Compared:
        """Compare the positions of two tracklets; the result is cached.

        Args:
            i: index of a tracklet.
            j: index of another.

        Returns:
            The comparison; `position.SILENT` where positions say nothing.
        """
        pair = min(i, j), max(i, j)
        if not self._is_close(*pair):
            return position.SILENT
        if pair not in self._compared:
            compared = position.compare(self._index, *pair, self._config)
            if not self._config.position_evidence:
                compared = replace(compared, odds=np.nan)
            self._compared[pair] = compared
        return self._compared[pair]

    def _is_close(self, early: int, late: int) -> bool:
        """Whether the positions of two tracklets can say anything."""
        gap_s = self._index.start_s[late] - self._index.end_s[early]
        return gap_s < position.MAX_GAP_S or (early, late) in self._index.continued

    def places(self, pairs: Array) -> Array:
        """Return the evidence of position for pairs of tracklets.

        Args:
            pairs: indices, (m, 2), the smaller first.

        Returns:
            Log odds, (m,); nan where positions say nothing, as for nearly all pairs.
        """
        index = self._index
        gap_s = index.start_s[pairs[:, 1]] - index.end_s[pairs[:, 0]]
        is_close = gap_s < position.MAX_GAP_S
        if index.continued:
            continued = np.array(sorted(index.continued))
            is_close |= np.isin(_number(pairs), _number(continued))
        odds = np.full(len(pairs), np.nan)
        odds[is_close] = [self.compared(i, j).odds for i, j in pairs[is_close].tolist()]
        return odds

    def violated_by(self, first: Sequence[int], second: Sequence[int]) -> tuple[str, int, int]:
        """Find a cannot-link constraint that forbids two groups to be one person.

        Args:
            first: indices of the members of one group.
            second: those of the other.

        Returns:
            The rule ("" for none), and the two tracklets that break it (-1, -1 for none).
        """
        for rule, is_broken, early, late in self._checks(np.array(first), np.array(second)):
            (broken,) = is_broken.nonzero()
            if len(broken):
                violation = broken[0]
                return rule, int(early[violation]), int(late[violation])
        if self._different:
            for member in first:
                different = self._different.get(member, set()).intersection(second)
                if different:
                    return CORRECTED, member, min(different)
        return self._out_of_reach(first, second)

    def _checks(self, first: Array, second: Array) -> Iterator[tuple[str, Array, Array, Array]]:
        """Check the rules on all pairs of members that are close enough in time to break one.

        Yields:
            A rule, which pairs break it (m,) bool, and the pairs: members of `first` (m,) and of
            `second` (m,).
        """
        index = self._index
        later_start_s = np.maximum(index.start_s[first][:, None], index.start_s[second])
        earlier_end_s = np.minimum(index.end_s[first][:, None], index.end_s[second])
        all_gaps_s = later_start_s - earlier_end_s
        rows, columns = (all_gaps_s <= self._long_s).nonzero()
        if not len(rows):
            return
        gap_s = all_gaps_s[rows, columns]
        first = first[rows]
        second = second[columns]
        cameras = index.camera[first], index.camera[second]
        is_same_camera = cameras[0] == cameras[1]
        yield SAME_TIME, is_same_camera & (gap_s <= 0), first, second
        yield TRAVEL, gap_s < self.least_s[cameras], first, second

        are_reliable = index.is_reliable[first] & index.is_reliable[second]
        (on_floor,) = (self._on_floor[cameras] & are_reliable).nonzero()
        if not len(on_floor):
            return
        gap_s = gap_s[on_floor]
        first = first[on_floor]
        second = second[on_floor]
        is_too_fast = self._too_fast(first, second) | self._too_fast(second, first)
        yield SPEED, is_too_fast, first, second

        at_once = gap_s <= 0
        first = first[at_once]
        second = second[at_once]
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        is_far_apart = np.array([self._far_apart(*pair) for pair in pairs], bool)
        yield FLOOR, is_far_apart, first, second

    def _far_apart(self, i: int, j: int) -> bool:
        """Whether two tracklets that are seen at once are too far apart for one person."""
        reach = self._index.reach
        apart_m = position.apart_m(reach[i], reach[j])
        limit_m = self._config.max_floor_m + 2 * self._error_m(i, j)
        if apart_m > limit_m:
            return True
        return self.compared(i, j).rule != ""

    def _error_m(self, i: int, j: int) -> float:
        """Standard deviation of the distance between two tracklets of one person, in metres."""
        index = self._index
        slack_s = index.slack_s[index.camera[i], index.camera[j]]
        walked_m = WALK_M_S * slack_s
        error_i_m = index.floor_error_m[i]
        error_j_m = index.floor_error_m[j]
        return float(np.sqrt(PLACE_STD_M**2 + error_i_m**2 + error_j_m**2 + walked_m**2))

    def _too_fast(self, early: Array, late: Array) -> Array:
        """Which pairs (m,) of tracklets of two cameras would need more than the maximum speed.

        Pairs of which `late` does not follow `early` are never too fast.
        """
        index = self._index
        leaves = index.last_m[early]
        comes = index.first_m[late]
        elapsed_s = comes[..., 2] - leaves[..., 2]
        distance_m = np.linalg.norm(comes[..., :2] - leaves[..., :2], axis=-1)

        is_after = index.start_s[late] > index.end_s[early]
        is_other_camera = index.camera[early] != index.camera[late]
        are_reliable = index.is_reliable[early] & index.is_reliable[late]
        follows = is_after & (elapsed_s > 0) & is_other_camera & are_reliable

        early_variance = index.floor_error_m[early] ** 2
        late_variance = index.floor_error_m[late] ** 2
        error_m = 3 * np.sqrt(PLACE_STD_M**2 + early_variance + late_variance)
        slack_s = index.slack_s[index.camera[early], index.camera[late]]
        reach_m = self._config.max_speed_m_s * (elapsed_s + slack_s)
        return np.asarray(follows & (distance_m - error_m > reach_m))

    def _out_of_reach(self, first: Sequence[int], second: Sequence[int]) -> tuple[str, int, int]:
        """Check that no step from one group to the other takes longer than the longest travel time.

        Only gaps with one end in each group count. A gap inside a group was allowed when the group
        was made, or comes from a correction; it does not keep others away.
        """
        index = self._index
        members = np.array([*first, *second])
        is_second = np.repeat([False, True], [len(first), len(second)])
        order = np.argsort(members)
        members = members[order]
        is_second = is_second[order]

        end_s = index.end_s[members]
        latest_end_s = np.maximum.accumulate(end_s)
        gap_s = index.start_s[members[1:]] - latest_end_s[:-1]
        if gap_s.max(initial=0) <= self._short_s:
            return "", -1, -1

        is_latest = end_s == latest_end_s
        latest_so_far = np.where(is_latest, np.arange(len(members)), 0)
        latest = np.maximum.accumulate(latest_so_far)[:-1]
        earlier = members[latest]
        later = members[1:]
        is_between = is_second[latest] != is_second[1:]
        most_s = self.most_s[index.camera[earlier], index.camera[later]]
        (violations,) = (is_between & (gap_s > most_s)).nonzero()
        if not len(violations):
            return "", -1, -1
        violation = violations[0]
        return TRAVEL, int(earlier[violation]), int(later[violation])


def travel_limits(names: Sequence[str], config: LinkingConfig) -> tuple[Array, Array]:
    """Return the shortest and longest times between tracklets that the config allows.

    Args:
        names: cameras, C of them.
        config: holds the travel times.

    Returns:
        Shortest times (C, C) in seconds, -inf where views may overlap, and longest ones (C, C).
    """
    shape = (len(names), len(names))
    least = np.full(shape, -np.inf)
    most = np.full(shape, config.max_gap_s)
    index = {name: i for i, name in enumerate(names)}
    for travel in config.travel:
        first, second = travel.cameras
        if first not in index or second not in index:
            continue
        there = (index[first], index[second])
        back = (index[second], index[first])
        for way in (there, back):
            least[way] = travel.min_s or -np.inf
            most[way] = travel.max_s + UNSEEN_S
    return least, most


def _extent_m(reach: Array) -> float:
    """Longest distance between places that were seen on the floor; 0 without any."""
    is_seen = np.isfinite(reach).all(axis=1)
    if not is_seen.any():
        return 0.0
    lowest = reach[is_seen, :2].min(axis=0)
    highest = reach[is_seen, 2:].max(axis=0)
    return float(np.linalg.norm(highest - lowest))


def _number(pairs: Array) -> Array:
    """One number for each pair (m, 2) of indices."""
    first = pairs[:, 0]
    second = pairs[:, 1]
    return first << 32 | second
