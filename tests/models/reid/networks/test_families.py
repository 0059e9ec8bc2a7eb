"""Checkpoints of other ReID programs, read as networks of ours."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.reid import originals
from models.errors import InputError
from models.reid import preprocess
from models.reid.networks import file, table
from models.reid.networks.file import Loaded

RELATIVE = 1e-5
"""Largest difference of two features, relative to the largest value."""
EXPECTED_OPTIONS = {
    "strong baseline": {"stem_relu": False, "neck": "bnneck"},
    "strong baseline, IBN": {"instance_norm": True},
    "fast-reid, strong": {"instance_norm": True, "pooling": "gem", "non_local": [256, 512]},
    "fast-reid, reduced": {"embed_width": 256},
    "fast-reid, SE": {"squeeze": "fast-reid"},
    "strong baseline, SE": {"squeeze": "senet", "neck": "bnneck"},
    "torchreid, IBN-b": {"ibn_b": True},
    "layumi, no linear": {"linear_width": 0},
    "torchreid, IBN": {"instance_norm": True},
}


def converted(network: nn.Module, path: Path) -> Loaded:
    """The network, through a checkpoint."""
    torch.save(network.state_dict(), path)
    return file.load(path)


def few_are_quick(names: Iterable[str]) -> list[Any]:
    """All but the first four names are slow: together they take half a minute."""
    in_order = list(names)
    slow = [pytest.param(name, marks=pytest.mark.slow) for name in in_order[4:]]
    return [*in_order[:4], *slow]


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest value."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max()).item()


def pictures(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", few_are_quick(originals.IMAGES))
@torch.inference_mode()
def test_a_network_for_images_gives_the_features_of_the_original(name: str, tmp_path: Path) -> None:
    build, architecture = originals.IMAGES[name]
    original = originals.made(build)
    loaded = converted(original, tmp_path / "model.pth")
    recipe = loaded.recipe
    row = table.architecture(architecture)
    assert recipe.architecture == architecture
    assert (recipe.height_px, recipe.width_px) == (row.height_px, row.width_px)
    assert recipe.options["n_classes"] == (
        0 if name.startswith("torchvision") else originals.N_PEOPLE
    )
    expected_options = EXPECTED_OPTIONS.get(name, {})
    assert {key: recipe.options[key] for key in expected_options} == expected_options
    images = pictures(2, 3, 128, 64)
    found = loaded.network(images[:, None], torch.ones(2, 1, dtype=torch.bool), torch.ones(2, 1))
    assert difference(found, original(images)) < RELATIVE


@pytest.mark.parametrize("name", few_are_quick(originals.VIDEO))
@torch.inference_mode()
def test_a_network_for_clips_gives_the_features_of_the_original(name: str, tmp_path: Path) -> None:
    build, architecture = originals.VIDEO[name]
    original = originals.made(build)
    loaded = converted(original, tmp_path / "model.pth")
    recipe = loaded.recipe
    assert recipe.architecture == architecture
    assert (recipe.height_px, recipe.width_px) == (224, 112)
    clips = pictures(1, 3, 3, 224, 112)
    found = loaded.network(clips, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3))
    assert difference(found, original(clips)) < RELATIVE


SAME_NAMES = {
    "osnet_x0_25": {},
    "osnet_ibn_x1_0": {},
    "osnet_ain_x1_0": {"scale": 0.5},
    "hacnn": {},
}


@pytest.mark.parametrize("architecture", SAME_NAMES)
@torch.inference_mode()
def test_networks_that_are_named_as_in_torchreid_come_back_equal(
    architecture: str, tmp_path: Path
) -> None:
    options = {"n_classes": 4, **SAME_NAMES[architecture]}
    torch.manual_seed(0)
    network = table.build(architecture, options).eval()
    state = {key.removeprefix("image."): value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pth.tar-3")
    loaded = file.load(tmp_path / "model.pth.tar-3")
    assert loaded.recipe.architecture == architecture
    assert loaded.recipe.options["n_classes"] == 4
    found = loaded.network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def torchreid_mobilenet(scale: float) -> dict[str, Tensor]:
    """The keys and shapes of torchreid's MobileNetV2, with random values."""
    channels = int(32 * scale)
    state: dict[str, Tensor] = {}

    def layer(conv: str, bn: str, *shape: int) -> None:
        state[f"{conv}.weight"] = torch.randn(shape)
        for part in ("weight", "bias", "running_mean"):
            state[f"{bn}.{part}"] = torch.randn(shape[0])
        state[f"{bn}.running_var"] = torch.rand(shape[0]) + 0.5
        state[f"{bn}.num_batches_tracked"] = torch.tensor(3)

    layer("conv1.conv", "conv1.bn", channels, 3, 3, 3)
    n_in = channels
    stages = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    for number, (ratio, width, n_blocks) in enumerate(stages, start=2):
        for i in range(n_blocks):
            block = f"conv{number}.{i}"
            inner = ratio * n_in
            layer(f"{block}.conv1.conv", f"{block}.conv1.bn", inner, n_in, 1, 1)
            layer(f"{block}.dwconv2.conv", f"{block}.dwconv2.bn", inner, 1, 3, 3)
            layer(f"{block}.conv3.0", f"{block}.conv3.1", int(width * scale), inner, 1, 1)
            n_in = int(width * scale)
    layer("conv9.conv", "conv9.bn", int(1280 * scale), n_in, 1, 1)
    state["classifier.weight"] = torch.randn(4, int(1280 * scale))
    state["classifier.bias"] = torch.randn(4)
    return state


@pytest.mark.parametrize(
    ("scale", "architecture"), [(1.0, "mobilenetv2_x1_0"), (1.4, "mobilenetv2_x1_4")]
)
def test_every_tensor_of_a_torchreid_mobilenet_has_its_place(
    scale: float, architecture: str, tmp_path: Path
) -> None:
    state = torchreid_mobilenet(scale)
    torch.save(state, tmp_path / "model.pth")
    loaded = file.load(tmp_path / "model.pth")
    assert loaded.recipe.architecture == architecture
    found = loaded.network.state_dict()
    # both name the layers in the order in which they compute
    assert [tuple(v.shape) for v in found.values()] == [tuple(v.shape) for v in state.values()]
    pairs = zip(found.values(), state.values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_published_3d_resnet_comes_back_equal(tmp_path: Path) -> None:
    network = table.build("resnet503d", {"n_classes": 4})
    state = {k.replace("classifier.", "fc."): v for k, v in network.state_dict().items()}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pth")
    loaded = file.load(tmp_path / "a.pth")
    assert loaded.recipe.architecture == "resnet503d"
    found = loaded.network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


@pytest.fixture(scope="module")
def baseline() -> dict[str, Tensor]:
    """The state dict of a strong baseline."""
    return originals.made(originals.StrongBaseline).state_dict()


def without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if "num_batches" not in key}


def without_neck(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if "bottleneck" not in key}


def without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if "classifier" not in key}


def under_a_name(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.model.{key}": tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (without_counters, {"n_classes": 5, "neck": "bnneck"}),
        (without_neck, {"n_classes": 5, "neck": "none"}),
        (without_classifier, {"n_classes": 0, "neck": "bnneck"}),
        (under_a_name, {"n_classes": 5, "neck": "bnneck"}),
    ],
)
def test_forms_of_a_file_that_lose_nothing_are_taken(
    baseline: dict[str, Tensor],
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    options: dict[str, object],
    tmp_path: Path,
) -> None:
    state = change(baseline)
    if change is without_neck:  # a classifier on the feature itself has a bias
        state["classifier.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "model.pth")
    loaded = file.load(tmp_path / "model.pth")
    assert {key: loaded.recipe.options[key] for key in options} == options
    found = loaded.network.state_dict()["backbone.layer4.2.conv3.weight"]
    assert torch.equal(found, baseline["base.layer4.2.conv3.weight"])


@pytest.mark.parametrize(
    ("removed", "added", "reason"),
    [
        ("base.layer2.0.conv1.weight", {}, r"missing: backbone\.layer2\.0\.conv1\.weight"),
        ("bottleneck.bias", {}, r"missing: neck\.bias"),
        ("", {"se.0.weight": torch.ones(1)}, r"left over: se\.0\.weight"),
        ("", {"base.layer1.9.bn1.bias": torch.ones(1)}, r"left over: .*layer1\.9"),
        (
            "",
            {"base.layer1.0.bn1.bias": torch.ones(3)},
            r"of another shape: backbone\.layer1\.0\.bn1\.bias \(3,\), not \(64,\)",
        ),
    ],
)
def test_a_file_that_does_not_fill_its_network_is_refused_with_a_list(
    baseline: dict[str, Tensor],
    removed: str,
    added: dict[str, Tensor],
    reason: str,
    tmp_path: Path,
) -> None:
    state = {key: tensor for key, tensor in baseline.items() if key != removed} | added
    path = tmp_path / "model.pth"
    torch.save(state, path)
    with pytest.raises(InputError, match=rf"^{path}: was read as strong baseline, .*{reason}.*$"):
        file.load(path)


def test_a_long_list_of_faults_is_cut(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    state = {key: tensor for key, tensor in baseline.items() if "layer3" not in key}
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"missing: backbone\.layer3\.0.* and \d+ more\)$"):
        file.load(tmp_path / "model.pth")


def test_a_network_of_no_family_is_refused(tmp_path: Path) -> None:
    torch.save({"blocks.0.attn.qkv.weight": torch.ones(3)}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"nor of one .*NETWORKS.md lists; its tensors: blocks"):
        file.load(tmp_path / "model.pth")


def test_a_file_that_is_almost_of_a_family_is_refused_with_the_nearest(tmp_path: Path) -> None:
    network = table.build("osnet_x0_25", {"n_classes": 4})
    state = {key.removeprefix("image."): value for key, value in network.state_dict().items()}
    state = {key: value for key, value in state.items() if not key.startswith("conv2.0.conv2a.")}
    torch.save(state | {"extra.weight": torch.ones(3)}, tmp_path / "model.pth")
    with pytest.raises(InputError) as raised:
        file.load(tmp_path / "model.pth")
    told = str(raised.value)
    assert "the nearest is torchreid OSNet (osnet_x0_25): 479 of 485 tensors are there" in told
    assert "; missing: image.conv2.0.conv2a.conv1.weight, image.conv2.0.conv2a.conv2" in told
    assert told.endswith("; left over: extra.weight")


def test_weights_that_are_not_finite_are_refused(
    baseline: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(baseline | {"bottleneck.weight": torch.full((2048,), torch.nan)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"its weights are damaged: bottleneck\.weight"):
        file.load(tmp_path / "a.pth")


def test_fast_reid_pixels_are_checked(tmp_path: Path) -> None:
    state = originals.made(originals.FastReid).state_dict()
    mean = 255 * torch.tensor(preprocess.MEAN).view(1, 3, 1, 1)
    torch.save({"model": state | {"pixel_mean": mean}}, tmp_path / "same.pth")
    assert "not used: pixel_mean" in file.load(tmp_path / "same.pth").note
    torch.save({"model": state | {"pixel_mean": mean / 2}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: pixel_mean is \[0\.243, .*\], not \[0\.485"):
        file.load(tmp_path / "other.pth")


def test_what_keys_do_not_tell_can_be_changed(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(baseline, path)
    changes = {"height_px": 384, "stem_relu": True, "last_stride": 2}
    recipe = file.load(path, changes=changes).recipe
    assert (recipe.height_px, recipe.width_px) == (384, 128)
    assert recipe.options["stem_relu"] and recipe.options["last_stride"] == 2
    with pytest.raises(InputError, match="height_px is from 8 to 2048, not 9999"):
        file.load(path, changes={"height_px": 9999})
    with pytest.raises(InputError, match=r"does not fit resnet50_bnneck .*unexpected keyword"):
        file.load(path, changes={"depth": 3})


def test_another_architecture_of_the_same_layers_can_be_chosen(tmp_path: Path) -> None:
    torch.save(originals.made(originals.FtNet).state_dict(), tmp_path / "net_last.pth")
    loaded = file.load(tmp_path / "net_last.pth", architecture="ft_resnet50_wanggcong")
    assert loaded.network.width == 2048
    assert loaded.recipe.architecture == "ft_resnet50_wanggcong"
