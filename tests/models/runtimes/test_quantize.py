"""Networks in 8 bits: their ranges, and what OpenVINO makes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from models import device as devices
from models.errors import InputError
from models.runtimes import choice as runtimes
from models.runtimes import quantize
from models.runtimes.graph import Array, Graph, blotches
from models.runtimes.quantize import QuantizedConv
from models.weights import checksums, public

SHAPE = (2, 24, 40)

needs_int8 = pytest.mark.skipif(not devices.has_int8(), reason="needs a CPU with VNNI")


class Network(nn.Module):
    """Two convolutions and a depthwise one: pictures (n, h, w, 3) uint8 -> (n, 8)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.SiLU(),
            nn.Conv2d(16, 8, 1),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layers(pictures.permute(0, 3, 1, 2).float().div(255))
        return answer.mean((2, 3))


def network() -> nn.Module:
    return Network().eval().requires_grad_(False)


def graph(ranges: quantize.Ranges) -> Graph:
    return Graph(network(), "small", {"weights": "0"}, blotches(SHAPE), ranges=ranges)


def relative(found: Array, expected: Array, _precision: str) -> str:
    apart = float(np.abs(found - expected).max() / np.abs(expected).max())
    return f"it differs by {apart:.3f}" if apart > 0.05 else ""


def test_a_convolution_in_8_bits_is_one_of_integers() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 3, 1).requires_grad_(False)
    values = torch.rand(1, 4, 5, 6) * 4 - 1
    found = QuantizedConv(layer, -0.5, 2.5)(values)
    scale = 3.0 / 255
    zero_point = round(0.5 / scale)
    bytes_in = (values / scale).round().add(zero_point).clamp(0, 255) - zero_point
    weight = layer.weight[:, :, 0, 0]
    scales = weight.abs().amax(dim=1) / 127
    whole = (weight / scales[:, None]).round()
    sums = torch.einsum("oc,nchw->nohw", whole, bytes_in)
    assert layer.bias is not None
    expected = sums * (scale * scales)[:, None, None] + layer.bias[:, None, None]
    assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    assert bytes_in.min() == -zero_point  # some values are clipped at the lower end
    assert bytes_in.max() == 255 - zero_point


def test_ranges_are_those_of_all_pictures_and_of_no_depthwise_convolution() -> None:
    dark = blotches(SHAPE) // 4
    bright = blotches(SHAPE)
    ranges = quantize.measure(network(), [dark, bright, dark])
    assert list(ranges) == ["layers.0", "layers.4"]
    assert ranges["layers.0"] == (0.0, pytest.approx(bright.max() / 255))
    assert -0.279 < ranges["layers.4"][0] < 0  # SiLU gives nothing below -0.2785
    assert quantize.measure(network(), [dark])["layers.0"][1] < ranges["layers.0"][1]


def test_ranges_lie_beside_the_weights_and_belong_to_no_other_ones(tmp_path: Path) -> None:
    weights = tmp_path / "person.safetensors"
    weights.write_bytes(b"weights")
    checksum = checksums.of_file(weights, "sha256")
    assert quantize.read(weights, checksum) == {}
    path = quantize.write(weights, checksum, {"layers.0": (-0.278464, 12.34567)}, 100)
    assert path == tmp_path / "person.ranges.json"
    assert quantize.read(weights, checksum) == {"layers.0": (-0.2785, 12.35)}
    assert quantize.read(weights, checksums.of_bytes(b"others", "sha256")) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"ranges": {}}'])
def test_a_damaged_file_of_ranges_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    weights = tmp_path / "person.safetensors"
    path = quantize.path_beside(weights)
    path.write_text(text)
    with pytest.raises(InputError, match=rf"{path.name}: is no file of activation ranges; delete"):
        quantize.read(weights, "sha256:0")


def test_ranges_of_a_layer_that_the_network_lacks_are_an_error() -> None:
    with pytest.raises(InputError, match=r"no convolution layers\.9"):
        quantize.quantized(network(), {"layers.9": (0.0, 1.0)})


@needs_int8
def test_openvino_computes_in_8_bits_what_torch_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    monkeypatch.setenv(public.CACHE, str(tmp_path))
    ranges = quantize.measure(network(), [blotches(SHAPE, seed=n) for n in range(3)])
    of = graph(ranges)
    chosen = runtimes.choose(of, of.reference, relative, "auto", "int8")
    assert chosen.choice == ("openvino", "int8")
    assert chosen.run is not None
    pictures = blotches(SHAPE, seed=5)
    found = chosen.run(pictures)
    size = float(np.abs(found).max())
    assert_allclose(found, of.in_int8().reference(pictures), atol=0.01 * size)
    assert of.path != of.in_int8().path
    other_ranges = {name: (low, 2 * high) for name, (low, high) in ranges.items()}
    assert replace(of, ranges=other_ranges).in_int8().path != of.in_int8().path


@needs_int8
def test_8_bits_that_differ_too_much_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    monkeypatch.setenv(public.CACHE, str(tmp_path))
    of = graph({"layers.0": (0.0, 0.05)})  # clips nearly all
    with pytest.raises(InputError, match=r"^precision int8: .* it differs by .*; take precision="):
        runtimes.choose(of, of.reference, relative, "auto", "int8")


@needs_int8
def test_8_bits_without_ranges_or_in_another_runtime_are_an_error_that_says_what_to_do() -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    of = graph({})
    with pytest.raises(InputError, match=r"of small are not known; .* python -m models\.calibrate"):
        runtimes.choose(of, of.reference, relative, "auto", "int8")
    with pytest.raises(InputError, match="runtime torch does not compute in it"):
        runtimes.choose(of, of.reference, relative, "torch", "int8")
