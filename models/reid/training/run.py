"""One training run: data, network, epochs, held-out scores, checkpoints and the final model."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from models import device as devices
from models import settings as sections
from models.errors import InputError
from models.reid import complexity
from models.reid.data import catalogue
from models.reid.data.batches import epoch_batches
from models.reid.data.loader import training_batches
from models.reid.data.samples import UNLABELLED, Dataset, hold_out, train_also_on
from models.reid.encoder import Encoder, NetworkEncoder
from models.reid.evaluation import distances, pictures, ranking, reranking
from models.reid.evaluation.features import extract
from models.reid.evaluation.protocol import labels
from models.reid.evaluation.report import times_between
from models.reid.evaluation.spatial_temporal import smooth
from models.reid.losses.criterion import Criterion
from models.reid.networks import file, openvino_weights, table
from models.reid.networks.file import Loaded, Recipe
from models.reid.settings import Settings
from models.reid.training import folder, loop, processes, teacher
from models.reid.training.folder import Log
from models.reid.training.loop import Trainer
from models.reid.training.start import start_from

N_RESTORING = 512
"""Training pictures on which merged normalisations are measured."""
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where a run is: batches done in its current epoch, and how many there are."""

    epoch: int
    n_epochs: int
    batch: int
    n_batches: int


Watch = Callable[[Place], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended. best: the held-out score that selects, in 0..1; -1 when nobody was held
    out.
    """

    n_epochs: int
    best: float
    best_epoch: int
    interrupted: bool


def load_data(settings: Settings) -> Dataset:
    """Load training people and held-out people.

    Args:
        settings: Of the run.

    Returns:
        The data set; its query and gallery are those of the held-out people, or empty.

    Raises:
        InputError: A data set cannot be read, or has too few people to hold out.
    """
    chosen = settings.data
    data = catalogue.load(chosen.name, Path(chosen.root), chosen.options)
    further = []
    for more in chosen.further:
        further.append(catalogue.load(more.name, Path(more.root), more.options))
    if chosen.max_people:
        train = tuple(s for s in data.train if s.person_id < chosen.max_people)
        data = replace(data, train=train)
    if chosen.validation or chosen.held_out:
        data = hold_out(
            data, chosen.validation, settings.train.seed, chosen.held_out, chosen.held_out_pool
        )
    else:
        data = replace(data, query=(), gallery=())
    return train_also_on(data, further)


def fit(
    settings: Settings,
    output: Path,
    resume: bool = False,
    overwrite: bool = False,
    report: Report = lambda row: None,
    stop: Callable[[], bool] = lambda: False,
    watch: Watch = lambda place: None,
    begin: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train a network.

    With several devices the command that called this is run once more for each: a script is then
    all that can call it.

    Args:
        settings: Of the run.
        output: Folder of the run.
        resume: Whether to go on with the run in `output`, perhaps for more epochs or with its data
            elsewhere.
        overwrite: Whether to replace it, once data and network are known to be usable.
        report: Gets every epoch's row.
        stop: Asked after every batch.
        watch: Told after every batch, in the first process.
        begin: Told what is trained on what, in a line, in the first process.

    Returns:
        How the run ended.

    Raises:
        InputError: Data, weights or settings cannot be used, or a loss is not finite.
    """
    folder.check(output, resume, overwrite)
    data = load_data(settings)
    _check_batches(settings, data)
    network, recipe, started = _network(settings, data)
    if settings.network.init.endswith(".xml") and not resume:
        _restore_normalisation(network, settings, data)
    taught_by = teacher.load(settings)
    criterion = _criterion(settings, data, network, taught_by.width if taught_by else 0)
    described = _described(settings, data, network, started)
    fabric = _fabric(settings)
    processes.launch(fabric)
    trainer = loop.build(fabric, settings, network, criterion)
    resolved = sections.dump(settings)
    saved = output / folder.CHECKPOINT
    if resume:
        processes.together(fabric, lambda: loop.restore(trainer, saved))
        processes.first(fabric, lambda: folder.go_on(output, resolved))
    else:
        processes.first(fabric, lambda: folder.start(output, resolved))
    if taught_by:
        _learn_from(taught_by, trainer, data, output)
    if fabric.is_global_zero:
        begin(described)
    keeper = _Keeper(trainer, data, recipe, output, started, report)
    processes.first(fabric, keeper.open)
    if not trainer.progress.step:
        processes.first(fabric, keeper.show_times)

    def seen(n_done: int, n_batches: int) -> None:
        if fabric.is_global_zero:
            watch(Place(trainer.progress.epoch, settings.train.epochs, n_done, n_batches))

    try:
        stopped = False
        while trainer.progress.epoch < settings.train.epochs and not stopped:
            pause = _Pause(stop, time.monotonic() + 60 * settings.train.checkpoint_minutes)
            row = loop.train_epoch(trainer, data, pause, seen)
            processes.first(fabric, partial(keeper.keep, row))
            stopped = processes.any_true(fabric, pause.asked)
        processes.first(fabric, keeper.draw)
    finally:
        keeper.close()
    progress = trainer.progress
    return Outcome(progress.epoch, progress.best, progress.best_epoch, stopped)


def score(
    network: nn.Module, recipe: Recipe, data: Dataset, device: torch.device, reranked: bool = False
) -> dict[str, float]:
    """Rank held-out people by cosine distance, query against gallery.

    Args:
        network: As it is trained.
        recipe: What it was built from.
        data: Its query and gallery are the held-out people.
        device: Where to run.
        reranked: Whether to re-rank as well.

    Returns:
        map, rank1 and perhaps reranked_map, in 0..1.
    """
    was_training = network.training
    encoder = NetworkEncoder(Loaded(network, recipe, {}), device, batch_crops=64)
    query = extract(encoder, data.query)
    gallery = extract(encoder, data.gallery)
    network.train(was_training)
    known = labels(data.query, data.gallery)
    plain = ranking.rank(distances.blocks(query, gallery), *known).scores()
    found = {"map": plain.mean_ap, "rank1": plain.at(1)}
    if reranked:
        apart = reranking.rerank(distances.normalise(query), distances.normalise(gallery))
        found["reranked_map"] = ranking.rank(apart, *known).scores().mean_ap
    return {name: round(value, 6) for name, value in found.items()}


def _fabric(settings: Settings) -> Fabric:
    """Fabric for the devices and the precision asked for; raises InputError where there are none
    such.
    """
    train = settings.train
    device = devices.resolve(train.device)
    chosen = device.type == "cuda" and device.index is not None  # cuda:1
    here = {"cuda": 1 if chosen else torch.cuda.device_count(), "mps": 1}.get(
        device.type, train.n_devices
    )
    if train.n_devices > here:
        raise InputError(
            f"train.n_devices {train.n_devices}: train.device {train.device} has {here} here"
        )
    if train.precision == "16" and device.type == "cpu":
        raise InputError("train.precision 16 needs a GPU; on a CPU take bf16, 32 or auto")
    return Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if chosen else train.n_devices,
        num_nodes=train.n_nodes,
        precision=_precision(train.precision, device),
    )


def _precision(name: str, device: torch.device) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    fast = devices.fast_dtype(device)
    if name == "auto":
        name = {torch.float32: "32", torch.bfloat16: "bf16", torch.float16: "16"}[fast]
        if name == "16" and torch.cuda.is_bf16_supported():
            name = "bf16"  # needs no scaling of the loss
    if name == "32":
        return "32-true"
    return "bf16-mixed" if name == "bf16" else "16-mixed"


def _network(settings: Settings, data: Dataset) -> tuple[nn.Module, Recipe, str]:
    """Network with the weights it starts from, its recipe, and what was loaded."""
    row = table.architecture(settings.network.architecture)
    size = (settings.data.height_px, settings.data.width_px)
    if row.fixed_size and size != (row.height_px, row.width_px):
        raise InputError(
            f"{settings.network.architecture} takes {row.height_px} x {row.width_px} pixels: "
            f"set data.height_px {row.height_px} and data.width_px {row.width_px}"
        )
    options = {**row.options, **settings.network.options, "n_classes": data.n_train_people}
    if row.sized:
        options |= {"height_px": size[0], "width_px": size[1]}
    torch.manual_seed(settings.train.seed)
    try:
        network = table.build(settings.network.architecture, options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network.options: {str(error).split('() ')[-1]}") from None
    started = "random weights"
    if settings.network.init:
        chosen = settings.network
        started = start_from(network, chosen.init, row.imagenet, chosen.partial)
    return network, Recipe(settings.network.architecture, options, *size), started


def _described(settings: Settings, data: Dataset, network: nn.Module, started: str) -> str:
    """What is trained on what, in a line."""
    size = complexity.measure(network, settings.data.height_px, settings.data.width_px)
    kind = "tracklets" if data.video else "images"
    held_out = len({sample.person_id for sample in data.query})
    people = f"{data.n_train_people} people ({len(data.train)} {kind}), {held_out} held out"
    return f"{settings.network.architecture}: {size}; {people}; started from {started}"


def _restore_normalisation(network: nn.Module, settings: Settings, data: Dataset) -> None:
    """Measure on training pictures what the converter to OpenVINO merged into the weights; see
    `openvino_weights`.
    """
    loader = training_batches(data.train, settings, epoch=0)
    n_batches = math.ceil(N_RESTORING / (settings.batches.n_people * settings.batches.n_each))
    batches = [loop.network_input(batch) for batch in islice(loader, n_batches)]
    openvino_weights.restore_normalisation(network, batches)


def _check_batches(settings: Settings, data: Dataset) -> None:
    """Raise InputError when an epoch does not have a batch for every device."""
    people = np.array([sample.person_id for sample in data.train])
    sources = np.array([sample.source for sample in data.train])
    n_batches = len(epoch_batches(people, settings.batches, settings.train.seed, 0, sources))
    n_devices = _n_devices(settings)
    if n_batches < n_devices:
        raise InputError(
            f"an epoch has {n_batches} batches for {n_devices} devices: set batches.n_people or"
            " train.n_devices lower"
        )


def _n_devices(settings: Settings) -> int:
    return settings.train.n_devices * settings.train.n_nodes


def _criterion(
    settings: Settings, data: Dataset, network: nn.Module, taught_width: int
) -> Criterion:
    """Criterion, with centres as wide as the network's features; raises InputError when the two do
    not fit each other.

    A copy of the network is tried on noise: what cannot be trained should show before an old run is
    replaced.
    """
    size = (settings.data.height_px, settings.data.width_px)
    mask = torch.ones(4, settings.clips.length if data.video else 1, dtype=torch.bool)
    trial = copy.deepcopy(network).train()
    try:
        with torch.no_grad():
            outputs = trial(torch.randn(*mask.shape, 3, *size), mask, mask.float())
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{settings.network.architecture} cannot take {size[0]} x {size[1]} pixels"
            f" ({reason:.100})"
        ) from None
    torch.manual_seed(settings.train.seed + 1)
    criterion = Criterion(
        settings.losses, data.n_train_people, [feature.shape[1] for feature in outputs.features]
    )
    targets = torch.arange(4) // 2 % data.n_train_people
    with torch.no_grad():
        criterion(outputs, targets, ~mask, loop.class_vectors(network), torch.ones(4, taught_width))
    return criterion


def _learn_from(teacher_network: Encoder, trainer: Trainer, data: Dataset, output: Path) -> None:
    """Give the trainer the teacher's features: the first process makes them, the others find them
    in the cache.
    """

    def make() -> None:
        trainer.taught = teacher.features(teacher_network, trainer.settings, data.train, output)

    if trainer.fabric.world_size > 1:
        processes.first(trainer.fabric, make)
    processes.together(trainer.fabric, make)


def _plain(settings: Settings) -> dict[str, bool | str | float]:
    """Values by dotted key, as TensorBoard takes them."""
    found: dict[str, bool | str | float] = {}
    for key in sections.keys(Settings):
        value: Any = settings
        for name in key.split("."):
            value = getattr(value, name)
        found[key] = value if isinstance(value, bool | str | int | float) else str(value)
    return found


@dataclass
class _Pause:
    """Asked after every batch: whether to stop there, because somebody asked to or a checkpoint is
    due.
    """

    stop: Callable[[], bool]
    due: float
    asked: bool = False

    def __call__(self) -> bool:
        self.asked = self.asked or self.stop()
        return self.asked or time.monotonic() > self.due


@dataclass
class _Keeper:
    """What the first process writes."""

    trainer: Trainer
    data: Dataset
    recipe: Recipe
    output: Path
    started: str
    report: Report
    log: Log | None = None

    def open(self) -> None:
        settings = self.trainer.settings
        self.log = Log(self.output, self.trainer.progress.epoch, _plain(settings))

    def show_times(self) -> None:
        """Draw and keep the times between cameras of a data set that has frame numbers."""
        own = tuple(s for s in self.data.train if s.source == 0 and s.person_id != UNLABELLED)
        if self.log is None or not own or any(sample.frame < 0 for sample in own):
            return
        times = times_between(replace(self.data, train=own))
        times.save(self.output / folder.TIMES)
        picture = self.output / folder.TRANSITIONS
        pictures.plot_transitions(smooth(times).table, times.bin_frames, picture)
        self.log.show(picture)

    def keep(self, row: dict[str, float] | None) -> None:
        """Write a whole epoch, and a checkpoint also of a part of one (no row)."""
        if row is not None and self.log is not None:
            progress = self.trainer.progress
            seconds = {"seconds": round(progress.epoch_seconds, 3)}
            progress.epoch_seconds = 0.0
            whole = {"epoch": progress.epoch - 1, **row, **self._select(), **seconds}
            self.log.write(whole)
            self.report(whole)
        loop.save(self.trainer, self.output / folder.CHECKPOINT)

    def draw(self) -> None:
        if self.log is not None:
            self.log.draw()

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def _select(self) -> dict[str, float]:
        """Score the held-out people when it is due, and keep the best model so far."""
        progress = self.trainer.progress
        settings = self.trainer.settings.train
        if progress.epoch < settings.epochs and progress.epoch % settings.evaluate_every:
            return {}
        network = self.trainer.evaluated
        device = self.trainer.fabric.device
        row: dict[str, float] = {}
        if self.data.query:
            reranked = settings.select == "reranked_map"
            row = score(network, self.recipe, self.data, device, reranked)
        if not self.data.query or row[settings.select] > progress.best:
            progress.best = row.get(settings.select, -1.0)
            progress.best_epoch = progress.epoch - 1
            file.save(network, self.recipe, self.output / folder.MODEL, self._about(row))
        return row

    def _about(self, row: dict[str, float]) -> dict[str, Any]:
        data, trainer = self.data, self.trainer
        return {
            "data": data.name,
            "train_people": data.n_train_people,
            "train_samples": len(data.train),
            "started_from": self.started,
            "held_out_people": len({s.person_id for s in data.query}),
            "epoch": trainer.progress.epoch - 1,
            **row,
            "settings": trainer.settings.model_dump(mode="json"),
        }
