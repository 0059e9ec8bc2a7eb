"""What tests of live runs share."""

import pytest

from pipeline.live import server


@pytest.fixture(autouse=True)
def patient_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has ended when it was stopped, however busy the machine is."""
    monkeypatch.setattr(server, "STOP_S", 60.0)
