"""A simulated site for benchmarks of linking: people who walk past a hundred cameras.
Places of 10 m lie on a grid, 30 m apart; people enter somewhere, walk from place to place for a
quarter of an hour, and leave. Every tenth place is a hall that two cameras with a homography see at
the same time, the others have one camera without. Tracks break off and start again, some go on
doubtfully. Embeddings are a person, a shift of each camera and noise: one person is about 0.8 alike
in two cameras, two people 0.15 with a spread of 0.14, and some have a twin. A longer day has more
people, not more at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

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
    """n tracklets in the order of `Tracklet.key`, the cameras, and the true people, (n,)."""

    embedded: list[Embedded]
    cameras: dict[str, Camera]
    people: Array


@dataclass(frozen=True, slots=True)
class _View:
    """A camera, its projection (3, 4) from metres to homogeneous pixels, and its shift.

    shift: (EMBEDDING,), what it adds to the embedding of everybody.
    """

    camera: Camera
    projection: Array
    shift: Array


def simulate(n: int, seed: int = 0) -> Site:
    """Simulate the first tracklets of a day that is already going on.

    Args:
        n: How many tracklets.
        seed: The same seed gives the same site.

    Returns:
        The site.
    """
    rng = np.random.default_rng(seed)
    places = _views(rng)
    day_share = n / TRACKLETS_A_DAY
    mean_interval_s = TRACKLETS_PER_VISIT * DAY_S / TRACKLETS_A_DAY
    last_arrival_s = 1.05 * day_share * DAY_S + 600
    found: list[tuple[Embedded, int]] = []
    arrives_s = -WARM_UP_S
    for person, appearance in enumerate(_appearances(rng)):
        arrives_s += float(rng.exponential(mean_interval_s))
        if arrives_s > last_arrival_s:
            break
        for seen in _visit(rng, places, appearance, arrives_s):
            if seen.tracklet.first_s >= 0:
                found.append((seen, person))
    found.sort(key=lambda pair: pair[0].tracklet.key)
    first_n = found[:n]
    people = [person for _, person in first_n]
    return Site(
        embedded=[seen for seen, _ in first_n],
        cameras={view.camera.name: view.camera for view in chain.from_iterable(places)},
        people=np.array(people, np.int64),
    )


def _views(rng: np.random.Generator) -> list[list[_View]]:
    """Cameras of each place: two across a hall, one elsewhere."""
    n_places = N_COLUMNS * N_ROWS
    places: list[list[_View]] = []
    number = 0
    for place in range(n_places):
        is_hall = place % (n_places // N_HALLS) == 0
        angles = (0.8, 2.4) if is_hall else (0.8,)
        views = []
        for angle in angles:
            number += 1
            views.append(_view(rng, place, f"cam{number:03}", angle, is_hall))
        places.append(views)
    return places


def _view(rng: np.random.Generator, place: int, name: str, angle: float, on_floor: bool) -> _View:
    """A camera 5 m above the floor, 9 m from the middle of a place, that looks at it."""
    middle = np.append(_middle(place), 0.0)
    position = middle + np.array([9 * np.cos(angle), 9 * np.sin(angle), 5.0])
    forward = _of_unit_length(middle - position)
    right = _of_unit_length(np.cross(forward, [0, 0, 1]))
    down = np.cross(forward, right)
    rotation = np.stack([right, down, forward])
    translation = np.concatenate([np.eye(3), -position[:, None]], axis=1)
    lens = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    projection = lens @ rotation @ translation
    homography = np.zeros((0, 0))
    if on_floor:
        homography = np.linalg.inv(projection[:, [0, 1, 3]])
    shift = _random_unit(rng, EMBEDDING) * np.sqrt(CAMERA_SHIFT)
    camera = Camera(name, f"{name}.mp4", WIDTH, HEIGHT, FPS, 0.0, -1, homography)
    return _View(camera, projection, shift)


def _appearances(rng: np.random.Generator) -> Iterator[Array]:
    """Embeddings of people, (EMBEDDING,) of unit length, without end."""
    own = _random_unit(rng, PEOPLE_DIMENSIONS)
    while True:
        other = _random_unit(rng, PEOPLE_DIMENSIONS)
        is_twin = rng.random() < TWIN_SHARE
        if is_twin:
            own = unit(TWIN_SIMILARITY * own + np.sqrt(1 - TWIN_SIMILARITY**2) * other)
        else:
            own = other
        appearance = np.zeros(EMBEDDING)
        appearance[:PEOPLE_DIMENSIONS] = np.sqrt(1 - COMMON) * own
        appearance[PEOPLE_DIMENSIONS] = np.sqrt(COMMON)
        yield appearance


def _visit(
    rng: np.random.Generator, places: list[list[_View]], appearance: Array, time_s: float
) -> Iterator[Embedded]:
    """Everything that is seen of one person, place by place."""
    speed = rng.uniform(1.0, 1.6)
    track = int(rng.integers(1 << 40))
    before = -1
    place = int(rng.integers(len(places)))
    n_visited = 1 + rng.poisson(PLACES_PER_VISIT - 1)
    for _ in range(n_visited):
        ahead = rng.choice([p for p in _neighbours(place) if p != before])
        stop = rng.uniform(-0.8, 0.8, 2)
        corners = np.stack([_side(before, place), stop, _side(ahead, place)])
        points = _middle(place) + PLACE_SIZE_M / 2 * corners
        walks_m = np.linalg.norm(np.diff(points, axis=0), axis=1)
        walks_s = walks_m / speed
        stands_s = rng.exponential(4.0)
        times_s = time_s + np.cumsum([0, walks_s[0], stands_s, walks_s[1]])
        path = points[[0, 1, 1, 2]]
        for view in places[place]:
            seen_as = appearance + view.shift
            for piece in _pieces(rng, view, times_s, path, track):
                yield _embed(rng, piece, seen_as)
            track += 2
        between_places_s = (PLACE_DISTANCE_M - PLACE_SIZE_M) / speed
        time_s = float(times_s[-1]) + between_places_s
        before = place
        place = int(ahead)


def _pieces(
    rng: np.random.Generator, view: _View, times_s: Array, points: Array, track: int
) -> Iterator[Tracklet]:
    """The tracklets of one pass: one, or two where the track broke off or became ambiguous."""
    first_row = np.ceil(times_s[0] * FPS)
    end_row = np.floor(times_s[-1] * FPS)
    rows = np.arange(first_row, end_row, dtype=np.int64)
    n_late = rng.integers(0, 3)
    n_early = rng.integers(0, 3)
    rows = rows[n_late : len(rows) - n_early]
    kind = rng.random()
    if kind > BROKEN_SHARE + AMBIGUOUS_SHARE:
        yield _tracklet(rng, view, rows, times_s, points, track, ambiguous=False)
        return
    middle = len(rows) // 2
    yield _tracklet(rng, view, rows[:middle], times_s, points, track, ambiguous=False)
    n_missing = 0
    if kind < BROKEN_SHARE:
        n_missing = min(int(rng.integers(2, 11)), middle // 2)
    is_broken = n_missing > 0
    rest = rows[middle + n_missing :]
    rest_track = track + 1 if is_broken else track
    yield _tracklet(rng, view, rest, times_s, points, rest_track, ambiguous=not is_broken)


def _tracklet(
    rng: np.random.Generator,
    view: _View,
    rows: Array,
    times_s: Array,
    points: Array,
    track: int,
    ambiguous: bool,
) -> Tracklet:
    """Frames `rows` of somebody who is at `points` (m, 2), in metres, at `times_s` (m,)."""
    row_times_s = rows / FPS
    on_floor = np.zeros((len(rows), 3))
    on_floor[:, 0] = np.interp(row_times_s, times_s, points[:, 0])
    on_floor[:, 1] = np.interp(row_times_s, times_s, points[:, 1])
    feet = floor.project(on_floor, view.projection)
    heads = floor.project(on_floor + np.array([0.0, 0.0, PERSON_M]), view.projection)
    height = feet[:, 1] - heads[:, 1]
    jitter = rng.normal(0, 0.02, len(rows)) * height
    left = feet[:, 0] - 0.2 * height
    right = feet[:, 0] + 0.2 * height
    boxes = np.stack([left, heads[:, 1], right, feet[:, 1] + jitter], axis=1)
    in_image = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    return Tracklet(
        view.camera.name,
        track,
        rows,
        row_times_s,
        in_image.astype(np.float32),
        np.full(len(rows), 0.8, np.float32),
        np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
        ambiguous,
    )


def _embed(rng: np.random.Generator, tracklet: Tracklet, appearance: Array) -> Embedded:
    direction = _random_unit(rng, CHANGING_DIMENSIONS)
    change = direction * np.sqrt(TRACKLET_NOISE * rng.lognormal(0, 0.7))
    appearance = appearance + np.pad(change, (0, EMBEDDING - CHANGING_DIMENSIONS))
    noise = rng.normal(0, np.sqrt(CROP_NOISE / EMBEDDING), (CROPS, EMBEDDING))
    crop_embeddings = unit(appearance + noise)
    quality = rng.uniform(0.2, 0.6, CROPS).astype(np.float32)
    crop_times_s = np.linspace(tracklet.first_s, tracklet.last_s, CROPS)
    return Embedded(
        tracklet,
        pool(crop_embeddings, quality),
        crop_embeddings.astype(np.float16),
        quality,
        crop_times_s,
    )


def _random_unit(rng: np.random.Generator, n: int) -> Array:
    return _of_unit_length(rng.normal(size=n))


def _of_unit_length(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _middle(place: int) -> Array:
    """Middle of a place on the floor, in metres."""
    row, column = divmod(place, N_COLUMNS)
    return PLACE_DISTANCE_M * np.array([column, row], np.float64)


def _side(other: int, place: int) -> Array:
    """Direction of a neighbour (or of the entrance, -1)."""
    if other < 0:
        return np.array([0.0, -1.0])
    return (_middle(other) - _middle(place)) / PLACE_DISTANCE_M


def _neighbours(place: int) -> list[int]:
    row, column = divmod(place, N_COLUMNS)
    around = [(column - 1, row), (column + 1, row), (column, row - 1), (column, row + 1)]
    found = []
    for other_column, other_row in around:
        if 0 <= other_column < N_COLUMNS and 0 <= other_row < N_ROWS:
            found.append(other_column + N_COLUMNS * other_row)
    return found
