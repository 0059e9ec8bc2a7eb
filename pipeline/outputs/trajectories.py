"""People as text: trajectories.json (schema `trajectories/1`), tracks.csv and MOTChallenge
files.
"""

import csv
import io
import json
from collections import defaultdict
from typing import Any

import numpy as np

from pipeline import floor, mot
from pipeline.records import Array, Camera, Person, Tracklet

SCHEMA = "trajectories/1"
COLUMNS = (
    "camera",
    "frame",
    "time_s",
    "track_id",
    "tracklet",
    "person_id",
    "x1",
    "y1",
    "x2",
    "y2",
    "score",
)


def to_json(people: list[Person], cameras: list[Camera], confirmed_probability: float) -> str:
    """Return the trajectories document; `trajectories-1.schema.json` describes it."""
    by_name = {c.name: c for c in cameras}
    document = {
        "schema": SCHEMA,
        "cameras": [_camera(c) for c in cameras],
        "people": [_person(p, by_name, confirmed_probability) for p in people],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"


def _camera(camera: Camera) -> dict[str, Any]:
    return {
        "camera": camera.name,
        "source": camera.source,
        "width": camera.width,
        "height": camera.height,
        "fps": round(camera.fps, 6),
        "start_s": camera.start_s,
        "n_frames": camera.n_frames,
        "n_dropped": camera.n_dropped,
    }


def _person(person: Person, cameras: dict[str, Camera], confirmed: float) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "first_s": round(min(t.first_s for t in person.tracklets), 4),
        "last_s": round(max(t.last_s for t in person.tracklets), 4),
        "cameras": sorted({t.camera for t in person.tracklets}),
        "tracklets": [_tracklet(t, person, cameras[t.camera], confirmed) for t in person.tracklets],
    }


def _tracklet(
    tracklet: Tracklet, person: Person, camera: Camera, confirmed: float
) -> dict[str, Any]:
    probability = link_probability(tracklet, person)
    entry: dict[str, Any] = {
        "camera": tracklet.camera,
        "track_id": tracklet.track_id,
        "tracklet": int(tracklet.frames[0]),
        "link_probability": round(probability, 4),
        "link_status": status(probability, confirmed),
        "frames": tracklet.frames.tolist(),
        "times_s": _rounded(tracklet.times_s, 4),
        "boxes": _rounded(tracklet.boxes, 2),
        "scores": _rounded(tracklet.scores, 4),
    }
    if camera.homography.size:
        entry["floor_m"] = _rounded(
            floor.project(floor.foot_points(tracklet.boxes), camera.homography), 3
        )
    return entry


def link_probability(tracklet: Tracklet, person: Person) -> float:
    """Probability of the best link that ties a tracklet to its person; 1 for a person with one
    tracklet.
    """
    ties = [
        link.probability
        for link in person.links
        if tracklet.key in (link.first.key, link.second.key)
    ]
    return max(ties, default=1.0)


def status(probability: float, confirmed_probability: float) -> str:
    """What a link of this probability is called."""
    return "confirmed" if probability >= confirmed_probability else "probable"


def _rounded(values: Array, digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()


def to_csv(people: list[Person]) -> str:
    """Return tracks.csv: one row per person and frame, by camera, frame and track; frames count
    from 0.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for person, t, i in sorted(
        _rows(people), key=lambda r: (r[1].camera, r[1].frames[r[2]], r[1].track_id)
    ):
        box = [f"{v:.2f}" for v in t.boxes[i].tolist()]
        time_s, score = f"{t.times_s[i]:.4f}", f"{t.scores[i]:.4f}"
        writer.writerow(
            [t.camera, t.frames[i], time_s, t.track_id, t.frames[0], person.person_id, *box, score]
        )
    return text.getvalue()


def to_mot(people: list[Person], cameras: list[Camera]) -> dict[str, str]:
    """Return MOTChallenge text per camera, ids are person ids, by frame and person."""
    lines: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for person, t, i in _rows(people):
        row = mot.line(int(t.frames[i]), person.person_id, t.boxes[i], float(t.scores[i]))
        lines[t.camera].append((int(t.frames[i]), person.person_id, row))
    return {c.name: "".join(row for *_, row in sorted(lines[c.name])) for c in cameras}


def _rows(people: list[Person]) -> list[tuple[Person, Tracklet, int]]:
    return [(p, t, i) for p in people for t in p.tracklets for i in range(len(t.frames))]
