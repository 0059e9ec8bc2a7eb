"""Write the reasons of linking to links.json (schema `links/1`), for `pipeline.explain`."""

import json
import math
from collections.abc import Sequence
from typing import Any

from pipeline.config import LinkingConfig
from pipeline.linking.learning import similarity
from pipeline.linking.learning.similarity import Calibration
from pipeline.linking.linker import Linked
from pipeline.outputs import trajectories
from pipeline.records import Link, Person, Tracklet

SCHEMA = "links/1"
NEAR_MISS = "near miss"


def to_json(linked: Linked, config: LinkingConfig) -> str:
    """Return the document as text.

    Args:
        linked: people, and near misses.
        config: thresholds of probability.
    """
    return json.dumps(document(linked, config), indent=1, allow_nan=False) + "\n"


def document(linked: Linked, config: LinkingConfig) -> dict[str, Any]:
    """Return the document; `links-1.schema.json` describes it.

    Args:
        linked: people, and near misses.
        config: thresholds of probability.
    """
    owner = {}
    ties = []
    for person in linked.people:
        owner.update(dict.fromkeys((t.key for t in person.tracklets), person.person_id))
        for link in person.links:
            status = trajectories.status(link.probability, config.confirmed_probability)
            ties.append(_link(link, owner, status))
    missed = sorted(
        linked.near_misses, key=lambda link: (-link.probability, link.first.key, link.second.key)
    )
    return {
        "schema": SCHEMA,
        "min_probability": config.min_probability,
        "confirmed_probability": config.confirmed_probability,
        "calibration": _calibration(linked),
        "links": ties,
        "near_misses": [_link(link, owner, NEAR_MISS) for link in missed],
    }


def doubts(calibration: Calibration) -> list[str]:
    """Return a warning when appearance does not tell the people of this site apart.

    Args:
        calibration: what the site's own tracklets say.

    Returns:
        At most one line for the user.
    """
    is_known = calibration.n_same and calibration.n_different
    if not is_known or calibration.separation >= similarity.FAIRLY:
        return []
    cure = (
        "say which cameras are connected (linking.travel), give homographies, or try another"
        " network (reid.weights)"
    )
    return [f"{calibration.in_words()}; {cure}"]


def lookalikes(people: Sequence[Person]) -> str:
    """Say how many people rest on appearance that does not tell them apart, "" for none.

    Args:
        people: identities.
    """
    n_doubtful = sum(person.is_doubtful for person in people)
    if not n_doubtful:
        return ""
    verb = "rests" if n_doubtful == 1 else "rest"
    return (
        f"people here look alike: {n_doubtful} of {len(people)} identities {verb} on appearance"
        " that does not tell them apart"
    )


def unset(linked: Linked, online: bool) -> list[str]:
    """Return a warning when clocks disagree and were not corrected.

    Args:
        linked: the clocks, and the offsets that were applied.
        online: whether people were linked while they were in view.

    Returns:
        At most one line for the user.
    """
    if not linked.clocks.disagree or linked.applied_s:
        return []
    cure = (
        "correct start_s of the cameras (offsets cannot be applied online)"
        if online
        else "--set linking.apply_clocks=true puts all on one clock"
    )
    return [f"{'; '.join(linked.clocks.in_words())}; {cure}"]


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
        "lookalike": link.lookalike,
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
    cameras: set[str] = set()
    for person in [*linked.people, *linked.left_out]:
        cameras.update(tracklet.camera for tracklet in person.tracklets)
    even_cosines = zip(sorted(cameras), calibration.curve.even.tolist(), strict=True)
    return {
        "in_words": calibration.in_words(),
        "same": _number(calibration.same, 4),
        "different": _number(calibration.different, 4),
        "spread": _number(calibration.spread, 4),
        "separation": _number(calibration.separation, 2),
        "n_same": calibration.n_same,
        "n_different": calibration.n_different,
        "n_together": calibration.n_together,
        "n_alike": calibration.n_alike,
        "scale": _number(calibration.curve.scale, 4),
        "even": {camera: _number(even, 4) for camera, even in even_cosines},
    }


def _number(value: float, digits: int) -> float | None:
    """Round a number; None where nothing was measured."""
    return round(float(value), digits) if math.isfinite(value) else None
