"""Re-ranking by k-reciprocal neighbours (Zhong et al., CVPR 2017): pictures of one person have the
same neighbours.

Every item becomes a sparse vector over its reciprocal neighbours, and the Jaccard distance between
these vectors is mixed with the original distance. Programs that quote the paper feed it with
different original distances, which changes the numbers, so the form is named: "paper", Euclid
squared once (also BoT); "torchreid", squared Euclid squared again; "st-reid", 2 - 2 cos.

The published code holds several dense matrices of all samples by all samples, 1.5 GB each for
Market-1501. Here distances come in blocks of rows, of which the nearest few are kept; both
triangles come from one, so half of the products are saved. Sets of neighbours are sparse matrices,
so "reciprocal" is a matrix times its transpose, element by element, and the size of an intersection
is a product. Only the rows of the queries are ever dense. Ties fall in the order of the samples.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from models.errors import InputError
from models.reid.evaluation import distances
from models.reid.evaluation.distances import Array, Features
from models.reid.evaluation.ranking import FIELD, key_distances, sort_keys

FORMS = ("paper", "torchreid", "st-reid")
BLOCK = 1 << 24
"""Distances in a block: 64 MiB of float32. Larger ones mean fewer merges of neighbours."""
TERMS = 1 << 22
"""Common neighbours of queries and gallery that are summed at once."""


class Original(Protocol):
    """Original distances between all samples, queries first.

    The published code divides by the maximum of a column and transposes: so a row here holds the
    distances from all samples, as queries, to one, as gallery.
    """

    def __len__(self) -> int:
        """How many samples."""
        ...

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Two pieces, float32: distances to samples start..stop from samples start.., (stop -
        start, n - start), and to samples stop.. from samples start..stop, (n - stop, stop - start).
        """
        ...

    def pairs(self, to: Array, source: Array) -> Array:
        """Distances from samples `source` (m,) to samples `to` (m,): (m,) float32."""
        ...


class MatrixDistances:
    """Original distances out of a matrix (n, n), [from, to]."""

    def __init__(self, matrix: Array) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(
                f"original distances have shape {matrix.shape}: expected all samples by all"
                " samples, queries first"
            )
        self._to = torch.from_numpy(np.asarray(matrix, np.float32).T)

    def __len__(self) -> int:
        """See `Original`."""
        return len(self._to)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """See `Original`."""
        return self._to[start:stop, start:], self._to[stop:, start:stop]

    def pairs(self, to: Array, source: Array) -> Array:
        """See `Original`."""
        return np.asarray(self._to.numpy()[to, source])


class FeatureDistances:
    """Original distances of features (n, D), in one of `FORMS`."""

    def __init__(self, features: Tensor, form: str) -> None:
        if form not in FORMS:
            raise InputError(f"form of re-ranking {form}: expected one of {', '.join(FORMS)}")
        self._form = form
        self._features = distances.normalise(features) if form == "st-reid" else features
        self._lengths = distances.dot(self._features, self._features)

    def __len__(self) -> int:
        """See `Original`."""
        return len(self._features)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """See `Original`."""
        one, later = self._features[start:stop], self._features[start:]
        if self._form == "st-reid":
            found = (one @ later.T).mul_(-2).add_(2)
        else:
            found = distances.squared_euclidean(
                one, later, self._lengths[start:stop], self._lengths[start:]
            )
            found.diagonal().zero_()  # exactly, whatever rounding made of it
            found = found.square_() if self._form == "torchreid" else found
        return found, found[:, stop - start :].T.contiguous()

    def pairs(self, to: Array, source: Array) -> Array:
        """See `Original`."""
        cosine, twice = self._form == "st-reid", self._form == "torchreid"
        both = distances.paired(self._features, to, source)
        found = torch.cat(
            [
                2 - 2 * distances.dot(a, b) if cosine else distances.dot(a.sub_(b), a)
                for a, b in both
            ]
        )
        return np.asarray((found.square_() if twice else found).cpu().numpy())


def rerank(
    query: Features,
    gallery: Features,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    form: str = "paper",
) -> Array:
    """Re-ranked distances (Q, G) float32 of features (Q, D) and (G, D); small is alike. See
    `rerank_distances`, `FORMS`.
    """
    a, b = distances.tensors(query, gallery)
    return rerank_distances(FeatureDistances(torch.cat([a, b]), form), len(a), k1, k2, lambda_)


def rerank_distances(
    original: Original, n_queries: int, k1: int = 20, k2: int = 6, lambda_: float = 0.3
) -> Array:
    """Re-ranked distances (Q, G) float32: (1 - lambda) Jaccard + lambda original, the latter
    divided by its row's maximum.

    k1: neighbours that must be reciprocal. k2: neighbours whose vectors are averaged (1: none).
    Raises InputError for values out of range.
    """
    if k1 < 1 or k2 < 1 or not 0 <= lambda_ <= 1:
        raise InputError(
            f"re-ranking with k1 {k1}, k2 {k2}, lambda {lambda_}: expected k1 and k2 of 1 or more,"
            " lambda in 0..1"
        )
    keys, largest, final = _scan(original, n_queries, max(k1 + 1, k2))
    nearest = (keys & FIELD).astype(np.int64)
    members = _expanded(
        _reciprocal(nearest[:, : k1 + 1]), _reciprocal(nearest[:, : round(k1 / 2) + 1])
    )
    vectors = _vectors(original, members, keys, largest)
    if k2 > 1:
        vectors = _pattern(nearest[:, :k2], np.float32) @ vectors
        vectors.data /= min(k2, nearest.shape[1])
    final *= np.float32(lambda_)
    for rows, common in _common(vectors, n_queries):
        final[rows] += (1 - common / (2 - common)) * np.float32(1 - lambda_)
    return final


def _scan(original: Original, n_queries: int, k: int) -> tuple[Array, Array, Array]:
    """Look at all distances once: sort keys (n, k) of every sample's nearest, largest (n,), (Q, G)
    divided by the largest.
    """
    n = len(original)
    nearest, largest = _Nearest(n, min(k, n)), np.zeros(n, np.float32)
    final = np.empty((n_queries, n - n_queries), np.float32)
    step = max(1, BLOCK // max(1, n))
    for start in range(0, n, step):
        stop = min(start + step, n)
        block, mirrored = original.rows(start, stop)
        asked = min(stop, n_queries) - start
        if asked > 0:
            final[start : start + asked] = block[:asked, n_queries - start :].cpu().numpy()
        for first, found in ((start, block), (stop, mirrored)):
            if found.isnan().any():
                raise InputError(
                    "an original distance is not a number: the features hold NaN or infinite values"
                )
            if len(found):
                rows = slice(first, first + len(found))
                np.maximum(largest[rows], found.amax(1).cpu().numpy(), out=largest[rows])
                nearest.add(rows, start, found)
    largest[largest <= 0] = 1
    final /= largest[:n_queries, None]
    return nearest.keys, largest, final


class _Nearest:
    """Sort keys (n, k) of the k nearest samples of every sample, the sample in the lower half;
    gathered from blocks.
    """

    def __init__(self, n: int, k: int) -> None:
        self.keys = np.full((n, k), np.iinfo(np.uint64).max)

    def add(self, rows: slice, first: int, block: Tensor) -> None:
        """Take in the distances (r, c) to samples `rows` from samples first.. on."""
        k = self.keys.shape[1]
        within = block.topk(min(k, block.shape[1]), largest=False, sorted=False).values.amax(
            1, keepdim=True
        )
        found = (block <= within).nonzero(as_tuple=True)  # more than k where distances are equal
        row, columns = found[0].cpu().numpy(), found[1].cpu().numpy()
        keys = sort_keys(block[found].cpu().numpy()) | (columns + first).astype(np.uint64)
        counts = np.bincount(row, minlength=len(block))
        place = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
        table = np.full((len(block), k + counts.max()), np.iinfo(np.uint64).max)
        table[:, :k] = self.keys[rows]
        table[row, k + place] = keys
        table.sort(axis=1)
        self.keys[rows] = table[:, :k]


def _pattern(columns: Array, dtype: type) -> sparse.csr_array:
    """Square matrix with 1 at some columns (n, m) of every row."""
    n, m = columns.shape
    return sparse.csr_array(
        (np.ones(n * m, dtype), columns.ravel(), np.arange(0, n * m + 1, m)), shape=(n, n)
    )


def _reciprocal(nearest: Array) -> sparse.csr_array:
    """1 where two samples are among each other's nearest (n, k): the sets R(i, k) as rows."""
    forward = _pattern(nearest, np.int32)
    return forward.multiply(forward.T.tocsr()).tocsr()


def _expanded(sets: sparse.csr_array, half: sparse.csr_array) -> sparse.csr_array:
    """Sets with those of their members added that share more than two thirds of theirs (half as
    many neighbours) with it.
    """
    shared = sets.multiply(sets @ half.T.tocsr()).tocsr()
    sizes = np.asarray(half.sum(1)).ravel()
    shared.data = (3 * shared.data > 2 * sizes[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    members = (sets + shared @ half).tocsr()
    members.sort_indices()
    return members


def _vectors(
    original: Original, members: sparse.csr_array, keys: Array, largest: Array
) -> sparse.csr_array:
    """Weights exp(-distance) over the members of each row, summing to 1."""
    counts = np.diff(members.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    weights = np.exp(
        -_distances(original, rows, members.indices.astype(np.int64), keys) / largest[rows]
    )
    totals = np.bincount(rows, weights, minlength=len(counts))
    weights = (weights / totals[rows]).astype(np.float32)
    return sparse.csr_array((weights, members.indices, members.indptr), shape=members.shape)


def _distances(original: Original, to: Array, source: Array, keys: Array) -> Array:
    """Distances (m,) of pairs: most are those of near neighbours, which the keys know."""
    n = len(keys)
    known = (np.arange(n)[:, None] * n + (keys & FIELD).astype(np.int64)).ravel()
    order = np.argsort(known)
    pairs = to * n + source
    at = order[np.minimum(np.searchsorted(known, pairs, sorter=order), len(order) - 1)]
    found = key_distances(keys).ravel()[at]
    missing = known[at] != pairs
    found[missing] = original.pairs(to[missing], source[missing])
    return found


def _common(vectors: sparse.csr_array, n_queries: int) -> Iterator[tuple[slice, Array]]:
    """Sums of the smaller weights that queries and gallery have in common, (n, G) float32, for
    slices of the queries.
    """
    gallery = vectors[n_queries:].tocsc()
    n_gallery = gallery.shape[0]
    n_terms = np.diff(gallery.indptr)[vectors.indices[: vectors.indptr[n_queries]]]
    ends = np.concatenate([[0], np.cumsum(n_terms)])[vectors.indptr[: n_queries + 1]]
    start = 0
    while start < n_queries:
        limit = ends[start] + max(TERMS, n_gallery)
        most = start + max(1, TERMS // max(1, n_gallery))
        stop = min(
            max(start + 1, int(np.searchsorted(ends, limit, side="right")) - 1), most, n_queries
        )
        entries = slice(vectors.indptr[start], vectors.indptr[stop])
        counts = n_terms[entries]
        owner = np.repeat(np.arange(stop - start), np.diff(vectors.indptr[start : stop + 1]))
        at = np.arange(counts.sum()) + np.repeat(
            gallery.indptr[vectors.indices[entries]] - np.cumsum(counts) + counts, counts
        )
        smaller = np.minimum(np.repeat(vectors.data[entries], counts), gallery.data[at])
        place = np.repeat(owner * n_gallery, counts) + gallery.indices[at]
        total = np.bincount(place, smaller, minlength=(stop - start) * n_gallery)
        yield slice(start, stop), total.reshape(-1, n_gallery).astype(np.float32)
        start = stop
