"""Perturbations of a synthetic scene: a clock that is off, a dead camera, people who look alike,
tracks that go over from one person to another.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.linking import synthetic_scenes
from benchmarks.linking.synthetic_scenes import SyntheticScene
from models.boxes import iou
from pipeline.evaluate import boxes
from pipeline.records import Array, Embedded, Person, Tracklet
from pipeline.vectors import pool, unit

MIN_SIDE_S = 1.0
"""A swap leaves so much of both tracklets on either side."""


def late_clock(scene: SyntheticScene, camera: str, offset_s: float) -> SyntheticScene:
    """Let the clock of one camera show `offset_s` more than it should."""
    return replace(
        scene,
        embedded=[
            e.shifted(offset_s) if e.tracklet.camera == camera else e for e in scene.embedded
        ],
    )


def dead_camera(scene: SyntheticScene, camera: str) -> SyntheticScene:
    """Let a camera see nothing in the middle third of its time: tracks end there, and others begin;
    nothing of it is truth.
    """
    n = scene.cameras[camera].n_frames
    new_id = 1 + max(e.tracklet.track_id for e in scene.embedded)
    found: list[Embedded] = []
    for number, e in enumerate(scene.embedded):
        t = e.tracklet
        if t.camera != camera:
            found.append(e)
            continue
        early, late = part(e, t.frames < n // 3), part(e, t.frames >= 2 * n // 3)
        renamed = [
            replace(p, tracklet=replace(p.tracklet, track_id=new_id + number, ambiguous=False))
            for p in late
        ]
        found += [*early, *(renamed if early or t.frames[0] < 2 * n // 3 else late)]
    truth = scene.truth[camera]
    alive = boxes.only(truth, range(n // 3)), boxes.only(truth, range(2 * n // 3, n))
    left = boxes.Truth(
        synthetic_scenes.stack([a.rows for a in alive]), np.concatenate([a.counts for a in alive])
    )
    return replace(scene, embedded=found, truth={**scene.truth, camera: left})


def without_dead(scene: SyntheticScene, people: Sequence[Person], camera: str) -> list[Person]:
    """Take out of people what the dead camera would not have seen."""
    n = scene.cameras[camera].n_frames

    def alive(t: Tracklet) -> list[Tracklet]:
        keep = (
            (t.frames < n // 3) | (t.frames >= 2 * n // 3)
            if t.camera == camera
            else np.ones(len(t.frames), bool)
        )
        return [t.rows(keep)] if keep.any() else []

    return [
        replace(p, tracklets=tuple(part for t in p.tracklets for part in alive(t))) for p in people
    ]


def twins(scene: SyntheticScene, n_pairs: int) -> SyntheticScene:
    """Make pairs of people look alike: the second of each is half made of the first. Those seen
    most are paired first.
    """
    who = people_of(scene)
    seen = sorted(
        set(who[who >= 0].tolist()), key=lambda person: (-int((who == person).sum()), person)
    )
    found = list(scene.embedded)
    for first, second in zip(seen[: 2 * n_pairs : 2], seen[1 : 2 * n_pairs : 2], strict=True):
        model = unit(
            np.mean([scene.embedded[i].embedding for i in np.flatnonzero(who == first)], axis=0)
        )
        for i in np.flatnonzero(who == second).tolist():
            e = found[i]
            crop_embeddings = unit((e.crop_embeddings.astype(np.float32) + model) / 2).astype(
                np.float16
            )
            found[i] = replace(
                e, embedding=unit((e.embedding + model) / 2), crop_embeddings=crop_embeddings
            )
    return replace(scene, embedded=found)


def swaps(scene: SyntheticScene, n_swaps: int) -> tuple[SyntheticScene, int]:
    """Exchange the tails of tracklets of two people where they come closest; returns how many pairs
    there were.
    """
    who = people_of(scene)
    found, touched, done = list(scene.embedded), set[tuple[str, int]](), 0
    for _, i, j, time_s in _crossings(scene, who):
        tracks = {(t.camera, t.track_id) for t in (found[i].tracklet, found[j].tracklet)}
        if done == n_swaps or tracks & touched:
            continue
        _swap(found, i, j, time_s)
        touched |= tracks
        done += 1
    return replace(scene, embedded=found), done


def people_of(scene: SyntheticScene) -> Array:
    """The true person of each tracklet (n,), below 0 for nobody."""
    alone = [Person(k, (e.tracklet,), ()) for k, e in enumerate(scene.embedded)]
    met = synthetic_scenes.matched(scene, alone)
    most = synthetic_scenes.most(
        np.concatenate([s.results.ids for s in met]),
        np.concatenate([synthetic_scenes.true_ids(s) for s in met]),
    )
    return np.array([most[k] for k in range(len(alone))], np.int64)


def part(e: Embedded, keep: Array) -> list[Embedded]:
    """Keep these rows (n,) of a tracklet, and the crops from their time; nothing if there are
    none.
    """
    return [e.rows(keep)] if keep.any() else []


def _embedded(
    t: Tracklet, crop_embeddings: Array, quality: Array, times_s: Array, otherwise: Array
) -> Embedded:
    return Embedded(
        t,
        pool(crop_embeddings, quality) if len(crop_embeddings) else otherwise,
        crop_embeddings,
        quality,
        times_s,
    )


def _crossings(scene: SyntheticScene, who: Array) -> list[tuple[float, int, int, float]]:
    """Where two people are closest in one camera: minus the IoU, their tracklets, and when; the
    closest first.
    """
    found = []
    for i, first in enumerate(scene.embedded):
        a = first.tracklet
        for j in range(i + 1, len(scene.embedded)):
            b = scene.embedded[j].tracklet
            if a.camera != b.camera or who[i] == who[j] or min(who[i], who[j]) < 0:
                continue
            low, high = max(a.first_s, b.first_s) + MIN_SIDE_S, min(a.last_s, b.last_s) - MIN_SIDE_S
            common = np.intersect1d(a.times_s, b.times_s)
            common = common[(common >= low) & (common <= high)]
            if len(common):
                alike = np.diag(
                    iou(a.boxes[np.isin(a.times_s, common)], b.boxes[np.isin(b.times_s, common)])
                )
                found.append((-float(alike.max()), i, j, float(common[alike.argmax()])))
    return sorted(found)


def _swap(found: list[Embedded], i: int, j: int, time_s: float) -> None:
    """Let tracks go over into each other from `time_s` on, later pieces included."""
    ids = {
        found[i].tracklet.track_id: found[j].tracklet.track_id,
        found[j].tracklet.track_id: found[i].tracklet.track_id,
    }
    camera = found[i].tracklet.camera
    joined = _joined(found[i], found[j], time_s), _joined(found[j], found[i], time_s)
    for k, e in enumerate(found):
        t = e.tracklet
        if t.camera == camera and t.track_id in ids and t.first_s > time_s:
            found[k] = replace(e, tracklet=replace(t, track_id=ids[t.track_id]))
    found[i], found[j] = joined


def _joined(first: Embedded, second: Embedded, time_s: float) -> Embedded:
    a, b = first.tracklet, second.tracklet
    head, tail = a.times_s < time_s, b.times_s >= time_s
    columns = (
        np.concatenate([getattr(a, k)[head], getattr(b, k)[tail]])
        for k in ("frames", "times_s", "boxes", "scores")
    )
    frames, times_s, at, certain = columns
    early, late = first.crop_times_s < time_s, second.crop_times_s >= time_s
    crop_embeddings, quality, crop_times_s = (
        np.concatenate([getattr(first, k)[early], getattr(second, k)[late]])
        for k in ("crop_embeddings", "crop_quality", "crop_times_s")
    )
    mixed = replace(a, frames=frames, times_s=times_s, boxes=at, scores=certain)
    return _embedded(mixed, crop_embeddings, quality, crop_times_s, first.embedding)
