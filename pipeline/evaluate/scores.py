"""How right results are: per camera, for all cameras together, and against two controls.

HOTA, CLEAR and identity come from TrackEval, the implementation that published numbers come from.
For all cameras together frames of different cameras are different frames, and there is one id
space: a person who changes id between cameras costs IDF1 and AssA as a switch within one camera
would. MOTA and switches are added up over the cameras, since a switch between the last frame of one
and the first of the next means nothing.

Two controls tell what linking adds and what is left: *local ids only* gives every track its own id,
*oracle links* gives every tracklet (a track, or a piece that linking may give to somebody else) the
id of the person in truth that it follows most.
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
Name = tuple[str | int, ...]
"""Camera, track and, of a tracklet, first frame."""


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of each camera and of all together (ours and the controls), of the links, and people
    counted and present.
    """

    cameras: dict[str, Scores]
    together: dict[str, Scores]
    link_precision: float
    link_recall: float
    people_found: int
    people_present: int


def score(scenes: list[Scene]) -> Report:
    """Score all cameras of a run."""
    ours = [scene.results.ids for scene in scenes]
    names = [_names(scene) for scene in scenes]
    tracks, tracklets = _numbered([[name[:2] for name in rows] for rows in names]), _numbered(names)
    followed = _followed(scenes, tracklets)
    oracle = [
        np.array([followed.get(t, -1 - t) for t in row.tolist()], np.int64) for row in tracklets
    ]
    precision, recall = _links(scenes, tracklets, followed)
    return Report(
        {
            scene.camera: together([scene], [labels])
            for scene, labels in zip(scenes, ours, strict=True)
        },
        {
            "ours": together(scenes, ours),
            "local ids only": together(scenes, tracks),
            "oracle links": together(scenes, oracle),
        },
        precision,
        recall,
        len(
            {
                i
                for scene in scenes
                for rows in scene.result_rows
                for i in scene.results.ids[rows].tolist()
            }
        ),
        len({i for scene in scenes for ids in scene.truth_ids for i in ids.tolist()}),
    )


def together(scenes: list[Scene], labels: Labels) -> Scores:
    """All metrics of some cameras as one sequence, 0..1 but for MOTA (can be negative) and IDSW (a
    count).
    """
    data = _trackeval(scenes, labels)
    hota, identity = (
        HOTA().eval_sequence(data),
        Identity({"PRINT_CONFIG": False}).eval_sequence(data),
    )
    clear = CLEAR({"PRINT_CONFIG": False})
    each = [
        clear.eval_sequence(_trackeval([s], [rows])) for s, rows in zip(scenes, labels, strict=True)
    ]
    added = clear.combine_sequences({str(i): one for i, one in enumerate(each)})
    found: Scores = {name: float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA")}
    found |= {name: float(identity[name]) for name in ("IDF1", "IDP", "IDR")}
    return found | {"MOTA": float(added["MOTA"]), "IDSW": float(added["IDSW"])}


def _trackeval(scenes: list[Scene], labels: Labels) -> dict[str, object]:
    """Cameras one after the other, ids numbered from 0, in TrackEval's form."""
    truth = [ids for scene in scenes for ids in scene.truth_ids]
    results = [
        rows[r] for scene, rows in zip(scenes, labels, strict=True) for r in scene.result_rows
    ]
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


def _names(scene: Scene) -> list[Name]:
    return [
        (scene.camera, *piece)
        for piece in zip(
            scene.results.tracks.tolist(), scene.results.tracklets.tolist(), strict=True
        )
    ]


def _numbered(names: list[list[Name]]) -> Labels:
    """Number what the rows of all cameras belong to 0, 1, 2..."""
    numbers: dict[Name, int] = {}
    return [
        np.array([numbers.setdefault(name, len(numbers)) for name in rows], np.int64)
        for rows in names
    ]


def _followed(scenes: list[Scene], tracklets: Labels) -> dict[int, int]:
    """Say which person each tracklet follows; those that follow nobody are left out."""
    votes: dict[int, Counter[int]] = {}
    for scene, rows in zip(scenes, tracklets, strict=True):
        for truth_ids, r, alike in zip(scene.truth_ids, scene.result_rows, scene.ious, strict=True):
            i, j = linear_sum_assignment(-np.where(alike >= MIN_IOU, alike, 0))
            met = alike[i, j] >= MIN_IOU
            for person, tracklet in zip(
                truth_ids[i[met]].tolist(), rows[r[j[met]]].tolist(), strict=True
            ):
                votes.setdefault(tracklet, Counter())[person] += 1
    return {tracklet: count.most_common(1)[0][0] for tracklet, count in votes.items()}


def _links(scenes: list[Scene], tracklets: Labels, followed: dict[int, int]) -> tuple[float, float]:
    """Precision and recall over pairs of tracklets that are one person; one that follows nobody
    belongs with no other.
    """
    pairs: set[tuple[int, int]] = set()
    for scene, labels in zip(scenes, tracklets, strict=True):
        rows = np.concatenate(
            [np.zeros(0, np.int64), *scene.result_rows]
        )  # without what counts neither for nor against
        pairs.update(zip(labels[rows].tolist(), scene.results.ids[rows].tolist(), strict=True))
    found = {(a, b) for a, p in pairs for b, q in pairs if a < b and p == q}
    true = {(a, b) for a, p in followed.items() for b, q in followed.items() if a < b and p == q}
    right = len(found & true)
    return right / len(found) if found else 1.0, right / len(true) if true else 1.0
