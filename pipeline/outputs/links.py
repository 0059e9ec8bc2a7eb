"""Why people are one person, and who nearly was: links.json (schema `links/1`), which `python -m
pipeline.explain` reads.
"""

import json
import math
from typing import Any

from pipeline.config import LinkingConfig
from pipeline.linking.learning import similarity
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.linker import Linked
from pipeline.outputs import trajectories
from pipeline.records import Link, Tracklet

SCHEMA = "links/1"
NEAR_MISS = "near miss"


def to_json(linked: Linked, config: LinkingConfig) -> str:
    """Return the document; `links-1.schema.json` describes it."""
    owner = {t.key: person.person_id for person in linked.people for t in person.tracklets}
    ties = [
        _link(link, owner, trajectories.status(link.probability, config.confirmed_probability))
        for link in _ties(linked)
    ]
    missed = sorted(
        linked.near_misses, key=lambda link: (-link.probability, link.first.key, link.second.key)
    )
    document = {
        "schema": SCHEMA,
        "min_probability": config.min_probability,
        "confirmed_probability": config.confirmed_probability,
        "calibration": _calibration(linked),
        "links": ties,
        "near_misses": [_link(link, owner, NEAR_MISS) for link in missed],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def doubts(calibration: Calibration) -> list[str]:
    """Return a warning when this site's own tracklets say that appearance does not tell its people
    apart.
    """
    if (
        not calibration.n_same
        or not calibration.n_different
        or calibration.separation >= similarity.FAIRLY
    ):
        return []
    cure = (
        "say which cameras are connected (linking.travel), give homographies, or try another"
        " network (reid.weights)"
    )
    return [f"{calibration.in_words()}; {cure}"]


def unset(linked: Linked, online: bool) -> list[str]:
    """Return a warning when clocks disagree and were left as they are."""
    if not linked.clocks.disagree or linked.applied_s:
        return []
    cure = (
        "correct start_s of the cameras (offsets cannot be applied online)"
        if online
        else "--set linking.apply_clocks=true puts all on one clock"
    )
    return [f"{'; '.join(linked.clocks.in_words())}; {cure}"]


def _ties(linked: Linked) -> list[Link]:
    return [link for person in linked.people for link in person.links]


def _link(link: Link, owner: dict[tuple[float, str, int], int], status: str) -> dict[str, Any]:
    return {
        "status": status,
        "people": [owner[link.first.key], owner[link.second.key]],
        "first": _tracklet(link.first),
        "second": _tracklet(link.second),
        "probability": _number(link.probability, 4),
        "similarity": _number(link.similarity, 3),
        "appearance": _number(link.appearance, 2),
        "place": _number(link.place, 2),
        "travel": _number(link.travel, 2),
        "gap_s": _number(link.gap_s, 3),
        "floor_m": _number(link.floor_m, 2),
        "rule": link.rule,
        "rival": link.rival,
        "rival_probability": _number(link.rival_probability, 4),
    }


def _tracklet(tracklet: Tracklet) -> dict[str, Any]:
    return {
        "name": tracklet.name,
        "camera": tracklet.camera,
        "track_id": tracklet.track_id,
        "tracklet": int(tracklet.frames[0]),
        "first_s": _number(tracklet.first_s, 4),
        "last_s": _number(tracklet.last_s, 4),
    }


def _calibration(linked: Linked) -> dict[str, Any]:
    calibration = linked.calibration
    cameras = sorted({t.camera for person in linked.people for t in person.tracklets})
    return {
        "in_words": calibration.in_words(),
        "same": _number(calibration.same, 4),
        "different": _number(calibration.different, 4),
        "spread": _number(calibration.spread, 4),
        "separation": _number(calibration.separation, 2),
        "n_same": calibration.n_same,
        "n_different": calibration.n_different,
        "scale": _number(calibration.curve.scale, 4),
        "even": {
            camera: _number(even, 4)
            for camera, even in zip(cameras, calibration.curve.even.tolist(), strict=True)
        },
    }


def _number(value: float, digits: int) -> float | None:
    """Rounded; None where nothing was measured."""
    return round(float(value), digits) if math.isfinite(value) else None
