"""Times of live pictures, from stamps made here."""

import numpy as np
import pytest

from pipeline.sources.live.wall_clock import Stamps, SteadyClock, WallClock

NOW_S = 1.8e9
FPS = 25


def assert_close(told_s: object, expected_s: object, atol: float = 1e-6) -> None:
    """Times since 1970 are large, so that a relative tolerance would be minutes."""
    np.testing.assert_allclose(told_s, expected_s, rtol=0, atol=atol)


def times_s(
    clock: WallClock,
    made_s: np.ndarray,
    *,
    starts_at: float = 100.0,
    delays_s: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Times by arrival of pictures made at `made_s`, whose stream began to count at a number."""
    arrivals_s = made_s + delays_s
    stamps_s = made_s - NOW_S + starts_at
    told = [
        clock.time_s(Stamps(stamp_s, arrival_s))
        for stamp_s, arrival_s in zip(stamps_s.tolist(), arrivals_s.tolist(), strict=True)
    ]
    return np.array(told)


def made_s(n: int, begin_s: float = 0.0) -> np.ndarray:
    return NOW_S + begin_s + np.arange(n) / FPS


def with_reports(
    clock: WallClock,
    made: np.ndarray,
    *,
    age_s: float,
    offset_s: float,
    every: int = 25,
    jump_s: float = 0.0,
) -> np.ndarray:
    """Times of pictures that are sent `age_s` after they were made, with some reports."""
    told = []
    for i, each_s in enumerate(made.tolist()):
        has_report = i % every == every - 1
        stamps = Stamps(
            each_s - NOW_S + jump_s,
            each_s + age_s,
            each_s + offset_s if i >= every - 1 else None,
            each_s + age_s + offset_s if has_report else None,
        )
        told.append(clock.time_s(stamps))
    return np.array(told)


def test_jitter_of_the_network_is_not_in_the_times() -> None:
    delays_s = np.random.default_rng(0).exponential(0.1, 500)
    delays_s[3] = 0.0
    made = made_s(500)
    told = times_s(WallClock(), made, delays_s=delays_s)
    assert_close(told[10:], made[10:], atol=0.003)


def test_a_burst_of_pictures_that_waited_on_connection_leaves_no_lag() -> None:
    made = made_s(200)
    waited_s = np.maximum(made[50] - made, 0.0)
    told = times_s(WallClock(), made, delays_s=waited_s)
    assert (np.diff(told) > 0).all()
    assert_close(told[110:], made[110:], atol=0.003)


@pytest.mark.parametrize("drift", [5e-5, -5e-5])
def test_a_camera_whose_clock_runs_wrong_is_followed_for_a_day(drift: float) -> None:
    clock = WallClock()
    made = NOW_S + np.arange(0, 86_400, 0.5)
    told = []
    for each_s in made.tolist():
        stamp_s = (each_s - NOW_S) * (1 - drift)
        told.append(clock.time_s(Stamps(stamp_s, each_s + 0.02)))
    assert_close(told, made + 0.02, atol=0.005)


def test_stamps_that_restart_go_on_by_the_arrival() -> None:
    clock = WallClock()
    before = times_s(clock, made_s(50))
    after = times_s(clock, made_s(50, begin_s=5), starts_at=-5.0)
    assert (np.diff([*before, *after]) > 0).all()
    assert_close(after, made_s(50, begin_s=5), atol=0.003)


@pytest.mark.parametrize("jump_s", [3600.0, 2.0, -1.0, -30.0, -3600.0])
def test_stamps_that_jump_do_not_move_the_times(jump_s: float) -> None:
    clock = WallClock()
    times_s(clock, made_s(50))
    after = times_s(clock, made_s(50, begin_s=2), starts_at=100.0 + jump_s)
    assert_close(after, made_s(50, begin_s=2), atol=0.003)


def test_a_pause_of_the_camera_is_a_gap_in_the_times() -> None:
    clock = WallClock()
    before = times_s(clock, made_s(50))
    after = times_s(clock, made_s(50, begin_s=9))
    assert after[0] - before[-1] == pytest.approx(9 - 49 / FPS, abs=0.003)


@pytest.mark.parametrize("stamp_s", [None, 7.0])
def test_without_stamps_and_with_frozen_ones_the_arrival_counts(stamp_s: float | None) -> None:
    clock = WallClock()
    arrivals_s = made_s(50)
    told = [clock.time_s(Stamps(stamp_s, each_s)) for each_s in arrivals_s.tolist()]
    assert_close(told, arrivals_s)


def test_times_grow_whatever_stamps_and_arrivals_do() -> None:
    rng = np.random.default_rng(1)
    clock = WallClock()
    told = []
    for _ in range(3000):
        stamp_s = rng.choice([None, *rng.normal(0, 1e3, 3).tolist()])
        told.append(clock.time_s(Stamps(stamp_s, NOW_S + rng.normal(0, 10))))
    assert (np.diff(told) > 0).all()


def test_times_go_on_after_a_reconnection() -> None:
    clock = WallClock()
    before = times_s(clock, made_s(50))
    clock.restart()
    after = times_s(clock, made_s(50, begin_s=4), starts_at=0.0)
    assert (np.diff([*before, *after]) > 0).all()
    assert_close(after, made_s(50, begin_s=4), atol=0.003)


def test_the_senders_clock_tells_how_long_encoding_takes() -> None:
    clock = WallClock()
    told = with_reports(clock, made_s(200), age_s=0.4, offset_s=0.0)
    assert clock.kind == "sender"
    assert_close(told[:24], made_s(200)[:24] + 0.4, atol=0.003)
    assert_close(told[40:], made_s(200)[40:], atol=0.003)


def test_times_grow_when_the_senders_clock_takes_over_and_that_is_told() -> None:
    clock = WallClock()
    told = with_reports(clock, made_s(60), age_s=0.8, offset_s=0.0)
    assert (np.diff(told) > 0).all()
    assert clock.take_changes() == ["times are now by the camera's own clock"]
    assert clock.take_changes() == []


def test_pictures_that_a_sender_sends_late_once_are_no_measure_of_its_age() -> None:
    clock = WallClock()
    told = []
    for i, each_s in enumerate(made_s(200).tolist()):
        late_s = 0.8 if i < 30 or 100 <= i < 120 else 0.1
        report_s = each_s + late_s if i % 10 == 5 else None
        told.append(clock.time_s(Stamps(each_s - NOW_S, each_s + late_s, each_s, report_s)))
    assert_close(told[80:], made_s(200)[80:], atol=0.003)


@pytest.mark.parametrize("offset_s", [1.7, -1.7, 7200.0, -7200.0])
def test_what_the_senders_clock_is_off_by_is_told_and_not_in_the_times(offset_s: float) -> None:
    clock = WallClock()
    told = with_reports(clock, made_s(200), age_s=0.2, offset_s=offset_s)
    assert clock.kind == "sender"
    assert clock.offset_s == pytest.approx(offset_s, abs=0.01)
    assert_close(told[40:], made_s(200)[40:], atol=0.003)


@pytest.mark.parametrize("offset_s", [-1.7e9, 3e5])
def test_a_senders_clock_that_is_more_than_a_day_off_is_not_believed(offset_s: float) -> None:
    clock = WallClock()
    told = with_reports(clock, made_s(200), age_s=0.2, offset_s=offset_s)
    assert clock.kind == "arrival"
    assert_close(told, made_s(200) + 0.2, atol=0.003)
    changes = clock.take_changes()
    assert len(changes) == 1
    assert "days and is not believed" in changes[0]


def test_a_senders_clock_that_keeps_jumping_is_not_believed() -> None:
    clock = WallClock()
    for i in range(8):
        with_reports(clock, made_s(50, begin_s=2 * i), age_s=0.2, offset_s=10.0 * (i % 2))
    assert clock.kind == "arrival"
    assert any("jumped" in change for change in clock.take_changes())


def test_a_senders_clock_that_is_set_once_is_followed() -> None:
    clock = WallClock()
    with_reports(clock, made_s(50), age_s=0.2, offset_s=60.0)
    told = with_reports(clock, made_s(50, begin_s=2), age_s=0.2, offset_s=0.0)
    assert clock.kind == "sender"
    assert_close(told, made_s(50, begin_s=2), atol=0.003)


def test_with_arrival_in_the_settings_no_sender_is_believed() -> None:
    clock = WallClock(believes_sender=False)
    told = with_reports(clock, made_s(100), age_s=0.2, offset_s=1.7)
    assert clock.kind == "arrival"
    assert_close(told, made_s(100) + 0.2, atol=0.003)


def steady(steps: list[tuple[float, float]]) -> list[float]:
    """What the clock tells after steps of this machine's clocks: wall and monotonic."""
    wall_s = NOW_S
    monotonic_s = 50.0
    clock = SteadyClock(lambda: wall_s, lambda: monotonic_s)
    told = []
    for wall_step_s, monotonic_step_s in steps:
        wall_s += wall_step_s
        monotonic_s += monotonic_step_s
        told.append(clock() - NOW_S)
    return told


def test_a_machine_whose_clock_is_set_back_tells_times_that_go_on() -> None:
    told_s = steady([(1, 1), (-3599, 1), (1, 1), (-59, 1), (1, 1)])
    assert_close(told_s, [1, 2, 3, 4, 5], atol=1e-5)


def test_a_machine_whose_clock_is_set_ahead_or_slowed_down_is_followed() -> None:
    assert steady([(3600, 1)]) == [3600]
    assert_close(steady([(0.9, 1)] * 50)[-1], 45, atol=1e-5)


def test_stamps_that_stood_still_for_a_minute_go_on_by_the_arrival() -> None:
    clock = WallClock()
    times_s(clock, made_s(50))
    after = times_s(clock, made_s(50, begin_s=62), starts_at=100.0 - 60.0)
    assert_close(after, made_s(50, begin_s=62), atol=0.003)


def test_the_age_by_the_senders_clock_outlives_stamps_that_jump_back() -> None:
    clock = WallClock()
    with_reports(clock, made_s(50), age_s=0.4, offset_s=0.0)
    told = with_reports(clock, made_s(100, begin_s=2), age_s=0.4, offset_s=0.0, jump_s=-3600.0)
    assert_close(told, made_s(100, begin_s=2), atol=0.003)
