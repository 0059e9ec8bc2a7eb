"""What the tests of networks and their commands share."""

import pytest
import torch

from models import progress


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Let what a test draws from torch not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no line say how far a job is because the machine is so busy that a minute has passed."""
    monkeypatch.setattr(progress, "LINE_SECONDS", float("inf"))
