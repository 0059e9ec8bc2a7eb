"""Weights of MobileNetV2 of width 0.5, in files of Keras and of timm."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.errors import InputError
from models.reid import convert
from models.reid.networks import families, file, keras, table
from models.reid.training.start import start_from

Layers = dict[str, dict[str, NDArray[np.float32]]]
BLOCKS = ((1, 8, 1), (2, 16, 2), (3, 16, 2), (4, 32, 2), (3, 48, 1), (3, 80, 2), (1, 160, 1))
"""Blocks, channels and stride of the first, with alpha 0.5."""


def layers() -> Layers:
    """Keras's layers and weights, in its axes, as if they had been trained."""
    rng = np.random.default_rng(1)
    found: Layers = {}

    def add(name: str, norm: str, kernel: str, shape: tuple[int, ...], n_channels: int) -> None:
        fan_in = np.prod(shape[:2]) * (1 if kernel == "depthwise_kernel" else shape[2])
        found[name] = {kernel: rng.normal(0, fan_in**-0.5, shape).astype(np.float32)}
        found[norm] = {
            "gamma": rng.uniform(0.7, 1.5, n_channels).astype(np.float32),
            "beta": rng.normal(0.2, 0.2, n_channels).astype(np.float32),
            "moving_mean": rng.normal(0, 0.1, n_channels).astype(np.float32),
            "moving_variance": rng.uniform(0.5, 1.5, n_channels).astype(np.float32),
        }

    add("Conv1", "bn_Conv1", "kernel", (3, 3, 3, 16), 16)
    for name, n_in, n_out, _ in blocks():
        n_wide = n_in if name == "expanded_conv" else 6 * n_in
        if name != "expanded_conv":
            add(f"{name}_expand", f"{name}_expand_BN", "kernel", (1, 1, n_in, n_wide), n_wide)
        depthwise = (3, 3, n_wide, 1)
        add(f"{name}_depthwise", f"{name}_depthwise_BN", "depthwise_kernel", depthwise, n_wide)
        add(f"{name}_project", f"{name}_project_BN", "kernel", (1, 1, n_wide, n_out), n_out)
    add("Conv_1", "Conv_1_bn", "kernel", (1, 1, 160, 1280), 1280)
    return found


def blocks() -> list[tuple[str, int, int, int]]:
    """Name, channels in and out, and stride of every block."""
    found = []
    n_in = 16
    for n_blocks, n_out, stride in BLOCKS:
        for i in range(n_blocks):
            name = f"block_{len(found)}" if found else "expanded_conv"
            found.append((name, n_in, n_out, 1 if i else stride))
            n_in = n_out
    return found


def features(weights: Layers, images: Tensor) -> Tensor:
    """Feature (N, 1280) of images (N, 3, H, W) by Keras's arithmetic."""

    def convolve(maps: Tensor, name: str, stride: int = 1) -> Tensor:
        ((kind, array),) = weights[name].items()
        kernel = torch.from_numpy(array)
        is_depthwise = kind == "depthwise_kernel"
        kernel = kernel.permute(2, 3, 0, 1) if is_depthwise else kernel.permute(3, 2, 0, 1)
        if kernel.shape[2] == 3:  # "same": on even maps of stride 2 at the bottom and right only
            before = int(stride == 1)
            maps = functional.pad(maps, (before, 1, before, 1))
        n_groups = maps.shape[1] if is_depthwise else 1
        return functional.conv2d(maps, kernel, stride=stride, groups=n_groups)

    def normalise(maps: Tensor, name: str) -> Tensor:
        norm = {key: torch.from_numpy(array) for key, array in weights[name].items()}
        mean, variance = norm["moving_mean"], norm["moving_variance"]
        return functional.batch_norm(maps, mean, variance, norm["gamma"], norm["beta"], eps=1e-3)

    maps = functional.relu6(normalise(convolve(images, "Conv1", 2), "bn_Conv1"))
    for name, n_in, n_out, stride in blocks():
        before = maps
        if name != "expanded_conv":
            expanded = convolve(maps, f"{name}_expand")
            maps = functional.relu6(normalise(expanded, f"{name}_expand_BN"))
        wide = convolve(maps, f"{name}_depthwise", stride)
        maps = functional.relu6(normalise(wide, f"{name}_depthwise_BN"))
        maps = normalise(convolve(maps, f"{name}_project"), f"{name}_project_BN")
        if stride == 1 and n_in == n_out:
            maps = maps + before
    maps = functional.relu6(normalise(convolve(maps, "Conv_1"), "Conv_1_bn"))
    return maps.amax((2, 3))


def tree(weights: Layers, suffix: str = ":0", whole: bool = False) -> dict[str, Any]:
    """The same as they lie in a file of weights, or of a whole model."""
    written: dict[str, Any] = {}
    for layer, arrays in weights.items():
        written[layer] = {layer: {f"{name}{suffix}": array for name, array in arrays.items()}}
    if not whole:
        return written
    moments = {"Conv1": {"kernel": {"m:0": np.ones((3, 3, 3, 16), np.float32)}}}
    return {"model_weights": written, "optimizer_weights": moments}


def loaded(tensors: dict[str, Tensor]) -> torch.nn.Module:
    found = families.recognise(tensors)
    assert found is not None
    network = table.build(found.family.architecture, found.options)
    network.load_state_dict(families.fitted(network.state_dict(), found))
    return network.eval()


@torch.inference_mode()
@pytest.mark.parametrize("whole", [False, True], ids=["weights", "whole model"])
def test_a_mobilenet_of_keras_gives_its_features(whole: bool) -> None:
    weights = layers()
    network = loaded(keras.tensors(tree(weights, whole=whole)))
    images = torch.randn(2, 3, 128, 64, generator=torch.Generator().manual_seed(2))
    found = network(images[:, None], torch.ones(2, 1, dtype=torch.bool), torch.ones(2, 1))
    expected = features(weights, images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_names_and_axes_of_keras_3_are_read_too() -> None:
    """It calls the weights of depthwise convolutions kernel, and its models may hold models."""
    weights = layers()
    expected = keras.tensors(tree(weights))
    renamed = {
        layer: {name.removeprefix("depthwise_"): array for name, array in arrays.items()}
        for layer, arrays in weights.items()
    }
    written = {layer: part[layer] for layer, part in tree(renamed, suffix="").items()}
    found = keras.tensors({"model_weights": {"mobilenetv2_0.50_128": written}})
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def test_classifiers_are_not_used_and_another_width_is_not_recognised() -> None:
    dense = {"kernel": np.ones((1280, 5), np.float32), "bias": np.ones(5, np.float32)}
    with_people = keras.tensors(tree({**layers(), "dense_1": dense}))
    assert with_people["dense_1.weight"].shape == (5, 1280)
    found = families.recognise(with_people)
    assert found is not None and list(found.unused) == ["dense_1.weight", "dense_1.bias"]
    whole = {key: torch.ones(32) for key in ("bn_Conv1.weight", "bn_Conv1.bias")}
    assert families.recognise(whole) is None


def test_hdf5_files_of_keras_start_and_convert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is optional: Keras's files need it")
    weights = layers()
    path = tmp_path / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_224_no_top.h5"
    with h5py.File(path, "w") as written:
        for layer, arrays in weights.items():
            for name, array in arrays.items():
                written[f"{layer}/{layer}/{name}:0"] = array
    network = table.build("mobilenetv2_keras", {"n_classes": 3})
    told = start_from(network, str(path), "")
    assert told == f"{path}: 260 of 312 tensors, 100.0% of the weights"
    assert convert.main([str(path), "--output", str(tmp_path / "k.safetensors")]) == 0
    assert "read as Keras, MobileNetV2 with alpha 0.5" in capsys.readouterr().out
    state = file.load(tmp_path / "k.safetensors").network.state_dict()
    kernel = torch.from_numpy(weights["Conv1"]["kernel"]).permute(3, 2, 0, 1)
    assert torch.equal(state["image.backbone.features.0.0.weight"], kernel)
    with h5py.File(tmp_path / "new.weights.h5", "w") as written:
        written["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(InputError, match=r"keeps no names of layers, .*model\.save\('MODEL\.h5'\)"):
        file.load(tmp_path / "new.weights.h5")


def test_without_h5py_a_file_of_keras_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    network = table.build("mobilenetv2_keras", {"n_classes": 3})
    with pytest.raises(InputError, match=rf"^{path}: reading it needs h5py: pip install h5py$"):
        start_from(network, str(path), "")


def timm_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keras's tensors under timm's names."""
    names = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
    first = {"depthwise": "conv_dw", "depthwise_BN": "bn1", "project": "conv_pw"}
    names |= {f"expanded_conv_{ours}": f"blocks.0.0.{timm}" for ours, timm in first.items()}
    names["expanded_conv_project_BN"] = "blocks.0.0.bn2"
    number = 1
    for stage, (n_blocks, _, _) in enumerate(BLOCKS[1:], start=1):
        for i in range(n_blocks):
            place = f"blocks.{stage}.{i}"
            parts = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
            for k, (ours, timm) in enumerate(parts.items(), start=1):
                names[f"block_{number}_{ours}"] = f"{place}.{timm}"
                names[f"block_{number}_{ours}_BN"] = f"{place}.bn{k}"
            number += 1
    renamed = {}
    for key, tensor in weights.items():
        layer, _, weight = key.partition(".")
        renamed[f"{names[layer]}.{weight}"] = tensor
    return renamed


def test_timms_mobilenet_of_the_same_width_starts_it_too(tmp_path: Path) -> None:
    tensors = keras.tensors(tree(layers()))
    state = timm_state(tensors) | {"classifier.weight": torch.ones(1000, 1280)}
    torch.save(state, tmp_path / "mobilenetv2_050.pth")
    network = table.build("mobilenetv2_keras", {"n_classes": 3})
    told = start_from(network, str(tmp_path / "mobilenetv2_050.pth"), "")
    assert "260 of 312 tensors, 100.0% of the weights" in told
    expected = loaded(tensors).state_dict()
    found = {key: tensor for key, tensor in network.state_dict().items() if key in expected}
    assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())
