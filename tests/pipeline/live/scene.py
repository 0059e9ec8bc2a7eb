"""A hub fed as a live run feeds it: eight cameras that show the sample, people, and events."""

import threading
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.live import jpeg
from pipeline.live.hub import Hub, PersonNow
from pipeline.outputs.video import colour
from pipeline.sources.live.health import Health

NAMES = (
    "entrance",
    "lobby",
    "hall east",
    "hall west",
    "stairs",
    "loading dock",
    "car park",
    "roof terrace",
)
SIZE = (640, 360)
STEP_S = 0.1
N_PICTURES = 40
"""Of each clip, which are shown again and again."""


@dataclass(frozen=True)
class Clip:
    """Pictures (H, W, 3), each with the boxes of people by number."""

    pictures: list[np.ndarray]
    boxes: list[dict[int, np.ndarray]]


def read_clip(sample: Path, number: int, n_pictures: int) -> Clip:
    """Read the beginning of a clip of the sample, with its true boxes."""
    rows = np.loadtxt(sample / "truth" / f"cam{number}.txt", delimiter=",")
    pictures = []
    boxes = []
    with av.open(str(sample / f"cam{number}.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index == n_pictures:
                break
            pictures.append(picture.to_ndarray(format="bgr24"))
            here = rows[rows[:, 0] == index + 1]
            boxes.append({int(row[1]): row[2:6] for row in here if row[8] > 0.3})
    return Clip(pictures, boxes)


def crop_of(clip: Clip, person_id: int) -> bytes:
    """The largest crop of a person in a clip; b"" if there is none."""
    best_area = 0.0
    best = np.zeros((0, 0, 3), np.uint8)
    for picture, boxes in zip(clip.pictures, clip.boxes, strict=True):
        x, y, width, height = boxes.get(person_id, np.zeros(4))
        if width * height > best_area:
            best_area = width * height
            best = picture[round(y) : round(y + height), round(x) : round(x + width)]
    return jpeg.of_image(cv2.resize(best, (96, 192))) if best.size else b""


def drawn(clip: Clip, index: int) -> bytes:
    """A picture with boxes and numbers, as JPEG."""
    picture = clip.pictures[index].copy()
    for person_id, (x, y, width, height) in clip.boxes[index].items():
        corner = (round(x), round(y))
        ink = colour(person_id)
        cv2.rectangle(picture, corner, (round(x + width), round(y + height)), ink, 2)
        cv2.putText(picture, str(person_id), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 2)
    return jpeg.of_image(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class Shown:
    """JPEGs of each clip, one a picture, and of the crop of each person."""

    pictures: list[list[bytes]]
    crops: dict[int, bytes]


@cache
def shown(sample: Path, n_clips: int) -> Shown:
    """What the first clips of the sample show; read once, as every scene shows it."""
    clips = [read_clip(sample, number + 1, N_PICTURES) for number in range(n_clips)]
    pictures = [[drawn(clip, index) for index in range(N_PICTURES)] for clip in clips]
    crops = {}
    for person_id in range(1, 15):
        crops[person_id] = max((crop_of(clip, person_id) for clip in clips), key=len)
    return Shown(pictures, crops)


class Scene:
    """Feeds a hub ten times a second, on a thread, until it is closed.

    Cameras that are not live publish no pictures.
    """

    def __init__(self, hub: Hub, sample: Path, names: tuple[str, ...] = NAMES) -> None:
        self._hub = hub
        self._shown = shown(sample, min(4, len(names)))
        now_s = time.time()
        self._health = {name: Health(name, "live", now_s, 12.5, clock="sender") for name in names}
        self.people: dict[int, PersonNow] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Scene":
        self._publish()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def set_health(self, name: str, **fields: object) -> None:
        """Change what is said of a camera, and say the event of a new state."""
        with self._lock:
            self._health[name] = replace(self._health[name], **fields)  # type: ignore[arg-type]
        state = fields.get("state")
        if state is not None:
            kind = "back" if state == "live" else state
            reason = self._health[name].reason
            event = {"time_s": time.time(), "kind": kind, "camera": name, "reason": reason}
            self._hub.say([event])

    def add(self, name: str) -> None:
        """Add a camera."""
        with self._lock:
            self._health[name] = Health(name, "live", time.time(), 12.5, clock="sender")

    def remove(self, name: str) -> None:
        """Remove a camera."""
        with self._lock:
            del self._health[name]

    def add_person(
        self, person_id: int, route: tuple[tuple[str, float, float], ...], is_here: bool = True
    ) -> None:
        """Let a person appear, or go on, in the last camera of a route."""
        camera = route[-1][0]
        person = PersonNow(
            person_id,
            (camera,) if is_here else (),
            route[0][1],
            route[-1][2],
            route,
            self._shown.crops.get(person_id, b""),
            0.97 if person_id % 5 else 0.71,
        )
        with self._lock:
            self.people[person_id] = person
        event = {
            "time_s": route[0][1],
            "kind": "appeared",
            "person_id": person_id,
            "before": -1,
            "tracklet": f"{route[0][0]}/{person_id}@0",
            "reason": "like nobody who is remembered",
        }
        self._hub.say([event])

    def _run(self) -> None:
        step = 0
        while not self._stop.wait(STEP_S):
            step += 1
            with self._lock:
                self._show_pictures(step)
            self._publish()

    def _show_pictures(self, step: int) -> None:
        for number, (name, health) in enumerate(list(self._health.items())):
            if health.state != "live":
                continue
            jpegs = self._shown.pictures[number % len(self._shown.pictures)]
            picture = jpegs[(step + 7 * number) % N_PICTURES]
            self._hub.publish_picture(name, picture, time.time())
            self._health[name] = replace(health, n_frames=health.n_frames + 1, delay_s=0.08)

    def _publish(self) -> None:
        with self._lock:
            health = list(self._health.values())
            people = list(self.people.values())
        self._hub.publish(health, people)
