"""Packages that not every user has."""

import subprocess
import sys
from pathlib import Path

import pytest

from models import extras
from models.errors import InputError
from tests.conftest import ROOT

WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
missing = sys.argv[1].split(",")
importlib.util.find_spec = lambda name, *more: None if name in missing else found(name, *more)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
from models.reid import {module}
sys.exit({module}.main(sys.argv[2:]))
"""
"""Runs a command as if packages were not installed."""


def run(module: str, missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.replace("{module}", module)
    return subprocess.run(
        [sys.executable, "-c", code, missing, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_installed_is_not_missed() -> None:
    extras.need_train("training", *extras.TRAIN)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.TRAIN, "no_such_module", "no-such-package")
    with pytest.raises(InputError, match=r"^training needs no-such-package: pip install no-such-"):
        extras.need_train("training", "tensorboard", "no_such_module")


@pytest.mark.parametrize(
    ("module", "missing", "what"),
    [
        ("train", "lightning_fabric,tensorboard", "training needs lightning-fabric, tensorboard"),
        ("tune", "optuna", "a search needs optuna"),
        ("export", "onnxscript", "the export needs onnxscript"),
    ],
)
def test_a_command_without_its_packages_says_so_in_one_line(
    module: str, missing: str, what: str, tmp_path: Path
) -> None:
    first = ["weights.safetensors"] if module == "export" else []
    done = run(module, missing, *first, "--output", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {what}: pip install ")
    assert done.stderr.count("\n") == 1


def test_help_of_a_search_needs_no_package() -> None:
    done = run("tune", "optuna,lightning_fabric", "--help")
    assert done.returncode == 0 and "--trials" in done.stdout
