"""A live run has a report: at its end, while it goes on, and after it was killed."""

import json
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluate import boxes
from pipeline.live import merge, run
from pipeline.live.best_crops import CROPS
from pipeline.live.journal import Journal, Setup
from pipeline.live.segments import SEGMENTS, name_of
from pipeline.online.events import Event
from pipeline.records import Embedded
from pipeline.report import __main__ as command
from pipeline.report import write as report
from tests import waiting
from tests.pipeline.linking.test_linker import CAMERAS, seen
from tests.pipeline.live.test_merge import LONG_S, record
from tests.pipeline.live.test_run import (
    STOPPED_S,
    WAIT_S,
    config_of,
    documents_of,
    frames_of,
    has_rows,
    run_until,
    world_of,
    write_camera,
)
from tests.pipeline.report.test_data import document_of

wait_until = partial(waiting.wait_until, timeout_s=WAIT_S)
WITH_VIDEO = ("output.video=true", "live.segment_s=2")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over two cameras that has ended."""
    folder = tmp_path_factory.mktemp("ended")
    videos = [write_camera(folder, name, 5.0) for name in ("gate", "hall")]
    config = config_of(videos, *WITH_VIDEO)
    run.run(config, folder / "out", quiet=True, world=world_of(videos))
    return folder / "out"


def test_a_run_that_has_ended_has_a_report_with_people_pictures_and_segments(ended: Path) -> None:
    trajectories, manifest = documents_of(ended)
    assert "report.html" in manifest["files"]
    assert manifest["warnings"] == []
    shown = document_of(ended)
    assert len(shown["people"]) == len(trajectories["people"]) == 2
    assert all(person["crop"] >= 0 for person in shown["people"])
    assert shown["origin_s"] == pytest.approx(time.time(), abs=600)
    for camera in shown["cameras"]:
        names = sorted(path.name for path in (ended / SEGMENTS / camera["name"]).iterdir())
        assert [name for _, name in camera["segments"]] == names
        starts_s = [start_s for start_s, _ in camera["segments"]]
        assert starts_s == sorted(starts_s)
        assert starts_s[0] == pytest.approx(0, abs=1.5)
        assert camera["video"] == ""
    told = " ".join(finding["text"] for finding in shown["quality"])
    assert "had not ended" not in told


def test_the_report_of_a_run_that_has_ended_is_the_same_when_it_is_made_again(ended: Path) -> None:
    before = document_of(ended)
    names = documents_of(ended)[1]["files"]
    assert command.main([str(ended)]) == 0
    assert document_of(ended) == before
    assert documents_of(ended)[1]["files"] == names


def test_a_run_without_a_report_keeps_no_pictures(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 3.0)
    output = tmp_path / "out"
    run.run(config_of([video], "output.report=false"), output, quiet=True, world=world_of([video]))
    assert not (output / "report.html").exists()
    assert not (output / CROPS).exists()
    assert command.main([str(output)]) == 0
    shown = document_of(output)
    assert [person["crop"] for person in shown["people"]] == [-1]
    assert any("none were kept (output.report" in each["text"] for each in shown["quality"])


def copy_what_is_there(source: str, target: str) -> None:
    """Copy a file of a folder that somebody writes into: temporary ones may be gone."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def test_a_run_that_goes_on_has_a_report_of_what_is_on_disk(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"
    made: list[dict[str, Any]] = []

    def make() -> None:
        wait_until(lambda: has_rows(output) and (output / CROPS).is_dir())
        wait_until(lambda: bool(merge.people(output)))
        assert command.main([str(output)]) == 0
        made.append(document_of(output))
        n_frames = len(frames_of(output))
        wait_until(lambda: len(frames_of(output)) > n_frames)
        shutil.copytree(output, tmp_path / "killed", copy_function=copy_what_is_there)

    run_until(make, video, output, *WITH_VIDEO)
    (shown,) = made
    (person,) = shown["people"]
    assert person["crop"] >= 0, "of somebody who is in view"
    assert shown["cameras"][0]["segments"]
    assert any("had not ended" in finding["text"] for finding in shown["quality"])
    later = document_of(output)
    assert later["last"] > shown["last"]
    assert merge.main([str(tmp_path / "killed")]) == 0
    killed = document_of(tmp_path / "killed")
    assert killed["last"] >= shown["last"]
    assert any("had not ended" in finding["text"] for finding in killed["quality"])


def test_a_run_that_was_taken_up_again_and_killed_does_not_count_as_ended(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    output = tmp_path / "out"
    run.run(config_of([video]), output, quiet=True, world=world_of([video]))
    n_before = len(boxes.processed(output)["gate"])
    assert n_before > 0
    killed = world_of([video], error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run.run(config_of([video]), output, resume=True, quiet=True, world=killed)
    assert merge.main([str(output)]) == 0
    assert boxes.processed(output) == {}, "the run.json of before says nothing of what came after"
    shown = document_of(output)
    assert any("had not ended" in finding["text"] for finding in shown["quality"])
    run.run(config_of([video]), output, resume=True, quiet=True, world=world_of([video]))
    assert len(boxes.processed(output)["gate"]) > n_before
    assert documents_of(output)[1]["files"].count("report.html") == 1


def reported(folder: Path, embedded: list[Embedded], said: list[Event]) -> dict[str, Any]:
    """The document of a journal of tracklets and events."""
    record(folder, embedded, said)
    assert command.main([str(folder)]) == 0
    return document_of(folder)


SEEN = [seen("a", 1, 0, 2), seen("b", 1, 4, 6), seen("a", 2, 8, 9), seen("c", 1, 0, 2)]
ALONE = "is not a/1@0: probability 0.41, log odds of position -0.9"
BY_LOOKS = "is a/1@0: probability 0.93, log odds of appearance +4.4"
BY_PLACE = "is b/1@40: probability 0.80, log odds of position +2.1"
SAID = [
    Event(1, "appeared", 1, -1, "a/1@0", "like nobody who is remembered"),
    Event(1, "appeared", 2, -1, "c/1@0", ALONE),
    Event(5, "seen", 1, -1, "b/1@40", BY_LOOKS, 0.93),
    Event(9, "seen", 1, -1, "a/2@80", BY_PLACE, 0.8),
]


def test_links_have_the_evidence_and_the_probability_of_when_they_were_decided(
    tmp_path: Path,
) -> None:
    shown = reported(tmp_path, SEEN, SAID)
    person, other = shown["people"]
    assert [link[:5] for link in person["links"]] == [
        [0, 1, 0.93, "confirmed", "appearance: strong evidence for"],
        [1, 2, 0.8, "probable", "position: moderate evidence for"],
    ]
    why = "position: weak evidence against, between c/1@0 and a/1@0"
    assert person["near"] == [[2, 0.41, why]]
    assert other["near"] == [[1, 0.41, why]]


def test_people_who_were_nearly_linked_and_then_merged_are_no_near_miss(tmp_path: Path) -> None:
    merged = Event(9, "merged", 1, 2, "", "c/1@0 is b/1@40: probability 0.70", 0.7)
    (person,) = reported(tmp_path, SEEN, [*SAID, merged])["people"]
    assert person["near"] == []
    assert sorted(link[2] for link in person["links"]) == [0.7, 0.8, 0.93]


def test_a_report_says_nothing_of_segments_and_pictures_that_were_deleted(
    ended: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(ended, tmp_path / "out")
    gone = sorted((output / SEGMENTS / "gate").iterdir())[0]
    gone.unlink()
    (output / SEGMENTS / "gate" / "holiday.mp4").write_text("of somebody else")
    shutil.rmtree(output / CROPS)
    shutil.rmtree(output / SEGMENTS / "hall")
    assert command.main([str(output)]) == 0
    shown = document_of(output)
    segments = {camera["name"]: camera["segments"] for camera in shown["cameras"]}
    assert segments["gate"]
    assert not {gone.name, "holiday.mp4"} & {name for _, name in segments["gate"]}
    assert segments["hall"] == []
    assert [person["crop"] for person in shown["people"]] == [-1, -1]


@pytest.mark.parametrize("damage", ["", "{}", '{"files": 3}', "[]"])
def test_a_damaged_run_json_of_a_live_run_is_one_line(
    ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    output = shutil.copytree(ended, tmp_path / "out")
    (output / "run.json").write_text(damage)
    assert command.main([str(output)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_journal_without_anybody_has_a_report(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    written.describe(Setup(tuple(CAMERAS.values())))
    written.close()
    (tmp_path / SEGMENTS / "a").mkdir(parents=True)
    (tmp_path / SEGMENTS / "a" / name_of(1.7e9)).write_bytes(b"")
    assert command.main([str(tmp_path)]) == 0
    assert document_of(tmp_path)["people"] == []
    assert report.FILE in [path.name for path in tmp_path.iterdir()]


def test_results_of_a_live_run_are_complete_without_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crops of the first run are damaged when the second one ends."""
    video = write_camera(tmp_path, "gate", 3.0)
    output = tmp_path / "out"
    first = run.run(config_of([video]), output, quiet=True, world=world_of([video]))
    assert first.warnings == []
    (path,) = (output / CROPS).iterdir()
    lines = path.read_text().splitlines()
    path.write_text("".join(json.dumps({**json.loads(line), "jpeg": "!"}) + "\n" for line in lines))
    config = config_of([video], "sources.max_seconds=1")
    again = run.run(config, output, resume=True, quiet=True, world=world_of([video]))
    (warning,) = [each for each in again.warnings if "report.html was not written: " in each]
    assert CROPS in warning
    trajectories, _ = documents_of(output)
    assert trajectories["people"]
