"""State dicts of published ReID programs, recognised by their keys and renamed to ours.

`family_table` says which keys mean which of our networks, and how they are renamed. Numbers
(people, widths, depth) are read from the shapes. What no key tells is taken as published.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.reid import preprocess
from models.reid.networks import table
from models.reid.networks.family_table import FAMILIES, Family, Rules, Shape

State = Mapping[str, Tensor]
COUNTER = "num_batches_tracked"
"""State of batch normalisation that no feature depends on; files of old PyTorch lack it."""
N_LISTED = 4
"""Keys of a kind that a message lists."""
MIN_ALIKE = 0.1
"""A network of which a file has no larger share of tensors is not named as the nearest."""
CLASSIFIER = re.compile(r"classifier(s\.0|_global)?\.weight$")
"""Our names for the weights that have a row for every training person."""
LINEAR = re.compile(r"(^embed|\.bn3\.fc[12])\.weight$")
"""Our names for the weights of linear layers that others keep as convolutions of 1x1."""
BODIES = {
    (2, False, 1): "resnet18",
    (6, False, 1): "resnet34",
    (6, True, 1): "resnet50",
    (23, True, 1): "resnet101",
    (36, True, 1): "resnet152",
    (6, True, 4): "resnext50_32x4d",
    (23, True, 4): "resnext101_32x4d",
    (23, True, 8): "resnext101_32x8d",
}
"""ResNets by the number of blocks of layer3, whether they are bottlenecks, and the width of a group
of convolutions (1 without groups).
"""


@dataclass(frozen=True)
class Recognised:
    """A state dict of a family, under our names."""

    family: Family
    tensors: dict[str, Tensor]
    left_over: dict[str, Tensor]
    """Tensors of the file that have no name of ours, by their keys."""
    unused: dict[str, Tensor]
    """Tensors of the file that no feature depends on, by their keys."""
    options: dict[str, Any]
    """All options of the architecture that differ from its row, n_classes among them."""
    size: tuple[int, int]
    """Height and width of the input, px."""


def recognise(state: State) -> Recognised | None:
    """Find the family of a state dict and rename its keys.

    Args:
        state: Tensors by name. A name that all keys begin with, as that of a wrapper, does not
            matter.

    Returns:
        What it is; None when no family has such keys.

    Raises:
        ValueError: The network takes other pixels than ours do.
    """
    for form in _forms(state):
        for family in FAMILIES:
            if all(_has(form, key, shape) for key, shape in family.marks.items()):
                return _renamed(family, form)
    return None


def nearest(state: State) -> str:
    """Say which family is nearest to a file of no family, what the file lacks and what is left
    over; "" when it has at most `MIN_ALIKE` of every network.
    """
    candidates = [(form, family) for form in _forms(state) for family in FAMILIES]
    n_marks = [_n_held(form, family) for form, family in candidates]
    most = max(n_marks)
    if most == 0:
        return ""
    marked = [pair for pair, n in zip(candidates, n_marks, strict=True) if n == most]
    form, family = max(marked, key=lambda pair: _share_held(*pair))
    if _share_held(form, family) <= MIN_ALIKE:
        return ""
    own = _shapes(family.architecture)
    fitting = _fitting(form, family)
    there = set(fitting.values())
    missing = [key for key in own if key not in there]
    left_over = [key for key in form if key not in fitting and not _is_passed_over(key)]
    told = (
        f"the nearest is {family.name} ({family.architecture}): {len(fitting)} of"
        f" {len(own)} tensors are there"
    )
    told += f"; missing: {listed(missing)}" if missing else ""
    told += f"; left over: {listed(left_over)}" if left_over else ""
    return told


def _share_held(state: State, family: Family) -> float:
    """Share of the tensors of a family's network that a state dict has, 0..1."""
    return len(_fitting(state, family)) / len(_shapes(family.architecture))


def _fitting(state: State, family: Family) -> dict[str, str]:
    """Our names, by its own keys, of the tensors of a state dict that fit a family's network."""
    own = _shapes(family.architecture)
    names = {key: _name(key, family.rules) for key in state}
    return {key: name for key, name in names.items() if own.get(name) == state[key].shape}


def _is_passed_over(key: str) -> bool:
    """Whether a tensor of a file says nothing of its network: classifiers and counters."""
    return "classifier" in key or key.endswith(COUNTER)


def _n_held(state: State, family: Family) -> int:
    """How many of a family's marks a state dict has."""
    return sum(_has(state, key, shape) for key, shape in family.marks.items())


def _forms(state: State) -> Iterator[State]:
    """A state dict, and without the first, the first two names that all its keys begin with."""
    yield state
    for _ in range(2):
        beginnings = {key.partition(".")[0] for key in state}
        if len(beginnings) != 1:
            return
        (beginning,) = beginnings
        state = {key.removeprefix(f"{beginning}."): tensor for key, tensor in state.items()}
        yield state


@cache
def _shapes(architecture: str) -> dict[str, Shape]:
    """The tensors that a file of a network must have, by our names."""
    with torch.device("meta"):
        network = table.build(architecture)
    return {
        key: tuple(tensor.shape)
        for key, tensor in network.state_dict().items()
        if not key.endswith(COUNTER)
    }


def fitted(own: State, found: Recognised) -> dict[str, Tensor]:
    """Return the tensors of a file for all keys of a network.

    Args:
        own: The network's state dict.
        found: The file.

    Raises:
        ValueError: Something is missing, left over or of another shape; the text lists it.
    """
    tensors = {}
    misshapen = []
    for key, tensor in found.tensors.items():
        target = own.get(key)
        if target is None:
            continue
        if tensor.shape != target.shape:
            misshapen.append(f"{key} {tuple(tensor.shape)}, not {tuple(target.shape)}")
        tensors[key] = tensor
    for key, target in own.items():
        if key.endswith(COUNTER):
            tensors.setdefault(key, torch.zeros_like(target))
    missing = [key for key in own if key not in tensors]
    left_over = [*found.left_over, *(key for key in found.tensors if key not in own)]
    faults = {"missing": missing, "left over": left_over, "of another shape": misshapen}
    told = [f"{what}: {listed(keys)}" for what, keys in faults.items() if keys]
    if told:
        raise ValueError("; ".join(told))
    return tensors


def listed(keys: list[str]) -> str:
    """Return keys in a line: the first ones, and how many more there are."""
    n_more = len(keys) - N_LISTED
    more = f" and {n_more} more" if n_more > 0 else ""
    return ", ".join(keys[:N_LISTED]) + more


def _has(state: State, key: str, shape: Shape | None) -> bool:
    if key not in state:
        return False
    found = tuple(state[key].shape)
    if shape is None:
        return True
    return len(found) == len(shape) and all(
        n is None or n == given for n, given in zip(shape, found, strict=True)
    )


def _renamed(family: Family, state: State) -> Recognised:
    _check_pixels(state)
    tensors = {}
    left_over = {}
    unused = {}
    for key, tensor in state.items():
        name = _name(key, family.rules)
        if name:
            tensors[name] = tensor.flatten(1) if LINEAR.search(name) else tensor
        elif family.unused and re.match(family.unused, key):
            unused[key] = tensor
        else:
            left_over[key] = tensor
    options = {**family.options, **_options(tensors)}
    return Recognised(family, tensors, left_over, unused, options, _size(family, options))


def _name(key: str, rules: Rules) -> str:
    """Our name for a key; "" when there is none."""
    for theirs, ours in rules:
        name, n_matches = re.subn(rf"^{theirs}", ours, key)
        if n_matches:
            return name
    return ""


def _check_pixels(state: State) -> None:
    """Raise ValueError when the file says that its network takes other pixels; fast-reid's may."""
    for key, ours in (("pixel_mean", preprocess.MEAN), ("pixel_std", preprocess.STD)):
        if key not in state:
            continue
        theirs = [value / 255 for value in state[key].flatten().tolist()]
        differs = len(theirs) != 3 or any(
            abs(a - b) > 0.001 for a, b in zip(theirs, ours, strict=True)
        )
        if differs:
            raise ValueError(f"{key} is {[round(value, 3) for value in theirs]}, not {list(ours)}")


def _options(tensors: State) -> dict[str, Any]:
    """Options that the names and shapes tell, of whatever network has such names."""
    options: dict[str, Any] = {}
    classifiers = [tensor for key, tensor in tensors.items() if CLASSIFIER.search(key)]
    options["n_classes"] = len(classifiers[0]) if classifiers else 0
    rows = {
        "embed_width": "embed.weight",
        "linear_width": "image.block.bottleneck.linear.weight",
    }
    for option, key in rows.items():
        if key in tensors:
            options[option] = len(tensors[key])
    is_resnet_or_densenet = any(key.startswith("image.backbone.") for key in tensors)
    if is_resnet_or_densenet and "image.fc.0.weight" in tensors:
        options["fc_width"] = len(tensors["image.fc.0.weight"])
    if any(key.endswith("backbone.layer1.0.bn1.IN.weight") for key in tensors):
        options["instance_norm"] = True
    if "backbone.conv1.weight" in tensors:
        options["backbone"] = _body(tensors)
        options["neck"] = "bnneck" if "neck.weight" in tensors else "none"
    if "backbone.layer1.0.bn3.fc1.weight" in tensors:
        is_senet = "backbone.layer1.0.bn3.fc1.bias" in tensors
        options["squeeze"] = "senet" if is_senet else "fast-reid"
    if "backbone.layer2.nl0.g.weight" in tensors:
        names = [f"backbone.layer{i}.nl0.g.weight" for i in (2, 3)]
        options["non_local"] = [len(tensors[name]) for name in names if name in tensors]
    if "pool.p" in tensors:
        options["pooling"] = "gem"
    if "head.reduce.weight" in tensors:
        options["map_size"] = list(tensors["head.reduce.weight"].shape[2:])
    return options


def _body(tensors: State) -> str:
    """The ResNet that has such tensors; resnet50 where none has."""
    blocks = [key for key in tensors if re.match(r"backbone\.layer3\.\d+\.conv1\.weight", key)]
    is_bottleneck = "backbone.layer1.0.conv3.weight" in tensors
    convolution = tensors.get("backbone.layer1.0.conv2.weight")
    group = 1
    if convolution is not None and convolution.shape[1] != convolution.shape[0]:
        group = convolution.shape[1]
    return BODIES.get((len(blocks), is_bottleneck, group), "resnet50")


def _size(family: Family, options: dict[str, Any]) -> tuple[int, int]:
    """The architecture's input size, or that which the size of the attended map tells."""
    row = table.architecture(family.architecture)
    if "map_size" not in options:
        return row.height_px, row.width_px
    height, width = row.options["map_size"]
    map_height, map_width = options["map_size"]
    return row.height_px * map_height // height, row.width_px * map_width // width
