"""The frame of each camera on which the report draws."""

from pathlib import Path

import cv2
import numpy as np

from pipeline.following import Followed
from pipeline.live.privacy import Blur
from pipeline.records import Array, Frame, Tracks
from pipeline.report import crops
from pipeline.report.stills import Stills

NO_TRACKS = Tracks(
    np.zeros(0, np.int64),
    np.zeros(0),
    np.zeros(0, np.int64),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    np.zeros(0, np.bool_),
)


def picture(level: int, width: int = 64, height: int = 48) -> Array:
    """Columns of this grey level and one that is 50 lighter."""
    columns = level + 50 * (np.arange(width) // 16 % 2)
    return np.broadcast_to(columns[None, :, None], (height, width, 3)).astype(np.uint8)


def followed(boxes: list[list[float]]) -> Followed:
    return Followed(NO_TRACKS, [], np.array(boxes, np.float32).reshape(-1, 4))


def still_of(stills: Stills, camera: str = "gate") -> Array:
    image = cv2.imdecode(np.frombuffer(stills.encoded()[camera], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def level_of(stills: Stills) -> int:
    return round(float(still_of(stills)[:, :8].mean()), -1)


def looked_at(frames: list[tuple[Array, list[list[float]]]], blur: Blur = "off") -> Stills:
    stills = Stills(blur)
    for index, (image, boxes) in enumerate(frames):
        stills.look(Frame("gate", index, index / 10, image), followed(boxes))
    return stills


SOMEBODY = [10.0, 4.0, 30.0, 44.0]


def test_the_frame_with_the_fewest_people_is_kept_and_of_equals_the_first() -> None:
    frames = [
        (picture(20), [SOMEBODY, SOMEBODY]),
        (picture(60), [SOMEBODY]),
        (picture(100), [SOMEBODY]),
        (picture(140), [SOMEBODY, SOMEBODY]),
    ]
    assert level_of(looked_at(frames)) == 60


def test_an_even_frame_is_kept_only_as_long_as_there_is_no_other() -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    assert level_of(looked_at([(black, [])])) == 0
    assert level_of(looked_at([(black, []), (picture(60), [SOMEBODY]), (black, [])])) == 60


def test_a_large_frame_is_made_smaller() -> None:
    assert still_of(looked_at([(picture(60, 1920, 1080), [])])).shape == (540, 960, 3)
    assert still_of(looked_at([(picture(60, 1080, 1920), [])])).shape == (960, 540, 3)


def test_people_in_a_still_are_hidden_as_they_are_elsewhere() -> None:
    rows = np.arange(240) % 2 * 255
    striped = np.broadcast_to(rows[:, None, None], (240, 320, 3)).astype(np.uint8)
    box = [100.0, 20.0, 180.0, 220.0]
    contrast = {}
    for blur in ("off", "faces", "bodies"):
        still = still_of(looked_at([(striped, [box])], blur))
        head, legs, beside = still[30:70, 110:170], still[150:210, 110:170], still[:, 200:]
        contrast[blur] = [float(part.std()) > 50 for part in (head, legs, beside)]
    assert contrast == {
        "off": [True, True, True],
        "faces": [False, True, True],
        "bodies": [False, False, True],
    }


def test_stills_lie_beside_the_crops_and_are_found_by_camera(tmp_path: Path) -> None:
    stills = looked_at([(picture(60), [])])
    stills.look(Frame("a/b", 0, 0.0, picture(100)), followed([]))
    with crops.keeping(tmp_path / "crops.zip", "off", stills):
        pass
    found = crops.load(tmp_path / "crops.zip").stills_of(["gate", "a/b", "yard"])
    assert found["gate"] == stills.encoded()["gate"]
    assert found["a/b"] == stills.encoded()["a/b"]
    assert "yard" not in found
