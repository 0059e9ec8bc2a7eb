"""Convolutions in 8 bits: networks whose activation ranges were measured beforehand.

The inputs of convolutions become 8 bits by their range over calibration pictures, and weights by
channel. In torch this is rounding in float32; the exporter writes it as pairs of QuantizeLinear and
DequantizeLinear, from which OpenVINO makes convolutions in integers. Everything between them, and
depthwise convolutions, which gain nothing, stay as they are. Rounding only the inputs of
convolutions leaves each one together with its activation function, in one step of OpenVINO's. NNCF,
a large package, rounded more with the settings that were tried, and gained a third of this.

Ranges are a small JSON file beside the weights (`path_beside`), so that a run needs no pictures;
`python -m models.calibrate` makes it.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor, nn

from models import files
from models.errors import InputError
from models.settings import Section

Array = NDArray[Any]
Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest input of each convolution that is computed in 8 bits, by its name."""

SUFFIX = ".ranges.json"
DIGITS = 4
"""Significant digits of a range in its file."""
MAX_BYTE = 255
MAX_WEIGHT = 127


class RangesFile(Section):
    """Contents of a file of ranges. `weights`: checksum of the weights that they belong to."""

    weights: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    n_pictures: Annotated[int, Field(gt=0)]
    ranges: Annotated[
        dict[str, tuple[Annotated[float, Field(le=0)], Annotated[float, Field(gt=0)]]],
        Field(min_length=1),
    ]


class QuantizedConv(nn.Module):
    """A convolution whose input and weights are rounded to 8 bits."""

    weight_scales: Tensor
    weight_zeros: Tensor

    def __init__(self, layer: nn.Conv2d, lowest: float, highest: float) -> None:
        """Take over a convolution.

        Args:
            layer: The convolution.
            lowest: Lower end of its input's range, at most 0; values beyond it are clipped.
            highest: Upper end, above 0.
        """
        super().__init__()
        self.layer = layer
        self.scale = (highest - lowest) / MAX_BYTE
        self.zero_point = round(-lowest / self.scale)
        largest = layer.weight.detach().abs().amax(dim=(1, 2, 3))
        scales = (largest / MAX_WEIGHT).clamp_min(torch.finfo(torch.float32).eps)
        self.register_buffer("weight_scales", scales)
        self.register_buffer("weight_zeros", torch.zeros(len(scales), dtype=torch.int32))

    def forward(self, values: Tensor) -> Tensor:
        """(n, channels, h, w) float32 -> as the convolution gives it."""
        rounded = torch.fake_quantize_per_tensor_affine(
            values, self.scale, self.zero_point, 0, MAX_BYTE
        )
        weight = torch.fake_quantize_per_channel_affine(
            self.layer.weight,
            self.weight_scales,
            self.weight_zeros,
            0,
            -MAX_WEIGHT - 1,
            MAX_WEIGHT,
        )
        answer: Tensor = self.layer._conv_forward(rounded, weight, self.layer.bias)
        return answer


@torch.inference_mode()
def measure(module: nn.Module, batches: Iterable[Array]) -> dict[str, tuple[float, float]]:
    """Measure the inputs of the convolutions that can be computed in 8 bits.

    Args:
        module: A network in evaluation mode, in float32 on the CPU.
        batches: What it takes, (n, height, width, 3) uint8 each.

    Returns:
        Lowest (at most 0) and highest input by the name of the convolution.
    """
    ranges: dict[str, tuple[float, float]] = {}

    def widen(name: str, values: Tensor) -> None:
        lowest, highest = ranges.get(name, (0.0, 0.0))
        ranges[name] = (min(lowest, float(values.min())), max(highest, float(values.max())))

    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=name: widen(name, given[0]))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1
    ]
    try:
        for batch in batches:
            module(torch.from_numpy(batch))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: ends for name, ends in ranges.items() if ends[1] > 0}


def quantized(module: nn.Module, ranges: Ranges) -> nn.Module:
    """Return a copy of a network whose convolutions that have ranges are rounded to 8 bits.

    Args:
        module: The network; it is not changed.
        ranges: By the name of the convolution.

    Raises:
        InputError: The network has no convolution of a name.
    """
    made = copy.deepcopy(module)
    layers = dict(made.named_modules())
    for name, (lowest, highest) in ranges.items():
        layer = layers.get(name)
        if not isinstance(layer, nn.Conv2d):
            raise InputError(f"the network has no convolution {name}; measure its ranges again")
        owner, _, last = name.rpartition(".")
        setattr(layers[owner], last, QuantizedConv(layer, lowest, highest))
    return made.eval()


def path_beside(weights: Path) -> Path:
    """Where the ranges of a file of weights lie."""
    return weights.with_name(weights.stem + SUFFIX)


def read(weights: Path, checksum: str) -> dict[str, tuple[float, float]]:
    """Return the ranges of a network.

    Args:
        weights: File of its weights.
        checksum: sha256 of that file.

    Returns:
        The ranges; none when there is no file of ranges, or it belongs to other weights.

    Raises:
        InputError: The file is damaged.
    """
    path = path_beside(weights)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        found = RangesFile.model_validate_json(text)
    except ValidationError:
        raise InputError(
            f"{path}: is no file of activation ranges; delete it or make it again with"
            " python -m models.calibrate"
        ) from None
    return found.ranges if found.weights == checksum else {}


def write(weights: Path, checksum: str, ranges: Ranges, n_pictures: int) -> Path:
    """Write the ranges of a network beside its weights.

    Args:
        weights: File of its weights.
        checksum: sha256 of that file.
        ranges: From `measure`.
        n_pictures: Pictures that they were measured on.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    rounded = {
        name: (_rounded(lowest), _rounded(highest)) for name, (lowest, highest) in ranges.items()
    }
    values = {"weights": checksum, "n_pictures": n_pictures, "ranges": rounded}
    path = path_beside(weights)
    files.write(path, (json.dumps(values, indent=1) + "\n").encode())
    return path


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
