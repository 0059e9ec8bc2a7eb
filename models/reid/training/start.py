"""Weights that a training starts from: the part of a file that fits the network."""

import re
from pathlib import Path

from torch import Tensor, nn

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.errors import InputError
from models.reid.networks import families, openvino_weights, state_dicts
from models.reid.networks.families import COUNTER, listed
from models.reid.networks.frames import FrameWise
from models.reid.networks.osnet_lct import POOLING, OSNetLct, resized_pooling
from models.reid.networks.resnet3d import ResNet3d, inflate
from models.reid.training import optimizers

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""How torchvision's published DenseNet still names its layers: denselayer1.norm.1. for
denselayer1.norm1.
"""
MIN_SHARE = 0.3
"""A file that fits less of the network (all but classifiers) than this is the wrong file."""


def start_from(network: nn.Module, source: str, imagenet: str, partial: bool = False) -> str:
    """Copy weights into a network.

    Checkpoints of other programs get our names first, see `families`. A tensor is taken where name
    and shape agree once the wrapper's name ("module.", "backbone.") is off on either side; a file
    with other names counts as the body's tensors when all shapes agree in their order. Classifiers,
    whose classes are other people, start anew.

    Args:
        network: Gets the weights.
        source: A .safetensors or a PyTorch checkpoint (.pth, .pt, .tar; read without running code
            from it), a .h5 of Keras, an OpenVINO .xml of the same architecture (osnet_lct_x1_0
            only), or "imagenet" for torchvision's weights, which it fetches.
        imagenet: torchvision's name of the network; "" where it has none that fits.
        partial: Whether a file may leave a part of the body random.

    Returns:
        What was done, what starts anew and what was left over, for the log.

    Raises:
        InputError: The weights cannot be read, or leave a part of the body random.
    """
    family = ""
    if source.endswith(".xml"):
        given = _openvino(network, Path(source))
    elif source == "imagenet":
        given = _imagenet(imagenet)
    else:
        given, family = _read(Path(source))
    given = {OLD_DENSENET.sub(r"\1\2.", key): tensor for key, tensor in given.items()}
    if isinstance(network, ResNet3d):
        given = inflate(given)
    if isinstance(network, FrameWise) and isinstance(network.image, OSNetLct):
        given = _with_resized_pooling(network.image, given)
    state = network.state_dict()
    own = {key: tensor for key, tensor in state.items() if "classifier" not in key}
    taken = _best_match(own, given)
    share = _share(own, taken)
    if not taken or (share < MIN_SHARE and not partial):
        known_as = f", {family}" if family else ""
        raise InputError(
            f"{source}: fits {share:.0%} of the network (network.init): it is of another"
            f" architecture{known_as}"
        )
    anew = [key for key in own if key not in taken and not key.endswith(COUNTER)]
    if source != "imagenet" and not partial:
        _check_body(source, network, anew)
    network.load_state_dict(taken, strict=False)
    told = f"{source}: {len(taken)} of {len(own)} tensors, {share:.1%} of the weights"
    if anew:
        told += f"; start anew: {listed(anew)}"
    if left := _left_over(given, taken):
        told += f"; left over: {listed(left)}"
    return told


def _share(own: dict[str, Tensor], taken: dict[str, Tensor]) -> float:
    """Share of a network's numbers that are taken, 0..1; counters do not count."""
    sizes = {key: tensor.numel() for key, tensor in own.items() if tensor.ndim > 0}
    n_taken = sum(size for key, size in sizes.items() if key in taken)
    return n_taken / max(sum(sizes.values()), 1)


def _check_body(source: str, network: nn.Module, anew: list[str]) -> None:
    """Raise InputError when tensors of the body start anew; what is on top of it (necks, attention)
    may.
    """
    is_body = optimizers.body(network)
    gaps = [key for key in anew if is_body(key)]
    if gaps:
        raise InputError(
            f"{source}: leaves {len(gaps)} tensors of the network's body random (network.init):"
            f" {listed(gaps)}; give a file that has them, or set network.partial: true"
        )


def _left_over(given: dict[str, Tensor], taken: dict[str, Tensor]) -> list[str]:
    """Keys of a file that the network has no use for, classifiers aside."""
    used = {id(tensor) for tensor in taken.values()}
    return [
        key
        for key, tensor in given.items()
        if id(tensor) not in used and "classifier" not in key and not key.endswith(COUNTER)
    ]


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


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Tensors of a file, under our names where its family is known, and the family's name."""
    if not path.is_file():
        raise InputError(f"{path}: no such file (network.init)")
    given = state_dicts.read(path)
    try:
        found = families.recognise(given)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if found is None:
        return given, ""
    return found.tensors | found.left_over | found.unused, found.family.name


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
