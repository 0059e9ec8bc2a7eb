"""Boxes in the page are few, and where they were."""

import base64
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.records import Array
from pipeline.report import boxes as packing
from pipeline.report.boxes import ROW_BYTES, SCALE, TOLERANCE, Boxes, Packed

SIZE = (1920, 1080)
PIXEL = 0.1
"""Sides are rounded to less than this, px."""


def walk(seed: int, n_rows: int, jitter_px: float = 1.0) -> tuple[Array, Array]:
    """Times and boxes of somebody who changes direction, nears the camera, and jitters."""
    rng = np.random.default_rng(seed)
    times_s = np.round(100 + np.cumsum(rng.choice([0.04, 0.08, 0.5], n_rows)), 2)
    middle = 600 + np.cumsum(np.repeat(rng.uniform(-9, 9, 1 + n_rows // 40), 40)[:n_rows])
    height = 200 + 80 * np.sin(np.arange(n_rows) / 70)
    foot = 700 + height / 3
    sides = np.stack([middle - height / 5, foot - height, middle + height / 5, foot], axis=1)
    return times_s, sides + rng.normal(0, jitter_px, sides.shape)


def unpacked(packed: Packed, origin_s: float) -> list[tuple[Array, Array]]:
    """Times and boxes of each tracklet, px, as the page reads them."""
    data = base64.b64decode(packed.text)
    n_rows = len(data) // ROW_BYTES
    times_s = np.frombuffer(data, "<u4", n_rows) / 100 + origin_s
    sides = np.frombuffer(data, "<i2", offset=4 * n_rows).reshape(-1, 4) / SCALE * (*SIZE, *SIZE)
    return [(times_s[a : a + n], sides[a : a + n]) for a, n in packed.spans]


def errors(kept: tuple[Array, Array], times_s: Array, boxes: Array) -> Array:
    """Largest error of each box when it is interpolated, in heights of the box."""
    found = np.stack([np.interp(times_s, kept[0], side) for side in kept[1].T], axis=1)
    heights = boxes[:, 3] - boxes[:, 1]
    return np.asarray((np.abs(found - boxes) - PIXEL).max(axis=1) / heights)


def packed_of(all_rows: Sequence[tuple[Array, Array]]) -> Packed:
    taken = Boxes()
    for times_s, boxes in all_rows:
        taken.add(times_s, boxes, SIZE)
    return taken.pack(origin_s=100.0)


@given(seed=st.integers(0, 10_000), n_rows=st.integers(1, 300))
@settings(max_examples=60)
def test_boxes_are_within_two_percent_of_their_height(seed: int, n_rows: int) -> None:
    rows = [walk(seed, n_rows), walk(seed + 1, 7)]
    for kept, (times_s, boxes) in zip(unpacked(packed_of(rows), 100.0), rows, strict=True):
        assert errors(kept, times_s, boxes).max() <= TOLERANCE
        assert kept[0][[0, -1]].tolist() == pytest.approx(times_s[[0, -1]].tolist())


def test_batches_of_tracklets_are_packed_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [walk(seed, n) for seed, n in enumerate((9, 1, 50, 2, 200, 3, 40))]
    whole = packed_of(rows)
    monkeypatch.setattr(packing, "BATCH_ROWS", 40)
    assert packed_of(rows) == whole


def test_a_walk_straight_on_takes_two_rows() -> None:
    times_s = np.linspace(100, 130, 301).round(2)
    left = 50 + 30 * (times_s - 100)
    boxes = np.stack([left, np.full(301, 200.0), left + 80, np.full(301, 420.0)], axis=1)
    assert packed_of([(times_s, boxes)]).spans == [(0, 2)]


def test_beyond_the_budget_the_rows_that_matter_least_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [walk(seed, 400, jitter_px=4.0) for seed in range(6)]
    whole = packed_of(rows)
    n_whole = sum(span.n for span in whole.spans)
    monkeypatch.setattr(packing, "MAX_ROWS", n_whole // 3)
    thin = packed_of(rows)
    n_thin = sum(span.n for span in thin.spans)
    assert n_whole // 3 - 12 <= n_thin <= n_whole // 3
    for kept, (times_s, boxes) in zip(unpacked(thin, 100.0), rows, strict=True):
        assert kept[0][[0, -1]].tolist() == pytest.approx(times_s[[0, -1]].tolist())
        assert TOLERANCE < errors(kept, times_s, boxes).max() < 0.2


def test_of_too_many_tracklets_the_longest_have_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_ROWS", 5)
    spans = packed_of([walk(seed, n) for seed, n in enumerate((9, 50, 3, 40, 1))]).spans
    assert [span.n > 0 for span in spans] == [False, True, False, True, False]
    assert sum(span.n for span in spans) <= 5


def test_boxes_that_reach_beyond_the_picture_keep_their_sides() -> None:
    boxes = np.array([[-400.0, -200.0, 2100.0, 1500.0]])
    ((_, sides),) = unpacked(packed_of([(np.array([100.0]), boxes)]), 100.0)
    assert np.abs(sides - boxes).max() < PIXEL


def test_nobody_takes_no_room() -> None:
    assert packed_of([]) == Packed("", [])


def test_boxes_of_a_day_stay_within_the_budget_of_the_page() -> None:
    assert packing.MAX_ROWS * ROW_BYTES * 4 / 3 <= packing.MAX_BYTES
