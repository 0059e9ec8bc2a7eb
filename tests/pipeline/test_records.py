"""Records refuse arrays that are not what they say."""

import subprocess
import sys
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
from tests.conftest import ROOT

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


def seen(n_crops: int = 3) -> Embedded:
    """Ten rows a second apart, with a crop at 1 s, 5 s and 9 s, all different."""
    times_s = np.arange(10.0)
    crop_times_s = np.array([1.0, 5.0, 9.0])[:n_crops]
    crop_embeddings = np.eye(8, dtype=np.float16)[:n_crops]
    tracklet = Tracklet(
        "cam",
        1,
        np.arange(10),
        times_s,
        np.tile(np.arange(10, dtype=F32)[:, None], (1, 4)),
        np.linspace(0, 1, 10, dtype=F32),
        np.tile(np.arange(n_crops, dtype=np.uint8)[:, None, None, None], (1, 256, 128, 3)),
        np.ones(n_crops, F32),
        crop_times_s,
    )
    whole = np.eye(8, dtype=F32)[7]
    return Embedded(tracklet, whole, crop_embeddings, np.ones(n_crops, F32), crop_times_s)


@pytest.mark.parametrize("keep", [slice(3, 7), (np.arange(10) >= 3) & (np.arange(10) < 7)])
def test_a_piece_has_its_rows_and_the_crops_from_its_time(keep: Any) -> None:
    piece = seen().rows(keep)
    assert piece.tracklet.frames.tolist() == piece.tracklet.boxes[:, 0].tolist() == [3, 4, 5, 6]
    assert piece.crop_times_s.tolist() == piece.tracklet.crop_times_s.tolist() == [5.0]
    assert np.unique(piece.tracklet.crops).tolist() == [1]
    np.testing.assert_array_equal(piece.embedding, np.eye(8)[1])


def test_a_piece_without_crops_is_alike_to_nobody_unless_no_crops_are_known() -> None:
    assert not seen().rows(slice(2, 4)).embedding.any()
    np.testing.assert_array_equal(seen(0).rows(slice(2, 4)).embedding, np.eye(8)[7])


def test_a_shifted_tracklet_is_the_same_at_another_time() -> None:
    later = seen().shifted(0.5)
    assert later.tracklet.first_s == 0.5
    assert later.crop_times_s.tolist() == later.tracklet.crop_times_s.tolist() == [1.5, 5.5, 9.5]
    assert later.tracklet.frames.tolist() == list(range(10))


@pytest.mark.parametrize("module", ["pipeline.records", "pipeline.explain"])
def test_reading_results_does_not_load_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
