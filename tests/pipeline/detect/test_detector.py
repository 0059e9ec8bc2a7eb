"""The choice of who finds the people."""

import functools
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from models import weights
from models.weights import shipped
from pipeline.config import DetectorConfig
from pipeline.detect import detector
from pipeline.errors import ConfigError, ModelError
from pipeline.records import Camera

CAMERA = Camera("cam", "", 64, 48, 25.0, 0.0, -1, np.zeros((0, 0)))


def test_auto_without_bundled_weights_is_hog_and_says_how_to_get_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "bundled", functools.partial(weights.bundled, folder=tmp_path))
    chosen, notes = detector.build(DetectorConfig(), "cpu", [CAMERA])
    assert chosen.name == "HOG"
    assert len(notes) == 1 and "--set detector.weights=" in notes[0]


def test_auto_with_altered_weights_is_an_error_and_not_hog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "people.safetensors"
    source.write_bytes(save({"weight": np.zeros(1, np.float32)}, {"architecture": "yolo11n.yaml"}))
    about = {
        "name": "people",
        "role": "detector",
        "licence": "-",
        "data": "-",
        "command": "-",
        "commit": "abcdef0",
    }
    shipped.add(source, about, folder=tmp_path / "shipped")
    (tmp_path / "shipped" / "people.safetensors").write_bytes(b"altered")
    monkeypatch.setattr(
        weights, "bundled", functools.partial(weights.bundled, folder=tmp_path / "shipped")
    )
    with pytest.raises(
        ModelError, match=r"^.*/shipped/people\.safetensors: the shipped weights are not those .*$"
    ):
        detector.build(DetectorConfig(), "cpu", [CAMERA])


def test_hog_by_name_needs_no_note() -> None:
    chosen, notes = detector.build(DetectorConfig(weights="hog"), "cpu", [CAMERA])
    assert (chosen.name, notes) == ("HOG", [])


def test_a_detections_file_is_a_detector(tmp_path: Path) -> None:
    (tmp_path / "cam.txt").write_text("1,-1,0,0,5,5,0.9\n", encoding="utf-8")
    chosen, notes = detector.build(DetectorConfig(detections=str(tmp_path)), "cpu", [CAMERA])
    assert (chosen.name, notes) == ("detections file", [])


def test_detections_and_weights_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        detector.build(DetectorConfig(detections=str(tmp_path), weights="hog"), "cpu", [CAMERA])
