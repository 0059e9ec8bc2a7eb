"""The steps of ReID evaluation against those of torchreid and ST-ReID: time, memory, and whether
the numbers agree.

    python -m benchmarks.reid [--dataset DIR] [--features FILE.npz] [--steps STEP ...]
                              [--samples N] [--jsonl FILE]

Steps, each from features of unit length: "ranking" (squared Euclid, CMC, mAP), "re-ranking" (20, 6,
0.3, torchreid's form), "joint score" (of all queries and gallery items) and "smoothing" (of the
transition histograms). Each runs in a process of its own; peak memory is that process's (Linux), in
brackets what it grew by over libraries and inputs. `difference` is the largest between the two
results, scores or distances. Without a data set the labels are made up, without a file (arrays
`query` and `gallery`, in the order of the loader) the features are. A peer that needs more memory
than is free runs on a part of the samples, and so do we beside it. Peers and how to install them:
`benchmarks/requirements-peers.txt`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.reid import data, peers
from benchmarks.reid.data import Inputs
from models import command
from models.reid.evaluation import distances, ranking, reranking, spatial_temporal
from models.reid.evaluation.spatial_temporal import Sightings, TransitionModel

Array = NDArray[Any]
ROOT = Path(__file__).parents[2]
RERANKING_BYTES = 26
"""Memory torchreid's re-ranking takes for every pair of samples."""


def rank(inputs: Inputs) -> Array:
    """Rank by squared Euclid: mAP, then CMC at ranks 1 to 20."""
    apart = distances.blocks(inputs.query, inputs.gallery, "squared_euclidean")
    scores = ranking.rank(apart, *inputs.labels).scores()
    return np.array([scores.mean_ap, *scores.cmc])


def rerank(inputs: Inputs) -> Array:
    """Re-ranked distances (Q, G) in torchreid's form."""
    return reranking.rerank(inputs.query, inputs.gallery, form="torchreid")


def joint(inputs: Inputs) -> Array:
    """Joint scores (Q, G)."""
    query = Sightings(inputs.query, inputs.query_cameras, inputs.query_frames)
    gallery = Sightings(inputs.gallery, inputs.gallery_cameras, inputs.gallery_frames)
    blocks = spatial_temporal.joint_distances(query, gallery, TransitionModel(inputs.table))
    return -np.concatenate(list(blocks))


def smooth(inputs: Inputs) -> Array:
    """Smoothed histograms."""
    return spatial_temporal.smooth(TransitionModel(inputs.raw_table)).table


STEPS: dict[str, Callable[[Inputs], Array]] = {
    "ranking": rank,
    "re-ranking": rerank,
    "joint score": joint,
    "smoothing": smooth,
}


def measure(arguments: argparse.Namespace) -> None:
    """Child process: run one step of one system, leave its result as `result.npy` and its cost as
    `measured.json`.
    """
    torch.set_num_threads(arguments.threads)
    step = STEPS[arguments.step] if arguments.system == "ours" else peers.PEERS[arguments.step][1]
    inputs = data.load(arguments.output / "inputs.npz")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _memory_mib("VmRSS")
    start = time.perf_counter()
    result = step(inputs)
    seconds = time.perf_counter() - start
    peak = _memory_mib("VmHWM")
    np.save(arguments.output / "result.npy", result)
    measured = {"seconds": seconds, "peak_mib": peak, "grown_mib": peak - before}
    if arguments.step in ("re-ranking", "joint score"):
        scores = ranking.rank(
            -result if arguments.step == "joint score" else result, *inputs.labels
        ).scores()
        measured |= {"mAP": scores.mean_ap, "R1": scores.at(1)}
    elif arguments.step == "ranking":
        measured |= {"mAP": float(result[0]), "R1": float(result[1])}
    (arguments.output / "measured.json").write_text(json.dumps(measured))


def _memory_mib(name: str) -> float:
    """Memory of this process, now (VmRSS) or at its peak (VmHWM); the peak of getrusage includes
    that of the parent.
    """
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) / 1024


def run(step: str, system: str, folder: Path, threads: int) -> tuple[dict[str, float], Array]:
    """Measure in a process of its own; returns the cost and the result."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.reid",
        "--step",
        step,
        "--system",
        system,
        "--threads",
        str(threads),
    ]
    limits = {
        name: str(threads)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    subprocess.run([*words, "--output", str(folder)], check=True, cwd=ROOT, env=os.environ | limits)
    return json.loads((folder / "measured.json").read_text()), np.load(
        folder / "result.npy", mmap_mode="r"
    )


def compare(step: str, inputs: Inputs, folder: Path, threads: int) -> dict[str, Any]:
    """Measure a step of ours and of its peer; where the peer cannot run, ours alone."""
    inputs.save(folder / "inputs.npz")
    ours, ours_result = run(step, "ours", folder, threads)
    results: dict[str, Any] = {
        "n_queries": len(inputs.query),
        "n_gallery": len(inputs.gallery),
        "ours": ours,
    }
    results["skipped"] = peers.missing(step)
    if not results["skipped"]:
        mine = np.array(ours_result)
        results["peer"], theirs = run(step, "peer", folder, threads)
        results["difference"] = max(
            float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True)
        )
    return results


def affordable(n_samples: int) -> float:
    """Share of the samples that torchreid's re-ranking can take in the memory that is free."""
    free_kib = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0])
    return float(min(1.0, np.sqrt(0.9 * 1024 * free_kib / RERANKING_BYTES) / n_samples))


def show(step: str, results: dict[str, Any]) -> None:
    """Print a step's rows."""
    print(f"\n{step}, {results['n_queries']} queries, {results['n_gallery']} in the gallery")
    names = {"ours": "ours", "peer": peers.PEERS[step][0]}
    for key, name in names.items():
        if key not in results:
            print(f"{name:<18}skipped: {results['skipped']}")
            continue
        row = results[key]
        scores = f"mAP {100 * row['mAP']:.3f}  R1 {100 * row['R1']:.3f}" if "mAP" in row else ""
        print(
            f"{name:<18}{row['seconds']:>9.3f} s{row['peak_mib']:>8.0f} MiB"
            f" (+{row['grown_mib']:.0f})  {scores}",
            flush=True,
        )
    if "peer" in results:
        print(
            f"ours is {results['peer']['seconds'] / results['ours']['seconds']:.1f} times as fast,",
            end=" ",
        )
        print(f"difference {results['difference']:.1e}", flush=True)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="folder of Market-1501; default: made-up labels"
    )
    parser.add_argument("--features", type=Path, help=".npz with query (Q, D) and gallery (G, D)")
    parser.add_argument("--width", type=int, default=2048, help="of made-up features")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument(
        "--samples",
        type=int,
        default=0,
        help="use only so many queries and gallery items together; 0 all",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jsonl", type=Path, help="append the results as one JSON line")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--system", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.system:
        measure(arguments)
        return
    inputs, origin = data.make(arguments.dataset, arguments.features, arguments.width)
    n = len(inputs.query) + len(inputs.gallery)
    wanted = min(1.0, arguments.samples / n) if arguments.samples else 1.0
    print(f"{origin}; {arguments.threads} threads")
    results: dict[str, Any] = {}
    for step in arguments.steps:
        share = (
            min(wanted, affordable(n))
            if step == "re-ranking" and not peers.missing(step)
            else wanted
        )
        if share < wanted:
            print(f"\n{step}: memory for {100 * share:.0f} % of the samples only")
        with tempfile.TemporaryDirectory() as folder:
            results[step] = compare(
                step, inputs.part(share) if share < 1 else inputs, Path(folder), arguments.threads
            )
        show(step, results[step])
    record.append(arguments.jsonl, "reid", {"data": origin, "threads": arguments.threads}, results)


if __name__ == "__main__":
    sys.exit(main())
