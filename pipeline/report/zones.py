"""Zones in the report: what was counted, where their shapes are, and what drawing more needs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.address import Address
from pipeline.config import CameraConfig, ZoneConfig
from pipeline.report.site import Bins
from pipeline.zones import table
from pipeline.zones.counting import Event

Json = dict[str, Any]


def describe(
    configured: Sequence[ZoneConfig],
    events: Sequence[Event],
    cameras: Mapping[str, int],
    over: Bins,
) -> list[Json]:
    """Describe the zones of a run.

    Args:
        configured: `zones` of the settings.
        events: what happened at them, in order of time.
        cameras: numbers of the cameras by their names.
        over: bins of the time of the run.

    Returns:
        The totals of each zone, its `shapes` (`camera`, -1 for the floor, and `points`), and
        `occupancy`, the people inside at once in each bin, at most; empty for lines.
    """
    described = []
    for total in table.totals(events, configured):
        shapes = [
            {"camera": cameras.get(each.camera, -1), "points": each.points}
            for each in configured
            if each.name == total.zone and (not each.camera or each.camera in cameras)
        ]
        own = [event for event in events if event.zone == total.zone]
        occupancy = [] if total.is_line else _occupancy(own, over)
        described.append({**asdict(total), "shapes": shapes, "occupancy": occupancy})
    return described


def _occupancy(events: Sequence[Event], over: Bins) -> list[int]:
    times_s = np.array([event.time_s for event in events])
    inside = np.array([0, *(event.occupancy for event in events)])
    bins = np.clip((times_s - over.first_s) // over.length_s, 0, over.n - 1).astype(np.int64)
    n_before = np.searchsorted(bins, np.arange(over.n))
    most = inside[n_before]  # at the beginning of each bin
    np.maximum.at(most, bins, inside[1:])
    return [int(each) for each in most]


def settings_of(camera: CameraConfig | None, source: str) -> Json:
    """Return what a config needs to say of a camera, without the folder that its file is in.

    Args:
        camera: its settings, if they are known.
        source: what the results call its source.
    """
    given: Json = {}
    if camera is not None:
        given = camera.model_dump(mode="json", exclude_defaults=True, exclude={"source", "name"})
    address = Address.parse(source)
    is_local = address.kind in ("file", "folder")
    return {"source": Path(address.path).name if is_local else address.shown, **given}
