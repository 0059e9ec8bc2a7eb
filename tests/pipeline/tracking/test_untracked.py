"""Boxes that belong to no track are counted, and told where they are many."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import cli
from pipeline.records import Tracklet
from pipeline.tracking import untracked
from tests.videos import write_video


def tracklet(camera: str, *scores: float) -> Tracklet:
    n = len(scores)
    return Tracklet(
        camera,
        1,
        np.arange(n),
        np.arange(n) / 10,
        np.tile(np.array([0, 0, 10, 20], np.float32), (n, 1)),
        np.array(scores, np.float32),
        np.zeros((0, 256, 128, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
    )


def test_boxes_of_tracks_are_counted_by_camera_from_the_score_that_can_start_a_track() -> None:
    tracklets = [tracklet("a", 0.9, 0.4), tracklet("a", 0.5), tracklet("b", 0.1)]
    assert untracked.count_tracked(tracklets, 0.5) == {"a": 2, "b": 0}


@pytest.mark.parametrize(("n_tracked", "is_told"), [(1000, False), (905, False), (880, True)])
def test_many_boxes_without_a_track_are_told_with_their_number(
    n_tracked: int, is_told: bool
) -> None:
    lines = untracked.warnings({"gate": 1000}, {"gate": n_tracked}, {"gate": 0.04})
    told = [f"gate: {1000 - n_tracked} of 1,000 boxes belong to no track"] if is_told else []
    assert [line.split(";")[0] for line in lines] == told


def test_a_camera_without_any_box_is_not_told() -> None:
    assert untracked.warnings({"gate": 0}, {}, {"gate": 0.04}) == []


def test_people_seen_in_single_frames_of_a_slow_camera_are_told_in_run_json(
    tmp_path: Path,
) -> None:
    video = write_video(tmp_path / "slow.mp4", n_frames=20, fps=1)
    once = "".join(f"{i},-1,{10 + 30 * (i % 3)},10,12,30,0.9\n" for i in range(1, 21, 3))
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "slow.txt").write_text(once)
    arguments = ["--videos", str(video), "--no-video", "--quiet", "--output", str(tmp_path / "out")]
    settings = ["--set", f"detector.detections={tmp_path / 'boxes'}", "--set", "reid.weights=none"]
    assert cli.main([*arguments, *settings]) == 0
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (manifest["cameras"][0]["n_boxes"], manifest["cameras"][0]["n_boxes_in_tracks"]) == (
        7,
        0,
    )
    assert any("7 of 7 boxes belong to no track; frames are 1 s" in w for w in manifest["warnings"])
