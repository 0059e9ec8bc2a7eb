"""Queries whose people are not in the gallery: rates against plain loops, and what must hold of
them.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data.samples import Dataset, Sample
from models.reid.evaluation import open_set, ranking
from models.reid.evaluation.protocol import labels

Array = np.ndarray[Any, Any]
N_PEOPLE = 6
N_CAMERAS = 3
THRESHOLDS = range(40)


def random_set(seed: int, n_query: int = 24, n_gallery: int = 40) -> tuple[Dataset, Array]:
    """Query and gallery of some people and distances that know them a little; some are equal."""
    rng = np.random.default_rng(seed)

    def samples(n: int, lowest: int) -> tuple[Sample, ...]:
        people = rng.integers(lowest, N_PEOPLE, n)
        cameras = rng.integers(0, N_CAMERAS, n)
        path = Path("a.jpg")
        return tuple(Sample((path,), int(p), int(c)) for p, c in zip(people, cameras, strict=True))

    data = Dataset("some", Path(), (), samples(n_query, 1), samples(n_gallery, 0), video=False)
    query_people, gallery_people, _, _ = labels(data.query, data.gallery)
    differs = query_people[:, None] != gallery_people
    apart = rng.integers(0, 60, differs.shape) + 8 * differs
    return data, apart.astype(np.float32)


def matches_of(data: Dataset, apart: Array) -> open_set.Matches:
    return open_set.matches(ranking.rank(apart, *labels(data.query, data.gallery), top=1), data)


def matches_without_half(seed: int) -> open_set.Matches:
    """Of random people, half of whom left the gallery."""
    data, apart = random_set(seed)
    left_out = open_set.leave_out(data, 0.5, seed)
    return matches_of(left_out.data, apart[:, left_out.kept])


def by_loops(data: Dataset, apart: Array, threshold: float) -> tuple[int, float, float]:
    """False alarms, DIR and TTR, as the definitions say them."""
    n_false_alarms = n_in = n_identified = n_detected = 0
    for asked, row in zip(data.query, apart, strict=True):
        is_in_gallery = any(item.person_id == asked.person_id for item in data.gallery)
        best, best_item, has_mate = np.inf, None, False
        for item, distance in zip(data.gallery, row, strict=True):
            is_same = item.person_id == asked.person_id
            if is_same and item.camera == asked.camera:
                continue
            has_mate = has_mate or is_same
            if distance < best:
                best, best_item = float(distance), item
        is_match = best < threshold
        if not is_in_gallery:
            n_false_alarms += is_match
        if has_mate:
            n_in += 1
            n_detected += is_match
            assert best_item is not None
            n_identified += is_match and best_item.person_id == asked.person_id
    return n_false_alarms, n_identified / n_in, n_detected / n_in


@pytest.mark.parametrize("seed", range(8))
def test_rates_are_those_of_plain_loops(seed: int) -> None:
    data, apart = random_set(seed)
    left_out = open_set.leave_out(data, 0.5, seed)
    rest = apart[:, left_out.kept]
    found = matches_of(left_out.data, rest)
    assert found.has_none.sum() > 0
    values = []
    for threshold in THRESHOLDS:
        point = found.at(threshold)
        rates = (point.n_false_alarms, point.dir, point.ttr)
        assert rates == by_loops(left_out.data, rest, threshold)
        values.append(rates)
    assert len(set(values)) > 5


@given(st.integers(0, 1000), st.floats(0, 0.999))
@settings(max_examples=40)
def test_a_threshold_keeps_the_rate_and_the_next_larger_one_does_not(
    seed: int, rate: float
) -> None:
    found = matches_without_half(seed)
    n_none = int(found.has_none.sum())
    threshold = found.threshold(rate)
    assert found.at(threshold).n_false_alarms <= rate * n_none + 1e-6
    larger = np.nextafter(np.float32(threshold), np.float32(np.inf))
    assert found.at(float(larger)).n_false_alarms > rate * n_none


@given(st.integers(0, 1000))
@settings(max_examples=40)
def test_a_looser_threshold_lowers_no_rate(seed: int) -> None:
    found = matches_without_half(seed)
    points = [found.at(threshold) for threshold in THRESHOLDS]
    for tight, loose in pairwise(points):
        assert loose.n_false_alarms >= tight.n_false_alarms
        assert loose.dir >= tight.dir
        assert loose.ttr >= tight.ttr
    assert all(point.dir <= point.ttr for point in points)


@given(st.integers(0, 1000), st.integers(1, 30))
@settings(max_examples=40)
def test_more_strangers_in_the_gallery_raise_no_dir_at_a_fixed_threshold(
    seed: int, n_strangers: int
) -> None:
    data, apart = random_set(seed)
    rng = np.random.default_rng(seed)
    strangers = tuple(
        Sample((Path("b.jpg"),), 100 + i, int(rng.integers(0, N_CAMERAS)))
        for i in range(n_strangers)
    )
    more = replace(data, gallery=(*data.gallery, *strangers))
    to_strangers = rng.integers(0, 60, (len(data.query), n_strangers)).astype(np.float32)
    few = matches_of(data, apart)
    many = matches_of(more, np.hstack([apart, to_strangers]))
    for threshold in THRESHOLDS:
        assert many.at(threshold).dir <= few.at(threshold).dir
        assert many.at(threshold).n_false_alarms >= few.at(threshold).n_false_alarms
        assert many.at(threshold).ttr >= few.at(threshold).ttr


def test_the_seed_alone_says_who_leaves_and_they_leave_whole() -> None:
    data, _ = random_set(3)
    one = open_set.leave_out(data, 0.4, 7)
    again = open_set.leave_out(data, 0.4, 7)
    assert np.array_equal(one.kept, again.kept)
    assert (one.n_left_out, one.n_people) == (2, 5)
    gone = {item.person_id for item, stays in zip(data.gallery, one.kept, strict=True) if not stays}
    assert len(gone) == 2
    assert 0 not in gone  # whom no query shows
    assert gone.isdisjoint(item.person_id for item in one.data.gallery)
    others = [open_set.leave_out(data, 0.4, seed).kept for seed in range(8, 16)]
    assert any(not np.array_equal(one.kept, other) for other in others)


@pytest.mark.parametrize(("share", "n_left_out"), [(0.01, 1), (0.5, 2), (0.99, 4)])
def test_somebody_leaves_and_somebody_stays(share: float, n_left_out: int) -> None:
    data, _ = random_set(3)
    assert open_set.leave_out(data, share, 0).n_left_out == n_left_out


def test_one_person_is_too_few() -> None:
    data, _ = random_set(3)
    alone = replace(data, query=tuple(s for s in data.query if s.person_id == 1))
    with pytest.raises(InputError, match=r"need two people .* there are 1; leave out --open-set$"):
        open_set.leave_out(alone, 0.5, 0)


def test_without_an_answer_in_the_gallery_there_are_no_rates() -> None:
    path = Path("a.jpg")
    query = (Sample((path,), 1, 0), Sample((path,), 2, 0))
    gallery = (Sample((path,), 1, 0), Sample((path,), 3, 1))
    data = Dataset("some", Path(), (), query, gallery, video=False)
    with pytest.raises(InputError, match=r"no query of the people who stay .* another --seed"):
        matches_of(data, np.ones((2, 2), np.float32))
