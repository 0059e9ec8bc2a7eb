"""Tensors by name, out of files that other programs wrote: PyTorch checkpoints (zip and legacy
format), safetensors and the HDF5 files of Keras.

Nothing that a file holds is run. A checkpoint may hold plain values and numpy numbers beside its
tensors; one that holds other Python objects is refused.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.errors import InputError, one_line
from models.reid.networks import keras, python2_text

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which checkpoints keep the state dict."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""
SAVE_ALONE = "where the file was made, save the weights alone: torch.save(model.state_dict(), FILE)"
OBJECT = re.compile(r"GLOBAL ([\w.]+) was not an allowed global|class ([\w.]+)")
"""Where torch's message names the object that it does not create."""
REASON = re.compile(r"WeightsUnpickler error:\s*(.+)")
"""Where it names another reason, behind much advice."""


def is_checkpoint(path: Path) -> bool:
    """Whether a file begins as one of PyTorch does, as a zip archive or a pickle, or as one of
    Keras's.
    """
    return _begins(path).startswith((b"PK\x03\x04", b"\x80", keras.MAGIC))


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Args:
        path: A .safetensors file, or one of Keras's; any other is taken for a PyTorch checkpoint:
            a state dict, or a dictionary that holds one under a key of `WRAPPERS`.

    Returns:
        The tensors by name, on the CPU, without the prefixes that wrappers of a network add.

    Raises:
        InputError: The file cannot be read, holds other Python objects, or holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _begins(path) == keras.MAGIC:
            return keras.read(path)
        with _allowing(_numbers()):
            loaded = _loaded(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except KeyError:  # an opcode that pickle does not have
        raise InputError(f"{path}: cannot be read as weights (no PyTorch checkpoint)") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as weights ({one_line(error)})") from None
    except Exception as error:  # noqa: BLE001 - pickle raises anything; weights_only keeps it from running anything
        raise InputError(f"{path}: is not a plain state dict ({_refused(error)})") from None
    tensors = _tensors(loaded)
    if not tensors:
        raise InputError(f"{path}: holds no tensors by name")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _loaded(path: Path) -> Any:
    """What a PyTorch checkpoint holds; raises anything."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnicodeDecodeError:
        rewritten = python2_text.as_unicode(path)
        return torch.load(rewritten, map_location="cpu", weights_only=True)


@contextmanager
def _allowing(classes: list[Any]) -> Iterator[None]:
    """Let checkpoints hold objects of these classes only; ultralytics allows those of its networks
    for the whole process.
    """
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals(classes):
            yield
    finally:
        torch.serialization.add_safe_globals(before)


def _numbers() -> list[Any]:
    """What numpy's numbers and arrays are made of: checkpoints keep their scores as such."""
    make_number = np.float64(0).__reduce__()[0]
    make_array = np.zeros(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    old_names = [
        (make_number, "numpy.core.multiarray.scalar"),
        (make_array, "numpy.core.multiarray._reconstruct"),
    ]
    return [make_number, make_array, *old_names, np.dtype, np.ndarray, *kinds]


def _refused(error: Exception) -> str:
    """Why torch did not open a pickle, in a line."""
    found = OBJECT.search(str(error))
    if found is None:
        reason = REASON.search(str(error))
        return f"no PyTorch checkpoint: {reason.group(1) if reason else one_line(error, 120)}"
    name = found.group(1) or found.group(2)
    return f"it holds an object of {name}, and opening that would run code; {SAVE_ALONE}"


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, whatever it is wrapped in."""
    if not isinstance(loaded, dict):
        return {}
    for key in WRAPPERS:
        if isinstance(loaded.get(key), dict):
            return _tensors(loaded[key])
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
