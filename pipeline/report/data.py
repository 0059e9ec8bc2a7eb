"""The document in the page: people, what ties them, the site, and the quality of the run.

It is made from the documents that a run writes. Times are seconds since `origin_s`, rounded to
hundredths. `people` says what people of the page are.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import kept
from pipeline.report import quality, sheets, site, zones
from pipeline.report.boxes import Packed
from pipeline.report.crops import Crops, Entry
from pipeline.report.people import BOX, CAMERA, CROP, FIRST, LAST, STRETCHES, People
from pipeline.report.written import Origin, Written

Json = dict[str, Any]

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
    people = People(written, names)
    entries = [people.add(person) for person in written.people]
    numbers = _place_crops(entries, people.crops)
    origin_s = min((entry["first"] for entry in entries), default=0.0)
    packed = people.boxes.pack(origin_s)
    _place_boxes(entries, packed)
    last_s = max((entry["last"] for entry in entries), default=0.0)
    stays = people.stays
    cameras = site.cameras(written.cameras, written.run, written.files, stays, written.segments)
    stills = _place_stills(cameras, written.crops)
    _add_settings(cameras, written)
    is_correctable = kept.FILE in written.files
    bins = site.bins(origin_s, last_s)
    numbers_of_cameras = {name: number for number, name in enumerate(names)}
    document = {
        "origin_s": origin_s,
        "last": last_s,
        "cameras": cameras,
        "mosaic": site.MOSAIC if site.MOSAIC in written.files else "",
        "people": entries,
        "steps": site.steps(stays),
        "occupancy": site.occupancy(stays, len(names), bins),
        "zones": zones.describe(
            written.config.zones, written.zone_events, numbers_of_cameras, bins
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
        "about": {key: written.run.get(key, "") for key in ("version", "device")},
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
            (tracklet, crop)
            for tracklet, crop in zip(person["tracklets"], of_person, strict=True)
            if crop is not None
        ]
        ranked.sort(key=lambda each: -each[1].quality)
        shown: set[int] = set()
        for tracklet, crop in ranked:
            camera = tracklet[CAMERA]
            if not shown:
                of_people.append((tracklet, crop.number))
            elif camera not in shown:
                of_cameras.append((tracklet, crop.number))
            else:
                others.append((tracklet, crop.number))
            shown.add(camera)
    chosen = [*of_people, *of_cameras, *others][: sheets.MAX_CROPS]
    for place, (tracklet, _) in enumerate(chosen):
        tracklet[CROP] = place
    for person in people:
        shown_places = [each[CROP] for each in person["tracklets"] if each[CROP] >= 0]
        person["crop"] = min(shown_places, default=-1)
    return [number for _, number in chosen]


def _place_stills(cameras: Sequence[Json], crops: Crops) -> list[bytes]:
    """Return the stills, and note the place of each at its camera."""
    stills = crops.stills_of(camera["name"] for camera in cameras)
    places = {name: place for place, name in enumerate(stills)}
    for camera in cameras:
        camera["still"] = places.get(camera["name"], -1)
    return list(stills.values())


def _add_settings(cameras: Sequence[Json], written: Written) -> None:
    """Add what a config needs to say of each camera."""
    configured = {camera.name: camera for camera in written.config.cameras}
    for camera, known in zip(cameras, written.cameras, strict=True):
        own = configured.get(camera["name"])
        camera["settings"] = zones.settings_of(own, str(known.get("source", "")))


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
