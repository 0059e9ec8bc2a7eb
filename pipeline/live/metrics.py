"""The state of a live run in the text format of Prometheus, version 0.0.4.

Written here, since it is simpler than keeping the counters of a client library in step.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from pipeline.live.hub import Hub
from pipeline.sources.live.health import Health, State

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


def text(hub: Hub) -> str:
    """Return all metrics of a run."""
    return "".join([*_of_cameras(hub.health()), *_of_events(hub), *_of_people(hub)])


def _of_cameras(cameras: list[Health]) -> Iterable[str]:
    yield _family(
        "frames_total",
        "counter",
        "Pictures received from a camera.",
        [({"camera": each.camera}, each.n_frames) for each in cameras],
    )
    dropped = []
    for each in cameras:
        for reason, n_dropped in sorted(each.n_dropped.items()):
            dropped.append(({"camera": each.camera, "reason": reason}, n_dropped))
    yield _family(
        "frames_dropped_total", "counter", "Pictures that were not looked at, by reason.", dropped
    )
    yield _family(
        "reconnects_total",
        "counter",
        "Connections to a camera after the first one.",
        [({"camera": each.camera}, each.n_reconnects) for each in cameras],
    )
    yield _family(
        "camera_frames_per_second",
        "gauge",
        "Pictures a second, lately.",
        [({"camera": each.camera}, each.fps) for each in cameras],
    )
    yield _family(
        "camera_delay_seconds",
        "gauge",
        "From the arrival of the last picture to its processing.",
        [({"camera": each.camera}, each.delay_s) for each in cameras],
    )
    yield _family(
        "camera_clock_offset_seconds",
        "gauge",
        "Clock of the camera minus that of this machine; 0 where it is not known.",
        [({"camera": each.camera}, each.clock_offset_s) for each in cameras],
    )
    states = []
    for each in cameras:
        for state in get_args(State):
            states.append(({"camera": each.camera, "state": state}, int(each.state == state)))
    yield _family("camera_state", "gauge", "1 for the state that a camera is in.", states)
    yield _family(
        "camera_state_since_seconds",
        "gauge",
        "When the state of a camera began, seconds since 1970.",
        [({"camera": each.camera}, each.since_s) for each in cameras],
    )


def _of_people(hub: Hub) -> Iterable[str]:
    n_in_view = sum(bool(person.cameras) for person in hub.people())
    yield _family("people_in_view", "gauge", "People in view of any camera.", [({}, n_in_view)])


def _of_events(hub: Hub) -> Iterable[str]:
    by_kind = [({"kind": kind}, n_events) for kind, n_events in hub.n_events().items()]
    yield _family("events_total", "counter", "Events of the run, by kind.", by_kind)
    delivered = hub.delivered().items()
    yield _family(
        "subscriber_events_total",
        "counter",
        "Events that reached a subscriber: the page, the webhook or the MQTT broker.",
        [({"subscriber": name}, counts.n_sent) for name, counts in delivered],
    )
    yield _family(
        "subscriber_events_dropped_total",
        "counter",
        "Events that a subscriber missed.",
        [({"subscriber": name}, counts.n_dropped) for name, counts in delivered],
    )


def _family(
    name: str,
    kind: Literal["counter", "gauge"],
    about: str,
    samples: Iterable[tuple[Labels, float]],
) -> str:
    lines = [f"# HELP people_tracker_{name} {about}", f"# TYPE people_tracker_{name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        braces = f"{{{inside}}}" if inside else ""
        lines.append(f"people_tracker_{name}{braces} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
