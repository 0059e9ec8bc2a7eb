"""What a run on a cluster refuses before it reads or writes anything."""

import sys
from pathlib import Path

import pytest

from pipeline import cli


def error_of(sample: Path, output: Path, capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    """The one line that a run ends with, which has written nothing."""
    words = ["--videos", str(sample / "cam1.mp4"), "--output", str(output), "--quiet"]
    for setting in ("engine=ray", "reid.weights=none", f"detector.detections={sample / 'truth'}"):
        words += ["--set", setting]
    for setting in settings:
        words += ["--set", setting]
    assert cli.main(words) == 2
    assert not output.exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_without_the_package_a_run_says_what_to_install(
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    line = error_of(sample, tmp_path / "out", capsys)
    assert line.startswith("error: engine=ray needs the package ray (pip install ")


def test_linking_online_needs_one_process(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(sample, tmp_path / "out", capsys, "linking.online=true")
    assert line.startswith("error: linking.online decides while one process reads all files")


def test_an_address_that_nobody_answers_is_one_line(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    line = error_of(sample, tmp_path / "out", capsys, "ray.address=127.0.0.1:9")
    assert line.startswith("error: ray.address=127.0.0.1:9: nobody answers (")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_spare_workers_without_room_on_this_machine_are_one_line(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    line = error_of(sample, tmp_path / "out", capsys, "ray.spare_workers=1000")
    assert line.startswith("error: the cluster is too small for 1001 workers: ")
    assert line.endswith("or lower ray.spare_workers")


def test_only_runs_on_a_cluster_are_resumed(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--videos", str(sample / "cam1.mp4"), "--output", str(tmp_path / "out"), "--resume"]
    assert cli.main(words) == 2
    assert "--resume is for engine=ray, too" in capsys.readouterr().err
