"""OSNet with LCT gates: invariances, sizes, and parity with the published network in OpenVINO."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.networks import openvino_weights
from models.reid.networks.file import Recipe, save
from models.reid.networks.osnet_lct import LinearContextTransform, OSNetLct, build, resized_pooling

PUBLISHED = "person-reidentification-retail-0277.xml"


def images(n: int = 2, height: int = 64, width: int = 32) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def small() -> OSNetLct:
    torch.manual_seed(0)
    return OSNetLct(n_classes=5, height_px=64, width_px=32).eval()


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Path:
    pytest.importorskip("openvino")
    return shared_data / "baselines" / PUBLISHED


@torch.inference_mode()
def test_an_image_gives_256_numbers_whatever_else_is_in_the_batch(small: OSNetLct) -> None:
    features = small(images())
    assert features.shape == (2, 256)
    assert_close(small(images()[:1]), features[:1], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_brightness_and_contrast_of_a_camera_change_nothing(small: OSNetLct) -> None:
    gains = torch.tensor([0.7, 1.0, 1.4]).view(1, 3, 1, 1)
    assert_close(small(images() * gains + 0.3), small(images()), atol=2e-4, rtol=1e-3)


@torch.inference_mode()
def test_gates_of_lct_depend_on_a_channel_relative_to_its_group() -> None:
    gate = LinearContextTransform(32)
    gate.scale.fill_(1.0)
    maps = torch.rand(1, 32, 4, 4)
    shifted = maps + torch.arange(16).repeat_interleave(2).view(1, 32, 1, 1)
    assert_close(gate(shifted) / shifted, gate(maps) / maps, atol=1e-4, rtol=1e-4)


def test_in_training_it_gives_logits_and_the_embedding(small: OSNetLct) -> None:
    small.train()
    (logits,), (embedding,) = small(images())
    small.eval()
    assert logits.shape == (2, 5) and embedding.shape == (2, 256)


def test_an_input_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="100x48: expected multiples of 16"):
        OSNetLct(height_px=100, width_px=48)


def test_pooling_for_another_size_keeps_the_weight_of_every_channel() -> None:
    pooling = torch.rand(8, 1, 16, 8)
    smaller = resized_pooling(pooling, (12, 6))
    assert smaller.shape == (8, 1, 12, 6)
    assert_close(smaller.sum((1, 2, 3)), pooling.sum((1, 2, 3)), atol=0, rtol=0.05)
    constant = torch.full((1, 1, 16, 8), 0.5)
    assert_close(resized_pooling(constant, (12, 6)).sum(), constant.sum())


@torch.inference_mode()
def test_the_published_weights_give_the_published_features(published: Path, tmp_path: Path) -> None:
    network = build()
    openvino_weights.copy_into(network.image, published)  # type: ignore[arg-type]
    save(network.eval(), Recipe("osnet_lct_x1_0", {}, 256, 128), tmp_path / "ours.safetensors")
    crops = np.random.default_rng(0).integers(0, 256, (4, 1, 256, 128, 3), np.uint8)
    theirs = encoder.load(published, "cpu").features(list(crops))
    ours = encoder.load(tmp_path / "ours.safetensors", "cpu").features(list(crops))
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    # both compute in bfloat16 where the processor does
    assert (ours * theirs).sum(1) == pytest.approx(np.ones(4), abs=2e-3)


@torch.inference_mode()
def test_restored_normalisation_changes_no_feature_and_makes_training_agree(
    published: Path, shared_data: Path
) -> None:
    network = build()
    openvino_weights.copy_into(network.image, published)  # type: ignore[arg-type]
    folder = shared_data / "reid" / "cuhk03-pair1-labeled" / "val"
    crops = [encoder_input(path) for path in sorted(folder.glob("*.jpg"))[::30][:16]]
    clips = preprocess.normalise(torch.from_numpy(np.stack(crops)))[:, None]
    mask = torch.ones(len(clips), 1, dtype=torch.bool)
    before = network.eval()(clips, mask, mask.float())
    openvino_weights.restore_normalisation(network, [(clips, mask, mask.float())])
    after = network.eval()(clips, mask, mask.float())
    assert_close(after, before, atol=1e-3, rtol=1e-3)
    for norm in network.modules():
        if isinstance(norm, openvino_weights.Normalisation):
            norm.train()  # batch statistics, which are those that were measured
    in_training = network(clips, mask, mask.float())
    assert torch.cosine_similarity(in_training, before).min() > 0.999


def encoder_input(path: Path) -> np.ndarray:
    from models.reid.data.loader import read_image

    return preprocess.resize(read_image(path), 256, 128)


def test_other_networks_in_openvinos_format_are_refused(shared_data: Path) -> None:
    pytest.importorskip("openvino")
    wrong = shared_data / "baselines" / "person-detection-retail-0013.xml"
    with pytest.raises(InputError, match="is not a person-reidentification-retail-0277"):
        openvino_weights.copy_into(OSNetLct(), wrong)
