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

from models import files
from pipeline.errors import ConfigError
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import NOTHING_KNOWN, SimilarityStats
from pipeline.linking.learning.travel_times import Transitions, TravelTimes

SCHEMA = "priors/1"


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
        document = json.loads(files.read_text(Path(path)), parse_constant=_refuse)
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}")
        same_network = document["network_sha256"] == network_sha256
        similarity = _similarity(document["looks"]) if same_network else NOTHING_KNOWN
        transitions = {}
        for way in document["travel"]:
            transitions[way["earlier"], way["later"]] = _steps(way)
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


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _similarity(entry: dict[str, Any]) -> SimilarityStats:
    similarity = SimilarityStats(
        same=float(entry["same"]),
        different=float(entry["different"]),
        spread=float(entry["spread"]),
        n_same=int(entry["n_same"]),
        n_different=int(entry["n_different"]),
    )
    if min(similarity.n_same, similarity.n_different, similarity.spread) < 0:
        raise ValueError("spread and counts of its similarities must not be negative")
    return similarity


def _steps(entry: dict[str, Any]) -> Transitions:
    gaps_s = tuple(float(gap_s) for gap_s in entry["gaps_s"])
    steps = Transitions(gaps_s, int(entry["n_overlaps"]))
    if min(steps.gaps_s, default=1) <= 0 or steps.n_overlaps < 0:
        raise ValueError(
            f"gaps from {entry['earlier']} to {entry['later']} must be above 0, and overlaps not"
            " negative"
        )
    return steps


def _homography(entry: dict[str, Any]) -> Homography:
    first, second = entry["cameras"]
    matrix = np.array(entry["matrix"], np.float64)
    if matrix.shape != (3, 3) or abs(np.linalg.det(matrix)) < 1e-12:
        raise ValueError(f"the matrix of {first} and {second} is no homography")
    error_m = float(entry["error_m"])
    n_pairs = int(entry["n_pairs"])
    no_offset = Offset((first, second), 0.0, error_m, error_m, n_pairs)  # it is of one recording
    return Homography(
        cameras=(first, second),
        matrix=matrix,
        error_m=error_m,
        n_points=int(entry["n_points"]),
        n_pairs=n_pairs,
        agree=float(entry["agree"]),
        offset=no_offset,
    )
