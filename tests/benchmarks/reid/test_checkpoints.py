"""The table of checkpoints of other programs."""

from pathlib import Path

import pytest

from benchmarks.reid import checkpoints


@pytest.mark.slow
def test_a_row_has_what_was_read_the_difference_and_a_run_of_the_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.md"
    arguments = ["--only", "torchvision, old MobileNet", "--output", str(table)]
    assert checkpoints.main([*arguments, "--seconds", "0.2"]) == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    assert capsys.readouterr().out.splitlines() == lines
    assert lines[:2] == list(checkpoints.HEAD) and len(lines) == 3
    name, code, read_as, difference, ran = lines[2].strip("| ").split(" | ")
    assert (name, code) == ("torchvision, old MobileNet", "originals")
    assert read_as.startswith("MobileNetV2 of torchvision, trained on ImageNet")
    assert float(difference) < 1e-5
    assert ran.endswith(" people")
