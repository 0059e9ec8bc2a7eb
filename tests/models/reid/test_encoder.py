"""Whatever file ReID weights are in, they are opened with the input that they were made for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from onnx import helper

from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.networks import table
from models.reid.networks.file import Recipe, save
from models.reid.preprocess import CONVENTIONS
from models.weights import public
from pipeline.records import Array
from tests.graphs import write_graph

BASELINES = {
    "person-reidentification-retail-0277.xml": "bgr_0_255",
    "person-reidentification-retail-0287.onnx": "imagenet",
    "osnet_x0_25_msmt17.onnx": "imagenet",
}


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """A network whose feature is the mean of its input."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["crops"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["features"]),
    ]
    return write_graph(tmp_path / "colour.onnx", nodes, ["n", 3, 32, 16])


def unit(values: list[float]) -> Array:
    return np.array([values]) / np.linalg.norm(values)


@pytest.mark.parametrize("convention", ["auto", *CONVENTIONS])
def test_an_exported_network_gets_the_convention_that_is_set_and_imagenet_by_default(
    colour: Path, convention: str
) -> None:
    crop = np.full((1, 32, 16, 3), (10, 100, 200), np.uint8)
    pixels = preprocess.normalise(
        torch.from_numpy(crop), CONVENTIONS["imagenet" if convention == "auto" else convention]
    )
    features = encoder.load(colour, "cpu", 4, convention).features([crop])
    assert_allclose(features, unit(pixels[0, :, 0, 0].tolist()), atol=1e-5)


def test_the_convention_of_a_public_model_is_what_is_recorded_of_it(
    colour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = next(m for m in public.catalogue().values() if m.convention == "bgr_0_255")
    monkeypatch.setattr(public, "known", lambda path: model if path == colour else None)
    crop = np.full((1, 32, 16, 3), (10, 100, 200), np.uint8)
    assert_allclose(encoder.load(colour, "cpu").features([crop]), unit([10, 100, 200]), atol=1e-5)
    assert_allclose(
        encoder.load(colour, "cpu", 4, "rgb_0_255").features([crop]),
        unit([200, 100, 10]),
        atol=1e-5,
    )


@pytest.mark.parametrize(("file", "convention"), BASELINES.items(), ids=list(BASELINES))
def test_what_public_models_take_is_recorded(shared_data: Path, file: str, convention: str) -> None:
    assert encoder.recorded(shared_data / "baselines" / file) == CONVENTIONS[convention]


def test_what_an_unknown_xml_takes_must_be_told(tmp_path: Path) -> None:
    path = tmp_path / "theirs.xml"
    path.write_text("<net/>", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        encoder.load(path, "cpu")
    names = "imagenet, rgb_0_1, rgb_0_255, bgr_0_255"
    assert (
        str(caught.value)
        == f"{path}: what this network takes is not recorded; set reid.convention to one of {names}"
    )


def test_a_network_of_ours_is_not_told_what_it_takes(tmp_path: Path) -> None:
    recipe = Recipe("osnet_x0_25", {}, 32, 16)
    path = tmp_path / "ours.safetensors"
    save(table.build(recipe.architecture, recipe.options), recipe, path)
    assert encoder.load(path, "cpu").size == (32, 16)
    with pytest.raises(InputError, match="leave the convention at auto"):
        encoder.load(path, "cpu", 4, "bgr_0_255")


def test_networks_that_take_one_size_say_so(tmp_path: Path, colour: Path) -> None:
    assert encoder.load(colour, "cpu").one_size
    size = {"height_px": 32, "width_px": 16}
    for name, options in (("osnet_x0_25", {}), ("osnet_lct_x1_0", size)):
        path = tmp_path / f"{name}.safetensors"
        save(table.build(name, options), Recipe(name, options, **size), path)
        assert encoder.load(path, "cpu").one_size == (name == "osnet_lct_x1_0")


def test_a_public_model_that_is_not_fetched_is_an_error_that_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(public.CACHE, str(tmp_path))
    name = "person-reidentification-retail-0287-onnx"
    with pytest.raises(InputError, match=f"fetch it: python -m models.weights get {name}$"):
        encoder.load(name, "cpu")


def test_a_fetched_public_model_is_opened_by_its_name(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "person-reidentification-retail-0287"
    monkeypatch.setenv(public.CACHE, str(tmp_path))
    (tmp_path / f"{name}.onnx").symlink_to(shared_data / "baselines" / f"{name}.onnx")
    network = encoder.load(f"{name}-onnx", "cpu", 4)
    assert (network.width, network.size, network.on_cuda) == (256, (256, 128), False)


@pytest.mark.parametrize("name", ["weights.pth", "weights.bin"])
def test_other_kinds_of_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"ReID weights are \.safetensors \(ours\), \.onnx"):
        encoder.load(tmp_path / name, "cpu")
