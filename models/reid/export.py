"""A network of ours, or a checkpoint that is read as one, as one .onnx file for any program:
`python -m models.reid.export MODEL.safetensors --output MODEL.onnx`.

With a .safetensors output it stays a network of this program, in half precision and without its
classifier: the form to ship.

Image networks become "images" (N, 3, H, W) -> "features" (N, width), video networks "clips" (B, T,
3, H, W) -> "features" (B, width): raw test features of crops prepared as `preprocess` does and the
file's metadata say. All frames of a clip are real and of quality 1, so clips of different length go
in by different calls. Numbers of images, clips and frames are free unless the network itself fixes
them; height and width are those that it was trained for.

The graph is captured in torch's strict mode, because `len(tensor)` in a network would fix the batch
in the other one. A file is left only when onnxruntime gives what torch gives.
"""

import argparse
import contextlib
import copy
import json
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from models import command, extras, files
from models.errors import InputError
from models.reid import preprocess
from models.reid.networks import file, table
from models.reid.networks.file import Loaded, Recipe

TOLERANCE = 1e-3
"""Largest difference between onnxruntime and torch that is accepted, relative to the largest
feature.
"""
N_CLIPS, N_FRAMES = 2, 5
"""The sample on which the graph is captured: numbers that differ, none of them 0 or 1, lest torch
take them for constants.
"""


@dataclass(frozen=True)
class Exported:
    """What was written. input and output: name and shape, free axes by name. difference: relative
    to the largest feature.
    """

    input: tuple[str, tuple[int | str, ...]]
    output: tuple[str, tuple[int | str, ...]]
    difference: float


class _AllReal(nn.Module):
    """A network for images (N, 3, H, W), which are clips of one frame, or clips (B, T, 3, H, W);
    all frames are real.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        clips = pixels if pixels.ndim == 5 else pixels.unsqueeze(1)
        ones = clips.new_ones(clips.shape[:2])
        features: Tensor = self.network(clips, ones.bool(), ones)
        return features


class _Lstm(nn.Module):
    """One nn.LSTM, from zero, as ONNX's own operator; torch's exporter would write a loop over
    frames.

    ONNX orders the gates input, output, forget, cell; torch input, forget, cell, output.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.inward = nn.Buffer(_in_order_of_onnx(lstm.weight_ih_l0))
        self.across = nn.Buffer(_in_order_of_onnx(lstm.weight_hh_l0))
        inward_bias = _in_order_of_onnx(lstm.bias_ih_l0)
        across_bias = _in_order_of_onnx(lstm.bias_hh_l0)
        self.bias = nn.Buffer(torch.cat([inward_bias, across_bias], 1))

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        outputs = _lstm(features.transpose(0, 1), self.inward, self.across, self.bias)
        return outputs.squeeze(1).transpose(0, 1), None


def _in_order_of_onnx(weights: Any) -> Tensor:
    """Weights of the gates (4 H, ...) of torch as ONNX has them, (1, 4 H, ...)."""
    enter, forget, cell, leave = cast(Tensor, weights).chunk(4)
    return torch.cat([enter, leave, forget, cell])[None]


def _lstm(sequence: Tensor, inward: Tensor, across: Tensor, bias: Tensor) -> Tensor:
    """Sequence (T, B, D) -> outputs (T, 1, B, hidden), computed in the exported graph alone."""
    hidden = across.shape[2]
    shape = (sequence.shape[0], 1, sequence.shape[1], hidden)
    inputs = (sequence, inward, across, bias)
    return torch.onnx.ops.symbolic(
        "LSTM", inputs, {"hidden_size": hidden}, dtype=sequence.dtype, shape=shape
    )


def slim(loaded: Loaded, output: Path) -> None:
    """Write a network of ours in half precision and without classifier, at half the size; raises
    InputError.
    """
    recipe = replace(loaded.recipe, options={**loaded.recipe.options, "n_classes": 0})
    network = table.build(recipe.architecture, recipe.options)
    kept = network.state_dict()
    network.load_state_dict(
        {name: tensor for name, tensor in loaded.network.state_dict().items() if name in kept}
    )
    file.save(network.half(), recipe, output, loaded.about)


def write(network: nn.Module, recipe: Recipe, output: Path) -> Exported:
    """Write a network, in evaluation mode and on the CPU, as .onnx; raises InputError, and leaves
    no file, when that fails.
    """
    video = table.architecture(recipe.architecture).video
    wrapped = _AllReal(network).eval()
    shape = (N_FRAMES,) * video + (3, recipe.height_px, recipe.width_px)
    graph = _capture(wrapped, torch.zeros(N_CLIPS, *shape), recipe.architecture)
    onnx.helper.set_model_props(graph, _metadata(recipe))
    try:
        with files.staged(output) as temporary:
            onnx.save(graph, str(temporary))
            difference = _difference(temporary, wrapped, recipe.architecture)
            if not difference <= TOLERANCE:
                raise InputError(
                    f"{output}: not written, because {recipe.architecture} gives other features in"
                    f" onnxruntime than in torch (they differ by {difference:.1e} of the largest;"
                    f" up to {TOLERANCE:.0e} is accepted)"
                )
    except OSError as error:
        raise InputError(f"{output}: {files.failure(error)}") from None
    return Exported(_shape(graph.graph.input[0]), _shape(graph.graph.output[0]), difference)


def _capture(wrapped: nn.Module, sample: Tensor, name: str) -> onnx.ModelProto:
    """The network's graph, with as many free axes as it allows; raises InputError."""
    network = copy.deepcopy(wrapped).requires_grad_(False)
    for module in list(network.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.LSTM) and _is_plain(child):
                setattr(module, key, _Lstm(child))
    # strict mode would refuse `symbolic` in it
    torch.compiler.allow_in_graph(_lstm)  # type: ignore[no-untyped-call]
    axes = ["batch", "time"][: sample.ndim - 3]
    free = dict.fromkeys(range(len(axes)), torch.export.Dim.AUTO)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", ".*LeafSpec", FutureWarning
        )  # torch 2.13 about its own code
        try:
            program = torch.export.export(network, (sample,), dynamic_shapes=(free,), strict=True)
            exported = torch.onnx.export(
                program,
                input_names=["clips" if len(axes) > 1 else "images"],
                output_names=["features"],
                dynamo=True,
                external_data=False,
                verbose=False,
                optimize=False,
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{name} cannot be exported ({_reason(error)})") from None
    assert exported is not None  # only the old exporter gives None
    with contextlib.suppress(
        RuntimeError
    ):  # onnxscript 0.7 stumbles over a split of a free axis, as PSTA's; longer is as good
        exported.optimize()
    graph = exported.model_proto
    _tidy(graph, axes)
    return graph


def _is_plain(lstm: nn.LSTM) -> bool:
    return (
        lstm.batch_first
        and lstm.bias
        and lstm.num_layers == 1
        and not lstm.bidirectional
        and not lstm.proj_size
    )


def _reason(error: BaseException) -> str:
    """First line of what lies at the bottom of an error: what torch puts on top of it fills a
    screen.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__


def _tidy(model: onnx.ModelProto, axes: list[str]) -> None:
    """Name the free axes, and drop what torch notes about where in our source each node comes
    from.
    """
    graph = model.graph
    names = {
        dim.dim_param: axis
        for dim, axis in zip(graph.input[0].type.tensor_type.shape.dim, axes, strict=False)
    }
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param.isdigit():  # so torch 2.13 writes an axis that the network fixed
                dim.dim_value = int(dim.dim_param)
            elif dim.dim_param:
                dim.dim_param = names.get(dim.dim_param, dim.dim_param)
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _metadata(recipe: Recipe) -> dict[str, str]:
    """What a program that runs the file must know."""
    return {
        "architecture": recipe.architecture,
        "options": json.dumps(recipe.options),
        "height_px": str(recipe.height_px),
        "width_px": str(recipe.width_px),
        "colours": "RGB",
        "range": "0..1, then (value - mean) / std",
        "mean": json.dumps(preprocess.MEAN),
        "std": json.dumps(preprocess.STD),
    }


@torch.inference_mode()
def _difference(path: Path, wrapped: nn.Module, name: str) -> float:
    """Largest difference between onnxruntime and torch over two calls, relative to the largest
    feature; raises InputError.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    node = session.get_inputs()[0]
    generator = torch.Generator().manual_seed(0)
    differences = []
    for free in ((1, 1), (N_CLIPS + 1, N_FRAMES + 2)):
        shape = tuple(free[i] if isinstance(n, str) else n for i, n in enumerate(node.shape))
        sample = torch.randn(shape, generator=generator)
        try:
            expected = wrapped(sample).numpy()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{name} takes no {node.name} of shape {shape} ({_reason(error)})"
            ) from None
        try:
            found = session.run(None, {node.name: sample.numpy()})[0]
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no class in common
            raise InputError(
                f"{name}: onnxruntime cannot run the export on {node.name} {shape}"
                f" ({_reason(error)})"
            ) from None
        differences.append(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
    return float(np.max(differences))  # nan when any is


def _shape(value: onnx.ValueInfoProto) -> tuple[str, tuple[int | str, ...]]:
    return value.name, tuple(
        dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.export", description="Export a ReID network."
    )
    parser.add_argument(
        "model",
        type=Path,
        help="a .safetensors file that training wrote, or a checkpoint of another program",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .onnx or .safetensors to write",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    output: Path = parsed.output
    is_slim = output.suffix == ".safetensors"
    if not is_slim:
        extras.need_train("the export", "onnxscript")
    loaded = file.load(parsed.model)
    if loaded.note:
        print(f"{parsed.model}: {loaded.note}")
    if is_slim:
        slim(loaded, output)
        size_mb = output.stat().st_size / 1e6
        print(f"{output}: {size_mb:.1f} MB, half precision, without classifier")
        return
    exported = write(loaded.network, loaded.recipe, output)
    for name, shape in (exported.input, exported.output):
        print(f"{name}: ({', '.join(map(str, shape))})")
    print(
        f"{output}: differs from torch by at most {exported.difference:.1e} of the largest feature"
    )


if __name__ == "__main__":
    sys.exit(main())
