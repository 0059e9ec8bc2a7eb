"""Groups of cameras: what they give, and what they do not do again after a kill."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from models.runtimes.choice import NO_RUNTIME
from pipeline import chunks, group
from pipeline.chunks import Chunk, Found
from pipeline.config import CameraConfig, Config
from pipeline.detect.mot_file import MotFileDetector
from pipeline.embed import NoEmbedder
from pipeline.group import Done, Group, Replay
from pipeline.preparation import open_camera
from pipeline.records import NO_DETECTIONS, NO_IMAGE, Detections, Frame, Key
from pipeline.sources import Source

MAX_S = 6.0


class CountingDetector:
    """Boxes from files, and which frames were asked about."""

    name = "counting"
    files: tuple[Path, ...] = ()
    choice = NO_RUNTIME

    def __init__(self, sources: Sequence[Source], truth: Path) -> None:
        cameras = [source.camera for source in sources]
        self._boxes = MotFileDetector(truth, cameras, min_score=0.1)
        self.asked: list[tuple[str, int]] = []

    @property
    def warnings(self) -> list[str]:
        return self._boxes.warnings

    def detect(self, frames: list[Frame]) -> list[Detections]:
        self.asked += [(frame.camera, frame.index) for frame in frames]
        return self._boxes.detect(frames)


def read(sample: Path, done: Done | None) -> tuple[list[Chunk], CountingDetector]:
    """Chunks of two cameras of the sample, and the detector that they were read with."""
    config = Config(
        cameras=[
            CameraConfig(source=str(sample / f"{name}.mp4"), name=name) for name in ("cam1", "cam2")
        ],
        sources={"max_seconds": MAX_S},
        tracklets={"max_tracklet_s": 1.5},
        reid={"batch_crops": 4},
    )
    sources = [open_camera(camera, config) for camera in config.cameras]
    detector = CountingDetector(sources, sample / "truth")
    reading = Group(sources, detector, NoEmbedder(), config, done)
    return list(reading.chunks(threading.Event(), lambda n: None)), detector


def keys_of(given: Sequence[Chunk]) -> list[Key]:
    return [each.tracklet.key for chunk in given for each in chunk.tracklets]


@pytest.fixture(scope="module")
def whole(sample: Path) -> list[Chunk]:
    """Chunks of an undisturbed group, one a round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "CHUNK_S", 0.0)
        given, _ = read(sample, Done())
    return given


def test_only_the_last_chunk_says_how_far_the_cameras_came(whole: list[Chunk]) -> None:
    assert [bool(chunk.ends) for chunk in whole] == [False] * (len(whole) - 1) + [True]
    assert {end.camera: end.n_frames for end in whole[-1].ends} == {"cam1": 75, "cam2": 75}
    assert all(end.still.startswith(b"\xff\xd8") for end in whole[-1].ends)


def test_every_tracklet_comes_once_and_with_its_crop(whole: list[Chunk]) -> None:
    keys = keys_of(whole)
    assert len(set(keys)) == len(keys) > 5
    for chunk in whole:
        tracks = [(each.tracklet.camera, each.tracklet.track_id) for each in chunk.tracklets]
        assert [(crop.camera, crop.track_id) for crop in chunk.crops] == tracks
    assert sum(len(chunk.crops) for chunk in whole) == len(keys)


def test_a_group_that_is_read_again_gives_the_rest_and_detects_nothing_twice(
    sample: Path, whole: list[Chunk]
) -> None:
    before = whole[: len(whole) // 2]
    done = Done.of(before, ["cam1", "cam2"])
    after, detector = read(sample, done)
    assert sorted(keys_of(before) + keys_of(after)) == sorted(keys_of(whole))
    known = {(name, int(i)) for name, found in done.found.items() for i in found.frames}
    assert known.isdisjoint(detector.asked)
    assert len(known) + len(detector.asked) == sum(
        len(found.frames) for chunk in whole for found in chunk.found
    )
    assert after[-1].ends == whole[-1].ends
    rest = {each.tracklet.key: each.tracklet for chunk in after for each in chunk.tracklets}
    for each in [each for chunk in whole for each in chunk.tracklets]:
        if each.tracklet.key in rest:
            again = rest[each.tracklet.key]
            assert np.array_equal(again.boxes, each.tracklet.boxes)
            assert np.array_equal(again.frames, each.tracklet.frames)


def test_a_group_that_keeps_nothing_has_nothing_that_was_found_in_its_chunks(sample: Path) -> None:
    given, _ = read(sample, None)
    assert not any(chunk.found for chunk in given)


def test_a_chunk_survives_as_bytes_and_damage_is_found(whole: list[Chunk]) -> None:
    for chunk in (max(whole, key=lambda chunk: len(chunk.tracklets)), whole[-1]):
        data = chunks.to_bytes(chunk)
        assert chunks.to_bytes(chunks.from_bytes(data)) == data
        with pytest.raises(ValueError, match=r"."):
            chunks.from_bytes(data[: len(data) // 2])


class RefusingDetector:
    """Knows nothing itself."""

    name = "refusing"
    files: tuple[Path, ...] = ()
    choice = NO_RUNTIME
    warnings: ClassVar[list[str]] = []

    def detect(self, frames: list[Frame]) -> list[Detections]:
        raise AssertionError("it was asked again")


def test_frames_without_people_are_known_too() -> None:
    empty = Found.of("cam", [3, 5], [NO_DETECTIONS, NO_DETECTIONS])
    replay = Replay(RefusingDetector(), {"cam": empty})
    frames = [Frame("cam", index, index / 10, NO_IMAGE) for index in (3, 5)]
    assert [len(found) for found in replay.detect(frames)] == [0, 0]
    assert replay.take() == []
