"""What the benchmark of runtimes counts."""

import numpy as np
import pytest

from benchmarks import runtimes

BOXES = np.array([[0, 0, 10, 20], [50, 50, 70, 90]], np.float32)


def test_boxes_that_moved_have_a_distance_and_boxes_elsewhere_are_alone() -> None:
    moved = BOXES + np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    assert runtimes.boxes_apart([moved], [BOXES]) == "0.500 px, 0 of 2 boxes alone"
    assert runtimes.boxes_apart([BOXES], [BOXES[:1]]) == "0.000 px, 1 of 2 boxes alone"


def test_jobs_take_turns_after_a_first_call_that_does_not_count() -> None:
    calls: list[str] = []
    jobs = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    rows = runtimes.measure(jobs, 4, 2)
    assert calls == ["a", "b"] * 3
    assert all(row.per_s > 0 and row.cpu_ms < 1000 for row in rows.values())


def test_features_are_compared_in_unit_length() -> None:
    features = np.eye(3, dtype=np.float32)
    assert runtimes.features_apart(2 * features, features) == "0.0000 mean, 0.0000 max"
    apart = runtimes.features_apart(features[[1, 0, 2]], features)
    assert float(apart.split()[-2]) == pytest.approx(2**0.5, abs=1e-3)
