"""Tracks of live cameras: nobody is open for ever, and numbers go on."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.runtimes.choice import NO_RUNTIME, Choice
from pipeline.config import CameraConfig, Config, DetectorConfig, LiveConfig
from pipeline.following import Followed
from pipeline.live.worker import LiveWorker
from pipeline.records import Detections, Frame, Tracklet
from pipeline.sources.live.cameras import LiveCameras
from pipeline.timings import Timings
from tests.videos import write_video

BOX = np.array([[10, 5, 30, 45]], np.float32)


class SameBox:
    """Finds somebody in one place in every picture."""

    name = "same box"
    files: tuple[Path, ...] = ()
    choice: Choice = NO_RUNTIME
    warnings: list[str] = []  # noqa: RUF012 - as the protocol has it

    def detect(self, frames: list[Frame]) -> list[Detections]:
        return [Detections(BOX, np.ones(1, np.float32)) for _ in frames]


def followed(
    paths: list[Path],
    first_track_ids: dict[str, int] | None = None,
    roi: Sequence[tuple[float, float]] = (),
) -> tuple[list[Tracklet], list[Followed], LiveWorker]:
    """Play files as if live, one after the other in a camera each, to their end."""
    cameras = []
    for path in paths:
        cameras.append(CameraConfig(source=str(path), name=path.stem, live=True, roi=list(roi)))
    config = Config(cameras=cameras, detector=DetectorConfig(rate="all"))
    seen: list[Followed] = []
    sources = LiveCameras(cameras, LiveConfig())
    try:
        worker = LiveWorker(
            sources,
            SameBox(),
            config,
            Timings(),
            lambda _, followed: seen.append(followed),
            first_track_ids,
        )
        closed: list[Tracklet] = []
        for each in worker.run(threading.Event()):
            closed += each
    finally:
        sources.close()
    return closed, seen, worker


def test_a_camera_that_falls_silent_closes_its_tracklets_while_others_go_on(tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", 15, 10)
    long = write_video(tmp_path / "long.mp4", 600, 10)
    config = [CameraConfig(source=str(path), name=path.stem, live=True) for path in (short, long)]
    sources = LiveCameras(config, LiveConfig())
    worker = LiveWorker(
        sources,
        SameBox(),
        Config(cameras=config, detector=DetectorConfig(rate="all")),
        Timings(),
        lambda frame, followed: None,
    )
    n_frames_when_closed = 0
    try:
        for closed in worker.run(threading.Event()):
            if any(tracklet.camera == "short" for tracklet in closed):
                n_frames_when_closed = worker.n_frames["long"]
                break
    finally:
        sources.close()
    assert 0 < n_frames_when_closed < 600
    assert [tracklet.camera for tracklet in worker.provisional()] == ["long"]


def test_numbers_of_tracks_go_on_after_an_earlier_run(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cam.mp4", 15, 10)
    closed, seen, worker = followed([path], {"cam": 7, "gone": 3})
    assert [tracklet.track_id for tracklet in closed] == [7]
    assert worker.next_track_ids == {"cam": 8, "gone": 3}
    assert len(seen) == worker.n_frames["cam"]


def test_all_places_where_somebody_may_be_are_told_for_hiding_people(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cam.mp4", 15, 10)
    _, seen, _ = followed([path])
    assert len(seen[0].tracks) == 0, "nobody is believed at once"
    np.testing.assert_allclose(seen[0].possible_boxes[0], BOX[0])
    assert len(seen[-1].possible_boxes) == 2, "what was detected, and where the track is expected"


def test_a_region_that_has_nobody_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cam.mp4", 15, 10)
    elsewhere = [(50, 0), (60, 0), (60, 10)]
    closed, seen, worker = followed([path], roi=elsewhere)
    assert closed == []
    (warning,) = worker.warnings
    assert f"cam: its roi has the feet of none of the {len(seen)} people boxes" in warning
