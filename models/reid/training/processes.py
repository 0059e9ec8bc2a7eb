"""What the processes of one run have to agree on. With one process nothing is sent.

An error in one process would leave the others waiting for it, in a collective operation, for half
an hour or for ever. So work that can fail in one of them goes through here, and its error is raised
in all of them.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed

from models.errors import InputError

T = TypeVar("T")


def is_first() -> bool:
    """Whether this process is the one that speaks for the run; also True where there is only
    one.
    """
    return (
        not distributed.is_available()
        or not distributed.is_initialized()
        or distributed.get_rank() == 0
    )


def launch(fabric: Fabric) -> None:
    """Start the other processes, if any; they end with the one that started them."""
    fabric.launch()
    if not is_first():
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def together(fabric: Fabric, work: Callable[[], T]) -> T:
    """Do work in every process and return its result; raises InputError in all when it fails so in
    one.
    """
    failed: InputError | None = None
    try:
        result = work()
    except InputError as error:
        failed = error
    if fabric.world_size > 1 and any_true(fabric, failed is not None):
        errors: list[InputError | None] = [None] * fabric.world_size
        distributed.all_gather_object(errors, failed)
        failed = next(error for error in errors if error is not None)
    if failed is not None:
        raise failed
    return result


def first(fabric: Fabric, work: Callable[[], None]) -> None:
    """Do work in the first process while the others wait; raises InputError in all when it fails
    so.
    """
    together(fabric, work if fabric.is_global_zero else lambda: None)


def any_true(fabric: Fabric, flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if fabric.world_size == 1:
        return flag
    return float(mean_tensor(fabric, torch.tensor(float(flag)))) > 0


def mean(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Mean of every value over the processes."""
    if fabric.world_size == 1:
        return values
    return dict(
        zip(values, mean_tensor(fabric, torch.tensor(list(values.values()))).tolist(), strict=True)
    )


def mean_tensor(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean over the processes of a tensor of the same shape in all, on the device of the run.

    Not Fabric's `all_reduce`, which puts a barrier before every reduction.
    """
    total = values.to(fabric.device, copy=True)
    if fabric.world_size > 1:
        distributed.all_reduce(total)
    return total / fabric.world_size


def _end_with(parent: int) -> None:
    """Wait for the parent to end, and end: a process that waits for its answer would never
    notice.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
