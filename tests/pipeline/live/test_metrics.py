"""The metrics are what Prometheus reads."""

import re

from pipeline.live import metrics
from pipeline.live.hub import Hub, PersonNow
from pipeline.sources.live.health import Health

SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{(?P<labels>(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})?'
    r" (?P<value>[-+0-9.e]+|NaN|[+-]Inf)"
)
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"')

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def parsed(text: str) -> tuple[Samples, dict[str, str]]:
    """Read the text format as its specification says: samples, and the types of families."""
    samples: Samples = {}
    types: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            labels = LABEL.findall(match["labels"] or "")
            key = match["name"], frozenset((name, unescaped(value)) for name, value in labels)
            assert key not in samples
            assert match["name"] in types
            samples[key] = float(match["value"])
    return samples, types


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"people_tracker_{name}", frozenset(labels.items())]


def filled() -> Hub:
    hub = Hub()
    door = Health(
        "door",
        "live",
        since_s=1.7e9,
        fps=12.5,
        n_frames=100,
        n_dropped={"busy": 3, "rate": 40},
        n_reconnects=2,
        delay_s=0.25,
        clock="sender",
        clock_offset_s=-1.7,
    )
    odd = Health('od"d \\ name\n', "lost", reason="gone")
    here = PersonNow(1, ("door",), 0.0, 1.0, (), b"", 1.0)
    gone = PersonNow(2, (), 0.0, 1.0, (), b"", 1.0)
    hub.publish([door, odd], [here, gone])
    subscription = hub.subscribe("webhook")
    hub.say([{"time_s": 1.0, "kind": "seen"}] * 1005)
    while said := subscription.take():
        subscription.confirm(len(said))
    return hub


def test_counts_of_cameras_people_and_events_are_in_the_metrics() -> None:
    samples, types = parsed(metrics.text(filled()))
    assert value(samples, "frames_total", camera="door") == 100
    assert value(samples, "frames_dropped_total", camera="door", reason="busy") == 3
    assert value(samples, "frames_dropped_total", camera="door", reason="rate") == 40
    assert value(samples, "reconnects_total", camera="door") == 2
    assert value(samples, "camera_frames_per_second", camera="door") == 12.5
    assert value(samples, "camera_delay_seconds", camera="door") == 0.25
    assert value(samples, "camera_clock_offset_seconds", camera="door") == -1.7
    assert value(samples, "camera_state_since_seconds", camera="door") == 1.7e9
    assert value(samples, "people_in_view") == 1
    assert value(samples, "events_total", kind="seen") == 1005
    assert value(samples, "subscriber_events_total", subscriber="webhook") == 1000
    assert value(samples, "subscriber_events_dropped_total", subscriber="webhook") == 5
    assert all((kind == "counter") == name.endswith("_total") for name, kind in types.items())


def test_each_camera_is_in_exactly_one_state() -> None:
    samples, _ = parsed(metrics.text(filled()))
    assert value(samples, "camera_state", camera="door", state="live") == 1
    assert value(samples, "camera_state", camera="door", state="lost") == 0
    for camera in ("door", 'od"d \\ name\n'):
        of_camera = [
            number
            for (name, labels), number in samples.items()
            if name == "people_tracker_camera_state" and ("camera", camera) in labels
        ]
        assert sum(of_camera) == 1


def test_names_with_quotes_backslashes_and_line_ends_are_escaped() -> None:
    samples, _ = parsed(metrics.text(filled()))
    assert value(samples, "frames_total", camera='od"d \\ name\n') == 0


def test_a_run_without_cameras_has_metrics_too() -> None:
    samples, _ = parsed(metrics.text(Hub()))
    assert value(samples, "people_in_view") == 0
