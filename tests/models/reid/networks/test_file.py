"""The file of a network, and the table that builds it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from models.errors import InputError
from models.reid.networks import table
from models.reid.networks.file import SCHEMA, Recipe, load, save

RECIPE = Recipe("osnet_x0_25", {"n_classes": 3}, 64, 32)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return table.build(RECIPE.architecture, RECIPE.options).eval()


@torch.inference_mode()
def test_a_saved_network_comes_back_equal(network: nn.Module, tmp_path: Path) -> None:
    save(network, RECIPE, tmp_path / "reid.safetensors", {"data": "plaza"})
    back = load(tmp_path / "reid.safetensors")
    assert (back.recipe, back.about) == (RECIPE, {"data": "plaza"}) and not back.network.training
    clip, mask = torch.randn(2, 1, 3, 64, 32), torch.ones(2, 1, dtype=torch.bool)
    assert_close(back.network(clip, mask, mask.float()), network(clip, mask, mask.float()))
    assert [p.name for p in tmp_path.iterdir()] == ["reid.safetensors"]


def metadata(**changed: object) -> dict[str, str]:
    recipe = {
        "architecture": "osnet_x0_25",
        "options": {},
        "height_px": 64,
        "width_px": 32,
    } | changed
    return {"schema": SCHEMA, "recipe": json.dumps(recipe), "about": "{}"}


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "schema"),
        ({"schema": "reid/0"}, "schema"),
        ({"schema": SCHEMA}, "recipe"),
        ({"schema": SCHEMA, "recipe": "{"}, "recipe"),
        ({"schema": SCHEMA, "recipe": "[1]"}, "recipe"),
        (metadata(depth=7), "depth"),
        (metadata(options={"depth": 7}), "depth"),
        (metadata(architecture="vgg"), "architecture vgg"),
        (metadata(), "weights do not fit"),
    ],
)
def test_a_file_of_another_network_is_an_error_of_one_line_that_names_it(
    tmp_path: Path, written: dict[str, str] | None, reason: str
) -> None:
    path = tmp_path / "reid.safetensors"
    save_file({"weight": torch.zeros(3)}, path, written)
    with pytest.raises(InputError, match=rf"^{path}: .*{reason}.*$"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"just text", b"\x80\x02}q\x00."])
def test_a_file_that_is_not_safetensors_is_an_error_of_one_line_that_names_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "reid.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: is not a readable safetensors file .*$"):
        load(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.safetensors", "is not a readable safetensors file"),
        ("missing.pth", "no such file"),
        (".", "cannot be read as weights"),
    ],
)
def test_a_path_that_is_no_file_is_an_error_of_one_line_that_names_it(
    tmp_path: Path, path: str, reason: str
) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path / path}: {reason}.*$"):
        load(tmp_path / path)
