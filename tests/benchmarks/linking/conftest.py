"""A scene that all tests of the benchmark of linking share."""

import numpy as np
import pytest

from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline.evaluate.boxes import Rows, Truth
from pipeline.records import Camera
from tests.benchmarks.linking.test_linking import FPS, N_FRAMES, seen, walking


@pytest.fixture
def scene() -> EmbeddedScene:
    """Two people who walk past each other, seen by two cameras."""
    cameras = {
        name: Camera(name, f"{name}.mp4", 640, 480, FPS, 0.0, N_FRAMES, np.zeros((0, 0)))
        for name in ("a", "b")
    }
    ids = np.repeat([0, 1], N_FRAMES)
    rows = Rows(
        np.tile(np.arange(N_FRAMES), 2), np.concatenate([walking(0), walking(1)]), ids, ids, ids
    )
    truth = Truth(rows, np.ones(2 * N_FRAMES, bool))
    return EmbeddedScene(
        "tiny",
        [seen(camera, person) for camera in "ab" for person in (0, 1)],
        cameras,
        dict.fromkeys("ab", truth),
    )
