"""The document in the page: people, what ties them, the site, and the quality of the run.

It is made from the documents that a run writes, person by person, so that the rows of all boxes are
never held at once. Times are seconds since `origin_s`, rounded to hundredths. What there is much of
is a list, in the order of `TRACKLET`, `LINK`, `NEAR`, `STAY` and `QUESTION`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline import explain, kept
from pipeline.records import Array, Camera
from pipeline.report import quality, questions, sheets, site, zones
from pipeline.report.boxes import Boxes, Packed
from pipeline.report.crops import Crops, Entry
from pipeline.report.heat import Heat
from pipeline.report.plan import Plans
from pipeline.report.questions import Question, Seen
from pipeline.report.site import Stay
from pipeline.report.written import Origin, Written

Json = dict[str, Any]

TRACKLET = (
    "camera",
    "track_id",
    "frame",
    "first",
    "last",
    "probability",
    "crop",
    "stretches",
    "last_frame",
    "n_rows",
    "box",
    "n_boxes",
)
"""A tracklet. `camera` is its number, `crop` its place in the sheets (-1 for none), and `stretches`
are those of a tracklet that was not seen all the time: first, last, and 1 where it was filled in.
`box` is the first of its `n_boxes` rows in `Document.boxes`.
"""
CAMERA = TRACKLET.index("camera")
FIRST = TRACKLET.index("first")
LAST = TRACKLET.index("last")
CROP = TRACKLET.index("crop")
STRETCHES = TRACKLET.index("stretches")
N_ROWS = TRACKLET.index("n_rows")
BOX = TRACKLET.index("box")
LINK = (
    "first",
    "second",
    "probability",
    "status",
    "why",
    "second_choice",
    "rival",
    "lookalike",
    "lookalike_name",
)
"""A link. `first` and `second` are numbers of tracklets of the person, `probability` is -1 where a
rule decided, and `rival` the id of the person of the second choice (0 for none). `lookalike` is a
sentence about the tracklet `lookalike_name` ("" for none).
"""
NEAR = ("person", "probability", "why")
"""Somebody who was nearly linked: their id, how probable it was, and what kept them apart."""
STAY = ("camera", "first", "last")
QUESTION = ("first", "second", "probability", "worth", "why", "rule")
"""Whether two tracklets are one person. They have one person where they are linked; `worth` is how
many rows the answer is expected to move, and `rule` what keeps them apart whatever the probability
("" for none).
"""

MAX_NEAR = 5
"""People who were nearly linked to somebody, the most probable ones."""
MAX_GAP_S = 0.6
"""A tracklet was seen all the time if its rows are at most this far apart, or two usual steps."""
STEPS = 2.5
NO_VIDEOS: Mapping[Origin, str] = {
    "recordings": "run without --no-video to play them here",
    "live": "none were recorded, or they were deleted",
    "labels": "those of the run show people as they were before they were labelled by hand",
}
"""Why there are no videos beside the page."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the page shows; the crops in it, by their number in the archive, in order; stills as
    JPEG; and boxes, see `boxes`.
    """

    json: Json
    crops: list[int]
    stills: list[bytes]
    boxes: str


def build(written: Written) -> Document:
    """Return the document of the page.

    Args:
        written: what a run wrote.

    Raises:
        KeyError, TypeError, ValueError: it was not written by this program.
    """
    names = [str(camera["camera"]) for camera in written.cameras]
    people = _People(written, names)
    entries = [people.add(person) for person in written.people]
    numbers = _place_crops(entries, people.crops)
    origin_s = min((entry["first"] for entry in entries), default=0.0)
    packed = people.boxes.pack(origin_s)
    _place_boxes(entries, packed)
    stays = [people.stays[entry["id"]] for entry in entries]
    last_s = max((entry["last"] for entry in entries), default=0.0)
    cameras = site.cameras(written.cameras, written.run, written.files, stays, written.segments)
    stills = _place_stills(cameras, written.crops)
    configured = {camera.name: camera for camera in written.config.cameras}
    for camera, known in zip(cameras, written.cameras, strict=True):
        own = configured.get(camera["name"])
        camera["settings"] = zones.settings_of(own, str(known.get("source", "")))
    is_correctable = kept.FILE in written.files
    occupancy = site.occupancy(stays, len(names), origin_s, last_s)
    document = {
        "origin_s": origin_s,
        "last": last_s,
        "cameras": cameras,
        "mosaic": site.MOSAIC if site.MOSAIC in written.files else "",
        "people": entries,
        "steps": site.steps(stays),
        "occupancy": occupancy,
        "zones": zones.describe(
            written.config.zones,
            written.zone_events,
            {name: number for number, name in enumerate(names)},
            origin_s,
            occupancy["bin_s"],
            len(occupancy["site"]),
        ),
        "dwell": site.dwell(stays),
        "is_correctable": is_correctable,
        "questions": people.questions(entries) if is_correctable else [],
        "corrections": written.corrections.model_dump(),
        "gap_edges": site.GAP_EDGES_S.tolist(),
        "heat": people.heat.document(),
        "plans": people.plans.documents(written.homographies, origin_s),
        "quality": quality.findings(written, entries, len(numbers)),
        "confirmed": written.why["confirmed_probability"],
        "no_videos": NO_VIDEOS[written.origin],
        "about": _about(written.run),
    }
    _count_from(document, origin_s)
    document["key"] = _key(document)
    return Document(document, numbers, stills, packed.text)


def _key(document: Json) -> str:
    """A text by which a browser knows the same people again, to keep the answers about them."""
    told = (
        [camera["name"] for camera in document["cameras"]],
        [
            [person["id"], *(tracklet[: FIRST + 1] for tracklet in person["tracklets"])]
            for person in document["people"]
        ],
        document["corrections"],
    )
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _about(run: Json) -> Json:
    return {key: run.get(key, "") for key in ("version", "device", "interrupted")}


class _People:
    """Turns people of trajectories.json into those of the page."""

    def __init__(self, written: Written, cameras: Sequence[str]) -> None:
        self._cameras = {name: number for number, name in enumerate(cameras)}
        seen_by = [_camera(camera) for camera in written.cameras]
        self._sizes = [(camera.width, camera.height) for camera in seen_by]
        self._why = written.why
        self._crops = written.crops
        self._needed = float(written.why["min_probability"])
        self._links: dict[int, list[Json]] = defaultdict(list)
        for link in written.why["links"]:
            self._links[link["people"][0]].append(link)
        self._near: dict[int, list[Json]] = defaultdict(list)
        for link in written.why["near_misses"]:
            for person_id in link["people"]:
                self._near[person_id].append(link)
        self._owner = _owners(written.why)
        self.heat = Heat(seen_by)
        self.plans = Plans(seen_by, written.n_tracklets)
        self.stays: dict[int, list[Stay]] = {}
        self.crops: list[list[Entry | None]] = []
        self.boxes = Boxes()

    def add(self, person: Json) -> Json:
        """Return the entry of a person."""
        person_id = int(person["person_id"])
        tracklets: list[list[Any]] = []
        places: dict[str, int] = {}
        crops = []
        for tracklet in person["tracklets"]:
            camera = self._cameras[tracklet["camera"]]
            track = (tracklet["camera"], int(tracklet["track_id"]))
            frames = tracklet["frames"]
            crops.append(self._crops.best(track, frames[0], frames[-1]))
            places[f"{track[0]}/{track[1]}@{tracklet['tracklet']}"] = len(tracklets)
            times_s = np.array(tracklet["times_s"], np.float64)
            tracklets.append(_tracklet(tracklet, camera, times_s))
            self._place(tracklet, person_id, camera, times_s)
        self.crops.append(crops)
        stays = site.stays((each[CAMERA], each[FIRST], each[LAST]) for each in tracklets)
        self.stays[person_id] = stays
        return {
            "id": person_id,
            "doubtful": bool(person.get("doubtful", False)),
            "first": min(stay.first_s for stay in stays),
            "last": max(stay.last_s for stay in stays),
            "route": [[stay.camera, stay.first_s, stay.last_s] for stay in stays],
            "tracklets": tracklets,
            "links": [self._link(link, person_id, places) for link in self._links[person_id]],
            "near": [self._missed(link, person_id) for link in self._near[person_id][:MAX_NEAR]],
        }

    def questions(self, entries: Sequence[Json]) -> list[list[Any]]:
        """Return the questions about people.

        Args:
            entries: all of them, with their crops.
        """
        names = list(self._cameras)
        seen = {}
        for entry in entries:
            seen[entry["id"]] = [
                Seen(f"{names[each[CAMERA]]}/{each[1]}@{each[2]}", each[N_ROWS], each[CROP] >= 0)
                for each in entry["tracklets"]
            ]
        return [self._question(question) for question in questions.ranked(self._why, seen)]

    def _question(self, question: Question) -> list[Any]:
        link = self._with_rival(question.link)
        first_id, second_id = question.people
        if first_id == second_id:
            words = [
                explain.reason(link),
                explain.second_choice(link, first_id),
                explain.lookalike(link),
            ]
            why = "; ".join(part for part in words if part)
        else:
            why = explain.apart(link, self._needed)
        worth = round(question.worth, 1)
        return [question.first, question.second, question.probability, worth, why, link["rule"]]

    def _with_rival(self, link: Json) -> Json:
        return {**link, "rival_person": self._owner.get(link["rival"], 0)}

    def _link(self, link: Json, person_id: int, places: dict[str, int]) -> list[Any]:
        link = self._with_rival(link)
        second_choice = explain.second_choice(link, person_id)
        return [
            places.get(link["first"]["name"], -1),
            places.get(link["second"]["name"], -1),
            -1 if link["rule"] else link["probability"],
            link["status"],
            link.get("reason") or explain.reason(link),
            second_choice,
            link["rival_person"] if second_choice else 0,
            explain.lookalike(link),
            link.get("lookalike", ""),
        ]

    def _missed(self, link: Json, person_id: int) -> list[Any]:
        other = sum(link["people"]) - person_id
        return [other, link["probability"], link.get("reason") or explain.apart(link, self._needed)]

    def _place(self, tracklet: Json, person_id: int, camera: int, times_s: Array) -> None:
        """Note where somebody was, in the picture and on the floor."""
        boxes = np.array(tracklet["boxes"], np.float64).reshape(len(times_s), 4)
        floor_m = np.array(tracklet.get("floor_m", []), np.float64).reshape(-1, 2)
        self.boxes.add(times_s, boxes, self._sizes[camera])
        self.heat.add(camera, times_s, boxes)
        self.plans.add(person_id, camera, times_s, boxes, floor_m)


def _camera(camera: Json) -> Camera:
    return Camera(
        name=str(camera["camera"]),
        source=str(camera["source"]),
        width=int(camera["width"]),
        height=int(camera["height"]),
        fps=float(camera["fps"]),
        start_s=float(camera["start_s"]),
        n_frames=int(camera["n_frames"]),
        homography=np.zeros((0, 0)),
    )


def _owners(why: Json) -> dict[str, int]:
    """Person of each tracklet that links.json names."""
    owners = {}
    for link in (*why["links"], *why["near_misses"]):
        for person_id, side in zip(link["people"], ("first", "second"), strict=True):
            owners[link[side]["name"]] = int(person_id)
    return owners


def _tracklet(tracklet: Json, camera: int, times_s: Array) -> list[Any]:
    filled = np.array(tracklet.get("filled", [0] * len(times_s)), np.bool_)
    is_missed = filled & (np.array(tracklet["scores"]) == 0)  # others are between two looks
    return [
        camera,
        int(tracklet["track_id"]),
        int(tracklet["tracklet"]),
        float(times_s[0]),
        float(times_s[-1]),
        tracklet["link_probability"],
        -1,
        list(_stretches(times_s, is_missed)),
        int(tracklet["frames"][-1]),
        len(times_s),
        0,
        0,
    ]


def _stretches(times_s: Array, filled: Array) -> Iterator[float]:
    """Stretches of rows without a gap that are all filled or all seen; none for one stretch."""
    steps_s = np.diff(times_s)
    usual_s = float(np.median(steps_s)) if len(steps_s) else 0.0
    is_gap = steps_s > max(MAX_GAP_S, STEPS * usual_s)
    changes = filled[1:] != filled[:-1]
    starts = [0, *(np.flatnonzero(is_gap | changes) + 1).tolist(), len(times_s)]
    if len(starts) == 2 and not filled[0]:
        return
    for start, end in pairwise(starts):
        last = end - 1
        goes_on = end < len(times_s) and not is_gap[last]
        yield float(times_s[start])
        yield float(times_s[end if goes_on else last])
        yield float(filled[start])


def _place_crops(people: Sequence[Json], crops: Sequence[Sequence[Entry | None]]) -> list[int]:
    """Choose the crops of the page, and note their places.

    Everybody has their best one. As long as there is room, the best of each camera follows, and
    then those of all other tracklets.
    """
    of_people: list[tuple[list[Any], int]] = []
    of_cameras: list[tuple[list[Any], int]] = []
    others: list[tuple[list[Any], int]] = []
    for person, of_person in zip(people, crops, strict=True):
        ranked = [
            (crop.quality, tracklet, crop.number)
            for tracklet, crop in zip(person["tracklets"], of_person, strict=True)
            if crop is not None
        ]
        ranked.sort(key=lambda each: -each[0])
        shown: set[int] = set()
        for _, tracklet, number in ranked:
            kind = others if tracklet[CAMERA] in shown else of_cameras if shown else of_people
            kind.append((tracklet, number))
            shown.add(tracklet[CAMERA])
    chosen = [*of_people, *of_cameras, *others][: sheets.MAX_CROPS]
    for place, (tracklet, _) in enumerate(chosen):
        tracklet[CROP] = place
    for person in people:
        shown_places = [each[CROP] for each in person["tracklets"] if each[CROP] >= 0]
        person["crop"] = min(shown_places, default=-1)
    return [number for _, number in chosen]


def _place_stills(cameras: Sequence[Json], crops: Crops) -> list[bytes]:
    """Return the stills, and note the place of each at its camera."""
    stills: list[bytes] = []
    for camera in cameras:
        still = crops.still(camera["name"])
        if still is not None:
            camera["still"] = len(stills)
            stills.append(still)
    return stills


def _place_boxes(people: Sequence[Json], packed: Packed) -> None:
    """Note where the boxes of each tracklet are."""
    spans = iter(packed.spans)
    for person in people:
        for tracklet in person["tracklets"]:
            tracklet[BOX:] = next(spans)


def _count_from(document: Json, origin_s: float) -> None:
    """Count all times from the origin."""

    def since(time_s: float) -> float:
        return round(time_s - origin_s, 2)

    document["last"] = since(document["last"])
    for camera in document["cameras"]:
        camera["start"] = since(camera["start"])
        camera["segments"] = [[since(start_s), name] for start_s, name in camera["segments"]]
    for person in document["people"]:
        person["first"] = since(person["first"])
        person["last"] = since(person["last"])
        person["route"] = [
            [number, since(first_s), since(last_s)] for number, first_s, last_s in person["route"]
        ]
        for tracklet in person["tracklets"]:
            tracklet[FIRST] = since(tracklet[FIRST])
            tracklet[LAST] = since(tracklet[LAST])
            flat = tracklet[STRETCHES]
            tracklet[STRETCHES] = [
                int(value) if place % 3 == 2 else since(value) for place, value in enumerate(flat)
            ]
