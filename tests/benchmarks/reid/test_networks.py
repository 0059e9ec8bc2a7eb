"""The table of ReID networks."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.reid import networks


@pytest.mark.slow
def test_a_network_is_scored_on_the_sets_asked_for_beside_the_public_ones(
    shared_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    public = shared_data / "baselines" / "person-reidentification-retail-0287.onnx"
    out = tmp_path / "table.md"
    arguments = [
        "--data",
        str(shared_data),
        "--public",
        str(public),
        "--only",
        "CUHK03",
        "--scratch",
        str(tmp_path),
        "--threads",
        "1",
    ]
    assert networks.main([*arguments, "--output", str(out)]) == 0
    head, _, scored, _, _, _, curve_head, _, curve = out.read_text(encoding="utf-8").splitlines()
    assert head == "| network | CUHK03 val | crops/s |"
    assert re.fullmatch(
        r"\| person-reidentification-retail-0287 \| 70\.\d / 7[23]\.\d \| \d+ \|", scored
    )
    assert curve_head == "| network | CUHK03 val | range |"
    assert re.fullmatch(
        r"\| person-reidentification-retail-0287 \| 0\.\d\d / 0\.\d{3} \| 0\.00 \|", curve
    )
    (row,) = json.loads(out.with_suffix(".json").read_text())
    # 0.712 / 0.714 in the README of the data
    assert row["CUHK03 val"] == pytest.approx([0.709, 0.729], abs=0.005)


def test_an_unknown_set_is_an_error_of_one_line(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--ours", "reid.safetensors", "--data", str(shared_data), "--scratch", str(tmp_path)]
    arguments = [*given, "--only", "paris"]
    assert networks.main(arguments) == 2
    assert (
        capsys.readouterr().err
        == "error: --only paris: no such set; there are Market-1501, CUHK03 val, pku, terrace1,"
        " plaza, mall\n"
    )
