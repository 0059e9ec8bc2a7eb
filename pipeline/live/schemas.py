"""What the API of a live run says of cameras and people, in JSON."""

import zlib
from dataclasses import asdict

from pydantic import BaseModel

from pipeline.live.hub import PersonNow, Picture
from pipeline.outputs.video import colour
from pipeline.sources.live.health import ClockKind, Health, State


class CameraState(BaseModel):
    """How a camera is doing."""

    name: str
    state: State
    since_s: float
    reason: str
    fps: float
    n_frames: int
    n_dropped: dict[str, int]
    n_reconnects: int
    delay_s: float
    clock: ClockKind
    clock_offset_s: float
    worker: str
    """Which worker of a cluster looks at it, and its process; "" without a cluster."""
    node: str
    """On which machine of the cluster; "" without one."""
    picture_s: float
    """Time of the newest picture, seconds since 1970; 0 for none."""


class Cameras(BaseModel):
    """All cameras, at a time."""

    now_s: float
    cameras: list[CameraState]


class Stay(BaseModel):
    """One stretch of time in one camera."""

    camera: str
    first_s: float
    last_s: float


class PersonState(BaseModel):
    """A person who is in view, or was lately."""

    person_id: int
    colour: str
    """The colour of the boxes, #rrggbb."""
    cameras: list[str]
    """Where the person is in view now."""
    first_s: float
    last_s: float
    route: list[Stay]
    crop: str
    """Path of the best crop, which changes with it; "" for none."""
    probability: float
    """Of the weakest link between the tracklets of the person."""


class People(BaseModel):
    """All people who are in view or were lately, at a time."""

    now_s: float
    people: list[PersonState]


class Healthy(BaseModel):
    """Whether at least one camera is live; names and states only for those with the token."""

    ok: bool
    n_cameras: int
    n_live: int
    states: dict[str, State]


class Reloaded(BaseModel):
    """What became of the cameras, in words."""

    detail: str


def camera_state(health: Health, picture: Picture | None) -> CameraState:
    """Return how a camera is doing, and when its newest picture is of."""
    fields = asdict(health)
    name = fields.pop("camera")
    return CameraState(name=name, picture_s=picture.time_s if picture else 0.0, **fields)


def person_state(person: PersonNow) -> PersonState:
    """Return a person as the API tells it."""
    blue, green, red = colour(person.person_id)
    stays = []
    for camera, first_s, last_s in person.route:
        stays.append(Stay(camera=camera, first_s=first_s, last_s=last_s))
    crop = ""
    if person.crop_jpeg:
        version = zlib.crc32(person.crop_jpeg)
        crop = f"/api/people/{person.person_id}/crop.jpg?v={version:08x}"
    return PersonState(
        person_id=person.person_id,
        colour=f"#{red:02x}{green:02x}{blue:02x}",
        cameras=list(person.cameras),
        first_s=person.first_s,
        last_s=person.last_s,
        route=stays,
        crop=crop,
        probability=person.probability,
    )
