"""Records refuse arrays that are not what they say."""

from typing import Any

import numpy as np
import pytest

from pipeline.records import (
    HEIGHT_PX,
    NO_DETECTIONS,
    WIDTH_PX,
    Camera,
    Detections,
    Embedded,
    Frame,
    Tracklet,
    Tracks,
)

N, K = 3, 2
F32 = np.float32
GOOD: dict[type, dict[str, Any]] = {
    Frame: {"camera": "cam", "index": 0, "time_s": 0.0, "image": np.zeros((48, 64, 3), np.uint8)},
    Detections: {"boxes": np.zeros((N, 4), F32), "scores": np.zeros(N, F32)},
    Tracks: {
        "frames": np.arange(N),
        "times_s": np.arange(N) / 25,
        "track_ids": np.arange(N),
        "boxes": np.zeros((N, 4), F32),
        "scores": np.zeros(N, F32),
        "ambiguous": np.zeros(N, np.bool_),
    },
    Tracklet: {
        "camera": "cam",
        "track_id": 1,
        "frames": np.arange(N),
        "times_s": np.arange(N) / 25 + 7,
        "boxes": np.zeros((N, 4), F32),
        "scores": np.zeros(N, F32),
        "crops": np.zeros((K, HEIGHT_PX, WIDTH_PX, 3), np.uint8),
        "crop_quality": np.zeros(K, F32),
        "crop_times_s": np.arange(K) / 25 + 7,
    },
}
GOOD[Embedded] = {
    "tracklet": Tracklet(**GOOD[Tracklet]),
    "embedding": np.zeros(8, F32),
    "crop_embeddings": np.zeros((K, 8), np.float16),
    "crop_quality": np.zeros(K, F32),
    "crop_times_s": np.zeros(K),
}
ARRAYS = [
    (record, name)
    for record, fields in GOOD.items()
    for name in fields
    if isinstance(fields[name], np.ndarray)
]


@pytest.mark.parametrize("record", GOOD)
def test_a_record_takes_what_fits(record: type) -> None:
    made = record(**GOOD[record])
    assert all(getattr(made, name) is value for name, value in GOOD[record].items())


@pytest.mark.parametrize(("record", "name"), ARRAYS)
@pytest.mark.parametrize(
    "spoil",
    [lambda a: a.astype(np.int16), lambda a: a[None], lambda a: a.ravel()[:1].reshape(1, 1)],
)
def test_a_record_refuses_another_dtype_or_shape_and_names_the_field(
    record: type, name: str, spoil: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        record(**GOOD[record] | {name: spoil(GOOD[record][name])})


@pytest.mark.parametrize(
    ("record", "name"), [(r, n) for r, n in ARRAYS if len(GOOD[r]) > 2 and r is not Frame]
)
def test_the_arrays_of_a_record_are_of_one_length(record: type, name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        record(**GOOD[record] | {name: GOOD[record][name][1:]})


@pytest.mark.parametrize("shape", [(3, 4), (2, 2), (9,)])
def test_a_homography_is_three_by_three_or_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="homography of cam"):
        Camera("cam", "cam.mp4", 64, 48, 25.0, 0.0, -1, np.zeros(shape))


def test_the_image_of_a_frame_is_read_only() -> None:
    frame = Frame("cam", 0, 0.0, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 1


def test_a_tracklet_has_at_least_one_row() -> None:
    rows = {name: GOOD[Tracklet][name][:0] for name in ("frames", "times_s", "boxes", "scores")}
    with pytest.raises(ValueError, match="at least one row"):
        Tracklet(**GOOD[Tracklet] | rows)


def test_a_tracklet_knows_its_times_and_can_drop_its_pixels() -> None:
    tracklet = Tracklet(**GOOD[Tracklet])
    assert (tracklet.first_s, tracklet.last_s) == (7.0, 7.08)
    assert (tracklet.key, tracklet.name) == ((7.0, "cam", 1), "cam/1@0")
    bare = tracklet.without_crops()
    assert bare.crops.shape == (0, HEIGHT_PX, WIDTH_PX, 3) and bare.crops.base is None
    assert len(bare.crop_quality) == len(bare.crop_times_s) == 0 and bare.boxes is tracklet.boxes


def test_no_detections_are_none() -> None:
    assert len(NO_DETECTIONS) == 0
