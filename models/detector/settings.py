"""Every setting of detector training: defaults, ranges, units. `configs/detector/*.yaml` are runs;
unknown keys are errors.
"""

from typing import Annotated

from pydantic import Field, model_validator

from models import settings
from models.errors import InputError
from models.settings import Section

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]

EXAMPLE = settings.config_file("detector/person.yaml")


class DataSettings(Section):
    """What is trained on: folders in YOLO layout (images/, labels/)."""

    labelled: list[str] = Field(default_factory=list)
    """Their first four fifths by name are used; the rest is held back for
    `models.detector.evaluate`.
    """
    whole: list[str] = Field(default_factory=list)
    """Used completely: rendered frames, frames with labels made by `models.detector.pseudo`."""


class NetworkSettings(Section):
    """What is trained, and from where."""

    architecture: str = "yolo11n.yaml"
    init: str = ""
    """A .safetensors file to start from, whose person class is kept; empty: random weights."""
    frozen: Annotated[int, Field(ge=0, le=22)] = 11
    """So many of its first layers stay as they are; YOLO11's backbone is 11."""
    frozen_statistics: bool = True
    """Batch-norm means and variances stay those of the start: small batches of few scenes would
    spoil them.
    """


class KeepSettings(Section):
    """How strongly the start model's own answers on every training picture are targets beside the
    labels; 0: not at all.
    """

    scores: NonNegative = 1.0
    boxes: NonNegative = 1.0


class AugmentSettings(Section):
    """Changes to the pictures; only the student sees those of `degrade`, not the start model."""

    mosaic: Fraction = 0.5
    scale: Fraction = 0.5
    flip: Fraction = 0.5
    colour: tuple[Fraction, Fraction, Fraction] = (0.015, 0.5, 0.4)
    """Largest change of hue, saturation and value."""
    degrade: Fraction = 0.3
    """Share of pictures that become dark, soft or noisy."""


class TrainSettings(Section):
    """The run."""

    size_px: Annotated[int, Field(ge=64, le=1280, multiple_of=32)] = 416
    batch: Count = 8
    epochs: Count = 1
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup_epochs: NonNegative = 0.3
    weight_decay: NonNegative = 5e-4
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"


class Settings(Section):
    """A training run."""

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    keep: KeepSettings = KeepSettings()
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if not self.data.labelled and not self.data.whole:
            raise ValueError(
                "data: nothing to train on; give folders in data.labelled or data.whole"
            )
        held = (
            self.keep.scores
            or self.keep.boxes
            or self.network.frozen_statistics
            or self.network.frozen
        )
        if held and not self.network.init:
            raise ValueError(
                "network.init: random weights have nothing to keep; set keep.scores, keep.boxes and"
                " network.frozen to 0 and network.frozen_statistics to false"
            )
        return self


def load(path: str, changes: tuple[str, ...] = ()) -> Settings:
    """Settings of a YAML file with `key=value` changes; raises InputError."""
    values = settings.read(path, EXAMPLE) if path else {}
    for text in changes:
        for key, value in settings.overrides([text], "train.epochs=3").items():
            section, _, name = key.partition(".")
            inner = values.setdefault(section, {})
            if not name or not isinstance(inner, dict):
                raise InputError(
                    f"--set {text}: write it as section.name=value, for example --set"
                    " train.epochs=3"
                )
            inner[name] = value
    return settings.build(Settings, values, path or "the command line", EXAMPLE)
