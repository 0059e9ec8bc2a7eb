"""People of the page: their tracklets, what ties them, and what is asked about them.

They are made from the documents that a run writes, person by person, so that the rows of all boxes
are never held at once. Times are seconds. What there is much of is a list, in the order of
`TRACKLET`, `LINK`, `NEAR`, `STAY` and `QUESTION`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline import explain
from pipeline.records import Array, Camera
from pipeline.report import questions, site
from pipeline.report.boxes import Boxes
from pipeline.report.crops import Entry
from pipeline.report.heat import Heat
from pipeline.report.plan import Plans
from pipeline.report.questions import Question, Seen
from pipeline.report.site import Stay
from pipeline.report.written import Written

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
TRACK_ID = TRACKLET.index("track_id")
FRAME = TRACKLET.index("frame")
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


class People:
    """Turns people of trajectories.json into those of the page.

    Attributes:
        heat: where they stood in the pictures.
        plans: where they walked on the floor.
        boxes: their boxes.
        stays: stays of each person, in the order in which they were added.
        crops: the best crop of each of their tracklets, in the same order.
    """

    def __init__(self, written: Written, cameras: Sequence[str]) -> None:
        self._names = cameras
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
        self.stays: list[list[Stay]] = []
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
            times_s = np.array(tracklet["times_s"], np.float64)
            entry = _tracklet(tracklet, camera, times_s)
            places[self._name(entry)] = len(tracklets)
            tracklets.append(entry)
            self._place(tracklet, person_id, camera, times_s)
        self.crops.append(crops)
        stays = site.stays((each[CAMERA], each[FIRST], each[LAST]) for each in tracklets)
        self.stays.append(stays)
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
        seen = {}
        for entry in entries:
            seen[entry["id"]] = [
                Seen(self._name(each), each[N_ROWS], each[CROP] >= 0) for each in entry["tracklets"]
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

    def _name(self, tracklet: Sequence[Any]) -> str:
        """What `Tracklet.name` is of a tracklet of the page."""
        return f"{self._names[tracklet[CAMERA]]}/{tracklet[TRACK_ID]}@{tracklet[FRAME]}"

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
    is_gap = steps_s > MAX_GAP_S
    if is_gap.any():  # a median takes as long as all else here
        is_gap &= steps_s > STEPS * np.median(steps_s)
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
