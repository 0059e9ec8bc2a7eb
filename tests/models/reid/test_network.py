"""The tracklet network and its file."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.network import SCHEMA, TrackletNetwork, load, save


@pytest.fixture(scope="module")
def network() -> TrackletNetwork:
    """Random weights, and batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    made = TrackletNetwork(head="attention", n_classes=5)
    nn.init.normal_(made.neck.running_mean, std=0.1)  # type: ignore[arg-type]
    return made.eval()


def clips(b: int = 2, t: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    mask = torch.ones(b, t, dtype=torch.bool)
    mask[-1, 1:] = False
    return torch.randn(b, t, 3, 64, 32), mask, torch.rand(b, t)


@torch.inference_mode()
def test_embeddings_have_unit_length_and_do_not_depend_on_padding(network: TrackletNetwork) -> None:
    images, mask, quality = clips()
    embeddings = network(images, mask, quality)
    assert embeddings.shape == (2, network.width) and network.width == 2048
    assert_close(embeddings.norm(dim=1), torch.ones(2))
    assert_close(network(images[1:, :1], mask[1:, :1], quality[1:, :1]), embeddings[1:], atol=1e-5, rtol=1e-4)
    images[~mask] = torch.nan
    assert_close(network(images, mask, quality), embeddings)


def test_training_gives_logits_and_the_feature_before_the_neck() -> None:
    torch.manual_seed(0)
    network = TrackletNetwork(n_classes=5).train()
    logits, feature = network(*clips())
    assert logits.shape == (2, 5) and feature.shape == (2, 2048)
    assert network.classifier is not None
    assert_close(logits, network.classifier(network.neck(feature)))
    logits.square().sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == ["neck.bias"]


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_classes"):
        TrackletNetwork().train()(*clips())


@torch.inference_mode()
def test_the_last_stride_is_one(network: TrackletNetwork) -> None:
    shapes = []
    hook = network.backbone.layer4.register_forward_hook(lambda module, given, out: shapes.append(out.shape))  # type: ignore[operator, union-attr]
    network.backbone(torch.zeros(1, 3, 256, 128))
    hook.remove()
    assert shapes == [(1, 2048, 16, 8)]


@torch.inference_mode()
def test_a_saved_network_comes_back_equal(network: TrackletNetwork, tmp_path: Path) -> None:
    save(network, tmp_path / "reid.safetensors", {"data": "plaza"})
    back = load(tmp_path / "reid.safetensors")
    assert back.settings == network.settings and not back.training
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), back.state_dict().values(), strict=True))
    assert_close(back(*clips()), network(*clips()))


def settings(**changed: object) -> dict[str, str]:
    return {"schema": SCHEMA, "settings": json.dumps({"backbone": "resnet50", "head": "mean", "n_classes": 0} | changed)}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "schema"),
        ({"schema": "reid/0"}, "schema"),
        ({"schema": SCHEMA}, "settings"),
        ({"schema": SCHEMA, "settings": "{"}, "settings"),
        ({"schema": SCHEMA, "settings": "[1]"}, "settings"),
        (settings(depth=7), "depth"),
        (settings(backbone="vgg"), "backbone vgg"),
        (settings(head="max"), "temporal head max"),
        (settings(), "weights do not fit"),
    ],
)
def test_a_file_of_another_network_is_an_error_of_one_line_that_names_it(
    tmp_path: Path, metadata: dict[str, str] | None, reason: str
) -> None:
    path = tmp_path / "reid.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=rf"^{path}: .*{reason}.*$"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"just text", b"\x80\x02}q\x00."])
def test_a_file_that_is_not_safetensors_is_an_error_of_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reid.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: is not a readable safetensors file .*$"):
        load(path)


@pytest.mark.parametrize("path", ["missing.safetensors", "."])
def test_a_path_that_is_no_file_is_an_error_of_one_line_that_names_it(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=f"^{tmp_path / path}: is not a readable safetensors file .*$"):
        load(tmp_path / path)


def test_an_unknown_backbone_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match="backbone vgg: expected one of resnet50"):
        TrackletNetwork("vgg")
