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

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from trackeval.metrics import CLEAR, HOTA, Identity

from pipeline.evaluate.boxes import MIN_IOU, Scene
from pipeline.records import Array

METRICS = ("HOTA", "DetA", "AssA", "IDF1", "IDP", "IDR", "MOTA", "IDSW")

Scores = dict[str, float]
"""nan where a score is not defined: a share of nothing, such as precision without results."""
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
    """Score all cameras of a run.

    Args:
        scenes: all cameras, as `boxes.match_frames` returns them.
    """
    ours = [scene.results.ids for scene in scenes]
    tracks = track_numbers(scenes)
    tracklets = tracklet_numbers(scenes)
    followed = followed_people(scenes, tracklets)
    oracle = oracle_ids(tracklets, followed)
    precision, recall = link_scores(scenes, tracklets, followed)
    cameras: dict[str, Scores] = {}
    people_found: set[int] = set()
    people_present: set[int] = set()
    for scene, labels in zip(scenes, ours, strict=True):
        cameras[scene.camera] = together([scene], [labels])
        people_found.update(labels[scored_rows(scene)].tolist())
        for truth_ids in scene.truth_ids:
            people_present.update(truth_ids.tolist())
    return Report(
        cameras=cameras,
        together={
            "ours": together(scenes, ours),
            "local ids only": together(scenes, tracks),
            "oracle links": together(scenes, oracle),
        },
        link_precision=precision,
        link_recall=recall,
        people_found=len(people_found),
        people_present=len(people_present),
    )


def together(scenes: list[Scene], labels: Labels) -> Scores:
    """Score some cameras as one sequence.

    Args:
        scenes: the cameras.
        labels: ids of their results.

    Returns:
        All metrics, 0..1, but for MOTA (can be negative) and IDSW (a count); nan where there is
        nothing that a metric could be computed over.
    """
    quiet = {"PRINT_CONFIG": False}
    data = _trackeval(scenes, labels)
    hota = HOTA().eval_sequence(data)
    identity = Identity(quiet).eval_sequence(data)
    clear = CLEAR(quiet)
    per_camera = {
        str(i): clear.eval_sequence(_trackeval([scene], [rows]))
        for i, (scene, rows) in enumerate(zip(scenes, labels, strict=True))
    }
    summed = clear.combine_sequences(per_camera)
    scores: Scores = {name: float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA")}
    scores |= {name: float(identity[name]) for name in ("IDF1", "IDP", "IDR")}
    scores["MOTA"] = float(summed["MOTA"])
    scores["IDSW"] = float(summed["IDSW"])
    return scores | dict.fromkeys(_undefined(data, hota), math.nan)


def _undefined(data: dict[str, Any], hota: dict[str, Any]) -> list[str]:
    """Metrics that are a share of nothing; TrackEval gives 0, 1 or large numbers for them."""
    names: list[str] = []
    if not data["num_gt_dets"]:
        names += ["IDR", "MOTA", "IDSW"]
    if not data["num_tracker_dets"]:
        names += ["IDP"]
    if not data["num_gt_dets"] and not data["num_tracker_dets"]:
        names += ["HOTA", "DetA", "IDF1"]
    if not np.any(hota["HOTA_TP"]):
        names += ["AssA"]
    return names


def plain(value: Any) -> Any:
    """Return nested scores as JSON has them: null where a score is not defined."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def in_words(value: float, decimals: int = 1, unit: str = "") -> str:
    """Return a score as text: a percentage of a share, "-" where it is not defined."""
    return "-" if math.isnan(value) else f"{100 * value:.{decimals}f}{unit}"


def _trackeval(scenes: list[Scene], labels: Labels) -> dict[str, Any]:
    """Cameras one after the other, ids numbered from 0, in TrackEval's form."""
    truth: list[Array] = []
    results: list[Array] = []
    ious: list[Array] = []
    for scene, ids in zip(scenes, labels, strict=True):
        truth += scene.truth_ids
        results += [ids[rows] for rows in scene.result_rows]
        ious += scene.ious
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
        "similarity_scores": ious,
    }


def _renumber(frames: list[Array]) -> tuple[list[Array], int]:
    """Number ids 0, 1, 2..., frame by frame; and how many there are."""
    if not frames:
        return [], 0
    values, numbers = np.unique(np.concatenate(frames), return_inverse=True)
    ends = np.cumsum([len(ids) for ids in frames])
    return np.split(numbers.astype(np.int64), ends[:-1]), len(values)


def track_numbers(scenes: list[Scene]) -> Labels:
    """Number the tracks of all cameras; return that of each row of the results."""
    return _numbered([[name[:2] for name in _names(scene)] for scene in scenes])


def tracklet_numbers(scenes: list[Scene]) -> Labels:
    """Number the tracklets of all cameras; return that of each row of the results."""
    return _numbered([_names(scene) for scene in scenes])


def _names(scene: Scene) -> list[Name]:
    """Tracklet of each row of the results."""
    tracks = scene.results.tracks.tolist()
    tracklets = scene.results.tracklets.tolist()
    return [
        (scene.camera, track, first_frame)
        for track, first_frame in zip(tracks, tracklets, strict=True)
    ]


def _numbered(names: list[list[Name]]) -> Labels:
    """Number what the rows of all cameras belong to 0, 1, 2..."""
    numbers: dict[Name, int] = {}
    labels: Labels = []
    for rows in names:
        of_rows = [numbers.setdefault(name, len(numbers)) for name in rows]
        labels.append(np.array(of_rows, np.int64))
    return labels


def scored_rows(scene: Scene) -> Array:
    """Return the rows of the results that count for or against, (k,) int64."""
    return np.concatenate([np.zeros(0, np.int64), *scene.result_rows])


def oracle_ids(tracklets: Labels, followed: dict[int, int]) -> Labels:
    """Give every tracklet the id of the person whom it follows most.

    Args:
        tracklets: the tracklet of each row, as `tracklet_numbers` returns it.
        followed: person by tracklet.

    Returns:
        The person of each row; a tracklet that follows nobody has a negative id of its own.
    """
    labels: Labels = []
    for rows in tracklets:
        ids = [followed.get(tracklet, -1 - tracklet) for tracklet in rows.tolist()]
        labels.append(np.array(ids, np.int64))
    return labels


def followed_people(scenes: list[Scene], tracklets: Labels) -> dict[int, int]:
    """Find the person in truth that each tracklet follows most.

    Args:
        scenes: all cameras.
        tracklets: the tracklet of each row, as `tracklet_numbers` returns it.

    Returns:
        Person by tracklet, without tracklets that follow nobody.
    """
    votes: dict[int, Counter[int]] = {}
    for scene, labels in zip(scenes, tracklets, strict=True):
        frames = zip(scene.truth_ids, scene.result_rows, scene.ious, strict=True)
        for truth_ids, rows, overlap in frames:
            in_truth, in_results = linear_sum_assignment(-np.where(overlap >= MIN_IOU, overlap, 0))
            is_match = overlap[in_truth, in_results] >= MIN_IOU
            people = truth_ids[in_truth[is_match]].tolist()
            matched = labels[rows[in_results[is_match]]].tolist()
            for person, tracklet in zip(people, matched, strict=True):
                votes.setdefault(tracklet, Counter())[person] += 1
    return {tracklet: count.most_common(1)[0][0] for tracklet, count in votes.items()}


def link_scores(
    scenes: list[Scene], tracklets: Labels, followed: dict[int, int]
) -> tuple[float, float]:
    """Return precision and recall over pairs of tracklets that are one person.

    A tracklet that follows nobody belongs with no other. nan where there are no pairs.

    Args:
        scenes: all cameras.
        tracklets: the tracklet of each row, as `tracklet_numbers` returns it.
        followed: person by tracklet, as `followed_people` returns it.
    """
    assigned: set[tuple[int, int]] = set()
    for scene, labels in zip(scenes, tracklets, strict=True):
        rows = scored_rows(scene)
        ids = scene.results.ids[rows]
        assigned.update(zip(labels[rows].tolist(), ids.tolist(), strict=True))
    found = _pairs_of_one_person(assigned)
    true = _pairs_of_one_person(followed.items())
    n_right = len(found & true)
    precision = n_right / len(found) if found else math.nan
    recall = n_right / len(true) if true else math.nan
    return precision, recall


def _pairs_of_one_person(assigned: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Pairs of tracklets, smaller first, that are assigned (tracklet, person) to one person."""
    people: dict[int, set[int]] = {}
    for tracklet, person in assigned:
        people.setdefault(person, set()).add(tracklet)
    pairs: set[tuple[int, int]] = set()
    for members in people.values():
        pairs.update(combinations(sorted(members), 2))
    return pairs
