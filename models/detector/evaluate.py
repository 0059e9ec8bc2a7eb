"""Judge person detectors: `python -m models.detector.evaluate --weights A B --data DIR`.

One table: a row per test set, and for every detector AP50, AP50-95, recall at one false alarm a
frame, and frames/s (of this machine, letterboxing and suppression included). `benchmarks.detectors`
sets other people's detectors beside them.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from models import command, files
from models.detector import data, scores
from models.detector.inference import Array, PersonDetector
from models.errors import InputError
from models.runtimes import names as runtimes

Find = Callable[[Array], tuple[Array, Array]]
"""image (H, W, 3) uint8 BGR -> boxes (n, 4) px, scores (n,)"""


@dataclass(frozen=True)
class Row:
    """One detector on one set."""

    detector: str
    set: str
    n_frames: int
    ap50: float
    ap: float
    recall: float
    frames_per_s: float


def evaluate(name: str, find: Find, sets: Iterable[data.PictureSet]) -> list[Row]:
    """Score one detector on every set.

    Args:
        name: The detector's column in the table.
        find: The detector: an image to boxes and scores.
        sets: What to judge it by.

    Returns:
        One row per set.

    Raises:
        InputError: A set cannot be read.
    """
    return [_judge(name, find, pictures) for pictures in sets]


def _judge(name: str, find: Find, pictures: data.PictureSet) -> Row:
    answers = []
    spent_s = 0.0
    for picture in pictures.read():
        begin = time.perf_counter()
        boxes, confidence = find(picture.image)
        spent_s += time.perf_counter() - begin
        answers.append(scores.Found(boxes, confidence, picture.truth, picture.ignored))
    if not any(len(answer.truth) for answer in answers):
        raise InputError(
            f"{pictures.name}: none of its {len(answers)} pictures has a person in the truth, so"
            " that it has no scores; leave it out with --sets"
        )
    result = scores.score(answers)
    return Row(name, pictures.name, len(answers), *result, len(answers) / max(spent_s, 1e-9))


def table(rows: Sequence[Row]) -> str:
    """Markdown: a row per set and the mean, a column per detector; `AP50 / AP50-95 / recall at one
    false alarm a frame`.
    """
    detectors = list(dict.fromkeys(row.detector for row in rows))
    names = list(dict.fromkeys(row.set for row in rows))
    cells = {(row.set, row.detector): _cell(row) for row in rows}
    lines = [["set", *detectors], ["---"] * (len(detectors) + 1)]
    for name in names:
        lines.append([name, *(cells.get((name, detector), "") for detector in detectors)])
    mean = ["mean"]
    speed = ["frames/s"]
    for detector in detectors:
        own = [row for row in rows if row.detector == detector]
        mean.append(_mean(own))
        speed.append(f"{_speed(own):.1f}")
    lines += [mean, speed]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(row: Row) -> str:
    return f"{row.ap50:.3f} / {row.ap:.3f} / {row.recall:.2f}"


def _mean(rows: Sequence[Row]) -> str:
    n = len(rows)
    ap50 = sum(row.ap50 for row in rows) / n
    ap = sum(row.ap for row in rows) / n
    recall = sum(row.recall for row in rows) / n
    return f"{ap50:.3f} / {ap:.3f} / {recall:.2f}"


def _speed(rows: Sequence[Row]) -> float:
    n_frames = sum(row.n_frames for row in rows)
    seconds = sum(row.n_frames / row.frames_per_s for row in rows)
    return n_frames / seconds


def add_sets(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name sets: `--data`, `--test-sets` and `--sets`."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the test sets"
    )
    parser.add_argument(
        "--test-sets",
        type=Path,
        default=Path(data.EXAMPLE),
        metavar="FILE",
        help="YAML list of the sets in it (default: those of the model card)",
    )
    parser.add_argument(
        "--sets",
        nargs="*",
        default=[],
        metavar="NAME",
        help="only the sets whose names begin so, for example PETS plaza",
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.detector.evaluate", description="Judge person detectors."
    )
    add = parser.add_argument
    add(
        "--weights",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="weights, a column each",
    )
    add(
        "--architecture",
        default="",
        metavar="YAML",
        help="of files that do not say it themselves, for example yolo11n.yaml",
    )
    add_sets(parser)
    add("--size-px", type=int, default=640, metavar="N", help="long side of the networks' input")
    add(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of torch; 0: as many as it likes",
    )
    runtimes.add_options(parser)
    add("--json", type=Path, metavar="FILE", help="also write the rows here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments))


def _run(parsed: argparse.Namespace) -> None:
    if parsed.threads:
        torch.set_num_threads(parsed.threads)
    sets = data.test_sets(parsed.test_sets, parsed.data, parsed.sets)
    rows: list[Row] = []
    for path in parsed.weights:
        detector = PersonDetector(
            str(path),
            parsed.architecture,
            parsed.size_px,
            runtime=parsed.runtime,
            precision=parsed.precision,
        )
        rows += evaluate(path.stem, detector, sets)
    if parsed.json:
        files.write(parsed.json, json.dumps([asdict(row) for row in rows], indent=1).encode())
    print(table(rows))


if __name__ == "__main__":
    sys.exit(main())
