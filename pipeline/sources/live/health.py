"""How a live camera is doing, as events, the page and the metrics tell it."""

from dataclasses import dataclass, field
from typing import Literal

State = Literal["connecting", "live", "stalled", "frozen", "lost", "ended"]
"""`connecting`: no picture yet. `live`: pictures arrive. `stalled`: none for two frame intervals or
2 s. `frozen`: packets arrive, and all pictures are equal. `lost`: no picture for
`live.dead_after_s`. `ended`: a file that was played as if live is over.
"""
ClockKind = Literal["unknown", "sender", "arrival"]
"""Whose clock times are on: the camera's own, or this machine's when packets arrive."""


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of one live camera.

    Attributes:
        camera: its name.
        state: see `State`.
        since_s: when the state began, seconds since 1970.
        fps: pictures a second, lately.
        n_frames: pictures received.
        n_dropped: pictures that were not looked at because newer ones had come, by reason:
            `busy` (the machine is slower than the camera), `rate` (the detector looks less often),
            `damaged`, `frozen`.
        n_reconnects: connections after the first one.
        delay_s: from the arrival of the last picture to its processing.
        clock: see `ClockKind`.
        clock_offset_s: the camera's own clock minus this machine's; 0 where it is not known.
        reason: why it is not live, without credentials; "" where it is.
        worker: which worker of a cluster looks at it, and its process; "" without a cluster.
        node: on which machine of the cluster; "" without one.
    """

    camera: str
    state: State = "connecting"
    since_s: float = 0.0
    fps: float = 0.0
    n_frames: int = 0
    n_dropped: dict[str, int] = field(default_factory=dict)
    n_reconnects: int = 0
    delay_s: float = 0.0
    clock: ClockKind = "unknown"
    clock_offset_s: float = 0.0
    reason: str = ""
    worker: str = ""
    node: str = ""


CameraEventKind = Literal[
    "connected",
    "stalled",
    "frozen",
    "lost",
    "back",
    "clock",
    "resized",
    "drops",
    "ended",
    "video_stopped",
    "video_resumed",
    "worker_lost",
    "worker_restarted",
]
"""Those of `video` are about recording: no video can be written, while rows and events are. Those
of `worker` are about a process or machine of a cluster that looks at the camera.
"""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something that happened to a live camera; a line of events.jsonl.

    Attributes:
        time_s: when, seconds since 1970.
        kind: what.
        camera: its name.
        reason: in words, without credentials.
    """

    time_s: float
    kind: CameraEventKind
    camera: str
    reason: str
