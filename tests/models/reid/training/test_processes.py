"""Several processes are one run: one folder, one voice, one end."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.reid.training import checkpoint, run
from tests.conftest import ROOT
from tests.models.reid import miniatures
from tests.models.reid.training.runs import FILES, STEPS, arguments, quick, rows

pytestmark = pytest.mark.slow


@dataclass
class Played:
    """What the scenarios left: exit codes of rank 0 and 1, and what was printed, by name."""

    folder: Path
    codes: dict[str, list[int]]

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end_of(self, name: str) -> str:
        """The only line after the first one, which describes the training, and those of epochs."""
        begin, line = (
            line for line in self.said(name).splitlines() if not line.startswith("epoch")
        )
        assert "M parameters, " in begin
        return line


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people, one of whose images, that of a training person, is not one."""
    root = miniatures.folder(
        tmp_path_factory.mktemp("damaged"), n_people=6, n_cameras=2, n_frames=3
    )
    data = run.load_data(quick(root))
    data.train[3].paths[0].write_bytes(b"not an image")
    return root


@pytest.fixture(scope="module")
def played(people: Path, damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One training interrupted in rank 1 and resumed, one refused, one that meets a damaged image
    in one of the ranks.
    """
    folder = tmp_path_factory.mktemp("ranks")
    kept = arguments(
        quick(people, train__epochs=5, train__n_devices=2, losses__classification__weight=0.0)
    )
    bad = arguments(quick(damaged, train__epochs=30, train__n_devices=2))
    scenarios: dict[str, list[str]] = {
        "interrupted": ["--output", str(folder / "run"), *kept],
        "refused": ["--output", str(folder / "run"), *kept],
        "resumed": ["--output", str(folder / "run"), "--resume"],
        "damaged": ["--output", str(folder / "bad"), *bad],
    }
    asked = [
        {
            "arguments": given,
            "log": str(folder / f"{name}.log"),
            "interrupt": 1 if name == "interrupted" else None,
        }
        for name, given in scenarios.items()
    ]
    command = [sys.executable, "-m", "tests.models.reid.training.ranks", json.dumps(asked)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Played(folder, dict(zip(scenarios, json.loads(done.stdout), strict=True)))


def test_an_interrupt_of_any_process_ends_all_and_is_said_once(played: Played) -> None:
    assert played.codes["interrupted"] == [130, 0]
    line = played.end_of("interrupted")
    assert line.startswith("interrupted in epoch ") and line.endswith(
        f"go on with --resume --output {played.folder / 'run'}"
    )


def test_what_was_interrupted_goes_on_to_its_end(played: Played) -> None:
    assert played.codes["resumed"] == [0, 0]
    assert [row["epoch"] for row in rows(played.folder / "run")] == list(range(5))
    assert {path.name for path in (played.folder / "run").iterdir()} == FILES
    assert (
        checkpoint.read(played.folder / "run" / "checkpoint.safetensors")[1].step == 5 * STEPS // 2
    )


def test_a_folder_that_holds_a_run_is_refused(played: Played) -> None:
    assert played.codes["refused"][0] == 2
    assert "holds a run; give --resume" in played.said("refused")


def test_an_error_in_one_process_ends_all_and_is_said_once(played: Played) -> None:
    assert played.codes["damaged"] == [2, 0]
    line = played.end_of("damaged")
    assert line.startswith("error: ") and line.endswith(
        "is damaged or not an image; unpack the data set again"
    )
