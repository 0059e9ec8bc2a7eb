"""Score results against truth: `python -m pipeline.evaluate RESULTS TRUTH [--json FILE]`."""

import argparse
import json
import sys
from collections.abc import Set
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models import command
from pipeline.errors import OutputError, PipelineError, SourceError
from pipeline.evaluate import boxes, scores
from pipeline.evaluate.boxes import Truth
from pipeline.evaluate.scores import METRICS, Report, Scores

MIN_VISIBILITY = 0.25


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
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
        "--cameras",
        nargs="+",
        metavar="NAME",
        help="score only these cameras (default: all that have truth)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores as JSON")
    return parser.parse_args(arguments)


def evaluate(
    results: Path,
    truth: Path,
    min_visibility: float = MIN_VISIBILITY,
    cameras: list[str] | None = None,
) -> tuple[Report, list[str]]:
    """Score every camera that has truth.

    Args:
        results: an output folder, or a folder of MOT files.
        truth: MOTChallenge truth, with the same ids in all cameras.
        min_visibility: people less visible than this (0..1) count neither for nor against.
        cameras: score only these; None scores all that have truth.

    Returns:
        The scores, and notes about what could not be compared.

    Raises:
        SourceError: results or truth are missing or damaged, or a camera has no truth.
    """
    found = boxes.read_results(results)
    wanted = boxes.read_truth(truth, min_visibility)
    if cameras:
        if unknown := sorted(set(cameras) - wanted.keys()):
            raise SourceError(
                f"{truth}: no truth for {', '.join(unknown)}; there is {', '.join(wanted)}"
            )
        found = {camera: found[camera] for camera in cameras if camera in found}
        wanted = {camera: wanted[camera] for camera in cameras}
    notes = _unmatched_cameras(found.keys(), wanted.keys())
    if not (results / "tracks.csv").is_file():
        notes.append(
            "MOT files have no track ids: every id of a camera is taken for one track of it"
        )
    for camera, frames in boxes.processed(results).items():
        if camera not in wanted:
            continue
        processed = boxes.only(wanted[camera], frames)
        n_missing = _n_frames(wanted[camera]) - _n_frames(processed)
        if n_missing:
            notes.append(
                f"{camera}: {n_missing} frames of truth were not processed and are not scored"
            )
        wanted[camera] = processed
    scenes = [
        boxes.match_frames(camera, found.get(camera, boxes.NOTHING), in_camera)
        for camera, in_camera in wanted.items()
    ]
    return scores.score(scenes), notes


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
    """Lay the scores out as text, in percent but for switches."""
    width = max(map(len, [*report.cameras, *report.together])) + 2
    lines = [" " * width + "".join(f"{name:>8}" for name in METRICS)]
    lines += [_line(camera, row, width) for camera, row in report.cameras.items()]
    lines += ["all cameras together, one id space"]
    lines += [_line(name, row, width) for name, row in report.together.items()]
    lines += [
        (
            f"links: precision {report.link_precision:.1%}, recall {report.link_recall:.1%} over"
            " pairs of tracklets"
        ),
        f"people: {report.people_found} found, {report.people_present} present",
        (
            f"truth less visible than {min_visibility:g} counts neither for nor against, where the"
            " files tell"
        ),
    ]
    return "\n".join(lines)


def _line(name: str, row: Scores, width: int) -> str:
    return f"{name:<{width}}" + "".join(
        f"{row[m]:>8.0f}" if m == "IDSW" else f"{100 * row[m]:>8.1f}" for m in METRICS
    )


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), PipelineError)


def _run(parsed: argparse.Namespace) -> None:
    report, notes = evaluate(parsed.results, parsed.truth, parsed.min_visibility, parsed.cameras)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(table(report, parsed.min_visibility))
    if parsed.json is None:
        return
    document = {
        "schema": "scores/1",
        "min_visibility": parsed.min_visibility,
        **asdict(report),
        "notes": notes,
    }
    try:
        parsed.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{parsed.json}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
