"""Scores against a plain transcription of COCO's rules, against pycocotools, and by hand."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from models.detector.scores import THRESHOLDS, Found, judge, score

NOBODY = np.zeros((0, 4))


def boxes(generator: np.random.Generator, n: int) -> Any:
    corner = generator.uniform(0, 60, (n, 2))
    return np.concatenate([corner, corner + generator.uniform(5, 40, (n, 2))], axis=1)


def crowd(seed: int, n_pictures: int = 6) -> list[Found]:
    """Pictures with found people, missed people, false alarms and regions to ignore."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(n_pictures):
        truth, ignored = (
            boxes(generator, generator.integers(0, 6)),
            boxes(generator, generator.integers(0, 3)),
        )
        near = truth[generator.random(len(truth)) < 0.8]
        found = np.concatenate(
            [near + generator.normal(0, 2, near.shape), boxes(generator, generator.integers(0, 5))]
        )
        found = np.concatenate([found, near[:2] + 1.0])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        pictures.append(
            Found(
                found,
                generator.permutation(len(found)) / 10 + generator.random(len(found)) / 100,
                truth,
                ignored,
            )
        )
    return pictures


def overlap(box: Any, other: Any) -> tuple[float, float]:
    """Intersection, area of `box`."""
    width = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    height = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    return width * height, (box[2] - box[0]) * (box[3] - box[1])


def plain_ap(pictures: list[Found], threshold: float) -> float:
    """COCO's average precision, one loop after the other."""
    answers = []
    for picture in pictures:
        taken: set[int] = set()
        for i in np.argsort(-picture.scores, kind="stable"):
            best, person = threshold, -1
            for j, truth in enumerate(picture.truth):
                both, area = overlap(picture.boxes[i], truth)
                iou = both / (area + overlap(truth, truth)[1] - both)
                if j not in taken and iou >= best:
                    best, person = iou, j
            inside = any(
                both / area >= threshold
                for both, area in (overlap(picture.boxes[i], region) for region in picture.ignored)
            )
            if person >= 0:
                taken.add(person)
                answers.append((picture.scores[i], 1))
            elif not inside:
                answers.append((picture.scores[i], 0))
    answers.sort(key=lambda answer: -answer[0])
    n_truth, right, curve = sum(len(picture.truth) for picture in pictures), 0, []
    for n, (_, good) in enumerate(answers, start=1):
        right += good
        curve.append((right / n_truth, right / n))
    levels = [
        max([precision for recall, precision in curve if recall >= r], default=0.0)
        for r in np.linspace(0, 1, 101)
    ]
    return sum(levels) / 101


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_a_plain_transcription(seed: int) -> None:
    pictures = crowd(seed)
    result = score(pictures)
    assert_allclose(result.ap50, plain_ap(pictures, 0.5), atol=1e-12)
    assert_allclose(result.ap, np.mean([plain_ap(pictures, t) for t in THRESHOLDS]), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_equals_pycocotools(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    pictures = crowd(seed, n_pictures=12)
    truth, found = coco.COCO(), []
    annotations: list[dict[str, Any]] = []
    for i, picture in enumerate(pictures, start=1):
        for rows, ignore in ((picture.truth, 0), (picture.ignored, 1)):
            for x1, y1, x2, y2 in rows:
                box = [x1, y1, x2 - x1, y2 - y1]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": i,
                        "category_id": 1,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": ignore,
                    }
                )
        for (x1, y1, x2, y2), confidence in zip(picture.boxes, picture.scores, strict=True):
            found.append(
                {
                    "image_id": i,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": confidence,
                }
            )
    truth.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(pictures))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]
    result = score(pictures)
    assert_allclose([result.ap50, result.ap], [precision[0].mean(), precision.mean()], atol=1e-9)


def test_one_false_alarm_a_frame_is_counted_over_the_whole_set() -> None:
    truth = np.array([[0.0, 0, 10, 20], [40, 0, 50, 20]])
    wrong = np.array([[80.0, 80, 90, 95]] * 3) + np.arange(3)[:, None] * 30
    first = Found(
        np.concatenate([truth[:1], wrong, truth[1:]]),
        np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        truth,
        NOBODY,
    )
    empty = Found(NOBODY, np.zeros(0), NOBODY, NOBODY)
    assert score([first]).recall == 0.5  # the second person comes after three false alarms
    assert score([first, empty]).recall == 0.5
    assert score([first, empty, empty]).recall == 1.0


def test_a_region_to_ignore_forgives_false_alarms_but_takes_nobody_away() -> None:
    truth, region = np.array([[10.0, 10, 20, 30]]), np.array([[0.0, 0, 50, 50]])
    found = np.array([[30.0, 10, 40, 30], [10, 10, 20, 30], [31, 10, 41, 30]])
    picture = Found(found, np.array([0.9, 0.8, 0.7]), truth, region)
    assert judge(picture)[:, 0].tolist() == [-1, 1, -1]
    assert score([picture]) == (1.0, 1.0, 1.0)
    assert score([picture._replace(ignored=NOBODY)]).ap50 == pytest.approx(0.5)


def test_finding_nothing_scores_nothing_and_nobody_to_find_has_no_score() -> None:
    truth = np.array([[10.0, 10, 20, 30]])
    assert score([Found(NOBODY, np.zeros(0), truth, NOBODY)]) == (0.0, 0.0, 0.0)
    assert score([Found(truth, np.ones(1), NOBODY, NOBODY)]) == (-1.0, -1.0, -1.0)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_scores_are_shares_and_only_the_order_of_confidence_counts(
    seed: int, factor: float
) -> None:
    pictures = crowd(seed, n_pictures=3)
    result = score(pictures)
    assert all(-1 <= value <= 1 for value in result)
    assert result == score(
        [picture._replace(scores=picture.scores * factor) for picture in pictures]
    )
    assert result.ap <= result.ap50 + 1e-12
