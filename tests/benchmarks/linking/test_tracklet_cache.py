"""Embedded tracklets come back as they were saved, and only for what they were made of."""

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.linking import tracklet_cache
from pipeline.records import Camera
from tests.benchmarks.linking.test_linking import seen

CAMERAS = [
    Camera("a", "a.mp4", 640, 480, 10.0, 0.5, 60, np.diag([2.0, 1.0, 1.0])),
    Camera("b", "b.mp4", 320, 240, 25.0, 0.0, 60, np.zeros((0, 0))),
]


def assert_same(one: Any, other: Any) -> None:
    for field in fields(one):
        value, back = getattr(one, field.name), getattr(other, field.name)
        if isinstance(value, np.ndarray):
            assert value.dtype == back.dtype
            assert np.array_equal(value, back), field.name
        elif field.name != "tracklet":
            assert (value, type(value)) == (back, type(back)), field.name


@pytest.mark.parametrize("n", [0, 1, 3])
def test_tracklets_and_cameras_come_back_as_they_were_saved(tmp_path: Path, n: int) -> None:
    embedded = [seen("ab"[k % 2], k, slice(0, 10 + k)) for k in range(n)]
    tracklet_cache.save(tmp_path / "entry.npz", embedded, CAMERAS)
    back = tracklet_cache.load(tmp_path / "entry.npz")
    assert back is not None
    for one, other in zip(embedded, back[0], strict=True):
        assert_same(one, other)
        assert_same(one.tracklet, other.tracklet)
    for camera, other_camera in zip(CAMERAS, back[1], strict=True):
        assert_same(camera, other_camera)


class _Touches:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def test_an_entry_that_somebody_else_wrote_as_pickle_is_not_opened(tmp_path: Path) -> None:
    entry = tmp_path / "entry.npz"
    entry.write_bytes(pickle.dumps(_Touches(tmp_path / "touched")))
    assert tracklet_cache.load(entry) is None
    assert not (tmp_path / "touched").exists()
    assert tracklet_cache.load(tmp_path / "absent.npz") is None


def test_the_key_changes_with_source_weights_and_settings_but_not_with_linking(
    tmp_path: Path,
) -> None:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    weights = write("weights.safetensors", "one")
    write("pipeline/tracking/tracker.py", "one")
    write("pipeline/linking/linker.py", "one")

    def key(**settings: float | dict[str, float]) -> str:
        return tracklet_cache.key([weights], settings, tmp_path)

    keys = [key(), key(min_score=0.1)]
    write("pipeline/linking/linker.py", "two")
    write("pipeline/config.py", "two")
    assert key(linking={"min_probability": 0.4}) == key() == keys[0]
    write("pipeline/tracking/tracker.py", "two")
    keys.append(key())
    write("weights.safetensors", "two")
    keys.append(key())
    write("models/reid/encoder.py", "one")
    keys.append(key())
    assert len(set(keys)) == len(keys)
