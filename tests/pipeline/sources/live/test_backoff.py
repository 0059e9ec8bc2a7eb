"""Waits between attempts to connect."""

import itertools
import random

from pipeline.sources.live.backoff import HOUR_S, Backoff


def attempts_s(outage_s: float, max_per_hour: int = 240, seed: int = 0) -> list[float]:
    """When a camera is tried that is away for so long; every attempt fails at once."""
    backoff = Backoff(max_per_hour, random.Random(seed))
    now_s = 0.0
    tried_s = []
    while now_s < outage_s:
        backoff.attempt(now_s)
        tried_s.append(now_s)
        now_s += backoff.wait_s(now_s, 0.0)
    return tried_s


def steps_s(times_s: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times_s)]


def test_in_the_first_minute_attempts_are_at_most_a_second_apart() -> None:
    tried_s = attempts_s(60)
    assert tried_s[1] <= 0.5
    assert max(steps_s(tried_s)) <= 1


def test_waits_of_long_outages_grow_to_a_minute_and_no_further() -> None:
    waits_s = steps_s(attempts_s(3 * HOUR_S))
    assert max(waits_s) <= 60
    assert min(waits_s[-20:]) >= 48


def test_cameras_that_fail_together_are_not_tried_together() -> None:
    last_s = {attempts_s(300, seed=seed)[-1] for seed in range(8)}
    assert len(last_s) == 8


def test_the_attempts_of_an_hour_are_capped() -> None:
    backoff = Backoff(30, random.Random(0))
    now_s = 0.0
    tried_s = []
    while now_s < 3 * HOUR_S:
        backoff.attempt(now_s)
        tried_s.append(now_s)
        now_s += 20  # connected for some time, then lost again
        now_s += backoff.wait_s(now_s, held_s=20)
    for first_s in tried_s:
        assert sum(first_s <= each_s < first_s + HOUR_S for each_s in tried_s) <= 30
    assert len(tried_s) >= 89


def test_a_connection_that_held_ends_the_outage() -> None:
    backoff = Backoff(10_000, random.Random(0))
    now_s = 0.0
    for _ in range(200):
        now_s += backoff.wait_s(now_s, 0.0)
    assert backoff.wait_s(now_s, held_s=1.0) > 40
    assert backoff.wait_s(now_s, held_s=11.0) <= 0.5
