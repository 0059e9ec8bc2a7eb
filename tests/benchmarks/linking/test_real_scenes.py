"""Scenes of real people are dressed as chosen, linked without help, and judged by truth."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.linking import borrowed_looks, perturbations, real_scenes, synthetic_scenes
from benchmarks.linking.borrowed_looks import JUNK
from benchmarks.linking.real_scenes import Judged, Shown
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline import embed
from pipeline.config import Config
from pipeline.evaluate import losses
from pipeline.evaluate.boxes import Rows, Truth
from pipeline.records import Embedded, Link, Person, Tracklet
from tests.benchmarks.linking.test_linking import FPS, N_FRAMES, mixed, seen, walking

NO_EVIDENCE = float("nan")


def link(first: Embedded, second: Embedded, probability: float = 0.95, rule: str = "") -> Link:
    none = NO_EVIDENCE
    return Link(
        first=first.tracklet,
        second=second.tracklet,
        probability=probability,
        similarity=0.5,
        appearance=1.0,
        place=none,
        travel=none,
        gap_s=0.0,
        floor_m=none,
        rule=rule,
        rival="",
        rival_probability=0.0,
        lookalike="",
    )


def named(scene: EmbeddedScene, name: str) -> EmbeddedScene:
    return replace(scene, name=name)


@pytest.fixture
def four() -> list[Embedded]:
    """Persons 0 and 1 in cameras a and b."""
    return [seen(camera, person) for camera in "ab" for person in (0, 1)]


@pytest.fixture
def shown(four: list[Embedded]) -> dict[str, Shown]:
    return {e.tracklet.name: Shown(e.tracklet.track_id - 10, 1.0) for e in four}


def test_every_scene_is_in_one_half_and_both_halves_have_every_kind() -> None:
    names = [name for kinds in real_scenes.HALVES.values() for of in kinds.values() for name in of]
    assert len(names) == len(set(names))
    assert real_scenes.HALVES["A"].keys() == real_scenes.HALVES["B"].keys()
    assert real_scenes.half_of("2d_v2-22 alike") == real_scenes.half_of("plaza") == "B"
    with pytest.raises(ValueError, match="no half"):
        real_scenes.half_of("elsewhere")


def test_scenes_that_are_not_there_are_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = tmp_path / "samples" / "plaza"
    sample.mkdir(parents=True)
    sequence = written_sequence(data / "multicam" / "2d_v2-22")
    assert real_scenes._folders(data, sample) == [sample, sequence]
    said = capsys.readouterr().out
    assert "skipped" in said
    assert "mall" in said
    assert "2d_v2-22" not in said
    assert real_scenes.scene_name(sample) == "sample"
    (data / borrowed_looks.CUHK03).rename(data / "elsewhere")
    assert real_scenes._folders(data, sample) == [sample]
    assert "2d_v2-22" in capsys.readouterr().out


def test_people_who_hold_two_are_wrong_merges_and_parts_of_one_are_missed_merges(
    four: list[Embedded], shown: dict[str, Shown]
) -> None:
    a0, a1, b0, b1 = (e.tracklet for e in four)

    def counted(*groups: tuple[Tracklet, ...]) -> tuple[int, int]:
        people = [Person(number, members, ()) for number, members in enumerate(groups, 1)]
        return real_scenes.merges(people, shown)

    assert counted((a0, b0), (a1, b1)) == (0, 0)
    assert counted((a0,), (b0,), (a1, b1)) == (0, 1)
    assert counted((a0, b0, a1, b1)) == (1, 0)
    assert counted((a0, b1), (a1, b0)) == (2, 2)


def test_tracklets_that_show_nobody_are_no_wrong_merges(
    four: list[Embedded], shown: dict[str, Shown]
) -> None:
    a0, a1, b0, _ = (e.tracklet for e in four)
    people = [Person(1, (a0, a1, b0), ())]
    assert real_scenes.merges(people, {**shown, a1.name: Shown(real_scenes.NOBODY, 1.0)}) == (0, 0)
    del shown[a1.name]
    assert real_scenes.merges(people, shown) == (0, 0)


def test_people_of_several_tracklets_are_counted_by_doubt_and_by_truth(
    four: list[Embedded], shown: dict[str, Shown]
) -> None:
    a0, a1, b0, b1 = four
    doubted = replace(link(a0, b1), lookalike=a1.tracklet.name)
    people = [
        Person(1, (a0.tracklet, b1.tracklet), (doubted,)),
        Person(2, (a0.tracklet, b0.tracklet), (link(a0, b0),)),
        Person(3, (a1.tracklet,), ()),
    ]
    found = real_scenes.doubts(people, shown)
    assert found == {"doubtful": {"n": 1, "right": 0}, "others": {"n": 1, "right": 1}}
    rows = [{"doubts": found}, {"doubts": found}]
    assert real_scenes._doubts_line(rows) == (
        "people, doubtful: 0 of 2 are one person, others: 2 of 2 are one person"
    )


def test_a_link_costs_the_smaller_of_the_sides_that_it_joins(four: list[Embedded]) -> None:
    a0, a1, b0, _ = four
    short = seen("b", 1, slice(0, 20))
    links = (link(a0, b0), link(b0, a1), link(a1, short))
    person = Person(1, tuple(e.tracklet for e in (a0, a1, b0, short)), links)
    assert [real_scenes._cost(person, each) for each in links] == [N_FRAMES, N_FRAMES + 20, 20]


def test_cameras_that_show_somebody_at_once_overlap_and_those_with_late_clocks_do_not(
    scene: EmbeddedScene,
) -> None:
    assert real_scenes.overlapping(scene) == {("a", "b")}
    late = replace(scene.cameras["b"], start_s=100.0)
    apart = replace(scene, cameras={**scene.cameras, "b": late})
    assert real_scenes.overlapping(apart) == set()


def test_a_scene_with_people_who_look_like_nobody_else_is_perfect(scene: EmbeddedScene) -> None:
    row, judged = real_scenes.measure(named(scene, "mall"))
    assert row["half"] == "A"
    assert (row["ours"], row["oracle"], row["precision"], row["recall"]) == (1, 1, 1, 1)
    assert (row["found"], row["present"], row["wrong"], row["missed"]) == (2, 2, 0, 0)
    assert row["local"] == pytest.approx(0.5)
    assert row["overlaps"] == 1
    assert row["views"] <= row["overlaps"]
    assert set(row["lost"].values()) == {0}
    made = [j for j in judged if j.is_made]
    assert [(j.kind, j.is_right) for j in made] == [("overlapping", True)] * 2


def test_people_who_look_like_each_other_elsewhere_are_wrong_merges(scene: EmbeddedScene) -> None:
    a0, a1, b0, b1 = scene.embedded
    swapped = [a0, a1, replace(b1, tracklet=b0.tracklet), replace(b0, tracklet=b1.tracklet)]
    row, judged = real_scenes.measure(named(replace(scene, embedded=swapped), "mall"))
    assert (row["wrong"], row["missed"]) == (2, 2)
    assert row["ours"] == pytest.approx(0.5, abs=0.05)
    assert row["ours"] + row["lost"]["wrong merges"] > 0.95
    assert row["lost"].keys() == set(losses.CAUSES)
    made = [j for j in judged if j.is_made]
    assert [(j.is_right, j.cost) for j in made] == [(False, N_FRAMES)] * 2


def test_only_labelled_frames_are_scored(scene: EmbeddedScene) -> None:
    every_tenth = np.arange(0, N_FRAMES, 10)
    truth = {}
    for camera, whole in scene.truth.items():
        keep = np.isin(whole.rows.frames, every_tenth)
        truth[camera] = Truth(whole.rows.take(keep), whole.counts[keep])
    few = named(replace(scene, truth=truth), "mall")
    labelled = replace(few, labelled=dict.fromkeys("ab", every_tenth))
    assert real_scenes.measure(few)[0]["ours"] < 0.5
    assert real_scenes.measure(labelled)[0]["ours"] == 1


def test_cameras_that_take_turns_see_nobody_at_once(scene: EmbeddedScene) -> None:
    turns = perturbations.taking_turns(scene)
    half = N_FRAMES // 2
    frames = {name: set(truth.rows.frames.tolist()) for name, truth in turns.truth.items()}
    assert frames == {"a": set(range(half)), "b": set(range(half, N_FRAMES))}
    assert real_scenes.overlapping(turns) == set()
    for e in turns.embedded:
        assert set(e.tracklet.frames.tolist()) == frames[e.tracklet.camera]
    row, judged = real_scenes.measure(named(turns, "2d_v2-20 apart"))
    assert (row["ours"], row["oracle"]) == (1, 1)
    assert [(j.kind, j.is_right) for j in judged if j.is_made] == [("apart", True)] * 2


def test_a_tracklet_shows_whom_it_follows_most_and_says_in_what_share(
    scene: EmbeddedScene,
) -> None:
    goes_over = mixed(scene.embedded[0], scene.embedded[1]).tracklet
    aside = replace(goes_over, boxes=goes_over.boxes + np.float32(250), track_id=99)
    people = [Person(1, (goes_over,), ()), Person(2, (aside,), ())]
    shown = real_scenes.whom_tracklets_show(synthetic_scenes.matched(scene, people))
    assert shown[goes_over.name].person == 0
    assert shown[goes_over.name].share == pytest.approx(2 / 3, abs=0.05)
    assert shown[aside.name] == (real_scenes.NOBODY, 1.0)


def test_a_near_miss_costs_what_the_smaller_person_has(four: list[Embedded]) -> None:
    a0, a1, b0, b1 = (e.tracklet for e in four)
    large = Person(1, (a0, a1), ())
    small = Person(2, (b0,), ())
    near = [link(four[0], four[2], 0.2)]
    shown = {tracklet.name: Shown(0, 1.0) for tracklet in (a0, a1, b0, b1)}
    (judged,) = real_scenes._judge([large, small], near, shown, set())
    assert (judged.cost, judged.is_made, judged.kind) == (N_FRAMES, False, "apart")


def test_links_are_counted_by_what_was_said_and_by_kind(
    four: list[Embedded], capsys: pytest.CaptureFixture[str]
) -> None:
    a0, a1, b0, b1 = four
    p0 = Shown(0, 1.0)
    p1 = Shown(1, 1.0)
    half = Shown(1, 0.6)
    nobody = Shown(real_scenes.NOBODY, 1.0)
    judged = [
        Judged(link(a0, b0, 0.95), "apart", (p0, p0), 60),
        Judged(link(a0, b1, 0.95), "apart", (p0, half), 60),
        Judged(link(a1, b1, 0.999), "apart", (p1, half), 60),
        Judged(link(a1, b1, 1.0), "apart", (p1, nobody), 60),
        Judged(link(a1, b1, 1.0, rule="one track"), "apart", (p0, p1), 60),
        Judged(link(a1, b0, 0.1), "apart", (p1, p0), 60, is_made=False),
    ]
    rows = real_scenes._calibration(judged)
    (apart,) = [row for row in rows if row["kind"] == "apart" and not row["place"]]
    assert apart["bands"] == [
        {"n": 2, "right": 1, "mixed": 1},
        {"n": 1, "right": 1, "mixed": 0},
    ]
    diagram = real_scenes.reliability(judged)
    assert [(row["n"], row["right"]) for row in diagram] == [(1, 0), (2, 0.5), (1, 1)]
    assert [row["said"] for row in diagram] == pytest.approx([0.1, 0.95, 0.999])


def test_the_diagram_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "reliability.png"
    bins = [{"said": 0.95, "right": 0.5, "n": 2}, {"said": 1, "right": 1, "n": 9}]
    real_scenes.draw({"alike": bins, "not alike": bins}, plot)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_tables_are_printed_with_means_of_each_half(
    scene: EmbeddedScene, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = [named(scene, "mall"), named(scene, "2d_v2-22 alike")]
    results = real_scenes.run(scenes, None)
    said = capsys.readouterr().out
    assert "A mall" in said
    assert "B 2d_v2-22 alike" in said
    assert [(row["half"], row["scene"]) for row in results["means"]] == [
        ("A", "all (1)"),
        ("A", "rendered (1)"),
        ("B", "alike (1)"),
        ("B", "all (1)"),
    ]
    assert list(results["calibration"]) == ["half A, not alike", "half B, alike"]
    assert results["worst"]["mall"] == {"wrong": [], "missed": []}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Crops of six identities and of nobody, each of one shade, for two cameras."""
    market = tmp_path / borrowed_looks.MARKET / "bounding_box_test"
    cuhk03 = tmp_path / borrowed_looks.CUHK03
    market.mkdir(parents=True)
    (tmp_path / borrowed_looks.MARKET / "query").mkdir()
    cuhk03.mkdir(parents=True)
    for identity in range(-1, 6):
        image = np.full((128, 64, 3), 40 * identity + 45, np.uint8)
        label = "-1" if identity < 0 else f"{identity:04}"
        for camera in (1, 2):
            for number in range(2):
                name = f"{label}_c{camera}s1_{number:06}_00.jpg"
                cv2.imwrite(str(market / name), image)
                if identity >= 0:
                    number_there = 5 * (camera - 1) + number
                    cv2.imwrite(str(cuhk03 / f"{identity:04}_{number_there:02}.jpg"), image)
    return tmp_path


def test_people_have_looks_of_their_own_or_share_them_two_by_two(data: Path) -> None:
    people = [3, 5, 8, 9]
    distinct = borrowed_looks.choose(data, "x", people, ["a", "b"], "distinct")
    assert len(set(distinct.identity.values())) == 4
    assert sorted(distinct.camera.values()) == [1, 2]
    alike = borrowed_looks.choose(data, "x", people, ["a", "b"], "alike").identity
    assert alike[3] == alike[5] != alike[8] == alike[9]
    foreign = borrowed_looks.choose(data, "x", people, ["a", "b", "c"], "foreign")
    assert len(set(foreign.identity.values())) == 4
    assert foreign.crop(JUNK, "c", 0.0, 1).mean() == pytest.approx(5, abs=3)


def test_the_same_look_is_drawn_each_time_and_each_person_has_their_own(data: Path) -> None:
    looks = borrowed_looks.choose(data, "x", [3, 5], ["a", "b"], "distinct")
    again = borrowed_looks.choose(data, "x", [3, 5], ["a", "b"], "distinct")
    crop = looks.crop(3, "a", 1.0, 7)
    assert (crop == again.crop(3, "a", 1.0, 7)).all()
    assert crop.mean() == pytest.approx(40 * looks.identity[3] + 45, abs=3)
    assert looks.crop(5, "a", 1.0, 7).mean() != pytest.approx(crop.mean(), abs=10)


def written_sequence(folder: Path) -> Path:
    """Two cameras that show two people who walk past each other, and detections of them."""
    for part in ("truth", "det"):
        (folder / part).mkdir(parents=True)
        for camera in "ab":
            lines = []
            for person in (0, 1):
                for frame, box in enumerate(walking(person), 1):
                    left, top, right, bottom = box.tolist()
                    sides = f"{left},{top},{right - left},{bottom - top}"
                    end = "1,1,1" if part == "truth" else "0.9"
                    who = person if part == "truth" else -1
                    lines.append(f"{frame},{who},{sides},{end}\n")
            (folder / part / f"{camera}.txt").write_text("".join(lines))
    listed = [
        f"- {{name: {camera}, fps: {FPS}, start_s: 0.0, width: 640, height: 480,"
        f" frames: {N_FRAMES}}}\n"
        for camera in "ab"
    ]
    (folder / "about.yaml").write_text("name: x\ncameras:\n" + "".join(listed))
    return folder


def test_a_sequence_of_boxes_is_tracked_dressed_embedded_and_kept(
    data: Path, tmp_path: Path
) -> None:
    config = Config(device="cpu", runtime="torch", precision="float32")
    embedder, _ = embed.build(config.reid, "cpu")
    folder = written_sequence(tmp_path / "multicam" / "x")
    cache = tmp_path / "cache"
    scenes = borrowed_looks.load(folder, data, config, embedder, cache)
    assert [scene.name for scene in scenes] == ["x distinct", "x alike", "x foreign"]
    assert len(list(cache.glob("*.npz"))) == 3
    distinct = scenes[0].embedded
    assert all(e.embedding.any() and not len(e.tracklet.crops) for e in distinct)
    assert {e.tracklet.camera for e in distinct} == {"a", "b"}
    rows = sum(len(e.tracklet.frames) for e in distinct)
    assert rows == pytest.approx(4 * N_FRAMES, rel=0.1)
    again = borrowed_looks.load(folder, data, config, embedder, cache)
    for scene, before in zip(again, scenes, strict=True):
        for e, was in zip(scene.embedded, before.embedded, strict=True):
            assert (e.embedding == was.embedding).all()


def test_a_row_shows_the_person_whom_it_overlaps_or_nobody(scene: EmbeddedScene) -> None:
    tracklet = scene.embedded[0].tracklet
    beside = replace(tracklet, boxes=tracklet.boxes + np.float32(250), track_id=99)
    ids = np.zeros(N_FRAMES, np.int64)
    rows = Rows(np.arange(N_FRAMES), walking(0), ids, ids, ids)
    one_person = Truth(rows, np.ones(N_FRAMES, np.bool_))
    shown = borrowed_looks.shown_people([tracklet, beside], one_person)
    assert set(shown[0].tolist()) == {0}
    assert set(shown[1].tolist()) == {JUNK}
