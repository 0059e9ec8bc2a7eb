"""What is known of a site: a value that a run learns, carries and hands to the next.

It holds how similar one person and two people are (to this ReID network: the cosines of another
mean something else), how long people take from camera to camera, and the homographies between views
that overlap. `priors.json` is this value, schema `priors/1`. Clock offsets are not part of it: they
belong to one recording.
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
    """Read what an earlier run learned ("" nothing); raises ConfigError. Similarity statistics of
    another network are left out.
    """
    if not path:
        return NONE
    try:
        document = json.loads(files.read_text(Path(path)), parse_constant=_refuse)
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}")
        similarity = (
            _similarity(document["looks"])
            if document["network_sha256"] == network_sha256
            else NOTHING_KNOWN
        )
        travel = TravelTimes({(t["earlier"], t["later"]): _steps(t) for t in document["travel"]})
        return Site(similarity, travel, tuple(_homography(h) for h in document["homographies"]))
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
    """Return the document that `load` reads."""
    steps = [
        {
            "earlier": a,
            "later": b,
            "gaps_s": [round(gap_s, 3) for gap_s in s.gaps_s],
            "n_overlaps": s.n_overlaps,
        }
        for (a, b), s in sorted(site.travel.transitions.items())
    ]
    document = {
        "schema": SCHEMA,
        "network_sha256": network_sha256,
        "looks": asdict(site.similarity),
        "travel": steps,
        "homographies": [
            {
                "cameras": h.cameras,
                "matrix": h.matrix.tolist(),
                "error_m": h.error_m,
                "n_points": h.n_points,
                "n_pairs": h.n_pairs,
                "agree": h.agree,
            }
            for h in site.homographies
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def overlaps(before: Sequence[Homography], new: Sequence[Homography]) -> list[Homography]:
    """Homographies of now, and those of before of cameras that this run could not measure."""
    measured = {frozenset(h.cameras) for h in new}
    return [*new, *(h for h in before if frozenset(h.cameras) not in measured)]


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _similarity(entry: dict[str, Any]) -> SimilarityStats:
    same, different, spread = (float(entry[key]) for key in ("same", "different", "spread"))
    similarity = SimilarityStats(
        same, different, spread, int(entry["n_same"]), int(entry["n_different"])
    )
    if min(similarity.n_same, similarity.n_different, spread) < 0:
        raise ValueError("spread and counts of its similarities must not be negative")
    return similarity


def _steps(entry: dict[str, Any]) -> Transitions:
    steps = Transitions(tuple(float(gap_s) for gap_s in entry["gaps_s"]), int(entry["n_overlaps"]))
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
    error_m, n_pairs = float(entry["error_m"]), int(entry["n_pairs"])
    of_then = Offset(
        (first, second), 0.0, error_m, error_m, n_pairs
    )  # clocks belong to a recording
    return Homography(
        (first, second),
        matrix,
        error_m,
        int(entry["n_points"]),
        n_pairs,
        float(entry["agree"]),
        of_then,
    )
