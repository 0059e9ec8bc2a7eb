"""Tensors by name, out of the HDF5 files (.h5) in which Keras keeps weights.

Such a file is a tree of groups with arrays at its ends, .../LAYER/WEIGHT, and nothing in it is run.
Names become LAYER.weight, LAYER.bias, LAYER.running_mean and so on, and axes PyTorch's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import extras
from models.errors import InputError, one_line

MAGIC = b"\x89HDF"
"""How a file begins."""
NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras's name of a weight, without the ":0" of TensorFlow, and PyTorch's; others stay."""
CONVOLUTION = (3, 2, 0, 1)
DEPTHWISE = (2, 3, 0, 1)
"""Order of Keras's axes (height, width, in, out) in PyTorch."""
WHOLE_MODEL = "model_weights"
"""Group of the weights in a file that has the optimiser's state beside them."""


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Args:
        path: The .h5 file, of weights or of a whole model.

    Raises:
        InputError: h5py is not installed, or the file cannot be read.
    """
    h5py = extras.h5py(f"{path}: reading it")
    try:
        with h5py.File(path, "r") as file:
            found = tensors(file)
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as weights ({one_line(error)})") from None
    if any(name.startswith("vars.") for name in found):
        raise InputError(
            f"{path}: keeps no names of layers, as Keras 3 writes .weights.h5; load the weights"
            " into the model and keep it with model.save('MODEL.h5')"
        )
    return found


def tensors(file: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of an open file, float32, under PyTorch's names and in its axes.

    Args:
        file: Groups (mappings) and arrays by name.
    """
    found: dict[str, Tensor] = {}
    _collect(file.get(WHOLE_MODEL, file), "", found)
    return found


def _collect(group: Mapping[str, Any], layer: str, found: dict[str, Tensor]) -> None:
    """Add the arrays of a group, which has a layer's name, and of the groups in it."""
    for name, value in group.items():
        if isinstance(value, Mapping):
            _collect(value, name, found)
            continue
        kind = name.partition(":")[0]
        array = np.asarray(value, np.float32)
        if array.ndim == 4:
            is_depthwise = "depthwise" in layer or "depthwise" in kind
            array = array.transpose(DEPTHWISE if is_depthwise else CONVOLUTION)
        elif array.ndim == 2:
            array = array.T
        found[f"{layer}.{NAMES.get(kind, kind)}"] = torch.from_numpy(array.copy())
