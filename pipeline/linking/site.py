"""What is known of a site: learned by a run, and used by the next.

It holds the typical cosines of one person and of two people (for one ReID network; those of another
differ), travel times between cameras, and the homographies between views that overlap.
`priors.json` is this value, schema `priors/1`. Clock offsets are not part of it: they belong to one
recording.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import documents, files
from models.errors import shorten
from pipeline import floor
from pipeline.errors import ConfigError
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import NOTHING_KNOWN, SimilarityStats
from pipeline.linking.learning.travel_times import Transitions, TravelTimes

SCHEMA = "priors/1"
MAX_SIMILARITY = 2.0
MAX_GAP_S = 4e9
MAX_COUNT = 1e15
MAX_SHOWN = 40
"""Longest value in a message, characters."""


@dataclass(frozen=True, slots=True)
class Site:
    """Similarity, travel times and homographies of a site; empty when nothing is known."""

    similarity: SimilarityStats = NOTHING_KNOWN
    travel: TravelTimes = field(default_factory=TravelTimes)
    homographies: tuple[Homography, ...] = ()


NONE = Site()


def load(path: str, network_sha256: str) -> Site:
    """Read what an earlier run learned.

    Args:
        path: a priors.json, "" for none.
        network_sha256: hash of the ReID network of this run; similarity statistics of another
            network are left out.

    Returns:
        The site, empty without a file.

    Raises:
        ConfigError: the file cannot be read, or is no valid priors.json.
    """
    if not path:
        return NONE
    try:
        document = documents.from_json(files.read_text(Path(path), files.MAX_SETTINGS_BYTES))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}")
        same_network = document["network_sha256"] == network_sha256
        similarity = _similarity(document["looks"]) if same_network else NOTHING_KNOWN
        transitions = {}
        for way in document["travel"]:
            transitions[_text(way["earlier"]), _text(way["later"])] = _steps(way)
        homographies = tuple(_homography(entry) for entry in document["homographies"])
        return Site(similarity, TravelTimes(transitions), homographies)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); check linking.priors or --priors"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: is not a priors.json of this program ({error}); give one from a run's output"
            " folder"
        ) from None


def to_json(site: Site, network_sha256: str) -> str:
    """Return the document that `load` reads.

    Args:
        site: what this run learned.
        network_sha256: hash of its ReID network.
    """
    travel = []
    for (earlier, later), steps in sorted(site.travel.transitions.items()):
        entry = {
            "earlier": earlier,
            "later": later,
            "gaps_s": [round(gap_s, 3) for gap_s in steps.gaps_s],
            "n_overlaps": steps.n_overlaps,
        }
        travel.append(entry)
    document = {
        "schema": SCHEMA,
        "network_sha256": network_sha256,
        "looks": asdict(site.similarity),
        "travel": travel,
        "homographies": [_homography_entry(homography) for homography in site.homographies],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def overlaps(before: Sequence[Homography], new: Sequence[Homography]) -> list[Homography]:
    """Combine the homographies of this run with those of earlier runs.

    Args:
        before: homographies of earlier runs.
        new: those of this run, which replace earlier ones of the same cameras.

    Returns:
        One homography of every two cameras that have any.
    """
    measured = {frozenset(homography.cameras) for homography in new}
    found = list(new)
    for homography in before:
        if frozenset(homography.cameras) not in measured:
            found.append(homography)
    return found


def _homography_entry(homography: Homography) -> dict[str, Any]:
    return {
        "cameras": homography.cameras,
        "matrix": homography.matrix.tolist(),
        "error_m": homography.error_m,
        "n_points": homography.n_points,
        "n_pairs": homography.n_pairs,
        "agree": homography.agree,
    }


def _similarity(entry: dict[str, Any]) -> SimilarityStats:
    return SimilarityStats(
        same=_number(entry, "same", -MAX_SIMILARITY, MAX_SIMILARITY),
        different=_number(entry, "different", -MAX_SIMILARITY, MAX_SIMILARITY),
        spread=_number(entry, "spread", 0, MAX_SIMILARITY),
        n_same=_count(entry, "n_same"),
        n_different=_count(entry, "n_different"),
    )


def _steps(entry: dict[str, Any]) -> Transitions:
    gaps_s = entry["gaps_s"]
    if not isinstance(gaps_s, list) or not all(
        isinstance(gap_s, int | float) and 0 < gap_s <= MAX_GAP_S for gap_s in gaps_s
    ):
        raise ValueError(
            f"gaps from {entry['earlier']} to {entry['later']} must be numbers above 0, in seconds"
        )
    return Transitions(tuple(map(float, gaps_s)), _count(entry, "n_overlaps"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shorten(repr(value), MAX_SHOWN)} is no name of a camera")
    return value


def _number(entry: dict[str, Any], key: str, least: float, most: float) -> float:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        shown = shorten(repr(value), MAX_SHOWN)
        raise ValueError(f"{key} must be a number from {least:g} to {most:g}, not {shown}")
    return float(value)


def _count(entry: dict[str, Any], key: str) -> int:
    return int(_number(entry, key, 0, MAX_COUNT))


def _homography(entry: dict[str, Any]) -> Homography:
    first, second = map(_text, entry["cameras"])
    matrix = np.array(entry["matrix"], np.float64)
    if matrix.shape != (3, 3) or not floor.is_homography(matrix):
        raise ValueError(f"the matrix of {first} and {second} is no homography")
    error_m = _number(entry, "error_m", 0, MAX_GAP_S)
    n_pairs = _count(entry, "n_pairs")
    no_offset = Offset((first, second), 0.0, error_m, error_m, n_pairs)  # it is of one recording
    return Homography(
        cameras=(first, second),
        matrix=matrix,
        error_m=error_m,
        n_points=_count(entry, "n_points"),
        n_pairs=n_pairs,
        agree=_number(entry, "agree", 0, 1),
        offset=no_offset,
    )
