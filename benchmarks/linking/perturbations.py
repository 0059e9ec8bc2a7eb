"""Perturbations of a scene: clock offset, dead camera, cameras that take turns, similar people, id
switches.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from benchmarks.linking import synthetic_scenes
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from models.boxes import iou
from pipeline.evaluate import boxes
from pipeline.records import Array, Embedded, Person, Tracklet
from pipeline.vectors import pool, unit

MIN_SIDE_S = 1.0
"""A swap leaves so much of both tracklets on either side."""


def late_clock(scene: EmbeddedScene, camera: str, offset_s: float) -> EmbeddedScene:
    """Shift the clock of one camera.

    Args:
        scene: The scene.
        camera: Name of the camera.
        offset_s: How much more than it should the clock shows, in seconds.

    Returns:
        The scene with the tracklets of this camera shifted.
    """
    found = []
    for e in scene.embedded:
        is_late = e.tracklet.camera == camera
        found.append(e.shifted(offset_s) if is_late else e)
    return replace(scene, embedded=found)


def dead_camera(scene: EmbeddedScene, camera: str) -> EmbeddedScene:
    """Let a camera see nothing in the middle third of its time.

    Tracks end there and others begin; the truth has nothing of it.

    Args:
        scene: The scene.
        camera: Name of the camera.

    Returns:
        The scene without the middle third of this camera.
    """
    n_frames = scene.cameras[camera].n_frames
    dies = n_frames // 3
    revives = 2 * n_frames // 3
    new_id = 1 + max(e.tracklet.track_id for e in scene.embedded)
    found: list[Embedded] = []
    for number, e in enumerate(scene.embedded):
        if e.tracklet.camera != camera:
            found.append(e)
            continue
        frames = e.tracklet.frames
        early = part(e, frames < dies)
        late = part(e, frames >= revives)
        if early or frames[0] < revives:
            late = [_as_new_track(piece, new_id + number) for piece in late]
        found += early
        found += late
    truth = scene.truth[camera]
    truth_before = boxes.only(truth, range(dies))
    truth_after = boxes.only(truth, range(revives, n_frames))
    left = boxes.Truth(
        synthetic_scenes.stack([truth_before.rows, truth_after.rows]),
        np.concatenate([truth_before.counts, truth_after.counts]),
    )
    return replace(scene, embedded=found, truth={**scene.truth, camera: left})


def taking_turns(scene: EmbeddedScene) -> EmbeddedScene:
    """Let each camera see only its own stretch of the time, one after the other.

    The cameras then see nobody at once, as cameras that do not overlap.

    Args:
        scene: The scene.

    Returns:
        The scene of k cameras with one k-th of the time of each; truth has no more than that.
    """
    names = sorted(scene.cameras)
    begins = [camera.start_s for camera in scene.cameras.values()]
    ends = [c.start_s + c.n_frames / c.fps for c in scene.cameras.values()]
    limits_s = np.linspace(min(begins), max(ends), len(names) + 1)
    turns = dict(zip(names, pairwise(limits_s.tolist()), strict=True))
    found: list[Embedded] = []
    for e in scene.embedded:
        first_s, last_s = turns[e.tracklet.camera]
        times_s = e.tracklet.times_s
        found += part(e, (times_s >= first_s) & (times_s < last_s))
    truth = {}
    for name, in_camera in scene.truth.items():
        first_s, last_s = turns[name]
        camera = scene.cameras[name]
        times_s = camera.start_s + np.arange(camera.n_frames) / camera.fps
        (frames,) = np.nonzero((times_s >= first_s) & (times_s < last_s))
        truth[name] = boxes.only(in_camera, frames)
    return replace(scene, embedded=found, truth=truth)


def _as_new_track(e: Embedded, track_id: int) -> Embedded:
    return replace(e, tracklet=replace(e.tracklet, track_id=track_id, ambiguous=False))


def without_dead(scene: EmbeddedScene, people: Sequence[Person], camera: str) -> list[Person]:
    """Take out of people what the dead camera would not have seen.

    Args:
        scene: The scene before its camera died.
        people: People of the whole scene.
        camera: Name of the camera.

    Returns:
        The same people with what is left of their tracklets.
    """
    n_frames = scene.cameras[camera].n_frames
    left = []
    for person in people:
        tracklets = []
        for tracklet in person.tracklets:
            if tracklet.camera != camera:
                tracklets.append(tracklet)
                continue
            is_alive = _is_alive(tracklet.frames, n_frames)
            if is_alive.any():
                tracklets.append(tracklet.rows(is_alive))
        left.append(replace(person, tracklets=tuple(tracklets)))
    return left


def _is_alive(frames: Array, n_frames: int) -> Array:
    """Which frames lie outside of the middle third, (n,) bool."""
    before = frames < n_frames // 3
    after = frames >= 2 * n_frames // 3
    return np.asarray(before | after)


def twins(scene: EmbeddedScene, n_pairs: int) -> EmbeddedScene:
    """Make pairs of people look alike: the second of each is half made of the first.

    Args:
        scene: The scene.
        n_pairs: How many pairs; those seen most are paired first.

    Returns:
        The scene with other embeddings of the second people.
    """
    who = people_of(scene)
    people, counts = np.unique(who[who >= 0], return_counts=True)
    most_seen = people[np.lexsort([people, -counts])].tolist()
    first_people = most_seen[: 2 * n_pairs : 2]
    second_people = most_seen[1 : 2 * n_pairs : 2]
    found = list(scene.embedded)
    for first, second in zip(first_people, second_people, strict=True):
        own = [scene.embedded[i].embedding for i in np.flatnonzero(who == first)]
        model = unit(np.mean(own, axis=0))
        for i in np.flatnonzero(who == second).tolist():
            found[i] = _blended(found[i], model)
    return replace(scene, embedded=found)


def _blended(e: Embedded, model: Array) -> Embedded:
    """A tracklet whose embeddings lie half way to a model (D,)."""
    precise = e.crop_embeddings.astype(np.float32)
    crop_embeddings = unit((precise + model) / 2)
    return replace(
        e,
        embedding=unit((e.embedding + model) / 2),
        crop_embeddings=crop_embeddings.astype(np.float16),
    )


def swaps(scene: EmbeddedScene, n_swaps: int) -> tuple[EmbeddedScene, int]:
    """Make id switches: exchange the tails of tracklets of two people where they come closest.

    Args:
        scene: The scene.
        n_swaps: How many pairs of tracks, at most; a track takes part in one.

    Returns:
        The scene, and how many pairs there were.
    """
    who = people_of(scene)
    found = list(scene.embedded)
    touched: set[tuple[str, int]] = set()
    n_done = 0
    for _, i, j, time_s in _crossings(scene, who):
        tracks = {_track(found[i]), _track(found[j])}
        if n_done == n_swaps or tracks & touched:
            continue
        _swap(found, i, j, time_s)
        touched |= tracks
        n_done += 1
    return replace(scene, embedded=found), n_done


def _track(e: Embedded) -> tuple[str, int]:
    return e.tracklet.camera, e.tracklet.track_id


def people_of(scene: EmbeddedScene) -> Array:
    """The true person of each tracklet (n,), below 0 for nobody."""
    alone = [Person(number, (e.tracklet,), ()) for number, e in enumerate(scene.embedded)]
    matches = synthetic_scenes.matched(scene, alone)
    found = np.concatenate([match.results.ids for match in matches])
    truth = np.concatenate([synthetic_scenes.true_ids(match) for match in matches])
    most = synthetic_scenes.most(found, truth)
    return np.array([most[number] for number in range(len(alone))], np.int64)


def part(e: Embedded, keep: Array) -> list[Embedded]:
    """Keep some rows of a tracklet, and the crops from their time.

    Args:
        e: The tracklet, of n rows.
        keep: (n,) bool.

    Returns:
        One tracklet, or none where no row is kept.
    """
    return [e.rows(keep)] if keep.any() else []


def _embedded(
    tracklet: Tracklet, crop_embeddings: Array, quality: Array, times_s: Array, otherwise: Array
) -> Embedded:
    embedding = pool(crop_embeddings, quality) if len(crop_embeddings) else otherwise
    return Embedded(tracklet, embedding, crop_embeddings, quality, times_s)


def _crossings(scene: EmbeddedScene, who: Array) -> list[tuple[float, int, int, float]]:
    """Where two people are closest in one camera, the closest first.

    Returns:
        Minus the IoU, the two tracklets, and the time in seconds.
    """
    found = []
    for i, first in enumerate(scene.embedded):
        for j in range(i + 1, len(scene.embedded)):
            second = scene.embedded[j]
            is_same_camera = first.tracklet.camera == second.tracklet.camera
            is_known = who[i] >= 0 and who[j] >= 0
            if not is_same_camera or not is_known or who[i] == who[j]:
                continue
            closest = _closest(first.tracklet, second.tracklet)
            if closest is not None:
                overlap, time_s = closest
                found.append((-overlap, i, j, time_s))
    return sorted(found)


def _closest(a: Tracklet, b: Tracklet) -> tuple[float, float] | None:
    """Largest IoU of two tracklets and its time, `MIN_SIDE_S` from their ends; None where apart."""
    low_s = max(a.first_s, b.first_s) + MIN_SIDE_S
    high_s = min(a.last_s, b.last_s) - MIN_SIDE_S
    common = np.intersect1d(a.times_s, b.times_s)
    common = common[(common >= low_s) & (common <= high_s)]
    if len(common) == 0:
        return None
    a_boxes = a.boxes[np.isin(a.times_s, common)]
    b_boxes = b.boxes[np.isin(b.times_s, common)]
    overlaps = np.diag(iou(a_boxes, b_boxes))
    best = overlaps.argmax()
    return float(overlaps[best]), float(common[best])


def _swap(found: list[Embedded], i: int, j: int, time_s: float) -> None:
    """Exchange two tracks from `time_s` on, later pieces included."""
    first = found[i]
    second = found[j]
    camera = first.tracklet.camera
    first_id = first.tracklet.track_id
    second_id = second.tracklet.track_id
    exchanged = {first_id: second_id, second_id: first_id}
    for number, e in enumerate(found):
        tracklet = e.tracklet
        is_of_these = tracklet.camera == camera and tracklet.track_id in exchanged
        if is_of_these and tracklet.first_s > time_s:
            renamed = replace(tracklet, track_id=exchanged[tracklet.track_id])
            found[number] = replace(e, tracklet=renamed)
    found[i] = _joined(first, second, time_s)
    found[j] = _joined(second, first, time_s)


def _joined(first: Embedded, second: Embedded, time_s: float) -> Embedded:
    """The first tracklet until `time_s`, and the second from then on."""
    head = first.tracklet
    tail = second.tracklet
    is_head = head.times_s < time_s
    is_tail = tail.times_s >= time_s
    mixed = replace(
        head,
        frames=np.concatenate([head.frames[is_head], tail.frames[is_tail]]),
        times_s=np.concatenate([head.times_s[is_head], tail.times_s[is_tail]]),
        boxes=np.concatenate([head.boxes[is_head], tail.boxes[is_tail]]),
        scores=np.concatenate([head.scores[is_head], tail.scores[is_tail]]),
    )
    early = first.crop_times_s < time_s
    late = second.crop_times_s >= time_s
    crops = np.concatenate([first.crop_embeddings[early], second.crop_embeddings[late]])
    quality = np.concatenate([first.crop_quality[early], second.crop_quality[late]])
    crop_times_s = np.concatenate([first.crop_times_s[early], second.crop_times_s[late]])
    return _embedded(mixed, crops, quality, crop_times_s, first.embedding)
