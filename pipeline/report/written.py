"""What a run wrote, of which its report is made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.config import Config
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.learning.homographies import Homography
from pipeline.report.crops import Crops
from pipeline.report.site import Segment
from pipeline.zones.counting import Event

Json = dict[str, Any]
Origin = Literal["recordings", "live", "labels"]
"""What results are of: videos that were read to their end, live cameras, or labels by hand."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote.

    Attributes:
        people: people of trajectories.json, one by one.
        n_tracklets: how many tracklets they have together.
        cameras: cameras of trajectories.json.
        why: links.json.
        run: run.json.
        crops: pictures of people, and stills.
        files: names of its files.
        segments: the segments of each camera of a live run.
        homographies: those that it learned.
        config: its settings.
        zone_events: what happened at zones.
        corrections: those that it obeyed.
        origin: what the results are of.
    """

    people: Iterable[Json]
    n_tracklets: int
    cameras: Sequence[Json]
    why: Json
    run: Json
    crops: Crops
    files: frozenset[str]
    segments: Mapping[str, Sequence[Segment]] = field(default_factory=dict)
    homographies: Sequence[Homography] = ()
    config: Config = field(default_factory=Config)
    zone_events: Sequence[Event] = ()
    corrections: Corrections = corrections.NONE
    origin: Origin = "recordings"
