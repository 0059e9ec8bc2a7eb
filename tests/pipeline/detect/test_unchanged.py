"""Pictures that show what the last one did are not looked at again."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import config as configuration
from pipeline import run
from pipeline.detect.unchanged import MAX_AGE_S, LastLook
from pipeline.records import Array, Detections, Frame

HEIGHT = 180
WIDTH = 320
SOMEBODY = Detections(np.array([[10, 20, 30, 90]], np.float32), np.array([0.9], np.float32))


def place(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(60, 200, (HEIGHT, WIDTH, 3), np.uint8)


def with_person(image: Array, x: int, size: int = 8) -> Array:
    image = image.copy()
    image[60 : 60 + 3 * size, x : x + size] = 20
    return image


def is_looked_at(images: Sequence[Array], interval_s: float = 0.2) -> list[bool]:
    last = LastLook()
    looked: list[bool] = []
    for i, image in enumerate(images):
        found = last.again(Frame("cam", i, i * interval_s, image))
        looked.append(found is None)
        if found is None:
            last.take(SOMEBODY)
        else:
            assert found is SOMEBODY
    return looked


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_noise_of_a_camera_is_no_change(seed: int, amplitude: int) -> None:
    random = np.random.default_rng(seed)
    noisy = [
        np.clip(place() + random.integers(-amplitude, amplitude + 1, (HEIGHT, WIDTH, 3)), 0, 255)
        for _ in range(5)
    ]
    assert is_looked_at([image.astype(np.uint8) for image in noisy]) == [True] + [False] * 4


@given(st.integers(0, WIDTH - 20), st.integers(8, 12))
def test_a_small_person_who_comes_moves_or_goes_is_a_change(x: int, size: int) -> None:
    empty = place()
    pictures = [empty, with_person(empty, x, size), with_person(empty, x + 4, size), empty, empty]
    assert is_looked_at(pictures) == [True, True, True, True, False]


def test_light_that_changes_slowly_is_seen_when_it_has_changed() -> None:
    darker = [(place() * (1 - 0.01 * i)).astype(np.uint8) for i in range(15)]
    looked = is_looked_at(darker)
    assert 2 <= sum(looked) <= 5


def test_a_full_look_follows_every_few_seconds() -> None:
    looked = is_looked_at([place()] * 40, interval_s=0.5)
    times_s = np.flatnonzero(looked) * 0.5
    assert np.diff(times_s).max() <= MAX_AGE_S + 0.5
    assert len(times_s) < 10


@pytest.mark.parametrize(
    ("settings", "is_saved"),
    [
        ([], True),
        (["detector.skip_unchanged=false"], False),
        (["detector.rate=all"], False),
        (["detector.rate=10"], True),
    ],
)
def test_a_run_counts_the_pictures_that_no_network_saw(
    tmp_path: Path, settings: list[str], is_saved: bool
) -> None:
    folder = tmp_path / "cam"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"{i:03d}.png"), place())
    chosen = ["detector.weights=hog", "reid.weights=none", "sources.image_fps=10", *settings]
    config = configuration.with_videos(configuration.load("", chosen), [str(folder)])
    result = run.run(config, tmp_path / "out", quiet=True)
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    n_unchanged = manifest["cameras"][0]["n_unchanged"]
    assert n_unchanged == (11 if is_saved else 0)
    assert result.timings.counts["detect"] == 12 - n_unchanged
