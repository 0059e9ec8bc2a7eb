"""The commands that work on results are commands of the program, too."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from tests.conftest import ROOT


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_the_help_of_the_program_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    printed = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert f" {name} " in printed
        assert command.does in printed
        assert callable(importlib.import_module(command.module).main)


def test_a_command_does_what_its_module_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert f"error: {tmp_path}/trajectories.json: cannot be read" in capsys.readouterr().err


def test_the_script_of_the_checkout_has_the_same_commands(tmp_path: Path) -> None:
    words = [sys.executable, "run_pipeline.py", "explain", str(tmp_path), "1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/trajectories.json: cannot be read")


def test_a_command_loads_no_more_than_it_needs() -> None:
    code = (
        "import sys; from pipeline import cli; cli.main(['explain', 'nowhere', '1']);"
        "print('torch' in sys.modules, 'pipeline.run' in sys.modules)"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
