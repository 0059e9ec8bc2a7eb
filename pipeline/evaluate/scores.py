"""How right results are: per camera, for all cameras together, and against two controls.

HOTA, CLEAR and identity come from TrackEval, the implementation that published numbers come from. For all cameras together
frames of different cameras are different frames, and there is one id space: a person who changes id between cameras costs
IDF1 and AssA as a switch within one camera would. MOTA and switches are added up over the cameras, since a switch
between the last frame of one and the first of the next means nothing.

Two controls tell what linking adds and what is left: *local ids only* gives every track its own id, *oracle links* gives every
track the id of the person in truth that it follows most.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from trackeval.metrics import CLEAR, HOTA, Identity

from pipeline.evaluate.boxes import MIN_IOU, Scene
from pipeline.records import Array

METRICS = ("HOTA", "DetA", "AssA", "IDF1", "IDP", "IDR", "MOTA", "IDSW")

Scores = dict[str, float]
Labels = list[Array]
"""One id per row of `Scene.results`, for each scene."""


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of each camera and of all together (ours and the controls), of the links, and people counted and present."""

    cameras: dict[str, Scores]
    together: dict[str, Scores]
    link_precision: float
    link_recall: float
    people_found: int
    people_present: int


def score(scenes: list[Scene]) -> Report:
    """Score all cameras of a run."""
    ours = [scene.results.ids for scene in scenes]
    tracks, followed = _tracks(scenes)
    oracle = [np.array([followed.get(t, -1 - t) for t in row.tolist()], np.int64) for row in tracks]
    precision, recall = _links(scenes, tracks, followed)
    return Report(
        {scene.camera: together([scene], [labels]) for scene, labels in zip(scenes, ours, strict=True)},
        {
            "ours": together(scenes, ours),
            "local ids only": together(scenes, tracks),
            "oracle links": together(scenes, oracle),
        },
        precision,
        recall,
        len({i for scene in scenes for rows in scene.result_rows for i in scene.results.ids[rows].tolist()}),
        len({i for scene in scenes for ids in scene.truth_ids for i in ids.tolist()}),
    )


def together(scenes: list[Scene], labels: Labels) -> Scores:
    """All metrics of some cameras as one sequence, 0..1 but for MOTA (can be negative) and IDSW (a count)."""
    data = _trackeval(scenes, labels)
    hota, identity = HOTA().eval_sequence(data), Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    clear = CLEAR({"PRINT_CONFIG": False})
    each = [clear.eval_sequence(_trackeval([s], [rows])) for s, rows in zip(scenes, labels, strict=True)]
    added = clear.combine_sequences({str(i): one for i, one in enumerate(each)})
    found: Scores = {name: float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA")}
    found |= {name: float(identity[name]) for name in ("IDF1", "IDP", "IDR")}
    return found | {"MOTA": float(added["MOTA"]), "IDSW": float(added["IDSW"])}


def _trackeval(scenes: list[Scene], labels: Labels) -> dict[str, object]:
    """Cameras one after the other, ids numbered from 0, in TrackEval's form."""
    truth = [ids for scene in scenes for ids in scene.truth_ids]
    results = [rows[r] for scene, rows in zip(scenes, labels, strict=True) for r in scene.result_rows]
    truth, n_truth_ids = _renumber(truth)
    results, n_result_ids = _renumber(results)
    return {
        "num_timesteps": len(truth),
        "num_gt_ids": n_truth_ids,
        "num_tracker_ids": n_result_ids,
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, results)),
        "gt_ids": truth,
        "tracker_ids": results,
        "similarity_scores": [alike for scene in scenes for alike in scene.ious],
    }


def _renumber(frames: list[Array]) -> tuple[list[Array], int]:
    if not frames:
        return [], 0
    values, numbers = np.unique(np.concatenate(frames), return_inverse=True)
    return np.split(numbers.astype(np.int64), np.cumsum([len(f) for f in frames])[:-1]), len(values)


def _tracks(scenes: list[Scene]) -> tuple[Labels, dict[int, int]]:
    """Number the tracks of all cameras 0, 1, 2..., and say which person each follows; those that follow nobody are left out."""
    numbers: dict[tuple[str, int], int] = {}
    labels = [
        np.array([numbers.setdefault((scene.camera, t), len(numbers)) for t in scene.results.tracks.tolist()], np.int64)
        for scene in scenes
    ]
    votes: dict[int, Counter[int]] = {}
    for scene, rows in zip(scenes, labels, strict=True):
        for truth_ids, r, alike in zip(scene.truth_ids, scene.result_rows, scene.ious, strict=True):
            i, j = linear_sum_assignment(-np.where(alike >= MIN_IOU, alike, 0))
            met = alike[i, j] >= MIN_IOU
            for person, track in zip(truth_ids[i[met]].tolist(), rows[r[j[met]]].tolist(), strict=True):
                votes.setdefault(track, Counter())[person] += 1
    return labels, {track: count.most_common(1)[0][0] for track, count in votes.items()}


def _links(scenes: list[Scene], tracks: Labels, followed: dict[int, int]) -> tuple[float, float]:
    """Precision and recall over pairs of tracks that are one person; a track that follows nobody belongs with no other."""
    pairs: set[tuple[int, int]] = set()
    for scene, labels in zip(scenes, tracks, strict=True):
        rows = np.concatenate([np.zeros(0, np.int64), *scene.result_rows])  # without what counts neither for nor against
        pairs.update(zip(labels[rows].tolist(), scene.results.ids[rows].tolist(), strict=True))
    found = {(a, b) for a, p in pairs for b, q in pairs if a < b and p == q}
    true = {(a, b) for a, p in followed.items() for b, q in followed.items() if a < b and p == q}
    right = len(found & true)
    return right / len(found) if found else 1.0, right / len(true) if true else 1.0
