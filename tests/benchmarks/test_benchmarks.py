"""The benchmarks run and measure what they say; nothing checks their figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pipeline, record, stages
from pipeline import mot


def test_stages_measures_every_stage_but_decode_detect_embed_and_encode() -> None:
    timings = stages.measure(5, 2.0, 640, 360)
    assert set(timings.seconds) == {"track", "gather", "link", "write", "draw"}
    assert set(timings.counts.values()) <= {50, 1}
    assert all(seconds > 0 for seconds in timings.seconds.values())


def test_no_line_is_written_without_a_file_to_write_to() -> None:
    record.append(None, "x", {}, {})


def test_the_plain_alternative_matches_greedily_but_never_one_person_twice_in_a_frame() -> None:
    red, blue = np.eye(4)[0], np.eye(4)[1]
    box = np.zeros(4)
    sums = {("a", 1): red, ("a", 2): red, ("b", 1): red, ("b", 2): blue}
    rows = [pipeline._Row(camera, 0, track, box, 1.0) for camera, track in sums]
    assert list(pipeline._match_greedily(sums, rows).values()) == [1, 2, 1, 3]


@pytest.mark.slow
def test_the_plain_alternative_runs_on_the_sample(
    shared_data: Path, sample: Path, tmp_path: Path
) -> None:
    baselines = shared_data / "baselines"
    command = [
        "--max-seconds",
        "0.5",
        "--scenes",
        str(sample),
        "--system",
        "plain",
        "--output",
        str(tmp_path),
    ]
    command += ["--detector", str(baselines / "yolo11n_coco.safetensors")]
    command += ["--reid", str(baselines / "person-reidentification-retail-0287.onnx")]
    pipeline.run_one(pipeline.parse(command))
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert measured["frames"] == 4 * 7
    assert len(mot.read(tmp_path / "results" / "cam1.txt")) > 7
