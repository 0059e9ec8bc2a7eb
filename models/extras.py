"""Packages that not every user needs, by the extra that installs them (see pyproject.toml)."""

import importlib.util

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
