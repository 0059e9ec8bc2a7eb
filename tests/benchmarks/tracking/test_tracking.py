"""The benchmark of trackers drives and scores them as it says."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tracking import __main__ as trackers
from benchmarks.tracking import peers
from pipeline import mot
from pipeline.config import TrackerConfig
from pipeline.evaluate.boxes import Rows, Truth
from pipeline.records import Detections


def mini_mot(folder: Path) -> Path:
    """Two people who walk past each other for 40 frames, found without a miss."""
    sequence = folder / "MOT17-99"
    sequence.mkdir(parents=True)
    (sequence / "seqinfo.ini").write_text("[Sequence]\nname=x\nframeRate=20\nseqLength=40\n")
    rows = [
        (f, i, np.array([x, 50 * i, x + 30, 50 * i + 90]))
        for f in range(40)
        for i, x in ((1, 5 * f), (2, 300 - 5 * f))
    ]
    (sequence / "gt.txt").write_text("".join(mot.line(f, i, box, 1) for f, i, box in rows))
    (sequence / "det.txt").write_text("".join(mot.line(f, -1, box, 0.9) for f, _, box in rows))
    return folder


def test_trackers_scores_a_set_and_writes_a_line_that_a_later_run_can_be_set_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.jsonl"
    command = [
        "x",
        "--data",
        str(mini_mot(tmp_path / "mot")),
        "--only",
        "ours",
        "--parts",
        "accuracy",
        "--jsonl",
        str(lines),
    ]
    monkeypatch.setattr(sys, "argv", command)
    trackers.main()
    assert "MOT15: skipped" in capsys.readouterr().out
    line = json.loads(lines.read_text())
    scores = line["results"]["MOT17, DETR boxes"]["ours"]
    assert scores["IDF1"] > 0.9
    assert scores["IDSW"] == 0
    assert {"time", "version", "git", "machine", "packages", "settings"} <= line.keys()


def test_trackers_measures_updates_a_second() -> None:
    assert trackers.speed(peers.ours(), 20, seconds=0.05) > 0


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_peers_that_are_installed_track_and_the_others_are_skipped_by_name(name: str) -> None:
    found, missing = peers.installed()
    if name in missing:
        pytest.skip(f"{name} is not installed: {missing[name]}")
    sequence_boxes = [np.array([[5 * f, 50, 5 * f + 30, 140]], np.float32) for f in range(20)]
    update = found[name](20.0)
    seen = [
        update(boxes, np.array([0.9], np.float32), f / 20, f)
        for f, boxes in enumerate(sequence_boxes)
    ]
    ids = {int(i) for _, these, _ in seen for i in these}
    assert len(ids) == 1
    assert np.abs(seen[-1][2] - sequence_boxes[-1]).max() < 10


def walking(n_frames: int) -> trackers.Recording:
    """Somebody who walks, found in every frame."""
    at = np.array([[2 * f, 50, 2 * f + 40, 140] for f in range(n_frames)], np.float32)
    number, one = np.arange(n_frames), np.ones(n_frames, np.int64)
    truth = Truth(Rows(number, at, one, one, one), np.ones(n_frames, bool))
    return trackers.Recording(
        "walk",
        20.0,
        truth,
        {f: Detections(at[[f]], np.array([0.9], np.float32)) for f in range(n_frames)},
    )


@pytest.mark.parametrize(("step", "n_frames"), [(1, 60), (3, 20), (0, 28)])
def test_a_tracker_is_scored_on_the_frames_that_it_was_given(step: int, n_frames: int) -> None:
    thin = trackers.thinned(walking(60), step)
    assert len(thin.frames) == len(thin.truth.rows.frames) == n_frames
    assert thin.fps == pytest.approx(20 * n_frames / 60)
    scores = trackers.accuracy(peers.ours(), [walking(60)], step)
    assert scores["IDF1"] > 0.85
    assert scores["IDSW"] == 0


def test_the_ablation_and_the_week_tell_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trackers.ablation([walking(40)])
    assert found["ours"]["IDF1"] > found["ours, as a screen shows it"]["IDF1"] > 0.8
    assert found.keys() > trackers.ABLATION.keys()
    monkeypatch.setattr(trackers, "DAY_S", 20)
    first, second = trackers.week(2)
    assert second["ids"] >= first["ids"] > 0
    assert second["us"] > 0


def test_the_ablation_changes_settings_alone() -> None:
    default = TrackerConfig()
    changed = [TrackerConfig(**settings) for settings in trackers.ABLATION.values()]
    assert changed[0] == default
    assert all(config != default for config in changed[1:])


def test_parts_that_need_recordings_ask_for_their_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--parts", "rates"])
    with pytest.raises(SystemExit):
        trackers.main()
    assert "--data DIR is needed" in capsys.readouterr().err
