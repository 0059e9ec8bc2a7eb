"""People as text: trajectories.json (schema `trajectories/1`), tracks.csv and MOTChallenge files.

Texts come in parts (a tracklet, a line), so that no document of a long run is held in memory, nor
all of a person who is in view for days.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import floor, mot
from pipeline.records import Array, Camera, Key, Person, Tracklet

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
    "filled",
)


def json_parts(
    people: Sequence[Person], cameras: Sequence[Camera], confirmed_probability: float
) -> Iterator[str]:
    """Write the trajectories document; `trajectories-1.schema.json` describes it.

    Args:
        people: identities, in the order in which they are listed.
        cameras: all cameras of the run.
        confirmed_probability: links of this probability or more are called confirmed.

    Yields:
        The document, tracklet by tracklet.
    """
    by_name = {camera.name: camera for camera in cameras}
    yield f'{{"schema":"{SCHEMA}","cameras":{_dump(describe(cameras))},"people":['
    for index, person in enumerate(people):
        yield "," if index else ""
        yield from _person_parts(person, by_name, confirmed_probability)
    yield "]}\n"


def entries(
    people: Sequence[Person], cameras: Sequence[Camera], confirmed_probability: float
) -> Iterator[dict[str, Any]]:
    """Yield the `people` of the document, whose `tracklets` are iterators.

    Args:
        people: identities.
        cameras: all cameras of the run.
        confirmed_probability: links of this probability or more are called confirmed.
    """
    by_name = {camera.name: camera for camera in cameras}
    for person in people:
        tracklets = _tracklets(person, by_name, confirmed_probability)
        yield {**_person(person), "tracklets": tracklets}


def describe(cameras: Sequence[Camera]) -> list[dict[str, Any]]:
    """Return the `cameras` of the document."""
    return [_camera(camera) for camera in cameras]


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


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


def _person_parts(person: Person, cameras: dict[str, Camera], confirmed: float) -> Iterator[str]:
    yield _dump(_person(person)).removesuffix("}") + ',"tracklets":['
    for index, entry in enumerate(_tracklets(person, cameras, confirmed)):
        yield "," if index else ""
        yield _dump(entry)
    yield "]}"


def _person(person: Person) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "first_s": round(person.first_s, 4),
        "last_s": round(person.last_s, 4),
        "cameras": person.cameras,
        "doubtful": person.is_doubtful,
    }


def _tracklets(
    person: Person, cameras: dict[str, Camera], confirmed: float
) -> Iterator[dict[str, Any]]:
    probabilities = link_probabilities(person)
    for tracklet in person.tracklets:
        camera = cameras[tracklet.camera]
        yield _tracklet(tracklet, probabilities[tracklet.key], camera, confirmed)


def _tracklet(
    tracklet: Tracklet, probability: float, camera: Camera, confirmed: float
) -> dict[str, Any]:
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
        "filled": tracklet.is_filled.astype(int).tolist(),
    }
    if camera.homography.size:
        feet = floor.foot_points(tracklet.boxes)
        entry["floor_m"] = _rounded(floor.project(feet, camera.homography), 3)
    return entry


def link_probabilities(person: Person) -> dict[Key, float]:
    """Return the probability of the best link between each tracklet and its person.

    Args:
        person: tracklets and their links.

    Returns:
        Probabilities, 0..1, by `Tracklet.key`; 1 for a person with one tracklet.
    """
    best: dict[Key, float] = {}
    for link in person.links:
        for key in (link.first.key, link.second.key):
            best[key] = max(link.probability, best.get(key, 0.0))
    return {tracklet.key: best.get(tracklet.key, 1.0) for tracklet in person.tracklets}


def status(probability: float, confirmed_probability: float) -> str:
    """Name a link of this probability: "confirmed" or "probable"."""
    return "confirmed" if probability >= confirmed_probability else "probable"


def _rounded(values: Array, digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()


class Return:
    """A file for `csv.writer` that returns each line instead of keeping it."""

    def write(self, line: str) -> str:
        """Return the line."""
        return line


def csv_lines(people: Sequence[Person]) -> Iterator[str]:
    """Write tracks.csv: one row per person and frame, by camera, frame and track.

    Args:
        people: identities.

    Yields:
        The lines, header first; frames count from 0.
    """
    writer: Any = csv.writer(Return(), lineterminator="\n")
    yield writer.writerow(COLUMNS)
    for camera, pieces in _by_camera(people).items():
        rows = Rows.of(pieces)
        for i in np.lexsort([rows.track_ids, rows.frames]).tolist():
            time_s = f"{rows.times_s[i]:.4f}"
            box = [f"{side:.2f}" for side in rows.boxes[i].tolist()]
            score = f"{rows.scores[i]:.4f}"
            names = [rows.track_ids[i], rows.first_frames[i], rows.person_ids[i]]
            filled = int(rows.is_filled[i])
            yield writer.writerow([camera, rows.frames[i], time_s, *names, *box, score, filled])


def mot_lines(people: Sequence[Person], camera: str) -> Iterator[str]:
    """Write one camera's boxes in MOTChallenge form, by frame and person; ids are person ids.

    Args:
        people: identities.
        camera: the camera's name.

    Yields:
        The lines; frames count from 1.
    """
    for frame, person_id, box, score in _by_frame_and_person(people, camera):
        yield mot.line(frame, person_id, box, score)


def truth_lines(people: Sequence[Person], camera: str) -> Iterator[str]:
    """Write one camera's boxes as MOTChallenge truth: as `mot_lines`, but every row counts.

    Args:
        people: identities.
        camera: the camera's name.

    Yields:
        The lines; frames count from 1.
    """
    for frame, person_id, box, _ in _by_frame_and_person(people, camera):
        yield mot.truth_line(frame, person_id, box)


def _by_frame_and_person(
    people: Sequence[Person], camera: str
) -> Iterator[tuple[int, int, Array, float]]:
    """Frame, person, box (4,) and score of one camera's rows."""
    pieces = _by_camera(people).get(camera, [])
    if not pieces:
        return
    rows = Rows.of(pieces)
    for i in np.lexsort([rows.person_ids, rows.frames]).tolist():
        yield int(rows.frames[i]), int(rows.person_ids[i]), rows.boxes[i], float(rows.scores[i])


Piece = tuple[int, Tracklet]
"""A tracklet and the id of its person."""


def _by_camera(people: Sequence[Person]) -> dict[str, list[Piece]]:
    """Tracklets with their person ids, by camera in the order of the names."""
    cameras: dict[str, list[Piece]] = defaultdict(list)
    for person in people:
        for tracklet in person.tracklets:
            cameras[tracklet.camera].append((person.person_id, tracklet))
    return dict(sorted(cameras.items()))


@dataclass(frozen=True, slots=True)
class Rows:
    """One camera's rows: boxes (n, 4), all others (n,)."""

    frames: Array
    times_s: Array
    boxes: Array
    scores: Array
    is_filled: Array
    track_ids: Array
    first_frames: Array
    person_ids: Array

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Rows":
        """Rows of one piece or more, one after the other."""
        tracklets = [tracklet for _, tracklet in pieces]
        n_rows = [len(tracklet.frames) for tracklet in tracklets]
        return cls(
            frames=np.concatenate([tracklet.frames for tracklet in tracklets]),
            times_s=np.concatenate([tracklet.times_s for tracklet in tracklets]),
            boxes=np.concatenate([tracklet.boxes for tracklet in tracklets]),
            scores=np.concatenate([tracklet.scores for tracklet in tracklets]),
            is_filled=np.concatenate([tracklet.is_filled for tracklet in tracklets]),
            track_ids=np.repeat([tracklet.track_id for tracklet in tracklets], n_rows),
            first_frames=np.repeat([tracklet.frames[0] for tracklet in tracklets], n_rows),
            person_ids=np.repeat([person_id for person_id, _ in pieces], n_rows),
        )
