"""The package as `pip install .` installs it, used from a folder that is not the checkout."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from pipeline.version import VERSION
from tests.conftest import ROOT
from tests.videos import write_video

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.txt")
PACKAGES = ("pipeline", "models", "configs")
DATA = ("*.json", "*.safetensors", "py.typed", "*.html", "*.css", "*.js", "*.svg")


def requirements(name: str) -> list[str]:
    """Lines of a requirements file without comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    stripped = [line.partition("#")[0].strip() for line in lines]
    return [line for line in stripped if line]


def bounds(requirements: list[str]) -> dict[str, set[str]]:
    """Version bounds by the name of the package; on which machines is left out."""
    found = {}
    for line in requirements:
        requirement = line.partition(";")[0].strip()
        name = re.split("[<>=]", requirement)[0].strip()
        found[name] = set(requirement.removeprefix(name).replace(" ", "").split(","))
    return found


def test_requirements_dev_is_the_requirements_and_the_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    expected = ["-r requirements.txt"]
    for name in ("train", "live", "mqtt", "parquet", "rerun", "ray", "supervision", "dev"):
        expected += extras[name]
    assert requirements("requirements-dev.txt") == expected


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the package installed; its dependencies are those of this one."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", str(source)]
    subprocess.run(command, check=True)
    return environment


def output_of(*command: str | Path, folder: Path) -> str:
    """What a command prints, run in `folder` without the checkout on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_installed_command_names_its_version_and_no_commit(
    installed: Path, tmp_path: Path
) -> None:
    printed = output_of(installed / "bin/people-tracker", "--version", folder=tmp_path)
    assert printed == f"multi-camera people tracker {VERSION}\n"


@pytest.mark.slow
def test_the_installed_metadata_have_the_version_and_the_requirements(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import json; from importlib import metadata;"
        f"of = metadata.metadata('{PROJECT['name']}');"
        "print(json.dumps([of['Version'], of.get_all('Requires-Dist')]))"
    )
    printed = output_of(installed / "bin/python", "-c", code, folder=tmp_path)
    version, required = json.loads(printed)
    assert version == VERSION
    unconditional = [line for line in required if "extra ==" not in line]
    assert bounds(unconditional) == bounds(requirements("requirements.txt"))


@pytest.mark.slow
def test_all_data_files_of_the_packages_are_installed(installed: Path) -> None:
    (packages,) = installed.glob("lib/python*/site-packages")
    for package in ("pipeline", "models"):
        wanted = {path.relative_to(ROOT) for kind in DATA for path in (ROOT / package).rglob(kind)}
        assert wanted
        assert all((packages / path).is_file() for path in wanted)
    assert (packages / "models/configs/default.yaml").is_file()
    assert not (packages / "tests").exists()
    assert not (packages / "benchmarks").exists()


@pytest.mark.slow
def test_the_installed_command_processes_a_video_with_the_shipped_weights_and_settings(
    installed: Path, tmp_path: Path
) -> None:
    write_video(tmp_path / "lobby.mp4", 5)
    output_of(
        installed / "bin/people-tracker",
        *("--config", "configs/default.yaml", "--videos", "lobby.mp4", "--output", "out"),
        folder=tmp_path,
    )
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["version"] == VERSION
    assert run["git"] == ""
    assert "person-yolo11n" in run["detector"]["name"]
    assert "reid-osnet-lct" in run["reid"]["name"]
    assert (tmp_path / "out" / "lobby.mp4").is_file()


@pytest.mark.slow
def test_the_installed_help_names_a_file_of_settings_that_exists(
    installed: Path, tmp_path: Path
) -> None:
    printed = output_of(installed / "bin/people-tracker", "--help", folder=tmp_path)
    assert "people-tracker --videos cam1.mp4 cam2.mp4" in printed
    named = printed.split("All settings with their meaning:")[1].strip()
    assert Path(named).is_file()
    assert Path(named).is_relative_to(installed)
