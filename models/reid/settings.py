"""Every setting of ReID training: defaults, ranges, units. `configs/reid/*.yaml` are runs; unknown
keys are errors.

The defaults are the strong baseline's (Luo et al., arXiv 1903.07071) on images. `--set
section.key=value` changes one.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from models import settings
from models.settings import Section

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

EXAMPLE = settings.config_file("reid/image.yaml")
BESIDE_TRAINING = ("evaluation", "published", "search")
"""Keys of a file that `models.reid.experiment` or `models.reid.tune` reads, not a training."""
WHERE_IT_RUNS = {
    "data.root",
    "losses.teacher.cache",
    "train.checkpoint_minutes",
    "train.device",
    "train.workers",
}
"""Settings that change nothing of what is learned."""


def _text(value: Any) -> Any:
    """YAML reads 16 as a number."""
    return str(value) if type(value) is int else value


class FurtherData(Section):
    """A data set whose training people are added: its people are others, and so are its cameras."""

    name: str
    root: str
    options: dict[str, Any] = Field(default_factory=dict)


class DataSettings(Section):
    """Which people, and how many of them are kept aside to select the model."""

    name: str = "market1501"
    root: str = "data"
    options: dict[str, Any] = Field(default_factory=dict)
    """What the data set's loader takes: split, protocol, any_counts..."""
    further: tuple[FurtherData, ...] = ()
    """More data sets to train on; people are held out of the first one only."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training people held out; 0 trains on all of them and selects nothing."""
    held_out: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """These people instead, by their numbers: 0 is the first of the data set's ids in order."""
    held_out_pool: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Draw the share `validation` from these people only; with `held_out`, what it lacks of it."""
    max_people: Annotated[int, Field(ge=0)] = 0
    """Use the first so many training people; 0 all."""
    height_px: Annotated[int, Field(ge=16, le=1024)] = 256
    width_px: Annotated[int, Field(ge=16, le=1024)] = 128

    @model_validator(mode="after")
    def _share(self) -> "DataSettings":
        if self.held_out_pool and not self.validation:
            raise ValueError("held_out_pool needs validation above 0, the share to hold out")
        return self


class ClipSettings(Section):
    """Frames of a tracklet for training."""

    length: Count = 1
    rule: Literal["random", "consecutive", "evenly", "restricted", "interval"] = "restricted"


class DegradationSettings(Section):
    """What other cameras do to a crop, in training only; see `data.degradation`. A teacher sees the
    crop as it is.
    """

    probability: Fraction = 0.0
    """Share of the crops that are degraded at all."""
    shift: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    """Farthest that each side of the box moves, in or out, as a share of its size."""
    partial: Fraction = 0.1
    """Probability that the box ends above the knees or the hips."""
    occlusion: Fraction = 0.2
    """Probability that a part is hidden."""
    white_balance: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Gains of the three colours are drawn from 1 - v to 1 + v."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.4
    """The exponent of the brightness is drawn from exp(-v) to exp(v)."""
    blur_share: Annotated[float, Field(ge=0, le=0.1)] = 0.012
    """Largest sigma of the blur, as a share of the crop's height."""
    low_resolution: Fraction = 0.3
    """Probability that the crop is reduced to few pixels."""
    min_height_px: Annotated[int, Field(ge=16, le=128)] = 40
    """The lowest that it is reduced to; 128 the highest."""
    noise: Annotated[float, Field(ge=0, le=64)] = 8.0
    """Largest standard deviation of the noise, in grey levels of 255."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] = 30
    """Lowest quality of the compression; 95 the highest."""


class AugmentSettings(Section):
    """Changes to the crops in training; erasing fills with the mean colour, which is 0 after
    normalisation.
    """

    flip: Fraction = 0.5
    crop: Literal["none", "pad", "translate"] = "pad"
    pad_px: Annotated[int, Field(ge=0, le=64)] = 10
    jitter: tuple[NonNegative, NonNegative, NonNegative] = (0.0, 0.0, 0.0)
    """Brightness, contrast and saturation: factors are drawn from 1 - v to 1 + v."""
    erase: Fraction = 0.5
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.4)
    erase_aspect: tuple[Positive, Positive] = (0.3, 3.33)
    erase_fill: Literal["mean", "noise", "published"] = "mean"
    """published: ImageNet's mean after normalisation, as the seeds do (defect 9), for comparison.
    """
    degrade: DegradationSettings = DegradationSettings()
    """Before all of the above."""
    whole_clip: bool = True
    """The same flip, crop, colour and erased box on all frames of a clip; false draws them anew for
    every frame.
    """

    @model_validator(mode="after")
    def _order(self) -> "AugmentSettings":
        for name, (least, most) in (
            ("erase_area", self.erase_area),
            ("erase_aspect", self.erase_aspect),
        ):
            if least > most:
                raise ValueError(f"{name} needs the smaller number first")
        return self


class BatchSettings(Section):
    """How a batch is put together."""

    sampler: Literal["groups", "identities", "shuffled", "sources"] = "groups"
    """groups: every sample about once an epoch, in groups of one person (BoT); identities: every
    person once (open-reid); sources: pictures of all data sets in every batch, of each as many as
    the square root of its size, so that none rules.
    """
    n_people: Count = 16
    n_each: Count = 4


class NetworkSettings(Section):
    """What is trained."""

    architecture: str = "resnet50_bnneck"
    options: dict[str, Any] = Field(default_factory=dict)
    init: str = ""
    """Weights to start from: a file (.safetensors, or a .pth or .pth.tar of the programs in
    NETWORKS.md), or "imagenet" to fetch torchvision's.
    """
    partial: bool = False
    """Whether that file may leave a part of the network's body random."""


class ClassificationSettings(Section):
    """Cross entropy over the training people."""

    weight: NonNegative = 1.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    branches: Literal["mean", "sum"] = "mean"
    """How several branches (PCB, HACNN) count together."""


class TripletSettings(Section):
    """Batch-hard triplet."""

    weight: NonNegative = 1.0
    metric: Literal["euclidean", "cosine"] = "euclidean"
    margin: NonNegative = 0.3
    mining: Literal["hard", "semi_hard", "drawn"] = "hard"
    """hard: farthest positive, nearest negative; semi_hard and drawn measure unit-length features,
    as the Keras seed does.
    """
    soft: bool = False
    """log(1 + exp(d_ap - d_an)) in place of the hinge; no margin then."""


class CenterSettings(Section):
    """Centre loss, with an optimiser of its own (SGD)."""

    weight: NonNegative = 0.0
    lr: Positive = 0.5


class OsmSettings(Section):
    """Online soft mining with class-aware attention. With weight beta, the triplet loss counts 1 -
    beta as published.
    """

    weight: Fraction = 0.0
    alpha: Positive = 1.2
    l: Fraction = 0.5  # noqa: E741 - the paper's name
    sigma: Positive = 0.8
    vectors: Literal["classifier", "centers"] = "classifier"


class TeacherSettings(Section):
    """Another network's features of the same pictures as targets; see `losses.teacher` and
    `training.teacher`.
    """

    weights: str = ""
    """The teacher: whatever reid.weights takes (our .safetensors, .onnx, .xml, a fetched public
    model by name); "" none.
    """
    convention: Literal["auto", "imagenet", "rgb_0_1", "rgb_0_255", "bgr_0_255"] = "auto"
    """What an exported teacher takes; auto: what is recorded of it."""
    cache: str = ""
    """Folder that keeps the teacher's features, for the next run on the same pictures; "" is
    teacher/ in the output.
    """
    embedding: NonNegative = 5.0
    """Weight of the cosine distance to the teacher's feature of the picture."""
    relation: NonNegative = 10.0
    """Weight of the mean squared difference of the batch's two matrices of cosine similarities."""


class LossSettings(Section):
    """What is minimised: the weighted sum."""

    classification: ClassificationSettings = ClassificationSettings()
    triplet: TripletSettings = TripletSettings()
    center: CenterSettings = CenterSettings()
    osm: OsmSettings = OsmSettings()
    teacher: TeacherSettings = TeacherSettings()
    attention: NonNegative = 0.0
    """Weight of the attention paid to erased frames; needs augment.whole_clip false and an
    attention head.
    """


class OptimizerSettings(Section):
    """How weights move."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 3.5e-4
    weight_decay: NonNegative = 5e-4
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    momentum: Fraction = 0.9
    backbone_factor: NonNegative = 1.0
    """Learning rate of the backbone relative to the rest (0.1 in ST-ReID)."""
    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs at the start in which the backbone (in networks without one, all but the classifiers)
    does not move, so that new layers fit it first.
    """
    max_norm: NonNegative = 0.0
    """Gradients longer than this are shortened to it; 0 never."""


class ScheduleSettings(Section):
    """How the learning rate goes over the epochs."""

    name: Literal["multistep", "step", "cosine", "constant"] = "multistep"
    milestones: tuple[Count, ...] = (40, 70)
    step_epochs: Count = 20
    gamma: Positive = 0.1
    warmup_epochs: NonNegative = 10
    warmup_factor: Annotated[float, Field(gt=0, le=1)] = 0.01
    every: Literal["epoch", "batch"] = "epoch"
    """Whether the rate changes between epochs or with every batch, as runs of few epochs want it.
    """
    stepped: Literal["after", "before"] = "after"
    """before: the schedule runs one epoch ahead, as the strong baseline's does."""


class TrainSettings(Section):
    """One run."""

    epochs: Count = 120
    checkpoint_minutes: Positive = 15.0
    """A checkpoint is written so often also within an epoch."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    device: str = "auto"
    n_devices: Count = 1
    n_nodes: Count = 1
    precision: Annotated[Literal["auto", "32", "bf16", "16"], BeforeValidator(_text)] = "auto"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay a step of the averaged weights that are then evaluated and saved; 0 keeps none."""
    workers: Annotated[int, Field(ge=0, le=64)] = 2
    select: Literal["map", "rank1", "reranked_map"] = "map"
    """Which score of the held-out people decides for a model, and what a search of hyper-parameters
    maximises.
    """
    evaluate_every: Count = 10
    """Epochs between evaluations on the held-out people; the last epoch always is."""


class Settings(Section):
    """All of it."""

    data: DataSettings = DataSettings()
    clips: ClipSettings = ClipSettings()
    augment: AugmentSettings = AugmentSettings()
    batches: BatchSettings = BatchSettings()
    network: NetworkSettings = NetworkSettings()
    losses: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _together(self) -> "Settings":
        if self.losses.attention and self.augment.whole_clip:
            raise ValueError(
                "losses.attention needs augment.whole_clip: false, so that some frames of a clip"
                " are erased"
            )
        if (
            self.losses.osm.weight
            and self.losses.osm.vectors == "centers"
            and not self.losses.center.weight
        ):
            raise ValueError("losses.osm.vectors: centers needs losses.center.weight above 0")
        metric = self.losses.triplet.weight or self.losses.osm.weight
        grouped = self.batches.sampler in ("groups", "identities")
        if metric and (not grouped or self.batches.n_each < 2):
            raise ValueError(
                "triplet and OSM losses compare people: batches.sampler groups or identities,"
                " n_each 2 or more"
            )
        return self


def load(path: str, overrides: tuple[str, ...] = ()) -> Settings:
    """Settings from YAML ("" none) and `a.b=value` overrides; raises InputError. Paths are relative
    to the working folder.
    """
    values = settings.read(path, EXAMPLE) if path else {}
    trained = {key: value for key, value in values.items() if key not in BESIDE_TRAINING}
    loaded = settings.build(Settings, trained, path, EXAMPLE)
    return settings.change(loaded, settings.overrides(overrides, "optimizer.lr=1e-4"), EXAMPLE)


def save(resolved: Settings, path: Path) -> None:
    """Write the resolved settings; `load` gives them back equal."""
    path.write_text(settings.dump(resolved), encoding="utf-8")
