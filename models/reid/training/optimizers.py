"""Optimisers of a run: one for the network, one for the centres of the centre loss."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from models.reid.settings import OptimizerSettings


def build(network: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """Two groups of parameters: those of a pretrained body (`backbone.`) with their own factor, and
    the rest.

    Each group carries its base learning rate as `base_lr`; the loop sets lr = base_lr * factor of
    the epoch.
    """
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (backbone if _is_of_backbone(name) else rest).append(parameter)
    groups = [
        {"params": parameters, "lr": lr, "base_lr": lr}
        for parameters, lr in (
            (backbone, settings.lr * settings.backbone_factor),
            (rest, settings.lr),
        )
        if parameters
    ]
    if settings.name == "sgd":
        momentum = settings.momentum
        return SGD(
            groups, settings.lr, momentum, nesterov=momentum > 0, weight_decay=settings.weight_decay
        )
    kind = Adam if settings.name == "adam" else AdamW
    return kind(groups, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay)


def body(network: nn.Module) -> Callable[[str], bool]:
    """Tell which part of a network is its body: what `optimizer.frozen_epochs` leaves as it is, and
    what a file of `network.init` must fill.

    Args:
        network: As it is trained.

    Returns:
        Whether a tensor or module is of the body, by its dotted name: the backbone, or all but the
        classifiers where nothing has that name.
    """
    if any(_is_of_backbone(name) for name, _ in network.named_parameters()):
        return _is_of_backbone
    return lambda name: "classifier" not in name


def _is_of_backbone(name: str) -> bool:
    return "backbone." in f".{name}."


def build_centers(parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """Plain SGD for the centres, whose gradient the loop frees of the loss weight first (Luo et al.
    2019).
    """
    return SGD(parameters, lr=lr)


def set_factor(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to its base times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
