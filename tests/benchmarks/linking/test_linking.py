"""The benchmark of linking simulates what it says, and tells apart what it says it tells apart."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from benchmarks.linking import __main__ as linking
from benchmarks.linking import online, perturbations, site, synthetic_scenes
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline.config import LinkingConfig
from pipeline.records import Embedded, Person, Tracklet
from pipeline.vectors import pool
from tests.videos import write_video

LOOKS = np.eye(8, dtype=np.float32)
N_FRAMES = 60
FPS = 10


def walking(person: int) -> np.ndarray:
    """Boxes (N_FRAMES, 4) of somebody who crosses the picture, the odd ones from the right; all
    meet in the middle.
    """
    x = np.linspace(50, 450, N_FRAMES) if person % 2 == 0 else np.linspace(450, 50, N_FRAMES)
    return np.stack([x, np.full(N_FRAMES, 100.0), x + 40, np.full(N_FRAMES, 220.0)], axis=1).astype(
        np.float32
    )


def seen(camera: str, person: int, keep: slice = slice(None)) -> Embedded:
    """Somebody in one camera, found without a miss, who looks like nobody else."""
    frames = np.arange(N_FRAMES)[keep]
    n = len(frames)
    track = Tracklet(
        camera,
        10 + person,
        frames,
        frames / FPS,
        walking(person)[keep],
        np.full(n, 0.9, np.float32),
        np.zeros((0, 256, 128, 3), np.uint8),
        np.zeros(0, np.float32),
        np.zeros(0),
    )
    looks, quality = np.tile(LOOKS[person], (4, 1)), np.full(4, 0.5, np.float32)
    return Embedded(
        track,
        pool(looks, quality),
        looks.astype(np.float16),
        quality,
        np.linspace(*track.times_s[[0, -1]], 4),
    )


def people(*members: list[Embedded]) -> list[Person]:
    return [
        Person(number, tuple(e.tracklet for e in of), ()) for number, of in enumerate(members, 1)
    ]


@pytest.fixture(scope="module")
def day() -> site.Site:
    """The first tracklets of a simulated day."""
    return site.simulate(1000)


def test_a_shorter_simulated_day_is_the_beginning_of_a_longer_one(day: site.Site) -> None:
    short = site.simulate(150)
    assert len(short.embedded) == 150
    keys = sorted(e.tracklet.key for e in day.embedded)
    assert [e.tracklet.key for e in short.embedded] == keys[:150]
    assert (short.people == day.people[:150]).all()
    assert len(day.cameras) == 100


def test_simulated_people_are_in_one_place_at_a_time(day: site.Site) -> None:
    for person in np.unique(day.people):
        mine = [day.embedded[i].tracklet for i in np.flatnonzero(day.people == person)]
        for a, b in combinations(mine, 2):
            if min(a.last_s, b.last_s) >= max(a.first_s, b.first_s):
                assert a.camera != b.camera
                assert all(day.cameras[t.camera].homography.size for t in (a, b))


def test_simulated_people_look_like_themselves(day: site.Site) -> None:
    rows = np.stack([e.embedding for e in day.embedded])
    cameras = np.array([e.tracklet.camera for e in day.embedded])
    elsewhere = cameras[:, None] != cameras
    alike, same = rows @ rows.T, day.people[:, None] == day.people
    assert alike[same & elsewhere].mean() == pytest.approx(0.8, abs=0.05)
    assert alike[~same].mean() == pytest.approx(0.15, abs=0.03)
    assert alike[~same].std() == pytest.approx(0.14, abs=0.03)


@pytest.mark.slow
def test_scale_prints_a_row_a_size_and_draws_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    lines, plot = tmp_path / "lines.jsonl", tmp_path / "scale.png"
    words = ["--parts", "scale", "--sizes", "60", "120", "--plot", str(plot), "--jsonl", str(lines)]
    words += ["--shard-s", "60", "--handover-s", "20"]
    linking.main(words)
    assert "to the power of" in capsys.readouterr().out
    assert plot.read_bytes().startswith(b"\x89PNG")
    rows = json.loads(lines.read_text())["results"]["scale"]
    assert [row["n"] for row in rows] == [60, 120]
    assert all(row["peak_mib"] >= row["before_mib"] > 0 and row["cpu_s"] > 0 for row in rows)


def test_agreement_counts_pairs() -> None:
    assert linking.agreement(np.array([1, 1, 1, 2]), np.array([5, 5, 6, 6])) == (1 / 3, 1 / 2)
    assert linking.agreement(np.arange(4), np.arange(4)) == (1.0, 1.0)


def test_growth_is_the_power_of_the_number_of_tracklets() -> None:
    assert linking.growth(
        [{"n": n, "cpu_s": 3 * n**1.2} for n in (10, 100, 1000)], "cpu_s"
    ) == pytest.approx(1.2)


def mixed(head: Embedded, tail: Embedded) -> Embedded:
    """A track that goes over to somebody else."""
    boxes = np.concatenate([head.tracklet.boxes[:40], tail.tracklet.boxes[40:]])
    return replace(head, tracklet=replace(head.tracklet, boxes=boxes))


def test_every_variant_links_people_who_look_like_nobody_else(scene: EmbeddedScene) -> None:
    for ladder in synthetic_scenes.LADDERS:
        for variant in ladder:
            report = synthetic_scenes.score(scene, synthetic_scenes.link(scene, variant))
            assert report.together["ours"]["IDF1"] == 1.0, variant.name


def test_the_last_variant_of_a_ladder_is_the_program_as_it_is() -> None:
    for *changed, last in synthetic_scenes.LADDERS:
        assert LinkingConfig(**last.settings) == LinkingConfig()
        for variant in changed:
            assert variant.settings, variant.name


def test_travel_times_in_the_config_are_those_of_truth(scene: EmbeddedScene) -> None:
    overlapping = synthetic_scenes.travel_times(scene)
    assert [(t.cameras, t.min_s, t.max_s) for t in overlapping] == [(("a", "b"), 0.0, 1.0)]
    rows = scene.truth["b"].rows
    later = replace(scene.truth["b"], rows=replace(rows, frames=rows.frames + N_FRAMES + 99))
    (apart,) = synthetic_scenes.travel_times(replace(scene, truth={**scene.truth, "b": later}))
    assert apart.min_s < apart.typical_s < apart.max_s
    assert apart.typical_s == pytest.approx(10)


def test_a_late_clock_moves_the_times_of_one_camera_and_no_frames(scene: EmbeddedScene) -> None:
    late = perturbations.late_clock(scene, "b", 2.0)
    for e, was in zip(late.embedded, scene.embedded, strict=True):
        moved = 2.0 if was.tracklet.camera == "b" else 0.0
        assert (e.tracklet.times_s == was.tracklet.times_s + moved).all()
        assert (e.tracklet.frames == was.tracklet.frames).all()


def test_a_dead_camera_sees_nothing_for_a_third_of_the_time_and_begins_new_tracks(
    scene: EmbeddedScene,
) -> None:
    dead = perturbations.dead_camera(scene, "b")
    frames = [set(e.tracklet.frames.tolist()) for e in dead.embedded if e.tracklet.camera == "b"]
    assert sorted(map(min, frames)) == [0, 0, 40, 40]
    assert not set(range(20, 40)) & set.union(*frames)
    assert not set(range(20, 40)) & set(dead.truth["b"].rows.frames.tolist())
    assert len({e.tracklet.track_id for e in dead.embedded if e.tracklet.camera == "b"}) == 4
    usual = synthetic_scenes.link(scene)
    assert (
        synthetic_scenes.score(dead, perturbations.without_dead(dead, usual, "b")).together["ours"][
            "IDF1"
        ]
        == 1.0
    )


def test_twins_are_half_made_of_each_other(scene: EmbeddedScene) -> None:
    first, second, *_ = perturbations.twins(scene, 1).embedded
    assert float(first.embedding @ second.embedding) == pytest.approx(np.sqrt(0.5), abs=1e-3)


def test_a_swap_exchanges_the_tails_where_two_people_meet(scene: EmbeddedScene) -> None:
    swapped, n = perturbations.swaps(scene, 1)
    assert n == 1
    first, second = swapped.embedded[0].tracklet, swapped.embedded[1].tracklet
    where = np.flatnonzero((first.boxes != walking(0)).any(axis=1))
    assert where[0] == pytest.approx(N_FRAMES / 2, abs=2)
    assert (first.boxes[where] == walking(1)[where]).all()
    assert (second.boxes[where] == walking(0)[where]).all()
    assert not first.ambiguous
    assert swapped.embedded[2:] == scene.embedded[2:]


@pytest.mark.slow
def test_the_tables_of_a_scene_are_printed(
    scene: EmbeddedScene, capsys: pytest.CaptureFixture[str]
) -> None:
    found = linking.ablation(scene)
    assert found["lost"]["IDF1"] == sum(found["lost"].values()) == 1
    assert found["over_oracle"] == 1
    harmed = linking.robustness(scene)
    assert all(row["before"] == 1 for row in harmed.values())
    live = linking.online(scene)
    assert live["final"] == live["offline"] == 1
    assert live["appeared"] == 2
    said = capsys.readouterr().out
    assert "ms/step" in said
    assert "appearance only" in said
    assert "b dead for a third" in said


def test_online_a_label_is_missing_until_it_is_said_and_stays_as_it_was_first_said(
    scene: EmbeddedScene,
) -> None:
    watched = online.watch(scene, LinkingConfig(), period_s=2.0)
    rows = [
        sum(len(t.frames) for person in people for t in person.tracklets)
        for people in (watched.live, watched.first)
    ]
    assert rows == [4 * (N_FRAMES - 1 - 2 * FPS), 4 * N_FRAMES]
    assert [[t.name for t in p.tracklets] for p in watched.first] == [
        ["a/10@0", "b/10@0"],
        ["a/11@0", "b/11@0"],
    ]
    assert len(watched.step_s) == 4


def test_a_simulated_day_is_linked_online_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    (hour,) = linking.all_day(60)
    assert hour["looked_at"] > 10
    assert hour["step_ms"] > 0
    assert "looked at" in capsys.readouterr().out


def written_scene(folder: Path, fps: int = 25) -> Path:
    """A scene of one camera with three frames."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    write_video(folder / "cam1.mp4", n_frames=3, fps=fps)
    (folder / "cameras.json").write_text(
        json.dumps({"cameras": [{"name": "cam1", "H_image_to_ground": np.eye(3).tolist()}]})
    )
    (folder / "truth" / "cam1.txt").write_text("1,1,5,5,20,30,1,1,1\n")
    return folder


def test_a_scene_is_detected_and_embedded_once(tmp_path: Path) -> None:
    folder, cache = written_scene(tmp_path / "site" / "scene"), tmp_path / "cache"
    found = synthetic_scenes.load(folder, cache)
    (entry,) = cache.iterdir()
    written_ns = entry.stat().st_mtime_ns
    assert synthetic_scenes.load(folder, cache).embedded == found.embedded == []
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [written_ns]
    assert found.cameras["cam1"].n_frames == 3


def test_a_changed_video_in_the_same_folder_is_detected_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for fps in (25, 10):
        folder = written_scene(tmp_path / "scene", fps)
        assert synthetic_scenes.load(folder, cache).cameras["cam1"].fps == fps


def test_the_cache_belongs_to_the_user_and_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = linking.parse([]).cache
    assert folder.is_relative_to(tmp_path)
    synthetic_scenes.load(written_scene(tmp_path / "scene"), folder)
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert linking.parse([]).cache.is_relative_to(Path.home())
