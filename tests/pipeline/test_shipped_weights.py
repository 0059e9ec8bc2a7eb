"""The weights that ship: they are what was measured, and find and tell apart the people of the
sample.
"""

from pathlib import Path

import pytest

from models import weights
from models.detector import data
from models.detector.data import PictureSet
from models.detector.evaluate import evaluate
from models.detector.inference import PersonDetector
from models.reid import encoder
from models.reid.data import catalogue
from models.reid.evaluation.features import Reading
from models.reid.evaluation.protocol import Protocol
from models.reid.evaluation.report import Choices
from models.reid.evaluation.report import evaluate as evaluate_reid
from models.weights import shipped
from models.weights.__main__ import main
from pipeline import crops


def test_what_ships_is_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert {entry.role for entry in shipped.read()} == {"detector", "reid"}
    assert all(entry.scores and entry.commit and entry.licence for entry in shipped.read())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("role", ["detector", "reid"])
def test_there_are_weights_for_every_device(role: str, device: str) -> None:
    assert weights.bundled(role, device) is not None


@pytest.mark.slow
@pytest.mark.parametrize("camera", ["cam1", "cam2", "cam4"])
def test_the_detector_finds_nearly_everybody_in_the_sample(sample: Path, camera: str) -> None:
    path = weights.bundled("detector")
    assert path is not None
    video, truth = sample / f"{camera}.mp4", sample / "truth" / f"{camera}.txt"
    pictures = PictureSet(camera, lambda: data.clip(video, truth, every=90))
    (row,) = evaluate("shipped", PersonDetector(str(path)), [pictures])
    assert row.n_frames >= 8
    assert row.ap50 > 0.85 and row.recall > 0.8


@pytest.mark.slow
def test_the_reid_network_tells_the_people_of_the_sample_apart_across_cameras(
    sample: Path, tmp_path: Path
) -> None:
    path = weights.bundled("reid")
    assert path is not None
    videos = [str(sample / f"cam{i}.mp4") for i in (1, 2, 3, 4)]
    crops.write(
        videos,
        crops.read_boxes(sample / "truth", 0.7),
        tmp_path / "people",
        every_s=10.0,
        min_height_px=60,
    )
    people = catalogue.load("folder", tmp_path / "people", {"kind": "tracklets", "use": "test"})
    report = evaluate_reid(
        encoder.load(path, "cpu"), "shipped", people, Choices(Protocol(), Reading())
    )
    assert len(people.query) >= 10
    assert report.rows[0].scores.at(1) > 0.8 and report.rows[0].scores.mean_ap > 0.7
