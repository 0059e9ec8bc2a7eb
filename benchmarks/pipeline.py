"""The whole program against what a user would otherwise write, on synthetic scenes with truth.

    python -m benchmarks.pipeline --detector FILE --reid FILE.onnx [--scenes DIR ...]
                                  [--max-seconds S] [--jsonl FILE]

The plain alternative: ultralytics `model.track` (its ByteTrack) on one video after the other with
the same detector; the same ReID network on every box of every frame, averaged per track; tracks of
all cameras matched greedily to the most alike person above one cosine threshold who is not in the
same frame. Each system runs in a process of its own and writes no video; frames/s counts everything
from loading the weights to the last row written, peak memory is that process's. Scores are those of
`python -m pipeline.evaluate`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import record
from models import command
from models import device as devices
from models.detector import inference
from models.errors import InputError
from models.reid.exported import ExportedNetwork
from pipeline import config as configuration
from pipeline import mot, run
from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.evaluate import __main__ as evaluation
from pipeline.records import Array
from pipeline.sources import open_source
from pipeline.tracklets import cut

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "samples/plaza"
SYSTEMS = ("ours", "plain")
PLAIN_SIMILARITY = 0.6
"""The threshold of the plain alternative: the usual first guess."""


def settings(arguments: argparse.Namespace, scene: Path) -> Config:
    """Our settings for a scene: its cameras with homographies, the detector and ReID weights."""
    cameras = [
        {
            "name": c["name"],
            "source": str(scene / f"{c['name']}.mp4"),
            "homography": c["H_image_to_ground"],
        }
        for c in json.loads((scene / "cameras.json").read_text())["cameras"]
    ]
    return configuration.build(
        {
            "cameras": cameras,
            "sources": {"max_seconds": arguments.max_seconds},
            "detector": {
                "weights": str(arguments.detector),
                "architecture": arguments.architecture,
            },
            "reid": {"weights": str(arguments.reid)},
            "output": {"video": False},
        },
        "benchmark",
    )


def plain(config: Config, output: Path) -> int:
    """Run the plain alternative.

    Args:
        config: Cameras, detector and ReID network.
        output: Gets run.json and a MOT file for each camera.

    Returns:
        The number of frames.
    """
    model, _ = inference.load(config.detector.weights, config.detector.architecture)
    network = ExportedNetwork(Path(config.reid.weights), devices.resolve("auto"), 64)
    rows: list[_Row] = []
    sums: dict[_Track, Array] = {}
    cameras: list[dict[str, Any]] = []
    n_frames_in_all = 0
    for camera in config.cameras:
        tracked = model.track(
            camera.source,
            stream=True,
            persist=False,
            classes=[0],
            imgsz=640,
            conf=0.1,
            tracker="bytetrack.yaml",
            verbose=False,
        )
        fps = open_source(camera, config.sources).camera.fps
        last = config.sources.max_seconds * fps or np.inf
        n_frames = 0
        for index, result in enumerate(tracked):
            if index >= last:
                break
            n_frames = index + 1
            if result.boxes.id is None:
                continue
            boxes = result.boxes.xyxy.cpu().numpy()
            ids = result.boxes.id.int().tolist()
            scores = result.boxes.conf.tolist()
            crops = [cut(result.orig_img, box) for box in boxes]
            features = network.features(np.stack(crops))
            for number, box, score, feature in zip(ids, boxes, scores, features, strict=True):
                track = (camera.name, number)
                rows.append(_Row(camera.name, index, number, box, score))
                sums[track] = sums.get(track, 0) + feature
        n_frames_in_all += n_frames
        cameras.append({"camera": camera.name, "n_frames": n_frames, "stride": 1})
        model.predictor = None
    people = _match_greedily(sums, rows)
    output.mkdir(parents=True)
    (output / "run.json").write_text(json.dumps({"cameras": cameras}))
    for camera in config.cameras:
        lines = []
        for row in rows:
            if row.camera == camera.name:
                person = people[row.camera, row.track]
                lines.append(mot.line(row.frame, person, row.box, row.score))
        (output / f"{camera.name}.txt").write_text("".join(lines))
    return n_frames_in_all


_Track = tuple[str, int]
"""Camera and number of a track."""


class _Row(NamedTuple):
    """One box of the plain alternative. box: (4,) px."""

    camera: str
    frame: int
    track: int
    box: Array
    score: float


def _match_greedily(sums: dict[_Track, Array], rows: list[_Row]) -> dict[_Track, int]:
    """One person per track, greedily in the order of the tracks.

    It is the most similar person so far above the threshold who is not in the same frame already,
    else a new one.
    """
    frames: dict[_Track, set[tuple[str, int]]] = {}
    for row in rows:
        frames.setdefault((row.camera, row.track), set()).add((row.camera, row.frame))
    people: list[Array] = []
    present: list[set[tuple[str, int]]] = []
    chosen: dict[_Track, int] = {}
    for track, total in sums.items():
        feature = total / np.linalg.norm(total)
        similarities = []
        for person, seen in zip(people, present, strict=True):
            similarity = float(feature @ person / np.linalg.norm(person))
            similarities.append(-1.0 if seen & frames[track] else similarity)
        best = int(np.argmax(similarities)) if similarities else -1
        if best < 0 or similarities[best] < PLAIN_SIMILARITY:
            best = len(people)
            people.append(np.zeros_like(feature))
            present.append(set())
        people[best] = people[best] + feature
        present[best] |= frames[track]
        chosen[track] = best + 1
    return chosen


def run_one(arguments: argparse.Namespace) -> None:
    """Run one system on one scene, in a child process; leaves `measured.json` beside its results.

    Args:
        arguments: As `parse` returns them, with `system` and `output`.
    """
    config = settings(arguments, arguments.scenes[0])
    output = arguments.output / "results"
    started_s = time.perf_counter()
    stages: dict[str, float] = {}
    if arguments.system == "ours":
        result = run.run(config, output, quiet=True)
        n_frames = sum(camera.n_frames for camera in result.cameras)
        for stage, stage_s in sorted(result.timings.seconds.items()):
            stages[stage] = 1000 * stage_s / n_frames
    else:
        n_frames = plain(config, output)
    took_s = time.perf_counter() - started_s
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured = {
        "frames": n_frames,
        "frames_s": n_frames / took_s,
        "peak_mib": peak_mib,
        "ms_a_frame": stages,
    }
    (arguments.output / "measured.json").write_text(json.dumps(measured))


def compare(arguments: argparse.Namespace, scene: Path) -> dict[str, Any]:
    """Run both systems on a scene and score them.

    Args:
        arguments: As `parse` returns them.
        scene: Folder of the scene.

    Returns:
        Costs and scores by system.
    """
    passed_on = []
    for name in ("detector", "architecture", "reid", "max_seconds"):
        passed_on += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    results: dict[str, Any] = {"scene": scene.name}
    for system in SYSTEMS:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "benchmarks.pipeline", "--system", system]
            words += ["--output", folder, "--scenes", str(scene), *passed_on]
            subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            measured = json.loads((Path(folder) / "measured.json").read_text())
            report, _ = evaluation.evaluate(Path(folder) / "results", scene / "truth")
        results[system] = {
            **measured,
            "scores": report.together,
            "people": report.people_found,
            "present": report.people_present,
        }
    return results


def show(results: dict[str, Any]) -> None:
    """Print one scene's table.

    Args:
        results: As `compare` returns them.
    """
    ours = results["ours"]
    print(f"\n{results['scene']}: {ours['frames']} frames, {ours['present']} people")
    print(
        f"{'':<24}{'HOTA':>7}{'IDF1':>7}{'AssA':>7}{'MOTA':>7}"
        f"{'people':>8}{'frames/s':>10}{'peak MiB':>10}"
    )
    for system in SYSTEMS:
        row = results[system]
        for name, scores in row["scores"].items():
            percent = "".join(f"{100 * scores[m]:>7.1f}" for m in ("HOTA", "IDF1", "AssA", "MOTA"))
            title = f"  {system}, {name}"
            cost = ""
            if name == "ours":
                title = system
                cost = f"{row['people']:>8}{row['frames_s']:>10.1f}{row['peak_mib']:>10.0f}"
            print(f"{title:<24}{percent}{cost}")
    stages = [f"{stage} {ms:.2f}" for stage, ms in ours["ms_a_frame"].items()]
    print(f"ours, ms a frame: {', '.join(stages)}")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
    parser.add_argument(
        "--detector", type=Path, required=True, metavar="FILE", help="what ultralytics can load"
    )
    parser.add_argument("--architecture", default="yolo11n.yaml", help="of a .safetensors detector")
    parser.add_argument(
        "--reid", type=Path, required=True, metavar="FILE", help="an .onnx ReID network"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        nargs="+",
        default=[SAMPLE],
        metavar="DIR",
        help="folders with camN.mp4, cameras.json, truth/",
    )
    parser.add_argument("--max-seconds", type=float, default=0.0)
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main() -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(), (InputError, PipelineError))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.system:
        run_one(arguments)
        return
    for scene in arguments.scenes:
        if not (scene / "cameras.json").is_file():
            print(f"{scene}: skipped, there is no cameras.json")
            continue
        results = compare(arguments, scene)
        show(results)
        weights = {"detector": arguments.detector.name, "reid": arguments.reid.name}
        record.append(
            arguments.jsonl, "pipeline", weights | {"max_seconds": arguments.max_seconds}, results
        )


if __name__ == "__main__":
    sys.exit(main())
