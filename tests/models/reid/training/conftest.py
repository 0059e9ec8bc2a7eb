"""What the tests of training train: people, and a network."""

from pathlib import Path

import pytest

from models.reid.networks import table
from tests.models.reid import miniatures
from tests.models.reid.training.runs import SMALL


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in two cameras, three images each: two are held out, four train."""
    root = tmp_path_factory.mktemp("people")
    return miniatures.folder(root, n_people=6, n_cameras=2, n_frames=3, timed=False)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architecture `small` is one like the others."""
    monkeypatch.setattr(table, "TABLE", SMALL)
