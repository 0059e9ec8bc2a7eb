"""Checkpoints of other ReID programs: does each open, are its features those of the program, and
does the pipeline run with it?

    python -m benchmarks.reid.checkpoints [--output FILE] [--only TEXT] [--seconds S]

Each network is built with random numbers from the program's own code where that is installed
(torchreid, see `benchmarks/requirements-peers.txt`), else from the definitions in `originals`.
Its state dict is saved, read as `reid.weights` reads it, and both networks see the same pixels.
`difference` is the largest difference between the two features, relative to the largest value. Then
`run_pipeline.py --set reid.weights=FILE` runs on the beginning of the sample. The table in
models/reid/CHECKPOINTS.md is what this prints.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from torch import nn

from benchmarks.reid import originals, peers
from models import command
from models.errors import InputError
from models.reid.networks import file
from pipeline import cli

ROOT = Path(__file__).parents[2]
VIDEO = ROOT / "samples" / "plaza" / "cam1.mp4"
N_FRAMES = 3
TORCHREID = {
    "resnet": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet50_fc512"),
    "resnet_ibn_a": ("resnet50_ibn_a",),
    "resnet_ibn_b": ("resnet50_ibn_b",),
    "resnetmid": ("resnet50mid",),
    "senet": ("se_resnet50", "se_resnet50_fc512", "se_resnet101", "se_resnext50_32x4d"),
    "densenet": ("densenet121", "densenet169", "densenet121_fc512"),
    "pcb": ("pcb_p4", "pcb_p6"),
    "mobilenetv2": ("mobilenetv2_x1_0", "mobilenetv2_x1_4"),
    "osnet": ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ibn_x1_0"),
    "osnet_ain": ("osnet_ain_x1_0",),
    "hacnn": ("HACNN",),
}
"""Modules of torchreid, and what they build."""
HEAD = (
    "| checkpoint | code | read as | difference | run_pipeline.py |",
    "| --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Original:
    """A network of another program."""

    name: str
    code: str
    """Whose code it is."""
    build: Callable[[], nn.Module]
    is_video: bool = False


def all_originals() -> Iterator[Original]:
    """Every network that is compared; torchreid's own where it is installed."""
    has_torchreid = importlib.util.find_spec("torchreid") is not None
    if has_torchreid:
        for module, names in TORCHREID.items():
            for name in names:
                yield Original(f"torchreid {name}", "torchreid", _of_torchreid(module, name))
    for name, (build, _) in originals.IMAGES.items():
        if not (has_torchreid and name.startswith("torchreid")):
            yield Original(name, "originals", build)
    for name, (build, _) in originals.VIDEO.items():
        yield Original(name, "originals", build, is_video=True)


def _of_torchreid(module: str, name: str) -> Callable[[], nn.Module]:
    """What builds a network with torchreid's code."""

    def build() -> nn.Module:
        make = getattr(peers.torchreid_module(f"models/{module}.py"), name)
        options = {"use_gpu": False} if name == "HACNN" else {"pretrained": False}
        made = make(num_classes=originals.N_PEOPLE, loss="softmax", **options)
        assert isinstance(made, nn.Module)
        return made

    return build


@torch.inference_mode()
def row(original: Original, folder: Path, seconds: float) -> str:
    """Return a line of the table."""
    torch.manual_seed(0)
    is_ours = original.code == "originals"
    network = originals.made(original.build) if is_ours else originals.settled(original.build())
    path = folder / "model.pth.tar"
    torch.save({"state_dict": network.state_dict(), "epoch": 60}, path)
    try:
        loaded = file.load(path)
    except InputError as error:
        return f"| {original.name} | {original.code} | {error} | | |"
    recipe = loaded.recipe
    shape = (1, N_FRAMES, 3) if original.is_video else (2, 1, 3)
    clips = torch.randn(*shape, recipe.height_px, recipe.width_px)
    expected = network(clips if original.is_video else clips[:, 0])
    mask = torch.ones(shape[:2], dtype=torch.bool)
    found = loaded.network(clips, mask, torch.ones(shape[:2]))
    difference = float((found - expected).abs().max() / expected.abs().max())
    ran = _pipeline(path, folder, seconds)
    read_as = f"{loaded.about['converted']['family']} (`{recipe.architecture}`)"
    return f"| {original.name} | {original.code} | {read_as} | {difference:.0e} | {ran} |"


def _pipeline(weights: Path, folder: Path, seconds: float) -> str:
    """Run the pipeline and say how it went."""
    output = folder / "run"
    words = ["--videos", str(VIDEO), "--max-seconds", str(seconds), "--device", "cpu"]
    words += ["--output", str(output), "--overwrite", "--no-video", "--no-report", "--quiet"]
    words += ["--set", f"reid.weights={weights}", "--set", "runtime=torch"]
    errors = StringIO()
    with redirect_stdout(StringIO()), redirect_stderr(errors):
        code = cli.main(words)
    if code:
        return f"{errors.getvalue().strip()} ({code})"
    links = json.loads((output / "trajectories.json").read_text(encoding="utf-8"))
    return f"{len(links['people'])} people"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reid.checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table here")
    parser.add_argument("--only", default="", metavar="TEXT", help="networks whose name has this")
    parser.add_argument("--seconds", type=float, default=0.6, help="of the sample (default 0.6)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    lines = list(HEAD)
    print("\n".join(HEAD), flush=True)
    for original in all_originals():
        if parsed.only not in original.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            lines.append(row(original, Path(folder), parsed.seconds))
        print(lines[-1], flush=True)
        if parsed.output:
            parsed.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
