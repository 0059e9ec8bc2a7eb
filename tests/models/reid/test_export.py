"""Export to ONNX: what onnxruntime gives is what torch gives, or there is no file.

Small networks stand in for the real ones where only the exporter matters. `resnet50rnn` goes the
whole way, from the command line to features of clips, because it has all that the exporter treats:
a deep backbone, two free axes and an LSTM.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from models.errors import InputError
from models.reid import export
from models.reid.exported import ExportedNetwork
from models.reid.networks import file, table
from models.reid.networks.file import Recipe
from models.reid.networks.frames import FrameWise, pack, unpack
from models.reid.networks.heads import Recurrent
from models.reid.preprocess import normalise, resize

CPU = torch.device("cpu")
IMAGES, CLIPS = (
    Recipe(name, {"n_classes": 3}, 32, 16) for name in ("resnet50_bnneck", "resnet50rnn")
)
N_CHANNELS = 6


def backbone() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, N_CHANNELS, 3, 2),
        nn.BatchNorm2d(N_CHANNELS),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(*layers).eval()


class Clips(nn.Module):
    """A backbone and the recurrent head, with `len` of a tensor in its path."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = backbone(), Recurrent(N_CHANNELS, 5)

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        rows: Tensor = self.backbone(pack(clips, mask))
        pooled, _ = self.head(unpack(rows.view(len(rows), N_CHANNELS), mask), rows, mask, quality)
        return pooled


class FixedLength(nn.Module):
    """Mixes the frames by their places, so it takes clips of five frames only."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = backbone()
        self.mix = nn.Linear(5 * N_CHANNELS, 4)

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        mixed: Tensor = self.mix(unpack(self.backbone(pack(clips, mask)), mask).flatten(1))
        return mixed


class Halves(nn.Module):
    """Cuts a free axis in half, over which the optimiser of graphs stumbles."""

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        means = clips.mean((1, 3, 4))
        first, second = torch.cat([means, means.square()]).chunk(2)
        return first - second


class Choosy(nn.Module):
    """Refuses clips of fewer than three frames."""

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        if clips.shape[1] < 3:
            raise ValueError("three frames or more")
        return clips.mean((1, 3, 4))


class Different(nn.Module):
    """Gives other numbers in a file than in torch: so many times as large."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.backbone, self.factor = backbone(), factor

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        rows: Tensor = self.backbone(clips[:, 0])
        return rows * self.factor if torch.compiler.is_exporting() else rows


class Undecided(nn.Module):
    """Decides by a value, which no graph can."""

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor:
        return clips.mean((1, 3, 4)) if clips.sum() > 0 else clips.amax((1, 3, 4))


def test_an_image_network_takes_images_and_says_how_to_prepare_them(tmp_path: Path) -> None:
    network, path = FrameWise(backbone(), N_CHANNELS).eval(), tmp_path / "new" / "reid.onnx"
    written = export.write(network, IMAGES, path)
    assert written.input == ("images", ("batch", 3, 32, 16)) and written.output == (
        "features",
        ("batch", N_CHANNELS),
    )
    assert written.difference < 1e-5
    model = onnx.load(path)
    named = {entry.key: entry.value for entry in model.metadata_props}
    assert (named["architecture"], json.loads(named["options"])) == (
        "resnet50_bnneck",
        {"n_classes": 3},
    )
    assert (named["height_px"], named["width_px"], named["colours"]) == ("32", "16", "RGB")
    assert json.loads(named["mean"]) == [0.485, 0.456, 0.406] and json.loads(named["std"]) == [
        0.229,
        0.224,
        0.225,
    ]
    assert (
        b"/work/" not in path.read_bytes()
        and str(Path(__file__).parent).encode() not in path.read_bytes()
    )
    assert [p.name for p in path.parent.iterdir()] == [
        "reid.onnx"
    ]  # one file with everything in it
    crops = np.random.default_rng(0).integers(0, 255, (7, 40, 30, 3), np.uint8)
    pixels = torch.from_numpy(np.stack([resize(crop, 32, 16) for crop in crops]))
    with torch.inference_mode():
        rows = network(
            normalise(pixels)[:, None], torch.ones(7, 1, dtype=torch.bool), torch.ones(7, 1)
        )
    assert_allclose(
        ExportedNetwork(path, CPU, 3).features(crops),
        nn.functional.normalize(rows).numpy(),
        atol=1e-5,
    )


def test_a_video_network_takes_clips_of_any_number_and_length(tmp_path: Path) -> None:
    written = export.write(Clips().eval(), CLIPS, tmp_path / "reid.onnx")
    assert written.input == ("clips", ("batch", "time", 3, 32, 16)) and written.output == (
        "features",
        ("batch", 5),
    )
    assert "LSTM" in [node.op_type for node in onnx.load(tmp_path / "reid.onnx").graph.node]


def test_an_axis_that_a_network_fixes_is_fixed_in_the_file(tmp_path: Path) -> None:
    written = export.write(FixedLength().eval(), CLIPS, tmp_path / "reid.onnx")
    assert written.input == ("clips", ("batch", 5, 3, 32, 16))
    assert onnxruntime.InferenceSession(tmp_path / "reid.onnx").get_inputs()[0].shape == [
        "batch",
        5,
        3,
        32,
        16,
    ]


def test_a_graph_that_cannot_be_shortened_is_written_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = export.write(Halves().eval(), CLIPS, tmp_path / "reid.onnx")
    assert written.input == ("clips", ("batch", "time", 3, 32, 16))
    assert "SplitToSequence" in [
        node.op_type for node in onnx.load(tmp_path / "reid.onnx").graph.node
    ]
    assert capfd.readouterr() == ("", "")


UNTRUSTED = [
    (
        lambda: Different(1.01),
        IMAGES,
        "not written, because resnet50_bnneck gives other features in onnxruntime",
    ),
    (lambda: Different(float("nan")), IMAGES, "differ by nan"),
    (Undecided, IMAGES, "resnet50_bnneck cannot be exported"),
    (Choosy, CLIPS, "resnet50rnn takes no clips of shape .* three frames or more"),
]


@pytest.mark.parametrize(
    ("network", "recipe", "what"),
    UNTRUSTED,
    ids=["different", "not a number", "undecided", "choosy"],
)
def test_a_network_that_cannot_be_trusted_leaves_what_was_there(
    tmp_path: Path, network: Callable[[], nn.Module], recipe: Recipe, what: str
) -> None:
    (tmp_path / "reid.onnx").write_text("before", encoding="utf-8")
    with pytest.raises(InputError, match=what) as error:
        export.write(network().eval(), recipe, tmp_path / "reid.onnx")
    assert "\n" not in str(error.value)
    assert [p.read_text(encoding="utf-8") for p in tmp_path.iterdir()] == ["before"]


@pytest.mark.slow
def test_a_trained_file_becomes_an_exported_network_with_the_same_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    options = {**table.architecture("resnet50rnn").options, "n_classes": 4}
    network = table.build("resnet50rnn", options)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    file.save(network, Recipe("resnet50rnn", options, 64, 32), tmp_path / "model.safetensors")
    path = tmp_path / "model.onnx"
    assert export.main([str(tmp_path / "model.safetensors"), "--output", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["clips: (batch, time, 3, 64, 32)", "features: (batch, 512)"]
    assert said[2].startswith(f"{path}: differs from torch by at most ")
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 255, (n, 64, 32, 3), np.uint8) for n in (2, 1, 4, 2)]
    exported = ExportedNetwork(path, CPU, 8)
    assert exported.clips and exported.size == (64, 32) and exported.width == 512
    rows = exported.clip_features(clips)
    with torch.inference_mode():
        for row, clip in zip(rows, clips, strict=True):
            ones = torch.ones(1, len(clip))
            expected = network.eval()(normalise(torch.from_numpy(clip))[None], ones.bool(), ones)[
                0
            ].numpy()
            assert_allclose(row, expected, atol=1e-3 * np.abs(expected).max())


def test_a_file_to_ship_is_half_as_large_and_gives_the_same_features_without_its_classifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    options = {"n_classes": 400, "embed_width": 32}
    whole, slim = tmp_path / "model.safetensors", tmp_path / "slim.safetensors"
    recipe = Recipe("mobilenetv2_bnneck", options, 64, 32)
    file.save(table.build(recipe.architecture, options), recipe, whole, {"data": "x"})
    assert export.main([str(whole), "--output", str(slim)]) == 0
    assert (
        capsys.readouterr().out
        == f"{slim}: {slim.stat().st_size / 1e6:.1f} MB, half precision, without classifier\n"
    )
    assert slim.stat().st_size < 0.5 * whole.stat().st_size
    before, after = (file.load(path) for path in (whole, slim))
    assert (
        after.about == {"data": "x"}
        and after.recipe.options["n_classes"] == 0
        and after.recipe.height_px == 64
    )
    assert not any("classifier" in name for name in after.network.state_dict())
    assert all(p.dtype == torch.float32 for p in after.network.parameters())
    images, ones = torch.randn(3, 2, 3, 64, 32), torch.ones(3, 2)
    with torch.inference_mode():
        expected, found = (one.network(images, ones.bool(), ones) for one in (before, after))
    assert_allclose(found, expected, atol=2e-3 * float(expected.abs().max()))


def test_a_file_that_is_no_network_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.safetensors").write_text("text", encoding="utf-8")
    assert (
        export.main([str(tmp_path / "model.safetensors"), "--output", str(tmp_path / "model.onnx")])
        == 2
    )
    assert capsys.readouterr().err.startswith(
        f"error: {tmp_path / 'model.safetensors'}: is not a readable safetensors file"
    )
    assert not (tmp_path / "model.onnx").exists()
