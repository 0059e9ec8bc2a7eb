"""Re-ranking by k-reciprocal neighbours (Zhong et al., CVPR 2017).

Pictures of one person have the same neighbours.
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
NO_KEY = np.iinfo(np.uint64).max
"""A sort key after every distance."""
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
        """Distances to samples start..stop, and those that mirror them across the diagonal.

        Args:
            start: First sample.
            stop: One past the last sample.

        Returns:
            Distances to samples start..stop from samples start.., (stop - start, n - start), and
            to samples stop.. from samples start..stop, (n - stop, stop - start); float32.
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
        self._is_cosine = form == "st-reid"
        self._is_squared_twice = form == "torchreid"
        self._features = distances.normalise(features) if self._is_cosine else features
        self._lengths = distances.dot(self._features, self._features)

    def __len__(self) -> int:
        """See `Original`."""
        return len(self._features)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """See `Original`."""
        block = self._features[start:stop]
        later = self._features[start:]
        if self._is_cosine:
            found = (block @ later.T).mul_(-2).add_(2)
        else:
            block_lengths = self._lengths[start:stop]
            later_lengths = self._lengths[start:]
            found = distances.squared_euclidean(block, later, block_lengths, later_lengths)
            found.diagonal().zero_()  # exactly, whatever rounding made of it
            if self._is_squared_twice:
                found.square_()
        after_block = found[:, stop - start :]
        return found, after_block.T.contiguous()

    def pairs(self, to: Array, source: Array) -> Array:
        """See `Original`."""
        pieces = []
        for rows, other_rows in distances.paired(self._features, to, source):
            pieces.append(self._row_distances(rows, other_rows))
        found = torch.cat(pieces)
        if self._is_squared_twice:
            found.square_()
        return np.asarray(found.cpu().numpy())

    def _row_distances(self, rows: Tensor, other_rows: Tensor) -> Tensor:
        """Distances (n,) row by row, before any second squaring; overwrites `rows`."""
        if self._is_cosine:
            return 2 - 2 * distances.dot(rows, other_rows)
        difference = rows.sub_(other_rows)
        return distances.dot(difference, difference)


def rerank(
    query: Features,
    gallery: Features,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    form: str = "paper",
) -> Array:
    """Re-rank the gallery by features.

    Args:
        query: Features (Q, D).
        gallery: Features (G, D).
        k1: Neighbours that must be reciprocal.
        k2: Neighbours whose vectors are averaged (1: none).
        lambda_: Weight of the original distance, 0..1.
        form: Original distance, one of `FORMS`.

    Returns:
        Re-ranked distances (Q, G) float32; small is similar.

    Raises:
        InputError: Features do not fit together, or a value is out of range.
    """
    query_features, gallery_features = distances.tensors(query, gallery)
    features = torch.cat([query_features, gallery_features])
    original = FeatureDistances(features, form)
    return rerank_distances(original, len(query_features), k1, k2, lambda_)


def rerank_distances(
    original: Original, n_queries: int, k1: int = 20, k2: int = 6, lambda_: float = 0.3
) -> Array:
    """Re-rank by given original distances (Zhong et al., CVPR 2017, equation 12).

    Args:
        original: Distances between all samples, queries first.
        n_queries: Q; the other G samples are the gallery.
        k1: Neighbours that must be reciprocal.
        k2: Neighbours whose vectors are averaged (1: none).
        lambda_: Weight of the original distance, 0..1.

    Returns:
        (Q, G) float32: (1 - lambda) Jaccard + lambda original, the latter divided by its row's
        maximum.

    Raises:
        InputError: A value is out of range, or a distance is NaN.
    """
    if k1 < 1 or k2 < 1 or not 0 <= lambda_ <= 1:
        raise InputError(
            f"re-ranking with k1 {k1}, k2 {k2}, lambda {lambda_}: expected k1 and k2 of 1 or more,"
            " lambda in 0..1"
        )
    keys, largest, final = _scan(original, n_queries, max(k1 + 1, k2))
    nearest = (keys & FIELD).astype(np.int64)
    half = round(k1 / 2)
    sets = _reciprocal(nearest[:, : k1 + 1])
    half_sets = _reciprocal(nearest[:, : half + 1])
    members = _expanded(sets, half_sets)
    vectors = _vectors(original, members, keys, largest)
    if k2 > 1:
        neighbours = _pattern(nearest[:, :k2], np.float32)
        vectors = neighbours @ vectors
        vectors.data /= min(k2, nearest.shape[1])
    final *= np.float32(lambda_)
    jaccard_weight = np.float32(1 - lambda_)
    for rows, common in _common(vectors, n_queries):
        jaccard = 1 - common / (2 - common)
        final[rows] += jaccard * jaccard_weight
    return final


def _scan(original: Original, n_queries: int, k: int) -> tuple[Array, Array, Array]:
    """Look at all distances once.

    Returns:
        Sort keys (n, k) of every sample's nearest, its largest distance (n,), and the distances
        (Q, G) divided by the largest.
    """
    n_samples = len(original)
    nearest = _Nearest(n_samples, min(k, n_samples))
    largest = np.zeros(n_samples, np.float32)
    final = np.empty((n_queries, n_samples - n_queries), np.float32)
    step = max(1, BLOCK // max(1, n_samples))
    for start in range(0, n_samples, step):
        stop = min(start + step, n_samples)
        block, mirrored = original.rows(start, stop)
        n_query_rows = min(stop, n_queries) - start
        if n_query_rows > 0:
            to_gallery = block[:n_query_rows, n_queries - start :]
            final[start : start + n_query_rows] = to_gallery.cpu().numpy()
        for first_row, found in ((start, block), (stop, mirrored)):
            _check_numbers(found)
            if len(found) == 0:
                continue
            rows = slice(first_row, first_row + len(found))
            block_largest = found.amax(1).cpu().numpy()
            largest[rows] = np.maximum(largest[rows], block_largest)
            nearest.add(rows, start, found)
    largest[largest <= 0] = 1
    final /= largest[:n_queries, None]
    return nearest.keys, largest, final


def _check_numbers(block: Tensor) -> None:
    if block.isnan().any():
        raise InputError(
            "an original distance is not a number: the features hold NaN or infinite values"
        )


class _Nearest:
    """Sort keys (n, k) of every sample's k nearest samples, gathered from blocks of distances.

    The lower half of a key is the index of the near sample.
    """

    def __init__(self, n: int, k: int) -> None:
        self.keys = np.full((n, k), NO_KEY)

    def add(self, rows: slice, first: int, block: Tensor) -> None:
        """Merge the distances (r, c) to samples `rows` from samples first.. on."""
        n_rows, n_columns = block.shape
        k = self.keys.shape[1]
        smallest = block.topk(min(k, n_columns), largest=False, sorted=False).values
        limit = smallest.amax(1, keepdim=True)
        kept = (block <= limit).nonzero(as_tuple=True)  # more than k where distances are equal
        row = kept[0].cpu().numpy()
        column = kept[1].cpu().numpy()
        samples = (column + first).astype(np.uint64)
        keys = sort_keys(block[kept].cpu().numpy()) | samples
        n_kept = np.bincount(row, minlength=n_rows)
        row_begin = np.cumsum(n_kept) - n_kept
        place = np.arange(len(row)) - row_begin[row]
        merged = np.full((n_rows, k + n_kept.max()), NO_KEY)
        merged[:, :k] = self.keys[rows]
        merged[row, k + place] = keys
        merged.sort(axis=1)
        self.keys[rows] = merged[:, :k]


def _pattern(columns: Array, dtype: type) -> sparse.csr_array:
    """Square matrix with 1 at some columns (n, m) of every row."""
    n_rows, n_per_row = columns.shape
    n_entries = n_rows * n_per_row
    ones = np.ones(n_entries, dtype)
    row_begin = np.arange(0, n_entries + 1, n_per_row)
    return sparse.csr_array((ones, columns.ravel(), row_begin), shape=(n_rows, n_rows))


def _reciprocal(nearest: Array) -> sparse.csr_array:
    """1 where two samples are among each other's nearest (n, k): the sets R(i, k) as rows."""
    forward = _pattern(nearest, np.int32)
    return forward.multiply(forward.T.tocsr()).tocsr()


def _expanded(sets: sparse.csr_array, half: sparse.csr_array) -> sparse.csr_array:
    """Sets R(i, k1) expanded by the sets R(j, k1 / 2) of their members (equation 4).

    A member's set is added where more than two thirds of it lie in R(i, k1).
    """
    shared = sets.multiply(sets @ half.T.tocsr()).tocsr()
    sizes = np.asarray(half.sum(1)).ravel()
    is_similar = 3 * shared.data > 2 * sizes[shared.indices]
    shared.data = is_similar.astype(np.int32)
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
    columns = members.indices.astype(np.int64)
    relative = _distances(original, rows, columns, keys) / largest[rows]
    weights = np.exp(-relative)
    totals = np.bincount(rows, weights, minlength=len(counts))
    shares = (weights / totals[rows]).astype(np.float32)
    return sparse.csr_array((shares, members.indices, members.indptr), shape=members.shape)


def _distances(original: Original, to: Array, source: Array, keys: Array) -> Array:
    """Distances (m,) of pairs: most are those of near neighbours, which the keys know."""
    n_samples = len(keys)
    near = (keys & FIELD).astype(np.int64)
    first_pair = np.arange(n_samples)[:, None] * n_samples
    known = (first_pair + near).ravel()
    order = np.argsort(known)
    pairs = to * n_samples + source
    place = np.searchsorted(known, pairs, sorter=order)
    entry = order[np.minimum(place, len(order) - 1)]
    found = key_distances(keys).ravel()[entry]
    missing = known[entry] != pairs
    found[missing] = original.pairs(to[missing], source[missing])
    return found


def _common(vectors: sparse.csr_array, n_queries: int) -> Iterator[tuple[slice, Array]]:
    """Sums of the smaller weights that queries and gallery have in common.

    Yields:
        Slices of the queries and their sums (n, G) float32.
    """
    gallery = vectors[n_queries:].tocsc()
    n_gallery = gallery.shape[0]
    query_members = vectors.indices[: vectors.indptr[n_queries]]
    n_terms = np.diff(gallery.indptr)[query_members]
    terms_before = np.concatenate([[0], np.cumsum(n_terms)])
    row_terms = terms_before[vectors.indptr[: n_queries + 1]]
    most_terms = max(TERMS, n_gallery)
    most_rows = max(1, TERMS // max(1, n_gallery))
    start = 0
    while start < n_queries:
        limit = row_terms[start] + most_terms
        within_limit = int(np.searchsorted(row_terms, limit, side="right")) - 1
        stop = min(max(start + 1, within_limit), start + most_rows, n_queries)
        yield slice(start, stop), _common_rows(vectors, gallery, n_terms, start, stop)
        start = stop


def _common_rows(
    vectors: sparse.csr_array,
    gallery: sparse.csc_array,
    n_terms: Array,
    start: int,
    stop: int,
) -> Array:
    """Sums (n, G) float32 of the smaller weights, for queries start..stop.

    n_terms: for every entry of the queries' vectors, how many gallery items have it.
    """
    n_rows = stop - start
    n_gallery = gallery.shape[0]
    row_begin = vectors.indptr[start : stop + 1]
    entries = slice(row_begin[0], row_begin[-1])
    counts = n_terms[entries]
    owner = np.repeat(np.arange(n_rows), np.diff(row_begin))
    column_begin = gallery.indptr[vectors.indices[entries]]
    term_begin = np.cumsum(counts) - counts
    gallery_entry = np.arange(counts.sum()) + np.repeat(column_begin - term_begin, counts)
    query_weights = np.repeat(vectors.data[entries], counts)
    smaller = np.minimum(query_weights, gallery.data[gallery_entry])
    place = np.repeat(owner * n_gallery, counts) + gallery.indices[gallery_entry]
    total = np.bincount(place, smaller, minlength=n_rows * n_gallery)
    return total.reshape(n_rows, n_gallery).astype(np.float32)
