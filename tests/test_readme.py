"""The README's examples do what it says."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.videos import write_beginning


def block(language: str) -> str:
    """The only example in this language."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)
    return str(found)


def test_the_python_example_prints_when_each_person_is_in_each_camera(
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_beginning(sample / "cam1.mp4", tmp_path / "lobby.mp4", 13)
    write_beginning(sample / "cam2.mp4", tmp_path / "gate.mp4", 13)
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in printed if not line.startswith("note: ")]
    assert {camera for _, camera, _, _ in rows} == {"lobby", "gate"}
    assert all(0 <= float(first) < float(last) <= 1 for _, _, first, last in rows)
    assert len({person for person, _, _, _ in rows}) >= 3
    assert (tmp_path / "outputs/python/trajectories.json").is_file()


def test_files_that_the_readme_links_to_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(targets) > 5
    assert [name for name in targets if not (ROOT / name).exists()] == []
