"""What scores mean is learned from what was expected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import TrackerConfig
from pipeline.records import Array, Detections
from pipeline.tracking.confidence import Confidence
from pipeline.tracking.tracker import Tracker

SCORES = np.linspace(0, 1, 101)
FPS = 25


def taught(share: dict[float, float], n_frames: int = 400) -> Confidence:
    """Frames with ten boxes of every score, of which a share is expected."""
    confidence = Confidence()
    scores = np.repeat(list(share), 10)
    for i in range(n_frames):
        expected = np.concatenate([(np.arange(10) + i) % 10 < 10 * s for s in share.values()])
        confidence.learn(scores, expected)
    return confidence


def test_at_first_scores_are_taken_at_their_word() -> None:
    assert Confidence().of(SCORES) == pytest.approx(np.clip(SCORES, 0.05, 0.95))


@pytest.mark.parametrize(("score", "share"), [(0.15, 0.7), (0.15, 0.1), (0.55, 0.3), (0.85, 0.5)])
def test_what_comes_true_more_or_less_often_than_its_score_is_found_out(
    score: float, share: float
) -> None:
    assert taught({score: share, 0.95: 1.0}).of(np.array([score])) == pytest.approx(share, abs=0.05)


def test_the_best_common_score_keeps_its_word_where_nothing_can_be_followed() -> None:
    found = taught({0.35: 0.1, 0.85: 0.3}).of(np.array([0.35, 0.85]))
    assert found[1] == pytest.approx(0.85, abs=0.05) and found[0] == pytest.approx(0.275, abs=0.05)


def test_weak_false_alarms_in_an_empty_street_stay_weak() -> None:
    assert taught({0.15: 0.0}).of(np.array([0.15])) < 0.2


def test_the_meaning_changes_with_the_light() -> None:
    confidence = taught({0.45: 0.9, 0.95: 1.0})
    for _ in range(600):
        confidence.learn(np.full(10, 0.45), np.zeros(10, bool))
    assert confidence.of(np.array([0.45])) < 0.2


@given(st.lists(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30), max_size=20))
def test_confidence_is_a_probability_whatever_is_seen_and_in_whatever_order(
    frames: list[list[tuple[float, bool]]],
) -> None:
    forth, back = Confidence(), Confidence()
    for rows in frames:
        for confidence, some in ((forth, rows), (back, rows[::-1])):
            confidence.learn(np.array([s for s, _ in some]), np.array([e for _, e in some], bool))
    assert ((forth.of(SCORES) >= 0) & (forth.of(SCORES) <= 1)).all()
    assert (forth.of(SCORES) == back.of(SCORES)).all()


def street(n_frames: int, rng: np.random.Generator, weak_are_people: bool) -> list[Detections]:
    """Six people on a line who are scored 0.9 or, one frame in three, 0.15; or always 0.9, with
    false alarms of 0.15.
    """
    frames = []
    for i in range(n_frames):
        x = 100.0 + 200 * np.arange(6) + 2 * i
        weak = rng.random(6) < 1 / 3
        boxes = np.stack([x, np.full(6, 100), x + 40, np.full(6, 200)], axis=1)
        scores = np.where(weak & weak_are_people, 0.15, 0.9)
        if not weak_are_people:
            at = rng.uniform((0, 300), (1200, 900), (3, 2))
            boxes = np.concatenate([boxes, np.concatenate([at, at + np.array([40, 100])], axis=1)])
            scores = np.append(scores, [0.15] * 3)
        frames.append(Detections(boxes.astype(np.float32), scores.astype(np.float32)))
    return frames


def newcomers(weak_are_people: bool, calibrate_scores: bool) -> int:
    """How many get an id who enter a street late, where they are always scored 0.15."""
    tracker, found = Tracker(TrackerConfig(calibrate_scores=calibrate_scores)), set[int]()
    for i, frame in enumerate(street(400, np.random.default_rng(0), weak_are_people)):
        boxes, scores = frame.boxes, frame.scores
        if i >= 300:
            late: Array = np.array(
                [[500 + 150 * k, 500, 540 + 150 * k, 600] for k in range(3)], np.float32
            )
            boxes, scores = np.concatenate([boxes, late]), np.append(scores, np.float32([0.15] * 3))
        found |= set(tracker.update(Detections(boxes, scores), i / FPS, i).track_ids.tolist())
    return len(found) - 6


@pytest.mark.parametrize(
    ("weak_are_people", "calibrate_scores", "expected"),
    [(True, True, 3), (True, False, 0), (False, True, 0), (False, False, 0)],
)
def test_weak_boxes_start_tracks_only_where_weak_boxes_are_people(
    weak_are_people: bool, calibrate_scores: bool, expected: int
) -> None:
    assert newcomers(weak_are_people, calibrate_scores) == expected


def test_a_swinging_camera_does_not_stop_the_tracker_from_starting_tracks() -> None:
    rng, tracker, late = np.random.default_rng(0), Tracker(TrackerConfig()), set[int]()
    for i in range(600):
        shift = (
            0.0 if i % 12 < 8 else float(rng.uniform(-400, 400))
        )  # it stands still for 8 frames, then looks around for 4
        x = 600.0 + 100 * np.arange(4) + shift
        boxes = np.stack([x, np.full(4, 100), x + 40, np.full(4, 200)], axis=1).astype(np.float32)
        tracks = tracker.update(Detections(boxes, np.full(4, 0.7, np.float32)), i / FPS, i)
        late |= {k for k in tracks.track_ids.tolist() if i > 300}
    assert len(late) >= 4
