"""A day at a site with two cameras, drawn and not filmed, that passes as fast as it is looked at.

Nobody has films of a whole day with truth, and a soak has to see one in minutes. So people are
rectangles whose colour is their number: the detector here knows where they are, and misses those
who are hidden; the embedder reads the number and gives a noisy vector of that person. All between
them, from the tracker to the page, is the program's own.

Visitors come by chance, few at night and many at noon, and walk through both cameras. Some come
back soon, some after they are forgotten. One person sits in the first camera all day, and somebody
stops in front of him every few minutes. Each camera fails once.
"""

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from models.runtimes.choice import NO_RUNTIME
from pipeline import yuv
from pipeline.config import LiveConfig
from pipeline.embed import bare
from pipeline.records import Array, Camera, Detections, Embedded, Frame, Tracklet
from pipeline.sources.live.cameras import LiveCameras
from pipeline.sources.live.health import CameraEvent, CameraEventKind, Health
from pipeline.vectors import pool, unit

NAMES = ("hall", "yard")
STARTS_S = 1_793_577_600.0
"""Midnight of a day, seconds since 1970."""
HOUR_S = 3600.0
SIZE = (320, 180)
LOOK_S = 0.2
CAMERA_FPS = 15
SITTER = 1
"""The person who stays all day."""
SITS_AT = (60.0, 165.0)
"""Where: centre of the feet, px."""
LANES_PX = (120.0, 175.0)
"""Feet of those who walk."""
STAY_S = (10.0, 60.0)
BETWEEN_S = (3.0, 15.0)
"""From one camera to the other."""
SOON_S = (60.0, 480.0)
"""A visitor who comes back before being forgotten ..."""
LATE_S = (1200.0, 7200.0)
"""... and one who comes back later."""
SOON_SHARE = 0.3
LATE_SHARE = 0.1
OCCLUDED_S = (2.0, 8.0)
OCCLUDED_EVERY_S = 600.0
COVERED = 0.6
"""Whoever is covered by more than this is not detected."""
FOUND_SHARE = 0.97
VIDEO_EVERY_S = 3600.0
VIDEO_FOR_S = 60.0
"""Pictures are drawn on and recorded for so long of every hour."""
WAIT_S = 0.005
IS_PERSON = 200
"""Red of all people; blue and green are the number."""
GREY = 90
WIDTH = 32
"""Of vectors: cosines of two people spread by about 0.12, as those of a ReID network do."""
COMMON = 0.3
"""Share of the vector that all people have in common ..."""
OWN, OF_STAY, OF_CROP = 0.7, 0.2, 0.1
"""... and shares of person, stay and crop in one of a crop."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody in view of a camera.

    Attributes:
        person: number, from 1.
        visit: number of the visit; whoever comes back after being forgotten is on another one.
        camera: its name.
        start_s: seconds from the start of the day.
        end_s: likewise.
        leftwards: which way.
        feet_px: row of the feet.
    """

    person: int
    visit: int
    camera: str
    start_s: float
    end_s: float
    leftwards: bool
    feet_px: float

    def box(self, time_s: float) -> tuple[float, float, float, float]:
        """Box at a time of the day, px."""
        height = 50 + (self.feet_px - LANES_PX[0]) * 0.9
        half = 0.2 * height
        if self.person == SITTER:
            centre = SITS_AT[0]
        else:
            share = (time_s - self.start_s) / (self.end_s - self.start_s)
            share = 1 - share if self.leftwards else share
            centre = half + share * (SIZE[0] - 2 * half)
        return centre - half, self.feet_px - height, centre + half, self.feet_px


@dataclass(frozen=True, slots=True)
class Outage:
    """A camera that sends nothing from one time of the day to another, seconds."""

    camera: str
    start_s: float
    end_s: float


def arrivals_per_hour(hour: float) -> float:
    """Return how many visitors come at an hour of the day, 0 to 24."""
    if 12 <= hour < 14:
        return 100.0
    return 12.0 if 7 <= hour < 21 else 2.0


class Day:
    """Who is where.

    Attributes:
        stays: of visitors, by camera, in the order of their start.
        n_visits: how many ids a system has to give that forgets as this day says.
        outages: of cameras.
    """

    def __init__(self, hours: float, forget_after_s: float, begins: float = 0.0) -> None:
        """Plan a day.

        Args:
            hours: how long it is.
            forget_after_s: who comes back later is a new visit.
            begins: hour of the day.
        """
        self.duration_s = hours * HOUR_S
        self._begins = begins
        self._forget_after_s = forget_after_s
        self._random = np.random.default_rng(20)
        self.n_visits = 1
        self._sits = Stay(SITTER, 1, NAMES[0], 0.0, self.duration_s, False, SITS_AT[1])
        self.stays: dict[str, list[Stay]] = {name: [] for name in NAMES}
        for person, arrives_s in enumerate(self._arrivals(), start=SITTER + 1):
            self._visit(person, arrives_s)
        for stays in self.stays.values():
            stays.sort(key=lambda stay: stay.start_s)
        self._starts_s = {
            name: [stay.start_s for stay in stays] for name, stays in self.stays.items()
        }
        self.occlusions = self._occlusions()
        self.outages = (
            Outage(NAMES[0], 0.375 * self.duration_s, self._until(0.375, 240.0)),
            Outage(NAMES[1], 0.625 * self.duration_s, self._until(0.625, 1200.0)),
        )

    def in_view(self, camera: str, time_s: float) -> list[Stay]:
        """Return who is in view of a camera, whoever is nearest last."""
        starts_s = self._starts_s[camera]
        first = bisect_left(starts_s, time_s - STAY_S[1])
        last = bisect_right(starts_s, time_s)
        found = [stay for stay in self.stays[camera][first:last] if time_s < stay.end_s]
        if camera == NAMES[0]:
            found.append(self._sits)
        found.sort(key=lambda stay: stay.feet_px)
        return found

    def is_out(self, camera: str, time_s: float) -> bool:
        """Whether a camera sends nothing."""
        return any(
            outage.camera == camera and outage.start_s <= time_s < outage.end_s
            for outage in self.outages
        )

    def is_occluded(self, time_s: float) -> bool:
        """Whether something stands in front of the sitter."""
        number = bisect_right(self.occlusions, (time_s, np.inf)) - 1
        return number >= 0 and time_s < self.occlusions[number][1]

    def _until(self, share: float, most_s: float) -> float:
        return share * self.duration_s + min(most_s, self.duration_s / 10)

    def _arrivals(self) -> list[float]:
        found = []
        for minute in range(int(self.duration_s / 60)):
            hour = (self._begins + minute / 60) % 24
            n_arrivals = self._random.poisson(arrivals_per_hour(hour) / 60)
            found += (60 * (minute + self._random.random(n_arrivals))).tolist()
        return sorted(found)

    def _visit(self, person: int, arrives_s: float) -> None:
        """Add the stays of a visitor, and those of coming back."""
        random = self._random
        time_s = arrives_s
        left_s = -np.inf
        while True:
            order = NAMES if random.random() < 0.7 else NAMES[::-1]
            for camera in order:
                lasts_s = random.uniform(*STAY_S)
                if time_s + lasts_s > self.duration_s:
                    return
                self.n_visits += time_s - left_s > self._forget_after_s
                lane_px = random.uniform(*LANES_PX)
                leftwards = bool(random.random() < 0.5)
                left_s = time_s + lasts_s
                self.stays[camera].append(
                    Stay(person, self.n_visits, camera, time_s, left_s, leftwards, lane_px)
                )
                time_s = left_s + random.uniform(*BETWEEN_S)
            choice = random.random()
            if choice < SOON_SHARE:
                time_s = left_s + random.uniform(*SOON_S)
            elif choice < SOON_SHARE + LATE_SHARE:
                time_s = left_s + random.uniform(*LATE_S)
            else:
                return

    def _occlusions(self) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        time_s = 0.0
        while True:
            time_s += self._random.uniform(0.5, 1.5) * OCCLUDED_EVERY_S
            if time_s > self.duration_s:
                return found
            lasts_s = self._random.uniform(*OCCLUDED_S)
            found.append((time_s, time_s + lasts_s))
            time_s += lasts_s


class Watcher(Protocol):
    """Keeps the time of a day."""

    def tick(self, time_s: float) -> None:
        """Take the time of the day, seconds, before each round."""
        ...

    def is_behind(self) -> bool:
        """Whether the day has to wait, since linking does not keep up with it."""
        ...


class DayCameras(LiveCameras):
    """The two cameras of a day, which send pictures as fast as they are looked at."""

    def __init__(
        self,
        day: Day,
        live: LiveConfig,
        now: Callable[[], float],
        next_indices: Mapping[str, int],
        watcher: "Watcher",
    ) -> None:
        """Begin.

        Args:
            day: what they show.
            live: settings of live cameras.
            now: seconds since 1970.
            next_indices: see `LiveCameras`.
            watcher: keeps the time.
        """
        super().__init__([], live, now)
        self._day = day
        self._watcher = watcher
        self._said: list[CameraEvent] = []
        self._is_out = dict.fromkeys(NAMES, False)
        self._indices = {name: next_indices.get(name, 0) for name in NAMES}
        self._counts = dict.fromkeys(NAMES, 0)
        width, height = SIZE
        self._own_records = {
            name: Camera(name, f"drawn {name}", width, height, CAMERA_FPS, 0, -1, np.zeros((0, 0)))
            for name in NAMES
        }

    @property
    def cameras(self) -> dict[str, Camera]:
        """Both cameras."""
        return dict(self._own_records)

    @property
    def next_indices(self) -> dict[str, int]:
        """Number of the next picture of each."""
        return dict(self._indices)

    def rounds(self, stop: threading.Event) -> Generator[list[Frame], None, None]:
        """Yield the pictures of the day, of the cameras that are not out."""
        n_rounds = int(self._day.duration_s / LOOK_S)
        for number in range(n_rounds):
            if stop.is_set():
                return
            time_s = number * LOOK_S
            self._watcher.tick(time_s)
            while self._watcher.is_behind() and not stop.is_set():
                time.sleep(WAIT_S)
                yield []
            frames = []
            for name in NAMES:
                is_out = self._day.is_out(name, time_s)
                self._note(name, is_out, time_s)
                if not is_out:
                    frames.append(self._frame(name, time_s))
            yield frames

    def health(self) -> list[Health]:
        """Return how both are doing."""
        return [
            Health(name, "lost" if is_out else "live", n_frames=self._counts[name])
            for name, is_out in self._is_out.items()
        ]

    def take_events(self) -> list[CameraEvent]:
        """Return outages that began and ended."""
        said = self._said
        self._said = []
        return said

    def _note(self, name: str, is_out: bool, time_s: float) -> None:
        if is_out != self._is_out[name]:
            self._is_out[name] = is_out
            kind: CameraEventKind = "lost" if is_out else "back"
            self._said.append(CameraEvent(STARTS_S + time_s, kind, name, "planned"))

    def _frame(self, name: str, time_s: float) -> Frame:
        index = self._indices[name]
        self._indices[name] += round(LOOK_S * CAMERA_FPS)
        self._counts[name] += 1
        image = draw(self._day, name, time_s)
        is_recorded = time_s % VIDEO_EVERY_S < min(VIDEO_FOR_S, self._day.duration_s / 4)
        picture = yuv.from_bgr(image) if is_recorded else None
        return Frame(name, index, STARTS_S + time_s, image, picture)


@lru_cache(maxsize=len(NAMES))
def _background(camera: str) -> Array:
    """An empty place with some texture."""
    width, height = SIZE
    random = np.random.default_rng(NAMES.index(camera))
    noise = random.integers(-20, 20, (height, width, 1))
    return np.asarray(np.repeat(GREY + noise, 3, axis=2), np.uint8)


def draw(day: Day, camera: str, time_s: float) -> Array:
    """Return what a camera shows at a time of the day, (H, W, 3) uint8 BGR."""
    in_view = day.in_view(camera, time_s)
    if not in_view:
        return _background(camera)
    image = _background(camera).copy()
    for stay in in_view:
        left, top, right, bottom = (max(round(edge), 0) for edge in stay.box(time_s))
        hides = stay.person == SITTER and day.is_occluded(time_s)
        colour = (GREY,) * 3 if hides else (stay.person % 256, stay.person // 256, IS_PERSON)
        image[top:bottom, left:right] = colour
    return image


class DayDetector:
    """Knows where people are, but for those who are hidden, and a few by chance."""

    name = "truth of a drawn day"
    files: tuple[Path, ...] = ()
    choice = NO_RUNTIME

    def __init__(self, day: Day) -> None:
        self.warnings: list[str] = []
        self._day = day
        self._random = np.random.default_rng(21)

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return the people of each frame, with boxes that are off by about a pixel."""
        return [self._detections(frame) for frame in frames]

    def _detections(self, frame: Frame) -> Detections:
        time_s = frame.time_s - STARTS_S
        in_view = self._day.in_view(frame.camera, time_s)
        boxes = [stay.box(time_s) for stay in in_view]
        found = []
        for number, stay in enumerate(in_view):
            is_hidden = stay.person == SITTER and self._day.is_occluded(time_s)
            is_covered = any(
                _covered(boxes[number], nearer) > COVERED for nearer in boxes[number + 1 :]
            )
            if not is_hidden and not is_covered and self._random.random() < FOUND_SHARE:
                found.append(boxes[number])
        exact = np.array(found, np.float32).reshape(-1, 4)
        noise = self._random.normal(0, 0.8, exact.shape)
        scores = self._random.uniform(0.8, 0.9, len(found))
        return Detections((exact + noise).astype(np.float32), scores.astype(np.float32))


def _covered(box: Sequence[float], nearer: Sequence[float]) -> float:
    """Share of a box that another one covers."""
    width = min(box[2], nearer[2]) - max(box[0], nearer[0])
    height = min(box[3], nearer[3]) - max(box[1], nearer[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(width, 0.0) * max(height, 0.0) / area


class DayEmbedder:
    """Reads who is in a crop, and returns a noisy vector; a mixture, if it shows several."""

    name = "numbers of a drawn day"
    width = WIDTH
    files: tuple[Path, ...] = ()
    choice = NO_RUNTIME
    frame_wise = True

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._random = np.random.default_rng(22)

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        """Return one `Embedded` per tracklet, in order."""
        return [self._embedded(tracklet) for tracklet in tracklets]

    def _embedded(self, tracklet: Tracklet) -> Embedded:
        if not len(tracklet.crops):
            return bare(tracklet, np.zeros(WIDTH, np.float32))
        vectors = [self._vector(tracklet, crop) for crop in tracklet.crops]
        of_crops = unit(np.array(vectors, np.float32))
        return Embedded(
            tracklet.without_crops(),
            pool(of_crops, tracklet.crop_quality),
            of_crops.astype(np.float16),
            tracklet.crop_quality,
            tracklet.crop_times_s,
        )

    def _vector(self, tracklet: Tracklet, crop: Array) -> Array:
        """Vectors of the people in a crop, by their shares of it, and noise."""
        height, width, _ = crop.shape
        rows = np.linspace(0.1, 0.9, 9) * height
        columns = np.linspace(0.2, 0.8, 5) * width
        seen = crop[rows.astype(int)][:, columns.astype(int)].reshape(-1, 3)
        colours, counts = np.unique(seen, axis=0, return_counts=True)
        vector = np.sqrt(OF_CROP / WIDTH) * self._random.standard_normal(WIDTH)
        for (blue, green, red), count in zip(colours.tolist(), counts.tolist(), strict=True):
            if red == IS_PERSON:
                vector += count / len(seen) * _vector_of(green * 256 + blue, tracklet)
        return np.asarray(vector)


def _vector_of(person: int, tracklet: Tracklet) -> Array:
    """Vector of a person as one track shows it."""
    of_stay = _direction(f"{person} {tracklet.camera}/{tracklet.track_id}")
    own = np.sqrt(COMMON) * _direction("everybody")
    own = own + np.sqrt(1 - COMMON) * _direction(f"{person}")
    return np.asarray(np.sqrt(OWN) * own + np.sqrt(OF_STAY) * of_stay)


@lru_cache(maxsize=512)
def _direction(name: str) -> Array:
    """A random unit vector, always the same for a name."""
    seed = list(name.encode())
    vector = np.random.default_rng(seed).standard_normal(WIDTH)
    return np.asarray(vector / np.linalg.norm(vector))
