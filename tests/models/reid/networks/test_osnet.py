"""OSNet: its structure by count, by names and by torchreid's own weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.networks.osnet import LightConv, OSBlock, OSNet, osnet

VARIANTS = [
    (1.0, "plain"),
    (0.75, "plain"),
    (0.5, "plain"),
    (0.25, "plain"),
    (1.0, "ibn"),
    (1.0, "ain"),
]


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 64, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def small() -> OSNet:
    torch.manual_seed(0)
    return OSNet(n_classes=5, scale=0.25)


@pytest.mark.parametrize(("scale", "variant"), VARIANTS)
@torch.inference_mode()
def test_an_image_gives_512_numbers_whatever_else_is_in_the_batch(
    scale: float, variant: str
) -> None:
    network = OSNet(scale=scale, variant=variant).eval()
    features = network(images())
    assert features.shape == (2, 512) and network.width == osnet(scale=0.25).width == 512
    assert_close(network(images()[:1]), features[:1], atol=1e-5, rtol=1e-4)


def block_size(n_in: int, n_out: int) -> int:
    """Weights of an omni-scale block: two 1x1 and their norms, ten light 3x3, one gate, the
    shortcut.
    """
    c = n_out // 4
    squeeze, expand = n_in * c + 2 * c, c * n_out + 2 * n_out
    light, gate = c * c + 9 * c + 2 * c, 2 * c * (c // 16) + c // 16 + c
    return squeeze + 10 * light + gate + expand + (n_in * n_out + 2 * n_out if n_in != n_out else 0)


@pytest.mark.parametrize(
    ("scale", "variant", "expected"),
    [
        # torchreid prints 2 193 616 for the first: its counter meets the gate four times a block
        (1.0, "plain", 2_169_508),
        (0.75, "plain", 1_285_754),
        (0.5, "plain", 630_034),
        (0.25, "plain", 201_864),
        (1.0, "ibn", 2_169_508 + 2 * 2 * 256),
        (1.0, "ain", 2_169_508),  # normalisations change kind and place there, not number
    ],
)
def test_it_has_as_many_parameters_as_the_layers_of_the_paper(
    scale: float, variant: str, expected: int
) -> None:
    network = OSNet(scale=scale, variant=variant)
    assert sum(p.numel() for p in network.parameters()) == expected
    stem, a, b, c = (round(n * scale) for n in (64, 256, 384, 512))
    stages = sum(block_size(i, o) + block_size(o, o) for i, o in ((stem, a), (a, b), (b, c)))
    ones = sum(n * n + 2 * n for n in (a, b, c))
    total = 3 * 49 * stem + 2 * stem + stages + ones + c * 512 + 512 + 2 * 512
    assert total + (1024 if variant == "ibn" else 0) == expected


def test_a_block_has_one_gate_for_its_four_streams(small: OSNet) -> None:
    block = next(m for m in small.modules() if isinstance(m, OSBlock))
    calls: list[int] = []
    hook = block.gate.register_forward_hook(lambda *_: calls.append(1))
    small.eval()(images())
    hook.remove()
    assert len(calls) == 4
    assert len([name for name, _ in small.named_modules() if name.endswith("gate")]) == 6


@torch.inference_mode()
def test_the_streams_see_3_5_7_and_9_pixels() -> None:
    torch.manual_seed(0)
    block = OSBlock(16, 64).eval()
    for reach, stream in enumerate(
        (block.conv2a, block.conv2b, block.conv2c, block.conv2d), start=1
    ):
        for light in stream.modules():
            if isinstance(light, LightConv):
                light.bn.bias.fill_(2)  # keeps the ReLUs open
        maps = torch.zeros(1, 16, 15, 15)
        blank = stream(maps)
        maps[..., 7, 7] = 0.1
        changed = (stream(maps) - blank).abs().amax((0, 1)) > 1e-9
        assert changed.any(0).nonzero().flatten().tolist() == list(range(7 - reach, 8 + reach))


@pytest.mark.parametrize("variant", ["plain", "ibn", "ain"])
def test_training_gives_logits_and_the_feature_and_reaches_every_parameter(variant: str) -> None:
    torch.manual_seed(0)
    network = osnet(5, 0.25, variant).train()
    clips, mask = images(4).view(2, 2, 3, 64, 32), torch.tensor([[True, True], [True, False]])
    out = network(clips, mask, mask.float())
    assert [o.shape for o in (*out.logits, *out.features)] == [(3, 5), (3, 512)]
    assert out.owners.tolist() == [0, 0, 1] and out.attention.shape == (2, 0)
    out.logits[0].square().sum().backward()
    assert [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    ] == []


def test_padded_frames_change_nothing(small: OSNet) -> None:
    network = osnet(scale=0.25).eval()
    clips, mask = images(4).view(2, 2, 3, 64, 32), torch.tensor([[True, True], [True, False]])
    features = network(clips, mask, mask.float())
    clips[1, 1] = torch.nan
    assert_close(network(clips, mask, mask.float()), features)


def test_training_without_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="training needs n_classes > 0"):
        OSNet(scale=0.25).train()(images())


@pytest.mark.parametrize(
    ("scale", "variant", "message"),
    [(0.1, "plain", "scale 0.1: expected 1, 0.75"), (1.0, "x", "variant x: expected one of plain")],
)
def test_unknown_settings_are_errors_that_name_the_known(
    scale: float, variant: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OSNet(0, scale, variant)


def test_parameters_of_ain_are_named_as_in_public_files() -> None:
    names = set(OSNet(scale=0.25, variant="ain").state_dict())
    assert {
        "conv2.0.conv2.3.layers.3.bn.weight",
        "pool2.0.conv.weight",
        "conv3.1.IN.bias",
        "conv1.bn.weight",
    } <= names
    assert (
        "conv2.0.conv3.bn.weight" not in names
        and "conv3.0.IN.weight" not in names
        and "conv3.0.conv3.bn.weight" in names
    )


def fill(network: nn.Module, graph: onnx.GraphProto) -> set[str]:
    """Put the weights of an exported network into ours, by the module paths in its node names;
    returns the modules filled.

    The export has folded batch normalisations into the convolutions before them: those become a
    bias and nothing else.
    """
    tensors = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    modules, filled = dict(network.named_modules()), set()
    for node in graph.node:
        given = [tensors[name] for name in node.input if name in tensors]
        if node.op_type not in ("Conv", "Gemm", "BatchNormalization"):
            continue
        # "/conv2/conv2.0/conv2b/conv2b.1/conv1/Conv": each part repeats the one before when it is
        # numbered
        parts = node.name.strip("/").split("/")[:-1]
        path = ".".join(
            p
            for p, after in zip(parts, [*parts[1:], ""], strict=True)
            if not after.startswith(f"{p}.")
        )
        module = modules[
            path
            if path in modules
            else path.removesuffix("_1").removesuffix("_2").removesuffix("_3")
        ]
        names = ("weight", "bias", "running_mean", "running_var")
        own = [t for t in (getattr(module, name, None) for name in names) if t is not None]
        for ours, theirs in zip(own, given, strict=False):
            ours.data.copy_(theirs)
        filled.add(path)
        if len(given) > len(own):
            norm = modules[path.rpartition(".")[0] + ".bn"]
            assert isinstance(norm, nn.BatchNorm2d)
            norm.weight.data.fill_(1)
            norm.bias.data.copy_(given[1])
            norm.running_mean.zero_()  # type: ignore[union-attr]
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
    return filled


@torch.inference_mode()
def test_torchreids_weights_give_torchreids_features(shared_data: Path) -> None:
    model = onnx.load(str(shared_data / "baselines" / "osnet_x0_25_msmt17.onnx"))
    network = OSNet(scale=0.25).eval()
    public = {i.name for i in model.graph.initializer if not i.name.startswith("onnx::")}
    assert len(public) == 60 + 24 + 6 and public <= set(network.state_dict())
    layers = {name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert layers <= fill(network, model.graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    crops = np.random.default_rng(0).normal(size=(3, 3, 256, 128)).astype(np.float32)
    expected = np.concatenate([session.run(None, {"images": crop[None]})[0] for crop in crops])
    assert np.abs(expected).max() > 0.1
    assert_close(network(torch.from_numpy(crops)), torch.from_numpy(expected), atol=1e-4, rtol=1e-4)
