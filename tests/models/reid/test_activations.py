"""Drawings of where a network looks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from models.reid import activations, encoder
from models.reid.networks import file, table
from models.reid.networks.file import Recipe, save
from models.reid.networks.frames import last_maps

Array = np.ndarray[Any, Any]
SIZE = (128, 64)


@pytest.fixture(scope="module")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short ResNet whose convolutions are all means: its map is bright where the picture is."""
    recipe = Recipe("resnet50_bnneck", {"depths": [1, 1, 1, 1]}, *SIZE)
    network = table.build(recipe.architecture, recipe.options)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    path = tmp_path_factory.mktemp("brightness") / "brightness.safetensors"
    save(network, recipe, path)
    return path


def patch(top: int, left: int) -> Array:
    """A black picture with a white patch of 32 px."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[top : top + 32, left : left + 32] = 255
    return picture


@pytest.mark.parametrize(("top", "left"), [(0, 0), (48, 32), (96, 16)])
def test_a_network_that_answers_to_light_is_drawn_bright_there(
    top: int, left: int, brightness: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), patch(top, left))
    out = tmp_path / "out"
    assert activations.main([str(brightness), str(tmp_path / "p.png"), "--output", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 pictures\n"
    drawn = cv2.imread(str(out / "00000_p.jpg")).astype(int)
    assert drawn.shape == (128, 3 * 64 + 2 * activations.SPACE_PX, 3)
    heat = drawn[:, 74:138].sum(axis=2)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert top <= y < top + 32
    assert left <= x < left + 32
    inside = heat[top : top + 32, left : left + 32].mean()
    assert inside > 2 * heat.mean()
    assert np.abs(drawn[:, :64] - patch(top, left)).mean() < 10


def test_an_activation_is_the_sum_of_squares_at_unit_length(brightness: Path) -> None:
    network = encoder.load(brightness, "cpu")
    assert isinstance(network, encoder.NetworkEncoder)
    crops = np.stack([patch(0, 0), patch(96, 16)])
    found = activations.activations(network, crops)
    assert found.shape == (2, 8, 4)
    assert np.sqrt((found**2).sum(axis=(1, 2))) == pytest.approx(1, rel=1e-5)
    maps = torch.tensor([[[[1.0, -2.0]], [[2.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    wanted = np.array([[[5.0, 4.0]], [[0.0, 0.0]]]) / np.sqrt(41)
    assert activations.strength(maps).numpy() == pytest.approx(wanted)


def test_constants_of_a_network_are_said_and_the_difference_leaves_them_out(
    brightness: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = file.load(brightness)
    bias = loaded.network.backbone.layer4[0].bn3.bias  # type: ignore[union-attr,operator,index]
    with torch.no_grad():
        bias.fill_(100.0)
    save(loaded.network, loaded.recipe, tmp_path / "constant.safetensors")
    cv2.imwrite(str(tmp_path / "p.png"), patch(48, 16))
    arguments = [str(tmp_path / "constant.safetensors"), str(tmp_path / "p.png")]
    arguments += ["--output", str(tmp_path / "out")]
    assert activations.main([str(brightness), *arguments[1:]]) == 0
    assert capsys.readouterr().err == ""
    assert activations.main(arguments) == 0
    assert "note: an empty picture gives nearly the same" in capsys.readouterr().err
    assert activations.main([*arguments, "--difference"]) == 0
    assert capsys.readouterr().err == ""
    heat = cv2.imread(str(tmp_path / "out" / "00000_p.jpg")).astype(int)[:, 74:138].sum(axis=2)
    assert heat[48:80, 16:48].mean() > 2 * heat.mean()


KINDS = (
    "resnet50_bnneck",
    "resnet503d",
    "psta",
    "resnet50mid",
    "pcb_p4",
    "ft_densenet121",
    "osnet_x0_25",
    "osnet_lct_x1_0",
    "hacnn",
    "mobilenetv2_keras",
)
"""One network of every class."""


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_network_has_a_map(name: str) -> None:
    row = table.architecture(name)
    size = {"height_px": row.height_px, "width_px": row.width_px}
    with torch.device("meta"):  # shapes without numbers
        network = table.build(name, size if row.sized else {}).eval()
        maps = last_maps(network, torch.zeros(2, 3, row.height_px, row.width_px))
    assert maps.ndim == 4 and len(maps) == 2
    assert min(maps.shape[2:]) > 1
    assert maps.shape[2] / maps.shape[3] == pytest.approx(row.height_px / row.width_px, rel=0.3)


def test_the_map_of_a_network_over_time_is_what_it_pools_of_a_clip_of_one_frame() -> None:
    torch.manual_seed(0)
    network = table.build("resnet503d", {}).eval()
    images = torch.rand(2, 3, 64, 32)
    mask = torch.ones(2, 1, dtype=torch.bool)
    with torch.inference_mode():
        feature = network(images[:, None], mask, mask.float())
        maps = last_maps(network, images)
    torch.testing.assert_close(maps.mean((2, 3)), feature)


def test_an_exported_network_is_refused_in_a_line(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert activations.main([str(colours), "a.png", "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"error: {colours}: an exported network does not show its feature maps; give the"
        " .safetensors or checkpoint that it was exported from\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_is_named(
    brightness: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    arguments = [str(brightness), str(tmp_path / "bad.jpg"), "--output", str(tmp_path / "out")]
    assert activations.main(arguments) == 2
    assert f"{tmp_path / 'bad.jpg'}: is damaged or not an image" in capsys.readouterr().err
