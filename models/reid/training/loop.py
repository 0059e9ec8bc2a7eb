"""The training loop; Lightning Fabric moves it to devices, precisions and nodes.
Whatever is random is a function of the seed and of the place in the run, so an interrupted run goes
on to the same weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import documents
from models import settings as sections
from models.errors import InputError, one_line
from models.reid import preprocess
from models.reid.data.loader import Batch, training_batches
from models.reid.data.samples import Dataset
from models.reid.losses.center import restore_gradients
from models.reid.losses.criterion import Criterion
from models.reid.networks.frames import Outputs
from models.reid.settings import EXAMPLE, WHERE_IT_RUNS, Settings
from models.reid.training import checkpoint, optimizers, processes, schedules
from models.reid.training.checkpoint import Progress

MAY_CHANGE = {*WHERE_IT_RUNS, "train.epochs"}
"""Settings with which a run may go on though it began with others; the folders of further data sets
are among them.
"""
MEND = "lower optimizer.lr or set optimizer.max_norm, and start anew"


class NonFiniteLossError(InputError):
    """The loss became infinite or not a number; the text names the batch."""


@dataclass
class Trainer:
    """A run: what is trained, with what, and how far it is."""

    fabric: Fabric
    settings: Settings
    network: nn.Module
    """As it was built; `wrapped` is the same weights as Fabric runs them."""
    wrapped: Any
    criterion: Criterion
    optimizer: Optimizer
    center_optimizer: Optimizer | None
    average: AveragedModel | None
    progress: Progress
    taught: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    """(N, D) unit features of the training samples by the teacher; empty without one."""

    @property
    def evaluated(self) -> nn.Module:
        """The network to evaluate and to save: the average where one is kept."""
        return self.average.module if self.average is not None else self.network

    def parts(self) -> dict[str, Any]:
        """Everything with a state, by name."""
        parts = {
            "network": self.network,
            "criterion": self.criterion,
            "optimizer": self.optimizer,
            "center_optimizer": self.center_optimizer,
            "average": self.average,
            "precision": self.fabric.strategy.precision,  # scale of the loss in float16
        }
        return {name: part for name, part in parts.items() if part is not None}


def build(fabric: Fabric, settings: Settings, network: nn.Module, criterion: Criterion) -> Trainer:
    """Put network, criterion and optimisers on Fabric's device."""
    if all(parameter.ndim < 5 for parameter in network.parameters()):  # not of 3D convolutions
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decay = settings.train.ema_decay
    network.to(fabric.device)
    average = None
    if decay:
        moving = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average = AveragedModel(network, multi_avg_fn=moving, use_buffers=True)
    optimizer = optimizers.build(network, settings.optimizer)
    wrapped, wrapped_optimizer = fabric.setup(network, optimizer)
    criterion.to(fabric.device)
    centers = list(criterion.center_parameters())
    center_optimizer = None
    if centers:  # through Fabric as well, which scales losses in half precision
        plain = optimizers.build_centers(centers, settings.losses.center.lr)
        center_optimizer = cast(Optimizer, fabric.setup_optimizers(plain))
    return Trainer(
        fabric,
        settings,
        network,
        wrapped,
        criterion,
        wrapped_optimizer,
        center_optimizer,
        average,
        Progress(),
    )


def save(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint, in the first process; raises InputError when it cannot be written."""
    checkpoint.write(
        path,
        {name: part.state_dict() for name, part in trainer.parts().items()},
        trainer.progress,
        sections.dump(trainer.settings),
    )


def restore(trainer: Trainer, path: Path) -> None:
    """Load a checkpoint into a fresh trainer.

    Args:
        trainer: As `build` returns it.
        path: The checkpoint.

    Raises:
        InputError: It cannot be read, was made under other settings (`MAY_CHANGE` may differ), or
            has done more epochs than the settings ask for.
    """
    states, progress, text = checkpoint.read(path)
    _check_settings(path, text, trainer.settings)
    n_epochs = trainer.settings.train.epochs
    if progress.epoch > n_epochs:
        raise InputError(
            f"train.epochs {n_epochs}: {path} has done {progress.epoch}; give as many or more"
        )
    try:
        for name, part in trainer.parts().items():
            part.load_state_dict(states[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: does not fit the network and the people of these settings"
            f" ({one_line(error, 120)}); is the data set the same?"
        ) from None
    trainer.progress = progress


def _check_settings(path: Path, text: str, settings: Settings) -> None:
    """Raise InputError when a checkpoint was made under settings that train otherwise."""
    refused = (
        f"{path}: was made with other settings; resume with its config.yaml, or start anew with"
        " --overwrite"
    )
    try:
        made_with = sections.build(Settings, documents.from_yaml(text), str(path), EXAMPLE)
    except ValueError as error:
        raise InputError(f"{refused} ({one_line(error)})") from None
    changed = sections.differing(_in_one_place(made_with), _in_one_place(settings))
    changed = [key for key in changed if key not in MAY_CHANGE]
    if changed:
        raise InputError(f"{refused} (changed: {', '.join(changed)})")


def _in_one_place(settings: Settings) -> Settings:
    """The settings with further data sets in the same folder."""
    further = tuple(more.model_copy(update={"root": ""}) for more in settings.data.further)
    data = settings.data.model_copy(update={"further": further})
    return settings.model_copy(update={"data": data})


def train_epoch(
    trainer: Trainer,
    data: Dataset,
    stop: Callable[[], bool],
    watch: Callable[[int, int], None] = lambda n_done, n_batches: None,
) -> dict[str, float] | None:
    """Do the rest of the current epoch.

    Args:
        trainer: The run; its progress says where the epoch stands.
        data: The training samples.
        stop: Asked after every batch whether to stop there.
        watch: Told after every batch how many are done, of how many in the epoch.

    Returns:
        Learning rate at the start of the epoch and mean losses; None when stopped.

    Raises:
        NonFiniteLossError: A loss (before its step) or a weight (after the epoch) is not finite.
    """
    fabric = trainer.fabric
    progress = trainer.progress
    settings = trainer.settings
    loader = training_batches(
        data.train,
        settings,
        progress.epoch,
        first_batch=progress.batch,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    n_batches = progress.batch + len(loader)
    batches = iter(loader)
    trainer.wrapped.train()
    if _is_frozen(trainer):
        is_body = optimizers.body(trainer.network)
        for name, module in trainer.network.named_modules():
            if is_body(name) and isinstance(module, _BatchNorm):
                module.eval()  # else it would go on measuring
    started_s = time.perf_counter()
    while (batch := processes.together(fabric, lambda: next(batches, None))) is not None:
        within = progress.batch / n_batches if settings.schedule.every == "batch" else 0
        optimizers.set_factor(trainer.optimizer, _factor(settings, progress.epoch + within))
        losses = _step(trainer, batch)
        sums = progress.sums or {}
        progress.sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
        progress.batch += 1
        progress.step += 1
        watch(progress.batch, n_batches)
        if processes.any_true(fabric, stop()):
            _count_seconds(progress, started_s)
            return None
    _check_weights(trainer)
    means = {name: total / progress.batch for name, total in (progress.sums or {}).items()}
    _count_seconds(progress, started_s)
    rate = settings.optimizer.lr * _factor(settings, progress.epoch)
    progress.epoch += 1
    progress.batch = 0
    progress.sums = None
    return {"lr": rate, **means}


def _count_seconds(progress: Progress, started_s: float) -> None:
    took_s = time.perf_counter() - started_s
    progress.seconds += took_s
    progress.epoch_seconds += took_s


def _factor(settings: Settings, epoch: float) -> float:
    return schedules.factor(settings.schedule, epoch, settings.train.epochs)


def _step(trainer: Trainer, batch: Batch) -> dict[str, float]:
    """Learn from one batch; returns its losses, means over the processes.

    Raises NonFiniteLossError.
    """
    fabric = trainer.fabric
    settings = trainer.settings
    n_before = trainer.progress.step * fabric.world_size + fabric.global_rank
    torch.manual_seed((settings.train.seed << 31) + n_before)  # dropout, the same after a resume
    batch = Batch(*(fabric.to_device(tensor) for tensor in batch))
    outputs = trainer.wrapped(*network_input(batch))
    taught = None
    if len(trainer.taught):
        taught = trainer.taught[batch.indices.cpu()].to(fabric.device)
    vectors = class_vectors(trainer.network)
    total, losses = trainer.criterion(outputs, batch.targets, batch.erased, vectors, taught)
    own = {name: float(value) for name, value in losses.items()}
    own["loss"] = float(total.detach())
    if "classification" in losses:
        own["accuracy"] = accuracy(outputs, batch.targets)
    values = processes.mean(fabric, own)
    if not math.isfinite(values["loss"]):
        processes.together(fabric, lambda: _check_loss(trainer, batch, own))
    trainer.optimizer.zero_grad()
    if trainer.center_optimizer is not None:
        trainer.center_optimizer.zero_grad()
    fabric.backward(total + _nothing(fabric, outputs))
    if _is_frozen(trainer):
        is_body = optimizers.body(trainer.network)
        for name, parameter in trainer.network.named_parameters():
            if is_body(name):
                parameter.grad = None
    if settings.optimizer.max_norm:
        max_norm = settings.optimizer.max_norm
        fabric.clip_gradients(
            trainer.wrapped, trainer.optimizer, max_norm=max_norm, error_if_nonfinite=False
        )
    trainer.optimizer.step()
    if trainer.center_optimizer is not None:
        _share(fabric, trainer.criterion)
        restore_gradients(trainer.criterion.center_parameters(), settings.losses.center.weight)
        trainer.center_optimizer.step()
    if trainer.average is not None:
        trainer.average.update_parameters(trainer.network)
    return values


def _is_frozen(trainer: Trainer) -> bool:
    """Whether the body does not move in the current epoch. Its gradients are dropped, not left
    out: other processes wait for them.
    """
    return trainer.progress.epoch < trainer.settings.optimizer.frozen_epochs


def network_input(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """What a network takes of a batch.

    Args:
        batch: B draws of T frames.

    Returns:
        Clips (B, T, 3, H, W) float32 normalised, mask (B, T), quality (B, T).
    """
    images = preprocess.normalise(batch.clips.flatten(0, 1))
    clips = images.reshape(*batch.mask.shape, *images.shape[1:])
    return clips, batch.mask, batch.quality


def _nothing(fabric: Fabric, outputs: Outputs) -> Tensor | float:
    """Zero that depends on all outputs.

    Several processes wait for every weight's gradient, also where no loss uses it.
    """
    if fabric.world_size == 1:
        return 0.0
    branches = (*outputs.logits, *outputs.features, outputs.attention)
    sums = torch.stack([branch.sum() for branch in branches])
    return 0.0 * sums.sum()


def accuracy(outputs: Outputs, targets: Tensor) -> float:
    """Share of the rows of a batch that are classified rightly, by the sum of all branches.

    Args:
        outputs: Of the network.
        targets: (B,) classes of the batch's rows.
    """
    logits = torch.stack([branch.detach().float() for branch in outputs.logits]).sum(0)
    right = logits.argmax(1) == targets[outputs.owners]
    return float(right.float().mean())


def class_vectors(network: nn.Module) -> Tensor | None:
    """The classifier's weight (C, D), whose rows OSM-CAA takes for the classes.

    None for networks with several classifiers.
    """
    image_network = getattr(network, "image", network)
    classifier = getattr(image_network, "classifier", None)
    return classifier.weight if isinstance(classifier, nn.Linear) else None


def _share(fabric: Fabric, criterion: Criterion) -> None:
    """Mean gradient of the centres over the processes; the network's own is averaged by Fabric."""
    if fabric.world_size > 1:
        for parameter in criterion.center_parameters():
            parameter.grad = processes.mean_tensor(fabric, cast(Tensor, parameter.grad))


def _check_loss(trainer: Trainer, batch: Batch, values: dict[str, float]) -> None:
    wrong = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
    if not wrong:
        return
    fabric = trainer.fabric
    progress = trainer.progress
    number = progress.batch * fabric.world_size + fabric.global_rank
    people = sorted(set(batch.targets.tolist()))
    raise NonFiniteLossError(
        f"epoch {progress.epoch}, batch {number}: {', '.join(wrong)}; training samples"
        f" {batch.indices.tolist()}, people {people}; {MEND}"
    )


def _check_weights(trainer: Trainer) -> None:
    """Check the last step of an epoch; the loss of the next batch shows all others."""
    if not all(bool(parameter.isfinite().all()) for parameter in trainer.network.parameters()):
        raise NonFiniteLossError(
            f"epoch {trainer.progress.epoch}, after its last batch: weights are not finite; {MEND}"
        )
