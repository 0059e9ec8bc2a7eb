"""People that the tests of training train on."""

from pathlib import Path

import pytest

from tests.models.reid import miniatures


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in two cameras, three images each: two are held out, four train."""
    return miniatures.folder(tmp_path_factory.mktemp("people"), n_people=6, n_cameras=2, n_frames=3)
