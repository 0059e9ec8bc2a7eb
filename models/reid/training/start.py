"""Weights that a training starts from: the part of a file that fits the network."""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.errors import InputError, one_line
from models.reid.networks import openvino_weights
from models.reid.networks.frames import FrameWise
from models.reid.networks.osnet_lct import POOLING, OSNetLct, resized_pooling
from models.reid.networks.resnet3d import ResNet3d, inflate

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""How torchvision's published DenseNet still names its layers: denselayer1.norm.1. for
denselayer1.norm1.
"""
MIN_SHARE = 0.3
"""A file that fits less of the network's body (all but classifiers) than this is the wrong file."""


def start_from(network: nn.Module, source: str, imagenet: str) -> str:
    """Copy weights into a network.

    A tensor is taken where name and shape agree once the wrapper's name ("module.", "backbone.") is
    off on either side; a file with other names counts as the body's tensors when all shapes agree
    in their order. Classifiers, whose classes are other people, start anew.

    Args:
        network: Gets the weights.
        source: A .safetensors or a PyTorch state dict (.pth, .pt, .tar; read without running code
            from it), an OpenVINO .xml of the same architecture (osnet_lct_x1_0 only), or
            "imagenet" for torchvision's weights, which it fetches.
        imagenet: torchvision's name of the network; "" where it has none that fits.

    Returns:
        What was done, for the log.

    Raises:
        InputError: The weights cannot be read, or fit too little of the network.
    """
    if source.endswith(".xml"):
        given = _openvino(network, Path(source))
    else:
        given = _imagenet(imagenet) if source == "imagenet" else _read(Path(source))
    given = {OLD_DENSENET.sub(r"\1\2.", key): tensor for key, tensor in given.items()}
    if isinstance(network, ResNet3d):
        given = inflate(given)
    if isinstance(network, FrameWise) and isinstance(network.image, OSNetLct):
        given = _with_resized_pooling(network.image, given)
    state = network.state_dict()
    own = {key: tensor for key, tensor in state.items() if "classifier" not in key}
    taken = _best_match(own, given)
    n_values = 0
    n_taken = 0
    for key, tensor in own.items():
        if tensor.ndim == 0:
            continue
        n_values += tensor.numel()
        if key in taken:
            n_taken += tensor.numel()
    share = n_taken / max(n_values, 1)
    if share < MIN_SHARE:
        raise InputError(
            f"{source}: fits {share:.0%} of the network (network.init): it is of another"
            " architecture"
        )
    network.load_state_dict(taken, strict=False)
    return f"{source}: {len(taken)} of {len(own)} tensors, {share:.1%} of the weights"


def _openvino(network: nn.Module, path: Path) -> dict[str, Tensor]:
    if not isinstance(network, FrameWise) or not isinstance(network.image, OSNetLct):
        raise InputError(
            f"{path}: OpenVINO weights start osnet_lct_x1_0 only (network.architecture)"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file (network.init)")
    as_published = OSNetLct(embed_width=network.image.width)
    openvino_weights.copy_into(as_published, path)
    return {f"image.{key}": tensor for key, tensor in as_published.state_dict().items()}


def _with_resized_pooling(network: OSNetLct, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given` with the weights of the global pooling brought to the network's size of the map."""
    height, width = network.pool.weight.shape[2:]
    resized = {
        key: resized_pooling(tensor, (height, width))
        for key, tensor in given.items()
        if key.endswith(POOLING)
    }
    return given | resized


def _best_match(own: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The largest part of `given` that fits, by name under any prefixes or by order."""
    prefixes = _prefixes(own)
    matches = []
    for prefix in prefixes:
        for theirs in _prefixes(given):
            matches.append(_taken(own, given, prefix, theirs))
    for prefix in prefixes:
        matches.append(_in_order(own, given, prefix))
    return max(matches, key=len)


def _taken(
    own: dict[str, Tensor], given: dict[str, Tensor], prefix: str, theirs: str
) -> dict[str, Tensor]:
    """Tensors of `given` for the keys of `own`, where `theirs` stands for `prefix`."""
    taken = {}
    for key, tensor in own.items():
        if not key.startswith(prefix):
            continue
        match = given.get(theirs + key.removeprefix(prefix))
        if match is not None and match.shape == tensor.shape:
            taken[key] = match
    return taken


def _in_order(own: dict[str, Tensor], given: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """All of `given` for the keys of `own` that begin so, when number and shapes agree.

    These are the same layers, renamed.
    """
    keys = [key for key in own if key.startswith(prefix)]
    own_shapes = [own[key].shape for key in keys]
    given_shapes = [tensor.shape for tensor in given.values()]
    if own_shapes != given_shapes:
        return {}
    return dict(zip(keys, given.values(), strict=True))


def _prefixes(tensors: dict[str, Tensor]) -> list[str]:
    """Beginnings, up to a dot, that at least a third of the keys share: "", "module.",
    "image.backbone.".
    """
    counts: dict[str, int] = {"": len(tensors)}
    for key in tensors:
        parts = key.split(".")
        for i in range(1, len(parts)):
            prefix = ".".join(parts[:i]) + "."
            counts[prefix] = counts.get(prefix, 0) + 1
    return [prefix for prefix, n in counts.items() if 3 * n >= len(tensors)]


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file (network.init)")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as weights ({one_line(error)})") from None
    except Exception as error:  # noqa: BLE001 - pickle raises anything; weights_only keeps it from running anything
        raise InputError(f"{path}: is not a plain state dict ({type(error).__name__})") from None
    for key in ("state_dict", "model", "network"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    entries = loaded if isinstance(loaded, dict) else {}
    tensors = {str(key): value for key, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path}: holds no tensors by name")
    return tensors


def _imagenet(name: str) -> dict[str, Tensor]:
    from urllib.error import URLError

    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(name)
        return dict(weights.DEFAULT.get_state_dict(progress=False))
    except ValueError:
        raise InputError(
            "network.init imagenet: torchvision has no weights that fit this architecture; give a"
            " file"
        ) from None
    except (URLError, OSError) as error:
        raise InputError(
            f"network.init imagenet: torchvision's weights cannot be fetched ({error}); put the"
            " file here and give its path"
        ) from None
