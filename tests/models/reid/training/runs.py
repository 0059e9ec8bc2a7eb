"""Trainings of a second, and what they leave."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models import settings as sections
from models.reid.networks import table
from models.reid.networks.classblock import ClassBlock
from models.reid.networks.frames import FrameWise
from models.reid.networks.table import Architecture
from models.reid.settings import EXAMPLE, Settings

FILES = {
    "config.yaml",
    "log.jsonl",
    "checkpoint.safetensors",
    "model.safetensors",
    "curves.png",
    "tensorboard",
}
STEPS = 2
"""Batches in an epoch of `quick`: four people, two a batch."""


def quick(people: Path, **changed: Any) -> Settings:
    """Settings of the smallest training there is; keys of `changed` have two underscores for the
    dot.
    """
    plain: dict[str, Any] = {
        "data": {
            "name": "folder",
            "root": str(people),
            "validation": 0.3,
            "height_px": 64,
            "width_px": 32,
        },
        "augment": {"pad_px": 3, "erase": 0.0},
        "batches": {"sampler": "identities", "n_people": 2, "n_each": 2},
        "network": {"architecture": "osnet_x0_25"},
        "optimizer": {"lr": 0.002},
        "schedule": {"name": "constant", "warmup_epochs": 0},
        "train": {
            "epochs": 3,
            "device": "cpu",
            "precision": "32",
            "workers": 0,
            "evaluate_every": 3,
        },
    }
    given = {key.replace("__", "."): value for key, value in changed.items()}
    return sections.change(Settings.model_validate(plain), given, EXAMPLE)


def small(people: Path, **changed: Any) -> Settings:
    """As `quick`, with the network of `SMALL`, scored after every epoch."""
    return quick(
        people, **{"network__architecture": "small", "train__evaluate_every": 1, **changed}
    )


def arguments(settings: Settings) -> list[str]:
    """The same settings for the command line."""
    plain = settings.model_dump(mode="json", exclude_defaults=True)
    return [
        part
        for name, section in plain.items()
        for k, v in section.items()
        for part in ("--set", f"{name}.{k}={json.dumps(v)}")
    ]


def rows(output: Path) -> list[dict[str, Any]]:
    """The log without seconds, which differ from run to run."""
    lines = (output / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def same_weights(first: Path, second: Path, name: str = "model.safetensors") -> bool:
    """Whether two runs ended with the same bits in every tensor."""
    a, b = load_file(first / name), load_file(second / name)
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


class StopAfter:
    """Asks for a stop after a number of batches."""

    def __init__(self, n_batches: int) -> None:
        self._left = n_batches

    def __call__(self) -> bool:
        self._left -= 1
        return self._left == 0


class Dropping(nn.Module):
    """A convolution and the seeds' head with dropout, as an image network."""

    width = 16

    def __init__(self, n_classes: int = 0) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 5, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2)
        )
        self.block = ClassBlock(8, n_classes, self.width)

    def forward(self, images: Tensor) -> Tensor | tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        pooled = self.backbone(images).mean((2, 3))
        if not self.training:
            return self.block.bottleneck(pooled)
        logits, hidden = self.block(pooled)
        return (logits,), (hidden,)


def dropping(n_classes: int = 0) -> FrameWise:
    return FrameWise(Dropping(n_classes), Dropping.width)


SMALL = {
    **table.TABLE,
    "small": Architecture(
        build=dropping,
        options={},
        width=Dropping.width,
        train_feature="bottleneck",
        test_feature="the same",
        source="the tests",
        imagenet="",
    ),
}
"""The table with a network of a millisecond a step in it."""
