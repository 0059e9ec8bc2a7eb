"""The results of a live run come from its journal, and are those of the run."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import fill
from pipeline import run as runs
from pipeline.config import Config, ZoneConfig, build
from pipeline.following import Followed, Following
from pipeline.linking.linker import Linked
from pipeline.live import journal, merge
from pipeline.live.journal import Journal, Setup
from pipeline.online import linker as online
from pipeline.online.events import Event
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.online.runner import CachedEmbedder, OnlineRunner
from pipeline.outputs.trajectories import link_probabilities
from pipeline.preparation import prepare
from pipeline.records import (
    Array,
    Camera,
    Detections,
    Embedded,
    Frame,
    Person,
    Tracklet,
    Tracks,
)
from pipeline.timings import Timings
from pipeline.worker import Worker
from tests.pipeline.linking.test_linker import CAMERAS, RED, seen
from tests.pipeline.online.test_linker import crowd, cutting, link, poorly, watch, with_looks

LONG_S = 1000.0


def tracks_of(tracklets: Sequence[Tracklet]) -> list[Tracks]:
    """The rows of one camera's tracklets as its tracker returned them, frame by frame."""
    numbers = np.unique(np.concatenate([t.frames for t in tracklets]))
    found = []
    for frame in numbers.tolist():
        present = [
            (t, int(np.searchsorted(t.frames, frame))) for t in tracklets if frame in t.frames
        ]
        found.append(
            Tracks(
                np.full(len(present), frame),
                np.array([t.times_s[row] for t, row in present]),
                np.array([t.track_id for t, _ in present], np.int64),
                np.array([t.boxes[row] for t, row in present]),
                np.array([t.scores[row] for t, row in present]),
                np.zeros(len(present), np.bool_),
            )
        )
    return found


def record(folder: Path, embedded: Sequence[Embedded], said: Sequence[Event]) -> None:
    """Write a journal of tracklets."""
    written = Journal(folder, LONG_S)
    written.describe(Setup(tuple(CAMERAS.values())))
    for camera in "abc":
        own = [e.tracklet for e in embedded if e.tracklet.camera == camera]
        for tracks in tracks_of(own) if own else []:
            written.add(camera, tracks)
    written.say(said)
    written.close()


Rows = dict[tuple[int, str], tuple[list[int], list[float], Array, Array]]


def contents(people: Sequence[Person]) -> Rows:
    """Rows by person and tracklet."""
    return {
        (person.person_id, t.name): (t.frames.tolist(), t.times_s.tolist(), t.boxes, t.scores)
        for person in people
        for t in person.tracklets
    }


def assert_same(found: Sequence[Person], expected: Sequence[Person]) -> None:
    first, second = contents(found), contents(expected)
    assert first.keys() == second.keys()
    for key, (frames, times_s, boxes, scores) in first.items():
        assert (frames, times_s) == second[key][:2]
        np.testing.assert_array_equal(boxes, second[key][2])
        np.testing.assert_array_equal(scores, second[key][3])
    assert [person.person_id for person in found] == [person.person_id for person in expected]
    for one, other in zip(found, expected, strict=True):
        assert [t.name for t in one.tracklets] == [t.name for t in other.tracklets]


@pytest.mark.parametrize("cuts", [False, True])
@given(seed=st.integers(0, 10_000), forget_after_s=st.sampled_from([3.0, 600.0]))
@settings(max_examples=6)
def test_the_people_of_a_journal_are_those_that_linking_has_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, seed: int, forget_after_s: float, cuts: bool
) -> None:
    embedded = crowd(seed, 14, 30)
    if cuts:
        embedded = [with_looks(e) for e in embedded]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "N_KEPT", 1)
        patch.setattr(online, "N_NEWEST", 1)
        linking, said = watch(embedded, cutting if cuts else link, forget_after_s, glimpse=poorly)
    folder = tmp_path_factory.mktemp("run")
    record(folder, embedded, said)
    assert_same(merge.people(folder), linking.linked().people)


class Recorded(Following):
    """Follows people, and writes their rows into a journal, as a live run does."""

    def __init__(self, written: Journal, camera: str, config: Config, timings: Timings) -> None:
        super().__init__(camera, [], config, timings, is_adaptive=False)
        self._written = written

    def follow(self, frame: Frame, found: Detections) -> Followed:
        followed = super().follow(frame, found)
        self._written.add(self.camera, followed.tracks)
        return followed


class Recording:
    """An online run over the sample with a journal, and what the run itself says in the end.

    flush_after: the journal is left as it is from then on, at so many rounds, as by a kill.
    """

    def __init__(self, folder: Path, config: Config, flush_after: int = -1) -> None:
        prepared = prepare(config, folder / "out", overwrite=False)
        timings = prepared.result.timings
        worker = Worker(prepared.sources, prepared.detector, prepared.config, timings)
        self.cameras = prepared.cameras
        written = Journal(folder, LONG_S)
        written.describe(Setup(tuple(prepared.cameras.values())))
        for name in worker._following:
            worker._following[name] = Recorded(written, name, prepared.config, timings)
        linking = prepared.config.linking
        linker = OnlineLinker(engine_of(prepared.cameras, linking), linking.forget_after_s)
        embed = CachedEmbedder(prepared.embedder, timings).embed
        runner = OnlineRunner(worker, embed, linker, linking.max_delay_s, timings, written.say)
        self.at_kill: Linked | None = None
        stop = runs.stages()["reading"]

        def rounds() -> Iterator[list[Tracklet]]:
            for number, closed in enumerate(worker.run(stop, lambda n: None)):
                if number == flush_after:
                    written.say(runner._link(*runner._taken()))
                    self.at_kill = linker.linked()
                    written.close()
                    return
                yield closed

        self.linked = runner.follow(rounds())
        written.close()


@pytest.fixture(scope="module")
def config(sample: Path) -> Config:
    """Two cameras of the sample for some seconds, linked online by appearance."""
    return build(
        {
            "cameras": [{"source": str(sample / f"{name}.mp4")} for name in ("cam1", "cam2")],
            "sources": {"max_seconds": 12},
            "detector": {"detections": str(sample / "truth")},
            "linking": {"online": True},
            "device": "cpu",
        },
        "the test",
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, config: Config) -> tuple[Path, Recording]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, Recording(folder, config)


@pytest.mark.slow
def test_the_journal_of_a_run_over_the_sample_gives_the_people_of_the_run(
    recording: tuple[Path, Recording],
) -> None:
    folder, run = recording
    assert len(run.linked.people) >= 5
    assert_same(merge.people(folder), run.linked.people)
    expected = fill.fill(run.linked.people, 1.5, 1)
    assert_same(merge.filled(merge.people(folder), journal.read_setup(folder)), expected)


@pytest.mark.slow
def test_what_a_killed_run_had_flushed_gives_the_people_that_it_had(
    tmp_path: Path, config: Config
) -> None:
    run = Recording(tmp_path, config, flush_after=60)
    assert run.at_kill is not None
    assert len(run.at_kill.people) > 3
    assert_same(merge.people(tmp_path), run.at_kill.people)


def test_the_command_writes_the_results_of_a_run_that_was_killed(
    recording: tuple[Path, Recording], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = recording
    assert merge.main([str(folder)]) == 0
    n_people = len(run.linked.people)
    assert capsys.readouterr().out.startswith(f"{n_people} people in ")
    document = json.loads((folder / "trajectories.json").read_text())
    assert [person["person_id"] for person in document["people"]] == [
        person.person_id for person in run.linked.people
    ]
    assert [camera["camera"] for camera in document["cameras"]] == ["cam1", "cam2"]
    with (folder / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    n_detected = sum(len(t.frames) for p in run.linked.people for t in p.tracklets)
    assert sum(row["filled"] == "0" for row in rows) == n_detected
    n_boxes = sum(
        len((folder / "mot" / f"{name}.txt").read_text().splitlines()) for name in run.cameras
    )
    assert n_boxes == len(rows)
    assert merge.main([str(folder)]) == 0, "once more, in the place of the first results"
    assert not list(folder.glob(".*"))


def test_links_have_the_probability_that_they_were_decided_with(tmp_path: Path) -> None:
    said = [
        Event(1, "appeared", 1, -1, "a/1@0", "new"),
        Event(1, "appeared", 2, -1, "b/1@0", "new"),
        Event(9, "seen", 1, -1, "a/2@80", "alike", 0.95),
        Event(9, "merged", 1, 2, "", "alike", 0.75),
        Event(9, "appeared", 3, -1, "c/1@0", "new"),
    ]
    tracklets = [seen("a", 1, 0, 1), seen("b", 1, 0, 1), seen("a", 2, 8, 9), seen("c", 1, 0, 1)]
    record(tmp_path, tracklets, said)
    first, second = merge.people(tmp_path)
    probabilities = link_probabilities(first)
    found = {each.name: probabilities[each.key] for each in first.tracklets}
    assert found == {"a/1@0": 0.95, "b/1@0": 0.75, "a/2@80": 0.95}
    said[2] = Event(9, "appeared", 4, -1, "a/2@80", "new")
    record(tmp_path / "other", tracklets, said)
    first, second, third = merge.people(tmp_path / "other")
    assert list(link_probabilities(first).values()) == [0.75, 0.75]
    assert list(link_probabilities(second).values()) == [1.0]
    assert not third.links


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    """Somebody who is not seen for 0.5 s, and then not for 5 s."""
    whole = seen("a", 1, 0, 10, RED).tracklet
    rows = (whole.times_s <= 2) | ((whole.times_s >= 2.5) & (whole.times_s <= 4))
    record(
        tmp_path,
        [seen("a", 1, 0, 10, RED).rows(rows | (whole.times_s >= 9))],
        [Event(1, "appeared", 1, -1, "a/1@0", "new")],
    )
    assert merge.main([str(tmp_path)]) == 0
    (person,) = json.loads((tmp_path / "trajectories.json").read_text())["people"]
    (tracklet,) = person["tracklets"]
    is_filled = np.array(tracklet["filled"], bool)
    assert np.array(tracklet["frames"])[is_filled].tolist() == [21, 22, 23, 24]
    assert np.diff(tracklet["frames"]).max() == 50


def test_tracks_that_nobody_was_told_of_and_people_without_rows_are_left_out(
    tmp_path: Path,
) -> None:
    told, untold = seen("a", 1, 0, 1), seen("a", 2, 0, 0.2)
    said = [
        Event(1, "appeared", 1, -1, "a/1@5", "its first rows were too few for a tracklet"),
        Event(1, "appeared", 2, -1, "b/7@0", "its rows are lost"),
    ]
    record(tmp_path, [told, untold], said)
    (person,) = merge.people(tmp_path)
    assert [(t.name, t.frames.tolist()) for t in person.tracklets] == [
        ("a/1@5", [5, 6, 7, 8, 9, 10])
    ]


def test_a_folder_that_is_none_of_a_live_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge.main([str(tmp_path)]) == 2
    assert "give the output folder of a live run" in capsys.readouterr().err


def test_results_that_cannot_be_written_are_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, [seen("a", 1, 0, 1)], [Event(1, "appeared", 1, -1, "a/1@0", "new")])
    (tmp_path / "mot").write_text("a file where the folder goes")
    assert merge.main([str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_cameras_keep_their_homographies(tmp_path: Path) -> None:
    written = Journal(tmp_path, LONG_S)
    floor = np.diag([0.01, 0.01, 1.0])
    written.describe(Setup((Camera("a", "a.mp4", 1000, 1000, 10, 0, -1, floor),)))
    (tracks, *_) = tracks_of([seen("a", 1, 0, 1).tracklet])
    written.add("a", tracks)
    written.say([Event(1, "appeared", 1, -1, "a/1@0", "new")])
    written.close()
    assert merge.main([str(tmp_path)]) == 0
    (person,) = json.loads((tmp_path / "trajectories.json").read_text())["people"]
    assert person["tracklets"][0]["floor_m"] == [[1.0, 5.0]]


@pytest.mark.parametrize(("until_s", "n_rows"), [(0.0, 1), (60.0, 2)])
def test_zones_are_counted_and_who_was_seen_long_before_the_end_has_left(
    tmp_path: Path, until_s: float, n_rows: int
) -> None:
    everywhere = ZoneConfig(
        name="all", camera="a", polygon=[(0, 0), (999, 0), (999, 999), (0, 999)]
    )
    written = Journal(tmp_path, LONG_S)
    setup = Setup(tuple(CAMERAS.values()), zones=(everywhere,), until_s=until_s)
    written.describe(setup)
    for tracks in tracks_of([seen("a", 1, 0, 2).tracklet]):
        written.add("a", tracks)
    written.say([Event(1, "appeared", 1, -1, "a/1@0", "new")])
    written.close()
    assert merge.main([str(tmp_path)]) == 0
    header, *rows = (tmp_path / "zones.csv").read_text().splitlines()
    assert header == "zone,kind,person_id,time_s,camera,direction,dwell_s,occupancy"
    assert [row.split(",")[:3] for row in rows] == [["all", "entry", "1"], ["all", "exit", "1"]][
        :n_rows
    ]
