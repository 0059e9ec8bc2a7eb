"""ReID networks side by side.

    python -m benchmarks.reid.networks --ours FILE --public FILE ... --data DIR --output FILE.md

Ours beside public ones, each with its own input convention:

- Market-1501 (query against gallery, plain and re-ranked) and the 100 `val` people of the CUHK03
  pair (camera A against B): ours was trained on other people of the same cameras;
- pku (37 people, two cameras): nothing of ours was trained beside it;
- terrace1 (7 people, two real cameras, single crops of the labelled frames) and the rendered worlds
  (tracklets, truth boxes, a crop a second): the cameras of a user's site are as foreign.

Beside mAP / rank-1, a second table says what a cosine means on each set: the even point, where the
same and another person are equally likely, and the scale of the log odds. OpenVINO is optional:
without it the networks in its format are left out, and a line says so.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import command, files
from models.errors import InputError
from models.reid import encoder
from models.reid.data import catalogue
from models.reid.data.samples import Dataset
from models.reid.encoder import Encoder
from models.reid.evaluation import even_odds
from models.reid.evaluation.features import Reading, weights_digest
from models.reid.evaluation.protocol import Protocol
from models.reid.evaluation.report import Choices, evaluate
from pipeline import crops
from pipeline.errors import PipelineError

N_SPEED = 256
"""Crops that the speed is measured on."""


SETS: dict[str, Callable[[Path, Path], Dataset]] = {
    "Market-1501": lambda data, scratch: catalogue.load("market1501", data / "reid", {}),
    "CUHK03 val": lambda data, scratch: catalogue.load(
        "folder", data / "reid" / "cuhk03-pair1-labeled", {"names": "pair"}
    ),
    "pku": lambda data, scratch: catalogue.load("folder", data / "reid" / "diverse" / "pku", {}),
    "terrace1": lambda data, scratch: scene(
        data / "multicam" / "terrace1", scratch / "terrace1", {"use": "test"}
    ),
    "plaza": lambda data, scratch: world(data / "worlds" / "plaza", scratch / "plaza"),
    "mall": lambda data, scratch: world(data / "worlds" / "mall", scratch / "mall"),
}
"""What opens each set, from the data's folder and one for crops."""
RERANKED = ("Market-1501",)
TRACKLETS = {"kind": "tracklets", "use": "test"}


def world(folder: Path, people: Path) -> Dataset:
    """Tracklets of a rendered world; see `scene`."""
    return scene(folder, people, TRACKLETS)


def scene(folder: Path, people: Path, options: dict[str, str]) -> Dataset:
    """People of a scene with several cameras and true identities, as a test set.

    Args:
        folder: camera videos (.mp4) beside truth/<camera>.txt.
        people: folder that the crops are cut into, unless it is there.
        options: how the data set `folder` reads them.

    Raises:
        InputError: a video or the truth cannot be read.
    """
    if not people.is_dir():
        cameras = sorted(path.stem for path in (folder / "truth").glob("*.txt"))
        videos = [str(folder / f"{camera}.mp4") for camera in cameras]
        try:
            crops.write(videos, crops.read_boxes(folder / "truth", 0.5), people, 1.0, 40)
        except PipelineError as error:
            raise InputError(str(error)) from None
    return catalogue.load("folder", people, options)


def sets(data: Path, scratch: Path, only: Sequence[str]) -> dict[str, Dataset]:
    """Open test sets.

    Args:
        data: folder of the data sets.
        scratch: folder for crops.
        only: beginnings of the names of the sets to open; empty for all.

    Returns:
        The sets by name.

    Raises:
        InputError: a set cannot be read, or none is chosen.
    """
    chosen = [name for name in SETS if not only or name.startswith(tuple(only))]
    if not chosen:
        raise InputError(f"--only {' '.join(only)}: no such set; there are {', '.join(SETS)}")
    return {name: SETS[name](data, scratch) for name in chosen}


def openable(networks: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split networks into those that can be opened here and those that need OpenVINO."""
    if find_spec("openvino"):
        return list(networks), []
    opened = [path for path in networks if path.suffix != ".xml"]
    left_out = [path for path in networks if path.suffix == ".xml"]
    return opened, left_out


def speed(network: Encoder) -> float:
    """Crops a second, of 256 single crops in batches of 64; the faster of two goes."""
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (1, *network.size, 3), np.uint8) for _ in range(N_SPEED)]
    network.features(clips[:64])
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        network.features(clips)
        seconds.append(time.perf_counter() - started)
    return N_SPEED / min(seconds)


def measure(name: str, path: Path, data: dict[str, Dataset], cache: Path) -> dict[str, Any]:
    """Measure one network on every set.

    Args:
        name: of the network, for the table.
        path: its file.
        data: sets by title.
        cache: folder that keeps the features.

    Returns:
        For each set (mAP, rank-1) in 0..1; under "curves" each set's (even point, scale, error) of
        the cosine; under "crops/s" the speed.
    """
    network = encoder.load(path, "auto", 64)
    digest = weights_digest(path)
    row: dict[str, Any] = {"network": name}
    curves: dict[str, tuple[float, float, float]] = {}
    for title, dataset in data.items():
        choices = Choices(Protocol(), Reading(), title in RERANKED, cache=cache)
        report = evaluate(network, digest, dataset, choices, progress=True)
        for found in report.rows:
            label = title if found.name == "plain" else f"{title} {found.name}"
            row[label] = (found.scores.mean_ap, found.scores.at(1))
        curve = even_odds.fit(report.query_features, report.gallery_features, dataset)
        curves[title] = (curve.even, curve.scale, curve.error)
    return {**row, "curves": curves, "crops/s": speed(network)}


def table(rows: list[dict[str, Any]]) -> str:
    """Make the two tables in Markdown.

    Args:
        rows: of each network, as `measure` returns them.

    Returns:
        mAP / rank-1 in percent, then the even points / scales of the cosine.
    """
    score_titles = [name for name in rows[0] if name not in ("network", "curves", "crops/s")]
    curve_titles = list(rows[0]["curves"])
    score_rows = [["network", *score_titles, "crops/s"]]
    curve_rows = [["network", *curve_titles, "range"]]
    for row in rows:
        scores = [_score_cell(*row[title]) for title in score_titles]
        score_rows.append([row["network"], *scores, f"{row['crops/s']:.0f}"])
        curves = [_curve_cell(*row["curves"][title]) for title in curve_titles]
        even_points = [row["curves"][title][0] for title in curve_titles]
        curve_rows.append([row["network"], *curves, f"{np.ptp(even_points):.2f}"])
    lines = _lines(score_rows)
    lines += ["", "Even point / scale of the cosine:", ""]
    lines += _lines(curve_rows)
    return "\n".join(lines)


def _score_cell(mean_ap: float, rank1: float) -> str:
    return f"{100 * mean_ap:.1f} / {100 * rank1:.1f}"


def _curve_cell(even: float, scale: float, _: float) -> str:
    return f"{even:.2f} / {scale:.3f}"


def _lines(rows: list[list[str]]) -> list[str]:
    """Rows of a Markdown table, the first of which is its head."""
    head = rows[0]
    rule = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in [head, rule, *rows[1:]]]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reid.networks", description="ReID networks side by side."
    )
    add = parser.add_argument
    add("--ours", type=Path, nargs="*", default=[], metavar="FILE", help="networks of models.reid")
    add("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    add("--public", type=Path, nargs="*", default=[], metavar="FILE", help="networks of others")
    add("--only", nargs="*", default=[], metavar="NAME", help="only the sets whose names begin so")
    add(
        "--scratch", type=Path, metavar="DIR", help="keep crops and features here for the next time"
    )
    add("--threads", type=int, default=2, metavar="N", help="threads of torch")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the table here, and its numbers beside it as .json",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    torch.set_num_threads(parsed.threads)
    chosen, left_out = openable([*parsed.ours, *parsed.public])
    if not chosen:
        raise InputError("no network to measure; give files with --ours or --public")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = parsed.scratch or Path(temporary)
        data = sets(parsed.data, scratch, parsed.only)
        rows = [measure(path.stem, path, data, scratch / "features") for path in chosen]
    text = table(rows)
    if left_out:
        names = ", ".join(path.stem for path in left_out)
        text += f"\n\nleft out, since OpenVINO is not installed: {names}"
    print(text)
    if parsed.output:
        files.write(parsed.output, f"{text}\n".encode())
        files.write(parsed.output.with_suffix(".json"), json.dumps(rows, indent=1).encode())


if __name__ == "__main__":
    sys.exit(main())
