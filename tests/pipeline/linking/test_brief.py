import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import cli
from pipeline.config import LinkingConfig
from pipeline.linking import linker
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.records import Embedded
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, ON_FLOOR, RED, names, seen
from tests.videos import write_video

GREEN = np.eye(4)[2]
LONG = [seen("a", 1, 0, 10, RED), seen("a", 3, 4, 20, BLUE)]
BRIEF = seen("a", 2, 2, 2.7, GREEN)


def linked(*embedded: Embedded, **settings: float) -> Linked:
    return linker.link(embedded, CAMERAS, LinkingConfig.model_validate(settings))


def test_who_is_seen_for_less_than_a_second_in_all_is_left_out_before_numbering() -> None:
    found = linked(BRIEF, *LONG)
    assert names(found.people) == [["a/1"], ["a/3"]]
    assert [person.person_id for person in found.people] == [1, 2]
    assert names(list(found.left_out)) == [["a/2"]]


def test_a_least_duration_of_0_keeps_everybody() -> None:
    found = linked(BRIEF, *LONG, min_person_s=0)
    assert names(found.people) == [["a/1"], ["a/2"], ["a/3"]]
    assert not found.left_out


def test_the_time_in_two_cameras_adds_up() -> None:
    again = seen("b", 2, 5, 5.7, GREEN)
    assert ["a/2", "b/2"] in names(linked(BRIEF, again, *LONG).people)


def test_a_short_tracklet_of_somebody_who_is_seen_for_longer_stays() -> None:
    back = seen("a", 4, 12, 12.5, RED)
    assert names(linked(back, *LONG).people) == [["a/1", "a/4"], ["a/3"]]


@pytest.mark.parametrize(("run_s", "n_people"), [(1.3, 2), (5.0, 1)])
def test_who_is_seen_for_half_of_a_short_run_stays(run_s: float, n_people: int) -> None:
    assert len(linked(BRIEF, seen("a", 1, 2, 2 + run_s, RED)).people) == n_people


def test_whom_a_correction_names_stays_however_brief() -> None:
    told = Corrections(different=[["a/1", "a/2"]])
    found = linker.link([BRIEF, *LONG], CAMERAS, LinkingConfig(), told)
    assert names(found.people) == [["a/1"], ["a/2"], ["a/3"]]


@pytest.mark.parametrize("min_person_s", [0.0, 6.0])
def test_near_misses_are_between_people_who_are_listed(min_person_s: float) -> None:
    far = seen("b", 1, 0, 5, RED, foot=np.array([900, 500]))
    config = LinkingConfig(min_person_s=min_person_s)
    found = linker.link([seen("a", 1, 0, 20, RED), far], ON_FLOOR, config)
    assert len(found.near_misses) == (min_person_s == 0)


def test_online_nobody_is_left_out_since_events_have_told_of_them() -> None:
    online = OnlineLinker(engine_of(CAMERAS, LinkingConfig()), 600)
    for embedded in [BRIEF, *LONG]:
        online.add(embedded, provisional=False)
    said = online.step(30)
    assert [event.kind for event in said] == ["appeared"] * 3
    assert len(online.linked().people) == 3


def test_without_tracklets_there_is_nobody() -> None:
    assert linked().people == []


@pytest.mark.parametrize(("min_person_s", "n_people", "n_notes"), [(1, 1, 1), (0, 2, 0)])
def test_a_run_says_how_many_were_left_out_and_how_to_keep_them(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    min_person_s: float,
    n_people: int,
    n_notes: int,
) -> None:
    video = tmp_path / "hall.mp4"
    write_video(video, n_frames=40, size=(320, 240))
    boxes = [f"{frame},-1,20,40,40,100,0.9" for frame in range(1, 41)]
    boxes += [f"{frame},-1,200,40,40,100,0.9" for frame in range(11, 18)]
    detections = tmp_path / "hall.txt"
    detections.write_text("\n".join(boxes) + "\n")
    output = tmp_path / "out"
    arguments = ["--videos", video, "--output", output, "--no-video"]
    settings = {
        "detector.detections": detections,
        "reid.weights": "none",
        "linking.min_person_s": min_person_s,
    }
    arguments += [f"--set={name}={value}" for name, value in settings.items()]
    assert cli.main([str(argument) for argument in arguments]) == 0
    run = json.loads((output / "run.json").read_text())
    assert run["people"] == n_people
    said = [note for note in run["notes"] if "linking.min_person_s=0" in note]
    assert len(said) == n_notes
    assert all(note.startswith("left out 1 person") for note in said)
    assert capsys.readouterr().out.count("linking.min_person_s=0") == n_notes
    assert run["warnings"] == []
