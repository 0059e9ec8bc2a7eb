"""The file of a ReID network: safetensors whose metadata say what to build, so loading runs
nobody's code. Checkpoints of published programs are read as well, see `families`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn

from models import documents, files
from models.errors import InputError, one_line, shorten
from models.reid.networks import families, state_dicts, table
from models.reid.networks.families import Recognised

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
    note: str = ""
    """How a checkpoint of another program was read; "" for a file of ours."""


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


def load(path: Path, architecture: str = "", changes: Mapping[str, Any] | None = None) -> Loaded:
    """Read a network for evaluation.

    Args:
        path: A .safetensors of ours, or a checkpoint of one of `families`.
        architecture: For a checkpoint: a name of `table.TABLE` in the place of the one that its
            keys tell; "" for that.
        changes: For a checkpoint: height_px, width_px and options of the architecture that its
            keys do not tell.

    Returns:
        The network.

    Raises:
        InputError: The text says what is wrong with the file.
    """
    if path.suffix == ".safetensors":
        state, metadata = _safetensors(path)
    else:
        state, metadata = state_dicts.read(path), {}
    for name, values in state.items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise InputError(
                f"{path}: its weights are damaged: {name} holds NaN or infinite numbers; train or"
                " download it again"
            )
    if metadata.get("schema") == SCHEMA:
        return _own(path, state, metadata)
    return _published(path, state, architecture, dict(changes or {}))


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file; raises InputError."""
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: is not a readable safetensors file ({str(error).splitlines()[0]})"
        ) from None


def _own(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> Loaded:
    """The network of a file of ours; raises InputError."""
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


def _published(
    path: Path, state: dict[str, Tensor], architecture: str, changes: dict[str, Any]
) -> Loaded:
    """The network of another program's checkpoint; raises InputError."""
    try:
        found = families.recognise(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if found is None:
        raise InputError(
            f"{path}: is not a ReID network of this program (its metadata lack schema {SCHEMA}),"
            " nor of one that models/reid/NETWORKS.md lists;"
            f" {families.nearest(state) or f'its tensors: {families.listed(sorted(state))}'}"
        )
    recipe = _recipe(path, found, architecture, changes)
    try:
        network = table.build(recipe.architecture, recipe.options)
        network.load_state_dict(families.fitted(network.state_dict(), found))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: was read as {found.family.name}, but does not fit {recipe.architecture}"
            f" {recipe.options} ({error})"
        ) from None
    about = {"converted": {"from": path.name, "family": found.family.name}}
    return Loaded(network.eval(), recipe, about, _told(found, recipe))


def _recipe(path: Path, found: Recognised, architecture: str, changes: dict[str, Any]) -> Recipe:
    """What a checkpoint is built from; raises InputError."""
    height_px = changes.pop("height_px", found.size[0])
    width_px = changes.pop("width_px", found.size[1])
    name = architecture or found.family.architecture
    options = {**found.options, **changes}
    try:
        return _checked(Recipe(name, options, height_px, width_px))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _told(found: Recognised, recipe: Recipe) -> str:
    """How a checkpoint was read, in a line."""
    size = f"{recipe.height_px}x{recipe.width_px} px"
    assumed = f"; assumed: {found.family.assumed}" if found.family.assumed else ""
    unused = f"; not used: {families.listed(list(found.unused))}" if found.unused else ""
    return f"read as {found.family.name} ({recipe.architecture}, {size}){assumed}{unused}"
