"""Live runs: of streamed scenes, with cameras that fail, and of whole days.

    python -m benchmarks.live [--parts scenes faults soak streamed-soak] [--scenes DIR ...]
                              [--max-seconds S] [--set KEY=VALUE ...] [--keep DIR]
                              [--hours H] [--minutes M] [--plots DIR]

Scenes, against runs over the same files: global IDF1 of the run over the files, with linking at its
end, and of the live run; how long after its first row it is said whose a tracklet is, median and
99 %; and looks a second of a camera. Faults: what is expected of a run while its cameras fail in
all ways, and what was seen (`faults`); it takes seven minutes. Soak: a day that passes in minutes
(`soak`), and the sample in real time (`streamed_soak`): what grows, what slows, and who was who.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.live import faults, soak, streamed_soak, streams
from benchmarks.pipeline import scenes, systems
from benchmarks.pipeline.scenes import DATA, ROOT
from models import command
from models.errors import InputError
from pipeline.errors import PipelineError

PARTS = ("scenes", "faults", "soak", "streamed-soak")
SCENES = (ROOT / "samples" / "plaza", DATA / "worlds" / "mall")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=["scenes"], help="(default scenes)")
    add("--scenes", type=Path, nargs="+", metavar="DIR", help="folders with videos and truth")
    add("--max-seconds", type=float, default=0.0, metavar="S", help="of each scene; 0 for all")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of both runs")
    add("--keep", type=Path, metavar="DIR", help="keep what the runs with faults write")
    add("--hours", type=float, default=24.0, metavar="H", help="of the soak (default 24)")
    add("--minutes", type=float, default=10.0, metavar="M", help="of the streamed one (default 10)")
    add("--plots", type=Path, metavar="DIR", help="draw soak.png and streamed_soak.png there")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words), (InputError, PipelineError))


def _run(parsed: argparse.Namespace) -> None:
    if "scenes" in parsed.parts:
        _run_scenes(parsed)
    if "faults" in parsed.parts:
        with tempfile.TemporaryDirectory() as name:
            _run_faults(parsed.keep or Path(name))
    if "soak" in parsed.parts:
        soak.main(parsed.hours, parsed.plots)
    if "streamed-soak" in parsed.parts:
        videos = [SCENES[0] / f"cam{number}.mp4" for number in (1, 2)]
        streamed_soak.main(videos, parsed.minutes, parsed.plots)


def _run_faults(folder: Path) -> None:
    print("| fault | expected | seen | |\n|---|---|---|---|", flush=True)
    for row in faults.run(folder):
        verdict = "ok" if row.is_good else "NO"
        print(f"| {row.fault} | {row.expected} | {row.seen} | {verdict} |", flush=True)


def _run_scenes(parsed: argparse.Namespace) -> None:
    print(f"{'scene':<12}{'files':>8}{'live':>8}{'delay':>8}{'99 %':>8}{'looks/s':>9}")
    for folder in parsed.scenes or [each for each in SCENES if each.is_dir()]:
        scene = scenes.load(folder)
        options = systems.Options(parsed.max_seconds, settings=tuple(parsed.set))
        recorded = systems.run(systems.ours(), scene, options)
        files_idf1 = recorded.scores["idf1"] if recorded is not None else np.nan
        live = streams.run(scene, parsed.max_seconds, [*parsed.set, "output.video=false"])
        median_s, most_s = np.percentile(live.delays_s, [50, 99])
        print(
            f"{scene.name:<12}{100 * files_idf1:>8.1f}{100 * live.scores['idf1']:>8.1f}"
            f"{median_s:>7.2f}s{most_s:>7.2f}s{live.looks_per_s:>9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
