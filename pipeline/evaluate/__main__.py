"""Score results against truth: `python -m pipeline.evaluate RESULTS TRUTH [--json FILE]`."""

import argparse
import json
import sys
from collections.abc import Sequence, Set
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models import command
from pipeline.box_files import PEDESTRIAN
from pipeline.errors import OutputError, PipelineError, SourceError
from pipeline.evaluate import boxes, losses, scores
from pipeline.evaluate.boxes import Scene, Truth
from pipeline.evaluate.scores import METRICS, Report, Scores
from pipeline.records import Array

MIN_VISIBILITY = 0.25


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="python -m pipeline.evaluate", description="Score results against truth."
    )
    parser.add_argument(
        "results",
        type=Path,
        help="an output folder with tracks.csv, or a folder of MOT files <camera>.txt",
    )
    parser.add_argument(
        "truth",
        type=Path,
        help="MOTChallenge truth, <camera>.txt or <camera>/gt/gt.txt, ids the same in all cameras",
    )
    parser.add_argument(
        "--min-visibility",
        type=float,
        default=MIN_VISIBILITY,
        metavar="V",
        help=f"truth less visible counts neither for nor against (default {MIN_VISIBILITY})",
    )
    parser.add_argument(
        "--truth-class",
        type=int,
        nargs="+",
        default=[PEDESTRIAN],
        metavar="N",
        help="classes of people, column 8 of the truth (default 1, MOTChallenge's pedestrian)",
    )
    parser.add_argument(
        "--first-frame",
        type=int,
        metavar="N",
        help="number that the truth gives to the first frame (default 1, or 0 if it is found)",
    )
    parser.add_argument(
        "--cameras",
        nargs="+",
        metavar="NAME",
        help="score only these cameras (default: all that have truth)",
    )
    parser.add_argument(
        "--losses",
        action="store_true",
        help="also say where global IDF1 is lost: the causes and IDF1 add up to 100",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores as JSON")
    return parser.parse_args(arguments)


def evaluate(
    results: Path,
    truth: Path,
    min_visibility: float = MIN_VISIBILITY,
    cameras: list[str] | None = None,
    truth_classes: Sequence[int] = (PEDESTRIAN,),
    first_frame: int | None = None,
) -> tuple[Report, list[str]]:
    """Score every camera that has truth.

    Args and raises are those of `compare`.

    Returns:
        The scores, and notes about what could not be compared.
    """
    scenes, notes = compare(results, truth, min_visibility, cameras, truth_classes, first_frame)
    return scores.score(scenes), notes


def compare(
    results: Path,
    truth: Path,
    min_visibility: float = MIN_VISIBILITY,
    cameras: list[str] | None = None,
    truth_classes: Sequence[int] = (PEDESTRIAN,),
    first_frame: int | None = None,
) -> tuple[list[Scene], list[str]]:
    """Read results and truth, and compare their boxes.

    Args:
        results: an output folder, or a folder of MOT files.
        truth: MOTChallenge truth, with the same ids in all cameras.
        min_visibility: people less visible than this (0..1) count neither for nor against.
        cameras: compare only these; None compares all that have truth.
        truth_classes: classes of people, column 8 of the truth.
        first_frame: number that the truth gives to the first frame; None: 1, or 0 if it is found.

    Returns:
        Every camera that has truth, and notes about what could not be compared.

    Raises:
        SourceError: results or truth are missing or damaged, a camera has no truth, no row of the
            truth counts, or results and truth have no camera or no frame in common.
    """
    found = boxes.read_results(results)
    processed = boxes.processed(results)
    sizes = boxes.picture_sizes(results)
    wanted = boxes.read_truth(truth, min_visibility, truth_classes, first_frame, sizes)
    if cameras:
        if unknown := sorted(set(cameras) - wanted.keys()):
            raise SourceError(
                f"{truth}: no truth for {', '.join(unknown)}; there is {', '.join(wanted)}"
            )
        found = {camera: found[camera] for camera in cameras if camera in found}
        wanted = {camera: wanted[camera] for camera in cameras}
    _refuse_other_cameras(results, truth, found.keys() | processed.keys(), wanted.keys())
    notes = [note for each in wanted.values() for note in each.notes]
    notes += _unmatched_cameras(found.keys(), wanted.keys())
    notes += boxes.doubts(results)
    for camera, in_camera in wanted.items():
        frames = processed.get(camera)
        if frames is None:
            in_results = found.get(camera, boxes.NOTHING).frames
            _refuse_other_frames(camera, in_results, in_camera, "results have")
            continue
        _refuse_other_frames(camera, frames, in_camera, "the run processed")
        kept = boxes.only(in_camera, frames)
        n_missing = _n_frames(in_camera) - _n_frames(kept)
        if n_missing:
            notes.append(
                f"{camera}: {n_missing} frames of truth were not processed and are not scored"
            )
        wanted[camera] = kept
    scenes = [
        boxes.match_frames(camera, found.get(camera, boxes.NOTHING), in_camera)
        for camera, in_camera in wanted.items()
    ]
    notes += [note for scene in scenes for note in _without_match(scene, wanted[scene.camera])]
    return scenes, notes


def _refuse_other_cameras(results: Path, truth: Path, found: Set[str], wanted: Set[str]) -> None:
    """Raise SourceError when results and truth have no camera in common."""
    if found & wanted:
        return
    there = f"the cameras {', '.join(sorted(found))}" if found else "no rows"
    raise SourceError(
        f"{results} has {there}, {truth} has truth of {', '.join(sorted(wanted))}: no camera in"
        " common; a file of truth is named as the camera: <camera>.txt or <camera>/gt/gt.txt"
    )


def _refuse_other_frames(camera: str, frames: Array, truth: Truth, whose: str) -> None:
    """Raise SourceError when truth is of other frames (n,) than the results."""
    in_truth = truth.rows.frames
    if not len(frames) or not len(in_truth):
        return
    meet = frames.max() >= in_truth.min() and in_truth.max() >= frames.min()
    if meet:
        return
    first = in_truth.min() - frames.min() + 1
    found = f"{frames.min() + 1} to {frames.max() + 1}"
    there = f"{in_truth.min() + 1} to {in_truth.max() + 1}"
    raise SourceError(
        f"{camera}: {whose} frames {found}, the truth has frames {there}: no frame in common; if"
        f" the first of both is the same picture, add --first-frame {first}"
    )


def _without_match(scene: Scene, truth: Truth) -> list[str]:
    """A note when not one box of the results matches one of the truth."""
    results = scene.results.boxes
    wanted = truth.rows.boxes
    if not len(results) or not truth.counts.any():
        return []
    if any((overlap >= boxes.MIN_IOU).any() for overlap in scene.ious):
        return []
    return [
        f"{scene.camera}: not one of {len(results)} boxes matches the truth; boxes reach x"
        f" {results[:, 2].max():.0f}, y {results[:, 3].max():.0f}, the truth x"
        f" {wanted[:, 2].max():.0f}, y {wanted[:, 3].max():.0f}; were they made at one resolution,"
        " and do they count frames alike?"
    ]


def _unmatched_cameras(found: Set[str], wanted: Set[str]) -> list[str]:
    """Notes about cameras that have only results, or only truth."""
    notes = [
        f"{camera}: results without truth are not scored"
        for camera in found
        if camera not in wanted
    ]
    notes += [
        f"{camera}: truth without results, all of it counts as missed"
        for camera in wanted
        if camera not in found
    ]
    return notes


def _n_frames(truth: Truth) -> int:
    return len(np.unique(truth.rows.frames))


def table(report: Report, min_visibility: float) -> str:
    """Lay the scores out as text, in percent but for switches; "-" where one is not defined."""
    width = max(map(len, [*report.cameras, *report.together])) + 2
    lines = [" " * width + "".join(f"{name:>8}" for name in METRICS)]
    lines += [_line(camera, row, width) for camera, row in report.cameras.items()]
    lines += ["all cameras together, one id space"]
    lines += [_line(name, row, width) for name, row in report.together.items()]
    lines += [
        (
            f"links: precision {scores.in_words(report.link_precision, 1, '%')}, recall"
            f" {scores.in_words(report.link_recall, 1, '%')} over pairs of tracklets"
        ),
        f"people: {report.people_found} found, {report.people_present} present",
        (
            f"truth less visible than {min_visibility:g} counts neither for nor against, where the"
            " files tell"
        ),
    ]
    return "\n".join(lines)


def _line(name: str, row: Scores, width: int) -> str:
    cells = [
        scores.in_words(row[m] / 100, 0) if m == "IDSW" else scores.in_words(row[m])
        for m in METRICS
    ]
    return f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells)


def loss_table(shares: Scores) -> str:
    """Lay out where global IDF1 is lost, in percent.

    Args:
        shares: as `Losses.shares` returns them.
    """
    width = max(map(len, shares)) + 2
    lines = ["global IDF1, and what it loses to reach 100"]
    lines += [f"{name:<{width}}{scores.in_words(share):>8}" for name, share in shares.items()]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), PipelineError)


def _run(parsed: argparse.Namespace) -> None:
    scenes, notes = compare(
        parsed.results,
        parsed.truth,
        parsed.min_visibility,
        parsed.cameras,
        parsed.truth_class,
        parsed.first_frame,
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    report = scores.score(scenes)
    print(table(report, parsed.min_visibility))
    document = {
        "schema": "scores/1",
        "min_visibility": parsed.min_visibility,
        **scores.plain(asdict(report)),
        "notes": notes,
    }
    if parsed.losses:
        shares = losses.attribute(scenes).shares()
        print(loss_table(shares))
        document["losses"] = scores.plain(shares)
    if parsed.json is None:
        return
    try:
        parsed.json.write_text(
            json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise OutputError(f"{parsed.json}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
