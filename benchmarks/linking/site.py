"""A simulated site for benchmarks of linking: people who walk past a hundred cameras, as the linker
would see them.

Places of 10 m lie on a grid, 30 m apart; people enter somewhere, walk from place to place for a
quarter of an hour, and leave. Every tenth place is a hall that two cameras with a homography see at
the same time, the others have one camera without. Tracks break off and start again, some go on
doubtfully. Embeddings are a person, a shift of each camera and noise: one person is about 0.8 alike
in two cameras, two people 0.15 with a spread of 0.14, and some have a twin. A longer day has more
people, not more at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline import floor
from pipeline.records import Array, Camera, Embedded, Tracklet
from pipeline.vectors import pool, unit

TRACKLETS_A_DAY = 100_000
DAY_S = 86_400.0
N_COLUMNS = 10
N_ROWS = 9
N_HALLS = 10
PLACE_DISTANCE_M = 30.0
PLACE_SIZE_M = 10.0
PERSON_M = 1.7
WIDTH = 1280
HEIGHT = 720
FOCAL_PX = 700.0
FPS = 5.0
PLACES_PER_VISIT = 25
TRACKLETS_PER_VISIT = 33.5
WARM_UP_S = 1800.0
BROKEN_SHARE = 0.15
"""Tracks that break off and start again."""
AMBIGUOUS_SHARE = 0.05
"""Tracks that go on ambiguously."""
TWIN_SHARE = 0.03
"""People who look like the person before them."""
EMBEDDING = 256
CROPS = 4
PEOPLE_DIMENSIONS = 28
"""Embeddings of 256 numbers spread like random ones of 28."""
CHANGING_DIMENSIONS = 40
"""Pose and light change these dimensions, those of people among them."""
COMMON = 0.19
"""Share of the squared length of an embedding that all people have in common ..."""
CAMERA_SHIFT = 0.09
"""... that depends on the camera ..."""
TRACKLET_NOISE = 0.14
"""... that changes from tracklet to tracklet ..."""
CROP_NOISE = 0.1
"""... and from crop to crop."""
TWIN_SIMILARITY = 0.7


@dataclass(frozen=True, slots=True)
class Site:
    """n tracklets in the order of `Tracklet.key`, the cameras, and whose each tracklet is: people
    (n,).
    """

    embedded: list[Embedded]
    cameras: dict[str, Camera]
    people: Array


@dataclass(frozen=True, slots=True)
class _View:
    """A camera and its projection (3, 4) from metres to homogeneous pixels."""

    camera: Camera
    projection: Array
    look: Array


def simulate(n: int, seed: int = 0) -> Site:
    """Simulate the first `n` tracklets of a day that is already going on; the same for the same
    seed.
    """
    rng = np.random.default_rng(seed)
    views = _views(rng)
    people = _looks(rng)
    every_s = TRACKLETS_PER_VISIT * DAY_S / TRACKLETS_A_DAY
    found: list[tuple[Embedded, int]] = []
    arrives_s = -WARM_UP_S
    for person, look in enumerate(people):
        arrives_s += float(rng.exponential(every_s))
        if arrives_s > 1.05 * n * DAY_S / TRACKLETS_A_DAY + 600:
            break
        found += [
            (e, person) for e in _visit(rng, views, look, arrives_s) if e.tracklet.first_s >= 0
        ]
    found = sorted(found, key=lambda pair: pair[0].tracklet.key)[:n]
    cameras = {view.camera.name: view.camera for place in views for view in place}
    embedded = [e for e, _ in found]
    owners = [person for _, person in found]
    return Site(embedded, cameras, np.array(owners, np.int64))


def _views(rng: np.random.Generator) -> list[list[_View]]:
    """Cameras of each place: two across a hall, one elsewhere."""
    places: list[list[_View]] = []
    number = 0
    for place in range(N_COLUMNS * N_ROWS):
        is_hall = place % (N_COLUMNS * N_ROWS // N_HALLS) == 0
        views = []
        for angle in (0.8, 2.4) if is_hall else (0.8,):
            number += 1
            views.append(_view(rng, place, f"cam{number:03}", angle, is_hall))
        places.append(views)
    return places


def _view(rng: np.random.Generator, place: int, name: str, angle: float, on_floor: bool) -> _View:
    """A camera 5 m above the floor, 9 m from the middle of a place, that looks at it."""
    middle = np.append(_middle(place), 0.0)
    at = middle + np.array([9 * np.cos(angle), 9 * np.sin(angle), 5.0])
    forward = (middle - at) / np.linalg.norm(middle - at)
    right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
    turn = np.stack([right, np.cross(forward, right), forward])
    lens = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    projection = lens @ turn @ np.concatenate([np.eye(3), -at[:, None]], axis=1)
    homography = np.linalg.inv(projection[:, [0, 1, 3]]) if on_floor else np.zeros((0, 0))
    look = _random_unit(rng, EMBEDDING) * np.sqrt(CAMERA_SHIFT)
    return _View(
        Camera(name, f"{name}.mp4", WIDTH, HEIGHT, FPS, 0.0, -1, homography), projection, look
    )


def _looks(rng: np.random.Generator) -> Iterator[Array]:
    """What people look like, (EMBEDDING,) of unit length, without end."""
    own = _random_unit(rng, PEOPLE_DIMENSIONS)
    while True:
        other = _random_unit(rng, PEOPLE_DIMENSIONS)
        is_twin = rng.random() < TWIN_SHARE
        twin = unit(TWIN_SIMILARITY * own + np.sqrt(1 - TWIN_SIMILARITY**2) * other)
        own = twin if is_twin else other
        appearance = np.zeros(EMBEDDING)
        appearance[:PEOPLE_DIMENSIONS] = np.sqrt(1 - COMMON) * own
        appearance[PEOPLE_DIMENSIONS] = np.sqrt(COMMON)
        yield appearance


def _visit(
    rng: np.random.Generator, views: list[list[_View]], look: Array, time_s: float
) -> Iterator[Embedded]:
    """Everything that is seen of one person, place by place."""
    speed = rng.uniform(1.0, 1.6)
    track = int(rng.integers(1 << 40))
    before = -1
    place = int(rng.integers(len(views)))
    for _ in range(1 + rng.poisson(PLACES_PER_VISIT - 1)):
        ahead = rng.choice([p for p in _neighbours(place) if p != before])
        points = _middle(place) + PLACE_SIZE_M / 2 * np.stack(
            [_side(before, place), rng.uniform(-0.8, 0.8, 2), _side(ahead, place)]
        )
        walks_s = np.linalg.norm(np.diff(points, axis=0), axis=1) / speed
        stands_s = rng.exponential(4.0)
        times_s = time_s + np.cumsum([0, walks_s[0], stands_s, walks_s[1]])
        for view in views[place]:
            for piece in _pieces(rng, view, times_s, points[[0, 1, 1, 2]], track):
                yield _embed(rng, piece, look + view.look)
            track += 2
        time_s = float(times_s[-1]) + (PLACE_DISTANCE_M - PLACE_SIZE_M) / speed
        before = place
        place = int(ahead)


def _pieces(
    rng: np.random.Generator, view: _View, times_s: Array, points: Array, track: int
) -> Iterator[Tracklet]:
    """The tracklets of one pass through a view: one, or two where the track broke off or became
    ambiguous.
    """
    rows = np.arange(np.ceil(times_s[0] * FPS), np.floor(times_s[-1] * FPS), dtype=np.int64)
    rows = rows[rng.integers(0, 3) : len(rows) - rng.integers(0, 3)]
    kind = rng.random()
    middle = len(rows) // 2
    if kind > BROKEN_SHARE + AMBIGUOUS_SHARE:
        yield _tracklet(rng, view, rows, times_s, points, track, False)
        return
    yield _tracklet(rng, view, rows[:middle], times_s, points, track, False)
    gone = min(int(rng.integers(2, 11)), middle // 2) if kind < BROKEN_SHARE else 0
    yield _tracklet(
        rng, view, rows[middle + gone :], times_s, points, track + (gone > 0), gone == 0
    )


def _tracklet(
    rng: np.random.Generator,
    view: _View,
    rows: Array,
    times_s: Array,
    points: Array,
    track: int,
    ambiguous: bool,
) -> Tracklet:
    at_s = rows / FPS
    place = np.stack([np.interp(at_s, times_s, points[:, k]) for k in (0, 1)], axis=1)
    on_floor = np.column_stack([place, np.zeros(len(rows))])
    feet = floor.project(on_floor, view.projection)
    heads = floor.project(on_floor + np.array([0.0, 0.0, PERSON_M]), view.projection)
    tall = feet[:, 1] - heads[:, 1]
    bottom = feet[:, 1] + rng.normal(0, 0.02, len(rows)) * tall
    half = 0.2 * tall
    boxes = np.stack([feet[:, 0] - half, heads[:, 1], feet[:, 0] + half, bottom], axis=1)
    boxes = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
    return Tracklet(
        view.camera.name,
        track,
        rows,
        at_s,
        boxes,
        np.full(len(rows), 0.8, np.float32),
        np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
        ambiguous,
    )


def _embed(rng: np.random.Generator, tracklet: Tracklet, look: Array) -> Embedded:
    changed = _random_unit(rng, CHANGING_DIMENSIONS) * np.sqrt(
        TRACKLET_NOISE * rng.lognormal(0, 0.7)
    )
    look = look + np.pad(changed, (0, EMBEDDING - CHANGING_DIMENSIONS))
    crop_embeddings = unit(
        look + rng.normal(0, np.sqrt(CROP_NOISE / EMBEDDING), (CROPS, EMBEDDING))
    )
    quality = rng.uniform(0.2, 0.6, CROPS).astype(np.float32)
    at_s = np.linspace(tracklet.first_s, tracklet.last_s, CROPS)
    return Embedded(
        tracklet, pool(crop_embeddings, quality), crop_embeddings.astype(np.float16), quality, at_s
    )


def _random_unit(rng: np.random.Generator, n: int) -> Array:
    vector = rng.normal(size=n)
    return np.asarray(vector / np.linalg.norm(vector))


def _middle(place: int) -> Array:
    return PLACE_DISTANCE_M * np.array([place % N_COLUMNS, place // N_COLUMNS], np.float64)


def _side(other: int, place: int) -> Array:
    """Direction of a neighbour (or of the entrance, -1)."""
    return (
        np.array([0.0, -1.0]) if other < 0 else (_middle(other) - _middle(place)) / PLACE_DISTANCE_M
    )


def _neighbours(place: int) -> list[int]:
    column, row = place % N_COLUMNS, place // N_COLUMNS
    around = [(column - 1, row), (column + 1, row), (column, row - 1), (column, row + 1)]
    return [c + N_COLUMNS * r for c, r in around if 0 <= c < N_COLUMNS and 0 <= r < N_ROWS]
