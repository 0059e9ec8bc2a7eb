"""Synthetic scenes: rendered videos with truth, embedded once, then linked in many ways.
The embedded tracklets of a scene are kept in a cache (`tracklet_cache`), since only linking is
compared here. Every case is linked, filled and scored as by `run_pipeline.py` and
`pipeline.evaluate`.
"""

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.linking import tracklet_cache
from models import device as devices
from pipeline import config as configuration
from pipeline import embed, fill
from pipeline.config import Config, LinkingConfig, TravelConfig
from pipeline.detect import detector
from pipeline.embed import Embedder
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.__main__ import MIN_VISIBILITY
from pipeline.evaluate.boxes import MIN_IOU, Rows, Scene, Truth
from pipeline.evaluate.scores import Report
from pipeline.linking import linker
from pipeline.linking.linker import Linked
from pipeline.records import Array, Camera, Embedded, Person, Tracklet
from pipeline.sources import open_source
from pipeline.timings import Timings
from pipeline.worker import Worker

VISIT_GAP_S = 1.0
"""Somebody unseen for so long has left the camera."""


@dataclass(frozen=True, slots=True)
class EmbeddedScene:
    """Embedded tracklets of all cameras, and for each camera the true boxes and identities.

    Attributes:
        name: Name of the scene.
        embedded: Tracklets of all cameras.
        cameras: Cameras by name.
        truth: Truth by camera.
        labelled: Frames from 0 that truth is about, (n,) int64, for cameras where it is not about
            all.
    """

    name: str
    embedded: list[Embedded]
    cameras: dict[str, Camera]
    truth: dict[str, Truth]
    labelled: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to link.

    Attributes:
        name: Its row in the table.
        settings: Settings of `linking` that differ from the defaults.
        with_floor: Whether cameras keep their homographies.
        configured: Whether travel times are configured, as somebody who knows the site would.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    with_floor: bool = True
    configured: bool = False


NO_HOMOGRAPHIES = {"estimate_homographies": False}
NOTHING_LEARNED = {**NO_HOMOGRAPHIES, "learn_travel_times": False}
NO_EVIDENCE = {**NOTHING_LEARNED, "position_evidence": False}
FULL = Variant("+ travel times learned")
LADDERS = (
    (
        Variant("appearance only", NO_EVIDENCE, with_floor=False),
        Variant("+ rules of the floor", NO_EVIDENCE),
        Variant("+ evidence of position", NOTHING_LEARNED),
        Variant("+ travel times configured", NOTHING_LEARNED, configured=True),
        FULL,
    ),
    (
        Variant("no homographies", NOTHING_LEARNED, with_floor=False),
        Variant("+ travel times learned", NO_HOMOGRAPHIES, with_floor=False),
        Variant("+ homographies estimated", with_floor=False),
    ),
)
"""Each variant adds a part of linking to the one before, but learned travel times replace the
configured ones; the last of each is the program as it is.
"""


def load(folder: Path, cache: Path) -> EmbeddedScene:
    """Read a scene; its videos are detected, tracked and embedded unless the cache has that.

    Args:
        folder: Holds camN.mp4, cameras.json and truth/.
        cache: Folder of `tracklet_cache`.

    Raises:
        InputError, PipelineError: The folder, or the weights that ship, cannot be read.
    """
    config = _config(folder)
    embedder, _ = embed.build(config.reid, config.device, config.runtime, config.precision)
    name = f"{folder.parent.name}-{folder.name}"
    embedded, cameras = embed_videos(name, config, embedder, [folder / "cameras.json"], cache)
    truth = boxes.read_truth(folder / "truth", MIN_VISIBILITY)
    return EmbeddedScene(folder.name, embedded, {c.name: c for c in cameras}, truth)


def embed_videos(
    name: str, config: Config, embedder: Embedder, inputs: Sequence[Path], cache: Path
) -> tuple[list[Embedded], list[Camera]]:
    """Detect, track and embed the videos of a config, unless the cache has that.

    Args:
        name: Begins the name of the entry in the cache.
        config: All settings, with the cameras.
        embedder: Embeds the tracklets.
        inputs: Files that the result depends on, besides videos and weights.
        cache: Folder of `tracklet_cache`.

    Returns:
        Tracklets, and cameras.

    Raises:
        InputError, PipelineError: A video or a file of detections cannot be read.
    """
    sources = [open_source(camera, config.sources) for camera in config.cameras]
    names = [source.camera.name for source in sources]
    people_detector, _ = detector.build(
        config.detector,
        config.device,
        [source.camera for source in sources],
        config.runtime,
        config.precision,
    )
    read = [Path(camera.source) for camera in config.cameras]
    read += [*inputs, *embedder.files]
    if not config.detector.detections:
        read += people_detector.files
    device = str(devices.resolve(config.device))
    settings = {**config.model_dump(mode="json"), "cameras": names, "device": device}
    kept = cache / f"{name}-{tracklet_cache.key(read, settings)}.npz"
    cached = tracklet_cache.load(kept)
    if cached is not None:
        return cached
    worker = Worker(sources, people_detector, config, Timings())
    embedded = []
    for closed in worker.run(threading.Event(), int):
        embedded += embedder.embed(closed)
    cameras = [replace(s.camera, n_frames=worker.n_frames[s.camera.name]) for s in sources]
    tracklet_cache.save(kept, embedded, cameras)
    return embedded, cameras


def _config(folder: Path) -> Config:
    """The default settings with the cameras of a scene."""
    text = (folder / "cameras.json").read_text(encoding="utf-8")
    cameras = []
    for listed in json.loads(text)["cameras"]:
        camera = {
            "name": listed["name"],
            "source": str(folder / f"{listed['name']}.mp4"),
            "homography": listed["H_image_to_ground"],
        }
        cameras.append(camera)
    return configuration.build({"cameras": cameras}, "benchmark")


def link(scene: EmbeddedScene, variant: Variant = FULL) -> list[Person]:
    """Link and fill as the program does, but for what the variant changes."""
    settings = dict(variant.settings)
    if variant.configured:
        settings["travel"] = travel_times(scene)
    cameras = scene.cameras
    if not variant.with_floor:
        no_floor = np.zeros((0, 0))
        cameras = {name: replace(c, homography=no_floor) for name, c in cameras.items()}
    return filled(linker.link(scene.embedded, cameras, LinkingConfig(**settings)))


def filled(linked: Linked) -> list[Person]:
    """Return the people with their gaps filled, as the program does."""
    max_gap_s = Config().tracklets.max_interpolated_gap_s
    return fill.fill(linked.people, max_gap_s, 1, left_out=linked.left_out)


def travel_times(scene: EmbeddedScene) -> list[TravelConfig]:
    """Return the travel times that somebody who knows the site would configure.

    They are those of the people in truth, with some room, for every two cameras.

    Args:
        scene: The scene with its truth.
    """
    gaps_s: dict[tuple[str, str], list[float]] = {}
    for visits in _visits(scene).values():
        for before, after in pairwise(sorted(visits)):
            if before.camera == after.camera:
                continue
            cameras = min(before.camera, after.camera), max(before.camera, after.camera)
            gap_s = max(after.start_s - before.end_s, 0.0)
            gaps_s.setdefault(cameras, []).append(gap_s)
    found = []
    for cameras, observed_s in sorted(gaps_s.items()):
        travel = TravelConfig(
            cameras=cameras,
            min_s=0.5 * min(observed_s),
            typical_s=float(np.median(observed_s)),
            max_s=2 * max(observed_s) + 1,
        )
        found.append(travel)
    return found


class _Visit(NamedTuple):
    """A stretch of time that one person spends in one camera."""

    start_s: float
    end_s: float
    camera: str


def _visits(scene: EmbeddedScene) -> dict[int, list[_Visit]]:
    """The visits of every person in truth."""
    found: dict[int, list[_Visit]] = {}
    for camera, truth in scene.truth.items():
        rows = truth.rows.take(truth.counts)
        for person in np.unique(rows.ids).tolist():
            times_s = np.sort(rows.frames[rows.ids == person]) / scene.cameras[camera].fps
            (gaps,) = np.nonzero(np.diff(times_s) > VISIT_GAP_S)
            for visit_s in np.split(times_s, gaps + 1):
                visit = _Visit(float(visit_s[0]), float(visit_s[-1]), camera)
                found.setdefault(person, []).append(visit)
    return found


def score(scene: EmbeddedScene, people: Sequence[Person]) -> Report:
    """Score people against the truth of a scene."""
    return scores.score(matched(scene, people))


def matched(scene: EmbeddedScene, people: Sequence[Person]) -> list[Scene]:
    """Match the boxes of people with truth.

    Args:
        scene: The synthetic scene.
        people: People as linking returned them; their ids are those of the rows.

    Returns:
        One matched camera after the other.
    """
    cameras = []
    for camera, truth in scene.truth.items():
        parts = [boxes.NOTHING]
        for person in people:
            own = [t for t in person.tracklets if t.camera == camera]
            parts += [_rows(person.person_id, tracklet) for tracklet in own]
        rows = stack(parts)
        if camera in scene.labelled:
            rows = rows.take(np.isin(rows.frames, scene.labelled[camera]))
        found = boxes.match_frames(camera, rows, truth)
        cameras.append(found)
    return cameras


def stack(rows: Sequence[Rows]) -> Rows:
    """Put rows one below the other."""
    columns = {}
    for column in fields(Rows):
        values = [getattr(each, column.name) for each in rows]
        columns[column.name] = np.concatenate(values)
    return Rows(**columns)


def _rows(person: int, tracklet: Tracklet) -> Rows:
    n = len(tracklet.frames)
    person_ids = np.full(n, person, np.int64)
    track_ids = np.full(n, tracklet.track_id, np.int64)
    first_frames = np.full(n, tracklet.frames[0], np.int64)
    return Rows(tracklet.frames, tracklet.boxes, person_ids, track_ids, first_frames)


def true_ids(camera: Scene) -> Array:
    """Return the true person of each result row of a matched camera (n,), -1 for nobody."""
    found = np.full(len(camera.results.ids), -1)
    frames = zip(camera.truth_ids, camera.result_rows, camera.ious, strict=True)
    for ids, rows, ious in frames:
        truth, result = linear_sum_assignment(-np.where(ious >= MIN_IOU, ious, 0))
        matches = ious[truth, result] >= MIN_IOU
        found[rows[result[matches]]] = ids[truth[matches]]
    return found


def most(tracklets: Array, ids: Array) -> dict[int, int]:
    """Return whom each tracklet shows most.

    Args:
        tracklets: The tracklet of each row (n,).
        ids: The person of each row (n,), below 0 for nobody.

    Returns:
        Person by tracklet; a tracklet that shows nobody gets a negative number of its own.
    """
    votes: dict[int, Counter[int]] = {t: Counter() for t in np.unique(tracklets).tolist()}
    shown = ids >= 0
    for tracklet, person in zip(tracklets[shown].tolist(), ids[shown].tolist(), strict=True):
        votes[tracklet][person] += 1
    people = {}
    for tracklet, counts in votes.items():
        people[tracklet] = counts.most_common(1)[0][0] if counts else -1 - tracklet
    return people
