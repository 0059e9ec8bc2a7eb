"""The benchmark of the whole program runs real systems and counts what it says."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pipeline import __main__ as benchmark
from benchmarks.pipeline import alternatives, scenes, systems, tables
from benchmarks.pipeline.alternatives import Found, Tracker
from benchmarks.pipeline.scenes import Scene
from benchmarks.pipeline.systems import COST, Options, Run, System
from models.errors import InputError
from pipeline import config as settings
from pipeline import mot
from tests.videos import write_beginning, write_video

N_FRAMES = 6
CAMERAS = ("cam1", "cam2")
BOX = np.array([10, 10, 30, 60], np.float32)
FAR = BOX + 200
RED, BLUE = np.eye(4, dtype=np.float32)[:2]


@pytest.fixture(scope="module")
def miniature(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of two cameras of the sample, with their truth."""
    folder = tmp_path_factory.mktemp("scenes") / "miniature"
    (folder / "truth").mkdir(parents=True)
    about = json.loads((sample / "cameras.json").read_text())
    about["cameras"] = [camera for camera in about["cameras"] if camera["name"] in CAMERAS]
    (folder / "cameras.json").write_text(json.dumps(about))
    for name in CAMERAS:
        write_beginning(sample / f"{name}.mp4", folder / f"{name}.mp4", N_FRAMES)
        shutil.copy(sample / "truth" / f"{name}.txt", folder / "truth")
    return folder


def took(frames: int = 10, wall_s: float = 1.0, cpu_s: float = 2.0, idf1: float = 0.5) -> Run:
    scored = dict.fromkeys(scenes.SCORES, idf1)
    return Run(frames, wall_s, cpu_s, 100.0, scored, {"detect": 3.0}, "")


def cost_of(folder: Path, program: str) -> tuple[int, dict[str, float]]:
    words = [sys.executable, "-I", str(COST), str(folder / "cost.json"), sys.executable, "-c"]
    done = subprocess.run([*words, program], check=False)
    return done.returncode, json.loads((folder / "cost.json").read_text())


def test_the_memory_of_a_command_is_not_that_of_the_process_that_measures_it(
    tmp_path: Path,
) -> None:
    held = np.ones(300 << 20, np.uint8)
    _, small = cost_of(tmp_path, "")
    assert small["peak_mib"] < 100
    _, large = cost_of(tmp_path, "x = b'1' * (200 << 20)")
    assert 200 < large["peak_mib"] < 300
    assert held.all()


def test_the_cpu_time_of_a_command_includes_that_of_its_children(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    _, cost = cost_of(
        tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    )
    assert cost["cpu_s"] > 0.5
    assert cost["wall_s"] > 0.5


def test_a_command_keeps_its_exit_code(tmp_path: Path) -> None:
    code, _ = cost_of(tmp_path, "raise SystemExit(7)")
    assert code == 7


def test_a_scene_without_a_list_of_cameras_has_its_videos_and_one_without_videos_is_refused(
    tmp_path: Path,
) -> None:
    for name in ("b", "a"):
        write_video(tmp_path / f"{name}.mp4", n_frames=2)
    scene = scenes.load(tmp_path)
    assert [video.name for video in scene.videos] == ["a", "b"]
    assert scene.truth is None
    assert all(math.isnan(value) for value in scenes.score(scene, tmp_path).values())
    with pytest.raises(InputError, match="no videos here"):
        scenes.load(tmp_path / "nowhere")


def test_frames_that_were_not_labelled_do_not_count(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth", tmp_path / "results"
    truth.mkdir()
    results.mkdir()
    (truth / "a.txt").write_text("".join(mot.line(frame, 1, BOX, 1) for frame in (5, 10, 15)))
    (results / "a.txt").write_text("".join(mot.line(frame, 1, BOX, 1) for frame in range(40)))
    cameras = [{"camera": "a", "n_frames": 40, "stride": 1}]
    (results / "run.json").write_text(json.dumps({"cameras": cameras}))
    assert scenes.labelled_frames([mot.read(truth / "a.txt")]) == range(0, 16, 5)
    found = scenes.score(Scene("s", (), truth), results)
    # the box in frame 0, which is labelled and empty, is wrong: 3 of 3 true and 3 of 4 found
    assert found["idf1"] == pytest.approx(6 / 7)
    assert found["local_idf1"] == pytest.approx(6 / 7)


def test_all_frames_count_where_each_was_labelled() -> None:
    rows = [[frame, 1, 0, 0, 1, 1] for frame in (5, 6, 9)]
    assert scenes.labelled_frames([np.array(rows)]) is None
    assert scenes.labelled_frames([np.array(rows[:1])]) is None


def test_tracks_are_matched_greedily_but_never_one_person_twice_in_a_frame() -> None:
    found = Found()
    found.add("a", 0, [1, 2], np.stack([BOX, FAR]), np.ones(2), np.stack([RED, RED]))
    found.add("b", 0, [1, 2], np.stack([BOX, FAR]), np.ones(2), np.stack([RED, BLUE]))
    assert list(alternatives.match_greedily(found).values()) == [1, 2, 1, 3]


def test_the_tracker_of_the_demo_joins_by_overlap_and_appearance_and_ends_lost_tracks() -> None:
    tracker = Tracker()
    both = np.stack([BOX, BOX + 2])
    assert tracker.update(both, np.stack([RED, BLUE]), 0) == [1, 2]
    assert tracker.update(both + 1, np.stack([BLUE, RED]), 1) == [2, 1]
    assert tracker.update(FAR[None], RED[None], 2) == [3]
    late = 2 + alternatives.MAX_LOST_FRAMES
    assert tracker.update(FAR[None], RED[None], late) == [3]
    assert tracker.update(BOX[None], RED[None], late) == [4]


@pytest.mark.slow
def test_threads_of_the_plain_script_are_those_that_are_asked_for(
    miniature: Path, tmp_path: Path
) -> None:
    config = tmp_path / "scene.yaml"
    scenes.load(miniature).write_config(config)
    given = settings.load(str(config), ["sources.max_seconds=0.1"])
    detector = alternatives.used("detector", "auto", "cpu")
    reid = alternatives.used("reid", "auto", "cpu")
    before = torch.get_num_threads()
    try:
        alternatives.plain(given, detector, reid)
        ordinary = torch.get_num_threads()
        alternatives.plain(given, detector, reid, n_threads=ordinary + 1)
        assert torch.get_num_threads() == ordinary + 1
    finally:
        torch.set_num_threads(before)


def test_medians_and_ratios_leave_out_what_failed() -> None:
    runs = [took(wall_s=1.0), None, took(wall_s=5.0), took(wall_s=2.0)]
    others = [took(wall_s=2.0), took(wall_s=100.0), None, took(wall_s=6.0)]
    assert systems.median(runs, "wall_s") == 2.0
    assert systems.median(runs, "idf1") == 0.5
    assert systems.ratio(runs, others, "frames_s") == pytest.approx(2.5)
    assert math.isnan(systems.median([None], "wall_s"))
    assert math.isnan(systems.ratio([None], others[:1], "frames_s"))


def test_tables_have_a_row_for_a_system_that_failed_and_geometric_means() -> None:
    runs = {"ours": [took()], "earlier": [took(wall_s=2.0)], "plain": [None]}
    assert tables.title("a", runs).startswith("a, 10 frames of all cameras, ours not in git")
    rows = tables.costs("", runs).splitlines()
    assert rows[1].split() == ["ours", "10.0", "1.0", "2.0", "200.0", "100", "50.0", "50.0"]
    assert rows[3].split() == ["plain"] + ["-"] * 7
    over = tables.ratios(runs)
    assert over["earlier"] == {"frames_s": 2.0, "cpu_ms": 1.0}
    text = tables.ratio_table({"a": over, "b": {"earlier": {"frames_s": 8.0, "cpu_ms": 4.0}}})
    assert "geometric mean            4.00          2.00" in text
    assert tables.stage_table(runs).splitlines()[1].split() == ["detect", "3.00", "3.00"]


def test_a_system_that_fails_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "a.mp4", n_frames=2)
    scene = scenes.load(tmp_path)
    fails = System("broken", ("-c", "raise SystemExit('first\\nthe disk is full')"))
    assert systems.run(fails, scene, Options()) is None
    name = tmp_path.name
    assert capsys.readouterr().out == f"{name}, broken: failed (1): the disk is full\n"


def test_systems_get_the_threads_of_the_user_and_not_those_that_the_product_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    product, _, plain, *_ = systems.all_systems(None, videos=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")  # as `models` does when it is imported
    monkeypatch.setattr(systems, "OMP_NUM_THREADS", None)
    assert "OMP_NUM_THREADS" not in product.environment()
    assert plain.environment()["OMP_NUM_THREADS"] == "1"
    monkeypatch.setattr(systems, "OMP_NUM_THREADS", "3")
    assert product.environment()["OMP_NUM_THREADS"] == "3"
    assert plain.environment()["OMP_NUM_THREADS"] == "3"


def test_the_threads_of_the_user_are_read_before_the_product_sets_its_own() -> None:
    program = "from benchmarks.pipeline import __main__, systems; print(systems.OMP_NUM_THREADS)"
    unset = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(
        words, check=True, cwd=scenes.ROOT, env=unset, capture_output=True, text=True
    )
    assert done.stdout.strip() == "None"


def test_the_plain_script_with_all_threads_runs_only_when_it_is_named() -> None:
    usual = benchmark._systems(benchmark.parse([]))
    assert [system.name for system in usual] == ["ours", "ours, rate=all", "plain", "demo"]
    (named,) = benchmark._systems(benchmark.parse(["--systems", "plain-threads"]))
    assert named.name == "plain-threads"


def test_what_is_not_there_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, reason in (
        (["--earlier", str(tmp_path)], "has no run_pipeline.py"),
        (["--systems", "theirs"], "there is no such row"),
        (["--reid", str(tmp_path / "reid.onnx")], "no such file"),
        (["--rounds", "0"], "expected 1 or more"),
    ):
        assert benchmark.main(words) == 2
        assert reason in capsys.readouterr().err


@pytest.mark.slow
def test_systems_run_on_a_scene_and_are_scored(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.jsonl"
    words = ["--parts", "systems", "--scenes", str(miniature), "--jsonl", str(kept)]
    assert benchmark.main([*words, "--systems", "ours", "plain", "demo"]) == 0
    out = capsys.readouterr().out
    assert f"miniature, {2 * N_FRAMES} frames of all cameras, ours" in out
    assert "failed" not in out
    (line,) = [json.loads(text) for text in kept.read_text().splitlines()]
    assert line["settings"]["weights"]["detector"]["sha256"]
    for name in ("ours", "plain", "demo"):
        (run,) = line["results"][name]
        assert run["frames"] == 2 * N_FRAMES
        assert run["scores"]["idf1"] > 0.3
        assert run["cpu_s"] > 1
        assert run["peak_mib"] > 200
    assert set(line["results"]["ours"][0]["stages_ms"]) >= {"detect", "track", "embed"}


@pytest.mark.slow
def test_cameras_and_rates_are_tabled_and_drawn(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    kept = tmp_path / "kept.jsonl"
    words = ["--parts", "cameras", "rates", "--scenes", str(miniature), "--jsonl", str(kept)]
    words += ["--cameras", "1", "3", "--rates", "3", "--plots", str(tmp_path / "plots")]
    assert benchmark.main(words) == 0
    assert "failed" not in capsys.readouterr().out
    cameras, rates = [json.loads(text) for text in kept.read_text().splitlines()]
    frames = {name: runs[0]["frames"] for name, runs in cameras["results"].items()}
    assert frames == {"1": N_FRAMES, "3": 3 * N_FRAMES}
    assert list(rates["results"]) == ["3"]
    for name in ("cameras.png", "rates.png"):
        assert (tmp_path / "plots" / name).read_bytes().startswith(b"\x89PNG")
