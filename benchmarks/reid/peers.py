"""How others evaluate ReID: torchreid's functions, and ST-ReID's loops written anew from their
description.

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
    measure, evaluate = _torchreid("metrics/distance.py"), _torchreid("metrics/rank.py")
    apart = measure.compute_distance_matrix(
        torch.from_numpy(inputs.query), torch.from_numpy(inputs.gallery)
    ).numpy()
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
    apart, function = (
        _torchreid("metrics/distance.py").compute_distance_matrix,
        _torchreid("utils/rerank.py").re_ranking,
    )
    query, gallery = torch.from_numpy(inputs.query), torch.from_numpy(inputs.gallery)
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    return np.asarray(function(*(apart(one, other).numpy() for one, other in pairs)))


def joint(inputs: Inputs) -> Array:
    """Joint scores (Q, G), pair after pair."""
    scores = np.empty((len(inputs.query), len(inputs.gallery)), np.float32)
    table = inputs.table
    for i, query in enumerate(inputs.query):
        probability = np.zeros(len(inputs.gallery))
        for j in range(len(inputs.gallery)):
            frames = inputs.query_frames[i] - inputs.gallery_frames[j]
            place = int(abs(frames) / 100)
            later, earlier = inputs.query_cameras[i], inputs.gallery_cameras[j]
            if frames <= 0:
                later, earlier = earlier, later
            probability[j] = table[later, earlier, place] if place < table.shape[2] else 0.0
        likeness = inputs.gallery @ query
        scores[i] = 1 / (1 + np.exp(-5 * likeness)) * 1 / (1 + 2 * np.exp(-5 * probability))
    return scores


def smooth(inputs: Inputs) -> Array:
    """Smoothed histograms, each by a matrix of all bins by all bins that is filled number by
    number.
    """
    raw = inputs.raw_table
    smoothed = np.zeros_like(raw)
    for later, earlier in np.ndindex(raw.shape[:2]):
        smoothed[later, earlier] = _smooth_row(raw[later, earlier], 50)
    return smoothed


def _smooth_row(row: Array, sigma: float) -> Array:
    n = len(row)
    bell = [
        float(np.exp(-(d**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))) for d in range(n)
    ]
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
    return (
        "torchreid is not installed"
        if PEERS[step][0] == "torchreid" and not importlib.util.find_spec("torchreid")
        else ""
    )


def _torchreid(name: str) -> ModuleType:
    """Return a module of torchreid from its file."""
    package = importlib.util.find_spec("torchreid")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("torchreid is not installed")
    spec = importlib.util.spec_from_file_location(
        Path(name).stem, Path(package.submodule_search_locations[0]) / "reid" / name
    )
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
