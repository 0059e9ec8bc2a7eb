"""Corrections are applied to a finished run: obeyed, remembered, and nothing else changes."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline import cli
from pipeline import config as configuration
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.outputs import reading
from pipeline.relink import OLD_NUMBERS
from pipeline.zones import table
from tests.conftest import ROOT
from tests.videos import write_beginning, write_video

Json = dict[str, Any]
N_FRAMES = 40
ZONES = """
zones:
  - {name: court, camera: cam1, polygon: [[1, 1], [600, 1], [600, 350], [1, 350]]}
"""
PEOPLE = ("trajectories.json", "tracks.csv", "links.json")


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two cameras, whose sources are gone; only to be copied."""
    folder = tmp_path_factory.mktemp("apply")
    (folder / "truth").mkdir()
    for name in ("cam1", "cam2"):
        write_beginning(sample / f"{name}.mp4", folder / f"{name}.mp4", N_FRAMES)
        lines = (sample / "truth" / f"{name}.txt").read_text().splitlines(keepends=True)
        begin = [line for line in lines if int(line.partition(",")[0]) <= N_FRAMES]
        (folder / "truth" / f"{name}.txt").write_text("".join(begin))
    site = (ROOT / "configs" / "plaza.yaml").read_text()
    site = site.replace("../samples/plaza/", "")
    (folder / "site.yaml").write_text(site + ZONES)
    pipeline.track_people(
        output=folder / "run",
        config=folder / "site.yaml",
        settings={
            "detector.detections": str(folder / "truth"),
            "reid.weights": "none",
            "output.mosaic": True,
        },
    )
    for name in ("cam1", "cam2"):
        (folder / f"{name}.mp4").rename(folder / f"{name}.moved")
    return folder / "run"


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def who(folder: Path) -> dict[int, set[str]]:
    """Names of the tracklets of each person."""
    people = json.loads((folder / "trajectories.json").read_text())["people"]
    return {
        person["person_id"]: {reading_name(t) for t in person["tracklets"]} for person in people
    }


def reading_name(tracklet: Json) -> str:
    return f"{tracklet['camera']}/{tracklet['track_id']}@{tracklet['tracklet']}"


def manifest(folder: Path) -> Json:
    return dict(reading.read(folder / "run.json"))


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write(folder: Path, **said: Any) -> Path:
    path = folder.parent / "corrections.yaml"
    path.write_text(corrections.to_yaml(Corrections.model_validate(said)))
    return path


def apply(*words: str | Path) -> int:
    return cli.main(["apply", *map(str, words), "--quiet"])


def two_tracklets(folder: Path) -> tuple[int, str, str]:
    """A person of several tracklets, one of them with most rows, and another of them."""
    people = json.loads((folder / "trajectories.json").read_text())["people"]
    for person in people:
        n_rows = {reading_name(t): len(t["frames"]) for t in person["tracklets"]}
        if len({name.partition("/")[0] for name in n_rows}) == 2:
            first, *_, last = sorted(n_rows, key=lambda name: n_rows[name])
            return person["person_id"], last, first
    raise AssertionError("nobody is in two cameras")


def test_without_corrections_the_results_are_written_as_they_were(folder: Path) -> None:
    before = contents(folder)
    listed = manifest(folder)
    assert apply(folder) == 0
    after = contents(folder)
    now = manifest(folder)
    assert sorted(now.pop("files")) == sorted(listed.pop("files"))
    assert now == listed
    del before["run.json"], after["run.json"]
    assert after == before


def test_each_kind_of_correction_is_obeyed_and_everybody_else_keeps_their_number(
    folder: Path,
) -> None:
    before = who(folder)
    number, most, least = two_tracklets(folder)
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    parted = who(folder)
    (fresh,) = set(parted) - set(before)
    assert fresh == max(before) + 1
    assert parted[number] | parted[fresh] == before[number]
    assert len(parted[number] & {most, least}) == 1
    assert {k: v for k, v in parted.items() if k not in (number, fresh)} == {
        k: v for k, v in before.items() if k != number
    }

    assert apply(folder, write(folder, not_a_person=[least])) == 0
    gone = {person: names - {least} for person, names in parted.items() if names != {least}}
    assert who(folder) == gone

    track, _, frame = most.partition("@")
    cut = f"{track}@{int(frame) + 9}"
    assert apply(folder, write(folder, split=[cut])) == 0
    owner = {name: person for person, names in who(folder).items() for name in names}
    assert owner[cut] != owner[most]


def test_who_is_at_a_zone_is_counted_again(folder: Path) -> None:
    def counted() -> set[int]:
        lines = csv.DictReader((folder / "zones.csv").read_text().splitlines())
        return {int(line["person_id"]) for line in lines}

    first, *others = sorted(counted())
    assert others
    assert apply(folder, write(folder, not_a_person=sorted(who(folder)[first]))) == 0
    assert counted() == set(others)
    assert "zones.csv" in manifest(folder)["files"]


def test_two_people_who_are_the_same_keep_the_number_of_whom_there_is_more(folder: Path) -> None:
    people = json.loads((folder / "trajectories.json").read_text())["people"]
    n_rows = {p["person_id"]: sum(len(t["frames"]) for t in p["tracklets"]) for p in people}
    small, large = sorted(n_rows, key=lambda person: (n_rows[person], -person))[:2]
    before = who(folder)
    names = [min(before[small]), min(before[large])]
    assert apply(folder, write(folder, same=[names])) == 0
    after = who(folder)
    assert after[large] >= set(names)
    assert small not in after
    assert apply(folder, write(folder, different=[[names[0], min(before[1])]])) == 0
    assert set(who(folder)) == set(after)


def test_the_same_corrections_twice_change_nothing_more(folder: Path) -> None:
    _, most, least = two_tracklets(folder)
    path = write(folder, different=[[most, least]], not_a_person=[min(who(folder)[1])])
    assert apply(folder, path) == 0
    once = contents(folder)
    assert apply(folder, path) == 0
    assert contents(folder) == once
    assert apply(folder) == 0
    assert contents(folder) == once


def test_a_number_is_not_given_to_another_person_later(folder: Path) -> None:
    _, most, least = two_tracklets(folder)
    highest = max(who(folder))
    track, _, frame = most.partition("@")
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    assert max(who(folder)) == highest + 1
    (folder / corrections.FILE).write_text("")
    assert apply(folder) == 0
    assert max(who(folder)) == highest
    assert apply(folder, write(folder, split=[f"{track}@{int(frame) + 9}"])) == 0
    assert max(who(folder)) == highest + 2


def test_corrections_add_up_and_are_taken_back_in_the_file_of_the_folder(folder: Path) -> None:
    before = who(folder)
    _, most, least = two_tracklets(folder)
    lonely = min(min(names) for names in before.values() if len(names) == 1)
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    assert apply(folder, write(folder, not_a_person=[lonely])) == 0
    said = corrections.of_folder(folder)
    assert said == Corrections(different=[[most, least]], not_a_person=[lonely])
    assert corrections.FILE in manifest(folder)["files"]
    edited = f"# the man at the gate\nnot_a_person: [{lonely}]\n"
    (folder / corrections.FILE).write_text(edited)
    assert apply(folder) == 0
    assert (folder / corrections.FILE).read_text() == edited
    after = who(folder)
    assert {frozenset(v) for v in after.values()} == {
        frozenset(v) for v in before.values() if lonely not in v
    }
    (folder / corrections.FILE).write_text("# nothing any more\n")
    assert apply(folder) == 0
    assert (folder / corrections.FILE).read_text() == "# nothing any more\n"
    assert set(map(frozenset, who(folder).values())) == set(map(frozenset, before.values()))


def test_corrections_of_the_run_itself_hold_on(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given.yaml"
    given.write_text("not_a_person: [cam1/1]\n")
    settings = {"detector.detections": str(sample / "truth"), "reid.weights": "none"}
    pipeline.track_people(
        [sample / "cam1.mp4"],
        output=tmp_path / "run",
        settings={
            **settings,
            "sources.max_seconds": 2,
            "output.video": False,
            "linking.corrections": str(given),
        },
    )
    before = who(tmp_path / "run")
    assert not any(name.startswith("cam1/1@") for names in before.values() for name in names)
    given.unlink()
    assert apply(tmp_path / "run") == 0
    assert who(tmp_path / "run") == before
    assert apply(tmp_path / "run", write(tmp_path / "run", split=["cam1/2@5", "cam1/99@5"])) == 0
    assert corrections.of_folder(tmp_path / "run").not_a_person == ["cam1/1"]
    assert "warning: corrections: cam1/99@5 is passed over" in capsys.readouterr().err


def test_a_contradiction_is_one_line_that_names_both_files_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, most, least = two_tracklets(folder)
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    before = contents(folder)
    capsys.readouterr()
    path = write(folder, same=[[least, most]])
    assert apply(folder, path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path} and {folder / corrections.FILE}: ")
    assert "are said to be different, and yet to be one person" in line
    assert contents(folder) == before


def test_another_folder_gets_everything_and_this_one_stays(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    _, most, least = two_tracklets(folder)
    output = tmp_path / "corrected"
    assert apply(folder, write(folder, different=[[most, least]]), "--output", output) == 0
    assert contents(folder) == before
    written = contents(output)
    assert set(written) == {*before, corrections.FILE}
    kept = ("crops.zip", "tracklets.npz", "cam1.mp4", "mosaic.mp4")
    assert all(written[name] == before[name] for name in kept)
    assert sorted(manifest(output)["files"]) == sorted(written)
    assert apply(output) == 0
    assert contents(output) == written
    assert contents(folder) == before


def test_another_folder_that_is_not_empty_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert apply(folder, "--output", tmp_path / "full") == 2
    assert "is not empty; choose another --output or add --overwrite" in capsys.readouterr().err
    assert apply(folder, "--output", tmp_path / "full", "--overwrite") == 0
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_videos_stay_with_a_warning_until_they_are_drawn_again(run: Path, folder: Path) -> None:
    before = contents(folder)
    _, most, least = two_tracklets(folder)
    path = write(folder, different=[[most, least]])
    assert apply(folder, path) == 0
    stale = contents(folder)
    videos = ("cam1.mp4", "cam2.mp4", "mosaic.mp4")
    assert all(stale[name] == before[name] for name in videos)
    assert manifest(folder)["warnings"] == [OLD_NUMBERS]
    assert OLD_NUMBERS.partition(";")[0][4:] in stale["report.html"].decode()
    sources = run.parent
    try:
        for name in ("cam1", "cam2"):
            shutil.copy(sources / f"{name}.moved", sources / f"{name}.mp4")
        assert apply(folder, "--video") == 0
    finally:
        for name in ("cam1", "cam2"):
            (sources / f"{name}.mp4").unlink()
    drawn = contents(folder)
    assert manifest(folder)["warnings"] == []
    assert drawn["mosaic.mp4"] != before["mosaic.mp4"]
    assert all(drawn[name] == stale[name] for name in PEOPLE)
    assert set(drawn) == set(stale)
    assert apply(folder) == 0
    assert manifest(folder)["warnings"] == []


def test_a_video_that_cannot_be_drawn_again_is_one_line_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    _, most, least = two_tracklets(folder)
    assert apply(folder, write(folder, different=[[most, least]]), "--video") == 2
    assert "cam1.mp4" in capsys.readouterr().err.splitlines()[-1]
    assert contents(folder) == before


def test_what_drawing_could_not_do_is_still_said_of_videos_that_stay(folder: Path) -> None:
    before = manifest(folder)
    before["warnings"] = ["cam2.mp4 was not written: no space", "drawing was interrupted: nothing"]
    (folder / "run.json").write_text(json.dumps(before))
    (folder / "cam2.mp4").unlink()
    assert apply(folder) == 0
    assert manifest(folder)["warnings"] == ["cam2.mp4 was not written: no space"]
    assert "cam2.mp4" not in manifest(folder)["files"]


def test_files_of_others_stay_and_the_report_is_made_again(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    before = (folder / "report.html").read_bytes()
    _, most, least = two_tracklets(folder)
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "report.html").read_bytes() != before
    assert "notes.txt" not in manifest(folder)["files"]


def test_no_report_is_made_where_there_was_none(folder: Path) -> None:
    run = manifest(folder)
    run["files"].remove("report.html")
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "report.html").unlink()
    assert apply(folder) == 0
    assert not (folder / "report.html").exists()


def test_what_the_run_said_of_its_machine_stays(folder: Path) -> None:
    run = manifest(folder)
    run |= {"device": "cuda:7 (a card of last year)", "version": "0.0.1"}
    (folder / "run.json").write_text(json.dumps(run))
    assert apply(folder) == 0
    after = manifest(folder)
    assert (after["device"], after["version"]) == (run["device"], run["version"])
    assert (after["stages"], after["packages"]) == (run["stages"], run["packages"])


@pytest.mark.parametrize("missing", ["tracklets.npz", "run.json", "tracks.csv"])
def test_a_folder_that_lacks_what_is_needed_is_one_line_and_stays(
    folder: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / missing).unlink()
    before = contents(folder)
    assert apply(folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / missing}: ")
    assert contents(folder) == before


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "camera,frame\n", "camera\0,\n"])
def test_a_table_that_is_damaged_is_one_line(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tracks.csv").write_text(text)
    assert apply(folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder) in line


def test_a_live_run_is_refused_with_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "cam.mp4", 10, 10)
    settings = {"detector.weights": "hog", "reid.weights": "none"}
    pipeline.follow_live([video], output=tmp_path / "out", settings=settings)
    assert apply(tmp_path / "out") == 2
    assert "live runs and runs with linking.online do not" in capsys.readouterr().err


def test_files_outside_of_the_folder_are_not_taken(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("mine")
    run = manifest(folder)
    run["files"] += ["../secret.txt", str(tmp_path / "secret.txt")]
    (folder / "run.json").write_text(json.dumps(run))
    assert apply(folder, "--output", tmp_path / "deep" / "out") == 0
    assert not (tmp_path / "deep" / "secret.txt").exists()
    assert all(not name.endswith("secret.txt") for name in manifest(tmp_path / "deep/out")["files"])


def rows(folder: Path) -> dict[tuple[str, int, int], int]:
    """Person of each detected row, by camera, track and frame."""
    people = json.loads((folder / "trajectories.json").read_text())["people"]
    owner = {}
    for person in people:
        for tracklet in person["tracklets"]:
            for frame, filled in zip(tracklet["frames"], tracklet["filled"], strict=True):
                if not filled:
                    row = (tracklet["camera"], tracklet["track_id"], frame)
                    owner[row] = person["person_id"]
    return owner


@given(st.data())
@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
def test_however_people_are_parted_who_is_mostly_the_same_keeps_the_number(
    run: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(run, tmp_path_factory.mktemp("any") / "run"))
    names = st.sampled_from(sorted(set().union(*who(run).values())))
    pairs = st.lists(st.lists(names, min_size=2, max_size=2, unique=True), max_size=2)
    cuts = st.builds(lambda name, by: f"{name.partition('@')[0]}@{by}", names, st.integers(1, 39))
    for _ in range(2):
        said = {"different": data.draw(pairs)}
        said["split"] = data.draw(st.lists(cuts, max_size=1))
        said["not_a_person"] = data.draw(st.lists(names, max_size=1))
        before = rows(folder)
        path = write(folder, **said)
        assert apply(folder, path) == 0
        after = rows(folder)
        assert not set(after) - set(rows(run))
        shared = Counter((before[row], after[row]) for row in after if row in before)
        n_before = Counter(before.values())
        n_after = Counter(after.values())
        for (old, new), n_rows in shared.items():
            if 2 * n_rows > max(n_before[old], n_after[new]):
                assert old == new
        once = contents(folder)
        assert apply(folder, path) == 0
        assert contents(folder) == once


def test_the_python_function_returns_who_is_who(folder: Path) -> None:
    _, most, least = two_tracklets(folder)
    result = pipeline.apply_corrections(folder, write(folder, different=[[most, least]]))
    found = {p.person_id: {t.name for t in p.tracklets} for p in result.people}
    assert found == who(folder)
    assert sorted(result.files) == sorted(manifest(folder)["files"])
    with pytest.raises(pipeline.ConfigError, match="no such file"):
        pipeline.apply_corrections(folder, folder / "nothing.yaml")


def test_a_run_from_the_settings_of_the_folder_obeys_as_well(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    _, most, least = two_tracklets(folder)
    assert apply(folder, write(folder, different=[[most, least]])) == 0
    saved = configuration.load(str(folder / "config.yaml"))
    assert saved.linking.corrections == str(folder / corrections.FILE)
    assert corrections.load(saved.linking.corrections).different == [[most, least]]


def test_zones_are_counted_afterwards_and_stay_until_others_are_given(
    folder: Path, tmp_path: Path
) -> None:
    site = tmp_path / "drawn.yaml"
    whole = "[[0, 0], [960, 0], [960, 540], [0, 540]]"
    site.write_text(
        f"zones:\n- {{name: all, camera: cam1, polygon: {whole}}}\n"
        "- {name: beyond, camera: cam2, line: [[0, 0], [1900, 1000]]}\n"
    )
    before = who(folder)
    assert apply(folder, "--zones", site) == 0
    assert who(folder) == before
    events = table.read(folder / "zones.csv")
    in_cam1 = [number for number, names in before.items() if any("cam1/" in n for n in names)]
    assert {event.person_id for event in events if event.zone == "all"} <= set(in_cam1)
    assert len(events) >= 3
    listed = manifest(folder)
    assert "zones.csv" in listed["files"]
    assert [zone["zone"] for zone in listed["zones"]] == ["all", "beyond"]
    assert sum("zone beyond: its line in cam2" in line for line in listed["warnings"]) == 1
    counted = contents(folder)
    assert apply(folder) == 0
    after = contents(folder)
    assert sorted(manifest(folder)["warnings"]) == sorted(listed["warnings"])
    assert after["zones.csv"] == counted["zones.csv"]
    site.write_text("zones: []")
    assert apply(folder, "--zones", site) == 0
    assert not (folder / "zones.csv").exists()
    assert "zones.csv" not in manifest(folder)["files"]
    assert not [line for line in manifest(folder)["warnings"] if line.startswith("zone ")]


@pytest.mark.parametrize(
    ("zone", "reason"),
    [
        ("{name: a, camera: yard, line: [[0, 0], [9, 9]]}", "there is no camera yard"),
        ("{name: a, camera: cam1, line: [[2000, 0], [2000, 9]]}", "wholly outside the picture"),
        ("{name: a, camera: cam1}", "a zone needs a polygon, or a line"),
    ],
)
def test_zones_that_cannot_be_counted_are_one_line_and_change_nothing(
    folder: Path, tmp_path: Path, zone: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "drawn.yaml"
    site.write_text(f"zones: [{zone}]")
    before = contents(folder)
    assert apply(folder, "--zones", site) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert contents(folder) == before
