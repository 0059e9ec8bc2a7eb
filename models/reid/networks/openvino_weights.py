"""Weights of Intel's person-reidentification-retail networks, out of OpenVINO's files into
`osnet_lct`, to train on from.

OpenVINO's converter has merged every batch normalisation into the convolution before it, so the
file holds no statistics. `copy_into` makes normalisations that add the merged bias and change
nothing else; `restore_normalisation` then measures what flows into them and sets scale and
statistics such that the network computes the same, in evaluation and (on average) in training.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import InputError, one_line
from models.reid.networks.osnet import ConvNorm, Gate, LightConv, OSBlock
from models.reid.networks.osnet_lct import LinearContextTransform, OSNetLct
from models.runtimes import openvino_package

Normalisation = nn.BatchNorm1d | nn.BatchNorm2d
WITH_CONSTANTS = ("Convolution", "GroupConvolution", "MatMul", "Add", "Multiply", "PRelu")
"""Operations of the graph whose constant is a weight."""
N_BEFORE_NETWORK = 1
"""Constants of the graph that belong to its own pixel normalisation, which `preprocess` does for
us.
"""


def copy_into(network: OSNetLct, path: Path) -> None:
    """Copy the weights of an OpenVINO file into a network of the file's input size.

    Args:
        network: an `OSNetLct` for 256x128 pixels.
        path: the .xml file; its .bin lies beside it.

    Raises:
        InputError: OpenVINO is not installed, or the file is another network.
    """
    constants = iter(_constants(path)[N_BEFORE_NETWORK:])
    try:
        with torch.no_grad():
            _copy(network, constants)
            left_over = len(list(constants))
    except (StopIteration, RuntimeError, ValueError):
        left_over = -1
    if left_over:
        raise InputError(
            f"{path}: is not a person-reidentification-retail-0277 in OpenVINO's format"
        )


@torch.no_grad()
def restore_normalisation(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> None:
    """Give merged batch normalisations their statistics back; what the network computes in
    evaluation stays the same.

    Args:
        network: a network of `frames` whose normalisations have running mean 0 and variance 1.
        batches: (clips, mask, quality) of typical pictures, as `frames` describes them; a few
            hundred pictures do.
    """
    norms = [module for module in network.modules() if isinstance(module, Normalisation)]
    moments = {norm: _Moments() for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, inputs: moments[norm].add(inputs[0]))
        for norm in norms
    ]
    network.eval()
    for clips, mask, quality in batches:
        network(clips, mask, quality)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, variance = moments[norm].result()
        norm.bias.add_(norm.weight * mean)
        norm.weight.mul_((variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]


class _Moments:
    """Mean and variance by channel of everything added."""

    def __init__(self) -> None:
        self._n = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, values: Tensor) -> None:
        """Add (N, C) or (N, C, H, W) values."""
        by_channel = values.double().transpose(0, 1).flatten(1)
        self._n += by_channel.shape[1]
        self._sum = self._sum + by_channel.sum(1)
        self._squares = self._squares + by_channel.square().sum(1)

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean (C,) and variance (C,), float32."""
        mean = torch.as_tensor(self._sum) / self._n
        variance = (torch.as_tensor(self._squares) / self._n - mean.square()).clamp(min=1e-8)
        return mean.float(), variance.float()


def _constants(path: Path) -> list[Tensor]:
    """Constants of the weighted operations, in the order in which they are computed."""
    try:
        openvino_package.load()
    except ImportError:
        raise InputError(
            f"{path}: reading it needs the package openvino (pip install openvino)"
        ) from None
    try:
        operations = openvino_package.core().read_model(path).get_ordered_ops()
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read by OpenVINO ({one_line(error)})") from None
    weighted = [
        operation for operation in operations if operation.get_type_name() in WITH_CONSTANTS
    ]
    found = [_constant(operation) for operation in weighted]
    return [torch.from_numpy(values) for values in found if values is not None]


def _constant(operation: Any) -> np.ndarray | None:
    for place in (1, 0):
        node = operation.input_value(place).get_node()
        while node.get_type_name() in ("Convert", "Reshape"):
            node = node.input_value(0).get_node()
        if node.get_type_name() == "Constant":
            return np.array(node.data, np.float32)
    return None


def _copy(network: OSNetLct, constants: Iterator[Tensor]) -> None:
    _fill(constants, network.input_norm.weight, network.input_norm.bias)
    _fill(constants, network.conv1.conv.weight, network.conv1.bn.weight, network.conv1.bn.bias)
    for stage in (network.conv2, network.pool2, network.conv3, network.pool3, network.conv4):
        for layer in stage:
            if isinstance(layer, OSBlock):
                _copy_block(layer, constants)
            elif isinstance(layer, ConvNorm):
                _copy_merged(layer, constants)
    _copy_merged(network.conv5, constants)
    _fill(constants, network.pool.weight, network.pool.bias)
    _fill(constants, network.fc.weight, network.fc.bias)
    _make_neutral(network.fc_norm)
    _fill(constants, network.fc_norm.weight, network.fc_norm.bias)
    _fill(constants, network.fc_activation.weight)


def _copy_block(block: OSBlock, constants: Iterator[Tensor]) -> None:
    _copy_merged(block.conv1, constants)
    for stream in (block.conv2a, block.conv2b, block.conv2c, block.conv2d):
        for layer in stream.modules():
            if isinstance(layer, LightConv):
                _fill(constants, layer.conv1.weight, layer.conv2.weight)
                _make_neutral(layer.bn)
                _fill(constants, layer.bn.bias)
        _copy_gate(block.gate, constants)
    _copy_merged(block.conv3, constants)
    if isinstance(block.downsample, ConvNorm):
        _copy_merged(block.downsample, constants)


def _copy_gate(gate: nn.Module, constants: Iterator[Tensor]) -> None:
    """The four streams share one gate, which the graph repeats."""
    if isinstance(gate, LinearContextTransform):
        _fill(constants, gate.scale, gate.shift)
    else:
        assert isinstance(gate, Gate)
        _fill(constants, gate.fc1.weight, gate.fc1.bias, gate.fc2.weight, gate.fc2.bias)


def _copy_merged(layer: nn.Module, constants: Iterator[Tensor]) -> None:
    """A convolution whose batch normalisation was merged into it: its weights and a bias."""
    assert isinstance(layer, ConvNorm)
    _fill(constants, layer.conv.weight)
    _make_neutral(layer.bn)
    _fill(constants, layer.bn.bias)


def _make_neutral(norm: nn.Module) -> None:
    """A normalisation that passes its input on."""
    assert isinstance(norm, Normalisation)
    norm.running_mean.zero_()  # type: ignore[union-attr]
    norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
    norm.weight.fill_(1)


def _fill(constants: Iterator[Tensor], *targets: Any) -> None:
    """Copy the next constants into the targets, whose numbers of elements must agree."""
    for target in targets:
        given = next(constants)
        if given.numel() != target.numel():
            raise ValueError(f"{tuple(given.shape)} for {tuple(target.shape)}")
        target.copy_(given.reshape(target.shape))
