"""The file of a ReID network: safetensors whose metadata say what to build, so loading runs
nobody's code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn

from models import documents, files
from models.errors import InputError, one_line, shorten
from models.reid.networks import table

SCHEMA = "reid/1"
MIN_SIDE_PX = 8
MAX_SIDE_PX = 2048


@dataclass(frozen=True)
class Recipe:
    """What builds a network and feeds it. options: what `table.build` takes, n_classes among
    them.
    """

    architecture: str
    options: dict[str, Any]
    height_px: int
    width_px: int


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode, its recipe and what was written about it."""

    network: nn.Module
    recipe: Recipe
    about: dict[str, Any]


def save(
    network: nn.Module, recipe: Recipe, path: Path, about: dict[str, Any] | None = None
) -> None:
    """Write weights and recipe; the file is complete or not there. The classifier is kept, for
    training on.

    `about` is free provenance (JSON). Raises InputError when it cannot be written.
    """
    metadata = {
        "schema": SCHEMA,
        "recipe": json.dumps(asdict(recipe)),
        "about": json.dumps(about or {}),
    }
    files.write(
        path,
        safetensors.save({k: v.contiguous() for k, v in network.state_dict().items()}, metadata),
    )


def _checked(recipe: Recipe) -> Recipe:
    """The recipe, whose values have their types and ranges; raises ValueError."""
    if not isinstance(recipe.architecture, str) or not isinstance(recipe.options, dict):
        raise ValueError("architecture is a name, options are a mapping")
    for name in ("height_px", "width_px"):
        value = getattr(recipe, name)
        if type(value) is not int or not MIN_SIDE_PX <= value <= MAX_SIDE_PX:
            found = shorten(repr(value), 40)
            raise ValueError(f"{name} is from {MIN_SIDE_PX} to {MAX_SIDE_PX}, not {found}")
    return recipe


def load(path: Path) -> Loaded:
    """Read a network for evaluation; raises InputError that says what is wrong with the file."""
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: is not a readable safetensors file ({str(error).splitlines()[0]})"
        ) from None
    for name, values in state.items():
        if not bool(values.isfinite().all()):
            raise InputError(
                f"{path}: its weights are damaged: {name} holds NaN or infinite numbers; train or"
                " download it again"
            )
    if metadata.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: is not a ReID network of this program (its metadata lack schema {SCHEMA})"
        )
    try:
        recipe = _checked(Recipe(**documents.from_json(metadata["recipe"])))
        network = table.build(recipe.architecture, recipe.options)
        about = dict(json.loads(metadata["about"]))
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise InputError(
            f"{path}: its recipe describes no network of this program ({one_line(error)})"
        ) from None
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        what = f"{recipe.architecture} {recipe.options}"
        raise InputError(f"{path}: weights do not fit {what} ({one_line(error)})") from None
    return Loaded(network.eval(), recipe, about)
