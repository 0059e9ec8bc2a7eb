"""The steps of ReID evaluation against those of torchreid and ST-ReID: time, memory, agreement.
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
    """Run one step of one system, in a child process.

    It leaves the result as `result.npy` and its cost as `measured.json`.

    Args:
        arguments: As `parse` returns them, with `step`, `system` and `output`.
    """
    torch.set_num_threads(arguments.threads)
    step = STEPS[arguments.step]
    if arguments.system == "peer":
        _, step = peers.PEERS[arguments.step]
    inputs = data.load(arguments.output / "inputs.npz")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before_mib = _memory_mib("VmRSS")
    started_s = time.perf_counter()
    result = step(inputs)
    took_s = time.perf_counter() - started_s
    peak_mib = _memory_mib("VmHWM")
    np.save(arguments.output / "result.npy", result)
    measured = {"seconds": took_s, "peak_mib": peak_mib, "grown_mib": peak_mib - before_mib}
    measured |= _scores(arguments.step, result, inputs)
    (arguments.output / "measured.json").write_text(json.dumps(measured))


def _scores(step: str, result: Array, inputs: Inputs) -> dict[str, float]:
    """Scores of a step's result, where it has some."""
    if step == "ranking":
        return {"mAP": float(result[0]), "R1": float(result[1])}
    if step not in ("re-ranking", "joint score"):
        return {}
    apart = -result if step == "joint score" else result
    scores = ranking.rank(apart, *inputs.labels).scores()
    return {"mAP": scores.mean_ap, "R1": scores.at(1)}


def _memory_mib(name: str) -> float:
    """Memory of this process, now (VmRSS) or at its peak (VmHWM).

    The peak of getrusage includes that of the parent.
    """
    return _kib(Path("/proc/self/status"), name) / 1024


def _kib(path: Path, name: str) -> int:
    """A value in KiB out of a file of /proc."""
    _, rest = path.read_text().split(f"{name}:")
    return int(rest.split()[0])


def run(step: str, system: str, folder: Path, threads: int) -> tuple[dict[str, float], Array]:
    """Measure in a process of its own.

    Args:
        step: One of `STEPS`.
        system: "ours" or "peer".
        folder: Holds the inputs and gets the results.
        threads: Of torch and numpy.

    Returns:
        The cost and the result.
    """
    words = [sys.executable, "-m", "benchmarks.reid", "--step", step, "--system", system]
    words += ["--threads", str(threads), "--output", str(folder)]
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    limits = dict.fromkeys(variables, str(threads))
    subprocess.run(words, check=True, cwd=ROOT, env=os.environ | limits)
    cost = json.loads((folder / "measured.json").read_text())
    return cost, np.load(folder / "result.npy", mmap_mode="r")


def compare(step: str, inputs: Inputs, folder: Path, threads: int) -> dict[str, Any]:
    """Measure a step of ours and of its peer.

    Args:
        step: One of `STEPS`.
        inputs: What it takes.
        folder: For inputs and results.
        threads: Of torch and numpy.

    Returns:
        Costs of "ours" and "peer", and their "difference"; where the peer cannot run, ours alone,
        and why ("skipped").
    """
    inputs.save(folder / "inputs.npz")
    ours, ours_result = run(step, "ours", folder, threads)
    results: dict[str, Any] = {
        "n_queries": len(inputs.query),
        "n_gallery": len(inputs.gallery),
        "ours": ours,
    }
    results["skipped"] = peers.missing(step)
    if not results["skipped"]:
        kept = np.array(ours_result)  # its file is written anew
        results["peer"], peer_result = run(step, "peer", folder, threads)
        difference = 0.0
        for own_row, peer_row in zip(kept, peer_result, strict=True):
            difference = max(difference, float(np.abs(own_row - peer_row).max()))
        results["difference"] = difference
    return results


def affordable(n_samples: int) -> float:
    """Share of the samples that torchreid's re-ranking can take in the memory that is free."""
    free_bytes = 1024 * _kib(Path("/proc/meminfo"), "MemAvailable")
    n_affordable = np.sqrt(0.9 * free_bytes / RERANKING_BYTES)
    return float(min(1.0, n_affordable / n_samples))


def show(step: str, results: dict[str, Any]) -> None:
    """Print a step's rows.

    Args:
        step: One of `STEPS`.
        results: As `compare` returns them.
    """
    print(f"\n{step}, {results['n_queries']} queries, {results['n_gallery']} in the gallery")
    peer, _ = peers.PEERS[step]
    for key, name in (("ours", "ours"), ("peer", peer)):
        if key not in results:
            print(f"{name:<18}skipped: {results['skipped']}")
            continue
        row = results[key]
        scores = f"mAP {100 * row['mAP']:.3f}  R1 {100 * row['R1']:.3f}" if "mAP" in row else ""
        memory = f"{row['peak_mib']:>8.0f} MiB (+{row['grown_mib']:.0f})"
        print(f"{name:<18}{row['seconds']:>9.3f} s{memory}  {scores}", flush=True)
    if "peer" in results:
        ratio = results["peer"]["seconds"] / results["ours"]["seconds"]
        difference = f"difference {results['difference']:.1e}"
        print(f"ours is {ratio:.1f} times as fast, {difference}", flush=True)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = record.parser(__doc__)
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
    n_samples = len(inputs.query) + len(inputs.gallery)
    wanted = min(1.0, arguments.samples / n_samples) if arguments.samples else 1.0
    print(f"{origin}; {arguments.threads} threads")
    results: dict[str, Any] = {}
    for step in arguments.steps:
        share = wanted
        if step == "re-ranking" and not peers.missing(step):
            share = min(wanted, affordable(n_samples))
        if share < wanted:
            print(f"\n{step}: memory for {100 * share:.0f} % of the samples only")
        part = inputs.part(share) if share < 1 else inputs
        with tempfile.TemporaryDirectory() as folder:
            results[step] = compare(step, part, Path(folder), arguments.threads)
        show(step, results[step])
    record.append(arguments.jsonl, "reid", {"data": origin, "threads": arguments.threads}, results)


if __name__ == "__main__":
    sys.exit(main())
