"""Tracklets become embeddings, whoever computes them."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from onnx import helper
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models import device as devices
from models import weights
from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from models.reid.exported import ExportedNetwork
from models.reid.networks import table
from models.reid.networks.file import Recipe, save
from models.runtimes.choice import NO_RUNTIME
from models.weights import shipped
from pipeline import embed
from pipeline.config import ReidConfig
from pipeline.embed import Embedder
from pipeline.errors import ModelError
from pipeline.records import Array, Tracklet
from tests.graphs import write_convolution, write_graph, write_outputs

MakeEmbedder = Callable[[int], Embedder]


def tracklet(track_id: int, n_crops: int) -> Tracklet:
    """Crops in colours of their own."""
    rng = np.random.default_rng(track_id)
    crops = np.empty((n_crops, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    crops[:] = rng.integers(0, 255, (n_crops, 1, WIDTH_PX, 3))
    n = n_crops + 1
    return Tracklet(
        "cam",
        track_id,
        np.arange(n),
        np.arange(n) / 10,
        np.zeros((n, 4), np.float32),
        np.ones(n, np.float32),
        crops,
        rng.uniform(0.001, 0.01, n_crops).astype(np.float32),
        np.arange(n_crops) / 10,
    )


TRACKLETS = [tracklet(i, n) for i, n in enumerate([2, 0, 1])]


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("reid") / "ours.safetensors"
    recipe = Recipe("resnet50_quality", {}, HEIGHT_PX, WIDTH_PX)
    save(table.build(recipe.architecture, recipe.options), recipe, path)
    return path


@pytest.fixture(scope="module")
def compact_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of ours that is small enough to ship."""
    path = tmp_path_factory.mktemp("reid") / "compact.safetensors"
    recipe = Recipe("osnet_x0_25", {}, 32, 16)
    save(table.build(recipe.architecture, recipe.options), recipe, path)
    return path


@pytest.fixture(scope="module")
def exported_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_convolution(tmp_path_factory.mktemp("reid") / "theirs.onnx", "n")


@pytest.fixture(params=["network_file", "exported_file"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeEmbedder:
    """Builds an embedder of either kind in full precision."""
    path = str(request.getfixturevalue(request.param))
    monkeypatch.setattr(devices, "fast_dtype", lambda device: torch.float32)
    return lambda batch_crops: embed.build(
        ReidConfig(weights=path, batch_crops=batch_crops), "cpu"
    )[0]


def embeddings(embedder: Embedder, tracklets: list[Tracklet]) -> Array:
    return np.stack([e.embedding for e in embedder.embed(tracklets)])


def test_embeddings_have_unit_length_and_come_in_order_without_crops(make: MakeEmbedder) -> None:
    embedder = make(64)
    embedded = embedder.embed(TRACKLETS)
    assert [e.tracklet.track_id for e in embedded] == [t.track_id for t in TRACKLETS]
    assert all(
        len(e.tracklet.crops) == 0 and len(e.tracklet.frames) == len(t.frames)
        for e, t in zip(embedded, TRACKLETS, strict=True)
    )
    lengths = [np.linalg.norm(e.embedding) for e in embedded]
    assert_allclose(lengths, [float(len(t.crops) > 0) for t in TRACKLETS], atol=1e-5)
    assert all(e.embedding.shape == (embedder.width,) for e in embedded)


def test_embeddings_do_not_depend_on_how_tracklets_are_batched(make: MakeEmbedder) -> None:
    alone, together = embeddings(make(1), TRACKLETS), embeddings(make(64), TRACKLETS[::-1])[::-1]
    assert_allclose(together, alone, atol=1e-5)
    apart = np.linalg.norm(alone[:, None] - alone[None], axis=2)[~np.eye(len(alone), dtype=bool)]
    assert apart.min() > 1e-3


@pytest.mark.parametrize("tracklets", [[], [tracklet(1, 0)], [tracklet(1, 0), tracklet(2, 0)]])
def test_tracklets_without_crops_get_zeros(make: MakeEmbedder, tracklets: list[Tracklet]) -> None:
    assert all((e.embedding == 0).all() and len(e.embedding) > 0 for e in make(4).embed(tracklets))
    assert len(make(4).embed(tracklets)) == len(tracklets)


def test_an_exported_network_averages_its_features_by_quality(exported_file: Path) -> None:
    (embedded,) = embed.NetworkEmbedder(exported_file, 2, "cpu").embed(TRACKLETS[:1])
    features = ExportedNetwork(exported_file, torch.device("cpu"), 2).features(TRACKLETS[0].crops)
    mean = np.average(features, axis=0, weights=TRACKLETS[0].crop_quality)
    assert_allclose(embedded.embedding, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("batch_crops", [1, 64])
def test_every_crop_is_a_look_and_a_tracklet_is_their_mean_by_quality(
    make: MakeEmbedder, batch_crops: int
) -> None:
    embedder = make(batch_crops)
    for tracklet, embedded in zip(TRACKLETS, embedder.embed(TRACKLETS), strict=True):
        assert embedded.crop_embeddings.shape == (len(tracklet.crops), embedder.width)
        assert (embedded.crop_times_s == tracklet.crop_times_s).all() and (
            embedded.crop_quality == tracklet.crop_quality
        ).all()
        if len(tracklet.crops):
            mean = np.average(
                embedded.crop_embeddings.astype(float), axis=0, weights=tracklet.crop_quality
            )
            assert_allclose(embedded.embedding, mean / np.linalg.norm(mean), atol=2e-3)


def test_half_precision_changes_an_embedding_only_a_little(
    network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        monkeypatch.setattr(devices, "fast_dtype", lambda device, dtype=dtype: dtype)
        found.append(
            embeddings(embed.build(ReidConfig(weights=str(network_file)), "cpu")[0], TRACKLETS[2:])[
                0
            ]
        )
    assert found[0] @ found[1] > 0.999


def test_without_a_network_embeddings_have_no_length() -> None:
    embedder, notes = embed.build(ReidConfig(weights="none"), "cpu")
    assert (notes, embedder.name, embedder.width) == ([], "none", 0)
    embedded = embedder.embed(TRACKLETS)
    assert [len(e.embedding) for e in embedded] == [0] * len(TRACKLETS)
    assert [e.tracklet.track_id for e in embedded] == [t.track_id for t in TRACKLETS]
    assert not any(len(e.tracklet.crops) for e in embedded)


def test_auto_is_what_is_bundled_or_none_with_a_note(
    tmp_path: Path, compact_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "bundled", functools.partial(weights.bundled, folder=tmp_path))
    embedder, notes = embed.build(ReidConfig(), "cpu")
    assert isinstance(embedder, embed.NoEmbedder) and "reid.weights=" in " ".join(notes)
    about = {"licence": "-", "data": "-", "command": "-", "commit": "abcdef0"}
    shipped.add(compact_file, {"name": "ours", "role": "reid", **about}, folder=tmp_path)
    embedder, notes = embed.build(ReidConfig(), "cpu")
    assert (embedder.name, embedder.files, notes) == (
        "compact.safetensors",
        (tmp_path / "compact.safetensors",),
        [],
    )
    (tmp_path / "compact.safetensors").write_bytes(b"altered")
    with pytest.raises(
        ModelError,
        match=f"^{tmp_path / 'compact.safetensors'}: the shipped weights are not those .*$",
    ):
        embed.build(ReidConfig(), "cpu")


@pytest.mark.parametrize(("device", "taken"), [("cpu", "compact"), ("cuda", "large")])
def test_auto_takes_the_network_that_ships_for_the_device(
    tmp_path: Path, compact_file: Path, monkeypatch: pytest.MonkeyPatch, device: str, taken: str
) -> None:
    about = {"role": "reid", "licence": "-", "data": "-", "command": "-", "commit": "abcdef0"}
    for name, on in (("large", "cuda"), ("compact", "cpu")):
        source = tmp_path / f"{name}.safetensors"
        source.write_bytes(compact_file.read_bytes())
        shipped.add(source, {"name": name, "device": on, **about}, folder=tmp_path / "shipped")
    monkeypatch.setattr(
        weights, "bundled", functools.partial(weights.bundled, folder=tmp_path / "shipped")
    )
    monkeypatch.setattr(devices, "resolve", torch.device)
    monkeypatch.setattr(
        embed.encoder, "load", lambda path, device, *others: NoNetwork(path, device)
    )
    assert embed.build(ReidConfig(), device)[0].name == f"{taken}.safetensors"


def test_the_output_that_is_taken_of_several_is_a_note(tmp_path: Path) -> None:
    path = write_outputs(tmp_path / "two.onnx", {"quality": [1], "features": [64]})
    embedder, notes = embed.build(ReidConfig(weights=str(path)), "cpu")
    assert embedder.width == 64
    assert "two.onnx: of its outputs" in notes[0]


def test_crops_without_finite_features_are_counted_and_told(tmp_path: Path) -> None:
    """The logarithm of a colour is finite for noise, and not for what is black."""
    nodes = [
        helper.make_node("ReduceMean", ["crops"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("Log", ["colour"], ["logarithm"]),
        helper.make_node("Concat", ["logarithm", "colour"], ["features"], axis=1),
    ]
    path = write_graph(tmp_path / "log.onnx", nodes, ["n", 3, 32, 16])
    settings = ReidConfig(weights=str(path), convention="rgb_0_1")
    embedder, _ = embed.build(settings, "cpu")
    sound = tracklet(1, 3)
    black = replace(sound, crops=np.zeros_like(sound.crops))
    embedder.embed([sound])
    assert embedder.warnings == []
    embedder.embed([black])
    assert embedder.warnings[0].startswith("log.onnx: 3 of 6 crops got NaN or infinite features")


def test_a_network_of_ours_with_weights_that_are_not_finite_is_an_error(
    tmp_path: Path, compact_file: Path
) -> None:
    state = load_file(compact_file)
    with safe_open(compact_file, "pt") as file:
        metadata = file.metadata()
    name = next(key for key, values in state.items() if values.is_floating_point())
    state[name].view(-1)[0] = torch.nan
    path = tmp_path / "nan.safetensors"
    save_file(state, path, metadata)
    with pytest.raises(ModelError, match=f"^{path}: its weights are damaged: {name} holds NaN"):
        embed.build(ReidConfig(weights=str(path)), "cpu")


class NoNetwork:
    """Stands for a network on a device that this machine lacks."""

    width, size, note = 1, (HEIGHT_PX, WIDTH_PX), ""
    choice = NO_RUNTIME

    def __init__(self, path: Path, device: str) -> None:
        self.on_cuda = device == "cuda"


@pytest.mark.parametrize(
    "name",
    ["text.onnx", "text.safetensors", "text.pth", "text.xml", "grey.onnx", "missing.onnx", "."],
)
def test_weights_that_cannot_be_used_are_an_error_of_one_line_that_names_them(
    tmp_path: Path, name: str
) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("just text", encoding="utf-8")
    elif name == "grey.onnx":
        write_graph(
            tmp_path / name, [helper.make_node("Flatten", ["crops"], ["features"])], [1, 1, 8, 8]
        )
    with pytest.raises(ModelError, match=f"^{tmp_path / name}: .*$") as caught:
        embed.build(ReidConfig(weights=str(tmp_path / name)), "cpu")
    assert "\n" not in str(caught.value)
