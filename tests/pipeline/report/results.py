"""Results of runs that never were, in the folder and form of real ones."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.kept import FILE as KEPT
from pipeline.records import Tracklet
from pipeline.report import crops
from pipeline.report.stills import Stills

Json = dict[str, Any]
STEP_S = 0.2
ROWS = 6
LASTS_S = STEP_S * (ROWS - 1)
BETWEEN_S = 3.0
"""From the start of a tracklet to the start of the person's next one."""
APART_S = 2.0
"""From the start of a person to the start of the next one."""


def write(
    folder: Path,
    n_people: int,
    n_tracklets_each: int,
    cameras: Sequence[str] = ("gate", "hall", "yard"),
    has_floor: bool = False,
    crops_of: int = 1,
    stills: Stills | None = None,
    **run: Any,
) -> Path:
    """Write people who go from camera to camera, each camera in turn.

    Args:
        folder: where the files go.
        n_people: how many people there are; each tenth one is doubtful.
        n_tracklets_each: how many tracklets each of them has.
        cameras: names.
        has_floor: whether places on the floor are known.
        crops_of: how many tracklets of each person have a crop.
        stills: frames that the cameras showed.
        run: what else run.json says.
    """
    people = []
    links: list[Json] = []
    for number in range(n_people):
        person = _person(number, n_tracklets_each, cameras, has_floor)
        people.append(person)
        links += _links(person)
    near = []
    if n_people > 1:
        near = [link(people[0], people[1], 0, 0, 0.4, "near miss")]
    described = [_camera(name) for name in cameras]
    _save(folder, "trajectories.json", {"cameras": described, "people": people})
    _save(folder, "links.json", _why(links, near))
    manifest = {"files": ["run.json", KEPT], "notes": [], "warnings": [], "cameras": []}
    _save(folder, "run.json", {**manifest, "version": "1", "device": "cpu", **run})
    (folder / KEPT).write_bytes(b"stands for what corrections are applied to")
    _write_crops(folder, people, crops_of, stills)
    return folder


@contextmanager
def changed(folder: Path, name: str) -> Iterator[Json]:
    """Give a document of results to be changed, and write it again."""
    document = json.loads((folder / name).read_text())
    yield document
    _save(folder, name, document)


def _save(folder: Path, name: str, document: Json) -> None:
    (folder / name).write_text(json.dumps(document))


def _camera(name: str) -> Json:
    size = {"width": 64, "height": 48, "fps": 10.0, "start_s": 0.0}
    return {"camera": name, "source": f"{name}.mp4", "n_frames": 100, "n_dropped": 0, **size}


def _person(number: int, n_tracklets: int, cameras: Sequence[str], has_floor: bool) -> Json:
    tracklets = []
    for at in range(n_tracklets):
        first_s = number * APART_S + at * BETWEEN_S
        times_s = [round(first_s + row * STEP_S, 2) for row in range(ROWS)]
        entry: Json = {
            "camera": cameras[(number + at) % len(cameras)],
            "track_id": number,
            "tracklet": round(first_s * 10),
            "link_probability": 0.95,
            "link_status": "confirmed",
            "frames": [round(time_s * 10) for time_s in times_s],
            "times_s": times_s,
            "boxes": [_box(number + at, row) for row in range(ROWS)],
            "scores": [0.9] * ROWS,
            "filled": [0] * ROWS,
        }
        if has_floor:
            entry["floor_m"] = [[at + row / ROWS, number + 0.5] for row in range(ROWS)]
        tracklets.append(entry)
    return {
        "person_id": number + 1,
        "first_s": tracklets[0]["times_s"][0],
        "last_s": tracklets[-1]["times_s"][-1],
        "cameras": sorted({tracklet["camera"] for tracklet in tracklets}),
        "doubtful": number % 10 == 9,
        "tracklets": tracklets,
    }


def _box(number: int, row: int) -> list[float]:
    """Somebody who walks, as a camera sees them that is 4 m high and looks down by 16 degrees."""
    feet = 17.0 + (7 * number + row) % 24
    height = 0.42 * (feet - 9.3)
    middle = 8.0 + (11 * number + row) % 48
    box = (middle - height / 5, feet - height, middle + height / 5, feet)
    return [round(side, 2) for side in box]


def _links(person: Json) -> list[Json]:
    found = []
    for at in range(1, len(person["tracklets"])):
        probability = 0.7 if at == 1 and person["doubtful"] else 0.95
        status = "confirmed" if probability > 0.9 else "probable"
        found.append(link(person, person, at - 1, at, probability, status))
    return found


def link(a: Json, b: Json, first: int, second: int, probability: float, status: str) -> Json:
    """An entry of links.json about a tracklet of each of two people, by their places."""
    return {
        "status": status,
        "people": [a["person_id"], b["person_id"]],
        "first": _named(a["tracklets"][first]),
        "second": _named(b["tracklets"][second]),
        "probability": probability,
        "similarity": 0.8,
        "appearance": 5.0,
        "place": None,
        "travel": None,
        "gap_s": BETWEEN_S - LASTS_S,
        "floor_m": None,
        "rule": "",
        "rival": "",
        "rival_probability": 0.0,
        "lookalike": "",
    }


def _named(tracklet: Json) -> Json:
    name = f"{tracklet['camera']}/{tracklet['track_id']}@{tracklet['tracklet']}"
    return {key: tracklet[key] for key in ("camera", "track_id", "tracklet")} | {"name": name}


def _why(links: list[Json], near: list[Json]) -> Json:
    return {
        "min_probability": 0.5,
        "confirmed_probability": 0.9,
        "calibration": {
            "in_words": "appearance tells people apart well",
            "separation": 6.0,
            "n_same": 30,
            "n_different": 30,
        },
        "links": links,
        "near_misses": near,
    }


def _write_crops(folder: Path, people: list[Json], n_each: int, stills: Stills | None) -> None:
    with crops.keeping(folder / crops.FILE, "off", stills or Stills("off")) as keeper:
        for person in people:
            closed = [
                with_crop(tracklet, person["person_id"])
                for tracklet in person["tracklets"][:n_each]
            ]
            for _ in keeper.keep(iter([closed])):
                pass


def with_crop(tracklet: Json, number: int) -> Tracklet:
    """A tracklet of trajectories.json, as it was when it closed."""
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), (40 + 37 * number) % 200, np.uint8)
    cv2.putText(image, str(number), (8, 140), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 3)
    times_s = np.array(tracklet["times_s"], np.float64)
    return Tracklet(
        tracklet["camera"],
        tracklet["track_id"],
        np.array(tracklet["frames"], np.int64),
        times_s,
        np.array(tracklet["boxes"], np.float32),
        np.array(tracklet["scores"], np.float32),
        image[None],
        np.array([0.5], np.float32),
        times_s[:1],
    )
