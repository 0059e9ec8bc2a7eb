from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.config import LinkingConfig, TravelConfig
from pipeline.embed import bare
from pipeline.linking.clustering import candidates, solver
from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.clustering.solver import NO_POSITION_PENALTY, Edges
from pipeline.linking.evidence import gaps, travel
from pipeline.linking.evidence.appearance import Appearance, to_log_odds
from pipeline.linking.evidence.gaps import HORIZON_S, Gaps
from pipeline.linking.evidence.travel import LEAST, MOST, Travel
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import similarity, travel_times
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.learning.travel_times import MAX_TRANSITIONS, Transitions, TravelTimes
from pipeline.records import Array, Camera, Embedded, Tracklet
from pipeline.vectors import unit

CAMERAS = {name: Camera(name, name, 1000, 1000, 10, 0, -1, np.zeros((0, 0))) for name in "abcxyz"}
CONFIG = LinkingConfig()
NO_LOOK = np.zeros(0)
NOBODY = np.zeros((0, 2), np.int64)
CERTAIN = 2.0
A_TO_B = TravelTimes({("a", "b"): Transitions((18.0, 19.0, 19.5, 20.0, 20.0, 20.5, 21.0, 22.0))})


def calibrate(index: TrackletIndex, *arguments: Any) -> Calibration:
    """Fit the curve to an index."""
    return similarity.calibrate(similarity.sample(index).samples, index.names, *arguments)


def seen(camera: str, track: int, start_s: float, end_s: float, look: Array = NO_LOOK) -> Embedded:
    """Somebody, from start to end, who looks like `look`."""
    times_s = np.array([start_s, (start_s + end_s) / 2, end_s])
    boxes = np.tile(np.array([100, 100, 140, 200], np.float32), (3, 1))
    crops = np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    frames = np.rint(times_s * 1000).astype(np.int64)
    tracklet = Tracklet(
        camera,
        track,
        frames,
        times_s,
        boxes,
        np.ones(3, np.float32),
        crops,
        np.zeros(0, np.float32),
        np.zeros(0),
    )
    return bare(tracklet, look.astype(np.float32))


def at(*views: tuple[str, float, float]) -> TrackletIndex:
    """Tracklets (camera, start, end) of as many tracks."""
    return TrackletIndex(
        [seen(camera, track, start, end) for track, (camera, start, end) in enumerate(views)],
        CAMERAS,
    )


def crowd(seed: int = 0, n: int = 60, length_s: float = 1200.0) -> list[tuple[str, float, float]]:
    """People who appear in a and b whenever they like, for 10 s."""
    starts = np.random.default_rng(seed).uniform(0, length_s, (2, n))
    return [
        (camera, start, start + 10)
        for camera, row in zip("ab", starts, strict=True)
        for start in row.tolist()
    ]


def odds(
    times: TravelTimes,
    first: tuple[str, float, float],
    second: tuple[str, float, float],
    config: LinkingConfig = CONFIG,
    others: Sequence[tuple[str, float, float]] = (),
) -> float:
    """Log odds of two tracklets among others, a crowd when nobody else is named."""
    s = at(*(others or crowd()), first, second)
    i, j = (
        next(k for k, t in enumerate(s.tracklets) if (t.camera, t.first_s) == view[:2])
        for view in (first, second)
    )
    return float(
        Travel(s, times, config, NOBODY).odds(np.array([min(i, j)]), np.array([max(i, j)]))[0]
    )


def test_a_gap_like_those_that_were_learned_speaks_for_one_person_and_another_one_against_it() -> (
    None
):
    found = [
        odds(A_TO_B, ("a", 500, 510), ("b", 510 + gap_s, 540 + gap_s))
        for gap_s in (20, 17, 10, 60, 300)
    ]
    assert found[0] > 2 and found[0] > found[1] > found[2] and max(found[2:]) < -1
    assert all(LEAST <= each <= MOST for each in found)


def test_where_everybody_goes_one_way_the_other_way_speaks_against_one_person() -> None:
    assert odds(A_TO_B, ("b", 500, 510), ("a", 530, 540)) < -1


def test_gaps_that_are_like_anybodys_say_nothing() -> None:
    starts = np.random.default_rng(1).uniform(0, 600, 200)
    times = TravelTimes(
        {
            cameras: Transitions(tuple(starts[half].tolist()), 3)
            for cameras, half in ((("a", "b"), slice(0, 100)), (("b", "a"), slice(100, 200)))
        }
    )
    both = [
        odds(times, ("a", 300, 310), ("b", start, start + 10))
        for start in (305, 330, 400, 600, 205)
    ]
    assert np.abs(both).max() < 0.8


def test_steps_none_of_which_overlap_say_that_views_do_not_where_a_third_of_pairs_coincide() -> (
    None
):
    long = [("a", 0.0, 300.0), *(("b", t, t + 10) for t in range(10, 900, 10))]
    never = TravelTimes({("a", "b"): Transitions(tuple(np.linspace(5, 400, 20).tolist()))})
    assert odds(never, ("a", 1, 299), ("b", 101, 111), others=long) < -2
    often = TravelTimes({("a", "b"): Transitions((5.0, 9.0, 100.0, 250.0), 16)})
    assert odds(often, ("a", 1, 299), ("b", 101, 111), others=long) > 0.5


@pytest.mark.parametrize(
    ("times", "second"),
    [
        (TravelTimes(), ("b", 530, 540)),
        (TravelTimes({("a", "b"): Transitions((20.0, 21.0))}), ("b", 530, 540)),
        (TravelTimes({("b", "c"): Transitions((20.0, 21.0, 22.0))}), ("b", 530, 540)),
        (A_TO_B, ("a", 530, 540)),
        (A_TO_B, ("b", 510 + HORIZON_S + 1, 520 + HORIZON_S)),
    ],
)
def test_too_few_steps_another_pair_of_cameras_one_camera_and_a_long_time_say_nothing(
    times: TravelTimes, second: tuple[str, float, float]
) -> None:
    assert np.isnan(odds(times, ("a", 500, 510), second))


def test_two_visits_with_a_certain_one_between_them_are_no_step() -> None:
    s = at(("a", 0, 10), ("c", 20, 25), ("b", 30, 40), *crowd())
    order = {(t.camera, t.first_s): k for k, t in enumerate(s.tracklets)}
    i, k, j = (np.array([order[view]]) for view in (("a", 0), ("c", 20), ("b", 30)))
    assert Travel(s, A_TO_B, CONFIG, NOBODY).odds(i, j) > 2
    for certain in (np.stack([i, k], axis=1), np.stack([k, j], axis=1)):
        assert np.isnan(Travel(s, A_TO_B, CONFIG, certain).odds(i, j))
    group = [int(i[0]), int(k[0]), int(j[0])]
    both_ways = np.array([[group[0], group[1]], [group[1], group[2]], [group[0], group[2]]])
    assert travel_times.observe(s, [group], both_ways).times().transitions == {
        ("a", "c"): Transitions((10.0,)),
        ("c", "b"): Transitions((5.0,)),
    }


def test_it_learns_gaps_and_overlaps_of_certain_pairs_of_one_group_and_of_no_others() -> None:
    s = at(("a", 0, 10), ("b", 8, 20), ("c", 23.5, 30), ("a", 31, 40), ("b", 1000, 1010))
    pairs = np.array([[0, 1], [1, 2], [2, 3], [0, 3], [3, 4]])
    found = travel_times.observe(s, [[0, 1, 2], [3, 4]], pairs).times()
    assert found.transitions == {("a", "b"): Transitions((), 1), ("b", "c"): Transitions((3.5,))}
    assert travel_times.observe(s, [[0], [1]], NOBODY).times().transitions == {}


def test_pieces_of_one_track_are_one_visit() -> None:
    pieces = [seen("a", 1, 0, 100), seen("a", 1, 100.1, 200), seen("b", 2, 220, 230)]
    s = TrackletIndex(pieces, CAMERAS)
    assert travel_times.observe(s, [[0, 1, 2]], np.array([[0, 2], [1, 2]])).times().transitions == {
        ("a", "b"): Transitions((20.0,))
    }
    early, late = Travel(s, A_TO_B, CONFIG, NOBODY).odds(np.array([0, 1]), np.array([2, 2]))
    assert early == late
    ambiguous = replace(pieces[1], tracklet=replace(pieces[1].tracklet, ambiguous=True))
    s = TrackletIndex([pieces[0], ambiguous, pieces[2]], CAMERAS)
    assert travel_times.observe(s, [[0, 1, 2]], np.array([[0, 2]])).times().transitions == {
        ("a", "b"): Transitions((120.0,))
    }


def test_a_typical_time_of_the_config_counts_until_more_is_known() -> None:
    config = LinkingConfig(
        travel=[TravelConfig(cameras=("b", "a"), min_s=0, typical_s=40, max_s=60)]
    )
    there, elsewhere = (("b", 510.0 + gap_s, 560.0 + gap_s) for gap_s in (40, 100))
    assert odds(TravelTimes(), ("a", 500, 510), there, config) > 2
    assert odds(TravelTimes(), ("a", 500, 510), elsewhere, config) < -1
    assert odds(TravelTimes(), ("a", 500, 510), ("b", 505, 520), config) == 0, (
        "it says nothing of overlapping views"
    )
    learned = TravelTimes({("a", "b"): Transitions(tuple(np.linspace(95, 105, 100).tolist()))})
    assert odds(learned, ("a", 500, 510), elsewhere, config) > odds(
        learned, ("a", 500, 510), there, config
    )


@given(st.floats(0.1, HORIZON_S), st.floats(0, 1), st.floats(1, 2))
def test_gaps_of_a_typical_time_keep_the_limits(
    typical_s: float, least: float, most: float
) -> None:
    told = TravelConfig(
        cameras=("a", "b"), min_s=least * typical_s, typical_s=typical_s, max_s=most * typical_s
    )
    found = travel.typical_gaps(told)
    assert (
        len(found) == travel.N_TYPICAL
        and min(found) >= told.min_s
        and max(found) <= min(told.max_s, HORIZON_S)
    )


def test_a_typical_time_too_long_to_be_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="typical_s must be at most 600 s"):
        TravelConfig(cameras=("a", "b"), typical_s=601, max_s=900)


def test_a_travel_time_within_one_camera_is_refused() -> None:
    with pytest.raises(ValueError, match="a stands twice"):
        TravelConfig(cameras=("a", "a"), min_s=5, max_s=60)


@pytest.mark.parametrize("typical_s", [4, 61])
def test_a_typical_time_outside_its_limits_is_refused(typical_s: float) -> None:
    with pytest.raises(ValueError, match="typical_s must lie between min_s and max_s"):
        TravelConfig(cameras=("a", "b"), min_s=5, typical_s=typical_s, max_s=60)


steps = st.builds(
    Transitions, st.lists(st.floats(0.1, 600), max_size=400).map(tuple), st.integers(0, 900)
)


@given(steps, steps)
def test_what_is_new_is_kept_and_the_oldest_makes_room(old: Transitions, new: Transitions) -> None:
    total = travel_times.add(
        TravelTimes({("a", "b"): old}), TravelTimes({("a", "b"): new.newest(MAX_TRANSITIONS)})
    ).of("a", "b")
    assert total.n == min(old.n + new.newest(MAX_TRANSITIONS).n, MAX_TRANSITIONS)
    kept = new.newest(MAX_TRANSITIONS).gaps_s
    assert total.gaps_s[len(total.gaps_s) - len(kept) :] == kept
    older = total.gaps_s[: len(total.gaps_s) - len(kept)]
    assert older == old.gaps_s[len(old.gaps_s) - len(older) :]


def test_runs_add_up_by_pairs_of_cameras() -> None:
    other = TravelTimes({("a", "b"): Transitions((9.0,), 2), ("b", "c"): Transitions((1.0,))})
    total = travel_times.add(A_TO_B, other)
    assert total.of("a", "b") == Transitions((*A_TO_B.of("a", "b").gaps_s, 9.0), 2)
    assert total.of("b", "c") == Transitions((1.0,)) and total.of("c", "b") == Transitions()


def test_the_log_odds_of_a_gap_are_those_of_two_densities_under_one_gaussian_window() -> None:
    rng = np.random.default_rng(3)
    own, anybody = rng.normal(100, 5, 40), rng.uniform(50, 200, 500)
    (row,) = gaps.log_odds([Gaps(own, gaps.histogram(np.rint(anybody * 1000), np.ones(500)))])
    width = 0.9 * min(own.std(), np.subtract(*np.percentile(own, (75, 25))) / 1.34) * 40**-0.2

    def density(values: Array, gap_s: float) -> float:
        return float(
            np.exp(-((values - gap_s) ** 2) / (2 * width**2)).mean() / (width * np.sqrt(2 * np.pi))
        )

    for gap_s in (85, 95, 100, 108, 150):
        usual = 0.95 * density(anybody, gap_s) + 0.05 / (HORIZON_S + 0.25)
        expected = np.log(
            (40 * density(own, gap_s) / usual + gaps.N_NEUTRAL) / (40 + gaps.N_NEUTRAL)
        )
        assert row[int(gap_s * 4)] == pytest.approx(expected, abs=0.25)


@given(st.integers(0, 3), st.floats(-1e4, 1e4), st.permutations("abc"))
@settings(max_examples=20)
def test_the_evidence_depends_neither_on_what_cameras_are_called_nor_on_when_time_begins(
    seed: int, later_s: float, names: list[str]
) -> None:
    people = corridor(seed, n=12)
    before = learned(people, {name: name for name in "abc"}, 0.0)
    after = learned(
        people, {old: f"{new}2" for old, new in zip("abc", names, strict=True)}, round(later_s, 1)
    )
    assert before.keys() == after.keys()
    np.testing.assert_allclose([after[pair] for pair in before], list(before.values()), atol=1e-6)


def learned(
    people: list[tuple[Embedded, int]], names: dict[str, str], later_s: float
) -> dict[tuple[int, int], float]:
    """Evidence of all pairs of tracks of a site whose people are known, with other names and
    times.
    """
    whole = []
    for e, _ in people:
        t = replace(
            e.tracklet, camera=names[e.tracklet.camera], times_s=e.tracklet.times_s + later_s
        )
        whole.append(replace(e, tracklet=t))
    s = TrackletIndex(whole, {name: replace(CAMERAS["a"], name=name) for name in names.values()})
    groups = [
        [i for i, t in enumerate(s.tracklets) if t.track_id // 10 == person] for person in range(12)
    ]
    certain = travel_times.followed(s, groups)
    i, j = np.triu_indices(len(s), 1)
    found = (
        Travel(s, travel_times.observe(s, groups, certain).times(), CONFIG, certain)
        .odds(i, j)
        .tolist()
    )
    tracks = [t.track_id for t in s.tracklets]
    return {
        (min(tracks[a], tracks[b]), max(tracks[a], tracks[b])): o
        for a, b, o in zip(i, j, found, strict=True)
    }


def corridor(seed: int, n: int = 60, alike: int = 20) -> list[tuple[Embedded, int]]:
    """People, and who they are, who walk from a to b in 20 +- 3 s and on to c in 40 +- 8 s; groups
    of n / alike look alike.
    """
    rng = np.random.default_rng(seed)
    clothes = unit(rng.normal(size=(alike, 24)))
    found, time_s = [], 0.0
    for person in range(n):
        time_s += rng.exponential(6)
        look = unit(clothes[person % alike] + 1.2 * unit(rng.normal(size=24)))
        leaves_s = time_s
        for k, (camera, walk, spread) in enumerate((("a", 0, 0), ("b", 20, 3), ("c", 40, 8))):
            comes_s = round(leaves_s + (max(1.0, rng.normal(walk, spread)) if walk else 0), 1)
            leaves_s = round(comes_s + rng.uniform(3, 8), 1)
            seen_as = unit(look + 0.85 * unit(rng.normal(size=24)))
            found.append((seen(camera, 10 * person + k, comes_s, leaves_s, seen_as), person))
    return found


def f1(groups: list[list[int]], people: Array) -> float:
    """Pairs of tracklets that were rightly put together: harmonic mean of precision and recall."""
    group = np.empty(len(people), np.int64)
    for number, members in enumerate(groups):
        group[members] = number
    i, j = np.triu_indices(len(people), 1)
    found, true = group[i] == group[j], people[i] == people[j]
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def test_travel_times_that_a_run_learns_from_certain_links_tell_people_apart_who_look_alike() -> (
    None
):
    gained = []
    for seed in range(4):
        site = corridor(seed)
        person = {e.tracklet.key: who for e, who in site}
        s = TrackletIndex([e for e, _ in site], CAMERAS)
        people = np.array([person[t.key] for t in s.tracklets])
        constraints = Constraints(s, CONFIG)
        looks = Appearance.of(s.embedded, s.camera, calibrate(s, CONFIG).curve)
        pairs = candidates.appearance_candidates(s, looks, constraints, to_log_odds(0.05))
        i, j = pairs.T
        scores, place = [], np.full(len(pairs), np.nan)
        for _ in range(3):
            groups = solver.solve(
                looks, Edges(pairs, place), s.is_reliable, 0.0, constraints.violated_by
            ).groups
            scores.append(f1(groups, people))
            followed = travel_times.followed(s, groups)
            certain = followed[looks.odds(*followed.T) >= CERTAIN]
            times = travel_times.observe(s, groups, certain).times()
            place = Travel(s, times, CONFIG, certain).odds(i, j) - NO_POSITION_PENALTY
        assert np.median(times.of("a", "b").gaps_s) == pytest.approx(20, abs=3)
        assert np.median(times.of("b", "c").gaps_s) == pytest.approx(40, abs=6)
        assert not any(part.n_overlaps > 1 for part in times.transitions.values())
        gained.append(np.diff(scores))
    assert min(first for first, _ in gained) > 0.08 and np.mean(gained, axis=0)[0] > 0.15
    assert min(second for _, second in gained) > -0.05, "once more does no harm"


def test_it_tells_in_words_what_was_learned() -> None:
    told = travel_times.in_words(
        travel_times.add(
            A_TO_B, TravelTimes({("b", "a"): Transitions((), 7), ("a", "c"): Transitions((1.0,))})
        )
    )
    assert told == [
        "a to b: about 20.0 s (8 steps, most within 18.7 to 21.3 s)",
        "b to a: 7 times seen by both at once",
    ]


def test_an_empty_site_has_nothing_to_learn_from() -> None:
    s = TrackletIndex([], CAMERAS)
    assert travel_times.observe(s, [], travel_times.followed(s, [])).times().transitions == {}
    assert len(Travel(s, A_TO_B, CONFIG, NOBODY).odds(NOBODY[:, 0], NOBODY[:, 1])) == 0
