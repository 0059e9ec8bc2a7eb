"""What a worker of a live run reports, and what the driver makes of it; without Ray."""

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import preparation
from pipeline.cluster import live_group
from pipeline.cluster.live_actor import LiveActor, LiveJob
from pipeline.cluster.live_group import Orders, Report, ReportingGroup
from pipeline.cluster.overview import Overview
from pipeline.config import Config
from pipeline.errors import ModelError, PipelineError
from pipeline.live.best_crops import BestCrops
from pipeline.live.group import Desk
from pipeline.live.hub import Hub
from pipeline.live.state import CameraProgress
from pipeline.preparation import Chosen, Networks
from pipeline.records import Tracks
from pipeline.timings import Timings
from tests.pipeline.live import test_run
from tests.pipeline.live.test_run import wait_until, world_of, write_camera


def config_of(videos: list[Path], *settings: str) -> Config:
    config, _ = preparation.checked(test_run.config_of(videos, *settings))
    return config


def networks_of(config: Config, videos: list[Path], **given: Any) -> Networks:
    return world_of(videos, **given).load_networks(config, [])


@contextmanager
def reporting(
    config: Config, networks: Networks, output: Path, **progress: CameraProgress
) -> Iterator[ReportingGroup]:
    """A group that runs, and is stopped after the block."""
    group = ReportingGroup(config, networks, output, progress)
    try:
        yield group
    finally:
        group.close()


def reports(group: ReportingGroup, orders: Orders) -> list[Report]:
    """All reports to the end, each as it comes out of another process."""
    taken: list[Report] = []
    while not taken or not taken[-1].has_ended:
        taken.append(pickle.loads(pickle.dumps(group.report(orders))))
    return taken


class Driver:
    """The side of a driver, and what it was told."""

    def __init__(self, output: Path, **progress: CameraProgress) -> None:
        self.rows: list[tuple[str, Tracks]] = []
        self.owners: dict[tuple[str, int], int] = {}
        self.crops = BestCrops(output, "off")
        self.hub = Hub()
        desk = Desk(
            output,
            time.time,
            Timings(),
            self.hub,
            self.crops,
            lambda camera, track_id: self.owners.get((camera, track_id), -1),
            str,
            lambda camera, tracks: self.rows.append((camera, tracks)),
        )
        self.overview = Overview(desk, 3.0, progress)


def test_a_group_reports_all_rows_and_tracklets_and_then_that_it_has_ended(tmp_path: Path) -> None:
    videos = [write_camera(tmp_path, name, 2.0) for name in ("gate", "hall")]
    config = config_of(videos)
    driver = Driver(tmp_path / "driver")
    driver.overview.assign("both", config.cameras)
    driver.overview.begin("both", "both (process 1)", "here (0)")
    closed = []
    with reporting(config, networks_of(config, videos), tmp_path / "out") as group:
        taken = reports(group, Orders(tuple(config.cameras)))
    for report in taken:
        closed += driver.overview.take("both", report)
    assert [each.tracklet.camera for each in closed] == ["gate", "hall"]
    assert len({each.tracklet.key for each in closed}) == 2
    for each in closed:
        frames = [tracks.frames for camera, tracks in driver.rows if camera == each.tracklet.camera]
        np.testing.assert_array_equal(np.concatenate(frames), each.tracklet.frames)
        assert len(each.tracklet.crops) == 0, "pixels stay with the worker"
    assert driver.overview.provisional() == []
    assert {each.state for each in driver.overview.health()} == {"ended"}
    assert {each.worker for each in driver.overview.health()} == {"both (process 1)"}
    assert driver.overview.cameras.keys() == {"gate", "hall"}
    driver.crops.write()
    assert len(list((tmp_path / "driver" / "crops").iterdir())) == 1


def test_who_does_not_ask_loses_the_oldest_rows_and_is_told_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_group, "MAX_ROWS", 5)
    video = write_camera(tmp_path, "gate", 2.0)
    config = config_of([video])
    with reporting(config, networks_of(config, [video]), tmp_path / "out") as group:
        wait_until(lambda: not group._thread.is_alive())
        (last,) = reports(group, Orders(tuple(config.cameras)))
    frames = np.concatenate([tracks.frames for _, tracks in last.rows])
    assert len(frames) <= 5
    (tracklet,) = [each.tracklet for each in last.closed]
    assert last.n_dropped == len(tracklet.frames) - len(frames)
    np.testing.assert_array_equal(frames, tracklet.frames[-len(frames) :])
    driver = Driver(tmp_path)
    driver.overview.assign("gate", config.cameras)
    driver.overview.take("gate", last)
    (drops,) = [event for event in driver.overview.take_events() if event.kind == "drops"]
    told = f"{last.n_dropped} rows and tracklets are lost: "
    assert (drops.camera, drops.reason[: len(told)]) == ("gate", told)
    (warning,) = driver.overview.warnings
    assert warning.startswith(told)


def test_numbers_go_on_after_those_of_an_earlier_worker(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    config = config_of([video])
    networks = networks_of(config, [video])
    with reporting(config, networks, tmp_path / "out", gate=CameraProgress(5, 7)) as group:
        taken = reports(group, Orders(tuple(config.cameras)))
    (closed,) = [each.tracklet for report in taken for each in report.closed]
    assert closed.track_id == 7
    assert closed.frames[0] >= 5
    assert taken[-1].progress["gate"].next_frame > closed.frames[-1]


def test_an_error_of_a_network_is_in_the_last_report(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    config = config_of([video])
    networks = networks_of(config, [video], embedder=test_run.Broken())
    with reporting(config, networks, tmp_path / "out") as group:
        *_, last = reports(group, Orders(tuple(config.cameras)))
    assert isinstance(last.error, ModelError)
    assert "no such layer" in str(last.error)


def test_cameras_are_added_and_removed_by_orders(tmp_path: Path) -> None:
    videos = [write_camera(tmp_path, name, test_run.STOPPED_S) for name in ("gate", "hall")]
    config = config_of(videos)
    gate, hall = config.cameras
    first = config.model_copy(update={"cameras": [gate]})

    def shows(group: ReportingGroup, name: str, *cameras: Any) -> Callable[[], bool]:
        def looks() -> bool:
            report = group.report(Orders(cameras))
            return {each.camera for each in report.health} == {name} and bool(report.rows)

        return looks

    with reporting(first, networks_of(config, videos), tmp_path / "out") as group:
        wait_until(shows(group, "gate", gate))
        wait_until(shows(group, "hall", hall))


def seen_until(tmp_path: Path, driver: Driver, *settings: str) -> Report:
    """The report after which somebody is in view; the worker is gone then."""
    video = write_camera(tmp_path, "gate", test_run.STOPPED_S)
    config = config_of([video], *settings)
    driver.overview.assign("gate", config.cameras)
    driver.overview.begin("gate", "gate (process 1)", "here (0)")
    last = Report()

    def somebody_is_open() -> bool:
        nonlocal last
        last = group.report(driver.overview.orders("gate", is_last=False))
        driver.overview.take("gate", last)
        return bool(driver.overview.provisional())

    with reporting(config, networks_of(config, [video]), tmp_path / "out") as group:
        wait_until(somebody_is_open)
    return last


def test_a_lost_worker_closes_its_open_tracklets_and_the_next_one_goes_on_after_them(
    tmp_path: Path,
) -> None:
    driver = Driver(tmp_path)
    seen_until(tmp_path, driver)
    overview = driver.overview
    last_frame = max(int(tracks.frames.max()) for _, tracks in driver.rows)
    (open_one,) = overview.provisional()
    n_frames = overview.n_frames
    overview.take_events()
    assert overview.lose("gate", "the process died") == [open_one]
    assert overview.provisional() == []
    assert overview.n_frames == n_frames
    assert overview.progress["gate"].next_frame > last_frame
    assert overview.progress["gate"].next_track_id == open_one.tracklet.track_id + 1
    (health,) = overview.health()
    assert (health.state, health.worker) == ("lost", "")
    assert "the process died" in health.reason
    overview.begin("gate", "gate (process 2)", "there (1)")
    lost, restarted = overview.take_events()
    assert (lost.kind, lost.camera) == ("worker_lost", "gate")
    assert "gate (process 1) on here (0): the process died" in lost.reason
    assert (restarted.kind, restarted.camera) == ("worker_restarted", "gate")
    assert "gate (process 2) runs on there (1)" in restarted.reason
    (health,) = overview.health()
    assert (health.state, health.node) == ("connecting", "there (1)")


def test_an_open_tracklet_that_is_told_no_more_has_closed(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    last = seen_until(tmp_path, driver)
    (open_one,) = driver.overview.provisional()
    assert driver.overview.take("gate", replace(last, rows=[], closed=[], open=None)) == []
    assert driver.overview.take("gate", replace(last, rows=[], closed=[], open=[])) == [open_one]
    assert driver.overview.take("gate", replace(last, rows=[], closed=[], open=[])) == []


def test_a_worker_is_told_who_is_in_view_and_what_is_watched(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    seen_until(tmp_path, driver, "serve.port=8099")
    (open_one,) = driver.overview.provisional()
    track = ("gate", open_one.tracklet.track_id)
    assert driver.overview.orders("gate", is_last=False).owners == {}
    driver.owners = {track: 4, ("gate", 99): 5}
    driver.hub.viewed("gate")
    orders = driver.overview.orders("gate", is_last=True)
    assert (orders.owners, orders.watched, orders.is_last) == ({track: 4}, ("gate",), True)
    assert driver.hub.picture("gate") is not None, "the first picture comes without being watched"


def test_without_page_and_report_no_pixel_leaves_the_worker(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "driver")
    seen_until(tmp_path, driver, "output.report=false")
    assert driver.hub.picture("gate") is None
    assert driver.overview.take_page_crops() == []
    assert driver.crops.take() == []
    (open_one,) = driver.overview.provisional()
    assert len(open_one.tracklet.crops) == 0


def job_of(tmp_path: Path, *settings: str, **changed: Any) -> LiveJob:
    """What a worker of one camera is made of, with a detector that loads at once."""
    video = write_camera(tmp_path, "gate", test_run.STOPPED_S)
    config, _ = preparation.checked(
        test_run.config_of([video], "detector.weights=hog", "output.video=true", *settings)
    )
    networks = preparation.load_networks(config, [])
    chosen = Chosen.of(preparation.new_result(config, tmp_path / "out", networks))
    return replace(LiveJob(config, chosen, tmp_path / "out", {}), **changed)


def why_not(actor: LiveActor) -> str:
    """Why a worker does not begin."""
    with pytest.raises(PipelineError) as caught:
        while True:
            actor.report(Orders(()))
    return str(caught.value)


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    told = why_not(LiveActor(job_of(tmp_path, version="0.0")))
    assert "and the command 0.0; install the same on all machines" in told


def test_a_machine_without_the_output_folder_is_told(tmp_path: Path) -> None:
    told = why_not(LiveActor(job_of(tmp_path)))
    assert f"{tmp_path / 'out'}: is not the output folder of this run on " in told


def test_a_spare_worker_waits_and_then_takes_the_cameras_of_a_lost_one(tmp_path: Path) -> None:
    job = job_of(tmp_path, "output.video=false")
    spare = replace(job, config=job.config.model_copy(update={"cameras": []}))
    actor = LiveActor(spare)
    orders = Orders(tuple(job.config.cameras))
    assert actor.report(orders) is None
    actor.take_over(replace(job, progress={"gate": CameraProgress(70, 7)}))

    last = Report()

    def reports(is_last: bool) -> bool:
        nonlocal last
        packed = actor.report(replace(orders, is_last=is_last))
        last = Report() if packed is None else pickle.loads(packed)
        return last.has_ended if is_last else bool(last.n_frames)

    wait_until(lambda: reports(is_last=False))
    wait_until(lambda: reports(is_last=True))
    assert last.progress["gate"].next_frame > 70
    assert last.progress["gate"].next_track_id == 7
