"""Everything a run needs to go on exactly where it stopped, in one safetensors file.

Random numbers are not in it: data draws come from (seed, epoch, place in the epoch), dropout from
(seed, step), so they are the same again. Tensors of the network, its average, the criterion and the
optimisers lie flat under their part's name; numbers and the settings are JSON in the metadata.
Nothing in the file is code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor

from models import files
from models.errors import InputError, one_line

SCHEMA = "reid-checkpoint/1"


@dataclass
class Progress:
    """Where a run is. `epoch` and `batch` are the next to do, `sums` the losses of the epoch so
    far.

    seconds: of training since the start, over all interruptions. epoch_seconds: those of the epoch.
    best: the score of the model that was kept, -1 before any.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = -1
    sums: dict[str, float] | None = None
    epoch_seconds: float = 0.0


def write(path: Path, parts: dict[str, dict[str, Any]], progress: Progress, settings: str) -> None:
    """Write state dicts by part name; the file is complete or not there. Raises InputError when it
    cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    plain = {part: _flatten(state, f"{part}/", tensors) for part, state in parts.items()}
    metadata = {
        "schema": SCHEMA,
        "plain": json.dumps(plain),
        "progress": json.dumps(asdict(progress)),
        "settings": settings,
    }
    files.write(
        path,
        safetensors.save(
            {k: v.detach().clone().contiguous() for k, v in tensors.items()}, metadata
        ),
    )


def read(path: Path) -> tuple[dict[str, dict[str, Any]], Progress, str]:
    """State dicts, progress and settings of a checkpoint; raises InputError."""
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        if metadata.get("schema") != SCHEMA:
            raise InputError(f"{path}: is not a training checkpoint of this program")
        plain = json.loads(metadata["plain"])
        progress = Progress(**json.loads(metadata["progress"]))
        return (
            {part: _restore(state, tensors) for part, state in plain.items()},
            progress,
            metadata["settings"],
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as a checkpoint ({one_line(error)})") from None


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON in which a tensor is its name and layout, and a dict a list of pairs, since optimisers
    have integer keys.
    """
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name, "channels_last": value.ndim == 4 and not value.is_contiguous()}
    if isinstance(value, dict):
        return {
            "pairs": [
                [key, _flatten(inner, f"{name}.{key}", tensors)] for key, inner in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        return [_flatten(inner, f"{name}.{i}", tensors) for i, inner in enumerate(value)]
    return value


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(inner, tensors) for inner in value]
    if isinstance(value, dict):
        if (
            "tensor" in value
            # in the layout it had, or optimisers would mix layouts: slower, and rounded in other
            # places
        ):
            layout = torch.channels_last if value["channels_last"] else torch.contiguous_format
            return tensors[value["tensor"]].clone(memory_format=layout)
        return {key: _restore(inner, tensors) for key, inner in value["pairs"]}
    return value
