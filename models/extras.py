"""Packages that not every user needs, by the extra that installs them (see pyproject.toml)."""

import importlib.util
from importlib import import_module
from types import ModuleType

from models.errors import InputError

TRAIN = {
    "lightning_fabric": "lightning-fabric",
    "tensorboard": "tensorboard",
    "optuna": "optuna",
    "onnxscript": "onnxscript",
}
"""Of the extra `train`: what is imported, and the package that has it."""


def need_train(what: str, *modules: str) -> None:
    """Check that packages of the extra `train` are installed.

    Args:
        what: What needs them, the subject of the message.
        modules: Keys of `TRAIN`.

    Raises:
        InputError: Some are missing; the text says what to install.
    """
    missing = [TRAIN[name] for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{what} needs {', '.join(missing)}: pip install {' '.join(missing)}, or all of the"
            " extra train with pip install '.[train]' in the program's folder"
        )


def h5py(what: str) -> ModuleType:
    """Import h5py, of the extra `cuhk03`, which reads HDF5 files.

    Args:
        what: What needs it, the subject of the message.

    Raises:
        InputError: It is not installed; the text says what to install.
    """
    try:
        return import_module("h5py")
    except ImportError:
        raise InputError(f"{what} needs h5py: pip install h5py") from None
