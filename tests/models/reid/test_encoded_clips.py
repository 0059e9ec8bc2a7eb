"""Clips become features, whatever file the network came from: alone or in a batch, by quality, at
the size it wants.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from models import device as devices
from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.encoder import Array, NetworkEncoder
from models.reid.networks import table
from models.reid.networks.file import Loaded, Recipe, save
from models.reid.networks.frames import weighted_over_time
from tests.graphs import N_FEATURES, write_convolution

CPU = torch.device("cpu")
LENGTHS = [3, 1, 6, 2, 1]
OSNET = Recipe("osnet_x0_25", {"n_classes": 3}, 64, 32)


@pytest.fixture(autouse=True)
def precise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU may compute in bfloat16, in which crops alone and in a batch differ in the third
    digit.
    """
    monkeypatch.setattr(devices, "fast_dtype", lambda _: torch.float32)


def clips(size: tuple[int, int] = (64, 32)) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (n, *size, 3), np.uint8) for n in LENGTHS]


def osnet() -> nn.Module:
    torch.manual_seed(0)
    return table.build(OSNET.architecture, OSNET.options).eval()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reid") / "ours.safetensors"
    save(osnet(), OSNET, path)
    return path


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_convolution(tmp_path_factory.mktemp("reid") / "theirs.onnx", "n")


@pytest.fixture(params=["ours", "theirs"])
def weights(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


class Colours(nn.Module):
    """Mean colour of the frames, weighed by quality: what an encoder hands to a network shows in
    what comes out.
    """

    width = 3

    def forward(self, images: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        return weighted_over_time(images.mean((3, 4)), mask * quality)


def colours(size: tuple[int, int] = (8, 4), batch_crops: int = 4) -> NetworkEncoder:
    return NetworkEncoder(Loaded(Colours(), Recipe("colours", {}, *size), {}), CPU, batch_crops)


def mean_colours(clip: Array, quality: Array | None = None) -> Array:
    pixels = preprocess.normalise(torch.from_numpy(clip)).numpy().mean(axis=(2, 3))
    return np.asarray(np.average(pixels, axis=0, weights=quality))


@pytest.mark.parametrize("batch_crops", [1, 4, 64])
def test_a_clip_has_the_features_in_a_batch_that_it_has_alone(
    weights: Path, batch_crops: int
) -> None:
    network = encoder.load(weights, "cpu", batch_crops)
    together = network.features(clips())
    assert together.shape == (len(LENGTHS), network.width) and together.dtype == np.float32
    alone = np.concatenate([network.features([clip]) for clip in clips()])
    assert_allclose(together, alone, atol=2e-4 * np.abs(alone).max())
    assert np.abs(np.diff(together, axis=0)).max() > 1e-3


def test_no_clips_are_no_features(weights: Path) -> None:
    network = encoder.load(weights, "cpu")
    assert network.features([]).shape == (0, network.width)


def test_sizes_and_widths_are_those_of_the_file(ours: Path, theirs: Path) -> None:
    first, second = encoder.load(ours, "cpu"), encoder.load(theirs, "cpu")
    assert (first.size, first.width, first.on_cuda) == ((64, 32), 512, False)
    assert (second.size, second.width, second.on_cuda) == ((32, 16), N_FEATURES, False)


@pytest.mark.parametrize("size", [(8, 4), (64, 48)])
def test_crops_of_any_size_are_brought_to_the_size_of_the_recipe(size: tuple[int, int]) -> None:
    given = clips((16, 8))
    found = colours(size).features(given)
    for feature, clip in zip(found, given, strict=True):
        assert_allclose(
            feature,
            mean_colours(np.stack([preprocess.resize(crop, *size) for crop in clip])),
            rtol=1e-3,
            atol=1e-4,
        )


def test_frames_count_by_their_quality(theirs: Path) -> None:
    given, rng = clips(), np.random.default_rng(1)
    quality = [rng.uniform(0.1, 1, len(clip)).astype(np.float32) for clip in given]
    found = colours((64, 32)).features(given, quality)
    assert_allclose(
        found,
        [mean_colours(c, q) for c, q in zip(given, quality, strict=True)],
        rtol=1e-3,
        atol=1e-4,
    )
    exported = encoder.load(theirs, "cpu", 4)
    crops = [exported.features([crop[None] for crop in clip]) for clip in given]
    expected = [np.average(each, axis=0, weights=q) for each, q in zip(crops, quality, strict=True)]
    assert_allclose(exported.features(given, quality), expected, atol=1e-5)
    assert_allclose(exported.features(given), [each.mean(axis=0) for each in crops], atol=1e-5)


def test_frames_of_no_quality_at_all_still_give_features(theirs: Path) -> None:
    network, given = encoder.load(theirs, "cpu"), clips()
    none = [np.zeros(len(clip), np.float32) for clip in given]
    assert_allclose(network.features(given, none), network.features(given), atol=1e-5)


class Broken(Colours):
    """One infinite number in the features of dark clips."""

    def forward(self, images: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        out = super().forward(images, mask, quality)
        out[out.sum(1) < -3, 1] = torch.inf
        return out


def test_a_feature_with_anything_infinite_in_it_is_zero_and_others_stay() -> None:
    network = NetworkEncoder(Loaded(Broken(), Recipe("broken", {}, 8, 4), {}), CPU, 64)
    given = [np.full((2, 8, 4, 3), value, np.uint8) for value in (250, 0, 200)]
    found = network.features(given)
    assert found[1].tolist() == [0, 0, 0]
    assert_allclose(found[[0, 2]], [mean_colours(given[0]), mean_colours(given[2])], rtol=1e-4)


def test_a_saved_network_gives_what_it_gave(ours: Path) -> None:
    kept = NetworkEncoder(Loaded(osnet(), OSNET, {}), CPU, 64)
    assert_allclose(encoder.load(ours, "cpu").features(clips()), kept.features(clips()), atol=1e-5)


def test_batches_hold_so_many_crops_at_most_and_one_clip_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, seen = colours(batch_crops=4), []
    whole = network._batch

    def watched(part: list[Array], quality: list[Array] | None, scale: float) -> Array:
        seen.append([len(clip) for clip in part])
        return whole(part, quality, scale)

    monkeypatch.setattr(network, "_batch", watched)
    network.features(clips())
    assert seen == [[3, 1], [6], [2, 1]]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.safetensors", None, ""),
        ("reid.safetensors", b"text", "is not a readable safetensors file"),
        ("reid.onnx", b"text", "is not a ReID network"),
    ],
)
def test_weights_that_cannot_be_used_are_an_error_of_one_line(
    name: str, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path / name}: .*{reason}.*$"):
        encoder.load(tmp_path / name, "cpu")


def test_a_device_that_is_not_there_is_an_input_error(ours: Path) -> None:
    with pytest.raises(InputError, match=r"^device cuda:99: "):
        encoder.load(ours, "cuda:99")


def test_a_file_can_name_only_networks_of_the_table(tmp_path: Path) -> None:
    save(
        nn.Linear(1, 1),
        Recipe("os.system", {"command": "touch evil"}, 64, 32),
        tmp_path / "reid.safetensors",
    )
    with pytest.raises(InputError, match="describes no network of this program"):
        encoder.load(tmp_path / "reid.safetensors", "cpu")
