"""Searches for hyper-parameters whose trainings take no time."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.reid.settings import Settings
from models.reid.training import hyperparameters, run
from models.reid.training.run import Outcome

Report = Callable[[dict[str, Any]], None]


class Pretended:
    """In the place of `run.fit`: a training whose score is worked out from its settings."""

    def __init__(self, score: Callable[[Settings], float] | None = None) -> None:
        self.tried: list[dict[str, float]] = []
        self._score = score or (
            lambda s: 1 / (1 + abs(s.losses.osm.sigma - 0.4) + s.losses.osm.weight)
        )

    def __call__(self, settings: Settings, output: Path, report: Report, **more: Any) -> Outcome:
        self.tried.append(chosen(settings))
        output.mkdir(parents=True)
        (output / "checkpoint.safetensors").touch()
        score = self._score(settings)
        for epoch in range(settings.train.epochs):
            report(
                {"epoch": epoch, settings.train.select: score * (epoch + 1) / settings.train.epochs}
            )
        return Outcome(settings.train.epochs, score, settings.train.epochs - 1, False)


def chosen(settings: Settings) -> dict[str, float]:
    """What a search varies, as some settings have it."""
    plain: dict[str, float] = {}
    for key in hyperparameters.SPACE:
        value: Any = settings
        for name in key.split("."):
            value = getattr(value, name)
        plain[key] = value
    return plain


def pretend(monkeypatch: pytest.MonkeyPatch, fit: Any = None) -> Any:
    fit = fit or Pretended()
    monkeypatch.setattr(run, "fit", fit)
    return fit


def table(output: Path) -> list[dict[str, str]]:
    with (output / "trials.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
