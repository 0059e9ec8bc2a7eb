"""The ReID network that ships, in every runtime."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from models import device as devices
from models import weights
from models.errors import InputError
from models.reid import encoder
from models.reid import graph as graphs
from models.reid.networks.file import Loaded, Recipe
from models.reid.networks.frames import pack, unpack
from models.reid.networks.heads import AttentionPooling, MeanPooling, QualityPooling
from models.runtimes.graph import blotches
from models.runtimes.names import RuntimeName
from pipeline.vectors import unit

CLIPS = [blotches((n, 150, 60), seed=n) for n in (1, 3, 2)]


def shipped() -> Path:
    path = weights.bundled("reid")
    assert path is not None
    return path


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_runtime_gives_torchs_features_and_the_same_bytes_in_any_batch(
    runtime: RuntimeName,
) -> None:
    pytest.importorskip(runtime, reason=f"needs the package {runtime}")
    in_torch = encoder.load(shipped(), "cpu", 16, "auto", "torch", "float32")
    network = encoder.load(shipped(), "cpu", 16, "auto", runtime, "float32")
    assert network.choice == (runtime, "float32")
    assert network.note == ""
    features = network.features(CLIPS)
    assert_allclose(features, in_torch.features(CLIPS), atol=1e-4)
    alone = [network.features([clip])[0] for clip in CLIPS]
    assert_array_equal(np.array(alone), features)


@pytest.mark.skipif(not devices.has_int8(), reason="needs a CPU with VNNI")
def test_the_network_that_ships_gives_nearly_the_same_features_in_8_bits() -> None:
    pytest.importorskip("openvino", reason="needs the package openvino")
    in_torch = encoder.load(shipped(), "cpu", 16, "auto", "torch", "float32")
    network = encoder.load(shipped(), "cpu", 16, "auto", "auto", "int8")
    assert network.choice == ("openvino", "int8")
    assert network.note == ""
    features = [unit(one.features(CLIPS)) for one in (network, in_torch)]
    assert (np.linalg.norm(features[0] - features[1], axis=1) < 0.1).all()
    alone = [unit(network.features([clip]))[0] for clip in CLIPS]
    assert_array_equal(np.array(alone), features[0])


class Tiny(nn.Module):
    """Mean colour of the crops of a clip, pooled over time by the given head."""

    width = 3

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        colours = unpack(pack(clips, mask).mean((2, 3)), mask)
        pooled: Tensor = self.head(colours, clips, mask, quality)[0]
        return pooled


def encoder_of(head: nn.Module, tmp_path: Path, runtime: RuntimeName) -> encoder.NetworkEncoder:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(b"weights")
    loaded = Loaded(Tiny(head).eval(), Recipe("tiny", {}, 64, 32), {})
    return encoder.NetworkEncoder(loaded, torch.device("cpu"), 16, path, runtime, "float32")


@pytest.mark.parametrize("head", [MeanPooling(3), QualityPooling(3)])
def test_frames_of_a_clip_count_as_they_do_in_torch(head: nn.Module, tmp_path: Path) -> None:
    quality = [np.linspace(0.1, 1, len(clip)).astype(np.float32) for clip in CLIPS]
    expected = encoder_of(head, tmp_path, "torch").features(CLIPS, quality)
    found = encoder_of(head, tmp_path, "onnxruntime").features(CLIPS, quality)
    assert_allclose(found, expected, atol=1e-5)


def test_other_features_are_too_different_and_rounding_is_not() -> None:
    features = np.random.default_rng(0).normal(size=(4, 256)).astype(np.float32)
    assert graphs.difference(2 * features + np.float32(0.01), features) == ""
    assert "from torch's" in graphs.difference(np.roll(features, 1, axis=0), features)
    assert "shape" in graphs.difference(features[:3], features)


def test_what_takes_clips_runs_in_torch(tmp_path: Path) -> None:
    head = AttentionPooling(3)
    assert encoder_of(head, tmp_path, "auto").choice == ("torch", "float32")
    with pytest.raises(InputError, match=r"takes clips, which only torch runs; take runtime=auto"):
        encoder_of(head, tmp_path, "openvino")
