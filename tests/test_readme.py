"""The README's examples do what it says, and the files that the documents name exist."""

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


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_files_that_a_document_links_to_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    assert [name for name in targets if not (ROOT / name).exists()] == []


def test_packages_that_the_architecture_names_exist() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    first_cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    named = [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []
