"""Every box that IDF1 counts as lost has one cause, and only causes that are there are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluate import __main__ as command
from pipeline.evaluate import boxes, losses, scores
from pipeline.evaluate.boxes import Rows, Scene, Truth
from tests.pipeline.evaluate.test_evaluate import stay, write

Row = tuple[int, int, int, int]
"""Frame, place, person or tracklet, identity."""
N_PEOPLE = 3
N_FRAMES = 5
N_PLACES = 4
CROWDED_PX = 3.0
"""So near that each box also matches those beside it."""


def rows_of(listed: list[Row], apart_px: float) -> Rows:
    """Boxes of 10 x 20 px side by side."""
    values = np.array(listed, np.int64).reshape(-1, 4)
    frames, places, tracklets, ids = values.T
    left = apart_px * places
    zeros = np.zeros(len(left))
    sides = np.stack([left, zeros, left + 10, zeros + 20], axis=1).astype(np.float32)
    return Rows(frames, sides, ids, tracklets, tracklets)


def scene(camera: str, results: list[Row], truth: list[Row], apart_px: float = 20) -> Scene:
    wanted = Truth(rows_of(truth, apart_px), np.ones(len(truth), np.bool_))
    return boxes.match_frames(camera, rows_of(results, apart_px), wanted)


def seen(person: int, frames: range, tracklet: int, identity: int) -> list[Row]:
    """Somebody who stays at the place of their number."""
    return [(frame, person, tracklet, identity) for frame in frames]


def true(person: int, frames: range) -> list[Row]:
    return seen(person, frames, person, person)


def lost(*scenes: Scene) -> dict[str, int]:
    """The boxes that are lost, by cause, without causes of nothing."""
    counts = losses.attribute(list(scenes)).n_lost
    return {cause: count for cause, count in counts.items() if count}


@st.composite
def cameras(draw: st.DrawFn, with_misses: bool = True) -> list[Scene]:
    """Two cameras: people at places, and tracklets that go anywhere and have any identity."""
    people = range(N_PEOPLE)
    apart_px = draw(st.sampled_from([20.0, CROWDED_PX])) if with_misses else 20.0
    scenes = []
    for number, camera in enumerate(("a", "b")):
        identity = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
        truth: list[Row] = []
        results: list[Row] = []
        for frame in range(N_FRAMES):
            places = draw(st.permutations(range(N_PLACES)))
            is_there = draw(st.lists(st.booleans(), min_size=N_PEOPLE, max_size=N_PEOPLE))
            present = [person for person in people if is_there[person]]
            truth += [(frame, places[person], person, person) for person in present]
            spots = list(range(N_PLACES)) if with_misses else [places[p] for p in present]
            tracklets = draw(st.permutations(range(4)))
            taken: set[int] = set()
            for place, tracklet in zip(spots, tracklets, strict=False):
                label = identity[tracklet] if with_misses else tracklet
                is_found = not with_misses or draw(st.booleans())
                if is_found and label not in taken:
                    taken.add(label)
                    results.append((frame, place, 10 * number + tracklet, label))
        scenes.append(scene(camera, results, truth, apart_px))
    return scenes


@settings(max_examples=120)
@given(cameras())
def test_idf1_and_its_losses_add_up_to_one_and_idf1_is_that_of_the_scores(
    scenes: list[Scene],
) -> None:
    labels = [each.results.ids for each in scenes]
    found = losses.attribute(scenes)
    assert found.n_right + sum(found.n_lost.values()) == found.n_boxes
    assert min(found.n_lost.values()) >= 0
    shares = found.shares()
    idf1 = scores.together(scenes, labels)["IDF1"]
    assert shares["IDF1"] == pytest.approx(idf1, nan_ok=True)
    if found.n_boxes:
        assert sum(shares.values()) == pytest.approx(1)


@settings(max_examples=80)
@given(cameras())
def test_with_links_by_truth_no_loss_is_one_of_links(scenes: list[Scene]) -> None:
    tracklets = scores.tracklet_numbers(scenes)
    followed = scores.followed_people(scenes, tracklets)
    oracle = scores.oracle_ids(tracklets, followed)
    found = losses.attribute(scenes, oracle).n_lost
    assert [found[cause] for cause in ("fragments", "missed merges", "wrong merges")] == [0] * 3


@settings(max_examples=80)
@given(cameras())
def test_with_tracklets_of_their_own_nobody_is_merged_with_anybody(scenes: list[Scene]) -> None:
    found = losses.attribute(scenes, scores.tracklet_numbers(scenes)).n_lost
    assert found["wrong merges"] == 0


@settings(max_examples=80)
@given(cameras(with_misses=False))
def test_where_every_box_is_found_and_no_other_none_is_missed_or_false(
    scenes: list[Scene],
) -> None:
    found = losses.attribute(scenes).n_lost
    assert found["missed boxes"] == found["false boxes"] == 0


@settings(max_examples=100)
@given(cameras())
def test_truth_given_as_results_loses_nothing(scenes: list[Scene]) -> None:
    perfect = []
    for each in scenes:
        frames = zip(range(N_FRAMES), each.truth_ids, strict=False)
        truth = [(frame, i, i, i) for frame, ids in frames for i in ids.tolist()]
        perfect.append(scene(each.camera, truth, truth))
    assert lost(*perfect) == {}


def test_a_missed_box_and_a_false_box_cost_one_each() -> None:
    truth = true(1, range(4)) + true(2, range(4))
    results = seen(1, range(4), 1, 1) + seen(2, range(3), 2, 2) + seen(7, range(2), 7, 7)
    assert lost(scene("a", results, truth)) == {"missed boxes": 1, "false boxes": 2}


def test_a_tracklet_that_goes_over_to_somebody_else_is_a_switch() -> None:
    truth = true(1, range(6)) + true(2, range(6))
    results = seen(1, range(4), 1, 1) + seen(2, range(4, 6), 1, 1) + seen(2, range(4), 2, 2)
    assert lost(scene("a", results, truth)) == {"missed boxes": 2, "switches": 4}


def test_a_second_identity_in_one_camera_is_a_fragment() -> None:
    results = seen(1, range(4), 1, 1) + seen(1, range(4, 6), 2, 2)
    assert lost(scene("a", results, true(1, range(6)))) == {"fragments": 4}


def test_a_second_identity_in_another_camera_is_a_missed_merge() -> None:
    there = scene("b", seen(1, range(3), 2, 2), true(1, range(3)))
    here = scene("a", seen(1, range(6), 1, 1), true(1, range(6)))
    assert lost(here, there) == {"missed merges": 6}


def test_two_people_under_one_identity_are_a_wrong_merge_of_who_has_less_of_it() -> None:
    here = scene("a", seen(1, range(6), 1, 1), true(1, range(6)))
    there = scene("b", seen(2, range(2), 2, 1), true(2, range(2)))
    assert lost(here, there) == {"wrong merges": 4}


def test_a_tracklet_of_somebody_who_owns_another_identity_is_lost_to_the_wrong_merge() -> None:
    here = scene("a", seen(1, range(6), 1, 1), true(1, range(6)))
    there = scene(
        "b",
        seen(2, range(2), 2, 1) + seen(2, range(2, 5), 3, 2),
        true(2, range(5)),
    )
    assert lost(here, there) == {"wrong merges": 4}


def test_two_people_who_change_identities_between_cameras_are_wrong_merges() -> None:
    frames = range(4)
    truth = true(1, frames) + true(2, frames)
    here = scene("a", seen(1, frames, 1, 1) + seen(2, frames, 2, 2), truth)
    there = scene("b", seen(1, frames, 3, 2) + seen(2, frames, 4, 1), truth)
    assert lost(here, there) == {"wrong merges": 16}


def test_the_command_prints_losses_that_add_up_to_100_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "r", {"a": stay(1, 1, 1, 8), "b": stay(2, 5)})
    truth = write(tmp_path / "t", {"a": stay(1, 1), "b": stay(1, 5)})
    words = [str(results), str(truth), "--losses", "--json", str(tmp_path / "s.json")]
    assert command.main(words) == 0
    printed = capsys.readouterr().out.split("what it loses to reach 100\n")[1].splitlines()
    shown = {line[:15].strip(): float(line.split()[-1]) for line in printed}
    assert list(shown) == ["IDF1", *losses.CAUSES]
    assert sum(shown.values()) == pytest.approx(100, abs=0.2)
    written = json.loads((tmp_path / "s.json").read_text())["losses"]
    assert written["missed merges"] == pytest.approx(16 / 38)
    assert written["missed boxes"] == pytest.approx(2 / 38)


def test_without_losses_asked_for_none_are_written(tmp_path: Path) -> None:
    rows = {"a": stay(1, 1)}
    results = write(tmp_path / "r", rows)
    truth = write(tmp_path / "t", rows)
    assert command.main([str(results), str(truth), "--json", str(tmp_path / "s.json")]) == 0
    assert "losses" not in json.loads((tmp_path / "s.json").read_text())
