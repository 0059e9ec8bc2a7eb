"""What a run found, wrote and has to say: filled by `run`, read by `run.json` and the closing
summary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.runtimes.choice import NO_RUNTIME, Choice
from pipeline.config import Config, LinkingConfig
from pipeline.linking import linker
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.records import Camera, Person
from pipeline.timings import Timings
from pipeline.zones.counting import Event


def _nobody() -> Linked:
    """What linking finds before it has begun."""
    return linker.nobody(LinkingConfig())


@dataclass(slots=True)
class Result:
    """What a run found and wrote. `notes` say what was chosen, `warnings` what went wrong but did
    not stop the run.

    corrections: what a human said of the tracklets;
    linked: what linking found and why; people: the same people with short gaps filled;
    detector_choice, reid_choice: runtimes of the networks and their precision;
    frame_ranges: first and last number of the frames processed without a break, by camera;
    n_unchanged: frames by camera that no network saw, because they show what the last one did.
    zone_events: what happened at `zones` of the settings;
    n_boxes, n_tracked: detected boxes by camera, and those that belong to a track (`untracked`).
    workers: where the groups of cameras were read at last, by group, with `engine: ray`;
    earlier: run.json of the run that these results were made of again; empty for a run.
    """

    config: Config
    folder: Path
    detector: str
    reid: str
    detector_sha256: str = ""
    reid_sha256: str = ""
    detector_choice: Choice = NO_RUNTIME
    reid_choice: Choice = NO_RUNTIME
    cameras: list[Camera] = field(default_factory=list)
    frame_ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    n_boxes: dict[str, int] = field(default_factory=dict)
    n_unchanged: dict[str, int] = field(default_factory=dict)
    n_tracked: dict[str, int] = field(default_factory=dict)
    corrections: Corrections = corrections.NONE
    linked: Linked = field(default_factory=_nobody)
    people: list[Person] = field(default_factory=list)
    zone_events: list[Event] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    interrupted: bool = False
    earlier: Mapping[str, Any] = field(default_factory=dict)
