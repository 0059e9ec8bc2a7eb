"""States and events of a live camera, on a clock of the test."""

import pytest

from pipeline.config import LiveConfig
from pipeline.sources.live.states import States

LIVE = LiveConfig()
EVERY_S = 0.25


def follow(
    pictures_s: list[float], until_s: float, every_s: float = 0.25
) -> list[tuple[str, float]]:
    """Kinds and times of the events of a camera whose pictures come at these times."""
    states = States("cam", LIVE, 0.0)
    waiting = list(pictures_s)
    for tick in range(int(until_s / EVERY_S) + 1):
        now_s = tick * EVERY_S
        while waiting and waiting[0] <= now_s:
            states.picture(waiting.pop(0), is_frozen=False)
        states.update(now_s)
    return [(event.kind, event.time_s) for event in states.take_events()]


def regular(begin_s: float, end_s: float, interval_s: float = 0.04) -> list[float]:
    n = round((end_s - begin_s) / interval_s)
    return [begin_s + i * interval_s for i in range(n)]


def test_a_camera_is_stalled_after_two_seconds_and_lost_after_twenty() -> None:
    events = follow(regular(1, 10), 40)
    assert [kind for kind, _ in events] == ["connected", "stalled", "lost"]
    assert events[1][1] == pytest.approx(12, abs=0.3)
    assert events[2][1] == pytest.approx(30, abs=0.3)


def test_a_slow_camera_is_stalled_after_two_of_its_intervals() -> None:
    events = follow(regular(1, 100, interval_s=4), 120)
    assert [kind for kind, _ in events[-2:]] == ["stalled", "lost"]
    assert events[-2][1] == pytest.approx(97 + 8, abs=0.3)
    assert all(time_s < 10 or time_s > 100 for _, time_s in events)  # its rate is known by then


def test_a_pause_at_each_keyframe_is_no_stall() -> None:
    pictures_s = [s for begin in range(30) for s in regular(begin * 2 + 0.5, begin * 2 + 2)]
    assert [kind for kind, _ in follow(pictures_s, 60)] == ["connected"]


def test_a_camera_that_never_came_is_lost_and_then_connected() -> None:
    events = follow(regular(30, 31), 31)
    assert [kind for kind, _ in events] == ["lost", "connected"]


@pytest.mark.parametrize("away_s", [5, 60])
def test_a_camera_is_back_with_its_first_picture(away_s: float) -> None:
    events = follow([*regular(0, 5), *regular(5 + away_s, 10 + away_s)], 10 + away_s)
    assert events[-1][0] == "back"
    assert events[-1][1] == pytest.approx(5 + away_s)


def test_drops_that_matter_are_told_once_a_minute() -> None:
    states = States("cam", LIVE, 0.0)
    for i in range(180):
        states.n_dropped["busy"] += 2 if i < 60 else 0
        states.n_dropped["rate"] += 20
        states.n_dropped["damaged"] += 1 if i < 120 else 0
        states.picture(float(i), is_frozen=False)
    states.update(181.0)
    told = [event.reason for event in states.take_events() if event.kind == "drops"]
    assert told[0].startswith("pictures not looked at in 60 s: 120 busy, 6")
    assert "busy" not in told[1]
    assert len(told) in (2, 3)


def test_the_reason_is_why_there_is_no_connection() -> None:
    states = States("cam", LIVE, 0.0)
    states.fail(1.0, "Connection refused")
    assert (states.state, states.reason) == ("connecting", "Connection refused")
    states.picture(2.0, is_frozen=False)
    assert (states.state, states.reason) == ("live", "")
    states.fail(3.0, "the camera closed the connection")
    states.update(4.5)
    assert states.reason == "no picture for 2.5 s: the camera closed the connection"
    states.fail(5.0, "No route to host")
    assert (states.state, states.reason) == ("stalled", "No route to host")
    states.update(23.0)
    assert states.reason == "no picture for 21 s: No route to host"


def test_events_that_nobody_takes_do_not_fill_the_memory() -> None:
    states = States("cam", LIVE, 0.0)
    for i in range(5000):
        states.picture(10.0 * i, is_frozen=False)
        states.update(10.0 * i + 5)
    assert len(states.take_events()) <= 1000
