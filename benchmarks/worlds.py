"""Rendered worlds as the linker sees them: detected, tracked and embedded once, then linked in many
ways and scored.

The embedded tracklets of a world are kept in a cache (`tracklet_cache`), since only linking is
compared here. Every case is linked, filled and scored as `run_pipeline.py` and `pipeline.evaluate`
do, and what is missing is told apart: see `lost`.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks import tracklet_cache
from models import device as devices
from pipeline import config as configuration
from pipeline import embed, fill
from pipeline.config import Config, LinkingConfig, TravelConfig
from pipeline.detect import detector
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.__main__ import MIN_VISIBILITY
from pipeline.evaluate.boxes import MIN_IOU, Rows, Scene, Truth
from pipeline.evaluate.scores import Report
from pipeline.linking import homography, linker, place, travel
from pipeline.linking.place import Compared
from pipeline.linking.travel import TravelTimes
from pipeline.records import Array, Camera, Embedded, Person, Tracklet
from pipeline.sources import open_source
from pipeline.timings import Timings
from pipeline.worker import Worker

FAR = 1_000_000
"""More than there are people."""
VISIT_GAP_S = 1.0
"""Somebody unseen for so long has left the camera."""


@dataclass(frozen=True, slots=True)
class World:
    """Embedded tracklets of all cameras, and what is true: of every camera, boxes and who they
    are.
    """

    name: str
    embedded: list[Embedded]
    cameras: dict[str, Camera]
    truth: dict[str, Truth]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to link. without: parts that are switched off, names of `OFF`; with_floor: whether
    cameras keep their homographies.

    configured: travel times are written in the config, taken from truth; settings: others that
    differ.
    """

    name: str
    without: Sequence[str] = ()
    with_floor: bool = True
    configured: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def _silent(*arguments: Any) -> Compared:
    """Places as rules only: they forbid, but are no evidence."""
    return replace(_compare(*arguments), odds=np.nan)


def _nothing(*arguments: Any) -> list[Any]:
    return []


def _no_steps(*arguments: Any) -> TravelTimes:
    return TravelTimes()


_compare = place.compare
OFF: dict[str, tuple[Any, str, Any]] = {
    "place": (place, "compare", _silent),
    "travel": (travel, "learn", _no_steps),
    "overlaps": (homography, "estimate", _nothing),
}
"""Parts of linking by name: the module and the function that stands for it, and what stands in its
place when it is off.
"""
FULL = Variant("+ travel times learned")
LADDERS = (
    (
        Variant("appearance only", ("place", "travel", "overlaps"), with_floor=False),
        Variant("+ rules of the floor", ("place", "travel", "overlaps")),
        Variant("+ evidence of place", ("travel", "overlaps")),
        Variant("+ travel times configured", ("travel", "overlaps"), configured=True),
        FULL,
    ),
    (
        Variant("no homographies", ("travel", "overlaps"), with_floor=False),
        Variant("+ travel times learned", ("overlaps",), with_floor=False),
        Variant("+ overlaps estimated", with_floor=False),
    ),
)
"""Each adds to the one before, but what is learned replaces what is configured; the last of each is
the program as it is.
"""


def load(folder: Path, cache: Path) -> World:
    """Read a world; its videos are detected, tracked and embedded unless the cache has that.

    Args:
        folder: Holds camN.mp4, cameras.json and truth/.
        cache: Folder of `tracklet_cache`.

    Raises:
        InputError, PipelineError: The folder, or the weights that ship, cannot be read.
    """
    config = _config(folder)
    sources = [open_source(camera, config.sources) for camera in config.cameras]
    names = [source.camera.name for source in sources]
    detecting, _ = detector.build(config.detector, config.device, names)
    embedder, _ = embed.build(config.reid, config.device)
    inputs = [folder / "cameras.json", *(Path(camera.source) for camera in config.cameras)]
    inputs += [*detecting.files, *embedder.files]
    device = str(devices.resolve(config.device))
    settings = {**config.model_dump(mode="json"), "cameras": names, "device": device}
    key = tracklet_cache.key(inputs, settings)
    kept = cache / f"{folder.parent.name}-{folder.name}-{key}.npz"
    found = tracklet_cache.load(kept)
    if found is None:
        worker = Worker(sources, detecting, config, Timings())
        embedded = []
        for closed in worker.run(threading.Event(), int):
            embedded += embedder.embed(closed)
        cameras = [replace(s.camera, n_frames=worker.n_frames[s.camera.name]) for s in sources]
        tracklet_cache.save(kept, embedded, cameras)
        found = embedded, cameras
    embedded, cameras = found
    return World(
        folder.name,
        embedded,
        {c.name: c for c in cameras},
        boxes.read_truth(folder / "truth", MIN_VISIBILITY),
    )


def _config(folder: Path) -> Config:
    """The default settings with the cameras of a world."""
    listed = json.loads((folder / "cameras.json").read_text(encoding="utf-8"))["cameras"]
    cameras = [
        {
            "name": camera["name"],
            "source": str(folder / f"{camera['name']}.mp4"),
            "homography": camera["H_image_to_ground"],
        }
        for camera in listed
    ]
    return configuration.build({"cameras": cameras}, "benchmark")


def link(world: World, variant: Variant = FULL) -> list[Person]:
    """Link and fill, as the program does but for what the variant changes."""
    no_floor = {
        name: replace(camera, homography=np.zeros((0, 0))) for name, camera in world.cameras.items()
    }
    settings = (
        {"travel": travel_times(world), **variant.settings}
        if variant.configured
        else variant.settings
    )
    with ExitStack() as stack:
        for part in variant.without:
            stack.enter_context(_replaced(*OFF[part]))
        cameras = world.cameras if variant.with_floor else no_floor
        people = linker.link(world.embedded, cameras, LinkingConfig(**settings)).people
    return filled(people)


def filled(people: Sequence[Person]) -> list[Person]:
    """Fill gaps, as the program does."""
    return fill.fill(people, Config().tracklets.max_interpolated_gap_s, 1)


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def travel_times(world: World) -> list[TravelConfig]:
    """What somebody who knows the site would write of every two cameras: how long people in truth
    take, with some room.
    """
    gaps: dict[tuple[str, str], list[float]] = {}
    for visits in _visits(world).values():
        for (_, end_s, camera), (next_s, _, following) in pairwise(sorted(visits)):
            if camera != following:
                gaps.setdefault((min(camera, following), max(camera, following)), []).append(
                    max(next_s - end_s, 0.0)
                )
    return [
        TravelConfig(
            cameras=pair,
            min_s=0.5 * min(found),
            typical_s=float(np.median(found)),
            max_s=2 * max(found) + 1,
        )
        for pair, found in sorted(gaps.items())
    ]


def _visits(world: World) -> dict[int, list[tuple[float, float, str]]]:
    """Of every person in truth the stretches of time in a camera: start and end in seconds, and the
    camera.
    """
    found: dict[int, list[tuple[float, float, str]]] = {}
    for camera, truth in world.truth.items():
        rows = truth.rows.take(truth.counts)
        for person in np.unique(rows.ids).tolist():
            at_s = np.sort(rows.frames[rows.ids == person]) / world.cameras[camera].fps
            for part in np.split(at_s, np.flatnonzero(np.diff(at_s) > VISIT_GAP_S) + 1):
                found.setdefault(person, []).append((float(part[0]), float(part[-1]), camera))
    return found


def score(world: World, people: Sequence[Person]) -> Report:
    """Score people against the truth of a world."""
    return scores.score(scenes(world, people))


def scenes(world: World, people: Sequence[Person], right_only: bool = False) -> list[Scene]:
    """Boxes of all cameras met with truth; ids are people. right_only: without false boxes."""
    met = []
    for camera, truth in world.truth.items():
        own = [(p.person_id, t) for p in people for t in p.tracklets if t.camera == camera]
        every = stack([boxes.NOTHING, *(_rows(person, t) for person, t in own)])
        scene = boxes.meet(camera, every, truth)
        met.append(
            boxes.meet(camera, every.take(true_ids(scene) >= 0), truth) if right_only else scene
        )
    return met


def stack(rows: Sequence[Rows]) -> Rows:
    """Put rows one below the other."""
    return Rows(
        *(np.concatenate([getattr(each, column.name) for each in rows]) for column in fields(Rows))
    )


def _rows(person: int, t: Tracklet) -> Rows:
    person_id, track_id, first = (
        np.full(len(t.frames), value, np.int64) for value in (person, t.track_id, t.frames[0])
    )
    return Rows(t.frames, t.boxes, person_id, track_id, first)


def true_ids(scene: Scene) -> Array:
    """Whom each row of a scene shows (n,), -1 for nobody."""
    found = np.full(len(scene.results.ids), -1)
    for ids, rows, alike in zip(scene.truth_ids, scene.result_rows, scene.ious, strict=True):
        i, j = linear_sum_assignment(-np.where(alike >= MIN_IOU, alike, 0))
        good = alike[i, j] >= MIN_IOU
        found[rows[j[good]]] = ids[i[good]]
    return found


def lost(world: World, people: Sequence[Person]) -> dict[str, float]:
    """Points of global IDF1, 0..100, that are missing to perfect, by what is to blame; with `ours`
    they add up to 100.

    Stage by stage truth is replaced by what we have: our right boxes with true ids (*missed
    boxes*); all our boxes (*false boxes*); each tracklet with the id of the person it shows most
    (*mixed tracklets*); our people, taken apart where they hold tracklets of several (*fragments*);
    our people (*wrong links*).
    """
    right, ours = scenes(world, people, right_only=True), scenes(world, people)
    who, pieces = [true_ids(scene) for scene in ours], _numbers(ours)
    shown = most(np.concatenate(pieces), np.concatenate(who))
    of_tracklets = [np.array([shown[t] for t in piece.tolist()], np.int64) for piece in pieces]
    apart = [scene.results.ids * FAR + ids for scene, ids in zip(ours, of_tracklets, strict=True)]
    nobody = [np.where(ids < 0, -1 - np.arange(len(ids)), ids) for ids in who]
    steps = {
        "missed boxes": (right, [true_ids(scene) for scene in right]),
        "false boxes": (ours, nobody),
        "mixed tracklets": (ours, of_tracklets),
        "fragments": (ours, apart),
        "wrong links": (ours, [scene.results.ids for scene in ours]),
    }
    found, before = {}, 100.0
    for name, (met, labels) in steps.items():
        idf1 = 100 * scores.together(met, labels)["IDF1"]
        found[name], before = before - idf1, idf1
    return found | {"ours": before}


def most(pieces: Array, ids: Array) -> dict[int, int]:
    """Whom each piece (n,) shows most, by the ids (n,) of its rows; those that show nobody are each
    somebody else, below 0.
    """
    votes: dict[int, Counter[int]] = {t: Counter() for t in np.unique(pieces).tolist()}
    for piece, person in zip(pieces[ids >= 0].tolist(), ids[ids >= 0].tolist(), strict=True):
        votes[piece][person] += 1
    return {t: count.most_common(1)[0][0] if count else -1 - t for t, count in votes.items()}


def _numbers(met: Sequence[Scene]) -> list[Array]:
    """Number the tracklets of all cameras."""
    every = [
        np.stack([np.full(len(s.results.ids), k), s.results.tracks, s.results.tracklets], axis=1)
        for k, s in enumerate(met)
    ]
    numbers = np.unique(np.concatenate(every), axis=0, return_inverse=True)[1].ravel()
    return np.split(numbers, np.cumsum([len(each) for each in every])[:-1])
