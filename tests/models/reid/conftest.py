"""What the tests of the commands share."""

from pathlib import Path

import pytest

from tests.models.reid import miniatures
from tests.models.reid.commands import Command
from tests.models.reid.evaluation import expected


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All miniatures under one root."""
    root = tmp_path_factory.mktemp("sets")
    for build in miniatures.BUILDERS.values():
        build(root)
    miniatures.folder(root / "people")
    return root


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return expected.write_colours(tmp_path_factory.mktemp("colours") / "colours.onnx")


@pytest.fixture(scope="session")
def average(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A poor network: it sees the mean colour of the whole picture."""
    whole = (miniatures.HEIGHT_PX, miniatures.WIDTH_PX)
    return expected.write_colours(tmp_path_factory.mktemp("average") / "average.onnx", whole)


@pytest.fixture
def command(
    data_sets: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    return Command(data_sets, colours, tmp_path / "out", capsys)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in two cameras, two images each, to search hyper-parameters with."""
    root = tmp_path_factory.mktemp("people")
    return miniatures.folder(root, n_people=6, n_frames=2, timed=False)
