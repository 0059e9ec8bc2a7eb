"""People who walk about a floor that several cameras see: what the linker gets to see of them,
without pixels.
"""

from collections.abc import Callable

import numpy as np

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.embed import bare
from pipeline.linking.evidence.appearance import Appearance, Curve
from pipeline.linking.index import TrackletIndex
from pipeline.records import Array, Camera, Embedded, Tracklet
from pipeline.vectors import unit

FPS, WIDTH, HEIGHT, LENS_PX, JITTER_PX = 10.0, 1280, 720, 900.0, 1.0
Walk = Callable[[Array], Array]
"""Times (n,) s -> places on the floor (n, 2) m."""


def to_picture(x: float, y: float) -> Array:
    """Floor metres -> px (3, 3) of a camera 4 m up at (x, y) that looks at the origin."""
    forward = np.array([-x, -y, -4.0]) / np.linalg.norm([x, y, 4.0])
    right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
    turn = np.stack([right, np.cross(forward, right), forward])
    lens = np.array([[LENS_PX, 0, WIDTH / 2], [0, LENS_PX, HEIGHT / 2], [0, 0, 1]])
    whole = lens @ turn @ np.concatenate([np.eye(3), -np.array([[x], [y], [4.0]])], axis=1)
    return np.asarray(whole[:, [0, 1, 3]])


VIEWS = {"a": to_picture(-11.0, -3.0), "b": to_picture(2.0, -12.0), "c": to_picture(10.0, 6.0)}
ON_FLOOR = {
    name: Camera(name, name, WIDTH, HEIGHT, FPS, 0.0, -1, np.linalg.inv(view))
    for name, view in VIEWS.items()
}
BARE = {name: Camera(name, name, WIDTH, HEIGHT, FPS, 0.0, -1, np.zeros((0, 0))) for name in VIEWS}


def wander(rng: np.random.Generator) -> Walk:
    """Round a few corners at 1 to 1.5 m/s, within 4 m of the origin."""
    corners = rng.uniform(-4, 4, (20, 2))
    far = np.cumsum([0.0, *np.linalg.norm(np.diff(corners, axis=0), axis=1)])
    speed = rng.uniform(1.0, 1.5)
    return lambda t: np.stack([np.interp(speed * t, far, corners[:, k]) for k in (0, 1)], axis=1)


def look(person: int) -> Array:
    """Different people are not alike at all."""
    return np.eye(64)[person]


def watch(
    camera: str,
    track: int,
    walk: Walk,
    start_s: float,
    end_s: float,
    looks: Array,
    clock_s: float = 0.0,
) -> Embedded:
    """What a camera sees of somebody, with its clock `clock_s` ahead; who they look like is
    `looks`, zeros for nobody.
    """
    rng = np.random.default_rng(track)
    times_s = np.arange(round(start_s * FPS), round(end_s * FPS) + 1) / FPS
    places = np.concatenate([walk(times_s), np.ones((len(times_s), 1))], axis=1)
    feet, beside = (_project(places + step, VIEWS[camera]) for step in ([0, 0, 0], [0.01, 0.01, 0]))
    tall = 1.7 * 50 * np.linalg.norm(beside - feet, axis=1) + 40
    feet = feet + rng.normal(0, JITTER_PX, feet.shape)
    boxes = np.stack(
        [feet[:, 0] - tall / 5, feet[:, 1] - tall, feet[:, 0] + tall / 5, feet[:, 1]], axis=1
    )
    tracklet = Tracklet(
        camera,
        track,
        np.round(times_s * FPS).astype(np.int64),
        times_s + clock_s,
        np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32),
        np.ones(len(times_s), np.float32),
        np.zeros((0, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
    )
    return bare(tracklet, unit(looks.astype(np.float32)))


def crowd(n: int, seed: int = 0, **clocks_s: float) -> list[Embedded]:
    """N people, each seen for 12 s by the cameras named, whose clocks are ahead by so much."""
    rng = np.random.default_rng(seed)
    seen = []
    for person in range(n):
        walk, start_s = wander(rng), float(np.round(rng.uniform(0, 30), 1))
        seen += [
            watch(c, person, walk, start_s, start_s + 12, look(person), clock)
            for c, clock in clocks_s.items()
        ]
    return seen


def mistaken(n: int, **clocks_s: float) -> list[Embedded]:
    """N times people who look alike, walking about in the view of one camera each, at the same
    time.
    """
    rng = np.random.default_rng(99)
    times = [(k, camera, clock) for k in range(n) for camera, clock in clocks_s.items()]
    return [
        watch(c, 90 + k, wander(rng), 3.0 * k, 3.0 * k + 12, look(40 + k), clock)
        for k, c, clock in times
    ]


def judge(index: TrackletIndex) -> Appearance:
    """Looks as evidence: alike at a cosine above 0.5."""
    return Appearance.of(index.embedded, index.camera, Curve(np.full(len(index.names), 0.5), 0.05))


def _project(places: Array, view: Array) -> Array:
    mapped = places @ view.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])
