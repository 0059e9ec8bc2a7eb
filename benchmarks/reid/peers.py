"""How others evaluate ReID: torchreid's functions, and ST-ReID's loops as they are described.
torchreid is used from the files of its package (`benchmarks/requirements-peers.txt` says how to
install it) without importing the package, which wants far more than it needs here. The package on
the index leaves out the compiled ranking of torchreid's repository, so its Python ranking is what
runs. ST-ReID publishes scripts, not functions; the two loops here go as theirs.
"""

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reid.data import Inputs

Array = NDArray[Any]


def rank(inputs: Inputs) -> Array:
    """Rank by torchreid's Euclid (squared): mAP, then CMC at ranks 1 to 20."""
    measure = torchreid_module("metrics/distance.py")
    evaluate = torchreid_module("metrics/rank.py")
    query = torch.from_numpy(inputs.query)
    gallery = torch.from_numpy(inputs.gallery)
    apart = measure.compute_distance_matrix(query, gallery).numpy()
    cmc, mean_ap = evaluate.evaluate_rank(
        apart,
        inputs.query_ids,
        inputs.gallery_ids,
        inputs.query_cameras,
        inputs.gallery_cameras,
        20,
        use_cython=False,
    )
    return np.array([mean_ap, *cmc])


def rerank(inputs: Inputs) -> Array:
    """Re-rank by torchreid: distances (Q, G)."""
    measure = torchreid_module("metrics/distance.py").compute_distance_matrix
    rerank_by = torchreid_module("utils/rerank.py").re_ranking
    query = torch.from_numpy(inputs.query)
    gallery = torch.from_numpy(inputs.gallery)
    query_gallery = measure(query, gallery).numpy()
    query_query = measure(query, query).numpy()
    gallery_gallery = measure(gallery, gallery).numpy()
    return np.asarray(rerank_by(query_gallery, query_query, gallery_gallery))


def joint(inputs: Inputs) -> Array:
    """Joint scores (Q, G), pair after pair."""
    n_gallery = len(inputs.gallery)
    scores = np.empty((len(inputs.query), n_gallery), np.float32)
    table = inputs.table
    n_bins = table.shape[2]
    for i, query in enumerate(inputs.query):
        probability = np.zeros(n_gallery)
        for j in range(n_gallery):
            gap_frames = inputs.query_frames[i] - inputs.gallery_frames[j]
            place = int(abs(gap_frames) / 100)
            later = inputs.query_cameras[i]
            earlier = inputs.gallery_cameras[j]
            if gap_frames <= 0:
                later, earlier = earlier, later
            probability[j] = table[later, earlier, place] if place < n_bins else 0.0
        likeness = inputs.gallery @ query
        scores[i] = 1 / (1 + np.exp(-5 * likeness)) * 1 / (1 + 2 * np.exp(-5 * probability))
    return scores


def smooth(inputs: Inputs) -> Array:
    """Smoothed histograms, each by a matrix of bins by bins that is filled number by number."""
    raw = inputs.raw_table
    smoothed = np.zeros_like(raw)
    for later, earlier in np.ndindex(raw.shape[:2]):
        smoothed[later, earlier] = _smooth_row(raw[later, earlier], 50)
    return smoothed


def _smooth_row(row: Array, sigma: float) -> Array:
    n = len(row)
    bell = []
    for offset in range(n):
        density = np.exp(-(offset**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
        bell.append(float(density))
    weights = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            if j - i > 3 * sigma:
                continue
            weights[i][j] = bell[j - i]
    weights += np.triu(weights, 1).T
    found = weights @ row
    return np.asarray(found / (found.sum() + 1e-7))


PEERS: dict[str, tuple[str, Callable[[Inputs], Array]]] = {
    "ranking": ("torchreid", rank),
    "re-ranking": ("torchreid", rerank),
    "joint score": ("ST-ReID's loop", joint),
    "smoothing": ("ST-ReID's loop", smooth),
}
"""For each step the peer's name and what it does."""


def missing(step: str) -> str:
    """Why the peer of a step cannot run here; "" where it can."""
    peer, _ = PEERS[step]
    if peer == "torchreid" and not importlib.util.find_spec("torchreid"):
        return "torchreid is not installed"
    return ""


def torchreid_module(name: str) -> ModuleType:
    """Return a module of torchreid from its file."""
    package = importlib.util.find_spec("torchreid")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("torchreid is not installed")
    path = Path(package.submodule_search_locations[0]) / "reid" / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torchreid"] = None  # type: ignore[assignment] # its import of the compiled ranking fails at once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about just that
            spec.loader.exec_module(module)
    finally:
        del sys.modules["torchreid"]
    return module
